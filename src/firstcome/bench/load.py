"""The load generator: sends every request at its time, whatever comes back.

Runs as a process of its own (`python -m firstcome.bench.load`), so that neither
its interpreter lock nor its CPU time mixes with those of the one that measures.
It reads a plan and then the start time as lines of standard input, and writes
its readiness, progress and end as JSON lines to standard output; the answers
go to a file. Less than 10 microseconds of CPU a request, on one core.
"""

import asyncio
import gc
import resource
import sys
import time
from collections import deque
from pathlib import Path

import msgspec
import uvloop

from firstcome.bench.answers import (
    ASK_AGAIN,
    CODES,
    DOUBTED,
    FAILED,
    IN_DOUBT,
    NOT_SENT,
    OVERLOADED,
    REFUSED,
    REPLAYED,
    REQUESTED,
    TIMED_OUT,
    TOLD_TO_RETRY,
    Answers,
)
from firstcome.bench.connection import Connection, Head
from firstcome.bench.crowd import KEYED
from firstcome.bench.plan import Plan, Said, contents

TICK_SECONDS = 0.001
PROGRESS_SECONDS = 0.5
RECONNECT_SECONDS = 0.05


class Load:
    """Sends the requests of one plan over a pool of connections. Everything on one event loop."""

    def __init__(self, plan: Plan) -> None:
        order = plan.crowd.order()
        times = plan.arrivals.times(order)[plan.share :: plan.shares]
        order = order[plan.share :: plan.shares]
        traits = plan.crowd.traits()
        self._plan = plan
        self._keyed = bytearray(traits[user] & KEYED for user in order)
        self._contents = contents(plan, order)
        self.answers = Answers(len(order))
        self.answers.scheduled = times
        self._sent = 0
        self._counts = [0] * len(CODES)
        self._heard = [0] * len(CODES)  # with the answers after which the user asked again
        self._bytes_sent = self._bytes_received = 0
        self._due = self.answers.due = times[:]
        self._next = 0
        self._open = len(order)
        self._waiting: deque[int] = deque()
        self._free: deque[Connection] = deque()
        self._connections: set[Connection] = set()
        self._start = 0.0
        self._finished = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()

    def said(self, state: str) -> Said:
        """Return how far the load is."""
        counts = self._counts
        return Said(
            state,
            sent=self._sent,
            accepted=counts[REQUESTED],
            refused=sum(counts[code] for code in REFUSED),
            failed=sum(counts[code] for code in FAILED),
            overloaded=sum(counts[code] for code in OVERLOADED),
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
        )

    def heard(self) -> dict[str, int]:
        """Return how many answers of each code came, one for each try."""
        return {code: count for code, count in zip(CODES, self._heard, strict=True) if count}

    async def connect(self) -> None:
        """Open the whole pool. Raises OSError when the server is not there."""
        loop = asyncio.get_running_loop()
        plan = self._plan
        for _ in range(min(plan.connections, max(1, len(self.answers)))):
            await loop.create_connection(lambda: Connection(self), plan.host, plan.port)

    async def run(self, start: float) -> None:
        """Send everything, from `start` (time.monotonic) on; return when all is answered."""
        self._start = start
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, start - time.monotonic()), self._tick)
        loop.call_later(0.25, self._sweep)
        if self._open:
            await self._finished.wait()
        for connection in list(self._connections):
            connection.give_up(TIMED_OUT)

    def _tick(self) -> None:
        now = time.monotonic()
        due, index, last = self._due, self._next, len(self._due)
        elapsed = now - self._start
        while index < last and due[index] <= elapsed:
            if self._free:
                self._send(self._taken(), index, now)
            else:
                self._waiting.append(index)
            index += 1
        self._next = index
        if index < last:
            asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _taken(self) -> Connection:
        # The one used last, as clients' pools do: its memory is still warm.
        return self._free.popleft() if self._plan.rotating else self._free.pop()

    def _send(self, connection: Connection, request: int, now: float) -> None:
        answers = self.answers
        answers.sent[request] = now - self._start
        if not answers.tries[request]:
            self._sent += 1
        answers.tries[request] += 1
        content = self._contents[request]
        self._bytes_sent += len(content)
        connection.send(request, content, now)

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self._connections.add(connection)
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """A connection can take a request: the one that has waited longest."""
        if self._waiting:
            self._send(connection, self._waiting.popleft(), time.monotonic())
        else:
            self._free.append(connection)

    def gone(self, connection: Connection) -> None:
        """A connection is lost: open another."""
        self._connections.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if not self._finished.is_set():
            task = asyncio.get_running_loop().create_task(self._reconnect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _reconnect(self) -> None:
        loop = asyncio.get_running_loop()
        plan = self._plan
        while not self._finished.is_set():
            await asyncio.sleep(RECONNECT_SECONDS)
            try:
                await loop.create_connection(lambda: Connection(self), plan.host, plan.port)
            except OSError:
                continue
            return

    def answered(self, request: int, code: int, position: int, head: Head) -> None:
        """Note an answer, or ask again where the user may: with a key, and not for ever."""
        answers = self.answers
        self._bytes_received += head.size
        self._heard[code] += 1
        if head.retry_after:
            answers.flags[request] |= TOLD_TO_RETRY
        if code == REQUESTED:
            if head.replayed:
                answers.flags[request] |= REPLAYED
        elif code in ASK_AGAIN or code in IN_DOUBT:
            if code in IN_DOUBT:
                answers.flags[request] |= DOUBTED
            if code in ASK_AGAIN and self._keyed[request]:
                due = time.monotonic() - self._start + (head.retry_after or 1.0)
                if due - answers.scheduled[request] < self._plan.patience_seconds:
                    self._ask_again(request, due)
                    return
        self._final(request, code, position)

    def _final(self, request: int, code: int, position: int) -> None:
        answers = self.answers
        answers.done[request] = time.monotonic() - self._start
        answers.code[request] = code
        answers.position[request] = position
        self._counts[code] += 1
        self._open -= 1
        if not self._open:
            self._finished.set()

    def _ask_again(self, request: int, due: float) -> None:
        self._due[request] = due
        pause = due + self._start - time.monotonic()
        asyncio.get_running_loop().call_later(pause, self._again, request)

    def _again(self, request: int) -> None:
        if self._free:
            self._send(self._taken(), request, time.monotonic())
        else:
            self._waiting.append(request)

    def _sweep(self) -> None:
        """End what has lasted too long, in flight or still waiting for a connection."""
        now = time.monotonic()
        limit = self._plan.timeout_seconds
        for connection in list(self._connections):
            if connection.request >= 0 and now - connection.sent_at > limit:
                connection.give_up(TIMED_OUT)
        elapsed = now - self._start
        while self._waiting and elapsed - self._due[self._waiting[0]] > limit:
            self._heard[NOT_SENT] += 1
            self._final(self._waiting.popleft(), NOT_SENT, 0)
        if not self._finished.is_set():
            asyncio.get_running_loop().call_later(0.25, self._sweep)


async def _work(plan: Plan) -> None:
    load = Load(plan)
    await load.connect()
    gc.collect()
    gc.freeze()
    gc.disable()
    _say(Said("ready"))
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    if not line:
        return
    start = time.monotonic() + float(line) - time.time()

    telling = loop.create_task(_tell(load))
    before = _cpu_seconds()
    await load.run(start)
    telling.cancel()
    cpu_seconds = _cpu_seconds() - before
    load.answers.save(Path(plan.answers_file))
    said = load.said("done")
    _say(msgspec.structs.replace(said, cpu_seconds=cpu_seconds, heard=load.heard()))


async def _tell(load: Load) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        _say(load.said("running"))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _say(said: Said) -> None:
    sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do one plan; exits 1 when the server cannot be reached."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = plan.connections + 64
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    try:
        uvloop.run(_work(plan))
    except OSError as error:
        sys.exit(f"the load generator cannot reach {plan.host}:{plan.port}: {error}")


if __name__ == "__main__":
    main()
