"""What the history of a metric costs: logging it, reading it back, its bytes, and saving it while training goes on."""

import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import numpy as np
import places
import points
import stores
from clocks import Stopwatch, ratios, take_turns
from figures import Figure, Result

from lazytrack import Project, naming

_LOGGED = 100_000
_READ = 1_000_000
_STEPS = 8_000
_METRICS = ("loss", "accuracy", "gradient", "rate", "memory")


# --- logging points ---


def log_points(work: Path) -> Result:
    """Compare logging points and saving them with writing lines of JSON, and measure what is stored."""
    ours, plain, synced = take_turns(
        [
            lambda: _log(work, "by_lazytrack"),
            lambda: _log(work, "by_hand", sync=False),
            lambda: _log(work, "by_hand", sync=True),
        ],
        rounds=15,
    )
    spaced = children.call("series", "grow", path=str(work / "spaced" / "project.json"), count=_LOGGED, saves=1)
    return Result(
        how=f"{_LOGGED:,} calls of `exp.log_metric('loss', value, step=i)` with random doubles and one `save`, beside "
        'a line `{"name", "value", "step", "time"}` for each (`json.dumps`, `time.time()`) written to one open '
        "file, which is closed at the end; for information the same with an fsync before. A fresh interpreter for each "
        "piece. lazytrack syncs its files. Bytes are those of all files in the project's folder: the points and the "
        "log. One point each 10 to 100 ms is a clock that is moved on by so much, drawn by lot, at every call.",
        figures=[
            *(
                Figure(
                    what=f"lazytrack / {name}, {clock}",
                    values=ratios([line[key] for line in ours], [line[key] for line in theirs]),
                    at_most=at_most,
                )
                for name, theirs, clock, key, at_most in (
                    ("lines of JSON", plain, "wall", "wall", 0.7),
                    ("lines of JSON", plain, "CPU", "cpu", None),
                    ("lines of JSON, synced", synced, "wall", "wall", None),
                )
            ),
            Figure(
                what="stored for each point, one each 10 to 100 ms",
                values=[spaced["bytes"] / _LOGGED],
                unit="bytes",
                at_most=20,
            ),
            Figure(
                what="stored for each point, as fast as it goes",
                values=[line["bytes"] / _LOGGED for line in ours],
                unit="bytes",
                at_most=20,
            ),
            Figure(
                what="stored for each point, lines of JSON",
                values=[line["bytes"] / _LOGGED for line in plain],
                unit="bytes",
            ),
        ],
    )


def beside_others(work: Path) -> Result:
    """Compare logging points with sacred and trackio."""
    others = {library: places.python_with(library) for library in ("sacred", "trackio")}
    ours, *theirs = take_turns(
        [
            lambda: _log(work, "by_lazytrack"),
            *(lambda at=python, of=library: _log(work, f"by_{of}", python=at) for library, python in others.items()),
        ],
        rounds=7,
    )
    versions = {library: f"{library} {places.VERSIONS[library]}" for library in others}
    return Result(
        how=f"{_LOGGED:,} points of one metric with random doubles, from the first call until the data is stored: "
        f"lazytrack with one `save`, {versions['sacred']} with `_run.log_scalar` and a `FileStorageObserver` until the "
        f"run has ended, {versions['trackio']} with `trackio.log` into its local database until `finish` has returned, "
        "offline and without dashboard. A fresh interpreter for each; imports and the start of a run are not counted "
        "for the others, creating the experiment is for lazytrack, which has saved another one before so that all it "
        "needs is imported. lazytrack syncs its files to the disk.",
        figures=[
            *(
                Figure(
                    what=f"{versions[library]} / lazytrack, {clock}",
                    values=ratios([line[key] for line in lines], [line[key] for line in ours]),
                )
                for library, lines in zip(others, theirs, strict=True)
                for clock, key in (("wall", "wall"), ("CPU", "cpu"))
            ),
            *(
                Figure(what=f"stored for each point, {name}", values=[lines[0]["bytes"] / _LOGGED], unit="bytes")
                for name, lines in zip(["lazytrack", *versions.values()], [ours, *theirs], strict=True)
            ),
        ],
    )


def _log(work: Path, way: str, **arguments: Any) -> dict[str, Any]:
    folder = tempfile.mkdtemp(dir=work)
    seconds = children.call("points", way, folder=folder, count=_LOGGED, **arguments)
    shutil.rmtree(folder)  # or what is not synced would be written while the next piece is timed
    return seconds


# --- reading them back ---


def read_points(work: Path) -> Result:
    """Compare reading points back with loading arrays."""
    figures = []
    for saves, name, at_most in ((1, "one save", 3), (1000, "1,000 saves", None)):
        folder = work / f"read-{saves}"
        path, arrays = str(folder / "project.json"), str(folder / "arrays")
        grown = children.call("series", "grow", path=path, count=_READ, saves=saves)
        children.call("series", "save_arrays", path=path, folder=arrays)
        rounds = [
            children.call("series", "read_in_turns", path=path, folder=arrays, number=number) for number in range(15)
        ]

        def compared(base: str, clock: str, turns: list[dict[str, Any]] = rounds) -> list[float]:
            return ratios([turn["history"][clock] for turn in turns], [turn[base][clock] for turn in turns])

        figures += [
            Figure(what=f"history / four .npy, wall, {name}", values=compared("npy", "wall"), at_most=at_most),
            Figure(what=f"history / four .npy, CPU, {name}", values=compared("npy", "cpu")),
            Figure(what=f"history / one .npz, wall, {name}", values=compared("npz", "wall")),
            Figure(what=f"files read, {name}", values=[rounds[0]["files"]], unit="files"),
            Figure(what=f"bytes read for each point, {name}", values=[rounds[0]["bytes"] / _READ], unit="bytes"),
            Figure(what=f"stored for each point, {name}", values=[grown["bytes"] / _READ], unit="bytes"),
        ]
        shutil.rmtree(folder)
    return Result(
        how=f"`history('loss').to_numpy()` of {_READ:,} points, random doubles one each 10 to 100 ms, of a project "
        "that was opened and an experiment that was looked up before, beside `numpy.load` of the same four columns "
        "(step, time, value, rank), 8 bytes an item, as four .npy files; for information as one .npz too, not "
        "compressed. A fresh interpreter for each round, in which all of it was read once before, through "
        "another project object: numpy is imported and the files are in the system's cache. What is stored includes "
        "files that were merged into others and are not deleted.",
        figures=figures,
    )


def grow(path: str, count: int, saves: int) -> dict[str, int]:
    """Log points of one metric with as many saves, as if one came each 10 to 100 ms; return what is stored."""
    project, values = Project(path), points.values(count)
    draw, now = random.Random(1), naming.micros() - count * 100_000

    def micros() -> int:
        nonlocal now
        now += draw.randint(10_000, 100_000)
        return now

    naming.micros = micros
    with project.log("run") as experiment:
        for step, value in enumerate(values):
            experiment.log_metric("loss", value, step=step)
            if (step + 1) % (count // saves) == 0:
                project.save()
    project.save()  # the end of the block
    return {"bytes": points.stored_bytes(project.folder)}


def save_arrays(path: str, folder: str) -> None:
    """Save the columns of a history as arrays, each in a file of its own and all in one."""
    Path(folder).mkdir()
    columns = Project(path, mode="r")["run"].history("loss").to_numpy()
    columns["time"] = columns["time"].view("int64")
    for name, column in columns.items():
        np.save(f"{folder}/{name}.npy", column)
    np.savez(f"{folder}/all.npz", **columns)


def read_in_turns(path: str, folder: str, number: int) -> dict[str, Any]:
    """Read the columns of a history through the project and from arrays, and return the seconds of each."""
    names = ("step", "time", "value", "rank")
    experiment = None

    def history() -> dict[str, np.ndarray]:
        return experiment.history("loss").to_numpy()

    def npy() -> dict[str, np.ndarray]:
        return {name: np.load(f"{folder}/{name}.npy") for name in names}

    def npz() -> dict[str, np.ndarray]:
        with np.load(f"{folder}/all.npz") as arrays:
            return {name: arrays[name] for name in names}

    pieces: dict[str, Callable[[], dict[str, np.ndarray]]] = {"history": history, "npy": npy, "npz": npz}
    experiment = Project(path, mode="r")["run"]
    with stores.counted() as traffic:
        expected = history()
    for read in (npy(), npz()):
        if not all(np.array_equal(read[name], expected[name].view(read[name].dtype)) for name in names):
            raise RuntimeError("the arrays are not the history")
    if len(expected["step"]) != _READ or not np.array_equal(expected["value"], points.values(_READ)):
        raise RuntimeError("what was read is not what was logged")
    del read, expected
    experiment = Project(path, mode="r")["run"]  # the other one remembers its files
    seconds = {}
    for name, piece in pieces.items() if number % 2 else reversed(pieces.items()):
        watch = Stopwatch()
        with watch:
            found = piece()
        seconds[name] = vars(watch)
        del found
    return seconds | {"files": len(traffic.read), "bytes": traffic.read_bytes}


# --- saving while training goes on ---


def autosave(work: Path) -> Result:
    """Compare a training loop whose experiment saves itself with one that is saved at its end."""
    saved, plain, again = take_turns(
        [lambda: _train(work, autosave=1), lambda: _train(work, autosave=None), lambda: _train(work, autosave=None)],
        rounds=15,
    )
    return Result(
        how=f"A loop of {_STEPS:,} steps, each about 1 ms of arithmetic in plain Python and five calls of "
        "`log_metric`, with `autosave=1`, beside the same without, saved once after it. Only the loop is timed, in "
        "a fresh interpreter for each, after a few steps of another experiment with the same settings. The first save "
        "falls into the loop, the last one does not. The loop without autosave takes a second turn in each round and "
        "is compared with itself: so far apart is what does not differ. CPU is that of the whole process; what of it "
        "is not the loop's own thread is autosave's.",
        figures=[
            *(
                Figure(
                    what=f"loop {name}, {clock}",
                    values=ratios([line[key] for line in lines], [line[key] for line in plain]),
                    at_most=at_most,
                )
                for name, lines, clock, key, at_most in (
                    ("with autosave / without", saved, "wall", "wall", 1.02),
                    ("with autosave / without", saved, "CPU", "cpu", None),
                    ("without autosave / the same again", again, "wall", "wall", None),
                )
            ),
            Figure(
                what="CPU of the process / of the loop's thread, with autosave",
                values=ratios([line["cpu"] for line in saved], [line["thread"] for line in saved]),
            ),
            Figure(what="saves during the loop", values=[line["saves"] for line in saved], unit="saves"),
            *(
                Figure(what=f"files there afterwards, {name}", values=[line["files"] for line in lines], unit="files")
                for name, lines in (("with autosave", saved), ("without", plain))
            ),
        ],
    )


def _train(work: Path, *, autosave: float | None) -> dict[str, Any]:
    folder = tempfile.mkdtemp(dir=work)
    result = children.call("series", "train", folder=folder, autosave=autosave)
    shutil.rmtree(folder)
    return result


def train(folder: str, autosave: float | None) -> dict[str, Any]:
    """Train, and return the seconds of the loop, how many saves fell into it, and how many files there are then."""
    unused, project = Project(f"{folder}/unused/project.json"), Project(f"{folder}/used/project.json")
    with unused.log("run", autosave=autosave) as experiment:
        _steps(experiment, 200)
    unused.save()
    watch = Stopwatch()
    with project.log("run", autosave=autosave) as experiment:
        with watch:
            before = time.thread_time()
            _steps(experiment, _STEPS)
            thread = time.thread_time() - before
        saves = len(list(Path(project.folder).glob("log/*.json")))
    project.save()
    read = Project(f"{folder}/used/project.json", mode="r")["run"]
    if not all(len(read.history(name)) == _STEPS for name in _METRICS):
        raise RuntimeError("not all that was logged is there")
    files = [file for file in Path(f"{folder}/used").rglob("*") if file.is_file()]
    return vars(watch) | {"thread": thread, "saves": saves, "files": len(files)}


def _steps(experiment: Any, count: int) -> None:
    value = 0.0
    for step in range(count):
        for number in range(20_000):
            value += number * 1e-9
        for name in _METRICS:
            experiment.log_metric(name, value, step=step)
