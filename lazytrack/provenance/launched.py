"""A command that this process runs for somebody: what is recorded is what it runs, and with what."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from lazytrack.provenance import probing

_ASK = """
import importlib.metadata as m, json, platform, sys
found = {(d.metadata["Name"], d.version) for d in m.distributions() if d.metadata["Name"]}
print(json.dumps({"python": platform.python_version(), "executable": sys.executable, "packages": sorted(found)}))
"""
_VALUED = {"-W", "-X"}
"""Options of Python that are two words."""
_NO_FILE = {"-c", "-m"}
_SHEBANG_BYTES = 512


@attrs.frozen
class Launched:
    """A command.

    Parameters
    ----------
    words
        The program and its arguments.
    program
        The file with the user's code, where the command tells.
    module
        What Python runs by ``-m``.
    interpreter
        What is known of the Python that runs it: the fields of `EnvironmentMetadata`; None where that is this one.
    """

    words: list[str]
    program: Path | None
    module: str | None
    interpreter: dict[str, Any] | None

    @classmethod
    def of(cls, words: Sequence[str]) -> "Launched":
        """Return what is known of a command before it is run."""
        found = shutil.which(words[0])
        python = None if found is None else _python_of(found)
        is_here = python is not None and _is_this(python)
        seen = probing.ask("program", lambda: _program(found, words)) if found else None
        program, module = seen or (None, None)
        interpreter = None if is_here or python is None else probing.ask("python", lambda: _ask(python))
        return cls([*words], program, module, interpreter)


_launched: Launched | None = None


def stand_for(command: Launched | None) -> None:
    """Have this process record what a command runs with, rather than itself."""
    global _launched  # noqa: PLW0603  (a process stands for one)
    _launched = command


def current() -> Launched | None:
    """Return the command that this process stands for; None where that is itself."""
    return _launched


def _python_of(program: str) -> str | None:
    """Return the Python that runs a program: itself, that of its first line, or else the one that is found first."""
    if _is_python(program):
        return program
    try:
        with open(program, "rb") as file:  # noqa: PTH123  (a text, as it was found)
            line = file.read(_SHEBANG_BYTES).partition(b"\n")[0].decode("utf-8", "replace")
    except OSError:  # it may be run, and not be read
        line = ""
    words = line.removeprefix("#!").split() if line.startswith("#!") else []
    named = [word for word in words[:2] if _is_python(word)]
    if named:
        return shutil.which(named[0])
    return shutil.which("python3") or shutil.which("python")


def _is_python(program: str) -> bool:
    name = os.path.basename(program).lower().removesuffix(".exe")  # noqa: PTH119
    return name.rstrip("0123456789.") in {"python", "pypy", "pythonw"}


def _is_this(python: str) -> bool:
    """Tell whether a Python is that of this process: the same file, in the same environment."""
    import sys  # noqa: PLC0415

    def home(path: str) -> str:
        return os.path.realpath(os.path.dirname(path))  # noqa: PTH120

    same = os.path.realpath(python) == os.path.realpath(sys.executable)
    return same and home(python) == home(sys.executable)


def _ask(python: str) -> dict[str, Any]:
    """Ask another Python what is installed there."""
    asked = subprocess.run(  # noqa: S603  (it is about to be run anyway)
        [python, "-I", "-c", _ASK], capture_output=True, check=True, timeout=probing.TIMEOUT_SECONDS
    )
    said: dict[str, Any] = json.loads(asked.stdout)
    return said | {"executable": Path(said["executable"]), "packages": [tuple(pair) for pair in said["packages"]]}


def _program(found: str, words: Sequence[str]) -> tuple[Path | None, str | None]:
    """Return the file with the user's code, or the module that Python runs.

    The file is the script that Python runs, or the program itself, if it is no other's.
    """
    if not _is_python(found):
        path = Path(os.path.realpath(found))
        return (path if path.is_relative_to(os.path.realpath(os.curdir)) else None), None
    rest = iter(words[1:])
    for word in rest:
        if word in _VALUED:
            next(rest, None)
        elif word in _NO_FILE:
            return None, next(rest, None) if word == "-m" else None
        elif word == "-":
            break  # it reads what to run
        elif not word.startswith("-"):
            path = Path(os.path.realpath(word))
            return (path if path.is_file() else None), None
    return None, None
