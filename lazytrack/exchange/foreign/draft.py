"""Drafts: what another tracker has kept, said as this one's stores say it, and not written anywhere yet.

Everything in a draft follows from what is there: names, times and places of files come out the same whenever they are
made. So importing again reads all of it again, artifacts too, and adds nothing where nothing has changed.
"""

import functools
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import IO, Any, TypeVar, cast

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts import StoredFile, manifest
from lazytrack.artifacts.blobs import ARTIFACTS, digest
from lazytrack.artifacts.entries import entry_of
from lazytrack.errors import LazytrackError
from lazytrack.files import Files, Stat, is_of_the_file
from lazytrack.files.held import Content, HeldFiles
from lazytrack.journal import Patch
from lazytrack.series import WRITERS, Columns, Role, Writer

IMPORTED = "imported"
"""The field of a record that says where it was imported from."""


_IS_ARTIFACT = re.compile(r"artifact$|(?:tests\.[^.]+\.)?artifacts\.")


@attrs.frozen(kw_only=True)
class Place:
    """Where a file of another tracker is.

    Parameters
    ----------
    name
        What it is called within its artifact.
    files, path
        Where it is.
    size
        In bytes.
    is_link
        Whether it is a link.
    """

    name: str
    files: Files
    path: str
    size: int
    is_link: bool = False

    def open(self) -> IO[bytes]:
        """Open it for reading."""
        return self.files.open_read(self.path)


SENSELESS = "what makes no sense"
LINKS = "links among artifacts, which may lead anywhere"
LINKED = "folders that are links, which may lead anywhere"
UNREADABLE = "artifacts that cannot be read"
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading raises of a file that another tracker would not have written so."""
_Item = TypeVar("_Item")


def drafted(
    items: Iterable[tuple[str, _Item]], make: "Callable[[_Item], Draft]", left_out: dict[str, list[str]]
) -> "Iterator[Draft]":
    """Yield the draft of each item; one that makes no sense is said by its name, and does not stop the others."""
    for name, item in items:
        try:
            draft = make(item)
        except _MALFORMED as error:
            left_out.setdefault(SENSELESS, []).append(f"{name}: {type(error).__name__}: {error}")
        else:
            yield draft


def link_to(path: str, listed: Iterable[tuple[str, Stat]]) -> str | None:
    """Return what is a link of what was listed, and is this file or folder, or leads to it; None where nothing is."""
    return next((link for link, stat in listed if stat.is_link and f"{path}/".startswith(f"{link}/")), None)


def is_of_one(error: OSError) -> bool:
    """Tell whether reading failed because of this one file, which does not stop what is beside it."""
    return isinstance(error, FileNotFoundError | NotADirectoryError) or is_of_the_file(error)


def places_in(files: Files, folder: str, listed: Iterable[tuple[str, Stat]]) -> list[Place]:
    """Return files that were listed in a folder, by the names they have there."""
    start = len(folder) + 1 if folder else 0
    return [
        Place(name=path[start:], files=files, path=path, size=stat.size, is_link=stat.is_link) for path, stat in listed
    ]


@attrs.define(eq=False)
class Draft:
    """One record on its way in.

    Parameters
    ----------
    record
        What it is going to be called.
    by
        Who made it.
    created_at, changed_at
        When, aware; the second is the last time that is known.
    source
        What tracker it is from (``from``), its ``id`` there, and whatever else has no place in a record of this one.
    folder
        What the paths of its files begin with, behind ``artifacts/``.
    dry
        Whether files are only counted, and not read.
    """

    record: str
    by: str
    created_at: datetime
    changed_at: datetime
    source: dict[str, Any]
    folder: str
    dry: bool = False
    fields: dict[str, Any] = attrs.Factory(dict)
    """What it says, as strict JSON."""
    held: dict[str, Content] = attrs.Factory(dict)
    """The files it names, by path."""
    left_out: list[tuple[str, str]] = attrs.Factory(list)
    """What of it has no place here, or cannot be read: of what kind, and which."""
    artifacts: int = 0
    points: int = 0
    size: int = 0

    def leave(self, kind: str, which: str = "") -> None:
        """Take note of something that has no place here."""
        self.left_out.append((kind, which))

    def put(self, field: str, value: Any) -> None:
        """Say something; where it cannot be said, note that."""
        try:
            self.fields[field] = codec.store(codec.plain(value, field))
        except (TypeError, ValueError) as error:
            self.leave("values that cannot be kept", f"{field}: {error}")

    def put_metric(self, name: str, value: Any, *, field: str = "metrics.") -> None:
        """Say the last value of a metric: a number or a list of them."""
        try:
            self.fields[field + name] = codec.store_number(codec.number(value, name))
        except (TypeError, ValueError) as error:
            self.leave("values that cannot be kept", f"{field}{name}: {error}")

    def put_points(self, points: Mapping[str, Columns]) -> None:
        """Say the histories of metrics, by name."""
        points = {f"metrics.{name}": columns for name, columns in points.items() if columns}
        if not points:
            return
        self.points += sum(map(len, points.values()))
        writer = Writer(record=self.record, role=Role(started_at=self.created_at))
        writer.id = naming.tail_of(self.record, "points")
        content = hashlib.sha256()
        for name, columns in sorted(points.items()):
            content.update(name.encode() + columns.step.tobytes() + columns.time.tobytes() + columns.value.tobytes())
        # Other points of this run, when it is imported again, are another file.
        writer._numbers = itertools.count(int(content.hexdigest()[:8], 16))  # noqa: SLF001
        written = writer.write(HeldFiles(self.record, self.held), points)
        self.fields[WRITERS + writer.id] = writer.role.to_stored()
        self.fields |= written.fields(writer.id)

    def put_file(self, field: str, handler: str, place: Place, **said: Any) -> None:
        """Say an artifact that is one file.

        Parameters
        ----------
        field
            Such as ``artifacts.model``.
        handler
            The alias of what reads it.
        said
            ``fname``, ``created_at``, ``version``, ``expiry`` and ``environment``, where they are known.
        """
        if place.is_link:
            self.leave(LINKS, field)
            return
        self._count([place])
        if self.dry:
            return
        try:
            name = naming.safe_path(said.get("fname") or place.name)
            stored = self._stored(field, place, f"{name}", said.get("version", 0))
            self._put_entry(field, handler, stored, said | {"fname": name})
        except (OSError, LazytrackError, TypeError, ValueError) as error:
            self.leave(UNREADABLE, f"{field}: {error}")

    def put_folder(self, field: str, places: Iterable[Place], **said: Any) -> None:
        """Say an artifact that is a folder of files."""
        places = list(places)
        if any(place.is_link for place in places):
            self.leave(LINKS, field)
            places = [place for place in places if not place.is_link]
        if not places:
            return
        self._count(places)
        if self.dry:
            return
        parts = []
        try:
            for place in places:
                naming.check_inside(place.name)
                parts.append((place.name, self._stored(field, place, f"files/{naming.safe_path(place.name)}", 0)))
            content = manifest.dump(parts)
            manifest.parse(content)  # which refuses names that could not stand beside each other
            tail = naming.tail_of(self.record, field, hashlib.sha256(content).hexdigest())
            fname = f"{naming.slug(field.partition('.')[2], 'folder')}.json"
            path = f"{self._home(field, said.get('version', 0), tail)}/{fname}"
            self.held[path] = content
            stored = StoredFile(
                path=path,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
                parts=manifest.summary(parts),
            )
            self._put_entry(field, "directory", stored, {"fname": fname} | said)
        except (OSError, LazytrackError, TypeError, ValueError) as error:
            self.leave(UNREADABLE, f"{field}: {error}")

    def _count(self, places: Iterable[Place]) -> None:
        self.artifacts += 1
        self.size += sum(place.size for place in places)

    def _put_entry(self, field: str, handler: str, stored: StoredFile, said: dict[str, Any]) -> None:
        said = {"created_at": self.changed_at} | {key: value for key, value in said.items() if value is not None}
        self.fields[field] = entry_of(handler, stored, **said)

    def _stored(self, field: str, place: Place, name: str, version: int) -> StoredFile:
        with place.open() as file:
            sha256 = digest(file)
            size = file.seek(0, io.SEEK_END)  # a digest of what is in memory does not read to the end
        path = f"{self._home(field, version, naming.tail_of(self.record, field, place.name, sha256))}/{name}"
        self.held[path] = functools.partial(cast("Any", place.open))
        return StoredFile(path=path, sha256=sha256, size=size)

    def _home(self, field: str, version: int, tail: str) -> str:
        name = naming.safe_part(field.rpartition("artifacts.")[2])
        return f"{ARTIFACTS}/{self.folder}{name}/{version}-{tail}"

    # --- as patches ---

    @property
    def digest(self) -> str:
        """What tells it from another state of the same."""
        return hashlib.sha256(codec.dumps([self.fields, codec.store(self.source)])).hexdigest()[:16]

    def patches(self, earlier: Mapping[str, str]) -> list[Patch]:
        """Return what is to be merged into the store.

        Parameters
        ----------
        earlier
            What the store says of the record by now: each field with the time it was set. What an earlier import has
            said and this one does not is unset, but for artifacts: they may be out of reach now. What was changed here
            since stays.
        """
        tail = naming.tail_of(self.record, self.digest)
        said = self.fields | {IMPORTED: codec.store({**self.source, "digest": self.digest})}
        first = {field: said.pop(field) for field in ("name", "created_at", "author") if field in said}
        last = earlier.get(IMPORTED)
        after = self.created_at if last is None else naming.logical_to_time(last)
        ended = naming.logical(max(self.changed_at, after + timedelta(microseconds=1)), tail)
        begun = naming.logical(self.created_at, naming.tail_of(self.record))
        if last is not None:
            said = {field: value for field, value in said.items() if earlier.get(field, last) == last}
        gone = [
            field
            for field, at in earlier.items()
            if at == last and field not in said and field not in first and not _IS_ARTIFACT.match(field)
        ]
        patch = {"at": ended, "by": self.by, "record": self.record, "set": said}
        if gone:
            patch["unset"] = gone
        return [{"at": begun, "by": self.by, "record": self.record, "set": first}, patch]
