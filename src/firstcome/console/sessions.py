"""Who is signed in, and who has tried too often.

Kept in this process alone: whoever steals a file finds no session, and a console that starts anew
asks everybody to sign in again. A cookie holds a random name, of which only the SHA-256 is kept.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from secrets import token_urlsafe
from threading import Lock
from time import monotonic

from firstcome.console.operators import Role

COOKIE = "firstcome_session"
SESSIONS_MAX = 1000
FORMS_MAX = 200  # of one session: confirmed ones that are remembered
FAILURES_MAX = 5  # of one address within the window; then it has to wait
FAILURES_KEPT = 1000
WINDOW_SECONDS = 60.0


@dataclass
class Session:
    """One sign-in."""

    name: str
    role: Role
    ends_at: float  # monotonic
    began: float
    csrf: str = field(default_factory=lambda: token_urlsafe(24))
    _forms: deque[str] = field(default_factory=lambda: deque(maxlen=FORMS_MAX))
    _lock: Lock = field(default_factory=Lock)

    def is_token(self, sent: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(sent.encode(), self.csrf.encode())

    def first_time(self, form: str) -> bool:
        """Whether this confirmation was not given before: a second click changes nothing."""
        with self._lock:
            if not form or form in self._forms:
                return False
            self._forms.append(form)
            return True

    def forget(self, form: str) -> None:
        """Take a confirmation back."""
        with self._lock:
            if form in self._forms:
                self._forms.remove(form)


class Sessions:
    """May be used by several threads at once."""

    def __init__(
        self, seconds: float, *, behind_tls: bool = False, clock: Callable[[], float] = monotonic
    ) -> None:
        """`behind_tls`: browsers then take the cookie from this very host alone (RFC 6265bis)."""
        self.cookie_name = f"__Host-{COOKIE}" if behind_tls else COOKIE
        self._seconds = seconds
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}
        self._lock = Lock()

    def begin(self, name: str, role: Role) -> str:
        """Sign somebody in; return what his cookie holds."""
        cookie, now = token_urlsafe(32), self._clock()
        with self._lock:
            self._forget(now)
            while len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]  # the oldest
            self._sessions[_digest(cookie)] = Session(name, role, now + self._seconds, now)
        return cookie

    def of(self, cookie: str) -> Session | None:
        """Return the session of a cookie while it lasts."""
        with self._lock:
            session = self._sessions.get(_digest(cookie))
        return session if session and self.lasts(session) else None

    def lasts(self, session: Session) -> bool:
        """Whether it has neither expired nor been ended."""
        return self._clock() < session.ends_at

    def end(self, session: Session) -> None:
        """Sign out."""
        session.ends_at = 0.0

    def end_of(self, name: str) -> int:
        """Sign somebody out wherever he is signed in; return how often that was."""
        ended = [session for session in self.all() if session.name == name]
        for session in ended:
            self.end(session)
        return len(ended)

    def all(self) -> list[Session]:
        """Return everybody's sessions, oldest first."""
        with self._lock:
            self._forget(self._clock())
            return list(self._sessions.values())

    def _forget(self, now: float) -> None:
        self._sessions = {key: each for key, each in self._sessions.items() if now < each.ends_at}


class FailedSignIns:
    """Counts them for a minute, so that keys cannot be tried at speed."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque(maxlen=FAILURES_KEPT)
        self._lock = Lock()

    def note(self, address: str) -> None:
        """Count one."""
        with self._lock:
            self._failures.append((self._clock(), address))

    def wait_seconds(self, address: str) -> int:
        """Return for how long nobody at this address may try; 0: he may."""
        with self._lock:
            now = self._clock()
            while self._failures and now - self._failures[0][0] >= WINDOW_SECONDS:
                self._failures.popleft()
            own = [at for at, who in self._failures if who == address]
        since = own[-FAILURES_MAX] if len(own) >= FAILURES_MAX else None
        return 0 if since is None else max(1, ceil(since + WINDOW_SECONDS - now))


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
