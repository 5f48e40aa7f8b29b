"""Artifact files: written through their handler, and read back by it once their bytes are checked."""

import contextlib
import functools
import io
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, BinaryIO, cast

import attrs

from lazytrack import naming
from lazytrack.artifacts import manifest
from lazytrack.artifacts.base import Artifact, Part, StoredFile, text_or_bytes
from lazytrack.artifacts.blobs import ARTIFACTS, BUFFER_BYTES, Blobs, another_path, check_path, first_of, new_folder
from lazytrack.artifacts.entries import UnreadableArtifact
from lazytrack.artifacts.manifest import Named
from lazytrack.errors import ArtifactLoadError, LazytrackError, UnsafePathError
from lazytrack.files import Sending, Upload, fetched_once

_LARGE_BYTES = 1_000_000
_LARGEST = 2**62
_MANIFESTS = 32
"""Of so many earlier versions the files are looked up, when an artifact of many files is written."""
_log = logging.getLogger(__name__)


class Shelf(Blobs):
    """The folder ``artifacts`` of a store.

    An artifact is a file, or a manifest with the files that it names. Equal content is not written twice: a file
    whose digest is known already is named again instead.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._manifests: dict[str, StoredFile] = {}
        """Those whose files are not known yet, by path."""
        self._large: set[str] = set()
        """Parts of the paths of large files, by which equal ones are looked for."""

    def know(self, stored: StoredFile) -> None:
        """Take note that a record names this file; whether it is what the record says is found out when it matters."""
        super().know(stored)
        self._note_if_large(stored)
        if stored.parts is not None:
            self._manifests[stored.path] = stored

    def is_there(self, stored: StoredFile) -> None:
        """Take note that this process has written a file."""
        super().is_there(stored)
        self._note_if_large(stored)

    def _note_if_large(self, stored: StoredFile) -> None:
        if stored.size >= _LARGE_BYTES:
            self._large.update(stored.path.split("/")[1:3])  # the artifact's name, and perhaps its owner's

    # --- writing ---

    def write(
        self,
        artifact: Artifact,
        *,
        owner: str = "",
        folder: str | None = None,
        sending: Sending | None = None,
        anew: bool = False,
    ) -> StoredFile:
        """Stream an artifact's value to a file of its own, below the folder `owner`, unless there is an equal one.

        Parameters
        ----------
        folder
            A folder that `new_folder` has named, for files of which each has an ``fname`` of its own; by default one is
            made for this artifact alone. An artifact that is many files has one of its own, beside that.
        sending
            Sends what the handler has written, while this thread goes on: the file is there when `wait_for` says so.
        anew
            Whether it is written even where there is an equal one.

        Raises
        ------
        UnsafePathError
            When its ``fname`` or `owner` would leave the store.
        Exception
            Whatever the handler raises; then no file is left, but perhaps some that a manifest was to name.
        """
        if folder is None or artifact.has_parts:
            name = artifact.name if folder is None else folder.split("/")[-2]
            folder = new_folder(name, artifact.version, owner)
        path = f"{folder}/{naming.safe_path(artifact.fname)}"
        if artifact.has_parts:
            return self._write_parts(artifact, folder, path, sending, anew=anew)

        def fill(upload: Upload) -> None:
            with text_or_bytes(io.BufferedWriter(upload, BUFFER_BYTES), binary=artifact.binary) as buf:
                artifact.write(artifact.value, buf, **artifact.writer_kwargs)

        return self._put_unless_there(path, fill, sending, anew=anew, may_repeat=artifact.is_repeatable)

    def _put_unless_there(
        self, path: str, fill: Callable[[Upload], None], sending: Sending | None, *, anew: bool, may_repeat: bool
    ) -> StoredFile:
        """Write a file by what `fill` does; hash it first where sending it in vain would cost more."""
        if may_repeat and not anew and self._may_be_there(path.split("/")):
            probe = Upload(cast("BinaryIO", _Nowhere()))
            fill(probe)
            if (twin := self.twin(probe.sha256, probe.size, sending)) is not None:
                return twin
        return self.put(path, fill, sending, anew=anew)

    def _may_be_there(self, parts: list[str]) -> bool:
        """Tell whether a large file of an artifact of that name is known, and this store is elsewhere."""
        if not self._files.origin.is_elsewhere:
            return False
        self._learn(0)  # of what was read already
        return any(name in self._large for name in parts)

    def _write_parts(
        self, artifact: Artifact, folder: str, path: str, sending: Sending | None, *, anew: bool
    ) -> StoredFile:
        """Write the files of an artifact that is many, and the manifest that names them."""
        self._learn_parts(folder.split("/")[-2])
        parts: list[Named] = []
        taken = set()
        for name, opener in artifact.parts():
            place = f"{folder}/files/{naming.safe_path(name)}"
            if place.casefold() in taken:  # which some filesystems do not tell apart
                place = another_path(place)
            taken.add(place.casefold())
            with opener() as source:

                def fill(upload: Upload, source: IO[bytes] = source) -> None:
                    source.seek(0)
                    shutil.copyfileobj(source, upload, BUFFER_BYTES)

                parts.append((name, self._put_unless_there(place, fill, sending, anew=anew, may_repeat=True)))
        stored = self.put(path, _writes(manifest.dump(parts)), sending, anew=anew)
        self._are_as_old(stored, [file for _, file in parts])
        if sending is not None:
            sending.together[stored.path] = [file for _, file in parts]
        reused = stored.reused or any(file.reused for _, file in parts)
        return attrs.evolve(stored, parts=manifest.summary(parts), reused=reused)

    def _are_as_old(self, stored: StoredFile, parts: Iterable[StoredFile]) -> None:
        """Take note that the files a manifest names may have been there for longer than it has."""
        if stored.path in self._written:
            self._written[stored.path] = min(self._written.get(file.path, 0) for file in [stored, *parts])

    def _learn_parts(self, part: str) -> None:
        """Take note of the files of earlier versions of artifacts that are many, in folders of this name."""
        self._learn(_LARGEST)
        for path in [path for path in self._manifests if path.split("/")[-3:-2] == [part]][-_MANIFESTS:]:
            stored = self._manifests.pop(path)
            try:
                for file in self.parts_of(stored):
                    self.know(file)
            except (OSError, LazytrackError) as error:
                _log.debug("the files of %s are not used again: %s", self.where(path), error)

    def wait_for(self, stored: StoredFile, sending: Sending) -> None:
        """Wait until a file that is being sent is there, with those that it names.

        Raises
        ------
        Exception
            Whatever sending it raised; then there is no file.
        """
        for file in [*sending.together.get(stored.path, ()), stored]:
            if (sent := sending.begun.get(file.path)) is not None:
                sent.result()
                self.is_there(file)

    # --- copying ---

    @contextlib.contextmanager
    def at_hand(self) -> Iterator["Shelf"]:
        """Give a shelf with the same files, none of which comes over twice, however often the block reads them."""
        with fetched_once(self._files, (ARTIFACTS,)) as files:
            yield self if files is self._files else Shelf(files)

    def check(self, artifact: Artifact, source: "Shelf") -> None:
        """Make sure that what `take` is going to copy is what was saved there; nothing is written.

        Raises
        ------
        ArtifactLoadError
            When a file is gone there, or holds other bytes.
        UnsafePathError
            When the record points out of that store.
        OSError
            When it cannot be read.
        """
        there, what = _saved(artifact)
        check_path(there.path, ARTIFACTS)
        for part in source.parts_of(there):
            if not super().holds(part):
                source.open_checked(part, what).close()
        if there.parts is None and self.twin(there.sha256, there.size) is None:
            source.open_checked(there, what).close()

    def take(
        self, artifact: Artifact, source: "Shelf", *, told: Callable[[int], None] | None = None, anew: bool = False
    ) -> StoredFile:
        """Copy an artifact's file from another store to a file of its own, its bytes checked on the way.

        Nothing is read from it but bytes: its handler is not asked. Files that it names come to the same places here.

        Raises
        ------
        ArtifactLoadError
            When it is gone there, or holds other bytes; then nothing is written.
        """
        there, _ = _saved(artifact)
        check_path(there.path, ARTIFACTS)
        began = naming.micros()
        reused = self._copy_parts(there, source, told)
        if not anew and (twin := self.twin(there.sha256, there.size)) is not None:
            return attrs.evolve(twin, parts=there.parts, reused=twin.reused or reused)
        path = f"{new_folder(artifact.name, artifact.version)}/{naming.safe_path(artifact.fname)}"
        stored = StoredFile(path=path, sha256=there.sha256, size=there.size, parts=there.parts, reused=reused)
        self.copy_to(stored, source, there.path, told=told)
        self._written[path] = began  # what it names is as old
        self.is_there(stored)
        return stored

    def copy(
        self, stored: StoredFile, source: "Shelf", folder: str = ARTIFACTS, *, told: Callable[[int], None] | None = None
    ) -> None:
        """Copy a file from another store to the same place in this one, its bytes checked on the way.

        Somebody may have had that place in mind before: see `lazytrack.artifacts.reuse`.

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
        check_path(stored.path, folder)
        began = naming.micros()
        self._copy_parts(stored, source, told)
        if super().holds(stored, folder):
            return
        if self.exists(stored.path):  # it is somebody else's, whatever the record says
            raise ArtifactLoadError(f"{self.where(stored.path)} is there already, and holds something else")
        self.copy_to(stored, source, stored.path, told=told)
        self._written[stored.path] = began  # what it names is as old

    def _copy_parts(self, stored: StoredFile, source: "Shelf", told: Callable[[int], None] | None) -> bool:
        """Copy the files that a manifest of another store names to the same places here; tell whether there are any."""
        parts = source.parts_of(stored)
        for part in parts:
            self.copy(part, source, told=told)
        return bool(parts)

    # --- files that were here already ---

    def holds(self, stored: StoredFile, folder: str = ARTIFACTS) -> bool:
        """Tell whether a file is there with the bytes that its record says, and so are those that it names."""
        try:
            return super().holds(stored, folder) and all(map(self.holds, self.parts_of(stored)))
        except (OSError, LazytrackError) as error:
            _log.debug("%s is not used again: %s", self.where(stored.path), error)
            return False

    def is_recent(self, stored: StoredFile) -> bool:
        """Tell whether this process has just written a file, and all that it names."""
        return not stored.reused and self._is_recent(stored.path)

    def is_lost(self, stored: StoredFile) -> bool:
        """Tell whether a file, or one that it names, is gone, or is about to be collected.

        Raises
        ------
        OSError
            When the storage does not say.
        """
        try:
            return any(map(super().is_lost, [stored, *self.parts_of(stored)]))
        except ArtifactLoadError:
            return True

    def missing(self, stored: StoredFile) -> str | None:
        """Return the path of a file, or of the first that it names, that is not there; None where all are.

        Raises
        ------
        ArtifactLoadError
            When it should name others, and does not.
        UnsafePathError
            When the record points out of the store.
        OSError
            When the storage does not say.
        """
        check_path(stored.path, ARTIFACTS)
        if not self._is_there(stored):
            return stored.path
        return next((file.path for file in self.parts_of(stored) if not self._is_there(file)), None)

    def _is_there(self, stored: StoredFile) -> bool:
        return self._is_recent(stored.path) or self.exists(stored.path)

    def renew(self, stored: StoredFile, sources: Iterable[Blobs] = ()) -> StoredFile:
        """Write a copy of a file under a name that nobody has in mind, from here or from where it came from.

        Of the files that it names those are copied that are lost.

        Raises
        ------
        ArtifactLoadError
            When it is gone everywhere.
        """
        if stored.parts is None:
            return super().renew(stored, sources)
        places = [self, *(source for source in sources if isinstance(source, Shelf))]
        parts = first_of(places, lambda place: place._parts(stored, "an artifact"))  # noqa: SLF001  (of its kind)
        fresh = [(name, self.renew(file, sources) if self.is_lost(file) else file) for name, file in parts]
        copy = self.put(another_path(stored.path), _writes(manifest.dump(fresh)), anew=True)
        return attrs.evolve(stored, path=copy.path, sha256=copy.sha256, size=copy.size, reused=False)

    # --- reading ---

    def parts_of(self, stored: StoredFile) -> list[StoredFile]:
        """Return the further files that a manifest names; none where a file is all there is.

        Raises
        ------
        ArtifactLoadError
            When the manifest is gone, altered, or none.
        UnsafePathError
            When it names files outside of the store.
        OSError
            When it cannot be read.
        """
        return [] if stored.parts is None else [file for _, file in self._parts(stored, "an artifact")]

    def _parts(self, stored: StoredFile, what: str) -> list[Named]:
        with self.open_checked(stored, what) as raw:
            content = raw.read()
        try:
            return manifest.parse(content)
        except UnsafePathError:
            raise
        except ValueError as error:
            raise ArtifactLoadError(f"the file of {what} should name others: {self.where(stored.path)}, {error}") from (
                error
            )

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
        stored, what = _saved(artifact)
        if artifact.has_parts:
            parts = [
                Part(name=name, size=file.size, open=functools.partial(self.open_checked, file, what))
                for name, file in self._parts(stored, what)
            ]
            return self._noting(artifact, stored, lambda: artifact.load_parts(parts, **kwargs))
        with self.open_checked(stored, what) as raw:

            def load() -> Any:
                with text_or_bytes(raw, binary=artifact.binary) as buf:
                    return artifact.load(buf, **kwargs)

            return self._noting(artifact, stored, load)

    def _noting(self, artifact: Artifact, stored: StoredFile, load: Callable[[], Any]) -> Any:
        """Add to what a handler raises what it was doing."""
        try:
            return load()
        except Exception as error:
            where = self.where(stored.path)
            error.add_note(f"while the handler {artifact.alias!r} read artifact {artifact.name!r} from {where}")
            raise

    def text(self, artifact: Artifact) -> str:
        """Return the text in an artifact's file, whose bytes are checked first; no handler sees it.

        Of an artifact that is many files that is a line for each of them: digest, size and name.

        Raises
        ------
        ArtifactLoadError
            When its file is gone, holds other bytes, or no text.
        """
        stored, what = _saved(artifact)
        if stored.parts is not None:
            return "".join(f"{file.sha256} {file.size} {name}\n" for name, file in self._parts(stored, what))
        try:
            with self.open_checked(stored, what) as raw:
                return raw.read().decode()
        except UnicodeDecodeError as error:
            raise ArtifactLoadError(f"the file of {what} is no text in UTF-8: {error}") from error


class _Nowhere:
    """Takes what is written, and forgets it."""

    def write(self, data: memoryview) -> int:
        return len(data)


def _saved(artifact: Artifact) -> tuple[StoredFile, str]:
    """Return an artifact's file, and what an error calls the artifact."""
    what = f"artifact {artifact.name!r}"
    if artifact.stored is None:
        raise ArtifactLoadError(f"{what} is not saved yet: save the project first")
    return artifact.stored, what


def _writes(content: bytes) -> Callable[[Upload], None]:
    def fill(upload: Upload) -> None:
        upload.write(content)

    return fill
