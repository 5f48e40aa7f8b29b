"""``python -m lazytrack.entrypoint``: runs one recorded step in this process.

The exit code is 0 where it went well; 2 where the command makes no sense; 3 where the project cannot be reached, or has
no such step; 4 where nobody waits for it any more; and 5 where it failed, and the record says so. Python itself says 1
where it cannot even begin.
"""

import os
import sys
from collections.abc import Sequence

from lazytrack.step_operators.step_operator_entrypoint_configuration import (
    STEP_RUN_ID,
    StepOperatorEntrypointConfiguration,
)

_USAGE, _UNREACHABLE, _SUPERSEDED = 2, 3, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the step that the arguments name, and return the exit code."""
    try:
        said = StepOperatorEntrypointConfiguration(sys.argv[1:] if arguments is None else arguments).entrypoint_args
    except ValueError as error:
        return _tell(error, _USAGE)
    from lazytrack.steps.launching import FAILED_STEP, STORAGE_OPTIONS, TICKET  # noqa: PLC0415  (bad arguments need nothing)
    from lazytrack.steps.recorded import SupersededError, run_recorded, storage_options_in  # noqa: PLC0415
    from lazytrack.tracking.project import Project  # noqa: PLC0415

    where, ticket = said["project"], os.environ.pop(TICKET, None)
    try:
        project = Project(where, **storage_options_in(os.environ.pop(STORAGE_OPTIONS, None)))
        if not project.exists:
            raise FileNotFoundError(
                f"there is no project at {where} for this machine: it has to be in a folder or on a storage that all "
                "machines share"
            )
        with project:
            went_well = run_recorded(
                project,
                run=said["run"],
                key=said["step"],
                step_run_id=said[STEP_RUN_ID],
                source=said["source"],
                ticket=ticket,
            )
    except SupersededError as error:
        return _tell(error, _SUPERSEDED)
    except (OSError, LookupError, ValueError, ImportError) as error:
        return _tell(error, _UNREACHABLE)
    return 0 if went_well else FAILED_STEP


def _tell(error: Exception, code: int) -> int:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    sys.stderr.write(f"lazytrack.entrypoint: {type(error).__name__}: {text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
