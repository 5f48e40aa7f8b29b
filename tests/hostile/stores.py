"""Hostile stores as data: each builder takes the path of a sound project and makes it a stranger's.

A builder returns the slug of the experiment that is not what it should be, or None where no experiment is the subject.
`HOSTILE` names them all.
"""

import hashlib
import json
import os
import pickle
import sys
from functools import partial
from pathlib import Path

from lazytrack import Project, naming

CREATED = "2026-11-20T08:22:33.000000Z"
BAD = "bad-20261120082233-k3f9x2ab"
DEPTHS = (101, 150, 500, 900)
"""So deep that nothing honest is, and read by the JSON parser all the same."""
TOO_DEEP = (1100, 100_000)
"""So deep that the JSON parser refuses the file."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


# --- sound ones, and what a hand can do to them ---


def sound(path, names=("good 0", "good 1", "good 2")):
    """Make a project of experiments that have something of everything, and return its path."""
    project = Project(path, mode="w+", author="dana")
    for number, name in enumerate(names):
        with project.log(name, notes="sound") as exp:
            exp.log_metric("number", number)
            for step in range(100):
                exp.log_metric("curve", number / 4, step=step)
            exp.log_parameter("deep", {"a": [1, {"b": None}]})
            exp.tag("sound")
            exp.log_test("women").log_metric("auc", number)
            exp.log_artifact("table", {"number": number}, handler="json")
            exp.log_artifact("model", ("model", number), handler="pickle")
    project.save()
    return path


def inside(path):
    """Return the folder of everything but the head."""
    return path.with_suffix("")


def say(path, *patches, kind="log", **more):
    """Write a log file or a pack with patches as they are, and return its name.

    A value ``Raw(text)`` stands in the file as `text`, which no JSON library has seen.
    """
    at = naming.LogicalClock().tick()
    name = f"log/{at}.json" if kind == "log" else f"packs/1-{at}.json"
    raws = []

    def spell(value):
        raws.append(value)
        return f"@raw {len(raws) - 1}@"

    text = json.dumps({"format": "lazytrack/1", "kind": kind, "id": at, "patches": patches} | more, default=spell)
    for place, raw in enumerate(raws):
        text = text.replace(f'"@raw {place}@"', raw.text)
    put_file(path, name, text.encode())
    return name


class Raw:
    """JSON that is written as it is."""

    def __init__(self, text):
        self.text = text


def patch(record, fields):
    return {"at": naming.LogicalClock().tick(), "by": "mallory", "record": record, "set": fields}


def add(path, fields=None, *, record=BAD):
    """Add an experiment of these fields, on top of what makes it one."""
    say(path, patch(record, {"name": "bad", "created_at": CREATED, "metrics.seen": 1} | (fields or {})))
    return record


def put_file(path, name, data):
    """Write a file below the project's folder, and return it."""
    file = inside(path) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def entry(data, where, *, handler="json", **more):
    """Return what a record says of an artifact file at `where` that holds `data`."""
    return {
        "handler": handler,
        "fname": "it.json",
        "version": 0,
        "created_at": CREATED,
        "path": where,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    } | more


def read_entry(path, name, field="artifacts.model"):
    """Return what the store says of an artifact of the experiment of this name, and the experiment's slug."""
    exp = Project(path, mode="r")[name]
    return dict(exp._stored()[field]), exp.slug


class Runs:
    """Unpickled, it runs a command that leaves a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'echo ran > "{self.marker}"',)


def marker_of(path):
    """Return the file that shows that something ran."""
    return Path(path).parent.parent / "ran"


def bomb(path):
    return pickle.dumps(Runs(marker_of(path)))


def pickle_entry(data, where, **more):
    return entry(data, where, handler="pickle", fname="it.pkl", environment={"python_version": PYTHON}) | more


# --- paths that leave the store, or lead to what is no artifact ---

SECRET = b'{"secret": 1}'


def outside_files(path):
    """Put files outside the store that a record could name, and return the one beside the head."""
    for folder in (path.parent, path.parent.parent):
        (folder / "secret.json").write_bytes(SECRET)
    return path.parent / "secret.json"


PATHS = {
    "climbing": "../secret.json",
    "climbing twice": "../../secret.json",
    "climbing from the artifacts": "artifacts/../../secret.json",
    "climbing with backslashes": "artifacts\\..\\..\\secret.json",
    "backslashes": "..\\secret.json",
    "absolute": "{outside}",
    "absolute with two slashes": "/{outside}",
    "absolute from the artifacts": "artifacts/{outside}/../{outside}",
    "a drive letter": "C:\\secret.json",
    "a drive letter with a slash": "C:/secret.json",
    "a drive letter without a slash": "C:secret.json",
    "another machine": "\\\\machine\\share\\secret.json",
    "a log file": "{log}",
    "a log file with a dot before it": "./{log}",
    "the head": "../churn.json",
    "nothing": "",
    "a dot": ".",
    "the folder": "artifacts",
    "a NUL": "artifacts/\0/secret.json",
}


def artifact_at(path, where):
    """Add an experiment whose artifact is at a path that is none of an artifact; the digest is the file's there."""
    outside = outside_files(path)
    log = min(inside(path).glob("log/*"))
    data = log.read_bytes() if "{log}" in where else path.read_bytes() if "churn.json" in where else SECRET
    where = where.format(outside=outside, log=f"log/{log.name}")
    return add(path, {"artifacts.it": entry(data, where), "tests.t.artifacts.it": entry(data, where)})


def unsafe_name(path, name):
    """Add an experiment whose artifact has a name or file name that is a path."""
    data = b"[1]"
    put_file(path, "artifacts/bad/it.json", data)
    return add(path, {f"artifacts.{name}": entry(data, "artifacts/bad/it.json", fname=name)})


# --- what would run ---


def unsigned_bomb(path):
    """Add a pickle that runs a command, of an experiment and of a test."""
    data = bomb(path)
    put_file(path, "artifacts/bad/it.pkl", data)
    stored = pickle_entry(data, "artifacts/bad/it.pkl")
    return add(path, {"artifacts.it": stored, "tests.t.artifacts.it": stored, "tests.t.name": "t"})


def forged_bomb(path, signature):
    """Add a pickle that runs a command, with a signature that is somebody's invention."""
    data = bomb(path)
    put_file(path, "artifacts/bad/it.pkl", data)
    return add(path, {"artifacts.it": pickle_entry(data, "artifacts/bad/it.pkl", signature=signature)})


def borrowed_bomb(path):
    """Add a pickle that runs a command, with the signature of a sound one."""
    stored, _ = read_entry(path, "good-0")
    return forged_bomb(path, stored["signature"])


def replaced_bomb(path):
    """Put a pickle that runs a command in the place of a sound one, record and file, and keep the signature."""
    data = bomb(path)
    stored, slug = read_entry(path, "good-0")
    put_file(path, "artifacts/bad/it.pkl", data)
    return add(path, {"artifacts.it": stored | pickle_entry(data, "artifacts/bad/it.pkl"), "notes": slug})


def bomb_as_json(path):
    """Add a pickle that runs a command, and say that it is JSON."""
    data = bomb(path)
    put_file(path, "artifacts/bad/it.json", data)
    return add(path, {"artifacts.it": entry(data, "artifacts/bad/it.json")})


def moved_to_another_experiment(path):
    """Name a signed pickle of one experiment in another one."""
    stored, _ = read_entry(path, "good-0")
    return add(path, {"artifacts.model": stored})


def moved_to_another_name(path):
    """Name a signed pickle by another name in the same experiment."""
    stored, slug = read_entry(path, "good-0")
    say(path, patch(slug, {"artifacts.other": stored}))
    return add(path)


def moved_to_a_test(path):
    """Name a signed pickle of an experiment in one of its tests."""
    stored, slug = read_entry(path, "good-0")
    say(path, patch(slug, {"tests.women.artifacts.model": stored}))
    return add(path)


def named_over(path):
    """Say that an artifact of this record is the sound file of another, with other bytes than that has."""
    stored, _ = read_entry(path, "good-0", "artifacts.table")
    return add(path, {"artifacts.it": entry(b"[666]", stored["path"])})


# --- too deep, too large, of the wrong type ---


def deep(depth, kind="list"):
    return Raw("[" * depth + "]" * depth if kind == "list" else '{"a":' * depth + "1" + "}" * depth)


DEEP_FIELDS = {
    "a parameter": "parameters.it",
    "a metric": "metrics.it",
    "a tag": "tags.it",
    "a dependency": "dependencies.it",
    "an artifact": "artifacts.it",
    "a parameter of a test": "tests.t.parameters.it",
    "a metric of a test": "tests.t.metrics.it",
    "an artifact of a test": "tests.t.artifacts.it",
    "the name of a test": "tests.t.name",
    "the name": "name",
    "the author": "author",
    "the time it was created": "created_at",
    "the time it was updated": "last_updated",
    "who updated it": "last_updated_by",
    "the status": "status",
    "the notes": "notes",
    "the error": "error",
}


def deep_field(path, field, depth, kind="list"):
    return add(path, {field: deep(depth, kind)})


def deep_in_an_entry(path, depth):
    """Add an artifact whose environment is deeply nested."""
    data = bomb(path)
    put_file(path, "artifacts/bad/it.pkl", data)
    stored = pickle_entry(data, "artifacts/bad/it.pkl", environment={"python_version": deep(depth)})
    return add(path, {"artifacts.it": stored})


def deep_unknown_key(path, depth):
    """Add an experiment by a patch with a deeply nested key of a later version."""
    say(path, patch(BAD, {"name": "bad", "created_at": CREATED, "metrics.seen": 1}) | {"later": deep(depth)})
    return BAD


LARGE = "x" * 10_000_000


def segment(data, where, **more):
    """Return what a record says of a file of points at `where` that holds `data`."""
    return {"path": where, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "level": 0} | more


def series_at(path, where):
    """Add an experiment whose points are in a file that is none of points; the digest is the file's there."""
    outside = outside_files(path)
    log = min(inside(path).glob("log/*"))
    data = log.read_bytes() if "{log}" in where else path.read_bytes() if "churn.json" in where else SECRET
    where = where.format(outside=outside, log=f"log/{log.name}")
    return add(path, WRITER | {"series.w": {"segments": [segment(data, where)] * 3}})


def series_of(path, data):
    """Add an experiment with a file of points that holds what no writer writes."""
    put_file(path, "series/bad/w-0.series", data)
    return add(path, WRITER | {"series.w": {"segments": [segment(data, "series/bad/w-0.series")]}})


def column(count, **more):
    """Return a file of points that says it holds `count` of them, and holds none."""
    head = {"count": count, "step": {"first": 0, "by": 1}, "time": {"first": 0, "by": 1}, "value": "f8"} | more
    return (
        json.dumps(
            {"format": "lazytrack/1", "kind": "series", "id": "w-0", "record": BAD, "points": {"metrics.seen": head}}
        ).encode()
        + b"\n"
    )


SUMMARY = {"count": 1, "min": 1, "max": 1, "last": 1, "last_step": 0}
WRITER = {"writers.w": {"rank": 0, "attempt": 1}, "summaries.w.metrics.seen": SUMMARY}
ODD_SERIES = {
    "nothing": b"",
    "JSON of a log": b'{"format":"lazytrack/1","kind":"log","id":"x"}\n',
    "a list": b"[]\n",
    "no line end": b'{"format":"lazytrack/1","kind":"series","points":{}}',
    "text": "Grüße\n".encode("utf-16"),
    "more points than bytes": column(3),
    "more points than there are": column(2**62),
    "a negative count": column(-5),
    "steps beyond numbers": column(1, step={"first": 2**63, "by": 1}) + b"\0" * 8,
    "steps by text": column(1, step={"first": 0, "by": "x"}) + b"\0" * 8,
    "values of text": column(1, value="U8") + b"\0" * 8,
    "more bytes than points": column(1) + b"\0" * 16,
}
ODD_FIELDS = {
    "a series that is text": {"series.w": "x"},
    "a series that is null": {"series.w": None},
    "a series that is a list": {"series.w": [1]},
    "a series without an id": WRITER | {"series.": {}, "writers.": {"rank": 0}, "summaries.": {}, "summaries..": {}},
    "a series with dots": WRITER | {"series.a.b": {}, "writers.a.b": {"rank": 0}, "summaries.a.b": {}},
    "a series without a writer": {"series.w": {}, "summaries.w.metrics.seen": SUMMARY},
    "a series of points of different lengths": WRITER | {"series.w": {"recent": {"metrics.seen": {"step": [1]}}}},
    "a series of points at the end of time": WRITER
    | {"series.w": {"recent": {"metrics.seen": {"step": [1], "time": [2**63 - 1], "value": [1]}}}},
    "a series of numbers that are none": WRITER | {"series.w": {"recent": {"metrics.seen": {"step": "x", "time": 5}}}},
    "a writer that is text": WRITER | {"writers.w": "x"},
    "a writer that is null": WRITER | {"writers.w": None},
    "a writer that is a list": WRITER | {"writers.w": [1]},
    "a writer of a negative rank": WRITER | {"writers.w": {"rank": -1, "attempt": 1}},
    "a writer of a huge rank": WRITER | {"writers.w": {"rank": 2**64 - 1, "attempt": 2**64 - 1, "from_step": -(2**63)}},
    "a writer that hides all": {"writers.w": {"rank": 0, "attempt": 2**31 - 1, "from_step": -(2**53), "ranks": 0}},
    "a summary of text": WRITER | {"summaries.w.metrics.seen": {"count": "x", "max_step": []}},
    "a summary of nothing": WRITER | {"summaries.w.metrics.seen": {}},
    "a summary that is a list": WRITER | {"summaries.w.metrics.seen": [1]},
    "a summary of what is no metric": WRITER | {"summaries.w.parameters.x": SUMMARY, "summaries.w.": SUMMARY},
    "a heartbeat that is a number": WRITER | {"status": "running", "heartbeats.w": 5},
    "a heartbeat that is no time": WRITER | {"status": "running", "heartbeats.w": "yesterday"},
    "a heartbeat at the end of time": WRITER | {"status": "running", "heartbeats.w": "9999-12-31T23:59:59-14:00"},
    "a parent that is a number": {"parent": 5},
    "a parent that is itself": {"parent": BAD},
    "a parent that is nobody": {"parent": "nobody"},
    "a parent that is a path": {"parent": "../../churn.json"},
    "output that is no text": {"artifacts.output": entry(b"[]", "artifacts/x", handler="json")},
    "a name that is a number": {"name": 5},
    "a name that is null": {"name": None},
    "a name that is a dict": {"name": {"first": "bad"}},
    "no author": {"author": None},
    "an author that is a list": {"author": []},
    "created at a list": {"created_at": []},
    "created at a number": {"created_at": 5},
    "created at a time before time": {"created_at": "0001-01-01T00:00:00+14:00"},
    "created at the end of time": {"created_at": "9999-12-31T23:59:59-14:00"},
    "created at a date": {"created_at": "2026-11-20"},
    "created at null": {"created_at": None},
    "updated at a list": {"last_updated": []},
    "updated yesterday": {"last_updated": "yesterday"},
    "updated by a dict": {"last_updated_by": {"a": 1}},
    "a status nobody knows": {"status": "exploded"},
    "a status that is a number": {"status": 7},
    "notes that are a dict": {"notes": {}},
    "notes that are a number": {"notes": 5},
    "an error that is a list": {"error": ["Traceback"]},
    "tags that are null": {"tags": None},
    "tags that are a list": {"tags": ["a"]},
    "a tag that is null": {"tags.a": None},
    "a tag that is false": {"tags.a": False},
    "a tag that is a dict": {"tags.a": {"b": 1}},
    "a tag without a name": {"tags.": True},
    "artifacts that are text": {"artifacts": "x"},
    "artifacts that are a list": {"artifacts": [1]},
    "an artifact that is text": {"artifacts.it": "x"},
    "an artifact that is null": {"artifacts.it": None},
    "an artifact that is a list": {"artifacts.it": [{}]},
    "an artifact of nothing": {"artifacts.it": {}},
    "an artifact of odd types": {"artifacts.it": {key: [] for key in entry(b"", "artifacts/x")}},
    "an artifact of a handler nobody has": {"artifacts.it": entry(b"", "artifacts/x", handler="excel")},
    "an artifact of a handler that is a class": {"artifacts.it": entry(b"", "artifacts/x", handler="__class__")},
    "an artifact of a negative version": {"artifacts.it": entry(b"", "artifacts/x", version=-1)},
    "an artifact of a huge version": {"artifacts.it": entry(b"", "artifacts/x", version=2**64 - 1)},
    "an artifact of a negative size": {"artifacts.it": entry(b"", "artifacts/x", size=-1)},
    "an artifact that is a folder": {"artifacts.it": entry(b"", "artifacts/")},
    "an artifact with an odd signature": {"artifacts.it": pickle_entry(b"", "artifacts/x", signature=[5])},
    "an artifact of an odd environment": {"artifacts.it": pickle_entry(b"", "artifacts/x", environment=[5])},
    "dependencies that are a number": {"dependencies": 5},
    "a dependency that is a number": {"dependencies.up": 5},
    "a dependency that is null": {"dependencies.up": None},
    "a dependency that is nonsense": {"dependencies.up": "nonsense"},
    "a dependency that is a bar": {"dependencies.up": "|"},
    "a dependency that is empty": {"dependencies.up": ""},
    "a dependency on nothing anywhere": {"dependencies.up": "../nowhere/project.json|clean"},
    "a dependency with a NUL": {"dependencies.up": "a\0/project.json|clean"},
    "a dependency on the moon": {"dependencies.up": "moon://base/project.json|clean"},
    "a dependency on itself": {"dependencies.up": f"churn.json|{BAD}"},
    "tests that are a number": {"tests": 3},
    "a test that is a number": {"tests.t": 3},
    "a test without a name": {"tests.t.metrics.auc": 1},
    "a test of an empty name": {"tests..metrics.auc": 1, "tests.": 2},
    "a test whose name is a list": {"tests.t.name": ["t"], "tests.t.description": 5},
    "a metric that is text": {"metrics.it": "high"},
    "a metric that is a dict": {"metrics.it": {"a": 1}},
    "a metric that is null": {"metrics.it": None},
    "metrics that are a number": {"metrics": 3, "metrics.": 4, "tests.t.metrics": 3},
    "fields without names": {"": 1, ".": 2, "parameters": 3, "parameters.": 4},
    "an escape of the wrong type": {"parameters.it": {"float": 5}, "parameters.b": {"int": "many"}},
    "an escape in an escape": {"parameters.it": {"dict": {"dict": {"dict": 5}}}},
    "a huge integer": {"parameters.it": {"int": "9" * 4000}, "metrics.it": 2**64 - 1},
    "an integer beyond what Python reads": {"parameters.it": {"int": "9" * 5000}},
    "an integer beyond 64 bits": {"parameters.it": Raw("9" * 100), "metrics.it": Raw("9" * 100)},
    "the least number there is": {"parameters.it": Raw("-1e-999"), "metrics.it": Raw("5e-324")},
    "a huge parameter": {"parameters.it": LARGE},
    "a huge metric": {"metrics.it": LARGE},
    "a huge name": {"name": LARGE},
    "a huge field": {f"parameters.{LARGE}": 1, f"tags.{LARGE}": True},
    "a huge dependency": {"dependencies.up": LARGE},
    "a huge artifact": {"artifacts.it": entry(b"", f"artifacts/{LARGE}", handler=LARGE)},
    "a huge path": {"artifacts.it": entry(b"", f"artifacts/{LARGE}")},
    "a long list": {"metrics.it": list(range(100_000))},
    "NULs": {"name": "\0", "parameters.\0": "\0", "tags.\0": True, "tests.\0.name": "\0", "artifacts.\0": "\0"},
    "terminal codes": {"name": "\x1b[2J\x07", "author": "\r", "notes": "\x1b]0;x\x07"},
}

ODD_RECORDS = {
    "a climbing name": "../../../outside",
    "an absolute name": "/outside",
    "a name of dots": "..",
    "a name with backslashes": "..\\..\\outside",
    "a name with a NUL": "a\0b",
    "a name of one dash": "-",
    "a name of emoji": "🎉",
    "a name with a line end": "a\nb",
    "a huge name": "x" * 1_000_000,
}


def half_a_character(path):
    """Add an experiment whose name is half a surrogate pair, which makes its file no UTF-8."""
    add(path, {"name": Raw('"\\ud83d"')})


def beyond_numbers(path):
    """Add an experiment with a number that no float holds, which makes its file no JSON."""
    add(path, {"metrics.it": Raw("1e999")})


def beyond_depth(path, depth, field="parameters.it"):
    """Add an experiment nested so deep that its file is not read."""
    add(path, {field: deep(depth)})


# --- packs and links ---

REPLACES = {
    "a file beside": ["../x"],
    "a file outside": ["log/../../x"],
    "the head": ["../churn.json"],
    "an absolute path": ["/x"],
    "an artifact": ["artifacts/x"],
    "a sound log and more": ["{log}", "../x"],
    "a sound log with a slash more": ["log//{name}"],
    "a sound log by a way round": ["log/./{name}"],
    "a number": [5],
    "a dict": {"log": 1},
    "itself": 5,
}


def replacing(path, replaces):
    """Add a pack that claims to replace what a pack must not."""
    log = min(inside(path).glob("log/*")).name
    if isinstance(replaces, list):
        replaces = [r.format(log=f"log/{log}", name=log) if isinstance(r, str) else r for r in replaces]
    (path.parent / "x").write_text("not lazytrack's")
    say(path, kind="pack", replaces=replaces)


def linked_log(path):
    """Add a log file that is a link to one outside the store."""
    name = say(path, patch(BAD, {"name": "bad", "created_at": CREATED, "metrics.seen": 1}))
    outside = path.parent / "log outside.json"
    (inside(path) / name).rename(outside)
    (inside(path) / name).symlink_to(outside)
    return BAD


def linked_to_nowhere(path, target="nowhere"):
    (inside(path) / "log" / f"{naming.LogicalClock().tick()}.json").symlink_to(target)


def linked_to_itself(path):
    name = f"{naming.LogicalClock().tick()}.json"
    (inside(path) / "log" / name).symlink_to(name)


def linked_to_a_folder(path):
    outside_files(path)
    (inside(path) / "log" / f"{naming.LogicalClock().tick()}.json").symlink_to(path.parent, target_is_directory=True)


def linked_artifact(path):
    """Add an artifact whose file is a link to a file outside, with its digest."""
    outside = outside_files(path)
    link = inside(path) / "artifacts" / "bad" / "it.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    return add(path, {"artifacts.it": entry(SECRET, "artifacts/bad/it.json")})


def linked_artifact_folder(path):
    """Add an experiment whose artifact folder is a link to a folder outside."""
    outside_files(path)
    (inside(path) / "artifacts" / BAD).symlink_to(path.parent, target_is_directory=True)
    return add(path, {"artifacts.it": entry(SECRET, f"artifacts/{BAD}/secret.json")})


LINKS = {
    "a log file that is a link to one outside": linked_log,
    "a log file that is a link to nowhere": linked_to_nowhere,
    "a log file that is a link to itself": linked_to_itself,
    "a log file that is a link to a folder": linked_to_a_folder,
    "an artifact that is a link to a file outside": linked_artifact,
    "an artifact folder that is a link to a folder outside": linked_artifact_folder,
}

RUNNING = {
    "an unsigned pickle": unsigned_bomb,
    "a pickle with an empty signature": partial(forged_bomb, signature=""),
    "a pickle with a signature of nonsense": partial(forged_bomb, signature="ü:🎉:::"),
    "a pickle with the signature of another": borrowed_bomb,
    "a pickle in the place of a signed one": replaced_bomb,
    "a pickle that is said to be JSON": bomb_as_json,
}

HOSTILE = {
    **{f"an artifact path: {name}": partial(artifact_at, where=where) for name, where in PATHS.items()},
    **{f"an artifact name: {name!r}": partial(unsafe_name, name=name) for name in ("../x", "/x", "..", "C:\\x", "")},
    **{f"a path of points: {name}": partial(series_at, where=where) for name, where in PATHS.items()},
    **{f"points of {name}": partial(series_of, data=data) for name, data in ODD_SERIES.items()},
    **RUNNING,
    "a signed pickle moved to another experiment": moved_to_another_experiment,
    "a signed pickle moved to another name": moved_to_another_name,
    "a signed pickle moved to a test": moved_to_a_test,
    "an artifact at the path of another": named_over,
    **{
        f"{name} {depth} deep": partial(deep_field, field=field, depth=depth)
        for name, field in DEEP_FIELDS.items()
        for depth in (DEPTHS if name in {"a parameter", "a metric", "the name"} else DEPTHS[-1:])
    },
    **{
        f"{name} of dicts 900 deep": partial(deep_field, field=DEEP_FIELDS[name], depth=900, kind="dict")
        for name in ("a parameter", "a metric", "the notes", "an artifact")
    },
    "an environment 900 deep": partial(deep_in_an_entry, depth=900),
    "a key of a later version 900 deep": partial(deep_unknown_key, depth=900),
    **{f"a parameter {depth} deep": partial(beyond_depth, depth=depth) for depth in TOO_DEEP},
    "a number beyond floats": beyond_numbers,
    "half a character": half_a_character,
    **{name: partial(add, fields=fields) for name, fields in ODD_FIELDS.items()},
    **{f"a record of {name}": partial(add, record=record) for name, record in ODD_RECORDS.items()},
    **{f"a pack replacing {name}": partial(replacing, replaces=replaces) for name, replaces in REPLACES.items()},
}
if os.name != "nt":  # Windows lets few users make symbolic links
    HOSTILE |= LINKS
