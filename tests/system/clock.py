"""A wall clock that jumps, for chosen processes: libfaketime, which reads the offset from a file.

The monotonic clock is left alone, as when an administrator sets the time. Redis does not start
under libfaketime (its allocator and the library's first call wait for each other); the broker was
not tried. The library is the one of the Python package, built for x86-64: that of Debian 12 breaks
`time.sleep`.
"""

from importlib.resources import files
from pathlib import Path

LIBRARY = Path(str(files("libfaketime") / "vendor/libfaketime/src/libfaketime.so.1"))


class Clock:
    """One clock, for every process that is started with `environment()`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def environment(self) -> dict[str, str]:
        """Return the variables that put a process under this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """Show a time so far from the true one, from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)
