"""`firstcome serve ROLE`: one process of the path; `firstcome rebuild`: gates made anew."""

import json
import socket
import sys
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from firstcome.errors import CampaignNotFound, InvalidSettings
from firstcome.settings import Settings

app = typer.Typer()


class Role(StrEnum):
    """The processes that can be served."""

    API = "api"
    RECORDER = "recorder"
    SWEEPER = "sweeper"
    CONSOLE = "console"
    RELAY = "relay"
    AUTOSCALER = "autoscaler"


@app.command()
def serve(
    role: Annotated[Role, typer.Argument(help="Which process to be.")],
    fd: Annotated[
        int | None,
        typer.Option(help="api: an inherited listening socket, shared by several api processes."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="autoscaler: log each decision, and change nothing.")
    ] = False,
) -> None:
    """Be one process of the path, in the foreground, until SIGTERM."""
    # A process imports what it needs: Litestar alone takes half a second.
    settings = Settings.load()
    if role is Role.API:
        from firstcome.processes.api import serve_api

        serve_api(settings, _listener(settings, fd))
    elif role is Role.RECORDER:
        from firstcome.processes.recorder import serve_recorder

        serve_recorder(settings)
    elif role is Role.SWEEPER:
        from firstcome.processes.sweeper import serve_sweeper

        serve_sweeper(settings)
    elif role is Role.RELAY:
        from firstcome.processes.relay import serve_relay

        serve_relay(settings)
    elif role is Role.AUTOSCALER:
        from firstcome.processes.autoscaler import serve_autoscaler

        serve_autoscaler(settings, dry_run=dry_run)
    else:
        from firstcome.processes.console import serve_console

        serve_console(settings)


@app.command()
def rebuild(
    campaign_ids: Annotated[
        list[int] | None, typer.Argument(help="Campaigns; none: all that pass through a gate.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Make gates anew from the database. Claims are refused meanwhile; nothing is lost.

    The sweeper does this by itself when Redis has restarted; this is for the suspicious.
    """
    from firstcome import postgres
    from firstcome.campaigns import Campaigns
    from firstcome.cli.actor import actor
    from firstcome.console.audit import AuditTrail
    from firstcome.model import CampaignId, CampaignState
    from firstcome.processes.parts import rebuild_of

    settings = Settings.load()
    connect = partial(postgres.connect, settings.postgres)
    campaigns = Campaigns(connect)
    every = campaigns.list()
    for unlisted in set(campaign_ids or ()) - {campaign.campaign_id for campaign in every}:
        with suppress(CampaignNotFound):
            campaigns.show(CampaignId(unlisted))  # which says why a list leaves it out
    chosen = [
        campaign
        for campaign in every
        if campaign.engine.has_gate
        and campaign.state is not CampaignState.ARCHIVED
        and (not campaign_ids or campaign.campaign_id in campaign_ids)
    ]
    audit = AuditTrail(connect)
    for each in chosen:
        audit.note(actor(), "campaign.rebuild", {"epoch": each.epoch}, each.campaign_id)
    say = partial(print, file=sys.stderr, flush=True)
    opened = rebuild_of(settings, say).run_once(chosen) if chosen else 0
    if as_json:
        print(json.dumps({"campaigns": len(chosen), "opened": opened}))
    else:
        print(f"{opened} of {len(chosen)} gates are open in a new epoch")
    missing = set(campaign_ids or ()) - {campaign.campaign_id for campaign in chosen}
    if missing:
        print(f"no gate to rebuild for: {sorted(missing)}", file=sys.stderr)
    if missing or opened < len(chosen):
        raise typer.Exit(1)


def _listener(settings: Settings, fd: int | None) -> socket.socket:
    if fd is not None:
        try:
            return socket.socket(fileno=fd)
        except OSError as error:
            raise InvalidSettings(f"--fd {fd} is not a listening socket: {error}") from error
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.api.host, settings.api.port))
    except OSError as error:
        raise InvalidSettings(
            f"api.host and api.port: {settings.api.host}:{settings.api.port} cannot be bound "
            f"({error}); set FIRSTCOME_API__PORT to a free port"
        ) from error
    return listener
