"""What the server's own output plugin says of a transaction: pgoutput, version 1, binary.

Transactions come one after the other, whole, in the order of their commits. Of the rows only the
tables and columns that were asked for are read, which takes 3 to 4 microseconds a row.
https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

from firstcome.errors import BadRecord

Data = memoryview | bytes
Reader = Callable[[Data, int, int], Any]  # of a value: all the bytes, where it begins, its length

_RELATION, _INSERT, _COMMIT = b"RIC"
_BINARY, _TEXT = b"bt"
_ROW_BEGINS = 8  # after the kind, the table's number, `N` and the count of columns

_int = Struct("!i").unpack_from
_long = Struct("!q").unpack_from
_commit = Struct("!xBQQ").unpack_from  # flags, where the commit is, where it ends
_relation = Struct("!xi").unpack_from
_columns = Struct("!BH").unpack_from  # replica identity, count
_column_type = Struct("!ii").unpack_from
# A range with both bounds: its length, flags, and two bounds with their lengths.
_ranges = Struct("!iBiqiq")
_LOWER_INCLUDED = 2
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Insert(NamedTuple):
    """A row that became visible; its values in the order in which they were asked for."""

    table: str
    values: tuple[Any, ...]


class Commit(NamedTuple):
    """The end of a transaction, as a position of the log."""

    end: int


class _Table(NamedTuple):
    name: str
    readers: list[Reader | None]  # up to the last column asked for; None: not asked for
    ordered: Callable[[list[Any]], tuple[Any, ...]]


class Decoder:
    """Of one stream: it remembers what the server has told of its tables."""

    def __init__(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """`wanted`: by table, two or more of its columns."""
        self._wanted = wanted
        self._tables: dict[int, _Table] = {}

    def decode(self, data: Data) -> Insert | Commit | None:
        """Return what a message says, None when it is of no interest. Raises BadRecord."""
        kind = data[0]
        if kind == _INSERT:
            return self._insert(data)
        if kind == _COMMIT:
            return Commit(_commit(data)[2])
        if kind == _RELATION:
            self._learn(bytes(data))
        return None

    def _insert(self, data: Data) -> Insert | None:
        table = self._tables.get(_relation(data)[0])
        if table is None:
            return None
        values = []
        at = _ROW_BEGINS
        for reader in table.readers:
            kind = data[at]
            at += 1
            if kind == _BINARY:
                size = _int(data, at)[0]
                at += 4
                if reader is not None:
                    values.append(reader(data, at, size))
                at += size
            elif reader is not None:
                if kind == _TEXT:
                    raise BadRecord(f"a value of {table.name} did not come in binary form")
                values.append(None)
            elif kind == _TEXT:
                at += 4 + _int(data, at)[0]
        return Insert(table.name, table.ordered(values))

    def _learn(self, data: bytes) -> None:
        number = _relation(data)[0]
        _, name, rest = data[5:].split(b"\0", 2)
        wanted = self._wanted.get(name.decode())
        if wanted is None:
            self._tables.pop(number, None)
            return
        types = _types(rest)
        if absent := [column for column in wanted if column not in types]:
            raise BadRecord(f"no column {', '.join(absent)} of {name.decode()} in the stream")
        columns = list(types)
        last = max(columns.index(column) for column in wanted)
        readers = [
            _reader(types[column]) if column in wanted else None for column in columns[: last + 1]
        ]
        came = [column for column in columns if column in wanted]
        ordered = itemgetter(*(came.index(column) for column in wanted))
        self._tables[number] = _Table(name.decode(), readers, ordered)


def _types(rest: bytes) -> dict[str, int]:
    """Return the columns of a relation message with the numbers of their types."""
    _, count = _columns(rest)
    at = 3
    types = {}
    for _ in range(count):
        end = rest.index(b"\0", at + 1)
        types[rest[at + 1 : end].decode()] = _column_type(rest, end + 1)[0]
        at = end + 9
    return types


def _whole(data: Data, at: int, _size: int) -> int:
    number: int = _long(data, at)[0]
    return number


def _text(data: Data, at: int, size: int) -> str:
    return str(data[at : at + size], "utf-8")


def _time(data: Data, at: int, _size: int) -> datetime:
    return _moment(_long(data, at)[0])


@lru_cache(maxsize=256)  # rows of a transaction share theirs
def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _multirange(data: Data, at: int, size: int) -> list[tuple[int, int]]:
    """Return [first, end) of each; ranges of whole numbers always come in that form."""
    found = []
    for _, flags, _, first, _, end in _ranges.iter_unpack(data[at + 4 : at + size]):
        if flags != _LOWER_INCLUDED:
            raise BadRecord(f"a range without bounds (flags {flags})")
        found.append((first, end))
    return found


def _reader(type_number: int) -> Reader:
    try:
        return _READERS[type_number]
    except KeyError:
        raise BadRecord(f"values of type {type_number} cannot be read") from None


# The numbers of pg_type: bigint, text, timestamptz, int8multirange.
_READERS: dict[int, Reader] = {20: _whole, 25: _text, 1184: _time, 4536: _multirange}
