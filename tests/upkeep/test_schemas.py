"""The events' schemas: written down by revision, and never broken by a later one.

A revision is a file that is not changed any more. Whoever changes the event writes the next one:
`python -m tests.upkeep.test_schemas`.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from firstcome.eventlog.issued import CouponIssued

pytestmark = pytest.mark.upkeep

FOLDER = Path(__file__).parents[2] / "docs" / "schemas" / "coupon-issued.v1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def current() -> dict[str, Any]:
    """Return the schema of the event as the code has it."""
    (schema,) = msgspec.json.schema(CouponIssued)["$defs"].values()
    return {"$schema": DIALECT, **schema}


def revisions() -> list[dict[str, Any]]:
    """Return every revision, oldest first."""
    files = [FOLDER / f"{number}.json" for number in range(1, len(list(FOLDER.iterdir())) + 1)]
    return [msgspec.json.decode(file.read_bytes()) for file in files]


def breaks(older: dict[str, Any], newer: dict[str, Any]) -> list[str]:
    """Return what a consumer of the older revision would stumble over in the newer one."""
    said = []
    for name, field in older["properties"].items():
        if newer["properties"].get(name) != field:
            said.append(f"{name} is gone, or is something else")
    said += [
        f"{name} may be missing" for name in older["required"] if name not in newer["required"]
    ]
    return said


def test_the_newest_revision_is_the_event_of_the_code() -> None:
    assert revisions()[-1] == current(), "write the next one: python -m tests.upkeep.test_schemas"


def test_no_revision_breaks_an_earlier_one() -> None:
    found = revisions()
    for number, newer in enumerate(found):
        for older in found[:number]:
            assert breaks(older, newer) == []


def test_what_breaks_a_consumer_is_seen() -> None:
    whole = current()
    fields = whole["properties"]
    less = {name: field for name, field in fields.items() if name != "position"}
    other = fields | {"position": {"type": "string"}}
    more = fields | {"channel": {"type": "string"}}
    assert breaks(whole, whole | {"properties": more}) == []
    assert breaks(whole, whole | {"properties": less}) != []
    assert breaks(whole, whole | {"properties": other}) != []
    assert breaks(whole, whole | {"required": ["position"]}) != []


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    following = FOLDER / f"{len(list(FOLDER.iterdir())) + 1}.json"
    following.write_bytes(msgspec.json.format(msgspec.json.encode(current()), indent=2) + b"\n")
    print(following)
