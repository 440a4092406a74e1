"""Settings of the autoscaler: when recorders come and go, each number with its reason.

The ScaledObject for Kubernetes (deploy/keda/scaledobject.yaml) has the same numbers.
"""

from pydantic import Field, model_validator

from firstcome.settings.sections import Seconds, Section


class AutoscalerSettings(Section):
    """How many recorders run, by what waits for them: see docs/scaling.md."""

    poll_seconds: Seconds = Field(
        2.0, description="Time between two looks; four of them fit into the ten seconds of a drop."
    )
    recorders_min: int = Field(
        1, ge=1, le=1000, description="Never fewer; without any, nothing is recorded."
    )
    recorders_max: int | None = Field(
        None, ge=1, le=1000, description="Never more; unset: kafka.partitions, one for each."
    )
    lag_records_per_recorder: int = Field(
        500,
        ge=1,
        description="A recorder for each such lag: ten times what is always under way, for offsets "
        "are committed ten times a second.",
    )
    drain_target_seconds: Seconds = Field(
        5.0, description="What is under way should be recorded so soon; else more are added."
    )
    drain_claims_min: int = Field(
        1000, ge=1, description="Fewer claims add nobody by their time: the sweeper's, not a lag."
    )
    step_recorders_max: int = Field(
        3, ge=1, le=100, description="So many come or go at once: each makes partitions move."
    )
    confirm_looks: int = Field(
        2, ge=1, le=100, description="Looks in a row that must ask for more before any is added."
    )
    settle_seconds: Seconds = Field(
        6.0, description="After a change nobody is added for so long: start, join, first polls."
    )
    cooldown_seconds: Seconds = Field(
        120.0, description="Recorders leave when fewer were enough for so long: crowds come back."
    )
    shrink_share: float = Field(
        0.5, gt=0, le=1, description="Fewer are enough if each carries at most this share of a lag."
    )
    transaction_seconds_max: Seconds = Field(
        0.5,
        description="Slower transactions add nobody: the database is the limit then. Sound ones of "
        "5,000 claims take a tenth of it.",
    )

    @model_validator(mode="after")
    def _between_least_and_most(self) -> "AutoscalerSettings":
        if self.recorders_max is not None and self.recorders_max < self.recorders_min:
            raise ValueError("autoscaler.recorders_max must not be below recorders_min")
        return self
