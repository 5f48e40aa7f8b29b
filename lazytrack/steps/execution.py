"""One attempt at a step: hooks, inputs, its code, outputs; the same wherever it runs."""

import logging
import os
from collections.abc import Callable
from typing import Any

import attrs

from lazytrack.errors import reason
from lazytrack.steps.base import BaseStep
from lazytrack.steps.configuration import StepConfiguration
from lazytrack.steps.context import StepContext, step_here
from lazytrack.steps.hooks import call_hook
from lazytrack.steps.inputs import loaded
from lazytrack.steps.logs import Log, keeping
from lazytrack.steps.outputs import Made, construct, describe
from lazytrack.tracking.blocks import told
from lazytrack.tracking.experiment import Experiment
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.placed import write_file

_log = logging.getLogger(__name__)


@attrs.define(kw_only=True, eq=False)
class Task:
    """What one attempt needs to know; it can go to another process.

    Parameters
    ----------
    step, configuration
        What is run, and how, the defaults of the pipeline included.
    owner, record
        The project, and the slug of the run.
    pipeline, run_name, key
        What pipeline, run and call are named.
    parameters
        By argument, as the entrypoint gets them.
    inputs
        By argument, where artifact inputs are.
    artifacts
        Of each output, by its name in this run, what the record calls it.
    folder
        In which the files of outputs are put.
    output_names
        Of each declared output what it is called in this run.
    hushed
        Names of variables of the environment that no record may hold.
    keeps_log, collects
        Whether what is printed is kept, and metadata of outputs.
    is_last
        Whether no other attempt follows.
    """

    step: BaseStep
    configuration: StepConfiguration
    owner: Owner
    record: str
    pipeline: str | None
    run_name: str
    key: str
    parameters: dict[str, Any]
    inputs: dict[str, Any]
    artifacts: dict[str, str]
    folder: str
    output_names: dict[str, str]
    hushed: list[str] = attrs.Factory(list)
    keeps_log: bool = True
    collects: bool = True
    is_last: bool = True


@attrs.define(kw_only=True, eq=False)
class Outcome:
    """How an attempt went.

    Parameters
    ----------
    error
        What was raised; None where it went well.
    told
        Its traceback, without secrets.
    outputs
        By the name they have in this run.
    output_metadata
        What was said of them.
    log
        What was printed, without secrets.
    """

    error: BaseException | None = None
    told: str | None = None
    outputs: dict[str, Made] = attrs.Factory(dict)
    output_metadata: dict[str, dict[str, Any]] = attrs.Factory(dict)
    log: str = ""
    is_recorded: bool = False
    """Whether where it ran has recorded it."""


def attempt(
    task: Task, experiment: Callable[[], Experiment], on_metadata: Callable[[dict[str, Any]], object]
) -> Outcome:
    """Run a step once; whatever it raises is in the outcome.

    Parameters
    ----------
    experiment
        Returns the run's experiment.
    on_metadata
        Called with what the step says of itself.
    """
    context = StepContext(task, experiment, on_metadata)
    outcome = Outcome()
    log = Log() if task.keeps_log else None
    token = step_here.set(context)
    try:
        with keeping(log):
            _attempt(task, outcome)
        if outcome.error is not None:
            outcome.told = told(outcome.error)
        outcome.log = "" if log is None else log.text()
    finally:
        step_here.reset(token)
    outcome.output_metadata = context._output_metadata
    return outcome


def _attempt(task: Task, outcome: Outcome) -> None:
    options, process = task.configuration, os.getpid()
    _hook(task, "on_start", None)
    try:
        outcome.outputs = _outputs(task)
    except BaseException as error:
        if os.getpid() != process:  # a child that the step has forked: it is not the one to say how it went
            raise
        outcome.error = error
    if options.on_end is not None:
        _hook(task, "on_end", outcome.error)
    if outcome.error is None:
        _hook(task, "on_success", None)
    elif task.is_last or not isinstance(outcome.error, Exception):
        _hook(task, "on_failure", outcome.error)


def _outputs(task: Task) -> dict[str, Made]:
    """Call the entrypoint, and write what it returns."""
    step, interface = task.step, task.step.interface
    values = dict(task.parameters)
    for name, tree in task.inputs.items():
        values[name] = interface.inputs[name].coerce(loaded(tree), step.name)
    returned = interface.call(step.entrypoint, values)
    found = interface.outputs_in(returned, step.name)
    handlers = task.configuration.output_materializers or {}
    made: dict[str, Made] = {}
    for declared, value in found.items():
        name = task.output_names[declared]
        artifact = construct(value, handlers.get(declared), artifact=task.artifacts[name], output=name, step=step.name)
        data_type, shape = describe(value)
        try:
            written = write_file(task.owner, task.record, artifact, task.folder)
        except Exception as error:
            error.add_note(
                f"while the handler {artifact.alias!r} kept output {name!r} of step {step.name!r}, a {data_type}; "
                "output_materializers chooses another one"
            )
            raise
        made[name] = Made(
            written=written,
            data_type=data_type,
            shape=shape if task.collects else None,
            value=value,
        )
    return made


def _hook(task: Task, name: str, argument: BaseException | None) -> None:
    """Call a hook where there is one. What it raises is told to the log: it is not the step that went wrong."""
    hook = getattr(task.configuration, name)
    if hook is None:
        return
    try:
        call_hook(hook, argument, name)
    except Exception as error:  # noqa: BLE001  (a user's function may raise anything)
        _log.warning("%s of step %r failed: %s", name, task.key, safe_reason(error), exc_info=True)


def safe_reason(error: BaseException | None) -> str:
    """Return an error as it is told within another one, also one that cannot tell of itself."""
    try:
        return "" if error is None else reason(error)
    except Exception:  # noqa: BLE001  (it is the user's)
        return type(error).__name__
