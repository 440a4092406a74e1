"""The state folder, its ports, its logs, and the jars beside it."""

import contextlib
import hashlib
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstcome.local import jars, kafka, ports, redis
from firstcome.local.folder import StackFolder, read_json, write_json
from firstcome.local.tail import Followed, last_lines

HOLDER = (
    "import sys; from pathlib import Path; from firstcome.local.folder import StackFolder;"
    "print(StackFolder(Path(sys.argv[1])).lock(), flush=True); sys.stdin.read()"
)


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    return folder


@pytest.fixture
def holder(folder: StackFolder) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that is the folder's supervisor."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield process
        process.kill()


def test_folder_has_one_supervisor_until_he_dies(
    folder: StackFolder, holder: "subprocess.Popen[bytes]"
) -> None:
    assert folder.supervisor() == holder.pid
    assert not folder.lock()
    holder.kill()
    holder.wait()
    assert folder.supervisor() is None


def test_folder_that_does_not_exist_has_no_supervisor(tmp_path: Path) -> None:
    assert StackFolder(tmp_path / "absent").supervisor() is None


def test_folder_is_its_owners_alone(folder: StackFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_wipe_removes_the_stack_but_not_a_strangers_file(folder: StackFolder) -> None:
    write_json(folder.identity, {})
    (folder.path / "postgres" / "base").mkdir(parents=True)
    for name in ("kafka-1", "prometheus", "alertmanager"):
        (folder.path / name).mkdir()
    mine = folder.path / "notes.txt"
    mine.touch()
    folder.wipe()
    assert list(folder.path.iterdir()) == [mine]
    mine.unlink()
    folder.wipe()
    assert not folder.path.exists()


def test_torn_file_reads_as_none(folder: StackFolder) -> None:
    folder.status.write_text('{"state": "run')
    assert read_json(folder.status) is None
    write_json(folder.status, {"state": "running"})
    assert read_json(folder.status) == {"state": "running"}


def test_port_is_the_wanted_one_once_and_another_when_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        given = ports.reserve(taken)
        assert given != taken
    assert ports.FIRST <= given < ports.LAST
    wanted = ports.reserve(None)
    assert ports.reserve(wanted) != wanted


def test_port_reserved_by_another_stack_is_not_given() -> None:
    program = (
        "import sys; from firstcome.local import ports;"
        "print(ports.reserve(None), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        assert ports.reserve(theirs) != theirs
        other.kill()


def test_last_lines_are_the_end_of_a_long_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {n}\n" for n in range(20_000)))
    assert last_lines(log, 2) == ["line 19998", "line 19999"]
    assert len(last_lines(log, 50_000)) == 20_000
    assert last_lines(log, 0) == last_lines(tmp_path / "absent", 5) == []


def test_follower_sees_whole_new_lines_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("old\n")
    with contextlib.closing(Followed(log)) as followed:
        assert followed.added() == []
        with log.open("a") as file:
            file.write("one\ntw")
            file.flush()
            assert followed.added() == ["one"]
            file.write("o\nlast words\n")
        log.rename(tmp_path / "a.log.1")
        assert followed.added() == ["two", "last words"]
        assert followed.added() == []
        log.write_text("three\n")
        assert followed.added() == ["three"]


def test_lock_pins_every_jar_and_names_no_host() -> None:
    pinned = jars.KAFKA.locked()
    names = {jar.artifact for jar in pinned}
    assert len(pinned) == len(names) == 46
    assert {"kafka_2.13", "kafka-clients", "log4j-slf4j-impl"} <= names
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in pinned)
    assert {jar.version for jar in pinned if jar.group == "org.apache.kafka"} == {
        jars.KAFKA_VERSION
    }


def test_jars_are_kept_only_when_they_are_the_pinned_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTCOME_CACHE", str(tmp_path))
    library = jars.Library("kafka")
    good = jars.Jar("g", "good", "1", hashlib.sha256(b"good").hexdigest())
    bad = jars.Jar("g", "bad", "1", hashlib.sha256(b"as published").hexdigest())
    monkeypatch.setattr(
        "maven_artifact.downloader.Downloader.download",
        lambda self, artifact, filename: Path(filename).write_bytes(artifact.artifact_id.encode()),
    )
    monkeypatch.setattr(jars.Library, "locked", lambda self: [good, bad])
    with pytest.raises(jars.JarForged, match=r"bad-1\.jar"):
        library.fetch()
    assert not Path(library.class_path().split(":")[0]).exists()
    bad = jars.Jar("g", "bad", "1", hashlib.sha256(b"bad").hexdigest())
    library.fetch()
    assert [Path(jar).read_bytes() for jar in library.class_path().split(":")] == [b"good", b"bad"]


def test_jar_that_cannot_be_fetched_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTCOME_CACHE", str(tmp_path))
    # Nothing listens there: a real refusal, without leaving the machine.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(jars.JarsUnavailable, match="check the network"):
        jars.KAFKA.fetch()


def test_redis_configuration_never_rewrites_in_mid_drop(tmp_path: Path) -> None:
    lines = redis.configuration(tmp_path / "with space", 1234, "secret").splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "requirepass secret"} <= set(lines)
    assert "auto-aof-rewrite-min-size 512mb" in lines
    assert f'dir "{tmp_path}/with space"' in lines


def test_cluster_ids_never_look_like_an_option() -> None:
    ids = [kafka.new_cluster_id() for _ in range(500)]
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", text) for text in ids)
