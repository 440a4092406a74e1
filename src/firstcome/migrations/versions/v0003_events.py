"""Events for others, as 0003_events.sql describes them."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the file as it stands: without parameters the driver takes many statements at once."""
    file = Path(__file__).parents[1] / "0003_events.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - the migration runs on an open connection
    driver.execute(file.read_text(encoding="utf-8"))
