"""Entries: what a record says of an artifact, and the handler that it describes."""

from datetime import datetime
from typing import IO, Any, ClassVar

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts.base import Artifact, Parts, StoredFile
from lazytrack.artifacts.registry import get_handler
from lazytrack.errors import ArtifactLoadError


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
    signature: str | None = None
    parts: Parts | None = None


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
        signature=stored.signature,
        parts=stored.parts,
    )
    return _plain(entry)


def entry_of(handler: str, stored: StoredFile, *, fname: str, created_at: datetime, **said: Any) -> dict[str, Any]:
    """Return what a record keeps of an artifact that no handler has written here, as strict JSON.

    Parameters
    ----------
    handler
        The alias of what can read it, installed here or not.
    said
        ``version``, ``expiry`` and ``environment``, where they are known.
    """
    entry = _Entry(
        handler=handler,
        fname=fname,
        created_at=created_at,
        path=stored.path,
        sha256=stored.sha256,
        size=stored.size,
        parts=stored.parts,
        **({"version": 0} | said),
    )
    return _plain(entry)


def _plain(entry: _Entry) -> dict[str, Any]:
    return {key: value for key, value in codec.converter.unstructure(entry).items() if value not in (None, {})}


def from_entry(name: str, entry: Any, *, record: str = "", field: str = "") -> Artifact:
    """Return the handler a record's entry describes, without its value.

    Where its handler is not installed, or the entry makes no sense, that is an `UnreadableArtifact`: it does not
    hide the artifacts beside it.

    Parameters
    ----------
    record, field
        Where the entry was found.
    """
    try:
        known = codec.converter.structure(entry, _Entry)
        artifact = _construct(name, known)
    except Exception as error:  # noqa: BLE001  (a plug-in may raise anything)
        return _unreadable(name, entry, error)
    artifact.stored = _stored(known, record, field)
    return artifact


def stored_in(entry: Any, *, record: str = "", field: str = "") -> StoredFile | None:
    """Return the file that a record's entry names; None where the entry makes no sense."""
    try:
        return _stored(codec.converter.structure(entry, _Entry), record, field)
    except Exception:  # noqa: BLE001  (a stranger may have written anything)
        return None


def _construct(name: str, entry: _Entry) -> Artifact:
    handler = get_handler(entry.handler)
    types = handler.environment_fields()
    return handler.construct(
        name=name,
        fname=entry.fname,
        created_at=entry.created_at,
        expiry=entry.expiry,
        version=entry.version,
        dirty=False,
        **{k: codec.converter.structure(v, types[k]) for k, v in entry.environment.items() if k in types},
    )


def _stored(entry: _Entry, record: str, field: str) -> StoredFile:
    return StoredFile(
        path=entry.path,
        sha256=entry.sha256,
        size=entry.size,
        record=record,
        field=field,
        signature=entry.signature,
        parts=entry.parts,
    )


def _unreadable(name: str, entry: Any, error: Exception) -> "UnreadableArtifact":
    known = entry if isinstance(entry, dict) else {}
    return UnreadableArtifact(
        name=name,
        fname=str(known.get("fname", "")),
        version=version if isinstance(version := known.get("version"), int) else 0,
        dirty=False,
        alias=str(known.get("handler", "")),
        reason=f"{type(error).__name__}: {error}",
    )


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


def to_dict(artifact: Artifact) -> dict[str, Any]:
    """Return what there is to say of an artifact, as plain JSON values."""
    return {
        "name": artifact.name,
        "handler": artifact.alias,
        "fname": artifact.fname,
        "version": artifact.version,
        "created_at": naming.iso(artifact.created_at),
        "expiry": None if artifact.expiry is None else naming.iso(artifact.expiry),
        **artifact.environment(),
    }


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
