"""What it costs to record a step, to take its outputs again, and to map over many."""

import hashlib
import itertools
import os
import pickle
import shutil
import tempfile
import time
from pathlib import Path

from clocks import ratios
from figures import Figure, Result
from remote import seen, server

from lazytrack import Project, pipeline, step

_STEPS = 100
_ROUNDS = 15
_CALLS = 10_000
_PARTS = 10


@step
def plus(n: int) -> int:
    """Add one."""
    return n + 1


@pipeline
def sequence() -> None:
    """Run trivial steps one after the other, each with the output of the one before."""
    last = plus(0)
    for _ in range(_STEPS - 1):
        last = plus(last)


class BareCache:
    """What a cache on files cannot do without: hash the code and the arguments, pickle the result, write or read it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = str(folder)
        self._code = plus.source_code

    def call(self, n: int) -> int:
        """Return the result of a step, from a file where there is one."""
        key = hashlib.sha256(pickle.dumps((self._code, n))).hexdigest()
        path = f"{self._folder}/{key}"
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                return int(pickle.load(file))
        except FileNotFoundError:
            result = n + 1
        handle, temporary = tempfile.mkstemp(dir=self._folder)
        with os.fdopen(handle, "wb") as file:
            pickle.dump(result, file)
        os.replace(temporary, path)  # noqa: PTH105
        return result

    def sequence(self) -> None:
        """Do what `sequence` does."""
        last = 0
        for _ in range(_STEPS):
            last = self.call(last)


def recording(work: Path) -> Result:
    """Compare recorded steps with a bare cache on files."""
    made: dict[str, list[float]] = {name: [] for name in ("recorded", "taken", "written", "read")}
    for number in range(_ROUNDS):
        folder = work / f"steps-{number}"
        with Project(folder / "project") as project:
            project.save()
            project.refresh()
            bare = BareCache(folder / "bare")
            made["written"].append(_cpu(bare.sequence))
            made["recorded"].append(_cpu(sequence))
            made["read"].append(_cpu(bare.sequence, times=10))
            made["taken"].append(_cpu(sequence, times=10))
        shutil.rmtree(folder)
    first, last, taken = _mapped(work)
    requests = _requests()
    return Result(
        how=f"{_STEPS} trivial steps in sequence, each with the output of the one before as its input, recorded in a "
        "new project on a local disk, synced. Beside it a bare cache on files that hashes the code and the argument, "
        "pickles each result and renames it into place, and syncs nothing. All cached: the same again, 10 times, "
        f"beside reading the pickles back. A map of {_CALLS:,} calls on threads, cut into tenths. Requests are counted "
        "by the server, moto's: what a run of 220 steps costs more than one of 20, for each step.",
        figures=[
            Figure(
                what="100 steps, recorded / a bare cache that writes, CPU",
                values=ratios(made["recorded"], made["written"]),
                at_most=25,
            ),
            Figure(
                what="100 steps, all cached / a bare cache that reads, CPU",
                values=ratios(made["taken"], made["read"]),
                at_most=10,
            ),
            Figure(
                what=f"a call of a map of {_CALLS:,}, the last tenth / the second, CPU",
                values=ratios(last, first),
                at_most=1.3,
            ),
            Figure(
                what=f"a cached call of a map of {_CALLS:,} / one that is run, CPU",
                values=ratios(taken, [sum(pair) / 2 for pair in zip(first, last, strict=True)]),
            ),
            Figure(what="a step with one output on S3", values=[requests["run"]], unit="requests", at_most=4),
            Figure(what="the same, cached", values=[requests["cached"]], unit="requests", at_most=4),
        ],
    )


def _requests() -> dict[str, float]:
    """Return the requests of a step on S3 that is run, and of one that is cached."""

    @pipeline
    def counted(first: int, count: int) -> None:
        for n in range(first, first + count):
            plus(n)

    counts = []
    with server() as address, Project("s3://bucket/steps", endpoint_url=address):
        counted(-1, 1)
        for first, count in ((0, 20), (100, 220), (0, 20), (100, 220)):
            seen(address)
            counted(first, count)
            counts.append(len(seen(address)))
    return {"run": (counts[1] - counts[0]) / 200, "cached": (counts[3] - counts[2]) / 200}


def _mapped(work: Path) -> tuple[list[float], list[float], list[float]]:
    """Return the CPU of a call in the second and in the last tenth of a map, and of a cached one."""
    marks: list[float] = []

    @pipeline
    def mapped() -> None:
        futures = plus.map(list(range(_CALLS)))
        for number, future in enumerate(futures, 1):
            future.wait()
            if number % (_CALLS // _PARTS) == 0:
                marks.append(time.process_time())

    first, last, taken = [], [], []
    for number in range(3):
        marks.clear()
        with Project(work / f"map-{number}"):
            mapped()
            parts = [(after - before) / (_CALLS // _PARTS) for before, after in itertools.pairwise(marks)]
            first.append(parts[0])
            last.append(parts[-1])
            taken.append(_cpu(mapped) / _CALLS)
    return first, last, taken


def _cpu(function: object, times: int = 1) -> float:
    began = time.process_time()
    for _ in range(times):
        function()  # type: ignore[operator]
    return (time.process_time() - began) / times
