"""Users who ask every moment, and wait until they see ISSUED: what a drill feels like.

They claim in a campaign of their own, so that the crowd's answers stay exact. Each is one
user with one request and one long poll after it, on a thread of his own.
"""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

from firstcome.bench.tokens import Signer
from firstcome.model import CampaignId

PERIOD_SECONDS = 0.5
WAIT_SECONDS = 20  # of one long poll
THREADS_MAX = 400
TIMEOUT_SECONDS = 30.0


class Probe(NamedTuple):
    """What one user saw; times in seconds since 1970, 0 for what never came."""

    asked_at: float
    answered_at: float
    http_status: int
    code: str  # of a problem; empty for a 202
    retry_after: bool
    issued_at: float = 0.0


class Probes:
    """A context manager: asks while it is open, and waits for ISSUED until it is closed."""

    def __init__(self, host: str, port: int, signer: Signer, campaign_id: CampaignId) -> None:
        """`patience_seconds` after the close nobody waits any more."""
        self.probes: list[Probe] = []
        self._address = host, port
        self._header = signer.headers()
        self._path = f"/v1/campaigns/{campaign_id}/issuances"
        self._stop = threading.Event()
        self._give_up_at = float("inf")
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="probe")
        self._thread = threading.Thread(target=self._come, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(0.0 if kind else 60.0)

    def close(self, patience_seconds: float) -> None:
        """Let nobody new come; wait until everybody who was promised a coupon has seen it."""
        self._stop.set()
        self._thread.join()
        self._give_up_at = time.monotonic() + patience_seconds
        self._pool.shutdown(wait=True)

    def _come(self) -> None:
        number, began = 0, time.monotonic()
        while not self._stop.wait(max(0.0, began + number * PERIOD_SECONDS - time.monotonic())):
            number += 1
            self._pool.submit(self._visit, f"probe-{number:05d}")

    def _visit(self, user: str) -> None:
        asked_at = time.time()
        try:
            status, headers, body = self._ask("POST", self._path, user)
        except (OSError, http.client.HTTPException) as error:
            self.probes.append(Probe(asked_at, time.time(), 0, type(error).__name__, False))
            return
        probe = Probe(
            asked_at, time.time(), status, str(body.get("code", "")), "retry-after" in headers
        )
        issued_at = self._await_issued(user) if status == 202 else 0.0
        self.probes.append(probe._replace(issued_at=issued_at))

    def _await_issued(self, user: str) -> float:
        """Return when the user saw ISSUED, 0: never."""
        while time.monotonic() < self._give_up_at:
            try:
                _, _, body = self._ask("GET", f"{self._path}/me?wait={WAIT_SECONDS}", user)
                if body.get("status") == "ISSUED":
                    return time.time()
            except (OSError, http.client.HTTPException):
                pass
            self._stop.wait(0.05)
            time.sleep(0.05)
        return 0.0

    def _ask(self, method: str, path: str, user: str) -> tuple[int, set[str], dict[str, object]]:
        name, _, value = self._header(user).decode().strip().partition(": ")
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, headers={name: value, "Content-Length": "0"})
            response = connection.getresponse()
            body = json.loads(response.read())
            return response.status, {header.lower() for header, _ in response.getheaders()}, body
        finally:
            connection.close()
