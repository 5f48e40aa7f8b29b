"""Transfers that happen at once: what is slow about many small files is waiting for an answer to each."""

import collections
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from lazytrack.files.base import Files
from lazytrack.progress import Progress

_WAITING_BYTES = 32 * 2**20
"""So much may wait in memory for its turn."""


def threads_for(*places: Files) -> int:
    """Return how many files are best copied at once between places: as many as the slowest that is elsewhere takes."""
    return min((files.together for files in places if files.is_elsewhere), default=1)


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
        self.begun: dict[str, Future[Any]] = {}
        """What sends a file, by its path."""
        self.paths: dict[str, str] = {}
        """Where a file of some content is being sent to, by its digest."""
        self.together: dict[str, list[Any]] = {}
        """What else has to be there with a file, by its path."""
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
        future: Future[Any] = Future()
        run = _once(work, future)
        if self._pool is None:
            run()
            return future
        self._waiting.append((future, size))
        self._size += size
        try:
            self._pool.submit(run)
        except RuntimeError:  # the interpreter ends, or the system is full, and no thread begins any more
            run()
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)
        for future, _ in self._waiting:
            future.cancel()


def _once(work: Callable[[], Any], future: "Future[Any]") -> Callable[[], None]:
    """Return what does the work where nobody else does it already."""
    is_taken = threading.Lock()

    def run() -> None:
        if is_taken.acquire(blocking=False):
            try:
                result = work()
            except Exception as error:  # noqa: BLE001  (who asks for the outcome hears of it)
                _clear(error)
                future.set_exception(error)
            else:
                future.set_result(result)

    return run


def _clear(error: BaseException | None) -> None:
    """Drop what the frames of an error hold, which may be all that was to be sent."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
