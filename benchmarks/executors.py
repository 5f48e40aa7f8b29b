"""What it costs to run steps in other processes: CPU beside the same run in this one, and time beside Dask's own."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clocks import ratios, take_turns
from figures import Figure, Result
from tasks import plus, same

from lazytrack import Project, pipeline

_CALLS = 1000
_ROUNDS = 5


@pipeline
def mapped() -> None:
    """Map a trivial step over a thousand inputs."""
    plus.map(list(range(_CALLS)))


def beside_inline(work: Path) -> Result:
    """Compare a run on processes with the same run inline, and a run on Dask with Dask's own tasks."""
    inline, processes = take_turns(
        [_run(work, "inline"), _run(work, "processes:2")],
        rounds=_ROUNDS,
    )
    own, steps = _on_dask(work)
    return Result(
        how=f"A map of {_CALLS:,} trivial steps with a number as input and a number as output, none of them cached, "
        "each recorded in a new project on a local disk. CPU is user and system time of all processes, their start "
        "included. On Dask, a local cluster of two workers that runs already: beside it the same number of trivial "
        "tasks, submitted one by one and gathered at once; the difference is what a step costs above that, wall time, "
        "in units of 3 ms.",
        figures=[
            Figure(what=f"{_CALLS:,} steps, processes:2 / inline, CPU", values=ratios(processes, inline), at_most=2),
            Figure(
                what="a step on Dask above a task of Dask's own / 3 ms, wall",
                values=[(ours - theirs) / _CALLS / 0.003 for ours, theirs in zip(steps, own, strict=True)],
                at_most=1,
            ),
            Figure(what="a step on Dask / a task of Dask's own, wall", values=ratios(steps, own)),
        ],
    )


def _run(work: Path, executor: Any) -> Callable[[], float]:
    number = iter(range(1000))

    def run() -> float:
        name = executor.partition(":")[0] if isinstance(executor, str) else "client"
        with Project(work / f"{name}-{next(number)}") as project:
            project.save()
            before = sum(os.times()[:4])
            mapped.with_options(executor=executor)()
            return sum(os.times()[:4]) - before

    return run


def _on_dask(work: Path) -> tuple[list[float], list[float]]:
    """Return the seconds of Dask's own tasks, and of steps."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:

        def timed(work: Callable[[], Any]) -> Callable[[], float]:
            def run() -> float:
                began = time.perf_counter()
                work()
                return time.perf_counter() - began

            return run

        def tasks() -> None:
            client.gather([client.submit(same, n, pure=False) for n in range(_CALLS)])

        steps = timed(_run(work, client))
        tasks()
        steps()
        own, ours = take_turns([timed(tasks), steps], rounds=_ROUNDS)
    return own, ours
