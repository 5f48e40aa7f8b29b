"""Experiment tracking that is just files: no server, no database, no lock service."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazytrack.files.cache import Cache
    from lazytrack.repository import Repository
    from lazytrack.steps import (
        CachePolicy,
        ExternalArtifact,
        GroupInfo,
        StepRetryConfig,
        current_experiment,
        get_step_context,
        log_metadata,
        pipeline,
        step,
        unmapped,
    )
    from lazytrack.tracking import Experiment, Project, Test

    __version__: str

__all__ = [
    "Cache",
    "CachePolicy",
    "Experiment",
    "ExternalArtifact",
    "GroupInfo",
    "Project",
    "Repository",
    "StepRetryConfig",
    "Test",
    "__version__",
    "current_experiment",
    "get_step_context",
    "log_metadata",
    "pipeline",
    "step",
    "unmapped",
]

_HOMES = {
    "Cache": "lazytrack.files.cache",
    "Repository": "lazytrack.repository",
    **dict.fromkeys(("Experiment", "Project", "Test"), "lazytrack.tracking"),
    **dict.fromkeys(
        (
            "CachePolicy",
            "ExternalArtifact",
            "GroupInfo",
            "StepRetryConfig",
            "current_experiment",
            "get_step_context",
            "log_metadata",
            "pipeline",
            "step",
            "unmapped",
        ),
        "lazytrack.steps",
    ),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that the command line starts at once."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415  (it scans the installed packages)

        return version("lazytrack")
    if name not in _HOMES:
        raise AttributeError(f"module 'lazytrack' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
