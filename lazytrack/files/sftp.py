"""Files on a machine that is reached by SFTP: written under a hidden name, and renamed into place."""

import contextlib
import errno
import os
import posixpath
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.sftp import SFTPFileSystem
from paramiko import SSHClient

from lazytrack import naming
from lazytrack.files import options as options_
from lazytrack.files.base import Files, Stat, Upload, spooled

_PIECE_BYTES = 2**20


class Connections:
    """One connection for each thread of each process: a channel is not for two, and does not survive a fork.

    Parameters
    ----------
    options
        What fsspec's filesystem takes: host, port, username and what paramiko connects with.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self._mine = threading.local()

    @property
    def fs(self) -> Any:
        """The filesystem of this thread."""
        if getattr(self._mine, "pid", None) != os.getpid():
            self._mine.pid = os.getpid()
            self._mine.fs = fsspec.filesystem("sftp", skip_instance_cache=True, **self.options)
            # Without this the connection would stay when its thread has ended.
            weakref.finalize(threading.current_thread(), self._mine.fs.client.close).atexit = False
        return self._mine.fs

    def __reduce__(self) -> tuple[Any, ...]:
        return Connections, (self.options,)


class SFTPFiles(Files):
    """Files below a folder of another machine.

    A name is claimed by renaming a hidden file to it, which the protocol refuses where the name is taken.
    """

    can_claim = True
    is_elsewhere = True

    def __init__(self, folder: str, *, protocol: str, connection: Connections | None = None, **options: Any) -> None:
        self.url = f"{protocol}://{folder.rstrip('/')}"
        self._protocol = protocol
        machine, _, path = folder.partition("/")
        if connection is None:
            options_.check(options, {"host"} | options_.taken_by(SSHClient.connect), exhaustive=True)
            from_url = SFTPFileSystem._get_kwargs_from_urls(f"sftp://{machine}/")  # noqa: SLF001  (of every filesystem)
            connection = Connections({**from_url, **options})
        self._connections = connection
        self._root = f"/{path.rstrip('/')}"
        self._place = folder.rstrip("/")

    @property
    def fs(self) -> Any:
        return self._connections.fs

    @property
    def address(self) -> str:
        return f"{self.url} {self._connections.options.get('host')}:{self._connections.options.get('port')}"

    def below(self, folder: str) -> "SFTPFiles":
        return SFTPFiles(f"{self._place}/{folder}", protocol=self._protocol, connection=self._connections)

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        with self._errors(path), self.fs.ftp.open(self._path(path), "rb") as file:
            content: bytes = file.read(limit) if limit is not None else file.read()
        return content

    def create(self, path: str, data: bytes) -> None:
        with self.open_write(path) as upload:
            upload.write(data)

    def claim(self, path: str, data: bytes) -> bool:
        with self._errors(path):
            temporary = self._hidden(path)
            try:
                with self.fs.ftp.open(temporary, "wbx") as file:
                    file.write(data)
                try:
                    self.fs.ftp.rename(temporary, self._path(path))
                except OSError:
                    # Refused because the name is taken, or done and its answer lost: then what is there is ours.
                    with contextlib.suppress(FileNotFoundError):
                        return self.read(path) == data
                    raise
            finally:
                self._discard(temporary)
        return True

    def names(self, folder: str) -> list[str]:
        try:
            with self._errors(folder):
                entries = self.fs.ftp.listdir_attr(self._path(folder))
        except FileNotFoundError:
            return []
        files = [entry for entry in entries if not stat.S_ISDIR(entry.st_mode or 0)]
        return [entry.filename for entry in files if not entry.filename.startswith(".")]

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        inside = [folder]
        while inside:
            folder = inside.pop()
            try:
                with self._errors(folder):
                    entries = self.fs.ftp.listdir_attr(self._path(folder))
            except FileNotFoundError:
                continue
            for entry in entries:
                path = f"{folder}/{entry.filename}" if folder else entry.filename
                if stat.S_ISDIR(entry.st_mode or 0):
                    inside.append(path)
                else:
                    yield path, Stat(size=entry.st_size, modified=float(entry.st_mtime))

    def stat(self, path: str) -> Stat:
        with self._errors(path):
            found = self.fs.ftp.stat(self._path(path))
        return Stat(size=found.st_size, modified=float(found.st_mtime))

    def prune(self, paths: Iterable[str]) -> None:
        for path in paths:
            folder = posixpath.dirname(path)
            while folder:
                try:
                    self.fs.ftp.rmdir(self._path(folder))  # refused where there is something in it
                except OSError:
                    break
                folder = posixpath.dirname(folder)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError), self._errors(path):
                self.fs.ftp.remove(self._path(path))

    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:
        return spooled(self._pieces(path), told=told)

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self._errors(path), self.fs.ftp.open(self._path(path), "rb") as file:
            file.prefetch()
            yield from iter(lambda: file.read(_PIECE_BYTES), b"")

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        with self._errors(path):
            temporary = self._hidden(path)
            file = self.fs.ftp.open(temporary, "wbx")
        upload = Upload(cast("BinaryIO", _Sink(file)))
        try:
            file.set_pipelined()  # what the other side says of each piece is looked at when the file is closed
            with file:
                yield upload
            if not upload.aborted:
                with self._errors(path):
                    self.fs.ftp.posix_rename(temporary, self._path(path))
        except BaseException:
            self._discard(temporary)
            raise
        if upload.aborted:
            self._discard(temporary)

    def _hidden(self, path: str) -> str:
        """Return a new hidden name in the folder of `path`, which is made where it is not there."""
        folder, name = posixpath.split(self._path(path))
        missing = []
        while not self._is_there(folder):
            missing.append(folder)
            folder = posixpath.dirname(folder)
        for each in reversed(missing):
            try:
                self.fs.ftp.mkdir(each)
            except OSError:  # another one may have made it meanwhile
                if not self._is_there(each):
                    raise
        return f"{posixpath.dirname(self._path(path))}/.{name[:60]}.{naming.unique()}.tmp"

    def _is_there(self, path: str) -> bool:
        try:
            self.fs.ftp.stat(path)
        except FileNotFoundError:
            return False
        return True

    def _discard(self, temporary: str) -> None:
        with contextlib.suppress(Exception):  # what is given up must not hide why
            self.fs.ftp.remove(temporary)

    def _path(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}".rstrip("/") or "/"

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """Turn what paramiko raises into `OSError`, and say of what it speaks."""
        try:
            yield
        except OSError as error:
            if error.errno is not None and error.filename is None:
                raise OSError(error.errno, error.strerror, f"{self.url}/{path}") from error
            raise
        except Exception as error:
            raise OSError(errno.EIO, f"{type(error).__name__}: {error}", f"{self.url}/{path}") from error


class _Sink:
    """A remote file that tells how much of what it was given it has taken: all of it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        self._file.write(bytes(data))
        return len(data)
