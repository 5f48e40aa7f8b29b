"""Transfers that happen at once: what is slow about many small files is waiting for an answer to each."""

import collections
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from lazytrack.progress import Progress

_WAITING_BYTES = 32 * 2**20
"""So much may wait in memory for its turn."""


class Sending:
    """Work on files that other threads do, while this one prepares what comes next.

    Parameters
    ----------
    threads
        How many; with one, work is done where it is given.
    progress
        Told of what has passed.
    """

    def __init__(self, threads: int, progress: Progress) -> None:
        self.progress = progress
        self._pool = ThreadPoolExecutor(threads, "lazytrack-files") if threads > 1 else None
        self._waiting: collections.deque[tuple[Future[Any], int]] = collections.deque()
        self._size = 0

    def submit(self, work: Callable[[], Any], *, size: int = 0) -> "Future[Any]":
        """Have something done soon, and return what will know its outcome.

        Parameters
        ----------
        size
            Bytes that it keeps in memory until it is done. Where much waits already, this waits first.
        """
        while self._waiting and (self._size + size > _WAITING_BYTES or self._waiting[0][0].done()):
            before, its_size = self._waiting.popleft()
            before.exception()
            self._size -= its_size
        if self._pool is not None:
            with contextlib.suppress(RuntimeError):  # the interpreter ends, and no thread begins any more
                future = self._pool.submit(work)
                self._waiting.append((future, size))
                self._size += size
                return future
        return _done_here(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)


def _done_here(work: Callable[[], Any]) -> "Future[Any]":
    future: Future[Any] = Future()
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001  (who asks for the outcome hears of it)
        future.set_exception(error)
    return future
