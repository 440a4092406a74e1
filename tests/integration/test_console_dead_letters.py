"""Dead letters over the operators' port."""

from collections.abc import Iterator

import pytest

from firstcome.settings import Settings
from tests.integration.letters_stage import ids, poisoned, seen
from tests.integration.operators_port import NAME, OperatorsPort, running_console
from tests.integration.recovery_stage import Recovery, scaled

pytestmark = pytest.mark.integration


@pytest.fixture
def drop(settings: Settings) -> Iterator[Recovery]:
    """A drop of this test alone."""
    recovery = Recovery(scaled(settings))
    yield recovery
    recovery.close()


@pytest.fixture
def port(drop: Recovery) -> Iterator[OperatorsPort]:
    """The operators' port over it."""
    with running_console(drop.settings) as running:
        yield running


def test_console_lists_shows_and_decides_letters(drop: Recovery, port: OperatorsPort) -> None:
    number = poisoned(drop, "poison-2", "poison-3")
    first, second = ids(drop)
    page = port.client.get(f"/v1/dead-letters?campaign={number}&limit=1").json()
    assert [each["dead_letter_id"] for each in page["dead_letters"]] == [first]
    assert page["next_after"] == first
    rest = port.client.get(f"/v1/dead-letters?after={first}&reason=REJECTED").json()
    assert [each["dead_letter_id"] for each in rest["dead_letters"]] == [second]
    shown = port.client.get(f"/v1/dead-letters/{first}").json()
    assert (shown["state"], shown["user_id"]) == ("QUARANTINED", "poison-2")

    done = port.client.post(f"/v1/dead-letters/{first}/redrive")
    assert (done.status_code, done.json()["outcome"]) == (200, "ISSUED")
    again = port.client.post(f"/v1/dead-letters/{first}/redrive")
    assert (again.status_code, again.json()["outcome"]) == (200, "ALREADY_DECIDED")
    other = port.client.post(f"/v1/dead-letters/{first}/discard")
    assert (other.status_code, other.json()["code"]) == (409, "COMMAND_REFUSED")
    assert port.client.post(f"/v1/dead-letters/{second}/discard").json()["outcome"] == "DISCARDED"
    after = seen(drop, number)
    assert (after.rows[2][1], after.rows[3][1]) == ("ISSUED", "DISCARDED")
    assert after.audited == [f"{NAME} dead_letter.redrive", f"{NAME} dead_letter.discard"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/dead-letters/404", 404),
        ("/v1/dead-letters?state=LOST", 400),
        ("/v1/dead-letters?limit=0", 400),
        ("/v1/dead-letters?reason=BORED", 400),
    ],
)
def test_console_says_what_is_wrong_with_a_question(
    port: OperatorsPort, path: str, status: int
) -> None:
    answer = port.client.get(path)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (
        status,
        "application/problem+json",
    )
