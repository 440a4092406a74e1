"""The rows of what the servers spent: CPU, connections, memory, lag, locks, and the machine itself.

Averages and peaks are over the time of the load, from one sample a second.
"""

from firstcome.bench.compare.missing import Missing
from firstcome.bench.compare.readings import Reading, average, growth, peak, share, total
from firstcome.bench.compare.row import Need, Row

_CPU = "process_cpu_percent"
_SAMPLED: tuple[tuple[str, str, str, str, Reading, Need], ...] = (
    (
        "postgres_cpu",
        "% of a core",
        "Database CPU, average",
        "DB CPU 사용률 평균",
        average(total(_CPU, "postgres")),
        Need.NOTHING,
    ),
    (
        "postgres_cpu_peak",
        "% of a core",
        "Database CPU, peak",
        "DB CPU 사용률 최대",
        peak(total(_CPU, "postgres")),
        Need.NOTHING,
    ),
    (
        "postgres_sessions",
        "%",
        "Database connections of max_connections, average",
        "DB 커넥션 사용률 평균 (max_connections 대비)",
        average(share("postgres_connections", "postgres_connections_max")),
        Need.NOTHING,
    ),
    (
        "postgres_sessions_peak",
        "%",
        "Database connections of max_connections, peak",
        "DB 커넥션 사용률 최대 (max_connections 대비)",
        peak(share("postgres_connections", "postgres_connections_max")),
        Need.NOTHING,
    ),
    (
        "lock_waits",
        "sessions",
        "Sessions that wait for a lock, average",
        "락을 기다리는 세션 평균",
        average(total("postgres_lock_waits")),
        Need.NOTHING,
    ),
    (
        "lock_waits_peak",
        "sessions",
        "Sessions that wait for a lock, peak",
        "락을 기다리는 세션 최대",
        peak(total("postgres_lock_waits")),
        Need.NOTHING,
    ),
    (
        "deadlocks",
        "count",
        "Deadlocks",
        "데드락 횟수",
        growth(total("postgres_deadlocks_total")),
        Need.NOTHING,
    ),
    (
        "lock_timeouts",
        "count",
        "Lock time-outs (claims answered 503)",
        "락 대기 시간 초과 횟수 (503으로 답한 요청)",
        growth(total("lock_timeouts_total")),
        Need.NOTHING,
    ),
    (
        "redis_memory",
        "MB",
        "Redis memory, average",
        "Redis 메모리 평균",
        average(total("redis_memory_bytes", per=1e6)),
        Need.GATE,
    ),
    (
        "redis_memory_peak",
        "MB",
        "Redis memory, peak",
        "Redis 메모리 최대",
        peak(total("redis_memory_bytes", per=1e6)),
        Need.GATE,
    ),
    (
        "lag_records",
        "records",
        "Consumer lag in records, average",
        "Consumer Lag 평균 (레코드)",
        average(total("consumer_lag_records")),
        Need.CONSUMER,
    ),
    (
        "lag_records_peak",
        "records",
        "Consumer lag in records, peak",
        "Consumer Lag 최대 (레코드)",
        peak(total("consumer_lag_records")),
        Need.CONSUMER,
    ),
    (
        "lag_claims",
        "claims",
        "Consumer lag in claims, average",
        "Consumer Lag 평균 (신청)",
        average(total("consumer_lag_claims")),
        Need.CONSUMER,
    ),
    (
        "lag_claims_peak",
        "claims",
        "Consumer lag in claims, peak",
        "Consumer Lag 최대 (신청)",
        peak(total("consumer_lag_claims")),
        Need.CONSUMER,
    ),
    (
        "recorder_cpu",
        "% of a core",
        "Consumer CPU (recorder), average",
        "Consumer(recorder) CPU 사용률 평균",
        average(total(_CPU, "recorder")),
        Need.CONSUMER,
    ),
    (
        "recorder_cpu_peak",
        "% of a core",
        "Consumer CPU (recorder), peak",
        "Consumer(recorder) CPU 사용률 최대",
        peak(total(_CPU, "recorder")),
        Need.CONSUMER,
    ),
)

RESOURCE_ROWS = (
    *(
        Row(key, "resources", unit, en, ko, read, Missing.NOT_SAMPLED, need)
        for key, unit, en, ko, read, need in _SAMPLED
    ),
    Row(
        "redis_bytes_per_user",
        "resources",
        "bytes",
        "Redis memory per user",
        "사용자당 Redis 메모리",
        lambda run: run.outcome.redis_bytes_per_user,
        Missing.TOO_FEW_USERS,
        Need.GATE,
    ),
    Row(
        "steal",
        "resources",
        "%",
        "CPU time taken by the hypervisor (steal)",
        "하이퍼바이저가 가져간 CPU(steal)",
        lambda run: run.steal_percent,
        Missing.STEAL_UNKNOWN,
    ),
    Row(
        "others",
        "resources",
        "%",
        "CPU time of other processes",
        "다른 프로세스의 CPU",
        lambda run: run.others_percent,
        Missing.NO_CPU_TIMES,
    ),
)
