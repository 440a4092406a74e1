"""The ledger of long runs: one line of JSON each, and the page that is made from all of them.

    <folder>/faults.jsonl   one Entry a line, oldest first; only ever added to
    <folder>/faults.md      the page, written anew

It names no path and no host of the machine.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from firstcome.bench.origin import commit
from firstcome.drill.history import IN_DOUBT
from firstcome.drill.leg import Outcome
from firstcome.drill.nemesis import Struck
from firstcome.model import Engine
from firstcome.settings import RelayMode

PATH = re.compile(r"(?<![\w/:])/(?:[^\s/'\"]+/)+([^\s/'\"]*)")
HEAD = """<!-- Written by `firstcome drill faults --ledger`. Do not edit. -->

# Runs with faults

Each run is one `firstcome drill faults`: a stack of its own with default settings and two api
processes, a crowd, and a seeded schedule of faults, one after another and in overlapping pairs. A
fault counts as effective only if at least 100 claims a second succeeded in the five seconds before
it, claims were under way as it hit, it has proven that it hit, and no proof failed as it healed
(runs that tell of no bad tokens are older than this last rule). At the end every answer that a
client heard is held against the rows, and `firstcome verify` checks all laws.

Time to the final status is judged in classes, each with its bound in brackets: without a fault near
it, p99; under any single fault of at most 30 s, each claim, from its promise; under a longer one,
each claim, from the end of the fault. Whoever met several short faults, one after the other or at
once, has as long as one of them was loose in addition. Runs before these classes tell of `under
faults`, in seconds from the promise.
"""


class Entry(msgspec.Struct):
    """One run."""

    at: str
    seed: int
    commit: str
    minutes: float
    rate: float
    environment: dict[str, str]
    effective: int
    others: int
    matrix: dict[str, dict[str, int]]  # kind -> target -> effective faults
    not_counted: dict[str, int]
    claims: int  # one for each user of a campaign, however often he asked
    requests: int  # that claimed
    requests_by_answer: dict[str, int]
    looks: int
    unknown_share: float
    waits: list[dict[str, dict[str, float]]]
    resumed_seconds_max: float
    violations: list[str]
    engine: str = Engine.KAFKA
    relay: RelayMode = "polling"
    brokers: int = 1
    intrusions: int | None = None  # None: a run from before anybody tried

    @classmethod
    def of(
        cls,
        seed: int,
        rate: float,
        legs: Sequence[Outcome],
        *,
        engine: Engine = Engine.KAFKA,
        relay: RelayMode = "polling",
        brokers: int = 1,
    ) -> "Entry":
        """Sum up the legs of a run."""
        struck = [each for leg in legs for each in leg.struck]
        matrix: dict[str, dict[str, int]] = {}
        for each in struck:
            if each.is_effective:
                targets = matrix.setdefault(each.kind, {})
                targets[each.target] = targets.get(each.target, 0) + 1
        effective = sum(each.is_effective for each in struck)
        requests = sum((Counter(leg.claims) for leg in legs), Counter[str]())
        doubtful = sum(requests[code] for code in IN_DOUBT)
        return cls(
            at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            seed=seed,
            commit=commit(),
            minutes=round(sum(leg.seconds for leg in legs) / 60, 1),
            rate=rate,
            environment=legs[0].environment if legs else {},
            effective=effective,
            others=len(struck) - effective,
            matrix=matrix,
            not_counted=dict(Counter(_reason(each) for each in struck if not each.is_effective)),
            claims=sum(leg.claimants for leg in legs),
            requests=requests.total(),
            requests_by_answer=dict(requests.most_common()),
            looks=sum(leg.looks for leg in legs),
            unknown_share=round(doubtful / max(1, requests.total()), 5),
            waits=[leg.waits for leg in legs],
            resumed_seconds_max=round(max(leg.resumed_seconds_max for leg in legs), 1),
            violations=[
                f"seed {leg.seed}: {pathless(said)}" for leg in legs for said in leg.violations
            ],
            engine=engine,
            relay=relay,
            brokers=brokers,
            intrusions=sum(leg.intrusions for leg in legs),
        )


class Ledger:
    """The two files in one folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = folder / "faults.jsonl"
        self._page = folder / "faults.md"

    def append(self, entry: Entry) -> None:
        """Add a run, and write the page anew."""
        with self._lines.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")
        lines = self._lines.read_bytes().splitlines()
        self._page.write_text(page([msgspec.json.decode(line, type=Entry) for line in lines]))


def page(entries: Sequence[Entry]) -> str:
    """Return the page of all runs, the latest first."""
    return "\n".join([HEAD, *(section(entry) for entry in reversed(entries))])


def section(entry: Entry) -> str:
    """Return one run's part of the page."""
    facts = {
        "engine": f"{entry.engine}, events by {entry.relay}"
        + (f", {entry.brokers} brokers" if entry.brokers > 1 else ""),
        "commit": entry.commit,
        "machine": ", ".join(f"{name} {value}" for name, value in entry.environment.items()),
        "time": f"{entry.minutes:g} minutes, {entry.rate:g} visitors a second",
        "faults": f"{entry.effective} effective, {entry.others} not counted",
        "claims": f"{entry.claims:,}, in {entry.requests:,} requests; {entry.looks:,} status reads",
        "answers in doubt": f"{entry.unknown_share:.2%} of the requests",
        **(
            {}
            if entry.intrusions is None
            else {"bad tokens": f"{entry.intrusions:,} requests that nobody may let in"}
        ),
        "claims flowed again": f"at the latest after {entry.resumed_seconds_max:g} s",
        "outcome": f"{len(entry.violations)} violations" if entry.violations else "every law held",
    }
    targets = sorted({target for row in entry.matrix.values() for target in row})
    lines = [f"## {entry.at}, seed {entry.seed}\n", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += [
        "",
        "Seconds from the 202 to the final status that its owner saw, unless said otherwise; "
        "from the gate to the row:\n",
    ]
    lines += ["| | claims | p50 | p99 | longest |", "| --- | --- | --- | --- | --- |"]
    for leg in entry.waits:
        for name, row in leg.items():
            figures = " | ".join(f"{row[each]:g}" for each in ("count", "p50", "p99", "max"))
            lines.append(f"| {name} | {figures} |")
    lines += ["", "Effective faults:\n", f"| | {' | '.join(targets)} |"]
    lines.append(f"| --- |{' --- |' * len(targets)}")
    for kind, counts in sorted(entry.matrix.items()):
        cells = (str(counts.get(target, "")) for target in targets)
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    lines += [f"\n- {violation}" for violation in entry.violations]
    return "\n".join(lines) + "\n"


def text(entry: Entry) -> str:
    """Return a run for a terminal."""
    lines = [
        f"seed {entry.seed}, {entry.minutes:g} minutes",
        f"faults: {entry.effective} effective, {entry.others} not counted {entry.not_counted}",
    ]
    for kind, row in sorted(entry.matrix.items()):
        counted = ", ".join(f"{target} {count}" for target, count in sorted(row.items()))
        lines.append(f"  {kind:16} {counted}")
    lines.append(f"claims: {entry.claims:,}, in {entry.requests:,} requests")
    lines.append(f"  in doubt {entry.unknown_share:.2%}; {entry.requests_by_answer}")
    lines.append(f"requests with bad tokens: {entry.intrusions or 0:,}")
    for leg in entry.waits:
        lines += [f"seconds until final, {name}: {row}" for name, row in leg.items()]
    lines.append(f"claims flowed again after {entry.resumed_seconds_max:g} s at the latest")
    lines += entry.violations or ["every law held"]
    return "\n".join(lines)


def pathless(text: str) -> str:
    """Return a text with the last names of the paths in it only."""
    return PATH.sub(lambda match: match[1], text)


def _reason(struck: Struck) -> str:
    if struck.unhealed:
        return "ended in a violation"
    if not struck.evidence:
        return "did not hit"
    if struck.missed:
        return "its proof failed as it healed"
    return "too few claims before it" if struck.under_way else "no claim under way"
