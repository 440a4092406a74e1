"""The generator's processes, seen from the one that measures.

They are prepared (tokens signed, connections open) before the clock starts, all
start at the same instant, and are gone when `Generators` is closed.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from firstcome.bench.answers import Answers
from firstcome.bench.plan import Plan, Said
from firstcome.errors import Unavailable

READY_SECONDS = 120.0


class Generators:
    """One subprocess a share of the plan. A context manager; blocking."""

    def __init__(self, plan: Plan) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="firstcome-drop-")
        self._plan = plan
        self._said = [Said("starting") for _ in range(plan.shares)]
        self._processes: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        for share in range(self._plan.shares):
            process = subprocess.Popen(
                [sys.executable, "-m", "firstcome.bench.load"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._processes.append(process)
            plan = msgspec.structs.replace(
                self._plan, share=share, answers_file=str(self._file(share))
            )
            _write(process, msgspec.json.encode(plan).decode())
            reader = threading.Thread(target=self._read, args=(share, process.stdout), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process, reader in zip(self._processes, self._readers, strict=False):
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        self._folder.cleanup()

    def wait_ready(self) -> None:
        """Wait until every process could start. Raises Unavailable when one cannot."""
        give_up_at = time.monotonic() + READY_SECONDS
        while not all(said.state == "ready" for said in self._said):
            self._check_alive()
            if time.monotonic() > give_up_at:
                raise Unavailable(
                    f"the load generator was not ready within {READY_SECONDS:.0f} s: no request "
                    "was sent; ask with fewer users or connections",
                    certain=True,
                )
            time.sleep(0.01)

    def start(self, at: float) -> None:
        """Let the load begin at a wall-clock time (seconds since 1970)."""
        for process in self._processes:
            _write(process, repr(at))

    def progress(self) -> Said:
        """Return how far all processes are together; `state` is done when all are.

        Raises Unavailable when a process has died.
        """
        self._check_alive()
        parts = self._said
        return Said(
            "done" if all(part.state == "done" for part in parts) else "running",
            sent=sum(part.sent for part in parts),
            accepted=sum(part.accepted for part in parts),
            refused=sum(part.refused for part in parts),
            failed=sum(part.failed for part in parts),
            overloaded=sum(part.overloaded for part in parts),
            cpu_seconds=sum(part.cpu_seconds for part in parts),
            bytes_sent=sum(part.bytes_sent for part in parts),
            bytes_received=sum(part.bytes_received for part in parts),
            heard=dict(sum((Counter(part.heard) for part in parts), Counter[str]())),
        )

    def wait_done(self, seconds: float) -> None:
        """Wait so long, or until something has ended; `progress` says what."""
        self._ended.wait(seconds)

    def answers(self) -> Answers:
        """Return what all processes heard, in the order of the crowd. Only when all are done."""
        requests = self._plan.crowd.requests
        shares = self._plan.shares
        answers = Answers(requests)
        for share in range(shares):
            part = Answers.load(self._file(share), len(range(share, requests, shares)))
            answers.deal(share, shares, part)
        return answers

    def _file(self, share: int) -> Path:
        return Path(self._folder.name) / f"answers-{share}.bin"

    def _read(self, share: int, lines: IO[str]) -> None:
        for line in lines:
            self._said[share] = msgspec.json.decode(line, type=Said)
            if all(said.state == "done" for said in self._said):
                break
        # Also when the process has died: whoever waits has something to look at.
        self._ended.set()

    def _check_alive(self) -> None:
        for process, said in zip(self._processes, self._said, strict=True):
            if process.poll() is not None and said.state != "done" and process.returncode != 0:
                raise Unavailable(
                    f"a process of the load generator ended with exit code {process.returncode} "
                    "before its load did: what it sent stays with the stack and is not judged; "
                    "its message stands above"
                )


def _write(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None  # noqa: S101 - opened above
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it has ended; _check_alive says so
