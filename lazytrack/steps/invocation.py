"""One call of a step in a run: what it is given, what it waits for, and how it has ended."""

import contextlib
import copy
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack.errors import PipelineRunError
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps.handles import OutputArtifact
from lazytrack.steps.inputs import producers

if TYPE_CHECKING:
    from lazytrack.steps.base import BaseStep
    from lazytrack.steps.executors import Engine
    from lazytrack.steps.plan import StepPlan
    from lazytrack.steps.run import Run


def own_copy(value: Any) -> Any:
    """Return a copy of parameters: what a call does to them stays in it, whatever else is given the same."""
    if type(value) in _SAFE:
        return value
    if type(value) is dict:
        return {key: own_copy(item) for key, item in value.items()}
    if type(value) is list:
        return [own_copy(item) for item in value]
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001  (it is the user's, and may refuse)
        return value


_SAFE = (str, int, float, bool, bytes, type(None))
_AS_IT_SHOULD = {ExecutionStatus.COMPLETED, ExecutionStatus.CACHED}


@attrs.define(kw_only=True, eq=False)
class Invocation:
    """One call of a step in a run.

    Parameters
    ----------
    run, step, plan
        What it is a call of, in what, and how it is done.
    key, number
        Its id: what the run calls it, and which call of the run it is, from 0.
    parameters, plain
        The parameters, as the entrypoint gets them and as JSON values.
    inputs
        Artifact inputs by argument; see `lazytrack.steps.inputs`.
    after
        Other calls that have to end before.
    group
        What it belongs to, as JSON.
    engine
        Where it runs; None of one that is run where it is called.
    programs
        The step as it is sent elsewhere, by plan; the calls of a map share it.
    """

    run: "Run"
    step: "BaseStep"
    plan: "StepPlan"
    key: str
    number: int
    parameters: dict[str, Any]
    plain: dict[str, Any]
    inputs: dict[str, Any]
    after: list["Invocation"] = attrs.Factory(list)
    group: dict[str, Any] | None = None
    engine: "Engine | None" = None
    programs: dict[int, bytes] = attrs.Factory(dict)
    upstream: list["Invocation"] = attrs.field(init=False)
    """The calls whose outputs it takes."""
    done: "Future[None] | None" = attrs.field(default=None, init=False)
    """Tells that it has ended; None of one that is run where it is called, which nobody waits for."""
    is_over: bool = attrs.field(default=False, init=False)
    is_recorded: bool = attrs.field(default=False, init=False)
    """Whether this process has said something of it."""
    began: float | None = attrs.field(default=None, init=False)
    ended: float | None = attrs.field(default=None, init=False)
    """Both by the clock of `time.monotonic`."""
    tries: int = attrs.field(default=0, init=False)
    """How many attempts have begun."""
    room: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack, init=False)
    """What it holds of its engine while an attempt goes on."""
    awaited: int = attrs.field(default=0, init=False)
    """How many wait for it now."""
    pending: int = attrs.field(default=0, init=False)
    """How many of those it waits for have yet to end."""
    status: ExecutionStatus = attrs.field(default=ExecutionStatus.INITIALIZING, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)
    cause: "Invocation | None" = attrs.field(default=None, init=False)
    """Whose failure is why it was skipped."""
    outputs: dict[str, OutputArtifact] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        found = (producer for tree in self.inputs.values() for producer in producers(tree))
        self.upstream = list(dict.fromkeys(found)) if self.inputs else []

    @property
    def waits_for(self) -> list["Invocation"]:
        """The calls that have to end before it begins, each once."""
        return list(dict.fromkeys([*self.upstream, *self.after]))

    @property
    def output_names(self) -> list[str]:
        """What its outputs are called in this run."""
        return list(self.plan.output_names.values())

    @property
    def went_well(self) -> bool:
        """Whether its outputs are there."""
        return self.status in _AS_IT_SHOULD

    def handles(self) -> Any:
        """Return the handle of its output, a tuple of several, or None."""
        found = tuple(
            self.outputs[name] if name in self.outputs else OutputArtifact(name, self.key, source=None, invocation=self)
            for name in self.output_names
        )
        if not self.step.interface.is_tuple:
            return found[0] if found else None
        return found

    def settle(self) -> None:
        """Wait until it has ended, however that is."""
        if self.done is not None and not self.is_over:
            self.awaited += 1
            try:
                self.done.result()
            finally:
                self.awaited -= 1

    def wait(self) -> None:
        """Wait until it has ended, and raise what it raised.

        Raises
        ------
        Exception
            What the step raised, or the one for whose failure it was skipped.
        PipelineRunError
            When it was not started because another one failed.
        """
        self.settle()
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what it, or the one it needs, has raised; whoever asks has been told then."""
        failed = list(dict.fromkeys(self.failures()))
        for each in failed:
            self.run.is_told_of(each)
        if failed and failed[0].error is not None:
            raise failed[0].error
        if not self.went_well:
            raise PipelineRunError(
                f"step {self.key!r} of run {self.run.name!r} was {self._why_not}: another one failed"
            )

    @property
    def _why_not(self) -> str:
        return "stopped" if self.began is not None else "not started"

    def failures(self) -> Iterator["Invocation"]:
        """Yield the calls that failed and for which it did not make its outputs, the first cause first."""
        if self.error is not None:
            yield self
        elif self.cause is not None:
            yield from self.cause.failures()
            for other in self.upstream:
                yield from other.failures()

    def begin(self) -> None:
        """Take note that an attempt begins."""
        self.tries += 1
        if self.began is None:
            self.began = time.monotonic()

    def end(self, status: ExecutionStatus) -> None:
        """Take note of how it ended, and tell those that wait."""
        self.status, self.ended, self.is_over = status, time.monotonic(), True
        if self.done is not None:
            self.done.set_result(None)
