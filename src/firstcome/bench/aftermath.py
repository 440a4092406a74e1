"""What became of a drop's answers: the rows of its campaigns, once they are final.

Final means that every user who was promised a coupon has an ISSUED row, and, where
answers ended in doubt, that the sweeper has had its time to bring the places forward.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from firstcome import postgres
from firstcome.bench.answers import DOUBTED, REQUESTED, Answers
from firstcome.bench.plan import Asked
from firstcome.bench.report import LawHeld
from firstcome.bench.truth import Offer, Row
from firstcome.laws import Laws
from firstcome.model import CampaignId
from firstcome.settings import PostgresSettings, Settings

# A million rows take seconds to read; nobody waits for them meanwhile.
_READING = postgres.Timeouts(statement_seconds=120, transaction_seconds=240)


@contextmanager
def session(settings: PostgresSettings) -> Iterator[postgres.Connection]:
    """Lend a session for reading, each statement on its own. Raises DatabaseUnavailable."""
    with postgres.connect(settings, name="firstcome-drop", timeouts=_READING) as database:
        database.autocommit = True
        yield database


def laws_held(settings: Settings, campaign_ids: Sequence[CampaignId]) -> list[LawHeld]:
    """Check every law of these campaigns. Raises Unavailable."""
    return [
        LawHeld(
            result.law,
            result.title,
            result.held,
            result.violations_count,
            [violation.detail for violation in result.violations[:20]],
        )
        for result in Laws(settings).check([int(campaign_id) for campaign_id in campaign_ids])
    ]


def promised(order: Sequence[int], answers: Answers) -> set[int]:
    """Return the users who were told REQUESTED."""
    return {user for user, code in zip(order, answers.code, strict=True) if code == REQUESTED}


class Aftermath:
    """The rows of a drop's campaigns: waits for them, then reads them all."""

    def __init__(
        self,
        database: postgres.Connection,
        asked: Asked,
        campaign_ids: Sequence[CampaignId],
        answers: Answers,
    ) -> None:
        self._database = database
        self._asked = asked
        self._campaign_ids = campaign_ids
        crowd = asked.crowd
        self._promised = len(promised(crowd.order(), answers))
        self._doubt = any(flags & DOUBTED for flags in answers.flags)
        self._wanted = sum(min(asked.coupons, crowd.users_of(n)) for n in range(crowd.campaigns))
        with postgres.translated():
            row = database.execute(postgres.queries("drop")["commit_times_kept"]).fetchone()
        self.commit_times = bool(row and row[0])

    def wait(self, seconds: float) -> bool:
        """Wait until everything is final; False when it was not in time.

        An answer in doubt may stand for a place that only the sweeper brings forward.
        """
        began = time.monotonic()
        while (waited := time.monotonic() - began) < seconds:
            # Counting costs the database more, the more rows there are: once there may be all.
            issued = self._issued() if self._counted("reached") >= self._promised else 0
            if issued >= self._promised and (issued >= self._wanted or not self._doubt):
                return True
            time.sleep(0.02 if waited < 2 else 0.25)
        return self._issued() >= self._promised

    def _issued(self) -> int:
        return self._counted("issued")

    def _counted(self, query: str) -> int:
        with postgres.translated():
            row = self._database.execute(
                postgres.queries("drop")[query], {"ids": list(self._campaign_ids)}
            ).fetchone()
        return int(row[0]) if row else 0

    def offers(self) -> list[Offer]:
        """Read every row of every campaign."""
        name = "rows_committed" if self.commit_times else "rows_recorded"
        offers = []
        for campaign_id in self._campaign_ids:
            with postgres.translated():
                rows = self._database.execute(
                    postgres.queries("drop")[name], {"campaign_id": campaign_id}
                ).fetchall()
            offers.append(Offer(campaign_id, self._asked.coupons, [Row(*row) for row in rows]))
        return offers
