"""Who the operators are, by their keys, and what each may do.

Keys are kept as SHA-256: they are long and random, so nobody can guess them from it. Every
comparison takes as long for a nearly right key as for any other, and every name as long as one
that exists.
"""

import hashlib
import hmac
import re
from enum import IntEnum
from typing import NamedTuple

from firstcome.settings import ConsoleSettings, OperatorKey

NAME_PATTERN = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
_NOBODYS = hashlib.sha256(b"").digest()  # no key has this: the shortest has 32 bytes


class Role(IntEnum):
    """What an operator may do; each may what those below may."""

    VIEWER = 1  # look at everything
    OPERATOR = 2  # change campaigns, decide dead letters
    ADMIN = 3  # see who may sign in, and end their sessions

    @property
    def word(self) -> str:
        """Return the role as settings and pages name it."""
        return self.name.lower()


class Operator(NamedTuple):
    """Somebody who has proved himself. `name` is None for the shared key: it names nobody."""

    name: str | None
    role: Role


class Operators:
    """Everybody who has a key."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._keys = {name: _digest_of(key) for name, key in settings.operators.items()}
        self._roles = {name: Role[key.role.upper()] for name, key in settings.operators.items()}
        shared = settings.operator_key
        self._shared = _digest(shared.get_secret_value().encode()) if shared else None

    @property
    def nobody(self) -> bool:
        """Whether no key is configured at all, so that all are refused."""
        return self._shared is None and not self._keys

    @property
    def has_shared(self) -> bool:
        """Whether console.operator_key is set."""
        return self._shared is not None

    def roles(self) -> dict[str, Role]:
        """Return the roles of all who have a name of their own."""
        return dict(self._roles)

    def of_key(self, key: bytes) -> Operator | None:
        """Return whose key this is."""
        found = None
        for name, expected in self._keys.items():
            if hmac.compare_digest(_digest(key), expected):
                found = Operator(name, self._roles[name])
        if self._shared and hmac.compare_digest(_digest(key), self._shared):
            found = Operator(None, Role.ADMIN)
        return found

    def signed_in(self, name: str, key: str) -> Operator | None:
        """Return the operator of this name if the key is his.

        The shared key signs in under any name that is nobody's.
        """
        if not NAME_PATTERN.fullmatch(name):
            return None
        theirs = _digest(key.encode())
        own = hmac.compare_digest(theirs, self._keys.get(name, _NOBODYS))
        shared = hmac.compare_digest(theirs, self._shared or _NOBODYS)
        if name in self._keys:
            return Operator(name, self._roles[name]) if own else None
        return Operator(name, Role.ADMIN) if shared else None


def _digest_of(key: OperatorKey) -> bytes:
    if key.key_sha256 is not None:
        return bytes.fromhex(key.key_sha256)
    return _digest((key.key.get_secret_value() if key.key else "").encode())


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
