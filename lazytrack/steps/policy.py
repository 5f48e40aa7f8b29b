"""Which parts of a step decide whether its outputs of an earlier run can be taken again, and for how long."""

import math
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import attrs

from lazytrack.steps.hooks import find_hook, hook_said


def _names(value: Any) -> list[str] | None:
    if value is None:
        return None
    if isinstance(value, (str, os.PathLike)) or not isinstance(value, Iterable):
        raise TypeError(f"a list of names is wanted, not {value!r}")
    return [os.fspath(item) for item in value]


def _things(value: Any) -> list[Any] | None:
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"a list of functions, classes, modules or their dotted paths is wanted, not {value!r}")
    return list(value)


def _flag(_: Any, attribute: Any, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


def _function(_: Any, attribute: Any, value: Any) -> None:
    if value is not None:
        find_hook(value, attribute.name)


def _lasting(_: Any, attribute: Any, value: Any) -> None:
    if value is None:
        return
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"{attribute.name} must be seconds or a timedelta, not {value!r}")
    if not 0 < seconds < math.inf:
        raise ValueError(f"{attribute.name} must be above 0, not {value!r}")


@attrs.frozen(kw_only=True)
class CachePolicy:
    """What a step's cache key consists of, and how long a hit is one.

    Parameters
    ----------
    include_step_code
        The source of the step, and of the functions of its module that it names.
    include_step_parameters
        The parameters.
    include_artifact_values
        The content of artifact inputs.
    include_artifact_ids
        Which artifacts those are; it counts only where their content does not.
    ignored_inputs
        Names of inputs, parameters too, that do not count.
    file_dependencies
        Paths of files whose content counts.
    source_dependencies
        Functions, classes, modules, or their dotted paths, whose source counts.
    cache_func
        A function without arguments, or its dotted path, whose result counts.
    expires_after
        How long the outputs can be taken again: seconds, or a timedelta.
    """

    include_step_code: bool = attrs.field(default=True, validator=_flag)
    include_step_parameters: bool = attrs.field(default=True, validator=_flag)
    include_artifact_values: bool = attrs.field(default=True, validator=_flag)
    include_artifact_ids: bool = attrs.field(default=True, validator=_flag)
    ignored_inputs: list[str] | None = attrs.field(default=None, converter=_names)
    file_dependencies: list[str] | None = attrs.field(default=None, converter=_names)
    source_dependencies: list[Any] | None = attrs.field(default=None, converter=_things)
    cache_func: Callable[[], Any] | str | None = attrs.field(default=None, validator=_function)
    expires_after: float | timedelta | None = attrs.field(default=None, validator=_lasting)

    @property
    def lifetime(self) -> timedelta | None:
        """What `expires_after` says, as a timedelta."""
        if self.expires_after is None or isinstance(self.expires_after, timedelta):
            return self.expires_after
        return timedelta(seconds=self.expires_after)

    @property
    def asks_nobody(self) -> bool:
        """Whether neither files nor functions have to be looked at."""
        return not (self.file_dependencies or self.source_dependencies) and self.cache_func is None


def policy_said(policy: CachePolicy) -> dict[str, Any]:
    """Return what a policy says otherwise than the default one, as JSON values."""
    said: dict[str, Any] = {}
    for field in attrs.fields(CachePolicy):
        value = getattr(policy, field.name)
        if value == field.default:
            continue
        match field.name:
            case "cache_func":
                said[field.name] = hook_said(value)
            case "source_dependencies":
                said[field.name] = [hook_said(thing) for thing in value]
            case "expires_after":
                said[field.name] = policy.lifetime.total_seconds() if policy.lifetime else None
            case _:
                said[field.name] = value
    return said
