"""Views of artifacts that steps have taken or made."""

import warnings
from typing import Any, ClassVar, cast

from lazytrack.artifacts.loading import load
from lazytrack.post_execution.base_view import BaseView, MetadataEntry, metadata_entries
from lazytrack.post_execution.models import ArtifactResponseModel


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
