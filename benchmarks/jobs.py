"""The jobs that are compared between lazytrack and lazyscribe, written once: their calls are the same.

Each runs in an interpreter of its library's own.
"""

import contextlib
import gc
import importlib
from typing import Any

import payload
from clocks import Stopwatch


def log_all_save_once(library: str, path: str, size: int) -> None:
    """Log `size` experiments with an artifact each and save them together, the quick way to a store for lazyscribe."""
    project = _open(library, path)
    for number in range(size):
        payload.log(project, number, artifact=True)
    project.save()


def save_each(library: str, path: str, start: int, count: int, *, reopen: bool) -> float:
    """Log and save `count` experiments with an artifact each, and return the CPU seconds of one.

    With `reopen` each one opens the project anew, as separate jobs do.
    """
    payload.log(_open(library, path), start, artifact=True)  # imports what is only imported when it is used
    project = _open(library, path)
    watch = Stopwatch()
    for number in range(start, start + count):
        with watch:
            if reopen:
                project = _open(library, path)
            payload.log(project, number, artifact=True)
            project.save()
    return watch.cpu / count


def find_best(library: str, path: str) -> dict[str, Any]:
    """Open a project, find the best ten by a metric, and return their names with the CPU and wall seconds it took."""
    project_class = importlib.import_module(library).Project
    gc.collect()
    watch = Stopwatch()
    with watch:
        project = project_class(path, mode="r")
        if library == "lazytrack":
            best = project.best("auc", 10)
        else:
            best = sorted(project.experiments, key=lambda experiment: experiment.metrics["auc"], reverse=True)[:10]
    return {"cpu": watch.cpu, "wall": watch.wall, "names": [experiment.name for experiment in best]}


def write_runs(library: str, path: str, writer: int, count: int, *, reopen: bool) -> None:
    """Log and save `count` experiments as one of several writers; a save that fails is a run that is lost."""
    project = None
    for number in range(count):
        with contextlib.suppress(Exception):
            if project is None or reopen:
                project = _open(library, path)
            payload.log(project, writer * count + number)
            project.save()


def count_runs(library: str, path: str) -> int:
    """Return how many different experiments a project holds; none where it cannot be read at all."""
    try:
        project = importlib.import_module(library).Project(path, mode="r")
        return len({experiment.name for experiment in project.experiments})
    except ValueError:  # two writers at once have left something that is no JSON
        return 0


def _open(library: str, path: str) -> Any:
    return importlib.import_module(library).Project(path, mode="a")
