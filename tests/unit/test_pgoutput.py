"""Messages of the server's output plugin: what is of interest is read, all else is passed over."""

from datetime import UTC, datetime, timedelta
from struct import pack

import pytest

from firstcome.errors import BadRecord
from firstcome.postgres import Commit, Decoder, Insert

pytestmark = pytest.mark.unit

BIGINT, TEXT, TIME, MULTIRANGE, ENUM = 20, 25, 1184, 4536, 99_999
SINCE_2000 = datetime(2000, 1, 1, tzinfo=UTC)


def relation(number: int, name: str, **columns: int) -> bytes:
    """Return the message that describes a table."""
    said = pack("!cI", b"R", number) + b"public\0" + name.encode() + b"\0"
    said += pack("!cH", b"f", len(columns))
    for column, type_number in columns.items():
        said += b"\1" + column.encode() + b"\0" + pack("!Ii", type_number, -1)
    return said


def insert(number: int, *values: bytes | None, kind: bytes = b"b") -> bytes:
    """Return the message that brings a row."""
    said = pack("!cIcH", b"I", number, b"N", len(values))
    for value in values:
        said += b"n" if value is None else kind + pack("!i", len(value)) + value
    return said


def commit(end: int) -> bytes:
    """Return the message that ends a transaction."""
    return pack("!cBQQQ", b"C", 0, end - 8, end, 0)


def whole(number: int) -> bytes:
    return pack("!q", number)


def ranges(*bounds: tuple[int, int], flags: int = 2) -> bytes:
    """Return a multirange."""
    each = [pack("!iBiqiq", 25, flags, 8, first, 8, end) for first, end in bounds]
    return pack("!i", len(bounds)) + b"".join(each)


def test_columns_asked_for_come_in_the_order_asked_for() -> None:
    decoder = Decoder({"issuances": ("user_id", "position", "requested_at", "recorded_at")})
    columns = {"position": BIGINT, "status": ENUM, "requested_at": TIME, "recorded_at": TIME}
    assert decoder.decode(relation(7, "issuances", **columns, user_id=TEXT, reason=TEXT)) is None

    row = insert(7, whole(5), b"ISSUED", None, whole(1_500_001), "ünï".encode(), None)

    at = SINCE_2000 + timedelta(microseconds=1_500_001)
    assert decoder.decode(memoryview(row)) == Insert("issuances", ("ünï", 5, None, at))


def test_columns_that_nobody_asked_for_may_come_as_text_or_not_at_all() -> None:
    decoder = Decoder({"t": ("a", "b")})
    decoder.decode(relation(7, "t", x=ENUM, a=BIGINT, y=ENUM, b=BIGINT))
    head, tail = insert(7, b"some text", whole(1), kind=b"t"), insert(7, None, whole(2))[8:]
    row = head[:8] + head[8:].replace(b"t\0\0\0\x08", b"b\0\0\0\x08") + tail
    assert decoder.decode(row) == Insert("t", (1, 2))


def test_ranges_come_as_pairs() -> None:
    decoder = Decoder({"outbox": ("outbox_id", "positions")})
    decoder.decode(relation(9, "outbox", outbox_id=BIGINT, positions=MULTIRANGE))
    said = decoder.decode(insert(9, whole(3), ranges((1, 4), (7, 8))))
    assert said == Insert("outbox", (3, [(1, 4), (7, 8)]))


def test_a_range_without_bounds_is_refused() -> None:
    decoder = Decoder({"outbox": ("outbox_id", "positions")})
    decoder.decode(relation(9, "outbox", outbox_id=BIGINT, positions=MULTIRANGE))
    with pytest.raises(BadRecord, match="without bounds"):
        decoder.decode(insert(9, whole(3), ranges((1, 4), flags=6)))


def test_a_transaction_ends_at_its_position() -> None:
    assert Decoder({}).decode(commit(4711)) == Commit(4711)


@pytest.mark.parametrize("kind", [b"B", b"U", b"D", b"T", b"O", b"Y", b"M"])
def test_other_messages_say_nothing(kind: bytes) -> None:
    assert Decoder({"t": ("a", "b")}).decode(kind + bytes(40)) is None


def test_rows_of_other_tables_say_nothing() -> None:
    decoder = Decoder({"t": ("a", "b")})
    decoder.decode(relation(1, "others", a=BIGINT, b=BIGINT))
    assert decoder.decode(insert(1, whole(1), whole(2))) is None


def test_a_table_may_change_in_mid_stream() -> None:
    decoder = Decoder({"t": ("a", "b")})
    decoder.decode(relation(1, "t", a=BIGINT, b=BIGINT))
    decoder.decode(relation(1, "t", c=TEXT, b=BIGINT, a=BIGINT))
    assert decoder.decode(insert(1, b"c", whole(2), whole(1))) == Insert("t", (1, 2))
    decoder.decode(relation(1, "renamed", a=BIGINT, b=BIGINT))
    assert decoder.decode(insert(1, whole(1), whole(2))) is None


@pytest.mark.parametrize(
    ("columns", "said"), [({"a": BIGINT}, "no column b"), ({"a": BIGINT, "b": 600}, "type 600")]
)
def test_a_table_that_cannot_be_read_is_named(columns: dict[str, int], said: str) -> None:
    with pytest.raises(BadRecord, match=said):
        Decoder({"t": ("a", "b")}).decode(relation(1, "t", **columns))


def test_a_value_asked_for_must_come_in_binary_form() -> None:
    decoder = Decoder({"t": ("a", "b")})
    decoder.decode(relation(1, "t", a=BIGINT, b=TEXT))
    with pytest.raises(BadRecord, match="binary"):
        decoder.decode(insert(1, b"1", b"x", kind=b"t"))
