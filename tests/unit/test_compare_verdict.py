"""The verdict of a comparison: what the data support, and what they do not."""

import pytest

from firstcome.bench.compare.finding import Finding, Tone, Topic
from firstcome.bench.compare.grid import Grid
from firstcome.bench.compare.reader import LANGUAGES, Reader
from firstcome.bench.compare.verdict import verdict
from firstcome.bench.run import K6, Run
from tests.unit import compared

pytestmark = pytest.mark.unit


def judged(runs: list[Run], repetitions: int = 3, *, quick: bool = False) -> list[Finding]:
    """Return the findings, after every sentence was written in every language."""
    found = verdict(Grid(compared.comparison(runs, repetitions, quick=quick)))
    for language in LANGUAGES:
        for finding in found:
            assert Reader(language).sentence(finding)
    return found


def keys(found: list[Finding], topic: Topic) -> list[str]:
    return [finding.key for finding in found if finding.topic is topic]


def saturated(**rates: tuple[float, ...]) -> list[Run]:
    """Return repetitions at saturation, by engine with _ for -."""
    return [
        compared.run(engine.replace("_", "-"), "saturation", repetition=at, persisted_per_second=r)
        for engine, values in rates.items()
        for at, r in enumerate(values, 1)
    ]


def repeated(engine: str, scenario: str, **changes: object) -> list[Run]:
    return [compared.run(engine, scenario, repetition=at, **changes) for at in (1, 2, 3)]


@pytest.mark.parametrize(
    ("direct", "kafka", "key", "tone"),
    [
        ((700, 710, 720), (19_000, 19_500, 20_000), "ratio-reached", Tone.GOOD),
        ((2400, 2500, 2600), (10_000, 11_000, 12_000), "ratio-missed", Tone.BAD),
        ((900, 1000, 1100), (8000, 8200, 8400), "ratio-near", Tone.DOUBT),
    ],
)
def test_verdict_holds_the_ratio_against_the_goal(
    direct: tuple[float, ...], kafka: tuple[float, ...], key: str, tone: Tone
) -> None:
    found = judged(saturated(direct=direct, kafka=kafka))
    assert found[0].key == key
    assert found[0].tone is tone
    assert found[0].figures["goal"] == "8"


def test_verdict_does_not_know_a_ratio_when_saturation_was_not_run() -> None:
    found = judged([*repeated("direct", "source"), *repeated("kafka", "source")])
    assert keys(found, Topic.SPEED) == ["ratio-unknown", "ratio-unknown"]


@pytest.mark.parametrize(
    ("conditional", "key"),
    [
        ((690, 700, 730), "variants-draw"),
        ((900, 910, 920), "variants-conditional"),
        ((500, 510, 520), "variants-direct"),
    ],
)
def test_verdict_says_which_row_lock_is_faster_or_that_none_is(
    conditional: tuple[float, ...], key: str
) -> None:
    found = judged(saturated(direct=(700, 705, 720), direct_conditional=conditional))
    assert key in keys(found, Topic.SPEED)


@pytest.mark.parametrize(
    ("waits", "key"),
    [((40, 41, 42), "p95-under"), ((70, 80, 90), "p95-over"), ((55, 58, 66), "p95-near")],
)
def test_verdict_holds_p95_against_that_of_the_source(waits: tuple[float, ...], key: str) -> None:
    runs = [
        compared.run("kafka", repetition=at, http_ms=compared.distribution(10, wait / 2.4))
        for at, wait in enumerate(waits, 1)
    ]
    assert key in keys(judged(runs), Topic.ANSWERS)


def test_verdict_finds_direct_better_at_a_low_rate() -> None:
    runs = [run for name in ("direct", "queue", "kafka") for run in repeated(name, "steady")]
    found = [each for each in judged(runs) if each.key == "direct-better"]
    assert {each.row for each in found} == {"http_p95", "issued_p95", "cpu_per_issuance"}


def test_verdict_finds_no_difference_within_the_noise() -> None:
    near = {"direct": (10.0, 12.0, 14.0), "kafka": (9.5, 11.0, 13.0)}
    runs = [
        compared.run(name, "steady", repetition=at, http_ms=compared.distribution(9, wait))
        for name, waits in near.items()
        for at, wait in enumerate(waits, 1)
    ]
    found = {each.row: each.key for each in judged(runs) if each.topic is Topic.DIRECT}
    assert found["http_p95"] == "direct-draw"


def test_verdict_does_not_praise_direct_for_turning_people_away() -> None:
    runs = repeated(
        "direct", "spike", overloaded=50_000, http_ms=compared.distribution(9, 1.0)
    ) + repeated("kafka", "spike")
    found = {each.row: each.key for each in judged(runs) if each.topic is Topic.DIRECT}
    assert found["http_p95"] == "direct-failing"


def test_verdict_says_so_when_direct_is_better_nowhere() -> None:
    runs = repeated("direct", "source") + repeated("kafka", "source")
    assert "direct-nowhere" in keys(judged(runs), Topic.DIRECT)


@pytest.mark.parametrize("wrong", ["lost", "doubled", "oversold", "unsold"])
def test_verdict_names_the_engine_that_was_wrong(wrong: str) -> None:
    runs = [*repeated("direct", "source"), compared.run("queue", **{wrong: 3})]
    (found,) = [each for each in judged(runs) if each.key == "correct-wrong"]
    assert found.figures["engine"] == "queue"
    assert found.figures[wrong] == "3"
    assert "correct-all" not in keys(judged(runs), Topic.CORRECTNESS)


def test_verdict_says_what_was_left_because_people_gave_up() -> None:
    runs = [compared.run("direct", given_up=at) for at in (3, 1200)]
    (found,) = [each for each in judged(runs) if each.key == "given-up"]
    assert found.figures == {"engine": "direct", "left": "1,203"}
    assert "correct-all" in keys(judged(runs), Topic.CORRECTNESS)


def test_verdict_names_every_law_that_broke() -> None:
    runs = [compared.run("kafka"), compared.run("kafka", held=False, broken=["L3", "L6"])]
    (found,) = [each for each in judged(runs) if each.key == "laws-broken"]
    assert found.figures["rules"] == "L3; L6"


def test_verdict_shows_a_single_failed_request_of_many_repetitions() -> None:
    runs = [compared.run("kafka", repetition=at, faults=1 if at == 3 else 0) for at in (1, 2, 3)]
    (found,) = [each for each in judged(runs) if each.key == "failed-some"]
    assert found.figures["engine"] == "kafka"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "undisturbed"),
        ({"steal_percent": 2.5}, "disturbed"),
        ({"others_percent": 11.0}, "disturbed"),
        ({"calibration_ms": 130.0}, "calibration-apart"),
        ({"setup": {"api": "2"}}, "setups-differ"),
    ],
)
def test_verdict_says_how_far_the_figures_carry(changes: dict[str, object], key: str) -> None:
    found = judged([*repeated("kafka", "source"), compared.run("kafka", **changes)])
    assert key in keys(found, Topic.NOISE)


def test_verdict_doubts_few_repetitions_and_quick_ones() -> None:
    found = judged([compared.run("kafka")], 1, quick=True)
    assert {"few-repetitions", "quick"} <= set(keys(found, Topic.NOISE))


def test_verdict_of_no_runs_knows_nothing() -> None:
    found = judged([])
    assert "correct-unknown" in keys(found, Topic.CORRECTNESS)
    assert not [each for each in found if each.tone is Tone.GOOD and each.topic is not Topic.NOISE]


def test_verdict_judges_k6_by_its_own_runs() -> None:
    found = judged([compared.run("kafka", generator=K6)])
    generators = [each.figures["generator"] for each in found if each.key == "p95-under"]
    assert generators == [K6]
