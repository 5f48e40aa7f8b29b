"""The active project, which runs are recorded in where none is named."""

import os

from lazytrack.tracking import entered, surrounding
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.project import Project
from lazytrack.tracking.surrounding import EXPERIMENT, PROJECT

_opened: dict[tuple[str, str], Project] = {}
"""Projects that were opened here, by path and working folder: opening one anew would read all of it anew."""


def active_project() -> Project:
    """Return the project of the innermost ``with project:``, else that of ``LAZYTRACK_PROJECT``, else ``project.json``.

    The last is in the working folder, and opened for adding.

    Raises
    ------
    FormatError
        When what is there is no project.
    OSError
        When it cannot be read.
    """
    project = entered.innermost()
    return _opened_here() if project is None else project  # (one without experiments is false)


def _opened_here() -> Project:
    """Return the project of ``LAZYTRACK_PROJECT``, else ``project.json``."""
    path = os.environ.get(PROJECT) or "project.json"
    known = path, _working_folder()
    project = _opened.get(known)
    if project is None or project.is_gone():
        project = _opened[known] = Project(path)
    return project


def surrounding_experiment() -> Experiment | None:
    """Return the experiment that this process is a part of, to log to; None where it is part of none.

    Raises
    ------
    KeyError
        When it is not there.
    OSError
        When the project cannot be read.
    """
    slug = os.environ.get(EXPERIMENT)
    if not slug:
        return None
    project = entered.innermost()
    if project is None or project.mode == "r" or surrounding.slug_at(project.location) is None:  # it is another one's
        project = _opened_here()
    held = project._experiments.get(slug)
    if held is not None and held._is_joined and held._ledger.refusal is None:  # a forked process attaches anew
        return held
    return project.attach(slug, autosave=True)


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  (it is compared, not used as a path)
    except OSError:  # it was deleted
        return ""
