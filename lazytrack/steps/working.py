"""The program of a process that runs steps for another one, and ends when that does."""

import functools
import io
import os
import queue
import signal
import sys
import threading
from typing import IO, Any

from lazytrack.steps.workers import ANSWER, STDERR, STDOUT, read_frame, write_frame

_lock = threading.Lock()


def main() -> None:
    """Run what is sent to the standard input, and say on the standard output how it went, step by step."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # A step finds nothing to read, and what programs print that it starts is not taken for an answer.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if hasattr(os, "register_at_fork"):  # children that a step forks have no part in this
        for pipe in (incoming, outgoing):
            os.register_at_fork(after_in_child=functools.partial(os.close, pipe.fileno()))
    sys.stdout, sys.stderr = relays = _Relay(outgoing, STDOUT), _Relay(outgoing, STDERR)
    parcels: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(incoming, parcels), name="lazytrack steps", daemon=True).start()
    from lazytrack.steps.envelope import answer  # noqa: PLC0415  (what comes first is how it ends)

    process = os.getpid()
    while True:
        content = answer(parcels.get())
        if os.getpid() != process:
            os._exit(0)
        for relay in relays:
            relay.finish()
        with _lock:
            write_frame(outgoing, ANSWER, content)


def _receive(incoming: IO[bytes], parcels: "queue.SimpleQueue[bytes]") -> None:
    """Take in what there is to run; when who sends it is gone, end, with all that steps have started."""
    while (frame := read_frame(incoming)) is not None:
        parcels.put(frame[1])
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


class _Relay(io.TextIOBase):
    """What is printed here is shown by who has the step run: whole lines, as others print there too.

    What shows how far it has come by writing its line again and again is shown when it ends.
    """

    encoding = "utf-8"

    def __init__(self, outgoing: IO[bytes], kind: bytes) -> None:
        self._outgoing, self._kind, self._process = outgoing, kind, os.getpid()
        self._line = ""

    @property
    def buffer(self) -> "_Bytes":
        """What takes bytes."""
        return _Bytes(self)

    def writable(self) -> bool:
        """Tell that one can write here."""
        return True

    def fileno(self) -> int:
        """Return what a program that a step starts may print to."""
        return 2

    def write(self, text: str) -> int:
        """Send whole lines, and keep a part of one."""
        with _lock:
            whole, end, self._line = (self._line + text).rpartition("\n")
            self._send(whole + end)
        return len(text)

    def flush(self) -> None:
        """Send what there is of a line, unless it is one that is written again and again."""
        if "\r" not in self._line:
            self.finish()

    def finish(self) -> None:
        """Send what there is of a line."""
        with _lock:
            text, self._line = self._line, ""
            self._send(text)

    def _send(self, text: str) -> None:
        content = text.encode("utf-8", "surrogatepass")
        if text and os.getpid() == self._process:
            write_frame(self._outgoing, self._kind, content)
        elif text:
            os.write(2, content)


class _Bytes(io.RawIOBase):
    """What is written here as bytes is shown as text."""

    def __init__(self, relay: _Relay) -> None:
        self._relay = relay

    def writable(self) -> bool:
        """Tell that one can write here."""
        return True

    def write(self, content: Any) -> int:
        """Show bytes."""
        self._relay.write(bytes(content).decode("utf-8", "backslashreplace"))
        return len(content)

    def flush(self) -> None:
        """Send what there is of a line."""
        self._relay.flush()
