"""The settings of what watches the local stack."""

from pydantic import Field, SecretStr

from firstcome.settings.sections import Section


class MonitoringSettings(Section):
    """Who is told of alerts by the local stack: see docs/monitoring.md."""

    slack_webhook_url: SecretStr | None = Field(
        None,
        description="Address of an incoming webhook of Slack; unset: nobody is told. "
        "Read when Alertmanager starts.",
    )
