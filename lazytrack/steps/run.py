"""A run: calls of steps that belong together, recorded as one experiment, and what a failure means for the others."""

import contextlib
import contextvars
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from lazytrack import naming
from lazytrack.errors import LazytrackError, PipelineRunError, StepInterfaceError
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps import board, logs
from lazytrack.steps.base import BaseStep
from lazytrack.steps.cache import index_of
from lazytrack.steps.calls import Calls
from lazytrack.steps.configuration import GroupInfo
from lazytrack.steps.context import run_here, step_here
from lazytrack.steps.executors import OPERATORS, Engine, Engines, check_executor, chosen
from lazytrack.steps.failures import Failures
from lazytrack.steps.futures import MapResultsFuture, StepFuture
from lazytrack.steps.handles import ExternalArtifact, OutputArtifact, unmapped
from lazytrack.steps.invocation import Invocation
from lazytrack.steps.launching import check_launch, operator_of
from lazytrack.steps.locating import is_loading
from lazytrack.steps.mapping import calls_of
from lazytrack.steps.modes import ExecutionMode, RunOptions
from lazytrack.steps.performing import Performer
from lazytrack.steps.record import StepRecord
from lazytrack.tracking.blocks import told
from lazytrack.tracking.companions import Plan
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.project import Project

_INSISTENCE = 5
"""How many interrupts in a row a run takes while it records that it was interrupted."""
AUTOSAVE_SECONDS = 2.0
"""A step that runs for longer is in the store while it does."""
_starting = threading.Lock()
_log = logging.getLogger(__name__)


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
        _check_guarded()
        self.project, self.options = project, options
        index = index_of(project)
        index.refresh()
        self._performer = Performer(self, index)
        self._lock = threading.RLock()
        self._experiment: Experiment | None = None
        self.calls = Calls(self)
        self.began = time.monotonic()
        self.failures = Failures(options)
        self._process = os.getpid()
        self._is_empty = True
        self.chosen_executor = chosen(options.executor)
        self._engines = Engines(self.chosen_executor, self._check_engine)
        self.has_news = False
        """Whether a step has logged to the run elsewhere, which has not been read."""
        with _starting:
            self._known_as = project.location, options.name
            if self._known_as in _running or (options.resumes is None and self._is_there(options.name)):
                raise PipelineRunError(
                    f"there is a run {options.name!r} in {project.fpath} already: give another run_name, "
                    "such as one with {date} and {time}"
                )
            _running.add(self._known_as)
        self.earlier: dict[str, dict[str, Any]] = {}
        """What was recorded of calls, by id, when the run was interrupted that this goes on with."""
        self._earlier_blocks: set[str] = set()
        if options.resumes is not None:
            fields = project._journal.fields(options.resumes)
            found = {f[len(STEPS) :]: said for f, said in fields.items() if f.startswith(STEPS)}
            self.earlier = {key: said for key, said in found.items() if isinstance(said, dict) and "status" in said}
            self._earlier_blocks = found.keys() - self.earlier

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
            if self._experiment is not None:  # another thread was faster
                return self._experiment
            if self.options.resumes is not None:
                experiment = self.project.resume(self.options.resumes, autosave=AUTOSAVE_SECONDS)
                for key in self.earlier.keys() & experiment._blocks.keys():
                    del experiment._blocks[key]  # it was this process that was interrupted
                self._experiment = experiment
            else:
                above = self.project._surrounding
                experiment = Experiment._start(self.project, self.name, parent=above, kind=self.options.kind)
                with experiment._ledger.lock:
                    experiment._scalars["run"] = self.options.said
                    experiment.log_parameters(self.options.parameters)
                    if self.options.tags:
                        experiment.tag(*self.options.tags)
                self.project._take_in(experiment)
                experiment._beat()  # so that the first record of it tells one that was killed from one that runs
                self._experiment = self.project._accompanied(experiment, Plan(autosave=AUTOSAVE_SECONDS, at_once=False))
            return self._experiment

    def check_shared(self, what: str) -> None:
        """Refuse what needs another process to reach the project.

        Raises
        ------
        StepInterfaceError
            When no other one does.
        """
        if not self.project._files.is_shared:
            raise StepInterfaceError(
                f"{what}, where {self.project.fpath} is not: use a project in a folder or on a storage"
            )

    def _check_engine(self, engine: Engine) -> None:
        if not engine.is_here:
            self.check_shared(f"run {self.name!r} is to have steps run in other processes")

    def read_news(self) -> None:
        """Read what steps have logged to the run elsewhere."""
        if self.has_news:
            self.has_news = False
            self.project.refresh()

    @property
    def is_forked(self) -> bool:
        """Whether this is a child that a step has forked: it is not the one to say how anything went."""
        return os.getpid() != self._process

    @property
    def is_alone(self) -> bool:
        """Whether no other run goes on in this process, and nothing of this one on another thread."""
        return len(_running) == 1 and all(each.is_over or each.done is None for each in self.calls)

    def has_block(self, key: str) -> bool:
        """Tell whether a step has a block that the record calls so."""
        return key in self._earlier_blocks or (self._experiment is not None and key in self._experiment._blocks)

    # --- calls ---

    def call(
        self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: str | None, after: Any
    ) -> Any:
        """Run a step now, and return the handle of its output, a tuple of several, or None."""
        invocation = self._prepared(step, args, kwargs, id=id, after=after)
        for other in invocation.waits_for:
            other.settle()
        missing = self._missing(invocation)
        if missing is not None:
            self._skip(invocation, missing)
            if self.options.mode is not ExecutionMode.CONTINUE_ON_FAILURE:
                missing.raise_failure()
            return invocation.handles()
        if invocation.after or invocation.upstream:
            self.failures.check()
        self._perform(invocation)
        error = invocation.error
        is_passed_over = self.options.mode is ExecutionMode.CONTINUE_ON_FAILURE and isinstance(error, Exception)
        if not is_passed_over:
            invocation.raise_failure()
        return invocation.handles()

    def submit(
        self,
        step: BaseStep,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        id: str | None,
        after: Any,
        executor: Any = None,
    ) -> StepFuture:
        """Have a step run when what it needs is there, while the body goes on."""
        self._is_empty = False
        engine = self._engine(step, executor)
        return self._submit(self._prepared(step, args, kwargs, id=id, after=after), engine)

    def _engine(self, step: BaseStep, executor: Any) -> Engine:
        if executor is not None:
            check_executor(executor, f"step {step.name!r}: executor")
        if operator_of(step.configuration.over(self.options.defaults)) is not None:
            return self._engines.get(OPERATORS)
        engine = self._engines.get(executor)
        engine.check(step.name, step.configuration.over(self.options.defaults).resources)
        return engine

    def map(
        self,
        step: BaseStep,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        after: Any,
        crossed: bool,
        executor: Any = None,
    ) -> MapResultsFuture:
        """Have a step run for each item; see `lazytrack.steps.mapping`."""
        self.failures.check()
        self._is_empty = False  # though there may be nothing to map over
        engine = self._engine(step, executor)
        args = [self._kept(value) for value in args]
        kwargs = {name: self._kept(value) for name, value in kwargs.items()}
        calls = calls_of(step.interface, step.name, args, kwargs, crossed=crossed)
        group = step.configuration.group or GroupInfo(id=naming.unique(), name=step.name, type="map")
        by_place = step.interface.by_place
        prepared = []
        for call in calls:
            placed = [call.pop(name) for name in by_place if name in call]
            prepared.append(self._prepared(step, placed, call, id=None, after=after, group=group))
        programs: dict[int, bytes] = {}
        for each in prepared:
            each.programs = programs
        return MapResultsFuture([self._submit(each, engine) for each in prepared], len(step.interface.outputs))

    def _kept(self, value: Any) -> Any:
        """Return a handle of a value that no step has made, which is written once for all calls of a map."""
        if isinstance(value, unmapped):
            return unmapped(self._kept(value.value))
        if not isinstance(value, ExternalArtifact):
            return value
        source = self._performer.keep(value)
        return unmapped(OutputArtifact(source.entry.name, "external", source=source, invocation=None))

    def call_alone(self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: str | None) -> Any:
        """Run a step that was called by itself, and return its value, or a tuple of several."""
        invocation = self._prepared(step, args, kwargs, id=id, after=None, others_are_artifacts=True)
        self._perform(invocation)
        invocation.raise_failure()
        return StepFuture(invocation).load()

    def is_told_of(self, invocation: Invocation) -> None:
        """Take note that who needs to know is told of a failure."""
        self.failures.is_told_of(invocation)

    def _prepared(self, step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], **how: Any) -> Invocation:
        self.failures.check()
        invocation = self.calls.prepare(step, args, kwargs, **how)
        check_launch(self, invocation)
        self._is_empty = False
        return invocation

    def _missing(self, invocation: Invocation) -> Invocation | None:
        """Return a call for whose sake another one is not run: its outputs are missing, or it was to come before."""
        for other in invocation.upstream:
            if not other.went_well:
                return other
        for other in invocation.after:
            if not other.went_well and any(map(self.failures.is_unheard, other.failures())):
                return other
        return None

    # --- beside the body ---

    def _submit(self, invocation: Invocation, engine: Engine) -> StepFuture:
        invocation.status, invocation.engine = ExecutionStatus.QUEUED, engine
        with self._lock:
            invocation.done = Future()
            waiting = [other.done for other in invocation.waits_for if other.done is not None]
            invocation.pending = len(waiting) + 1
        context = contextvars.copy_context()
        arrive: Callable[[Any], None] = lambda _: self._arrive(invocation, context)  # noqa: E731
        for other in waiting:
            other.add_done_callback(arrive)
        arrive(None)
        if not isinstance(invocation.error, Exception | None):
            invocation.raise_failure()  # an interrupt, where steps run as they are submitted
        return StepFuture(invocation)

    def _arrive(self, invocation: Invocation, context: contextvars.Context) -> None:
        """Take note that something an invocation waits for has ended, and start it when that was the last."""
        with self._lock:
            invocation.pending -= 1
            if invocation.pending:
                return
        if invocation.engine is None:
            return
        try:
            invocation.engine.start(lambda: context.run(self._work, invocation))
        except Exception as error:  # noqa: BLE001  (an executor of the user's that takes no more)
            invocation.error = error
            self._say(invocation, ExecutionStatus.FAILED, error=told(error))
            self.failures.add(invocation)
            invocation.end(ExecutionStatus.FAILED)

    def _work(self, invocation: Invocation) -> None:
        """Run a submitted step when there is room for it, or say why it is not run."""
        with invocation.room:
            if invocation.engine is not None:
                invocation.room.enter_context(invocation.engine.slot())
            missing = self._missing(invocation)
            if missing is not None:
                self._skip(invocation, missing)
            elif self.failures.is_stopping:
                self._leave_out(invocation)
            else:
                self._perform(invocation)

    # --- running ---

    def _perform(self, invocation: Invocation) -> None:
        """Run a step, or take outputs of an earlier run; whatever it raises is in the invocation."""
        status = ExecutionStatus.FAILED
        try:
            status = self._performer.perform(invocation)
        except BaseException as error:
            if self.is_forked:
                raise
            invocation.error = error
            self._say(invocation, ExecutionStatus.FAILED, error=told(error))
        if invocation.error is not None:
            self.failures.add(invocation)
            if self.failures.is_too_late and not invocation.awaited:
                self._engines.cancel()
        invocation.end(status)

    def _skip(self, invocation: Invocation, cause: Invocation) -> None:
        """Say that a step was not run because of one that it needs, or that was to come before."""
        invocation.cause = cause
        self._say(invocation, ExecutionStatus.SKIPPED, why=f"{cause.key!r} {cause.status}")
        invocation.end(ExecutionStatus.SKIPPED)

    def _leave_out(self, invocation: Invocation) -> None:
        """Say that a step was not started because another one failed."""
        invocation.cause = self.failures.first()
        self._say(invocation, ExecutionStatus.STOPPED, why="another step failed, or the run was stopped")
        invocation.end(ExecutionStatus.STOPPED)

    def _say(self, invocation: Invocation, status: ExecutionStatus, **what: str) -> None:
        """Record how a call has ended that was not run; where there is no record any more, the log has it."""
        try:
            if status is ExecutionStatus.SKIPPED or not invocation.is_recorded:
                self._performer.leave_out(invocation, status, **what)
        except Exception:  # noqa: BLE001  (who waits for the call must hear of its end)
            _log.warning("%s: step %r is %s, and cannot be recorded", self.name, invocation.key, status, exc_info=True)

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
            with board.showing(self), logs.listening():
                try:
                    yield
                except BaseException as raised:
                    if self.is_forked:
                        raise
                    error = raised
                    self._stop_for(raised)
                try:
                    error = self._wait_for_all(error)
                except BaseException as raised:  # an interrupt while one was dealt with
                    if self.is_forked:
                        raise
                    error = error or raised
                    self.failures.interrupt()
                    self._leave()
        finally:
            run_here.reset(token)
            step_here.reset(step_token)
        ended: BaseException | None = None
        for _ in range(_INSISTENCE):
            try:
                ended = self._end(error)
            except KeyboardInterrupt as interrupt:  # it ends all the same
                error = ended = error or interrupt
                continue
            break
        if ended is not None:
            raise ended

    def _stop_for(self, raised: BaseException) -> None:
        """Start nothing any more after what the body has raised, and stop what runs where that is asked for."""
        if not isinstance(raised, Exception):
            self.failures.interrupt()
        elif self.options.mode is not ExecutionMode.CONTINUE_ON_FAILURE:
            self.failures.stop()
        if self.failures.is_cancelling:
            self._engines.cancel()

    def _wait_for_all(self, error: BaseException | None) -> BaseException | None:
        """Wait until all that was submitted has ended, and return what the run ends with; a second interrupt leaves."""
        is_told = isinstance(error, KeyboardInterrupt) and self._says_what_runs()
        while True:
            try:
                for each in self.calls:
                    each.settle()
            except BaseException as raised:  # noqa: BLE001  (an interrupt)
                error = error or raised
                self._stop_for(raised)
                if is_told or not isinstance(raised, KeyboardInterrupt):
                    self._leave()
                    return error
                is_told = self._says_what_runs()
            else:
                self._engines.close()
                return error

    def _leave(self) -> None:
        """Wait for nothing any more; a further interrupt changes nothing of that."""
        for leave in (self._abandon, lambda: self._engines.close(wait=False)):
            for _ in range(_INSISTENCE):
                try:
                    leave()
                except KeyboardInterrupt:
                    continue
                break

    def _says_what_runs(self) -> bool:
        if runs := self._what_runs():
            _log.warning("%s waits for %s; interrupt once more to leave them", self.name, runs)
        return True

    def _what_runs(self) -> str:
        return ", ".join(each.key for each in self.calls if not each.is_over and each.began is not None)

    def _abandon(self) -> None:
        """Record those that have not ended as stopped: nobody waits for them."""
        for each in self.calls:
            if not each.is_over:
                block = self.experiment._blocks.get(each.key)
                if isinstance(block, StepRecord):
                    block.end(ExecutionStatus.STOPPED)
                else:
                    self._say(each, ExecutionStatus.STOPPED, why="the run was interrupted")

    def _end(self, error: BaseException | None) -> BaseException | None:
        """Record how the run ended, and return what it ends with."""
        try:
            raised, cause = self.failures.end(error)
            if self._is_empty and raised is None:
                raised = cause = ValueError(
                    f"pipeline {self.options.pipeline!r} called no step, so there is nothing to record"
                )
                if self._experiment is None:
                    raise raised
            if raised is None:
                self._tell_of_unused_options()
            experiment = self.experiment
            try:
                self.read_news()
                if cause is not None:
                    experiment._scalars["error"] = told(cause)
                experiment.status = "completed" if raised is None else "failed"
                experiment._commit()
                if experiment._companions is not None:
                    experiment._companions.finish()
            except LazytrackError as failure:
                if raised is None:
                    raise
                raised.add_note(f"lazytrack could not save run {self.name!r}: {failure}")
        finally:
            with _starting:
                _running.discard(self._known_as)
        return raised

    def _tell_of_unused_options(self) -> None:
        if unknown := [key for key in self.options.overrides if key not in self.calls]:
            names = ", ".join(map(repr, unknown))
            warnings.warn(
                f"run {self.name!r} had options for {names}, and called no step so", UserWarning, stacklevel=6
            )


def _check_guarded() -> None:
    """Refuse to run within the import of the script by a process that it has started itself.

    Raises
    ------
    RuntimeError
        Which says what to do.
    """
    if is_loading():
        raise RuntimeError(
            "a step of this script is being run by a step operator, which loads the script, and would run the pipeline "
            "again: put what runs it under if __name__ == '__main__':"
        )
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and getattr(processes.current_process(), "_inheriting", False):
        raise RuntimeError(
            "a process that the script has started, such as a Dask worker, imports the script, and would run the "
            "pipeline again: put what runs it under if __name__ == '__main__':"
        )


_running: set[tuple[str, str]] = set()
"""The runs of this process that go on, by project and name."""
