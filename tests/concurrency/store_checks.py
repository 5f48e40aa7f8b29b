"""What the tests of this folder ask of a store: its files, read without lazytrack, and its records, read with it."""

import hashlib
import json
import re
from pathlib import Path

from lazytrack import Project

TIME = r"\d{8}T\d{6}\.\d{6}Z-[0-9a-z]{8}"
LOG_FILE = re.compile(rf"log/{TIME}\.json")
PACK_FILE = re.compile(rf"packs/[1-9]\d?-{TIME}\.json")
ARTIFACT_FILE = re.compile(r"artifacts/[^/]+/[^/]+/\d+-[0-9a-z]{8}/.+")
UNFINISHED_FILE = re.compile(r"(?:.+/)?\.[^/]+\.tmp")
GONE = object()


# --- other processes ---


def finish(*processes):
    """Close the processes' input, wait for their ends, which must be good ones, and return what they said."""
    # All are waited for before any is judged.
    outcomes = [(process.communicate(), process.returncode) for process in processes]
    assert [(code, err) for (_, err), code in outcomes] == [(0, "")] * len(processes)
    return [out for (out, _), _ in outcomes]


# --- files ---


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def fold(folder):
    """Return each record with its fields, as docs/format.md says they follow from the files."""
    latest, deleted = {}, set()
    for path in [*folder.glob("log/[!.]*"), *folder.glob("packs/[!.]*")]:
        for patch in json.loads(path.read_bytes())["patches"]:
            if patch.get("delete"):
                deleted.add(patch["record"])
            changes = [*patch.get("set", {}).items(), *((field, GONE) for field in patch.get("unset", ()))]
            for field, value in changes:
                at, _ = latest.get((patch["record"], field), ("", None))
                if patch["at"] > at:
                    latest[patch["record"], field] = patch["at"], value
    records = {}
    for (record, field), (_, value) in latest.items():
        if record not in deleted and value is not GONE:
            records.setdefault(record, {})[field] = value
    return records


def leftovers(folder):
    """Check that each file of a store is whole or means nothing, and return those that mean nothing."""
    named = {}
    for fields in fold(folder).values():
        named |= {entry["path"]: entry for field, entry in fields.items() if "artifacts." in field}
    for path, entry in named.items():
        content = (folder / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["size"], entry["sha256"])
    unnamed = set()
    for path in files_below(folder) - named.keys():
        if LOG_FILE.fullmatch(path) or PACK_FILE.fullmatch(path):
            assert json.loads((folder / path).read_bytes())["format"] == "lazytrack/1"
        else:
            assert UNFINISHED_FILE.fullmatch(path) or ARTIFACT_FILE.fullmatch(path), f"{path} has no business here"
            unnamed.add(path)
    return unnamed


# --- records ---


def told(experiment):
    """Return what was logged to an experiment or test, its artifacts' objects included."""
    return {
        "parameters": dict(experiment.parameters),
        "metrics": dict(experiment.metrics),
        "artifacts": {artifact.name: experiment.load_artifact(artifact.name) for artifact in experiment.artifacts},
        **({"status": experiment.status, "tags": sorted(experiment.tags)} if hasattr(experiment, "status") else {}),
        **({"tests": {test.name: told(test) for test in experiment.tests}} if hasattr(experiment, "tests") else {}),
    }


def read_afresh(path):
    """Return what a new reader sees of each experiment, after a look at the files: nothing may be damaged."""
    project = Project(path)
    seen = {experiment.slug: told(experiment) for experiment in project.experiments}
    assert project.problems == {}
    assert len(project.experiments) == len(seen)
    folder = Path(project.folder)
    in_files = fold(folder)
    assert in_files.keys() == seen.keys()
    for slug, fields in in_files.items():
        assert {f[11:]: value for f, value in fields.items() if f.startswith("parameters.")} == seen[slug]["parameters"]
        assert {f[8:]: value for f, value in fields.items() if f.startswith("metrics.")} == seen[slug]["metrics"]
    return seen
