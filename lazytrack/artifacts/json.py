"""Artifacts kept as JSON, which any language and any person can read."""

import json
from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact


@attrs.define
class JSONArtifact(Artifact):
    """An object that `json.dump` can write, such as a report. NaN is spelled as Python spells it."""

    alias: ClassVar[str] = "json"
    suffix: ClassVar[str] = "json"
    binary: ClassVar[bool] = False
    is_repeatable: ClassVar[bool] = True

    @classmethod
    def read(cls, buf: IO[str], **kwargs: Any) -> Any:
        """Return the object; `kwargs` go to `json.load`."""
        return json.load(buf, **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[str], **kwargs: Any) -> None:
        """Write the object; `kwargs` go to `json.dump`."""
        json.dump(obj, buf, **kwargs)
