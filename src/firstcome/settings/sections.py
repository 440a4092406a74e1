"""Every setting, once: its unit, default, bounds and reason; one class for each section.

The console's stand in console.py. docs/settings.md is generated from both.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Seconds = Annotated[float, Field(gt=0, le=3600)]
Port = Annotated[int, Field(ge=0, le=65535)]
RelayMode = Literal["polling", "wal", "debezium"]


class Section(BaseModel):
    """One group of settings; an unknown name is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiSettings(Section):
    """The public HTTP port."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on; 0 takes a free one.")
    body_bytes_max: int = Field(4096, ge=64, le=1_048_576, description="Largest request body.")
    header_bytes_max: int = Field(
        16_384, ge=1024, le=65_536, description="Largest request line and headers together."
    )
    receive_timeout_seconds: Seconds = Field(
        10.0, description="A whole request must come within this time, from its first byte."
    )
    keep_alive_seconds: Seconds = Field(
        75.0, description="An idle connection is closed after it, also before its first request."
    )
    drain_timeout_seconds: Seconds = Field(
        10.0, description="On SIGTERM, answers owed are waited for so long."
    )
    connections_max: int = Field(20_000, ge=1, description="Connections of one process.")
    cors_origins: list[str] = Field(
        default_factory=list, description="Origins that browsers may call from."
    )


class AuthSettings(Section):
    """Who is asking."""

    mode: Literal["jwt", "gateway"] = Field(
        "jwt", description="jwt: a signed token; gateway: the header X-User-Id of a trusted proxy."
    )
    secret: SecretStr | None = Field(None, description="HS256 key of user tokens, >= 32 bytes.")
    key_file: Path | None = Field(None, description="PEM file, RS256 or Ed25519 public key.")
    jwks_url: str | None = Field(None, description="Address of the issuer's JSON Web Key Set.")
    issuer: str = Field("firstcome", description="Required `iss` of a token.")
    audience: str = Field("firstcome", description="Required `aud` of a token.")
    leeway_seconds: float = Field(30.0, ge=0, le=60, description="Clock skew allowed on `exp`.")
    gateway_networks: list[str] = Field(
        default_factory=list,
        description="Networks (CIDR) whose connections may set X-User-Id; needed in mode gateway.",
    )

    @model_validator(mode="after")
    def _one_mode_with_what_it_needs(self) -> "AuthSettings":
        keys = [self.secret, self.key_file, self.jwks_url]
        if self.mode == "gateway":
            if any(keys):
                raise ValueError(
                    "auth.mode is gateway, but a token key is set too: remove auth.secret, "
                    "auth.key_file and auth.jwks_url, or set auth.mode to jwt"
                )
            if not self.gateway_networks:
                raise ValueError("auth.mode is gateway: set auth.gateway_networks")
            for network in self.gateway_networks:
                ipaddress.ip_network(network)
        elif self.gateway_networks:
            raise ValueError(
                "auth.mode is jwt, but auth.gateway_networks is set: remove it, "
                "or set auth.mode to gateway"
            )
        elif sum(key is not None for key in keys) > 1:
            raise ValueError("set only one of auth.secret, auth.key_file and auth.jwks_url")
        if self.secret is not None and len(self.secret.get_secret_value()) < 32:
            raise ValueError("auth.secret must have at least 32 bytes")
        return self


class IntakeSettings(Section):
    """From the request to the answer."""

    answer_deadline_seconds: Seconds = Field(
        3.0, description="D: 202 only if the acknowledgement came so soon after the gate call."
    )
    batch_claims_max: int = Field(
        256, ge=1, le=1000, description="Claims of one gate call; above 256 only latency grows."
    )
    batch_interval_ms: float = Field(
        4.0, ge=0, le=100, description="Gate calls of one campaign begin at least so far apart."
    )
    queue_claims_max: int = Field(
        20_000, ge=1, description="Claims of one campaign that wait for the gate; beyond it 503."
    )
    away_after_seconds: Seconds = Field(
        2.0, description="The broker counts as away when its oldest acknowledgement is so late."
    )
    heartbeat_seconds: Seconds = Field(
        0.5, description="While the broker is away or idle, an empty record is appended so often."
    )
    status_wait_seconds_max: float = Field(
        30.0, ge=0, le=300, description="Longest long poll of a status."
    )
    waiters_max: int = Field(50_000, ge=1, description="Long polls held by one process.")

    @model_validator(mode="after")
    def _away_before_the_deadline(self) -> "IntakeSettings":
        if self.away_after_seconds >= self.answer_deadline_seconds:
            raise ValueError("intake.away_after_seconds must be below answer_deadline_seconds")
        return self


class RedisSettings(Section):
    """The gate's engine: Redis >= 7 or Valkey."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="redis:// or rediss:// address."
    )
    connect_timeout_seconds: Seconds = Field(1.0, description="To connect and load the scripts.")
    call_timeout_seconds: Seconds = Field(
        1.0, description="A gate call without a reply after this time has an unknown outcome."
    )
    calls_in_flight_max: int = Field(1024, ge=1, description="Calls awaiting a reply; then 503.")


class KafkaSettings(Section):
    """The log's engine."""

    bootstrap_servers: str = Field("127.0.0.1:9092", description="Brokers, host:port,host:port.")
    topic_prefix: str = Field("firstcome", pattern=r"[a-z0-9.-]{1,60}", description="First word.")
    partitions: int = Field(10, ge=1, le=1000, description="Partitions of a new topic.")
    replication: int = Field(1, ge=1, le=5, description="Replicas of a new topic; 3 on a cluster.")
    group_id: str = Field("firstcome-recorder", description="Consumer group of the recorders.")
    group_protocol: Literal["consumer", "classic"] = Field(
        "consumer", description="consumer: KIP-848 (Kafka >= 4); classic: older brokers."
    )
    profile: Literal["default", "source"] = Field(
        "default", description="source: the client settings of the report that this began with."
    )
    linger_ms: float = Field(
        5.0, ge=0, le=1000, description="2 doubles the broker's CPU, 10 only adds latency."
    )
    delivery_timeout_seconds: Seconds = Field(
        20.0, description="librdkafka gives a record up after this time; the sweeper settles it."
    )
    queue_records_max: int = Field(100_000, ge=1000, description="Records in the producer's queue.")


class PostgresSettings(Section):
    """The engine that decides."""

    url: SecretStr = Field(
        SecretStr("postgresql://127.0.0.1:5432/firstcome"), description="libpq address."
    )
    connect_timeout_seconds: Seconds = Field(5.0, description="To open a connection.")
    statement_timeout_seconds: Seconds = Field(8.0, description="Of one statement.")
    transaction_timeout_seconds: Seconds = Field(
        10.0, description="Of one transaction; the server ends a stopped client's by itself."
    )
    lock_timeout_seconds: Seconds = Field(5.0, description="Wait for a row lock.")
    answer_timeout_seconds: Seconds = Field(
        3.0, description="An api process waits so long for what it asks; beyond it 503."
    )
    pool_connections_max: int = Field(4, ge=1, le=100, description="Of one api process.")
    pool_timeout_seconds: Seconds = Field(
        1.0, description="An api process waits so long for a free connection."
    )


class DirectSettings(Section):
    """The engine `direct`: one transaction a claim."""

    variant: Literal["locked", "conditional"] = Field(
        "locked",
        description="locked: the campaign's row is locked first; conditional: an update decides.",
    )
    pool_connections_max: int = Field(
        8, ge=1, le=100, description="Sessions of one api process; more wait for the same row."
    )
    pool_timeout_seconds: Seconds = Field(
        3.0, description="A claim waits so long for a free session; beyond it 503."
    )
    lock_timeout_seconds: Seconds = Field(
        3.0, description="Wait for the campaign's row; beyond it 503."
    )
    statement_timeout_seconds: Seconds = Field(4.0, description="Of one claim; beyond it 503.")
    queue_claims_max: int = Field(
        20_000, ge=1, description="Claims of one process that wait; beyond it 503."
    )


class RecorderSettings(Section):
    """From the log to the database."""

    poll_records_max: int = Field(500, ge=1, le=10_000, description="Records of one poll.")
    poll_timeout_ms: int = Field(20, ge=1, le=1000, description="The batching window of a poll.")
    transaction_rows_max: int = Field(5000, ge=1, description="Claims of one transaction.")
    commit_interval_seconds: Seconds = Field(0.1, description="Offsets are committed so often.")
    retry_pause_seconds_max: Seconds = Field(5.0, description="Longest pause between two tries.")
    attempts_max: int = Field(5, ge=1, description="Tries of a claim before its quarantine.")
    bad_claims_min: int = Field(20, ge=1, description="Fewer bad claims never stop a recorder.")
    bad_share_max: float = Field(
        0.5, gt=0, le=1, description="A larger bad share of a batch stops the recorder: our fault."
    )


class SweeperSettings(Section):
    """What settles everything that the path has dropped."""

    tick_seconds: Seconds = Field(2.0, description="Time between two sweeps.")
    watch_seconds: Seconds = Field(0.25, description="How often the gate's epoch is looked at.")
    due_after_seconds: Seconds = Field(25.0, description="Age at which an open claim is swept.")
    claims_max: int = Field(5000, ge=1, description="Claims recorded in one tick.")
    reconcile_seconds: Seconds = Field(
        30.0, description="Time between two comparisons of gate and database."
    )


class RebuildSettings(Section):
    """How a gate is made anew from the database."""

    lock_timeout_seconds: Seconds = Field(20.0, description="Wait for the campaign's row.")
    recorders_timeout_seconds: Seconds = Field(
        60.0, description="Wait for recorders to reach the log's end, then start again."
    )
    bucket_users: int = Field(
        50, ge=1, le=100, description="Users of one hash of the gate; more is no listpack."
    )


class CouponSettings(Section):
    """The codes that users hold."""

    code_key: SecretStr | None = Field(
        None, description="Key that coupon codes are derived with, >= 32 bytes; never change it."
    )

    @model_validator(mode="after")
    def _long_enough(self) -> "CouponSettings":
        if self.code_key is not None and len(self.code_key.get_secret_value()) < 32:
            raise ValueError("coupons.code_key must have at least 32 bytes")
        return self


class RelaySettings(Section):
    """From the database to other systems: see docs/events.md."""

    mode: RelayMode = Field(
        "polling",
        description="polling: reads the outbox; wal: follows the write-ahead log, soonest; "
        "debezium: Kafka Connect does, and the relay confirms.",
    )
    events_max: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="Events of one transaction; wal: on their way to the brokers at once.",
    )
    interval_seconds: float = Field(
        0.04, ge=0, le=10, description="Looks begin at least so far apart: brokers pay by request."
    )
    interval_seconds_max: float = Field(
        0.1,
        ge=0,
        le=10,
        description="They draw apart up to this while over 5,000 coupons a second are issued.",
    )
    poll_seconds: Seconds = Field(
        0.25, description="The outbox is looked at so often when nobody has called."
    )
    acknowledge_timeout_seconds: Seconds = Field(
        4.0,
        le=60,
        description="Brokers have acknowledged by then, or the events are published again.",
    )
    retry_pause_seconds_max: Seconds = Field(5.0, description="Longest pause between two tries.")
    overdue_seconds: Seconds = Field(
        60.0, description="Events that wait longer are named by the doctor, and in the log."
    )
    keep_published_seconds: float = Field(
        0.0, ge=0, description="Rows of the outbox stay so long once published; 0: deleted at once."
    )
    slot: str | None = Field(
        None,
        pattern=r"^[a-z0-9_]{1,63}$",
        description="Replication slot of modes wal and debezium; unset: firstcome_relay, "
        "firstcome_debezium.",
    )
    heartbeat_seconds: Seconds = Field(
        10.0,
        description="wal: something is written to the log so often, so that the slot of an idle "
        "database moves on.",
    )
    group_id: str = Field(
        "firstcome-relay",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="Consumer group that reads events back; mode debezium.",
    )
    niceness: int = Field(
        10, ge=0, le=19, description="Of the relay's process: a drop comes before its events."
    )

    def slot_of(self, mode: Literal["wal", "debezium"]) -> str:
        """Return the replication slot that a mode reads: one name a server, not a database."""
        return self.slot or ("firstcome_relay" if mode == "wal" else "firstcome_debezium")


class LawSettings(Section):
    """How `firstcome verify` judges a drop that is under way."""

    grace_seconds: Seconds = Field(
        60.0, description="A claim without a row is forgotten only after this time (law L3)."
    )
    clock_skew_seconds: Seconds = Field(
        5.0, description="Times of request may fall so far while positions rise (law L5)."
    )
    recheck_seconds: float = Field(
        2.0, ge=0, le=60, description="What looks wrong is looked at again after this time."
    )
    violations_max: int = Field(
        100, ge=1, le=10_000, description="Listed of one kind and campaign; all are counted."
    )


class FailpointSettings(Section):
    """Faults on purpose, for tests; see src/firstcome/failpoints.py."""

    folder: Path | None = Field(
        None, description="Folder in which a file arms a failpoint; unset: all are off."
    )


class MetricsSettings(Section):
    """What a process tells of itself, for Prometheus: see docs/metrics.md."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port | None = Field(
        None,
        description="Port to listen on, for each process its own; 0 takes a free one and logs it; "
        "unset: nothing is told.",
    )


class LogSettings(Section):
    """Log lines."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    format: Literal["json", "console"] = Field("json", description="json: one object a line.")
