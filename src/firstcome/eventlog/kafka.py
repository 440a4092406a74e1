"""Append records to the log, and know whether the broker is there.

Path: issuance.intake -> [eventlog.kafka] -> issuance.recorder

A record counts as appended when its delivery report says so, and only then. A
report of failure proves nothing: the record may be in the log all the same.
Only a refusal by append() itself is certain. The broker counts as away from when a
record has waited too long for its report, or has failed; it is back when nothing
old is owed and a heartbeat, appended later, was acknowledged.

Everything runs on the event loop: while reports are owed, librdkafka is polled
once a millisecond, which costs the same as a thread and needs no hand-over.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from time import monotonic

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from firstcome import failpoints
from firstcome.errors import LogUnavailable
from firstcome.eventlog import topics
from firstcome.eventlog.client_errors import is_fatal
from firstcome.logs import get_logger
from firstcome.metrics import catalogue
from firstcome.settings import IntakeSettings, KafkaSettings

Report = Callable[[bool], None]  # True: the broker has the record
POLL_SECONDS = 0.001
WATCH_SECONDS = 0.05
# A producer that is away for so long is replaced, again and again: one that met a broker which had
# lost acknowledged records was never taken back (seen with librdkafka 2.16).
RENEW_SECONDS = 10.0
HEADERS: list[tuple[str, str | bytes | None]] = [
    ("ce_specversion", b"1.0"),
    ("ce_type", b"firstcome.issuance-requested.v1"),
    ("ce_source", b"/firstcome/api"),
    ("content-type", b"application/json"),
]
log = get_logger()


def producer_options(settings: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Return librdkafka's options, each spelled out where its default is not what we rely on."""
    options: dict[str, str | int | float | bool] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "firstcome-api",
        "enable.idempotence": True,
        "acks": "all",
        "max.in.flight.requests.per.connection": 5,
        "linger.ms": settings.linger_ms,
        "delivery.timeout.ms": int(settings.delivery_timeout_seconds * 1000),
        "socket.timeout.ms": 10_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "queue.buffering.max.messages": settings.queue_records_max,
        "queue.buffering.max.kbytes": 262_144,
        "log_level": 3,
    }
    if settings.profile == "source":
        options |= {
            "linger.ms": 5,
            "batch.size": 16_384,
            "compression.type": "snappy",
            "delivery.timeout.ms": 120_000,
            "request.timeout.ms": 30_000,
            "retry.backoff.ms": 100,
        }
    return options


class Appender:
    """One idempotent producer. Create it in the process that uses it: forks do not inherit it."""

    def __init__(
        self, kafka: KafkaSettings, intake: IntakeSettings, on_away: Callable[[], None]
    ) -> None:
        self._kafka = kafka
        self._intake = intake
        self._on_away = on_away
        self._topic = topics.issuance_requested(kafka)
        self._producer = self._new_producer()
        self._owed: dict[int, tuple[float, Report]] = {}  # sequence -> appended at, report
        self._append_seconds = catalogue.APPEND.of()
        self._sequence = 0
        self._appended_at = 0.0
        self._polling = False
        self._task: asyncio.Task[None] | None = None
        self._renew_at = monotonic() + RENEW_SECONDS  # if it is away then
        self._heartbeat_needed = 0  # the sequence after which an acknowledgement ends `away`
        self.is_away = True  # until a first heartbeat was acknowledged

    def start(self) -> None:
        """Begin to watch the broker."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def append(self, value: bytes, report: Report) -> None:
        """Hand one record over; `report` hears once what became of it, on the event loop.

        Raises LogUnavailable(certain=True) when it was not handed over; `report` is not called.
        """
        if value:
            lost = LogUnavailable("nothing was handed over", certain=True)
            failpoints.hit("before_append", lost=lost)
        self._sequence += 1
        sequence = self._sequence
        try:
            self._producer.produce(
                self._topic, value, headers=HEADERS, on_delivery=partial(self._reported, sequence)
            )
        except (BufferError, KafkaException) as error:
            catalogue.APPEND_FAILURES.add(1, "refused")
            if is_fatal(error):
                # Not at once: whoever appends is in the middle of a batch of his own.
                asyncio.get_running_loop().call_soon(self._broken, self._producer, str(error))
            raise LogUnavailable(
                f"the record was not handed over: {error}", certain=True
            ) from error
        self._appended_at = monotonic()
        self._owed[sequence] = (self._appended_at, report)
        if not self._polling:
            self._polling = True
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)

    def oldest_seconds(self) -> float:
        """Return how long the oldest report has been owed."""
        if not self._owed:
            return 0.0
        return monotonic() - next(iter(self._owed.values()))[0]

    async def close(self, timeout_seconds: float) -> int:
        """Wait for owed reports, then stop. Returns how many never came."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        until = monotonic() + timeout_seconds
        while self._owed and monotonic() < until:
            self._serve()
            await asyncio.sleep(POLL_SECONDS)
        return len(self._owed)

    def _new_producer(self) -> Producer:
        return Producer(
            producer_options(self._kafka) | {"error_cb": self._error},
            logger=logging.getLogger("librdkafka"),
        )

    def _poll(self) -> None:
        self._serve()
        if self._owed:
            asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)
        else:
            self._polling = False

    def _serve(self) -> None:
        producer = self._producer
        try:
            producer.poll(0)
        except Exception as error:
            # Whatever a callback met, reports go on being served.
            log.exception("kafka_poll_failed")
            if is_fatal(error):
                self._broken(producer, str(error))

    def _reported(self, sequence: int, error: KafkaError | None, _: Message) -> None:
        owed = self._owed.pop(sequence, None)
        if owed is not None:
            self._append_seconds.observe(monotonic() - owed[0])
        if error is not None:
            catalogue.APPEND_FAILURES.add(1, "unknown")
            # librdkafka has tried for long, or knows that trying is no use.
            self._go_away(error.str())
        elif self.is_away and sequence > self._heartbeat_needed:
            self._maybe_back()
        if owed is not None:
            _tell(owed[1], delivered=error is None)

    def _error(self, error: KafkaError) -> None:
        # Fatal errors do not come here: the client raises them, from poll and from produce.
        log.warning("kafka_error", code=error.name(), reason=error.str(), fatal=error.fatal())

    def _broken(self, producer: Producer, reason: str) -> None:
        """Nothing can be appended through this instance any more, whatever the broker does."""
        if producer is not self._producer:
            return
        self._go_away(reason)
        owed = len(self._owed)
        try:
            self._renew()
        except Exception:
            # Whoever polls goes on polling; the next fatal error, or RENEW_SECONDS, tries again.
            log.exception("renewal_failed", reports_owed=owed)
        else:
            log.warning("producer_renewed", reports_owed=owed, reason=reason)

    def _renew(self) -> None:
        """Let a new producer take over; what the old one still owed is unknown.

        Should there be none, the broker stays away.
        """
        owed, self._owed = self._owed, {}
        catalogue.APPEND_FAILURES.add(len(owed), "unknown")
        for _, report in owed.values():
            _tell(report, delivered=False)
        self._renew_at = monotonic() + RENEW_SECONDS
        self._heartbeat_needed = self._sequence
        old, self._producer = self._producer, self._new_producer()
        # Its end waits for its threads.
        asyncio.get_running_loop().run_in_executor(None, old.purge)

    async def _watch(self) -> None:
        while True:
            try:
                self._watch_once()
            except Exception:
                # Without heartbeats nobody would notice that the broker is away.
                log.exception("watch_failed")
            await asyncio.sleep(WATCH_SECONDS)

    def _watch_once(self) -> None:
        self._serve()
        now = monotonic()
        if self.oldest_seconds() > self._intake.away_after_seconds:
            self._go_away("no acknowledgement in time")
        if self.is_away and now >= self._renew_at:
            log.warning("producer_renewed", reports_owed=len(self._owed))
            self._renew()
        if now - self._appended_at >= self._intake.heartbeat_seconds:
            try:
                self.append(b"", lambda _: None)
            except LogUnavailable as error:
                log.warning("heartbeat_refused", reason=str(error))

    def _go_away(self, reason: str) -> None:
        if self.is_away:
            return
        self.is_away = True
        self._renew_at = monotonic() + RENEW_SECONDS
        self._heartbeat_needed = self._sequence
        log.error("broker_away", reports_owed=len(self._owed), reason=reason)
        try:
            self._on_away()
        except Exception:
            log.exception("absence_mishandled")

    def _maybe_back(self) -> None:
        if self.oldest_seconds() <= self._intake.away_after_seconds:
            self.is_away = False
            log.info("broker_back")


def _tell(report: Report, *, delivered: bool) -> None:
    try:
        report(delivered)
    except Exception:
        log.exception("delivery_report_mishandled")
