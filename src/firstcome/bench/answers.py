"""What the crowd heard: one entry per request, in flat arrays.

A million answers as Python objects would cost the generator its pace and its
memory; as arrays they cost 41 bytes each and travel between processes as files.
"""

from array import array
from pathlib import Path

from firstcome.model import Outcome

# The codes that an answer can have; its number in `Answers.code` is an index into this tuple.
CODES = (
    "UNANSWERED",  # never sent, or still under way
    *(str(outcome) for outcome in Outcome),
    "TOO_MANY_REQUESTS",
    "UNAUTHENTICATED",
    "NOT_SENT",  # no connection became free in time: the user gave up
    "CONNECTION_LOST",
    "TIMED_OUT",
    "UNEXPECTED",  # an answer that the contract does not know
)
NUMBER = {code: number for number, code in enumerate(CODES)}
UNANSWERED, REQUESTED = NUMBER["UNANSWERED"], NUMBER[Outcome.REQUESTED]
DUPLICATE, OUT_OF_STOCK = NUMBER[Outcome.DUPLICATE], NUMBER[Outcome.OUT_OF_STOCK]
NOT_SENT, CONNECTION_LOST = NUMBER["NOT_SENT"], NUMBER["CONNECTION_LOST"]
TIMED_OUT, UNEXPECTED = NUMBER["TIMED_OUT"], NUMBER["UNEXPECTED"]

# Final answers that give no coupon, and are as they should be.
REFUSED = frozenset(
    NUMBER[outcome]
    for outcome in (Outcome.DUPLICATE, Outcome.OUT_OF_STOCK, Outcome.NOT_OPEN, Outcome.CLOSED)
)
# The user was not served; with an Idempotency-Key he may ask again.
ASK_AGAIN = frozenset(
    NUMBER[code]
    for code in (
        Outcome.UNAVAILABLE,
        Outcome.UNKNOWN,
        "TOO_MANY_REQUESTS",
        "CONNECTION_LOST",
        "TIMED_OUT",
    )
)
# The system said: come again.
OVERLOADED = frozenset(
    NUMBER[code] for code in (Outcome.UNAVAILABLE, Outcome.UNKNOWN, "TOO_MANY_REQUESTS")
)
# After these the user may hold a place that nobody has told him of.
IN_DOUBT = frozenset(
    NUMBER[code]
    for code in (Outcome.UNKNOWN, "CONNECTION_LOST", "TIMED_OUT", "UNANSWERED", "UNEXPECTED")
)
FAILED = frozenset(range(len(CODES))) - REFUSED - {REQUESTED}

# Flags of a request: Idempotency-Replayed came; one of its tries ended in doubt; one of its answers
# said when to come again (Retry-After).
REPLAYED, DOUBTED, TOLD_TO_RETRY = 1, 2, 4

_FIELDS = {
    "scheduled": "d",
    "due": "d",
    "sent": "d",
    "done": "d",
    "position": "I",
    "code": "B",
    "flags": "B",
    "tries": "B",
}


class Answers:
    """Parallel arrays, one entry per request.

    scheduled, due, sent, done: seconds after the start; all but `scheduled` of the last try, and
    `due` is when that one should have been sent; done is 0 unless code is set.
    code: index into CODES. position: as told, 0 for none. flags: REPLAYED, DOUBTED,
    TOLD_TO_RETRY.
    tries: how often the request was sent.
    """

    scheduled: "array[float]"
    due: "array[float]"
    sent: "array[float]"
    done: "array[float]"
    position: "array[int]"
    code: "array[int]"
    flags: "array[int]"
    tries: "array[int]"

    def __init__(self, requests: int) -> None:
        for name, kind in _FIELDS.items():
            empty = array(kind)
            setattr(self, name, array(kind, bytes(empty.itemsize * requests)))

    def __len__(self) -> int:
        return len(self.code)

    def save(self, path: Path) -> None:
        """Write all arrays to one file of this machine's byte order."""
        with path.open("wb") as file:
            for name in _FIELDS:
                getattr(self, name).tofile(file)

    @classmethod
    def load(cls, path: Path, requests: int) -> "Answers":
        """Read what `save` wrote."""
        answers = cls(0)
        with path.open("rb") as file:
            for name in _FIELDS:
                getattr(answers, name).fromfile(file, requests)
        return answers

    def deal(self, share: int, shares: int, part: "Answers") -> None:
        """Put in every `shares`-th entry, from `share` on: the part that one process has sent."""
        for name in _FIELDS:
            getattr(self, name)[share::shares] = getattr(part, name)
