"""Where settings come from, and how sections must fit together.

Read from the environment (FIRSTCOME_<SECTION>__<NAME>), then from one TOML file
(FIRSTCOME_CONFIG; else ./firstcome.toml; else the running local stack's own, in
its state folder), then from the defaults. Read once at start; bounds and
relations are checked together, and each message says what to set.
"""

import os
from pathlib import Path

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from firstcome.errors import InvalidSettings
from firstcome.settings.console import ConsoleSettings
from firstcome.settings.monitoring import MonitoringSettings
from firstcome.settings.scaling import AutoscalerSettings
from firstcome.settings.sections import (
    ApiSettings,
    AuthSettings,
    CouponSettings,
    DirectSettings,
    FailpointSettings,
    IntakeSettings,
    KafkaSettings,
    LawSettings,
    LogSettings,
    MetricsSettings,
    PostgresSettings,
    RebuildSettings,
    RecorderSettings,
    RedisSettings,
    RelaySettings,
    SweeperSettings,
)


class Settings(BaseSettings):
    """All sections. `Settings.load()` is the one place that reads the environment."""

    model_config = SettingsConfigDict(
        env_prefix="FIRSTCOME_",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    api: ApiSettings = ApiSettings()
    auth: AuthSettings = AuthSettings()
    intake: IntakeSettings = IntakeSettings()
    redis: RedisSettings = RedisSettings()
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()
    direct: DirectSettings = DirectSettings()
    recorder: RecorderSettings = RecorderSettings()
    sweeper: SweeperSettings = SweeperSettings()
    rebuild: RebuildSettings = RebuildSettings()
    coupons: CouponSettings = CouponSettings()
    console: ConsoleSettings = ConsoleSettings()
    relay: RelaySettings = RelaySettings()
    autoscaler: AutoscalerSettings = AutoscalerSettings()
    laws: LawSettings = LawSettings()
    failpoints: FailpointSettings = FailpointSettings()
    logs: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    monitoring: MonitoringSettings = MonitoringSettings()

    @model_validator(mode="after")
    def _related_times(self) -> "Settings":
        if self.redis.call_timeout_seconds >= self.intake.answer_deadline_seconds:
            raise ValueError(
                "redis.call_timeout_seconds must be below intake.answer_deadline_seconds"
            )
        if self.postgres.transaction_timeout_seconds >= self.rebuild.lock_timeout_seconds:
            raise ValueError(
                "rebuild.lock_timeout_seconds must be above postgres.transaction_timeout_seconds: "
                "a stopped recorder's locks must be gone before a rebuild gives up"
            )
        if self.sweeper.due_after_seconds <= self.intake.answer_deadline_seconds:
            raise ValueError(
                "sweeper.due_after_seconds must be above intake.answer_deadline_seconds"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then the TOML file, then defaults."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file())
        return init_settings, env_settings, toml

    @classmethod
    def load(cls) -> "Settings":
        """Read and check every setting. Raises InvalidSettings, one line per fault."""
        try:
            return cls()
        except ValidationError as error:
            raise InvalidSettings("\n".join(_said(fault) for fault in error.errors())) from error


def state_folder() -> Path:
    """Return where the local stack keeps everything: FIRSTCOME_STATE, default ./.firstcome."""
    return Path(os.environ.get("FIRSTCOME_STATE", ".firstcome")).absolute()


def toml_file() -> Path:
    """Return where the TOML file would be; it need not exist."""
    if named := os.environ.get("FIRSTCOME_CONFIG"):
        return Path(named)
    here = Path("firstcome.toml")
    return here if here.exists() else state_folder() / "settings.toml"


def _said(fault: object) -> str:
    """Return one validation fault as a sentence that names the variable to set."""
    assert isinstance(fault, dict)  # noqa: S101 - pydantic's own shape
    path = [str(part) for part in fault["loc"]]
    variable = "FIRSTCOME_" + "__".join(part.upper() for part in path)
    where = f"{'.'.join(path)} ({variable}): " if path else ""
    return where + str(fault["msg"]).removeprefix("Value error, ")
