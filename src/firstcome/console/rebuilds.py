"""Rebuilds that an operator begins: one at a time, on a thread of its own, and how it goes.

The same act as `firstcome rebuild`, and of the same harmlessness: should this process die in the
middle, the gate stays shut until the sweeper's own rebuild, which begins within seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Protocol

from firstcome.campaigns import Campaigns
from firstcome.console.audit import AuditTrail
from firstcome.errors import FirstcomeError, Refused
from firstcome.logs import get_logger
from firstcome.model import Campaign, CampaignId, CampaignState

STOP_SECONDS = 5.0
log = get_logger()


class Rebuilder(Protocol):
    """What makes gates anew: firstcome.rebuild."""

    def run_once(self, campaigns: Sequence[Campaign]) -> int:
        """Return how many gates are open again. Raises FirstcomeError."""
        ...


class Progress(StrEnum):
    """How far a rebuild is."""

    RUNNING = "RUNNING"
    DONE = "DONE"  # every gate is open in a new epoch
    OVERTAKEN = "OVERTAKEN"  # not every one: another rebuild was at it
    FAILED = "FAILED"


@dataclass
class Rebuilding:
    """One rebuild, as far as it is."""

    actor: str
    campaign_ids: list[CampaignId]
    began_at: float  # seconds since 1970
    progress: Progress = Progress.RUNNING
    said: str = ""  # its last word
    opened: int = 0
    seconds: float = 0.0


class Rebuilds:
    """May be called by several threads at once."""

    def __init__(
        self,
        campaigns: Campaigns,
        audit: AuditTrail,
        make: Callable[[Event, Callable[[str], None]], Rebuilder],
    ) -> None:
        """`make`: takes what interrupts it, and what is told of its steps."""
        self._campaigns = campaigns
        self._audit = audit
        self._make = make
        self._stop = Event()
        self._lock = Lock()
        self._thread: Thread | None = None
        self.latest: Rebuilding | None = None

    def gated(self, campaign_id: CampaignId | None = None) -> list[Campaign]:
        """Return the campaigns that a rebuild of one, or of all, would be of.

        Raises DatabaseUnavailable, CampaignNotFound.
        """
        asked = [self._campaigns.show(campaign_id)] if campaign_id else self._campaigns.list()
        return [
            each
            for each in asked
            if each.engine.has_gate and each.state is not CampaignState.ARCHIVED
        ]

    def begin(self, campaign_id: CampaignId | None, actor: str) -> None:
        """Begin one and return. Raises Refused, DatabaseUnavailable, CampaignNotFound."""
        chosen = self.gated(campaign_id)
        if not chosen:
            raise Refused("there is no gate to make anew: nothing was changed")
        with self._lock:
            if self.latest is not None and self.latest.progress is Progress.RUNNING:
                raise Refused("a rebuild is under way already: nothing was changed")
            for each in chosen:
                detail = {"epoch": each.epoch}
                self._audit.note(actor, "campaign.rebuild", detail, each.campaign_id)
            began = Rebuilding(actor, [each.campaign_id for each in chosen], time())
            self.latest = began
            self._thread = Thread(
                target=self._run, args=(began, chosen), name="rebuild", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Interrupt what is under way; the sweeper goes on with it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self, rebuilding: Rebuilding, chosen: list[Campaign]) -> None:
        began = monotonic()

        def say(text: str) -> None:
            rebuilding.said = text

        log.warning("rebuild_asked_for", by=rebuilding.actor, campaigns=len(chosen))
        try:
            rebuilding.opened = self._make(self._stop, say).run_once(chosen)
            done = rebuilding.opened == len(chosen)
            end = Progress.DONE if done else Progress.OVERTAKEN
        except FirstcomeError as error:
            say(str(error))
            end = Progress.FAILED
        except Exception:
            log.exception("rebuild_failed")
            say("the console's log has the details")
            end = Progress.FAILED
        rebuilding.seconds = monotonic() - began
        rebuilding.progress = end
