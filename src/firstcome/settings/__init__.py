"""What operators can set: `sections` and `scaling` say what, `loading` where it is read from."""

from firstcome.settings.console import ConsoleSettings, OperatorKey, OperatorRole
from firstcome.settings.loading import Settings, state_folder, toml_file
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
    RelayMode,
    RelaySettings,
    Section,
    SweeperSettings,
)

__all__ = [
    "ApiSettings",
    "AuthSettings",
    "AutoscalerSettings",
    "ConsoleSettings",
    "CouponSettings",
    "DirectSettings",
    "FailpointSettings",
    "IntakeSettings",
    "KafkaSettings",
    "LawSettings",
    "LogSettings",
    "MetricsSettings",
    "MonitoringSettings",
    "OperatorKey",
    "OperatorRole",
    "PostgresSettings",
    "RebuildSettings",
    "RecorderSettings",
    "RedisSettings",
    "RelayMode",
    "RelaySettings",
    "Section",
    "Settings",
    "SweeperSettings",
    "state_folder",
    "toml_file",
]
