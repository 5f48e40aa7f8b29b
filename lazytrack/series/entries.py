"""What a record says of the processes that log to it: which each of them is, and where its points are."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self, TypeVar

import attrs

from lazytrack import codec, naming
from lazytrack.errors import UnsafePathError
from lazytrack.series.columns import MAX_STEP, Columns, from_json, to_json
from lazytrack.series.summary import Summary

WRITERS, SERIES, SUMMARIES, HEARTBEATS = "writers.", "series.", "summaries.", "heartbeats."
"""What the fields of a writer begin with; its id follows, and in those of summaries the metric."""
SYSTEM = "system/"
"""What the names of system metrics begin with. They go by the clock, so going on from a step does not concern them."""
MOST = 2**31 - 1
"""Ranks and attempts are no more than this."""
FOLDER = "series"
"""Of the files of points, in the store."""

_Kind = TypeVar("_Kind")


@attrs.frozen(kw_only=True)
class Role:
    """Which of the processes that log to one experiment a writer is.

    Parameters
    ----------
    rank
        Which of several that log at the same time; None for one that is none of them, such as an evaluation.
    attempt
        Later ones of a rank have greater numbers.
    from_step
        Where it went on from: points of earlier attempts of this rank from this step on do not count.
    ranks
        How many ranks there were then: the same goes for ranks from this one on.
    resumed
        Whether it went on with the experiment, and took it over from earlier attempts, rather than joined them.
    started_at
        When it began; None where that is not known.
    """

    rank: int | None = None
    attempt: int = 1
    resumed: bool = False
    from_step: int | None = None
    ranks: int | None = None
    started_at: datetime | None = None

    def to_stored(self) -> dict[str, Any]:
        """Return it as the record has it."""
        stored: dict[str, Any] = codec.converter.unstructure(self)
        return {key: value for key, value in stored.items() if value is not None and value is not False}

    @classmethod
    def from_stored(cls, stored: Any) -> Self:
        """Return what `to_stored` wrote.

        Raises
        ------
        ValueError
            When it makes no sense.
        """
        role = _structured(stored, cls)
        counts = (role.rank or 0, role.attempt, role.ranks or 0)
        if not all(0 <= number <= MOST for number in counts) or abs(role.from_step or 0) > MAX_STEP:
            raise ValueError("makes no sense: a rank, an attempt or a step is out of range")
        return role


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
class Stock:
    """Where the points of one writer are.

    Parameters
    ----------
    segments
        Files of points, oldest first.
    recent
        Points that are in no file yet, by metric as the record names it: ``metrics.loss``.
    """

    segments: tuple[Segment, ...] = ()
    recent: Mapping[str, Columns] = attrs.Factory(dict)

    def to_stored(self) -> dict[str, Any]:
        """Return it as the record has it."""
        stored: dict[str, Any] = {}
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
        stock = _structured(stored, cls)
        for segment in stock.segments:
            naming.check_inside(segment.path)
            if not segment.path.startswith(f"{FOLDER}/"):
                raise UnsafePathError(f"path {segment.path[:200]!r} is no file of points: those are below {FOLDER!r}")
        return stock


def summary_to_stored(summary: Summary) -> dict[str, Any]:
    """Return a summary as the record has it, without what is not there or goes without saying."""
    usual = {"nan": 0, "max_step": summary.last_step}
    items = [(key, value) for key, value in attrs.asdict(summary).items() if value is not None]
    return {key: codec.store_number(value) for key, value in items if key not in usual or value != usual[key]}


def summary_from_stored(stored: Any) -> Summary:
    """Return what `summary_to_stored` wrote.

    Raises
    ------
    ValueError
        When it makes no sense.
    """
    known = {field.name for field in attrs.fields(Summary)}
    if not isinstance(stored, dict):
        raise ValueError("makes no sense: it is no summary")  # noqa: TRY004  (a file's content, not an argument)
    numbers = {key: codec.unstore_number(value) for key, value in stored.items() if key in known}
    if not all(type(number) in (int, float) for number in numbers.values()):
        raise ValueError("makes no sense: a summary holds what is no number")
    return Summary(**{"max_step": numbers.get("last_step"), **numbers})


def goes_by_clock(metric: str) -> bool:
    """Tell whether a metric, as the record names it, is one of the machine, which no step of a run hides."""
    return metric.startswith(f"metrics.{SYSTEM}")


def cuts(roles: Mapping[str, Role]) -> dict[str, float]:
    """Return for each writer the step from which on its points do not count, infinity where all of them do.

    Who goes on from a step hides what earlier attempts of its rank logged from there on, whenever they did; who says
    how many ranks there are now, the same of ranks that are no more. Of two attempts of one number, which were begun at
    the same time, that of the greater id is the later one.
    """
    hidden = dict.fromkeys(roles, math.inf)
    for later, its in roles.items():
        if its.from_step is None:
            continue
        for writer, role in roles.items():
            if role.rank is None or (role.attempt, writer) >= (its.attempt, later):
                continue
            if role.rank == its.rank or (its.ranks is not None and role.rank >= its.ranks):
                hidden[writer] = min(hidden[writer], its.from_step)
    return hidden


def next_attempt(roles: Mapping[str, Role], rank: int | None, ranks: int | None = None) -> int:
    """Return the number of a new process of a rank: greater than those of all that may hide its points, or it theirs.

    Parameters
    ----------
    ranks
        How many ranks there are now, if that was said.
    """
    attempts = [
        role.attempt
        for role in roles.values()
        if role.rank == rank
        or (rank is not None and role.ranks is not None and rank >= role.ranks)
        or (ranks is not None and role.rank is not None and role.rank >= ranks)
    ]
    return min(1 + max(attempts, default=0), MOST)


def _structured(stored: Any, kind: type[_Kind]) -> _Kind:
    try:
        return codec.converter.structure({**stored}, kind)
    except Exception as error:  # (cattrs raises whatever a stranger's value leads to)
        raise ValueError(f"makes no sense: {type(error).__name__}: {error}") from error


codec.converter.register_structure_hook(Columns, lambda stored, _: from_json(stored))
