"""What a row costs PostgreSQL: a plain insert of new claims, and one that minds conflicts.

    firstcome up && python bench/insert.py [--rows 150000] [--transaction 300] [--rounds 3]

Takes turns, so that both meet the same machine. Prints microseconds of the session's own
process a row; what other processes of PostgreSQL do in the background is not counted.
"""

import argparse
import sys
from random import Random

import psutil

from firstcome import postgres
from firstcome.eventlog.events import IssuanceRequested
from firstcome.issuance.batch import Batch
from firstcome.issuance.transaction import Transaction
from firstcome.settings import Settings

CLAIMS_OF_A_RECORD = 60


def main() -> None:
    """Run the rounds."""
    options = _options()
    random = Random(options.seed)  # noqa: S311 - repeatable users
    with postgres.connect(Settings.load().postgres, name="firstcome-bench") as connection:
        for _ in range(options.rounds):
            for all_new in (False, True):
                cost = _cost(connection, random, options.rows, options.transaction, all_new)
                print(f"{'plain' if all_new else 'minding conflicts':18} {cost:5.1f} us a row")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=150_000)
    parser.add_argument("--transaction", type=int, default=300, help="rows of one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _cost(
    connection: postgres.Connection, random: Random, rows: int, of_one: int, all_new: bool
) -> float:
    campaign_id, server = _campaign(connection, rows)
    users = [f"{number:010d}" for number in random.sample(range(10**10), rows)]
    before = _seconds(server)
    for first in range(0, rows, of_one):
        batches = [
            _batch(campaign_id, at + 1, users[at : min(at + CLAIMS_OF_A_RECORD, first + of_one)])
            for at in range(first, min(first + of_one, rows), CLAIMS_OF_A_RECORD)
        ]
        with postgres.transaction(connection):
            Transaction(connection, all_new=all_new).record(batches)
    return (_seconds(server) - before) * 1e6 / rows


def _campaign(connection: postgres.Connection, rows: int) -> tuple[int, psutil.Process]:
    """Make a campaign with an epoch; return its number and the session's process."""
    with postgres.transaction(connection):
        row = connection.execute(
            "INSERT INTO campaigns (name, engine, stock, position_limit, epoch)"
            " VALUES ('bench', 'kafka', %s, %s, 1) RETURNING campaign_id, pg_backend_pid()",
            (rows, rows),
        ).fetchone()
        if row is None:
            sys.exit("the campaign was not made")
        connection.execute("INSERT INTO epochs VALUES (%s, 1, NULL, 1)", (row[0],))
    return row[0], psutil.Process(row[1])


def _batch(campaign_id: int, first: int, users: list[str]) -> Batch:
    attempts = [12345] * len(users)
    return Batch(IssuanceRequested(campaign_id, 1, first, users, attempts, 1.5))


def _seconds(server: psutil.Process) -> float:
    return sum(server.cpu_times()[:2])


if __name__ == "__main__":
    main()
