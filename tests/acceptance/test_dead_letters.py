"""A dead letter from its making to an operator's decision, as users and operators see it.

Only one thing is done behind the system's back: for a while the database refuses certain
users, and the log is given a record that nobody can read.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer
from psycopg import sql

from running import RunningStack, eventually

pytestmark = pytest.mark.acceptance

STRICT = {"FIRSTCOME_LAWS__GRACE_SECONDS": "5"}


@contextmanager
def refusing(stack: RunningStack, word: str) -> Iterator[None]:
    """Let the database refuse to issue to users whose name begins with the word."""
    name = sql.Identifier(f"refuses_{word}")
    with psycopg.connect(stack.urls["postgres"], autocommit=True) as session:
        condition = sql.SQL("status <> 'ISSUED' OR user_id NOT LIKE {}").format(f"{word}%")
        add = sql.SQL("ALTER TABLE issuances ADD CONSTRAINT {} CHECK ({}) NOT VALID")
        session.execute(add.format(name, condition))
        try:
            yield
        finally:
            session.execute(sql.SQL("ALTER TABLE issuances DROP CONSTRAINT {}").format(name))


def letters(stack: RunningStack, campaign_id: int) -> list[dict[str, Any]]:
    """Return the campaign's letters that wait for a decision."""
    found = stack.said("dead-letters", "list", "--campaign", str(campaign_id))
    return list(found["dead_letters"])


def outcome(stack: RunningStack, *arguments: str, exit_code: int = 0) -> str:
    """Decide one letter and return what it came to."""
    document = stack.said("dead-letters", *arguments, exit_code=exit_code)
    (decision,) = document["decisions"]
    return str(decision["outcome"])


def status_of(stack: RunningStack, campaign_id: int, user: str) -> str:
    answer = stack.standing(campaign_id, user)
    return answer.code or str(answer.json["status"])


def counts(stack: RunningStack, campaign_id: int) -> tuple[int, int, int]:
    shown = stack.said("campaign", "show", str(campaign_id))
    return shown["issued"], shown["under_review"], shown["cancelled"]


def test_dead_letters_are_listed_shown_redriven_and_discarded(stack: RunningStack) -> None:
    campaign_id = stack.create(2, name="dead letters")
    word = f"w{uuid.uuid4().hex[:8]}"
    ann, bob = f"{word}-ann", f"{word}-bob"
    with refusing(stack, word):
        for user in (ann, bob):
            assert stack.claim(campaign_id, user, key="k").status == 202
            assert status_of(stack, campaign_id, user) == "UNDER_REVIEW"
    assert stack.claim(campaign_id, "carl").code == "COUPON_OUT_OF_STOCK"
    assert counts(stack, campaign_id) == (0, 2, 0)
    first, second = (str(each["dead_letter_id"]) for each in letters(stack, campaign_id))
    shown = stack.said("dead-letters", "show", first)
    assert (shown["user_id"], shown["reason"], shown["attempts"]) == (ann, "REJECTED", 5)
    assert shown["topic"].endswith(".issuance-requested.v1")
    assert stack.said("verify", **STRICT)["held"] is True

    assert outcome(stack, "redrive", first, "--dry-run") == "ISSUED"
    assert counts(stack, campaign_id) == (0, 2, 0)
    assert outcome(stack, "redrive", first) == "ISSUED"
    assert status_of(stack, campaign_id, ann) == "ISSUED"
    coupons = stack.ask("GET", "/v1/users/me/coupons", ann).json["coupons"]
    assert [coupon["campaign_id"] for coupon in coupons] == [campaign_id]
    assert outcome(stack, "redrive", first) == "ALREADY_DECIDED"
    assert outcome(stack, "discard", first, exit_code=1) == "DECIDED_OTHERWISE"
    assert counts(stack, campaign_id) == (1, 1, 0)

    assert outcome(stack, "discard", second) == "DISCARDED"
    assert outcome(stack, "discard", second) == "ALREADY_DECIDED"
    assert stack.claim(campaign_id, "carl").json["position"] == 3
    assert status_of(stack, campaign_id, "carl") == "ISSUED"
    assert status_of(stack, campaign_id, bob) == "NOT_REQUESTED"
    assert stack.claim(campaign_id, bob, key="k").code == "COUPON_OUT_OF_STOCK"
    assert counts(stack, campaign_id) == (2, 0, 1)
    assert letters(stack, campaign_id) == []
    assert stack.said("verify", **STRICT)["held"] is True
    for number in (first, second):
        eventually(
            "its copy is on the topic",
            lambda number=number: stack.said("dead-letters", "show", number)["published_at"],
        )


def test_record_that_nobody_can_read_is_a_dead_letter_and_stops_nobody(
    stack: RunningStack,
) -> None:
    producer = Producer({"bootstrap.servers": stack.urls["kafka"], "linger.ms": 0})
    garbage = b"\x00 garbage " + uuid.uuid4().bytes
    topic = "firstcome.issuance-requested.v1"
    producer.produce(topic, garbage)
    assert producer.flush(10) == 0
    campaign_id = stack.create(1)
    stack.claim(campaign_id, "ann")
    assert status_of(stack, campaign_id, "ann") == "ISSUED"

    def mine() -> list[dict[str, Any]]:
        page = stack.operate("GET", "/v1/dead-letters?reason=UNDECODABLE&state=QUARANTINED").json
        return [each for each in page["dead_letters"] if each["topic"] == topic]

    (letter,) = eventually("the letter is there", mine)
    address = f"/v1/dead-letters/{letter['dead_letter_id']}"
    assert stack.operate("GET", address).json["dead_letter_id"] == letter["dead_letter_id"]
    refused = stack.operate("POST", f"{address}/redrive")
    assert (refused.status, refused.code) == (409, "COMMAND_REFUSED")
    assert refused.json["detail"].startswith("UNDECODABLE: ")
    assert stack.operate("POST", f"{address}/discard").json["outcome"] == "CLOSED"
    assert stack.operate("POST", f"{address}/discard").json["outcome"] == "ALREADY_DECIDED"
    assert stack.said("verify", **STRICT)["held"] is True


@pytest.mark.parametrize("verb", ["redrive", "discard"])
def test_command_that_was_killed_is_simply_given_again(
    stack: RunningStack, tmp_path: Path, verb: str
) -> None:
    folder = {"FIRSTCOME_FAILPOINTS__FOLDER": str(tmp_path / "points")}
    word = f"w{uuid.uuid4().hex[:8]}"
    campaign_id = stack.create(5, name="killed commands")
    with refusing(stack, word):
        for index in range(2):
            stack.claim(campaign_id, f"{word}-{index}")
            assert status_of(stack, campaign_id, f"{word}-{index}") == "UNDER_REVIEW"
    command = ("dead-letters", verb, "--campaign", str(campaign_id))

    stack.run("failpoints", "arm", f"before_{verb}", "kill", **folder)
    stack.run(*command, exit_code=-9, **folder)
    assert counts(stack, campaign_id) == (0, 2, 0)
    stack.run("failpoints", "arm", f"after_{verb}", "kill", **folder)
    stack.run(*command, exit_code=-9, **folder)
    # One was decided, and the sweeper tells its gate; the other waits.
    assert counts(stack, campaign_id) == ((1, 1, 0) if verb == "redrive" else (0, 1, 1))
    final = "ISSUED" if verb == "redrive" else "NOT_REQUESTED"
    eventually(
        "the gate follows",
        lambda: status_of(stack, campaign_id, f"{word}-0"),
        lambda status: status == final,
    )
    document = stack.said(*command)
    assert (document["asked"], document["stand"]) == (1, 1)
    assert counts(stack, campaign_id) == ((2, 0, 0) if verb == "redrive" else (0, 0, 2))
    assert stack.said("verify", **STRICT)["held"] is True
