"""What every process of ours does alike: begin, stop on a signal, work on a second thread.

Used by `processes` alone.
"""

import gc
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from firstcome import failpoints
from firstcome.logs import configure, get_logger
from firstcome.metrics.endpoint import expose
from firstcome.settings import Settings

log = get_logger()
COLLECT_AFTER_OBJECTS = 50_000


def begin(settings: Settings, role: str) -> None:
    """Let this process log, tell its metrics and have its failpoints."""
    configure(settings.logs, role)
    failpoints.watch(settings.failpoints.folder, role)
    if (port := expose(settings.metrics, role)) is not None:
        log.info("metrics_exposed", host=settings.metrics.host, port=port)


def stop_on_signals() -> Event:
    """Return what SIGTERM and SIGINT set."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def beside(name: str, work: Callable[[Event], None], stop: Event) -> Iterator[None]:
    """Let something work on a thread of its own until `stop` is set.

    Whichever of the two ends, the process does: it is started anew with both.
    """
    with ThreadPoolExecutor(1, name) as threads:
        working = threads.submit(work, stop)
        working.add_done_callback(lambda _: stop.set())
        try:
            yield
        finally:
            stop.set()
    working.result()


def calm_collector() -> None:
    """Keep the garbage collector from looking at thousands of requests under way, again and again.

    What start-up has made lives for ever; what a request makes has no cycles. Measured: the
    default thresholds cost an api process 4 % of its time under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 20, 100)
