"""Views of artifacts that steps have taken or made."""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from lazytrack import codec
from lazytrack.artifacts.loading import load
from lazytrack.post_execution.base_view import BaseView, MetadataEntry, metadata_entries
from lazytrack.post_execution.models import ArtifactResponseModel
from lazytrack.post_execution.sound import sound
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.placed import ARTIFACT, Entry

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project


class ArtifactView(BaseView):
    """An artifact that a step has taken or made."""

    MODEL_CLASS = ArtifactResponseModel
    REPR_KEYS: ClassVar[list[str]] = ["id", "name", "uri"]

    @property
    def model(self) -> ArtifactResponseModel:
        """What is shown."""
        return cast("ArtifactResponseModel", self._model)

    @property
    def name(self) -> str:
        """What the record of its run calls it."""
        return str(self.model.name)  # type: ignore[attr-defined]

    @property
    def uri(self) -> str:
        """The path or URL of its file."""
        return str(self.model.uri)  # type: ignore[attr-defined]

    @property
    def type(self) -> str:
        """The alias of the handler that keeps it."""
        return str(self.model.type)  # type: ignore[attr-defined]

    @property
    def data_type(self) -> str | None:
        """The dotted class of the value."""
        return cast("str | None", self.model.data_type)  # type: ignore[attr-defined]

    @property
    def producer_step_run_id(self) -> str | None:
        """The id of the step that made it, which may be one of an earlier run; None where no step did."""
        return cast("str | None", self.model.producer_step_run_id)  # type: ignore[attr-defined]

    @property
    def metadata(self) -> dict[str, MetadataEntry]:
        """What was said of it, by key."""
        return metadata_entries(self.model.said)  # type: ignore[attr-defined]

    def read(self, output_data_type: Any = None, materializer_class: Any = None) -> Any:
        """Return the value.

        Parameters
        ----------
        output_data_type, materializer_class
            Are ignored, with a warning: the record says how it is read.

        Raises
        ------
        ArtifactLoadError
            When its file is gone or altered.
        UntrustedArtifactError
            When reading it could run code, and it is not signed by a key that is held here.
        """
        for name, given in (("output_data_type", output_data_type), ("materializer_class", materializer_class)):
            if given is not None:
                warnings.warn(
                    f"{name} is ignored: the record says how an artifact is read", DeprecationWarning, stacklevel=2
                )
        artifact, shelf = self.model.artifact, self.model.shelf  # type: ignore[attr-defined]
        value = load(artifact, shelf, {}, what=f"artifact {self.name!r}", validate=True, trust=False)
        index = self.model.index  # type: ignore[attr-defined]
        return value if index is None else value[index]

    load = read


def step_id(run: str, name: str) -> str:
    """Return the id of a step of a run."""
    return f"{run}/{name}"


def view_of_artifact(
    project: "Project", run: str, name: str, said: Mapping[str, Any], producer: str | None
) -> ArtifactView | None:
    """Return a view of an artifact of a run.

    Parameters
    ----------
    said
        What a step's record says of it.
    producer
        The id of the step whose output it is, where that is known.
    """
    entry = project._journal.get(run, ARTIFACT + name)
    if not isinstance(entry, dict) or "path" not in entry:
        return None
    artifact = Entry(name=name, said=entry).artifact(run)
    maker, output = _maker(project, run, name)
    of_step = maker.get("outputs", {}).get(output, {})
    original = maker.get("original")
    if isinstance(original, dict):
        producer = step_id(str(original.get("run")), str(original.get("step")))
    elif maker:
        producer = step_id(run, str(maker.get("step_name")))
    kept = maker.get("output_metadata", {}).get(output)
    metadata = codec.unstore(kept) if isinstance(kept, dict) else {}
    shape = {"shape": of_step["shape"]} if "shape" in of_step else {}
    index = said.get("index")
    return ArtifactView(
        ArtifactResponseModel(
            id=f"{run}/{name}" if index is None else f"{run}/{name}[{index}]",
            created=artifact.created_at,
            updated=artifact.created_at,
            name=name,
            uri=project._shelf.where(str(entry["path"])),
            type=artifact.alias,
            data_type=of_step.get("type"),
            producer_step_run_id=producer,
            said={"storage_size": entry.get("size"), **shape, **metadata},
            artifact=artifact,
            shelf=project._shelf_of(artifact),
            index=index if isinstance(index, int) else None,
        )
    )


def _maker(project: "Project", run: str, artifact: str) -> tuple[dict[str, Any], str]:
    """Return the record of the step of a run that has an artifact as its output, and what it calls that."""
    fields = project._journal.fields(run)
    for cut in range(1, len(artifact)):
        if artifact[cut] != ".":
            continue
        said = sound(fields.get(STEPS + artifact[:cut]))
        name = artifact[cut + 1 :]
        output = said.get("outputs", {}).get(name)
        if output is not None and output.get("artifact") == artifact:
            return said, name
    return {}, ""
