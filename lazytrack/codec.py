"""Attributes to JSON and back: what users log, our own records, and whole documents.

Three forms of one value:

- *logged*: whatever the user has: a numpy scalar, a Path, a dataclass, a set;
- *plain*: the JSON value it stands for, held by experiments from then on. Floats may be NaN or infinite,
  integers may have any size;
- *stored*: strict JSON. What strict JSON cannot say is spelled as a dict of one key: ``{"float": "NaN"}``,
  ``{"int": "36893488147419103232"}``; a user's own dict of one such key is wrapped as ``{"dict": ...}``.
"""

import dataclasses
import enum
import math
import numbers
import os
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from typing import Any

import attrs
import cattrs
import orjson

from lazytrack import naming

MAX_DEPTH = 100
"""Containers nested deeper than this are refused; JSON parsers of other languages give up near here too."""
MAX_ARRAY = 10_000
"""Arrays of more elements than this are refused as parameters: they are artifacts."""

_SAID_AS_TEXT = {"UUID", "Decimal", "dtype", "device"}
"""Names of classes whose text says it all: identifiers, exact numbers, numpy's and torch's types, torch's devices."""
_ESCAPES = {"float", "int", "dict"}
_INT64 = range(-(2**63), 2**64)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# --- logged -> plain ---


def plain(value: Any, what: str, room: int = MAX_DEPTH) -> Any:
    """Return the JSON value that `value` stands for; `what` names it in errors, as ``parameter 'lr'``.

    It may have `room` containers nested in each other.

    Raises
    ------
    TypeError
        When there is no obvious JSON for the type, or for something inside it.
    ValueError
        When the value is too deep, too large, or holds text that is no Unicode.
    """
    kind = type(value)
    if kind is float or kind is bool or value is None:
        return value
    return _plain(value, what, room)


def number(value: Any, what: str) -> float | list[Any]:
    """Return a metric, a real number or a list of them, as Python numbers.

    Numpy scalars, zero-dimensional arrays and tensors count as numbers; arrays count as lists.

    Raises
    ------
    TypeError
        When the value is no number.
    ValueError
        When it does not fit a float, or is nested too deep.
    """
    kind = type(value)
    if kind is float or (kind is int and -(2**53) <= value <= 2**53):
        return value  # type: ignore[no-any-return]
    return _number(value, what, MAX_DEPTH)


def _number(value: Any, what: str, depth: int) -> float | list[Any]:
    if callable(tolist := getattr(value, "tolist", None)) and not _is_time(value):
        value = _scalar_or_list(value, tolist, what)
    if isinstance(value, (list, tuple)):
        depth = _deeper(depth, what)
        return [_number(item, what, depth) for item in value]
    if hasattr(value, "__float__") and not _is_time(value):
        try:
            as_float = float(value)
        except TypeError as error:
            raise TypeError(f"{what} must be a number or a list of numbers, not {_short(value)}") from error
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{what} does not fit a float: {_short(value)}") from error
        if math.isinf(as_float) and isinstance(value, numbers.Number) and value not in {math.inf, -math.inf}:  # type: ignore[comparison-overlap]
            raise ValueError(f"{what} does not fit a float: {_short(value)}")
        if isinstance(value, numbers.Integral) and int(value) in _INT64:
            return int(value)
        return as_float
    raise TypeError(f"{what} must be a number or a list of numbers, not {_short(value)}")


def text(value: Any, what: str) -> str:
    """Return `value`, which must be a string that can be written as UTF-8.

    Raises
    ------
    TypeError
        When it is no string.
    ValueError
        When it holds half a surrogate pair.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a string, not {_short(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{what} is not valid Unicode: {_short(value)}") from error
    return str.__str__(value)  # of a subclass, the characters it holds


def _plain(value: Any, what: str, depth: int) -> Any:  # noqa: PLR0911, PLR0912, C901  (one case a kind of value)
    match value:
        case None | bool():
            return value
        case enum.Enum():
            return _plain(value.value, what, depth)
        case str():
            return text(value, what)
        case int():
            return _integer(int(value), what)
        case float():
            return float(value)
        case Mapping():
            return _mapping(value, what, depth)
        case list() | tuple():
            return _list(value, what, depth)
        case AbstractSet():
            return _ordered(_list(value, what, depth))
        case datetime():
            return naming.iso(moment(value, what)) if value == value else None  # noqa: PLR0124  (pandas' NaT)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case range():
            return _list(_small(value, -((value.start - value.stop) // value.step), what), what, depth)
        case os.PathLike():
            return text(os.fspath(value), what)
        case type() | types.FunctionType() | types.BuiltinFunctionType():
            return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        return _mapping({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, what, depth)
    if attrs.has(type(value)):
        return _mapping({a.name: getattr(value, a.name) for a in attrs.fields(type(value))}, what, depth)
    if callable(dump := getattr(value, "model_dump", None)):  # pydantic, which is not imported for this
        return _plain(dump(), what, _deeper(depth, what))
    if callable(tolist := getattr(value, "tolist", None)):  # numpy, pandas, torch: arrays and scalars
        size = getattr(value, "size", 1)
        size = size() if callable(size) else size  # torch
        return _plain(_scalar_or_list(_small(value, size, what), tolist, what), what, _deeper(depth, what))
    if isinstance(value, numbers.Integral):
        return _integer(int(value), what)
    if isinstance(value, numbers.Real):
        return _float(value, what)
    kinds = {kind.__name__ for kind in type(value).__mro__}
    if "NAType" in kinds:  # pandas
        return None
    if not kinds.isdisjoint(_SAID_AS_TEXT):
        return str(value)
    if not kinds.isdisjoint({"SimpleNamespace", "Namespace"}):  # argparse's, which is not imported for this
        return _mapping(vars(value), what, depth)
    raise TypeError(
        f"{what} cannot be held as JSON: {_short(value)}; log what describes it, "
        "or the object itself with log_artifact(..., handler='pickle')"
    )


def _deeper(depth: int, what: str) -> int:
    if depth == 0:
        raise ValueError(f"{what} is nested deeper than {MAX_DEPTH} containers (or holds itself)")
    return depth - 1


def _list(items: Iterable[Any], what: str, depth: int) -> list[Any]:
    depth = _deeper(depth, what)
    return [_plain(item, what, depth) for item in items]


def _mapping(value: Mapping[Any, Any], what: str, depth: int) -> dict[str, Any]:
    depth = _deeper(depth, what)
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = _key(key, what)
        if name in result:
            raise ValueError(f"{what} has two keys that are {name!r} in JSON")
        result[name] = _plain(item, what, depth)
    return result


def _integer(value: int, what: str) -> int:
    try:
        str(value)
    except ValueError as error:
        raise ValueError(f"{what} is an integer of more than {sys.get_int_max_str_digits()} digits") from error
    return value


def _float(value: Any, what: str) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{what} does not fit a float: {_short(value)}") from error


def _is_time(value: Any) -> bool:
    """Tell whether a numpy value holds times, which are no numbers."""
    return getattr(getattr(value, "dtype", None), "kind", None) in {"m", "M"}


def _scalar_or_list(value: Any, tolist: Callable[[], Any], what: str) -> Any:
    """Return a numpy, pandas or torch value as Python's own."""
    if _is_time(value) and str(value.dtype).endswith(("[ns]", "[ps]", "[fs]", "[as]")):
        # Of these numpy makes integers; Python's times know microseconds.
        tolist = value.astype(f"{value.dtype.kind}8[us]").tolist
    result = tolist()
    if type(result) is not type(value):
        return result
    as_float = float(result)  # a long double is its own list: Python has nothing of that width
    if math.isinf(as_float) and result not in {math.inf, -math.inf}:
        raise ValueError(f"{what} does not fit a float: {_short(value)}")
    return as_float


def _small(value: Any, size: Any, what: str) -> Any:
    if isinstance(size, int) and size > MAX_ARRAY:
        raise ValueError(
            f"{what} is an array of {size} elements; above {MAX_ARRAY} log it as an artifact: log_artifact(...)"
        )
    return value


def _key(key: Any, what: str) -> str:
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return text(key, f"a key of {what}")
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return str(_integer(key, f"a key of {what}"))
    if isinstance(key, os.PathLike):
        return text(os.fspath(key), f"a key of {what}")
    if isinstance(key, (numbers.Real, date)):
        return str(key)
    raise TypeError(f"{what} has a key that JSON cannot hold: {_short(key)}")


def _ordered(items: list[Any]) -> list[Any]:
    """Order a set's items by their JSON, so that equal sets are stored equally."""
    return sorted(items, key=lambda item: (type(item).__name__, item if isinstance(item, str) else 0, repr(item)))


def _short(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  (a user's repr may raise anything; the message matters more)
        shown = "<no repr>"
    shown = " ".join(shown.split())
    return f"{type(value).__name__} {shown if len(shown) <= 80 else shown[:77] + '...'}"  # noqa: PLR2004


# --- plain <-> stored ---


def store(value: Any) -> Any:
    """Return a plain value as strict JSON; containers are copied, so later changes do not show in it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": special(value)}
    if isinstance(value, int):
        return value if value in _INT64 else {"int": str(value)}
    if isinstance(value, dict):
        inner = {key: store(item) for key, item in value.items()}
        return {"dict": inner} if len(inner) == 1 and not _ESCAPES.isdisjoint(inner) else inner
    if isinstance(value, list):
        return [store(item) for item in value]
    return value


def unstore(value: Any, room: int = MAX_DEPTH) -> Any:
    """Return the plain value that a stored one stands for. An escape it does not know is left as it is.

    Raises
    ------
    ValueError
        When it is nested deeper than anything that was logged can be.
    """
    if not isinstance(value, (dict, list)):
        return value
    if isinstance(value, dict) and len(value) == 1:
        [(key, inner)] = value.items()
        if key == "dict" and isinstance(inner, dict):
            return {name: unstore(item, _below(room)) for name, item in inner.items()}
        if key == "float" and isinstance(inner, str) and inner in _SPECIAL:
            return _SPECIAL[inner]
        if key == "int" and isinstance(inner, str):
            try:
                return int(inner)
            except ValueError:
                return value
    room = _below(room)
    if isinstance(value, list):
        return [unstore(item, room) for item in value]
    return {key: unstore(item, room) for key, item in value.items()}


def is_too_deep(stored: Any) -> bool:
    """Tell whether a stored value is nested deeper than anything that was logged can be."""
    try:
        unstore(stored)
    except ValueError:
        return True
    return False


def _below(room: int) -> int:
    if room == 0:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} containers")
    return room - 1


def store_number(value: Any) -> Any:
    """Return a plain metric as strict JSON: in number fields NaN and infinities are strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return special(value)
    return [store_number(item) for item in value] if isinstance(value, list) else value


def unstore_number(value: Any, room: int = MAX_DEPTH) -> Any:
    """Return the plain metric a stored one stands for. Text and null, which are none, are left as they are.

    Raises
    ------
    ValueError
        When it is an object, or a list nested deeper than anything that was logged can be.
    """
    if isinstance(value, str):
        return _SPECIAL.get(value, value)
    if isinstance(value, dict):
        raise ValueError("is no number")  # noqa: TRY004  (a file's content, not an argument)
    if isinstance(value, list):
        room = _below(room)
        return [unstore_number(item, room) for item in value]
    return value


def special(value: float) -> str:
    """Return the name of a float that JSON has no number for."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# --- documents ---


def dumps(document: Any) -> bytes:
    """Write stored values as one line of UTF-8 JSON with a line end, which ``cat`` shows well."""
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def loads(data: bytes) -> Any:
    """Read JSON.

    Raises
    ------
    ValueError
        When it is not strict JSON.
    """
    return orjson.loads(data)


# --- records ---


def parse_time(value: str) -> datetime:
    """Read an ISO 8601 time; one without a zone is taken as UTC.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    try:
        return naming.aware(datetime.fromisoformat(value))
    except OverflowError as error:
        raise ValueError(f"{value!r} is no time in UTC") from error


def is_time(value: object) -> bool:
    """Tell whether a stored value, which a stranger may have written, is a time that can be read."""
    try:
        parse_time(value)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False
    return True


def moment(value: Any, what: str) -> datetime:
    """Return a time that a user gave; one without a zone is taken as UTC.

    Raises
    ------
    TypeError
        When it is none.
    ValueError
        When it is none in UTC.
    """
    if not isinstance(value, datetime):
        raise TypeError(f"{what} must be a datetime, not {_short(value)}")
    try:
        return naming.aware(value)
    except OverflowError as error:
        raise ValueError(f"{what} is no time in UTC: {_short(value)}") from error


_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def expiry(value: Any, what: str) -> datetime:
    """Return a time that a user gave as one, or as how long from now.

    Raises
    ------
    ValueError
        When it cannot be read.
    TypeError
        When it is neither.
    """
    try:
        match value:
            case datetime():
                return naming.aware(value)
            case timedelta():
                return naming.now() + value
            case str() if span := _SPAN.fullmatch(value.strip()):
                return naming.now() + timedelta(**{_UNITS[span[2]]: int(span[1])})
            case str():
                return parse_time(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{what} cannot be read: {_short(value)}; give a time, a timedelta, or such as '90d'"
        ) from error
    raise TypeError(f"{what} must be a time, a timedelta, or such as '90d', not {_short(value)}")


def _strictly(value: Any, kind: type[Any]) -> Any:
    """Take a value of the right kind as it is; to turn ``None`` into ``"None"`` would be to invent data."""
    if kind is float and type(value) is int:
        return float(value)  # JSON does not tell them apart
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"expected {kind.__name__}, not {_short(value)}")
    return value


converter = cattrs.Converter(detailed_validation=False)
"""The one converter between record classes and JSON."""
converter.register_unstructure_hook(datetime, naming.iso)
for _kind in (str, int, float, bool):
    converter.register_structure_hook(_kind, _strictly)
converter.register_structure_hook(datetime, lambda value, _: parse_time(_strictly(value, str)))
