"""What artifacts cost: saving and loading a large pickle, in time and memory, and a small change to a large record."""

import contextlib
import hashlib
import importlib
import os
import pickle
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import children
import numpy as np
import places
from clocks import Stopwatch, median, ratios, take_turns
from figures import Figure, Result

from lazytrack import Project

_MEGABYTE = 2**20
_ARRAY_MEGABYTES = 256
_CHANGES = 100


# --- saving a large pickle ---


def save_pickle(work: Path) -> Result:
    """Compare saving a large array with writing and hashing its pickle, and measure how much memory that takes."""
    rounds = []
    for number in range(11):
        folder = work / f"save-pickle-{number}"
        folder.mkdir()
        rounds.append(children.call("artifacts", "save_and_write", folder=str(folder), number=number))
        shutil.rmtree(folder)
    figures = [
        Figure(
            what=f"save / {name}, {clock}",
            values=ratios([r["save"][key] for r in rounds], [r[base][key] for r in rounds]),
            at_most=at_most,
        )
        for name, base, clock, key, at_most in (
            ("plain synced file, hashed", "synced", "wall", "wall", 1.5),
            ("plain synced file, hashed", "synced", "CPU", "cpu", None),
            ("plain file that is not synced, hashed", "not_synced", "wall", "wall", None),
        )
    ]
    return Result(
        how=f"`project.log`, `log_artifact(handler='pickle')` and `save` of a numpy array of {_ARRAY_MEGABYTES} MB "
        "(megabytes of 2^20 bytes), beside hashing (sha256) and writing its pickle, made beforehand, in blocks of 1 MB "
        "by one pass, then fsync; another array and a fresh interpreter in each round. Before each piece, files as "
        "large were written, synced and deleted, so that neither the disk nor fresh memory is waited for. "
        "Memory is the peak resident size of an interpreter that makes the array and saves it, above that of one that "
        "makes it, imports the same and saves nothing.",
        figures=[*figures, _memory(work)],
    )


def save_and_write(folder: str, number: int) -> dict[str, dict[str, float]]:
    """Save an array, and write its pickle with and without a sync, and return the seconds of each."""
    array = _array(number)
    data = pickle.dumps(array, protocol=5)
    project = _warm_project(f"{folder}/project.json")
    digests = {}

    def save() -> None:
        with project.log("large") as experiment:
            experiment.log_artifact("array", array, handler="pickle")
        project.save()
        digests["save"] = experiment.artifacts[0].stored.sha256

    def write(name: str, *, sync: bool) -> None:
        digests[name] = _write_and_hash(f"{folder}/{name}.pkl", data, sync=sync)

    pieces: dict[str, Callable[[], None]] = {
        "save": save,
        "synced": lambda: write("synced", sync=True),
        "not_synced": lambda: write("not_synced", sync=False),
    }
    seconds = {}
    for name, piece in pieces.items() if number % 2 else reversed(pieces.items()):
        _settle_memory(folder)
        watch = Stopwatch()
        with watch:
            piece()
        seconds[name] = vars(watch)
    if len(set(digests.values())) != 1:
        raise RuntimeError("what was written is not the same")
    return seconds


def _write_and_hash(path: str, data: bytes, *, sync: bool) -> str:
    digest, view = hashlib.sha256(), memoryview(data)
    with Path(path).open("xb", buffering=0) as file:
        for start in range(0, len(data), _MEGABYTE):
            block = view[start : start + _MEGABYTE]
            digest.update(block)
            file.write(block)
        if sync:
            os.fsync(file.fileno())
    return digest.hexdigest()


def _memory(work: Path) -> Figure:
    def save() -> dict[str, Any]:
        folder = work / "save-pickle-memory"
        peak = children.call("artifacts", "peak_of_saving", path=str(folder / "project.json"))
        shutil.rmtree(folder)
        return peak

    modules = save()["modules"]
    saving, making = take_turns(
        [save, lambda: {"megabytes": children.call("artifacts", "peak_of_making", modules=modules)}], rounds=5
    )
    return Figure(
        what="peak memory above the array's",
        values=[s["megabytes"] - m["megabytes"] for s, m in zip(saving, making, strict=True)],
        unit="MB",
        at_most=64,
    )


def peak_of_saving(path: str) -> dict[str, Any]:
    """Make an array, save it, and return the peak of memory with the modules that are loaded then."""
    array = _array(0)
    project = Project(path)
    with project.log("large") as experiment:
        experiment.log_artifact("array", array, handler="pickle")
    project.save()
    return {"megabytes": _peak(), "modules": sorted(sys.modules)}


def peak_of_making(modules: list[str]) -> float:
    """Make an array, load modules, and return the peak of memory."""
    array = _array(0)
    for name in modules:
        with contextlib.suppress(ImportError):  # some are made by others and have no file of their own
            importlib.import_module(name)
    if array.nbytes != _ARRAY_MEGABYTES * _MEGABYTE:
        raise RuntimeError("the array has another size")
    return _peak()


def _peak() -> float:
    """Return the peak of this process's resident memory so far, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MEGABYTE if sys.platform == "darwin" else peak / 1024


# --- loading it ---


def load_pickle(work: Path) -> Result:
    """Compare loading a large array with hashing and unpickling its file."""
    path = str(work / "load-pickle" / "project.json")
    children.call("artifacts", "peak_of_saving", path=path)
    rounds = [turn for _ in range(3) for turn in children.call("artifacts", "load_and_read", path=path, rounds=5)]
    shutil.rmtree(work / "load-pickle")
    return Result(
        how=f"`load_artifact` of a pickled numpy array of {_ARRAY_MEGABYTES} MB, of a project opened before, beside "
        "`hashlib.file_digest` of the same file and then `pickle.load` of it. The file is in the system's cache.",
        figures=[
            Figure(
                what=f"load / hash and unpickle, {name}",
                values=ratios([r["load"][clock] for r in rounds], [r["read"][clock] for r in rounds]),
                at_most=at_most,
            )
            for name, clock, at_most in (("wall", "wall", 1.25), ("CPU", "cpu", None))
        ],
    )


def load_and_read(path: str, rounds: int) -> list[dict[str, dict[str, float]]]:
    """Load an array through its project and by hand in turn, and return the seconds of each, by round."""
    project = Project(path, mode="r")
    experiment = project["large"]
    file = Path(project.folder) / experiment.artifacts[0].stored.path
    expected = _array(0)

    def load() -> np.ndarray:
        return experiment.load_artifact("array")

    def read() -> np.ndarray:
        with file.open("rb") as opened:
            hashlib.file_digest(opened, "sha256").hexdigest()
        with file.open("rb") as opened:
            return pickle.load(opened)

    def timed(piece: Callable[[], np.ndarray]) -> dict[str, float]:
        watch = Stopwatch()
        with watch:
            found = piece()
        if not np.array_equal(found, expected):
            raise RuntimeError("what was loaded is not what was saved")
        return vars(watch)

    timed(load), timed(read)  # imports what is only imported when it is used
    loads, reads = take_turns([lambda: timed(load), lambda: timed(read)], rounds=rounds)
    return [{"load": ours, "read": theirs} for ours, theirs in zip(loads, reads, strict=True)]


# --- a small change to a large record ---


def save_one_of_many(work: Path) -> Result:
    """Compare saving a change of one parameter where there are 10,000 with saving one where there are 10."""
    places.settle(work)
    sizes = {"large": 10_000, "small": 10}
    rounds = [
        children.call("artifacts", "change_in_turns", folder=str(work / f"changes-{number}"), sizes=sizes)
        for number in range(13)
    ]

    def compared(clock: str, over: Callable[[list[float]], float]) -> list[float]:
        large, small = ([over([turn[clock] for turn in r[name]["saves"]]) for r in rounds] for name in sizes)
        return ratios(large, small)

    return Result(
        how=f"{_CHANGES} saves of an experiment that is kept open, each after one of its parameters was logged anew, "
        "in turns of one with 10,000 parameters and one with 10, each in a project of its own; a fresh interpreter and "
        "new projects in each round. The first save of all parameters is not counted; the packing of its file is, "
        f"which falls into one of the {_CHANGES}. The median of the saves leaves that one out.",
        figures=[
            Figure(what="save with 10,000 parameters / with 10, CPU", values=compared("cpu", sum), at_most=1.5),
            Figure(what="save with 10,000 parameters / with 10, wall", values=compared("wall", sum)),
            Figure(what="the same, median of the saves, CPU", values=compared("cpu", median)),
            Figure(what="the same, median of the saves, wall", values=compared("wall", median)),
            *(
                Figure(
                    what=f"bytes written for each save, {folder}, with {size:,} parameters",
                    values=[rounds[0][name][folder] / _CHANGES],
                    unit="bytes",
                )
                for folder in ("log", "packs")
                for name, size in sizes.items()
            ),
        ],
    )


def change_in_turns(folder: str, sizes: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Change one parameter of each experiment at a time and save, in turn; return the seconds and bytes of each."""
    experiments = {}
    for name, size in sizes.items():
        project = Project(f"{folder}/{name}/project.json")
        with project.log(name) as experiment:
            experiment.log_parameters({f"parameter-{place}": place for place in range(size)})
        project.save()
        experiments[name] = project, experiment, []
    before = {name: _bytes(project) for name, (project, _, _) in experiments.items()}
    for number in range(_CHANGES):
        for name in sizes if number % 2 else reversed(sizes):
            project, experiment, watches = experiments[name]
            watch = Stopwatch()
            with watch:
                experiment.log_parameter(f"parameter-{number * 97 % sizes[name]}", number + 0.5)
                project.save()
            watches.append(vars(watch))
    return {
        name: {"saves": watches} | {kind: size - before[name][kind] for kind, size in _bytes(project).items()}
        for name, (project, _, watches) in experiments.items()
    }


def _bytes(project: Project) -> dict[str, int]:
    """Return the size of the log and of the packs; what was replaced within minutes is still there."""
    return {
        kind: sum(file.stat().st_size for file in Path(project.folder).glob(f"{kind}/*.json"))
        for kind in ("log", "packs")
    }


# --- common ---


def _array(number: int) -> np.ndarray:
    """Return an array of noise, another one for each number."""
    return np.random.default_rng(number).random(_ARRAY_MEGABYTES * _MEGABYTE // 8)


def _settle_memory(folder: str) -> None:
    """Write files as large as those that are compared, in small blocks and in one, and delete them.

    A virtual machine is given memory, for the system's cache too, when it is first used, and may give it back when it
    was free for seconds: whichever piece happens to get new memory would take several times as long.
    """
    zeros = memoryview(bytes(_ARRAY_MEGABYTES * _MEGABYTE))
    files = {size: Path(f"{folder}/settle-{size}") for size in (_MEGABYTE, len(zeros))}
    for size, file in files.items():
        with file.open("xb", buffering=0) as opened:
            for start in range(0, len(zeros), size):
                opened.write(zeros[start : start + size])
    os.sync()
    for file in files.values():
        file.unlink()


def _warm_project(path: str) -> Project:
    """Return a project that has saved a pickle: what is only imported when it is used is there."""
    project = Project(path)
    with project.log("small") as experiment:
        experiment.log_artifact("list", [], handler="pickle")
    project.save()
    return project
