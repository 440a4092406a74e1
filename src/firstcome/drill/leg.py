"""One leg of a long run: a fresh stack, a crowd, a schedule of faults, and the judgement.

A long run is made of legs, each with a seed of its own drawn from the run's, so that neither the
history nor the campaigns grow without bound. Nothing of a leg is left when it is over.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from firstcome.bench.environment import engines, machine
from firstcome.bench.stack import RunningStack, settings_of, started
from firstcome.drill import brokers, crew, data, disturbances, endings, points, poison, waits
from firstcome.drill.checker import Checker
from firstcome.drill.eventually import NotSeen, eventually
from firstcome.drill.faults import Move
from firstcome.drill.history import CLAIM, INTRUSION, TIMED_OUT, Heard, Offer
from firstcome.drill.judge import Judge
from firstcome.drill.links import Links, linked
from firstcome.drill.nemesis import FLOW_SECONDS_MAX, Nemesis, Struck
from firstcome.drill.processes import Processes
from firstcome.drill.schedule import schedule
from firstcome.drill.shop import Shop
from firstcome.drill.traffic import Traffic
from firstcome.drill.waits import Window
from firstcome.errors import FirstcomeError
from firstcome.model import Engine
from firstcome.settings import RelayMode

QUIET_SECONDS = 20.0
FINAL_SECONDS = 150.0  # after the last fault, until everybody knows
SHOWN_MAX = 20
# Whatever broke a law may not come again by the same seed: its traces must not be lost.
LOGS = Path(tempfile.gettempdir()) / "firstcome-drill-logs"
SMALL_SECONDS = 100.0  # of visitors: a campaign for fewer is sold out at the end
# There are 48 kinds of fault for links: together as many as of all processes.
LINK_WEIGHT = 0.45
# What a Redis that forgets costs the engine `queue`: see docs/engines.md. Only when asked for.
FORGETTING = ("wipe", "old data", "torn data")
# Who asks a process that stands still has no answer before his patience ends.
EXCUSING = {("freeze", "api"), ("failpoint pause", "api")}


class Outcome(msgspec.Struct):
    """What a leg came to."""

    seed: int
    seconds: float
    struck: list[Struck]
    claimants: int  # one for each user of a campaign, however often he asked
    claims: dict[str, int]  # answers to claims, by code
    looks: int
    waits: dict[str, dict[str, float]]
    resumed_seconds_max: float
    violations: list[str]
    environment: dict[str, str] = {}
    intrusions: int = 0  # requests with a token that does not count

    def effective(self) -> list[Struck]:
        """Return the faults that count."""
        return [struck for struck in self.struck if struck.is_effective]


class Scene(NamedTuple):
    """What a leg breaks: a stack behind links, and the folder that its failpoints watch."""

    stack: RunningStack
    links: Links
    failpoints: Path


class Variant(NamedTuple):
    """Which of the stacks that can be had is broken."""

    engine: Engine = Engine.KAFKA
    relay: RelayMode = "polling"
    brokers: int = 1


DEFAULT = Variant()


class Leg:
    """One stack from its start to its judgement."""

    def __init__(
        self,
        seed: int,
        rate: float,
        say: Callable[[str], None],
        *,
        variant: Variant = DEFAULT,
        kinds: Collection[str] = (),
        logs: Path | None = None,
    ) -> None:
        """`kinds`: the only kinds of fault; none: all.

        `logs`: the folder that gets them after a violation; none: LOGS.
        """
        self._variant = variant
        self._kinds = kinds
        self._logs = logs
        self._seed = seed
        self._rate = rate
        self._say = say

    def run(self, seconds: float) -> Outcome:
        """Break a stack for so long. Blocks.

        Everything that it has started is ended when it returns, by an error or Ctrl-C as well.
        """
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="firstcome-")))
            variables = {"FIRSTCOME_FAILPOINTS__FOLDER": str(folder / "failpoints")}
            self._say(f"seed {self._seed}: starting a stack")
            links = opened.enter_context(
                linked(folder / "stack", self._variant.brokers, self._seed)
            )
            options = ["--api", "2", "--relay", self._variant.relay]
            options += ["--brokers", str(self._variant.brokers), *links.options()]
            stack = opened.enter_context(started(folder / "stack", *options, **variables))
            outcome = self._break(Scene(stack, links, folder / "failpoints"), seconds)
            for violation in outcome.violations:
                self._say(f"violation: {violation}")
            if outcome.violations:
                kept = (self._logs or LOGS) / f"seed-{self._seed}"
                shutil.copytree(stack.state / "logs", kept, dirs_exist_ok=True)
                self._say(f"what its processes said is kept in {kept}")
            return outcome

    def _break(self, scene: Scene, seconds: float) -> Outcome:
        began, stack = time.monotonic(), scene.stack
        shop = Shop(stack, self._seed, self._rate, self._say, self._variant.engine)
        traffic = self._crowd(stack, shop.generation())
        processes = Processes(stack, lambda fact: None)
        moves = self._moves(scene, processes, shop, traffic)
        nemesis = Nemesis(schedule(moves, self._seed), traffic, self._say)
        with traffic:
            shop.open(traffic)
            try:
                self._quiet(traffic)
                nemesis.run(began + seconds - QUIET_SECONDS)
                self._say("all healed; a quiet time, then the judgement")
                time.sleep(waits.AFTERMATH_SECONDS)
                found = self._undisturbed(traffic)
            finally:
                shop.close()
            self._say("checking the history against the laws")
            found += self._settled(Judge(stack, shop.offers), traffic)
        judge = Judge(stack, shop.offers)
        found += judged(judge, traffic.heard)
        found += processes.unexplained() + nemesis.stalled + unhealed(nemesis.struck)
        environment = machine() | engines(settings_of(stack))
        outcome = self._outcome(time.monotonic() - began, traffic.heard, nemesis, found)
        outcome.environment = environment
        outcome.waits["until the row, of all winners"] = waits.figures(judge.recorded_seconds)
        return outcome

    def _crowd(self, stack: RunningStack, offers: list[Offer]) -> Traffic:
        address = urlsplit(stack.urls["api"])
        return Traffic(
            (address.hostname or "", address.port or 0),
            stack.identify,
            offers,
            self._seed,
            self._rate,
            follows=True,
            forgeries=stack.forgeries(),
        )

    def _moves(
        self, scene: Scene, processes: Processes, shop: Shop, traffic: Traffic
    ) -> list[Move]:
        ends = endings.moves(processes)
        moves = [
            *(
                brokers.survived(ends, traffic.accepted_since)
                if self._variant.brokers > 1
                else ends
            ),
            *data.moves(processes),
            *crew.moves(scene.stack, scene.failpoints),
            *points.moves(processes, scene.failpoints, self._variant.relay),
            *poison.moves(scene.stack, lambda: shop.large),
            *(
                move._replace(weight=LINK_WEIGHT)
                for move in disturbances.moves(scene.links, self._variant.relay)
            ),
        ]
        if self._kinds:
            return [move for move in moves if move.kind in self._kinds]
        engine = self._variant.engine
        # Its promises are as strong as Redis' memory, and no stronger.
        breaks_its_promise = FORGETTING if engine.has_gate and not engine.has_topic else ()
        return [move for move in moves if move.kind not in breaks_its_promise]

    def _quiet(self, traffic: Traffic) -> None:
        """Let claims flow undisturbed for a while. Raises NotSeen."""
        eventually(
            "claims flow",
            lambda: traffic.accepted_since(time.monotonic() - 1),
            lambda accepted: accepted >= 100,
            seconds=FLOW_SECONDS_MAX,
        )
        time.sleep(QUIET_SECONDS)

    def _undisturbed(self, traffic: Traffic) -> list[str]:
        """Let claims flow for a last time; return what is wrong if they do not."""
        try:
            self._quiet(traffic)
        except NotSeen as error:
            return [f"after all was healed: {error}"]
        return []

    def _settled(self, judge: Judge, traffic: Traffic) -> list[str]:
        """Let everybody hear his last answer, and sell what is left; return what is wrong."""
        try:
            traffic.stop()
            eventually(
                "everybody with a promise has seen its end",
                lambda: traffic.undecided,
                lambda undecided: undecided == 0,
                seconds=FINAL_SECONDS,
                every=0.2,
            )
            judge.settle(traffic, time.monotonic() + FINAL_SECONDS)
            for offer in judge.offers:
                if offer.stock < self._rate * SMALL_SECONDS:
                    judge.sell_out(traffic, offer)
            judge.settle(traffic, time.monotonic() + FINAL_SECONDS)
            judge.published(FINAL_SECONDS)
        except (FirstcomeError, TimeoutError) as error:
            return [f"settling: {error}"]
        return []

    def _outcome(
        self,
        seconds: float,
        heard: list[Heard],
        nemesis: Nemesis,
        found: list[str],
    ) -> Outcome:
        struck = nemesis.struck
        windows = [Window(each.began, each.healed, each.took_effect) for each in struck]
        waited = waits.waits(heard, windows)
        for each in waited.longest():
            self._say(
                f"{each.promised - nemesis.start:+6.0f} s: {each.user} waited {each.seconds:.1f} s"
            )
        claims = [each for each in heard if each.act == CLAIM]
        intrusions = sum(each.act == INTRUSION for each in heard)
        return Outcome(
            seed=self._seed,
            seconds=seconds,
            struck=struck,
            claimants=len({(each.campaign_id, each.user) for each in claims}),
            claims=dict(Counter(each.code for each in claims).most_common()),
            looks=len(heard) - len(claims) - intrusions,
            intrusions=intrusions,
            waits=waited.figures(),
            resumed_seconds_max=nemesis.resumed_seconds_max,
            violations=found + waits.violations(waited) + unanswered(heard, struck),
        )


def judged(judge: Judge, heard: list[Heard]) -> list[str]:
    """Return what the checker and `firstcome verify` find."""
    try:
        return Checker(heard, judge.ended()).violations() + judge.verified()
    except FirstcomeError as error:
        return [f"nothing can be said about the laws: {error}"]


def unhealed(struck: Iterable[Struck]) -> list[str]:
    """Return a sentence for each fault after which something did not work again."""
    return [
        f"fault {each.number}, {each.kind} {each.target}: {each.unhealed}"
        for each in struck
        if each.unhealed
    ]


def unanswered(heard: Iterable[Heard], struck: Iterable[Struck]) -> list[str]:
    """Return who never had an answer, though no process that answers stood still."""
    still = [
        each
        for each in struck
        if (each.kind, each.target.partition("-")[0]) in EXCUSING and each.evidence
    ]
    late = [
        each
        for each in heard
        if each.code == TIMED_OUT
        and not any(fault.began < each.answered and fault.healed > each.invoked for fault in still)
    ]
    return [f"no answer: {each}" for each in late[:SHOWN_MAX]]
