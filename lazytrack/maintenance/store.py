"""What collecting and checking are told of a store: its files, its journal, and which record needs which file."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts import Shelf, StoredFile
from lazytrack.artifacts.blobs import ARTIFACTS
from lazytrack.errors import ArtifactLoadError, UnsafePathError
from lazytrack.files import Files, Stat
from lazytrack.journal import Journal
from lazytrack.journal.condemned import RECORD, is_condemned
from lazytrack.progress import Progress
from lazytrack.series import FOLDER as SERIES

_OURS = re.compile(
    rf"{ARTIFACTS}/(?:[^/]+/){{1,2}}\d+-[0-9a-z]{{8}}/.+|{SERIES}/[^/]+/[^/]+\.series", re.ASCII | re.DOTALL
)
"""What files are called that collectors may take."""
FOLDERS = (f"{ARTIFACTS}/", f"{SERIES}/")
"""What the paths begin with of all files but those of the journal."""
_LEFTOVER = re.compile(r"(?:.*/)?\..+\.[0-9a-z]{8}\.tmp", re.ASCII | re.DOTALL)


@attrs.frozen(kw_only=True)
class Need:
    """A file that a record needs.

    Parameters
    ----------
    path
        Relative to the store.
    why
        Which record, and what for.
    stored
        What the record says of it; None where it only mentions it.
    until
        From when on the record does without it; None for never.
    may_be_gone
        Whether it may have been collected before: it has expired, whatever needs it by now.
    pinned
        Whether it is to be there even so: an alias or a release means it.
    taker
        The run that took it from the cache, where it is an output of an earlier one.
    at
        The record and its field that name it; None where a manifest does.
    """

    path: str
    why: str
    stored: StoredFile | None = None
    until: datetime | None = None
    may_be_gone: bool = False
    pinned: bool = False
    taker: str | None = None
    at: tuple[str, str] | None = None


@attrs.frozen(kw_only=True)
class Store:
    """A store, as those who look after it see it.

    Parameters
    ----------
    url
        Its folder.
    needs
        Returns what its records need, as far as the store was read.
    problems
        Returns what is damaged in it, by file or record, with the reason.
    refresh
        Reads what is new in it.
    releases
        Says why releases that name its versions cannot be read; None where they can.
    by
        Who looks after it.
    missing_claims
        Returns files that should be there, so that no number is given twice, with their content.
    """

    url: str
    files: Files
    journal: Journal
    shelf: Shelf
    needs: Callable[[], Iterable[Need]]
    problems: Callable[[], Mapping[str, str]]
    refresh: Callable[[], Any]
    by: str
    releases: Callable[[], str | None] = lambda: None
    missing_claims: Callable[[], Mapping[str, bytes]] = dict

    def was_collected(self, need: Need) -> bool:
        """Tell whether a file that is gone is gone because it had expired."""
        return need.may_be_gone and is_condemned(self.journal, need.path)

    def listed(self) -> list[tuple[str, Stat]]:
        """Return all its files, listed now."""
        found = []
        with Progress(f"listing {self.url}", files=0) as progress:
            for path, stat in self.files.walk():
                found.append((path, stat))
                progress.add_file()
        return found

    def with_parts(self, blind: list[str]) -> Iterator[Need]:
        """Yield what records need, with the files that manifests name.

        Parameters
        ----------
        blind
            Gets a line for each manifest that cannot be read, so that nobody knows what it names.
        """
        folders: dict[tuple[str, str], Need] = {}
        """Each manifest once, however many records name it, with the one that needs it longest."""
        for need in self.needs():
            yield need
            if need.stored is None or need.stored.parts is None:
                continue
            known = folders.setdefault((need.path, need.stored.sha256), need)
            if known.until is not None and (need.until is None or need.until > known.until):
                folders[need.path, need.stored.sha256] = need
        for need in folders.values():
            if need.stored is not None:
                yield from self._parts_of(need, need.stored, blind)

    def _parts_of(self, need: Need, stored: StoredFile, blind: list[str]) -> Iterator[Need]:
        try:
            parts = self.shelf.parts_of(stored)
        except (ArtifactLoadError, UnsafePathError) as error:
            # Where it was collected, its parts may be, too.
            if not self.was_collected(need):
                blind.append(
                    f"{need.why} names further files, and cannot be read ({error}): bring it back from a copy of the "
                    "store, or delete what needs it"
                )
            return
        for part in parts:
            yield attrs.evolve(need, path=part.path, stored=part, at=None)

    def time(self) -> float:
        """Write a note that somebody looks after it, and return the time that the storage gives it, since 1970."""
        note = {"by": self.by, "at": naming.iso(naming.now())}
        at = self.journal.append([{"record": RECORD, "set": {"last": note}}], by=self.by)
        return self.files.origin.stat(f"log/{at}.json").modified


def is_ours(path: str) -> bool:
    """Tell whether a file is one that saves write beside the journal."""
    return _OURS.fullmatch(path) is not None


def is_leftover(path: str) -> bool:
    """Tell whether a file was being written when its writer died, or still is."""
    return _LEFTOVER.fullmatch(path) is not None


def needs_in(
    record: str, fields: Mapping[str, Any], files_of: Callable[[str, Any, str], list[StoredFile]]
) -> Iterator[tuple[str, Need]]:
    """Yield each field of a record with the files that it needs.

    What a later lazytrack may write in fields of its own is needed too: whatever is spelled like the path of a file.

    Parameters
    ----------
    files_of
        Returns the files that a field with its value and its record names.
    """
    for field, value in fields.items():
        why = f"{field} of {record}"
        named = files_of(field, value, record)
        for stored in named:
            until = expiry_in(value)
            gone = until is not None
            yield (
                field,
                Need(path=stored.path, why=why, stored=stored, until=until, may_be_gone=gone, at=(record, field)),
            )
        if not named:
            for path in _paths_in(value):
                yield field, Need(path=path, why=why)


def expiry_in(entry: Any) -> datetime | None:
    """Return the expiry in what a record says of an artifact; None where there is none that can be read."""
    try:
        return codec.parse_time(entry["expiry"])
    except (TypeError, ValueError, KeyError):
        return None


def _paths_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(FOLDERS):
            yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _paths_in(item)
