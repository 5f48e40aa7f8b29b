"""The history of one metric, as lists, as numpy arrays, and as a table of pandas or polars."""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate, islice
from operator import gt
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from lazytrack import extras, naming
from lazytrack.series.columns import Columns, Packed
from lazytrack.series.summary import Summary

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl


_Made = TypeVar("_Made")


@attrs.frozen(kw_only=True)
class Piece:
    """Points of one writer.

    Parameters
    ----------
    rank
        Of the writer.
    points
        As they are held, or as they are in a file.
    before_step
        From which step on they do not count.
    until
        The last time that counts, in microseconds since 1970.
    """

    rank: int
    points: Columns | Packed
    before_step: float = math.inf
    until: float = math.inf

    @property
    def is_whole(self) -> bool:
        """Whether all points count."""
        return self.before_step == self.until == math.inf


class History:
    """The points of one metric, ordered by step, then by rank, then as they were logged.

    Made by `Experiment.history`. Each column is a list with an item for each point.
    """

    def __init__(self, name: str, pieces: Sequence[Piece]) -> None:
        self.name = name
        self._pieces = pieces
        self._made: dict[str, Any] = {}

    @property
    def step(self) -> list[int]:
        """The steps."""
        return self._once("step", self._columns[0].step.tolist)

    @property
    def time(self) -> list[datetime]:
        """When each was logged; aware, in UTC, to the microsecond."""
        try:
            return self._once("time", lambda: list(map(naming.from_micros, self._columns[0].time)))
        except OverflowError as error:
            raise ValueError(f"the history of {self.name!r} holds a time that is none") from error

    @property
    def value(self) -> list[float]:
        """The values."""
        return self._once("value", self._columns[0].value.tolist)

    @property
    def rank(self) -> list[int]:
        """Which of several processes logged each: 0 where there was one, -1 for one that had no rank."""
        return self._once("rank", self._columns[1].tolist)

    def columns(self) -> Columns:
        """Return the points without their ranks, as they are held and stored."""
        return self._columns[0]

    def summary(self) -> Summary:
        """Return the points in a few numbers."""
        return Summary.of(self._columns[0].step, self._columns[0].value)

    def to_numpy(self) -> "dict[str, np.ndarray[Any, Any]]":
        """Return the columns as arrays of one dimension and equal length.

        ``step`` and ``rank`` are int64, ``time`` is datetime64[us] in UTC, ``value`` is float64.

        Raises
        ------
        ModuleNotFoundError
            When numpy is not installed: ``pip install lazytrack[numpy]``.
        """
        step, time, value, rank = self._arrays(extras.load("numpy"))
        return {"step": step, "time": time.view("datetime64[us]"), "value": value, "rank": rank}

    def to_pandas(self) -> "pd.DataFrame":
        """Return the columns as a pandas table; ``time`` is in UTC.

        Raises
        ------
        ModuleNotFoundError
            When pandas is not installed: ``pip install lazytrack[pandas]``.
        """
        pandas = extras.load("pandas")
        arrays = self.to_numpy()
        time = pandas.DatetimeIndex(arrays["time"], tz="UTC")
        result: pd.DataFrame = pandas.DataFrame(arrays | {"time": time})
        return result

    def to_polars(self) -> "pl.DataFrame":
        """Return the columns as a polars table; ``time`` is in UTC.

        Raises
        ------
        ModuleNotFoundError
            When polars is not installed: ``pip install lazytrack[polars]``.
        """
        polars = extras.load("polars")
        columns, rank = self._columns
        time = polars.Series(columns.time).cast(polars.Datetime("us", "UTC"))
        result: pl.DataFrame = polars.DataFrame(
            {"step": columns.step, "time": time, "value": columns.value, "rank": rank}
        )
        return result

    def __len__(self) -> int:
        return len(self._columns[1])

    def __iter__(self) -> Iterator[tuple[int, datetime, float, int]]:
        """Yield each point: step, time, value, rank."""
        return zip(self.step, self.time, self.value, self.rank, strict=True)

    def __repr__(self) -> str:
        columns, ranks = self._columns
        if not ranks:
            return f"History({self.name!r}, no points)"
        several = f", {len(set(ranks))} ranks" if len(set(ranks)) > 1 else ""
        steps = f"steps {columns.step[0]} to {columns.step[-1]}"
        return f"History({self.name!r}, {len(ranks)} points, {steps}{several}, last {columns.value[-1]!r})"

    # --- beneath: the same twice, with numpy, which is quick, and without ---

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        made: _Made = self._made[name] if name in self._made else make()
        self._made[name] = made  # two threads may make it twice, which does no harm
        return made

    @property
    def _columns(self) -> tuple[Columns, "array[int]"]:
        return self._once("columns", self._read)

    def _read(self) -> tuple[Columns, "array[int]"]:
        columns, ranks = Columns(), array("q")
        for piece in self._pieces:
            points = piece.points if isinstance(piece.points, Columns) else piece.points.columns()
            if not piece.is_whole:
                both = zip(points.step, points.time, strict=True)
                kept = [i for i, (step, time) in enumerate(both) if step < piece.before_step and time <= piece.until]
                points = _chosen(points, kept)
            columns.extend(points)
            ranks.extend([piece.rank] * len(points))
        step = columns.step
        if any(map(gt, step, islice(step, 1, None))):
            order = sorted(range(len(step)), key=step.__getitem__)
            columns, ranks = _chosen(columns, order), array("q", [ranks[i] for i in order])
        return columns, ranks

    def _arrays(self, np: Any) -> list[Any]:
        ends = list(accumulate((len(piece.points) for piece in self._pieces), initial=0))
        columns = [
            np.empty(ends[-1], "i8"),
            np.empty(ends[-1], "i8"),
            np.empty(ends[-1], "f8"),
            np.zeros(ends[-1], "i8"),
        ]
        kept = None
        for piece, start, end in zip(self._pieces, ends, ends[1:], strict=False):
            step, time, value, rank = (column[start:end] for column in columns)
            piece.points.fill(step, time, value)
            if piece.rank:
                rank[:] = piece.rank
            if not piece.is_whole:
                kept = np.ones(ends[-1], dtype=bool) if kept is None else kept
                kept[start:end] = (step < piece.before_step) & (time <= piece.until)
        if kept is not None:
            columns = [column[kept] for column in columns]
        if (columns[0][1:] < columns[0][:-1]).any():
            order = np.argsort(columns[0], kind="stable")
            columns = [column[order] for column in columns]
        return columns


def _chosen(columns: Columns, places: Sequence[int]) -> Columns:
    step, time, value = columns.step, columns.time, columns.value
    return Columns([step[i] for i in places], [time[i] for i in places], [value[i] for i in places])
