"""How the calls of a run are done: by taking outputs of an earlier run, or in attempts; and how each is recorded."""

import threading
from typing import TYPE_CHECKING, Any

from lazytrack import codec, naming
from lazytrack.artifacts import StoredFile
from lazytrack.artifacts.blobs import new_folder
from lazytrack.artifacts.entries import stored_in
from lazytrack.artifacts.trust import signed
from lazytrack.errors import ArtifactLogError, SaveError, WorkerLost
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps import inputs
from lazytrack.steps.attempts import Attempts
from lazytrack.steps.cache import Hit, Index, Miss, outputs_of
from lazytrack.steps.execution import Outcome
from lazytrack.steps.handles import ArtifactSource, ExternalArtifact, OutputArtifact
from lazytrack.steps.invocation import Invocation
from lazytrack.steps.keys import CacheKey, cache_key
from lazytrack.steps.outputs import construct, describe
from lazytrack.steps.plan import StepPlan
from lazytrack.steps.policy import CachePolicy
from lazytrack.steps.record import StepRecord
from lazytrack.steps.resuming import attempts_in, resume_key
from lazytrack.tracking.blocks import told
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.logged import MISSING, STEPS
from lazytrack.tracking.placed import ARTIFACT, Entry, Written, write_file
from lazytrack.tracking.project import Project

if TYPE_CHECKING:
    from lazytrack.steps.run import Run


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
        self._attempts = Attempts(run)

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
        names = {name: self._free_name(f"{invocation.key}.{name}") for name in invocation.output_names}
        outcome = self._attempts.make(invocation, places, record, names, self._folder)
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
            self._give(invocation, name, entry, earlier["unique_id"], kept[named].get("type"))
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

    def _give(
        self,
        invocation: Invocation,
        name: str,
        entry: Entry,
        producer: str,
        data_type: str | None,
        value: Any = MISSING,
    ) -> None:
        """Have a call have an output, which its run calls `entry`."""
        source = ArtifactSource(self.project, self.slug, entry, producer=producer, data_type=data_type, value=value)
        invocation.outputs[name] = OutputArtifact(name, invocation.key, source=source, invocation=invocation)

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
            self._give(invocation, name, mine, said["unique_id"], kept[named].get("type"))
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

    # --- how it went ---

    def _conclude(  # noqa: C901  (one case a way to end)
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
        if not outcome.is_recorded:
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
            producer = record._record["unique_id"]
            self._give(invocation, name, made.written.entry, producer, made.data_type, made.value)
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
