"""Files in this process's memory: fsspec's ``memory://``, with the lock it lacks."""

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from fsspec.implementations.memory import MemoryFileSystem

from lazytrack.files.base import Files, Stat, Upload

_lock = threading.RLock()


def _reset_lock() -> None:
    """Make the lock anew in a forked child, where the thread that held it does not exist."""
    global _lock  # noqa: PLW0603  (one lock for the one store that fsspec has)
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_lock)


class MemoryFiles(Files):
    """Files below a folder of fsspec's memory filesystem, which the whole process shares."""

    can_claim = True
    is_shared = False

    def __init__(self, folder: str, **options: Any) -> None:
        self._folder = "/" + folder.strip("/")
        self._options = options
        self.url = f"memory:/{self._folder}"
        self._fs = MemoryFileSystem(**options)

    @property
    def fs(self) -> Any:
        return self._fs

    def below(self, folder: str) -> "MemoryFiles":
        return MemoryFiles(self._path(folder), **self._options)

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        with _lock:
            content: bytes = self._fs.cat_file(self._path(path), start=0, end=limit)
        return content

    def create(self, path: str, data: bytes) -> None:
        with _lock:
            self._fs.pipe_file(self._path(path), data)

    def claim(self, path: str, data: bytes) -> bool:
        with _lock:
            if self._fs.exists(self._path(path)):
                return False
            self._fs.pipe_file(self._path(path), data)
            return True

    def names(self, folder: str) -> list[str]:
        prefix = self._path(folder) + "/"
        with _lock:
            inside = [path[len(prefix) :] for path in self._fs.store if path.startswith(prefix)]
        return [name for name in inside if "/" not in name and not name.startswith(".")]

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        prefix, start = self._path(folder) + "/", len(self._path("")) + 1
        with _lock:
            found = [(path[start:], self.stat(path[start:])) for path in self._fs.store if path.startswith(prefix)]
        yield from found

    def stat(self, path: str) -> Stat:
        with _lock:
            info = self._fs.info(self._path(path))
            return Stat(size=info["size"], modified=self._fs.modified(self._path(path)).timestamp())

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            with _lock, contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(path))

    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:  # noqa: ARG002  (it is here)
        return io.BytesIO(self.read(path))

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        content = io.BytesIO()
        upload = Upload(content)
        yield upload
        if not upload.aborted:
            self.create(path, content.getvalue())

    def _path(self, path: str) -> str:
        return f"{self._folder.rstrip('/')}/{path}".rstrip("/")
