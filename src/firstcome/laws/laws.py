"""The whole check: database, then log and events, then gate; twice where something was found.

The order makes a moment between two engines harmless: a row that was read has its place in
the gate, and what was admitted since stands in the journal. What still looks wrong is read
again after a short wait, and only what two passes saw is reported.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from firstcome.errors import CampaignNotFound
from firstcome.gate.session import GateSession
from firstcome.laws import decided
from firstcome.laws.claims import Claims
from firstcome.laws.findings import Findings, LawResult
from firstcome.laws.places import Places, check_journals, check_rest, check_sum, read_gate
from firstcome.laws.published import check_published
from firstcome.laws.rows import CampaignRows, Snapshot
from firstcome.settings import Settings


class Laws:
    """Checks the laws of the promise on real engines. Reads only; needs no process of ours."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self, campaign_ids: list[int] | None = None) -> list[LawResult]:
        """Return one result a law, for some campaigns or for all.

        Blocks for some seconds a million issuances. Raises GateUnavailable (also while a gate
        is shut or being rebuilt), LogUnavailable or DatabaseUnavailable: then nothing is said
        about the laws. Raises CampaignNotFound when a number names none.
        """
        findings = self._pass(campaign_ids)
        if findings:
            time.sleep(self._settings.laws.recheck_seconds)
            findings = findings.confirmed_by(self._pass(campaign_ids))
        return findings.results(self._settings.laws.violations_max)

    def _pass(self, campaign_ids: list[int] | None) -> Findings:
        findings = Findings()
        lasts = self._gates_before(campaign_ids)
        with Snapshot(self._settings, campaign_ids) as snapshot:
            claims = Claims(self._settings, findings)
            every = campaign_ids is None
            origins = self._check_database(snapshot, findings)
            if any(rows.facts.engine.has_topic for rows in snapshot.campaigns.values()):
                claims.check_log(snapshot, origins, all_campaigns=every)
            check_published(snapshot, self._settings.kafka, findings, all_campaigns=every)
            with self._session(snapshot) as session:
                for rows in snapshot.campaigns.values():
                    if rows.facts.gated and session is not None:
                        last_before = lasts.get(rows.campaign_id, -1)
                        Places(session, snapshot, rows, findings).check(claims, last_before)
                    else:
                        _check_without_gate(rows, snapshot, findings)
                if session is not None:
                    check_journals(session, snapshot, findings)
            claims.check_order(snapshot)
            for rows in snapshot.campaigns.values():
                findings.under_way[rows.campaign_id] = rows.size - rows.under_way.count(0)
        return findings

    def _check_database(self, snapshot: Snapshot, findings: Findings) -> set[tuple[str, int, int]]:
        for rows in snapshot.campaigns.values():
            snapshot.load(rows, findings)
            decided.check_numbers(rows, findings)
        decided.check_users(snapshot, findings)
        decided.check_epochs(snapshot, findings)
        decided.check_audit(snapshot, self._settings, findings)
        return decided.check_dead_letters(snapshot, findings)

    def _gates_before(self, campaign_ids: list[int] | None) -> dict[int, int]:
        """Return the gates' last positions before any row is read."""
        with Snapshot(self._settings, campaign_ids) as snapshot, self._session(snapshot) as session:
            for campaign_id in set(campaign_ids or []) - set(snapshot.campaigns):
                raise CampaignNotFound(
                    f"there is no campaign {campaign_id}: `firstcome campaign list` shows them all"
                )
            gated = [rows for rows in snapshot.campaigns.values() if rows.facts.gated]
            if session is None:
                return {}
            return {rows.campaign_id: read_gate(session, rows).position_last for rows in gated}

    @contextmanager
    def _session(self, snapshot: Snapshot) -> Iterator[GateSession | None]:
        """Open Redis, if any campaign of the snapshot needs it."""
        if not any(rows.facts.gated for rows in snapshot.campaigns.values()):
            yield None
            return
        with GateSession.open(self._settings.redis) as session:
            yield session


def _check_without_gate(rows: CampaignRows, snapshot: Snapshot, findings: Findings) -> None:
    """Without a gate the campaign's row counts; an archived or new campaign counts its rows."""
    last = rows.row_last() if rows.facts.engine.has_gate else rows.facts.position_last
    rows.grow(last)
    check_rest(rows, last, snapshot, findings)
    check_sum(rows, rows.facts.position_limit - last, findings)
