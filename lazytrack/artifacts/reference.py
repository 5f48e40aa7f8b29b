"""References: artifacts that say where data is and what tells it from other data, without a copy of it."""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterable
from typing import IO, Any, BinaryIO, ClassVar, Self, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

from lazytrack import codec
from lazytrack.artifacts.base import Artifact
from lazytrack.errors import ArtifactLoadError
from lazytrack.files import Files, Stat, open_files, protocol, split

_FORMAT, _KIND = "lazytrack/1", "reference"
_LOCAL = {"file", "local"}
_WEB = {"http", "https"}
_SIGNED = {
    "access_key",
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "auth_token",
    "authorization",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "jwt",
    "passwd",
    "password",
    "private_token",
    "pwd",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
}
"""What a query holds that lets whoever has the URL in."""


@attrs.frozen(kw_only=True)
class ReferencedFile:
    """One file that a reference leads to.

    Parameters
    ----------
    name
        Its path below the reference's URL; empty where that is the file itself.
    size
        In bytes; None where the storage does not say.
    sha256
        Of its content, in hexadecimal, where it was read.
    etag
        What the storage calls its content, where it does.
    modified
        When it was changed last, in seconds since 1970 on the storage's clock, where nothing else tells.
    """

    name: str = ""
    size: int | None = None
    sha256: str | None = None
    etag: str | None = None
    modified: float | None = None


@attrs.frozen
class Reference:
    """Data that is elsewhere. Nothing is read from there unless `changes` or `open` are asked to.

    ``Reference.to("s3://bucket/train.parquet")`` makes one of what is there now.

    Parameters
    ----------
    url
        Where it is: a file or a folder.
    files
        What is there.

    Raises
    ------
    ValueError
        When the URL holds a password, a token or a signature.
    """

    url: str = attrs.field(validator=lambda _self, _field, url: _check_lets_nobody_in(url))
    files: tuple[ReferencedFile, ...]

    @classmethod
    def to(cls, url: str | os.PathLike[str], *, checksum: bool | None = None, **storage_options: Any) -> Self:
        """Return a reference to what is at a path or URL now.

        Parameters
        ----------
        checksum
            Whether everything is read for its sha256. By default only where the storage has no name of its own for
            a content, an etag, and a local file has none. Without either, size and time have to do.
        storage_options
            What the filesystem takes. Credentials belong here: they are not kept, and what is in the URL is.

        Raises
        ------
        FileNotFoundError
            When there is nothing.
        ValueError
            When the URL holds a password, a token or a signature.
        """
        place = _place(url)
        if inside := _files_in(place, storage_options):
            folder = open_files(place, **storage_options)
            return cls(place, tuple(_described(folder, path, stat, path, checksum) for path, stat in inside))
        files, name = _opened(place, storage_options)
        try:
            return cls(place, (_described(files, "", files.stat(name), name, checksum),))
        except (FileNotFoundError, IsADirectoryError):
            raise FileNotFoundError(f"there is nothing at {place} to refer to") from None

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None where that is not known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(cast("list[int]", sizes))

    @property
    def names(self) -> list[str]:
        """The paths of the files below the URL; one empty name where that is the file itself."""
        return [file.name for file in self.files]

    def changes(self, **storage_options: Any) -> list[str]:
        """Look at what is there now, and return what is not as it was, a line for each file; none where all is.

        Raises
        ------
        OSError
            When the storage cannot be reached.
        """
        found: tuple[ReferencedFile, ...] = ()
        checksum = any(file.sha256 is not None for file in self.files)
        with contextlib.suppress(FileNotFoundError):
            found = Reference.to(self.url, checksum=checksum, **storage_options).files
        now = {file.name: file for file in found}
        pairs = [(file, now.get(file.name)) for file in self.files]
        differences = [line for file, its in pairs for line in _differences(self._where(file), file, its)]
        known = set(self.names)
        return [*differences, *(f"{self._where(file)} is new" for file in now.values() if file.name not in known)]

    def open(self, name: str = "", **storage_options: Any) -> BinaryIO:
        """Open one of the files for reading, when it is still what it was.

        Parameters
        ----------
        name
            Which one; see `names`.
        storage_options
            What the filesystem takes.

        Raises
        ------
        KeyError
            When the reference has no such file.
        ArtifactLoadError
            When it is gone, or not what it was.
        """
        file = next((file for file in self.files if file.name == name), None)
        if file is None:
            known = ", ".join(map(repr, self.names))
            raise KeyError(f"no file {name!r} in the reference to {self.url}; known: {known}")
        if name:
            files, path = open_files(self.url, **storage_options), name
        else:
            files, path = _opened(self.url, storage_options)
        try:
            now = _described(files, path, files.stat(path), path, checksum=False)
            raw = files.open_read(path)
        except FileNotFoundError:
            raise ArtifactLoadError(f"{self._where(file)} is gone") from None
        if file.sha256 is not None:
            now = attrs.evolve(now, sha256=hashlib.file_digest(raw, "sha256").hexdigest())  # type: ignore[arg-type]
            raw.seek(0)
        if differences := _differences(self._where(file), file, now):
            raw.close()
            raise ArtifactLoadError("; ".join(differences))
        return raw

    def _where(self, file: ReferencedFile) -> str:
        return f"{self.url.rstrip('/')}/{file.name}" if file.name else self.url


@attrs.define
class ReferenceArtifact(Artifact):
    """Where data is, and what tells it from other data, without a copy; logged by its path or URL.

    Loading it gives a `Reference`.
    """

    alias: ClassVar[str] = "reference"
    suffix: ClassVar[str] = "json"
    binary: ClassVar[bool] = False
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("lazytrack.Reference",)

    @classmethod
    def construct(cls, name: str, value: Any = None, *args: Any, **kwargs: Any) -> Self:
        """Make a handler; what is there is looked at now.

        Raises
        ------
        FileNotFoundError, ValueError
            As `Reference.to` does.
        TypeError
            When `value` is no path, URL or reference.
        """
        if isinstance(value, str | os.PathLike):
            options = kwargs.pop("writer_kwargs", None) or {}
            value = Reference.to(value, **options)
        elif value is not None and not isinstance(value, Reference):
            raise cls.unsuitable(value, "a path, a URL or a Reference")
        return super().construct(name, value, *args, **kwargs)

    @classmethod
    def read(cls, buf: IO[str], **kwargs: Any) -> Reference:  # noqa: ARG003  (there is nothing to choose)
        """Return the reference; where it leads to is not looked at."""
        document = codec.loads(buf.read().encode())
        if not isinstance(document, dict) or (document.get("format"), document.get("kind")) != (_FORMAT, _KIND):
            raise ValueError("it is no reference")
        files = codec.converter.structure(document["files"], tuple[ReferencedFile, ...])
        return Reference(codec.text(document["url"], "the URL"), files)

    @classmethod
    def write(cls, obj: Any, buf: IO[str], **kwargs: Any) -> None:  # noqa: ARG003
        """Write the reference.

        Raises
        ------
        TypeError
            When it is none.
        """
        if not isinstance(obj, Reference):
            raise cls.unsuitable(obj, "a path, a URL or a Reference")
        files = [
            {key: value for key, value in attrs.asdict(file).items() if value is not None and value != ""}
            for file in obj.files
        ]
        buf.write(codec.dumps({"format": _FORMAT, "kind": _KIND, "url": obj.url, "files": files}).decode())


def _place(url: str | os.PathLike[str]) -> str:
    """Return a path or URL as it is kept: whole, and without what lets others in."""
    place = os.fspath(url)
    if protocol(place) in _LOCAL:
        folder, name = split(place)
        return f"file://{os.path.join(folder, name)}"  # noqa: PTH118  (paths are strings, as in URLs)
    _check_lets_nobody_in(place)
    return place


def _check_lets_nobody_in(url: str) -> None:
    """Refuse a URL that holds what lets others in; a path on this machine holds nothing of the kind."""
    if protocol(url) in _LOCAL:
        return
    parts = urlsplit(url)
    # Elsewhere the user is a name, such as that of a container; on the web a token may stand there alone.
    if parts.password is not None or (parts.username is not None and protocol(url) in _WEB):
        raise ValueError(f"a URL with a password is kept nowhere: give what {parts.hostname} needs as options")
    if _SIGNED.intersection(key.lower() for part in (parts.query, parts.fragment) for key, _ in parse_qsl(part)):
        bare = url.partition("?")[0].partition("#")[0]
        raise ValueError(
            f"a signed URL is kept nowhere, as it lets in who has it: refer to {bare!r}, and give credentials as "
            "options"
        )


def _opened(place: str, storage_options: dict[str, Any]) -> tuple[Files, str]:
    folder, name = split(place)
    return open_files(folder, **storage_options), name


def _files_in(place: str, storage_options: dict[str, Any]) -> list[tuple[str, Stat]]:
    """Return the files in a folder; none where it is no folder, or has none."""
    if protocol(place) in _WEB and not place.endswith("/"):
        return []  # there every page looks like a folder of what it links to
    try:
        return sorted(open_files(place, **storage_options).walk())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _described(files: Files, name: str, stat: Stat, path: str, checksum: bool | None) -> ReferencedFile:
    """Return what is to be kept of a file."""
    sha256 = None
    if checksum or (checksum is None and stat.etag is None):
        with files.open_read(path) as raw:
            sha256 = hashlib.file_digest(cast("io.BufferedReader", raw), "sha256").hexdigest()
    is_told = sha256 is not None or stat.etag is not None
    return ReferencedFile(
        name=name, size=stat.size, sha256=sha256, etag=stat.etag, modified=None if is_told else stat.modified
    )


def _differences(where: str, was: ReferencedFile, now: ReferencedFile | None) -> Iterable[str]:
    if now is None:
        return [f"{where} is gone"]
    if was.sha256 is not None and now.sha256 is not None:
        return [] if was.sha256 == now.sha256 else [f"{where} had sha256 {was.sha256} and has {now.sha256}"]
    told = [
        f"{where} had {what} {before} and has {after}"
        for what, before, after in (
            ("size", was.size, now.size),
            ("etag", was.etag, now.etag),
            ("modified", was.modified, now.modified if now.modified is not None else was.modified),
        )
        if before is not None and before != after
    ]
    return told[:1]
