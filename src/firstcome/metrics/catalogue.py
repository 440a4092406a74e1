"""Every metric, once: name, meaning, labels, and the processes that tell it.

docs/metrics.md is generated from this list. Units are in the names: seconds, bytes, claims. No
label ever holds a user. What concerns a whole drop is told by the console, which looks at all
engines once a second; the other processes tell what they do themselves.
"""

from firstcome.metrics.instruments import Counter, Gauge, Histogram, Metric

API, RECORDER, SWEEPER, RELAY, CONSOLE = "api", "recorder", "sweeper", "relay", "console"
AUTOSCALER = "autoscaler"
EVERY = (API, RECORDER, SWEEPER, RELAY, CONSOLE, AUTOSCALER)

# From a thousandth of a second to ten, about three to a decade; finer where the goals lie.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
CLAIMS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)

# Every process
INFO = Gauge("firstcome_process_info", "Always 1; what runs here.", "role", "version", by=EVERY)
GC_PAUSE = Histogram(
    "firstcome_gc_pause_seconds",
    "The process stood still for a garbage collection.",
    by=EVERY,
    bounds=SECONDS,
)
LOOP_PAUSE = Histogram(
    "firstcome_loop_pause_seconds",
    "How much later than asked the event loop came back; looked at ten times a second.",
    by=(API, CONSOLE),
    bounds=SECONDS,
)

# api: a claim
ASKED = Counter("firstcome_claims_asked_total", "Claims whose turn has come.", by=(API,))
CLAIM = Histogram(
    "firstcome_claim_seconds",
    "From a claim's turn to its answer, by the answer's code.",
    "outcome",
    by=(API,),
    bounds=SECONDS,
)
WAITING = Gauge(
    "firstcome_claims_waiting", "Claims that wait for their answer in this process.", by=(API,)
)
LONG_POLLS = Gauge(
    "firstcome_status_waiting", "Status reads that wait for a claim's end.", by=(API,)
)
LOOKS = Counter("firstcome_status_reads_total", "Status reads that were answered.", by=(API,))
REFUSALS = Counter(
    "firstcome_requests_refused_total",
    "Requests of the express lane that were refused before they were asked.",
    "status",
    by=(API,),
)
CONNECTIONS = Gauge("firstcome_connections", "Open connections of clients.", by=(API,))
GATE_BATCH = Histogram(
    "firstcome_gate_batch_claims", "Claims of one gate call.", by=(API,), bounds=CLAIMS
)
GATE_CALL = Histogram(
    "firstcome_gate_call_seconds", "A gate call, sent to replied.", by=(API,), bounds=SECONDS
)
GATE_FAILURES = Counter(
    "firstcome_gate_failures_total",
    "Claims that the gate did not decide: it was away, shut or had no such campaign.",
    by=(API,),
)
GATE_CONNECTED = Gauge(
    "firstcome_gate_connected", "1 while the process has its connection to Redis.", by=(API,)
)
APPEND = Histogram(
    "firstcome_append_seconds",
    "A record, handed to the producer to acknowledged by the brokers.",
    by=(API,),
    bounds=SECONDS,
)
APPENDED = Counter(
    "firstcome_claims_appended_total", "Claims in records handed to the producer.", by=(API,)
)
APPEND_FAILURES = Counter(
    "firstcome_append_failures_total",
    "Records that were refused at once (refused), or that no acknowledgement came for (unknown).",
    "kind",
    by=(API,),
)
BROKER_AWAY = Gauge(
    "firstcome_broker_away",
    "1 while claims are refused because brokers do not acknowledge.",
    by=(API,),
)
COMPENSATED = Counter(
    "firstcome_claims_compensated_total",
    "Claims that were certainly not appended: cancelled at once, or left to the sweeper.",
    "result",
    by=(API,),
)
# Kinds of DIRECT_REFUSALS.
LOCK_TIMEOUT, DEADLOCK, OTHER = "lock_timeout", "deadlock", "other"
NO_SESSION, SILENT = "no_session", "no_answer"
DIRECT_KINDS = (LOCK_TIMEOUT, DEADLOCK, NO_SESSION, SILENT, OTHER)
DIRECT_REFUSALS = Counter(
    "firstcome_direct_refusals_total",
    "Claims of the engine direct that the database did not decide: lock_timeout, deadlock, "
    "no_session (all were at work), no_answer, other.",
    "kind",
    by=(API,),
)
POOL = Gauge("firstcome_pool_connections", "Sessions with PostgreSQL.", "pool", "state", by=(API,))
POOL_WAITING = Gauge(
    "firstcome_pool_waiting", "Who waits for a session with PostgreSQL.", "pool", by=(API,)
)

# recorder
READ = Counter(
    "firstcome_records_read_total", "Records taken from the log.", "engine", by=(RECORDER,)
)
RECORDED = Counter(
    "firstcome_claims_recorded_total",
    "Claims that were decided: issued, replayed, cancelled, quarantined, dead_lettered, fenced.",
    "engine",
    "result",
    by=(RECORDER,),
)
TRANSACTION = Histogram(
    "firstcome_transaction_seconds",
    "One transaction of a recorder, its commit included.",
    "engine",
    by=(RECORDER,),
    bounds=SECONDS,
)
TRANSACTION_CLAIMS = Histogram(
    "firstcome_transaction_claims",
    "Claims of one transaction.",
    "engine",
    by=(RECORDER,),
    bounds=CLAIMS,
)
ISSUED_AFTER = Histogram(
    "firstcome_issued_after_seconds",
    "From asking the gate to the committed row, for claims that became ISSUED.",
    "engine",
    by=(RECORDER,),
    bounds=LONG_SECONDS,
)
PARTITIONS = Gauge(
    "firstcome_recorder_partitions",
    "Partitions of the log that this recorder reads.",
    by=(RECORDER,),
)
REBALANCES = Counter(
    "firstcome_rebalances_total",
    "Partitions were given to this recorder, or taken away.",
    by=(RECORDER,),
)
RECORDER_STOPPED = Gauge(
    "firstcome_recorder_stopped",
    "1 while recording stands still because too many claims are refused by the database.",
    by=(RECORDER,),
)
HELD = Counter(
    "firstcome_recorder_held_total",
    "Batches that had to wait and be tried again.",
    "reason",
    by=(RECORDER,),
)

# sweeper
SWEPT_AT = Gauge(
    "firstcome_swept_timestamp_seconds",
    "When the last tick ended, in seconds since 1970.",
    by=(SWEEPER,),
)
SWEPT = Counter(
    "firstcome_claims_swept_total", "Claims that the sweeper had to record.", by=(SWEEPER,)
)
MIRRORED = Counter(
    "firstcome_changes_mirrored_total",
    "Changes of campaigns brought to their gates.",
    by=(SWEEPER,),
)
REBUILT = Counter("firstcome_gates_rebuilt_total", "Gates made anew.", by=(SWEEPER,))
KEYS_REMOVED = Counter(
    "firstcome_epochs_removed_total",
    "Epochs of archived campaigns whose keys were removed from Redis.",
    by=(SWEEPER,),
)
INTERRUPTED = Counter(
    "firstcome_sweeps_interrupted_total",
    "Ticks and rebuilds that an absent engine ended.",
    by=(SWEEPER,),
)
DRIFT = Gauge(
    "firstcome_drift_claims",
    "What does not add up in a campaign: lost, leaked, unannounced.",
    "campaign_id",
    "kind",
    by=(SWEEPER,),
)

# relay
PUBLISHED = Counter(
    "firstcome_events_published_total", "Events that brokers have acknowledged.", by=(RELAY,)
)
RELAY_INTERRUPTED = Counter(
    "firstcome_relay_interruptions_total",
    "A relay had to begin anew: an engine was away, or its slot could not be read.",
    "reason",
    by=(RELAY,),
)

# autoscaler
DECIDED_AT = Gauge(
    "firstcome_autoscaler_decided_timestamp_seconds",
    "When the autoscaler last decided, in seconds since 1970.",
    by=(AUTOSCALER,),
)
DECISIONS = Counter(
    "firstcome_autoscaler_decisions_total",
    "Looks of the autoscaler, by what became of them: add, remove, keep, wait, held, blind.",
    "kind",
    by=(AUTOSCALER,),
)
RECORDERS_WANTED = Gauge(
    "firstcome_recorders_wanted", "Recorders that there should be.", by=(AUTOSCALER,)
)
RECORDERS = Gauge(
    "firstcome_recorders", "Recorders that tell the autoscaler what they do.", by=(AUTOSCALER,)
)
DRAIN = Gauge(
    "firstcome_autoscaler_drain_seconds",
    "How long the claims under way will take at the pace of the last look.",
    by=(AUTOSCALER,),
)

# console: the whole drop, looked at once a second
SAMPLED_AT = Gauge(
    "firstcome_sampled_timestamp_seconds",
    "When the console last saw the drop, in seconds since 1970.",
    by=(CONSOLE,),
)
DATABASE_UP = Gauge(
    "firstcome_database_up", "1 while PostgreSQL answers the console.", by=(CONSOLE,)
)
LAG_RECORDS = Gauge(
    "firstcome_lag_records", "Records of the log that no recorder has done.", by=(CONSOLE,)
)
LAG_CLAIMS = Gauge(
    "firstcome_lag_claims", "Claims that have their place and no row yet.", by=(CONSOLE,)
)
LAG_SECONDS = Gauge(
    "firstcome_lag_seconds", "Age of the oldest record that no recorder has done.", by=(CONSOLE,)
)
POSITIONS = Gauge(
    "firstcome_campaign_positions",
    "Positions of a campaign by status; REQUESTED: under way.",
    "campaign_id",
    "status",
    by=(CONSOLE,),
)
STOCK_LEFT = Gauge(
    "firstcome_campaign_stock_left",
    "Coupons that can still be claimed.",
    "campaign_id",
    by=(CONSOLE,),
)
GATE_OPEN = Gauge(
    "firstcome_gate_open", "1 while a campaign's gate admits.", "campaign_id", by=(CONSOLE,)
)
GATE_EPOCH = Gauge("firstcome_gate_epoch", "The gate's epoch.", "campaign_id", by=(CONSOLE,))
OUTBOX_EVENTS = Gauge(
    "firstcome_outbox_events", "Issued coupons whose events wait for a relay.", by=(CONSOLE,)
)
OUTBOX_SECONDS = Gauge(
    "firstcome_outbox_oldest_seconds", "How long the oldest of them has waited.", by=(CONSOLE,)
)
DEAD_LETTERS = Gauge(
    "firstcome_dead_letters",
    "Dead letters, by reason and what was decided.",
    "reason",
    "state",
    by=(CONSOLE,),
)
DEAD_LETTERS_DECIDED = Counter(
    "firstcome_dead_letters_decided_total",
    "Dead letters that were decided, by whomever: redriven, discarded.",
    "decision",
    by=(CONSOLE,),
)
SLOT_RETAINED = Gauge(
    "firstcome_slot_retained_bytes",
    "Write-ahead log that a replication slot keeps.",
    "slot",
    by=(CONSOLE,),
)
SLOT_LOST = Gauge(
    "firstcome_slot_lost",
    "1 when a replication slot cannot be read any more: lost; or gone or unpublished, though a "
    "relay needs it.",
    "slot",
    by=(CONSOLE,),
)
DISK_FREE = Gauge(
    "firstcome_disk_free_bytes",
    "Space left on the file system of a folder of console.disk_folders.",
    "mountpoint",
    by=(CONSOLE,),
)
DISK_SIZE = Gauge(
    "firstcome_disk_size_bytes", "The size of the same file system.", "mountpoint", by=(CONSOLE,)
)
POSTGRES_SESSIONS = Gauge(
    "firstcome_postgres_sessions", "Sessions with the database.", "state", by=(CONSOLE,)
)
TRANSACTION_OLDEST = Gauge(
    "firstcome_postgres_transaction_oldest_seconds",
    "How long the oldest transaction of any session with the database has been open.",
    by=(CONSOLE,),
)
REDIS_UP = Gauge("firstcome_redis_up", "1 while Redis answers the console.", by=(CONSOLE,))
REDIS_MEMORY = Gauge("firstcome_redis_memory_bytes", "Memory that Redis uses.", by=(CONSOLE,))
REDIS_MEMORY_MAX = Gauge(
    "firstcome_redis_memory_max_bytes",
    "Memory that Redis may use: its maxmemory, else all of its machine.",
    by=(CONSOLE,),
)
REDIS_CLIENTS = Gauge("firstcome_redis_clients", "Connections of Redis.", by=(CONSOLE,))
REDIS_WRITES = Gauge(
    "firstcome_redis_persists", "1 while Redis can write its append-only file.", by=(CONSOLE,)
)

# What nobody knows while PostgreSQL is away.
OF_THE_DROP = (
    *(LAG_RECORDS, LAG_CLAIMS, LAG_SECONDS, POSITIONS, STOCK_LEFT, GATE_OPEN, GATE_EPOCH),
    *(OUTBOX_EVENTS, OUTBOX_SECONDS, DEAD_LETTERS, SLOT_RETAINED, SLOT_LOST, POSTGRES_SESSIONS),
    TRANSACTION_OLDEST,
)

# What nobody knows while Redis is away.
OF_REDIS = (REDIS_MEMORY, REDIS_MEMORY_MAX, REDIS_CLIENTS, REDIS_WRITES)

METRICS: tuple[Metric, ...] = tuple(  # type: ignore[type-arg]
    value for value in list(globals().values()) if isinstance(value, Metric)
)
