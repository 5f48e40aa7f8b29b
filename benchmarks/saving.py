"""What one save costs: beside the size of the store, beside lazyscribe, beside the disk, and in bytes."""

import os
from pathlib import Path

import children
import payload
import places
import stores
from clocks import Stopwatch, ratios, take_turns
from figures import Figure, Result

from lazytrack import Project
from lazytrack.journal import packing

_SAVES = 200


# --- a large store beside a small one ---


def small_and_large(work: Path) -> Result:
    """Compare saving to a store of 10,000 experiments with saving to one of 10."""
    large = stores.store(work, 10_000).copy()
    small = stores.store(work, 10)
    places.settle(work)
    rounds = []
    for number in range(13):
        start = 10_000 + number * _SAVES
        paths = {"large": str(large), "small": str(small.copy())}
        rounds.append(children.call("saving", "save_in_turns", paths=paths, start=start, count=_SAVES))
    wall = ratios([r["large"]["wall"] for r in rounds], [r["small"]["wall"] for r in rounds])
    cpu = ratios([r["large"]["cpu"] for r in rounds], [r["small"]["cpu"] for r in rounds])
    everything = {
        clock: sum(r["large"][clock] for r in rounds) / sum(r["small"][clock] for r in rounds)
        for clock in ("wall", "cpu")
    }
    return Result(
        how=f"One new small experiment for each save, {_SAVES} saves in each of {len(rounds)} rounds by a writer that "
        "has just opened the projects, first to one, then to the other, packing included. The large store goes on "
        "growing from round to round, so packs of packs and the deleting of replaced files fall into it; "
        "the small one starts again with 10.",
        figures=[
            Figure(what="save with 10,000 stored / with 10, wall", values=wall, at_most=1.3),
            Figure(what="save with 10,000 stored / with 10, CPU", values=cpu, at_most=1.3),
            Figure(what="the same, all rounds added up, wall", values=[everything["wall"]], at_most=1.3),
            Figure(what="the same, all rounds added up, CPU", values=[everything["cpu"]], at_most=1.3),
        ],
    )


def save_in_turns(paths: dict[str, str], start: int, count: int) -> dict[str, dict[str, float]]:
    """Save `count` experiments to each of the projects, one at a time in turn, and return the seconds of each."""
    packing.GRACE_SECONDS = 0  # as if the saves were days apart
    payload.log(Project(Path(next(iter(paths.values()))).with_name("unused.json")), 0)
    projects = [(Project(path), Stopwatch()) for path in paths.values()]
    for number in range(start, start + count):
        for project, watch in projects if number % 2 else reversed(projects):
            with watch:
                payload.log(project, number)
                project.save()
    return {name: vars(watch) for name, (_, watch) in zip(paths, projects, strict=True)}


# --- beside lazyscribe ---


def beside_lazyscribe(work: Path) -> Result:
    """Compare the CPU of one more save with lazyscribe's, where 1,000 experiments are stored."""
    python = places.python_with("lazyscribe")
    theirs = stores.Store(work / "lazyscribe-1000" / "project.json", {})
    theirs.path.parent.mkdir()
    children.call("jobs", "log_all_save_once", python=python, library="lazyscribe", path=str(theirs.path), size=1000)
    ours = stores.store(work, 1000, artifact=True)
    places.settle(work)

    def save(library: str, *, reopen: bool) -> float:
        mine = library == "lazytrack"
        path = (ours if mine else theirs).copy()
        return children.call(
            "jobs",
            "save_each",
            **({} if mine else {"python": python}),
            library=library,
            path=str(path),
            start=1000,
            count=_SAVES if mine else 5,
            reopen=reopen,
        )

    figures = []
    for reopen, form in ((False, "project kept open"), (True, "project opened anew for each, as separate jobs do")):
        they, we = take_turns(
            [lambda r=reopen: save("lazyscribe", reopen=r), lambda r=reopen: save("lazytrack", reopen=r)], rounds=7
        )
        figures.append(Figure(what=f"lazyscribe / lazytrack, CPU, {form}", values=ratios(they, we), at_least=100))
    return Result(
        how=f"Log and save one more experiment with one JSON artifact, where 1,000 such are stored. Of lazytrack "
        f"{_SAVES} saves for each round, so that its packing counts; of lazyscribe {places.VERSIONS['lazyscribe']} 5, "
        "as they all cost the same. Imports are not counted. lazytrack syncs its files to the disk, lazyscribe "
        "does not.",
        figures=figures,
    )


# --- beside the disk ---


def beside_disk(work: Path) -> Result:
    """Compare a save with the least that puts a file safely on a disk."""
    places.settle(work)
    rounds = []
    for number in range(9):
        path, folder = work / f"disk-{number}" / "project.json", work / f"disk-{number}" / "plain"
        folder.mkdir(parents=True)
        rounds.append(children.call("saving", "save_and_write", path=str(path), folder=str(folder), count=2 * _SAVES))
    return Result(
        how="One new small experiment for each save, beside writing 1 KB to a new file, fsync, rename and fsync of the "
        f"folder by calls of `os` alone; in turns, {2 * _SAVES} of each for a round, from an empty store on, "
        "packing included.",
        figures=[
            Figure(
                what=f"save / plain synced file, {name}",
                values=ratios([r["save"][clock] for r in rounds], [r["plain"][clock] for r in rounds]),
                at_most=at_most,
            )
            for name, clock, at_most in (("wall", "wall", 2), ("CPU", "cpu", None))
        ],
    )


def save_and_write(path: str, folder: str, count: int) -> dict[str, dict[str, float]]:
    """Save experiments and write plain files in turn, and return the seconds of each."""
    project = Project(path)
    payload.log(project, 0)
    project.save()
    project = Project(path)
    save, plain = Stopwatch(), Stopwatch()
    data = b"x" * 1024

    def save_one(number: int) -> None:
        with save:
            payload.log(project, number)
            project.save()

    def write_one(number: int) -> None:
        with plain:
            write_synced(folder, f"{number}.json", data)

    for number in range(count):
        for piece in (save_one, write_one) if number % 2 else (write_one, save_one):
            piece(number)
    return {"save": vars(save), "plain": vars(plain)}


def write_synced(folder: str, name: str, data: bytes) -> None:
    """Write a whole new file so that it survives a crash, with as few calls as that takes."""
    target = f"{folder}/{name}"
    descriptor = os.open(f"{target}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(f"{target}.tmp", target)  # noqa: PTH104  (the bare call is what others are compared with)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write_many(folder: str, writer: int, count: int) -> None:
    """Write plain synced files as one of several writers."""
    for number in range(count):
        write_synced(folder, f"{writer}-{number}.json", b"x" * 1024)


# --- bytes ---


def bytes_written(work: Path) -> Result:
    """Compare the bytes that 10,000 saves write, packing included, with the experiments' own JSON."""
    figures = []
    for aged, name in ((True, "grown over weeks"), (False, "grown within minutes")):
        store = stores.store(work, 10_000, aged=aged)
        grown = store.grown
        kinds = (("dict_bytes", "`to_dict()` as compact JSON", 5), ("set_bytes", "the patch's `set`", None))
        for kind, what, at_most in kinds:
            values = [grown["written_bytes"] / grown[kind]]
            figures.append(Figure(what=f"bytes written / {what}, {name}", values=values, at_most=at_most))
        figures += [
            Figure(what=f"bytes written for each save, {name}", values=[grown["written_bytes"] / 10_000], unit="bytes"),
            Figure(what=f"files written by 10,000 saves, {name}", values=[grown["written_files"]], unit="files"),
            Figure(what=f"files there afterwards, {name}", values=[store.files], unit="files"),
        ]
    return Result(
        how="10,000 saves of one new small experiment each by one process; every file that is created counts in full, "
        "packs and packs of packs too, whether it is deleted later or not. In a store grown over weeks replaced files "
        "are deleted on the way; in one grown within minutes nothing is deleted yet, and packs carry longer lists of "
        "what they replace.",
        figures=figures,
    )
