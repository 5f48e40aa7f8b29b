"""What the command of a launched step says: where the project is, and which call of which run is meant."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

STEP_RUN_ID = "step_run_id"
_OPTIONS = {"project", "run", "step", "source", STEP_RUN_ID}


class StepOperatorEntrypointConfiguration:
    """The command of a launched step. It carries locations, and nothing else.

    ``project`` is the path or URL of the project, ``run`` the slug of the run, ``step`` what that calls the call, and
    ``step_run_id`` its id; ``source`` is where the step stands: ``package.module:name``, or, where that is the program,
    ``file.py:name`` or ``-m package.module:name``.

    Parameters
    ----------
    arguments
        As they stand in the command, behind `get_entrypoint_command`.

    Raises
    ------
    ValueError
        When one is missing, given twice, or not known.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.entrypoint_args = self._parsed(list(arguments))

    @classmethod
    def get_entrypoint_command(cls) -> list[str]:
        """Return the program, without what it is given."""
        return [sys.executable, "-m", "lazytrack.entrypoint"]

    @classmethod
    def get_entrypoint_options(cls) -> set[str]:
        """Return the names of the options, all of which have to be given."""
        return set(_OPTIONS)

    @classmethod
    def get_entrypoint_arguments(cls, **kwargs: Any) -> list[str]:
        """Return options as they stand in the command, as pairs of ``--option`` and value.

        Raises
        ------
        ValueError
            When one is missing, or not known.
        """
        cls._check(kwargs)
        return [part for name in sorted(kwargs) for part in (f"--{name}", str(kwargs[name]))]

    @classmethod
    def _parsed(cls, arguments: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        while arguments:
            option = arguments.pop(0)
            name = option.removeprefix("--")
            if name == option or name in found or not arguments:
                what = "is no option" if name == option else "is given twice" if name in found else "has no value"
                raise ValueError(f"the command of a step: {option!r} {what}")
            found[name] = arguments.pop(0)
        cls._check(found)
        return found

    @classmethod
    def _check(cls, given: Iterable[str]) -> None:
        options, there = cls.get_entrypoint_options(), set(given)
        if missing := sorted(options - there):
            raise ValueError(f"the command of a step lacks {', '.join(missing)}; it takes {', '.join(sorted(options))}")
        if unknown := sorted(there - options):
            raise ValueError(f"the command of a step has no {', '.join(unknown)}; known: {', '.join(sorted(options))}")
