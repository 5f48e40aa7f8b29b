"""Attempts at a step: in this process, in one of its own, or where an engine runs it; again where it fails."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lazytrack import naming
from lazytrack.series import HEARTBEATS
from lazytrack.steps.configuration import StepRuntime
from lazytrack.steps.envelope import Answer, Parcel, Sender, unpack
from lazytrack.steps.environment import hush, turns, variables
from lazytrack.steps.execution import Outcome, Task, attempt, safe_reason
from lazytrack.steps.executors import Engine
from lazytrack.steps.invocation import Invocation, own_copy
from lazytrack.steps.launching import launch, operator_of
from lazytrack.steps.record import StepRecord
from lazytrack.steps.secrets import look_up
from lazytrack.steps.workers import run_alone
from lazytrack.tracking.blocks import told
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.placed import ARTIFACT

if TYPE_CHECKING:
    from lazytrack.steps.run import Run

_OF_STEPS = (STEPS, ARTIFACT, HEARTBEATS, "last_updated")
"""Fields that nobody who runs a step needs."""
_GLANCE_SECONDS = 0.2
"""Between two looks at whether a pause has become pointless."""
_log = logging.getLogger(__name__)


class Attempts:
    """Runs the calls of a run whose outputs are not taken from an earlier one.

    Parameters
    ----------
    run
        Which one.
    """

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._lock = threading.Lock()
        self._sender: Sender | None = None

    def make(
        self,
        invocation: Invocation,
        places: dict[str, Any],
        record: StepRecord,
        names: dict[str, str],
        folder: Callable[..., str],
    ) -> Outcome:
        """Run a step, again where it fails and is to be tried again, and return how the last attempt went.

        Parameters
        ----------
        places
            Where its inputs are, by argument.
        record
            Says of each attempt that it begins and ends.
        names
            What the record calls its outputs, by name.
        folder
            Returns where files of a step are put; ``anew`` for a further attempt.
        """
        retry = invocation.plan.retry
        delay = retry.delay
        for left in range(retry.max_retries, -1, -1):
            if invocation.tries and invocation.engine is not None:
                invocation.room.enter_context(invocation.engine.slot())
            record.start()
            invocation.begin()
            try:
                outcome = self._attempt(invocation, places, record, names, folder, is_last=left == 0)
            except BaseException as error:
                if self._run.is_forked:
                    raise
                outcome = Outcome(error=error, told=told(error))
            finally:
                record.stop()
                invocation.room.close()  # another step may begin, while what this one has made is recorded
            if left == 0 or not isinstance(outcome.error, Exception) or self._run.failures.is_cancelling:
                break
            record.set_aside(outcome.told)
            _log.warning(
                "step %r failed and is tried again in %s s: %s", invocation.key, delay, safe_reason(outcome.error)
            )
            try:
                self._pause(delay)
            except BaseException as error:  # noqa: BLE001  (somebody interrupts)
                return Outcome(error=error, told=told(error))
            if self._run.failures.is_cancelling:
                break
            delay *= retry.backoff
        return outcome

    def _pause(self, seconds: float) -> None:
        """Wait, unless nothing is to be tried again any more."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._run.failures.is_cancelling:
            time.sleep(min(left, _GLANCE_SECONDS))

    def _attempt(
        self,
        invocation: Invocation,
        places: dict[str, Any],
        record: StepRecord,
        names: dict[str, str],
        folder: Callable[..., str],
        *,
        is_last: bool,
    ) -> Outcome:
        plan = invocation.plan
        options = plan.configuration
        secrets = look_up(options.secrets or (), invocation.step.name)
        hush(secrets)
        wanted = plan.variables | secrets
        if (operator := operator_of(options)) is not None:
            place = folder(invocation.step.name, anew="attempts" in record._record)
            return launch(self._run, operator, invocation, record, names, place, secrets)
        task = Task(
            step=invocation.step,
            configuration=options,
            owner=self._run.project,
            record=self._run.slug,
            pipeline=self._run.options.pipeline,
            run_name=self._run.name,
            key=invocation.key,
            parameters=own_copy(invocation.parameters),
            inputs=places,
            artifacts=names,
            folder=folder(invocation.step.name, anew="attempts" in record._record),
            output_names=plan.output_names,
            hushed=list(secrets),
            keeps_log=options.enable_step_logs is not False,
            collects=options.enable_artifact_metadata is not False,
            is_last=is_last,
        )
        engine, is_isolated = invocation.engine, options.runtime is StepRuntime.ISOLATED
        if engine is not None and not engine.is_here:
            return self._attempt_there(task, invocation, record, wanted if wanted or is_isolated else None)
        if not wanted and not is_isolated:
            with turns.beside_others():
                return self._attempt_here(task, record)
        in_memory = not self._run.project._files.is_shared
        if in_memory and is_isolated:
            self._run.check_shared(f"step {invocation.step.name!r} is to run in a process of its own")
        is_alone = invocation.done is None and self._run.is_alone and not is_isolated
        if in_memory or (is_alone and turns.is_free()):
            with turns.alone(), variables(wanted):
                return self._attempt_here(task, record)
        return self._attempt_there(task, invocation, record, wanted)

    def _attempt_here(self, task: Task, record: StepRecord) -> Outcome:
        return attempt(task, lambda: self._run.experiment, record.log_metadata)

    def _attempt_there(
        self, task: Task, invocation: Invocation, record: StepRecord, variables: dict[str, str] | None
    ) -> Outcome:
        """Run a step in another process, which is its own where `variables` are given."""
        self._have_run_stored()
        since, engine = naming.micros(), invocation.engine
        try:
            parcel = self._sent_by.pack(task, self._program(invocation), variables)
        except Exception as error:  # noqa: BLE001  (pickling runs code of whatever is pickled)
            with contextlib.suppress(Exception):  # it is the user's
                error.add_note(f"while step {task.key!r} was packed to run in another process")
            return Outcome(error=error, told=told(error))
        if engine is None or engine.is_here:
            answer = unpack(run_alone(parcel.content, parcel.variables or {}), parcel.ticket)
        else:
            answer = self._answer_of(engine, parcel, invocation, record)
        record.took(answer.seconds)
        if answer.ran_on is not None:
            record.ran_on(answer.ran_on)
        for metadata in answer.said:
            record.log_metadata(metadata)
        for made in answer.outcome.outputs.values():
            self._run.project._shelf.is_written(made.written.stored, since)
        if answer.has_logged:
            self._run.has_news = True
        return answer.outcome

    def _answer_of(self, engine: Engine, parcel: Parcel, invocation: Invocation, record: StepRecord) -> Answer:
        """Have an engine run a step; attempts that it has made up for by itself are recorded."""
        try:
            return unpack(engine.run(parcel), parcel.ticket)
        finally:
            for seconds, why in parcel.lost:
                invocation.tries += 1
                record.set_aside(why, began=naming.iso(naming.from_micros(int(seconds * 1e6))))

    @property
    def _sent_by(self) -> Sender:
        with self._lock:
            if self._sender is None:
                self._sender = Sender(self._run.project)
            return self._sender

    def _program(self, invocation: Invocation) -> bytes:
        """Return a step and its options as they were when the first call of its map was run elsewhere."""
        known, key = invocation.programs, id(invocation.plan)
        if key not in known:
            known[key] = self._sent_by.program(invocation.step, invocation.plan.configuration)
        return known[key]

    def _have_run_stored(self) -> None:
        """Save the run where it is new, or something was logged to it: who runs a step elsewhere looks for it."""
        experiment = self._run.experiment
        with experiment._ledger.lock:
            is_new = self._run.slug not in self._run.project._journal
            if not is_new and all(field.startswith(_OF_STEPS) for field in experiment._ledger.changed):
                return
        experiment._commit()
