"""The settings of the operators' port: who may sign in, and what the pages may read.

A section like those of sections.py; docs/settings.md is generated from both.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from firstcome.settings.sections import Port, Section

OperatorRole = Literal["viewer", "operator", "admin"]
OperatorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,64}$")]


class OperatorKey(Section):
    """What one operator signs in with, and what he may do."""

    role: OperatorRole = Field(
        "viewer",
        description="viewer looks; operator changes campaigns and letters; admin also the console.",
    )
    key: SecretStr | None = Field(None, min_length=32, description="The key itself.")
    key_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Or its SHA-256: the file then holds no key."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "OperatorKey":
        if (self.key is None) == (self.key_sha256 is None):
            raise ValueError("an operator of console.operators has either key or key_sha256")
        return self


class ConsoleSettings(Section):
    """The operators' port: pages, and the admin API."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8001, description="Port to listen on.")
    operator_key: SecretStr | None = Field(
        None,
        description="Key of an admin, >= 32 bytes: bearer of the admin API, and sign-in under any "
        "name; without it only console.operators get in.",
    )
    operators: dict[OperatorName, OperatorKey] = Field(
        default_factory=dict,
        description="Operators by name, each with role and key or key_sha256; see docs/console.md.",
    )
    session_seconds: int = Field(
        28_800, ge=60, le=604_800, description="A sign-in lasts so long: one shift."
    )
    behind_tls: bool = Field(
        False, description="Cookies go over TLS only: set it where a TLS proxy stands in front."
    )
    watchers_max: int = Field(
        50, ge=1, le=150, description="Live pages at once; one more is told to try later."
    )
    status_file: Path | None = Field(
        None,
        description="What `firstcome status --json` prints, as a file: which processes there are. "
        "The local stack sets it.",
    )
    disk_folders: list[Path] = Field(
        default_factory=list,
        description="Folders whose file systems must not be full: the console tells how much space "
        "is left. The local stack sets it to its state folder.",
    )
    decision_files: list[Path] = Field(
        default_factory=list,
        description="What autoscalers say that they have decided last, one file each. The local "
        "stack sets it.",
    )
    metrics_urls: list[str] = Field(
        default_factory=list,
        description="Addresses of processes' /metrics, where there is no status_file: for answer "
        "times and refusals.",
    )
    reports_folder: Path | None = Field(
        None, description="Folder whose reports the console shows; unset: none."
    )

    @model_validator(mode="after")
    def _long_enough(self) -> "ConsoleSettings":
        key = self.operator_key
        if key is not None and len(key.get_secret_value()) < 32:
            raise ValueError("console.operator_key must have at least 32 bytes")
        return self
