"""The speed table: which rate holds, and a page that says so."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def rates() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "rates.py"
    spec = importlib.util.spec_from_file_location("rates", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spread(p95: float) -> dict[str, Any]:
    return {"count": 10, "p50": 1.0, "p95": p95, "p99": 30.0, "max": 40.0}


def drop(rate: int, http: float = 20.0, issued: float = 60.0, **other: Any) -> dict[str, Any]:
    return {
        "mode": "gateway",
        "rate": rate,
        "held": True,
        "failed": 0,
        "issued": 100,
        "expected": 100,
        "http_accepted_ms": spread(http),
        "issued_ms": spread(issued),
        "cpu": {"total": {"us_per_issuance": 30.0}, "api": {"us_per_issuance": 12.5}},
        "generator_us_per_request": 9.0,
        "steal_percent": 0.2,
        "others_percent": 1.0,
        "tries": 1,
        "asked": {"crowd": {"seed": 1}, "connections": 256},
        "environment": {"cores": "2"},
    } | other


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (drop(1), True),
        (drop(1, http=25.1), False),
        (drop(1, issued=100.1), False),
        (drop(1, failed=1), False),
        (drop(1, held=False), False),
        (drop(1) | {"issued_ms": {"p95": None}}, False),
    ],
)
def test_rate_holds_only_within_every_bound(
    rates: ModuleType, found: dict[str, Any], held: bool
) -> None:
    assert rates.holds(found) is held


def test_page_names_the_highest_rate_that_holds(rates: ModuleType) -> None:
    drops = [drop(10_000), drop(40_000), drop(50_000, http=90.0)]
    drops = [found | {"holds": rates.holds(found)} for found in drops]
    found = {"date": "2030-01-01", "commit": "abc", "kafka": "4.3.1", "drops": drops}
    page = rates.page(found)
    assert "Highest rate that holds: 40,000 a second." in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1
    assert table[0].index("api us") < table[0].index("total us")
    assert "1.0 / 90.0 / 30.0" in page


@pytest.mark.parametrize(
    ("bytes_a_user", "api_mb", "said"),
    [(20.3, 106.0, "held."), (25.1, 106.0, "**not held**"), (20.3, 150.1, "**not held**")],
)
def test_page_says_whether_a_million_coupons_fit(
    rates: ModuleType, bytes_a_user: float, api_mb: float, said: str
) -> None:
    large = drop(
        12_000,
        redis_bytes_per_user=bytes_a_user,
        memory_mb={"api-1": api_mb, "recorder-1": 70.0, "redis": 90.0},
        restarts=0,
    )
    found = {"date": "2026-11-30", "commit": "c", "kafka": "4", "drops": [drop(1, holds=True)]}
    text = rates.page(found | {"large": [large]})
    assert said in text.rpartition("each: ")[2]
