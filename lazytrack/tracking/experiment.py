"""One experiment: what was tried, what came of it, and the record it is stored as."""

import functools
import os
import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from lazytrack import codec, naming
from lazytrack.errors import LazytrackError
from lazytrack.journal import Patch
from lazytrack.tracking.dependencies import Dependencies
from lazytrack.tracking.ledger import INHERITED, READ_ONLY, Ledger
from lazytrack.tracking.logged import MISSING, Logged
from lazytrack.tracking.owned import Tags
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.saving import Changes
from lazytrack.tracking.test import ReadOnlyTest, Test, Tests

_STATUSES = ("running", "completed", "failed", "stopped")


@functools.total_ordering
class Experiment(Logged):
    """Parameters, metrics, tags, tests and artifacts of one attempt.

    Made by `Project.log`, or directly and then given to `Project.append`. Used as a context manager it notes how the
    block ended. Two experiments are equal when what they hold is; they are ordered by when they were created, and two
    copies of one by when they were changed last.

    Parameters
    ----------
    name
        What it is called.
    project
        The path of the project it is going to be appended to.
    author
        Who made it; by default the login user.
    metrics, parameters, tags, tests, dependencies, notes
        What is logged already.
    created_at
        By default now; without a zone it is taken as UTC.

    Raises
    ------
    TypeError, ValueError
        When one of them is not what it should be; the message names it.
    """

    __slots__ = ("__weakref__", "_dependencies", "_owner", "_slug", "_tags", "_tests")

    def __init__(
        self,
        name: str,
        project: str | os.PathLike[str] = "project.json",
        author: str | None = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        tests: Iterable[Test] = (),
        dependencies: "Mapping[str, Experiment] | None" = None,
        notes: str | None = None,
        created_at: datetime | None = None,
    ) -> None:
        self._begin(Owner(project, author), name, notes=notes, created_at=created_at)
        self.log_metrics(metrics or {})
        self.log_parameters(parameters or {})
        self.tag(*tags)
        self.tests.extend(tests)
        self.dependencies.update(dependencies or {})

    def _begin(self, owner: Owner, name: str, *, notes: str | None = None, created_at: datetime | None = None) -> None:
        short_slug = naming.slug(codec.text(name, "the name of an experiment"), "experiment")
        time = naming.aware(created_at or naming.now())
        self._set_up(owner, naming.record_slug(short_slug, time), Ledger(on_dirty=self._enlist))
        with self._ledger.lock:  # a save in another thread takes all of it or nothing
            self._scalars.update({"name": name, "created_at": time, "author": owner.author, "status": "running"})
            if notes is not None:
                self.notes = notes

    def _set_up(self, owner: Owner, slug: str, ledger: Ledger) -> None:
        Logged.__init__(self, ledger)
        self._owner = owner
        self._slug = slug
        self._tags: Tags | None = None
        self._tests: Tests | None = None
        self._dependencies: Dependencies | None = None

    @classmethod
    def _start(cls, owner: Owner, name: str, *, notes: str | None = None) -> Self:
        """Return a new experiment of a project."""
        experiment = cls.__new__(cls)
        experiment._begin(owner, name, notes=notes)
        return experiment

    @classmethod
    def _load(cls, owner: Owner, slug: str) -> Self:
        """Return a stored experiment; nothing of it is read before it is asked for."""
        experiment = cls.__new__(cls)
        experiment._set_up(owner, slug, READ_ONLY if cls.read_only else Ledger(on_dirty=experiment._enlist))
        return experiment

    read_only = False
    """Whether changes are refused."""

    # --- what it is ---

    @property
    def _whole(self) -> "Experiment":
        return self

    @property
    def name(self) -> str:
        """What the user called it."""
        return str(self._scalars.get("name", self.short_slug))

    @property
    def slug(self) -> str:
        """The name of its record: ``<short slug>-<YYYYMMDDHHMMSS>-<8 random characters>``."""
        return self._slug

    @property
    def short_slug(self) -> str:
        """The slug of its name, which it may share with others."""
        return self.slug.rsplit("-", 2)[0]

    @property
    def author(self) -> str:
        """Who made it."""
        return str(self._scalars.get("author", "unknown"))

    @property
    def last_updated_by(self) -> str:
        """Who changed it last."""
        return str(self._owner._journal.get(self.slug, "last_updated_by") or self.author)

    @property
    def created_at(self) -> datetime:
        """When it was made; aware, in UTC."""
        return codec.parse_time(self._scalars["created_at"])

    @property
    def last_updated(self) -> datetime:
        """When it was changed last; aware, in UTC."""
        return codec.parse_time(self._last_updated_iso())

    @property
    def status(self) -> str:
        """How it stands: ``running``, ``completed``, ``failed`` or ``stopped``."""
        return str(self._scalars.get("status", "completed"))

    @status.setter
    def status(self, value: str) -> None:
        if value not in _STATUSES:
            raise ValueError(f"no status {value!r}; known: {', '.join(_STATUSES)}")
        self._scalars["status"] = value

    @property
    def error(self) -> str | None:
        """The traceback of the exception it ended with, None where there was none."""
        return self._scalars.get("error")

    @property
    def notes(self) -> str | None:
        """What the user has to say about it, as text of any length."""
        return self._scalars.get("notes")

    @notes.setter
    def notes(self, value: str | None) -> None:
        self._scalars["notes"] = None if value is None else codec.text(value, "notes")

    @property
    def project(self) -> str:
        """The path of the project it belongs to."""
        return self._owner.fpath

    @property
    def dir(self) -> str:
        """The folder that holds the project's files."""
        return self._owner.dir

    @property
    def path(self) -> str:
        """The folder of its artifact files."""
        return f"{self._owner.folder}/artifacts/{self.slug}"

    @property
    def fs(self) -> Any:
        """The project's fsspec filesystem."""
        return self._owner.fs

    # --- tags, tests, dependencies ---

    @property
    def tags(self) -> list[str]:
        """The tags; changes in the list are logged changes."""
        with self._ledger.lock:
            if self._tags is None:
                self._tags = Tags(self._ledger, self._stored_tags())
            return self._tags

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self.tags[:] = value

    def tag(self, *tags: str, overwrite: bool = False) -> None:
        """Add tags, or replace all tags by these.

        Raises
        ------
        TypeError
            When a tag is no string.
        ReadOnlyError
            When this may not be changed.
        """
        with self._ledger.lock:
            for tag in tags:
                codec.text(tag, "a tag")
            kept = [] if overwrite else list(self.tags)
            self.tags[:] = dict.fromkeys([*kept, *tags])

    @property
    def tests(self) -> list[Test]:
        """The tests, in the order they were logged; a `Test` made elsewhere can be appended."""
        return self._tests_list

    @property
    def _tests_list(self) -> Tests:
        with self._ledger.lock:
            if self._tests is None:
                self._tests = Tests(self, ReadOnlyTest if self.read_only else Test)
            return self._tests

    def log_test(self, name: str, description: str | None = None) -> Test:
        """Add a test, for the metrics, parameters and artifacts of a part of the data; works in a ``with`` block.

        Raises
        ------
        ReadOnlyError
            When this may not be changed.
        """
        test = Test(name, description)
        self.tests.append(test)
        return test

    @property
    def dependencies(self) -> Dependencies:
        """The experiments it builds on, of other projects too, by short slug; changes are logged changes.

        An upstream is looked for when it is asked for; one that cannot be reached raises `LookupError` then.
        """
        with self._ledger.lock:
            if self._dependencies is None:
                self._dependencies = Dependencies(self)
            return self._dependencies

    @dependencies.setter
    def dependencies(self, value: "Mapping[str, Experiment]") -> None:
        upstream = dict(value)
        with self._ledger.lock:
            for key in [key for key in self.dependencies if key not in upstream]:
                del self.dependencies[key]
            self.dependencies.update(upstream)

    # --- the block ---

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ledger.refusal is not None:  # nothing was logged here
            return
        if error is None:
            if self.status == "running":  # the block may have said otherwise
                self.status = "completed"
            return
        self.status = "failed"
        self._scalars["error"] = (
            "".join(traceback.format_exception(kind, error, trace)).encode("utf-8", "backslashreplace").decode()
        )
        try:
            self._owner._save(only=self)
        except LazytrackError as failure:
            error.add_note(f"lazytrack could not save experiment {self.slug!r} at once: {failure}")

    # --- as data ---

    def to_dict(self) -> dict[str, Any]:
        """Return the experiment as plain JSON values."""
        with self._ledger.lock:  # other threads may be logging
            return {
                "name": self.name,
                "slug": self.slug,
                "short_slug": self.short_slug,
                "author": self.author,
                "last_updated_by": self.last_updated_by,
                "created_at": self._scalars["created_at"],
                "last_updated": self._last_updated_iso(),
                "status": self.status,
                "error": self.error,
                "notes": self.notes,
                "parameters": codec.plain(self.parameters, "parameters"),
                "metrics": codec.plain(self.metrics, "metrics"),
                "tags": list(self.tags),
                "dependencies": list(self.dependencies.references().values()),
                "tests": [test.to_dict() for test in self.tests],
                "artifacts": self._artifact_dicts(),
            }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Experiment):
            return NotImplemented
        return self is other or (self.slug == other.slug and self._contents() == other._contents())

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Experiment):
            return NotImplemented
        if self.slug == other.slug:
            return self.last_updated < other.last_updated
        return self.created_at < other.created_at

    def __hash__(self) -> int:
        return hash(self.slug)

    def _contents(self) -> Any:
        """Return what makes two copies equal. NaN is equal to NaN there, and upstream is not looked at."""
        with self._ledger.lock:
            data = self.to_dict() | {"dependencies": [], "tests": [], "artifacts": []}
            return codec.store(data), list(self.tests), self.artifacts

    def __repr__(self) -> str:
        return f"{type(self).__name__}(slug={self.slug!r}, status={self.status!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel with all it holds, saved or not. Elsewhere it can be read, and appended to a project."""
        with self._ledger.lock:
            patches, unsaved = self._owner._journal.patches(self.slug), self._unsaved()
            return _arrive, (type(self), self._owner._place(), self.slug, patches, unsaved, self._ledger.last_updated)

    # --- saving and refreshing ---

    def _enlist(self) -> None:
        self._owner._enlist(self)

    def _last_updated_iso(self) -> str:
        if self._ledger.last_updated is not None:
            return naming.iso(self._ledger.last_updated)
        return self._scalars.get("last_updated", self._scalars["created_at"])  # type: ignore[no-any-return]

    def _stored_tags(self) -> list[str]:
        return [field[5:] for field in self._stored() if field.startswith("tags.")]

    def _take_changes(self) -> Changes:
        """Take the changes since the last save away, as the record will have them."""
        with self._ledger.lock:
            changes = Changes(slug=self.slug, ledger=self._ledger)
            try:
                changes.fields = self._ledger.take()
                for field in changes.fields:
                    changes.add(field, self._current(field))
                if self.slug in self._owner._journal and self.last_updated_by != self._owner.author:
                    changes.add("last_updated_by", self._owner.author)
                changes.add("last_updated", self._last_updated_iso())
            except BaseException:
                changes.give_back()
                raise
        return changes

    def _current(self, field: str) -> Any:
        """Return what a field is now: strict JSON, an artifact, or `MISSING`."""
        part, key = self._part(field)
        section, dot, name = key.partition(".")
        if part is None:
            return MISSING
        match section + dot:
            case "artifacts.":
                return part._artifact_map().get(name, MISSING)
            case "tags.":
                return True if name in self.tags else MISSING
            case "dependencies.":
                return self.dependencies.reference(name) if name in self.dependencies else MISSING
        return part._value(key)

    def _unsaved(self) -> dict[str, Any]:
        """Return what has changed since the last save: by field, strict JSON, an artifact, or `MISSING`."""
        with self._ledger.lock:
            return {field: self._current(field) for field in self._ledger.changed}

    def _take_over(self, unsaved: Mapping[str, Any]) -> None:
        """Hold what another copy of this experiment has not saved; these are changes."""
        with self._ledger.lock:
            for field, value in unsaved.items():
                section, _, name = field.partition(".")
                match section:
                    case "tests":
                        test = self._tests_list.at(f"tests.{name.partition('.')[0]}.")
                        test._put(field.removeprefix(test._prefix), value)
                    case "tags":
                        self.tags[:] = [*(tag for tag in self.tags if tag != name), *([name] if value is True else [])]
                    case "dependencies":
                        self.dependencies.put(name, None if value is MISSING else value)
                    case _:
                        self._put(field, value)

    def _part(self, field: str) -> tuple[Logged | None, str]:
        """Return what a field belongs to, this experiment or one of its tests, and its name there."""
        if not field.startswith("tests."):
            return self, field
        for test in self.tests:
            if field.startswith(test._prefix):
                return test, field.removeprefix(test._prefix)
        return None, field

    def _move(self) -> None:
        with self._ledger.lock:
            super()._move()
            changed = self._ledger.changed
            if not changed:
                self._ledger.last_updated = None
            if self._tags is not None:
                stored = [tag for tag in self._stored_tags() if f"tags.{tag}" not in changed]
                mine = [tag for tag in self._tags if tag in stored or f"tags.{tag}" in changed]
                self._tags.put([*mine, *(tag for tag in stored if tag not in mine)])
            if self._dependencies is not None:
                self._dependencies.move()
            if self._tests is not None:
                self._tests.move()


class ReadOnlyExperiment(Experiment):
    """An experiment that was opened for reading only."""

    __slots__ = ()
    read_only = True


def _arrive(
    kind: type[Experiment],
    owner: Owner,
    slug: str,
    patches: list[Patch],
    unsaved: Mapping[str, Any],
    last_updated: datetime | None,
) -> Experiment:
    """Return a copy of an experiment of another process, to be read or appended to a project."""
    owner._journal.absorb(patches)
    experiment = kind._load(owner, slug)
    experiment._take_over(unsaved)
    if not kind.read_only:
        experiment._ledger.last_updated = last_updated
        experiment._ledger.refusal = INHERITED
    return experiment
