"""Values as text that tells them apart by type and value: what of a call counts for its cache key."""

import dataclasses
import enum
import hashlib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from lazytrack import codec

_SAID = {"datetime", "date", "time", "timedelta", "Decimal", "UUID", "Fraction", "complex", "range", "slice"}
"""Names of classes whose `repr` says it all."""


def spelled(value: Any, room: int = codec.MAX_DEPTH) -> str:
    """Return text that two values share only if they are of one type and equal: ``1``, ``"1"`` and ``[1]`` do not.

    Each part says how long it is, so none can be taken for another. The order of dicts and sets does not count.

    Raises
    ------
    TypeError, ValueError
        When it holds something that JSON has no words for, or is nested too deep.
    """
    kind = type(value)
    if kind is str:
        return f"s{len(value)}:{value}"
    if kind is int or kind is float or kind is bool or value is None:
        return f"{kind.__name__[0]}{value!r};"
    if room == 0:
        raise ValueError(f"it is nested deeper than {codec.MAX_DEPTH} containers (or holds itself)")
    if kind is list or kind is tuple:
        return f"{kind.__name__}{len(value)}[{''.join([spelled(item, room - 1) for item in value])}]"
    if kind is dict:
        return _dict("dict", value, room)
    return _other(value, room)


def _other(value: Any, room: int) -> str:  # noqa: C901, PLR0911  (one case a kind of value)
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    match value:
        case bytes() | bytearray() | memoryview():
            return f"{name}:{hashlib.sha256(value).hexdigest()}"
        case enum.Enum():
            return f"{name}.{value.name}={spelled(value.value, room - 1)}"
        case type():
            return f"type:{value.__module__}.{value.__qualname__};"
        case AbstractSet():
            return f"{name}{len(value)}[{''.join(sorted(spelled(item, room - 1) for item in value))}]"
        case list() | tuple():
            return f"{name}{len(value)}[{''.join(spelled(item, room - 1) for item in value)}]"
        case Mapping():
            return _dict(name, value, room)
    if hasattr(value, "__fspath__"):
        return f"path:{spelled(value.__fspath__())}"
    if type(value).__name__ in _SAID:
        return f"{name}:{spelled(repr(value))}"
    if dataclasses.is_dataclass(value):
        return _dict(name, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, room)
    if attrs.has(type(value)):
        return _dict(name, {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}, room)
    if hasattr(type(value), "model_fields"):  # pydantic's: all of it, whatever it would not dump
        hidden = [getattr(value, each, None) or {} for each in ("__pydantic_extra__", "__pydantic_private__")]
        return _dict(name, {**vars(value), **hidden[0], **hidden[1]}, room)
    if hasattr(value, "dtype") and hasattr(value, "tobytes") and not getattr(value.dtype, "hasobject", True):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return f"{name}:{value.dtype}{getattr(value, 'shape', ())}:{digest}"
    return f"{name}:{spelled(codec.plain(value, 'it'), room - 1)}"


def _dict(name: str, items: Mapping[Any, Any], room: int) -> str:
    pairs = sorted(spelled(key, room - 1) + spelled(value, room - 1) for key, value in items.items())
    return f"{name}{len(pairs)}{{{''.join(pairs)}}}"


def digest(parts: Iterable[str]) -> str:
    """Return one digest of texts, in hexadecimal; where one ends and the next begins counts."""
    return hashlib.sha256(
        "".join([f"{len(part)}:{part}" for part in parts]).encode("utf-8", "surrogatepass")
    ).hexdigest()


def short_digest(text: str) -> str:
    """Return 16 hexadecimal digits that tell whether a text has changed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
