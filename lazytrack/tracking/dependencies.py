"""Dependencies: which experiments, of other projects too, an experiment builds on.

A dependency is stored as ``<name in the registry, or path>|<slug>``, the path relative to the project where it can be.
It is followed when it is asked for, and not before: an upstream that cannot be reached stops nothing else.
"""

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

from lazytrack import codec
from lazytrack.errors import LazytrackError
from lazytrack.files import join, relative
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.registry import registry

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment
    from lazytrack.tracking.project import Project
    from lazytrack.tracking.record import Record

FIELD = "dependencies."
"""What the fields of dependencies begin with."""


class Dependencies(MutableMapping[str, "Experiment"]):
    """The upstream experiments of an experiment, by short slug; which there are is noted like any change.

    Parameters
    ----------
    experiment
        Whose they are.
    """

    __slots__ = ("_experiment", "_items")

    def __init__(self, experiment: "Record") -> None:
        self._experiment = experiment
        self._items: dict[str, Experiment | str] = dict(self._stored())

    def __getitem__(self, key: str) -> "Experiment":
        """Return an upstream experiment.

        Raises
        ------
        KeyError
            When there is no such dependency.
        LookupError
            When there is, and it cannot be reached.
        """
        item = self._items[key]
        if isinstance(item, str):
            item = self._items[key] = _follow(item, key, self._experiment._owner)
        return item

    def __setitem__(self, key: str, upstream: "Experiment") -> None:
        codec.text(key, "the name of a dependency")
        if not isinstance(getattr(upstream, "_owner", None), Owner):
            raise TypeError(f"a dependency is an experiment, not {type(upstream).__name__}")
        with self._experiment._ledger.lock:
            self._experiment._ledger.note(FIELD + key)
            self._items[key] = upstream

    def __delitem__(self, key: str) -> None:
        with self._experiment._ledger.lock:
            if key not in self._items:
                raise KeyError(key)
            self._experiment._ledger.note(FIELD + key)
            del self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Dependencies({self.references()})"

    def references(self) -> dict[str, str]:
        """Return each dependency as it is stored."""
        return {key: self.reference(key) for key in self._items}

    def reference(self, key: str) -> str:
        """Return a dependency as it is stored: ``../features/project.json|clean-20261120082233-x7k2m9qa``."""
        item = self._items[key]
        return item if isinstance(item, str) else _refer(item, self._experiment._owner)

    def clear(self) -> None:
        """Remove all, those that cannot be reached included."""
        with self._experiment._ledger.lock:
            for key in list(self._items):
                del self[key]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dependencies):
            return self.references() == other.references()
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as of every mapping that can be changed

    def move(self) -> None:
        """Take over what the store says by now of those that are unchanged here. The caller holds the lock."""
        changed = self._experiment._ledger.changed
        stored = self._stored()
        for key in {**self._items, **stored}:
            if FIELD + key in changed:
                continue
            if key not in stored:
                del self._items[key]
            elif key not in self._items or self.reference(key) != stored[key]:
                self._items[key] = stored[key]

    def _stored(self) -> dict[str, str]:
        fields = self._experiment._stored().items()
        return {field[len(FIELD) :]: str(value) for field, value in fields if field.startswith(FIELD)}


def rebase(reference: str, old: Owner, new: Owner) -> str:
    """Return a dependency as a project at `new` stores it, which one at `old` stores as `reference`."""
    place, _, slug = reference.rpartition("|")
    if not place.endswith(".json"):  # a name in the registry
        return reference
    return f"{relative(join(old.dir, place), new.dir)}|{slug}"


def _refer(upstream: "Experiment", owner: Owner) -> str:
    there = upstream._owner
    place = registry.search(there.location) or relative(there.location, owner.dir)
    return f"{place}|{upstream.slug}"


def _follow(reference: str, key: str, owner: Owner) -> "Experiment":
    place, _, slug = reference.rpartition("|")
    try:
        project = _project_at(place, owner)
        if slug not in project:
            project.refresh()  # it may have been opened before the experiment was saved
        return project[slug]
    except (LazytrackError, OSError, KeyError, ValueError, TypeError) as error:
        raise LookupError(
            f"dependency {key!r} is {reference!r}, which cannot be reached: {error}. If its project has moved, "
            "register it by the name it was registered by, or set the dependency anew"
        ) from error


def _project_at(place: str, owner: Owner) -> "Project":
    from lazytrack.tracking.project import Project  # noqa: PLC0415  (projects are made of experiments, and these of this)

    if place in registry:
        return registry[place]
    if not place.endswith(".json"):
        raise ValueError(f"no project {place!r} is registered: registry.add_project({place!r}, ...)")
    path = join(owner.dir, place)
    if path == owner.location and isinstance(owner, Project):
        return owner
    if (name := registry.search(path)) is not None:
        return registry[name]
    if path not in owner._upstream:
        owner._upstream[path] = Project(path, mode="r", **owner.options_for(path))
    return owner._upstream[path]
