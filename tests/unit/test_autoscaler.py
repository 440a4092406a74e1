"""The autoscaler beside a crew of its own: what it reads, does, tells and keeps."""

from collections.abc import Iterator
from threading import Event

import pytest
from prometheus_client import generate_latest

from firstcome.autoscaling.autoscaler import Autoscaler, LagSeen
from firstcome.autoscaling.decision import Decision, Kind
from firstcome.autoscaling.throughput import Throughput
from firstcome.errors import DatabaseUnavailable, Refused
from firstcome.metrics import catalogue
from firstcome.metrics.endpoint import registry_of
from firstcome.settings import AutoscalerSettings

pytestmark = pytest.mark.unit

SETTINGS = AutoscalerSettings(confirm_looks=1, cooldown_seconds=10)


class Recorder:
    """What one tells of itself."""

    def __init__(self) -> None:
        self.claims, self.transactions, self.seconds, self.stopped = 0, 0, 0.0, 0

    def text(self) -> str:
        return (
            'firstcome_claims_recorded_total{engine="kafka",result="issued"} '
            f"{self.claims}\n"
            'firstcome_claims_recorded_total{engine="queue",result="replayed"} 0\n'
            f'firstcome_transaction_seconds_count{{engine="kafka"}} {self.transactions}\n'
            f'firstcome_transaction_seconds_sum{{engine="kafka"}} {self.seconds}\n'
            f"firstcome_recorder_stopped {self.stopped}\n"
        )


class Crew:
    """A stack without processes; time passes when somebody looks."""

    def __init__(self) -> None:
        self.wanted = 1
        self.here = {"http://1": Recorder()}
        self.silent: set[str] = set()
        self.refused = False
        self.now = 0.0

    def recorders(self) -> int:
        if self.refused:
            raise Refused("the stack is starting")
        return self.wanted

    def metrics_urls(self, role: str) -> list[str]:
        assert role == "recorder"
        return list(self.here)

    def scale(self, count: int) -> None:
        self.wanted = count

    def read(self, url: str) -> str:
        if url in self.silent:
            raise OSError("no answer")
        return self.here[url].text()

    def clock(self) -> float:
        return self.now

    @property
    def throughput(self) -> Throughput:
        return Throughput(self.read, clock=self.clock)


@pytest.fixture
def crew() -> Crew:
    return Crew()


@pytest.fixture
def lag() -> Iterator[list[LagSeen]]:
    """The last one is what is seen."""
    return [LagSeen(0, 0)]  # type: ignore[return-value]


def autoscaler(crew: Crew, lag: list[LagSeen], **more: object) -> Autoscaler:
    return Autoscaler(
        SETTINGS,
        10,
        crew,
        lambda: lag[-1],
        throughput=crew.throughput,
        **more,  # type: ignore[arg-type]
    )


def test_throughput_is_what_all_did_since_the_look_before(crew: Crew) -> None:
    throughput, first = crew.throughput, crew.here["http://1"]
    first.claims = 5000
    assert throughput.measure(crew.here).claims_per_second is None
    crew.now, first.claims, first.transactions, first.seconds = 2.0, 6000, 10, 0.5
    crew.here["http://2"] = second = Recorder()
    second.claims, second.transactions, second.seconds = 3000, 10, 1.5
    pace = throughput.measure(crew.here)
    assert (pace.answering, pace.claims_per_second) == (2, 2000)
    assert pace.transaction_seconds == pytest.approx(0.1)
    crew.now = 4.0
    assert throughput.measure(crew.here)[1:4] == (2, 0.0, None)


def test_throughput_counts_one_that_was_started_anew_from_its_beginning(crew: Crew) -> None:
    throughput = crew.throughput
    crew.here["http://1"].claims = 5000
    throughput.measure(crew.here)
    crew.here["http://1"] = Recorder()
    crew.here["http://1"].claims = 400
    crew.now = 2.0
    assert throughput.measure(crew.here).claims_per_second == 200


def test_throughput_leaves_out_who_is_silent_and_counts_nothing_twice(crew: Crew) -> None:
    throughput, first = crew.throughput, crew.here["http://1"]
    first.claims = 1000
    throughput.measure(crew.here)
    crew.silent.add("http://1")
    crew.now = 2.0
    assert throughput.measure(crew.here)[1:4] == (0, None, None)
    crew.silent.clear()
    crew.now, first.claims = 4.0, 1200
    assert throughput.measure(crew.here).claims_per_second == 100


def test_autoscaler_adds_and_keeps_why(crew: Crew, lag: list[LagSeen]) -> None:
    kept: list[Decision] = []
    scaling = autoscaler(crew, lag, note=kept.append)
    assert scaling.run_once().kind is Kind.KEEP
    lag.append(LagSeen(2000, 200_000))
    crew.now = 2.0
    decision = scaling.run_once()
    assert (decision.kind, crew.wanted) == (Kind.ADD, 4)
    assert kept == [decision]
    assert "2000 records" in decision.reason


def test_autoscaler_lets_them_go_again(crew: Crew, lag: list[LagSeen]) -> None:
    scaling = autoscaler(crew, lag)
    lag.append(LagSeen(2000, 0))
    scaling.run_once()
    assert crew.wanted == 4
    lag.append(LagSeen(0, 0))
    for second in range(1, 40):
        crew.now = float(second)
        scaling.run_once()
    assert crew.wanted == 1


def test_autoscaler_leaves_out_of_its_reckoning_who_does_not_work_yet(
    crew: Crew, lag: list[LagSeen]
) -> None:
    scaling, first = autoscaler(crew, lag), crew.here["http://1"]
    crew.wanted, crew.here["http://2"] = 2, Recorder()
    crew.silent.add("http://2")
    scaling.run_once()
    lag.append(LagSeen(0, 100_000))
    crew.now, first.claims = 2.0, 20_000  # 10 s to drain: the two of them will do
    assert scaling.run_once().kind is Kind.KEEP


def test_autoscaler_does_not_help_a_slow_database(crew: Crew, lag: list[LagSeen]) -> None:
    scaling, recorder = autoscaler(crew, lag), crew.here["http://1"]
    scaling.run_once()
    lag.append(LagSeen(2000, 200_000))
    crew.now, recorder.transactions, recorder.seconds = 2.0, 2, 1.8
    decision = scaling.run_once()
    assert (decision.kind, crew.wanted) == (Kind.HELD, 1)
    assert "0.90 s" in decision.reason


def test_autoscaler_adds_nobody_beside_one_that_stands_still(
    crew: Crew, lag: list[LagSeen]
) -> None:
    crew.here["http://1"].stopped = 1
    lag.append(LagSeen(2000, 200_000))
    assert autoscaler(crew, lag).run_once().kind is Kind.HELD


def test_dry_run_says_what_it_would_do_and_changes_nothing(crew: Crew, lag: list[LagSeen]) -> None:
    kept: list[Decision] = []
    scaling = autoscaler(crew, lag, note=kept.append, dry_run=True)
    lag.append(LagSeen(2000, 0))
    kinds = []
    for look in range(20):
        crew.now = look * 2.0
        kinds.append(scaling.run_once().kind)
    assert (crew.wanted, kept) == (1, [])
    assert kinds[:4] == [Kind.ADD, Kind.WAIT, Kind.WAIT, Kind.ADD]


def test_autoscaler_acts_although_the_change_cannot_be_kept(crew: Crew, lag: list[LagSeen]) -> None:
    def note(decision: Decision) -> None:
        raise DatabaseUnavailable("away")

    lag.append(LagSeen(2000, 0))
    autoscaler(crew, lag, note=note).run_once()
    assert crew.wanted == 4


def test_autoscaler_goes_on_while_the_stack_cannot_be_scaled(
    crew: Crew, lag: list[LagSeen]
) -> None:
    crew.refused = True
    scaling, stop = autoscaler(crew, lag), Event()
    with pytest.raises(Refused):
        scaling.run_once()
    stop.set()
    scaling.run(stop)


def test_autoscaler_tells_its_numbers(crew: Crew, lag: list[LagSeen]) -> None:
    scaling = autoscaler(crew, lag)
    lag.append(LagSeen(10, 100))
    scaling.run_once()
    assert "\nfirstcome_autoscaler_drain_seconds" not in _told(), "the pace is not known yet"
    crew.now, crew.here["http://1"].claims = 2.0, 100
    before = catalogue.DECISIONS.of("keep").value
    scaling.run_once()
    text = _told()
    assert "firstcome_autoscaler_drain_seconds 2.0" in text
    assert "firstcome_recorders_wanted 1.0" in text
    assert "firstcome_recorders 1.0" in text
    assert f'firstcome_autoscaler_decisions_total{{kind="keep"}} {before + 1}' in text


def _told() -> str:
    return generate_latest(registry_of("autoscaler")).decode()
