"""Repositories: artifacts in numbered versions, in a folder that any number of processes share."""

from lazytrack.repository.repository import Repository

__all__ = ["Repository"]
