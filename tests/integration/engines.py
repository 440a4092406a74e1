"""The engines that integration tests use, and those of its own that a test may stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from firstcome import postgres
from firstcome.local.folder import StackFolder
from firstcome.local.shape import Shape
from firstcome.local.stack import Stack
from firstcome.settings import Settings
from tests.integration.gate_stage import fresh_id

# Nobody is late because the machine is busy; a test that waits for a limit cuts that limit.
PATIENT = {
    "answer_deadline_seconds": 8.0,
    "away_after_seconds": 6.0,
    "heartbeat_seconds": 0.1,
}


class OwnEngines:
    """PostgreSQL, Valkey and Kafka of the tests that break engines."""

    def __init__(self, state: Path) -> None:
        self.stack = Stack(StackFolder(state))
        self.stack.up(Shape(engines_only=True))
        self.settings = settings_of(state)
        postgres.migrate(self.settings.postgres)

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Keep one engine from doing anything, without killing it."""
        processes: Any = self.stack.status()["processes"]
        [pid] = [process["pid"] for process in processes if process["name"] == name]
        parent = psutil.Process(pid)
        # The children too: each session of PostgreSQL is a process.
        family = [parent, *parent.children(recursive=True)]
        for each in family:
            each.suspend()
        try:
            yield
        finally:
            for each in family:
                each.resume()

    def of_one_test(
        self, *, intake: dict[str, Any] | None = None, kafka: dict[str, Any] | None = None
    ) -> Settings:
        """Return patient settings with a log of their own; what is given is not checked."""
        name = f"test-{fresh_id()}"
        return self.settings.model_copy(
            update={
                "intake": self.settings.intake.model_copy(update=PATIENT | (intake or {})),
                "kafka": self.settings.kafka.model_copy(
                    update={"topic_prefix": name, "group_id": name} | (kafka or {})
                ),
            }
        )


def settings_of(state: Path) -> Settings:
    """Return the settings that reach the engines of a stack, by its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRSTCOME_STATE", str(state))
        patch.setenv("FIRSTCOME_CONFIG", str(state / "settings.toml"))
        return Settings.load()
