"""What an operator is told when the tables are not those of this version."""

import psycopg
import pytest

from firstcome.errors import DatabaseUnavailable
from firstcome.postgres.translation import translation

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "error", [psycopg.errors.UndefinedTable("x"), psycopg.errors.UndefinedColumn("x")]
)
def test_missing_tables_and_columns_ask_for_a_migration(error: psycopg.Error) -> None:
    told = translation(error)
    assert isinstance(told, DatabaseUnavailable)
    assert "run `firstcome migrate`" in str(told)
