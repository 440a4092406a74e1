"""How Alembic reaches the database: one session, one lock, one transaction.

Run by firstcome.postgres.migrate, which hands over how to connect. There is no
alembic.ini and no offline mode.
"""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

# Any constant will do, as long as it is only ours: "firstcom" as a number.
LOCK = 0x6669727374636F6D


def run() -> None:
    """Apply what is missing, unless somebody else has done so while we waited for the lock."""
    attributes = context.config.attributes
    engine = create_engine(
        "postgresql+psycopg://", creator=attributes["connect"], poolclass=NullPool
    )
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            attributes["before"] = context.get_context().get_current_revision()
            context.run_migrations()
            attributes["after"] = context.get_context().get_current_revision()


try:
    run()
except DBAPIError as error:
    # The driver's own error says which SQLSTATE it was.
    raise (error.orig or error) from error
