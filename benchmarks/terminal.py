"""What the command line costs: until its help is there, and until the first page of a large project is."""

import os
import subprocess
import sys
from pathlib import Path

import stores
from clocks import ratios, take_turns
from figures import Figure, Result

_ROUNDS = 15


def commands(work: Path) -> Result:
    """Compare commands with what they cannot do without."""
    project = str(stores.store(work, 10_000, aged=True).path)
    opening = f"from lazytrack import Project; len(Project({project!r}, mode='r'))"
    helping, libraries, listing, opened = take_turns(
        [
            lambda: _cpu("-m", "lazytrack", "--help"),
            lambda: _cpu("-c", "import typer, rich"),
            lambda: _cpu("-m", "lazytrack", "list", "-p", project),
            lambda: _cpu("-c", opening),
        ],
        rounds=_ROUNDS,
    )
    return Result(
        how="Each in a fresh interpreter, its CPU from start to end. The project has 10,000 experiments that were "
        "saved one by one; the first page of `lazytrack list` is the newest twenty, as text for another program. "
        "Opening is `len(Project(path, mode='r'))`.",
        figures=[
            Figure(what="lazytrack --help / import typer, rich, CPU", values=ratios(helping, libraries), at_most=1.5),
            Figure(
                what="lazytrack list of 10,000 / opening the project, CPU", values=ratios(listing, opened), at_most=2
            ),
        ],
    )


def _cpu(*arguments: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after[2] + after[3] - before[2] - before[3]
