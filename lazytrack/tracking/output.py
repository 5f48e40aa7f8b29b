"""Captured output: what a run prints is shown as ever, and kept as text artifacts."""

import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment

_PART = 64_000
"""Characters after which a further artifact begins: a save that has a line more does not write all of it again."""
_MOST = 8_000_000
"""Characters that are kept of what a run prints first; of what follows, the last `_TAIL` are."""
_TAIL = 1_000_000
_LEFT_OUT = "[... {count:,} characters are left out here ...]\n"

_LINE_ENDS = "\n\r "
"""Where to begin a further artifact, best first. What shows how far it has come ends its lines without a line feed."""
_KEY_BEGINS, _KEY_ENDS = "-----BEGIN ", "-----END "


class Capture:
    """Keeps what Python code writes to stdout and stderr.

    What other languages' code and other processes write is shown and not kept.

    Parameters
    ----------
    experiment
        Whose artifacts ``output``, ``output-2`` and so on hold it; of one that attached, ``output-rank3``.
    """

    def __init__(self, experiment: "Experiment") -> None:
        from lazytrack.provenance.redact import redact  # noqa: PLC0415  (only where output is kept)

        self._experiment = experiment
        self._redact = redact
        self._new: deque[str] = deque()
        self._waiting = 0
        """Characters in it, about: threads that write at once may miss each other's."""
        self._dropping = threading.Lock()
        self._dropped = 0
        """Characters that came and went since the last save."""
        self._part = ""
        self._size = 0
        """Characters of the parts before it."""
        self._left_out = 0
        """Characters between these and the last one, which has the end."""
        self._name: str | None = None
        self._restore: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin to keep what is written."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # a program without a console has none
                self._restore.append(tee(stream, self.take))

    def take(self, text: str) -> None:
        """Keep what something has written and shown."""
        self._new.append(text)
        self._waiting += len(text)
        # Nobody waits for a lock here: it may be a signal's handler that prints.
        if self._waiting > 2 * _MOST and self._dropping.acquire(blocking=False):
            try:
                while self._waiting > _MOST and len(self._new) > 1:
                    size = len(self._new.popleft())
                    self._waiting -= size
                    self._dropped += size
            finally:
                self._dropping.release()

    def stop(self) -> None:
        """Keep nothing more than there is."""
        self.let_go()
        self.pull()

    def let_go(self) -> None:
        """Leave the streams as they were."""
        for restore in self._restore:
            restore()
        self._restore = []

    def pull(self) -> None:
        """Make what was written since the last time part of the experiment, to be saved."""
        experiment = self._experiment
        with experiment._ledger.lock:
            text = self._taken()
            if not text or experiment._ledger.refusal is not None:
                return
            self._part += text
            begin = 0
            while self._size < _MOST and len(self._part) - begin > _PART:
                end = _end_of_part(self._part, begin)
                self._log(self._part[begin:end])
                self._size += end - begin
                self._name, begin = None, end
            if self._size >= _MOST and len(self._part) - begin > _TAIL:
                end = _begin_after(self._part, len(self._part) - _TAIL)
                self._left_out += end - begin
                begin = end
            self._part = self._part[begin:]
            self._log((_LEFT_OUT.format(count=self._left_out) if self._left_out else "") + self._part)

    def _taken(self) -> str:
        """Return what was written since the last time."""
        with self._dropping:
            pieces = [self._new.popleft() for _ in range(len(self._new))]  # other threads go on writing
            self._waiting, dropped, self._dropped = 0, self._dropped, 0
        text = "".join(pieces).encode("utf-8", "backslashreplace").decode()
        if dropped:
            begin = _begin_after(text, 0)
            text = _LEFT_OUT.format(count=dropped + begin) + text[begin:]
        return text

    def _log(self, part: str) -> None:
        """Log a part, without secrets. It is whole each time, as a secret may have come in pieces."""
        if self._name is None:
            self._name = self._free_name()
        self._experiment.log_artifact(self._name, self._redact(part), "text", fname="output.txt", overwrite=True)

    def _free_name(self) -> str:
        experiment, base, number = self._experiment, "output", 1
        if experiment._is_attached:  # others may be printing now, of whom nothing is known here
            base = f"output-{experiment._writer.id}" if experiment.rank is None else f"output-rank{experiment.rank}"
        taken = {artifact.name for artifact in self._experiment.artifacts}
        name = base
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        return name


def capture_for(experiment: "Experiment") -> Capture:
    """Return what keeps for an experiment that saves itself what something else shows; each save takes it in."""
    kept = Capture(experiment)
    if experiment._companions is not None:
        experiment._companions.capture = kept
    return kept


def _end_of_part(text: str, begin: int) -> int:
    """Return where a part ends that begins somewhere: not within a line, nor within a private key."""
    half, most = begin + _PART // 2, begin + _PART
    ends = (text.rfind(sign, half, most) + 1 for sign in _LINE_ENDS)
    end = next(filter(None, ends), most)
    key = text.rfind(_KEY_BEGINS, half, end)
    return key if key >= 0 and text.find(_KEY_ENDS, key, end) < 0 else end


def _begin_after(text: str, begin: int) -> int:
    """Return where text goes on of which the beginning is left out: not within a line, nor within a private key."""
    line = text.find("\n", begin) + 1 or begin
    key_ends, key_begins = text.find(_KEY_ENDS, line), text.find(_KEY_BEGINS, line)
    if key_ends < 0 or 0 <= key_begins < key_ends:
        return line
    return text.find("\n", key_ends) + 1 or len(text)


def tee(stream: Any, keep: Callable[[str], object]) -> Callable[[], None]:
    """Have what is written to a stream given to `keep` too; return what ends that.

    The stream stays the object it is, because loggers and notebooks hold on to it.
    """
    write, active = stream.write, True
    was_changed = "write" in getattr(stream, "__dict__", {})

    def write_and_keep(text: str) -> Any:
        result = write(text)
        if active:
            keep(str(text))
        return result

    def restore() -> None:
        nonlocal active
        active = False
        if stream.write is write_and_keep:  # somebody else may have come after, and must not be undone
            if was_changed:
                stream.write = write
            else:
                del stream.write

    try:
        stream.write = write_and_keep
    except AttributeError:
        warnings.warn(
            f"what is written to {type(stream).__name__} is shown and not kept: its write cannot be replaced",
            UserWarning,
            stacklevel=6,
        )
        return lambda: None
    return restore
