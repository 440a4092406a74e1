"""The live stream, and what is read from the processes."""

import json
from pathlib import Path

import pytest
from console_stage import Stage, changed, report
from prometheus_client import start_http_server

from firstcome.console import told as told_module
from firstcome.console.growth import quantile
from firstcome.console.live import Live, TooManyWatchers
from firstcome.console.told import Told, ToldBy
from firstcome.metrics import catalogue
from firstcome.metrics.endpoint import registry_of
from firstcome.settings import ConsoleSettings

pytestmark = pytest.mark.unit


def live(watchers: int = 1) -> Live:
    """Return a stream whose looks are a second apart."""
    clock = iter(range(1, 100))
    return Live(Told, watchers, clock=lambda: float(next(clock)))


async def events(stream: object, count: int) -> list[str]:
    """Return the next pieces of a stream."""
    return [(await anext(stream)).decode() for _ in range(count)]  # type: ignore[call-overload]


async def test_watcher_hears_the_newest_look_then_every_one() -> None:
    source = live()
    source.look(report())
    source.look(report(issued=430))
    stream = source.admit("", lambda: True)
    hello, first = await events(stream, 2)
    assert hello.startswith("retry:")
    assert json.loads(first.partition("data: ")[2])["number"] == 2
    source.look(report(issued=440))
    [second] = await events(stream, 1)
    look = json.loads(second.partition("data: ")[2])
    assert (look["number"], look["rates"]["1"]["issuances"]) == (3, 10.0)


async def test_browser_that_comes_back_is_given_what_it_missed() -> None:
    source = live(watchers=3)
    for _ in range(3):
        source.look(report())
    _, newest = await events(source.admit("", lambda: True), 2)
    name = newest.partition("id: ")[2].partition("\n")[0]
    back = name.replace("-3", "-1")
    _, missed = await events(source.admit(back, lambda: True), 2)
    assert missed.count("event: look") == 2
    _, other = await events(source.admit("ffffffff-1", lambda: True), 2)
    assert other.count("event: look") == 1


async def test_watchers_are_bounded_and_a_place_comes_back() -> None:
    source = live()
    source.look(report())
    first = source.admit("", lambda: True)
    await events(first, 1)
    with pytest.raises(TooManyWatchers):
        source.admit("", lambda: True)
    await first.aclose()  # type: ignore[attr-defined]
    assert source.watchers == 0


async def test_stream_ends_with_the_session_and_with_the_server() -> None:
    source = live()
    source.look(report())
    assert [each async for each in source.admit("", lambda: False)] == [b"retry: 2000\n\n"]
    source.stopping = lambda: True
    assert len([each async for each in source.admit("", lambda: True)]) == 1


async def test_silent_stream_is_kept_open_by_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstcome.console.live.PING_SECONDS", 0.0)
    source = live()
    [_, ping] = await events(source.admit("", lambda: True), 2)
    assert ping == ": ping\n\n"


def test_rates_are_not_told_across_an_epoch_or_an_absence() -> None:
    source = live()
    source.look(report())
    first = report()
    [drop] = first.campaigns
    source.look(changed(first, campaigns=[changed(drop, epoch=2, under_way=10, issued=440)]))
    assert source.latest is not None
    assert source.latest.rates["1"].claims is None
    assert source.latest.rates["1"].issuances == 40.0
    assert source.latest.rates["1"].drain_seconds == 0.25
    source.look(None)
    source.look(report())
    assert source.latest.rates["1"].issuances is None
    assert [point.issuances for point in source.points(1)] == [None, 40.0, None]


def test_stream_is_refused_when_every_place_is_taken(stage: Stage) -> None:
    stage.sign_in()
    stage.live.watchers = 2
    answer = stage.client.get("/live")
    assert answer.status_code == 503
    assert answer.json()["code"] == "TEMPORARILY_UNAVAILABLE"


def test_points_of_a_drop_feed_its_chart(stage: Stage) -> None:
    stage.sign_in()
    stage.live.look(report())
    [point] = stage.get("/drops/1/points").json()
    assert point["under_way"] == 50


def test_quantile_lies_between_the_bounds_of_its_bucket() -> None:
    buckets = {0.01: 50.0, 0.1: 99.0, float("inf"): 100.0}
    assert quantile(buckets, 0.5) == pytest.approx(0.01)
    assert quantile(buckets, 0.995) == pytest.approx(0.1)
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0.0}, 0.5) is None


class Now:
    """Runs everything at once."""

    @staticmethod
    def map(function: object, urls: list[str]) -> list[object]:
        """Return each answer."""
        return [function(url) for url in urls]  # type: ignore[operator]


def test_answers_are_those_since_the_look_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "status.json"
    process = {"name": "api-1", "role": "api", "state": "ready", "restarts": 2, "pid": 1}
    file.write_text(json.dumps({"processes": [process | {"metrics_url": "http://x/metrics"}]}))
    bucket, count = "firstcome_claim_seconds_bucket", "firstcome_claim_seconds_count"
    outcome = ("outcome", "REQUESTED")

    def series(total: float) -> told_module.Series:
        return {
            (bucket, (("le", "0.1"), outcome)): total,
            (bucket, (("le", "+Inf"), outcome)): total,
            (count, (outcome,)): total,
            ("firstcome_drift_claims", (("campaign_id", "1"), ("kind", "lost"))): 3.0,
            ("firstcome_swept_timestamp_seconds", ()): 1.0,
            ("firstcome_append_seconds_count", ()): total,
        }

    told = ToldBy(ConsoleSettings(status_file=file), lambda: True)
    for total in (100.0, 160.0):
        monkeypatch.setattr(told_module, "_read", lambda _, total=total: series(total))
        told.run_once(Now)  # type: ignore[arg-type]
    assert told.latest.answers is not None
    assert told.latest.answers.p50_seconds == pytest.approx(0.05)
    assert told.latest.answers.by_outcome["REQUESTED"] > 0
    assert told.latest.drift == {"1": {"lost": 3}}
    assert told.latest.processes[0].restarts == 2


def test_drift_and_stopped_recorders_are_known_only_from_those_who_know() -> None:
    drifted = {("firstcome_drift_claims", (("campaign_id", "1"), ("kind", "lost"))): 0.0}
    swept, stopped = ("firstcome_swept_timestamp_seconds", ()), ("firstcome_recorder_stopped", ())
    assert told_module.drift_in([{}, drifted]) is None
    assert told_module.drift_in([{swept: 0.0}]) is None, "its first tick has not ended"
    assert told_module.drift_in([{}, {swept: 9.0, **drifted}]) == {}
    assert told_module.stopped_in([{}, {swept: 9.0}]) is None
    assert told_module.stopped_in([{stopped: 0.0}, {stopped: 1.0}, {}]) == 1


def test_numbers_are_read_from_what_a_process_really_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # processes are asked without it
    catalogue.CLAIM.observe(0.004, "REQUESTED")
    server, thread = start_http_server(0, "127.0.0.1", registry_of("api"))
    try:
        found = told_module._read(f"http://127.0.0.1:{server.server_port}/metrics")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert found is not None
    assert found["firstcome_claim_seconds_count", (("outcome", "REQUESTED"),)] >= 1
    assert all(name.startswith(told_module.WANTED) for name, _ in found)


def test_process_that_is_silent_is_told_as_such(tmp_path: Path) -> None:
    settings = ConsoleSettings(metrics_urls=["http://127.0.0.1:1/metrics", "file:///etc/passwd"])
    told = ToldBy(settings, lambda: True)
    told.run_once(Now)  # type: ignore[arg-type]
    assert [each.answers for each in told.latest.processes] == [False, False]
    unasked = ToldBy(ConsoleSettings(status_file=tmp_path / "none"), lambda: True)
    assert unasked.latest == Told(asking=True)
    unasked.run_once(Now)  # type: ignore[arg-type]
    assert (unasked.latest.asking, unasked.latest.drift) == (False, None)
