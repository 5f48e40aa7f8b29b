"""A run: calls of steps that belong together, recorded as one experiment, and what a failure means for the others."""

import contextlib
import contextvars
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from lazytrack import naming
from lazytrack.errors import PipelineRunError, SaveError
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps import logs
from lazytrack.steps.base import BaseStep
from lazytrack.steps.cache import index_of
from lazytrack.steps.calls import Calls
from lazytrack.steps.configuration import GroupInfo
from lazytrack.steps.context import run_here, step_here
from lazytrack.steps.environment import unheard
from lazytrack.steps.futures import MapResultsFuture, StepFuture
from lazytrack.steps.invocation import Invocation
from lazytrack.steps.mapping import calls_of
from lazytrack.steps.modes import ExecutionMode, RunOptions
from lazytrack.steps.performing import Performer
from lazytrack.tracking.blocks import told
from lazytrack.tracking.companions import Plan
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.project import Project

AUTOSAVE_SECONDS = 2.0
"""A step that runs for longer is in the store while it does."""
THREADS = 16
"""Steps that run at the same time."""
_starting = threading.Lock()


class Run:
    """The calls of steps that belong together.

    Parameters
    ----------
    project
        Where it is recorded.
    options
        What it is of.

    Raises
    ------
    PipelineRunError
        When there is a run of that name.
    ReadOnlyError
        When the project is open for reading only.
    """

    def __init__(self, project: Project, options: RunOptions) -> None:
        project._check_writable("run steps in it")
        self.project, self.options = project, options
        index = index_of(project)
        index.refresh()
        self._performer = Performer(self, index)
        self._lock = threading.RLock()
        self._experiment: Experiment | None = None
        self._calls = Calls(self)
        self._failed: dict[str, Invocation] = {}
        """Those that failed and nobody was told of."""
        self._told: dict[int, Invocation] = {}
        """Those that somebody was told of, by what they raised."""
        self._is_stopping = threading.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._hushed = contextlib.ExitStack()
        with _starting:
            self._known_as = project.location, options.name
            if self._known_as in _running or self._is_there(options.name):
                raise PipelineRunError(
                    f"there is a run {options.name!r} in {project.fpath} already: give another run_name, "
                    "such as one with {date} and {time}"
                )
            _running.add(self._known_as)

    def _is_there(self, name: str) -> bool:
        journal = self.project._journal
        return any(
            found == name and isinstance(journal.get(record, "run"), dict)
            for record, found in journal.column("name").items()
        )

    @property
    def name(self) -> str:
        """What it is called."""
        return self.options.name

    @property
    def slug(self) -> str:
        """Of its experiment."""
        return self.experiment.slug

    @property
    def experiment(self) -> Experiment:
        """What it is recorded as, from the first step on."""
        if self._experiment is not None:
            return self._experiment
        with self._lock:
            if self._experiment is None:
                experiment = Experiment._start(self.project, self.name, kind=self.options.kind)
                with experiment._ledger.lock:
                    experiment._scalars["run"] = self.options.said
                    experiment.log_parameters(self.options.parameters)
                    if self.options.tags:
                        experiment.tag(*self.options.tags)
                self.project._take_in(experiment)
                experiment._beat()  # so that the first record of it tells one that was killed from one that runs
                self._experiment = self.project._accompanied(experiment, Plan(autosave=AUTOSAVE_SECONDS, at_once=False))
            return self._experiment

    @property
    def _is_fast(self) -> bool:
        return self.options.mode is ExecutionMode.FAIL_FAST

    @property
    def is_cancelled(self) -> bool:
        """Whether what runs need not go on."""
        return self._is_fast and self._is_stopping.is_set()

    def has_block(self, key: str) -> bool:
        """Tell whether a step has a block that the record calls so."""
        return self._experiment is not None and key in self._experiment._blocks

    @property
    def is_empty(self) -> bool:
        """Whether no step was called."""
        return not len(self._calls)

    # --- calls ---

    def call(
        self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: str | None, after: Any
    ) -> Any:
        """Run a step now, and return the handle of its output, a tuple of several, or None."""
        invocation = self._prepared(step, args, kwargs, id=id, after=after)
        for other in invocation.waits_for:
            other.settle()
        missing = next((other for other in invocation.upstream if not other.went_well), None)
        if missing is None:
            if invocation.after or invocation.upstream:
                self._check_going_on()
        else:
            self._skip(invocation, missing)
            if self.options.mode is not ExecutionMode.CONTINUE_ON_FAILURE:
                missing.raise_failure()
            return invocation.handles()
        self._perform(invocation)
        error = invocation.error
        is_passed_over = self.options.mode is ExecutionMode.CONTINUE_ON_FAILURE and isinstance(error, Exception)
        if not is_passed_over:
            invocation.raise_failure()
        return invocation.handles()

    def submit(
        self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: str | None, after: Any
    ) -> StepFuture:
        """Have a step run when what it needs is there, while the body goes on."""
        return self._submit(self._prepared(step, args, kwargs, id=id, after=after))

    def map(
        self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, after: Any, crossed: bool
    ) -> MapResultsFuture:
        """Have a step run for each item; see `lazytrack.steps.mapping`."""
        self._check_going_on()
        calls = calls_of(step.interface, step.name, args, kwargs, crossed=crossed)
        group = step.configuration.group or GroupInfo(id=naming.unique(), name=step.name, type="map")
        prepared = [self._prepared(step, (), call, id=None, after=after, group=group) for call in calls]
        return MapResultsFuture([self._submit(each) for each in prepared], len(step.interface.outputs))

    def call_alone(self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: str | None) -> Any:
        """Run a step that was called by itself, and return its value, or a tuple of several."""
        invocation = self._prepared(step, args, kwargs, id=id, after=None, others_are_artifacts=True)
        self._perform(invocation)
        invocation.raise_failure()
        return StepFuture(invocation).load()

    def hush(self, secrets: Mapping[str, str]) -> None:
        """Have secrets masked in whatever is recorded until the run has ended, such as an error that quotes one."""
        with self._lock:
            self._hushed.enter_context(unheard(secrets))

    def is_told_of(self, invocation: Invocation) -> None:
        """Take note that who needs to know is told of a failure: it is the body's to deal with it."""
        with self._lock:
            self._failed.pop(invocation.key, None)
            if invocation.error is not None:
                self._told[id(invocation.error)] = invocation

    def _prepared(self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], **how: Any) -> Invocation:
        self._check_going_on()
        return self._calls.prepare(step, args, kwargs, **how)

    # --- whether it goes on ---

    def _check_going_on(self) -> None:
        """Refuse to start anything where a failure, that nobody was told of, forbids it."""
        with self._lock:
            failed = next(iter(self._failed.values()), None)
        if failed is None or self.options.mode is ExecutionMode.CONTINUE_ON_FAILURE:
            return
        if self.options.mode is ExecutionMode.FAIL_FAST:
            failed.raise_failure()
        raise PipelineRunError(f"run {self.name!r} starts no more steps, as {failed.key!r} failed") from failed.error

    # --- on threads ---

    def _submit(self, invocation: Invocation) -> StepFuture:
        invocation.status = ExecutionStatus.QUEUED
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=f"lazytrack {self.name}")
            invocation.done = Future()
            waiting = [other.done for other in invocation.waits_for if other.done is not None]
            invocation.pending = len(waiting) + 1
        context = contextvars.copy_context()
        arrive: Callable[[Any], None] = lambda _: self._arrive(invocation, context)  # noqa: E731
        for other in waiting:
            other.add_done_callback(arrive)
        arrive(None)
        return StepFuture(invocation)

    def _arrive(self, invocation: Invocation, context: contextvars.Context) -> None:
        """Take note that something an invocation waits for has ended, and start it when that was the last."""
        with self._lock:
            invocation.pending -= 1
            if invocation.pending:
                return
            pool = self._pool
        if pool is not None:
            pool.submit(context.run, self._work, invocation)

    def _work(self, invocation: Invocation) -> None:
        """Run a submitted step, or say why it is not run."""
        missing = next((other for other in invocation.upstream if not other.went_well), None)
        if missing is not None:
            self._skip(invocation, missing)
        elif self._is_stopping.is_set() or self._has_unheard_failure():
            self._leave_out(invocation)
        else:
            self._perform(invocation)

    def _has_unheard_failure(self) -> bool:
        with self._lock:
            return bool(self._failed) and self.options.mode is not ExecutionMode.CONTINUE_ON_FAILURE

    # --- running ---

    def _perform(self, invocation: Invocation) -> None:
        """Run a step, or take outputs of an earlier run; whatever it raises is in the invocation."""
        status = ExecutionStatus.FAILED
        try:
            status = self._performer.perform(invocation)
        except BaseException as error:  # noqa: BLE001  (it is told to whoever asks)
            invocation.error = error
        if invocation.error is not None:
            with self._lock:
                self._failed[invocation.key] = invocation
                if self._is_fast or not isinstance(invocation.error, Exception):
                    self._is_stopping.set()
        invocation.end(status)

    def _skip(self, invocation: Invocation, cause: Invocation) -> None:
        """Say that a step was not run because one that it needs did not make its outputs."""
        invocation.cause = cause
        self._performer.leave_out(invocation, ExecutionStatus.SKIPPED, f"{cause.key!r} {cause.status}")
        invocation.end(ExecutionStatus.SKIPPED)

    def _leave_out(self, invocation: Invocation) -> None:
        """Say that a step was not started because another one failed."""
        with self._lock:
            invocation.cause = next(iter(self._failed.values()), None)
        self._performer.leave_out(invocation, ExecutionStatus.STOPPED, "another step failed")
        invocation.end(ExecutionStatus.STOPPED)

    # --- the whole ---

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Have the block be the body of this run.

        Raises
        ------
        BaseException
            What the run ends with; see `ExecutionMode`.
        """
        token = run_here.set(self)
        step_token = step_here.set(None)
        error: BaseException | None = None
        try:
            with logs.listening():
                try:
                    yield
                except BaseException as raised:  # noqa: BLE001  (it is raised again, or told as what it is)
                    error = raised
                    if not self._goes_on_after(raised):
                        self._is_stopping.set()
                finally:
                    self._wait_for_all()
        finally:
            run_here.reset(token)
            step_here.reset(step_token)
        self._end(error)

    def _goes_on_after(self, error: BaseException) -> bool:
        """Tell whether what was submitted is run though the body has ended with an error."""
        return self.options.mode is ExecutionMode.CONTINUE_ON_FAILURE and isinstance(error, Exception)

    def _wait_for_all(self) -> None:
        pool = self._pool
        if pool is None:
            return
        for each in self._calls:
            each.settle()
        pool.shutdown()

    def _end(self, error: BaseException | None) -> None:
        """Record how the run ended, and raise what it ended with."""
        try:
            failed = list(self._failed.values())
            if error is not None and (told_of := self._told.get(id(error))) is not None:
                failed = [told_of, *failed]
            raised = self._what_to_raise(error, failed)
            if self.is_empty and raised is None:
                return
            if raised is None:
                self._tell_of_unused_options()
            experiment = self.experiment
            if raised is None:
                status = "completed"
            else:
                status = "failed"
                cause = failed[0].error if failed and failed[0].error is not None else raised
                experiment._scalars["error"] = told(cause)
            try:
                experiment.status = status
                experiment._commit()
                if experiment._companions is not None:
                    experiment._companions.finish()
            except SaveError as failure:
                if raised is None:
                    raise
                raised.add_note(f"lazytrack could not save run {self.name!r}: {failure}")
        finally:
            self._hushed.close()
            with _starting:
                _running.discard(self._known_as)
        if raised is not None:
            raise raised from raised.__cause__

    def _tell_of_unused_options(self) -> None:
        if unknown := [key for key in self.options.overrides if key not in self._calls]:
            names = ", ".join(map(repr, unknown))
            warnings.warn(
                f"run {self.name!r} had options for {names}, and called no step so", UserWarning, stacklevel=6
            )

    def _what_to_raise(self, error: BaseException | None, failed: list[Invocation]) -> BaseException | None:
        by_a_step = error is not None and id(error) in self._told
        is_ours = isinstance(error, PipelineRunError) and bool(failed)
        if error is not None and not by_a_step and not is_ours:
            return error  # of the body itself
        if not failed:
            return error
        first = failed[0].error
        if (
            self.options.pipeline is None
            or self.options.mode is ExecutionMode.FAIL_FAST
            or not isinstance(first, Exception)
        ):
            return first
        names = ", ".join(repr(each.key) for each in failed)
        what = f"run {self.name!r} of pipeline {self.options.pipeline!r} failed in {names}"
        wrapped = PipelineRunError(f"{what}: {type(first).__name__}: {first}")
        wrapped.__cause__ = first
        return wrapped


_running: set[tuple[str, str]] = set()
"""The runs of this process that go on, by project and name."""
