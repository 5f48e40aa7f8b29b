"""Artifacts kept as text."""

from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact


@attrs.define
class TextArtifact(Artifact):
    """A string, such as a log or a report, kept in UTF-8 with its line ends as they are."""

    alias: ClassVar[str] = "text"
    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("builtins.str",)

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is a string that UTF-8 can hold."""
        if not super().suits(value):
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse what is no string."""
        if not isinstance(value, str):
            raise cls.unsuitable(value, "a string")

    @classmethod
    def read(cls, buf: IO[str], **kwargs: Any) -> str:  # noqa: ARG003  (there is nothing to choose)
        """Return the string."""
        return buf.read()

    @classmethod
    def write(cls, obj: Any, buf: IO[str], **kwargs: Any) -> None:  # noqa: ARG003
        """Write the string.

        Raises
        ------
        TypeError
            When it is none.
        """
        cls.check_value(obj)
        buf.write(obj)
