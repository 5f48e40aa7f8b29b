"""How the world is asked: a question that fails is a field left empty, and a program that hangs is ended."""

import logging
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

_ON_WINDOWS = os.name == "nt"

Answer = TypeVar("Answer")

TIMEOUT_SECONDS = 10.0
"""A program that has not answered by then is ended."""
_LEAST_SECONDS = 0.1
_limit = threading.local()


def ask(what: str, probe: Callable[[], Answer]) -> Answer | None:
    """Return what `probe` does; None, and a message for who debugs, where it fails. `what` names it."""
    try:
        return legible(probe())
    except Exception as error:  # noqa: BLE001  (no machine is so strange that a run may fail for it)
        _log.debug("%s is not known: %s: %s", what, type(error).__name__, error)
        return None


def present(probes: Mapping[str, Callable[[], Any]], names: Iterable[str]) -> dict[str, Any]:
    """Ask the probes of these names, and return their answers."""
    return {name: ask(name, probes[name]) for name in names}


def legible(value: Answer) -> Answer:
    """Return a value whose text is Unicode: of a name that is none, the bytes that are not are spelled out."""
    return _legible(value)  # type: ignore[no-any-return]  # of the type it had


def _legible(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Path():
            return Path(_legible(str(value)))
        case list():
            return [_legible(item) for item in value]
        case tuple() if type(value) is tuple:
            return tuple(_legible(item) for item in value)
        case dict():
            return {_legible(key): _legible(item) for key, item in value.items()}
        case _:
            return value


def give_up_after(seconds: float) -> None:
    """Have the programs that this thread asks from now on end by then, all of them together."""
    _limit.end = time.monotonic() + seconds


def program(name: str) -> str | None:
    """Return the path of a program, as ``PATH`` says; None where there is none.

    Windows looks in the working folder first, where a stranger may have put one: that does not count.
    """
    found = shutil.which(name)
    if found is None or (_ON_WINDOWS and os.path.samefile(os.path.dirname(found) or ".", ".")):  # noqa: PTH120, PTH121
        return None
    return os.path.abspath(found)  # noqa: PTH100  (a text, as it is called)


def run(
    command: list[str],
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes = b"",
    timeout: float = TIMEOUT_SECONDS,
) -> bytes:
    """Return what a program prints.

    Raises
    ------
    OSError
        When it cannot be started.
    subprocess.SubprocessError
        When it fails, or has not answered in `timeout` seconds.
    """
    if (end := getattr(_limit, "end", None)) is not None:
        timeout = min(timeout, max(end - time.monotonic(), _LEAST_SECONDS))
    try:
        return subprocess.run(  # noqa: S603  (a list of words: no shell reads them)
            command,
            cwd=cwd,
            env=env,
            input=input,
            capture_output=True,
            timeout=timeout,
            check=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        ).stdout
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip()[-1000:]
        raise subprocess.SubprocessError(f"{error}: {said}") from error
