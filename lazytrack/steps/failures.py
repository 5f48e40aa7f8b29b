"""What has failed in a run, who was told of it, and what that means for the rest."""

import threading
from typing import TYPE_CHECKING

from lazytrack.errors import PipelineRunError
from lazytrack.steps.execution import safe_reason
from lazytrack.steps.modes import ExecutionMode, RunOptions

if TYPE_CHECKING:
    from lazytrack.steps.invocation import Invocation


class Failures:
    """The failures of a run.

    One that somebody was told of, because what the step raised was raised where its value was asked for, is the body's
    to deal with. The others decide what is still run, and how the run ends.

    Parameters
    ----------
    options
        Of the run.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._lock = threading.RLock()
        self._unheard: dict[str, Invocation] = {}
        self._told: dict[int, Invocation] = {}
        """Those that somebody was told of, by what they raised."""
        self._is_over = self._is_interrupted = False

    def add(self, invocation: "Invocation") -> None:
        """Take note that a call has failed."""
        with self._lock:
            self._unheard[invocation.key] = invocation

    def is_told_of(self, invocation: "Invocation") -> None:
        """Take note that who needs to know is told of a failure."""
        with self._lock:
            self._unheard.pop(invocation.key, None)
            if invocation.error is not None:
                self._told[id(invocation.error)] = invocation

    def is_unheard(self, invocation: "Invocation") -> bool:
        """Tell whether nobody was told of a failure."""
        return invocation.key in self._unheard

    def stop(self) -> None:
        """Start nothing any more, whatever happens."""
        self._is_over = True

    def interrupt(self) -> None:
        """Start nothing any more, and have what runs be stopped: somebody has interrupted the run."""
        self._is_over = self._is_interrupted = True

    def first(self) -> "Invocation | None":
        """Return the first call of whose failure nobody was told."""
        with self._lock:
            return next(iter(self._unheard.values()), None)

    @property
    def is_stopping(self) -> bool:
        """Whether nothing that waits is started."""
        if self._is_over:
            return True
        with self._lock:
            goes_on = self._options.mode is ExecutionMode.CONTINUE_ON_FAILURE
            return any(not (goes_on and isinstance(each.error, Exception)) for each in self._unheard.values())

    @property
    def is_too_late(self) -> bool:
        """Whether what a step has made that ends now is of no use: one failed that nobody was told of."""
        return self._options.mode is ExecutionMode.FAIL_FAST and self.is_stopping

    @property
    def is_cancelling(self) -> bool:
        """Whether what runs need not go on."""
        return self._is_interrupted or self.is_too_late

    def check(self) -> None:
        """Refuse to start anything where a failure forbids it.

        Raises
        ------
        PipelineRunError
            Of which the failure is the cause; in mode ``fail_fast`` that itself.
        """
        failed = self.first()
        if failed is None or self._options.mode is ExecutionMode.CONTINUE_ON_FAILURE:
            return
        if self._options.mode is ExecutionMode.FAIL_FAST:
            failed.raise_failure()
        raise PipelineRunError(
            f"run {self._options.name!r} starts no more steps, as {failed.key!r} failed"
        ) from failed.error

    def end(self, error: BaseException | None) -> tuple[BaseException | None, BaseException | None]:
        """Return what a run raises whose body has ended with this, and what went wrong first; None for nothing."""
        failed = list(self._unheard.values())
        of_the_body = self._told.get(id(error)) if error is not None else None
        if of_the_body is not None:
            failed.insert(0, of_the_body)
        elif error is not None and not (isinstance(error, PipelineRunError) and failed):
            return error, error  # the body's own
        if not failed or (first := failed[0].error) is None:
            return error, error
        is_plain = self._options.pipeline is None or self._options.mode is ExecutionMode.FAIL_FAST
        if is_plain or not isinstance(first, Exception):
            return first, first
        names = ", ".join(repr(each.key) for each in failed)
        what = f"run {self._options.name!r} of pipeline {self._options.pipeline!r} failed in {names}"
        wrapped = PipelineRunError(f"{what}: {safe_reason(first)}")
        wrapped.__cause__ = first
        return wrapped, first
