"""The catalog of a project: its experiments as they are read, looked up and brought up to date."""

import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from lazytrack import codec, naming
from lazytrack.errors import StoreWarning
from lazytrack.journal import Head
from lazytrack.tracking import search
from lazytrack.tracking.experiment import Experiment, ReadOnlyExperiment
from lazytrack.tracking.logged import artifact_file
from lazytrack.tracking.owned import Shown
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.table import FIRST, Table, row_of, row_of_record
from lazytrack.tracking.where import Look, Where, in_order, looker


def _renamed(look: Look, names: Mapping[str, str]) -> Look:
    return lambda field: look(names[field])


_LARGE_BYTES = 1_000_000
"""Before an artifact of this size is written, the log is read once: an equal one may be there."""
_PATIENCE_SECONDS = 0.2
_log = logging.getLogger(__name__)


class Catalog(Owner):
    """What of `Project` is reading. Nothing is read before something is looked up."""

    def _open(self, mode: str, head: Head | None) -> None:
        self.mode = mode
        self._head = head
        self._was_read = False
        self._reported: set[str] = set()
        self._experiments: dict[str, Experiment] = {}
        self._hidden: set[str] = set()
        """Records that are not shown: they are about to be deleted, here or by the process this one comes from."""
        self._knows_store = False
        self._unindexed: set[str] = set()
        """Records whose artifact files the shelf has not been told of."""
        self._unmoved: set[str] = set()
        """Records that were read and that experiments have yet to take over."""
        self._watchers: list[set[str]] = []
        """Each is told of the records of which something was read."""
        self._make_locks()
        if head is not None and head.kind == "export":
            self._held = dict(head.files)
            self._stand_at(self.dir, self._head_name)
            self._journal.absorb(head.patches)

    def _make_locks(self) -> None:
        # Locks are taken in this order: of the save, of an experiment's ledger, of the project, of the journal.
        self._save_lock = threading.RLock()
        self._lock = threading.RLock()

    @property
    def experiments(self) -> list[Experiment]:
        """All experiments, oldest first."""
        self._read_once()
        return Shown([self._experiment(slug) for slug in self._slugs()], "log(...) or append(...)")

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
        while True:
            found = search.best(values, n, minimize=minimize)
            unlisted = [slug for slug in found if not self._is_listed(slug)]
            if not unlisted:
                return [self._experiment(slug) for slug in found]
            for slug in unlisted:
                del values[slug]

    def table(self) -> Table:
        """Return a row for each experiment, oldest first: ``slug name status created_at parameters.* metrics.* tags``.

        ``project.table().to_pandas()`` and ``.to_polars()`` make tables of these libraries.
        """
        self._read_once()
        return Table([self._row(slug) for slug in self._slugs()])

    def search(
        self, where: str | None = None, *, sort: str | None = None, descending: bool = False, limit: int | None = None
    ) -> Table:
        """Return rows as `table` does, of the experiments that an expression is true of.

        ``project.search("metrics.auc > 0.9 and 'prod' in tags", sort="metrics.auc", descending=True, limit=10)``

        Parameters
        ----------
        where
            Comparisons of columns, by whole names or ``auc`` for ``metrics.auc``, with ``and``, ``or``, ``not``, ``in``
            and ``is None``. What an experiment does not have is None; a comparison of what cannot be compared is false.
        sort
            The column to sort by; experiments without a value are last. By default the oldest is first.
        descending
            Whether the greatest is first.
        limit
            How many at most: the first of them.

        Raises
        ------
        ValueError
            When the expression is none, or says more than that.
        """
        expression = None if where is None else Where(where)
        self._read_once()
        slugs = self._slugs()
        if expression is not None:
            whole = {field: self._column_of(field) for field in expression.fields}
            slugs = [slug for slug in slugs if expression(_renamed(self._look(slug), whole))]
        if sort is not None:
            column = self._column_of(sort)
            slugs = in_order(slugs, lambda slug: self._look(slug)(column), descending=descending)
        elif descending:
            slugs = slugs[::-1]
        return Table([self._row(slug) for slug in slugs[:limit]])

    def _column_of(self, name: str) -> str:
        """Return the whole name of a column: ``metrics.auc`` for ``auc``, where there is no other of that name."""
        if name in FIRST or name == "tags":
            return name
        for column in (name, f"metrics.{name}", f"parameters.{name}"):
            section, _, inner = column.partition(".")
            if section in {"metrics", "parameters"} and self._is_logged(section, inner):
                return column
        warnings.warn(f"no experiment has {name!r}; a text stands in quotes", UserWarning, stacklevel=3)
        return name

    def _is_logged(self, section: str, name: str) -> bool:
        """Tell whether an experiment has something of a name, be it within a dict."""
        with self._lock:
            held = list(self._experiments.values())
        while name:
            if any(value is not None for value in self._journal.column(f"{section}.{name}").values()):
                return True
            if any(name in getattr(experiment, section) for experiment in held):
                return True
            name = name.rpartition(".")[0]
        return False

    def _row(self, slug: str) -> dict[str, Any]:
        held = self._experiments.get(slug)
        return row_of_record(slug, self._journal.fields(slug)) if held is None else row_of(held)

    def _look(self, slug: str) -> Look:
        """Return what looks a column of an experiment up; of what is only stored, no row is made for that."""
        if slug in self._experiments:
            return looker(self._row(slug))
        fields = self._journal.fields(slug)

        def look(column: str) -> Any:
            section, dot, _ = column.partition(".")
            if column == "tags":
                return [field[5:] for field in fields if field.startswith("tags.")]
            if section in {"parameters", "metrics"} and dot and column not in fields:
                return looker(row_of_record(slug, fields))(column)
            if column in {"slug", "name", "status", "created_at"} or column not in fields:
                return row_of_record(slug, fields).get(column)
            return codec.unstore_number(fields[column]) if section == "metrics" else codec.unstore(fields[column])

        return look

    def as_of(self, time: datetime | str) -> Self:
        """Return the project as it was at a time, for reading only.

        That is what had been saved by then, on the clocks of those who saved it, and histories up to then. What was
        deleted since is there as long as its files are. A value that was changed since may be missing where
        packing has dropped it.

        Parameters
        ----------
        time
            As a datetime, or as ISO 8601 text; one without a zone is taken as UTC.

        Raises
        ------
        TypeError, ValueError
            When it is no time.
        OSError
            When the store cannot be read.
        """
        try:
            moment = codec.parse_time(time) if isinstance(time, str) else codec.moment(time, "time")
        except ValueError as error:
            raise ValueError(f"time {time!r} cannot be read: give a datetime, or such as '2026-11-20T08:00'") from error
        past = type(self).__new__(type(self))
        Owner.__setstate__(past, Owner.__getstate__(self) | {"until": naming.to_micros(moment)})
        past._open("r", self._head)
        past.refresh()
        return past

    def filter(self, func: Callable[[Experiment], bool]) -> Iterator[Experiment]:
        """Yield the experiments for which `func` returns True, oldest first; see also `search`."""
        return (experiment for experiment in self.experiments if func(experiment))

    def refresh(self) -> None:
        """Read what others have written since; what was changed here and not saved yet stays as it is.

        Raises
        ------
        OSError
            When the store cannot be read.
        """
        with self._save_lock:  # a save in between has taken its changes and not written them yet
            touched = self._read_journal() | self._unmoved
            with self._lock:
                self._was_read = True
                self._unmoved = set()
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
            elif not codec.is_time(created_at):
                problems[f"record {record}"] = f"says it was created at {created_at!r:.50}, which is no time"
        return problems

    def __getitem__(self, key: str) -> Experiment:
        """Return an experiment by its slug, a unique beginning of it, or a short slug, which means the newest.

        Raises
        ------
        KeyError
            When there is none, or several slugs begin so.
        """
        slug = self._find(key)
        if slug is None:
            raise KeyError(f"no experiment {key!r} in {self.fpath}{search.suggest(key, self._slugs())}")
        return self._experiment(slug)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is an experiment of this slug or short slug; the beginning of one does not count."""
        return self._find(key, whole=True) is not None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (experiment.to_dict() for experiment in self.experiments)

    def __len__(self) -> int:
        self._read_once()
        return len(self._slugs())

    # --- beneath ---

    def _read_once(self) -> None:
        if not self._was_read:
            self.refresh()

    def _read_journal(self) -> set[str]:
        touched = self._journal.refresh()
        self._knows_store = True
        for watcher in (self._unindexed, *self._watchers):
            watcher.update(touched)
        return touched

    def _learn(self, size: int) -> None:
        if size >= _LARGE_BYTES and not self._knows_store:
            try:
                self._unmoved |= self._read_journal()  # experiments take it over later: this save has their changes
            except OSError as error:
                _log.debug("%s cannot be read to look for equal artifacts: %s", self.fpath, error)
        while self._unindexed:
            record = self._unindexed.pop()
            for field, value in self._journal.fields(record).items():
                if (file := artifact_file(field, value, record)) is not None:
                    self._shelf.know(file)

    def _look_again(self) -> bool:
        # Who asks may hold an experiment's lock, which a save that is under way may be waiting for.
        if not self._save_lock.acquire(timeout=_PATIENCE_SECONDS):
            return False
        try:
            self._unmoved |= self._read_journal()
        finally:
            self._save_lock.release()
        return True

    def _experiment_of(self, slug: str) -> Experiment | None:
        self._read_once()
        return self._experiment(slug) if self._is_listed(slug) else None

    def _children_of(self, slug: str) -> list[Experiment]:
        self._read_once()
        parents = self._journal.column("parent")
        with self._lock:
            held = list(self._experiments.items())
        parents |= {slug: experiment._scalars.get("parent") for slug, experiment in held}
        return [self._experiment(child) for child in self._slugs() if parents.get(child) == slug]

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
        stored = [slug for slug, at in created.items() if at and slug not in self._hidden and slug[0] != "."]
        times = self._journal.column("created_at")  # which tells apart those of one save
        stored.sort(key=lambda slug: (created[slug], str(times[slug]), slug))
        with self._lock:
            return stored + [slug for slug in self._experiments if slug not in created]

    def _is_listed(self, slug: str) -> bool:
        """Tell whether there is a record of this slug that is an experiment, without reading anything."""
        if slug in self._experiments:
            return True
        return slug not in self._hidden and slug[:1] != "." and self._journal.get(slug, "created_at") is not None

    def _find(self, key: object, *, whole: bool = False) -> str | None:
        if not isinstance(key, str):
            return None
        if key in self._experiments:
            return key
        self._read_once()
        if self._is_listed(key):
            return key
        return search.find(key, self._slugs(), whole=whole)

    def _experiment(self, slug: str) -> Experiment:
        found = self._experiments.get(slug)
        if found is None:
            kind = Experiment if self.mode == "w+" else ReadOnlyExperiment
            loaded = kind._load(self, slug)
            if slug in self._inherited:
                loaded._ledger.inherit()
            with self._lock:
                found = self._experiments.setdefault(slug, loaded)
        return found
