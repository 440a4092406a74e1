"""Why a cell of the report has no value: every reason, listed once.

No cell is ever empty. The words of each reason, short for the cell and long for the note below
the table, are in words_en.py and words_ko.py under `missing.<reason>`.
"""

from enum import StrEnum


class Missing(StrEnum):
    """A reason."""

    NOT_RUN = "not-run"  # this engine was not measured with this scenario and generator
    NO_GATE = "no-gate"  # the engine does without Redis
    NO_CONSUMER = "no-consumer"  # the engine does without a recorder, so nothing lags
    NOT_SAMPLED = "not-sampled"  # the collector saw nothing of it during the load
    NO_ANSWER = "no-answer"  # nothing was answered, so nothing took any time
    NOTHING_ISSUED = "nothing-issued"
    NO_COMMIT_TIMES = "no-commit-times"  # the run has no pairs of request and commit
    NO_VIRTUAL_USERS = "no-virtual-users"  # the generator counted neither users nor connections
    NO_ITERATIONS = "no-iterations"
    NOT_PER_SECOND = "not-per-second"  # the generator gave totals only
    BYTES_NOT_COUNTED = "bytes-not-counted"
    TOO_FEW_USERS = "too-few-users"  # the memory of few users drowns in Redis' buffers
    NO_CPU_TIMES = "no-cpu-times"  # no running stack named its processes
    STEAL_UNKNOWN = "steal-unknown"  # the kernel does not tell it
