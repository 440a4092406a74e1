"""fsync that fails or takes long: strace, attached to a running engine, changes the system call.

Needs strace and the right to trace. What strace writes about each changed call is the evidence.
"""

import re
import subprocess
import time
from pathlib import Path
from types import TracebackType

import psutil

from firstcome.drill.eventually import eventually

ATTACH_SECONDS = 10.0


class Trace:
    """Every fsync and fdatasync of a process and its children, changed until the end.

    `change` is strace's: `error=EIO:when=1`, `delay_enter=MICROSECONDS`.
    """

    def __init__(self, pid: int, change: str, report: Path) -> None:
        self._pid = pid
        self._change = change
        self._report = report
        self._strace: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Trace":
        parent = psutil.Process(self._pid)
        family = [parent, *parent.children(recursive=True)]
        command = ["strace", "-f", "-o", str(self._report), "-e", "trace=fsync,fdatasync"]
        command += ["-e", f"inject=fsync,fdatasync:{self._change}"]
        for each in family:
            command += ["-p", str(each.pid)]
        self._strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        eventually(
            "strace is attached",
            lambda: (self._strace and self._strace.poll(), tracer_of(self._pid)),
            lambda seen: seen[1] != 0 or seen[0] is not None,
            ATTACH_SECONDS,
        )
        # An engine that ends itself at its first failed call may be gone, and strace with it.
        ended = self._strace.poll() is not None
        assert not ended or self.changed(), f"strace ended with {self._strace.returncode}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._strace is not None
        self._strace.terminate()  # it lets go of everybody first
        try:
            self._strace.wait(ATTACH_SECONDS)
        except subprocess.TimeoutExpired:
            # Seen where an engine ended itself in that moment: strace waits for threads that are
            # gone, and what it holds stays a zombie. The kernel lets go for it.
            self._strace.kill()
            self._strace.wait(ATTACH_SECONDS)

    def changed(self) -> int:
        """Return how many calls have been changed until now."""
        said = self._report.read_text(errors="replace") if self._report.exists() else ""
        return len(re.findall(r"\((INJECTED|DELAYED)\)", said))

    def hit(self, times: int = 1, seconds: float = 20.0) -> str:
        """Wait until so many calls were changed; return the evidence."""
        began = time.monotonic()
        eventually(
            f"{times} calls changed ({self._change})",
            self.changed,
            lambda changed: changed >= times,
            seconds,
        )
        return (
            f"pid {self._pid}: {self.changed()} fsync calls with {self._change} "
            f"within {time.monotonic() - began:.1f} s"
        )


def tracer_of(pid: int) -> int:
    """Return the pid that traces a process; 0: nobody."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return int(re.search(r"TracerPid:\s*(\d+)", status)[1])  # type: ignore[index]
