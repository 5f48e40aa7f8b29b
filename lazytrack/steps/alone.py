"""Steps that are called by themselves: each call is a run of its own, in no pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any

from lazytrack import naming
from lazytrack.steps.base import BaseStep
from lazytrack.steps.modes import RunOptions
from lazytrack.steps.run import Run
from lazytrack.tracking.active import active_project


def call_alone(step: BaseStep, args: Sequence[Any], kwargs: Mapping[str, Any], *, id: str | None) -> Any:
    """Run a step, and return its value, or a tuple of several.

    Raises
    ------
    StepInterfaceError
        When an argument is not as declared, before anything runs.
    Exception
        What the step raises.
    """
    name = "{}-{date}-{time}".format(step.name, **time_parts())
    run = Run(active_project(), RunOptions(name=name, pipeline=None, kind=step.name, said={"pipeline": None}))
    returned: list[Any] = []
    with run.going_on():
        returned.append(run.call_alone(step, args, kwargs, id=id))
    return returned[0]  # when the run is recorded as a whole


def time_parts() -> dict[str, str]:
    """Return what stands for ``{date}`` and ``{time}`` in names: the present, in UTC."""
    now = naming.now()
    return {"date": f"{now:%Y_%m_%d}", "time": f"{now:%H_%M_%S_%f}"}
