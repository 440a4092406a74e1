"""Every row of the report in its order, listed once.

The first ones are the rows of the source's tables, so that its figures can stand beside them
(told.py); what the source lacked follows.
"""

from firstcome.bench.compare.crowd_rows import ITERATION_ROWS, RESPONSE_ROWS, SERVED_ROWS
from firstcome.bench.compare.issuance_rows import ISSUANCE_ROWS
from firstcome.bench.compare.resource_rows import RESOURCE_ROWS

ROWS = (*SERVED_ROWS, *RESPONSE_ROWS, *ISSUANCE_ROWS, *ITERATION_ROWS, *RESOURCE_ROWS)
BY_KEY = {row.key: row for row in ROWS}
# In the order of the report; their titles are words.
GROUPS = ("requests", "response", "issuance", "correctness", "iteration", "network", "resources")
# What the report shows first, beside the source's figures.
KEY_ROWS = (
    "requests",
    "success_percent",
    "failed_percent",
    "http_avg",
    "http_p95",
    "tps",
    "rps_max",
    "persisted",
    "issued_p95",
    "lost",
    "postgres_cpu",
    "postgres_sessions",
    "redis_memory",
    "lag_records",
    "recorder_cpu",
)
