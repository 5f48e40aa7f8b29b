"""A project: a folder of experiments, opened for reading, adding or editing."""

import difflib
import getpass
import heapq
import math
import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from lazytrack import codec
from lazytrack.artifacts import Shelf
from lazytrack.errors import LazytrackError, ReadOnlyError, RecordDeletedError, StoreWarning
from lazytrack.files import open_files, split
from lazytrack.journal import Journal, read_head
from lazytrack.tracking.experiment import Experiment, ReadOnlyExperiment
from lazytrack.tracking.saving import Changes, make_head, write

_MODES = {
    "r": "read only",
    "a": "add experiments; what is stored is read-only",
    "w": "start empty: what is stored is deleted at the first save",
    "w+": "edit everything",
}


class Project:
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
        **storage_options: Any,
    ) -> None:
        if mode not in _MODES:
            known = "; ".join(f"{mode!r} {meaning}" for mode, meaning in _MODES.items())
            raise ValueError(f"no mode {mode!r}; known: {known}")
        path = os.fspath(fpath)
        if not path or path.endswith("/.json") or path == ".json":
            raise ValueError(f"fpath {path!r} names no project: give a folder, or a file such as 'project.json'")
        self.fpath = path if path.endswith(".json") else f"{path.rstrip('/')}/project.json"
        self.mode = mode
        self.author = _login() if author is None else codec.text(author, "author")
        self.storage_options = storage_options
        self.dir, self._head_name = split(self.fpath)
        self._files = open_files(self.dir, **storage_options)
        inside = self._files.below(self._head_name.removesuffix(".json"))
        self.folder = inside.url
        """The folder of everything but the head."""
        self._shelf = Shelf(inside)
        self._journal = Journal(inside)
        self._was_read = False
        self._reported: set[str] = set()
        self._experiments: dict[str, Experiment] = {}
        self._dirty: dict[str, Experiment] = {}
        self._doomed: set[str] = set()
        # Locks are taken in this order: of the save, of an experiment's ledger, of the project, of the journal.
        self._save_lock = threading.RLock()
        self._lock = threading.RLock()
        self._head = read_head(self._files, self._head_name, kind="project")
        if self._head is None and mode == "r":
            warnings.warn(f"there is no project at {self.fpath}: reading an empty one", UserWarning, stacklevel=2)
        if self._head is not None and self._head.kind == "export":
            if mode != "r":
                raise ReadOnlyError(f"{self.fpath} is an export: open it with mode='r'")
            self._journal.absorb(self._head.patches)
        if mode == "w":
            self._read_once()
            self._doomed = {record for record in self._journal.created() if not record.startswith(".")}

    # --- logging ---

    def log(self, name: str) -> Experiment:
        """Start an experiment; ``with project.log("baseline") as exp:`` also notes how the block ends.

        What is logged is written by `save`. A block that raises saves its experiment at once, as failed.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        TypeError, ValueError
            When the name is no text.
        """
        self._check_writable("log to it")
        experiment = Experiment(name, project=self, author=self.author)
        with self._lock:
            self._experiments[experiment.slug] = experiment
        return experiment

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
            self._experiments.pop(experiment.slug, None)
            self._dirty.pop(experiment.slug, None)
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.mode == "r":
            return
        try:
            self.save()
        except LazytrackError as failure:
            if error is None:
                raise
            error.add_note(f"lazytrack could not save project {self.fpath!r}: {failure}")

    # --- reading ---

    @property
    def experiments(self) -> list[Experiment]:
        """All experiments, oldest first."""
        self._read_once()
        return [self._experiment(slug) for slug in self._slugs()]

    def best(self, metric: str, n: int = 10, *, minimize: bool = False) -> list[Experiment]:
        """Return the `n` experiments with the greatest value of a metric, the best first.

        Experiments without that metric, or where it is a list or NaN, are left out.

        Parameters
        ----------
        metric
            Its name, as logged.
        minimize
            Whether the least value is the best.
        """
        self._read_once()
        with self._lock:
            held = list(self._experiments.items())
        # An experiment that nobody touched is not built for one number.
        values = self._journal.column(f"metrics.{metric}")
        values |= {slug: experiment.metrics.get(metric) for slug, experiment in held}
        numbers = [
            (value, slug)
            for slug, stored in values.items()
            if isinstance(value := codec.unstore_number(stored), (int, float)) and not math.isnan(value)
        ]
        hidden = {slug for slug, at in self._journal.created().items() if at is None} | self._doomed
        numbers = [(value, slug) for value, slug in numbers if slug not in hidden and slug[0] != "."]
        chosen = heapq.nsmallest if minimize else heapq.nlargest
        return [self._experiment(slug) for _, slug in chosen(n, numbers)]

    def refresh(self) -> None:
        """Read what others have written since; what was changed here and not saved yet stays as it is.

        Raises
        ------
        OSError
            When the store cannot be read.
        """
        with self._save_lock:  # a save in between has taken its changes and not written them yet
            touched = self._journal.refresh()
            with self._lock:
                self._was_read = True
                held = [(slug, e) for slug, e in self._experiments.items() if slug in touched]
            for slug, experiment in held:
                if not self._journal.is_deleted(slug):
                    experiment._move()
                elif not experiment.dirty:
                    with self._lock:
                        self._experiments.pop(slug, None)
        self._report()

    load = refresh

    @property
    def problems(self) -> dict[str, str]:
        """What is damaged in the store: file or record by name, with the reason."""
        self._read_once()
        if None in self._journal.column("created_at").values():
            self.refresh()  # a listing may have missed the first of two files that appeared while it was made
        problems = dict(self._journal.problems)
        for record, created_at in self._journal.column("created_at").items():
            if record.startswith("."):
                continue
            if created_at is None:
                problems[f"record {record}"] = "is incomplete: no file that is there says when it was created"
            elif not _is_time(created_at):
                problems[f"record {record}"] = f"says it was created at {created_at!r:.50}, which is no time"
        return problems

    @property
    def fs(self) -> Any:
        """The fsspec filesystem the project is on."""
        return self._files.fs

    def __getitem__(self, key: str) -> Experiment:
        """Return an experiment by slug, or the newest one of a short slug."""
        slug = self._find(key)
        if slug is None:
            raise KeyError(f"no experiment {key!r} in {self.fpath}{_suggest(key, self._slugs())}")
        return self._experiment(slug)

    def __contains__(self, key: object) -> bool:
        return self._find(key) is not None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (experiment.to_dict() for experiment in self.experiments)

    def __len__(self) -> int:
        self._read_once()
        return len(self._slugs())

    def __repr__(self) -> str:
        return f"Project({self.fpath!r}, mode={self.mode!r})"

    # --- beneath ---

    def _check_writable(self, what: str) -> None:
        if self.mode == "r":
            raise ReadOnlyError(f"{self.fpath} was opened with mode='r': open it with 'a', 'w' or 'w+' to {what}")

    def _read_once(self) -> None:
        if not self._was_read:
            self.refresh()

    def _report(self) -> None:
        news = {name: why for name, why in self._journal.problems.items() if name not in self._reported}
        self._reported |= news.keys()
        if news:
            name, why = next(iter(sorted(news.items())))
            more = f" (and {len(news) - 1} more)" if len(news) > 1 else ""
            warnings.warn(
                f"{self.folder}/{name} {why}{more}; everything else was read; see project.problems",
                StoreWarning,
                stacklevel=4,
            )

    def _slugs(self) -> list[str]:
        """Return the experiments' slugs, oldest first, without reading anything."""
        created = self._journal.created()
        stored = [slug for slug, at in created.items() if at and slug not in self._doomed and slug[0] != "."]
        stored.sort(key=created.__getitem__)  # type: ignore[arg-type]  # those without a time are not among them
        with self._lock:
            return stored + [slug for slug in self._experiments if slug not in created]

    def _find(self, key: object) -> str | None:
        if not isinstance(key, str):
            return None
        if key in self._experiments:
            return key
        self._read_once()
        if key not in self._doomed and not key.startswith(".") and "created_at" in self._journal.fields(key):
            return key
        return next((slug for slug in reversed(self._slugs()) if slug.rsplit("-", 2)[0] == key), None)

    def _experiment(self, slug: str) -> Experiment:
        found = self._experiments.get(slug)
        if found is None:
            kind = Experiment if self.mode == "w+" else ReadOnlyExperiment
            with self._lock:
                found = self._experiments.setdefault(slug, kind._load(self, slug))
        return found

    def _stored(self, slug: str) -> Mapping[str, Any]:
        return self._journal.fields(slug)

    def _enlist(self, experiment: Experiment) -> None:
        """Take note that an experiment has changes, for the next save to find it."""
        with self._lock:
            self._dirty[experiment.slug] = experiment

    def _save(self, only: Experiment | None = None) -> None:
        with self._save_lock:
            if self._head is None:
                self._head = make_head(self._files, self._head_name)
            with self._lock:
                dirty = [e for e in self._dirty.values() if only is None or e is only]
                doomed = [slug for slug in self._doomed if only is None and not self._journal.is_deleted(slug)]
            taken: list[Changes] = []
            try:
                for experiment in dirty:
                    with self._lock:  # what is noted from here on enlists it anew, for the next save
                        self._dirty.pop(experiment.slug, None)
                    taken.append(experiment._take_changes())
                write(taken, doomed, journal=self._journal, shelf=self._shelf, author=self.author, where=self.fpath)
            except BaseException as error:
                for changes in taken:
                    changes.give_back()
                for experiment in dirty:
                    if experiment.dirty:
                        self._enlist(experiment)
                if isinstance(error, RecordDeletedError):
                    self._forget_deleted()
                raise

    def _forget_deleted(self) -> None:
        with self._lock:
            for slug in [slug for slug in self._experiments if self._journal.is_deleted(slug)]:
                del self._experiments[slug]
                self._dirty.pop(slug, None)


def _is_time(value: object) -> bool:
    try:
        codec.parse_time(value)  # type: ignore[arg-type]  # whatever a stranger wrote
    except (ValueError, TypeError):
        return False
    return True


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"


def _suggest(key: object, slugs: list[str]) -> str:
    short_slugs = list(dict.fromkeys(slug.rsplit("-", 2)[0] for slug in reversed(slugs)))
    close = difflib.get_close_matches(str(key), [*short_slugs, *slugs], n=3)
    if close:
        return f"; did you mean {', '.join(repr(name) for name in close)}?"
    return f"; it has {len(slugs)}" + (f", the newest {slugs[-1]!r}" if slugs else "")
