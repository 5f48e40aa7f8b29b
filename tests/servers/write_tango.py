"""Write tango workspaces by tango itself: ``python write_tango.py FOLDER``.

``FOLDER/workspace`` has the runs; what a fresh workspace then reads in it is told in ``FOLDER/expected.json``, with
results that were dilled as what ``repr`` says of them. ``FOLDER/hostile`` is a workspace that nobody may load.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import dill
from tango import DillFormat, Format, JsonFormat, Step, StepGraph, step
from tango.common import DatasetDict, Params
from tango.executor import Executor
from tango.format import SqliteDictFormat, SqliteSequenceFormat, TextFormat
from tango.step_info import StepState
from tango.version import VERSION
from tango.workspaces import LocalWorkspace

TRAPS = "trap"
"""What the names of steps begin with whose results nobody may load."""


class Trap:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.makedirs, (self._path, 0o777, True)


# --- steps ---


@Step.register("numbers")
class Numbers(Step):
    VERSION = "002"
    FORMAT: Format = JsonFormat()
    METADATA = {"of": "the class", "both": 1}

    def run(self, count: int, nested: dict[str, Any]) -> dict[str, Any]:
        (self.work_dir / "notes.txt").write_text("left by the step\n")
        return {"numbers": list(range(count)), "nested": {"of": [*nested]}, "none": None, "é": 0.1 + 0.2}


@Step.register("total")
class Total(Step):
    FORMAT: Format = JsonFormat("gz")
    SKIP_ID_ARGUMENTS = {"batch"}

    def run(self, parts: list[dict[str, Any]], weights: dict[str, float], batch: int = 8) -> float:
        return float(sum(sum(part["numbers"]) for part in parts) * weights["w"])


@step(format=TextFormat(), version="001", metadata={"kind": "a function"})
def text(words: list[str]) -> str:
    return "\n".join(words)


@step(format=TextFormat("bz2"))
def lines(count: int):
    return (f"line {number} ☃" for number in range(count))


@step(format=JsonFormat())
def rows(count: int):
    return ({"row": number, "half": number / 2} for number in range(count))


@step()
def dilled(total: float) -> Any:
    return {"total": total, "pair": (1, b"\x00\xff"), "seen": frozenset({3})}


@step(format=DillFormat())
def plain_dill(values: list[int]) -> Any:
    return (value * 2 for value in values)


@step(format=DillFormat("lzma"))
def packed_dill(size: int) -> Any:
    return bytearray(size)


@step(format=SqliteSequenceFormat())
def sequence(count: int) -> Any:
    return [{"number": number} for number in range(count)]


@step(format=SqliteDictFormat())
def splits(count: int) -> Any:
    return DatasetDict({"train": list(range(count)), "test": ["a"]}, {"source": "made up"})


@step(cacheable=False)
def shuffled(values: dict[str, Any]) -> list[int]:
    return values["numbers"][::-1]


@step(deterministic=False)
def announce(what: Any) -> None:
    return None


@step(format=JsonFormat())
def reversed_too(values: list[int]) -> list[int]:
    return values


@step()
def failing(values: dict[str, Any]) -> None:
    raise ValueError(f"nothing can be made of {len(values)} values, é")


@step(bind=True)
def killed(self, seconds: int) -> None:
    raise AssertionError("it is started, and never runs")


@step(name="trap", format=DillFormat("gz"))
def trap(path: str) -> Any:
    return Trap(path)


@step(name="trap-in-json", format=JsonFormat())
def trap_in_json(path: str) -> Any:
    """Return what tango, when it reads it as a dataclass, calls."""
    return {"_dataclass": ["os", "makedirs"], "name": path, "exist_ok": True}


# --- writing ---


def numbers(count, **more):
    """Return the configuration of a step; of a dictionary in a list, tango keeps an object of its own."""
    return {"type": "numbers", "count": count, "nested": {"a": [1, {"b": None}]}, **more}


def ref(name):
    return {"type": "ref", "ref": name}


def first_run(executed):
    return {
        "numbers": numbers(4, step_metadata={"both": 2, "of step": ["é", {"deep": True}]}),
        "more numbers": numbers(3, step_resources={"cpu_count": 2, "memory": "1GiB"}),
        "total": {"type": "total", "parts": [ref("numbers"), ref("more numbers")], "weights": {"w": 0.5}, "batch": 4},
        "text, é": {"type": "text", "words": ["eins", "zwei ☃", ""]},
        "lines": {"type": "lines", "count": 3},
        "rows": {"type": "rows", "count": 3},
        "dilled": {"type": "dilled", "total": ref("total")},
        "plain-dill": {"type": "plain_dill", "values": [1, 2, 3]},
        "packed-dill": {"type": "packed_dill", "size": 5},
        "sequence": {"type": "sequence", "count": 3},
        "splits": {"type": "splits", "count": 3},
        "shuffled": {"type": "shuffled", "values": ref("numbers")},
        "reversed": {"type": "reversed_too", "values": ref("shuffled"), "step_extra_dependencies": [ref("rows")]},
        "announce": {"type": "announce", "what": ref("dilled")},
        "failing": {"type": "failing", "values": ref("numbers")},
        "after-failing": {"type": "dilled", "total": ref("failing")},
        "trap": {"type": "trap", "path": str(executed)},
        "trap-in-json": {"type": "trap-in-json", "path": str(executed)},
    }


def second_run():
    """Return a run that finds two steps in the cache, one by another name and one with another skipped argument."""
    return {
        "the same numbers": numbers(4),
        "more numbers": numbers(3),
        "total": {"type": "total", "parts": [ref("the same numbers"), ref("more numbers")], "weights": {"w": 0.5}},
        "other total": {"type": "total", "parts": [ref("more numbers")], "weights": {"w": 2.0}},
        "killed": {"type": "killed", "seconds": 60},
    }


def execute(workspace, name, config, *, start=()):
    """Run a configuration as tango does for its command; of the steps named in `start`, none ends."""
    graph = StepGraph.from_params(config)
    workspace.register_run(graph.values(), name)
    kept = [found for found in graph if found not in start]
    with workspace.capture_logs_for_run(name):
        Executor(workspace).execute_step_graph(graph.sub_graph(*kept), run_name=name)
    for found in start:
        workspace.step_starting(graph[found])


def write(folder, executed):
    workspace = LocalWorkspace(folder / "workspace")
    execute(workspace, "first-run", first_run(executed))
    execute(workspace, "second run, é", second_run(), start=["killed"])
    workspace.register_run([], "empty-run")


def write_hostile(folder, executed):
    """Write a workspace whose register of steps is a trap by itself: an object in what a step says of itself."""
    workspace = LocalWorkspace(folder / "hostile")
    baited = StepGraph({"baited": Numbers(count=1, nested={}, step_name="baited", step_metadata={"a": Trap(executed)})})
    workspace.register_run(baited.values(), "baited-run")
    # To answer, tango has read what it wrote.
    executed.rmdir()


# --- reading it back ---


def read_result(workspace, info):
    if info.state != StepState.COMPLETED or info.step_class_name.startswith(TRAPS):
        return {}
    value = workspace.step_cache[info]
    if hasattr(value, "__next__"):
        return {"items": [item if isinstance(item, (str, int, dict)) else repr(item) for item in value]}
    if isinstance(value, DatasetDict):
        return {"splits": {name: list(split) for name, split in value.splits.items()}, "metadata": value.metadata}
    if info.step_class_name == "sequence":
        return {"items": list(value)}
    if "Dill" in cache_metadata(workspace, info)["format"]["type"]:
        return {"repr": repr(value)}
    return {"value": value}


def cache_metadata(workspace, info):
    return json.loads((workspace.step_dir(info.unique_id) / "cache-metadata.json").read_text())


def read_step(workspace, info):
    folder = workspace.cache.dir / info.unique_id
    told = {**info.to_json_dict(), "dependencies": sorted(info.dependencies)}
    return {
        "info": told,
        "state": info.state.value,
        "start_time": info.start_time and info.start_time.isoformat(),
        "end_time": info.end_time and info.end_time.isoformat(),
        "format": cache_metadata(workspace, info)["format"] if info.state == StepState.COMPLETED else None,
        "result": read_result(workspace, info),
        "files": {
            str(path.relative_to(folder)): {
                "size": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }


def read(folder):
    workspace = LocalWorkspace(folder / "workspace")
    # A search does not repair what it finds; to ask for a step by its id would.
    infos = workspace.search_step_info()
    return {
        "runs": {
            name: {found: info.unique_id for found, info in run.steps.items()}
            for name, run in workspace.registered_runs().items()
        },
        "steps": {info.unique_id: read_step(workspace, info) for info in infos},
    }


def as_json(value):
    if isinstance(value, Params):
        return value.as_dict(quiet=True)
    raise TypeError(f"no JSON for {value!r}")


def main(folder):
    folder = folder.resolve()
    executed = folder / "EXECUTED"
    dill.loads(dill.dumps(Trap(executed)))  # it works
    executed.rmdir()
    # What tango says of where it ran should not be of the repository that the tests are in.
    os.chdir(folder)
    write(folder, executed)
    write_hostile(folder, executed)
    expected = {"root": str(folder), "executed": str(executed), "release": VERSION, **read(folder)}
    text = json.dumps(expected, default=as_json, indent=1, sort_keys=True, allow_nan=False)
    (folder / "expected.json").write_text(text + "\n")
    if executed.exists():
        raise SystemExit("the trap was sprung while it was set")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
