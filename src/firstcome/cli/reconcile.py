"""`firstcome reconcile`: one reconciliation of gates and database, and what does not add up.

The sweeper reconciles all the time and exports what it finds; this is for whoever wants to see it
now. Exit code 0: nothing has drifted; 1: something has, or the gate of a campaign is shut, so that
nothing can be said of it; 3: an engine is away. Only campaigns that pass through a gate have one
to compare; `firstcome verify` says which positions and users a drift is about.
"""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
import typer

from firstcome import postgres
from firstcome.campaigns.rows import gated
from firstcome.gate import register
from firstcome.gate.session import GateSession
from firstcome.issuance.reconciliation import Drift, Reconciliation
from firstcome.model import CampaignId
from firstcome.settings import Settings

app = typer.Typer()


class Reconciled(NamedTuple):
    """What one reconciliation has found."""

    campaigns: int  # that pass through a gate
    drifts: dict[CampaignId, Drift]
    # Their gates were shut or made anew meanwhile: nothing can be said of them.
    not_compared: list[CampaignId]

    @property
    def held(self) -> bool:
        """Whether every campaign was compared and none has drifted."""
        return not self.drifts and not self.not_compared


@app.command()
def reconcile(
    grace_seconds: Annotated[
        float | None,
        typer.Option(
            "--grace",
            min=0,
            help="How long a claim may be without a row; so long this takes. 0: nobody claims now. "
            "Default: laws.grace_seconds.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Compare every gate with the rows once; exit code 1 when something has drifted."""
    settings = Settings.load()
    grace = settings.laws.grace_seconds if grace_seconds is None else grace_seconds
    if grace:
        print(f"comparing in {grace:g} s: younger claims are under way", file=sys.stderr)
    found = reconciled(settings, grace)
    if as_json:
        sys.stdout.write(msgspec.json.encode(_document(found)).decode() + "\n")
    else:
        sys.stdout.write(_text(found))
    raise typer.Exit(0 if found.held else 1)


def reconciled(
    settings: Settings, grace_seconds: float, *, pause: Callable[[float], None] = time.sleep
) -> Reconciled:
    """Note every gate's numbers, let the grace pass, and compare the rows with what was noted.

    Raises GateUnavailable, DatabaseUnavailable.
    """
    reconciliation = Reconciliation(grace_seconds, 0.0)
    look = partial(_look, settings, reconciliation)
    campaigns, noted = look()
    if grace_seconds:
        pause(grace_seconds)
        later, again = look()
        campaigns &= later
        noted &= again
    return Reconciled(
        len(campaigns),
        dict(sorted(reconciliation.drifts.items())),
        sorted(campaigns - {campaign_id for campaign_id, _ in noted}),
    )


def _look(
    settings: Settings, reconciliation: Reconciliation
) -> tuple[set[CampaignId], set[tuple[CampaignId, int]]]:
    """Look once; return the campaigns, and those with an open gate together with its epoch."""
    with (
        closing(postgres.connect(settings.postgres, name="firstcome-reconcile")) as connection,
        GateSession.open(settings.redis) as session,
    ):
        campaigns = gated(connection)
        gates = register.read_all(session, [each.campaign_id for each in campaigns])
        is_stale = partial(register.is_stale, bucket_users=settings.rebuild.bucket_users)
        open_ = [each for each in campaigns if not is_stale(gates[each.campaign_id], each)]
        reconciliation.run_once(connection, open_, gates)
    return {each.campaign_id for each in campaigns}, {
        (each.campaign_id, each.epoch) for each in open_
    }


def _document(found: Reconciled) -> dict[str, object]:
    return {
        "held": found.held,
        "campaigns": found.campaigns,
        "drifts": [{"campaign_id": key, **drift._asdict()} for key, drift in found.drifts.items()],
        "not_compared": found.not_compared,
    }


def _text(found: Reconciled) -> str:
    lines = [
        f"campaign {campaign_id}: "
        + ", ".join(f"{count} {kind}" for kind, count in drift._asdict().items() if count)
        for campaign_id, drift in found.drifts.items()
    ]
    lines += [f"campaign {each}: not compared, its gate is shut" for each in found.not_compared]
    drifted = len(found.drifts) or "none"
    lines.append(f"{found.campaigns} campaigns with a gate, {drifted} of them drifted")
    return "\n".join(lines) + "\n"
