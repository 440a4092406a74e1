"""A Redis that loses its machine: what is cut off its file, and how the loss is counted."""

import time
from pathlib import Path

import msgspec
import pytest
from seen import rehearsed, steady

from firstcome.bench.crowd import Crowd, user_id
from firstcome.bench.run import Loss
from firstcome.bench.truth import Offer, Row
from firstcome.drill.forgetting import CASES, UnsyncedEnd, loss
from firstcome.drill.forgetting_report import as_said, page


def test_only_what_the_last_second_added_is_cut(tmp_path: Path) -> None:
    folder = tmp_path / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    file = folder / "appendonly.aof.1.incr.aof"
    file.write_bytes(b"x" * 100)
    with UnsyncedEnd(tmp_path, 0.2) as end:
        time.sleep(0.4)
        file.write_bytes(b"x" * 300)
        time.sleep(0.1)
        said = end.cut()
    assert file.stat().st_size == 100
    assert "cut from 300 bytes to its 100" in said


def test_nothing_is_cut_where_answers_wait_for_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.1.incr.aof").write_bytes(b"x" * 100)
    with UnsyncedEnd(tmp_path, 0.0) as end:
        assert "nothing cut" in end.cut()
    assert (folder / "appendonly.aof.1.incr.aof").stat().st_size == 100


def test_loss_is_counted_by_who_was_told_and_what_he_holds() -> None:
    seen = rehearsed(steady(0, 10), seconds=10.0)
    order = Crowd(100, 1, seed=seen.load.seed).order()
    [offer] = seen.offers
    rows = [row._replace(user_id=user_id(order[row.position - 1])) for row in offer.rows]
    seen.offers = [Offer(1, 200, rows)]
    nobody = loss(seen, CASES[0], 5.0, "killed")
    assert (nobody.promised, nobody.lost, nobody.moved) == (100, 0, 0)
    assert nobody.resumed_seconds == pytest.approx(0.1, abs=0.05)
    moved = Row(101, rows[7].user_id, "ISSUED", rows[7].final_at)
    cancelled = Row(9, rows[8].user_id, "CANCELLED", rows[8].final_at)
    seen.offers = [Offer(1, 200, [*rows[:7], moved, cancelled, *rows[10:]])]
    some = loss(seen, CASES[0], 5.0, "killed")
    assert (some.promised, some.lost, some.moved) == (100, 2, 1)


def test_only_queue_on_everysec_may_lose_and_no_more_than_it_says() -> None:
    fine = Loss("queue", "everysec", "working", 1, 1000.0, 9000, 2000, 0, 2.0, "killed", [])
    assert as_said(fine)
    assert not as_said(msgspec.structs.replace(fine, broken=["L2"]))
    assert not as_said(msgspec.structs.replace(fine, lost=2001))
    for engine, fsync in (("queue", "always"), ("kafka", "everysec")):
        other = msgspec.structs.replace(
            fine, engine=engine, fsync=fsync, lost=0, moved=0, broken=[]
        )
        assert as_said(other)
        assert not as_said(msgspec.structs.replace(other, moved=1))
        assert not as_said(msgspec.structs.replace(other, broken=["L1"]))


def test_page_names_every_case_and_what_is_worse_than_said() -> None:
    class Somewhere:
        def said(self) -> str:
            return "commit abc"

    worse = Loss("kafka", "everysec", "working", 1, 1000.0, 9000, 1, 0, None, "killed", ["L2"])
    text = page("2026-01-02", [worse], Somewhere())  # type: ignore[arg-type]
    assert "| kafka | everysec | working | 9,000 | 1 | 0 | - |" in text
    assert "**kafka with everysec lost 1 and moved 0, more than it may; broken: L2**" in text
