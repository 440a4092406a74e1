"""A migration is a file of SQL beside this one."""

from pathlib import Path

from alembic import op


def run_file(name: str) -> None:
    """Run a file as it stands: without parameters the driver takes many statements at once."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - the migration runs on an open connection
    driver.execute((Path(__file__).parent / name).read_text(encoding="utf-8"))
