"""The processes that log to an experiment, as its record tells of them."""

import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.errors import StoreWarning
from lazytrack.series import (
    HEARTBEATS,
    SERIES,
    SUMMARIES,
    WRITERS,
    Role,
    Stock,
    Summary,
    cuts,
    goes_by_clock,
    summary_from_stored,
)

_SILENCE = timedelta(minutes=15)
"""Three signs of life that have not come."""


@attrs.frozen(kw_only=True)
class WriterInfo:
    """One process that logs, or logged, to an experiment.

    Parameters
    ----------
    rank
        Which of several that log at the same time; None for one that is none of them.
    attempt
        Later ones of a rank have greater numbers.
    resumed, from_step
        Whether it went on with the experiment, rather than joined it, and the first step it logged again, if any.
    started_at, heartbeat
        When it began, and when it was heard of last if it saves by itself; aware, in UTC, None where not known.
    """

    rank: int | None
    attempt: int
    resumed: bool
    from_step: int | None
    started_at: datetime | None
    heartbeat: datetime | None

    @property
    def silent(self) -> bool:
        """Whether it saves by itself and was not heard of for 15 minutes."""
        return self.heartbeat is not None and naming.now() - self.heartbeat > _SILENCE


class Writers:
    """What a record says of the processes that log to it.

    Parameters
    ----------
    record
        Its name, for warnings.
    fields
        Of the record, which tell who there is.
    points
        Of the record, which tell where points are. These are others where the project is seen as it was: points have
        times of their own, and what is stored of them now is more than what is known of what was stored then.
    own
        The id and role of the process that asks, where it has them.
    """

    def __init__(
        self, record: str, fields: Mapping[str, Any], points: Mapping[str, Any], own: tuple[str, Role] | None
    ) -> None:
        self._record = record
        self._fields, self._points = fields, points
        self._own = own
        self._stocks: dict[str, Stock] = {}
        roles: dict[str, Role] = {}
        for field, stored in fields.items():
            if field.startswith(WRITERS):
                try:
                    roles[field.removeprefix(WRITERS)] = Role.from_stored(stored)
                except ValueError as error:
                    self._warn(field, error)
            elif field.startswith(SERIES):
                roles.setdefault(field.removeprefix(SERIES), Role())
        if own is not None:
            roles[own[0]] = own[1]
        self.roles = dict(sorted(roles.items(), key=_place))
        """By id; ordered by rank and attempt, as points of one step are."""
        self._cuts = cuts(self.roles)

    def is_of(self, fields: Mapping[str, Any], points: Mapping[str, Any], own: tuple[str, Role] | None) -> bool:
        """Tell whether this was made of these."""
        return self._fields is fields and self._points is points and self._own == own

    def before_step(self, writer: str, metric: str) -> float:
        """Return from which step on a writer's points of a metric do not count; infinity where all of them do."""
        return float("inf") if goes_by_clock(metric) else self._cuts[writer]

    def before_step_without(self, writer: str) -> dict[str, float]:
        """Return from which step on each writer's points would not count if one of them were not there."""
        return cuts({other: role for other, role in self.roles.items() if other != writer})

    def stock(self, writer: str) -> Stock:
        """Return where a writer's points are."""
        if writer not in self._stocks:
            field, self._stocks[writer] = SERIES + writer, Stock()
            if field in self._points:
                try:
                    self._stocks[writer] = Stock.from_stored(self._points[field])
                except ValueError as error:
                    self._warn(field, error)
        return self._stocks[writer]

    def summary(self, writer: str, metric: str) -> Summary | None:
        """Return a writer's points of a metric in a few numbers; None where there are none."""
        field = f"{SUMMARIES}{writer}.{metric}"
        if field not in self._points:
            return None
        try:
            return summary_from_stored(self._points[field])
        except ValueError as error:
            self._warn(field, error)
            return None

    def metrics(self) -> dict[str, dict[str, Summary]]:
        """Return the metrics that have points, as the record names them, with a summary for each writer."""
        found: dict[str, dict[str, Summary]] = {}
        for field in self._points:
            if field.startswith(SUMMARIES):
                writer, _, metric = field.removeprefix(SUMMARIES).partition(".")
                if writer in self.roles and (summary := self.summary(writer, metric)) is not None:
                    found.setdefault(metric, {})[writer] = summary
        return found

    def info(self) -> list[WriterInfo]:
        """Return each of them."""
        return [
            WriterInfo(
                rank=role.rank,
                attempt=role.attempt,
                resumed=role.resumed,
                from_step=role.from_step,
                started_at=role.started_at,
                heartbeat=self._heartbeat(writer),
            )
            for writer, role in self.roles.items()
        ]

    def leading(self) -> list[WriterInfo]:
        """Return those of the lowest rank since it was last resumed: they say how the experiment stands."""
        ranks = [info for info in self.info() if info.rank is not None]
        lowest = [info for info in ranks if info.rank == ranks[0].rank]
        last = max((place for place, info in enumerate(lowest) if info.resumed), default=0)
        return lowest[last:]

    def _heartbeat(self, writer: str) -> datetime | None:
        field = HEARTBEATS + writer
        try:
            return codec.parse_time(self._fields[field]) if field in self._fields else None
        except (ValueError, TypeError) as error:
            self._warn(field, error)
            return None

    def _warn(self, field: str, error: Exception) -> None:
        warnings.warn(f"{field} of {self._record} {error}: it is left out", StoreWarning, stacklevel=6)


def _place(item: tuple[str, Role]) -> tuple[int, int, str]:
    writer, role = item
    return -1 if role.rank is None else role.rank, role.attempt, writer
