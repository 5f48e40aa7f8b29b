"""What views are made of: what there is to know of a run, a step or an artifact when it is looked up."""

from datetime import datetime
from typing import Any

_NEVER = None


class BaseResponseModel:
    """What there is to know of something; further fields are attributes, too.

    Parameters
    ----------
    id
        Tells it from others of its kind.
    created, updated
        When; aware, in UTC.
    """

    def __init__(
        self, *, id: str, created: datetime | None = _NEVER, updated: datetime | None = _NEVER, **fields: Any
    ) -> None:
        self.id, self.created, self.updated = id, created, updated
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r})"


class ArtifactResponseModel(BaseResponseModel):
    """Of an artifact."""


class PipelineResponseModel(BaseResponseModel):
    """Of a pipeline."""


class PipelineRunResponseModel(BaseResponseModel):
    """Of a run."""


class StepRunResponseModel(BaseResponseModel):
    """Of a step.

    Parameters
    ----------
    input_artifacts, output_artifacts
        By name: `ArtifactResponseModel`, or a list of them.
    """

    def __init__(
        self,
        *,
        input_artifacts: dict[str, Any] | None = None,
        output_artifacts: dict[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**fields)
        self.input_artifacts = input_artifacts or {}
        self.output_artifacts = output_artifacts or {}
