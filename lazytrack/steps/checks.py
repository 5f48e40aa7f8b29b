"""What an option of a step may be, whatever step it is of."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.steps.configuration import GroupInfo, StepRetryConfig, StepRuntime, copied
from lazytrack.steps.parameters import check_known
from lazytrack.steps.policy import CachePolicy
from lazytrack.steps.resources import ResourceSettings

HEALTHY = range(10, 61)
"""Minutes after which a silent step can be taken for stale."""


def _text(option: Any, what: str) -> str:
    if not isinstance(option, str) or not option.strip():
        raise TypeError(f"{what} must be text, not {option!r}")
    return option


def _flag(option: Any, what: str) -> bool:
    if not isinstance(option, bool):
        raise TypeError(f"{what} must be True or False, not {option!r}")
    return option


def _component(option: Any, what: str) -> str | bool:
    if not isinstance(option, bool) and not (isinstance(option, str) and option.strip()):
        raise TypeError(f"{what} must be the name of one, True or False, not {option!r}")
    return option


def as_dict(option: Any, what: str) -> dict[str, Any]:
    """Return a copy of what must be a dict with text as keys."""
    if not isinstance(option, Mapping):
        raise TypeError(f"{what} must be a dict, not {option!r}")
    for key in option:
        if not isinstance(key, str):
            raise TypeError(f"{what} must have names as keys, not {key!r}")
    return {key: copied(value) for key, value in option.items()}


def _extra(option: Any, what: str) -> dict[str, Any]:
    given = as_dict(option, what)
    codec.plain(given, what)  # it is part of the record
    return given


def _settings(option: Any, what: str) -> dict[str, Any]:
    given = as_dict(option, what)
    resources = given.get("resources")
    if resources is not None:
        given["resources"] = _resources(resources, f"{what}['resources']")
    codec.plain(given, what)
    return given


def _resources(option: Any, what: str) -> dict[str, Any]:
    """Return the fields that are set, as a dict that merges with others; a None in a dict resets."""
    if isinstance(option, ResourceSettings):
        return attrs.asdict(option, filter=lambda _, value: value is not None)
    given = as_dict(option, what)
    check_known(given, [field.name for field in attrs.fields(ResourceSettings)], f"{what} has no")
    try:
        ResourceSettings(**given)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    return given


def _environment(option: Any, what: str) -> dict[str, str]:
    given = as_dict(option, what)
    for key, value in given.items():
        if not key or "=" in key or "\0" in key + str(value):
            raise ValueError(f"{what} cannot hold a variable {key!r}")
        if value is None:
            raise ValueError(f"{what}: variable {key!r} is None: give it a value, or leave it out")
    return {key: str(value) for key, value in given.items()}


def _secrets(option: Any, what: str) -> list[str]:
    if not isinstance(option, (list, tuple)):
        raise TypeError(f"{what} must be a list of names, not {option!r}")
    names = [str(item) if type(item).__name__ == "UUID" else item for item in option]
    return list(dict.fromkeys(_text(name, f"each of {what}") for name in names))


def _substitutions(option: Any, what: str) -> dict[str, str]:
    given = as_dict(option, what)
    for key, value in given.items():
        if not isinstance(value, str):
            raise TypeError(f"{what}: {key!r} must be text, not {value!r}")
    return given


def _retry(option: Any, what: str) -> StepRetryConfig:
    if not isinstance(option, StepRetryConfig):
        raise TypeError(f"{what} must be a StepRetryConfig, as StepRetryConfig(max_retries=3), not {option!r}")
    return option


def _policy(option: Any, what: str) -> CachePolicy:
    if option == "default":
        return CachePolicy()
    if not isinstance(option, CachePolicy):
        raise ValueError(f"{what} must be a CachePolicy or 'default', not {option!r}")  # noqa: TRY004  (as published)
    return option


def _runtime(option: Any, what: str) -> StepRuntime:
    try:
        return StepRuntime(option)
    except ValueError as error:
        raise ValueError(f"{what} must be {' or '.join(map(repr, map(str, StepRuntime)))}, not {option!r}") from error


def _minutes(option: Any, what: str) -> int:
    if isinstance(option, bool) or not isinstance(option, int) or option not in HEALTHY:
        raise ValueError(f"{what} must be {HEALTHY[0]} to {HEALTHY[-1]} whole minutes, not {option!r}")
    return option


def _group(option: Any, what: str) -> GroupInfo:
    return option if isinstance(option, GroupInfo) else GroupInfo(id=_text(option, what), name=option)


def _anything(option: Any, _: str) -> Any:
    return option


CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "name": _text,
    **dict.fromkeys(
        ("enable_cache", "enable_artifact_metadata", "enable_artifact_visualization", "enable_step_logs"), _flag
    ),
    "experiment_tracker": _component,
    "step_operator": _component,
    "environment": _environment,
    "secrets": _secrets,
    "settings": _settings,
    "extra": _extra,
    "model": _anything,
    "retry": _retry,
    "cache_policy": _policy,
    "runtime": _runtime,
    "heartbeat_healthy_threshold": _minutes,
    "group": _group,
    "substitutions": _substitutions,
}
"""Of each option that names neither inputs nor outputs: takes its value and its name, returns what is held."""
