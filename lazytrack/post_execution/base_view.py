"""What all views have in common: read-only access to what a model knows."""

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

import attrs

from lazytrack import codec
from lazytrack.post_execution.models import BaseResponseModel

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project


@attrs.frozen(kw_only=True)
class MetadataEntry:
    """One thing that was said of a run, a step or an artifact.

    Parameters
    ----------
    key, value
        What was said.
    type
        The name of the value's type.
    """

    key: str
    value: Any
    type: str


def metadata_entries(said: Mapping[str, Any] | None) -> dict[str, MetadataEntry]:
    """Return what was said as entries, by key."""
    return {key: MetadataEntry(key=key, value=v, type=type(v).__name__) for key, v in (said or {}).items()}


class BaseView(abc.ABC):
    """Shows what a model knows; a view's own properties come before the model's fields.

    Parameters
    ----------
    model
        Of the class that `MODEL_CLASS` says.

    Raises
    ------
    TypeError
        When it is of another class.
    ValueError
        When `REPR_KEYS` names what is not there.
    """

    MODEL_CLASS: ClassVar[type[BaseResponseModel]] = BaseResponseModel
    REPR_KEYS: ClassVar[list[str]] = ["id"]

    def __init__(self, model: BaseResponseModel) -> None:
        if not isinstance(model, self.MODEL_CLASS):
            raise TypeError(
                f"{type(self).__name__} shows a {self.MODEL_CLASS.__name__}, not {type(model).__name__} {model!r:.100}"
            )
        self._model = model
        for key in self.REPR_KEYS:
            if not (hasattr(type(self), key) or hasattr(model, key)):
                raise ValueError(f"{type(self).__name__}.REPR_KEYS names {key!r}, which {type(model).__name__} has not")

    @property
    @abc.abstractmethod
    def model(self) -> BaseResponseModel:
        """What is shown."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_model":
            raise AttributeError(name)
        try:
            return getattr(self._model, name)
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}") from None

    def __repr__(self) -> str:
        told = ", ".join(f"{key}={getattr(self, key)!r}" for key in self.REPR_KEYS)
        return f"{type(self).__name__}({told})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return bool(self._model.id == other._model.id)

    def __hash__(self) -> int:
        return hash((type(self), self._model.id))


class ConfiguredView(BaseView):
    """Shows something of a project that was run with a configuration: a run, or a step of it."""

    @property
    def _project(self) -> "Project":
        return cast("Project", self.model.project)  # type: ignore[attr-defined]

    @property
    @abc.abstractmethod
    def _said(self) -> dict[str, Any]:
        """What the record says of it now."""

    @property
    def _config(self) -> dict[str, Any]:
        config = self._said.get("config")
        return codec.unstore(config) if isinstance(config, dict) else {}

    @property
    def settings(self) -> dict[str, Any]:
        """Of engines and operators by name."""
        return dict(self._config.get("settings") or {})

    @property
    def extra(self) -> dict[str, Any]:
        """Whatever is kept with it."""
        return dict(self._config.get("extra") or {})

    @property
    def enable_artifact_metadata(self) -> bool | None:
        """Whether metadata of outputs are kept; None where that was not set."""
        return cast("bool | None", self._config.get("enable_artifact_metadata"))
