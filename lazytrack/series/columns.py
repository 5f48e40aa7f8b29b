"""Points in columns: steps, times and values, as they are held, as JSON, and as bytes."""

import math
import operator
import sys
from array import array
from collections.abc import Iterable
from itertools import accumulate, islice
from typing import Any

import attrs

from lazytrack import codec, extras

MAX_STEP = 2**53
"""Steps are between this and its negative: every language's numbers hold them, and so do their differences."""

_INTEGERS = {"i1": "b", "i2": "h", "i4": "i", "i8": "q"}
_FLOATS = {"f4": "f", "f8": "d"}
_TYPES = _INTEGERS | _FLOATS
_LIMIT = 2**62
"""No integer of a column is beyond this."""


class Columns:
    """The points of one metric, in the order they were logged.

    Parameters
    ----------
    step, time, value
        One item a point: an integer, microseconds since 1970, and a float.
    """

    __slots__ = ("step", "time", "value")

    def __init__(self, step: Iterable[int] = (), time: Iterable[int] = (), value: Iterable[float] = ()) -> None:
        self.step = array("q", step)
        self.time = array("q", time)
        self.value = array("d", value)

    def __len__(self) -> int:
        return len(self.value)

    def after(self, count: int) -> "Columns":
        """Return the points but the first ones."""
        return Columns(self.step[count:], self.time[count:], self.value[count:])

    def fill(self, step: Any, time: Any, value: Any) -> None:
        """Put the points into numpy arrays of int64, int64 and float64."""
        step[:], time[:], value[:] = self.step, self.time, self.value

    def extend(self, other: "Columns") -> None:
        """Add points behind these."""
        self.step.extend(other.step)
        self.time.extend(other.time)
        self.value.extend(other.value)


# --- as JSON: a few points, which anyone can read ---


def to_json(columns: Columns) -> dict[str, list[Any]]:
    """Return columns as strict JSON: a list for each."""
    values = columns.value.tolist()
    if not all(map(math.isfinite, values)):
        values = codec.store_number(values)
    return {"step": columns.step.tolist(), "time": columns.time.tolist(), "value": values}


def from_json(stored: Any) -> Columns:
    """Return what `to_json` wrote.

    Raises
    ------
    ValueError
        When it makes no sense.
    """
    try:
        step, time, value = stored["step"], stored["time"], codec.unstore_number(stored["value"])
        columns = Columns(step, time, value)
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(f"holds points that make no sense: {error}") from error
    if not len(columns.step) == len(columns.time) == len(columns.value):
        raise ValueError("holds columns of different lengths")
    return columns


# --- as bytes: many points, little-endian, one column behind the other ---


def to_bytes(columns: Columns) -> tuple[dict[str, Any], list[bytes]]:
    """Return columns as bytes, and what has to be known to read them.

    Of steps and times the first is kept, and the differences: one number where they are all the same, else a column of
    the smallest type that holds them. Values are kept in single precision where that says the same.

    Raises
    ------
    ValueError
        When they are not of one length.
    """
    if not len(columns.step) == len(columns.time) == len(columns.value):
        raise ValueError("columns of different lengths are no points")
    step, step_bytes = _integers(columns.step)
    time, time_bytes = _integers(columns.time)
    single = array("f", columns.value)
    exact = array("d", single).tobytes() == columns.value.tobytes()
    value = "f4" if exact else "f8"
    head = {"count": len(columns), "step": step, "time": time, "value": value}
    return head, [*step_bytes, *time_bytes, _raw(single if exact else columns.value)]


def _integers(column: "array[int]") -> tuple[dict[str, Any], list[bytes]]:
    differences = array("q", map(operator.sub, islice(column, 1, None), column))
    least, most = min(differences, default=0), max(differences, default=0)
    if least == most:
        return {"first": column[0], "by": least}, []
    for name, code in _INTEGERS.items():
        limit = 2 ** (8 * int(name[1]) - 1)
        if -limit <= least and most < limit:
            return {"first": column[0], "by": name}, [_raw(array(code, differences))]
    raise OverflowError(f"steps or times {least} to {most} apart cannot be kept")  # none such are taken in


@attrs.frozen
class _Column:
    """One column among bytes.

    Parameters
    ----------
    kind
        The type of its items, or of the differences between them; None where it is counted up.
    first, by
        Of integers, the first one and the constant difference; None of a column of floats.
    start
        Where its items begin, in bytes.
    items
        How many there are.
    """

    kind: str | None
    first: Any
    by: int
    start: int
    items: int

    @classmethod
    def integers(cls, head: Any, count: int, start: int) -> "_Column":
        first, by = head["first"], head["by"]
        kind, items = None, 0
        if by in _INTEGERS:
            kind, by, items = by, 0, count - 1
        if not (type(first) is type(by) is int and max(abs(first), abs(first + by * count)) <= _LIMIT):
            raise ValueError("has a column of integers that makes no sense")
        return cls(kind, first, by, start, items)

    @property
    def size(self) -> int:
        return self.items * int(self.kind[1]) if self.kind else 0

    def items_in(self, data: memoryview, count: int) -> Iterable[Any]:
        if self.kind is None:
            return [self.first] * count if self.by == 0 else range(self.first, self.first + self.by * count, self.by)
        column = _from_raw(self.kind, data[self.start : self.start + self.size])
        return column if self.first is None else accumulate(column, initial=self.first)

    def fill(self, data: memoryview, out: Any) -> None:
        np = extras.load("numpy")
        if self.kind is None:
            out[0], out[1:] = self.first, self.by
            out.cumsum(out=out)
            return
        column = np.frombuffer(data, dtype="<" + self.kind, count=self.items, offset=self.start)
        if self.first is None:
            out[:] = column
        else:
            out[0] = self.first
            column.cumsum(dtype="i8", out=out[1:])
            out[1:] += self.first


class Packed:
    """Columns as bytes, which are looked at when they are asked for.

    Parameters
    ----------
    head
        What `to_bytes` said of them.
    data
        Where they are, among others.
    start
        Of the first column in `data`, in bytes.

    Raises
    ------
    ValueError
        When that makes no sense, or reaches beyond the data.
    """

    __slots__ = ("_columns", "_data", "count", "end")

    def __init__(self, head: Any, data: memoryview, start: int) -> None:
        self._data = data
        try:
            self.count = head["count"]
            if type(self.count) is not int or self.count < 1 or head["value"] not in _FLOATS:
                raise ValueError("has a column that makes no sense")
            step = _Column.integers(head["step"], self.count, start)
            time = _Column.integers(head["time"], self.count, step.start + step.size)
        except (TypeError, KeyError) as error:
            raise ValueError("has a column that makes no sense") from error
        value = _Column(head["value"], None, 0, time.start + time.size, self.count)
        self._columns = (step, time, value)
        self.end = value.start + value.size
        if self.end > len(data):
            raise ValueError("is shorter than its columns")

    def __len__(self) -> int:
        return int(self.count)

    def columns(self) -> Columns:
        """Return the points.

        Raises
        ------
        ValueError
            When they make no sense.
        """
        try:
            return Columns(*(column.items_in(self._data, self.count) for column in self._columns))
        except OverflowError as error:
            raise ValueError("has a column of integers that are too large") from error

    def fill(self, step: Any, time: Any, value: Any) -> None:
        """Put the points into numpy arrays of int64, int64 and float64."""
        for column, out in zip(self._columns, (step, time, value), strict=True):
            column.fill(self._data, out)


def _raw(column: "array[Any]") -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _from_raw(kind: str, data: memoryview) -> "array[Any]":
    column = array(_TYPES[kind])
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
