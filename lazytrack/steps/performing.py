"""How the calls of a run are done: by taking outputs of an earlier run, or in attempts; and how each is recorded."""

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from lazytrack import codec, naming
from lazytrack.artifacts import StoredFile
from lazytrack.artifacts.blobs import new_folder
from lazytrack.artifacts.entries import stored_in
from lazytrack.artifacts.trust import signed
from lazytrack.errors import ArtifactLogError, SaveError, WorkerLost
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.series import HEARTBEATS
from lazytrack.steps import inputs
from lazytrack.steps.cache import Hit, Index, Miss, outputs_of
from lazytrack.steps.configuration import StepRuntime
from lazytrack.steps.envelope import Answer, Parcel, Sender, unpack
from lazytrack.steps.environment import hush, turns, variables
from lazytrack.steps.execution import Outcome, Task, attempt, safe_reason
from lazytrack.steps.executors import Engine
from lazytrack.steps.handles import ArtifactSource, ExternalArtifact, OutputArtifact
from lazytrack.steps.invocation import Invocation, own_copy
from lazytrack.steps.keys import CacheKey, cache_key
from lazytrack.steps.outputs import construct, describe
from lazytrack.steps.plan import StepPlan
from lazytrack.steps.policy import CachePolicy
from lazytrack.steps.record import StepRecord
from lazytrack.steps.resuming import attempts_in, resume_key
from lazytrack.steps.secrets import look_up
from lazytrack.steps.workers import run_alone
from lazytrack.tracking.blocks import told
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.placed import ARTIFACT, Entry, Written, write_file
from lazytrack.tracking.project import Project

if TYPE_CHECKING:
    from lazytrack.steps.run import Run

_OF_STEPS = (STEPS, ARTIFACT, HEARTBEATS, "last_updated")
"""Fields that nobody who runs a step needs."""
_log = logging.getLogger(__name__)


class Performer:
    """Does the calls of a run, and records them.

    Parameters
    ----------
    run
        Which one.
    index
        Knows what earlier runs have made.
    """

    def __init__(self, run: "Run", index: Index) -> None:
        self._run, self._index = run, index
        self._lock = threading.RLock()
        self._folders: dict[str, str] = {}
        self._names: set[str] = set()
        """What artifacts of the run are called, or are going to be."""
        self._sender: Sender | None = None

    @property
    def project(self) -> Project:
        """Where the run is recorded."""
        return self._run.project

    @property
    def experiment(self) -> Experiment:
        """What the run is recorded as."""
        return self._run.experiment

    @property
    def slug(self) -> str:
        """Of that."""
        return self.experiment.slug

    def perform(self, invocation: Invocation) -> ExecutionStatus:
        """Do a call, and return how it ended; what the step raised is in it, and its outputs.

        Raises
        ------
        Exception
            What goes wrong before the step begins.
        """
        plan, experiment = invocation.plan, self.experiment
        places = {name: inputs.located(tree, self.keep) for name, tree in invocation.inputs.items()}
        key = self._key(invocation, places)
        earlier = self._run.earlier.get(invocation.key)
        if earlier is not None and (status := self._go_on_from(invocation, earlier, key)) is not None:
            return status
        found = None if key is None or not plan.is_cached else self._index.find(key.key, plan.policy)
        said = self._said(invocation, places, key)
        if isinstance(found, Hit):
            self._take(invocation, found, said | {"cache": {"key": found.said["cache"]["key"]}})
            return ExecutionStatus.CACHED
        if key is not None and not plan.is_cached:
            said["resume_key"] = key.key
        elif key is not None:
            why = found.why if isinstance(found, Miss) else None
            said["cache"] = {"key": key.key, "parts": key.parts, **({} if why is None else {"miss": why})}
        self._keep_code(plan)
        if earlier is not None and (attempts := attempts_in(earlier)):
            said["attempts"] = attempts
        invocation.is_recorded = True
        record = StepRecord(experiment, invocation.key, said)
        outcome = self._attempts(invocation, places, record)
        return self._conclude(invocation, record, outcome, key)

    def _keep_code(self, plan: StepPlan) -> None:
        if plan.code_file is not None:
            self.experiment._code_files.setdefault(plan.code_file.digest, plan.code_file)

    def _key(self, invocation: Invocation, places: dict[str, Any]) -> CacheKey | None:
        """Return what tells whether outputs can be taken again; None where nothing does, or nobody would."""
        plan = invocation.plan
        if self._run.options.pipeline is None or not (plan.is_cached or plan.policy.asks_nobody):
            return None
        return cache_key(
            invocation.step,
            plan.fixed_parts(invocation.step),
            plan.policy,
            invocation.parameters,
            {name: inputs.content(tree) for name, tree in places.items()},
            {name: inputs.identity(tree) for name, tree in places.items()},
        )

    def _go_on_from(
        self, invocation: Invocation, earlier: dict[str, Any], key: CacheKey | None
    ) -> ExecutionStatus | None:
        """Have a call be what it was when the run was interrupted; None where it has to be run, again or after all."""
        if key is None or key.key != resume_key(earlier):
            return None
        found = outputs_of(self.project, earlier, self.slug, invocation.key, CachePolicy())
        if not isinstance(found, Hit) or len(found.outputs) != len(invocation.output_names):
            return None
        kept = earlier.get("outputs") or {}
        for name, (named, entry) in zip(invocation.output_names, found.outputs.items(), strict=True):
            source = ArtifactSource(
                self.project, self.slug, entry, producer=earlier["unique_id"], data_type=kept[named].get("type")
            )
            invocation.outputs[name] = OutputArtifact(name, invocation.key, source=source, invocation=invocation)
        invocation.is_recorded = True
        return ExecutionStatus(earlier["status"])

    def _said(self, invocation: Invocation, places: dict[str, Any], key: CacheKey | None) -> dict[str, Any]:
        """Return what the record of a call says before it begins, as strict JSON."""
        plan = invocation.plan
        class_name = plan.said["step_class_name"]
        said = {
            "unique_id": naming.step_id(
                class_name, plan.said.get("version"), key.key if key is not None and plan.is_cached else None
            ),
            "step_name": invocation.key,
            "number": invocation.number,
            "dependencies": sorted({each for tree in places.values() for each in inputs.made_by(tree)}),
            **plan.said,
        }
        if invocation.plain:
            said["parameters"] = codec.store(invocation.plain)
        if places:
            said["inputs"] = {name: inputs.said(tree, self.slug) for name, tree in places.items()}
        if invocation.upstream or invocation.after:
            said["upstream"] = [other.key for other in invocation.waits_for]
        if key is None and plan.is_cached:
            said["cacheable"] = False
        if invocation.group is not None:
            said["group"] = invocation.group
        return said

    def keep(self, external: ExternalArtifact) -> ArtifactSource:
        """Write a value that no step has made, as it is now."""
        candidates = None if external.materializer is None else [external.materializer]
        name = self._free_name("external")
        artifact = construct(external.value, candidates, artifact=name, output="value", step=self._run.name)
        written = write_file(self.project, self.slug, artifact, self._folder("external"))
        self.experiment._name_file(written)
        return ArtifactSource(
            self.project, self.slug, written.entry, data_type=describe(external.value)[0], value=external.value
        )

    def _free_name(self, name: str) -> str:
        """Return what an artifact is going to be called: this, unless another one of the run is."""
        experiment, number, free = self.experiment, 1, name
        with self._lock:
            while free in self._names or experiment._has_field(ARTIFACT + free):
                number += 1
                free = f"{name}_{number}"
            self._names.add(free)
        return free

    # --- taking outputs of an earlier run ---

    def _take(self, invocation: Invocation, hit: Hit, said: dict[str, Any]) -> None:
        experiment, slug = self.experiment, self.slug
        now = naming.iso(naming.now())
        outputs = {}
        kept = hit.said.get("outputs") or {}
        # What they are called may have a time in it: the order in which they are declared counts.
        for name, (named, entry) in zip(invocation.output_names, hit.outputs.items(), strict=True):
            artifact = self._free_name(f"{invocation.key}.{name}")
            mine = Entry(name=artifact, said=_entry_for(entry, hit.run, slug, artifact))
            experiment._name_file(Written(entry=mine, stored=_stored(mine, slug)))
            outputs[name] = {**kept[named], "artifact": artifact}
            source = ArtifactSource(
                self.project, slug, mine, producer=said["unique_id"], data_type=kept[named].get("type")
            )
            invocation.outputs[name] = OutputArtifact(name, invocation.key, source=source, invocation=invocation)
        said |= {
            "status": str(ExecutionStatus.CACHED),
            "start_time": now,
            "end_time": now,
            "outputs": outputs,
            "original": {"run": hit.run, "step": hit.key},
        }
        said |= {name: hit.said[name] for name in ("metadata", "output_metadata") if name in hit.said}
        experiment._set_field(STEPS + invocation.key, said)
        invocation.is_recorded = True

    # --- attempts ---

    def _attempts(self, invocation: Invocation, places: dict[str, Any], record: StepRecord) -> Outcome:
        retry = invocation.plan.retry
        delay = retry.delay
        names = {name: self._free_name(f"{invocation.key}.{name}") for name in invocation.output_names}
        for left in range(retry.max_retries, -1, -1):
            record.start()
            invocation.tries += 1
            try:
                outcome = self._attempt(invocation, places, record, names, is_last=left == 0)
            except BaseException as error:
                if self._run.is_forked:
                    raise
                outcome = Outcome(error=error, told=told(error))
            finally:
                record.stop()
            if left == 0 or not isinstance(outcome.error, Exception) or self._run.failures.is_cancelling:
                break
            record.set_aside(outcome.told)
            _log.warning(
                "step %r failed and is tried again in %s s: %s", invocation.key, delay, safe_reason(outcome.error)
            )
            try:
                if delay:
                    time.sleep(delay)
            except BaseException as error:  # noqa: BLE001  (somebody interrupts)
                return Outcome(error=error, told=told(error))
            delay *= retry.backoff
        return outcome

    def _attempt(
        self,
        invocation: Invocation,
        places: dict[str, Any],
        record: StepRecord,
        names: dict[str, str],
        *,
        is_last: bool,
    ) -> Outcome:
        plan = invocation.plan
        options = plan.configuration
        secrets = look_up(options.secrets or (), invocation.step.name)
        hush(secrets)
        wanted = plan.variables | secrets
        task = Task(
            step=invocation.step,
            configuration=options,
            owner=self.project,
            record=self.slug,
            pipeline=self._run.options.pipeline,
            run_name=self._run.name,
            key=invocation.key,
            parameters=own_copy(invocation.parameters),
            inputs=places,
            artifacts=names,
            folder=self._folder(invocation.step.name, anew="attempts" in record._record),
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
        in_memory = not self.project._files.is_shared
        if in_memory and is_isolated:
            self._run.check_shared(f"step {invocation.step.name!r} is to run in a process of its own")
        is_alone = invocation.done is None and self._run.is_alone and not is_isolated
        if in_memory or (is_alone and turns.is_free()):
            with turns.alone(), variables(wanted):
                return self._attempt_here(task, record)
        return self._attempt_there(task, invocation, record, wanted)

    def _attempt_here(self, task: Task, record: StepRecord) -> Outcome:
        return attempt(task, lambda: self.experiment, record.log_metadata)

    def _attempt_there(
        self, task: Task, invocation: Invocation, record: StepRecord, variables: dict[str, str] | None
    ) -> Outcome:
        """Run a step in another process, which is its own where `variables` are given."""
        self._have_run_stored()
        since, engine = naming.micros(), invocation.engine
        try:
            parcel = self._sent_by.pack(task, self._program(invocation), variables)
        except Exception as error:  # noqa: BLE001  (pickling runs code of whatever is pickled)
            error.add_note(f"while step {task.key!r} was packed to run in another process")
            return Outcome(error=error, told=told(error))
        if engine is None or engine.is_here:
            answer = unpack(run_alone(parcel.content, parcel.variables or {}))
        else:
            answer = self._answer_of(engine, parcel, invocation, record)
        record.took(answer.seconds)
        if answer.ran_on is not None:
            record.ran_on(answer.ran_on)
        for metadata in answer.said:
            record.log_metadata(metadata)
        for made in answer.outcome.outputs.values():
            self.project._shelf.is_written(made.written.stored, since)
        if answer.has_logged:
            self._run.has_news = True
        return answer.outcome

    def _answer_of(self, engine: Engine, parcel: Parcel, invocation: Invocation, record: StepRecord) -> Answer:
        """Have an engine run a step; attempts that it has made up for by itself are recorded."""
        try:
            return unpack(engine.run(parcel))
        finally:
            for seconds, why in parcel.lost:
                invocation.tries += 1
                record.set_aside(why, began=naming.iso(naming.from_micros(int(seconds * 1e6))))

    @property
    def _sent_by(self) -> Sender:
        with self._lock:
            if self._sender is None:
                self._sender = Sender(self.project)
            return self._sender

    def _program(self, invocation: Invocation) -> bytes:
        """Return a step and its options as they were when the first call of its map was run elsewhere."""
        known, key = invocation.programs, id(invocation.plan)
        if key not in known:
            known[key] = self._sent_by.program(invocation.step, invocation.plan.configuration)
        return known[key]

    def _have_run_stored(self) -> None:
        """Save the run where it is new, or something was logged to it: who runs a step elsewhere looks for it."""
        experiment = self.experiment
        with experiment._ledger.lock:
            is_new = self.slug not in self.project._journal
            if not is_new and all(field.startswith(_OF_STEPS) for field in experiment._ledger.changed):
                return
        experiment._commit()

    # --- how it went ---

    def _conclude(
        self, invocation: Invocation, record: StepRecord, outcome: Outcome, key: CacheKey | None
    ) -> ExecutionStatus:
        experiment = self.experiment
        fields: dict[str, Any] = {}
        named = [record.field]
        if outcome.log:
            log = self._log_artifact(invocation, outcome.log)
            fields["log"] = log.entry.name
            named.append(ARTIFACT + log.entry.name)
        if outcome.output_metadata:
            fields["output_metadata"] = codec.store(outcome.output_metadata)
        self._refuse_logged_twice(invocation, outcome)
        status = ExecutionStatus.COMPLETED
        if self._run.failures.is_cancelling and isinstance(outcome.error, WorkerLost):
            # It is this run that has ended its process.
            status, outcome.error, outcome.told = ExecutionStatus.STOPPED, None, None
            fields["why"] = "another step failed, or the run was stopped"
        elif outcome.error is not None:
            status = ExecutionStatus.FAILED
        elif self._run.failures.is_too_late:
            status = ExecutionStatus.STOPPED
        for name, made in outcome.outputs.items():
            experiment._name_file(made.written)
            named.append(ARTIFACT + made.written.entry.name)
            source = ArtifactSource(
                self.project,
                self.slug,
                made.written.entry,
                producer=record._record["unique_id"],
                data_type=made.data_type,
                value=made.value,
            )
            invocation.outputs[name] = OutputArtifact(name, invocation.key, source=source, invocation=invocation)
        fields["outputs"] = {name: made.said() for name, made in outcome.outputs.items()} or None
        record.end(status, outcome.told, **fields)
        try:
            experiment._commit(named)
        except SaveError as error:
            if outcome.error is None:
                invocation.outputs = {}
                invocation.error = error
                record.end(ExecutionStatus.FAILED, told(error))
                return ExecutionStatus.FAILED
            outcome.error.add_note(f"lazytrack could not save the record of step {invocation.key!r}: {error}")
        invocation.error = outcome.error
        if status is ExecutionStatus.COMPLETED and key is not None and invocation.plan.is_cached:
            self._index.add(key.key, self.slug, invocation.key)
        return status

    def _refuse_logged_twice(self, invocation: Invocation, outcome: Outcome) -> None:
        """Fail a step that has logged an artifact under the name that its output is going to have."""
        for name, made in outcome.outputs.items():
            if self.experiment._has_field(ARTIFACT + made.written.entry.name):
                outcome.error = ArtifactLogError(
                    f"step {invocation.key!r} has logged an artifact {made.written.entry.name!r}, which is what its "
                    f"output {name!r} is called: log it under another name"
                )
                outcome.told, outcome.outputs = told(outcome.error), {}
                return

    def _folder(self, name: str, *, anew: bool = False) -> str:
        """Return where files of a step are put: all in one folder, but for those of a further attempt."""
        folder = None if anew else self._folders.get(name)
        if folder is None:
            folder = new_folder(name, 0, self.slug)
            if not anew:
                folder = self._folders.setdefault(name, folder)
        return folder

    def _log_artifact(self, invocation: Invocation, text: str) -> Written:
        name = self._free_name(f"{invocation.key}.log")
        artifact = construct(text, ["text"], artifact=name, output="log", step=invocation.key)
        written = write_file(self.project, self.slug, artifact, self._folder(invocation.step.name))
        self.experiment._name_file(written)
        return written

    def leave_out(
        self, invocation: Invocation, status: ExecutionStatus, why: str | None = None, error: str | None = None
    ) -> None:
        """Record that a step was not run, or that it failed before it began."""
        plan = invocation.plan
        self._keep_code(plan)
        now = naming.iso(naming.now())
        said = {
            "unique_id": naming.step_id(plan.said["step_class_name"], plan.said.get("version"), None),
            "step_name": invocation.key,
            "number": invocation.number,
            "dependencies": [],
            **plan.said,
            "status": str(status),
            **({} if why is None else {"why": why}),
            **({} if error is None else {"error": error, "start_time": now, "end_time": now}),
            "upstream": [other.key for other in invocation.waits_for],
        }
        if invocation.plain:
            said["parameters"] = codec.store(invocation.plain)
        if invocation.group is not None:
            said["group"] = invocation.group
        self.experiment._set_field(STEPS + invocation.key, said)


def _entry_for(entry: Entry, run: str, slug: str, artifact: str) -> dict[str, Any]:
    """Return what this run says of an output of another one, signed for its place where reading it runs code."""
    if entry.said.get("signature") is None:
        return entry.said
    there = entry.artifact(run)
    if there.stored is None:  # its handler is not installed
        return entry.said
    stored = signed(there, there.stored, record=slug, field=ARTIFACT + artifact)
    return {**entry.said, "signature": stored.signature}


def _stored(entry: Entry, record: str) -> StoredFile:
    said, field = entry.said, ARTIFACT + entry.name
    if "parts" in said and (found := stored_in(said, record=record, field=field)) is not None:
        return found
    return StoredFile(
        path=said["path"],
        sha256=said["sha256"],
        size=said["size"],
        record=record,
        field=field,
        signature=said.get("signature"),
    )
