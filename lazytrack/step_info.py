"""What is recorded of one step: when and how it ran, on what, and how it ended."""

import enum
from datetime import datetime, timedelta
from typing import Any, Self

import attrs

from lazytrack import codec, naming
from lazytrack.provenance.metadata import (
    Accelerator,
    EnvironmentMetadata,
    GitMetadata,
    LazytrackMetadata,
    LockFile,
    PlatformMetadata,
)
from lazytrack.provenance.record import STORED, Record

__all__ = [
    "Accelerator",
    "EnvironmentMetadata",
    "GitMetadata",
    "LazytrackMetadata",
    "LockFile",
    "PlatformMetadata",
    "StepInfo",
    "StepState",
    "make_unique_id",
]

HEALTHY_MINUTES = 30
"""A running step that was not heard of for longer is stale, unless its record says otherwise."""


class StepState(enum.StrEnum):
    """How far a step has come."""

    INCOMPLETE = "incomplete"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    UNCACHEABLE = "uncacheable"


make_unique_id = naming.step_id


def _aware_or_none(time: datetime | None) -> datetime | None:
    # In UTC no hour comes twice, so there is no second one to tell apart.
    return None if time is None else codec.moment(time, "a step's time").replace(fold=0)


def _plain(value: Any) -> Any:
    return codec.plain(value, "a step's config or metadata")


@attrs.define
class StepInfo(Record):
    """The record of one step.

    Times are aware and in UTC; one that is given without a zone is taken as UTC.

    Parameters
    ----------
    unique_id
        See `make_unique_id`.
    step_class_name
        What the step is.
    dependencies
        The ids of the steps whose outputs it takes.
    cacheable
        Whether its result may be taken instead of running it again.
    step_name
        For reading: one step may carry other names in other runs.
    version
        Of the step's code, as its author counts.
    start_time, end_time
        None until then.
    error
        Why it failed.
    result_location
        Where its result is.
    config, metadata
        Anything that JSON holds, or stands for.
    platform, environment
        Captured when they are not given.
    heartbeat
        When it was last heard of, while it runs.
    heartbeat_healthy_threshold
        After how many minutes of silence it is stale; `HEALTHY_MINUTES` by default.
    parent
        The step that it is a part of, by its name in the record.
    logged
        The fields of its experiment that were logged meanwhile, such as ``metrics.auc``.
    """

    unique_id: str
    step_class_name: str
    dependencies: set[str] = attrs.field(converter=set)
    cacheable: bool
    step_name: str | None = None
    version: str | None = None
    start_time: datetime | None = attrs.field(default=None, converter=_aware_or_none)
    end_time: datetime | None = attrs.field(default=None, converter=_aware_or_none)
    error: str | None = None
    result_location: str | None = None
    config: Any = attrs.field(default=None, converter=_plain, metadata={STORED: True})
    metadata: Any = attrs.field(default=None, converter=_plain, metadata={STORED: True})
    platform: PlatformMetadata = attrs.field(factory=PlatformMetadata, repr=False)
    environment: EnvironmentMetadata = attrs.field(factory=EnvironmentMetadata, repr=False)
    heartbeat: datetime | None = attrs.field(default=None, converter=_aware_or_none, kw_only=True)
    heartbeat_healthy_threshold: int | None = attrs.field(default=None, kw_only=True)
    parent: str | None = attrs.field(default=None, kw_only=True)
    logged: list[str] | None = attrs.field(default=None, kw_only=True)

    @property
    def start_time_local(self) -> datetime | None:
        """When it started, in the time zone of who asks."""
        return None if self.start_time is None else self.start_time.astimezone()

    @property
    def end_time_local(self) -> datetime | None:
        """When it ended, in the time zone of who asks."""
        return None if self.end_time is None else self.end_time.astimezone()

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None before it has ended."""
        return None if self.start_time is None or self.end_time is None else self.end_time - self.start_time

    @property
    def state(self) -> StepState:
        """How far it has come; a step that is not cacheable is just that.

        Raises
        ------
        RuntimeError
            When its start, end and error do not go together.
        """
        if not self.cacheable:
            return StepState.UNCACHEABLE
        match (self.start_time is not None, self.end_time is not None, self.error is not None):
            case (False, False, False):
                return StepState.INCOMPLETE
            case (True, False, False):
                return StepState.RUNNING
            case (True, True, False):
                return StepState.COMPLETED
            case (True, True, True):
                return StepState.FAILED
            case (started, ended, failed):
                said = {"start_time": started, "end_time": ended, "error": failed}
                there = " and ".join(name for name, given in said.items() if given)
                lacking = " or ".join(name for name, given in said.items() if not given)
                raise RuntimeError(f"step {self.unique_id!r} is in no state: it has {there}, but no {lacking}")

    @property
    def stale(self) -> bool:
        """Whether it says that it is running, and gave no sign of life for too long: its process is gone.

        The start is the first sign of life.
        """
        if self.start_time is None or self.end_time is not None or self.error is not None:
            return False
        minutes = HEALTHY_MINUTES if self.heartbeat_healthy_threshold is None else self.heartbeat_healthy_threshold
        heard = self.start_time if self.heartbeat is None else max(self.start_time, self.heartbeat)
        return naming.now() - heard > timedelta(minutes=minutes)

    def refresh(self) -> None:
        """Capture platform and environment again."""
        from lazytrack.provenance import platform  # noqa: PLC0415  (who only reads records needs no probes)

        platform.forget()
        self.platform = PlatformMetadata()
        self.environment = EnvironmentMetadata()

    def to_json_dict(self) -> dict[str, Any]:
        """Return the record as strict JSON; its keys are the fields' names."""
        encoded: dict[str, Any] = codec.converter.unstructure(self)
        return encoded

    @classmethod
    def from_json_dict(cls, d: dict[str, Any]) -> Self:
        """Return the record that `to_json_dict` has made; nothing of this machine gets into it.

        Raises
        ------
        TypeError
            When it is no dict, or a field is of another type.
        ValueError
            When a field cannot be read, or one that must be there is not. Both say which one.
        """
        return codec.converter.structure(d, cls)
