"""What goes along with an experiment while it runs: autosave, system metrics, captured output."""

import numbers
from typing import TYPE_CHECKING

import attrs

from lazytrack.tracking.autosave import DEFAULT_SECONDS, Autosave
from lazytrack.tracking.output import Capture
from lazytrack.tracking.system_metrics import DEFAULT_INTERVAL, Sampler

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment


@attrs.frozen(kw_only=True)
class Plan:
    """What is to go along with an experiment.

    Parameters
    ----------
    autosave
        Seconds between two saves; None for none.
    at_once
        Whether the first of them is at the beginning.
    system_metrics
        Seconds between two samples; None for none.
    capture
        Whether what is printed is kept.
    """

    autosave: float | None = None
    at_once: bool = True
    system_metrics: float | None = None
    capture: bool = False

    @classmethod
    def of(cls, *, autosave: float | None, system_metrics: float | None, capture: bool) -> "Plan":
        """Return a plan of what a user asked for.

        Raises
        ------
        TypeError, ValueError
            When it is no number of seconds.
        ModuleNotFoundError
            When a library for it is not installed.
        """
        plan = cls(
            autosave=_seconds(autosave, "autosave", DEFAULT_SECONDS),
            system_metrics=_seconds(system_metrics, "system_metrics", DEFAULT_INTERVAL),
            capture=bool(capture),
        )
        if plan.system_metrics is not None:
            Sampler.check()
        return plan

    def __bool__(self) -> bool:
        return self != Plan()


class Companions:
    """What goes along with one experiment."""

    def __init__(self, experiment: "Experiment", plan: Plan) -> None:
        self._experiment = experiment
        self.capture = Capture(experiment) if plan.capture else None
        self._sampler = None if plan.system_metrics is None else Sampler(experiment, plan.system_metrics)
        self._autosave = None
        if plan.autosave is not None:
            self._autosave = Autosave(experiment, plan.autosave, at_once=plan.at_once)

    def start(self) -> None:
        """Begin."""
        for companion in (self.capture, self._sampler, self._autosave):
            if companion is not None:
                companion.start()

    def leave(self) -> None:
        """Go along no more, in a forked child, where the threads do not exist."""
        if self.capture is not None:
            self.capture.let_go()

    def finish(self) -> None:
        """End, and have autosave save for the last time."""
        if self._sampler is not None:
            self._sampler.stop()
        if self.capture is not None:
            self.capture.stop()
            self._experiment._owner._capturing_ends(self._experiment)
        if self._autosave is not None:
            self._autosave.finish()


def _seconds(value: object, what: str, usual: float) -> float | None:
    """Return a number of seconds; True means the usual one, False and None mean none."""
    if value is None or value is False:
        return None
    if value is True:
        return usual
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{what} is a number of seconds, or True, not {type(value).__name__} {value!r:.50}")
    if not 0 < (seconds := float(value)) < float("inf"):
        raise ValueError(f"{what} is a number of seconds above 0, not {value}")
    return seconds
