"""k6 against the real stack: what it counted is what the rows say."""

from collections import Counter
from urllib.parse import urlsplit

import msgspec
import pytest

from firstcome.bench.k6 import K6
from firstcome.bench.k6_summary import Promise
from firstcome.bench.scenarios import BY_NAME
from firstcome.bench.tokens import Signer
from firstcome.settings import AuthSettings
from running import RunningStack, eventually

pytestmark = pytest.mark.acceptance

STOCK = 12
# A second to think: 20 virtual users are about 60 users in 3 s.
SOLD_OUT = msgspec.structs.replace(
    BY_NAME["sold-out"], users=1000, twice=0.4, virtual_users=20, virtual_seconds=3.0
)


def rows(stack: RunningStack, campaign_ids: list[int]) -> set[tuple[str, int, int]]:
    """Return user, campaign and position of every exported row."""
    return {
        (row.split(",")[1], campaign_id, int(row.split(",")[0]))
        for campaign_id in campaign_ids
        for row in stack.run("campaign", "export", str(campaign_id)).splitlines()[1:]
    }


def place(promise: Promise) -> tuple[str, int, int]:
    """Return what a promise says in the form of a row."""
    return promise.user_id, promise.campaign_id, promise.position


@pytest.mark.parametrize("engine", ["kafka", "queue", "direct"])
def test_k6_counts_what_became_of_the_claims(stack: RunningStack, engine: str) -> None:
    campaign_ids = [stack.create(STOCK, "--engine", engine) for _ in range(2)]
    address = urlsplit(stack.urls["api"])
    signer = Signer.of(AuthSettings(**stack.settings["auth"]))
    k6 = K6(address.hostname or "", address.port or 0, signer)
    heard = k6.run(SOLD_OUT, campaign_ids, seed=11)

    load = heard.load
    assert (load.overloaded, load.faults) == (0, 0), heard.notes
    assert load.requests == load.served + load.refused > heard.users > 2 * STOCK
    assert heard.accepted == 2 * STOCK == load.served - heard.replayed
    assert heard.replayed > 0
    assert (heard.accepted_ms.count, heard.refused_ms.count) == (2 * STOCK, load.refused)
    assert (load.iteration_ms.min or 0) > 1000
    assert load.virtual_users_max == 20
    promised = {place(promise) for promise in heard.promises}
    assert Counter(campaign_id for _, campaign_id, _ in promised) == dict.fromkeys(
        campaign_ids, STOCK
    )
    eventually("recorded", lambda: rows(stack, campaign_ids) == promised)
    assert stack.said("verify")["held"] is True
