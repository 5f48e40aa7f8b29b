"""Artifact files: written through their handler once, never rewritten, and checked before they are read."""

import contextlib
import hashlib
import io
import logging
import shutil
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from lazytrack import naming
from lazytrack.artifacts.base import Artifact, StoredFile, text_or_bytes
from lazytrack.artifacts.entries import UnreadableArtifact
from lazytrack.errors import ArtifactLoadError, UnsafePathError
from lazytrack.files import Files, Sending
from lazytrack.progress import Progress

_BUFFER_BYTES = 2**20
ARTIFACTS = "artifacts"
"""The folder of all artifact files of a store."""
_LONGEST_PATH = 4096
_NEVER = -1.0
_log = logging.getLogger(__name__)


class Shelf:
    """The folder ``artifacts`` of a store.

    Equal content is not written twice: a file whose digest is known already is named again instead.

    Parameters
    ----------
    files
        The store's folder.
    learn
        Called with the size of what is being written, in bytes, before its digest is looked for: tell of more files
        by `know`.
    """

    def __init__(self, files: Files, *, learn: Callable[[int], None] | None = None) -> None:
        self._files = files
        self._learn = learn
        self._known: dict[str, StoredFile] = {}
        self._checked: dict[str, float | None] = {}
        """Files that hold what their records say, with the time the storage gave them then; None of those written."""

    def know(self, stored: StoredFile) -> None:
        """Take note that a record names this file; whether it is what the record says is found out when it matters."""
        self._known.setdefault(stored.sha256, stored)

    def write(self, artifact: Artifact, *, owner: str = "", sending: Sending | None = None) -> StoredFile:
        """Stream an artifact's value to a file of its own, below the folder `owner`, unless there is an equal one.

        Parameters
        ----------
        sending
            Sends what the handler has written, while this thread goes on: the file is there when `wait_for` says so.

        Raises
        ------
        UnsafePathError
            When its ``fname`` or `owner` would leave the store.
        Exception
            Whatever the handler raises; then no file is left.
        """
        path = _new_path(artifact, owner)
        with contextlib.ExitStack() as ending:
            upload = ending.enter_context(self._files.open_write(path))
            if sending is not None:
                upload.told = sending.progress.add_bytes
            try:
                with text_or_bytes(io.BufferedWriter(upload, _BUFFER_BYTES), binary=artifact.binary) as buf:
                    artifact.write(artifact.value, buf, **artifact.writer_kwargs)
                twin = self._twin(upload.sha256, upload.size, sending)
            except BaseException:
                upload.abort()
                raise
            if twin is not None:
                upload.abort()
                return twin
            stored = StoredFile(path=path, sha256=upload.sha256, size=upload.size)
            if sending is not None:
                sending.begun[path] = sending.submit(ending.pop_all().close, size=upload.size)
                sending.paths[stored.sha256] = path
                return stored
        self._is_there(stored)
        return stored

    def take(self, artifact: Artifact, source: "Shelf", *, told: Callable[[int], None] | None = None) -> StoredFile:
        """Copy an artifact's file from another store to a file of its own, its bytes checked on the way.

        Nothing is read from it but bytes: its handler is not asked.

        Raises
        ------
        ArtifactLoadError
            When it is gone there, or holds other bytes; then nothing is written.
        """
        there = artifact.stored
        if there is None:
            raise ArtifactLoadError(f"artifact {artifact.name!r} is not saved yet")
        _check_path(there.path, ARTIFACTS)
        if (twin := self._twin(there.sha256, there.size)) is not None:
            return twin
        stored = StoredFile(path=_new_path(artifact), sha256=there.sha256, size=there.size)
        self._copy(stored, source, there.path, told)
        self._is_there(stored)
        return stored

    def _copy(self, stored: StoredFile, source: "Shelf", path: str, told: Callable[[int], None] | None) -> None:
        with source.open(path, "an artifact") as raw, self._files.open_write(stored.path) as upload:
            upload.told = told
            shutil.copyfileobj(raw, upload, _BUFFER_BYTES)
            if upload.sha256 != stored.sha256:
                upload.abort()
                source.forget(path)
                raise ArtifactLoadError(_altered("an artifact", source.where(path), upload.sha256, stored.sha256))

    def wait_for(self, stored: StoredFile, sending: Sending) -> None:
        """Wait until a file that is being sent is there.

        Raises
        ------
        Exception
            Whatever sending it raised; then there is no file.
        """
        if (sent := sending.begun.get(stored.path)) is not None:
            sent.result()
            self._is_there(stored)

    def _is_there(self, stored: StoredFile) -> None:
        """Take note that this process has written a file."""
        self._known[stored.sha256] = stored
        self._checked[stored.path] = None

    def copy(
        self, stored: StoredFile, source: "Shelf", folder: str = ARTIFACTS, *, told: Callable[[int], None] | None = None
    ) -> None:
        """Copy a file from another store to the same place in this one, its bytes checked on the way.

        Parameters
        ----------
        folder
            Where it has to be: files of points are copied as those of artifacts are.
        told
            Called with the number of bytes whenever some have been copied.

        Raises
        ------
        ArtifactLoadError
            When it is gone there or holds other bytes, or the place is taken here; then nothing is written.
        UnsafePathError
            When the record points out of `folder`.
        """
        _check_path(stored.path, folder)
        if self.holds(stored, folder):
            return
        if self._exists(stored.path):  # it is somebody else's, whatever the record says
            raise ArtifactLoadError(f"{self.where(stored.path)} is there already, and holds something else")
        self._copy(stored, source, stored.path, told)

    def read(self, artifact: Artifact, **kwargs: Any) -> Any:
        """Return the object in an artifact's file, whose bytes are checked before the handler sees any of them.

        Raises
        ------
        ArtifactLoadError
            When the artifact was not saved yet, its file is gone, or holds other bytes.
        UnsafePathError
            When the record points out of the store.
        """
        if isinstance(artifact, UnreadableArtifact):
            raise ArtifactLoadError(f"artifact {artifact.name!r} cannot be read here: {artifact.reason}")
        with self._opened(artifact) as (raw, where):
            try:
                with text_or_bytes(raw, binary=artifact.binary) as buf:
                    return artifact.load(buf, **kwargs)
            except Exception as error:
                error.add_note(f"while the handler {artifact.alias!r} read artifact {artifact.name!r} from {where}")
                raise

    def text(self, artifact: Artifact) -> str:
        """Return the text in an artifact's file, whose bytes are checked first; no handler sees it.

        Raises
        ------
        ArtifactLoadError
            When its file is gone, holds other bytes, or no text.
        """
        try:
            with self._opened(artifact) as (raw, _):
                return raw.read().decode()
        except UnicodeDecodeError as error:
            raise ArtifactLoadError(f"the file of artifact {artifact.name!r} is no text in UTF-8: {error}") from error

    @contextlib.contextmanager
    def _opened(self, artifact: Artifact) -> Iterator[tuple[IO[bytes], str]]:
        """Open an artifact's file, whose bytes are those that were saved, and tell where it is.

        The same open file is checked and then read: one put in its place in between is not looked at.
        """
        stored, what = artifact.stored, f"artifact {artifact.name!r}"
        if stored is None:
            raise ArtifactLoadError(f"{what} is not saved yet: save the project first")
        _check_path(stored.path, ARTIFACTS)
        for is_last in (False, True):
            with Progress(f"loading {artifact.name}", size=stored.size) as progress:
                raw = self.open(stored.path, what, told=progress.add_bytes)
            with raw:
                if (found := _digest(raw)) == stored.sha256:
                    raw.seek(0)
                    yield raw, self.where(stored.path)
                    return
            # A copy that is kept nearer may be of a time when the file was damaged.
            if not self.forget(stored.path) or is_last:
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
            raise ArtifactLoadError(f"the file of {what} is gone: {self.where(path)}") from error

    def forget(self, path: str) -> bool:
        """Drop a copy of a file that is kept nearer, and tell whether there was one: it is not what it should be."""
        return self._files.forget(path)

    def where(self, path: str) -> str:
        """Return a file's whole path or URL."""
        return f"{self._files.url}/{path}"

    def _twin(self, sha256: str, size: int, sending: Sending | None = None) -> StoredFile | None:
        """Return a file that is there already and holds what has just been written."""
        if sending is not None and (path := sending.paths.get(sha256)) is not None:
            if sending.begun[path].exception() is None:
                return StoredFile(path=path, sha256=sha256, size=size)
            del sending.paths[sha256]
        if self._learn is not None:
            self._learn(size)
        known = self._known.get(sha256)
        if known is None:
            return None
        if self.holds(known):
            return StoredFile(path=known.path, sha256=sha256, size=size)
        del self._known[sha256]
        return None

    def _exists(self, path: str) -> bool:
        try:
            self._files.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def holds(self, stored: StoredFile, folder: str = ARTIFACTS) -> bool:
        """Tell whether a file is there with the bytes that its record says.

        One that this process did not write is read: its record may be wrong, and what is saved now must not be lost
        to that.
        """
        try:
            _check_path(stored.path, folder)
            found_there = self._files.stat(stored.path)
            if found_there.size != stored.size:
                return False
            if self._checked.get(stored.path, _NEVER) not in {None, found_there.modified}:
                with self._files.origin.open_read(stored.path) as raw:
                    found = _digest(raw)
                if found != stored.sha256:
                    return False
            self._checked[stored.path] = found_there.modified
        except (OSError, UnsafePathError) as error:
            _log.debug("%s is not used again: %s", self.where(stored.path), error)
            return False
        return True


def _new_path(artifact: Artifact, owner: str = "") -> str:
    """Return where a version of an artifact is to be, below the folder `owner`; nobody else uses that name.

    Raises
    ------
    UnsafePathError
        When that would leave the store.
    """
    folder = "/".join([ARTIFACTS, *([owner] if owner else []), naming.safe_part(artifact.name)])
    path = f"{folder}/{artifact.version}-{naming.unique()}/{naming.safe_path(artifact.fname)}"
    naming.check_inside(path)  # `owner` may be a record that a stranger named
    return path


def _check_path(path: str, folder: str) -> None:
    """Refuse a path that a record must not name: any but those of files in `folder`.

    Raises
    ------
    UnsafePathError
        When it is outside of it.
    """
    naming.check_inside(path)
    if not path.startswith(f"{folder}/") or len(path) > _LONGEST_PATH:
        raise UnsafePathError(f"path {path[:200]!r} is no artifact's: those are below {folder!r}")


def _digest(raw: IO[bytes]) -> str:
    return hashlib.file_digest(cast("io.BufferedReader", raw), "sha256").hexdigest()


def _altered(what: str, where: str, found: str, recorded: str) -> str:
    return f"the file of {what} is not the one that was saved: {where} has sha256 {found}, recorded is {recorded}"
