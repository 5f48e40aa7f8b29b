"""Autosave: a thread that saves an experiment while it runs, and when it is told to stop, and never raises into it."""

import contextlib
import enum
import importlib
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from lazytrack.errors import ReadOnlyError, RecordDeletedError
from lazytrack.provenance import capture

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment

DEFAULT_SECONDS = 30.0
HEARTBEAT_SECONDS = 300.0
"""An experiment that is saved by itself is heard of at least this often."""
_PATIENCE_SECONDS = 120.0
"""How long the end of a process waits for a storage to come back."""
_PATIENCE_WHEN_TERMINATED = 10.0
"""The same for a process that was told to end: whoever told it does not wait for long."""
_PAUSE_SECONDS = 2.0
"""Between two attempts then."""


class _Word(enum.Enum):
    """What a thread is told."""

    NOTHING = enum.auto()
    ENDED = enum.auto()
    PROCESS_ENDS = enum.auto()
    TERMINATED = enum.auto()


class Autosave(threading.Thread):
    """Saves what has changed in an experiment, again and again.

    A save that fails is warned of, once until one succeeds; what was to be saved is kept and tried again.

    Parameters
    ----------
    experiment
        Which one.
    seconds
        Between two saves.
    at_once
        Whether the first save is at the beginning, or after so many seconds.
    """

    def __init__(self, experiment: "Experiment", seconds: float, *, at_once: bool = True) -> None:
        # No daemon: those are gone before the last save at the end of a process is through.
        super().__init__(name=f"lazytrack autosave {experiment.slug}", daemon=False)
        self.seconds = min(seconds, HEARTBEAT_SECONDS)
        self._experiment = experiment
        self._inbox: queue.SimpleQueue[_Word] = queue.SimpleQueue()  # may be written to by a signal's handler
        self._heard = -math.inf
        self._failing = False
        self._may_succeed = True
        """Whether what failed was the storage, rather than something that cannot be written."""
        self._over = False
        self._at_once = at_once

    def start(self) -> None:
        """Begin."""
        _running.add(self)
        _prepare_process()
        super().start()

    def finish(self) -> None:
        """Save for the last time, and end. Where that fails, the thread goes on until it succeeds."""
        self._save()
        self.tell(_Word.ENDED)

    def tell(self, word: _Word) -> None:
        """Have the thread react to `word`."""
        self._inbox.put(word)

    def run(self) -> None:
        """Save until there is nothing more to come."""
        experiment, word, ended = self._experiment, _Word.NOTHING, False
        try:
            if not self._at_once:
                self._heard = time.monotonic()
                word = self._next()
            while not self._over:
                if word is _Word.PROCESS_ENDS:
                    if not self._save_within(_PATIENCE_SECONDS, first=experiment._end_with_process):
                        warn(f"the process ends, and what is not saved of {experiment.slug} is lost")
                    break
                if word is _Word.TERMINATED:
                    # A storage may hang for longer than whoever told the process to end waits.
                    patience = threading.Timer(_PATIENCE_WHEN_TERMINATED, _signals.is_saved, [self])
                    patience.daemon = True
                    patience.start()
                    self._save_within(_PATIENCE_WHEN_TERMINATED, first=experiment._stop)
                    patience.cancel()
                    _signals.is_saved(self)
                else:
                    ended = ended or word is _Word.ENDED
                    if self._save() and ended and not experiment.dirty:
                        break
                word = self._next()
        finally:
            _running.discard(self)
            _signals.is_saved(self)

    def _next(self) -> _Word:
        try:
            return self._inbox.get(timeout=self.seconds)
        except queue.Empty:
            return _Word.NOTHING

    def _save(self, first: Callable[[], None] | None = None) -> bool:
        """Save what has changed, or a sign of life; tell whether all is saved. `first` may change something."""
        experiment = self._experiment
        try:
            if first is not None:
                first()
            experiment._gather()
            with experiment._owner._saving():  # else a save comes between, after which a sign of life is a change again
                if experiment.dirty or time.monotonic() - self._heard >= HEARTBEAT_SECONDS - self.seconds:
                    experiment._beat()
                    experiment._owner._save(only=experiment)
                    self._heard = time.monotonic()
        except (RecordDeletedError, ReadOnlyError) as error:
            self._over = True
            warn(f"{experiment.slug} is saved no more: {error}")
        except Exception as error:  # noqa: BLE001  (whatever it is, training goes on)
            self._may_succeed = isinstance(error.__cause__ or error, OSError)
            if not self._failing:
                warn(f"{experiment.slug} could not be saved, all is kept and tried again: {error}")
            self._failing = True
            return False
        self._failing = False
        return True

    def _save_within(self, seconds: float, first: Callable[[], None]) -> bool:
        """Save, and where that fails try again for a while; tell whether all is saved."""
        until = time.monotonic() + seconds
        while not (saved := self._save(first)) and self._may_succeed and time.monotonic() < until:
            time.sleep(min(self.seconds, _PAUSE_SECONDS))
        return saved


def warn(message: str) -> None:
    """Warn, from a thread in which nobody could catch a warning that was made an error."""
    try:
        warnings.warn(message, UserWarning, stacklevel=2)
    except UserWarning:
        traceback.print_exc()


# --- the process ---

_running: set[Autosave] = set()
_watched: set[int] = set()
"""The process whose end is being waited for."""


def _prepare_process() -> None:
    """Have the threads told when this process ends or is terminated."""
    _signals.install()
    _exits.install()
    if os.getpid() not in _watched:
        _watched.clear()
        _watched.add(os.getpid())
        # What libraries of remote storages run in pools of threads, they cannot run any more once these are closed, and
        # that is the first thing the interpreter does at its end. What is registered later comes before it.
        with contextlib.suppress(RuntimeError):  # the end has begun
            importlib.import_module("concurrent.futures.thread")
            if (register := getattr(threading, "_register_atexit", None)) is not None:
                register(_end_before_pools)
        # Where other threads go on, the interpreter waits for them and for the savers, and these for this thread.
        threading.Thread(target=_await_end, name="lazytrack end of process", daemon=True).start()


class _Exits:
    """The code that a program leaves with by `sys.exit`: nothing else tells who comes afterwards."""

    def __init__(self) -> None:
        self._is_installed = False
        self.codes: list[Any] = []

    def install(self) -> None:
        """Listen from now on."""
        self.codes = []
        if not self._is_installed:
            self._is_installed, exit_before = True, sys.exit

            def exit(code: Any = None, /) -> NoReturn:  # noqa: A001
                if threading.current_thread() is threading.main_thread():
                    self.codes = [code]
                exit_before(code)

            sys.exit = exit


_exits = _Exits()


def what_ended_the_process() -> BaseException | None:
    """Return the exception that nobody caught, an exit included; None where the program came to its end."""
    if (error := getattr(sys, "last_value", None)) is not None:
        return error  # type: ignore[no-any-return]
    return SystemExit(*_exits.codes) if _exits.codes else None


def _others() -> list[threading.Thread]:
    """Return the threads that may go on logging when the main one has come to its end."""
    # The capture of where results come from logs nothing, and ends by itself.
    ours = (Autosave, capture.Capture)
    alive = [thread for thread in threading.enumerate() if not thread.daemon and not isinstance(thread, ours)]
    return [thread for thread in alive if thread is not threading.main_thread()]


def _end_before_pools() -> None:
    if not _others():
        for autosave in _tell_all(_Word.PROCESS_ENDS):
            autosave.join()


def _await_end() -> None:
    threading.main_thread().join()
    while others := _others():
        others[0].join()
    _tell_all(_Word.PROCESS_ENDS)


def _tell_all(word: _Word) -> list[Autosave]:
    running = list(_running)
    for autosave in running:
        autosave.tell(word)
    return running


class _Signals:
    """The end of a process by SIGTERM: the threads save, then whoever would have had the signal gets it.

    The handler runs in the main thread, between any two of its steps, where that may hold any lock. So it only tells
    the threads, and the last of them that has saved sends the signal again.
    """

    def __init__(self) -> None:
        self._previous: Any = None
        self._waiting: set[Autosave] = set()
        self._stopping = False
        self._lock = threading.Lock()

    def install(self) -> None:
        """Take over the signal, where this is the main thread, and somebody would take it."""
        if self._previous is None and threading.current_thread() is threading.main_thread():
            present = signal.getsignal(signal.SIGTERM)
            if present not in {None, signal.SIG_IGN}:
                self._previous = present
                signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping and _running:
            self._stopping = True
            self._waiting = set(_running)
            self._waiting.intersection_update(_running)  # one may have come to its end in between
            for autosave in list(self._waiting):
                autosave.tell(_Word.TERMINATED)
            if self._waiting:
                return
        self._stopping = False  # saved, or told a second time, which is to be obeyed at once
        if callable(self._previous):
            self._previous(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def is_saved(self, autosave: Autosave) -> None:
        """Take note that a thread has saved; after the last one the process gets its signal."""
        with self._lock:
            if autosave not in self._waiting:
                return
            self._waiting.discard(autosave)
            if self._waiting or not self._stopping:
                return
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        else:
            signal.raise_signal(signal.SIGTERM)

    def reset(self) -> None:
        """Begin anew in a forked child, where the threads do not exist."""
        self._waiting, self._stopping, self._lock = set(), False, threading.Lock()


_signals = _Signals()


def _forget() -> None:
    _running.clear()
    _watched.clear()
    _signals.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
