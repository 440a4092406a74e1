"""Every error of ours, on one axis: may the caller try again?

    FirstcomeError
    ├── Unavailable               try again; says whether the work may have been done
    │   ├── GateUnavailable       Redis gave no answer, or its gate is shut
    │   ├── LogUnavailable        Kafka took no record in time
    │   └── DatabaseUnavailable   PostgreSQL gave no answer
    │       └── LaterVersion      it gave one that only a later version of firstcome understands
    ├── RowExists                 what was to be inserted as new is there already: look it up
    ├── BadRecord                 never succeeds: quarantine it
    ├── RecordingStopped          too much is bad at once: a human has to look first
    ├── Refused                   an operator's command that the state of the world forbids
    │   ├── CampaignNotFound
    │   ├── DeadLetterNotFound
    │   └── SlotUnusable          no relay can read its replication slot
    └── InvalidSettings           the process must not start

Refusals to a user (sold out, duplicate) are values of the model, not errors.
Only api/problems.py knows what HTTP makes of them.
"""


class FirstcomeError(Exception):
    """Base of every error of ours."""


class Unavailable(FirstcomeError):
    """An engine gave no usable answer; trying again may help."""

    def __init__(self, message: str, *, certain: bool = False) -> None:
        """`certain`: the work was certainly not done. Otherwise nobody knows."""
        super().__init__(message)
        self.certain = certain


class GateUnavailable(Unavailable):
    """Redis gave no answer, or its gate is shut until a rebuild has finished."""


class LogUnavailable(Unavailable):
    """Kafka took no record in time."""


class DatabaseUnavailable(Unavailable):
    """PostgreSQL gave no answer, or refused for now."""

    def __init__(self, message: str, *, certain: bool = False, sqlstate: str | None = None) -> None:
        """`sqlstate`: PostgreSQL's own code, where it gave one."""
        super().__init__(message, certain=certain)
        self.sqlstate = sqlstate


class LaterVersion(DatabaseUnavailable):
    """A row that only a later version of firstcome can read; it is left as it is."""

    def __init__(self, message: str) -> None:
        """Nothing was done."""
        super().__init__(message, certain=True)


class RowExists(FirstcomeError):
    """What was to be inserted as new is there already; the transaction was rolled back."""


class BadRecord(FirstcomeError):
    """A record that can never succeed, whatever is tried."""

    def __init__(self, message: str, *, reason: str = "UNDECODABLE") -> None:
        """`reason`: the word that its dead letter will carry."""
        super().__init__(message)
        self.reason = reason


class RecordingStopped(FirstcomeError):
    """So many claims of a batch are bad that the fault is probably ours; nothing was set aside."""


class Refused(FirstcomeError):
    """A command that the state of the world forbids; the message says what to do."""


class CampaignNotFound(Refused):
    """No campaign has that number."""


class DeadLetterNotFound(Refused):
    """No dead letter has that number."""


class SlotUnusable(Refused):
    """A replication slot is missing, lost or somebody else's: nothing can be read from it."""


class InvalidSettings(FirstcomeError):
    """A setting is missing, out of bounds or at odds with another; the process must not start."""
