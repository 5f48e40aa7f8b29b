"""The configuration of a step: its options in one record, and how one set of them is merged into another."""

import enum
from collections.abc import Mapping
from typing import Any, Self

import attrs

from lazytrack.steps.hooks import Hook
from lazytrack.steps.policy import CachePolicy
from lazytrack.steps.resources import ResourceSettings


class Unset(enum.Enum):
    """The one value that an option never has."""

    UNSET = enum.auto()


UNSET = Unset.UNSET
"""Stands for an option that is left out: it stays as it is, where None resets it."""


class StepRuntime(enum.StrEnum):
    """Where a step runs: with others in one process, or in one of its own."""

    INLINE = "inline"
    ISOLATED = "isolated"


def _whole(_: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"{attribute.name} must be 0 or more, not {value!r}")


def _positive(_: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{attribute.name} must be a number, not {value!r}")
    if not 0 <= value < float("inf"):
        raise ValueError(f"{attribute.name} must be 0 or more, not {value!r}")


@attrs.frozen
class StepRetryConfig:
    """How often a step that fails is run again.

    Parameters
    ----------
    max_retries
        After the first attempt.
    delay
        How many seconds to wait before the first of them.
    backoff
        By what the delay is multiplied after each.
    """

    max_retries: int = attrs.field(default=1, validator=_whole)
    delay: float = attrs.field(default=0, validator=_positive)
    backoff: float = attrs.field(default=1, validator=_positive)


@attrs.frozen
class GroupInfo:
    """What several calls have in common, for reading.

    Parameters
    ----------
    id
        The same for all that belong to it.
    name
        As it is shown.
    type
        What it is: ``map`` for the calls of one map.
    """

    id: str
    name: str
    type: str = "custom"


@attrs.frozen(kw_only=True)
class StepConfiguration:
    """The options of a step, each None where it is not set. It is not to be changed: see `BaseStep.configure`.

    Parameters
    ----------
    name
        The step's, instead of its function's or class's.
    enable_cache
        Whether outputs of an earlier run may be taken.
    enable_artifact_metadata, enable_artifact_visualization, enable_step_logs
        Whether metadata of outputs, their previews, and what the step prints are kept.
    experiment_tracker
        Kept and shown.
    step_operator
        Which one launches it; True for the default one, False for none.
    parameters
        Values of arguments that a call does not give.
    output_materializers
        The handlers of each output: classes or aliases, of which the first is taken that suits the value.
    environment
        Variables for the time it runs.
    secrets
        Names of secrets that it may see.
    settings
        Of engines and operators by name; ``resources`` are what it asks of a machine.
    extra
        Whatever shall be kept with it.
    on_failure, on_success, on_start, on_end
        Functions or dotted paths.
    model
        Kept and shown.
    retry
        How often it is tried again.
    cache_policy
        What its cache key consists of.
    runtime
        Whether it runs in a process of its own.
    heartbeat_healthy_threshold
        After how many minutes without a sign of life it is stale.
    group
        What it belongs to.
    substitutions
        Placeholders in names, and what stands for them.
    """

    name: str | None = None
    enable_cache: bool | None = None
    enable_artifact_metadata: bool | None = None
    enable_artifact_visualization: bool | None = None
    enable_step_logs: bool | None = None
    experiment_tracker: str | bool | None = None
    step_operator: str | bool | None = None
    parameters: dict[str, Any] | None = None
    output_materializers: dict[str, list[Any]] | None = None
    environment: dict[str, str] | None = None
    secrets: list[str] | None = None
    settings: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None
    on_failure: Hook | None = None
    on_success: Hook | None = None
    on_start: Hook | None = None
    on_end: Hook | None = None
    model: Any = None
    retry: StepRetryConfig | None = None
    cache_policy: CachePolicy | None = None
    runtime: StepRuntime | None = None
    heartbeat_healthy_threshold: int | None = None
    group: GroupInfo | None = None
    substitutions: dict[str, str] | None = None

    @property
    def resources(self) -> ResourceSettings | None:
        """What ``settings["resources"]`` says."""
        given = (self.settings or {}).get("resources")
        return None if given is None else ResourceSettings(**given)

    def changed(self, options: Mapping[str, Any], *, merge: bool = True) -> Self:
        """Return this with other options, checked ones; those that are not among them stay.

        Parameters
        ----------
        options
            None resets one.
        merge
            Merge dicts, at any depth, into what is there, and secrets after those that are there, instead of
            replacing them.
        """
        if merge:
            options = {name: merged(getattr(self, name), option) for name, option in options.items()}
            if self.secrets is not None and options.get("secrets") is not None:
                options["secrets"] = list(dict.fromkeys([*self.secrets, *options["secrets"]]))
        return attrs.evolve(self, **options)

    def over(self, defaults: Self) -> Self:
        """Return the defaults with the options merged into them that are set here."""
        return defaults.changed({name: option for name in OPTIONS if (option := getattr(self, name)) is not None})


OPTIONS = tuple(attribute.name for attribute in attrs.fields(StepConfiguration))
"""The names of all options."""


def merged(old: Any, new: Any) -> Any:
    """Return the new value, in which dicts, at any depth, hold what only the old ones have besides.

    Neither is changed, nor shares a dict or list with the result.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return {**copied(old), **{key: merged(old.get(key), value) for key, value in new.items()}}
    return copied(new)


def copied(value: Any) -> Any:
    """Return a value whose dicts and lists are its own."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value
