"""Files known by their digest: written once, never again where there is an equal one, and checked before use."""

import contextlib
import hashlib
import io
import logging
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import IO, TypeVar, cast

import attrs

from lazytrack import naming
from lazytrack.artifacts.base import UNKNOWN, StoredFile
from lazytrack.errors import ArtifactLoadError, LazytrackError, UnsafePathError
from lazytrack.files import Files, Sending, Upload
from lazytrack.journal.condemned import SAFE_SECONDS
from lazytrack.progress import Progress

ARTIFACTS = "artifacts"
"""The folder of all artifact files of a store."""
BUFFER_BYTES = 2**20
_SAFE_MICROS = SAFE_SECONDS * 10**6
_LONG_AGO = -_SAFE_MICROS
_LONGEST_PATH = 4096
_NEVER = -1.0
_VERSION = re.compile(r"\d+-[0-9a-z]{8}", re.ASCII)
"""What the folder of one version of an artifact is called."""
_log = logging.getLogger(__name__)
_Place = TypeVar("_Place")
_Found = TypeVar("_Found")


class Blobs:
    """Files below the folder of a store, each of which is named by records with its digest.

    Parameters
    ----------
    files
        The store's folder.
    learn
        Called with the size of what is being written, in bytes, before its digest is looked for: tell of more files
        by `know`.
    is_condemned
        Tells of a path whether it is about to be collected, so that nobody may name it again.
    """

    def __init__(
        self,
        files: Files,
        *,
        learn: Callable[[int], None] = lambda _: None,
        is_condemned: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._files = files
        self._learn = learn
        self._is_condemned = is_condemned
        self._known: dict[str, StoredFile] = {}
        self._checked: dict[str, float | None] = {}
        """Files that hold what their records say, with the time the storage gave them then; None of those written."""
        self._written: dict[str, int] = {}
        """Since when this process has been writing a file, or those it names, in microseconds since 1970."""

    def know(self, stored: StoredFile) -> None:
        """Take note that a record names this file; whether it is what the record says is found out when it matters."""
        self._known.setdefault(stored.sha256, stored)

    # --- writing ---

    def put(
        self, path: str, fill: Callable[[Upload], None], sending: Sending | None = None, *, anew: bool = False
    ) -> StoredFile:
        """Write a file by what `fill` does, unless there is an equal one.

        Parameters
        ----------
        sending
            Sends what was written, while this thread goes on.
        anew
            Whether it is written even where there is an equal one.
        """
        began = naming.micros()  # it is that old, for some storages, when the last of it is there
        with contextlib.ExitStack() as ending:
            upload = ending.enter_context(self._files.open_write(path))
            if sending is not None:
                upload.told = sending.progress.add_bytes
            try:
                fill(upload)
                twin = None if anew else self.twin(upload.sha256, upload.size, sending)
            except BaseException:
                upload.abort()
                raise
            if twin is not None:
                upload.abort()
                return twin
            stored = StoredFile(path=path, sha256=upload.sha256, size=upload.size)
            self._written[path] = began
            if sending is not None:
                sending.begun[path] = sending.submit(ending.pop_all().close, size=upload.size)
                sending.paths[stored.sha256] = path
                return stored
        self.is_there(stored)
        return stored

    def is_there(self, stored: StoredFile) -> None:
        """Take note that this process has written a file."""
        self._known[stored.sha256] = stored
        self._checked[stored.path] = None

    def twin(self, sha256: str, size: int, sending: Sending | None = None) -> StoredFile | None:
        """Return a file that is there already and holds what has just been written."""
        if sending is not None and (path := sending.paths.get(sha256)) is not None:
            if sending.begun[path].exception() is None:
                return StoredFile(path=path, sha256=sha256, size=size)
            del sending.paths[sha256]
        self._learn(size)
        known = self._known.get(sha256)
        if known is None:
            return None
        if not self._is_condemned(known.path) and self.holds(known):
            return StoredFile(path=known.path, sha256=sha256, size=size, reused=not self._is_recent(known.path))
        del self._known[sha256]
        return None

    def copy_to(
        self, stored: StoredFile, source: "Blobs", path: str, *, told: Callable[[int], None] | None = None
    ) -> None:
        """Write a file with the bytes that another store has at `path`, which are checked on the way.

        Raises
        ------
        ArtifactLoadError
            When it is gone there or holds other bytes; then nothing is written.
        """
        began = naming.micros()
        with source.open(path, "an artifact") as raw, self._files.open_write(stored.path) as upload:
            upload.told = told
            shutil.copyfileobj(raw, upload, BUFFER_BYTES)
            if upload.sha256 != stored.sha256:
                upload.abort()
                source.forget(path)
                raise ArtifactLoadError(_altered("an artifact", source.where(path), upload.sha256, stored.sha256))
        self._written[stored.path] = began

    # --- files that were here already ---

    def is_written(self, stored: StoredFile, since: int) -> None:
        """Take note that a process which this one has asked for it has written a file.

        Parameters
        ----------
        since
            When it was asked, in microseconds of this process's clock.
        """
        if not stored.reused:
            self._written[stored.path] = since

    def _is_recent(self, path: str) -> bool:
        return naming.micros() - self._written.get(path, _LONG_AGO) < _SAFE_MICROS

    def holds(self, stored: StoredFile, folder: str = ARTIFACTS) -> bool:
        """Tell whether a file is there with the bytes that its record says.

        One that this process did not write is read: its record may be wrong, and what is saved now must not be lost
        to that.
        """
        try:
            check_path(stored.path, folder)
            found_there = self._files.stat(stored.path)
            if stored.size not in {UNKNOWN, found_there.size}:
                return False
            is_known = self._checked.get(stored.path, _NEVER) in {None, found_there.modified}
            if not is_known and not self.has_bytes(stored, folder):
                return False
            self._checked[stored.path] = found_there.modified
        except (OSError, LazytrackError) as error:
            _log.debug("%s is not used again: %s", self.where(stored.path), error)
            return False
        return True

    def has_bytes(self, stored: StoredFile, folder: str = ARTIFACTS) -> bool:
        """Read a file and tell whether it holds what its record says.

        Raises
        ------
        OSError
            When it cannot be read.
        UnsafePathError
            When the record points out of `folder`.
        """
        check_path(stored.path, folder)
        with self._files.origin.open_read(stored.path) as raw:
            return digest(raw) == stored.sha256

    def is_lost(self, stored: StoredFile) -> bool:
        """Tell whether a file is gone, or is about to be collected.

        Raises
        ------
        OSError
            When the storage does not say.
        """
        return self._is_condemned(stored.path) or not (self._is_recent(stored.path) or self.exists(stored.path))

    def renew(self, stored: StoredFile, sources: Iterable["Blobs"] = ()) -> StoredFile:
        """Write a copy of a file under a name that nobody has in mind, from here or from where it came from.

        Parameters
        ----------
        sources
            Where else it can be.

        Raises
        ------
        ArtifactLoadError
            When it is gone everywhere.
        """
        fresh = attrs.evolve(stored, path=another_path(stored.path), reused=False)
        first_of([self, *sources], lambda place: self.copy_to(fresh, place, stored.path))
        self.is_there(fresh)
        return fresh

    def is_missing(self, path: str, size: int) -> bool:
        """Tell whether a file is gone, has another size, or is about to be collected; its bytes are not read.

        Raises
        ------
        OSError
            When the storage does not say.
        """
        if self._is_condemned(path):
            return True
        try:
            found = self._files.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return True
        return size not in {UNKNOWN, found.size}

    def exists(self, path: str) -> bool:
        """Tell whether there is a file of that name."""
        try:
            self._files.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    # --- reading ---

    def open_checked(self, stored: StoredFile, what: str) -> IO[bytes]:
        """Open a file whose bytes are those that were saved; `what` names its artifact in errors.

        The same open file is checked and then read: one put in its place in between is not looked at.

        Raises
        ------
        ArtifactLoadError
            When it is gone, or holds other bytes.
        UnsafePathError
            When the record points out of the store.
        """
        check_path(stored.path, stored.folder)
        for is_last in (False, True):
            with Progress("loading " + what.removeprefix("artifact ").strip("'"), size=stored.size) as progress:
                raw = self.open(stored.path, what, told=progress.add_bytes)
            with contextlib.ExitStack() as closing:
                closing.enter_context(raw)
                if (found := digest(raw)) == stored.sha256:
                    closing.pop_all()
                    raw.seek(0)
                    return raw
            # A copy that is kept nearer may be of a time when the file was damaged: it is fetched once more.
            if not self.forget(stored.path) or is_last:
                break
        raise ArtifactLoadError(_altered(what, self.where(stored.path), found, stored.sha256))

    def open(self, path: str, what: str, *, told: Callable[[int], None] | None = None) -> IO[bytes]:
        """Open a file for reading; `what` names its artifact in errors.

        Raises
        ------
        ArtifactLoadError
            When it is gone.
        """
        try:
            return self._files.open_read(path, told=told)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ArtifactLoadError(f"the file of {what} {self._files.absent}: {self.where(path)}") from error

    def forget(self, path: str) -> bool:
        """Drop a copy of a file that is kept nearer, and tell whether there was one: it is not what it should be."""
        return self._files.forget(path)

    def where(self, path: str) -> str:
        """Return a file's whole path or URL."""
        return f"{self._files.url}/{path}"


def first_of(places: Sequence[_Place], ask: Callable[[_Place], _Found]) -> _Found:
    """Return what the first of some places has, and raise what the last says where none has it."""
    for place in places[:-1]:
        with contextlib.suppress(ArtifactLoadError):
            return ask(place)
    return ask(places[-1])


def new_folder(name: str, version: int, owner: str = "") -> str:
    """Return where the files of a version of an artifact are to be, below the folder `owner`; nobody else uses it.

    Raises
    ------
    UnsafePathError
        When that would leave the store.
    """
    folder = "/".join([ARTIFACTS, *([owner] if owner else []), naming.safe_part(name), f"{version}-{naming.unique()}"])
    naming.check_inside(folder)  # `owner` may be a record that a stranger named
    return folder


def another_path(path: str) -> str:
    """Return a place beside the one that a file has, which nobody else uses."""
    folder, _, fname = path.rpartition("/")
    above, _, version = folder.rpartition("/")
    if _VERSION.fullmatch(version):
        return f"{above}/{version.partition('-')[0]}-{naming.unique()}/{fname}"
    return f"{folder}/{naming.unique()}-{fname}"  # of points, or one of the files of an artifact that is many


def check_path(path: str, folder: str) -> None:
    """Refuse a path that a record must not name: any but those of files in `folder`.

    Raises
    ------
    UnsafePathError
        When it is outside of it.
    """
    naming.check_inside(path)
    if not path.startswith(f"{folder}/") or len(path) > _LONGEST_PATH:
        raise UnsafePathError(f"path {path[:200]!r} is no artifact's: those are below {folder!r}")


def digest(raw: IO[bytes]) -> str:
    """Return the sha256 of what is left of an open file, in hexadecimal."""
    return hashlib.file_digest(cast("io.BufferedReader", raw), "sha256").hexdigest()


def _altered(what: str, where: str, found: str, recorded: str) -> str:
    return f"the file of {what} is not the one that was saved: {where} has sha256 {found}, recorded is {recorded}"
