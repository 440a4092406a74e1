"""The history of runs: what it keeps, and when it calls a change a regression."""

from pathlib import Path

import msgspec
import pytest
from bench_runs import a_run

from firstcome.bench.collect.samples import Sample
from firstcome.bench.history import History, trends
from firstcome.errors import Refused


def test_history_keeps_runs_in_order_with_their_samples(tmp_path: Path) -> None:
    history = History(tmp_path / "new" / "history.jsonl")
    assert history.runs() == []
    samples = [Sample(1.5, {"process_cpu_percent": {"api": 90.0}})]
    runs = [
        msgspec.structs.replace(a_run(per_second=per_second), samples=samples)
        for per_second in (1.0, 2.0)
    ]
    for run in runs:
        history.append(run)
    assert history.runs() == runs


def test_history_names_the_line_that_is_no_run(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    History(path).append(a_run())
    path.write_bytes(path.read_bytes() + b'{"at": 1}\n')
    with pytest.raises(Refused, match=r"line 2 of .* is no run"):
        History(path).runs()


@pytest.mark.parametrize(
    ("earlier", "newest", "regressed"),
    [
        ((1000, 1010, 990, 1005), 1003, False),
        ((1000, 1010, 990, 1005), 905, False),  # within a tenth
        ((1000, 1010, 990, 1005), 880, True),
        ((1000, 1400, 600, 1100), 700, False),  # such noise hides it
        ((1000, 1010), 100, False),  # too few to say
        ((1000, 1010, 990, 1005), 2000, False),  # better is no regression
    ],
)
def test_trend_is_a_regression_only_beyond_the_noise(
    earlier: tuple[float, ...], newest: float, regressed: bool
) -> None:
    runs = [a_run(per_second=each) for each in (*earlier, newest)]
    [persisted] = [trend for trend in trends(runs) if trend.figure == "persisted"]
    assert persisted.regressed is regressed
    assert persisted.value == newest


def test_trend_of_a_waiting_time_regresses_upwards() -> None:
    runs = [a_run(p95=each) for each in (10, 10, 11, 10, 30)]
    [first, *_] = trends(runs)
    assert (first.figure, first.regressed) == ("http p95", True)


def test_trends_keep_machines_engines_and_set_ups_apart() -> None:
    slow = a_run(per_second=10)
    elsewhere = msgspec.structs.replace(slow, environment={"cores": "64"})
    in_small = msgspec.structs.replace(slow, setup={"scenario": "in small"})
    other = msgspec.structs.replace(slow, engine="queue")
    runs = [*(a_run(per_second=1000) for _ in range(5)), elsewhere, in_small, other]
    assert not any(trend.regressed for trend in trends(runs))


def test_trends_leave_out_the_waiting_times_of_a_crowd_that_is_meant_to_wait() -> None:
    runs = [a_run(p95=each, scenario="saturation") for each in (10, 10, 11, 10, 30)]
    assert {trend.figure for trend in trends(runs)} == {"persisted", "cpu"}
