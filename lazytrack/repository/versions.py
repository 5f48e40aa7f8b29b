"""Versions of an artifact: what a store calls them, and which of them is meant."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, Shelf
from lazytrack.errors import InvalidVersionError, VersionNotFoundError
from lazytrack.files import join, relative
from lazytrack.journal.document import compose

FIELD = "artifact"
"""Of the record of a version, the one that says what it is."""
ALIAS = "aliases."
"""What the fields begin with that say which version an alias means."""
PROMOTED = "promoted"
"""Of the record of a version, the one that says what it was promoted from, if it was."""
HISTORY = "history."
"""What the fields begin with that say who moved an alias, and what was promoted from where."""
_RECORD = re.compile(r"([^/]+)/(0|[1-9][0-9]{0,8})", re.ASCII)
_MATCHES = ("exact", "asof")


def record_of(name: str, version: int) -> str:
    """Return the record of a version: ``model/3``."""
    return f"{naming.safe_part(name)}/{version}"


def is_version(record: str) -> bool:
    """Tell whether a record is that of a version."""
    return _RECORD.fullmatch(record) is not None


def claim_of(name: str, version: int) -> str:
    """Return the file that a writer makes before anybody else, so that the version is its own."""
    return f"claims/{record_of(name, version)}.json"


def claim_content(id: str | None = None) -> bytes:
    """Return what to write to such a file, so that a writer whose answer was lost can tell whether it is its own."""
    return compose("claim", id=id or naming.unique(16), created_at=naming.iso(naming.now()))


def aliases_of(name: str) -> str:
    """Return the record that keeps an artifact's aliases."""
    return f"{naming.safe_part(name)}/aliases"


def check_alias(alias: str) -> None:
    """Refuse an alias that could be taken for a number or a time.

    Raises
    ------
    TypeError
        When it is no string.
    ValueError
        When it is empty, a number, as ``3`` or ``v3``, or a time.
    """
    codec.text(alias, "an alias")
    try:
        codec.parse_time(alias)
    except ValueError:
        is_taken = not alias.strip() or alias.strip().lstrip("+-vV").isdigit()
    else:
        is_taken = True
    if is_taken:
        raise ValueError(f"alias {alias!r} could be taken for a number or a time: choose a word, such as 'champion'")


@attrs.frozen
class Move:
    """An alias that is about to mean another version.

    Parameters
    ----------
    artifact
        The version it is to mean; None for none.
    reason
        Why.
    """

    name: str
    alias: str
    artifact: Artifact | None
    reason: str | None


@attrs.frozen(kw_only=True)
class Origin:
    """What a version is promoted from.

    Parameters
    ----------
    project
        The path or URL of a project's head, seen from the repository's folder where there is a way; or what its users
        have registered it as, which does not end in ``.json``.
    record, field
        Where that names the artifact: the slug of an experiment, and ``artifacts.model``, or
        ``tests.women.artifacts.model``.
    """

    project: str
    record: str
    field: str

    @classmethod
    def of(cls, value: Any) -> "Origin | None":
        """Return what a record says; None where that makes no sense."""
        names = [field.name for field in attrs.fields(cls)]
        if not isinstance(value, Mapping) or not all(isinstance(value.get(name), str) for name in names):
            return None
        return cls(**{name: value[name] for name in names})

    def seen_from(self, folder: str) -> "Origin":
        """Return the same as a repository in `folder` stores it, where this has a whole path."""
        return attrs.evolve(self, project=relative(self.project, folder)) if self._is_path else self

    def whole(self, folder: str) -> "Origin":
        """Return the same with the whole path that a repository in `folder` means."""
        return attrs.evolve(self, project=join(folder, self.project)) if self._is_path else self

    @property
    def _is_path(self) -> bool:
        return self.project.endswith(".json")


@attrs.frozen
class Promotion:
    """A version that is about to be promoted.

    Parameters
    ----------
    origin
        What from, as this repository stores it.
    source
        Where its file is; None where the object itself is here.
    """

    origin: Origin
    source: Shelf | None


class Versions(Mapping[int, Artifact]):
    """The versions of an artifact by number; finding one does not go through the others.

    Parameters
    ----------
    stored, unsaved
        Those there are.
    numbers
        Of what is stored, ascending, and perhaps more.
    is_gone
        Tells of a number whether it does not count any more.
    """

    def __init__(
        self,
        stored: Mapping[int, Artifact],
        unsaved: Mapping[int, Artifact],
        numbers: Sequence[int],
        is_gone: Callable[[int], bool],
    ) -> None:
        self._stored, self._unsaved, self._numbers, self._is_gone = stored, unsaved, numbers, is_gone

    def __getitem__(self, number: int) -> Artifact:
        if number in self._unsaved:
            return self._unsaved[number]
        if self._is_gone(number):
            raise KeyError(number)
        return self._stored[number]

    def __iter__(self) -> Iterator[int]:
        yield from sorted(self.descending())

    def __len__(self) -> int:
        return sum(1 for _ in self.descending())

    def __bool__(self) -> bool:
        return next(self.descending(), None) is not None

    def descending(self) -> Iterator[int]:
        """Yield the numbers, the highest first."""
        unsaved = sorted(self._unsaved)
        for number in reversed(self._numbers):
            while unsaved and unsaved[-1] > number:
                yield unsaved.pop()
            if number in self._stored and number not in self._unsaved and not self._is_gone(number):
                yield number
        yield from reversed(unsaved)


def is_expired(artifact: Artifact, at: datetime) -> bool:
    """Tell whether an artifact should not be used any more at a time."""
    return artifact.expiry is not None and artifact.expiry <= at


def choose(name: str, versions: Versions, aliases: Mapping[str, int], version: Any, match: str) -> Artifact:
    """Return the version that is meant.

    Parameters
    ----------
    versions
        All there are of the artifact, at least one.
    version
        A number; an alias; a time, as a datetime or as ISO 8601 text; None for the newest that has not expired.
    match
        ``exact``: the version of that number or time. ``asof``: the newest that was there at the time and had not
        expired.

    Raises
    ------
    VersionNotFoundError
        When none fits.
    InvalidVersionError
        When `version` is none of these.
    ValueError
        When `match` is unknown, or is ``asof`` without a time.
    """
    if match not in _MATCHES:
        raise ValueError(f"no match {match!r}; known: 'exact' and 'asof'")
    if version is None:
        return _last(name, versions, lambda found: not is_expired(found, naming.now()), "that has not expired")
    if isinstance(version, str) and version in aliases:
        version = aliases[version]
    time = _time(name, version, aliases)
    if isinstance(time, int):
        if match == "asof":
            raise ValueError(f"match='asof' needs a time, not version {version!r}")
        if time not in versions:
            raise VersionNotFoundError(f"artifact {name!r} has no version {time}; there are {_some(versions)}")
        return versions[time]
    if match == "exact":
        return _last(name, versions, lambda found: _is_at(found.created_at, time), f"of {naming.iso(time)}")

    def was_there(found: Artifact) -> bool:
        return found.created_at <= time and not is_expired(found, time)

    there = {number: found for number, found in versions.items() if was_there(found)}
    if not there:
        raise VersionNotFoundError(
            f"artifact {name!r} had no version at {naming.iso(time)}; there are {_some(versions)}"
        )
    return max(there.values(), key=lambda found: (found.created_at, found.version))


def _time(name: str, version: Any, aliases: Mapping[str, int]) -> int | datetime:
    if isinstance(version, int) and not isinstance(version, bool):
        return version
    if isinstance(version, datetime):
        return codec.moment(version, "version")
    if isinstance(version, str):
        try:
            return codec.parse_time(version)
        except ValueError as error:
            known = ", ".join(map(repr, sorted(aliases))) or "none"
            raise InvalidVersionError(
                f"version {version!r} of artifact {name!r} is no ISO 8601 time and no alias; aliases: {known}"
            ) from error
    raise InvalidVersionError(f"version {version!r} of artifact {name!r} is no number, time or alias")


def _is_at(created_at: datetime, time: datetime) -> bool:
    """Tell whether two times are one; a time without microseconds means any in that second."""
    return created_at == time or (time.microsecond == 0 and created_at.replace(microsecond=0) == time)


def _last(name: str, versions: Versions, fits: Callable[[Artifact], bool], which: str) -> Artifact:
    for number in versions.descending():
        if fits(versions[number]):
            return versions[number]
    raise VersionNotFoundError(f"artifact {name!r} has no version {which}; there are {_some(versions)}")


def _some(versions: Mapping[int, Artifact]) -> str:
    numbers = sorted(versions)
    shown = [f"{number} ({naming.iso(versions[number].created_at)})" for number in numbers[-5:]]
    return ("… " if len(numbers) > len(shown) else "") + ", ".join(shown)
