"""The report of a Redis that forgot: what each engine lost of what it had promised. Pure."""

from collections.abc import Sequence

from firstcome.bench.origin import Origin
from firstcome.bench.run import Loss
from firstcome.drill.incident_report import table

INTRO = """
In mid-drop Redis is killed, and what it had written but not synced is cut off its append-only
file before it starts again, as a power failure would: with `everysec` all of the last second,
with `always` nothing, because no answer leaves before its write is synced. Then everybody who
had been told yes is looked up. Each case has a stack of its own with default settings.
""".strip()
LOSS_SECONDS_MAX = 2.0  # what `everysec` may lose at worst, by Redis' own documentation


def page(day: str, losses: Sequence[Loss], origin: Origin) -> str:
    """Return the report in Markdown."""
    heads = ("engine", "appendfsync", "recorders", "promised", "lost", "moved", "yes again after")
    rows = [
        (
            each.engine,
            each.fsync,
            each.recorders,
            f"{each.promised:,}",
            f"{each.lost:,}",
            f"{each.moved:,}",
            "-" if each.resumed_seconds is None else f"{each.resumed_seconds:g} s",
        )
        for each in losses
    ]
    return (
        "\n\n".join(
            [
                f"# Redis forgets, {day}",
                INTRO,
                f"{losses[0].rate:,.0f} requests a second, seed {losses[0].seed}. "
                f"Measured at {origin.said()}.",
                table(heads, rows),
                "Lost: told yes, and no coupon. Moved: a coupon, but another position than told.",
                "\n".join(f"- {each.engine}, {each.fsync}: {each.evidence}." for each in losses),
                *(f"**{verdict(each)}**" for each in losses if not as_said(each)),
            ]
        )
        + "\n"
    )


def as_said(loss: Loss) -> bool:
    """Whether an engine lost no more than docs/engines.md says that it may."""
    if loss.engine == "queue" and loss.fsync == "everysec":
        return loss.lost + loss.moved <= loss.rate * LOSS_SECONDS_MAX and not loss.broken
    return not (loss.lost or loss.moved or loss.broken)


def verdict(loss: Loss) -> str:
    """Return what is wrong in one sentence."""
    return (
        f"{loss.engine} with {loss.fsync} lost {loss.lost:,} and moved {loss.moved:,}, "
        f"more than it may; broken: {', '.join(loss.broken) or 'nothing else'}"
    )
