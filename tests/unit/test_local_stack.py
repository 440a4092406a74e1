"""A local stack as a command sees it, through its folder alone."""

import os
from pathlib import Path

import pytest

from firstcome.errors import Refused
from firstcome.local.folder import StackFolder, write_json
from firstcome.local.recorders import want
from firstcome.local.shape import Shape
from firstcome.local.stack import Stack
from firstcome.local.supervisor import stopped

pytestmark = pytest.mark.unit


def test_wanted_recorders_are_those_asked_for_last(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    stack = Stack(folder)
    folder.create()
    with pytest.raises(Refused):
        stack.recorders()
    assert folder.lock(), "this process is the supervisor, and has not seen the new number yet"
    said = stopped() | {"state": "running", "supervisor": os.getpid()}
    write_json(folder.status, said | {"shape": vars(Shape(recorders=2))})
    assert stack.recorders() == 2
    stack.scale(5)
    assert stack.recorders() == 5
    want(folder, 1)
    assert stack.recorders() == 1
    folder.wanted.write_text("torn")
    assert stack.recorders() == 2
