"""What flows: rates from what processes tell, and nothing where nobody tells."""

import pytest
from console_stage import Stage, changed, report

from firstcome.console.flow import Flow, FlowWatch
from firstcome.console.growth import GrowthWatch, Series
from firstcome.console.sampler import _tell_letters
from firstcome.console.told import Told, answers_in
from firstcome.metrics import catalogue

pytestmark = pytest.mark.unit

APPENDS = ("firstcome_append_seconds_count", ())
READS = ("firstcome_records_read_total", (("engine", "kafka"),))
OTHERS = ("firstcome_records_read_total", (("engine", "queue"),))
FAILURES = ("firstcome_append_failures_total", (("kind", "unknown"),))
ISSUED = "firstcome_issued_after_seconds_bucket"


def issued(below: float, all_: float) -> Series:
    """Return a histogram with a bound of half a second."""
    engine = ("engine", "kafka")
    return {(ISSUED, (engine, ("le", "0.5"))): below, (ISSUED, (engine, ("le", "+Inf"))): all_}


def flow_of(*looks: dict[str, Series]) -> Flow:
    """Return what two looks, two seconds apart, say."""
    growth, flow = GrowthWatch(), FlowWatch()
    for at, told in enumerate(looks):
        found = flow.read(growth.read(2.0 * at, told), 2.0 * at)
    return found


def test_rates_are_of_all_processes_since_the_look_before() -> None:
    first: dict[str, Series] = {
        "api-1": {APPENDS: 100.0},
        "api-2": {APPENDS: 5.0},
        "recorder-1": {READS: 50.0, OTHERS: 9.0, **issued(10.0, 10.0)},
    }
    second: dict[str, Series] = {
        "api-1": {APPENDS: 120.0, FAILURES: 4.0},
        "api-2": {APPENDS: 2.0},  # it was started anew
        "recorder-1": {READS: 80.0, OTHERS: 99.0, **issued(110.0, 110.0)},
        "recorder-2": {READS: 1000.0},  # seen for the first time
    }
    found = flow_of(first, second)
    assert (found.records_in, found.records_out, found.append_failures) == (11.0, 15.0, 2.0)
    assert found.issued_p95_seconds == pytest.approx(0.475)


def test_nothing_is_known_of_processes_that_do_not_answer() -> None:
    silent: dict[str, Series] = {"api-1": {}, "recorder-1": {READS: 1.0}}
    found = flow_of(silent, silent)
    assert (found.records_in, found.append_failures, found.records_out) == (None, None, 0.0)
    assert found.issued_p95_seconds is None
    back = flow_of({"api-1": {}}, {"api-1": {APPENDS: 1e6}})
    assert back.records_in is None, "all that it ever did is not of the last two seconds"
    growth = GrowthWatch()
    assert [answers_in(growth.read(at, silent)) for at in (0.0, 2.0)] == [None, None]


def test_redrives_are_those_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue.DEAD_LETTERS_DECIDED, "series", {})
    flow = FlowWatch()
    assert flow.read(None, 0.0).redriven is None
    found = []
    for at, redriven in ((0.0, 7), (2.0, 10), (61.0, 12), (63.0, 12)):
        letters = [("REJECTED", "REDRIVEN", redriven), ("REJECTED", "DISCARDED", 3)]
        _tell_letters([*letters, ("UNDECODABLE", "REDRIVEN", 1)])
        found.append(flow.read(None, at).redriven)
    assert found == [None, 3, 2, 0]
    decided = catalogue.DEAD_LETTERS_DECIDED
    assert (decided.of("redriven").now(), decided.of("discarded").now()) == (13, 3)


def test_memory_is_not_known_while_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue.REDIS_MEMORY, "series", {})
    assert FlowWatch().read(None, 0.0).redis_memory_bytes is None
    catalogue.REDIS_MEMORY.set(2048)
    assert FlowWatch().read(None, 0.0).redis_memory_bytes == 2048


def test_health_shows_what_flows_and_a_dash_for_what_is_not_known(stage: Stage) -> None:
    stage.sign_in("viewer")
    flow = Flow(12.5, 11.0, 0.0, 0.0421, None, 3 * 1048576.0)
    stage.live.__init__(lambda: changed(Told(), flow=flow), 2)  # type: ignore[misc]
    stage.live.look(report())
    text = stage.get("/health").text
    shown = {"records_in": "12.5", "records_out": "11.0", "append_failures": "0.0"}
    shown |= {"issued_p95": "42.1", "redriven": "–", "redis_memory": "3.0"}
    for field, value in shown.items():
        assert f'data-field="{field}">{value}<' in text, field
