"""The options that a step can be given, checked at once, and brought into the form in which it holds them."""

from collections.abc import Mapping
from typing import Any, TypedDict

from lazytrack.artifacts import Artifact, get_handler
from lazytrack.errors import StepInterfaceError
from lazytrack.steps.checks import CHECKS, as_dict
from lazytrack.steps.configuration import OPTIONS, UNSET, GroupInfo, StepRetryConfig, StepRuntime, Unset
from lazytrack.steps.hooks import Hook, check_hook
from lazytrack.steps.interface import StepInterface
from lazytrack.steps.parameters import check_known
from lazytrack.steps.policy import CachePolicy

Handlers = str | type[Artifact] | list[str | type[Artifact]]
"""A handler of an output, or those of which one is to be chosen."""


class Options(TypedDict, total=False):
    """The options as they can be given; `StepConfiguration` says what they mean."""

    name: str | Unset | None
    enable_cache: bool | Unset | None
    enable_artifact_metadata: bool | Unset | None
    enable_artifact_visualization: bool | Unset | None
    enable_step_logs: bool | Unset | None
    experiment_tracker: str | bool | Unset | None
    step_operator: str | bool | Unset | None
    parameters: Mapping[str, Any] | Unset | None
    output_materializers: Handlers | Mapping[str, Handlers] | Unset | None
    environment: Mapping[str, Any] | Unset | None
    secrets: list[Any] | Unset | None
    settings: Mapping[str, Any] | Unset | None
    extra: Mapping[str, Any] | Unset | None
    on_failure: Hook | Unset | None
    on_success: Hook | Unset | None
    on_start: Hook | Unset | None
    on_end: Hook | Unset | None
    model: Any
    retry: StepRetryConfig | Unset | None
    cache_policy: CachePolicy | str | Unset | None
    runtime: StepRuntime | str | Unset | None
    heartbeat_healthy_threshold: int | Unset | None
    group: GroupInfo | str | Unset | None
    substitutions: Mapping[str, str] | Unset | None


def check_options(options: Mapping[str, Any], step: str, interface: StepInterface) -> dict[str, Any]:
    """Return the options that are given, each in the form in which `StepConfiguration` holds it.

    Parameters
    ----------
    step
        Its name, for errors.
    interface
        Whose inputs and outputs they may name.

    Raises
    ------
    StepInterfaceError
        When there is no such option, parameter or output.
    ValueError, TypeError
        When an option cannot have that value.
    """
    check_known(options, OPTIONS, f"step {step!r} has no option")
    checked: dict[str, Any] = {}
    for name, option in options.items():
        if option is UNSET:
            continue
        if option is None:
            checked[name] = None
            continue
        try:
            checked[name] = _checked(name, option, interface)
        except (ValueError, TypeError) as error:
            kind = next(kind for kind in (StepInterfaceError, TypeError, ValueError) if isinstance(error, kind))
            raise kind(f"step {step!r}: {error}") from None
    return checked


def _checked(name: str, option: Any, interface: StepInterface) -> Any:
    match name:
        case "parameters":
            return _parameters(option, interface)
        case "output_materializers":
            return _handlers(option, interface)
        case "cache_policy":
            policy = CHECKS[name](option, name)
            check_known(policy.ignored_inputs or (), interface.inputs, "cache_policy: there is no input")
            return policy
        case "on_failure" | "on_success" | "on_start" | "on_end":
            return check_hook(option, name)
        case _:
            return CHECKS[name](option, name)


def _parameters(option: Any, interface: StepInterface) -> dict[str, Any]:
    given = as_dict(option, "parameters")
    check_known(given, interface.inputs, "there is no parameter")
    return given


def _handlers(option: Any, interface: StepInterface) -> dict[str, list[Any]]:
    if not isinstance(option, Mapping):
        return {name: _candidates(option) for name in interface.outputs}
    check_known(option, interface.outputs, "output_materializers: there is no output")
    return {name: _candidates(given) for name, given in option.items()}


def _candidates(option: Any) -> list[Any]:
    candidates = list(option) if isinstance(option, (list, tuple)) else [option]
    if not candidates:
        raise ValueError("output_materializers: give at least one handler")
    for candidate in candidates:
        if isinstance(candidate, str):
            get_handler(candidate)
        elif not (isinstance(candidate, type) and issubclass(candidate, Artifact)):
            raise TypeError(f"output_materializers must be aliases or classes of handlers, not {candidate!r}")
    return candidates
