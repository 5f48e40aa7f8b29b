"""What SQL over a project costs, beside DuckDB on the same table as a file of Parquet."""

from pathlib import Path
from typing import Any

import children
import duckdb
from clocks import Stopwatch, median, ratios, take_turns
from figures import Figure, Result

from lazytrack import Project

_EXPERIMENTS = 10_000
_ROUNDS = 25
_RUNS = 3
_PRIME = 10_007
"""Above the number of experiments, so that no two of them have the same value."""
_ASKED = (
    "select slug, {auc} from {table} where {auc} > 0.9 and {lr} < 0.01 order by {auc} desc limit 10"  # of some 1,000
)


def sql(work: Path) -> Result:
    """Compare a filter and sort over many experiments with DuckDB's own on Parquet."""
    project = str(work / "exchange" / "project.json")
    children.call("exchange", "grow", path=project)
    runs = [children.call("exchange", "ask_in_turns", path=project) for _ in range(_RUNS)]
    figures = []
    for clock in ("wall", "cpu"):
        figures += [
            Figure(
                what=f"project.sql / DuckDB on the Parquet file, run {number}, {clock}",
                values=ratios([turn[clock] for turn in run["sql"]], [turn[clock] for turn in run["parquet"]]),
                at_most=3 if clock == "wall" else None,
            )
            for number, run in enumerate(runs, 1)
        ]
    figures += [
        Figure(
            what="the first query, which makes the table / DuckDB on the Parquet file, wall",
            values=[run["first"] / median(turn["wall"] for turn in run["parquet"]) for run in runs],
        ),
        Figure(
            what="the first query / opening and reading the project, wall",
            values=[run["first"] / run["opening"] for run in runs],
        ),
    ]
    return Result(
        how=f"{_EXPERIMENTS:,} experiments with 8 parameters, 8 metrics and 2 tags. The ten best of those that have "
        "`metrics.auc` above 0.9 and `parameters.lr` below 0.01, by `fetchall()`: by `project.sql`, and by a DuckDB of "
        "its own on what `project.table().to_parquet` has written, in one process, in turns.",
        figures=figures,
    )


def grow(path: str) -> None:
    """Log the experiments, a hundred with each save."""
    project = Project(path)
    for number in range(_EXPERIMENTS):
        drawn = [(number * step + step) % _PRIME / _PRIME for step in (7919, 104_729, 1_299_709, 15_485_863)]
        with project.log(f"run {number}") as experiment:
            experiment.log_parameters(
                {
                    "model": ("linear", "forest", "boosting")[number % 3],
                    "lr": drawn[1] / 50,
                    "depth": number % 12,
                    "rounds": 400 + number,
                    "dropout": drawn[2],
                    "seed": number,
                    "balanced": number % 2 == 0,
                    "optimizer": "adam",
                }
            )
            names = ("auc", "f1", "log_loss", "accuracy", "precision", "recall", "brier", "seconds")
            experiment.log_metrics({name: drawn[place % 4] + place // 4 for place, name in enumerate(names)})
            experiment.tag("nightly", f"week {number % 52}")
        if number % 100 == 99:
            project.save()
    project.save()


def ask_in_turns(path: str) -> dict[str, Any]:
    """Ask both for the same, and return how long each turn took, and the first query of the project."""
    watch = Stopwatch()
    with watch:
        project = Project(path, mode="r")
        if len(project) != _EXPERIMENTS:
            raise RuntimeError(f"{len(project)} experiments are there, of {_EXPERIMENTS}")
    opening = watch.wall
    ours = _ASKED.format(table="experiments", auc="metrics.auc", lr="parameters.lr")
    first = Stopwatch()
    with first:
        found = project.sql(ours).fetchall()
    file = f"{path}.parquet"
    project.table().to_parquet(file)
    database = duckdb.connect()
    theirs = _ASKED.format(table=f"'{file}'", auc='"metrics.auc"', lr='"parameters.lr"')
    if not len(found) == 10 or database.sql(theirs).fetchall() != found:
        raise RuntimeError("the two have not found the same")

    def timed(ask: Any) -> dict[str, float]:
        watch = Stopwatch()
        with watch:
            ask()
        return {"wall": watch.wall, "cpu": watch.cpu}

    turns = take_turns(
        [lambda: timed(project.sql(ours).fetchall), lambda: timed(database.sql(theirs).fetchall)], rounds=_ROUNDS
    )
    return {"opening": opening, "first": first.wall, "sql": turns[0], "parquet": turns[1]}
