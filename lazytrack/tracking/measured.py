"""Metrics with a history: what experiments and tests log at each step, and how it is read back."""

import operator
import struct
from array import array
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from lazytrack import codec, naming
from lazytrack.series import MAX_STEP, Columns, History, Piece, Summary
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import Logged
from lazytrack.tracking.owned import Section

_POINT = struct.Struct("=qqd")
_pack = _POINT.pack


class Points:
    """Points of one metric that are not saved.

    They are held in one piece, so that whatever interrupts a program, a point is there or not.

    Parameters
    ----------
    section
        The metrics, which show the last value.
    field
        The metric, as the record names it.
    """

    __slots__ = ("data", "field", "section", "series")

    def __init__(self, section: Section, field: str) -> None:
        self.data = bytearray()
        self.section = section
        self.field = field
        self.series = ""
        """The field of the writer whose points they are; empty where they belong to no experiment yet."""

    def __len__(self) -> int:
        return len(self.data) // _POINT.size

    def columns(self) -> Columns:
        """Return the points, apart from these."""
        held = array("q", bytes(self.data))
        values = array("d", held[2::3].tobytes())
        return Columns(held[0::3], held[1::3], values)

    def extend(self, columns: Columns) -> None:
        """Add points behind these."""
        self.data += b"".join(map(_POINT.pack, columns.step, columns.time, columns.value))

    def drop(self, count: int) -> None:
        """Forget the first points."""
        del self.data[: count * _POINT.size]


class Measured(Logged):
    """A part of a record whose metrics may have a history."""

    __slots__ = ("_points",)

    def __init__(self, ledger: Ledger, prefix: str = "") -> None:
        super().__init__(ledger, prefix)
        self._points: dict[str, Points] = {}

    # --- logging ---

    def log_metric(self, name: str, value: Any, step: int | None = None, *, time: datetime | None = None) -> None:
        """Log a metric; the last value stays, and with a step so does the history.

        Parameters
        ----------
        value
            A real number or a list of them; numpy's and torch's are fine, and so are NaN and infinities. With a step
            it is one number, kept in double precision.
        step
            Where the run is: an integer, which several values may share. All metrics of a run are best logged on one
            axis: `Project.resume` goes on from a step of it. Names that begin with ``system/`` are for what goes by
            the clock.
        time
            Of the point, where that is not now: of what was measured before, or elsewhere. Without a zone it is taken
            as UTC.

        Raises
        ------
        TypeError
            When the value is no number, the step no integer, or the time none.
        ValueError
            When the value does not fit a float, the step is beyond 2**53, or there is a time without a step.
        ReadOnlyError
            When this may not be changed.
        """
        if step is None:
            if time is not None:
                raise ValueError(f"metric {name!r}: a time is for a point of its history, which has a step: give both")
            self.metrics[name] = value
            return
        at = None if time is None else naming.to_micros(codec.moment(time, f"the time of metric {name!r}"))
        points = self._points.get(name)
        if points is None or type(value) is not float or type(step) is not int or not -MAX_STEP <= step <= MAX_STEP:
            name, value, step = _checked(name, value, step)
            points = self._points_of(name)
        ledger = self._ledger
        with ledger.lock:
            changed = ledger.changed  # to None, where it is noted and no copy of it has gone elsewhere
            is_noted = not (changed.get(points.field, "-") or changed.get(points.series, "-"))
            if not is_noted or ledger.refusal is not None or ledger.watch is not None:
                self._note_points(points)
            ledger.updated = micros = naming.micros()
            points.data.extend(_pack(step, micros if at is None else at, value))
            dict.__setitem__(points.section, name, value)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log several metrics at once: all of them, or, where one is refused, none.

        Parameters
        ----------
        metrics
            Values by name; see `log_metric`, also for the step and what is raised.
        """
        if step is None or not isinstance(metrics, Mapping):
            self._section("metrics.").log(metrics)
            return
        checked = [_checked(name, value, step) for name, value in metrics.items()]
        with self._ledger.lock:
            self._ledger.check()
            for point in checked:
                self.log_metric(*point)

    def _points_of(self, name: str) -> Points:
        with self._ledger.lock:
            points = self._points.get(name)
            if points is None:
                points = self._points[name] = Points(self._section("metrics."), f"{self._prefix}metrics.{name}")
            return points

    def _note_points(self, points: Points) -> None:
        """Note that points are about to be added. The caller holds the lock."""
        self._ledger.note(points.field)
        if self._whole is not None:
            points.series = self._whole._note_writer()
            self._ledger.note(points.series)

    # --- reading back ---

    @property
    def history_names(self) -> list[str]:
        """The names of the metrics that have a history."""
        if self._whole is None:
            return [name for name, points in self._points.items() if points]
        start = f"{self._prefix}metrics."
        return [field.removeprefix(start) for field in self._whole._summaries() if field.startswith(start)]

    def history(self, name: str, *, rank: int | None = None) -> History:
        """Return what a metric was at each step, whoever logged it, saved or not.

        Points that a later attempt took the place of are not among them; see `Project.resume`.

        Parameters
        ----------
        name
            Of the metric. One that was logged without steps has a history without points.
        rank
            Of which process; by default of all of them.

        Raises
        ------
        KeyError
            When there is no metric of that name.
        OSError
            When the storage cannot be read. A file that is damaged is warned of and left out.
        """
        field = f"{self._prefix}metrics.{name}"
        if self._whole is None:
            pieces = [Piece(rank=0, points=self._points[name].columns())] if name in self._points else []
        else:
            pieces = self._whole._pieces(field)
        if not pieces and name not in self.metrics:
            known = ", ".join(map(repr, self.metrics)) or "none"
            raise KeyError(f"no metric {name!r} here; known: {known}")
        return History(name, [piece for piece in pieces if rank is None or piece.rank == rank])

    def summary(self, name: str) -> Summary:
        """Return the history of a metric in a few numbers; nothing else is read where the record tells them.

        Raises
        ------
        KeyError, OSError
            As `history` does.
        """
        field = f"{self._prefix}metrics.{name}"
        known = None if self._whole is None else self._whole._summary(field)
        return self.history(name).summary() if known is None else known

    # --- beneath ---

    def _all_points(self) -> dict[str, Columns]:
        """Return the histories, to go elsewhere."""
        return {name: self.history(name).columns() for name in self.history_names}

    def _move_points(self, histories: Mapping[str, Columns]) -> None:
        """Become part of another record, with these histories and what is not saved. The caller holds its lock."""
        unsaved = {name: points.columns() for name, points in self._points.items()}
        self._points = {}  # a save that is under way has the ones before
        for name, columns in {**unsaved, **histories}.items():
            points = self._points_of(name)
            points.extend(columns)
            if points:
                self._note_points(points)

    def _unsaved(self) -> dict[str, Points]:
        """Return the points that are not saved, by metric as the record names it. The caller holds the lock."""
        return {points.field: points for points in self._points.values() if points}


def _checked(name: Any, value: Any, step: Any) -> tuple[str, float, int]:
    """Return what is logged with a step as it is held."""
    name = codec.text(name, "the name of a metric")
    number = codec.number(value, f"metrics.{name}")
    if isinstance(number, list):
        raise TypeError(f"metrics.{name} with a step is one number, not a list: log each under a name of its own")
    try:
        place = operator.index(step)
    except TypeError as error:
        raise TypeError(f"the step of metrics.{name} is an integer, not {type(step).__name__} {step!r:.50}") from error
    if not -MAX_STEP <= place <= MAX_STEP:
        raise ValueError(f"the step of metrics.{name} is beyond 2**53: {place}")
    return name, number, place
