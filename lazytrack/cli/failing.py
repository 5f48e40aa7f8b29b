"""How the command line fails: one line on stderr, and an exit code by the kind of what went wrong."""

import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from lazytrack.errors import FormatError, InvalidVersionError, LazytrackError, ReadOnlyError, UntrustedArtifactError

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


class _NobodyReads(BaseException):
    """Whoever was to read what is printed is gone."""


class _Out:
    """A stream of the program: what its encoding lacks is spelled, and a reader that is gone ends the program."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            raise _NobodyReads from None

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise _NobodyReads from None


def run(app: Any, arguments: Sequence[str] | None) -> int:
    """Run the command line and return its exit code; what goes wrong is told on stderr."""
    before = sys.stdout
    nowhere = None if before is not None else open(os.devnull, "w")  # noqa: PTH123, SIM115  (there is no stdout)
    sys.stdout = _Out(before or nowhere)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = lambda message, *_, **__: say_on_stderr(f"warning: {message}")
            code = _run(app, arguments)
            sys.stdout.flush()
            return code
    except _NobodyReads:
        # The interpreter would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    finally:
        sys.stdout = before
        if nowhere is not None:
            nowhere.close()


def _run(app: Any, arguments: Sequence[str] | None) -> int:
    try:
        result = app(arguments, prog_name="lazytrack", standalone_mode=True)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except KeyboardInterrupt:
        say_on_stderr("interrupted")
        return _INTERRUPTED
    except Exception as error:
        if os.environ.get(_TRACEBACK, "0") != "0":
            raise
        say_on_stderr(_told(error))
        return code_of(error)
    return int(result or 0)


def code_of(error: Exception) -> int:
    """Return the exit code of an error."""
    match error:
        case Failure():
            return error.code
        case FormatError():
            return DAMAGED
        case ReadOnlyError() | UntrustedArtifactError() | FileExistsError():
            return REFUSED
        case LookupError() | FileNotFoundError() | InvalidVersionError():
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


def say_on_stderr(message: str) -> None:
    """Tell something that is no result."""
    if sys.stderr is not None:
        sys.stderr.write(f"lazytrack: {printable(message)}\n")  # which spells what its encoding lacks


def printable(text: str) -> str:
    """Return text that changes nothing of a terminal, whoever wrote it."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)
