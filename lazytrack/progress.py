"""A bar on a terminal, for transfers that somebody waits for longer than a moment."""

import contextlib
import logging
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

_PATIENCE = 1.0
"""Seconds that pass before there is anything to see."""
SWITCH = "LAZYTRACK_PROGRESS"
"""The environment variable that turns it off when it is ``0``."""
_log = logging.getLogger(__name__)


class Progress:
    """How far a transfer has come; seen only on a terminal, by the main thread, after a second, until it ends.

    ``LAZYTRACK_PROGRESS=0`` turns it off.

    Parameters
    ----------
    what
        Is being done, such as ``loading model``.
    files
        How many there are; None where that is not known, or does not matter.
    size
        In bytes, of all of them; None where that is not known.
    """

    def __init__(self, what: str, *, files: int | None = None, size: int | None = None) -> None:
        self._what, self._files, self._size = what, files, size
        self._files_done = self._bytes_done = 0
        self._lock = threading.Lock()
        self._bar: Any = None
        self._task: Any = None
        self._begun = time.monotonic()
        self._is_seen = (
            threading.current_thread() is threading.main_thread()
            and os.environ.get(SWITCH, "1") != "0"
            and is_terminal(sys.stderr)
        )

    def add_bytes(self, count: int) -> None:
        """Take note that so many bytes more have come over. Any thread may say so."""
        self._add(0, count)

    def add_file(self) -> None:
        """Take note that one file more is done. Any thread may say so."""
        self._add(1, 0)

    def _add(self, files: int, size: int) -> None:
        if not self._is_seen:
            return
        with self._lock:
            self._files_done += files
            self._bytes_done += size
            try:
                if self._bar is None and time.monotonic() - self._begun > _PATIENCE:
                    self._show()
                if self._bar is not None:
                    self._bar.update(self._task, completed=self._completed(), told=self._told())
            except Exception:  # noqa: BLE001  (what is shown must not stop what is done)
                _log.debug("no progress can be shown", exc_info=True)
                self._is_seen = False

    def _show(self) -> None:
        import rich.console  # noqa: PLC0415  (only where there is something to see)
        import rich.progress as bars  # noqa: PLC0415

        told = bars.TextColumn("{task.fields[told]}")
        columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), told, bars.TimeRemainingColumn())
        bar = bars.Progress(*columns, console=rich.console.Console(file=sys.stderr), transient=True)
        total = self._size if self._size is not None else self._files
        self._task = bar.add_task(self._what, total=total, told="")
        bar.start()
        self._bar = bar

    def _completed(self) -> int:
        return self._bytes_done if self._size is not None else self._files_done

    def _told(self) -> str:
        told = []
        if self._files is not None:
            told.append(f"{self._files_done}/{self._files} files")
        if self._bytes_done:
            whole = f"/{self._size / 1e6:.1f}" if self._size is not None else ""
            told.append(f"{self._bytes_done / 1e6:.1f}{whole} MB")
        return ", ".join(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_seen = False
            bar, self._bar = self._bar, None
            if bar is not None:
                with contextlib.suppress(Exception):  # what is shown must not stop what is done
                    bar.stop()


def is_terminal(stream: Any) -> bool:
    """Tell whether somebody looks at a stream, which any object may stand for, and nothing else is drawn there."""
    try:
        return stream.isatty() and not type(stream).__module__.startswith("rich.")
    except Exception:  # noqa: BLE001  (it is closed, or knows only how to write)
        return False
