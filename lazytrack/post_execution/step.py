"""Views of the steps of a run."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs

from lazytrack import codec
from lazytrack.errors import FormatError
from lazytrack.post_execution.artifact import ArtifactView, step_id, view_of_artifact
from lazytrack.post_execution.base_view import ConfiguredView, MetadataEntry, metadata_entries
from lazytrack.post_execution.explanation import Explanation, explain
from lazytrack.post_execution.models import StepRunResponseModel
from lazytrack.post_execution.sound import sound
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.provenance.kept import SOURCE
from lazytrack.tracking.logged import STEPS

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project


_GOES_ON = {ExecutionStatus.RUNNING, ExecutionStatus.RETRYING}


@attrs.frozen(kw_only=True)
class StepSpec:
    """What a step is, and after which it comes; equal for the same step of two runs.

    Parameters
    ----------
    source
        Its dotted name.
    upstream_steps
        The steps of its run whose outputs it takes, or that it waits for.
    """

    source: str
    upstream_steps: tuple[str, ...]


class StepView(ConfiguredView):
    """One call of a step in a run."""

    MODEL_CLASS = StepRunResponseModel
    REPR_KEYS: ClassVar[list[str]] = ["id", "name", "entrypoint_name"]

    @property
    def model(self) -> StepRunResponseModel:
        """What is shown."""
        return cast("StepRunResponseModel", self._model)

    @property
    def _said(self) -> dict[str, Any]:
        """What the record of its run says of it now."""
        project, run = self._project, str(self.model.run)  # type: ignore[attr-defined]
        said = project._journal.get(run, STEPS + self.name)
        held = project._experiment_of(run)
        if held is not None and (block := held._blocks.get(self.name)) is not None:
            said = block._stored()
        return sound(said)

    # --- what it is ---

    @property
    def name(self) -> str:
        """What the run calls this call of the step: its invocation id."""
        return str(self.model.name)  # type: ignore[attr-defined]

    @property
    def entrypoint_name(self) -> str:
        """The name of its function or class."""
        return str(self._said.get("step_class_name", ""))

    @property
    def source_code(self) -> str | None:
        """Its source as it ran, without decorators; None where that was not recorded, or is gone."""
        digest = self._said.get(SOURCE)
        if not isinstance(digest, str):
            return None
        try:
            return cast("str", self._project._shared(SOURCE, digest).get("source"))
        except FormatError:
            return None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name, as JSON values."""
        said = self._said.get("parameters")
        return codec.unstore(said) if isinstance(said, dict) else {}

    @property
    def enable_cache(self) -> bool | None:
        """Whether outputs of earlier runs could be taken."""
        return cast("bool | None", self._said.get("cacheable"))

    @property
    def step_operator(self) -> str | bool | None:
        """Which one launched it."""
        return cast("str | bool | None", self._config.get("step_operator"))

    @property
    def experiment_tracker(self) -> str | bool | None:
        """As it was configured."""
        return cast("str | bool | None", self._config.get("experiment_tracker"))

    @property
    def spec(self) -> StepSpec:
        """What it is, and after which it comes."""
        return StepSpec(
            source=str(self._said.get("entrypoint", "")), upstream_steps=tuple(self._said.get("upstream", ()))
        )

    @property
    def step_configuration(self) -> dict[str, Any]:
        """All options that were set, the pipeline's included, as JSON values, and the parameters."""
        return {**self._config, "name": self.name, "parameters": self.parameters}

    @property
    def group(self) -> dict[str, Any] | None:
        """What it belongs to: ``id``, ``name`` and ``type``, which is ``map`` for the calls of one map."""
        return cast("dict[str, Any] | None", self._said.get("group"))

    @property
    def metadata(self) -> dict[str, MetadataEntry]:
        """What was said of it, by key."""
        said = self._said.get("metadata")
        return metadata_entries(codec.unstore(said) if isinstance(said, dict) else {})

    # --- how it went ---

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        if self._said.get("end_time") is None:
            self._project.refresh()
        status = ExecutionStatus(self._said.get("status", ExecutionStatus.INITIALIZING))
        if status in _GOES_ON and not self._run_goes_on:
            return ExecutionStatus.STOPPED  # the process was told to end, and said so of the run alone
        return status

    @property
    def _run_goes_on(self) -> bool:
        experiment = self._project._experiment_of(str(self.model.run))  # type: ignore[attr-defined]
        return experiment is None or experiment.status == ExecutionStatus.RUNNING

    @property
    def is_cached(self) -> bool:
        """Whether its outputs are those of an earlier run."""
        return self.status is ExecutionStatus.CACHED

    @property
    def is_completed(self) -> bool:
        """Whether its outputs are there, be it from an earlier run."""
        return self.status.is_successful

    @property
    def start_time(self) -> datetime | None:
        """When it, or its last attempt, began; aware, in UTC."""
        return self._time("start_time")

    @property
    def end_time(self) -> datetime | None:
        """When it ended; aware, in UTC."""
        return self._time("end_time")

    def _time(self, field: str) -> datetime | None:
        said = self._said.get(field)
        return None if said is None else codec.parse_time(said)

    @property
    def error(self) -> str | None:
        """The traceback of what it raised, or why it was not run."""
        said = self._said
        return cast("str | None", said.get("error") or said.get("why"))

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Attempts that failed before the last one: ``status`` retried, ``start_time``, ``end_time``, ``error``."""
        return list(self._said.get("attempts", ()))

    @property
    def stale(self) -> bool:
        """Whether it says that it is running, and gave no sign of life for too long: its process is gone."""
        experiment = self._project._experiment_of(str(self.model.run))  # type: ignore[attr-defined]
        if experiment is None:
            return False
        return any(step.step_name == self.name and step.stale for step in experiment.steps)

    @property
    def logs(self) -> str:
        """What it printed, if that was kept."""
        name = self._said.get("log")
        if name is None:
            return ""
        view = self._artifact({"artifact": name}, None)
        return "" if view is None else str(view.read())

    @property
    def original(self) -> "StepView | None":
        """The step of an earlier run whose outputs it has; None where it has its own."""
        said = self._said.get("original")
        if not isinstance(said, dict):
            return None
        return view_of_step(self._project, str(said.get("run")), str(said.get("step")))

    def explain_cache(self) -> Explanation:
        """Say why it was run, by what of its cache key differs from the nearest run, or from where its outputs are."""
        return explain(self._project, str(self.model.run), self.name)  # type: ignore[attr-defined]

    def clear_cache(self) -> None:
        """Have its outputs not taken by later runs any more; they stay where they are.

        Of a step that has them from an earlier run itself, that is the one that is not taken any more.

        Raises
        ------
        ReadOnlyError
            When the project is open for reading only.
        """
        if (original := self.original) is not None:
            original.clear_cache()
            return
        project, run = self._project, str(self.model.run)  # type: ignore[attr-defined]
        said = self._said
        if isinstance(said.get("cache"), dict) and not said["cache"].get("removed"):
            project._check_writable("clear the cache of a step of it")
            forgotten = {**said, "cache": {**said["cache"], "removed": True}}
            with project._saving():
                change = {"record": run, "set": {STEPS + self.name: forgotten}}
                project._journal.append([change], by=project.author)
            held = project._experiments.get(run)
            if held is not None and (block := held._blocks.get(self.name)) is not None:
                block._record["cache"] = forgotten["cache"]

    # --- artifacts ---

    @property
    def inputs(self) -> dict[str, Any]:
        """The artifacts it took by argument: views, or lists of them."""
        said = self._said.get("inputs") or {}
        found = {name: self._artifacts(each) for name, each in said.items()}
        return {name: view for name, view in found.items() if view is not None}

    @property
    def outputs(self) -> dict[str, ArtifactView]:
        """The artifacts it made by name, in the order in which they are declared."""
        said = self._said.get("outputs") or {}
        found = {name: self._artifact(each, self.id) for name, each in said.items()}
        return {name: view for name, view in found.items() if view is not None}

    @property
    def input(self) -> ArtifactView:
        """The one artifact it took.

        Raises
        ------
        ValueError
            When it took none, or several.
        """
        return self._only(self.inputs, "input")

    @property
    def output(self) -> ArtifactView:
        """The one artifact it made.

        Raises
        ------
        ValueError
            When it made none, or several.
        """
        return self._only(self.outputs, "output")

    def _only(self, found: Mapping[str, Any], what: str) -> ArtifactView:
        if len(found) != 1:
            known = ", ".join(map(repr, found)) or "none"
            raise ValueError(f"step {self.name!r} has {len(found)} {what}s, not one: {known}; see .{what}s")
        return cast("ArtifactView", next(iter(found.values())))

    def _artifacts(self, said: Any) -> Any:
        if isinstance(said, list):
            return [view for each in said if (view := self._artifacts(each)) is not None]
        return self._artifact(said, None)

    def _artifact(self, said: Any, producer: str | None) -> ArtifactView | None:
        """Return a view of an artifact that the record names; None where it makes no sense."""
        if not isinstance(said, dict):
            return None
        run = str(said.get("run", self.model.run))  # type: ignore[attr-defined]
        return view_of_artifact(self._project, run, str(said.get("artifact")), said, producer)


def view_of_step(project: "Project", run: str, name: str) -> StepView | None:
    """Return a view of a step; None where the run has none of that name."""
    said = sound(project._journal.get(run, STEPS + name))
    if "status" not in said:
        return None
    created = said.get("start_time")
    when = codec.parse_time(str(created)) if codec.is_time(created) else None
    return StepView(
        StepRunResponseModel(id=step_id(run, name), created=when, updated=when, name=name, run=run, project=project)
    )
