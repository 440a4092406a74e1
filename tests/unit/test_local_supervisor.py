"""Order of starting and stopping, with shell commands in the place of engines and processes."""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from firstcome.local import supervisor as supervisor_module
from firstcome.local.folder import StackFolder, read_json
from firstcome.local.process import Life, Spec
from firstcome.local.recorders import want, wanted
from firstcome.local.shape import Shape
from firstcome.local.supervisor import Supervisor

# Writes its name when it starts and when it is told to stop.
ACTOR = """
trap 'echo "-$1" >> "$2"; exit 0' TERM
echo "+$1" >> "$2"
echo up
while :; do sleep 0.01; done
"""


class Stage:
    """A blueprint of actors."""

    def __init__(self, tmp_path: Path, replaced: dict[str, list[str]]) -> None:
        self.shape = Shape(monitoring=True)
        self.diary = tmp_path / "diary"
        self.diary.touch()
        self._replaced = replaced

    def urls(self) -> dict[str, str | None]:
        return {}

    def engines(self) -> list[Spec]:
        return [self._actor("postgres"), self._actor("redis"), self._actor("kafka-1")]

    def migration(self) -> Spec:
        return Spec("migrate", "migrate", ["sh", "-c", f"echo migrated >> {self.diary}"], once=True)

    def preparation(self) -> list[Spec]:
        return [
            Spec("prepare", "migrate", ["sh", "-c", f"echo prepared >> {self.diary}"], once=True)
        ]

    def listener(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", 0))

    def processes(self, listener: socket.socket) -> list[Spec]:
        return [self._actor(name) for name in ("sweeper-1", "recorder-1", "api-1", "console-1")]

    def monitors(self) -> list[Spec]:
        return [self._actor("prometheus")]

    def recorder(self, number: int) -> Spec:
        return self._actor(f"recorder-{number}")

    def _actor(self, name: str) -> Spec:
        def is_up(life: Life) -> bool:
            return life.log.read_bytes()[life.log_offset :] == b"up\n"

        command = self._replaced.get(name, ["sh", "-c", ACTOR, "sh", name, str(self.diary)])
        return Spec(name, name.partition("-")[0], command, is_up, stop_seconds=5)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "IDLE_SECONDS", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    folder = StackFolder(tmp_path / "stack")
    folder.create()
    return folder


def supervise(
    folder: StackFolder, stage: Stage, meanwhile: Callable[[Supervisor], None]
) -> tuple[int, Supervisor]:
    """Run a supervisor to its end; `meanwhile` runs beside it, and then it is told to stop."""
    supervisor = Supervisor(folder, stage)  # type: ignore[arg-type]
    faults: list[BaseException] = []

    def beside() -> None:
        try:
            meanwhile(supervisor)
        except BaseException as fault:
            faults.append(fault)
        os.kill(os.getpid(), signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in _HANDLED}
    thread = threading.Thread(target=beside)
    thread.start()
    try:
        code = supervisor.run()
    finally:
        # A start that fails ends before the signal: keep the handler until it has come.
        thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert not faults, faults
    return code, supervisor


_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def status_when(folder: StackFolder, holds: Callable[[dict], bool]) -> dict:  # type: ignore[type-arg]
    deadline = time.monotonic() + 10
    while not ((seen := read_json(folder.status)) and holds(seen)):
        assert time.monotonic() < deadline, json.dumps(seen)
        time.sleep(0.01)
    return dict(seen)


def test_supervisor_starts_in_stages_and_drains_in_order(
    folder: StackFolder, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, {})
    running: list[dict] = []  # type: ignore[type-arg]
    code, _ = supervise(
        folder,
        stage,
        lambda supervisor: running.append(status_when(folder, lambda s: s["state"] == "running")),
    )
    assert code == 0
    diary = stage.diary.read_text().split()
    assert set(diary[:3]) == {"+postgres", "+redis", "+kafka-1"}
    assert diary[3:5] == ["migrated", "prepared"]
    assert set(diary[5:9]) == {"+sweeper-1", "+recorder-1", "+api-1", "+console-1"}
    assert diary[9] == "+prometheus"
    assert set(diary[10:12]) == {"-prometheus", "-api-1"}
    assert diary[12] == "-recorder-1"
    assert set(diary[13:15]) == {"-sweeper-1", "-console-1"}
    assert diary[15:] == ["-kafka-1", "-redis", "-postgres"]
    assert [each["name"] for each in running[0]["processes"]] == [
        *("postgres", "redis", "kafka-1"),
        *("sweeper-1", "recorder-1", "api-1", "console-1", "prometheus"),
    ]
    assert {each["state"] for each in running[0]["processes"]} == {"ready"}
    ended = read_json(folder.status)
    assert ended["state"] == "stopped"
    assert (folder.path / "prometheus/targets.json").read_text() == "[]\n"
    assert {each["state"] for each in ended["processes"]} == {"stopped"}


def test_supervisor_brings_back_a_killed_process_and_counts_it(
    folder: StackFolder, tmp_path: Path
) -> None:
    def kill_recorder(supervisor: Supervisor) -> None:
        before = recorder(status_when(folder, lambda s: s["state"] == "running"))
        os.kill(before["pid"], signal.SIGKILL)
        status_when(folder, lambda s: recorder(s)["state"] == "backing-off")
        after = status_when(
            folder, lambda s: recorder(s)["restarts"] == 1 and recorder(s)["state"] == "ready"
        )
        assert recorder(after)["pid"] != before["pid"]
        assert after["state"] == "running"

    def recorder(status: dict) -> dict:  # type: ignore[type-arg]
        return next(dict(each) for each in status["processes"] if each["role"] == "recorder")

    assert supervise(folder, Stage(tmp_path, {}), kill_recorder)[0] == 0


def test_supervisor_gives_up_a_start_that_cannot_succeed_and_stops_the_rest(
    folder: StackFolder, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, {"redis": ["sh", "-c", "echo no memory; exit 9"]})
    code, supervisor = supervise(
        folder, stage, lambda _: status_when(folder, lambda s: s["state"] == "stopped") and None
    )
    assert code == 3
    assert supervisor.failure == {"process": "redis", "reason": "ended with exit code 9"}
    assert folder.log("redis").read_text() == "no memory\n" * 3
    assert set(stage.diary.read_text().split()[-2:]) == {"-kafka-1", "-postgres"}


def test_supervisor_kills_what_does_not_end_in_its_time(
    folder: StackFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = f"import signal; signal.signal({int(signal.SIGTERM)}, signal.SIG_IGN); "
    stubborn += "print('up', flush=True); signal.pause()"
    stage = Stage(tmp_path, {"api-1": [sys.executable, "-c", stubborn]})
    monkeypatch.setattr(stage, "_actor", _hasty(stage._actor))
    code, _ = supervise(
        folder, stage, lambda _: status_when(folder, lambda s: s["state"] == "running") and None
    )
    assert code == 0
    assert "-api-1" not in stage.diary.read_text()
    assert read_json(folder.status)["state"] == "stopped"


def recorders_of(status: dict) -> dict[str, str]:  # type: ignore[type-arg]
    return {
        each["name"]: each["state"] for each in status["processes"] if each["role"] == "recorder"
    }


def ready(count: int) -> dict[str, str]:
    return {f"recorder-{number}": "ready" for number in range(1, count + 1)}


def test_supervisor_lets_recorders_come_and_go_while_the_stack_runs(
    folder: StackFolder, tmp_path: Path
) -> None:
    stage = Stage(tmp_path, {})

    def scale(supervisor: Supervisor) -> None:
        status_when(folder, lambda s: s["state"] == "running")
        for count in (4, 2, 3, 1):
            want(folder, count)
            seen = status_when(folder, lambda s, count=count: recorders_of(s) == ready(count))
            assert seen["shape"]["recorders"] == count
            assert seen["state"] == "running"

    assert supervise(folder, stage, scale)[0] == 0
    diary = stage.diary.read_text().split()
    # Of too many the newest leave.
    assert [diary.count(f"+recorder-{name}") for name in (1, 2, 3, 4)] == [1, 1, 2, 1]
    assert [diary.count(f"-recorder-{name}") for name in (1, 2, 3, 4)] == [1, 1, 2, 1]


def test_supervisor_ends_by_force_a_recorder_that_does_not_leave(
    folder: StackFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = f"import signal; signal.signal({int(signal.SIGTERM)}, signal.SIG_IGN); "
    stubborn += "print('up', flush=True); signal.pause()"
    stage = Stage(tmp_path, {"recorder-2": [sys.executable, "-c", stubborn]})
    monkeypatch.setattr(stage, "_actor", _hasty(stage._actor))

    def scale(supervisor: Supervisor) -> None:
        status_when(folder, lambda s: s["state"] == "running")
        want(folder, 2)
        status_when(folder, lambda s: recorders_of(s) == ready(2))
        want(folder, 1)
        status_when(folder, lambda s: recorders_of(s) == ready(1) | {"recorder-2": "stopping"})
        status_when(folder, lambda s: recorders_of(s) == ready(1))

    assert supervise(folder, stage, scale)[0] == 0


def test_supervisor_keeps_its_recorders_when_the_number_cannot_be_read(
    folder: StackFolder, tmp_path: Path
) -> None:
    def scale(supervisor: Supervisor) -> None:
        status_when(folder, lambda s: s["state"] == "running")
        want(folder, 2)
        status_when(folder, lambda s: recorders_of(s) == ready(2))
        for wrong in ("{", "[]", '{"recorders": 0}', '{"recorders": "9"}', '{"recorders": 65}'):
            folder.wanted.write_text(wrong)
            assert wanted(folder) is None
        for deaths, forget in ((1, False), (2, True)):
            if forget:
                folder.wanted.unlink()
            # The supervisor has looked again by the time that a successor works.
            os.kill(recorder_pid(folder), signal.SIGKILL)
            status_when(
                folder,
                lambda s, deaths=deaths: recorders_of(s) == ready(2) and restarts(s) == deaths,
            )

    assert supervise(folder, Stage(tmp_path, {}), scale)[0] == 0


def recorder_pid(folder: StackFolder) -> int:
    processes = read_json(folder.status)["processes"]
    return next(int(each["pid"]) for each in processes if each["role"] == "recorder")


def restarts(status: dict) -> int:  # type: ignore[type-arg]
    return sum(each["restarts"] for each in status["processes"])


def _hasty(actor: Callable[[str], Spec]) -> Callable[[str], Spec]:
    def hasty(name: str) -> Spec:
        spec = actor(name)
        return Spec(spec.name, spec.role, spec.command, spec.is_ready, stop_seconds=0.3)

    return hasty
