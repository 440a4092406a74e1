"""The report of recorders that come and go. Pure."""

from collections.abc import Sequence

from firstcome.bench.origin import Origin
from firstcome.drill.incident_report import table
from firstcome.drill.scaling import LINK_SECONDS, QUICK, Cycled, Drained

INTRO = f"""
A lag grows before one recorder that stands still, then it may work: once alone, once with the
autoscaler, which has seen nothing of it before. Recorders reach PostgreSQL through a link that
holds everything up for {LINK_SECONDS * 1000:.0f} ms each way, in small transactions, so that
waiting is the limit and neither the database nor the CPUs of the machine; beside that the settings
are the defaults, but for a short cooldown ({", ".join(f"`{k}={v}`" for k, v in QUICK.items())}).
Then recorders come and go by hand under load, again and again, without link and by default
settings. Every answer of every request was held against the rows, and all laws were checked.
""".strip()


def speedup(drained: Sequence[Drained]) -> float:
    """Return how many times as fast the last one was as the first."""
    first, *_, last = drained
    return first.drained_seconds / max(0.001, last.drained_seconds)


def held(drained: Sequence[Drained], cycled: Cycled) -> bool:
    """Whether no law was broken, recorders came in time, and those that came left again."""
    last = drained[-1]
    lawful = not _violations(drained, cycled)
    in_time = last.added_seconds is not None and last.added_seconds <= 10.0
    return lawful and in_time and last.recorders_end == 1 and speedup(drained) >= 1.5


def page(day: str, drained: Sequence[Drained], cycled: Cycled, origin: Origin) -> str:
    """Return the report in Markdown."""
    violations = _violations(drained, cycled)
    load = drained[0].load
    rows = [
        (
            each.name,
            f"{each.lag_records:,}",
            f"{each.drained_seconds:.1f} s",
            _seconds(each.added_seconds),
            _seconds(each.ready_seconds),
            str(each.recorders_max),
            str(each.recorders_end),
            str(len(each.violations)),
        )
        for each in drained
    ]
    heads = ("with", "lag in records", "gone after", "more wanted after", "more ready after")
    under = cycled.load
    return (
        "\n\n".join(
            [
                f"# Recorders that come and go, {day}",
                INTRO,
                f"Measured at {origin.said()}.",
                f"**{_verdict(drained, cycled)}** Violations: {len(violations)}.",
                "## A lag",
                f"{load.rate * load.seconds:,.0f} claims within {load.seconds:.0f} s, "
                f"seed {load.seed}.",
                table((*heads, "recorders at most", "in the end", "violations"), rows),
                f"With the autoscaler the lag was gone {speedup(drained):.1f} times as fast.",
                "## Cycles",
                f"{cycled.cycles} times from one recorder to two or more (at most 6) and back, "
                f"{cycled.under_load} of them within {under.seconds:.0f} s of {under.rate:,.0f} "
                f"requests a second, seed {under.seed}: {cycled.came} recorders came, "
                f"{cycled.left} left. The slowest came within {cycled.slowest_come_seconds:.1f} s "
                f"and left within {cycled.slowest_leave_seconds:.1f} s. "
                f"Violations: {len(cycled.violations)}.",
                *(f"- {said}" for said in violations),
            ]
        )
        + "\n"
    )


def _violations(drained: Sequence[Drained], cycled: Cycled) -> list[str]:
    return [said for each in drained for said in each.violations] + cycled.violations


def _verdict(drained: Sequence[Drained], cycled: Cycled) -> str:
    is_held = held(drained, cycled)
    return "Everything was as promised." if is_held else "Not everything was as promised."


def _seconds(passed: float | None) -> str:
    return "never" if passed is None else f"{passed:.1f} s"
