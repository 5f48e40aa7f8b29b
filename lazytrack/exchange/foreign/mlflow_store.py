"""What a store of MLflow says, whichever kind of store it is."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import attrs

from lazytrack.files import Files, Stat
from lazytrack.series import Columns

_NO_LONGER = 221_845_392_000_000
DELETED = "deleted"
"""What MLflow says of a run or an experiment that was moved to its trash."""


def is_time(millis: Any) -> bool:
    """Tell whether these are milliseconds of anything honest: since 1970, and before the year 9000."""
    return isinstance(millis, int) and 0 <= millis < _NO_LONGER


@attrs.frozen(kw_only=True)
class Experiment:
    """What MLflow calls an experiment: a group of runs."""

    id: str
    name: str
    stage: str


@attrs.frozen(kw_only=True)
class Run:
    """A run; times are milliseconds since 1970."""

    id: str
    name: str
    experiment: str
    user: str
    status: str
    stage: str
    start: int | None
    end: int | None
    uri: str
    """Where its artifacts are."""
    home: str = ""
    """The folder that it was read from, in a store of files."""


@attrs.frozen(kw_only=True)
class Details:
    """What was logged to a run; the points of a metric are its steps, times in milliseconds, and values."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, Columns]
    datasets: int = 0
    is_whole: bool = True
    """Whether all of it could be read."""
    is_gone: bool = False
    """Whether some of it was removed while it was read."""


@attrs.frozen(kw_only=True)
class LoggedModel:
    """A model that a run has logged, as MLflow 3 keeps them: beside the runs."""

    id: str
    name: str
    run: str
    experiment: str
    uri: str
    created: int
    said: Mapping[str, Any]
    home: str = ""
    """The folder that it was read from, in a store of files."""


@attrs.frozen(kw_only=True)
class Version:
    """A version of a registered model."""

    number: int
    created: int
    changed: int
    source: str
    where: str
    run: str
    model: str
    stage: str
    said: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Registered:
    """A registered model."""

    name: str
    aliases: Mapping[str, int]
    said: Mapping[str, Any]
    versions: list[Version]


class Backend(Protocol):
    """A store of MLflow."""

    root: Files
    """The folder that it is in."""
    left_out: dict[str, list[str]]
    """What of it cannot be read: of what kind, and which; more is found while it is read."""

    def experiments(self) -> Iterable[Experiment]:
        """Return the groups of runs."""

    def runs(self) -> Iterable[Run]:
        """Yield all runs, oldest first."""

    def details(self, runs: list[Run]) -> Iterable[Details]:
        """Yield what was logged to each of some runs."""

    def logged_models(self) -> Iterable[LoggedModel]:
        """Return the models that runs have logged."""

    def registered(self) -> Iterable[Registered]:
        """Return the registered models."""

    def files_in(self, folder: str) -> list[tuple[str, Stat]]:
        """Return the files in a folder of artifacts."""
