"""Named statements, and the migrations that make the tables they speak of."""

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, NamedTuple, cast

from firstcome.postgres.sessions import Timeouts, connect
from firstcome.postgres.translation import translated
from firstcome.settings import PostgresSettings

_HERE = Path(__file__).parents[1]


class Migrated(NamedTuple):
    """The schema's revision before and after; equal when there was nothing to do."""

    before: str | None
    after: str


@cache
def queries(file: str) -> dict[str, LiteralString]:
    """Return the named statements of sql/<file>.sql.

    A statement begins after the line `-- name: <its name>` and ends before the next such line.
    """
    text = (_HERE / "sql" / f"{file}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    # The files are part of this package: as literal as a string in the code.
    blocks = zip(parts[1::2], parts[2::2], strict=True)
    return {name: cast(LiteralString, block.strip()) for name, block in blocks}


def migrate(settings: PostgresSettings) -> Migrated:
    """Bring the schema up to the newest revision, in one transaction; forward only.

    Idempotent, and safe to run from several places at once: an advisory lock
    lets one work and the others find nothing to do. Raises DatabaseUnavailable.
    """
    # Alembic brings SQLAlchemy: half a second that no other command should pay.
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_HERE / "migrations").replace("%", "%%"))
    config.attributes["connect"] = lambda: connect(
        settings,
        name="firstcome-migrate",
        timeouts=Timeouts(statement_seconds=0, lock_seconds=60, transaction_seconds=0),
    )
    with translated():
        alembic.command.upgrade(config, "head")
    return Migrated(config.attributes["before"], config.attributes["after"])
