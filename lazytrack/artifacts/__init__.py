"""Artifacts: objects kept as files, each through a handler chosen by its alias."""

from typing import TYPE_CHECKING, Any

from lazytrack.artifacts.base import Artifact, StoredFile
from lazytrack.artifacts.entries import check_environment, from_entry, to_entry
from lazytrack.artifacts.json import JSONArtifact
from lazytrack.artifacts.pickle import PickleArtifact
from lazytrack.artifacts.registry import get_handler, handler_for, known_aliases
from lazytrack.artifacts.shelf import Shelf
from lazytrack.artifacts.text import TextArtifact

if TYPE_CHECKING:
    from lazytrack.artifacts.reference import Reference

__all__ = [
    "Artifact",
    "JSONArtifact",
    "PickleArtifact",
    "Reference",
    "Shelf",
    "StoredFile",
    "TextArtifact",
    "check_environment",
    "from_entry",
    "get_handler",
    "handler_for",
    "known_aliases",
    "to_entry",
]


def __getattr__(name: str) -> Any:
    """Import what few need when it is first used."""
    if name == "Reference":
        from lazytrack.artifacts.reference import Reference  # noqa: PLC0415

        return Reference
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
