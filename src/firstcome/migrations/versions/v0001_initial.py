"""The tables of a drop, as 0001_initial.sql describes them."""

from firstcome.migrations.files import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the file."""
    run_file("0001_initial.sql")
