"""What one sample holds: every metric of a run, listed once.

A sample is taken each second. Names follow Prometheus' rules; the stores put PREFIX before
them, and the labels `run`, `engine` and `scenario` beside them.
"""

from typing import NamedTuple

import msgspec

PREFIX = "firstcome_bench_"


class Metric(NamedTuple):
    """One thing that is sampled; `label` names what its values are told apart by, or nothing."""

    name: str
    unit: str
    says: str
    label: str = ""


METRICS = (
    Metric("requests_per_second", "requests/s", "Answers that the crowd got, by kind.", "answer"),
    Metric("issued_total", "rows", "Positions of the run's campaigns that have a row."),
    Metric("process_cpu_percent", "%", "Of one core, all processes of a role together.", "role"),
    Metric("process_memory_bytes", "bytes", "Proportional set size of a role's processes.", "role"),
    Metric("machine_busy_percent", "%", "Of all cores, by anybody."),
    Metric("machine_steal_percent", "%", "Of all cores, taken by the hypervisor."),
    Metric("postgres_connections", "sessions", "Sessions of our database, by state.", "state"),
    Metric("postgres_connections_max", "sessions", "What the server allows (max_connections)."),
    Metric("postgres_commits_per_second", "transactions/s", "Committed."),
    Metric("postgres_rollbacks_per_second", "transactions/s", "Rolled back."),
    Metric("postgres_lock_waits", "sessions", "Sessions that wait for a lock right now."),
    Metric("postgres_deadlocks_total", "deadlocks", "Since the stack's start."),
    Metric("lock_timeouts_total", "claims", "Given up waiting for a row, since the stack's start."),
    Metric("redis_memory_bytes", "bytes", "Allocated by the server (used_memory)."),
    Metric("redis_commands_per_second", "commands/s", "Commands processed."),
    Metric("consumer_lag_records", "records", "In the log, beyond what recorders have done."),
    Metric("consumer_lag_claims", "claims", "Admitted by the gate, without a row yet."),
    Metric("events_waiting", "events", "Issued coupons that no relay has published yet."),
    Metric("broker_read_bytes_per_second", "bytes/s", "Read by the broker: sockets and files."),
    Metric("broker_written_bytes_per_second", "bytes/s", "Written by it: sockets and files."),
)


class Sample(msgspec.Struct, frozen=True):
    """One look. `values`: metric name -> label value ("" for none) -> value; what could not be

    read is left out. `at` in seconds since 1970.
    """

    at: float
    values: dict[str, dict[str, float]]
