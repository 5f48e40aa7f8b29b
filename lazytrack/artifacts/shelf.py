"""Artifact files: written through their handler once, never rewritten, and checked before they are read."""

import hashlib
import io
from datetime import datetime
from typing import IO, Any, ClassVar, cast

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts.base import Artifact, StoredFile, text_or_bytes
from lazytrack.artifacts.registry import get_handler
from lazytrack.errors import ArtifactLoadError
from lazytrack.files import Files

_BUFFER_BYTES = 2**20


class Shelf:
    """The folder ``artifacts`` of a store.

    Parameters
    ----------
    files
        The store's folder.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def write(self, artifact: Artifact, *, owner: str = "") -> StoredFile:
        """Stream an artifact's value to a file of its own, below the folder `owner`.

        Raises
        ------
        UnsafePathError
            When its ``fname`` or `owner` would leave the store.
        Exception
            Whatever the handler raises; then no file is left.
        """
        folder = "/".join(["artifacts", *([owner] if owner else []), naming.safe_part(artifact.name)])
        path = f"{folder}/{artifact.version}-{naming.unique()}/{naming.safe_path(artifact.fname)}"
        naming.check_inside(path)  # `owner` may be a record that a stranger named
        with self._files.open_write(path) as upload:
            try:
                with text_or_bytes(io.BufferedWriter(upload, _BUFFER_BYTES), binary=artifact.binary) as buf:
                    artifact.write(artifact.value, buf, **artifact.writer_kwargs)
            except BaseException:
                upload.abort()
                raise
        return StoredFile(path=path, sha256=upload.sha256, size=upload.size)

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
        stored = artifact.stored
        if stored is None:
            raise ArtifactLoadError(f"artifact {artifact.name!r} is not saved yet: save the project first")
        naming.check_inside(stored.path)
        where = f"{self._files.url}/{stored.path}"
        try:
            raw = self._files.open_read(stored.path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ArtifactLoadError(f"the file of artifact {artifact.name!r} is gone: {where}") from error
        with raw:
            # The same open file is checked and then read: one put in its place in between is not looked at.
            found = hashlib.file_digest(cast("io.BufferedReader", raw), "sha256").hexdigest()
            if found != stored.sha256:
                raise ArtifactLoadError(
                    f"the file of artifact {artifact.name!r} is not the one that was saved: {where} "
                    f"has sha256 {found}, recorded is {stored.sha256}"
                )
            raw.seek(0)
            with text_or_bytes(raw, binary=artifact.binary) as buf:
                return artifact.read(buf, **kwargs)


# --- entries: what a record says of an artifact ---


@attrs.frozen(kw_only=True)
class _Entry:
    """What a record keeps of an artifact, besides its name: the handler's fields and the file's."""

    handler: str
    fname: str
    version: int
    created_at: datetime
    expiry: datetime | None = None
    environment: dict[str, Any] = attrs.Factory(dict)
    path: str
    sha256: str
    size: int


def to_entry(artifact: Artifact, stored: StoredFile) -> dict[str, Any]:
    """Return what a record keeps of an artifact whose file is `stored`, as strict JSON."""
    entry = _Entry(
        handler=artifact.alias,
        fname=artifact.fname,
        version=artifact.version,
        created_at=artifact.created_at,
        expiry=artifact.expiry,
        environment=codec.converter.unstructure(artifact.environment()),
        path=stored.path,
        sha256=stored.sha256,
        size=stored.size,
    )
    return {key: value for key, value in codec.converter.unstructure(entry).items() if value not in (None, {})}


def from_entry(name: str, entry: Any) -> Artifact:
    """Return the handler a record's entry describes, without its value.

    Where its handler is not installed, or the entry makes no sense, that is an `UnreadableArtifact`: it does not
    hide the artifacts beside it.
    """
    try:
        return _from_entry(name, codec.converter.structure(entry, _Entry))
    except Exception as error:  # noqa: BLE001  (a plug-in may raise anything)
        known = entry if isinstance(entry, dict) else {}
        return UnreadableArtifact(
            name=name,
            fname=str(known.get("fname", "")),
            version=version if isinstance(version := known.get("version"), int) else 0,
            dirty=False,
            alias=str(known.get("handler", "")),
            reason=f"{type(error).__name__}: {error}",
        )


def _from_entry(name: str, entry: _Entry) -> Artifact:
    handler = get_handler(entry.handler)
    types = handler.environment_fields()
    artifact = handler.construct(
        name=name,
        fname=entry.fname,
        created_at=entry.created_at,
        expiry=entry.expiry,
        version=entry.version,
        dirty=False,
        **{k: codec.converter.structure(v, types[k]) for k, v in entry.environment.items() if k in types},
    )
    artifact.stored = StoredFile(path=entry.path, sha256=entry.sha256, size=entry.size)
    return artifact


@attrs.define(kw_only=True)
class UnreadableArtifact(Artifact):
    """Stands for an artifact that cannot be read here; reading it says why.

    Parameters
    ----------
    alias
        Of the handler it was written with.
    reason
        Why it cannot be read.
    """

    suffix: ClassVar[str] = ""
    binary: ClassVar[bool] = True

    alias: str = attrs.field()  # type: ignore[misc]  # of every other handler this is the class's
    reason: str = attrs.field(repr=True)

    @classmethod
    def environment_fields(cls) -> dict[str, Any]:
        """Return nothing: which environment it was written in is not known."""
        return {}

    @classmethod
    def read(cls, buf: IO[Any], **kwargs: Any) -> Any:
        """Refuse: there is nothing to read it with."""
        raise NotImplementedError

    @classmethod
    def write(cls, obj: Any, buf: IO[Any], **kwargs: Any) -> None:
        """Refuse: there is nothing to write it with."""
        raise NotImplementedError


def check_environment(artifact: Artifact) -> None:
    """Refuse an artifact that was written in another environment than this one.

    Raises
    ------
    ArtifactLoadError
        Which shows what was recorded and what is here.
    """
    if isinstance(artifact, UnreadableArtifact):
        return
    present = type(artifact).construct(name=artifact.name)
    if artifact != present:
        here = present.environment()
        differences = ", ".join(
            f"{field} was {value!r} and is {here[field]!r} here"
            for field, value in artifact.environment().items()
            if value != here[field]
        )
        raise ArtifactLoadError(
            f"artifact {artifact.name!r} was written in another environment: {differences}; "
            "load_artifact(..., validate=False) tries all the same"
        )
