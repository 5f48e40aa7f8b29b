"""Fresh interpreters: each imports a module of this folder, says it is ready, and on a word calls one function of it.

Started as ``python children.py IMPORTS MODULE FUNCTION ARGUMENTS``, the first and the last as JSON; what the function
returns goes back as JSON, with the CPU time the call took.
"""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import places


@dataclass
class Answer:
    """What one child did: what its function returned, and the CPU seconds (user and system) of the call alone."""

    result: Any
    cpu: float


@dataclass
class Together:
    """What several children did at once: their answers, and the wall seconds from two starting points."""

    answers: list[Answer]
    wall: float
    """From the word to go until the last had answered: interpreters were up and modules imported."""
    wall_with_start: float
    """From before the first interpreter was started."""


def call(module: str, function: str, *, python: str | Path = sys.executable, **arguments: Any) -> Any:
    """Call a function in a fresh interpreter and return its result."""
    return together([(module, function, arguments)], python=python).answers[0].result


def together(
    calls: list[tuple[str, str, dict[str, Any]]], *, python: str | Path = sys.executable, imports: Sequence[str] = ()
) -> Together:
    """Call functions at once, each in an interpreter of its own, all let go at the same moment.

    Parameters
    ----------
    calls
        Of each child: module, function and keyword arguments.
    python
        The interpreter.
    imports
        What each child imports before it is ready, beside the module of its function.
    """
    started = time.perf_counter()
    children = [
        subprocess.Popen(
            [str(python), __file__, json.dumps(imports), module, function, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=places.environment(),
        )
        for module, function, arguments in calls
    ]
    try:
        for child in children:
            if child.stdout.readline() != "ready\n":
                _give_up(child, "did not start")
        go = time.perf_counter()
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        lines = [child.stdout.readline() for child in children]
        done = time.perf_counter()
        for child, line in zip(children, lines, strict=True):
            child.communicate()
            if child.returncode or not line:
                _give_up(child, "failed")
    except BaseException:
        for child in children:  # one that goes on would write where nobody cleans up
            child.kill()
            child.wait()
        raise
    return Together([Answer(**json.loads(line)) for line in lines], wall=done - go, wall_with_start=done - started)


def _give_up(child: subprocess.Popen, why: str) -> None:
    raise RuntimeError(f"{child.args} {why}")


def _main(imports: str, module: str, function: str, arguments: str) -> None:
    for name in json.loads(imports):
        importlib.import_module(name)
    call = getattr(importlib.import_module(module), function)
    keywords = json.loads(arguments)
    print("ready", flush=True)
    sys.stdin.readline()
    before = time.process_time()
    result = call(**keywords)
    cpu = time.process_time() - before
    print(json.dumps({"result": result, "cpu": cpu}), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
