"""What is said of a law: violations found in one pass, and the results after the second.

While traffic is under way the engines are read one after the other, so one pass can see
what is only a moment between two of them. A violation is reported when two passes saw the
very same one. Memory is bounded: a kind keeps a limited number of violations of one
campaign and counts the rest.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from firstcome.laws.kinds import KINDS, LAWS

KEPT_MAX = 10_000  # of one kind and campaign: some megabytes


class Violation(NamedTuple):
    """One broken law, with the place to look at; None where a part has no meaning."""

    law: str
    kind: str
    campaign_id: int | None
    position: int | None
    user_id: str | None
    detail: str

    @property
    def key(self) -> tuple[str, int | None, int | None, str | None]:
        """What makes two violations the same one."""
        return self.kind, self.campaign_id, self.position, self.user_id


@dataclass(frozen=True)
class LawResult:
    """What one law's check found. `violations` is bounded, `violations_count` is not."""

    law: str
    title: str
    held: bool
    checked: int
    violations: list[Violation]
    violations_count: int
    covers: str
    notes: list[str] = field(default_factory=list)


class Findings:
    """The violations of one pass, by kind and campaign."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int | None], dict[object, Violation]] = {}
        self._uncounted: Counter[tuple[str, int | None]] = Counter()
        self.checked: Counter[str] = Counter()
        self.under_way: Counter[int] = Counter()
        self.notes: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._kept)

    def broken(
        self,
        kind: str,
        campaign_id: int | None,
        position: int | None = None,
        user_id: str | None = None,
        detail: str = "",
    ) -> None:
        """Add a violation; the same one again changes nothing."""
        group = self._kept.setdefault((kind, campaign_id), {})
        text = f"{KINDS[kind].meaning} {detail}".strip()
        found = Violation(KINDS[kind].law, kind, campaign_id, position, user_id, text)
        if found.key in group:
            return
        if len(group) < KEPT_MAX:
            group[found.key] = found
        else:
            self._uncounted[kind, campaign_id] += 1

    def note(self, law: str, text: str) -> None:
        """Add what a reader should know beside the violations."""
        self.notes.setdefault(law, []).append(text)

    def campaigns(self) -> set[int | None]:
        """Return the campaigns with something to confirm."""
        return {campaign_id for _, campaign_id in self._kept}

    def confirmed_by(self, later: "Findings") -> "Findings":
        """Return the later pass without what the earlier one had not seen.

        Past KEPT_MAX one violation cannot be told from another, so numbers decide.
        """
        both = Findings()
        both.checked, both.under_way, both.notes = later.checked, later.under_way, later.notes
        for group, found in later._kept.items():
            earlier = self._kept.get(group, {})
            same = {key: one for key, one in found.items() if key in earlier}
            beyond = min(self._uncounted[group], later._uncounted[group])
            if same:
                both._kept[group] = same
                both._uncounted[group] = beyond
        return both

    def results(self, violations_max: int) -> list[LawResult]:
        """Return one result a law, with at most so many violations of each kind."""
        return [self._result(law, violations_max) for law in LAWS]

    def _result(self, law: str, violations_max: int) -> LawResult:
        groups = sorted(self._of(law), key=lambda group: (group[0], group[1] or 0))
        listed = [
            violation
            for group in groups
            for violation in list(self._kept[group].values())[:violations_max]
        ]
        count = sum(len(self._kept[group]) + self._uncounted[group] for group in groups)
        title, covers = LAWS[law]
        notes = self.notes.get(law, [])
        return LawResult(law, title, not count, self.checked[law], listed, count, covers, notes)

    def _of(self, law: str) -> Iterator[tuple[str, int | None]]:
        return (
            group for group, found in self._kept.items() if found and KINDS[group[0]].law == law
        )
