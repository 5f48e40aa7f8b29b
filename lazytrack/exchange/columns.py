"""Columns of plain values as Arrow has them, each of one type."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lazytrack import extras

if TYPE_CHECKING:
    import pyarrow as pa


_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def to_arrow(columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, type] = MappingProxyType({})) -> "pa.Table":
    """Return columns as a table of Arrow.

    Integers beside floats are floats, and values of several kinds are text, as JSON has them. A dict is a struct.

    Parameters
    ----------
    kinds
        Of columns whose type does not depend on what is in them: text, integers, floats or times.

    Raises
    ------
    ModuleNotFoundError
        When pyarrow is not installed.
    """
    pyarrow = extras.load("pyarrow")
    types = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        datetime: pyarrow.timestamp("us", "UTC"),
        list: pyarrow.list_(pyarrow.string()),
    }
    return pyarrow.table(
        {
            name: pyarrow.array(values, types[kinds[name]]) if name in kinds else _array(pyarrow, values)
            for name, values in columns.items()
        }
    )


def _array(pyarrow: Any, values: Sequence[Any]) -> Any:
    kinds = {_kind(each) for each in {type(value) for value in values}}
    kinds.discard(type(None))
    if kinds == {int, float}:
        return pyarrow.array([as_number(value) for value in values], pyarrow.float64())
    if kinds == {datetime}:
        return pyarrow.array(values, pyarrow.timestamp("us", "UTC"))
    if kinds == {dict}:
        return _struct(pyarrow, values)
    if kinds == {list} and {type(item) for value in values for item in value or ()} <= {str}:
        return pyarrow.array(values, pyarrow.list_(pyarrow.string()))
    if len(kinds) < 2:  # noqa: PLR2004  (of one kind, or none)
        try:
            made = pyarrow.array(values)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
            pass  # a list of several kinds, or an integer beyond 64 bits
        else:
            if not _has_empty_dict(pyarrow, made.type):
                return made
    return pyarrow.array([value if value is None else as_text(value) for value in values], pyarrow.string())


def _kind(of: type) -> type:
    """Return the plain type of one: what an experiment holds are dicts and lists of its own."""
    return next((kind for kind in (dict, list) if issubclass(of, kind)), of)


def _struct(pyarrow: Any, values: Sequence[dict[str, Any] | None]) -> Any:
    names = dict.fromkeys(name for value in values if value for name in value)
    if not names:
        return pyarrow.nulls(len(values), pyarrow.string())
    columns = [_array(pyarrow, [value.get(name) if value else None for value in values]) for name in names]
    return pyarrow.StructArray.from_arrays(columns, names=distinct(names))


def _has_empty_dict(pyarrow: Any, kind: Any) -> bool:
    """Tell whether a type has a struct of no fields in it, which Parquet has no place for."""
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return (pyarrow.types.is_struct(kind) and not inner) or any(_has_empty_dict(pyarrow, each) for each in inner)


def distinct(names: Iterable[str]) -> list[str]:
    """Return names that a database tells apart, which does not look at case.

    Those that differ only by it get a number, each of them, so that none answers for another: ``lr_1``, ``LR_2``.
    """
    given = [*names]
    count = Counter(name.casefold() for name in given)
    taken = {name for name, times in count.items() if times == 1}
    result = []
    for name in given:
        number, free = 1, name
        if count[name.casefold()] > 1:
            while (free := f"{name}_{number}").casefold() in taken:
                number += 1
            taken.add(free.casefold())
        result.append(free)
    return result


def as_text(value: Any) -> str:
    """Return a value as text: a text as it is, and whatever else as JSON."""
    return value if isinstance(value, str) else _as_json(value)


def as_number(value: Any) -> float | None:
    """Return a value as a number; None of what is none."""
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return None
