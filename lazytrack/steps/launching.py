"""Steps that an operator launches: what the record says for the worker, and what comes back in it."""

import builtins
import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lazytrack import naming, step_operators
from lazytrack.artifacts.entries import stored_in
from lazytrack.artifacts.trust import VARIABLE as SIGNING_KEYS
from lazytrack.errors import StepFailed, StepInterfaceError, WorkerLost
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.provenance.kept import KINDS, Shared
from lazytrack.steps.annotations import show
from lazytrack.steps.configuration import StepConfiguration
from lazytrack.steps.environment import outside
from lazytrack.steps.execution import Outcome
from lazytrack.steps.invocation import Invocation
from lazytrack.steps.locating import attributes_of, location_of, search_path
from lazytrack.steps.outputs import Made
from lazytrack.steps.record import StepRecord
from lazytrack.steps.spelling import spelled
from lazytrack.tracking.blocks import told
from lazytrack.tracking.logged import MISSING
from lazytrack.tracking.placed import ARTIFACT, Entry, Written

if TYPE_CHECKING:  # operators are loaded where there are some: what they are configured with takes its time
    from lazytrack.step_operators import BaseStepOperator, StepRunInfo
    from lazytrack.steps.run import Run

STORAGE_OPTIONS = "LAZYTRACK_STORAGE_OPTIONS"
"""The environment variable with what the filesystem of the project takes, as JSON: there may be secrets among it."""
TICKET = "LAZYTRACK_TICKET"
"""The environment variable with what tells an attempt from others at the same call: one may begin when it is late."""
LAUNCH, RAISED = "launch", "raised"
"""Of the record of a step: what its worker needs to know, and what it has raised. They are gone when it has ended."""
FAILED_STEP = 5
"""The exit code of a worker whose step has failed, which the record says; no program ends so that just breaks."""
_TOLD = ("start_time", "metadata", "logged", "log")
"""What a worker says in the record that stays as it is."""
_PATIENCE_OF_STORES = 60.0
"""How long a network file system may take to show what a worker has written, where it said that it has."""
_PATIENCE = 2.0
_GLANCE_SECONDS = 0.1


def operator_of(configuration: StepConfiguration) -> "BaseStepOperator | None":
    """Return the operator that launches a step; None where none does.

    Raises
    ------
    StepInterfaceError
        When there is none of that name.
    """
    named = configuration.step_operator
    return None if named is None or named is False else step_operators.get_step_operator(named)


def check_launch(run: "Run", invocation: Invocation) -> None:
    """Refuse a call that the operator of its step could not launch, before anything starts.

    Raises
    ------
    StepInterfaceError
        When it could not; the message says why.
    """
    step, configuration = invocation.step, invocation.plan.configuration
    operator = operator_of(configuration)
    if operator is None:
        return
    location_of(step)
    attributes_of(step)
    what = f"step {step.name!r} is to be launched by step operator {operator.name!r}"
    run.check_shared(what)
    _check_parameters(invocation, what)
    _options_of(run)
    operator.check(step.name, configuration)


def _check_parameters(invocation: Invocation, what: str) -> None:
    """Refuse an argument that is another one when the worker has read it from the record."""
    for name, value in invocation.parameters.items():
        read = invocation.step.interface.inputs[name].coerce(invocation.plain[name], invocation.step.name)
        if not _is_same(value, read):
            raise StepInterfaceError(
                f"{what}, and reads its argument {name!r}, {show(value)}, from the record as {show(read)}: annotate it "
                "as what it is, or pass it as ExternalArtifact(value=...)"
            )


def _is_same(value: Any, other: Any) -> bool:
    with contextlib.suppress(Exception):  # it is the user's
        if value == other:
            return True
    with contextlib.suppress(TypeError, ValueError):
        return spelled(value) == spelled(other)  # a class that does not say when two are equal, and NaN
    return False


def launch(
    run: "Run",
    operator: "BaseStepOperator",
    invocation: Invocation,
    record: StepRecord,
    names: Mapping[str, str],
    folder: str,
    secrets: Mapping[str, str],
) -> Outcome:
    """Have an operator run a step, and return how it went, which the project says.

    Parameters
    ----------
    names
        Of each output, by its name in this run, what the record calls it.
    folder
        In which the files of outputs are put.
    secrets
        Variables that the step is to have, and that nothing may hold.
    """
    step, plan, ticket = invocation.step, invocation.plan, naming.unique()
    source = location_of(step)
    record.change(
        status=str(ExecutionStatus.QUEUED),
        **{
            LAUNCH: {
                "operator": operator.name,
                "ticket": ticket,
                "outputs": dict(names),
                "output_names": dict(plan.output_names),
                "folder": folder,
                "hushed": sorted(secrets),
                "attributes": attributes_of(step),
                "retries": plan.retry.max_retries,
            }
        },
    )
    run.experiment._commit()
    unique_id = record._record["unique_id"]
    kind = operator.entrypoint_config_class
    arguments = kind.get_entrypoint_arguments(
        project=run.project.location, run=run.slug, step=invocation.key, step_run_id=unique_id, source=source
    )
    trouble: Exception | None = None
    since = naming.micros()
    try:
        operator.launch(
            _info(run, invocation, unique_id),
            [*kind.get_entrypoint_command(), *arguments],
            {TICKET: ticket, **_variables(run, plan.variables, secrets)},
        )
    except Exception as error:  # noqa: BLE001  (an operator may be the user's; how it went is in the project)
        trouble = error
    said = _said(run, record, ticket, _patience(operator, trouble))
    record.change(**{LAUNCH: None})
    if said is None:
        return _lost(operator, trouble)
    return _outcome(run, record, said, since)


def _info(run: "Run", invocation: Invocation, unique_id: str) -> "StepRunInfo":
    group = invocation.group
    members = [each for each in run.calls if each.group is not None and group is not None and each.group == group]
    return step_operators.StepRunInfo(
        step_run_id=unique_id,
        run_id=run.slug,
        run_name=run.name,
        pipeline_step_name=invocation.key,
        config=invocation.plan.configuration,
        pipeline=run.options.pipeline,
        force_write_logs=run.experiment._commit,
        group=None if group is None or group.get("type") != "map" else str(group["id"]),
        group_size=max(len(members), 1),
        is_cancelled=lambda: run.failures.is_cancelling,
    )


def _variables(run: "Run", own: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a worker has to have: how it finds code and project, and those of the step.

    The keys of a team are among them: what one side pickles and signs, the other one is to load.
    """
    there = {STORAGE_OPTIONS: _options_of(run), SIGNING_KEYS: outside().get(SIGNING_KEYS)}
    known = {name: value for name, value in there.items() if value}
    return {"PYTHONPATH": os.pathsep.join(search_path()), **known, **own, **secrets}


def _options_of(run: "Run") -> str:
    options = run.project.storage_options
    try:
        return json.dumps(options) if options else ""
    except TypeError as error:
        raise StepInterfaceError(
            f"run {run.name!r}: the project was opened with options that no other process can be given: {error}"
        ) from error


def _patience(operator: "BaseStepOperator", trouble: Exception | None) -> float:
    """Return how long to look for what a worker has said: for long where it has ended as one that did."""
    code = 0 if trouble is None else getattr(trouble, "exit_code", None)
    is_said = isinstance(operator, step_operators.JobStepOperator) and code in {0, FAILED_STEP}
    return _PATIENCE_OF_STORES if is_said else _PATIENCE


def _said(run: "Run", record: StepRecord, ticket: str, patience: float) -> dict[str, Any] | None:
    """Return what the worker has recorded of this attempt; None where it has not come to its end."""
    until = time.monotonic() + patience
    while True:
        run.project.refresh()
        said = run.project._journal.get(run.slug, record.field)
        if isinstance(said, dict) and said.get(LAUNCH, {}).get("ticket") == ticket and "end_time" in said:
            return said
        if time.monotonic() > until or run.failures.is_cancelling:
            return None
        time.sleep(_GLANCE_SECONDS)


def _lost(operator: "BaseStepOperator", trouble: Exception | None) -> Outcome:
    if trouble is None:
        trouble = WorkerLost(
            f"step operator {operator.name!r} returned, and the step has not said how it went: it was not run, or its "
            "process died"
        )
    return Outcome(error=trouble, told=told(trouble))


def _outcome(run: "Run", record: StepRecord, said: Mapping[str, Any], since: int) -> Outcome:
    """Return how a step went, of what its worker has recorded."""
    journal = run.project._journal
    record.change(**{name: said[name] for name in _TOLD if name in said})
    record._ran_on = {kind: Shared(said[kind], b"", {}) for kind in KINDS if isinstance(said.get(kind), str)}
    run.has_news = True
    outcome = Outcome(output_metadata=said.get("output_metadata") or {})
    for name, made in (said.get("outputs") or {}).items():
        field = ARTIFACT + made["artifact"]
        entry = journal.get(run.slug, field)
        stored = stored_in(entry, record=run.slug, field=field)
        if stored is None:
            outcome.error = WorkerLost(f"the step says that it has made {name!r}, and {field} is not there")
            outcome.told = told(outcome.error)
            return outcome
        run.project._shelf.is_written(stored, since)
        outcome.outputs[name] = Made(
            written=Written(entry=Entry(name=made["artifact"], said=entry), stored=stored),
            data_type=made.get("type", ""),
            shape=made.get("shape"),
            value=MISSING,
        )
    outcome.is_recorded = True
    if (error := said.get("error")) is not None or said.get("status") != str(ExecutionStatus.COMPLETED):
        outcome.told = str(error or "")
        outcome.error = _rebuilt(said.get(RAISED), outcome.told)
    return outcome


def raised_said(error: BaseException) -> dict[str, Any]:
    """Return what a record says of what a step has raised, for who waits for it; without secrets."""
    kind = type(error)
    said: dict[str, Any] = {"type": f"{kind.__module__}.{kind.__qualname__}"}
    with contextlib.suppress(Exception):  # it is the user's
        said["text"] = _masked(str(error))
    with contextlib.suppress(Exception):
        said["args"] = _masked(json.loads(json.dumps(list(_arguments(error)))))
    return said


def _masked(value: Any) -> Any:
    from lazytrack.provenance.redact import redact  # noqa: PLC0415  (only when something went wrong)

    match value:
        case str():
            return redact(value.encode("utf-8", "backslashreplace").decode())
        case list():
            return [_masked(item) for item in value]
        case dict():
            return {_masked(name): _masked(item) for name, item in value.items()}
        case _:
            return value


def _arguments(error: BaseException) -> Sequence[Any]:
    """Return what an exception of its class is made of that says the same."""
    if not isinstance(error, OSError) or error.filename is None:
        return error.args
    # Of an error with a file `args` has but the first two.
    files = [os.fspath(file) if file is not None else None for file in (error.filename, error.filename2)]
    return error.errno, error.strerror, files[0], None, files[1]


def _rebuilt(raised: Any, traceback: str) -> BaseException:
    """Return what a step has raised. Its class is one that this process knows: the store makes it load none."""
    said = raised if isinstance(raised, dict) else {}
    module, _, name = str(said.get("type", "")).rpartition(".")
    kind = getattr(sys.modules.get(module, builtins), name, None)
    error: BaseException | None = None
    if isinstance(kind, type) and issubclass(kind, BaseException) and isinstance(said.get("args"), list):
        with contextlib.suppress(Exception):  # a class of the user's, which may take something else
            error = kind(*said["args"])
            if str(error) != said.get("text"):
                error = None
    if error is None:
        return StepFailed(f"{said.get('type', 'the step failed')}: {said.get('text', '')}\n\n{traceback}")
    if traceback:
        error.add_note(f"where the step ran:\n{traceback}")
    return error
