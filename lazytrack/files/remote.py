"""Files in an object store, or wherever else fsspec reaches: whole objects, in as few requests as they take."""

import contextlib
import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import fsspec
from fsspec import asyn
from fsspec.config import conf

from lazytrack.files import options
from lazytrack.files.base import Files, Stat, Upload, spooled

_TOGETHER = 64
"""So many files are read or removed at once."""
_PART_BYTES = 10 * 2**20
"""Of a large file that are sent at once."""
_TRIES = 5
_NO_SUCH_RANGE = 416
"""The status that says that a range begins where a file ends."""
_PRECONDITION_FAILED = 412
_PLAIN = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, io.UnsupportedOperation)
"""Errors that say what is wrong, whatever else they say."""
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
"""What filesystems call the time of a file."""
_ETAGS = ("ETag", "etag", "e_tag")
"""What they call what tells one content of a file from another."""
_ADDRESS = ("endpoint_url", "client_kwargs", "profile", "account_name", "account_host", "connection_string", "fo")
"""Options that tell which storage is meant."""
_ADDRESS_VARIABLES = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_CONNECTION_STRING",
    "STORAGE_EMULATOR_HOST",
)
"""Variables of the environment that do."""
_S3 = {"s3", "s3a"}
_TRIES_OF_S3 = 4
"""So often the library of S3 sends a request that fails."""
_TRIES_OF_TRIES = 3
"""So often s3fs begins anew when that has given up, and once more so often when it reads: it all multiplies."""
_GCS = {"gs", "gcs"}
_EMULATOR = "STORAGE_EMULATOR_HOST"
_CONFLICT = 409
"""The status of a claim that came at the same moment as another one, and is to be tried again."""
_OF_THE_SESSION = {"event_hooks", "include_builtin_handlers", "profile", "session_vars"}
"""Options that s3fs passes on to the session of its library, which takes no others."""


class Connection:
    """A filesystem of fsspec, made anew in each process: what it has open does not survive a fork.

    Parameters
    ----------
    protocol
        Such as ``s3``.
    options
        What fsspec's filesystem takes; credentials and addresses among them.
    """

    def __init__(self, protocol: str, options: dict[str, Any]) -> None:
        self.protocol = protocol
        self.options = options
        self._made: tuple[int, Any] | None = None

    @property
    def fs(self) -> Any:
        """The filesystem of this process. It caches no listings, and shares nothing with others'."""
        if self._made is None or self._made[0] != os.getpid():
            always = {"skip_instance_cache": True, "use_listings_cache": False}
            made = _kind(self.protocol, self.options)(**{**self.options, **always})
            if self.protocol in _S3:
                made.retries = _TRIES_OF_TRIES
            self._made = os.getpid(), made
        return self._made[1]

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without what is open, which may hold credentials of this machine."""
        return Connection, (self.protocol, self.options)


class RemoteFiles(Files):
    """Files below a folder of any filesystem that fsspec reaches.

    A file is written by one request, or by one that completes an upload of parts, so that nobody sees half of it.
    What that rests on is the storage's.
    """

    can_claim = False
    is_elsewhere = True

    def __init__(self, folder: str, *, protocol: str, connection: Connection | None = None, **options: Any) -> None:
        if connection is None:
            self._check(protocol, options)
            connection = Connection(protocol, self.usual(options))
        self._connection = connection
        self._place = self._root = folder.strip("/")
        self.url = f"{protocol}://{self._place}"
        self._protocol = protocol
        try:
            self.fs  # noqa: B018  (bad options are refused at once)
        except (OSError, TypeError, ValueError, ImportError):
            raise
        except Exception as error:
            raise _as_os_error(error, self.url) from error

    def _check(self, protocol: str, given: dict[str, Any]) -> None:
        """Refuse options that the filesystem would not take, or would pass over in silence."""

    @classmethod
    def usual(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a filesystem, with what is best for many small files where a user says nothing."""
        return options

    @property
    def fs(self) -> Any:
        return self._connection.fs

    @property
    def address(self) -> str:
        known = {**conf.get(self._protocol, {}), **self._connection.options}
        told = [str(known.get(name)) for name in _ADDRESS] + [os.environ.get(name, "") for name in _ADDRESS_VARIABLES]
        return f"{self.url} {hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"  # they may hold secrets

    def below(self, folder: str) -> "RemoteFiles":
        return type(self)(f"{self._place}/{folder}", protocol=self._protocol, connection=self._connection)

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        with _os_errors(self.url):
            try:
                # A range is one request, where asking for the whole is two on some.
                content: bytes = self.fs.cat_file(self._path(path), start=0, end=limit)
            except Exception as error:
                if _status(error) != _NO_SUCH_RANGE:  # which an empty file has none of
                    raise
                return b""
        return content if limit is None else content[:limit]  # a web server may send more than it was asked for

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        wanted = list(paths)
        for first in range(0, len(wanted), _TOGETHER):
            some = wanted[first : first + _TOGETHER]
            whole = [self._path(path) for path in some]
            with _os_errors(self.url):
                contents = self.fs.cat_ranges(whole, [0] * len(some), [None] * len(some), on_error="return")
            for path, content in zip(some, contents, strict=True):
                if not isinstance(content, BaseException):
                    yield path, content
                else:
                    yield (
                        path,
                        b"" if _status(content) == _NO_SUCH_RANGE else _as_os_error(content, f"{self.url}/{path}"),
                    )

    def create(self, path: str, data: bytes) -> None:
        with _os_errors(self.url):
            self.fs.pipe_file(self._path(path), data)

    def claim(self, path: str, data: bytes) -> bool:
        if not self.can_claim:
            raise io.UnsupportedOperation(f"no names can be claimed at {self.url}: nothing there makes sure of it")
        for _ in range(_TRIES):
            try:
                with _os_errors(self.url):
                    self.fs.pipe_file(self._path(path), data, mode="create")
            except OSError as error:
                # The server may have done it and its answer been lost: then what is there is ours.
                if _exists(error):
                    return self.read(path) == data
                if _status(error) != _CONFLICT:
                    if self._is_there(path, data):
                        return True
                    raise
            else:
                return True
        if self._is_there(path, data):
            return True
        raise OSError(errno.EBUSY, "others claim it at the same moment, again and again", f"{self.url}/{path}")

    def _is_there(self, path: str, data: bytes) -> bool:
        """Tell whether a file can be read and holds `data`."""
        with contextlib.suppress(OSError):
            return self.read(path) == data
        return False

    def names(self, folder: str) -> list[str]:
        prefix = f"{self._path(folder)}/"
        with _os_errors(self.url):
            found = self._list(prefix)
        inside = [path[len(prefix) :] for path in found if path.startswith(prefix)]
        return [name for name in inside if name and "/" not in name and not name.startswith(".")]

    def _list(self, prefix: str) -> list[str]:
        """Return the paths that begin with `prefix`, a folder's, as the filesystem spells them."""
        try:
            entries = self.fs.ls(prefix.rstrip("/"), detail=True, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [entry["name"] for entry in entries if entry["type"] == "file"]

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        inside = [folder]
        while inside:
            folder = inside.pop()
            try:
                with _os_errors(self.url):
                    entries = self.fs.ls(self._path(folder), detail=True, refresh=True)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = entry["name"].rstrip("/").rpartition("/")[2]
                path = f"{folder}/{name}" if folder else name
                if entry["type"] == "directory":
                    inside.append(path)
                else:
                    yield path, self.stat(path) if entry.get("size") is None else _stat(entry)

    def stat(self, path: str) -> Stat:
        with _os_errors(self.url):
            info = self.fs.info(self._path(path))
        if info["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "there is no such file", f"{self.url}/{path}")
        return _stat(info)

    def remove(self, paths: Iterable[str]) -> None:
        wanted = [self._path(path) for path in paths]
        with _os_errors(self.url):
            if self.fs.async_impl:
                results = asyn.sync(self.fs.loop, _remove_all, self.fs, wanted)
            else:
                results = [_remove(self.fs, path) for path in wanted]
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, FileNotFoundError):
                    raise result

    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:
        return spooled(self._pieces(path), told=told)

    def _pieces(self, path: str) -> Iterator[bytes]:
        # Its size is not asked for first: that would be one request more.
        start, part = 0, b""
        while start == 0 or len(part) == _PART_BYTES:
            with _os_errors(self.url):
                try:
                    part = self.fs.cat_file(self._path(path), start=start, end=start + _PART_BYTES)
                except Exception as error:
                    if _status(error) == _NO_SUCH_RANGE:
                        return
                    raise
            yield part
            start += len(part) or 1

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        sink = _Sink(self.fs, self._path(path), self.url)
        upload = Upload(cast("BinaryIO", sink))
        try:
            yield upload
            if not upload.aborted:
                sink.finish()
        except BaseException:
            sink.discard()
            raise
        if upload.aborted:
            sink.discard()

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")


class ReadFiles(RemoteFiles):
    """Files that can be read where they are, on a web server or in an archive, and never written."""

    def __init__(self, folder: str, *, protocol: str, connection: Connection | None = None, **options: Any) -> None:
        super().__init__(folder, protocol=protocol, connection=connection, **options)
        if protocol in {"http", "https"}:
            self._root = self.url

    def _pieces(self, path: str) -> Iterator[bytes]:
        # A web server may send all of a file, whatever part of it is asked for.
        size, seen = self.stat(path).size, 0
        for piece in super()._pieces(path):
            yield piece
            seen += len(piece)
            if size and seen >= size:
                return

    def create(self, path: str, data: bytes) -> None:  # noqa: ARG002  (nothing is written)
        raise self._refusal(path)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            raise self._refusal(path)

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        raise self._refusal(path)
        yield

    def _refusal(self, path: str) -> OSError:
        return OSError(errno.EROFS, "it can be read there, and not written", f"{self.url}/{path}")


class PortableFiles(RemoteFiles):
    """Files on a filesystem of which nothing is known but that fsspec reaches it.

    No names are claimed there. Whether anybody sees half of a file that is being written, and whether listings are
    fresh, is found out by `lazytrack.testing.FilesTests`.
    """

    def __init__(self, folder: str, *, protocol: str, connection: Connection | None = None, **options: Any) -> None:
        place = folder.rstrip("/")
        url = f"{protocol}://{place}"
        root, options = _read_url(protocol, url, options)
        super().__init__(folder, protocol=protocol, connection=connection, **options)
        self._place, self.url, self._root = place, url, root

    def create(self, path: str, data: bytes) -> None:
        self._make_folder(path)
        super().create(path, data)

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        self._make_folder(path)
        try:
            with super().open_write(path) as upload:
                yield upload
        except BaseException:
            self._discard(path)
            raise
        if upload.aborted:
            self._discard(path)

    def _list(self, prefix: str) -> list[str]:
        return [prefix + path.rstrip("/").rpartition("/")[2] for path in super()._list(prefix)]

    def _discard(self, path: str) -> None:
        with contextlib.suppress(Exception):  # most know how to give a file up, and what remains is in nobody's way
            self.fs.rm_file(self._path(path))

    def _make_folder(self, path: str) -> None:
        with _os_errors(self.url):
            self.fs.makedirs(self._path(path).rpartition("/")[0], exist_ok=True)


class ObjectFiles(RemoteFiles):
    """Files in a bucket: names are claimed by a condition on the request that writes them."""

    can_claim = True
    together = 16

    def _check(self, protocol: str, given: dict[str, Any]) -> None:
        options.check(given, options.taken_to_make(_kind(protocol, given)), exhaustive=False)

    def _list(self, prefix: str) -> list[str]:
        return list(self._find(prefix))

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        start = len(self._path("")) + 1
        with _os_errors(self.url):
            found = self._find(f"{self._path(folder)}/")
        for path, info in found.items():
            if path.startswith(f"{self._path(folder)}/"):  # some leave the last slash away when they look
                yield path[start:], _stat(info)

    def stat(self, path: str) -> Stat:
        # Asking for one object's properties is more than one request on some.
        with _os_errors(self.url):
            found = self._find(self._path(path)).get(self._path(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", f"{self.url}/{path}")
        return _stat(found)

    def _find(self, prefix: str) -> dict[str, Any]:
        """Return what there is of each object whose path begins with `prefix`.

        It is asked for from the bucket on: that is one request for a thousand names, also where there are none.
        """
        bucket, _, key = prefix.partition("/")
        found: dict[str, Any] = self.fs.find(bucket, prefix=key, detail=True)
        if (first := next(iter(found), None)) is not None and not first.startswith(f"{bucket}/"):
            # That must not read as an empty folder.
            raise OSError(errno.EIO, f"lists {first!r} where {bucket!r} was asked for", self.url)
        return found


class S3Files(ObjectFiles):
    """Files in a bucket of S3, or of a server that speaks as it does."""

    def _check(self, protocol: str, given: dict[str, Any]) -> None:
        options.check(given, options.taken_to_make(_kind(protocol, given)) | _OF_THE_SESSION, exhaustive=True)

    @classmethod
    def usual(cls, options: dict[str, Any]) -> dict[str, Any]:
        ours = {"max_pool_connections": _TOGETHER, "retries": {"total_max_attempts": _TRIES_OF_S3}}
        given = [conf.get(protocol, {}).get("config_kwargs") for protocol in _S3] + [options.get("config_kwargs")]
        config = ours | {name: value for each in given for name, value in (each or {}).items()}
        return {**options, "config_kwargs": config}


class GCSFiles(ObjectFiles):
    """Files in a bucket of Google Cloud Storage."""


class AzureFiles(ObjectFiles):
    """Files in a container of Azure's blob storage; the URL may name the account too."""

    def __init__(self, folder: str, *, protocol: str, connection: Connection | None = None, **options: Any) -> None:
        root, options = _read_url(protocol, f"{protocol}://{folder.strip('/')}", options)
        super().__init__(folder, protocol=protocol, connection=connection, **options)
        self._root = root.strip("/")


def _read_url(protocol: str, url: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return what a filesystem calls the folder at a URL, and its options with those that the URL names."""
    kind = _kind(protocol, given)
    return kind._strip_protocol(url), {**kind._get_kwargs_from_urls(url), **given}  # noqa: SLF001  (of each of them)


def _kind(protocol: str, given: Mapping[str, Any]) -> Any:
    """Return the class of the filesystem that takes these options.

    Raises
    ------
    ImportError
        When its library is not installed.
    """
    kind = fsspec.get_filesystem_class(protocol)
    if protocol in _GCS and ("endpoint_url" in {**conf.get(protocol, {}), **given} or os.environ.get(_EMULATOR)):
        from gcsfs.core import GCSFileSystem  # noqa: PLC0415  (where it is installed)

        return GCSFileSystem  # the other one asks the real service first, and waits for its answer
    return kind


def _remove(fs: Any, path: str) -> Exception | None:
    try:
        fs.rm_file(path)
    except FileNotFoundError as error:
        return error
    return None


async def _remove_all(fs: Any, paths: list[str]) -> list[Any]:
    removals = [fs._rm_file(path) for path in paths]  # noqa: SLF001  (fsspec's public way to its coroutines)
    return list(await asyn._run_coros_in_chunks(removals, batch_size=_TOGETHER, return_exceptions=True))  # noqa: SLF001


class _Sink:
    """A new file that is sent by one request where it is small, and in parts where it is not."""

    def __init__(self, fs: Any, path: str, where: str) -> None:
        self._fs, self._path, self._where = fs, path, where
        self._start = bytearray()
        self._rest: Any = None

    def write(self, data: Any) -> int:
        """Take all of `data`."""
        if self._rest is None and len(self._start) + len(data) <= _PART_BYTES:
            self._start += data
        else:
            with _os_errors(self._where):
                if self._rest is None:
                    self._rest = self._fs.open(self._path, "wb", block_size=_PART_BYTES)
                    self._rest.write(bytes(self._start))
                    self._start.clear()
                self._rest.write(data)
        return len(data)

    def finish(self) -> None:
        """Have the file appear."""
        with _os_errors(self._where):
            if self._rest is None:
                self._fs.pipe_file(self._path, bytes(self._start))
            else:
                self._rest.close()

    def discard(self) -> None:
        """Give the file up; parts that were sent are taken back."""
        if self._rest is not None:
            with contextlib.suppress(Exception):  # what is given up must not hide why
                self._rest.discard()
            with contextlib.suppress(AttributeError):  # of those that know it themselves
                self._rest.closed = True  # or it would be written when it is forgotten


@contextlib.contextmanager
def _os_errors(url: str) -> Iterator[None]:
    """Turn what a storage's own library raises into `OSError`."""
    try:
        yield
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        told = _as_os_error(error, url)
        if told is error:
            raise
        raise told from error


def _as_os_error(error: BaseException, where: str) -> OSError:
    """Return what says the same and names the place."""
    if not isinstance(error, OSError):
        told = OSError(errno.EIO, f"{type(error).__name__}: {error}", where)
    elif error.filename is None and not isinstance(error, _PLAIN):
        code = error.errno or (errno.EACCES if isinstance(error, PermissionError) else errno.EIO)
        told = OSError(code, error.strerror or str(error) or type(error).__name__, where)
    else:
        return error
    told.__cause__ = error
    return told


def _exists(error: OSError) -> bool:
    """Tell whether a claim was refused because the name is taken."""
    return isinstance(error, FileExistsError) or _status(error) == _PRECONDITION_FAILED


def _status(error: BaseException | None) -> int | None:
    """Return the status of the answer that an exception goes back to."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        for name in ("status_code", "status", "code"):
            if str(getattr(error, name, "")).isdigit():
                return int(getattr(error, name))
        error = error.__cause__ or error.__context__
    return None


def _stat(info: dict[str, Any]) -> Stat:
    etag = next((str(info[key]).strip('"') for key in _ETAGS if info.get(key)), None)
    return Stat(size=info["size"], modified=_modified(info), etag=etag)


def _modified(info: dict[str, Any]) -> float:
    """Return the time of a file in seconds since 1970, on the storage's clock."""
    found = next((info[key] for key in _TIMES if key in info), 0)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    if isinstance(found, datetime):
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return float(found)
