"""`firstcome dead-letters ...`: what was set aside, and an operator's decisions about it.

Exit code 0: every letter stands as asked, or would with --dry-run; 1: one does not, its outcome
says why; 3: an engine is away. A command that was interrupted is simply given again.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from firstcome import failpoints, postgres
from firstcome.campaigns import Campaigns
from firstcome.cli.actor import actor
from firstcome.cli.beside import GATE_TIMEOUT_SECONDS, gate_follows
from firstcome.issuance.dead_letters import Asked, DeadLetters
from firstcome.issuance.decision import Decision
from firstcome.issuance.letter import Letter, State
from firstcome.issuance.quarantine import Reason
from firstcome.model import CampaignId
from firstcome.processes.parts import dead_letters_of
from firstcome.settings import Settings

app = typer.Typer(help="Look at what was set aside, and decide about it.", no_args_is_help=True)

PAYLOAD_SHOWN = 2000  # bytes
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Ids = Annotated[list[int] | None, typer.Argument(min=1, help="Numbers of letters.")]
ByReason = Annotated[Reason | None, typer.Option("--reason", help="Only these.")]
ByCampaign = Annotated[int | None, typer.Option("--campaign", min=1, help="Only of this one.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be, change nothing.")]
Rate = Annotated[float, typer.Option(min=0, help="Letters a second at most; 0: no bound.")]
Decide = Callable[..., Iterator[Decision]]


@app.command("list")
def list_letters(
    reason: ByReason = None,
    campaign: ByCampaign = None,
    state: Annotated[State | None, typer.Option(help="Only in this state.")] = State.QUARANTINED,
    every: Annotated[bool, typer.Option("--all", help="In whatever state.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only higher numbers: the next page.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    json: Json = False,
) -> None:
    """Show dead letters, oldest first; those that wait for a decision, if not asked otherwise."""
    asked = Asked(None if every else state, reason, _campaign(campaign))
    found = _letters(Settings.load()).list(asked, after=after, rows=limit)
    next_after = found[-1].dead_letter_id if len(found) == limit else None
    if json:
        _print_json({"dead_letters": [shown(each) for each in found], "next_after": next_after})
        return
    table = Table("id", "state", "reason", "campaign", "position", "user", "since", box=None)
    for each in found:
        facts = (each.dead_letter_id, each.state, each.reason, each.campaign_id, each.position)
        words = ["" if fact is None else str(fact) for fact in facts]
        table.add_row(*words, each.user_id or "", _time(each.created_at))
    Console().print(table)
    if next_after is not None:
        print(f"there may be more: --after {next_after}", file=sys.stderr)


@app.command()
def show(
    dead_letter_id: Annotated[int, typer.Argument(min=1, help="The letter's number.")],
    json: Json = False,
) -> None:
    """Show one dead letter with its origin, its detail and its payload."""
    letter = _letters(Settings.load()).show(dead_letter_id)
    if json:
        _print_json(shown(letter))
        return
    for field, value in letter._asdict().items():
        said = _time(value) if isinstance(value, datetime) else value
        if isinstance(value, bytes):
            said = f"{len(value)} bytes: {value[:PAYLOAD_SHOWN]!a}"
        print(f"{field:15} {'' if said is None else said}")


@app.command()
def redrive(
    dead_letter_ids: Ids = None,
    reason: ByReason = None,
    campaign: ByCampaign = None,
    dry_run: DryRun = False,
    rate: Rate = 100.0,
    json: Json = False,
) -> None:
    """Issue the claims after all, now that what kept them from it is mended."""
    settings = Settings.load()
    letters = _letters(settings)
    numbers = _numbers(letters, dead_letter_ids, reason, campaign)
    decisions = letters.redrive(numbers, actor(), rate=rate, dry_run=dry_run)
    _report(settings, decisions, dry_run=dry_run, json=json)


@app.command()
def discard(
    dead_letter_ids: Ids = None,
    reason: ByReason = None,
    campaign: ByCampaign = None,
    dry_run: DryRun = False,
    rate: Rate = 100.0,
    json: Json = False,
) -> None:
    """Give the units back to the stock for good; the users may claim again."""
    settings = Settings.load()
    letters = _letters(settings)
    numbers = _numbers(letters, dead_letter_ids, reason, campaign)
    decisions = letters.discard(numbers, actor(), rate=rate, dry_run=dry_run)
    _report(settings, decisions, dry_run=dry_run, json=json)


def shown(letter: Letter) -> dict[str, Any]:
    """Return a letter as --json prints it; the payload in base64."""
    return letter._asdict()


def _numbers(
    letters: DeadLetters, ids: list[int] | None, reason: Reason | None, campaign: int | None
) -> Sequence[int]:
    chosen = reason is not None or campaign is not None
    if bool(ids) == chosen:
        raise typer.BadParameter("name letters, or choose them by --reason and --campaign")
    if ids:
        return list(dict.fromkeys(ids))
    return letters.numbers(Asked(State.QUARANTINED, reason, _campaign(campaign)))


def _report(
    settings: Settings, decisions: Iterator[Decision], *, dry_run: bool, json: bool
) -> None:
    """Print each decision as it comes, then whether the gates follow."""
    made: list[Decision] = []
    for decision in decisions:
        made.append(decision)
        if not json:
            would = "would be " if dry_run else ""
            print(f"{decision.dead_letter_id:>8} {would}{decision.outcome}: {decision.detail}")
    stand = sum(decision.stands for decision in made)
    followed = dry_run or _gates_follow(settings, made)
    if json:
        document = {
            "dry_run": dry_run,
            "asked": len(made),
            "stand": stand,
            "gate_follows": followed,
            "decisions": [decision._asdict() for decision in made],
        }
        _print_json(document)
    else:
        print(f"{stand:,} of {len(made):,} letters {'would ' if dry_run else ''}stand as asked")
    if stand < len(made):
        raise typer.Exit(1)


def _gates_follow(settings: Settings, made: Sequence[Decision]) -> bool:
    """Wait a little until gates show what was decided; the sweeper brings it there."""
    connect = lambda: postgres.connect(settings.postgres, name="firstcome-cli")  # noqa: E731
    changed = {each.campaign_id for each in made if each.version and each.campaign_id}
    late = [
        campaign_id
        for campaign_id in sorted(changed)
        if not gate_follows(settings.redis, Campaigns(connect).show(campaign_id))
    ]
    if late:
        print(
            f"firstcome: decided, but the gates of campaigns {late} do not show it after "
            f"{GATE_TIMEOUT_SECONDS:.0f} s: they will, once a sweeper runs (`firstcome status`)",
            file=sys.stderr,
        )
    return not late


def _letters(settings: Settings) -> DeadLetters:
    failpoints.watch(settings.failpoints.folder, "cli")
    return dead_letters_of(settings)


def _campaign(number: int | None) -> CampaignId | None:
    return None if number is None else CampaignId(number)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _print_json(document: object) -> None:
    print(msgspec.json.encode(document).decode())
