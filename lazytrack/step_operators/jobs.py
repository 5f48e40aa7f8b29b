"""Operators whose jobs go on by themselves: they are submitted, asked after, and cancelled."""

import abc
import enum
import logging
import math
import time

import attrs

from lazytrack.errors import WorkerLost
from lazytrack.step_operators.base_step_operator import BaseStepOperator
from lazytrack.step_operators.step_run_info import StepRunInfo

_FIRST_PAUSE, _LAST_PAUSE, _GROWTH = 0.02, 1.0, 1.5
"""Seconds between two questions after a job."""
_PATIENCE_SECONDS = 30.0
"""After which somebody is told that a step waits."""
_log = logging.getLogger(__name__)
_TAIL = 4_000
"""Characters of what a job printed that an error shows."""


class JobState(enum.StrEnum):
    """How far a job has come."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


ENDED = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.LOST}
"""States that a job does not leave."""


@attrs.frozen
class JobStatus:
    """What an engine says of a job.

    Parameters
    ----------
    state
        How far it has come.
    why
        What there is to say about that, in the engine's words.
    exit_code
        Of the command, where the engine tells.
    """

    state: JobState
    why: str = ""
    exit_code: int | None = None


class JobStepOperator(BaseStepOperator):
    """An operator with jobs: a subclass implements `submit`, `status` and `cancel`, and perhaps `logs`."""

    @abc.abstractmethod
    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> str:
        """Begin a job, and return what the engine calls it; for what it is given see `launch`."""

    @abc.abstractmethod
    def status(self, job: str) -> JobStatus:
        """Return how far a job has come."""

    @abc.abstractmethod
    def cancel(self, job: str) -> None:
        """End a job, with all that it has started; one that has ended is no error."""

    def logs(self, job: str) -> str:  # noqa: ARG002  (most have some)
        """Return what a job has printed so far, as far as that is known."""
        return ""

    def forget(self, job: str) -> None:
        """Give back what was kept for a job that nobody asks after any more."""

    def launch(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        """Begin a job, wait until it has ended, and cancel it when nobody waits for the step any more.

        Raises
        ------
        WorkerLost
            When it did not end well; with what the engine says, and the end of what it printed.
        """
        job = self.submit(info, entrypoint_command, environment)
        try:
            status = self._waited_for(job, info)
            trouble = None if status.state is JobState.SUCCEEDED else self._trouble(job, status)
        except BaseException:
            self.cancel(job)
            raise
        finally:
            self.forget(job)
        if trouble is not None:
            raise trouble

    def _waited_for(self, job: str, info: StepRunInfo) -> JobStatus:
        pause, begun = _FIRST_PAUSE, time.monotonic()
        while (status := self.status(job)).state not in ENDED:
            if info.is_cancelled():
                self.cancel(job)
                return JobStatus(JobState.CANCELLED, "nobody waits for it any more")
            if status.state is JobState.PENDING and time.monotonic() - begun > _PATIENCE_SECONDS:
                begun = math.inf
                _log.warning("step %r waits to be run by %r: %s", info.pipeline_step_name, self.name, status.why)
            time.sleep(pause)
            pause = min(pause * _GROWTH, _LAST_PAUSE)
        return status

    def _trouble(self, job: str, status: JobStatus) -> WorkerLost:
        from lazytrack.provenance.redact import redact  # noqa: PLC0415  (only when something went wrong)

        printed = redact(self.logs(job)).strip()
        shown = printed if len(printed) <= _TAIL else f"…{printed[-_TAIL:]}"
        why = f": {status.why}" if status.why else ""
        told = f"step operator {self.name!r}: job {job} {status.state}{why}"
        trouble = WorkerLost(f"{told}\nit printed:\n{shown}" if shown else told)
        trouble.exit_code = status.exit_code
        return trouble
