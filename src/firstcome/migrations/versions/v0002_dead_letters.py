"""Dead letters that are published and decided, as 0002_dead_letters.sql describes them."""

from firstcome.migrations.files import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the file."""
    run_file("0002_dead_letters.sql")
