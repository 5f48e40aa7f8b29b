"""One experiment: what was tried, what came of it, and the record it is stored as."""

import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Self

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact
from lazytrack.journal import Patch, writable
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import files_of
from lazytrack.tracking.origins import ORIGIN
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.running import Running
from lazytrack.tracking.test import Test

_OUTPUT = re.compile(r"output(-rank\d+|-[0-9a-z]{8})?(-\d+)?", re.ASCII)


class Experiment(Running):
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
    parent
        The experiment it is a part of, or its slug.

    Raises
    ------
    TypeError, ValueError
        When one of them is not what it should be; the message names it.
    """

    __slots__ = ()

    def __init__(  # noqa: PLR0913  (what is known of it already)
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
        parent: "Experiment | str | None" = None,
    ) -> None:
        above = parent.slug if isinstance(parent, Experiment) else parent
        if above is not None:
            codec.text(above, "parent")
        self._begin(Owner(project, author), name, notes=notes, created_at=created_at, parent=above)
        self.status = "completed"  # until a block begins, nothing runs
        self.log_metrics(metrics or {})
        self.log_parameters(parameters or {})
        self.tags = tags
        self.tests.extend(_items(tests, "tests"))
        self.dependencies = dependencies or {}

    def _begin(
        self,
        owner: Owner,
        name: str,
        *,
        notes: str | None = None,
        parent: str | None = None,
        created_at: datetime | None = None,
        kind: str | None = None,
    ) -> None:
        short_slug = naming.slug(kind or codec.text(name, "the name of an experiment"), "experiment")
        time = naming.now() if created_at is None else codec.moment(created_at, "created_at")
        self._set_up(owner, naming.record_slug(short_slug, time), Ledger(on_dirty=self._enlist))
        with self._ledger.lock:  # a save in another thread takes all of it or nothing
            self._scalars.update({"name": name, "created_at": time, "author": owner.author, "status": "running"})
            self._is_joined = True
            if parent is not None:
                self._scalars["parent"] = parent
            if notes is not None:
                self.notes = notes

    @classmethod
    def _start(
        cls,
        owner: Owner,
        name: str,
        *,
        notes: str | None = None,
        parent: str | None = None,
        kind: str | None = None,
    ) -> Self:
        """Return a new experiment of a project, whose slug is made of its `kind` where that is given."""
        experiment = cls.__new__(cls)
        experiment._begin(owner, name, notes=notes, parent=parent, kind=kind)
        experiment._begin_capture()
        return experiment

    # --- what it is ---

    @property
    def name(self) -> str:
        """What the user called it."""
        return str(self._scalars.get("name", self.short_slug))

    @property
    def short_slug(self) -> str:
        """The slug of its name, which it may share with others."""
        return naming.short_slug(self.slug)

    @property
    def created_at(self) -> datetime:
        """When it was made; aware, in UTC."""
        return self._time(self._scalars.get("created_at"), "created_at")

    @property
    def last_updated(self) -> datetime:
        """When it was changed last; aware, in UTC."""
        return self._time(self._last_updated_iso(), "last_updated")

    @property
    def error(self) -> str | None:
        """The traceback of the exception it ended with, None where there was none."""
        return self._text("error")

    @property
    def notes(self) -> str | None:
        """What the user has to say about it, as text of any length."""
        return self._text("notes")

    @notes.setter
    def notes(self, value: str | None) -> None:
        self._scalars["notes"] = None if value is None else codec.text(value, "notes")

    @property
    def exit_code(self) -> int | None:
        """What the command ended with that ``lazytrack run`` has run; 128 and the number of a signal that ended it."""
        code = self._scalars.get("exit_code")
        return code if type(code) is int else None

    @property
    def imported(self) -> dict[str, Any] | None:
        """Where it was imported from: the tracker (``from``), its ``id`` there, and what else that said of it.

        None of an experiment that was logged here.
        """
        found = self._scalars.get("imported")
        return dict(found) if isinstance(found, dict) else None

    @property
    def parent(self) -> "Experiment | None":
        """The experiment it is a part of; None where there is none, or it is not in this project."""
        slug = self._text("parent")
        return None if slug is None else self._owner._experiment_of(slug)

    @property
    def children(self) -> "list[Experiment]":
        """The experiments that are parts of it, oldest first."""
        return self._owner._children_of(self.slug)

    @property
    def output(self) -> str:
        """What was printed while it ran, if that was kept (``capture=True``), whoever printed it."""
        parts = [
            artifact for artifact in self.artifacts if artifact.alias == "text" and _OUTPUT.fullmatch(artifact.name)
        ]
        return "".join(part.value if part.dirty else self.load_artifact(part.name) for part in parts)

    # --- tags and tests ---

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
                "created_at": self._scalars.get("created_at"),
                "last_updated": self._last_updated_iso(),
                "status": self.status,
                "error": self.error,
                "notes": self.notes,
                "parent": self._text("parent"),
                "parameters": self._plain("parameters."),
                "metrics": self._plain("metrics."),
                "tags": list(self.tags),
                "dependencies": list(self.dependencies.references().values()),
                "tests": [test.to_dict() for test in self.tests],
                "artifacts": self._artifact_dicts(),
                **self._of_the_run(*ORIGIN),
            }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Experiment):
            return NotImplemented
        return self is other or (self.slug == other.slug and self._contents() == other._contents())

    def __lt__(self, other: object) -> bool:
        return self._age(other) < other._age(self) if isinstance(other, Experiment) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._age(other) > other._age(self) if isinstance(other, Experiment) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self < other or self == other if isinstance(other, Experiment) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self > other or self == other if isinstance(other, Experiment) else NotImplemented

    def _age(self, other: "Experiment") -> datetime:
        """Return the time by which this and another one are ordered."""
        return self.last_updated if self.slug == other.slug else self.created_at

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
        unsaved, artifacts = self._snapshot()
        patches = [writable(patch) for patch in self._owner._journal.patches(self.slug)]
        named = [
            file for patch in patches for f, v in patch.get("set", {}).items() for file in files_of(f, v, self.slug)
        ]
        place = self._owner._place(named)
        pending = [*self._owner._inherited.get(self.slug, ()), *self._owner._adopted.get(self.slug, ()), *unsaved]
        made_here = type(self._owner) is Owner and self._ledger.refusal is None
        return _arrive, (type(self), place, self.slug, [*patches, *unsaved], pending, artifacts, made_here)


def _items(value: Any, what: str) -> Iterable[Any]:
    if not isinstance(value, Iterable):
        raise TypeError(f"{what} must be a list, not {type(value).__name__}")
    return value


class ReadOnlyExperiment(Experiment):
    """An experiment that was opened for reading only."""

    __slots__ = ()
    read_only = True


def _arrive(
    kind: type[Experiment],
    owner: Owner,
    slug: str,
    patches: list[Patch],
    pending: list[Patch],
    artifacts: dict[str, tuple[Artifact, str]],
    belongs_to_none: bool,
) -> Experiment:
    """Return a copy of an experiment of another process, to be read or appended to a project."""
    owner._journal.absorb(patches)
    if pending:
        owner._inherited[slug] = pending
    experiment = kind._load(owner, slug)
    experiment._take_over(artifacts)
    if not belongs_to_none:
        experiment._ledger.inherit()
    return experiment
