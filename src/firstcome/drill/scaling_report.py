"""The report of recorders that come and go. Pure."""

from collections.abc import Mapping, Sequence

from firstcome.bench.origin import Origin
from firstcome.drill.incident_report import table
from firstcome.drill.scaling import HASTY, LINK_SECONDS, SMALL, Cycled, Drained


def said(settings: Mapping[str, str]) -> str:
    """Return variables as a sentence names them."""
    return ", ".join(f"`{name}={value}`" for name, value in settings.items())


INTRO = f"""
A lag grows before one recorder that stands still, then it may work: once alone, once with the
autoscaler, which has seen nothing of it before.

- *Far*: recorders reach PostgreSQL through a link that holds everything up for
  {LINK_SECONDS * 1000:.0f} ms each way, in small transactions ({said(SMALL)}).
  Waiting is the limit, which more recorders share. Judged: more recorders are wanted within 10 s,
  and the lag is gone at least 1.5 times as fast.
- *Near*: no link, and transactions of the default size. The CPUs of this machine, which engines
  and recorders share, are the limit as far as they are busy; more recorders only compete for them.
  Its speed is told, not judged.

Beside that the settings are the defaults, but for a short cooldown ({said(HASTY)}).
Then recorders come and go by hand under load, again and again, without link and by default
settings. Every answer of every request was held against the rows, and all laws were checked.
""".strip()


def speedup(drained: Sequence[Drained]) -> float:
    """Return how many times as fast the last one was as the first."""
    first, *_, last = drained
    return first.drained_seconds / max(0.001, last.drained_seconds)


def held(far: Sequence[Drained], near: Sequence[Drained], cycled: Cycled) -> bool:
    """Whether no law was broken, recorders came in time and left again, every cycle under load."""
    last = far[-1]
    lawful = not _violations([*far, *near], cycled)
    in_time = last.added_seconds is not None and last.added_seconds <= 10.0
    left = {each.recorders_end for each in (*far, *near)} == {1}
    loaded = cycled.under_load == cycled.cycles
    return lawful and in_time and left and loaded and speedup(far) >= 1.5


def page(
    day: str, far: Sequence[Drained], near: Sequence[Drained], cycled: Cycled, origin: Origin
) -> str:
    """Return the report in Markdown."""
    violations = _violations([*far, *near], cycled)
    load = far[0].load
    rows = [
        (
            place,
            each.name,
            f"{each.lag_records:,}",
            f"{each.drained_seconds:.1f} s",
            _seconds(each.added_seconds),
            _seconds(each.ready_seconds),
            str(each.recorders_max),
            str(each.recorders_end),
            f"{each.busy_share:.0%}",
            str(len(each.violations)),
        )
        for place, drained in (("far", far), ("near", near))
        for each in drained
    ]
    heads = (
        "database",
        "with",
        "lag in records",
        "gone after",
        "more wanted after",
        "more ready after",
    )
    under = cycled.load
    return (
        "\n\n".join(
            [
                f"# Recorders that come and go, {day}",
                INTRO,
                f"Measured at {origin.said()}.",
                f"**{_verdict(far, near, cycled)}** Violations: {len(violations)}.",
                "## A lag",
                f"{load.coupons:,} claims within {load.seconds:.0f} s, seed {load.seed}.",
                table((*heads, "recorders at most", "in the end", "CPUs busy", "violations"), rows),
                f"With the autoscaler the lag was gone {speedup(far):.1f} times as fast from far, "
                f"{speedup(near):.1f} times from near.",
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


def _verdict(far: Sequence[Drained], near: Sequence[Drained], cycled: Cycled) -> str:
    is_held = held(far, near, cycled)
    return "Everything was as promised." if is_held else "Not everything was as promised."


def _seconds(passed: float | None) -> str:
    return "never" if passed is None else f"{passed:.1f} s"
