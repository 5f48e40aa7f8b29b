"""How far a run or a step has come."""

import enum


class ExecutionStatus(enum.StrEnum):
    """How far a run, or a step of one, has come."""

    INITIALIZING = "initializing"
    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"
    COMPLETED = "completed"
    CACHED = "cached"
    SKIPPED = "skipped"
    RETRYING = "retrying"
    RETRIED = "retried"
    STOPPED = "stopped"
    STOPPING = "stopping"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen."""
        return self in _FINISHED

    @property
    def is_successful(self) -> bool:
        """Whether its outputs are there."""
        return self in {ExecutionStatus.COMPLETED, ExecutionStatus.CACHED}

    @property
    def is_failed(self) -> bool:
        """Whether it failed."""
        return self is ExecutionStatus.FAILED


_FINISHED = {
    ExecutionStatus.FAILED,
    ExecutionStatus.COMPLETED,
    ExecutionStatus.CACHED,
    ExecutionStatus.SKIPPED,
    ExecutionStatus.RETRIED,
    ExecutionStatus.STOPPED,
}
