"""The rows of the comparison report: a value or a reason in every cell; medians and spreads."""

import pytest

from firstcome.bench.collect.samples import Sample
from firstcome.bench.compare import figures, grid
from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.reader import LANGUAGES, Reader
from firstcome.bench.compare.rows import BY_KEY, GROUPS, KEY_ROWS, ROWS
from firstcome.bench.compare.told import TOLD, System
from firstcome.bench.run import BUILT_IN, K6, Distribution
from tests.unit import compared

pytestmark = pytest.mark.unit


def bare(engine: str, generator: str) -> grid.Run:
    """Return a run of which nothing could be measured."""
    nothing = Distribution(0)
    return compared.run(
        engine,
        generator=generator,
        requests=0,
        http_ms=nothing,
        iteration_ms=nothing,
        requests_per_second_max=None,
        bytes_sent=None,
        bytes_received=None,
        issued=0,
        expected=0,
        issued_ms=nothing,
        accepted_per_second=None,
        persisted_per_second=None,
        final_after_seconds=None,
        cpu_seconds={},
        redis_bytes_per_user=None,
        samples=[],
        steal_percent=None,
        others_percent=None,
    )


@pytest.mark.parametrize("engine", compared.ENGINES)
@pytest.mark.parametrize("generator", [BUILT_IN, K6])
def test_every_row_has_a_value_or_a_reason(engine: str, generator: str) -> None:
    for run in (compared.run(engine, generator=generator), bare(engine, generator)):
        for row in ROWS:
            assert isinstance(row.value(run), float | Missing), row.key
            cell = grid.cell(row, [run])
            assert (cell.median is None) == (cell.missing is not None), row.key


def test_every_row_of_an_engine_that_was_not_run_says_so() -> None:
    assert {grid.cell(row, []).missing for row in ROWS} == {Missing.NOT_RUN}


def test_rows_hold_everything_that_the_source_tells() -> None:
    assert set(BY_KEY) >= set(TOLD) | set(KEY_ROWS)
    assert len(BY_KEY) == len(ROWS)
    assert {row.group for row in ROWS} == set(GROUPS)


def test_p95_shows_each_figure_of_the_source_that_contradicts_another() -> None:
    told = [each.en for each in BY_KEY["http_p95"].told if each.system is System.KAFKA]
    assert told == ["60 ms", "210 ms"]


def test_direct_says_that_it_has_no_redis_even_if_samples_show_one() -> None:
    run = compared.run("direct")
    assert any("redis_memory_bytes" in sample.values for sample in run.samples)
    assert BY_KEY["redis_memory"].value(run) is Missing.NO_GATE
    assert BY_KEY["lag_claims"].value(run) is Missing.NO_CONSUMER


def test_what_a_generator_did_not_count_has_a_reason_of_its_own() -> None:
    nothing = bare("kafka", K6)
    assert BY_KEY["issued_p95"].value(nothing) is Missing.NO_COMMIT_TIMES
    assert BY_KEY["iteration_p95"].value(nothing) is Missing.NO_ITERATIONS
    assert BY_KEY["rps_max"].value(nothing) is Missing.NOT_PER_SECOND
    counted = compared.run("kafka", virtual_users_min=0, virtual_users_max=0)
    assert BY_KEY["vus_max"].value(counted) is Missing.NO_VIRTUAL_USERS


def test_cell_is_the_median_with_the_least_and_the_most_beside_it() -> None:
    rates = (700.0, 650.0, 900.0)
    runs = [compared.run("direct", persisted_per_second=rate) for rate in rates]
    cell = grid.cell(BY_KEY["persisted"], runs)
    assert cell == grid.Cell(700.0, 650.0, 900.0, 3)
    assert cell.spread == 250.0


def test_cell_leaves_out_repetitions_without_a_value() -> None:
    runs = [compared.run("kafka", steal_percent=share) for share in (None, 1.0, 3.0)]
    assert grid.cell(BY_KEY["steal"], runs) == grid.Cell(2.0, 1.0, 3.0, 2)


@pytest.mark.parametrize(
    ("one", "other", "way"),
    [
        ((10, 11, 12), (20, 21, 22), -1),
        ((20, 21, 22), (10, 11, 12), 1),
        ((10, 11, 16), (12, 13, 14), 0),
        ((10,), (10.9,), 0),
        ((10,), (12,), -1),
    ],
)
def test_medians_differ_only_beyond_the_spread(
    one: tuple[float, ...], other: tuple[float, ...], way: int
) -> None:
    cells = [
        grid.cell(
            BY_KEY["persisted"],
            [compared.run(persisted_per_second=float(value)) for value in values],
        )
        for values in (one, other)
    ]
    assert grid.compared(*cells) == way


def test_samples_count_only_while_the_crowd_is_answered() -> None:
    seen = [(0, 0, 900), (2, 50, 10), (3, 50, 30), (9, 0, 900)]
    samples = [
        Sample(
            100.0 + at,
            {"requests_per_second": {"served": rate}, "postgres_lock_waits": {"": waits}},
        )
        for at, rate, waits in seen
    ]
    run = compared.run("direct", seconds=2.0, samples=samples, started_at=101.0)
    assert BY_KEY["lock_waits_peak"].value(run) == 30
    assert BY_KEY["lock_waits"].value(run) == 20


@pytest.mark.parametrize(
    ("key", "metric"),
    [("deadlocks", "postgres_deadlocks_total"), ("lock_timeouts", "lock_timeouts_total")],
)
def test_row_counts_what_happened_in_the_run_alone(key: str, metric: str) -> None:
    samples = [Sample(at, {metric: {"": 7 + at}}) for at in (0.0, 1.0, 2.0)]
    assert BY_KEY[key].value(compared.run("direct", samples=samples)) == 2


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (99.998, "%", "99.99"),
        (100.0, "%", "100"),
        (0.001, "%", "<0.01"),
        (0.0, "%", "0"),
        (19_800.4, "/s", "19,800"),
        (13.44, "ms", "13.4"),
        (20_000, "count", "20,000"),
    ],
)
def test_figures_never_round_a_fault_away(value: float, unit: str, shown: str) -> None:
    assert figures.said(value, unit) == shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_reader_has_words_for_every_row_reason_and_figure(language: str) -> None:
    reader = Reader(language)
    assert all(reader.title(row) for row in ROWS)
    assert all(reader[f"missing.{reason}"] for reason in Missing)
    assert all(reader[f"missing.{reason}.long"] for reason in Missing)
    for told in (each for row in ROWS for each in row.told):
        assert reader.told(told)
        assert reader[f"system.{told.system}"]
        assert reader[f"place.{told.place}"]
