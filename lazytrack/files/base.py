"""The handful of verbs that everything above uses to reach a filesystem, and what each of them promises."""

import abc
import errno
import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, cast

import attrs

_SPOOL_BYTES = 2**23
"""A copy of a remote file stays in memory up to this size."""
_PIECE_BYTES = 2**20
"""A remote file keeps what it is given at once, until it is sent."""


@attrs.frozen(kw_only=True)
class Stat:
    """What the storage says of a file.

    Parameters
    ----------
    size
        In bytes.
    modified
        Seconds since 1970 on the storage's own clock; compare it only with another one of the same storage.
    etag
        What the storage calls this content, where it says so.
    is_link
        Whether it is a link to something else; `Files.walk` does not follow it.
    """

    size: int
    modified: float
    etag: str | None = None
    is_link: bool = False


class Upload(io.RawIOBase):
    """A file being written: hashes and counts what passes; nobody sees the file before it is closed well."""

    def __init__(self, sink: BinaryIO) -> None:
        super().__init__()
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0
        self.aborted = False
        self.told: Callable[[int], None] | None = None
        """Called with the number of bytes whenever some have passed."""

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Tell the `io` module that this is for writing."""
        return True

    def write(self, data: Any) -> int:
        """Write all of `data`, any contiguous buffer, and return its length in bytes."""
        with _as_bytes(memoryview(data)) as view:
            if self.aborted:  # a buffer above flushes when it is dropped
                return len(view)
            self._hash.update(view)
            written = 0
            while written < len(view):
                taken = self._sink.write(view[written : written + _PIECE_BYTES])
                written += taken
                if self.told is not None:
                    self.told(taken)
            self.size += written
        return written

    def abort(self) -> None:
        """Give the file up: what is written from now on goes nowhere, and leaving the block removes the file."""
        self.aborted = True


def _as_bytes(view: memoryview) -> memoryview:
    """Return the bytes of a buffer in the order they have in memory, copied only where they cannot be had so."""
    if not view.contiguous:
        raise BufferError("only a contiguous buffer has bytes in an order to write")
    if view.c_contiguous and view.nbytes:
        return view.cast("B")
    return memoryview(view.tobytes(order="A"))


def spooled(pieces: Iterable[bytes], *, told: Callable[[int], None] | None = None) -> BinaryIO:
    """Return a file with a copy of what is somewhere else, in memory while it is small; who asks closes it."""
    file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115
    try:
        for piece in pieces:
            file.write(piece)
            if told is not None:
                told(len(piece))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("BinaryIO", file)


def is_of_the_file(error: OSError) -> bool:
    """Tell whether reading failed because of what this one file is, rather than because of the storage."""
    return isinstance(error, (PermissionError, IsADirectoryError)) or error.errno == errno.ELOOP


class Files(abc.ABC):
    """Bytes at relative POSIX paths below one folder of one filesystem.

    Paths are trusted: whoever takes one from a user or a manifest checks it first (`naming.check_inside`).
    Whatever fails raises `OSError`. A name that starts with a dot belongs to the filesystem's adapter.
    """

    url: str
    """The folder all paths are relative to."""
    can_claim: bool
    """Whether `claim` is exclusive on this filesystem."""
    together = 1
    """So many files are best written at once."""
    is_shared = True
    """Whether another process can reach the files."""
    is_elsewhere = False
    """Whether reading a file means to fetch it."""
    absent = "is gone"
    """What is to be said of a file that a record names, and that is not there."""

    @property
    @abc.abstractmethod
    def fs(self) -> Any:
        """The fsspec filesystem, for those who want to go on with it."""

    @property
    def origin(self) -> "Files":
        """The files themselves, where these may be copies that are kept nearer."""
        return self

    @property
    def address(self) -> str:
        """What tells this folder from those of other storages that have the same URL."""
        return self.url

    def forget(self, path: str) -> bool:  # noqa: ARG002  (what is here is all there is)
        """Drop a copy of a file that is kept nearer, and tell whether there was one: it is not what it should be."""
        return False

    @abc.abstractmethod
    def below(self, folder: str) -> "Files":
        """Return the same filesystem, relative to `folder`."""

    @abc.abstractmethod
    def read(self, path: str, *, limit: int | None = None) -> bytes:
        """Return a file's content, or its first `limit` bytes.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        """

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each path with its content, or with the error that reading it raised, in any order."""
        for path in paths:
            try:
                content: bytes | OSError = self.read(path)
            except OSError as error:
                content = error
            yield path, content

    @abc.abstractmethod
    def create(self, path: str, data: bytes) -> None:
        """Write a whole new file under a name nobody else uses.

        Nobody ever sees half of it, and when this returns, it survives a crash.
        """

    @abc.abstractmethod
    def claim(self, path: str, data: bytes) -> bool:
        """Write a whole new file unless one of that name exists, and tell whether this caller made it.

        Of any number of callers exactly one is told True; `data` must hold an id, so that a caller whose
        answer was lost can read the file back and see whose it is.

        Raises
        ------
        io.UnsupportedOperation
            When the filesystem cannot do this (``can_claim`` is False).
        """

    @abc.abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the names of the files in `folder`, listed now, never from a cache.

        A folder that does not exist is empty; one that cannot be listed raises.
        """

    @abc.abstractmethod
    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        """Yield every file below `folder`, at any depth and hidden ones too, with its size and time, listed now.

        Links are not followed: each is a file of its own.
        """

    @abc.abstractmethod
    def stat(self, path: str) -> Stat:
        """Return a file's size and time.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        """

    @abc.abstractmethod
    def remove(self, paths: Iterable[str]) -> None:
        """Delete files; one that is gone already is no error."""

    def prune(self, paths: Iterable[str]) -> None:  # noqa: B027  (most have no folders)
        """Delete the folders that deleted files have left empty, on a filesystem that has folders."""

    @abc.abstractmethod
    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:
        """Open a file for reading, seekable. One that is elsewhere comes over once, and whole.

        Parameters
        ----------
        told
            Called with the number of bytes whenever some have come over.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        """

    @abc.abstractmethod
    def open_write(self, path: str) -> AbstractContextManager[Upload]:
        """Open a new file under a name nobody else uses; it appears whole when the block ends well.

        A block that raises, or that calls `Upload.abort`, leaves nothing behind.
        """
