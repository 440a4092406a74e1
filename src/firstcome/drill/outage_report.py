"""The report of outages: what was promised for each, and what was seen. Pure."""

from collections.abc import Sequence

from firstcome.bench.origin import Origin
from firstcome.drill.incident_report import table
from firstcome.drill.outages import Outage

INTRO = """
Each outage on a real stack with default settings, under a steady crowd of `firstcome drop`'s
generator. The supervisor, who starts again whatever dies, stands still while the engine has to
stay away. Every answer of every request was kept; a single one that is not as promised breaks
its line. Moments count from the start of the load. An engine has returned when it answers.
""".strip()


def page(day: str, outages: Sequence[Outage], origin: Origin) -> str:
    """Return the report in Markdown."""
    held = all(outage.held for outage in outages)
    parts = [
        f"# Outages, {day}",
        INTRO,
        f"Measured at {origin.said()}.",
        f"**{'Everything was as promised.' if held else 'Not everything was as promised.'}**",
    ]
    for outage in outages:
        rows = [
            ("yes" if line.held else "**no**", line.promise, line.seen) for line in outage.lines
        ]
        load = outage.load
        moments = ", ".join(f"{name} {at:.1f} s" for name, at in outage.moments.items())
        answers = ", ".join(f"{code} {count:,}" for code, count in outage.answers.items())
        parts += [
            f"## {outage.name}",
            f"{load.rate:,.0f} requests a second for {load.seconds:.0f} s, {load.coupons:,} "
            f"coupons, seed {load.seed}, one user in {1 / load.twice:.0f} asks twice. "
            f"{outage.evidence}. Moments: {moments}. Answers: {answers}.",
            table(("held", "promise", "seen"), rows),
        ]
    return "\n\n".join(parts) + "\n"
