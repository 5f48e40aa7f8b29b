"""The record of one call of a step: what it says while the step waits, runs, is tried again and has ended."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from lazytrack import naming
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.provenance.kept import KINDS, Shared
from lazytrack.tracking.blocks import StepBlock
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.logged import STEPS


class StepRecord(StepBlock):
    """The record of one call of a step; its fields are those of `StepInfo`, and what `docs/format.md` adds.

    Parameters
    ----------
    experiment
        Of the run.
    key
        What the run calls the call.
    said
        What there is to say before it begins, as strict JSON.
    """

    def __init__(self, experiment: Experiment, key: str, said: dict[str, Any]) -> None:
        super().__init__(experiment, key)
        self._ran_on: Mapping[str, Shared] | None = None
        self._put(key, said)

    @property
    def field(self) -> str:
        """The field of the run's record that it is."""
        return STEPS + self.key

    def change(self, **fields: Any) -> None:
        """Say something else; None leaves a field out."""
        with self._experiment._ledger.lock:
            self._experiment._ledger.note(self.field)
            self._record = {k: v for k, v in {**self._record, **fields}.items() if v is not None}

    def start(self) -> None:
        """Say that an attempt begins, and be what this thread logs for."""
        self.change(status=str(ExecutionStatus.RUNNING), start_time=naming.iso(naming.now()))
        self._begin()

    def took(self, seconds: float) -> None:
        """Say that the attempt which has just ended took so long: before, it waited for somebody to run it."""
        began = naming.iso(naming.now() - timedelta(seconds=seconds))
        if began > self._record["start_time"]:
            self.change(start_time=began)

    def ran_on(self, found: Mapping[str, Shared]) -> None:
        """Say on what machine, and in what environment, it ran, where these are not those of this process."""
        self._ran_on = found
        self._experiment._code_files.update({file.digest: file for file in found.values()})

    def _stored(self) -> dict[str, Any]:
        record = super()._stored()
        if self._ran_on is None:
            return record
        here = {kind: file.digest for kind, file in self._ran_on.items()}
        return {name: value for name, value in record.items() if name not in KINDS} | here

    def stop(self) -> None:
        """Be that no more."""
        with self._experiment._ledger.lock:
            self._experiment._watch(opened=False)
        self._leave()

    def set_aside(self, told: str | None, *, began: str | None = None) -> None:
        """Say that an attempt failed, and that another one follows.

        Parameters
        ----------
        began
            When; None where the record says it.
        """
        earlier = {
            "status": str(ExecutionStatus.RETRIED),
            "start_time": began or self._record["start_time"],
            "end_time": naming.iso(naming.now()),
            "error": told,
        }
        attempts = [*self._record.get("attempts", ()), earlier]
        self.change(status=str(ExecutionStatus.RETRYING), attempts=attempts)

    def end(self, status: ExecutionStatus, told: str | None = None, **fields: Any) -> None:
        """Say how it ended."""
        self.change(status=str(status), end_time=naming.iso(naming.now()), error=told, **fields)
