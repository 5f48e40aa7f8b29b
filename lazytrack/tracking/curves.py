"""The metric history of an experiment: what its writers have stored, and what this process has yet to save."""

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from lazytrack.errors import StoreWarning
from lazytrack.series import MOST, SERIES, SYSTEM, Columns, Log, Piece, Summary, Writer, cuts
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.measured import Measured, Points

if TYPE_CHECKING:
    from lazytrack.tracking.owner import Owner


@attrs.frozen(kw_only=True)
class Taken:
    """Points that one save takes from an experiment.

    Parameters
    ----------
    writer
        Whose they are.
    points
        Copies of them, by metric as the record names it.
    buffers
        Where they were taken from; they stay there until they are saved.
    """

    writer: Writer
    points: Mapping[str, Columns]
    buffers: Mapping[str, Points]

    def settle(self, log: Log) -> None:
        """Take note that they are saved, as `log` says. The caller holds the experiment's lock."""
        self.writer.log = log
        for field, points in self.points.items():
            self.buffers[field].drop(len(points))


_BY_CLOCK = f"metrics.{SYSTEM}"


class Curves(Measured):
    """What of an experiment is metric history."""

    __slots__ = ("_own_writer", "_owner", "_slug")

    _owner: "Owner"
    _slug: str

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._own_writer: Writer | None = None

    def _measured(self) -> list[Measured]:
        """Return what has metrics here: this experiment and its tests."""
        raise NotImplementedError

    # --- writing ---

    @property
    def rank(self) -> int:
        """Which of several processes that log to this experiment this one is: 0 where there is one."""
        return 0 if self._own_writer is None else self._own_writer.log.rank

    @property
    def attempt(self) -> int:
        """The how manieth process of its rank logs the history: this one, or where it logs none, the latest."""
        return max(1, self._next_attempt(0) - 1) if self._own_writer is None else self._own_writer.log.attempt

    @property
    def _writer(self) -> Writer:
        with self._ledger.lock:
            if self._own_writer is None:
                self._own_writer = Writer(self._slug, Log(attempt=self._next_attempt(0)))
            return self._own_writer

    def _next_attempt(self, rank: int, ranks: int | None = None) -> int:
        """Return the number of a new process of a rank; where there are `ranks` now, later than those that are not."""
        logs = self._logs().values()
        attempts = [log.attempt for log in logs if log.rank == rank or (ranks is not None and log.rank >= ranks)]
        return min(1 + max(attempts, default=0), MOST)

    def _begin_writing(self, log: Log) -> None:
        """Log as another writer from now on."""
        with self._ledger.lock:
            self._own_writer = Writer(self._slug, log)
            if log.from_step is not None:  # which says something of other points
                self._ledger.note(self._own_writer.field)

    def _stop_writing(self) -> None:
        """Leave what is not saved to the process that this was copied from, and log as another writer from now on."""
        self._own_writer = None
        for part in self._measured():
            part._points.clear()

    def _taken(self) -> Taken:
        """Return the points that are not saved. The caller holds the lock."""
        buffers = {field: points for part in self._measured() for field, points in part._unsaved().items()}
        return Taken(writer=self._writer, points={f: points.copy() for f, points in buffers.items()}, buffers=buffers)

    # --- reading ---

    def _logs(self) -> dict[str, Log]:
        """Return what each writer has stored, by its id."""
        logs = {}
        for field, stored in self._owner._series_of(self._slug).items():
            if field.startswith(SERIES):
                try:
                    logs[field.removeprefix(SERIES)] = Log.from_stored(stored)
                except ValueError as error:
                    warnings.warn(f"{field} of {self._slug} {error}: it is left out", StoreWarning, stacklevel=5)
        if (writer := self._own_writer) is not None:
            logs[writer.id] = writer.log
        return logs

    def _pieces(self, field: str) -> list[Piece]:
        """Return the points of a metric, as the record names it."""
        for is_last in (False, True):
            with self._ledger.lock:
                logs, writer = self._logs(), self._own_writer
                unsaved = {} if writer is None else {writer.id: self._unsaved_of(field)}
            pieces, damaged = self._owner._read_points(field, logs, unsaved)
            if not damaged or is_last or not self._owner._look_again():
                break
        for path, reason in damaged.items():
            self._owner._journal.problems[path] = reason
            warnings.warn(
                f"{self._owner.folder}/{path} {reason}: its points of {field} are left out", StoreWarning, stacklevel=4
            )
        return pieces

    def _unsaved_of(self, field: str) -> Columns:
        parts = (part._unsaved().get(field) for part in self._measured())
        return next((points.copy() for points in parts if points), Columns())

    def _summary(self, field: str) -> Summary | None:
        """Return the summary of a metric where the record tells it: no point of it is hidden."""
        with self._ledger.lock:
            logs, writer = self._logs(), self._own_writer
            if writer is not None and (unsaved := self._unsaved_of(field)):
                logs[writer.id] = writer.with_points({field: unsaved})
        hidden = cuts(logs, field)
        known = {writer: log.summary[field] for writer, log in logs.items() if field in log.summary}
        whole = all((known[writer].max_step or 0) < hidden[writer] for writer in known)
        if not known or not whole or self._owner._until < math.inf:
            return None
        order = sorted(known, key=lambda writer: (logs[writer].rank, logs[writer].attempt, writer))
        return sum((known[writer] for writer in order), Summary())

    def _hides_points_of(self, field: str) -> bool:
        """Tell whether points of a metric do not count because of where this process goes on."""
        own, logs = self._writer, self._logs()
        hidden, without = cuts(logs, field), cuts({w: log for w, log in logs.items() if w != own.id}, field)
        known = [(writer, log.summary[field].max_step or 0) for writer, log in logs.items() if field in log.summary]
        return any(hidden[writer] <= step < without.get(writer, math.inf) for writer, step in known)

    @property
    def last_step(self) -> int | None:
        """The greatest step that something was logged at; None where nothing was.

        Of a run that goes on from step `s` that is at least `s - 1`.
        """
        with self._ledger.lock:
            logs = self._logs()
            unsaved = {f: points for part in self._measured() for f, points in part._unsaved().items()}
            steps = [max(points.step) for field, points in unsaved.items() if not field.startswith(_BY_CLOCK)]
        for writer, cut in cuts(logs, "").items():
            log = logs[writer]
            summaries = [summary for field, summary in log.summary.items() if not field.startswith(_BY_CLOCK)]
            stored = [summary.max_step for summary in summaries if summary.max_step is not None]
            if log.from_step is not None:
                stored.append(log.from_step - 1)
            steps += [step if step < cut else int(cut) - 1 for step in stored]
        return max(steps, default=None)
