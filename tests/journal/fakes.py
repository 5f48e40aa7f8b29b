"""A storage in memory whose clock and faults a test controls, and which notes every call."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from lazytrack.files import Files, Stat, Upload


class FakeFiles(Files):
    """Files in a dict of folders. `now` is the storage's clock, which stands still unless a test moves it."""

    url = "fake://store"
    can_claim = True

    def __init__(self):
        self.folders: dict[str, dict[str, tuple[bytes, float]]] = {}
        self.now = 1_000_000.0
        self.calls: list[tuple[str, str]] = []
        self.bytes_read = 0
        self.broken: dict[str, OSError] = {}
        """Verbs, or `verb path`, with the error they raise."""

    def paths(self, folder):
        return sorted(f"{folder}/{name}" for name in self.folders.get(folder, ()))

    def put(self, path, data):
        """Place a file without anybody noticing."""
        folder, _, name = path.rpartition("/")
        self.folders.setdefault(folder, {})[name] = (data, self.now)

    def take(self, path):
        """Remove a file without anybody noticing, and return its content."""
        folder, _, name = path.rpartition("/")
        return self.folders[folder].pop(name)[0]

    def did(self, verb):
        """Return the paths that `verb` was called with, in order."""
        return [path for done, path in self.calls if done == verb]

    def count_anew(self):
        """Start counting anew."""
        self.calls.clear()
        self.bytes_read = 0

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        self._note("read", path)
        data = self._file(path)[0][:limit]
        self.bytes_read += len(data)
        return data

    def create(self, path: str, data: bytes) -> None:
        self._note("create", path)
        self.put(path, data)

    def claim(self, path: str, data: bytes) -> bool:
        self._note("claim", path)
        folder, _, name = path.rpartition("/")
        if name in self.folders.get(folder, ()):
            return False
        self.put(path, data)
        return True

    def names(self, folder: str) -> list[str]:
        self._note("names", folder)
        return list(self.folders.get(folder, ()))

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        raise NotImplementedError

    def stat(self, path: str) -> Stat:
        self._note("stat", path)
        data, modified = self._file(path)
        return Stat(size=len(data), modified=modified)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._note("remove", path)
            folder, _, name = path.rpartition("/")
            self.folders.get(folder, {}).pop(name, None)

    @property
    def fs(self) -> Any:
        raise NotImplementedError

    def below(self, folder: str) -> Files:
        raise NotImplementedError

    def open_read(self, path: str) -> BinaryIO:
        raise NotImplementedError

    def open_write(self, path: str) -> AbstractContextManager[Upload]:
        raise NotImplementedError

    def _note(self, verb, path):
        self.calls.append((verb, path))
        for broken in (verb, f"{verb} {path}"):
            if broken in self.broken:
                raise self.broken[broken]

    def _file(self, path):
        folder, _, name = path.rpartition("/")
        try:
            return self.folders[folder][name]
        except KeyError:
            raise FileNotFoundError(path) from None
