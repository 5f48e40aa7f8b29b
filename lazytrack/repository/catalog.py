"""The catalog of a repository: which versions there are, what they are called, and what they hold."""

import difflib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

from lazytrack import naming
from lazytrack.artifacts import Artifact
from lazytrack.artifacts.entries import to_dict
from lazytrack.artifacts.loading import load
from lazytrack.errors import ArtifactLoadError
from lazytrack.repository.place import Place
from lazytrack.repository.versions import (
    HISTORY,
    PROMOTED,
    Move,
    Origin,
    Promotion,
    Versions,
    aliases_of,
    choose,
    record_of,
)


class Catalog(Place):
    """What of `Repository` is looking up, in what is stored and what is not saved yet."""

    def _begin(self) -> None:
        self._new: dict[str, dict[int, Artifact]] = {}
        """Versions that are not saved."""
        self._notes: dict[str, dict[str, Any]] = {}
        """Fields of records that are not saved."""
        self._promotions: dict[int, Promotion] = {}
        """Of those versions the ones that come from an experiment, by the id of the object."""
        self._claimed: set[tuple[str, int]] = set()
        """Names with numbers that are this process's own, and of no version yet."""
        self._moves: list[Move] = []
        """Of aliases, in their order, that are not saved."""
        self._doomed: set[str] = set()
        """Records that the next save deletes."""
        self._hidden: dict[str, set[int]] = {}
        """Versions that were there when the repository was opened to start empty."""

    def load_artifact(
        self,
        name: str,
        validate: bool = True,
        version: int | datetime | str | None = None,
        match: str = "exact",
        *,
        trust: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Read a version of an artifact back.

        Parameters
        ----------
        validate
            Refuse one that was written in another environment, such as another version of Python.
        version
            A number; an alias; a time, as a datetime or as ISO 8601 text; by default the newest that has not expired.
        match
            ``exact``: the version of that number or time. ``asof``: the newest that was there at that time and had
            not expired.
        trust
            Read one that could run code, such as a pickle, also where no key that is held here has signed it.
        kwargs
            For the handler's reader.

        Raises
        ------
        VersionNotFoundError
            When no version fits.
        InvalidVersionError
            When `version` is no number, time or alias.
        ValueError
            When there is no such artifact, or no such `match`.
        ArtifactLoadError
            When it is not saved yet, its file is gone or altered, or the environment differs.
        UntrustedArtifactError
            When reading it could run code, and it is not signed by a key that is held here.
        """
        artifact = self._version(name, version, match)
        if artifact.dirty:
            raise ArtifactLoadError(f"artifact {name!r} is not saved yet: save the repository, then load it")
        what = f"version {artifact.version} of artifact {name!r}"
        return load(artifact, self._shelf, kwargs, what=what, validate=validate, trust=trust)

    def get_artifact_metadata(
        self, name: str, version: int | datetime | str | None = None, match: str = "exact"
    ) -> dict[str, Any]:
        """Return what there is to say of a version: ``name fname created_at expiry version handler``, and environment.

        Parameters and errors are those of `load_artifact`.
        """
        return to_dict(self._version(name, version, match))

    def origin(
        self, name: str, version: int | datetime | str | None = None, match: str = "exact"
    ) -> dict[str, str] | None:
        """Return what a version was promoted from; None where it was logged here.

        ``Project(origin["project"])[origin["record"]]`` is the experiment, where the project is not known by the name
        that it was registered as; ``field`` is what that calls the artifact, such as ``artifacts.model``.

        Parameters and errors are those of `load_artifact`.
        """
        with self._lock:
            artifact = self._version(name, version, match)
            if (promotion := self._promotions.get(id(artifact))) is not None:
                found: Origin | None = promotion.origin
            else:
                found = Origin.of(self._journal.get(record_of(name, artifact.version), PROMOTED))
            return None if found is None else attrs.asdict(found.whole(self.dir))

    def get_version_diff(self, name: str, version: Any = None, match: str = "exact") -> str:
        """Return what changed between two versions of an artifact that is text, as a unified diff.

        Parameters
        ----------
        version
            One, which is compared with the newest; or a pair of them, the older first.
        match
            As for `load_artifact`.

        Raises
        ------
        ValueError
            When the artifact is binary.
        ArtifactLoadError
            When one of them is not saved.
        """
        pair = version if isinstance(version, list | tuple) else (version, None)
        try:
            first, second = pair
        except ValueError as error:
            raise ValueError(f"a difference is between two versions, not {len(pair)}") from error
        older, newer = (self._version(name, each, match) for each in (first, second))
        for artifact in (older, newer):
            if artifact.dirty:
                raise ArtifactLoadError(f"version {artifact.version} of artifact {name!r} is not saved yet")
            if artifact.binary and not artifact.has_parts:
                raise ValueError(f"artifact {name!r} is kept by the handler {artifact.alias!r}, which writes no text")
        if older.version == newer.version:
            warnings.warn(f"both are version {older.version} of artifact {name!r}", UserWarning, stacklevel=2)
        before, after = (self._shelf.text(artifact).splitlines(keepends=True) for artifact in (older, newer))
        names = [f"{name}, version {artifact.version}" for artifact in (older, newer)]
        return "".join(difflib.unified_diff(before, after, names[0], names[1]))

    def versions(self, name: str) -> list[Artifact]:
        """Return the handlers of all versions of an artifact, by number, those that are not saved included.

        Raises
        ------
        ValueError
            When there is no such artifact.
        """
        with self._lock:
            return [found for _, found in sorted(self._versions(name).items())]

    @property
    def artifacts(self) -> list[Artifact]:
        """The handlers of all versions of all artifacts, by name and number."""
        with self._lock:
            return [artifact for name in self._all_names() for artifact in self.versions(name)]

    def __getitem__(self, name: str) -> Artifact:
        """Return the handler of the oldest version of an artifact.

        Raises
        ------
        KeyError
            When there is no such artifact.
        """
        try:
            return self.versions(name)[0]
        except ValueError as error:
            raise KeyError(str(error)) from error

    def __contains__(self, name: object) -> bool:
        """Tell whether there is an artifact of this name."""
        return name in self._all_names()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (to_dict(artifact) for artifact in self.artifacts)

    def __len__(self) -> int:
        return len(self.artifacts)

    def _version(self, name: str, version: Any, match: str) -> Artifact:
        with self._lock:
            return choose(name, self._versions(name), self.aliases(name), version, match)

    def _check_file(self, artifact: Artifact) -> None:
        """Refuse a version that is to be kept, and whose file is gone."""
        if artifact.dirty or artifact.stored is None or (path := self._shelf.missing(artifact.stored)) is None:
            return
        why = "" if artifact.expiry is None else f", as gc collects what has expired ({naming.iso(artifact.expiry)})"
        raise ArtifactLoadError(
            f"the file of version {artifact.version} of artifact {artifact.name!r} is gone{why}: "
            f"{self._shelf.where(path)}. Choose another version, log it anew, or bring the file back from a copy"
        )

    def _versions(self, name: str) -> Versions:
        """Return all versions of an artifact.

        Raises
        ------
        ValueError
            When there are none.
        """
        self._read_once()
        if not (found := self._present(name)):
            raise ValueError(f"no artifact {name!r} in {self.fpath}; known: {listed(self._all_names())}")
        return found

    def _present(self, name: str) -> Versions:
        """Return all versions of an artifact but those that the next save deletes."""
        hidden = self._hidden.get(name, ())

        def is_gone(number: int) -> bool:
            return number in hidden or record_of(name, number) in self._doomed

        return Versions(self._stored.get(name, {}), self._new.get(name, {}), self._numbers.get(name, ()), is_gone)

    def _all_names(self) -> list[str]:
        self._read_once()
        with self._lock:
            return [name for name in sorted({*self._stored, *self._new}) if self._present(name)]

    def aliases(self, name: str) -> dict[str, int]:
        """Return each alias of an artifact with the number of its version."""
        self._read_once()
        with self._lock:
            found = dict(self._aliases.get(aliases_of(name), {}))
            for move in self._moves:
                if move.name == name:
                    found.pop(move.alias, None)
                    if move.artifact is not None:
                        found[move.alias] = move.artifact.version
            there = self._present(name)
            return {alias: number for alias, number in sorted(found.items()) if number in there}

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return every promotion of an artifact, and every move of its aliases, that is saved, oldest first.

        Each says ``by`` whom and ``at`` which time. A promotion says the ``version``, and what it was ``promoted``
        from: the ``project``, the ``record`` of the experiment in it, and the ``field`` of the artifact. A move says
        the ``alias``, the version it meant ``from`` then on and ``to`` (None for none), and perhaps the ``reason``.
        """
        self._read_once()
        with self._lock:
            fields = self._journal.fields(aliases_of(name))
            moves = {field: move for field, move in fields.items() if field.startswith(HISTORY)}
            return [dict(move) for _, move in sorted(moves.items()) if isinstance(move, Mapping)]


def listed(names: Iterable[str]) -> str:
    """Return names as an error shows them."""
    return ", ".join(map(repr, names)) or "none"
