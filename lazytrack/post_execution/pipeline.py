"""Views of pipelines, and how they and their runs are found."""

from typing import TYPE_CHECKING, Any, ClassVar, cast

from lazytrack.post_execution.base_view import BaseView
from lazytrack.post_execution.models import PipelineResponseModel
from lazytrack.post_execution.pipeline_run import PipelineRunView, view_of_run
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.tracking.active import active_project

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project

MOST = 50
"""Runs that are shown of one pipeline."""


class PipelineView(BaseView):
    """A pipeline, by its runs."""

    MODEL_CLASS = PipelineResponseModel
    REPR_KEYS: ClassVar[list[str]] = ["id", "name"]

    @property
    def model(self) -> PipelineResponseModel:
        """What is shown."""
        return cast("PipelineResponseModel", self._model)

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.model.name)  # type: ignore[attr-defined]

    @property
    def _project(self) -> "Project":
        return cast("Project", self.model.project)  # type: ignore[attr-defined]

    @property
    def num_runs(self) -> int:
        """How many runs there are."""
        self._project.refresh()
        return len(self._slugs())

    @property
    def runs(self) -> list[PipelineRunView]:
        """The newest 50 runs, the newest last."""
        self._project.refresh()
        return [view_of_run(self._project, slug) for slug in self._slugs()[-MOST:]]

    def get_run_for_completed_step(self, step_name: str) -> PipelineRunView:
        """Return the newest run in which a step was run and completed, rather than taken from an earlier one.

        Raises
        ------
        LookupError
            When there is none.
        """
        self._project.refresh()
        for slug in reversed(self._slugs()):
            run = view_of_run(self._project, slug)
            step = run._step(step_name)
            if step is not None and step.status is ExecutionStatus.COMPLETED:
                return run
        raise LookupError(f"no run of pipeline {self.name!r} has completed a step {step_name!r}")

    def _slugs(self) -> list[str]:
        return _runs_of(self._project, self.name)


def _runs(project: "Project") -> "dict[str, dict[str, Any]]":
    """Return what the records of all runs say of them, by slug, oldest first."""
    said = project._journal.column("run")
    return {slug: found for slug in project._slugs() if isinstance(found := said.get(slug), dict)}


def _runs_of(project: "Project", pipeline: str | None) -> list[str]:
    return [slug for slug, said in _runs(project).items() if said.get("pipeline") == pipeline]


def get_pipelines() -> list[PipelineView]:
    """Return the pipelines of the active project, in the order of their first runs."""
    project = active_project()
    project.refresh()
    names = dict.fromkeys(said["pipeline"] for said in _runs(project).values() if said.get("pipeline"))
    return [_view(project, name) for name in names]


def get_pipeline(pipeline: Any) -> PipelineView | None:
    """Return a pipeline of the active project by its name, or as it is defined; None where it has no run."""
    name = pipeline if isinstance(pipeline, str) else getattr(pipeline, "name", getattr(pipeline, "__name__", None))
    return next((view for view in get_pipelines() if view.name == name), None)


def get_run(name: str) -> PipelineRunView:
    """Return the run of the active project that has a name.

    Raises
    ------
    KeyError
        When there is none.
    RuntimeError
        When there are several.
    """
    project = active_project()
    project.refresh()
    found = [slug for slug in _runs(project) if project[slug].name == name]
    if not found:
        raise KeyError(f"no run {name!r} in {project.fpath}")
    if len(found) > 1:
        raise RuntimeError(f"{len(found)} runs are called {name!r} in {project.fpath}: {', '.join(found)}")
    return view_of_run(project, found[0])


def run_of(project: "Project", slug: str) -> PipelineRunView | None:
    """Return a view of the run that an experiment is; None where it is none."""
    return view_of_run(project, slug) if isinstance(project._journal.get(slug, "run"), dict) else None


def get_unlisted_runs() -> list[PipelineRunView]:
    """Return the newest 50 runs of steps that were called by themselves, the newest last."""
    project = active_project()
    project.refresh()
    return [view_of_run(project, slug) for slug in _runs_of(project, None)[-MOST:]]


def _view(project: "Project", name: str) -> PipelineView:
    first = view_of_run(project, _runs_of(project, name)[0])
    return PipelineView(
        PipelineResponseModel(
            id=name, created=first.model.created, updated=first.model.updated, name=name, project=project
        )
    )
