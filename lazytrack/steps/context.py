"""What is running here: the run whose body this thread is in, and the step."""

import contextvars
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lazytrack import codec, naming
from lazytrack.tracking.active import surrounding_experiment

if TYPE_CHECKING:
    from lazytrack.steps.execution import Task
    from lazytrack.steps.run import Run
    from lazytrack.tracking.experiment import Experiment

run_here: "contextvars.ContextVar[Run | None]" = contextvars.ContextVar("lazytrack run", default=None)
"""The run whose body this thread or task is in."""
step_here: "contextvars.ContextVar[StepContext | None]" = contextvars.ContextVar("lazytrack step context", default=None)
"""The step that this thread or task is in."""


class StepContext:
    """What a running step can know of itself.

    Parameters
    ----------
    task
        What is run.
    experiment
        Returns the run's experiment.
    on_metadata
        Called with what is said of the step.
    """

    def __init__(
        self, task: "Task", experiment: "Callable[[], Experiment]", on_metadata: Callable[[dict[str, Any]], object]
    ) -> None:
        self._task = task
        self._experiment = experiment
        self._on_metadata = on_metadata
        self._output_metadata: dict[str, dict[str, Any]] = {}

    @property
    def pipeline_name(self) -> str | None:
        """The name of the pipeline; None where the step was called by itself."""
        return self._task.pipeline

    @property
    def run_name(self) -> str:
        """The name of the run."""
        return self._task.run_name

    @property
    def step_name(self) -> str:
        """What the run calls this call of the step."""
        return self._task.key

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters, by name."""
        return dict(self._task.parameters)

    @property
    def inputs(self) -> dict[str, Any]:
        """The artifact inputs by name: where each is, or a list of that; each has `uri` and `load()`."""
        return dict(self._task.inputs)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return list(self._task.output_names.values())

    @property
    def experiment(self) -> "Experiment":
        """The run's experiment, to log to."""
        return self._experiment()

    def get_output_artifact_uri(self, output_name: str | None = None) -> str:
        """Return the folder below which an output is going to be kept; with one output its name may be left out."""
        name = f"{self.step_name}.{self._output(output_name)}"
        return f"{self._task.owner.folder}/artifacts/{self._task.record}/{naming.safe_part(name)}"

    def add_output_metadata(self, metadata: Mapping[str, Any], output_name: str | None = None) -> None:
        """Say something about an output, by name; with one output its name may be left out.

        Raises
        ------
        ValueError
            When there is no such output, or several and none is named.
        TypeError
            When JSON cannot hold it.
        """
        name = self._output(output_name)
        if self._task.collects:
            self._output_metadata.setdefault(name, {}).update(
                codec.plain(dict(metadata), f"metadata of output {name!r}")
            )

    def _output(self, name: str | None) -> str:
        names = self.output_names
        if name is None and len(names) == 1:
            return names[0]
        if name not in names:
            known = ", ".join(map(repr, names)) or "none"
            raise ValueError(f"step {self.step_name!r} has no output {name!r}; known: {known}")
        return name

    def __repr__(self) -> str:
        return f"StepContext(run_name={self.run_name!r}, step_name={self.step_name!r})"


def get_step_context() -> StepContext:
    """Return what the running step can know of itself.

    Raises
    ------
    RuntimeError
        When no step is running here.
    """
    found = step_here.get()
    if found is None:
        raise RuntimeError("no step is running here: get_step_context() is for the code of a step, in its thread")
    return found


def log_metadata(metadata: Mapping[str, Any]) -> None:
    """Say something about the running step, by name; a name that was said already gets the new value.

    Raises
    ------
    RuntimeError
        When no step is running here.
    TypeError, ValueError
        When JSON cannot hold it.
    """
    said = codec.plain(metadata, "metadata")
    if not isinstance(said, dict):
        raise TypeError(f"metadata are values by name, not {type(metadata).__name__}")
    get_step_context()._on_metadata(said)


def current_experiment() -> "Experiment":
    """Return the experiment of the run that is running here, to log metrics, parameters and artifacts to.

    In a program that `lazytrack run` has started, and in those that it starts, that is the experiment of the command;
    what is logged to it is saved every half minute, and when the program ends.

    Raises
    ------
    RuntimeError
        When neither a step nor the body of a pipeline is running here, and no `lazytrack run` around it.
    """
    step, run = step_here.get(), run_here.get()
    if step is not None:
        return step.experiment
    if run is not None:
        run.read_news()
        return run.experiment
    if (around := surrounding_experiment()) is not None:
        return around
    raise RuntimeError(
        "no run is going on here: current_experiment() is for the code of a step or a pipeline, and for programs that "
        "`lazytrack run` starts"
    )
