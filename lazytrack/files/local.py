"""Files on a disk of this machine, or on one that is mounted as if it were."""

import contextlib
import errno
import functools
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from lazytrack import naming
from lazytrack.files.base import Files, Stat, Upload

_settled: set[str] = set()
"""Folders that this process has seen safely in the folder above them."""
_made: set[str] = set()
"""Folders that this process has made."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalFiles(Files):
    """Files below a local folder.

    A new file is written under a hidden name, synced, and renamed into place; then the folder is synced. The hidden
    file is in the same folder, or in the nearest one above that is there, because a rename is atomic only within one
    filesystem; so a file that is given up leaves no folder behind.

    Parameters
    ----------
    private
        Whether only this user may read what is written.
    """

    can_claim = True

    def __init__(self, folder: str, *, private: bool = False, **options: Any) -> None:
        self.url = os.path.abspath(folder)
        self._mode = 0o600 if private else 0o666
        self._options = options

    @functools.cached_property
    def fs(self) -> Any:
        import fsspec  # noqa: PLC0415  (local projects never need it; it is most of the import time)

        return fsspec.filesystem("file", **self._options)

    def below(self, folder: str) -> "LocalFiles":
        return LocalFiles(self._path(folder), **self._options)

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        with open(self._path(path), "rb", buffering=0, opener=_open_regular) as file:
            return file.read() if limit is None else file.read(limit)

    def create(self, path: str, data: bytes) -> None:
        with self.open_write(path) as upload:
            upload.write(data)

    def claim(self, path: str, data: bytes) -> bool:
        target = self._path(path)
        _make_folder(os.path.dirname(target))
        temporary, file = self._hidden(target)
        try:
            with file:
                _write_synced(file, data)
            ours = _link(temporary, target)
        finally:
            _discard(temporary)
        if ours is None:  # no hard links here: the next best is a file that may be seen while it is written
            ours = _exclusive(target, data, self._mode)
        self._settle(os.path.dirname(target))
        return ours

    def names(self, folder: str) -> list[str]:
        try:
            with os.scandir(self._path(folder)) as entries:
                return [
                    entry.name for entry in entries if entry.name[0] != "." and not entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return []

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        if (link := self._link_to(folder)) is not None:
            yield link
            return
        inside = [folder]
        while inside:
            folder = inside.pop()
            try:
                with os.scandir(self._path(folder)) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            inside.append(path)
                            continue
                        with contextlib.suppress(FileNotFoundError):  # it has just been deleted
                            yield path, _stat(entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue

    def _link_to(self, folder: str) -> tuple[str, Stat] | None:
        """Return the first link on the way to a folder, from this one on, which itself may be a link."""
        parts = folder.split("/") if folder else []
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            try:
                found = os.lstat(self._path(path))
            except (FileNotFoundError, NotADirectoryError):  # of which a listing says the same
                return None
            if stat.S_ISLNK(found.st_mode):
                return path, _stat(found)
        return None

    def stat(self, path: str) -> Stat:
        return _stat(os.stat(self._path(path)))

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(path))

    def prune(self, paths: Iterable[str]) -> None:
        for path in paths:
            folder = os.path.dirname(path)
            while folder:
                try:
                    os.rmdir(self._path(folder))  # refused where there is something in it
                except OSError:
                    break
                folder = os.path.dirname(folder)

    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:  # noqa: ARG002  (it is here)
        return open(self._path(path), "rb", opener=_open_regular)

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        target = self._path(path)
        temporary, file = self._hidden(target)
        try:
            with file:
                upload = Upload(file)
                yield upload
                if not upload.aborted:
                    os.fsync(file.fileno())
            if not upload.aborted:
                _put_in_place(temporary, target)
        except BaseException:
            _discard(temporary)
            raise
        if upload.aborted:
            _discard(temporary)
        else:
            self._settle(os.path.dirname(target))

    def _hidden(self, target: str) -> tuple[str, io.FileIO]:
        """Open a new hidden file in the folder of `target`, or where that has yet to be made in one above it."""
        folder, name = os.path.split(target)
        while folder != self.url and not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        self._refuse_links(folder)
        path = os.path.join(folder, f".{name[:60]}.{naming.unique()}.tmp")
        try:
            return path, open(path, "xb", buffering=0, opener=self._opener)
        except FileNotFoundError:
            _make_folder(folder)
            return path, open(path, "xb", buffering=0, opener=self._opener)

    def _refuse_links(self, folder: str) -> None:
        """Refuse a folder that is reached by a link: a stranger's may lead anywhere.

        The store's own folder, and the folders at its top, may be links: that is how people move large ones.
        """
        top, _, rest = folder[len(self.url) + 1 :].replace(os.sep, "/").partition("/")
        if rest and os.path.realpath(folder) != os.path.join(
            os.path.realpath(os.path.join(self.url, top)), *rest.split("/")
        ):
            raise PermissionError(errno.EACCES, "a link leads to it: nothing is written there", folder)

    def _opener(self, path: str, flags: int) -> int:
        return os.open(path, flags, self._mode)

    def _settle(self, folder: str) -> None:
        """Sync a folder that has got a new file, and those above that may be as new.

        Another process may have made one of them and not have synced it yet, so each process does it once. Where all
        was made for this file, syncing it has put all of it on the disk, and syncing the folders costs next to nothing.
        """
        _sync_folder(folder)
        while folder not in _settled and (folder in _made or folder.startswith(self.url)):
            parent = os.path.dirname(folder)
            with contextlib.suppress(PermissionError):  # what may not be read, this process has not made
                _sync_folder(parent)
            _settled.add(folder)
            folder = parent

    def _path(self, path: str) -> str:
        return os.path.join(self.url, path)


def _stat(found: os.stat_result) -> Stat:
    # A file gets its content before it gets its name. What counts is since when it can be seen, and a rename changes
    # the time of the inode; where it does not, the time of the content has to do.
    modified = max(found.st_mtime, found.st_ctime)
    return Stat(size=found.st_size, modified=modified, is_link=stat.S_ISLNK(found.st_mode))


def _open_regular(path: str, flags: int) -> int:
    """Open a file for reading, unless it is a pipe or a device: a stranger's link to one would never end."""
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind):  # of a folder, `open` itself says so
        return fd
    os.close(fd)
    raise IsADirectoryError(errno.EISDIR, "is no regular file", path)


def _discard(temporary: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)


def _put_in_place(temporary: str, target: str) -> None:
    try:
        os.replace(temporary, target)
    except FileNotFoundError:
        _make_folder(os.path.dirname(target))
        os.replace(temporary, target)


def _make_folder(folder: str) -> None:
    """Make a folder and those above it; `LocalFiles._settle` makes sure that a crash does not forget them."""
    if os.path.isdir(folder):
        return
    _make_folder(os.path.dirname(folder))
    _settled.discard(folder)
    _made.add(folder)
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)


def _sync_folder(folder: str) -> None:
    if os.name == "nt":  # folders cannot be opened there; NTFS journals its names itself
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _link(temporary: str, target: str) -> bool | None:
    """Link `temporary` to `target` if that name is free: True or False, None where there are no links."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        # NFS may have lost its answer and sent the request again: with two links, the target is ours.
        return os.stat(temporary).st_nlink == 2  # noqa: PLR2004
    except OSError as error:
        if error.errno in _NO_LINKS:
            return None
        raise
    return True


def _exclusive(target: str, data: bytes, mode: int) -> bool:
    try:
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    except FileExistsError:
        return False
    try:
        with open(fd, "wb", buffering=0) as file:
            _write_synced(file, data)
    except BaseException:
        _discard(target)
        raise
    return True


def _write_synced(file: io.FileIO, data: bytes) -> None:
    Upload(file).write(data)  # all of it, however little the system takes at once
    os.fsync(file.fileno())
