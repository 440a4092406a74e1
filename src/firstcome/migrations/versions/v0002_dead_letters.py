"""Dead letters that are published and decided, as 0002_dead_letters.sql describes them."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the file as it stands: without parameters the driver takes many statements at once."""
    file = Path(__file__).parents[1] / "0002_dead_letters.sql"
    driver = op.get_bind().connection.driver_connection
    assert driver is not None  # noqa: S101 - the migration runs on an open connection
    driver.execute(file.read_text(encoding="utf-8"))
