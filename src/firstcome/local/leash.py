"""Ties a child's life to its parent's: `python leash.py SIGNAL PARENT_PID USER COMMAND...`.

Asks the kernel (prctl PR_SET_PDEATHSIG) for SIGNAL as soon as the thread that started this process
is gone, then becomes COMMAND under the same pid, as USER if one is named. So engines do not outlive
a supervisor that is killed outright. A program of its own rather than a `preexec_fn`, which may
deadlock beside threads.
Linux only; elsewhere it just becomes COMMAND.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def leashed(
    command: list[str], death_signal: signal.Signals = signal.SIGKILL, user: str = ""
) -> list[str]:
    """Return the command line that runs `command` leashed to this process.

    Start it from a thread that lives as long as the child should. Only root may name a user.
    """
    # -I -S: no site packages, 10 ms instead of 60.
    wrapper = [sys.executable, "-I", "-S", __file__, str(int(death_signal)), str(os.getpid())]
    return [*wrapper, user, *command]


def main(death_signal: int, parent: int, user: str, command: list[str]) -> None:
    """Put this process on the leash and become `command`."""
    if user:  # before the leash, which a change of user takes off
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before the leash was on
            raise SystemExit(1)
    # Python ignores these two, and an ignored signal stays ignored through exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
