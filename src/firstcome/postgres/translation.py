"""psycopg's errors as ours: try again later, look it up, or never.

Every error leaves as DatabaseUnavailable (try again, later), RowExists (look it up), BadRecord
(these rows never go in), or psycopg's own, which then is a defect of the code.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import psycopg_pool

from firstcome.errors import BadRecord, DatabaseUnavailable, RowExists

# A position beyond the campaign's limit: raised by the trigger that guards law L1.
BEYOND_THE_LIMIT = "FC001"
# SQLSTATEs, or their beginnings, that another try may not meet: connection, serialisation and
# deadlock, resources, shutdown, timeouts, I/O; and what an operator is about to put right
# (no database, no rights, no tables yet, a standby that is not yet promoted).
_TRANSIENT = (
    *("08", "40", "53", "57P0", "58", "55000", "55006", "55P03", "57014", "25P03", "25P04"),
    *("28", "3D000", "25006", "42501", "42P01"),
)
# No such column or operator, a value of another type: no tables of this version.
_OTHER_TABLES = ("42703", "42883", "42804")
_UNIQUE_VIOLATION = "23505"
_DATA = ("22", "23", BEYOND_THE_LIMIT)
# The server says by these that the transaction was rolled back.
_CERTAINLY_NOT_DONE = ("40", "53", "55", "57014", "42", "25006")


@contextmanager
def translated() -> Iterator[None]:
    """Let psycopg's errors leave as ours."""
    try:
        yield
    except psycopg.Error as error:
        raise translation(error) from error


def translation(error: psycopg.Error) -> Exception:
    """Return the error to raise instead."""
    state = error.sqlstate
    said = str(error).strip() or type(error).__name__
    if state is None and isinstance(error, psycopg.DataError):
        return BadRecord(said, reason="REJECTED")
    if state == _UNIQUE_VIOLATION:
        return RowExists(said)
    if state is not None and state.startswith(_DATA):
        reason = "BEYOND_LIMIT" if state == BEYOND_THE_LIMIT else "REJECTED"
        return BadRecord(said, reason=reason)
    if state == "42P01":
        said = "the database has no tables of firstcome: run `firstcome migrate`"
    if state in _OTHER_TABLES:
        said = f"the tables are those of another version ({said}): run `firstcome migrate`"
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.TooManyRequests):
        return DatabaseUnavailable(f"no session to PostgreSQL was free: {said}", certain=True)
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnavailable(f"PostgreSQL gave no answer: {said}")
    if state is not None and state.startswith((*_TRANSIENT, *_OTHER_TABLES)):
        certain = state.startswith(_CERTAINLY_NOT_DONE)
        return DatabaseUnavailable(
            f"PostgreSQL refused ({state}): {said}", certain=certain, sqlstate=state
        )
    return error
