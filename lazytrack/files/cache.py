"""A folder of this machine with copies of files that are elsewhere and never change."""

import contextlib
import glob
import hashlib
import io
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from lazytrack import naming
from lazytrack.files.base import Files, Stat, Upload

_LEFT = 0.8
"""Of a cache that has grown too large, what it is reduced to."""
_UNSEEN = 0.1
"""A process that has added such a part of what a cache may hold looks how large it has become."""
_ABANDONED_SECONDS = 24 * 3600
"""A file that is being written for so long is one whose writer died."""
_OURS = re.compile(r"[0-9a-f]{40}-[0-9a-f]{64}|\.lazytrack-[0-9a-z]{8}\.tmp")
"""What files of a cache are called."""
_log = logging.getLogger(__name__)


class Cache:
    """Copies of packs, artifacts and histories of projects that are elsewhere, on a disk of this machine.

    All processes that are given the same folder share it, and it can be deleted at any time. What is taken from it is
    checked against its digest first. When it is too large, what was not used for the longest time goes.

    Parameters
    ----------
    folder
        Where it is; by default this user's folder for such things.
    max_bytes
        How large it may become, which each process that fills it may exceed by a tenth for a while.

    Raises
    ------
    ValueError
        When the folder's name is empty, or the size is no positive number.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, max_bytes: float = 10 * 2**30) -> None:
        if not max_bytes > 0:
            raise ValueError(f"a cache of max_bytes={max_bytes!r} can hold nothing: give a positive number")
        if folder is None:
            import platformdirs  # noqa: PLC0415  (only here)

            folder = platformdirs.user_cache_dir("lazytrack", appauthor=False)
        if not os.fspath(folder):
            raise ValueError("the name of a cache's folder is empty")
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._size = 0
        """What was there when this process looked, and what it has added since."""
        self._unseen = float("inf")
        """What this process has added since it looked."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the place it is."""
        return _made_again, (self.folder, self.max_bytes)

    def __repr__(self) -> str:
        return f"Cache({self.folder!r}, max_bytes={self.max_bytes!r})"

    def open(self, name: str) -> BinaryIO | None:
        """Return the copy of a file, open for reading, whole and unchanged; None where there is none."""
        for path in self._copies(name):
            try:
                with contextlib.ExitStack() as opened:
                    file = opened.enter_context(open(path, "rb"))
                    if hashlib.file_digest(file, "sha256").hexdigest() == path.rpartition("-")[2]:
                        os.utime(path)  # it was used now
                        file.seek(0)
                        opened.pop_all()
                        return file
                _log.warning("%s is damaged, and is fetched again", path)
                os.unlink(path)
            except FileNotFoundError:  # another process has just removed it
                continue
            except OSError as error:
                _log.warning("%s cannot be used, and is fetched again: %s", path, error)
        return None

    def keep(self, name: str, file: BinaryIO) -> None:
        """Keep a copy of a file of that name. What the disk refuses is logged, and nothing is kept.

        Parameters
        ----------
        name
            Of the file, anywhere.
        file
            Is read from its beginning, and is there again afterwards.
        """
        temporary = f"{self.folder}/.lazytrack-{naming.unique()}.tmp"
        try:
            size = file.seek(0, os.SEEK_END)
            if size > self.max_bytes:
                return
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            os.makedirs(self._shelf(name), exist_ok=True)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
            file.seek(0)
            with open(temporary, "xb") as copy:
                shutil.copyfileobj(file, copy, 2**20)
            os.replace(temporary, f"{self._shelf(name)}/{_key(name)}-{digest}")
            self._added(size)
        except OSError as error:
            _log.warning("%s is not kept in the cache: %s", name, error)
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        finally:
            file.seek(0)

    def drop(self, name: str) -> bool:
        """Forget the copies of a file, and tell whether there were any."""
        copies = self._copies(name)
        for path in copies:
            with contextlib.suppress(OSError):  # it is in use, or gone
                os.unlink(path)
        return bool(copies)

    def _copies(self, name: str) -> list[str]:
        shelf, key = self._shelf(name), _key(name)
        try:
            return [f"{shelf}/{found}" for found in os.listdir(shelf) if found.startswith(key)]
        except FileNotFoundError:
            return []
        except OSError as error:
            _log.warning("the cache cannot be read: %s", error)
            return []

    def _shelf(self, name: str) -> str:
        return f"{self.folder}/{_key(name)[:2]}"

    def _added(self, size: int) -> None:
        if not self._lock.acquire(blocking=False):  # another thread is at it, or was when this process was forked
            return
        try:
            self._size += size
            self._unseen += size
            if self._unseen > _UNSEEN * self.max_bytes or self._size > self.max_bytes:
                self._size, self._unseen = self._reduced(), 0
        finally:
            self._lock.release()

    def _reduced(self) -> int:
        """Return how large it is, after removing what was not used for the longest time where that is too much."""
        files = []
        for folder in [self.folder, *glob.glob(f"{glob.escape(self.folder)}/[0-9a-f][0-9a-f]")]:
            try:
                names = os.listdir(folder)
            except OSError:  # it is gone, or no folder
                continue
            for name in filter(_OURS.fullmatch, names):  # whatever else somebody keeps there is not ours to remove
                with contextlib.suppress(OSError):  # another process has just removed it
                    found = os.stat(f"{folder}/{name}")
                    files.append((found.st_mtime, found.st_size, f"{folder}/{name}"))
        now = max((at for at, _, _ in files), default=0)
        size = sum(size for _, size, _ in files)
        wanted = _LEFT * self.max_bytes if size > self.max_bytes else size
        for at, its_size, path in sorted(files):
            is_abandoned = path.endswith(".tmp") and now - at > _ABANDONED_SECONDS
            if is_abandoned or (size > wanted and not path.endswith(".tmp")):
                with contextlib.suppress(OSError):  # another process was faster, or reads it
                    os.unlink(path)
                    size -= its_size
        return size


class CachedFiles(Files):
    """Files that are elsewhere, of which those in some folders never change and are kept in a cache.

    Parameters
    ----------
    origin
        The files themselves.
    cache
        Where copies are kept.
    folders
        Names of folders whose files are never written anew.
    """

    def __init__(self, origin: Files, cache: Cache, folders: Collection[str]) -> None:
        self._origin, self._cache, self._folders = origin, cache, folders
        self.url, self.can_claim, self.together = origin.url, origin.can_claim, origin.together

    @property
    def fs(self) -> Any:
        return self._origin.fs

    @property
    def origin(self) -> Files:
        return self._origin

    def forget(self, path: str) -> bool:
        return self._is_kept(path) and self._cache.drop(self._name(path))

    def below(self, folder: str) -> Files:
        return self._origin.below(folder)

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        return self._origin.read(path, limit=limit)

    def read_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | OSError]]:
        missing = []
        for path in paths:
            copy = self._cache.open(self._name(path)) if self._is_kept(path) else None
            if copy is None:
                missing.append(path)
            else:
                with copy:
                    content = copy.read()
                yield path, content
        for path, found in self._origin.read_many(missing):
            if isinstance(found, bytes) and self._is_kept(path):
                self._cache.keep(self._name(path), io.BytesIO(found))
            yield path, found

    def create(self, path: str, data: bytes) -> None:
        self._origin.create(path, data)

    def claim(self, path: str, data: bytes) -> bool:
        return self._origin.claim(path, data)

    def names(self, folder: str) -> list[str]:
        return self._origin.names(folder)

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        return self._origin.walk(folder)

    def stat(self, path: str) -> Stat:
        return self._origin.stat(path)

    def remove(self, paths: Iterable[str]) -> None:
        gone = list(paths)
        self._origin.remove(gone)
        for path in gone:
            self._cache.drop(self._name(path))

    def prune(self, paths: Iterable[str]) -> None:
        self._origin.prune(paths)

    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:
        if not self._is_kept(path):
            return self._origin.open_read(path, told=told)
        if (copy := self._cache.open(self._name(path))) is not None:
            return copy
        file = self._origin.open_read(path, told=told)
        self._cache.keep(self._name(path), file)
        return file

    def open_write(self, path: str) -> AbstractContextManager[Upload]:
        return self._origin.open_write(path)

    def _is_kept(self, path: str) -> bool:
        return path.partition("/")[0] in self._folders

    def _name(self, path: str) -> str:
        return f"{self._origin.address}/{path}"


def _key(name: str) -> str:
    """Return what a file is called in a cache, whatever it is called elsewhere."""
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def _made_again(folder: str, max_bytes: float) -> Cache:
    return Cache(folder, max_bytes=max_bytes)
