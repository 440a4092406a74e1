"""The Lua scripts of the gate, by name, with the SHA1 that Redis knows them by.

Each script stands in lua/<name>.lua and opens with its keys, arguments and reply.
"""

import hashlib
from importlib.resources import files
from typing import NamedTuple


class Script(NamedTuple):
    """One script: its text and the name that EVALSHA takes."""

    text: bytes
    sha: str


def _load(name: str) -> Script:
    text = files("firstcome.gate").joinpath(f"lua/{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


NAMES = ("admit", "status", "settle", "mirror", "trim", "switch")
SCRIPTS = {name: _load(name) for name in NAMES}
