"""The experiment that a process is a part of: ``lazytrack run`` has started it, and says so in its environment."""

import os

from lazytrack.files import split
from lazytrack.journal import head_path

PROJECT = "LAZYTRACK_PROJECT"
"""The environment variable with the path or URL of the project to use where no block says so."""
EXPERIMENT = "LAZYTRACK_EXPERIMENT"
"""That with the slug of the experiment, which is one of this project."""


def slug_at(location: str) -> str | None:
    """Return the slug of the experiment, where that is of the project at a place; None where there is none there."""
    slug, project = os.environ.get(EXPERIMENT), os.environ.get(PROJECT)
    if not slug or not project or "/".join(split(head_path(project, kind="project"))) != location:
        return None
    return slug
