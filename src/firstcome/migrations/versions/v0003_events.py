"""Events for others, as 0003_events.sql describes them."""

from firstcome.migrations.files import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the file."""
    run_file("0003_events.sql")
