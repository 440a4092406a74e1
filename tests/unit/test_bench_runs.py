"""From a drop's findings to a run's figures, and which runs may stand side by side."""

import msgspec
import pytest
from bench_runs import a_run

from firstcome.bench.answers import (
    NOT_SENT,
    OUT_OF_STOCK,
    REQUESTED,
    TIMED_OUT,
    Answers,
)
from firstcome.bench.arrivals import Arrivals
from firstcome.bench.columns import COLUMNS
from firstcome.bench.compare.comparing import Course, check_comparable, turned
from firstcome.bench.crowd import Crowd, user_id
from firstcome.bench.drop import Measured
from firstcome.bench.figures import load_of, outcome_of
from firstcome.bench.plan import Asked, Said
from firstcome.bench.run import Distribution
from firstcome.bench.scenarios import BY_NAME, SCENARIOS
from firstcome.bench.summary import summarise
from firstcome.bench.truth import Offer, Row
from firstcome.errors import Refused
from firstcome.model import CampaignId, Engine

CROWD = Crowd(users=10, campaigns=1)
ASKED = Asked(coupons=3, crowd=CROWD, arrivals=Arrivals("rate", 100.0, 100.0), connections=7)


def measured(rows: int = 3) -> Measured:
    """Three of ten get a coupon, the last one only after a 503; `rows` of them are recorded."""
    order = CROWD.order()
    answers = Answers(len(order))
    for request in range(len(order)):
        answers.scheduled[request] = answers.due[request] = request / 10
        answers.sent[request], answers.done[request] = request / 10, request / 10 + 0.01
        answers.tries[request] = 1
        answers.code[request] = REQUESTED if request < 3 else OUT_OF_STOCK
        answers.position[request] = request + 1 if request < 3 else 0
    answers.tries[2], answers.due[2], answers.done[2] = 2, 1.2, 1.23
    heard = {"REQUESTED": 3, "COUPON_OUT_OF_STOCK": 7, "TEMPORARILY_UNAVAILABLE": 1}
    return Measured(
        campaign_ids=[CampaignId(4)],
        started_at=1000.0,
        answers=answers,
        generator=Said("done", bytes_sent=500, bytes_received=900, heard=heard),
        final=True,
        offers=[
            Offer(4, 3, [Row(n + 1, user_id(order[n]), "ISSUED", 1002.0) for n in range(rows)])
        ],
        commit_times=True,
        cpu_seconds={"api": 0.03},
        steal_percent=0.0,
        others_percent=0.0,
        redis_bytes=None,
        laws=[],
        notes=[],
    )


def test_load_counts_every_try_and_splits_answers_into_four_kinds() -> None:
    load = load_of(ASKED, measured())
    assert (load.requests, load.served, load.refused) == (11, 3, 7)
    assert (load.overloaded, load.faults) == (1, 0)
    assert (load.bytes_sent, load.bytes_received, load.virtual_users_max) == (500, 900, 7)
    assert load.http_ms.max == pytest.approx(30), "from when the second try was due"
    assert load.iteration_ms.max == pytest.approx(1030), "from the user's first request"
    assert load.requests_per_second_max == 9


def test_outcome_counts_a_promise_without_a_row_as_lost() -> None:
    for rows, lost in ((3, 0), (2, 1)):
        found = measured(rows)
        outcome = outcome_of(ASKED, found, summarise(ASKED, "gateway", found, {}))
        assert (outcome.lost, outcome.unsold, outcome.held) == (lost, lost, lost == 0)
        assert bool(outcome.broken) is bool(lost)
        assert outcome.cpu_seconds == {"api": 0.03}


@pytest.mark.parametrize(
    ("third", "others", "unsold", "given_up"),
    [
        (TIMED_OUT, TIMED_OUT, 0, 1),
        (TIMED_OUT, OUT_OF_STOCK, 1, 0),  # others wanted what was left, and were refused
        (OUT_OF_STOCK, OUT_OF_STOCK, 1, 0),
        (OUT_OF_STOCK, TIMED_OUT, 1, 0),
    ],
)
def test_coupon_is_left_only_where_nobody_was_told_that_none_is(
    third: int, others: int, unsold: int, given_up: int
) -> None:
    found = measured(rows=2)
    found.answers.position[2] = 0
    for request in range(2, len(CROWD.order())):
        found.answers.code[request] = third if request == 2 else others
    outcome = outcome_of(ASKED, found, summarise(ASKED, "gateway", found, {}))
    assert (outcome.issued, outcome.unsold, outcome.given_up) == (2, unsold, given_up)
    assert outcome.held is (unsold == 0)


def test_distribution_is_exact() -> None:
    found = Distribution.of(n / 1000 for n in range(1, 101))
    assert (found.min, found.med, found.p90, found.p95, found.p99, found.max) == (
        1, 50, 90, 95, 99, 100,
    )  # fmt: skip
    assert found.avg == pytest.approx(50.5)
    assert Distribution.of([]) == Distribution(0)


def test_runs_on_unequal_terms_are_not_compared() -> None:
    one, other = a_run(), a_run(engine="direct")
    check_comparable([one, other])
    check_comparable([one, a_run(scenario="spike", setup={"scenario": "another"})])
    for name in ("commit", "environment", "setup"):
        changed = msgspec.structs.replace(
            other, **{name: "beef" if name == "commit" else {"cores": "64"}}
        )
        with pytest.raises(Refused, match="unequal terms"):
            check_comparable([one, changed])


def test_each_repetition_begins_with_another_column() -> None:
    firsts = [turned(COLUMNS, by)[0].name for by in range(len(COLUMNS))]
    assert sorted(firsts) == sorted(column.name for column in COLUMNS)
    assert {column.engine for column in COLUMNS} == set(Engine)


def test_every_scenario_offers_what_its_crowd_can_tell_apart() -> None:
    for scenario in SCENARIOS:
        for size in (scenario, scenario.shortened()):
            asked = size.asked(Engine.KAFKA, 1)
            assert asked.coupons >= 1
            assert asked.crowd.users >= size.campaigns, "nobody would ask for one of them"
    source = BY_NAME["source"]
    assert source.campaigns * source.coupons == 20_000
    assert source.seconds == pytest.approx(60, rel=0.01)
    assert source.asked(Engine.KAFKA, 1).crowd.requests / source.seconds >= 5990


def test_saturating_scenario_takes_its_size_from_the_engine() -> None:
    saturation = BY_NAME["saturation"]
    assert saturation.sized(500, 8).users == saturation.sized(500, 8).coupons == 4000
    assert saturation.sized(1e9, 8).users == saturation.users
    assert Course.quick_one(1).repetitions >= 3


def test_who_gave_up_is_no_answer_of_the_best_second() -> None:
    found = measured()
    for request in range(5):
        found.answers.code[request] = NOT_SENT
    assert load_of(ASKED, found).requests_per_second_max == 5


def test_cpu_of_parts_that_an_engine_does_not_need_is_not_its_own() -> None:
    assert a_run(parts=["api"]).cpu_us_per_issuance == pytest.approx(100)
    assert a_run().cpu_us_per_issuance == pytest.approx(300)
