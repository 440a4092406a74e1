"""The list of problems: complete, well-formed, and the same in code and docs."""

import re
from pathlib import Path

import msgspec
import pytest

from firstcome.api.problems import (
    BAD_TOKEN,
    EXPIRED_TOKEN,
    NO_GATEWAY,
    NO_TOKEN,
    PROBLEMS,
    REPLIES,
    Problem,
    duplicate,
    refusal,
)
from firstcome.api.replies import Reply
from firstcome.model import PROMISES, Outcome, Status

pytestmark = pytest.mark.unit

DOCS = Path(__file__).parents[2] / "docs"


def page_of(problem: Problem) -> str:
    """Return the section of docs/errors.md for a problem."""
    retry = " · Retry-After: 1" if problem.retry else ""
    return (
        f"## {problem.code}\n\n{problem.status}{retry} · {problem.title}\n\n"
        f"- What happened: {problem.happened}\n"
        f"- Your place: {problem.place}\n"
        f"- What to do: {problem.remedy}\n"
    )


def test_english_page_is_the_list_of_the_code() -> None:
    text = (DOCS / "errors.md").read_text("utf-8")
    sections = "\n".join(page_of(problem) for problem in PROBLEMS.values())
    assert text.partition("## ")[1] + text.partition("## ")[2] == sections


def test_korean_page_has_every_problem_in_the_same_order() -> None:
    text = (DOCS / "errors.ko.md").read_text("utf-8")
    found = re.findall(
        r"^## (\w+)\n\n(\d{3})( · Retry-After: 1)? · .*[가-힣].*\n\n"
        r"- 무슨 일: .*[가-힣].*\n- 내 자리: .*[가-힣].*\n- 할 일: .*[가-힣].*\n",
        text,
        re.MULTILINE,
    )
    expected = [
        (p.code, str(p.status), " · Retry-After: 1" if p.retry else "") for p in PROBLEMS.values()
    ]
    assert found == expected


@pytest.mark.parametrize("code", PROBLEMS)
def test_problem_says_what_happened_what_it_means_and_what_to_do(code: str) -> None:
    document = msgspec.json.decode(REPLIES[code].body)
    problem = PROBLEMS[code]
    assert document == {
        "type": f"/problems/{code.lower().replace('_', '-')}",
        "title": problem.title,
        "status": problem.status,
        "code": code,
        "detail": problem.detail,
    }
    assert all(part.endswith(".") for part in (problem.happened, problem.place, problem.remedy))


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in PROMISES])
def test_every_refusing_outcome_has_a_problem(outcome: Outcome) -> None:
    assert REPLIES[outcome].status >= 400


def test_only_problems_worth_a_retry_carry_retry_after() -> None:
    for code, problem in PROBLEMS.items():
        assert (REPLIES[code].headers.get("retry-after") == "1") == problem.retry
        assert problem.retry == (problem.status in (429, 503))


@pytest.mark.parametrize("reply", [NO_TOKEN, EXPIRED_TOKEN, BAD_TOKEN, NO_GATEWAY])
def test_unauthenticated_names_the_scheme(reply: Reply) -> None:
    assert reply.status == 401
    assert reply.headers["www-authenticate"].split()[0] in ("Bearer", "Gateway")
    assert ("error=" in reply.headers["www-authenticate"]) == (reply in (EXPIRED_TOKEN, BAD_TOKEN))


def test_duplicate_carries_the_place_where_it_is_known() -> None:
    document = msgspec.json.decode(duplicate(17, Status.ISSUED).body)
    assert document["issuance"] == {"position": 17, "status": "ISSUED"}
    assert "issuance" not in msgspec.json.decode(duplicate(0, Status.NOT_REQUESTED).body)


def test_reply_is_framed_as_its_body_is_long() -> None:
    reply = refusal("NOT_READY", "Redis is away — wait.")
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"
