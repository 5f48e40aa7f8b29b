"""Artifacts kept as pickles: any Python object, for the same Python, from authors one trusts."""

import pickle
import sys
from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact


def python_version() -> str:
    """Return the running Python's version as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


@attrs.define
class PickleArtifact(Artifact):
    """A Python object. Reading it back can run code, and needs the Python version that wrote it.

    Parameters
    ----------
    python_version
        As ``3.11``.
    """

    alias: ClassVar[str] = "pickle"
    suffix: ClassVar[str] = "pkl"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    executes_code: ClassVar[bool] = True

    python_version: str = attrs.field(factory=python_version)

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the object; `kwargs` go to `pickle.load`."""
        return pickle.load(buf, **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the object; `kwargs` go to `pickle.dump`, the newest protocol unless one is given."""
        pickle.dump(obj, buf, **{"protocol": pickle.HIGHEST_PROTOCOL, **kwargs})
