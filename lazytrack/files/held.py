"""Files that are in no folder: this process holds their content, or knows what opens it."""

import contextlib
import errno
import io
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import BinaryIO

from lazytrack.files.base import Files, Stat, Upload

Content = bytes | Callable[[], BinaryIO]
"""The bytes of a file, or what opens it for reading."""


class HeldFiles(Files):
    """Files by their paths: those of an export, or of a store that is only a view of something else.

    Parameters
    ----------
    url
        What errors call the folder.
    held
        Content by path. What is created is put there; nothing is replaced or removed.
    """

    can_claim = False
    is_shared = False
    absent = "is not in this export"

    def __init__(self, url: str, held: MutableMapping[str, Content]) -> None:
        self.url = url
        self._held = held

    @property
    def fs(self) -> None:
        """None: no filesystem has them."""

    def below(self, folder: str) -> "HeldFiles":
        start = f"{folder}/"
        return HeldFiles(
            f"{self.url}/{folder}",
            {path[len(start) :]: content for path, content in self._held.items() if path.startswith(start)},
        )

    def read(self, path: str, *, limit: int | None = None) -> bytes:
        with self.open_read(path) as file:
            return file.read() if limit is None else file.read(limit)

    def create(self, path: str, data: bytes) -> None:
        self._held[path] = data

    def claim(self, path: str, data: bytes) -> bool:  # noqa: ARG002  (nobody else is here)
        raise io.UnsupportedOperation(f"no names are claimed in {self.url}")

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        inside = [path[len(start) :] for path in self._held if path.startswith(start)]
        return [name for name in inside if "/" not in name and name[:1] not in {"", "."}]

    def walk(self, folder: str = "") -> Iterator[tuple[str, Stat]]:
        start = f"{folder}/" if folder else ""
        for path in [path for path in self._held if path.startswith(start)]:
            yield path, self.stat(path)

    def stat(self, path: str) -> Stat:
        with self.open_read(path) as file:
            return Stat(size=file.seek(0, io.SEEK_END), modified=0)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            raise self._refusal(path)

    def open_read(self, path: str, *, told: Callable[[int], None] | None = None) -> BinaryIO:  # noqa: ARG002  (it is here)
        content = self._held.get(path)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", f"{self.url}/{path}")
        return io.BytesIO(content) if isinstance(content, bytes) else content()

    @contextlib.contextmanager
    def open_write(self, path: str) -> Iterator[Upload]:
        raise self._refusal(path)
        yield

    def _refusal(self, path: str) -> OSError:
        return OSError(errno.EROFS, "it is only read", f"{self.url}/{path}")
