"""Artifacts that are trained models: as joblib keeps those of scikit-learn, and as ONNX keeps any."""

from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact, type_name
from lazytrack.artifacts.pickle import python_version
from lazytrack.extras import load


def sklearn_version() -> str | None:
    """Return the version of scikit-learn; None where it is not installed."""
    import importlib.metadata  # noqa: PLC0415  (a third of the import time)

    try:
        return importlib.metadata.version("scikit-learn")
    except importlib.metadata.PackageNotFoundError:
        return None


@attrs.define
class JoblibArtifact(Artifact):
    """An object that joblib dumps, such as an estimator of scikit-learn. Reading it back can run code.

    Parameters
    ----------
    python_version
        As ``3.11``.
    sklearn_version
        Of scikit-learn, whose estimators are for the version that wrote them.
    """

    alias: ClassVar[str] = "joblib"
    suffix: ClassVar[str] = "joblib"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    executes_code: ClassVar[bool] = True

    python_version: str = attrs.field(factory=python_version)
    sklearn_version: str | None = attrs.field(factory=sklearn_version)

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is an estimator, or derived from one."""
        return any(type_name(base) == "sklearn.BaseEstimator" for base in type(value).__mro__)

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the object; `kwargs` go to `joblib.load`."""
        return load("joblib").load(buf, **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the object; `kwargs` go to `joblib.dump`."""
        load("joblib").dump(obj, buf, **kwargs)


@attrs.define
class ONNXArtifact(Artifact):
    """A model in the Open Neural Network Exchange format."""

    alias: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = "onnx"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("onnx.ModelProto",)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse what is neither a model nor the bytes of one."""
        if not isinstance(value, bytes) and not hasattr(value, "SerializeToString"):
            raise cls.unsuitable(value, "a model of onnx, or its bytes")

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the model; `kwargs` go to `onnx.load_model_from_string`."""
        return load("onnx").load_model_from_string(buf.read(), **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:  # noqa: ARG003  (there is nothing to choose)
        """Write the model, or the bytes that a converter has made of one.

        Raises
        ------
        TypeError
            When it is neither.
        """
        cls.check_value(obj)
        buf.write(obj if isinstance(obj, bytes) else obj.SerializeToString())
