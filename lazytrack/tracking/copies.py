"""Copies: how a project takes over experiments of other projects and other processes, and what becomes of their files.

What they have saved is taken over as the patches it is, with the times these were made at, so that of each field the
newest wins and doing it twice changes nothing. What they have not saved becomes such patches too, of the time it goes.
"""

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lazytrack.errors import RecordDeletedError, StoreWarning
from lazytrack.journal import Patch, writable
from lazytrack.tracking.dependencies import FIELD, rebase
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.ledger import INHERITED
from lazytrack.tracking.logged import files_of
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
    unsaved, artifacts = experiment._snapshot()
    if unsaved and project.mode == "w+":
        unsaved[-1]["set"]["last_updated_by"] = project.author
    adopt_patches(project, source, [slug], unsaved)
    if project._journal.is_deleted(slug) or slug in project._hidden:
        raise RecordDeletedError(f"{slug} was deleted from {project.fpath}, for good, or is about to be")
    for artifact, _ in artifacts.values():
        if artifact.stored is not None and not artifact.dirty:
            project._fetch_later(artifact.stored, source)
    with project._lock:
        held = project._experiments.get(slug)
        if held is None or held is experiment or held.read_only:
            itself = not experiment.read_only and (type(source) is Owner or experiment._ledger.refusal is INHERITED)
            if itself or artifacts:
                held = project._experiments[slug] = experiment if itself else Experiment._load(project, slug)
    if held is experiment:
        _join(experiment, project)
    elif held is not None and artifacts:
        held._take_over(artifacts)
    if held is not None and held._ledger.changed:
        project._enlist(held)


def adopt_patches(project: "Project", source: Owner, records: Iterable[str], unsaved: Iterable[Patch] = ()) -> None:
    """Take over what `source` knows of some records, and patches that are not saved; the next save writes it."""
    records = list(records)
    known = _at_hand([patch for record in records for patch in source._journal.patches(record)], source)
    patches = project._journal.news(_writable([*known, *unsaved]))
    if patches:
        # Of a source at the same place most of it is in the store. What is not comes from a merge that is not saved.
        project.refresh() if source.location == project.location else project._read_once()
        patches = [moved(patch, source, project) for patch in project._journal.news(patches)]
        for patch in patches:
            for field, value in patch.get("set", {}).items():
                for file in files_of(field, value, patch["record"]):
                    project._fetch_later(file, source)
        project._journal.absorb(patches)
        for patch in patches:
            project._adopted.setdefault(patch["record"], []).append(patch)
    again = project._cleared.intersection(records)  # it started empty, and this comes after
    project._doomed -= again
    project._hidden -= again
    for record in records:
        if (held := project._experiments.get(record)) is not None:
            held._move()


def _join(experiment: Experiment, project: "Project") -> None:
    """Make the object itself part of `project`. What it has not saved is there as patches, but for artifacts."""
    with experiment._ledger.lock:
        if experiment._ledger.refusal is INHERITED:
            experiment._stop_writing()
        experiment._owner = project
        experiment._ledger.refusal = None
        experiment._move()


def _at_hand(patches: list[Patch], source: Owner) -> list[Patch]:
    """Return what can be taken over of patches: an export may be without the files of artifacts that it names."""
    if source._held is None:
        return patches
    there, absent, result = source._held, 0, []
    for patch in patches:
        changes = patch.get("set", {})
        kept = {f: v for f, v in changes.items() if all(file.path in there for file in files_of(f, v, patch["record"]))}
        absent += len(changes) - len(kept)
        result.append(patch | {"set": kept} if len(kept) < len(changes) else patch)
    if absent:
        warnings.warn(
            f"{absent} artifacts of {source.fpath} are left out: that export is without them",
            StoreWarning,
            stacklevel=5,
        )
    return result


def _writable(patches: Iterable[Patch]) -> list[Patch]:
    """Return what can be written of patches that a stranger may have made."""
    result = []
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
        result.append(kept)
    return result


def moved(patch: Patch, source: Owner, project: Owner) -> Patch:
    """Return a patch with its dependencies as they are seen from `project`."""
    changes = patch.get("set", {})
    there = {f: rebase(v, source, project) for f, v in changes.items() if f.startswith(FIELD) and isinstance(v, str)}
    return patch | {"set": changes | there} if there else patch
