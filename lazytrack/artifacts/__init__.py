"""Artifacts: objects kept as files, each through a handler chosen by its alias."""

from lazytrack.artifacts.base import Artifact, StoredFile
from lazytrack.artifacts.entries import check_environment, from_entry, to_entry
from lazytrack.artifacts.json import JSONArtifact
from lazytrack.artifacts.pickle import PickleArtifact
from lazytrack.artifacts.registry import get_handler, handler_for, known_aliases
from lazytrack.artifacts.shelf import Shelf
from lazytrack.artifacts.text import TextArtifact

__all__ = [
    "Artifact",
    "JSONArtifact",
    "PickleArtifact",
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
