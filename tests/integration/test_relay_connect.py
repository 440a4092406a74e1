"""Kafka Connect of the local stack refuses to start on a slot that it would have to make."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from firstcome import postgres
from firstcome.relay.preparation import Preparation
from firstcome.settings import Settings

pytestmark = pytest.mark.integration


def test_worker_does_not_start_without_a_slot(settings: Settings, tmp_path: Path) -> None:
    slot = settings.kafka.topic_prefix
    relay = settings.relay.model_copy(update={"slot": slot})
    assert "was never made: run `firstcome relay prepare --mode debezium`" in said(
        settings, slot, tmp_path
    )

    preparation = Preparation(relay, "debezium", lambda: postgres.connect(settings.postgres))
    preparation.prepare()
    with psycopg.connect(settings.postgres.url.get_secret_value(), autocommit=True) as session:
        session.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    assert "and is gone: run `firstcome relay prepare" in said(settings, slot, tmp_path)
    assert not (tmp_path / "connect-1").exists()


def said(settings: Settings, slot: str, folder: Path) -> str:
    """Try to start a worker; return its last words."""
    program = [sys.executable, "-m", "firstcome.local.connect"]
    done = subprocess.run(
        [*program, str(folder / "connect-1"), "1", str(folder / "log")],
        env=os.environ
        | {
            "FIRSTCOME_POSTGRES__URL": settings.postgres.url.get_secret_value(),
            "FIRSTCOME_RELAY__SLOT": slot,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr
