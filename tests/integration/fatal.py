"""A client that has given up for good, as after a broker that came back without the end of its log.

The error is made by librdkafka itself, by the function that it has for this purpose: so it
takes the same way as a real one, which is another way than that of all other errors.
"""

import ctypes
from pathlib import Path

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, Producer


def break_for_good(client: Producer | Consumer) -> None:
    """Let it have a fatal error. Returns at once; the client tells of it when it is next used."""
    folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    [library] = folder.glob("librdkafka-*.so*")
    # The handle is the first field after Python's own part of the object.
    handle = ctypes.c_void_p.from_address(id(client) + object.__basicsize__)
    code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert ctypes.CDLL(str(library)).rd_kafka_test_fatal_error(handle, code, b"planted") == 0
