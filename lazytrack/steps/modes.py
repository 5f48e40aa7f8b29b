"""What a run is of, and what a failure in it means."""

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lazytrack.steps.configuration import StepConfiguration


class ExecutionMode(enum.StrEnum):
    """What a failure means for the steps that do not need what failed."""

    STOP_ON_FAILURE = "stop_on_failure"
    FAIL_FAST = "fail_fast"
    CONTINUE_ON_FAILURE = "continue_on_failure"


@attrs.define(kw_only=True, eq=False)
class RunOptions:
    """What a run is of, and what its steps have in common.

    Parameters
    ----------
    name
        Of the run.
    pipeline
        Its name; None for the run of a step that was called by itself.
    kind
        What the slug of its experiment begins with; None for its name.
    said
        What the record of the run says of it, as JSON values.
    defaults
        Options of steps that do not set them.
    overrides
        Options by invocation id, which come before those of the steps.
    enable_cache
        Whether outputs of earlier runs may be taken, where a step does not say; None is yes.
    mode
        What a failure means.
    parameters
        Arguments of the pipeline.
    tags
        Of the experiment.
    substitutions
        What stands for placeholders in the names of outputs.
    executor
        Where submitted steps run; None where that is not said.
    progress
        Whether a terminal shows how far it has come; None is yes.
    resumes
        The slug of the run that this goes on with; None for a new one.
    """

    name: str
    pipeline: str | None
    kind: str | None = None
    said: dict[str, Any]
    defaults: StepConfiguration = attrs.Factory(StepConfiguration)
    overrides: dict[str, dict[str, Any]] = attrs.Factory(dict)
    enable_cache: bool | None = None
    mode: ExecutionMode = ExecutionMode.STOP_ON_FAILURE
    parameters: dict[str, Any] = attrs.Factory(dict)
    tags: Sequence[str] = ()
    substitutions: Mapping[str, str] = attrs.Factory(dict)
    executor: Any = None
    progress: bool | None = None
    resumes: str | None = None
