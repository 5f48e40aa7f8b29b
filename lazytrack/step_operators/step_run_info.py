"""What an operator is told of the step that it launches."""

from collections.abc import Callable
from typing import Any

import attrs


def _never() -> bool:
    return False


@attrs.frozen(kw_only=True)
class StepRunInfo:
    """The step that is to be launched.

    Parameters
    ----------
    step_run_id
        The id of this call of the step, as the record of the run has it.
    run_id, run_name
        The slug of the run, and what it is called.
    pipeline_step_name
        What the run calls the call.
    config
        All options of the step, those of the pipeline included; `resources` among them.
    pipeline
        The name of the pipeline; None of a step that was called by itself.
    force_write_logs
        Called where what was printed so far is to be kept now.
    group
        The id of the map that the call is one of, if it is.
    group_size
        How many calls that has.
    is_cancelled
        Tells whether nobody waits for the step any more.
    """

    step_run_id: str
    run_id: str
    run_name: str
    pipeline_step_name: str
    config: Any
    pipeline: str | None = None
    force_write_logs: Callable[[], Any] = lambda: None
    group: str | None = None
    group_size: int = 1
    is_cancelled: Callable[[], bool] = _never
