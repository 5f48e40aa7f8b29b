"""One experiment: what was tried, what came of it, and the record it is stored as."""

import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lazytrack import codec, naming
from lazytrack.artifacts import Shelf
from lazytrack.errors import LazytrackError
from lazytrack.tracking.ledger import READ_ONLY, Ledger
from lazytrack.tracking.logged import MISSING, Logged
from lazytrack.tracking.owned import Tags
from lazytrack.tracking.saving import Changes
from lazytrack.tracking.test import ReadOnlyTest, Test, Tests

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project

_STATUSES = ("running", "completed", "failed", "stopped")


class Experiment(Logged):
    """Parameters, metrics, tags, tests and artifacts of one attempt.

    Made by `Project.log`. Used as a context manager it notes how the block ended.
    """

    __slots__ = ("__weakref__", "_project", "_slug", "_tags", "_tests")

    def __init__(self, name: str, *, project: "Project", author: str) -> None:
        created_at = naming.now()
        short_slug = naming.slug(codec.text(name, "the name of an experiment"), "experiment")
        self._slug = naming.record_slug(short_slug, created_at)
        self._project = project
        super().__init__(Ledger(on_dirty=self._enlist))
        self._tags: Tags | None = None
        self._tests: Tests | None = None
        with self._ledger.lock:  # a save in another thread takes all of it or nothing
            self._scalars.update({"name": name, "created_at": created_at, "author": author, "status": "running"})

    @classmethod
    def _load(cls, project: "Project", slug: str) -> Self:
        """Return a stored experiment; nothing of it is read before it is asked for."""
        experiment = cls.__new__(cls)
        Logged.__init__(experiment, READ_ONLY if cls.read_only else Ledger(on_dirty=experiment._enlist))
        experiment._project = project
        experiment._tags = experiment._tests = None
        experiment._slug = slug
        return experiment

    read_only = False
    """Whether changes are refused."""

    # --- what it is ---

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
        return str(self._stored().get("last_updated_by", self.author))

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
    def project(self) -> str:
        """The path of the project it belongs to."""
        return self._project.fpath

    @property
    def dir(self) -> str:
        """The folder that holds the project's files."""
        return self._project.dir

    @property
    def path(self) -> str:
        """The folder of its artifact files."""
        return f"{self._project.folder}/artifacts/{self.slug}"

    @property
    def fs(self) -> Any:
        """The project's fsspec filesystem."""
        return self._project.fs

    @property
    def dirty(self) -> bool:
        """Whether something was changed since the last save."""
        return bool(self._ledger.changed)

    # --- tags and tests ---

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
            self._project._save(only=self)
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
                "parameters": codec.plain(self.parameters, "parameters"),
                "metrics": codec.plain(self.metrics, "metrics"),
                "tags": list(self.tags),
                "tests": [test.to_dict() for test in self.tests],
                "artifacts": self._artifact_dicts(),
            }

    def __repr__(self) -> str:
        return f"{type(self).__name__}(slug={self.slug!r}, status={self.status!r})"

    # --- saving and refreshing ---

    def _enlist(self) -> None:
        self._project._enlist(self)

    def _last_updated_iso(self) -> str:
        if self._ledger.last_updated is not None:
            return naming.iso(self._ledger.last_updated)
        return self._scalars.get("last_updated", self._scalars["created_at"])  # type: ignore[no-any-return]

    def _stored(self) -> Mapping[str, Any]:
        return self._project._stored(self.slug)

    def _shelf(self) -> Shelf | None:
        return self._project._shelf

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
                if self.last_updated_by != self._project.author:
                    changes.add("last_updated_by", self._project.author)
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
        if section + dot == "artifacts.":
            return part._artifact_map().get(name, MISSING)
        if section + dot == "tags.":
            return True if name in self.tags else MISSING
        return part._value(key)

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
            if self._tests is not None:
                self._tests.move()


class ReadOnlyExperiment(Experiment):
    """An experiment that was opened for reading only."""

    __slots__ = ()
    read_only = True
