"""Steps in processes of this machine, of another interpreter or virtual environment where that is wanted."""

import abc
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any, ClassVar

from pydantic import Field

from lazytrack import naming
from lazytrack.errors import StepInterfaceError, WorkerLost
from lazytrack.step_operators.base_step_operator import BaseStepOperatorConfig, BaseStepOperatorFlavor
from lazytrack.step_operators.jobs import JobState, JobStatus, JobStepOperator
from lazytrack.step_operators.step_run_info import StepRunInfo
from lazytrack.step_operators.streams import Shown

LIFELINE = "lazytrack.step_operators.lifeline"
_GLANCE_SECONDS = 0.2
_PATIENCE_SECONDS = 2.0
"""For output that something holds open which a step has left running."""


def ended_with(code: int) -> JobStatus:
    """Return what the exit code of a program says; negative is a signal, as `subprocess` tells it."""
    if code == 0:
        return JobStatus(JobState.SUCCEEDED, exit_code=0)
    if code < 0:
        name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
        return JobStatus(JobState.LOST, f"its process was ended by {name}")
    return JobStatus(JobState.FAILED, f"its process ended with exit code {code}", exit_code=code)


class SubprocessStepOperatorConfig(BaseStepOperatorConfig):
    """How processes are begun.

    Parameters
    ----------
    python
        The interpreter, such as ``/envs/torch/bin/python``; by default this process's own. lazytrack, and whatever the
        step imports, has to be installed there.
    directory
        The working folder; by default this process's own.
    show_output
        Whether what they print is shown here.
    at_once
        How many there are at the same time; by default as many as this machine has processors.
    """

    python: str | None = None
    directory: str | None = None
    show_output: bool = True
    at_once: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)


class ProcessStepOperator(JobStepOperator):
    """Runs each step in a process that this one begins, and that ends with it; here, or through one on a far machine.

    A subclass says what that is.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._lock = threading.Lock()
        self._jobs: dict[str, tuple[subprocess.Popen[bytes], Shown]] = {}
        self._rooms: dict[int, threading.Semaphore] = {}
        """Of each number of processes that there may be at the same time, what counts them."""
        self._holds: dict[str, threading.Semaphore] = {}

    @abc.abstractmethod
    def _begin(self, config: Any, program: list[str], path: str | None) -> "subprocess.Popen[bytes]":
        """Begin a process that runs Python with a module and what that is given.

        Parameters
        ----------
        path
            What ``PYTHONPATH`` is to be there.
        """

    def _ended_with(self, code: int) -> JobStatus:
        """Return what an exit code says."""
        return ended_with(code)

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> str:
        """Begin a process, when there is room for one more."""
        config = self.config_for(info.config)
        room = self._room(config.at_once, info)
        try:
            job = self._submitted(config, entrypoint_command, environment)
        except BaseException:
            room.release()
            raise
        self._holds[job] = room
        return job

    def _room(self, at_once: int, info: StepRunInfo) -> threading.Semaphore:
        with self._lock:
            room = self._rooms.setdefault(at_once, threading.Semaphore(at_once))
        while not room.acquire(timeout=_GLANCE_SECONDS):
            if info.is_cancelled():
                raise WorkerLost(f"step operator {self.name!r}: nobody waits for the step any more")
        return room

    def _submitted(self, config: Any, entrypoint_command: list[str], environment: dict[str, str]) -> str:
        _, _, module, *arguments = entrypoint_command
        try:
            process = self._begin(config, ["-m", LIFELINE, module, *arguments], environment.get("PYTHONPATH"))
        except OSError as error:
            raise WorkerLost(f"step operator {self.name!r}: no process can be begun: {error}") from error
        if process.stdin is None or process.stdout is None:  # for mypy: both are pipes
            raise WorkerLost("the process has no pipes")
        with contextlib.suppress(OSError):  # one that is gone already says why when it is asked after
            process.stdin.write(json.dumps(environment).encode() + b"\n")
            process.stdin.flush()
        shown = Shown(process.stdout, is_shown=config.show_output)
        shown.start()
        job = f"{process.pid}-{naming.unique(4)}"
        with self._lock:
            self._jobs[job] = process, shown
        return job

    def status(self, job: str) -> JobStatus:
        """Return whether the process runs, or how it has ended."""
        process, shown = self._jobs[job]
        code = process.poll()
        if code is None:
            return JobStatus(JobState.RUNNING)
        shown.join(_PATIENCE_SECONDS)
        return self._ended_with(code)

    def cancel(self, job: str) -> None:
        """End the process, and all that it has started."""
        process, _ = self._jobs[job]
        if process.poll() is None and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it is gone
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()

    def logs(self, job: str) -> str:
        """Return the end of what the process has printed."""
        return self._jobs[job][1].text

    def forget(self, job: str) -> None:
        """Give back what the process was spoken to through."""
        with self._lock:
            process, _ = self._jobs.pop(job)
        self._holds.pop(job).release()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()


class SubprocessStepOperator(ProcessStepOperator):
    """Runs each step in a process of its own on this machine, which ends with this one."""

    flavor_name: ClassVar[str] = "subprocess"

    def check(self, step: str, config: object) -> None:
        """Refuse an interpreter that is not there; what a step asks of a machine is a hint here."""
        super().check(step, config)
        python = self.config_for(config).python
        if python is not None and shutil.which(python) is None:
            raise StepInterfaceError(f"step {step!r}: step operator {self.name!r}: there is no interpreter {python}")

    def _begin(self, config: Any, program: list[str], path: str | None) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603
            [config.python or sys.executable, *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=config.directory,
            env={**os.environ, **({} if path is None else {"PYTHONPATH": path})},
            start_new_session=True,
        )


class SubprocessFlavor(BaseStepOperatorFlavor):
    """Processes of this machine."""

    name = "subprocess"
    config_class = SubprocessStepOperatorConfig
    implementation_class = SubprocessStepOperator
