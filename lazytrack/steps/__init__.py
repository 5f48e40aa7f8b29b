"""Steps: functions and classes whose inputs, outputs and options are declared, so that runs of them can be recorded."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazytrack.steps.base import BaseStep
    from lazytrack.steps.configuration import GroupInfo, StepConfiguration, StepRetryConfig, StepRuntime
    from lazytrack.steps.context import StepContext, current_experiment, get_step_context, log_metadata
    from lazytrack.steps.decorator import step
    from lazytrack.steps.futures import MapResultsFuture, StepFuture
    from lazytrack.steps.handles import ExternalArtifact, OutputArtifact, unmapped
    from lazytrack.steps.modes import ExecutionMode
    from lazytrack.steps.pipelines import Pipeline, pipeline
    from lazytrack.steps.policy import CachePolicy
    from lazytrack.steps.resources import ResourceSettings

__all__ = [
    "BaseStep",
    "CachePolicy",
    "ExecutionMode",
    "ExternalArtifact",
    "GroupInfo",
    "MapResultsFuture",
    "OutputArtifact",
    "Pipeline",
    "ResourceSettings",
    "StepConfiguration",
    "StepContext",
    "StepFuture",
    "StepRetryConfig",
    "StepRuntime",
    "current_experiment",
    "get_step_context",
    "log_metadata",
    "pipeline",
    "step",
    "unmapped",
]

_HOMES = {
    "BaseStep": "base",
    "CachePolicy": "policy",
    "ExecutionMode": "modes",
    "ExternalArtifact": "handles",
    "GroupInfo": "configuration",
    "MapResultsFuture": "futures",
    "OutputArtifact": "handles",
    "Pipeline": "pipelines",
    "ResourceSettings": "resources",
    "StepConfiguration": "configuration",
    "StepContext": "context",
    "StepFuture": "futures",
    "StepRetryConfig": "configuration",
    "StepRuntime": "configuration",
    "current_experiment": "context",
    "get_step_context": "context",
    "log_metadata": "context",
    "pipeline": "pipelines",
    "step": "decorator",
    "unmapped": "handles",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
