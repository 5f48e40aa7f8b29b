"""What it costs to open 10,000 experiments and find the best ten: beside parsing alone, and beside lazyscribe."""

import gc
from pathlib import Path
from typing import Any

import children
import orjson
import places
import stores
from clocks import Stopwatch, ratios, take_turns
from figures import Figure, Result

from lazytrack import Project

_ROUNDS = 15


# --- beside parsing ---


def beside_parsing(work: Path) -> Result:
    """Compare opening and finding the best with parsing the same bytes."""
    figures = []
    for aged, name in ((True, "grown over weeks"), (False, "grown within minutes")):
        path = str(stores.store(work, 10_000, aged=aged).path)
        files = children.call("opening", "files_read", path=path)
        parse, best, order = take_turns(
            [
                lambda files=files: children.call("opening", "parse", files=files),
                lambda path=path: children.call("jobs", "find_best", library="lazytrack", path=path),
                lambda path=path: children.call("opening", "sort_all", path=path),
            ],
            rounds=_ROUNDS,
        )
        parsing, reading = [p["parse"]["cpu"] for p in parse], [p["read"]["cpu"] + p["parse"]["cpu"] for p in parse]
        figures += [
            Figure(what=f"best 10 / parsing, CPU, {name}", values=ratios([b["cpu"] for b in best], parsing), at_most=3),
            Figure(
                what=f"best 10 / reading and parsing, CPU, {name}", values=ratios([b["cpu"] for b in best], reading)
            ),
            Figure(
                what=f"all experiments sorted / parsing, CPU, {name}", values=ratios([o["cpu"] for o in order], parsing)
            ),
            Figure(what=f"files read, {name}", values=[len(files)], unit="files", at_most=120),
        ]
    return Result(
        how="`project.best('auc', 10)` on a project just opened with 10,000 experiments that were saved one by one, "
        "in a fresh interpreter each time, beside `orjson.loads` of the bytes of the very files that it reads "
        "(in memory already, garbage collection off: as quick as that goes). Imports are not counted.",
        figures=figures,
    )


def files_read(path: str) -> list[str]:
    """Return the files that finding the best reads."""
    with stores.counted() as traffic:
        Project(path, mode="r").best("auc", 10)
    return traffic.read


def parse(files: list[str]) -> dict[str, Any]:
    """Read files, then parse them, and return the seconds of both."""
    gc.disable()
    read, parsing = Stopwatch(), Stopwatch()
    with read:
        contents = [Path(file).read_bytes() for file in files]
    with parsing:
        documents = [orjson.loads(content) for content in contents]
    return {"read": vars(read), "parse": vars(parsing), "documents": len(documents)}


def sort_all(path: str) -> dict[str, float]:
    """Open a project, sort all its experiments by a metric, and return the seconds it took."""
    gc.collect()
    watch = Stopwatch()
    with watch:
        experiments = Project(path, mode="r").experiments
        sorted(experiments, key=lambda experiment: experiment.metrics["auc"])
    return vars(watch)


# --- beside lazyscribe ---


def beside_lazyscribe(work: Path) -> Result:
    """Compare opening and finding the best with lazyscribe's, where 10,000 experiments are stored."""
    python = places.python_with("lazyscribe")
    theirs = work / "lazyscribe-10000" / "project.json"
    theirs.parent.mkdir()
    children.call("jobs", "log_all_save_once", python=python, library="lazyscribe", path=str(theirs), size=10_000)
    ours = stores.store(work, 10_000, artifact=True).path
    they, we = take_turns(
        [
            lambda: children.call("jobs", "find_best", python=python, library="lazyscribe", path=str(theirs)),
            lambda: children.call("jobs", "find_best", library="lazytrack", path=str(ours)),
        ],
        rounds=9,
    )
    if they[0]["names"] != we[0]["names"]:
        raise RuntimeError("the two libraries found different experiments")
    return Result(
        how=f"Open a project of 10,000 experiments with one JSON artifact each and find the best ten by a metric, in "
        f"a fresh interpreter each time; lazyscribe {places.VERSIONS['lazyscribe']} sorts its list, "
        "lazytrack has `best`. lazytrack's store was written by 10,000 saves, lazyscribe's by one. Both find the same "
        "ten. Imports are not counted.",
        figures=[
            Figure(
                what="lazyscribe / lazytrack, CPU",
                values=ratios([t["cpu"] for t in they], [w["cpu"] for w in we]),
                at_least=50,
            ),
            Figure(
                what="lazyscribe / lazytrack, wall",
                values=ratios([t["wall"] for t in they], [w["wall"] for w in we]),
            ),
        ],
    )
