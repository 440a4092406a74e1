"""What k6 said at its end, as figures of ours: its summary, and its lines about single users.

deploy/k6/claim.js writes both. A metric that never got a value is missing in the summary and
counts as zero. `iteration_ms` is k6's own iteration_duration: the time to think is in it. HTTP
times are k6's http_req_duration: without the time to connect.
"""

from collections.abc import Iterable

import msgspec

from firstcome.bench.run import K6, Distribution, Load
from firstcome.errors import Unavailable

FAULTS_TOLD = 3  # examples in the notes


class Promise(msgspec.Struct, frozen=True):
    """A user who was promised a coupon; `asked_at`: seconds since 1970."""

    user_id: str
    campaign_id: int
    position: int
    asked_at: float


class Heard(msgspec.Struct, frozen=True):
    """What k6's crowd heard. Times of day are seconds since 1970; 0: there was none.

    Users came in the order of claim.js: of n users, `len(range(c, n, campaigns))` wanted the
    campaign c.
    """

    load: Load
    users: int  # who asked, each counted once
    accepted: int  # who were promised a coupon, each counted once
    replayed: int  # answers to a repeated Idempotency-Key, also in load.served
    accepted_ms: Distribution  # HTTP, without replays
    refused_ms: Distribution
    started_at: float  # the first request
    answered_at: float  # the last answer
    accepted_at: float  # the last first answer that was a promise
    promises: list[Promise]
    cpu_seconds: float  # of k6 itself
    notes: list[str]


class _Values(msgspec.Struct, frozen=True):
    count: float = 0
    avg: float | None = None
    min: float | None = None
    med: float | None = None
    max: float | None = None
    p90: float | None = msgspec.field(default=None, name="p(90)")
    p95: float | None = msgspec.field(default=None, name="p(95)")
    p99: float | None = msgspec.field(default=None, name="p(99)")

    def distribution(self) -> Distribution:
        """Return it without values where nothing was measured: k6 says zeros then."""
        if not self.count:
            return Distribution(0)
        parts = (self.avg, self.min, self.med, self.max, self.p90, self.p95, self.p99)
        return Distribution(
            int(self.count), *(None if part is None else round(part, 3) for part in parts)
        )


class _Threshold(msgspec.Struct, frozen=True):
    ok: bool


class _Metric(msgspec.Struct, frozen=True):
    values: _Values
    thresholds: dict[str, _Threshold] = {}


class Summary(msgspec.Struct, frozen=True):
    """The document of k6's handleSummary, as far as it is used."""

    metrics: dict[str, _Metric]

    @classmethod
    def read(cls, content: bytes) -> "Summary":
        """Raises Unavailable for anything but a summary with requests in it."""
        try:
            summary = msgspec.json.decode(content, type=cls)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"k6 ended, but its summary cannot be read ({error}): what it sent stays with "
                "the stack and is not judged; is `firstcome[bench]` installed as pinned?"
            ) from error
        if not summary.count("http_reqs"):
            raise Unavailable("k6 ended without a single request: there is nothing to judge")
        return summary

    def heard(
        self, lines: Iterable[str], requests_per_second_max: float | None, cpu_seconds: float
    ) -> Heard:
        """Return everything; `lines` are what the scripts wrote to the console."""
        promises, faults = told(lines)
        clock = self._values("clock")
        return Heard(
            load=self.load(requests_per_second_max),
            users=self.count("users"),
            accepted=self.count("accepted"),
            replayed=self.count("replayed"),
            accepted_ms=self._values("served_duration").distribution(),
            refused_ms=self._values("refused_duration").distribution(),
            started_at=(clock.min or 0.0) / 1000,
            answered_at=(clock.max or 0.0) / 1000,
            accepted_at=(self._values("accepted_clock").max or 0.0) / 1000,
            promises=promises,
            cpu_seconds=cpu_seconds,
            notes=[*self.notes(), *faults],
        )

    def load(self, requests_per_second_max: float | None) -> Load:
        """Return what was sent and heard, from the first request to the last answer."""
        clock, vus = self._values("clock"), self._values("vus")
        seconds = round(((clock.max or 0.0) - (clock.min or 0.0)) / 1000, 3)
        requests = self.count("http_reqs")
        # Looks may miss the best second of a short run; it had at least the average.
        least = round(requests / max(1.0, seconds), 1)
        return Load(
            generator=K6,
            seconds=seconds,
            requests=requests,
            served=self.count("served"),
            refused=self.count("refused"),
            overloaded=self.count("overloaded"),
            faults=self.count("faults"),
            http_ms=self._values("http_req_duration").distribution(),
            iteration_ms=self._values("iteration_duration").distribution(),
            requests_per_second_max=max(requests_per_second_max or 0.0, least),
            virtual_users_min=int(vus.min or 0),
            # k6 looks once a second; a shorter run has only those that were prepared.
            virtual_users_max=int(vus.max or self._values("vus_max").max or 0),
            bytes_sent=self.count("data_sent"),
            bytes_received=self.count("data_received"),
        )

    def notes(self) -> list[str]:
        """Return what a reader of the figures has to know."""
        found = [
            f"k6: threshold {name} {rule} was crossed"
            for name, metric in sorted(self.metrics.items())
            for rule, threshold in metric.thresholds.items()
            if not threshold.ok
        ]
        if dropped := self.count("dropped_iterations"):
            found.append(f"k6: {dropped} users did not get to ask: no virtual user was free")
        counts = [self.count(name) for name in ("served", "refused", "overloaded", "faults")]
        if sum(counts) != self.count("http_reqs"):
            asked = self.count("http_reqs")
            found.append(f"k6: {asked} requests, but {sum(counts)} answers were counted")
        return found

    def count(self, name: str) -> int:
        """Return a counter's value."""
        return int(self._values(name).count)

    def _values(self, name: str) -> _Values:
        metric = self.metrics.get(name)
        return metric.values if metric else _Values()


def told(lines: Iterable[str]) -> tuple[list[Promise], list[str]]:
    """Return the promises, and notes of the first faults, of the scripts' console lines."""
    promises: list[Promise] = []
    faults: list[str] = []
    for line in lines:
        what, _, rest = line.strip().partition(" ")
        if what == "promise":
            user_id, campaign_id, position, asked_ms = rest.split()
            promises.append(Promise(user_id, int(campaign_id), int(position), int(asked_ms) / 1000))
        elif what == "fault" and len(faults) < FAULTS_TOLD:
            faults.append(f"k6: fault: {rest}")
    return promises, faults
