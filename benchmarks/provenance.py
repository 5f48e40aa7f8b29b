"""What it costs to find out where results come from: of the thread that logs, and of the store."""

import subprocess
import time
from pathlib import Path
from typing import Any

import children
from clocks import ratios
from figures import Figure, Result

_STEPS = 1_000
_GIT = ("git", "-c", "user.email=benchmarks@example.org", "-c", "user.name=benchmarks")


def capturing(work: Path) -> Result:
    """Compare what the thread that logs pays for the capture of a process with the whole of it, and count files."""
    checkout = work / "checkout"
    checkout.mkdir()
    (checkout / "train.py").write_text("lr = 0.1\n")
    for words in (("init", "-q", "."), ("add", "."), ("commit", "-q", "-m", "one")):
        subprocess.run([*_GIT, *words], cwd=checkout, check=True)
    (checkout / "train.py").write_text("lr = 0.2\n")
    rounds = [
        children.call("provenance", "log_and_save", folder=str(work / f"capturing-{number}"), checkout=str(checkout))
        for number in range(11)
    ]
    whole = [each["capture"] for each in rounds]
    files = children.call("provenance", "many_steps", folder=str(work / "steps"), checkout=str(checkout))
    return Result(
        how="A fresh interpreter logs an experiment in a git checkout with a change, and saves it on a local disk. The "
        "capture is all of the thread that finds out: its CPU, and that of the programs it asks. Of the thread that "
        "logs, it is the CPU of a call with the capture, above that of the same call with it turned off, in another "
        "interpreter that takes turns.",
        figures=[
            Figure(
                what="`project.log` of the first, on top of what it costs without, CPU / the whole capture, CPU",
                values=ratios([max(each["log"] - each["log_without"], 0.0) for each in rounds], whole),
                at_most=0.05,
            ),
            Figure(
                what="`project.log` of the second, on top of what it costs without, CPU / the whole capture, CPU",
                values=ratios([max(each["second"] - each["second_without"], 0.0) for each in rounds], whole),
                at_most=0.05,
            ),
            Figure(
                what="the first save, on top of what it costs without, CPU / the whole capture, CPU",
                values=ratios([max(each["save"] - each["save_without"], 0.0) for each in rounds], whole),
            ),
            Figure(
                what=f"files of environments and platforms, {_STEPS:,} steps in 10 experiments",
                values=[files["environments"]],
                unit="files",
                at_most=2,
            ),
            Figure(what="bytes of the record for each step", values=[files["bytes"] / _STEPS], unit="bytes"),
        ],
    )


def log_and_save(folder: str, checkout: str) -> dict[str, float]:
    """Log with the capture and without, each in an interpreter of its own, and return the seconds of CPU."""
    found = {}
    for name, switch in (("", "1"), ("_without", "0")):
        said = children.call("provenance", "timed", folder=f"{folder}{name}", checkout=checkout, switch=switch)
        found |= {f"{key}{name}": seconds for key, seconds in said.items()}
    return found


def timed(folder: str, checkout: str, switch: str) -> dict[str, float]:
    """Return the CPU of this thread for logging and saving, and of the capture."""
    import os
    import resource

    os.environ["LAZYTRACK_PROVENANCE"] = switch
    os.chdir(checkout)
    from lazytrack import Project
    from lazytrack.provenance import capture

    spent: dict[str, float] = {}
    real = capture.take

    def take(where: str) -> Any:
        before = time.thread_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        found = real(where)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        asked = after.ru_utime + after.ru_stime - before[1].ru_utime - before[1].ru_stime
        spent["capture"] = time.thread_time() - before[0] + asked
        return found

    capture.take = take
    project = Project(folder)
    Project(f"{folder}-warm").log  # noqa: B018
    for name in ("log", "second"):
        begun = time.thread_time()
        exp = project.log(name)
        spent[name] = time.thread_time() - begun
        exp.log_metric("auc", 0.9)
    if (thread := capture._capture) is not None:  # noqa: SLF001
        thread.join()
    begun = time.thread_time()
    project.save()
    spent["save"] = time.thread_time() - begun
    return spent


def many_steps(folder: str, checkout: str) -> dict[str, int]:
    """Record many steps, and return how many files that made of environments, and how large the records are."""
    import os

    os.chdir(checkout)
    from lazytrack import Project

    project = Project(folder)
    for number in range(10):
        with project.log(f"run {number}") as exp:
            for step in range(_STEPS // 10):
                with exp.step(f"step {step}"):
                    pass
        project.save()
    return {
        "environments": sum(1 for _ in Path(project.folder, "environments").iterdir()),
        "bytes": sum(path.stat().st_size for path in Path(project.folder, "log").iterdir()),
    }
