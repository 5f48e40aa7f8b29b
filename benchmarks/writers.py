"""Eight processes that log to one project at once: how long they take, and what survives."""

import itertools
from pathlib import Path

import children
import places
from clocks import ratios, take_turns
from figures import Figure, Result

_WRITERS, _RUNS = 8, 50
_IMPORTS = {"lazytrack": ["lazytrack.tracking", "slugify"], "lazyscribe": ["lazyscribe", "slugify"]}
"""What every writer imports before it is let go, so that nothing is imported while it is timed."""


def together(work: Path) -> Result:
    """Compare eight writers with eight processes that write plain files, and count what survives."""
    python = places.python_with("lazyscribe")
    numbers = itertools.count()
    places.settle(work)

    def plain() -> children.Together:
        folder = work / f"plain-{next(numbers)}"
        folder.mkdir()
        calls = [
            ("saving", "write_many", {"folder": str(folder), "writer": w, "count": _RUNS}) for w in range(_WRITERS)
        ]
        return children.together(calls, imports=_IMPORTS["lazytrack"])

    def runs(library: str, *, reopen: bool) -> tuple[children.Together, int]:
        path = work / f"{library}-{next(numbers)}" / "project.json"
        path.parent.mkdir()
        interpreter = {"python": python} if library == "lazyscribe" else {}
        common = {"library": library, "path": str(path), "count": _RUNS, "reopen": reopen}
        calls = [("jobs", "write_runs", {**common, "writer": writer}) for writer in range(_WRITERS)]
        taken = children.together(calls, imports=_IMPORTS[library], **interpreter)
        there = children.call("jobs", "count_runs", **interpreter, library=library, path=str(path))
        return taken, _WRITERS * _RUNS - there

    files, open_once, open_anew = take_turns(
        [plain, lambda: runs("lazytrack", reopen=False), lambda: runs("lazytrack", reopen=True)], rounds=9
    )
    theirs_once, theirs_anew = take_turns(
        [lambda: runs("lazyscribe", reopen=False), lambda: runs("lazyscribe", reopen=True)], rounds=3
    )
    ours = [taken for taken, _ in open_once]
    return Result(
        how=f"{_WRITERS} processes with {_RUNS} runs each, one save for each run, into one project, beside "
        f"{_WRITERS} processes that write {_RUNS} files of 1 KB each into one folder (write, fsync, rename, fsync of "
        "the folder). The time is from the moment when all interpreters are up until the last has finished; "
        "with their start, it also holds starting eight interpreters, which all import "
        "lazytrack, those that write plain files too.",
        figures=[
            Figure(
                what="runs / plain synced files, wall",
                values=ratios([t.wall for t in ours], [t.wall for t in files]),
                at_most=5,
            ),
            Figure(
                what="runs / plain synced files, wall, with the start of the processes",
                values=ratios([t.wall_with_start for t in ours], [t.wall_with_start for t in files]),
                at_most=5,
            ),
            Figure(
                what="runs / plain synced files, CPU of the eight",
                values=ratios([_cpu(t) for t in ours], [_cpu(t) for t in files]),
            ),
            Figure(what="lost of 400, lazytrack", values=[lost for _, lost in open_once], unit="runs", at_most=0),
            Figure(
                what="lost of 400, lazytrack, project opened anew for each run",
                values=[lost for _, lost in open_anew],
                unit="runs",
                at_most=0,
            ),
            Figure(
                what=f"lost of 400, lazyscribe {places.VERSIONS['lazyscribe']}",
                values=[lost for _, lost in theirs_once],
                unit="runs",
            ),
            Figure(
                what=f"lost of 400, lazyscribe {places.VERSIONS['lazyscribe']}, project opened anew for each run",
                values=[lost for _, lost in theirs_anew],
                unit="runs",
            ),
        ],
    )


def _cpu(taken: children.Together) -> float:
    return sum(answer.cpu for answer in taken.answers)
