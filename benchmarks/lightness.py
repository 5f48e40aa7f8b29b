"""What lazytrack costs those who only import it, and those who log in an inner loop."""

import json
import subprocess
import sys
from pathlib import Path

import children
import places
from clocks import Stopwatch, ratios, take_turns
from figures import Figure, Result

from lazytrack import Project

HEAVY = ("boto3", "botocore", "numpy", "pandas", "pydantic", "rich", "typer")
_CALLS = 100_000


# --- importing ---


def importing(_work: Path) -> Result:
    """Compare importing lazytrack with importing fsspec."""
    for statement in ("import fsspec", "from lazytrack import Project"):
        _import(statement)  # fills the cache of bytecode
    theirs, ours, nothing = take_turns(
        [lambda: _import("import fsspec"), lambda: _import("from lazytrack import Project"), lambda: _import("pass")],
        rounds=41,
    )
    heavy = sorted({module for line in ours for module in line["modules"] if module in HEAVY})
    return Result(
        how="`from lazytrack import Project` beside `import fsspec`, each in a fresh interpreter, bytecode cached. "
        f"Looked for among what is imported: {', '.join(HEAVY)}; found: {', '.join(heavy) or 'none'}.",
        figures=[
            Figure(
                what="lazytrack / fsspec, CPU of the import",
                values=ratios([line["cpu"] for line in ours], [line["cpu"] for line in theirs]),
                at_most=1.4,
            ),
            Figure(
                what="lazytrack / fsspec, CPU of the process, interpreter included",
                values=ratios([line["process"] for line in ours], [line["process"] for line in theirs]),
            ),
            Figure(what="heavy libraries imported", values=[len(heavy)], unit="modules", at_most=0),
            *(
                Figure(
                    what=f"modules loaded by {name}",
                    values=[len(lines[0]["modules"]) - len(nothing[0]["modules"])],
                    unit="modules",
                )
                for name, lines in (("lazytrack", ours), ("fsspec", theirs))
            ),
        ],
    )


def _import(statement: str) -> dict:
    code = (
        f"import time; before = time.process_time(); {statement}; cpu = time.process_time() - before; "
        "import json, sys; modules = sorted(sys.modules); "
        "print(json.dumps({'cpu': cpu, 'process': time.process_time(), 'modules': modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=places.environment())
    return json.loads(done.stdout)


# --- logging in an inner loop ---


def log_call(work: Path) -> Result:
    """Measure one call of `log_metric`, beside what a script might do by hand."""
    rounds = [
        children.call("lightness", "log_in_turns", folder=str(work / f"log-{number}"), rounds=5) for number in range(3)
    ]
    logged = [cpu for result in rounds for cpu in result["logged"]]
    by_hand = [cpu for result in rounds for cpu in result["by_hand"]]
    return Result(
        how=f"{_CALLS:,} calls of `exp.log_metric(name, value)`, beside putting the value into a dict and a line of "
        "JSON (`json.dumps`) into an open file. The loop around them is counted in both.",
        figures=[
            Figure(what="CPU of a call", values=[cpu / _CALLS * 1e6 for cpu in logged], unit="µs"),
            Figure(what="call / dict and JSON line by hand, CPU", values=ratios(logged, by_hand)),
        ],
    )


def log_in_turns(folder: str, rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each round of many calls, and of as many lines written by hand."""
    project = Project(f"{folder}/project.json")
    Path(folder).mkdir()

    def logged() -> float:
        watch = Stopwatch()
        with project.log("loop") as experiment, watch:
            for number in range(_CALLS):
                experiment.log_metric("loss", number * 0.5)
        return watch.cpu

    def by_hand() -> float:
        watch = Stopwatch()
        metrics = {}
        with Path(f"{folder}/metrics.jsonl").open("w") as file, watch:
            for number in range(_CALLS):
                metrics["loss"] = number * 0.5
                file.write(json.dumps({"name": "loss", "value": number * 0.5}) + "\n")
        return watch.cpu

    ours, theirs = take_turns([logged, by_hand], rounds=rounds)
    return {"logged": ours, "by_hand": theirs}
