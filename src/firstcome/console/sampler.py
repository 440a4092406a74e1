"""One look at everything, once a second: for the pages, and for Prometheus.

However many people watch, the engines are asked once. What cannot be seen at the moment is told as
missing, never as the last known number.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic, time

from firstcome import postgres
from firstcome.console.overview import CampaignOverview, GateState, Overview, OverviewReport
from firstcome.errors import DatabaseUnavailable, GateUnavailable
from firstcome.gate.address import info
from firstcome.gate.session import GateSession
from firstcome.issuance.letter import State
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.metrics.instruments import Labels
from firstcome.relay import slot as slots

SAMPLE_SECONDS = 1.0
SLOW_SECONDS = 5.0  # between two looks at what changes slowly
_QUERIES = postgres.queries("overview")
log = get_logger()


class Sampler:
    """For one thread; `latest` may be read by any."""

    def __init__(
        self,
        overview: Overview,
        connect: Callable[[], postgres.Connection],
        open_gate: Callable[[], GateSession],
        show: Callable[[OverviewReport | None], None] = lambda _: None,
        disk_folders: Sequence[Path] = (),
    ) -> None:
        """`show` is given every look, None while PostgreSQL gives no answer."""
        self._disk_folders = disk_folders
        self._show = show
        self._overview = overview
        self._connect = connect
        self._open_gate = open_gate
        self._slowly_at = 0.0
        self.latest: OverviewReport | None = None  # None while PostgreSQL gives no answer

    def run(self, stop: Event) -> None:
        """Look once a second until `stop` is set."""
        due = monotonic()
        while not stop.is_set():
            try:
                self.run_once()
            except Exception:
                # Whoever commands a drop must not lose the console for a number.
                log.exception("sample_failed")
            due = max(due + SAMPLE_SECONDS, monotonic())
            stop.wait(due - monotonic())

    def run_once(self) -> None:
        """Look once; engines that are away are logged."""
        is_slow_turn = monotonic() - self._slowly_at >= SLOW_SECONDS
        if is_slow_turn:
            self._slowly_at = monotonic()
            _look_at_disks(self._disk_folders)
            self._look_at_redis()
        try:
            report = self._overview.read()
            if is_slow_turn:
                self._look_at_database()
        except DatabaseUnavailable as error:
            self.latest = None
            self._show(None)
            _forget()
            log.warning("overview_unreadable", reason=str(error))
            return
        self.latest = report
        self._show(report)
        _tell(report)

    def _look_at_database(self) -> None:
        with closing(self._connect()) as session, postgres.transaction(session) as connection:
            letters = connection.execute(_QUERIES["dead_letters"]).fetchall()
            found = connection.execute(_QUERIES["slots"]).fetchall()
            unreadable = _unreadable(connection)
            sessions = connection.execute(_QUERIES["sessions"]).fetchall()
            ((oldest_seconds,),) = connection.execute(_QUERIES["transactions"]).fetchall()
        _tell_letters(letters)
        catalogue.SLOT_RETAINED.replace({(name,): size for name, size, _ in found})
        catalogue.SLOT_LOST.replace({(name,): lost for name, _, lost in found} | unreadable)
        catalogue.POSTGRES_SESSIONS.replace({(state,): count for state, count in sessions})
        catalogue.TRANSACTION_OLDEST.set(oldest_seconds)

    def _look_at_redis(self) -> None:
        try:
            with self._open_gate() as gate:
                _tell_redis(gate)
        except GateUnavailable:
            catalogue.REDIS_UP.set(0)
            for gauge in catalogue.OF_REDIS:
                gauge.replace({})


def _tell_letters(found: Sequence[tuple[str, str, int]]) -> None:
    """Tell of dead letters by reason and state; the table counts what the command line decides."""
    catalogue.DEAD_LETTERS.replace({(reason, state): n for reason, state, n in found})
    for state in (State.REDRIVEN, State.DISCARDED):
        decided = sum(count for _, each, count in found if each == state)
        catalogue.DEAD_LETTERS_DECIDED.of(state.lower()).value = decided


def _look_at_disks(folders: Sequence[Path]) -> None:
    free: dict[Labels, float] = {}
    size: dict[Labels, float] = {}
    for folder in folders:
        try:
            seen = shutil.disk_usage(folder)
        except OSError as error:
            log.warning("disk_unreadable", folder=str(folder), reason=str(error))
            continue
        free[(str(folder),)], size[(str(folder),)] = seen.free, seen.total
    catalogue.DISK_FREE.replace(free)
    catalogue.DISK_SIZE.replace(size)


def _unreadable(connection: postgres.Connection) -> dict[Labels, float]:
    """Return 1 for each slot that was made for a relay and that none can read: it may be gone."""
    made = slots.made(connection)
    return {(name,): 1 for name, mode in made if not slots.look(connection, name, mode).usable}


def _tell_redis(gate: GateSession) -> None:
    server = info(gate.call("INFO"))
    catalogue.REDIS_UP.set(1)
    catalogue.REDIS_MEMORY.set(float(server["used_memory"]))
    bound = float(server.get("maxmemory", 0)) or float(server.get("total_system_memory", 0))
    catalogue.REDIS_MEMORY_MAX.set(bound)
    catalogue.REDIS_CLIENTS.set(float(server["connected_clients"]))
    catalogue.REDIS_WRITES.set(server.get("aof_last_write_status", "ok") == "ok")


def _tell(report: OverviewReport) -> None:
    catalogue.SAMPLED_AT.set(time())
    catalogue.DATABASE_UP.set(1)
    catalogue.LAG_RECORDS.replace(_known(report.lag_records))
    catalogue.LAG_SECONDS.replace(_known(report.lag_seconds))
    catalogue.LAG_CLAIMS.replace(_known(report.under_way))
    catalogue.OUTBOX_EVENTS.set(report.outbox.events)
    catalogue.OUTBOX_SECONDS.set(report.outbox.oldest_seconds)
    positions: dict[Labels, float] = {}
    left: dict[Labels, float] = {}
    for each in report.campaigns:
        number = str(each.campaign_id)
        for status, count in _by_status(each).items():
            positions[number, status] = count
        if each.stock_left is not None:
            left[(number,)] = each.stock_left
    catalogue.POSITIONS.replace(positions)
    catalogue.STOCK_LEFT.replace(left)
    gates = [each for each in report.campaigns if each.gate.state is not GateState.NONE]
    catalogue.GATE_OPEN.replace(
        {(str(each.campaign_id),): each.gate.state is GateState.OPEN for each in gates}
    )
    catalogue.GATE_EPOCH.replace(
        {(str(each.campaign_id),): each.gate.epoch for each in gates if each.gate.epoch is not None}
    )


def _by_status(campaign: CampaignOverview) -> dict[str, int]:
    found = {
        "ISSUED": campaign.issued,
        "UNDER_REVIEW": campaign.under_review,
        "CANCELLED": campaign.cancelled,
    }
    if campaign.under_way is not None:
        found["REQUESTED"] = campaign.under_way
    return found


def _known(value: float | None) -> dict[Labels, float]:
    return {} if value is None else {(): value}


def _forget() -> None:
    """Tell nothing that was true a moment ago."""
    catalogue.DATABASE_UP.set(0)
    for gauge in catalogue.OF_THE_DROP:
        gauge.replace({})
