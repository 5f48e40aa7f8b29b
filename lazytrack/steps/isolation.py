"""One attempt at a step in a process of its own: what goes there, what comes back, and what if it dies."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazytrack.errors import StepFailed, WorkerLost
from lazytrack.steps.environment import hush, outside
from lazytrack.steps.execution import Outcome, Task, attempt
from lazytrack.steps.logs import listening
from lazytrack.tracking.blocks import told
from lazytrack.tracking.logged import MISSING

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment


def attempt_elsewhere(
    task: Task, variables: Mapping[str, str], on_metadata: Callable[[dict[str, Any]], object]
) -> Outcome:
    """Run a step once in a process of its own, which ends with it; whatever goes wrong is in the outcome.

    The code goes there by value, so it may stand in a notebook, or in a script without a guard around what it runs.

    Parameters
    ----------
    variables
        Of that process's environment, besides those of this one.
    on_metadata
        Called with what the step says of itself, when it has ended.
    """
    try:
        payload = _packed(task)
    except Exception as error:  # noqa: BLE001  (pickling runs code of whatever is pickled)
        error.add_note(f"while step {task.key!r} was sent to a process of its own")
        return Outcome(error=error, told=told(error))
    with tempfile.TemporaryDirectory(prefix="lazytrack-") as folder:
        answer = Path(folder, "answer")
        command = [sys.executable, "-m", "lazytrack.steps.isolated", str(answer)]
        # The other process ends when its input does: it does not outlive this one.
        with subprocess.Popen(command, stdin=subprocess.PIPE, env={**outside(), **variables}) as process:  # noqa: S603
            try:
                if process.stdin is not None:
                    process.stdin.write(len(payload).to_bytes(8))
                    process.stdin.write(payload)
                    process.stdin.flush()
                code = process.wait()
            except BrokenPipeError:
                code = process.wait()
            except BaseException:
                process.kill()
                raise
        if not answer.exists():
            lost = WorkerLost(
                f"the process of step {task.key!r} died with {_how(code)} before it said how the step went"
            )
            return Outcome(error=lost, told=told(lost))
        outcome, said = _unpacked(answer.read_bytes())
    for metadata in said:
        on_metadata(metadata)
    return outcome


def answer(payload: bytes) -> bytes:
    """Run what `attempt_elsewhere` has packed, in the other process, and return what it unpacks."""
    task = _unpacked_task(payload)
    hush({name: os.environ[name] for name in task.hushed})
    project = task.owner
    said: list[dict[str, Any]] = []
    attached: list[Experiment] = []

    def current() -> "Experiment":
        if not attached:
            attached.append(project.attach(task.record))
        return attached[0]

    with listening():
        outcome = attempt(task, current, said.append)
    if attached:
        try:
            project.save()
        except Exception as error:  # noqa: BLE001  (it is told with the outcome)
            outcome.error = outcome.error or error
            outcome.told = outcome.told or told(error)
    return _packed_outcome(outcome, said)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _packed(task: Task) -> bytes:
    """Pack what to run: where modules are found, then all the rest, which is unpacked once they are."""
    import cloudpickle  # noqa: PLC0415  (only such steps need it)

    step = task.step
    state = {name: value for name, value in vars(step).items() if name not in _STAYS_HERE}
    task.step = None  # type: ignore[assignment]
    try:
        return pickle.dumps((sys.path, cloudpickle.dumps((type(step), state, task))))
    finally:
        task.step = step


_STAYS_HERE = {"_source", "source_code", "__wrapped__"}
"""What of a step is not needed to run it; it holds the whole text of a file."""


def _unpacked_task(payload: bytes) -> Task:
    path, content = pickle.loads(payload)
    sys.path[:] = path
    kind, state, task = pickle.loads(content)
    step = object.__new__(kind)
    step.__dict__.update(state)
    task.step = step
    return task  # type: ignore[no-any-return]


def _packed_outcome(outcome: Outcome, said: list[dict[str, Any]]) -> bytes:
    import cloudpickle  # noqa: PLC0415  (as above)

    for made in outcome.outputs.values():  # the objects stay here: their files are written
        made.value = MISSING
        made.written = type(made.written)(entry=made.written.entry, stored=made.written.stored)
    error, outcome.error = outcome.error, None
    try:
        packed_error = cloudpickle.dumps(error)
        pickle.loads(packed_error)
    except Exception:  # noqa: BLE001  (an exception of the user's, which may refuse to be pickled in any way)
        packed_error = cloudpickle.dumps(
            StepFailed(f"{type(error).__module__}.{type(error).__qualname__}: {error}\n\n{outcome.told}")
        )
    return bytes(cloudpickle.dumps((outcome, packed_error, said)))


def _unpacked(content: bytes) -> tuple[Outcome, list[dict[str, Any]]]:
    outcome, packed_error, said = pickle.loads(content)
    try:
        outcome.error = pickle.loads(packed_error)
    except Exception as error:  # noqa: BLE001  (as above)
        outcome.error = StepFailed(f"what the step raised cannot be raised here ({error}):\n\n{outcome.told}")
    if outcome.error is not None and outcome.told:
        outcome.error.add_note(f"in a process of its own:\n{outcome.told}")
    return outcome, said
