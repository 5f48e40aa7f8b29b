"""The writing side: one process that logs points to one experiment."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from itertools import count

import attrs

from lazytrack import naming
from lazytrack.files import Files
from lazytrack.series import segment as file
from lazytrack.series.columns import Columns
from lazytrack.series.log import FOLDER, SERIES, Log, Segment
from lazytrack.series.reader import read_segments
from lazytrack.series.summary import Summary

_FEW = 64
"""So many points are kept in the record itself: short runs need no file of points."""
_FAN = 8
"""So many files of one level are merged."""
_LARGEST = 16_000_000
"""Bytes of files that are merged no more."""
_logger = logging.getLogger(__name__)


class Writer:
    """One process that logs points to one experiment.

    Parameters
    ----------
    record
        The experiment.
    log
        What it begins with: its rank and attempt, and where it goes on from.
    """

    def __init__(self, record: str, log: Log | None = None) -> None:
        self.id = naming.unique()
        self.field = SERIES + self.id
        """Of the record, which holds `log`."""
        self.log = log or Log()
        """What is stored."""
        self._record = record
        self._numbers = count()

    def with_points(self, unsaved: Mapping[str, Columns]) -> Log:
        """Return what is to be stored, with points that are not, all in the record."""
        summary, recent = dict(self.log.summary), dict(self.log.recent)
        for field, points in unsaved.items():
            summary[field] = summary.get(field, Summary()) + Summary.of(points.step, points.value)
            recent[field] = _joined([recent[field], points]) if field in recent else points
        return attrs.evolve(self.log, summary=summary, recent=recent)

    def write(self, files: Files, unsaved: Mapping[str, Columns]) -> Log:
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
        log = self.with_points(unsaved)
        if sum(map(len, log.recent.values())) <= _FEW:
            return log
        points, level, left = self._merged(files, log.recent, log.segments)
        name = f"{self.id}-{next(self._numbers)}"
        path = f"{FOLDER}/{self._record}/{name}.series"
        naming.check_inside(path)  # a stranger may have named the record
        data = file.compose(points, id=name, record=self._record)
        files.create(path, data)
        segment = Segment(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data), level=level)
        return attrs.evolve(log, segments=(*left, segment), recent={})

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
            earlier, damaged = read_segments(files, last)
            if damaged:  # the reader reports it; what is sound stays as it is
                _logger.warning("series of %s are not merged: %s", self._record, damaged)
                return points, level, segments
            parts = [{field: packed.columns() for field, packed in earlier[s.path].items()} for s in last]
            fields = dict.fromkeys(field for part in [*parts, points] for field in part)
            points = {f: _joined([part[f] for part in [*parts, points] if f in part]) for f in fields}
            segments, level = segments[: 1 - _FAN], level + 1


def _joined(parts: Sequence[Columns]) -> Columns:
    joined = Columns()
    for part in parts:
        joined.extend(part)
    return joined
