"""k6 as the second generator of load: virtual users, each of whom waits for his answer.

It stands where `generators.py` stands, and runs the scripts of deploy/k6 with the figures of a
`Scenario` (`k6_command.py`). What k6 counted is passed on, not judged (`k6_summary.py`). It is an
unmodified program of its own, which shares the machine with what it measures and takes a great
deal more of it than the built-in generator: deploy/k6/README.md has the figures.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from firstcome.bench.k6_command import (
    Asks,
    Files,
    Outputs,
    binary,
    command,
    environment,
    script,
    write_tokens,
)
from firstcome.bench.k6_pulse import Counts, Pulse
from firstcome.bench.k6_summary import Heard, Summary
from firstcome.bench.plan import check_loopback
from firstcome.bench.scenarios import Scenario
from firstcome.bench.tokens import Signer
from firstcome.errors import Unavailable

# k6's exit code when a threshold was crossed: a finding, which the summary names.
CROSSED = 99
LOOK_SECONDS = 1.0
POLL_SECONDS = 0.05
# Making a virtual user takes 1.5 ms of CPU, signing a token 10 us.
READY_SECONDS_PER_VIRTUAL_USER = 0.005
READY_SECONDS_PER_USER = 50e-6
READY_SECONDS_MIN = 3.0
# The last users may take 30 s to end (k6's graceful stop); then the summary is written.
END_SECONDS = 90.0
LATE_SECONDS = 0.5  # a crowd that comes so much after the opening is no spike any more
_LAST_WORDS = 2000  # bytes of k6's errors that a message holds


class K6:
    """Runs scenarios against one public port of this machine. Blocking."""

    def __init__(
        self, host: str, port: int, signer: Signer, outputs: Outputs | None = None
    ) -> None:
        """Raises Refused for another machine, and where k6 is not installed."""
        address = check_loopback(host)
        self._host = f"[{address}]" if ":" in address else address
        self._port = port
        self._signer = signer
        self._outputs = outputs or Outputs()
        self._binary = binary()

    @staticmethod
    def ready_seconds(scenario: Scenario) -> float:
        """Return how far ahead `opens_at` has to be: everybody has to be there by then."""
        made = scenario.virtual_users * READY_SECONDS_PER_VIRTUAL_USER
        return READY_SECONDS_MIN + made + scenario.users * READY_SECONDS_PER_USER

    def run(
        self,
        scenario: Scenario,
        campaign_ids: Sequence[int],
        seed: int,
        *,
        opens_at: float | None = None,
        watch: Callable[[Counts], None] = lambda counts: None,
    ) -> Heard:
        """Let the crowd ask; nobody before `opens_at` (seconds since 1970).

        `watch` is told about once a second what has been answered so far. Takes `ready_seconds`,
        then the scenario's `virtual_seconds`, and at most END_SECONDS more; k6 has ended when
        this returns or raises.
        Raises Refused for a scenario that k6 has no script for, Unavailable when k6 fails.
        """
        script(scenario)
        base_url = f"http://{self._host}:{self._port}"
        asks = Asks(scenario, base_url, campaign_ids, seed, opens_at)
        with tempfile.TemporaryDirectory(prefix="firstcome-k6-") as folder:
            files = Files(Path(folder))
            write_tokens(self._signer, scenario.users, files.tokens)
            pulse = Pulse("127.0.0.1", _free_port())
            cpu_seconds = self._work(asks, files, pulse, watch)
            heard = _summary(files).heard(
                _lines(files.console), pulse.requests_per_second_max, cpu_seconds
            )
        return _with_lateness(heard, opens_at)

    def _work(
        self, asks: Asks, files: Files, pulse: Pulse, watch: Callable[[Counts], None]
    ) -> float:
        """Run k6 to its end; return its CPU time."""
        arguments = command(self._binary, asks, self._outputs, files, pulse.address)
        with files.errors.open("wb") as errors:
            process = subprocess.Popen(
                arguments,
                env=environment(os.environ, asks, self._outputs, files),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        try:
            cpu_seconds = _wait(process, _seconds_at_most(asks), pulse, watch)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        if process.returncode not in (0, CROSSED):
            raise Unavailable(
                f"k6 ended with exit code {process.returncode}: what it sent stays with the "
                f"stack and is not judged; it said: {_tail(files.errors)}"
            )
        return cpu_seconds


def _wait(
    process: "subprocess.Popen[bytes]",
    seconds: float,
    pulse: Pulse,
    watch: Callable[[Counts], None],
) -> float:
    """Wait for a process, looking at it each second; return its CPU time.

    wait4 instead of Popen.wait: it alone tells the CPU time of this one child.
    """
    began = looked_at = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime
        if now - looked_at >= LOOK_SECONDS:
            looked_at = now
            if (counts := pulse.look()) is not None:
                watch(counts)
        time.sleep(POLL_SECONDS)
    raise Unavailable(
        f"k6 did not end within {seconds:.0f} s and was stopped: what it sent stays with the "
        "stack and is not judged; ask with fewer virtual users"
    )


def _seconds_at_most(asks: Asks) -> float:
    ahead = max(0.0, (asks.opens_at or 0.0) - time.time())
    ready = K6.ready_seconds(asks.scenario)
    return max(ahead, ready) + asks.scenario.virtual_seconds + END_SECONDS


def _summary(files: Files) -> Summary:
    try:
        content = files.summary.read_bytes()
    except OSError:
        raise Unavailable(
            "k6 ended without writing its summary: what it sent stays with the stack and is not "
            f"judged; it said: {_tail(files.errors)}"
        ) from None
    return Summary.read(content)


def _lines(console: Path) -> list[str]:
    return console.read_text(errors="replace").splitlines() if console.exists() else []


def _tail(errors: Path) -> str:
    return errors.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip() or "nothing"


def _with_lateness(heard: Heard, opens_at: float | None) -> Heard:
    late = heard.started_at - (opens_at or heard.started_at)
    if late < LATE_SECONDS:
        return heard
    note = f"k6: the crowd came {late:.1f} s after the opening: it was not ready before"
    return msgspec.structs.replace(heard, notes=[*heard.notes, note])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
