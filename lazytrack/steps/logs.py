"""What a step prints: shown as ever, and kept for it alone, though others print at the same time."""

import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator

from lazytrack.tracking.output import tee

_MOST = 5_000_000
"""Characters of one step that are kept."""
_kept: "contextvars.ContextVar[Log | None]" = contextvars.ContextVar("lazytrack log", default=None)
_lock = threading.Lock()
_listening: dict[int, tuple[object, Callable[[], None]]] = {}
"""What ends the listening, by stream; the stream is held so that its number is not used again."""
_listeners = 0


class Log:
    """What one step has printed."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        """Keep some more."""
        if self._size < _MOST:
            self._parts.append(text)
            self._size += len(text)

    def text(self) -> str:
        """Return all of it, without secrets."""
        if not self._parts:
            return ""
        from lazytrack.provenance.redact import redact  # noqa: PLC0415  (it takes longer to load than most steps)

        text = redact("".join(self._parts).encode("utf-8", "backslashreplace").decode())
        return text if self._size < _MOST else f"{text}\n[more was printed, and is not kept]\n"


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Have what is printed within the block reach the log of the step that prints it."""
    global _listeners  # noqa: PLW0603  (streams are the process's)
    with _lock:
        _listeners += 1
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and id(stream) not in _listening:
                _listening[id(stream)] = stream, tee(stream, _keep)
    try:
        yield
    finally:
        with _lock:
            _listeners -= 1
            if _listeners == 0:
                for _, restore in _listening.values():
                    restore()
                _listening.clear()


@contextlib.contextmanager
def keeping(log: Log | None) -> Iterator[None]:
    """Have what this thread or task prints within the block kept in a log; in none where that is None."""
    token = _kept.set(log)
    try:
        yield
    finally:
        _kept.reset(token)


def _keep(text: str) -> None:
    log = _kept.get()
    if log is not None:
        log.add(text)
