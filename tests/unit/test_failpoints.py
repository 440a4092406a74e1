"""Failpoints: off by default, armed once by a file, proved by its new name."""

import re
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from firstcome import failpoints
from firstcome.failpoints import POINTS, FailpointRaised

pytestmark = pytest.mark.unit

LOST = ConnectionError("lost")
SOURCE = Path(failpoints.__file__).parent


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    failpoints.watch(tmp_path, "api")
    yield tmp_path
    failpoints.watch(None, "api")


def test_off_unless_a_folder_is_watched(tmp_path: Path) -> None:
    failpoints.arm(tmp_path, "after_admit", "raise")
    failpoints.hit("after_admit", lost=LOST)
    assert [path.name for path in failpoints.armed(tmp_path)] == ["after_admit"]


def test_hits_once_and_leaves_a_proof(folder: Path) -> None:
    failpoints.arm(folder, "after_admit", "raise")
    with pytest.raises(FailpointRaised, match="after_admit"):
        failpoints.hit("after_admit", lost=LOST)
    failpoints.hit("after_admit", lost=LOST)
    (proof,) = failpoints.taken(folder)
    assert re.fullmatch(r"after_admit\.taken-\d+", proof.name)
    assert not failpoints.armed(folder)


def test_what_a_kind_of_process_has_taken_is_not_armed_any_more(folder: Path) -> None:
    failpoints.arm(folder, "after_admit", "raise", role="api")
    with pytest.raises(FailpointRaised, match="after_admit"):
        failpoints.hit("after_admit", lost=LOST)
    assert not failpoints.armed(folder)
    assert not failpoints.disarm(folder)
    assert failpoints.taken(folder)


def test_a_fault_that_one_process_takes_twice_has_two_proofs(folder: Path) -> None:
    proofs = set()
    for _ in range(2):
        failpoints.arm(folder, "after_admit", "raise")
        with pytest.raises(FailpointRaised):
            failpoints.hit("after_admit", lost=LOST)
        proofs |= failpoints.proofs(folder)
    assert len(proofs) == 2
    assert len(failpoints.taken(folder)) == 1


def test_drop_raises_what_a_lost_reply_raises(folder: Path) -> None:
    failpoints.arm(folder, "after_commit", "drop")
    with pytest.raises(ConnectionError, match="lost"):
        failpoints.hit("after_commit", lost=LOST)


def test_pause_stops_every_thread_and_goes_on(folder: Path) -> None:
    looked: list[float] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            looked.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    while not looked:
        time.sleep(0.001)
    failpoints.arm(folder, "after_lock", "pause 0.3")
    began = time.monotonic()
    failpoints.hit("after_lock", lost=LOST)
    assert time.monotonic() - began >= 0.3
    over.set()
    thread.join()
    looks = [*looked, time.monotonic()]
    assert max(after - before for before, after in pairwise(looks)) >= 0.25


def test_other_points_and_other_roles_pass_by(folder: Path) -> None:
    failpoints.arm(folder, "after_lock", "raise", role="sweeper")
    failpoints.arm(folder, "after_poll", "raise")
    failpoints.hit("after_lock", lost=LOST)
    assert not failpoints.taken(folder)
    failpoints.watch(folder, "sweeper")
    with pytest.raises(FailpointRaised):
        failpoints.hit("after_lock", lost=LOST)


def test_disarm_takes_back_what_nobody_met(folder: Path) -> None:
    failpoints.arm(folder, "after_admit", "kill")
    assert failpoints.disarm(folder) == ["after_admit"]
    failpoints.hit("after_admit", lost=LOST)


@pytest.mark.parametrize(
    ("point", "action"),
    [("nowhere", "kill"), ("after_admit", "explode"), ("after_admit", "pause 601")],
)
def test_what_is_no_point_or_no_action_is_refused(tmp_path: Path, point: str, action: str) -> None:
    with pytest.raises(ValueError, match=r"nowhere|explode|601"):
        failpoints.arm(tmp_path, point, action)
    assert not list(tmp_path.iterdir())


def test_every_point_stands_in_the_code_exactly_once() -> None:
    hits = [
        (point, path.name)
        for path in SOURCE.rglob("*.py")
        if path.name != "failpoints.py"
        for point in re.findall(r'failpoints\.hit\(\s*"(\w+)"', path.read_text())
    ]
    assert len(hits) == len(set(hits))
    # Each mode of the relay comes by the same points, in a file of its own.
    relays = {point for point, where in POINTS.items() if where.startswith("relay: ")}
    once = [point for point, _ in hits if point not in relays]
    assert sorted(once) + sorted(relays & {point for point, _ in hits}) == [
        *sorted(POINTS.keys() - relays),
        *sorted(relays),
    ]
