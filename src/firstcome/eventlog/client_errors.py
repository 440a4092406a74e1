"""What the client's errors mean: brokers will agree and may be asked again, or it is all over."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

RETRY_PAUSE_SECONDS = 0.1
# A topic is new or a broker has gone: the brokers will agree on another one.
_PASSING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.FENCED_LEADER_EPOCH,
)
T = TypeVar("T")


def patiently(ask: Callable[[], T], timeout_seconds: float) -> T:
    """Return the answer; ask again while the refusal is one that passes, until the time is up.

    Raises KafkaException as `ask` does.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return ask()
        except KafkaException as error:
            if code_of(error) not in _PASSING or time.monotonic() + RETRY_PAUSE_SECONDS > deadline:
                raise
        time.sleep(RETRY_PAUSE_SECONDS)


def code_of(error: BaseException | None) -> int | None:
    """Return the broker's code; None where the error has none."""
    if isinstance(error, KafkaException) and isinstance(error.args[0], KafkaError):
        code: int = error.args[0].code()
        return code
    return None


def is_fatal(error: BaseException | KafkaError | None) -> bool:
    """Whether a client has given up for good and needs a successor.

    A polled error says so by its code alone: its `fatal()` is false, whatever happened.
    """
    reason = error.args[0] if isinstance(error, KafkaException) and error.args else error
    return isinstance(reason, KafkaError) and (reason.fatal() or reason.code() == KafkaError._FATAL)
