"""Artifacts kept as arrays that no code is needed to read: numpy's own files, and safetensors."""

from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact
from lazytrack.extras import load


@attrs.define
class NumpyArtifact(Artifact):
    """An array of numbers, texts or times, of any shape, in numpy's format; never a pickle within it."""

    alias: ClassVar[str] = "numpy"
    suffix: ClassVar[str] = "npy"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("numpy.ndarray",)

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is an array that comes back as it is."""
        return super().suits(value) and not value.dtype.hasobject and _comes_back(value.dtype)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse an array of Python objects."""
        if isinstance(value, load("numpy").ndarray) and value.dtype.hasobject:
            raise TypeError(f"the handler 'numpy' keeps numbers, texts and times, not Python objects ({value.dtype})")

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the array; `kwargs` go to `numpy.load`."""
        return load("numpy").load(buf, **{**kwargs, "allow_pickle": False})

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the array; `kwargs` go to `numpy.save`.

        Raises
        ------
        TypeError
            When it holds Python objects.
        """
        np = load("numpy")
        array = np.asarray(obj)
        cls.check_value(array)
        np.save(buf, array, **{**kwargs, "allow_pickle": False})


@attrs.define
class SafetensorsArtifact(Artifact):
    """Arrays or tensors by name, as the weights of a model are, in a format that holds nothing else."""

    alias: ClassVar[str] = "safetensors"
    suffix: ClassVar[str] = "safetensors"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse what is no dict of arrays by name, of one framework."""
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise cls.unsuitable(value, "a dict of arrays by name")
        if len(frameworks := _frameworks(value)) > 1:
            raise TypeError(f"the handler 'safetensors' keeps arrays of one framework, not of {sorted(frameworks)}")

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the arrays by name.

        Parameters
        ----------
        kwargs
            ``framework=``: ``numpy``, which is the default, or another one that safetensors knows, such as ``torch``.
        """
        return _safetensors(kwargs.pop("framework", "numpy")).load(buf.read(), **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the arrays; `kwargs` go to ``save`` of safetensors, such as ``metadata``.

        Raises
        ------
        TypeError
            When it is no dict of arrays by name, or these are of different frameworks.
        """
        cls.check_value(obj)
        buf.write(_safetensors(*_frameworks(obj)).save(obj, **kwargs))


def _comes_back(dtype: Any) -> bool:
    """Tell whether numpy's format describes a type whole."""
    described = load("numpy").lib.format
    try:
        return dtype.metadata is None and bool(described.descr_to_dtype(described.dtype_to_descr(dtype)) == dtype)
    except (ValueError, TypeError):
        return False


def _frameworks(arrays: dict[str, Any]) -> set[str]:
    return {type(array).__module__.partition(".")[0] for array in arrays.values()} or {"numpy"}


def _safetensors(framework: str) -> Any:
    load("safetensors")
    try:
        return load(f"safetensors.{framework}")
    except ModuleNotFoundError as error:
        raise TypeError(f"safetensors keeps no arrays of {framework!r}, or that is not installed") from error
