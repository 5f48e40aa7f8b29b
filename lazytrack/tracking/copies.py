"""Copies: how a project takes over experiments of other projects and other processes, and what becomes of their files.

What they have saved is taken over as the patches it is, with the times these were made at, so that of each field the
newest wins and doing it twice changes nothing. What they have not saved becomes unsaved here.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lazytrack.artifacts import Artifact
from lazytrack.errors import RecordDeletedError, StoreWarning
from lazytrack.journal import Patch, writable
from lazytrack.tracking.dependencies import FIELD, rebase
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.logged import file_of
from lazytrack.tracking.owner import Owner

_TOO_LATE = "9000"
"""The year from which on a logical time is not taken over: nothing honest is of it, and one has to come after it."""

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project


def adopt(project: "Project", experiment: Experiment) -> None:
    """Make an experiment of elsewhere part of `project`: the object itself, or a copy where it belongs to another.

    Raises
    ------
    RecordDeletedError
        When it was deleted from the project.
    """
    source, slug = experiment._owner, experiment.slug
    adopt_saved(project, source, [slug])
    if project._journal.is_deleted(slug):
        raise RecordDeletedError(f"{slug} was deleted from {project.fpath}, for good")
    held = project._experiments.get(slug)
    if type(source) is Owner and not experiment.read_only and (held is None or held.read_only):
        join(experiment, project)
        return
    unsaved = _at_home(experiment._unsaved(), source, project)
    if not unsaved:
        return
    if held is None or held.read_only:
        held = Experiment._load(project, slug)
        with project._lock:
            project._experiments[slug] = held
    held._take_over(unsaved)


def adopt_saved(project: "Project", source: Owner, records: Iterable[str]) -> None:
    """Take over what `source` knows of some records besides unsaved changes; the next save writes what is not here."""
    records = list(records)
    project._doomed.difference_update(records)
    project._hidden.difference_update(records)
    patches = project._journal.news(_writable(patch for r in records for patch in source._journal.patches(r)))
    if patches:
        # Of a source at the same place most of it is in the store. What is not comes from a merge that is not saved.
        project.refresh() if source.location == project.location else project._read_once()
        patches = project._journal.news(patches)
        for patch in patches:
            for field, value in patch.get("set", {}).items():
                if (file := file_of(field, value, patch["record"])) is not None:
                    project._fetch_later(file, source)
        project._journal.absorb(patches)
        moved = _moved_dependencies(patches, source, project)
        project._journal.absorb(moved)
        project._adopted += [*patches, *moved]
    for record in records:
        if (held := project._experiments.get(record)) is not None:
            held._move()


def _writable(patches: Iterable[Patch]) -> Iterator[Patch]:
    """Yield what can be written of patches that a stranger may have made."""
    for patch in patches:
        kept = writable(patch)
        if patch["at"] >= _TOO_LATE:
            warnings.warn(
                f"a change of {patch['record']} is left out: none could follow it, so far ahead is its time",
                StoreWarning,
                stacklevel=6,
            )
            continue
        if kept is not patch:
            warnings.warn(
                f"a change of {patch['record']} holds what is nested too deep to be written: that is left out",
                StoreWarning,
                stacklevel=6,
            )
        yield kept


def join(experiment: Experiment, project: "Project") -> None:
    """Make the object itself part of `project`, with all that it has not saved."""
    with experiment._ledger.lock:
        source, unsaved = experiment._owner, experiment._unsaved()
        _at_home(unsaved, source, project)
        experiment.dependencies.rebase(source, project)
        experiment._owner = project
        experiment._ledger.refusal = None
        experiment._move()
        with project._lock:
            project._experiments[experiment.slug] = experiment
        if unsaved:
            project._enlist(experiment)


def _at_home(unsaved: dict[str, Any], source: Owner, project: "Project") -> dict[str, Any]:
    """Return unsaved changes as they are at `project`, and have the files they name copied by the next save."""
    if source.location == project.location:
        return unsaved
    for value in unsaved.values():
        if isinstance(value, Artifact) and not value.dirty and value.stored is not None:
            project._fetch_later(value.stored, source)
    return {
        f: rebase(v, source, project) if f.startswith(FIELD) and isinstance(v, str) else v for f, v in unsaved.items()
    }


def _moved_dependencies(patches: Sequence[Patch], source: Owner, project: "Project") -> list[Patch]:
    """Return patches that point dependencies of `patches` to where they are as seen from `project`."""
    named = {
        (patch["record"], field): value
        for patch in patches
        for field, value in patch.get("set", {}).items()
        if field.startswith(FIELD) and isinstance(value, str)
    }
    moved: dict[str, dict[str, str]] = {}
    for (record, field), value in named.items():
        there = rebase(value, source, project)
        if there != value and project._journal.get(record, field) == value:
            moved.setdefault(record, {})[field] = there
    at = project._journal.clock.tick() if moved else ""
    return [{"at": at, "by": project.author, "record": record, "set": changes} for record, changes in moved.items()]
