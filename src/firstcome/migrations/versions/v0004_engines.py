"""Engines by any name, as 0004_engines.sql describes them."""

from firstcome.migrations.files import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the file."""
    run_file("0004_engines.sql")
