"""Kafka: brokers, groups, topics, against what the settings ask for.

Replication decides how many brokers may die before answered claims wait for the sweeper.
"""

from collections.abc import Iterator

from firstcome.doctor.finding import Finding, failure, ok, wanted, warning
from firstcome.eventlog import topics
from firstcome.eventlog.survey import TopicFacts, speaks_new_groups, survey
from firstcome.settings import KafkaSettings, Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what was found. Raises LogUnavailable."""
    kafka = settings.kafka
    found = survey(kafka)
    yield _brokers(found.brokers, kafka.replication)
    yield _groups(kafka)
    retention = topics.retention_ms(kafka)
    for name, facts in found.topics.items():
        if facts is None:
            meaning = "nothing can be appended to it"
            yield failure(f"topic {name}", "does not exist", meaning, "run `firstcome migrate`")
        else:
            yield from _topic(name, facts, kafka, retention[name])


def _brokers(found: int, replication: int) -> Finding:
    seen = f"{found} for replication {replication}"
    if found < replication:
        meaning = "a topic with so many replicas cannot be made, or has lost some"
        return failure("kafka brokers", seen, meaning, "start brokers, or lower kafka.replication")
    return ok("kafka brokers", seen)


def _groups(kafka: KafkaSettings) -> Finding:
    knows = speaks_new_groups(kafka)
    if knows is None:
        return ok("kafka groups", "not told")
    seen = "version 4 or newer" if knows else "older than version 4"
    if kafka.group_protocol == "consumer" and not knows:
        meaning = "recorders cannot join their group"
        return failure("kafka groups", seen, meaning, "set kafka.group_protocol to classic")
    return ok("kafka groups", f"{seen}, kafka.group_protocol {kafka.group_protocol}")


def _topic(
    name: str, facts: TopicFacts, kafka: KafkaSettings, retention_ms: int
) -> Iterator[Finding]:
    subject = f"topic {name}"
    if facts.leaderless:
        meaning = "claims on them wait until a leader is there, recorders stand still"
        seen = f"{facts.leaderless} partitions without a leader"
        yield failure(subject, seen, meaning, "bring the missing brokers back")
    seen = f"{facts.partitions} partitions, {facts.replicas_min} replicas"
    if facts.replicas_min < kafka.replication:
        meaning = "fewer brokers may die than the settings promise"
        yield failure(subject, seen, meaning, f"raise its replicas to {kafka.replication}")
    elif facts.partitions != kafka.partitions:
        meaning = f"at most {facts.partitions} recorders share the work"
        yield warning(subject, seen, meaning, f"kafka.partitions says {kafka.partitions}")
    else:
        yield ok(subject, seen)
    in_sync = "2" if kafka.replication >= 3 else "1"
    yield _config(
        subject, facts, "min.insync.replicas", in_sync, "an acknowledged record can be lost"
    )
    yield _config(
        subject,
        facts,
        "unclean.leader.election.enable",
        "false",
        "a leader without the last records can take over: they are lost",
    )
    yield _retention(subject, facts, retention_ms)


def _config(subject: str, facts: TopicFacts, name: str, value: str, meaning: str) -> Finding:
    seen = facts.config.get(name)
    problem = failure(f"{subject} {name}", str(seen), meaning, f"set {name} to {value}")
    return wanted(problem.subject, seen, (value,), problem)


def _retention(subject: str, facts: TopicFacts, retention_ms: int) -> Finding:
    found = int(facts.config.get("retention.ms") or -1)
    days = "for ever" if found < 0 else f"{found / 86_400_000:g} days"
    if 0 <= found < retention_ms:
        meaning = "records are gone before the laws can be checked against them"
        return warning(
            f"{subject} retention", f"kept {days}", meaning, f"set retention.ms to {retention_ms}"
        )
    return ok(f"{subject} retention", f"kept {days}")
