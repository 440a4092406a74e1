"""The consumer that docs/events.md shows: runs as printed, and a repeat changes nothing."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from firstcome.eventlog.admin import LogAdmin
from firstcome.relay.history import EventHistory
from firstcome.relay.outbox import Range
from firstcome.settings import Settings
from running import eventually
from tests.integration.issuing import Issuing
from tests.integration.relays import polling

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def test_the_consumer_of_the_page_handles_each_event_once(
    settings: Settings, tmp_path: Path
) -> None:
    LogAdmin(settings.kafka).create_topics()
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    for printed, meant in (
        ("127.0.0.1:9092", settings.kafka.bootstrap_servers),
        ('"notifications"', f'"{settings.kafka.group_id}-notifications"'),
        ("firstcome.coupon-issued.v1", f"{settings.kafka.topic_prefix}.coupon-issued.v1"),
    ):
        assert code.count(printed) == 1
        code = code.replace(printed, meant)
    with Issuing(settings.postgres) as issuing, polling(settings) as relay:
        campaign = issuing.campaign()
        issuing.issue(campaign, 1, ["ann", "bob"])
        relay.run_once()
        EventHistory(settings).replay([Range(campaign, 1, 3)], "me")
        issuing.issue(campaign, 3, ["cat"])
        relay.run_once()

    def notified() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "notifications.db")) as store:
            try:
                return [text for (text,) in store.execute("SELECT text FROM notified")]
            except sqlite3.OperationalError:  # not made yet
                return []

    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        texts = eventually("cat was told", notified, lambda seen: len(seen) >= 3, seconds=60)
    finally:
        process.kill()
        process.wait()

    assert sorted(texts) == [
        f"{user} got coupon {position} of campaign {campaign}"
        for position, user in enumerate(("ann", "bob", "cat"), 1)
    ]
