"""The ledger of long runs: only ever added to, and its page made from all of it."""

from pathlib import Path

import msgspec
import pytest

from firstcome.drill.ledger import Entry, Ledger, pathless, text
from firstcome.drill.leg import Outcome
from firstcome.drill.nemesis import Struck
from firstcome.drill.waits import LONG, NO_FAULT, ONE_FAULT, SEVERAL, waits
from firstcome.model import Engine

pytestmark = pytest.mark.unit

OLD_WAITS = {
    "no fault": {"count": 5.0, "p50": 0.1, "p99": 0.2, "max": 0.3},
    "under faults": {"count": 5.0, "p50": 0.1, "p99": 20.0, "max": 31.5},
}
WAITS = waits([], []).figures()


def leg(seed: int, violations: list[str]) -> Outcome:
    hit = Struck(1, "kill", "redis", 2.0, False, 150.0, 3, 1.0, 2.0, "pid 7 ended")
    idle = Struck(2, "kill", "redis", 2.0, False, 10.0, 3, 1.0, 2.0, "pid 8 ended")
    missed = Struck(3, "freeze", "api-1", 2.0, False, 150.0, 3, 1.0, 2.0, missed="not ready")
    claims = {"REQUESTED": 90, "OUTCOME_UNKNOWN": 9, "CONNECTION_LOST": 1}
    return Outcome(seed, 60.0, [hit, idle, missed], 80, claims, 200, WAITS, 4.5, violations, {}, 12)


def test_entry_sums_its_legs_up() -> None:
    entry = Entry.of(7, 320, [leg(7, []), leg(8, ["l1: too many"])])
    assert entry.matrix == {"kill": {"redis": 2}}
    assert (entry.effective, entry.others) == (2, 4)
    assert entry.not_counted == {"too few claims before it": 2, "did not hit": 2}
    assert (entry.claims, entry.requests, entry.looks) == (160, 200, 400)
    assert entry.unknown_share == 0.1
    assert entry.violations == ["seed 8: l1: too many"]
    assert "l1: too many" in text(entry)
    assert "every law held" in text(Entry.of(7, 320, [leg(7, [])]))


def test_ledger_keeps_every_run_and_writes_the_page_anew(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    ledger = Ledger(folder)
    ledger.append(Entry.of(7, 320, [leg(7, [])]))
    ledger.append(Entry.of(9, 320, [leg(9, ["l3: nobody told him"])], engine=Engine.QUEUE))
    assert len((folder / "faults.jsonl").read_text().splitlines()) == 2
    page = (folder / "faults.md").read_text()
    assert page.index("seed 9") < page.index("seed 7")
    assert "l3: nobody told him" in page
    assert "| kill | 1 |" in page
    assert str(tmp_path) not in page


def test_ledger_names_the_classes_of_waits_and_still_shows_those_of_old_runs(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path)
    old = msgspec.to_builtins(Entry.of(7, 320, [leg(7, [])]))
    for name in ("brokers", "intrusions", "engine", "relay"):
        del old[name]
    old["waits"] = [OLD_WAITS]
    (tmp_path / "faults.jsonl").write_bytes(msgspec.json.encode(old) + b"\n")
    entry = Entry.of(9, 320, [leg(9, [])], brokers=3)
    ledger.append(entry)
    new_part, _, old_part = (tmp_path / "faults.md").read_text().partition("seed 7")
    assert "| under faults | 5 | 0.1 | 20 | 31.5 |" in old_part
    assert "bad tokens" not in old_part
    for kind in (NO_FAULT, ONE_FAULT, LONG, SEVERAL):
        assert f"| {kind} | 0 | 0 | 0 | 0 |" in new_part
        assert kind in text(entry)
    assert "3 brokers" in new_part
    assert "12 requests that nobody may let in" in new_part


def test_ledger_names_no_path_of_the_machine() -> None:
    said = "last lines of /home/ann/x/logs/api.log: 'No such file: \"/tmp/y/z\"' at 6/1551"
    assert pathless(said) == "last lines of api.log: 'No such file: \"z\"' at 6/1551"
