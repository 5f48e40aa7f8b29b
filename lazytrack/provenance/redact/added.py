"""What users add to what is recognised, and can take away again, while other threads redact."""

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Added(Generic[Entry]):
    """Some entries, which are replaced as a whole: who goes through them needs no lock."""

    def __init__(self) -> None:
        self._entries: dict[object, Entry] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: Entry) -> Callable[[], None]:
        """Add `entry`; return what takes it away, and it alone, where it was added twice."""
        key = object()
        with self._lock:
            self._entries = {**self._entries, key: entry}

        def forget() -> None:
            with self._lock:
                self._entries = {other: kept for other, kept in self._entries.items() if other is not key}

        return forget
