"""Views of runs."""

import warnings
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lazytrack.post_execution.base_view import ConfiguredView, MetadataEntry, metadata_entries
from lazytrack.post_execution.models import PipelineRunResponseModel
from lazytrack.post_execution.sound import sound
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.post_execution.step import StepView, view_of_step
from lazytrack.tracking.logged import STEPS

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment
    from lazytrack.tracking.project import Project


class PipelineRunView(ConfiguredView):
    """One run of a pipeline, or of a step that was called by itself."""

    MODEL_CLASS = PipelineRunResponseModel
    REPR_KEYS: ClassVar[list[str]] = ["id", "name"]

    @property
    def model(self) -> PipelineRunResponseModel:
        """What is shown."""
        return cast("PipelineRunResponseModel", self._model)

    @property
    def _said(self) -> dict[str, Any]:
        said = self._project._journal.get(self.model.id, "run")
        return said if isinstance(said, dict) else {}

    # --- what it is ---

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.model.name)  # type: ignore[attr-defined]

    @property
    def experiment(self) -> "Experiment":
        """What it is recorded as: parameters, metrics, tags, artifacts."""
        return self._project[self.model.id]

    @property
    def pipeline_name(self) -> str | None:
        """The name of its pipeline; None where a step was called by itself."""
        return cast("str | None", self._said.get("pipeline"))

    @property
    def enable_cache(self) -> bool | None:
        """Whether outputs of earlier runs could be taken; None where that was not set."""
        return cast("bool | None", self._said.get("enable_cache"))

    @property
    def metadata(self) -> dict[str, MetadataEntry]:
        """What was said of it, by key."""
        return metadata_entries(self._config.get("metadata"))

    # --- how it went ---

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come; read anew each time until it has ended."""
        status = self.experiment.status
        if status == ExecutionStatus.RUNNING:
            self._project.refresh()
            status = self.experiment.status
        return ExecutionStatus(status)

    @property
    def stale(self) -> bool:
        """Whether it says that it is running, and has not been heard of for a while: its process is gone."""
        return self.experiment.stale

    # --- its steps ---

    @property
    def steps(self) -> list[StepView]:
        """The steps, in the order in which they were called."""
        return [view for name in self.get_step_names() if (view := self._step(name)) is not None]

    def get_step_names(self) -> list[str]:
        """Return the names of the steps, in the order in which they were called."""
        found: list[tuple[int, str]] = []
        for field, said in self._project._journal.fields(self.model.id).items():
            if field.startswith(STEPS) and "status" in (step := sound(said)):
                found.append((step.get("number", len(found)), field[len(STEPS) :]))
        return [name for _, name in sorted(found, key=lambda each: each[0])]

    def get_step(self, step: str | None = None, **kwargs: Any) -> StepView:
        """Return a step by its name.

        Raises
        ------
        KeyError
            When there is none; the message lists those that are there.
        RuntimeError
            When no name is given.
        """
        if step is None and "name" in kwargs:
            warnings.warn("get_step(name=...) is get_step(step=...) now", DeprecationWarning, stacklevel=2)
            step = kwargs.pop("name")
        if kwargs:
            raise TypeError(f"get_step() has no argument {next(iter(kwargs))!r}")
        if step is None:
            raise RuntimeError("get_step() needs the name of a step, as in run.get_step('train')")
        view = self._step(str(step))
        if view is None:
            known = ", ".join(map(repr, self.get_step_names())) or "none"
            raise KeyError(f"run {self.name!r} has no step {step!r}; known: {known}")
        return view

    def _step(self, name: str) -> StepView | None:
        return view_of_step(self._project, self.model.id, name)


def view_of_run(project: "Project", slug: str) -> PipelineRunView:
    """Return a view of the run that an experiment is.

    Raises
    ------
    KeyError
        When there is no such experiment.
    """
    experiment = project[slug]
    return PipelineRunView(
        PipelineRunResponseModel(
            id=experiment.slug,
            created=experiment.created_at,
            updated=experiment.last_updated,
            name=experiment.name,
            project=project,
        )
    )
