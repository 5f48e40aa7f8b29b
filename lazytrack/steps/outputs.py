"""Outputs of a step: which handler keeps each, and what is said of it."""

from typing import Any

import attrs

from lazytrack import naming
from lazytrack.artifacts import Artifact, get_handler, handler_for
from lazytrack.errors import StepInterfaceError
from lazytrack.steps.annotations import show
from lazytrack.tracking.placed import Written

_PLAIN = (str, bool, type(None))
_LONGEST = 10_000
"""Bits of an integer that is written as text."""


@attrs.define(kw_only=True, eq=False)
class Made:
    """An output whose file is written.

    Parameters
    ----------
    written
        The file.
    data_type
        The dotted class of the value.
    shape
        Of an array or a table.
    value
        The value; `MISSING` where it is in another process.
    """

    written: Written
    data_type: str
    shape: list[int] | None = None
    value: Any = None

    def said(self) -> dict[str, Any]:
        """Return what the record of the step says of it."""
        shape = {} if self.shape is None else {"shape": self.shape}
        return {"artifact": self.written.entry.name, "type": self.data_type, **shape}


def construct(value: Any, candidates: list[Any] | None, *, artifact: str, output: str, step: str) -> Artifact:
    """Return the handler that is going to keep a value.

    Parameters
    ----------
    candidates
        Classes or aliases to choose from; None for any.
    artifact
        What the record calls it, and its file.
    output, step
        What the step calls it, and the name of that, for errors.

    Raises
    ------
    StepInterfaceError
        When none of several candidates is for such a value.
    """
    if candidates is None:
        value = _python_scalar(value)
    handler = _handler(value, candidates, output, step)
    return handler.construct(name=artifact, value=value, fname=naming.safe_part(f"{artifact}.{handler.suffix}"))


def describe(value: Any) -> tuple[str, list[int] | None]:
    """Return the dotted class of a value, and its shape where it is an array or a table."""
    kind = type(value)
    shape = getattr(value, "shape", None)
    sound = isinstance(shape, tuple) and all(type(length) is int for length in shape)
    return f"{kind.__module__}.{kind.__qualname__}", list(shape) if sound and isinstance(shape, tuple) else None


def is_exactly_json(value: Any, room: int = 100) -> bool:
    """Tell whether JSON brings back just this value: plain types alone, and text as keys."""
    kind = type(value)
    if kind is int:
        return bool(value.bit_length() < _LONGEST)
    if kind in _PLAIN:
        return kind is not str or value.isascii() or _is_unicode(value)
    if kind is float:
        return True  # NaN and infinities too: the handler spells them as Python does
    if room == 0:
        return False
    if kind is list:
        return all(is_exactly_json(item, room - 1) for item in value)
    return kind is dict and all(
        type(key) is str and is_exactly_json(key) and is_exactly_json(item, room - 1) for key, item in value.items()
    )


def _python_scalar(value: Any) -> Any:
    """Return a number of numpy's as Python's own, which everybody can read."""
    if isinstance(value, (float, int, bool)) or (hasattr(value, "dtype") and getattr(value, "shape", None) == ()):
        item = getattr(value, "item", None)
        plain = item() if callable(item) else value
        if type(plain) in {float, int, bool} and plain == value:
            return plain
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _handler(value: Any, candidates: list[Any] | None, output: str, step: str) -> type[Artifact]:
    if candidates is None:
        if is_exactly_json(value):
            return get_handler("json")
        alias = handler_for(value)
        return get_handler("pickle" if alias == "json" else alias)
    handlers = [get_handler(each) if isinstance(each, str) else each for each in candidates]
    if len(handlers) == 1:
        return handlers[0]
    for handler in handlers:
        if handler.suits(value) or handler.alias == "pickle" or (handler.alias == "json" and is_exactly_json(value)):
            return handler
    names = ", ".join(handler.alias for handler in handlers)
    raise StepInterfaceError(f"step {step!r}, output {output!r}: none of its handlers ({names}) is for {show(value)}")
