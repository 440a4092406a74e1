"""What the gate holds, against the rows: numbers, journal, users, settled bits, the sum.

Laws L1, L2, L5, L6 and L7 where they need Redis. The database was read before, so a row
that is there has its place here; what was admitted since is known from the journal, which
one atomic step writes together with the place.
"""

from collections.abc import Iterator
from typing import NamedTuple, cast

from firstcome.errors import GateUnavailable
from firstcome.gate import keys
from firstcome.gate.journal import Journal
from firstcome.gate.session import GateSession
from firstcome.laws.claims import Claims
from firstcome.laws.findings import Findings
from firstcome.laws.rows import CANCELLED, ISSUED, NONE, UNDER_REVIEW, CampaignRows, Snapshot
from firstcome.model import ATTEMPT_MAX, CampaignId, UserId

LIVE = frozenset({ISSUED, UNDER_REVIEW})
CLAIMS_READ = 10_000  # of the journal at a time
BUCKETS_READ = 200  # of one round trip
SETTLED_BYTES_READ = 65_536  # of one call: 262,144 positions
# byte -> the settled bits of its four positions, the first one in the highest bits
UNPACKED = [bytes((byte >> shift) & 3 for shift in (6, 4, 2, 0)) for byte in range(256)]
ODD_MAX = 10_000  # places kept for a closer look; more than that is a gate to rebuild


class GateFacts(NamedTuple):
    """The gate's own hash. Times are milliseconds since 1970; None means no bound."""

    epoch: int
    version: int
    state: str
    opens_at: int | None
    closes_at: int | None
    buckets: int
    position_last: int
    position_limit: int


def read_gate(session: GateSession, rows: CampaignRows) -> GateFacts:
    """Return the numbers of an open gate. Raises GateUnavailable while it is shut or not loaded."""
    campaign_id = CampaignId(rows.campaign_id)
    names = ("epoch", *GateFacts._fields[1:])
    reply = session.call("HMGET", keys.gate(campaign_id), *names)
    field, *values = [None if one is None else one.decode() for one in cast(list[bytes], reply)]
    opened = keys.split_epoch_field(field or "")
    if opened != (rows.facts.epoch, session.run_id):
        state = "not loaded" if field is None else "shut" if opened is None else f"at epoch {field}"
        raise GateUnavailable(
            f"the gate of campaign {campaign_id} is {state}, the database at epoch "
            f"{rows.facts.epoch}: a rebuild is under way or needed, so the laws cannot be judged. "
            "Wait for it, or look at the sweeper's log lines"
        )
    version, state, opens_at, closes_at, buckets, last, limit = (one or "" for one in values)
    times = [int(one) if one else None for one in (opens_at, closes_at)]
    numbers = [int(one or 0) for one in (buckets, last, limit)]
    return GateFacts(rows.facts.epoch, int(version or 0), state, *times, *numbers)  # type: ignore[arg-type]


class Places:
    """One campaign's gate in one pass."""

    def __init__(
        self, session: GateSession, snapshot: Snapshot, rows: CampaignRows, findings: Findings
    ) -> None:
        self._session = session
        self._snapshot = snapshot
        self._rows = rows
        self._findings = findings
        self._campaign_id = CampaignId(rows.campaign_id)
        self._epoch = rows.facts.epoch
        # 1 where the gate holds the position for the user of its live row.
        self._held = bytearray()

    def check(self, claims: Claims, last_before: int) -> None:
        """Check everything; `last_before` is the gate's last position before the rows were read."""
        gate = read_gate(self._session, self._rows)
        self._rows.grow(gate.position_last)
        self._check_numbers(gate)
        self._check_journal(claims)
        self._check_users(gate)
        self._check_settled()
        last = read_gate(self._session, self._rows).position_last
        check_rest(self._rows, gate.position_last, self._snapshot, self._findings)
        if last == last_before:
            check_sum(self._rows, gate.position_limit - last, self._findings)
        else:
            note = f"campaign {self._campaign_id} was admitting: its sum was not judged"
            self._findings.note("L6", note)

    def _check_numbers(self, gate: GateFacts) -> None:
        facts, broken, number = self._rows.facts, self._findings.broken, self._campaign_id
        self._findings.checked["L6"] += 1
        if gate.position_last > gate.position_limit:
            limits = f"Last {gate.position_last}, limit {gate.position_limit}."
            broken("GATE_LAST_BEYOND_LIMIT", number, detail=limits)
        versions = f"Gate {gate.version}, database {facts.version}."
        limits = f"Gate {gate.position_limit}, database {facts.position_limit}."
        if gate.version < facts.version:
            broken("MIRROR_BEHIND", number, detail=versions)
        elif gate.version > facts.version:
            broken("MIRROR_AHEAD", number, detail=versions)
        elif gate[2:5] != (facts.state, facts.opens_at, facts.closes_at):
            broken("MIRROR_DIFFERS", number, detail=f"The gate: {gate[2:5]}.")
        if gate.position_limit > facts.position_limit:
            broken("GATE_LIMIT_HIGHER", number, detail=limits)
        elif gate.position_limit < facts.position_limit and gate.version == facts.version:
            broken("GATE_LIMIT_LOWER", number, detail=limits)

    def _check_journal(self, claims: Claims) -> None:
        journal = Journal(self._session, self._campaign_id, self._epoch)
        after, name = 0, keys.journal(self._campaign_id, self._epoch)
        while entries := journal.read(after, None, CLAIMS_READ):
            for entry in entries:
                first, users, _, requested_at = entry
                where = f"Entry {first}-0 of {name}."
                claims.check_batch(self._rows, self._epoch, first, users, requested_at, where)
            after = entries[-1].first_position

    def _check_users(self, gate: GateFacts) -> None:
        rows = self._rows
        live = rows.marked(LIVE)
        held = self._held = bytearray(len(live))
        odd: list[tuple[str, int]] = []
        for bucket, name, value in self._places(gate.buckets):
            user = name.decode()
            position = value if value > 0 else -value // (ATTEMPT_MAX + 1)
            if keys.bucket_of(UserId(user), gate.buckets) != bucket:
                at = (self._campaign_id, position, user)
                self._findings.broken("USER_IN_WRONG_BUCKET", *at, f"It is in bucket {bucket}.")
            if position < rows.size and live[position] and rows.marks[position] == hash(user):
                held[position] = 1
            elif len(odd) < ODD_MAX:
                odd.append((user, position))
            self._findings.checked["L6"] += 1
        # Places given while the buckets were read are newer than the gate's numbers.
        last = read_gate(self._session, rows).position_last
        for user, position in odd:
            self._judge_place(user, position, last)
        if held != live:
            for position in range(rows.size):
                if live[position] and not held[position]:
                    user_id = self._snapshot.user_at(self._campaign_id, position)
                    self._findings.broken("NOT_IN_GATE", self._campaign_id, position, user_id)

    def _places(self, buckets: int) -> Iterator[tuple[int, bytes, int]]:
        prefix = keys.users_prefix(self._campaign_id, self._epoch)
        for start in range(0, buckets, BUCKETS_READ):
            numbers = range(start, min(start + BUCKETS_READ, buckets))
            replies = self._session.pipeline([("HGETALL", f"{prefix}{one}") for one in numbers])
            for bucket, reply in zip(numbers, replies, strict=True):
                if isinstance(reply, Exception):
                    raise GateUnavailable(f"Redis refused to read {prefix}{bucket}: {reply}")
                flat = cast(list[bytes], reply)
                for index in range(0, len(flat), 2):
                    yield bucket, flat[index], int(flat[index + 1])

    def _judge_place(self, user: str, position: int, last: int) -> None:
        """Say what is wrong with a place that no live row of its user stands for."""
        rows, at = self._rows, (self._campaign_id, position, user)
        status = rows.status_at(position)
        if position > last:
            self._findings.broken("PLACE_BEYOND_LAST", *at)
        elif status == CANCELLED:
            self._findings.broken("NOT_RELEASED", *at)
        elif status != NONE:
            kind = "PLACE_HELD_TWICE" if self._held[position] else "PLACE_OF_ANOTHER"
            self._findings.broken(kind, *at)
        elif (position, user) not in rows.set_aside and not rows.waits(position, user):
            rows.forgotten.add(position)
            where = "The gate holds the place, the journal does not know it any more."
            self._findings.broken("FORGOTTEN", *at, where)

    def _check_settled(self) -> None:
        start, rows = 0, self._rows
        name = keys.settled(self._campaign_id, self._epoch)
        while True:
            end = start + SETTLED_BYTES_READ
            packed = cast(bytes, self._session.call("GETRANGE", name, start, end - 1))
            bits = b"".join(map(UNPACKED.__getitem__, packed))
            if len(packed) < SETTLED_BYTES_READ:
                bits = bits.ljust(rows.size - start * 4, b"\0")
            statuses = rows.statuses[start * 4 : start * 4 + len(bits)].ljust(len(bits), b"\0")
            if bits != statuses:
                for offset, (told, status) in enumerate(zip(bits, statuses, strict=True)):
                    if told != status:
                        self._judge_settled(start * 4 + offset, told, status)
            self._findings.checked["L7"] += len(bits)
            if len(packed) < SETTLED_BYTES_READ:
                return
            start = end

    def _judge_settled(self, position: int, told: int, status: int) -> None:
        if told == NONE and self._rows.recent[position]:
            return
        kind = "SETTLED_CONTRADICTS"
        if status == NONE:
            kind = "SETTLED_WITHOUT_ROW"
        elif told in (NONE, UNDER_REVIEW):
            kind = "SETTLED_BEHIND"
        user = self._snapshot.user_at(self._campaign_id, position)
        names = ("nothing", "ISSUED", "UNDER_REVIEW", "CANCELLED")
        said = f"The gate says {names[told]}, the row {names[status]}."
        self._findings.broken(kind, self._campaign_id, position, user, said)


def check_rest(rows: CampaignRows, last: int, snapshot: Snapshot, findings: Findings) -> None:
    """L5 and L6: every position up to the last has a row or is claimed, none beyond has one."""
    findings.checked["L5"] += last
    position = rows.statuses.find(NONE, 1, last + 1)
    while position > 0:
        if not rows.under_way[position] and position not in rows.forgotten:
            findings.broken("HOLE", rows.campaign_id, position)
        position = rows.statuses.find(NONE, position + 1, last + 1)
    for position in range(last + 1, rows.row_last() + 1):
        if rows.statuses[position]:
            user = snapshot.user_at(rows.campaign_id, position)
            beyond = f"The last position given is {last}."
            findings.broken("ROW_BEYOND_LAST", rows.campaign_id, position, user, beyond)


def check_sum(rows: CampaignRows, available: int, findings: Findings) -> None:
    """L6 at rest: every coupon of the stock is somewhere."""
    live = rows.counts[ISSUED] + rows.counts[UNDER_REVIEW]
    under_way = rows.size - rows.under_way.count(0)
    if live + under_way + available != rows.facts.stock:
        numbers = (
            f"{rows.counts[ISSUED]} issued, {rows.counts[UNDER_REVIEW]} under review, "
            f"{under_way} under way, {available} available; stock {rows.facts.stock}."
        )
        findings.broken("SUM_DIFFERS", rows.campaign_id, detail=numbers)


def check_journals(session: GateSession, snapshot: Snapshot, findings: Findings) -> None:
    """L6: no journal is left of an epoch that never began."""
    cursor = b"0"
    while True:
        reply = session.call("SCAN", cursor, "MATCH", "fc:{*}:*:journal", "COUNT", 1000)
        cursor, names = cast(tuple[bytes, list[bytes]], reply)
        for name in names:
            parts = name.decode().split(":")
            rows = snapshot.campaigns.get(int(parts[1].strip("{}")))
            if rows is not None and int(parts[2]) not in rows.fences:
                left = f"The key is {name.decode()}."
                findings.broken("JOURNAL_OF_UNKNOWN_EPOCH", rows.campaign_id, detail=left)
        if cursor == b"0":
            return
