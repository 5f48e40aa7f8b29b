"""The writing side: one process that logs points to one experiment."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import attrs

from lazytrack import naming
from lazytrack.files import Files
from lazytrack.journal.condemned import SAFE_SECONDS
from lazytrack.series import segment as file
from lazytrack.series.columns import Columns
from lazytrack.series.entries import FOLDER, SERIES, SUMMARIES, Role, Segment, Stock, summary_to_stored
from lazytrack.series.reader import read_segments
from lazytrack.series.summary import Summary

_FEW = 64
"""So many points are kept in the record itself: short runs need no file of points."""
_FAN = 8
"""So many files of one level are merged."""
_LARGEST = 16_000_000
"""Bytes of files that are merged no more."""
_logger = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Written:
    """What a record is to say of the points of one writer.

    Parameters
    ----------
    stock
        Where they are.
    summaries
        Of the metrics that have more points than before.
    """

    stock: Stock
    summaries: Mapping[str, Summary]

    def fields(self, writer: str) -> dict[str, Any]:
        """Return it as the fields of the record, for the writer of this id."""
        of_metrics = {f"{SUMMARIES}{writer}.{f}": summary_to_stored(summary) for f, summary in self.summaries.items()}
        return {SERIES + writer: self.stock.to_stored(), **of_metrics}


@attrs.define
class Writer:
    """One process that logs points to one experiment.

    Parameters
    ----------
    record
        The experiment.
    role
        Which of the processes that log to it this is.
    """

    record: str
    role: Role
    id: str = attrs.field(factory=naming.unique, init=False)
    stock: Stock = attrs.field(factory=Stock, init=False)
    """Where the points are that are stored."""
    summaries: dict[str, Summary] = attrs.field(factory=dict, init=False)
    """Of the points that are stored, by metric as the record names it."""
    is_noted: bool = attrs.field(default=False, init=False)
    """Whether the record says, or is about to say, which one this is."""
    _numbers: Iterator[int] = attrs.field(factory=count, init=False)
    _ahead: "tuple[Written, dict[str, int], int] | None" = attrs.field(default=None, init=False)
    """What is in files that the record does not name yet, because it could not be saved; of how many points; when."""

    def with_points(self, unsaved: Mapping[str, Columns]) -> "Written":
        """Return what is to be stored, with points that are not, all in the record."""
        return _added(self.stock, self.summaries, unsaved)

    def write(self, files: Files, unsaved: Mapping[str, Columns]) -> "Written":
        """Return what is to be stored, with points that are not; where they are many, write a file of them.

        With the eighth file of a level, all of these become one. Files that are no longer named stay where they are:
        readers may be about to read them.

        Raises
        ------
        OSError
            When the file cannot be written.
        UnsafePathError
            When the record's name would lead out of the store.
        """
        written = self._with_points_ahead(unsaved)
        stock = written.stock
        if sum(map(len, stock.recent.values())) <= _FEW:
            return written
        points, level, left = self._merged(files, stock.recent, stock.segments)
        name = f"{self.id}-{next(self._numbers)}"
        path = f"{FOLDER}/{self.record}/{name}.series"
        naming.check_inside(path)  # a stranger may have named the record
        data = file.compose(points, id=name, record=self.record)
        began = naming.micros()
        files.create(path, data)
        segment = Segment(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data), level=level)
        written = attrs.evolve(written, stock=Stock(segments=(*left, segment)))
        self._ahead = written, {field: len(points) for field, points in unsaved.items()}, began
        return written

    @property
    def is_late(self) -> bool:
        """Whether points are in a file that no record names, for so long that it may be collected."""
        return self._ahead is not None and naming.micros() - self._ahead[2] > SAFE_SECONDS * 10**6

    def settle(self, written: "Written") -> None:
        """Take note that the record says what is `written`."""
        self.stock, self._ahead = written.stock, None
        self.summaries.update(written.summaries)

    def _with_points_ahead(self, unsaved: Mapping[str, Columns]) -> "Written":
        """Return what is to be stored; what a save that failed has put into files is not put into others."""
        if self._ahead is None or self.is_late:
            return self.with_points(unsaved)
        ahead, counts, _ = self._ahead
        more = {field: points.after(counts.get(field, 0)) for field, points in unsaved.items()}
        more = {field: points for field, points in more.items() if points}
        written = _added(ahead.stock, {**self.summaries, **ahead.summaries}, more)
        return attrs.evolve(written, summaries={**ahead.summaries, **written.summaries})

    def _merged(
        self, files: Files, points: Mapping[str, Columns], segments: Sequence[Segment]
    ) -> tuple[Mapping[str, Columns], int, Sequence[Segment]]:
        """Return points with those of earlier files that they are merged with, their level, and the other files."""
        level = 0
        while True:
            last = segments[1 - _FAN :]
            if len(last) < _FAN - 1 or {segment.level for segment in last} != {level}:
                return points, level, segments
            if sum(segment.size for segment in last) > _LARGEST:
                return points, level, segments
            earlier, damaged, _ = read_segments(files, last)
            if damaged:  # the reader reports it; what is sound stays as it is
                _logger.warning("series of %s are not merged: %s", self.record, damaged)
                return points, level, segments
            parts = [{field: packed.columns() for field, packed in earlier[s.path].items()} for s in last]
            fields = dict.fromkeys(field for part in [*parts, points] for field in part)
            points = {f: _joined([part[f] for part in [*parts, points] if f in part]) for f in fields}
            segments, level = segments[: 1 - _FAN], level + 1


def _added(stock: Stock, summaries: Mapping[str, Summary], points: Mapping[str, Columns]) -> Written:
    """Return what is to be stored of points on top of others, all in the record."""
    recent, more = dict(stock.recent), {}
    for field, its in points.items():
        more[field] = summaries.get(field, Summary()) + Summary.of(its.step, its.value)
        recent[field] = _joined([recent[field], its]) if field in recent else its
    return Written(stock=attrs.evolve(stock, recent=recent), summaries=more)


def _joined(parts: Sequence[Columns]) -> Columns:
    joined = Columns()
    for part in parts:
        joined.extend(part)
    return joined
