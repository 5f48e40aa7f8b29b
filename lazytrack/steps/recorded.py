"""A step that is run from its record, in a process that an operator has launched; how it went goes into that record."""

import logging
import os
from collections.abc import Mapping
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.errors import ArtifactLogError, LazytrackError
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.provenance import capture
from lazytrack.provenance.kept import KINDS
from lazytrack.steps.base import BaseStep
from lazytrack.steps.configuration import OPTIONS, StepConfiguration, StepRetryConfig
from lazytrack.steps.environment import hush
from lazytrack.steps.execution import Outcome, Task, attempt
from lazytrack.steps.handles import ArtifactSource
from lazytrack.steps.hooks import hook_said
from lazytrack.steps.launching import LAUNCH, RAISED, raised_said
from lazytrack.steps.locating import found_at
from lazytrack.steps.logs import listening
from lazytrack.steps.outputs import construct
from lazytrack.steps.record import StepRecord
from lazytrack.tracking.blocks import told
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.placed import ARTIFACT, Entry, write_file
from lazytrack.tracking.project import Project

_HOOKS = ("on_failure", "on_success", "on_start", "on_end")
_KEPT_AS_THEY_ARE = {
    "enable_artifact_metadata",
    "enable_artifact_visualization",
    "enable_step_logs",
    "settings",
    "extra",
}
_log = logging.getLogger(__name__)


class SupersededError(LazytrackError):
    """Another attempt at the step has begun: nobody waits for this one."""


def run_recorded(
    project: Project, *, run: str, key: str, step_run_id: str, source: str, ticket: str | None = None
) -> bool:
    """Run a step as its record says, and record how it went; tell whether it went well.

    Parameters
    ----------
    run, key
        The slug of the run, and what that calls the call.
    step_run_id
        The id of the call.
    source
        Where the step stands.
    ticket
        Of the attempt that this is; None where that is not known.

    Raises
    ------
    LookupError
        When the run has no such call, or it is another one by now.
    SupersededError
        When another attempt has begun meanwhile.
    OSError
        When the project cannot be read or written.
    """
    experiment = project.attach(run, autosave=True)
    try:
        return _run(project, experiment, key, step_run_id, source, ticket)
    finally:
        if experiment._companions is not None:
            experiment._companions.finish()


def _run(project: Project, experiment: Experiment, key: str, step_run_id: str, source: str, ticket: str | None) -> bool:
    said = project._journal.get(experiment.slug, STEPS + key)
    if not isinstance(said, dict) or said.get("unique_id") != step_run_id or LAUNCH not in said:
        raise LookupError(f"run {experiment.slug} in {project.fpath} has no step {key!r} that waits to be run")
    launch = said[LAUNCH]
    if ticket not in {None, launch["ticket"]}:
        raise _superseded(experiment, key)
    if said.get("status") == ExecutionStatus.RUNNING:  # some engines run again what they have lost
        raise SupersededError(
            f"step {key!r} of {experiment.slug} was begun by another process already: whether it is run again, its "
            "option retry says"
        )
    hush({name: os.environ[name] for name in launch["hushed"] if name in os.environ})
    record = StepRecord(experiment, key, dict(said))
    record.start()
    found = capture.begin()
    experiment._commit()
    outcome = Outcome()
    metadata: list[dict[str, Any]] = []  # kept until the end: another attempt may own the record by now
    try:
        try:
            step = found_at(source, launch["attributes"])
            task = _task(project, experiment, key, said, step)
        except BaseException as error:  # noqa: BLE001  (importing runs code of the user's)
            error.add_note(
                f"while step {key!r} was loaded where it was to run, from {source}: what it is made of has to be there"
            )
            outcome = Outcome(error=error, told=told(error))
        else:
            with listening():
                outcome = attempt(task, lambda: experiment, metadata.append)
    finally:
        record.stop()
    if found is not None and (origin := found.result()) is not None:
        record.ran_on(dict(zip(KINDS, origin.shared, strict=True)))
    project.refresh()
    now = project._journal.get(experiment.slug, record.field)
    if not isinstance(now, dict) or now.get(LAUNCH, {}).get("ticket") != launch["ticket"]:
        raise _superseded(experiment, key)
    for each in metadata:
        record.log_metadata(each)
    _conclude(project, experiment, record, outcome, launch)
    return outcome.error is None


def _superseded(experiment: Experiment, key: str) -> SupersededError:
    return SupersededError(f"step {key!r} of {experiment.slug}: nobody waits for this attempt any more")


def _task(project: Project, experiment: Experiment, key: str, said: Mapping[str, Any], step: BaseStep) -> Task:
    launch, slug = said[LAUNCH], experiment.slug
    configuration = _configuration(step, said.get("config") or {})
    parameters = {
        name: step.interface.inputs[name].coerce(codec.unstore(value), step.name)
        for name, value in (said.get("parameters") or {}).items()
    }
    run = experiment._scalars.get("run")
    return Task(
        step=step,
        configuration=configuration,
        owner=project,
        record=slug,
        pipeline=run.get("pipeline") if isinstance(run, dict) else None,
        run_name=experiment.name,
        key=key,
        parameters=parameters,
        inputs={name: _tree(project, slug, tree) for name, tree in (said.get("inputs") or {}).items()},
        artifacts=launch["outputs"],
        folder=launch["folder"],
        output_names=launch["output_names"],
        hushed=launch["hushed"],
        keeps_log=configuration.enable_step_logs is not False,
        collects=configuration.enable_artifact_metadata is not False,
        is_last=len(said.get("attempts") or ()) >= launch["retries"],
    )


def _configuration(step: BaseStep, said: Mapping[str, Any]) -> StepConfiguration:
    """Return the options of a call: what its record says of them, with what only its code has."""
    own, options = step.configuration, {}
    for name in OPTIONS:
        if name not in said:
            continue
        value = codec.unstore(said[name])
        if name in _HOOKS:
            hook = getattr(own, name)
            options[name] = hook if hook is not None and hook_said(hook) == value else value
        elif name == "output_materializers":
            options[name] = own.output_materializers or value
        elif name == "retry":
            options[name] = StepRetryConfig(**value)
        elif name in _KEPT_AS_THEY_ARE:
            options[name] = value
    return attrs.evolve(own, **options)


def _tree(project: Project, run: str, said: Any) -> Any:
    """Return where an input is, of what the record says of it."""
    if isinstance(said, list):
        return [_tree(project, run, item) for item in said]
    slug, name = said.get("run", run), said["artifact"]
    entry = project._journal.get(slug, ARTIFACT + name)
    if entry is None:
        raise LookupError(f"there is no artifact {name!r} of {slug} in {project.fpath}")
    source = ArtifactSource(project, slug, Entry(name=name, said=entry))
    return _Item(source, said["index"]) if "index" in said else source


@attrs.frozen
class _Item:
    """One item of an output that is a list."""

    whole: ArtifactSource
    index: int

    def load(self) -> Any:
        """Return the item."""
        return self.whole.load()[self.index]


def _conclude(
    project: Project, experiment: Experiment, record: StepRecord, outcome: Outcome, launch: Mapping[str, Any]
) -> None:
    fields: dict[str, Any] = {}
    named = [record.field]
    for name, made in outcome.outputs.items():
        artifact = made.written.entry.name
        if experiment._has_field(ARTIFACT + artifact):
            outcome.error = ArtifactLogError(
                f"step {record.key!r} has logged an artifact {artifact!r}, which is what its output {name!r} is "
                "called: log it under another name"
            )
            outcome.told, outcome.outputs = told(outcome.error), {}
            break
    if outcome.log:
        log = construct(outcome.log, ["text"], artifact=_log_name(experiment, record.key), output="log", step="")
        written = write_file(project, experiment.slug, log, launch["folder"])
        experiment._name_file(written)
        fields["log"] = written.entry.name
        named.append(ARTIFACT + written.entry.name)
    for made in outcome.outputs.values():
        experiment._name_file(made.written)
        named.append(ARTIFACT + made.written.entry.name)
    if outcome.output_metadata:
        fields["output_metadata"] = codec.store(outcome.output_metadata)
    fields["outputs"] = {name: made.said() for name, made in outcome.outputs.items()} or None
    if outcome.error is not None:
        fields[RAISED] = raised_said(outcome.error)
    status = ExecutionStatus.COMPLETED if outcome.error is None else ExecutionStatus.FAILED
    record.end(status, outcome.told, **fields)
    experiment._commit(named)


def _log_name(experiment: Experiment, key: str) -> str:
    name, number = f"{key}.log", 1
    while experiment._has_field(ARTIFACT + name):
        number += 1
        name = f"{key}.log_{number}"
    return name


def storage_options_in(text: str | None) -> dict[str, Any]:
    """Return the options of a filesystem, as the environment of a worker has them.

    Raises
    ------
    ValueError
        When they are none; the message holds none of them.
    """
    options = codec.loads(text.encode()) if text else {}
    if not isinstance(options, dict):
        raise ValueError("they are no JSON object")  # noqa: TRY004  (a variable, not an argument)
    return options
