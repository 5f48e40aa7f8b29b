"""The options of a pipeline: its own, and those that its steps have unless they say otherwise."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs

from lazytrack.steps.checks import CHECKS, as_dict
from lazytrack.steps.configuration import StepConfiguration, merged
from lazytrack.steps.executors import check_executor
from lazytrack.steps.hooks import check_hook
from lazytrack.steps.modes import ExecutionMode

_OF_STEPS = (
    "enable_artifact_metadata",
    "enable_step_logs",
    "settings",
    "extra",
    "on_failure",
    "on_success",
    "on_start",
    "on_end",
    "model",
    "retry",
    "environment",
    "secrets",
    "step_operator",
    "substitutions",
    "cache_policy",
)
"""Options that are the defaults of those of its steps."""
PIPELINE_OPTIONS = (
    "name",
    "enable_cache",
    "tags",
    "execution_mode",
    "executor",
    "progress",
    "run_name",
    "steps",
    *_OF_STEPS,
)
"""The names of all options."""


@attrs.frozen(kw_only=True)
class PipelineConfiguration:
    """The options of a pipeline, each None where it is not set.

    Parameters
    ----------
    name
        Instead of its function's.
    enable_cache
        Whether outputs of earlier runs may be taken, where a step does not say.
    tags
        Of its runs.
    execution_mode
        What a failure means for steps that do not need what failed; see `ExecutionMode`.
    executor
        Where submitted steps run: ``inline``, ``threads``, ``threads:8``, ``processes``, ``processes:4``, ``dask``,
        ``dask://host:8786``, or a `concurrent.futures.Executor` of your own. By default what the variable
        ``LAZYTRACK_EXECUTOR`` says, else 16 threads.
    progress
        Whether a terminal shows how far its runs have come; by default it does. ``LAZYTRACK_PROGRESS=0`` turns off all
        that.
    run_name
        Of its runs; ``{date}``, ``{time}`` and `substitutions` are filled in.
    steps
        Options of calls of steps, by invocation id.
    defaults
        Options of steps that do not set them: all others.
    """

    name: str | None = None
    enable_cache: bool | None = None
    tags: list[str] | None = None
    execution_mode: ExecutionMode | None = None
    executor: Any = None
    progress: bool | None = None
    run_name: str | None = None
    steps: dict[str, dict[str, Any]] | None = None
    defaults: StepConfiguration = attrs.Factory(StepConfiguration)

    def __getattr__(self, name: str) -> Any:
        if name in _OF_STEPS:
            return getattr(self.defaults, name)
        raise AttributeError(f"a pipeline has no option {name!r}")

    def changed(self, options: Mapping[str, Any], *, merge: bool) -> Self:
        """Return this with other options, checked ones; those that are not among them stay.

        Parameters
        ----------
        options
            None resets one.
        merge
            Add to dicts, tags and secrets instead of replacing them.
        """
        own = {name: option for name, option in options.items() if name not in _OF_STEPS}
        if merge and own.get("tags") and self.tags:
            own["tags"] = list(dict.fromkeys([*self.tags, *own["tags"]]))
        if merge and own.get("steps") and self.steps:
            own["steps"] = merged(self.steps, own["steps"])
        defaults = {name: option for name, option in options.items() if name in _OF_STEPS}
        return attrs.evolve(self, **own, defaults=self.defaults.changed(defaults, merge=merge))


def check_pipeline_options(options: Mapping[str, Any], pipeline: str) -> dict[str, Any]:
    """Return options as they are kept, each of a name that is known.

    Raises
    ------
    TypeError, ValueError, StepInterfaceError
        When one is of another type, or cannot have that value.
    """
    return {
        name: None if option is None else (_CHECKS.get(name) or CHECKS[name])(option, f"pipeline {pipeline!r}: {name}")
        for name, option in options.items()
    }


def _tags(option: Any, what: str) -> list[str]:
    if isinstance(option, str) or not all(isinstance(tag, str) for tag in option):
        raise TypeError(f"{what} must be a list of strings, not {option!r}")
    return list(option)


def _mode(option: Any, what: str) -> ExecutionMode:
    try:
        return ExecutionMode(option)
    except ValueError as error:
        known = ", ".join(map(repr, map(str, ExecutionMode)))
        raise ValueError(f"{what} must be one of {known}, not {option!r}") from error


def _steps(option: Any, what: str) -> dict[str, dict[str, Any]]:
    return {key: as_dict(given, f"{what}[{key!r}]") for key, given in as_dict(option, what).items()}


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(("on_failure", "on_success", "on_start", "on_end"), check_hook),
    "tags": _tags,
    "execution_mode": _mode,
    "executor": check_executor,
    "progress": CHECKS["enable_cache"],
    "run_name": CHECKS["name"],
    "steps": _steps,
}
"""Those that steps do not have, or have otherwise."""
