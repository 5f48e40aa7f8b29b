"""A project: a folder of experiments, opened for reading, adding or editing."""

import contextlib
import copy
import os
import warnings
import weakref
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lazytrack.errors import ReadOnlyError, RecordDeletedError
from lazytrack.journal import Head, Patch, read_head
from lazytrack.tracking import entered
from lazytrack.tracking.changes import Changes
from lazytrack.tracking.copies import adopt, adopt_patches
from lazytrack.tracking.exchanged import Exchanged
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.ledger import INHERITED
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.recipe import Recipe, recipe_of
from lazytrack.tracking.record import Record
from lazytrack.tracking.saving import make_head, write

if TYPE_CHECKING:
    from lazytrack.files.cache import Cache

_MODES = {
    "r": "read only",
    "a": "add experiments; what is stored is read-only",
    "w": "start empty: what is stored is deleted at the first save",
    "w+": "edit everything",
}


_PATIENCE = 1.0
"""Seconds that a fork waits for a thread that is logging."""


class Project(Exchanged):
    """Experiments in a folder, on any filesystem, that any number of processes may log to at once.

    Parameters
    ----------
    fpath
        Of the project's head, a path or URL: ``churn/project.json`` owns the folder ``churn/project``. A path that
        does not end in ``.json`` is a folder with a ``project.json`` in it.
    mode
        ``r`` read only; ``a`` add experiments, those that are stored are read-only; ``w`` start empty; ``w+`` edit
        everything.
    author
        Who logs; by default the login user.
    cache
        Keeps copies of what never changes of a project that is elsewhere: True for a folder of this user's, the name
        of another one, or a `Cache` that says how large it may become. A project on a local disk needs none.
    storage_options
        What fsspec's filesystem takes.

    Raises
    ------
    ValueError
        When the mode is unknown, the path names nothing, or nothing here speaks the URL's protocol.
    FormatError
        When the file is no lazytrack project, or of a newer lazytrack.
    OSError
        When it is there and cannot be read.
    """

    def __init__(
        self,
        fpath: str | os.PathLike[str] = "project.json",
        mode: str = "a",
        author: str | None = None,
        *,
        cache: "Cache | str | os.PathLike[str] | bool" = False,
        **storage_options: Any,
    ) -> None:
        if mode not in list(_MODES):
            known = "; ".join(f"{mode!r} {meaning}" for mode, meaning in _MODES.items())
            raise ValueError(f"no mode {mode!r}; known: {known}")
        super().__init__(fpath, author, cache=cache, **storage_options)
        self._open(mode, read_head(self._files, self._head_name, kind="project"))
        if self._head is None and mode == "r":
            warnings.warn(f"there is no project at {self.fpath}: reading an empty one", UserWarning, stacklevel=2)
        if self._head is not None and self._head.kind == "export" and mode != "r":
            raise ReadOnlyError(f"{self.fpath} is an export: open it with mode='r'")
        if mode == "w":
            self._read_once()
            self._cleared |= {record for record in self._journal.created() if not record.startswith(".")}
            self._doomed |= self._cleared
            self._hidden |= self._cleared

    def _open(self, mode: str, head: Head | None) -> None:
        super()._open(mode, head)
        self._dirty: dict[str, Record] = {}
        self._doomed: set[str] = set()
        """Records that the next save deletes."""
        self._cleared: set[str] = set()
        """Those among them that were there when the project was opened to start empty."""
        _projects.add(self)

    # --- logging ---

    def append(self, experiment: Experiment) -> None:
        """Add an experiment that was made elsewhere: directly, in another process, or in another project.

        One that belongs to no project becomes part of this one; of any other, this project gets a copy. Where there
        is one of the same slug, the newest value of each field wins. The next save writes it, artifacts included.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        RecordDeletedError
            When it was deleted from this project.
        TypeError
            When it is no experiment.
        """
        self._check_writable("append to it")
        _check_kind(experiment, Experiment, "appended")
        with self._save_lock:
            inherited = experiment._ledger.refusal is INHERITED
            if experiment._owner is not self or inherited:
                adopt(self, experiment)
            elif not experiment.read_only:
                experiment._ledger.check()
            if inherited and (patches := self._inherited.pop(experiment.slug, None)):
                self._adopted.setdefault(experiment.slug, []).extend(patches)

    def merge(self, *others: "Project") -> "Project":
        """Return a project with the experiments of this one and of others, in memory until it is saved.

        It has this project's path, author and mode. Of each field the newest value wins; deletes are merged too.
        Saving it copies what the others hold, artifacts included, and leaves them as they are.

        Raises
        ------
        TypeError
            When one of them is no project.
        OSError
            When one of them cannot be read.
        """
        for other in others:
            _check_kind(other, Project, "merged")
        projects = (self, *others)
        for project in projects:
            project._read_once()
        merged = Project.__new__(Project)
        Owner.__setstate__(merged, Owner.__getstate__(self) | {"elsewhere": {}})
        merged._open(self.mode, self._head)
        merged._cleared, merged._doomed, merged._hidden = self._cleared, set(self._doomed), set(self._hidden)
        gone = {
            slug for project in projects for slug in project._journal.deleted | (project._doomed - project._cleared)
        }
        for project in projects:
            hidden = gone | project._hidden
            with project._lock:
                held = list(project._experiments.values())
            for experiment in held:  # before what is saved: a save that ends meanwhile is in one of the two
                if (experiment._ledger.changed or experiment._ledger.taken) and experiment.slug not in hidden:
                    adopt(merged, experiment)
            adopt_patches(merged, project, [r for r in project._journal.created() if r[0] != "." and r not in hidden])
        merged._read_once()
        merged._doomed |= gone - merged._journal.deleted
        merged._hidden |= gone
        return merged

    def delete(self, slug: str) -> None:
        """Delete an experiment at the next save, for good: its id is never used again.

        Raises
        ------
        KeyError
            When there is none.
        ReadOnlyError
            When it may not be changed in this mode.
        """
        experiment = self[slug]
        experiment._ledger.check()
        with experiment._ledger.lock, self._lock:
            self._doomed.add(experiment.slug)
            self._hidden.add(experiment.slug)
            self._experiments.pop(experiment.slug, None)
            self._dirty.pop(experiment.slug, None)
            self._adopted.pop(experiment.slug, None)
            experiment._ledger.refusal = RecordDeletedError(f"{experiment.slug} was deleted, for good")

    def save(self) -> None:
        """Write everything that changed since the last save, as one new file, artifact files first.

        When this returns, what was changed before the call survives a crash and any other writer.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        SaveError
            When something could not be written. Everything else was; what was not stays dirty.
        RecordDeletedError
            When somebody deleted an experiment that has changes here; everything else was written.
        """
        self._check_writable("save it")
        self._save()

    def reproduce(self, slug: str) -> Recipe:
        """Return the commands that bring an experiment back; ``print(project.reproduce("baseline"))`` shows a script.

        They check out its code, apply what was not committed, make its environment, and run it in the same way. Where
        something was not kept, such as a part of the changes that held a secret, the recipe names it, and the script
        stops before it does anything.

        Raises
        ------
        KeyError
            When there is no such experiment.
        LazytrackError
            When nothing is recorded of where it comes from.
        """
        return recipe_of(self[slug])

    def is_gone(self) -> bool:
        """Tell whether the project was stored, and somebody has removed it since.

        Raises
        ------
        OSError
            When the storage does not say.
        """
        if self._head is None:
            return False
        try:
            self._files.stat(self._head_name)
        except FileNotFoundError:
            return True
        return False

    def __enter__(self) -> Self:
        entered.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entered.leave(self)
        if self.mode == "r":
            return
        try:
            self.save()
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"lazytrack could not save project {self.fpath!r}: {failure}")

    def __repr__(self) -> str:
        return f"Project({self.fpath!r}, mode={self.mode!r})"

    # --- beneath ---

    def _enlist(self, experiment: Record) -> None:
        """Take note that an experiment has changes, for the next save to find it."""
        with self._lock:
            if experiment.slug not in self._doomed:
                self._dirty[experiment.slug] = experiment

    def _saving(self) -> contextlib.AbstractContextManager[object]:
        return self._save_lock

    def _save(self, only: Record | None = None) -> None:
        with self._save_lock:
            for capturing in list(self._capturing.values()):
                if only is None or capturing is only:
                    capturing._gather()
            if self._head is None:
                self._head = make_head(self._files, self._head_name)
            with self._lock:
                dirty = [e for e in self._dirty.values() if only is None or e is only]
                doomed = [slug for slug in self._doomed if only is None and not self._journal.is_deleted(slug)]
                slugs = [slug for slug in self._adopted if only is None or slug == only.slug]
                copies = [patch for slug in slugs for patch in self._adopted[slug]]
            taken: list[Changes] = []
            try:
                for experiment in dirty:
                    with self._lock:  # what is noted from here on enlists it anew, for the next save
                        self._dirty.pop(experiment.slug, None)
                    taken.append(experiment._take_changes())
                write(self, taken, copies=copies, doomed=doomed)
                self._doomed.difference_update(doomed)
            finally:
                self._enlist_again(dirty, taken)
                with self._lock:
                    for slug in slugs:
                        self._adopted.pop(slug, None)
                    for patch in copies:
                        self._adopted.setdefault(patch["record"], []).append(patch)
                self._forget_deleted([*slugs, *(changes.slug for changes in taken)])

    def _enlist_again(self, dirty: list[Record], taken: list[Changes]) -> None:
        """Have the next save find what this one has not written."""
        for changes in taken:
            changes.end()
        reached = {changes.slug for changes in taken}
        for experiment in dirty:
            if experiment.slug not in reached:  # an interrupt came while it was taken, or before
                experiment._ledger.settle(dict(experiment._ledger.taken))
            with self._lock:
                if experiment._ledger.changed and experiment.slug not in self._doomed:
                    self._dirty.setdefault(experiment.slug, experiment)

    def _forget_deleted(self, slugs: Iterable[str]) -> None:
        with self._lock:
            for slug in filter(self._journal.is_deleted, slugs):
                self._experiments.pop(slug, None)
                self._dirty.pop(slug, None)
                self._adopted.pop(slug, None)

    # --- elsewhere ---

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to go on: where the project is, and what is not saved, to be read there.

        What is stored is read anew there.
        """
        with self._save_lock, self._lock:
            unsaved = [experiment for experiment in self._experiments.values() if experiment._ledger.changed]
            return super().__getstate__() | {
                "mode": self.mode,
                "head": self._head,
                "hidden": set(self._hidden),
                "inherited": self._not_stored(),
                "unsaved": unsaved,
                "at": self._journal.clock.tick(),
            }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        self._open(state["mode"], state["head"])
        self._journal.clock.observe(state["at"])
        self._hidden = set(state["hidden"])
        self._inherited = {slug: list(patches) for slug, patches in state["inherited"].items()}
        for experiment in state["unsaved"]:
            arrived = experiment._owner
            self._elsewhere.update(arrived._elsewhere)
            self._inherited.setdefault(experiment.slug, []).extend(arrived._inherited.get(experiment.slug, ()))
            self._journal.absorb(arrived._journal.patches(experiment.slug))
            experiment._owner = self
            self._experiments[experiment.slug] = experiment
        for patches in self._inherited.values():
            self._journal.absorb(patches)

    def _not_stored(self) -> dict[str, list[Patch]]:
        """Return the patches by record that are known here and not in the store."""
        slugs = {**self._inherited, **self._adopted}
        return {slug: [*self._inherited.get(slug, ()), *self._adopted.get(slug, ())] for slug in slugs}

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # a shallow copy would share experiments, and each belongs to one project

    def _inherit(self) -> None:
        """Begin anew in a forked child: what is not saved is its parent's to save."""
        self._make_locks()
        self._journal.reset_lock()
        for record in {**self._dirty, **self._experiments}.values():
            record._ledger.inherit()
        for experiment in self._experiments.values():
            if experiment._companions is not None:
                experiment._companions.leave()
                experiment._companions = None
        self._capturing = {}
        self._inherited = self._not_stored()
        self._dirty, self._doomed, self._adopted, self._cleared = {}, set(), {}, set()

    def _stamp(self) -> None:
        """Give what is not saved the time of the fork: from then on there are two copies of it."""
        for experiment in list(self._experiments.values()):
            ledger = experiment._ledger
            if (ledger.changed or ledger.taken) and ledger.lock.acquire(timeout=_PATIENCE):
                ledger.stamp(self._journal.clock.tick())
                ledger.lock.release()


_projects: "weakref.WeakSet[Project]" = weakref.WeakSet()


def _stamp_all() -> None:
    for project in list(_projects):
        project._stamp()


def _inherit_all() -> None:
    for project in list(_projects):
        project._inherit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_stamp_all, after_in_child=_inherit_all)


def _check_kind(value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"only {article} {kind.__name__} can be {what}, not {type(value).__name__}")
