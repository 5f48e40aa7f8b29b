"""Step operators: what launches the command of a step on an engine that exists already."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazytrack.step_operators.base_step_operator import (
        BaseStepOperator,
        BaseStepOperatorConfig,
        BaseStepOperatorFlavor,
    )
    from lazytrack.step_operators.jobs import JobState, JobStatus, JobStepOperator
    from lazytrack.step_operators.registry import get_step_operator, register_step_operator
    from lazytrack.step_operators.step_operator_entrypoint_configuration import StepOperatorEntrypointConfiguration
    from lazytrack.step_operators.step_run_info import StepRunInfo

__all__ = [
    "BaseStepOperator",
    "BaseStepOperatorConfig",
    "BaseStepOperatorFlavor",
    "JobState",
    "JobStatus",
    "JobStepOperator",
    "StepOperatorEntrypointConfiguration",
    "StepRunInfo",
    "get_step_operator",
    "register_step_operator",
]
_HOMES = {
    **dict.fromkeys(("BaseStepOperator", "BaseStepOperatorConfig", "BaseStepOperatorFlavor"), "base_step_operator"),
    **dict.fromkeys(("JobState", "JobStatus", "JobStepOperator"), "jobs"),
    "StepOperatorEntrypointConfiguration": "step_operator_entrypoint_configuration",
    "StepRunInfo": "step_run_info",
    **dict.fromkeys(("get_step_operator", "register_step_operator"), "registry"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
