"""The one capture of a process: begun in the background, and shared by all that the process logs."""

import contextlib
import importlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import codec
from lazytrack.provenance import kept
from lazytrack.provenance.kept import Shared

if TYPE_CHECKING:
    from lazytrack.provenance.metadata import EnvironmentMetadata, PlatformMetadata
    from lazytrack.provenance.patch import Diff

SWITCH = "LAZYTRACK_PROVENANCE"
"""The environment variable that turns it off when it is ``0``."""
PATIENCE_SECONDS = 1.0
"""How long the first save of a process waits for it."""
DEADLINE_SECONDS = 15.0
"""How long all programs together may take that are asked; a process that ends waits for them."""
_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Snapshot:
    """What a process runs on, with and from.

    Parameters
    ----------
    platform, environment
        The machine, and the environment with the git checkout.
    diff
        What is not committed there; None where that is nothing, or not known.
    """

    platform: "PlatformMetadata"
    environment: "EnvironmentMetadata"
    diff: "Diff | None"


@attrs.frozen(kw_only=True)
class Origin:
    """What records say of a snapshot.

    Parameters
    ----------
    fields
        Of the record: digests of what is shared, and what is of this run.
    shared
        What many runs share, in files of their own.
    diff
        What is not committed, as text; None where that is nothing.
    """

    fields: dict[str, Any]
    shared: tuple[Shared, ...]
    diff: str | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Origin":
        """Return what records say of a snapshot."""
        fields: dict[str, Any] = {}
        shared = []
        for kind in kept.KINDS:
            file, own = kept.divide(kind, codec.converter.unstructure(getattr(snapshot, kind)))
            fields |= {kind: file.digest, **own}
            shared.append(file)
        diff, patch = snapshot.diff, None
        if diff is not None:
            patch = diff.patch.decode("utf-8", "backslashreplace")
            left_out = [codec.converter.unstructure(file) for file in diff.left_out]
            doubts = {"redacted": diff.redacted_hunks, "left_out": left_out, "unnamed": diff.unnamed}
            if not _is_text(diff.patch):
                doubts["not_text"] = True
            if said := {key: value for key, value in doubts.items() if value}:
                fields["uncommitted"] = said
        return cls(fields=fields, shared=tuple(shared), diff=patch or None)


def _is_text(patch: bytes) -> bool:
    try:
        patch.decode()
    except UnicodeDecodeError:
        return False
    return True


class Capture(threading.Thread):
    """Takes the snapshot. No daemon: what is saved before it is done gets it at the end of the process."""

    def __init__(self) -> None:
        super().__init__(name="lazytrack provenance", daemon=False)
        self.folder = os.getcwd()  # noqa: PTH109  (a text: `pathlib` costs more than the call)
        self.origin: Origin | None = None
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._was_waited_for = False

    def run(self) -> None:
        """Take the snapshot, and tell who waits for it."""
        # What libraries of remote storages run in pools of threads, they cannot run any more once these are closed, and
        # that is the first thing the interpreter does at its end. What is registered later comes before it.
        with contextlib.suppress(RuntimeError):  # the end has begun
            _load("concurrent.futures.thread")
            if (register := getattr(threading, "_register_atexit", None)) is not None:
                register(self.join)
        try:
            _load(*(f"lazytrack.provenance.{room}" for room in _ROOMS))
            self.origin = Origin.of(take(self.folder))
        except Exception:  # noqa: BLE001  (no machine is so strange that a run may fail for it)
            _log.debug("nothing is known of this process's environment", exc_info=True)
        with self._lock:
            self._done.set()
            waiting, self._waiting = self._waiting, []
        for tell in waiting:
            self._tell(tell)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self._done.is_set()

    def wait(self) -> Origin | None:
        """Wait for a moment, but once, and return what records say of it; None where it is not taken, or cannot be."""
        if not self._was_waited_for:
            self._was_waited_for = True
            self._done.wait(PATIENCE_SECONDS)
        return self.origin

    def result(self) -> Origin | None:
        """Wait until it is taken, and return what records say of it; None where it cannot be."""
        self._done.wait(DEADLINE_SECONDS)
        return self.origin

    def when_done(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, by another thread, once the snapshot is taken."""
        with self._lock:
            if not self._done.is_set():
                self._waiting.append(tell)
                return
        self._tell(tell)

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:  # noqa: BLE001  (what was saved is saved; this is only where it came from)
            _log.warning("where a result comes from could not be saved", exc_info=True)


def take(folder: str) -> Snapshot:
    """Take a snapshot now."""
    # Loaded by the thread that needs them: they take longer to load than a whole experiment to save.
    from pathlib import Path  # noqa: PLC0415

    from lazytrack.provenance import environment, git, probing, script  # noqa: PLC0415
    from lazytrack.provenance.metadata import EnvironmentMetadata, PlatformMetadata  # noqa: PLC0415

    probing.give_up_after(DEADLINE_SECONDS)
    program = probing.ask("the program", script.path)
    found, diff = git.look(folder, program=program)
    here = Path(folder)  # the program may have gone elsewhere since
    with_what = EnvironmentMetadata(
        git=found,
        root=probing.ask("the root", lambda: environment.root(here, program)),
        lock_files=probing.ask("the lock files", lambda: environment.lock_files(here, program)),
    )
    return Snapshot(platform=PlatformMetadata(), environment=with_what, diff=diff)


def _load(*names: str) -> None:
    """Import modules, so that no process is forked in the middle of it.

    A child inherits the lock of each module that another thread is importing, and would wait for it for ever.
    """
    with _loading:
        for name in names:
            importlib.import_module(name)


_capture: Capture | None = None
_lock = threading.Lock()
_loading = threading.Lock()
_ROOMS = ("git", "environment", "platform", "metadata")
_PATIENCE_OF_FORKS = 5.0
_is_held = False
"""Whether a fork that is under way keeps the capture from importing."""


def _hold() -> None:
    global _is_held  # noqa: PLW0603
    _is_held = _loading.acquire(timeout=_PATIENCE_OF_FORKS)


def _let_go() -> None:
    global _is_held  # noqa: PLW0603
    if _is_held:
        _is_held = False
        _loading.release()


def begin() -> Capture | None:
    """Begin the capture of this process, if it has not begun, and return it; None where it is turned off."""
    global _capture  # noqa: PLW0603  (a process has one environment)
    if os.environ.get(SWITCH, "1") == "0":
        return None
    if _capture is not None:
        return _capture
    with _lock:
        if _capture is None:
            try:
                capture = Capture()
                capture.start()
            except (OSError, RuntimeError) as error:  # the working folder is gone; the interpreter ends
                _log.debug("nothing is known of this process's environment: %s", error)
                return None
            _capture = capture
    return _capture


def _forget() -> None:
    """Begin anew in a forked child, where the thread does not exist; what it has taken holds there too."""
    global _capture, _lock, _loading, _is_held  # noqa: PLW0603
    _lock, _loading, _is_held = threading.Lock(), threading.Lock(), False
    if _capture is not None and _capture.origin is None:
        _capture = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_forget)
