"""What a record says of one writer's series: who that is, which files it wrote, and its latest points."""

import math
from collections.abc import Mapping
from typing import Any, Self

import attrs

from lazytrack import codec, naming
from lazytrack.errors import UnsafePathError
from lazytrack.series.columns import MAX_STEP, Columns, from_json, to_json
from lazytrack.series.summary import Summary

SERIES = "series."
"""What the field of a writer begins with; its id follows."""
SYSTEM = "system/"
"""What the names of system metrics begin with. They go by the clock, so going on from a step does not concern them."""
MOST = 2**31 - 1
"""Ranks and attempts are no more than this."""
FOLDER = "series"
"""Of the files of points, in the store."""


@attrs.frozen(kw_only=True)
class Segment:
    """A file of points.

    Parameters
    ----------
    path
        Relative to the store.
    sha256
        In hexadecimal.
    size
        In bytes.
    level
        How often its points have been merged: eight files of one level make one of the next.
    """

    path: str
    sha256: str
    size: int
    level: int = 0


@attrs.frozen(kw_only=True)
class Log:
    """What one writer has logged.

    Parameters
    ----------
    rank
        Which of several processes that log to one experiment it was.
    attempt
        How many of this rank there were, this one included.
    from_step
        Where it went on from: points of earlier attempts of this rank from this step on do not count.
    ranks
        How many processes there were then: the same goes for ranks from this one on.
    summary
        Of the points by metric, as the record names that: ``metrics.loss``.
    segments
        Files of points, oldest first.
    recent
        Points that are in no file yet.
    """

    rank: int = 0
    attempt: int = 1
    from_step: int | None = None
    ranks: int | None = None
    summary: Mapping[str, Summary] = attrs.Factory(dict)
    segments: tuple[Segment, ...] = ()
    recent: Mapping[str, Columns] = attrs.Factory(dict)

    def to_stored(self) -> dict[str, Any]:
        """Return it as the record has it."""
        stored: dict[str, Any] = {"rank": self.rank, "attempt": self.attempt}
        if self.from_step is not None:
            stored["from_step"] = self.from_step
        if self.ranks is not None:
            stored["ranks"] = self.ranks
        if self.summary:
            stored["summary"] = {field: _filled(summary) for field, summary in self.summary.items()}
        if self.segments:
            stored["segments"] = [attrs.asdict(segment) for segment in self.segments]
        if self.recent:
            stored["recent"] = {field: to_json(columns) for field, columns in self.recent.items()}
        return stored

    @classmethod
    def from_stored(cls, stored: Any) -> Self:
        """Return what `to_stored` wrote.

        Raises
        ------
        ValueError
            When it makes no sense, or names files outside the folder of series.
        """
        try:
            log = codec.converter.structure({**stored}, cls)
        except Exception as error:  # (cattrs raises whatever a stranger's value leads to)
            raise ValueError(f"makes no sense: {type(error).__name__}: {error}") from error
        counts = (log.rank, log.attempt, log.ranks or 0)
        if not all(0 <= number <= MOST for number in counts) or abs(log.from_step or 0) > MAX_STEP:
            raise ValueError("makes no sense: a rank, an attempt or a step is out of range")
        for segment in log.segments:
            naming.check_inside(segment.path)
            if not segment.path.startswith(f"{FOLDER}/"):
                raise UnsafePathError(f"path {segment.path[:200]!r} is no file of points: those are below {FOLDER!r}")
        return log


def cuts(logs: Mapping[str, Log], field: str) -> dict[str, float]:
    """Return for each writer the step from which on its points of a metric do not count, infinity where all of them do.

    Who goes on from a step hides what earlier attempts of its rank logged from there on, whenever they did; who says
    how many ranks there are now, the same of ranks that are no more.
    """
    by_clock = field.startswith(f"metrics.{SYSTEM}")
    resumed = [] if by_clock else [log for log in logs.values() if log.from_step is not None]
    result = {}
    for writer, log in logs.items():
        steps = [
            later.from_step
            for later in resumed
            if later.from_step is not None
            and later.attempt > log.attempt
            and (later.rank == log.rank or (later.ranks is not None and log.rank >= later.ranks))
        ]
        result[writer] = min(steps, default=math.inf)
    return result


def _filled(summary: Summary) -> dict[str, Any]:
    """Return a summary without what is not there, or goes without saying."""
    usual = {"nan": 0, "max_step": summary.last_step}
    items = [(key, value) for key, value in attrs.asdict(summary).items() if value is not None]
    return {key: codec.store_number(value) for key, value in items if key not in usual or value != usual[key]}


def _to_summary(stored: Any, _: type) -> Summary:
    known = {field.name for field in attrs.fields(Summary)}
    numbers = {key: codec.unstore_number(value) for key, value in stored.items() if key in known}
    if not all(type(number) in (int, float) for number in numbers.values()):
        raise ValueError("a summary holds what is no number")
    return Summary(**{"max_step": numbers.get("last_step"), **numbers})


codec.converter.register_structure_hook(Columns, lambda stored, _: from_json(stored))
codec.converter.register_structure_hook(Summary, _to_summary)
