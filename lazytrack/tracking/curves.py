"""The metric history of an experiment: what its writers have stored, and what this process has yet to save."""

import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import naming
from lazytrack.errors import StoreWarning
from lazytrack.series import (
    HEARTBEATS,
    SERIES,
    SUMMARIES,
    WRITERS,
    Columns,
    History,
    Piece,
    Role,
    Source,
    Summary,
    Writer,
    Written,
    goes_by_clock,
    next_attempt,
)
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.measured import Measured, Points
from lazytrack.tracking.writers import WriterInfo, Writers

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

    def settle(self, written: Written) -> None:
        """Take note that they are stored as is `written`. The caller holds the experiment's lock."""
        self.writer.settle(written)
        for field, points in self.points.items():
            self.buffers[field].drop(len(points))


class Curves(Measured):
    """What of an experiment is metric history."""

    __slots__ = ("_heartbeat", "_own_writer", "_owner", "_slug", "_writers_seen")

    _owner: "Owner"
    _slug: str

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._own_writer: Writer | None = None
        self._writers_seen: Writers | None = None
        self._heartbeat: str | None = None

    def _measured(self) -> list[Measured]:
        """Return what has metrics here: this experiment and its tests."""
        raise NotImplementedError

    # --- writing ---

    @property
    def rank(self) -> int | None:
        """Which of several processes that log to this experiment this one is; None where it is none of them."""
        if self._own_writer is None:
            return None if self._ledger.refusal is not None else 0
        return self._own_writer.role.rank

    @property
    def attempt(self) -> int:
        """The number of this process among those of its rank; or of the latest of rank 0."""
        if self._own_writer is not None:
            return self._own_writer.role.attempt
        return max((role.attempt for role in self._writers().roles.values() if role.rank == 0), default=1)

    @property
    def writers(self) -> list[WriterInfo]:
        """The processes that log a history to it or save it by themselves, by rank and attempt."""
        return self._writers().info()

    @property
    def _writer(self) -> Writer:
        with self._ledger.lock:
            return self._own_writer or self._write_as(0)

    def _write_as(
        self, rank: int | None, *, resumed: bool = False, from_step: int | None = None, ranks: int | None = None
    ) -> Writer:
        """Log as another writer from now on."""
        with self._ledger.lock:
            attempt = next_attempt(self._writers().roles, rank, ranks)
            role = Role(rank=rank, attempt=attempt, resumed=resumed, from_step=from_step, ranks=ranks)
            before, self._own_writer = self._own_writer, Writer(self._slug, attrs.evolve(role, started_at=naming.now()))
            if before is not None:  # what it has logged and not saved, this one saves
                self._ledger.changed.pop(SERIES + before.id, None)
                for points in [points for part in self._measured() for points in part._points.values()]:
                    points.series = ""
                    if points:
                        self._note_points(points)
            return self._own_writer

    def _stop_writing(self) -> None:
        """Leave what is not saved to the process that this was copied from, and log as another writer from now on."""
        self._own_writer = None
        for part in self._measured():
            part._points.clear()

    def _note_writer(self) -> str:
        """Note who logs, where the record does not say it, and return the field of its points. The caller locks."""
        writer = self._writer
        if not writer.is_noted:
            self._ledger.note(WRITERS + writer.id)
            writer.is_noted = True
        return SERIES + writer.id

    def _beat(self) -> None:
        """Give a sign of life, which is no change."""
        with self._ledger.lock:
            updated = self._ledger.updated
            self._note_writer()
            self._ledger.note(HEARTBEATS + self._writer.id)
            self._heartbeat = naming.iso(naming.now())
            self._ledger.updated = updated

    def _of_writer(self, field: str) -> Any:
        """Return what a field of this process's writer is now; None where it is none. The caller holds the lock."""
        if (writer := self._own_writer) is None:
            return None
        if field == SERIES + writer.id:
            buffers = self._all_unsaved()
            return Taken(writer=writer, points={f: points.columns() for f, points in buffers.items()}, buffers=buffers)
        return {WRITERS + writer.id: writer.role.to_stored(), HEARTBEATS + writer.id: self._heartbeat}.get(field)

    # --- reading ---

    def _writers(self) -> Writers:
        """Return what the record says of those that log to it."""
        with self._ledger.lock:
            fields, points = self._owner._writers_of(self._slug)
            own = None if self._own_writer is None else (self._own_writer.id, self._own_writer.role)
            if self._writers_seen is None or not self._writers_seen.is_of(fields, points, own):
                self._writers_seen = Writers(self._slug, fields, points, own)
            return self._writers_seen

    def _summaries(self) -> dict[str, dict[str, Summary]]:
        """Return the metrics that have a history, as the record names them, with a summary for each writer."""
        with self._ledger.lock:
            found = self._writers().metrics()
            if (writer := self._own_writer) is not None:
                unsaved = {field: points.columns() for field, points in self._all_unsaved().items()}
                for field, summary in {**writer.summaries, **writer.with_points(unsaved).summaries}.items():
                    found.setdefault(field, {})[writer.id] = summary
        if self._owner._until < math.inf:  # what there was then, the points tell
            found = {field: summaries for field, summaries in found.items() if self._pieces(field)}
        return found

    def _pieces(self, field: str) -> list[Piece]:
        """Return the points of a metric, as the record names it."""
        for is_last in (False, True):
            with self._ledger.lock:
                sources = self._sources(field)
            pieces, damaged = self._owner._read_points(field, sources)
            if not damaged or is_last or not self._owner._look_again():
                break
        for path, reason in damaged.items():
            self._owner._journal.problems[path] = reason
            warnings.warn(
                f"{self._owner.folder}/{path} {reason}: its points of {field} are left out", StoreWarning, stacklevel=4
            )
        return pieces

    def _sources(self, field: str) -> list[Source]:
        writers, own, sources = self._writers(), self._own_writer, []
        for writer, role in writers.roles.items():
            is_own = own is not None and writer == own.id
            if not is_own and writers.summary(writer, field) is None:
                continue
            source = Source(
                rank=-1 if role.rank is None else role.rank,
                before_step=writers.before_step(writer, field),
                stock=own.stock if own is not None and is_own else writers.stock(writer),
                unsaved=self._unsaved_of(field) if is_own else Columns(),
            )
            sources.append(source)
        return sources

    def _has_history_below(self, prefix: str) -> bool:
        """Tell whether points are stored of a metric whose field begins so."""
        own = () if self._own_writer is None else self._own_writer.summaries
        stored = (field.removeprefix(SUMMARIES).partition(".")[2] for field in self._owner._journal.fields(self._slug))
        return any(field.startswith(prefix) for field in (*own, *stored))

    def _all_unsaved(self) -> dict[str, Points]:
        """Return the points that are not saved, by metric as the record names it. The caller holds the lock."""
        return {field: points for part in self._measured() for field, points in part._unsaved().items()}

    def _unsaved_of(self, field: str) -> Columns:
        points = self._all_unsaved().get(field)
        return Columns() if points is None else points.columns()

    def _summary(self, field: str) -> Summary | None:
        """Return the summary of a metric where the record tells it: no point of it is hidden."""
        with self._ledger.lock:
            writers, own = self._writers(), self._own_writer
            found = {writer: writers.summary(writer, field) for writer in writers.roles}
            if own is not None:
                unsaved = self._unsaved_of(field)
                mine = own.with_points({field: unsaved}).summaries if unsaved else own.summaries
                found[own.id] = mine.get(field)
        known = {writer: summary for writer, summary in found.items() if summary is not None}
        whole = all(summary.ends_before(writers.before_step(w, field)) for w, summary in known.items())
        if not known or not whole or self._owner._until < math.inf:
            return None
        return sum(known.values(), Summary())

    def _restore_metrics(self) -> None:
        """Have the metrics show the last values that count, where they show values that do no more."""
        writers = self._writers()
        before = writers.before_step_without(self._writer.id)
        parts = {part._prefix + "metrics.": part for part in self._measured()}
        for field, summaries in self._summaries().items():
            counted = {w: s for w, s in summaries.items() if s.ends_before(before.get(w, math.inf))}
            gone = [s.last for w, s in counted.items() if not s.ends_before(writers.before_step(w, field))]
            section = next((section for section in parts if field.startswith(section)), "")
            name = field.removeprefix(section)
            if not section or parts[section].metrics.get(name) not in gone:  # somebody has logged another one meanwhile
                continue
            last = parts[section].history(name).summary().last
            if last is None:
                del parts[section].metrics[name]
            else:
                parts[section].metrics[name] = last

    @property
    def last_step(self) -> int | None:
        """The greatest step that something was logged at; None where nothing was.

        Of a run that goes on from step `s` that is at least `s - 1`. System metrics, which go by the clock, do not
        count.
        """
        steps = [role.from_step - 1 for role in self._writers().roles.values() if role.from_step is not None]
        for field in self._summaries():
            if not goes_by_clock(field):
                summary = self._summary(field) or History(field, self._pieces(field)).summary()
                steps += [] if summary.max_step is None else [summary.max_step]
        return max(steps, default=None)
