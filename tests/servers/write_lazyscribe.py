"""Write lazyscribe projects and a repository by lazyscribe itself: ``python write_lazyscribe.py FOLDER``.

What fresh readers then see in them is told in ``FOLDER/expected.json``; numbers that JSON lacks are told as ``"nan"``,
``"inf"`` and ``"-inf"``, and values that were pickled as what ``repr`` says of them.
"""

import contextlib
import hashlib
import json
import math
import os
import pickle
import sys
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from lazyscribe import Experiment, Project, Repository
from lazyscribe import release as releases
from lazyscribe.linked import Node
from lazyscribe.registry import registry

START = datetime(2025, 10, 9, 8, 53, 20)  # noqa: DTZ001  (lazyscribe's times are in UTC and do not say so)
TRAPS = "trap"
"""What the names of artifacts begin with that nobody may load."""


class Trap:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.makedirs, (self._path, 0o777, True)


# --- writing ---


@contextlib.contextmanager
def experiment(project, name, minutes, **given):
    """Log an experiment that was made so many minutes after the start, and changed a minute later."""
    made = START + timedelta(minutes=minutes)
    new = Experiment(name=name, project=project.fpath, fs=project.fs, author=project.author, created_at=made, **given)
    yield new
    new.last_updated = made + timedelta(minutes=1)
    project.append(new)


def write_data(folder):
    """Write projects that others depend on, one of them on the other."""
    project = Project(folder / "rows" / "project.json", mode="w", author="someone else")
    with experiment(project, "Raw rows", 0) as rows:
        rows.log_parameter("source", {"path": "rows.csv", "columns": ["a", "b ü"], "header": True})
        rows.log_metric("count", 1000)
        rows.log_artifact("sample", [{"a": 1, "b ü": "x"}, {"a": 2, "b ü": None}], handler="json")
    project.save()
    project = Project(folder / "data" / "project.json", mode="w", author="someone else")
    with experiment(project, "Clean rows", 1) as clean:
        clean.dependencies[rows.short_slug] = rows
        clean.log_metric("count", 990)
    project.save()
    return rows, clean


def log_everything(base, executed):
    base.log_metric("loss", 0.25)
    base.log_metric("count", 7)
    base.log_metric("curve", [1.0, 0.5, 0.25])
    base.log_metric("not a number", math.nan)
    base.log_metric("infinite", -math.inf)
    base.log_metric("exact", 0.1 + 0.2)
    base.log_parameter("layers", [{"kind": "dense", "size": 64, "init": None}, {"kind": "out", "flags": [True]}])
    base.log_parameter("a name / with é", {"nested": {"deeper": [[1, 2], [3.5, "☃"]]}})
    base.log_parameter("pair", (1, "two"))
    base.log_parameter("text", "two\nlines")
    base.log_parameter("nothing", None)
    base.log_parameter("large", 2**70)
    base.tag("baseline", "ünïcode ☃", "with, comma")
    with base.log_test("Small rows", description="Those that are small.") as test:
        test.log_metric("loss", 0.5)
        test.log_parameter("limit", {"below": 10})
        test.log_artifact("rows of test", {"ids": [1, 2, 3]}, handler="json")
        test.log_artifact("pickled of test", (1, 2), handler="pickle", fname="inner/pair.pkl")
    with base.log_test("Large rows ü") as test:
        test.log_metric("loss", 0.125)
    base.log_artifact("features", ["a", "b ü"], handler="json", fname="features.json", indent=2)
    base.log_artifact("Features!", {"of nearly": "the same name"}, handler="json", fname="others.json")
    base.log_artifact("weights", {"w": (1.5, 2.5), "b": b"\x00\xff", "seen": frozenset({3})}, handler="pickle")
    base.log_artifact("old pickle", [1, {"a": 2.5}], handler="pickle", protocol=2)
    base.log_artifact("deep", {"deep": True}, handler="json", fname="a folder/deeper/é.json")
    base.log_artifact("beside", [0], handler="json", fname="../beside.json")
    base.log_artifact("estimator", Node(data=[1, 2], next=Node(data="end")), handler="joblib")
    base.log_artifact(f"{TRAPS} of experiment", Trap(executed), handler="pickle")


def write_models(folder, rows, clean, executed):
    """Write the project that has everything, then open it again to add and to change."""
    path = folder / "models" / "project.json"
    project = Project(path, mode="w", author="first author")
    with experiment(project, "Base line", 10) as base:
        log_everything(base, executed)
    with experiment(project, "Same name", 20, tags=["one"]) as same:
        same.log_metric("loss", 0.2)
        same.log_artifact("notes", "of the first", handler="json")
        same.dependencies[clean.short_slug] = clean
        same.dependencies[rows.short_slug] = rows
    with experiment(project, "Same name", 30, tags=["two"]) as other:
        other.log_metric("loss", 0.1)
        other.log_artifact("notes", "of the second", handler="json")
    with experiment(project, "same-name", 40) as slugged:
        slugged.log_metric("loss", 0.05)
    for number in range(2):  # within a second of each other, they share their slug
        with experiment(project, "Twin", 50) as twin:
            twin.log_parameter("number", number)
    with experiment(project, "Empty", 60):
        pass
    project.save()

    again = Project(path, mode="a", author="second author")
    with again.log("Appended, in the present") as appended:
        appended.log_metric("loss", 1)
        appended.log_artifact("features", {"as": "it is by default"}, handler="json")
    again.save()

    edited = Project(path, mode="w+", author="third author")
    base = edited["base-line"]
    base.log_metric("loss", 0.24)
    base.log_artifact("features", ["a", "b ü", "c"], handler="json", fname="features.json", overwrite=True)
    base.last_updated = START + timedelta(minutes=70)
    edited.save()
    return edited["base-line"]


def write_relative(folder, same):
    """Write projects as their users do who give paths from where they are, and keys of the registry."""
    os.chdir(folder)
    upstream = Project("relative/upstream.json", mode="w", author="someone")
    with experiment(upstream, "Upstream", 0) as first:
        first.log_metric("loss", 3)
    upstream.save()
    project = Project("relative/project.json", mode="w", author="someone")
    with experiment(project, "Downstream", 1) as second:
        second.dependencies[first.short_slug] = first
    project.save()

    registry.add_project("the models", Project(folder / "models" / "project.json", mode="r"))
    keyed = Project(folder / "keyed" / "project.json", mode="w", author="someone")
    with experiment(keyed, "By key", 2) as third:
        third.dependencies[same.short_slug] = same
    keyed.save()


def write_circular(folder):
    """Write a project of which one experiment depends on another: lazyscribe writes it, and never ends reading it."""
    project = Project(folder / "circular" / "project.json", mode="w", author="someone")
    with experiment(project, "First", 0) as first:
        first.log_metric("loss", 1)
    with experiment(project, "Second", 1) as second:
        second.dependencies[first.short_slug] = first
    project.save()
    return [{"entry": entry} for entry in project]


def write_repository(folder, base, executed):
    path = folder / "repository" / "repository.json"
    repository = Repository(path, mode="w")
    for number in range(4):
        given = {} if number == 2 else {"indent": number}
        repository.log_artifact(
            "features", [*["a", "b ü"][:number], number], "json", fname=f"features-{number}.json", **given
        )
    for number in range(3):
        repository.log_artifact("model", {"number": number, "w": (number, b"\x00")}, "pickle", fname=f"{number}/m.pkl")
    for text in ("written over", "left"):  # within a second of each other, versions share their file
        repository.log_artifact("hasty", text, "json", fname="hasty-20251009085320.json")
    repository.log_artifact("a name with spaces, é", {"a": math.inf}, "json")
    repository.log_artifact("group/inner", [], "json")
    repository.log_artifact("estimator", Node(data=1.5), "joblib")
    repository.log_artifact(f"{TRAPS} of repository", Trap(executed), "pickle")
    for number, artifact in enumerate(repository.artifacts):
        artifact.created_at = START + timedelta(days=number)
    repository.set_artifact_expiry("features", version=1, expiry="2025-12-31T00:00:00")
    repository.set_artifact_expiry("model", version=0, expiry=START + timedelta(days=30))
    repository.set_artifact_expiry("a name with spaces, é", expiry="2199-01-01T00:00:00")
    repository.save()
    base.promote_artifact(repository, "weights")
    read_only = Repository(path, mode="r")
    kept = [(artifact.name, artifact.version) for artifact in read_only.artifacts if artifact.name == "features"]
    made = [
        releases.Release("v0.1.0", kept[:1], START + timedelta(days=40)),
        releases.Release("v0.2.0 ü", [kept[-1], ("model", 2)], START + timedelta(days=50)),
    ]
    with (path.parent / "releases.json").open("w") as file:
        releases.dump(made, file, indent=4)


# --- reading it back ---


def plain(value):
    """Return a value as JSON can tell it."""
    match value:
        case float() if not math.isfinite(value):
            return repr(value)
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return value


def loaded(load, artifact):
    """Return what a reader has of an artifact; of a trap, nothing."""
    if artifact.name.startswith(TRAPS):
        return {"trap": True}
    value = load()
    return {"value": plain(value)} if artifact.alias == "json" else {"repr": repr(value)}


def read_artifacts(owner):
    return [loaded(lambda name=artifact.name: owner.load_artifact(name), artifact) for artifact in owner.artifacts]


def read_project(path):
    project = Project(path, mode="r")
    return [
        {
            "entry": plain(entry),
            "dependencies": {slug: str(upstream.project) for slug, upstream in found.dependencies.items()},
            "artifacts": read_artifacts(found),
            "artifacts_of_tests": {test.name: read_artifacts(test) for test in found.tests},
        }
        for entry, found in zip(project, project.experiments, strict=True)
    ]


def read_repository(path):
    repository = Repository(path, mode="r")
    return [
        {
            "entry": entry,
            **loaded(
                lambda found=found: repository.load_artifact(found.name, version=found.version),
                found,
            ),
        }
        for entry, found in zip(repository, repository.artifacts, strict=True)
    ]


def files(folder):
    return {
        str(path.relative_to(folder)): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main(folder):
    folder = folder.resolve()
    executed = folder / "EXECUTED"
    pickle.loads(pickle.dumps(Trap(executed)))  # it works
    executed.rmdir()
    rows, clean = write_data(folder)
    base = write_models(folder, rows, clean, executed)
    write_relative(folder, Project(folder / "models" / "project.json", mode="r")["base-line"])
    write_repository(folder, base, executed)
    projects = ["rows/project.json", "data/project.json", "models/project.json", "keyed/project.json"]
    projects += ["relative/project.json", "relative/upstream.json"]
    with (folder / "repository" / "releases.json").open() as file:
        tagged = [release.to_dict() for release in releases.load(file)]
    expected = {
        "root": str(folder),
        "executed": str(executed),
        "releases": {name: version(name) for name in ("lazyscribe", "lazyscribe-joblib", "joblib")},
        "registry": {"the models": "models/project.json"},
        "circular": {"circular/project.json": write_circular(folder)},
        "projects": {name: read_project(folder / name) for name in projects},
        "repositories": {
            "repository/repository.json": {
                "artifacts": read_repository(folder / "repository" / "repository.json"),
                "releases": tagged,
            }
        },
        "files": files(folder),
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True, allow_nan=False) + "\n")
    if executed.exists():
        raise SystemExit("the trap was sprung while it was set")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
