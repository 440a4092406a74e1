"""What a failpoint sweep breaks: a case is one point with one action; groups share a crowd.

A wave is what is armed together: one case, or one pause for each kind of process, because
pauses are long; or a whole rebuild, which passes every one of its points in turn.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, zip_longest
from typing import NamedTuple

from firstcome.failpoints import POINTS, Action

REBUILD = "rebuild"
# What makes a process come by where the crowd alone does not: methods of triggers.Triggers.
TRIGGERS = {
    "before_cancel": "refuse_append",
    "after_cancel": "refuse_append",
    "after_journal": "lose_append",
    "after_sweep": "lose_append",
    "before_release": "edit",
    "after_release": "edit",
    "after_quarantine": "poison",
    "before_publish": "poison",
    "after_publish": "poison",
    "before_redrive": "redrive",
    "after_redrive": "redrive",
    "before_discard": "discard",
    "after_discard": "discard",
}


class Case(NamedTuple):
    """One point, broken in one way."""

    point: str
    action: Action

    @property
    def kind(self) -> str:
        """The kind of work that comes by: api, recorder, sweeper, relay, rebuild or console."""
        return POINTS[self.point].partition(":")[0].partition(",")[0]

    @property
    def role(self) -> str:
        """The kind of process that comes by: rebuilds are the sweeper's."""
        return "sweeper" if self.kind == REBUILD else self.kind

    @property
    def trigger(self) -> str:
        """What makes a process come by; empty: the crowd does."""
        return "kill_redis" if self.kind == REBUILD else TRIGGERS.get(self.point, "")

    @property
    def is_deadly(self) -> bool:
        """Whether the process must end: who answers survives the unexpected, the others do not."""
        answers = self.role in ("api", "console")
        return self.action is Action.KILL or (self.action is Action.RAISE and not answers)


Wave = Sequence[Case]


class Group(NamedTuple):
    """Waves that share a crowd and its campaigns, and are judged together."""

    name: str
    waves: list[Wave]


def every(points: Iterable[str] = POINTS, actions: Iterable[Action] = Action) -> list[Group]:
    """Return each point with each action, grouped by action and kind of work."""
    chosen = set(points)
    cases = [Case(point, action) for action in actions for point in POINTS if point in chosen]
    return list(_grouped(cases))


def once(seed: int) -> list[Group]:
    """Return each point once, the seed decides with which action; a rebuild in one wave."""
    actions = list(Action)
    cases = [Case(point, actions[(n + seed) % len(actions)]) for n, point in enumerate(POINTS)]
    path = [case for case in cases if case.kind != REBUILD]
    path.sort(key=lambda case: case.action is Action.PAUSE)
    return [
        Group("path", list(_waves(path))),
        Group(REBUILD, [[case for case in cases if case.kind == REBUILD]]),
    ]


def _grouped(cases: list[Case]) -> Iterator[Group]:
    for (action, is_rebuild), group in groupby(
        cases, lambda case: (case.action, case.kind == REBUILD)
    ):
        kind = REBUILD if is_rebuild else "path"
        yield Group(f"{action.value}, {kind}", list(_waves(group)))


def _waves(cases: Iterable[Case]) -> Iterator[Wave]:
    """Round the kinds of process, so that none dies twice in a row; pauses one of each at once."""
    by_kind: dict[str, list[Case]] = {}
    for case in cases:
        by_kind.setdefault(case.kind, []).append(case)
    for row in zip_longest(*by_kind.values()):
        present = [case for case in row if case is not None]
        pauses = [case for case in present if case.action is Action.PAUSE]
        yield from ([case] for case in present if case.action is not Action.PAUSE)
        if pauses:
            yield pauses
