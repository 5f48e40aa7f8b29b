"""The record of an experiment: its fields, its tests, tags and dependencies, and what of them a save has to write."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact
from lazytrack.errors import FormatError
from lazytrack.journal import Patch
from lazytrack.series import HEARTBEATS, SERIES, WRITERS
from lazytrack.tracking.changes import Changes
from lazytrack.tracking.curves import Curves
from lazytrack.tracking.dependencies import Dependencies
from lazytrack.tracking.ledger import INHERITED, READ_ONLY, Ledger
from lazytrack.tracking.logged import MISSING, Logged
from lazytrack.tracking.measured import Measured
from lazytrack.tracking.owned import Tags
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.test import ReadOnlyTest, Test, Tests

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment


_OF_WRITERS = {WRITERS[:-1], SERIES[:-1], HEARTBEATS[:-1]}
_NEWEST = "~"
"""Is later than every logical time."""


class Record(Curves):
    """What of `Experiment` is kept, and how that comes into being, changes, and moves with the store."""

    __slots__ = (
        "__weakref__",
        "_dependencies",
        "_tags",
        "_tests",
    )

    read_only = False
    """Whether changes are refused."""

    def _set_up(self, owner: Owner, slug: str, ledger: Ledger) -> None:
        Curves.__init__(self, ledger)
        self._owner = owner
        self._slug = slug
        self._tags: Tags | None = None
        self._tests: Tests | None = None
        self._dependencies: Dependencies | None = None

    @classmethod
    def _load(cls, owner: Owner, slug: str) -> Self:
        """Return a stored experiment; nothing of it is read before it is asked for."""
        experiment = cls.__new__(cls)
        experiment._set_up(owner, slug, READ_ONLY if cls.read_only else Ledger(on_dirty=experiment._enlist))
        return experiment

    @property
    def _whole(self) -> "Record":
        return self

    def _measured(self) -> list[Measured]:
        return [self, *self._tests_list]

    @property
    def slug(self) -> str:
        """The name of its record: ``<short slug>-<YYYYMMDDHHMMSS>-<8 random characters>``."""
        return self._slug

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

    @property
    def dirty(self) -> bool:
        """Whether something was changed since the last save."""
        inherited = self._ledger.refusal is INHERITED and self.slug in self._owner._inherited
        return inherited or bool(self._ledger.changed or self._ledger.taken) or self.slug in self._owner._adopted

    # --- what it holds ---

    @property
    def tags(self) -> list[str]:
        """The tags; changes in the list are logged changes."""
        with self._ledger.lock:
            if self._tags is None:
                self._tags = Tags(self._ledger, self._stored_tags())
            return self._tags

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        if isinstance(value, str):
            raise TypeError(f"tags are a list of strings, not the string {value!r:.50}")
        if not isinstance(value, Iterable):
            raise TypeError(f"tags are a list of strings, not {type(value).__name__}")
        self.tags[:] = value

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
        if value is self.dependencies:
            return
        if not isinstance(value, Mapping):
            raise TypeError(f"dependencies are a dict of experiments by name, not {type(value).__name__}")
        upstream = dict(value)
        with self._ledger.lock:
            for key in [key for key in self.dependencies if key not in upstream]:
                del self.dependencies[key]
            self.dependencies.update(upstream)

    @property
    def author(self) -> str:
        """Who made it."""
        return str(self._scalars.get("author", "unknown"))

    @property
    def last_updated_by(self) -> str:
        """Who changed it last."""
        return str(self._owner._journal.get(self.slug, "last_updated_by") or self.author)

    # --- saving and refreshing ---

    def _enlist(self) -> None:
        self._owner._enlist(self)

    def _last_updated_iso(self) -> str | None:
        if self._ledger.updated is not None:
            return naming.iso(naming.from_micros(self._ledger.updated))
        return self._scalars.get("last_updated", self._scalars.get("created_at"))

    def _time(self, stored: Any, field: str) -> datetime:
        try:
            return codec.parse_time(stored)
        except (ValueError, TypeError) as error:
            raise FormatError(f"{field} of {self.slug} is {stored!r:.50}, which is no time") from error

    def _stored_tags(self) -> list[str]:
        return [field[5:] for field in self._stored() if field.startswith("tags.")]

    def _take_changes(self) -> Changes:
        """Take the changes since the last save away, as the record will have them."""
        with self._ledger.lock:
            changes = Changes(slug=self.slug, ledger=self._ledger, author=self._owner.author)
            try:
                changes.fields = self._ledger.take()
                for field, at in changes.fields.items():
                    changes.add(field, self._current(field), at)
                edited = self._owner.mode == "w+" or self.slug in self._owner._journal
                if edited and self.last_updated_by != self._owner.author:
                    changes.add("last_updated_by", self._owner.author)
                changes.add("last_updated", self._last_updated_iso())
            except BaseException:
                self._ledger.settle(dict(self._ledger.taken))
                raise
        return changes

    def _current(self, field: str) -> Any:
        """Return what a field is now: strict JSON, an artifact, points that are not saved, or `MISSING`."""
        part, key = self._part(field)
        section, dot, name = key.partition(".")
        if part is None:
            return MISSING
        if section in _OF_WRITERS:
            mine = self._of_writer(field)
            return self._stored().get(field, MISSING) if mine is None else mine
        match section + dot:
            case "artifacts.":
                return part._artifact_map().get(name, MISSING)
            case "tags.":
                return True if name in self.tags else MISSING
            case "dependencies.":
                return self.dependencies.reference(name) if name in self.dependencies else MISSING
        return part._value(key)

    def _snapshot(self) -> tuple[list[Patch], dict[str, tuple[Artifact, str]]]:
        """Return what is not saved, to go elsewhere: as patches, and artifacts by field with the time they are of.

        That time stays with the fields until they change again. So whoever changes a copy is later than this one, and
        whoever changes this one is later than the copy.
        """
        with self._ledger.lock:
            at = self._owner._journal.clock.tick()
            changes = Changes(slug=self.slug, ledger=self._ledger, author=self._owner.author)
            unsaved = self._ledger.stamp(at)
            for field, time in unsaved.items():
                changes.add(field, self._current(field), time)
            if unsaved:
                changes.add("last_updated", self._last_updated_iso(), max(unsaved.values()))
            if (taken := changes.taken) is not None:
                time = unsaved[SERIES + taken.writer.id]
                for field, value in taken.writer.with_points(taken.points).fields(taken.writer.id).items():
                    changes.add(field, value, time)
            artifacts = {field: (artifact, unsaved[field]) for field, artifact in changes.artifacts.items()}
            return [changes.earlier[time] for time in sorted(changes.earlier)], artifacts

    def _take_over(self, artifacts: Mapping[str, tuple[Artifact, str]]) -> None:
        """Hold artifacts that another copy has not saved, unless there is a newer one here; these are changes."""
        with self._ledger.lock:
            updated = self._ledger.updated
            times = self._owner._journal.times(self.slug)
            for field, (artifact, at) in artifacts.items():
                noted = (self._ledger.changed[field] or _NEWEST) if field in self._ledger.changed else ""
                if max(noted, times.get(field, "")) >= at:
                    continue
                part: Logged = self
                key = field
                if field.startswith("tests."):
                    part = self._tests_list.at("tests." + field.split(".", 2)[1] + ".")
                    key = field.removeprefix(part._prefix)
                part._put_artifact(key.removeprefix("artifacts."), artifact)
                self._ledger.changed[field] = at
            self._ledger.updated = updated  # that is in the other copy's patches

    def _part(self, field: str) -> tuple[Logged | None, str]:
        """Return what a field belongs to, this experiment or one of its tests, and its name there."""
        if not field.startswith("tests."):
            return self, field
        prefix = f"tests.{field.split('.', 2)[1]}."
        return self._tests_list.with_prefix(prefix), field.removeprefix(prefix)

    def _move(self) -> None:
        with self._ledger.lock:
            changed = self._ledger.changed
            if any(changed.values()):  # of what has gone elsewhere, there may be newer values by now
                times = self._owner._journal.times(self.slug)
                for field in [field for field, at in changed.items() if at is not None and at <= times.get(field, "")]:
                    del changed[field]
            super()._move()
            if not changed:
                self._ledger.updated = None
            if self._tags is not None:
                stored = [tag for tag in self._stored_tags() if f"tags.{tag}" not in changed]
                mine = [tag for tag in self._tags if tag in stored or f"tags.{tag}" in changed]
                self._tags.put([*mine, *(tag for tag in stored if tag not in mine)])
            if self._dependencies is not None:
                self._dependencies.move()
            if self._tests is not None:
                self._tests.move()
