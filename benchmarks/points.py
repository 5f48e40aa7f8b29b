"""Logging many points of one metric, in every way that is compared; each runs in an interpreter of its own.

What is timed goes from the first call until the data is where it stays. Each way returns its seconds.
"""

import contextlib
import importlib
import json
import logging
import os
import random
import time
from pathlib import Path
from typing import Any

from clocks import Stopwatch


def values(count: int) -> list[float]:
    """Return random doubles between 0 and 1, always the same: none of them is shorter in single precision."""
    draw = random.Random(0)
    return [draw.random() for _ in range(count)]


def by_lazytrack(folder: str, count: int) -> dict[str, Any]:
    """Log with `log_metric` and save once; the bytes are those of all files there are afterwards."""
    library = importlib.import_module("lazytrack")
    _log(library.Project(f"{folder}/unused/project.json"), values(100))  # imports what is only imported when it is used
    project, points = library.Project(f"{folder}/used/project.json"), values(count)
    watch = Stopwatch()
    with watch:
        _log(project, points)
    return vars(watch) | {"bytes": stored_bytes(project.folder)}


def _log(project: Any, points: list[float]) -> None:
    with project.log("run") as experiment:
        for step, value in enumerate(points):
            experiment.log_metric("loss", value, step=step)
    project.save()


def by_hand(folder: str, count: int, *, sync: bool) -> dict[str, Any]:
    """Write a line of JSON for each point."""
    points, path = values(count), Path(folder) / f"points-{sync}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    watch = Stopwatch()
    with watch, path.open("w") as file:
        for step, value in enumerate(points):
            file.write(json.dumps({"name": "loss", "value": value, "step": step, "time": time.time()}) + "\n")
        if sync:
            file.flush()
            os.fsync(file.fileno())
    return vars(watch) | {"bytes": path.stat().st_size}


def by_sacred(folder: str, count: int) -> dict[str, Any]:
    """Log with `_run.log_scalar` to files; the run's end counts."""
    sacred = importlib.import_module("sacred")
    observers = importlib.import_module("sacred.observers")
    logging.disable()
    sacred.SETTINGS["CAPTURE_MODE"] = "no"  # it would take over what children.py answers with
    points, watch = values(count), Stopwatch()
    run = sacred.Experiment("benchmark", save_git_info=False)
    run.observers.append(observers.FileStorageObserver(folder, copy_sources=False))
    with contextlib.ExitStack() as stack:

        @run.main
        def main(_run: Any) -> None:
            stack.enter_context(watch)  # what comes before looks at the machine and at source files
            for step, value in enumerate(points):
                _run.log_scalar("loss", value, step)

        run.run()
    stored = json.loads(Path(f"{folder}/1/metrics.json").read_text())["loss"]["values"]
    if stored != points:
        raise RuntimeError("sacred has not stored what was logged")
    return vars(watch) | {"bytes": stored_bytes(folder)}


def by_trackio(folder: str, count: int) -> dict[str, Any]:
    """Log with `trackio.log` to a local database; `trackio.finish` counts."""
    for name in [name for name in os.environ if name.startswith(("TRACKIO_", "HF_"))]:
        del os.environ[name]  # nothing may lead it to a server
    os.environ |= {"TRACKIO_DIR": folder, "HF_HOME": f"{folder}/home", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    points, watch = values(count), Stopwatch()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        trackio = importlib.import_module("trackio")
        trackio.init(project="benchmark", embed=False, auto_log_gpu=False, auto_log_cpu=False)
        with watch:
            for step, value in enumerate(points):
                trackio.log({"loss": value}, step=step)
            trackio.finish()
    sqlite = importlib.import_module("sqlite3")
    with contextlib.closing(sqlite.connect(f"{folder}/benchmark.db")) as database:
        if database.execute("SELECT count(*) FROM metrics").fetchone() != (count,):
            raise RuntimeError("trackio has not stored what was logged")
    return vars(watch) | {"bytes": stored_bytes(folder)}


def stored_bytes(folder: str) -> int:
    """Return the size of all files in a folder."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
