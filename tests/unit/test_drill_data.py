"""What becomes of an engine's files while it is dead."""

import os
import time
from pathlib import Path

import pytest

from firstcome.drill.data import BrokerTail, RedisData
from firstcome.drill.faults import Missed

pytestmark = pytest.mark.unit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The append-only folder of a Redis that has written."""
    folder = tmp_path / "redis" / "appendonlydir"
    folder.mkdir(parents=True)
    (folder / "appendonly.aof.1.incr.aof").write_bytes(b"first")
    return folder


def content(folder: Path) -> bytes:
    return (folder / "appendonly.aof.1.incr.aof").read_bytes()


def test_redis_gets_what_it_had_at_the_last_fault(tmp_path: Path, folder: Path) -> None:
    data = RedisData(tmp_path)
    with pytest.raises(Missed):
        data.put_back()
    data.remember()
    (folder / "appendonly.aof.1.incr.aof").write_bytes(b"first, second")
    assert "5 bytes instead of 13" in data.put_back()
    assert content(folder) == b"first"
    (folder / "appendonly.aof.1.incr.aof").write_bytes(b"another life")
    data.put_back()
    assert content(folder) == b"first, second"


def test_redis_loses_the_end_or_all_of_its_file(tmp_path: Path, folder: Path) -> None:
    data = RedisData(tmp_path)
    assert data.tear(2).endswith("cut from 5 to 3 bytes")
    assert content(folder) == b"fir"
    data.wipe()
    assert not folder.exists()


def test_broker_loses_the_end_of_what_was_written_just_before(tmp_path: Path) -> None:
    segments = [
        tmp_path / f"kafka-1/data/firstcome.issuance-requested.v1-{number}/000.log"
        for number in (0, 1)
    ]
    for segment in segments:
        segment.parent.mkdir(parents=True)
        segment.write_bytes(b"x" * 100)
    hour_ago = time.time() - 3600
    os.utime(segments[1], (hour_ago, hour_ago))
    tail = BrokerTail(tmp_path)
    assert "0: 100" in tail.tear(30)
    assert [segment.stat().st_size for segment in segments] == [70, 100]
    os.utime(segments[0], (hour_ago, hour_ago))
    with pytest.raises(Missed):
        tail.tear(30)
