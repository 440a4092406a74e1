"""The public port, as a visitor sees it who waits for the doors to open.

A campaign is made in the database; its gate and the api processes hear of it a
moment later. Whoever measures answers must not measure that moment.
"""

import http.client
import json
import time
from typing import Any

from firstcome.bench.crowd import user_id
from firstcome.bench.tokens import Signer
from firstcome.errors import Unavailable
from firstcome.model import CampaignId

OPEN_SECONDS = 30.0


class Shopfront:
    """Asks the public port about campaigns. Blocking, one connection per question."""

    def __init__(self, host: str, port: int, signer: Signer) -> None:
        """`signer` speaks for the user who asks."""
        self._host = host
        self._port = port
        name, _, value = signer.headers()(user_id(0)).decode().strip().partition(": ")
        self._headers = {name: value}

    def campaign(self, campaign_id: CampaignId) -> dict[str, Any] | None:
        """Return a campaign as it is shown, or None while it is not. Raises OSError."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        try:
            connection.request("GET", f"/v1/campaigns/{campaign_id}", headers=self._headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            return None
        shown: dict[str, Any] = json.loads(content)
        return shown

    def wait_open(self, campaign_id: CampaignId) -> None:
        """Wait until a campaign is shown with its stock. Raises Unavailable after OPEN_SECONDS."""
        give_up_at = time.monotonic() + OPEN_SECONDS
        seen = "no answer"
        while time.monotonic() < give_up_at:
            try:
                shown = self.campaign(campaign_id)
            except (OSError, http.client.HTTPException) as error:
                seen = str(error) or type(error).__name__
            else:
                if shown is not None and shown.get("stock_left") is not None:
                    return
                seen = "not shown yet" if shown is None else "its gate is shut"
            time.sleep(0.05)
        raise Unavailable(
            f"campaign {campaign_id} was made but did not open at http://{self._host}:{self._port} "
            f"within {OPEN_SECONDS:.0f} s ({seen}): nobody was sent; look at `firstcome status` "
            "and `firstcome logs`, then ask again",
            certain=True,
        )
