"""What an operator is told when the tables are not those of this version."""

import psycopg
import pytest

from firstcome.errors import DatabaseUnavailable
from firstcome.postgres.translation import translation

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UndefinedTable("x"),
        psycopg.errors.UndefinedColumn("x"),
        psycopg.errors.UndefinedFunction("x"),  # text = integer, say
        psycopg.errors.DatatypeMismatch("x"),
    ],
)
def test_tables_of_another_version_ask_for_a_migration(error: psycopg.Error) -> None:
    told = translation(error)
    assert isinstance(told, DatabaseUnavailable)
    assert "run `firstcome migrate`" in str(told)
