"""How the command line fails: one line on stderr, and an exit code by the kind of what went wrong."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from lazytrack.errors import FormatError, LazytrackError, ReadOnlyError, UntrustedArtifactError

USAGE, NOT_THERE, REFUSED, DAMAGED, STORAGE, OTHER = 2, 3, 4, 5, 6, 1
"""Exit codes; `docs/cli.md` lists them."""
_INTERRUPTED, _NOBODY_READS = 130, 141
_TRACEBACK = "LAZYTRACK_TRACEBACK"
"""The environment variable that has errors shown with all there is to know of them."""


class Failure(Exception):  # noqa: N818  (it is what the command line ends with, not an error of the library)
    """Ends a command with a message and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def run(app: Any, arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit code; what goes wrong is told on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
        return _run(app, arguments)


def _run(app: Any, arguments: Sequence[str] | None) -> int:
    try:
        result = app(arguments, prog_name="lazytrack", standalone_mode=True)
        sys.stdout.flush()
    except SystemExit as ending:
        return _flushed(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
    except BrokenPipeError:
        return _nobody_reads()
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except Exception as error:
        if os.environ.get(_TRACEBACK, "0") != "0":
            raise
        _say(_told(error))
        return code_of(error)
    return int(result or 0)


def code_of(error: Exception) -> int:
    """Return the exit code of an error."""
    match error:
        case Failure():
            return error.code
        case FormatError():
            return DAMAGED
        case ReadOnlyError() | UntrustedArtifactError():
            return REFUSED
        case LookupError() | FileNotFoundError():
            return NOT_THERE
        case OSError():
            return STORAGE
        case ValueError() | TypeError() if not isinstance(error, LazytrackError):
            return USAGE
        case _:
            return OTHER


def _told(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    is_plain = isinstance(error, (LazytrackError, Failure, LookupError, ValueError, OSError, ModuleNotFoundError))
    return text if is_plain and text else f"{type(error).__name__}: {text}"


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _nobody_reads()
    return code


def _nobody_reads() -> int:
    # The interpreter would complain once more when it closes the stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _NOBODY_READS


def _say(message: str) -> None:
    sys.stderr.write(f"lazytrack: {message}\n")
