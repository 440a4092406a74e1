"""The incident report in English: words only, every figure and every judgement is given."""

from math import isfinite

from firstcome.drill.incident_report import FINAL_SECONDS, NAME, Facts, figures, table

CHART_NAMES = {
    "rates": "Claims a second",
    "accepted": "accepted (202)",
    "recorded": "recorded (rows)",
    "lag": "Lag in claims: accepted, not yet recorded",
    "lag_in_records": "Lag in records of the log, as the broker tells it",
    "http": "Answer time of a claim, p95, ms",
    "status": "Wait from the 202 until a user saw ISSUED, longest, s",
    "pause": "recorders stand still",
    "seconds": "seconds after the start of the load",
}
ROW_NAMES = {
    "asked_per_second": ("requests a second", ""),
    "accepted_per_second": ("accepted (202) a second", ""),
    "recorded_per_second": ("recorded a second", ""),
    "failed_percent": ("requests that failed", "1.5 %, then 6.3 %"),
    "http_p50_ms": ("answer time, p50", ""),
    "http_p95_ms": ("answer time, p95", "3 s longer and more, over 5 times"),
    "http_max_ms": ("answer time, longest", ""),
    "record_wait_p95_seconds": ("from 202 to the row, p95", ""),
    "status_wait_p50_seconds": ("until a user saw ISSUED, p50", ""),
    "status_wait_max_seconds": ("until a user saw ISSUED, longest", ""),
}
MOMENTS = {
    "paused": "all recorders stand still; claims go on being accepted",
    "resumed": "the recorders go on",
    "first_row": "the first row is committed again",
    "caught_up": "the last claim that was accepted during the pause has its row",
    "seen": "the last user who had asked during the pause sees ISSUED",
}


def page(facts: Facts) -> str:
    """Return the report."""
    return (
        "\n\n".join(
            [
                f"# Incident report: the recorders pause for {facts.incident.pause_seconds:.0f} s",
                "A drill, written by `firstcome drill consumer-pause` from what it measured. "
                f"[한국어]({NAME}.ko.md)",
                *(part(facts) for part in (_overview, _cause, _impact, _response, _results)),
                *(part(facts) for part in (_lessons, _conclusion, _measured)),
            ]
        )
        + "\n"
    )


def _overview(facts: Facts) -> str:
    incident = facts.incident
    end = "nothing was lost" if facts.nobody_lost else "**laws were broken**: see Impact"
    rows = [
        ("when", f"{facts.began}, for {incident.pause_seconds:.1f} s"),
        ("system", "one local stack with default settings: Valkey, Kafka, PostgreSQL"),
        ("load", f"{incident.load.rate:,.0f} claims a second, one user each"),
        ("symptom", "accepted claims stay REQUESTED, lag grows"),
        ("recovered", f"{_recovered(facts)}; {end}"),
    ]
    return "## 1. Overview\n\n" + table(("", ""), rows)


def _recovered(facts: Facts) -> str:
    seconds = facts.incident.recovery_seconds
    return f"{seconds:.1f} s after the recorders' return" if isfinite(seconds) else "**never**"


def _cause(facts: Facts) -> str:
    incident = facts.incident
    return (
        "## 2. Cause\n\n"
        f"- Every recorder process ({incident.recorders}) stood still: `{incident.evidence}`. "
        "From outside, a long collection of garbage looks the same.\n"
        "- Nobody wrote rows, so records piled up in the log: "
        f"{incident.peak_lag_claims:,} claims at the worst, {incident.calm_lag_claims:,} before.\n"
        "- Claims that had passed the gate waited as REQUESTED for longer than usual."
    )


def _impact(facts: Facts) -> str:
    incident = facts.incident
    before, during = incident.before, incident.during
    said = [_failures(facts)]
    if facts.http_rose:
        said.append(
            f"Answers took longer: p95 {during.http_p95_ms:,.1f} ms during the pause, "
            f"{before.http_p95_ms:,.1f} ms before."
        )
    else:
        said.append(
            f"Answer times stayed in the same range: p95 {during.http_p95_ms:,.1f} ms during the "
            f"pause, {before.http_p95_ms:,.1f} ms before. A 202 needs gate and log only."
        )
    said.append(
        f"Users waited for ISSUED: {during.status_wait_max_seconds or 0:,.1f} s at the longest, "
        f"{before.status_wait_max_seconds or 0:,.2f} s before the pause."
    )
    said.append(_losses(facts))
    lines = "\n".join(f"- {sentence}" for sentence in said)
    return f"## 3. Impact\n\n{lines}\n\n![Second by second]({NAME}.en.svg)"


def _failures(facts: Facts) -> str:
    incident = facts.incident
    if facts.nobody_failed:
        return (
            f"No claim was refused or failed: {incident.codes['REQUESTED']:,} of as many accepted."
        )
    others = ", ".join(f"{code} {count:,}" for code, count in incident.codes.items())
    return (
        f"Not every claim was accepted: {others}; {incident.during.failed_percent:.2f} % of those "
        "asked during the pause failed."
    )


def _losses(facts: Facts) -> str:
    incident = facts.incident
    if facts.nobody_lost:
        return (
            f"Nothing was lost: {incident.codes.get('REQUESTED', 0):,} promised, "
            f"{incident.issued:,} rows, all laws checked and held."
        )
    found = "; ".join(incident.violations[:5]) or "users who were promised a coupon did not see it"
    return f"**Laws were broken**: {found}."


def _response(facts: Facts) -> str:
    rows = [(f"{at:+.1f} s", MOMENTS[name]) for name, at in facts.moments().items()]
    return (
        "## 4. Response\n\n"
        "Nobody intervened; nothing was restarted, scaled or replayed by hand.\n\n"
        + table(("after the pause began", "what happened"), rows)
    )


def _results(facts: Facts) -> str:
    rows = [
        (ROW_NAMES[name][0], before, during, after, ROW_NAMES[name][1])
        for name, before, during, after in figures(facts.incident).values()
    ]
    headings = ("", "before", "during", "after the recovery", "the report this began with")
    return (
        "## 5. Results in numbers\n\n" + table(headings, rows) + "\n\n"
        "A wait belongs to the phase in which it began. The last column is the incident in the "
        "load test report that this project began with, on another machine: an orientation, no "
        "comparison. There some records could not be processed again after the restart."
    )


def _lessons(facts: Facts) -> str:
    incident = facts.incident
    backlog = incident.peak_lag_claims
    lines = [
        f"Recording caught up at up to {incident.peak_recorded:,} rows a second, "
        f"{facts.catch_up_times:.1f} times the crowd's rate: {backlog:,} claims took "
        f"{incident.recovery_seconds:.1f} s. The closer a drop is to that rate, the longer it "
        "takes.",
        "What users feel is the age of the oldest open claim, not the answer time. Alarm on lag: "
        f"it never exceeded {incident.calm_lag_claims:,} claims before the pause, and one second "
        f"of pause adds {incident.load.rate:,.0f}.",
        "All recorders stood still here. With one of several, the group gives its partitions to "
        "the others after its session timeout (6 s, set at the broker).",
    ]
    if not facts.in_time:
        lines.append(
            f"The recovery took longer than the {FINAL_SECONDS:.0f} s that law L3 allows: "
            "more recorders, or a lower rate, are needed."
        )
    return "## 6. Lessons\n\n" + "\n".join(f"- {line}" for line in lines)


def _conclusion(facts: Facts) -> str:
    incident = facts.incident
    spread = (
        "The pause stayed where it was: the crowd went on being accepted"
        if facts.nobody_failed
        else "The pause spread to the crowd: not everybody was accepted"
    )
    kept = (
        "every promise was kept"
        if facts.nobody_lost
        else "**not every promise was kept**, which is a defect"
    )
    waiting = (
        f"Whoever was accepted meanwhile had a row {incident.recovery_seconds:.1f} s after the "
        "recorders' return."
        if isfinite(incident.recovery_seconds)
        else "**Some claims that were accepted meanwhile never became a row.**"
    )
    return f"## 7. Conclusion\n\n{spread}, and {kept}. {waiting}"


def _measured(facts: Facts) -> str:
    return (
        "## How it was measured\n\n"
        f"Seed {facts.incident.load.seed}, {facts.origin.said()}. "
        "Open loop; answer times from the moment at which a request was due; generator and "
        "system on the same machine. Rows count from their commit. Two users a second asked for "
        'their status until they saw ISSUED. "Before" begins 5 s after the start of the load.'
    )
