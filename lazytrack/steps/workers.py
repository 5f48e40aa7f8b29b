"""Processes that run steps for this one, one step at a time each, and that end with it."""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from typing import IO

from lazytrack.errors import WorkerLost
from lazytrack.steps.environment import outside

PARCEL, ANSWER, STDOUT, STDERR = b"task", b"said", b"out.", b"err."
"""What a frame holds: a step to run, how it went, what was printed."""
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); from lazytrack.steps.working import main; main()"
)
"""Finds modules where this process does, and none in the working folder that are called as Python's are."""
_HEAD = struct.Struct(">4sQ")


def write_frame(stream: IO[bytes], kind: bytes, content: bytes) -> None:
    """Send some bytes, so that the other side knows what they are and where they end."""
    stream.write(_HEAD.pack(kind, len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """Return what kind of bytes the other side has sent, and these; None when it is gone."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, size = _HEAD.unpack(head)
    content = stream.read(size)
    return (kind, content) if len(content) == size else None


class Worker:
    """A process that runs steps; one at a time.

    It has no terminal of its own, so an interrupt reaches this process alone; and it ends, with all that it has
    started, when this process does, however that happens.

    Parameters
    ----------
    variables
        Of its environment, besides those of this process.
    """

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        path = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100  (paths are strings here)
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**outside(), **(variables or {})},
            start_new_session=True,
        )
        _all.add(self)

    def run(self, parcel: bytes) -> bytes:
        """Have a step run, and return how it went, as bytes; see `lazytrack.steps.envelope`.

        What it prints is printed here.

        Raises
        ------
        WorkerLost
            When the process died before it said so.
        """
        there, back = self._process.stdin, self._process.stdout
        if there is None or back is None:  # for mypy: both are pipes
            raise WorkerLost("the process has no pipes")
        with contextlib.suppress(BrokenPipeError):  # then there is nothing to read either
            write_frame(there, PARCEL, parcel)
        while (frame := read_frame(back)) is not None:
            match frame:
                case (b"out.", text):
                    _show(sys.stdout, text)
                case (b"err.", text):
                    _show(sys.stderr, text)
                case (_, answer):
                    return answer
        code = self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise WorkerLost(f"the process of the step died with {how} before it said how the step went")

    def kill(self) -> None:
        """End the process, and all that it has started; whoever waits for its step is told that it is lost."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it is gone
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def let_go(self) -> None:
        """Have a forked child of this process hold no end of what a worker is spoken to through."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    os.close(pipe.fileno())

    def close(self) -> None:
        """End the process, and give back what it was spoken to through."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what is not sent has nobody to read it
                    pipe.close()


_all: "weakref.WeakSet[Worker]" = weakref.WeakSet()


def _let_go() -> None:
    for worker in list(_all):
        with contextlib.suppress(ValueError):  # it is closed
            worker.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def run_alone(parcel: bytes, variables: Mapping[str, str]) -> bytes:
    """Run one step in a process of its own, which ends with it; for what is raised see `Worker.run`."""
    worker = Worker(variables)
    try:
        return worker.run(parcel)
    finally:
        worker.close()


class Workers:
    """Processes that are begun as they are needed, and kept for the next step.

    It is for who calls it not to have more steps run at the same time than there shall be processes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: set[Worker] = set()
        self._idle: list[Worker] = []
        self._is_over = False

    def run(self, parcel: bytes) -> bytes:
        """Have a step run by one of them; for what is raised see `Worker.run`."""
        worker = self._taken()
        try:
            answer = worker.run(parcel)
        except BaseException:
            with self._lock:
                self._all.discard(worker)
            worker.close()
            raise
        with self._lock:
            self._idle.append(worker)
        return answer

    def _taken(self) -> Worker:
        with self._lock:
            if self._is_over:
                raise WorkerLost("the run was stopped, and the processes of its steps with it")
            if self._idle:
                return self._idle.pop()
            worker = Worker()
            self._all.add(worker)
            return worker

    def cancel(self) -> None:
        """End those that run a step, which is lost."""
        with self._lock:
            busy = self._all.difference(self._idle)
        for worker in busy:
            worker.kill()

    def close(self) -> None:
        """End all of them, whatever they do; a step that runs is lost."""
        with self._lock:
            self._is_over = True
            workers, self._all = self._all, set()
        for worker in workers:
            worker.close()


def _show(stream: IO[str] | None, text: bytes) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.write(text.decode("utf-8", "surrogatepass"))
            stream.flush()
