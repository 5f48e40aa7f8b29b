"""Steps: functions and classes whose inputs, outputs and options are declared, so that runs of them can be recorded."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazytrack.steps.base import BaseStep
    from lazytrack.steps.configuration import GroupInfo, StepConfiguration, StepRetryConfig, StepRuntime
    from lazytrack.steps.decorator import step
    from lazytrack.steps.policy import CachePolicy
    from lazytrack.steps.resources import ResourceSettings

__all__ = [
    "BaseStep",
    "CachePolicy",
    "GroupInfo",
    "ResourceSettings",
    "StepConfiguration",
    "StepRetryConfig",
    "StepRuntime",
    "step",
]

_HOMES = {
    "BaseStep": "base",
    "CachePolicy": "policy",
    "GroupInfo": "configuration",
    "ResourceSettings": "resources",
    "StepConfiguration": "configuration",
    "StepRetryConfig": "configuration",
    "StepRuntime": "configuration",
    "step": "decorator",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
