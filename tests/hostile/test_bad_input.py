"""Bad input: it works as it is documented, or is refused by name, with nothing half written."""

import json
import math
import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lazytrack import Experiment, Project, Test
from lazytrack.errors import (
    ArtifactLogError,
    FormatError,
    LazytrackError,
    ReadOnlyError,
    SaveError,
    UnsafePathError,
)

NAMES = {
    "empty": "",
    "5000 characters": "n" * 5000,
    "5000 characters that are no ASCII": "ü" * 5000,
    "two dots": "..",
    "a dot": ".",
    "a slash": "/",
    "an absolute path": "/etc/passwd",
    "a climbing path": "../../outside",
    "a backslash": "\\",
    "a drive": "C:\\x",
    "a NUL": "a\0b",
    "con": "con",
    "con with a suffix": "CON.txt",
    "emoji": "🎉",
    "dots inside": "a.b.c",
    "a dot in front": ".hidden",
    "a space": " ",
    "a line end": "a\nb",
    "a bar": "|",
    "what a URL has": "a#b?c%20d&e",
    "a terminal code": "\x1b[2J",
    "like a field": "metrics.auc",
    "like an escape": "float",
}
NO_TEXT = {"None": None, "a number": 5, "bytes": b"name", "a list": ["name"]}
NO_UNICODE = "half a pair \ud83d"


@pytest.fixture
def home(tmp_path):
    """Return the folder of the project; nothing else below `tmp_path` may ever be written."""
    return tmp_path / "churn"


@pytest.fixture
def project(home):
    """Return a project with a saved experiment."""
    project = Project(home, mode="w+")
    exp = project.log("one")
    exp.log_metric("auc", 1)
    exp.log_parameter("lr", 0.1)
    exp.tag("sound")
    exp.log_test("women").log_metric("auc", 2)
    exp.log_artifact("it", [1], handler="json")
    exp.dependencies["base"] = project.log("base")
    project.save()
    return project


def files(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def stored(project, name="one"):
    """Save, check that all files are where they belong, and return the experiment as somebody else reads it."""
    project.save()
    home = Path(project.fpath).parent
    assert [file.name for file in home.parent.iterdir()] == [home.name]
    assert {file.name for file in home.iterdir()} == {"project.json", "project"}
    assert {file.name for file in (home / "project").iterdir()} <= {"log", "artifacts"}
    again = Project(project.fpath, mode="r")
    assert again.problems == {}
    json.dumps(list(again))
    return again[name]


class refused:  # noqa: N801  (it is used like `pytest.raises`)
    """Check that a block raises, and that it has changed nothing of a project, in memory or on disk."""

    def __init__(self, project, kind, match):
        self.project = project
        self.raises = pytest.raises(kind, match=match)

    def __enter__(self):
        self.told = list(self.project)
        self.files = files(Path(self.project.fpath).parent.parent)
        return self.raises.__enter__()

    def __exit__(self, *raised):
        result = self.raises.__exit__(*raised)
        assert [item | {"last_updated": 0} for item in self.project] == [i | {"last_updated": 0} for i in self.told]
        assert files(Path(self.project.fpath).parent.parent) == self.files
        self.project["one"].log_metric("after", 1)
        assert stored(self.project).metrics["after"] == 1
        return result


# --- names ---


def holds_name(project, kind, name):
    """Log under a name, and return a function that says whether a stored experiment shows it."""
    exp = project["one"]
    match kind:
        case "parameter":
            exp.log_parameter(name, name)
            return lambda exp: exp.parameters == {"lr": 0.1, name: name}
        case "metric":
            exp.log_metric(name, 7)
            return lambda exp: exp.metrics == {"auc": 1} | {name: 7}
        case "tag":
            exp.tag(name)
            return lambda exp: exp.tags == ["sound", name]
        case "test":
            exp.log_test(name, name).log_metric("auc", 7)
            return lambda exp: [(t.name, t.metrics["auc"]) for t in exp.tests] == [("women", 2), (name, 7)]
        case "artifact":
            exp.log_artifact(name, [name], handler="json")
            return lambda exp: exp.load_artifact(name) == [name] and len(exp.artifacts) == 2
        case "artifact of a test":
            exp.tests[0].log_artifact(name, [name], handler="pickle")
            return lambda exp: exp.tests[0].load_artifact(name) == [name]
        case "dependency":
            exp.dependencies[name] = project["base"]
            return lambda exp: exp.dependencies[name].name == "base"
        case "experiment":
            slug = project.log(name, notes=name).slug
            return lambda exp: (
                [(e.name, e.notes) for e in Project(exp.project, "r").experiments if e.slug == slug] == [(name, name)]
            )
    raise AssertionError(kind)


KINDS = ["experiment", "test", "artifact", "artifact of a test", "parameter", "metric", "tag", "dependency"]


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_text_is_a_name(project, kind, name):
    shows = holds_name(project, kind, name)
    assert shows(stored(project))


@pytest.mark.parametrize("kind", KINDS)
def test_names_that_differ_only_by_case_are_two(project, kind):
    for name in ("Ab", "ab", "AB"):
        holds_name(project, kind, name)
    exp = stored(project)
    match kind:
        case "experiment":
            names = [e.name for e in Project(project.fpath, mode="r").experiments][2:]
        case "test":
            names = [test.name for test in exp.tests][1:]
        case "artifact":
            names = [artifact.name for artifact in exp.artifacts][1:]
            assert [exp.load_artifact(name) for name in names] == [["Ab"], ["ab"], ["AB"]]
            paths = [artifact.stored.path.lower() for artifact in exp.artifacts]
            assert len({*paths}) == len(paths)
        case "artifact of a test":
            names = [artifact.name for artifact in exp.tests[0].artifacts]
            assert [exp.tests[0].load_artifact(name) for name in names] == [["Ab"], ["ab"], ["AB"]]
        case "dependency":
            names = list(exp.dependencies)[1:]
        case "tag":
            names = exp.tags[1:]
        case _:
            names = list(getattr(exp, f"{kind}s"))[1:]
    assert names == ["Ab", "ab", "AB"]


@pytest.mark.parametrize("name", NO_TEXT.values(), ids=NO_TEXT)
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_no_text_is_refused(project, kind, name):
    with refused(project, TypeError, r"(name|a tag|artifact|dependency).* must be a string, not \w+"):
        holds_name(project, kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_no_unicode_is_refused(project, kind):
    with refused(project, ValueError, "is not valid Unicode"):
        holds_name(project, kind, NO_UNICODE)


@pytest.mark.parametrize(
    "change",
    [
        lambda exp: exp.log_parameters({"fine": 1, 5: 2}),
        lambda exp: exp.log_metrics({"fine": 1, 5: 2}),
        lambda exp: exp.tag("fine", 5),
        lambda exp: exp.tag("fine", 5, overwrite=True),
        lambda exp: setattr(exp, "parameters", {"fine": 1, 5: 2}),
        lambda exp: setattr(exp, "metrics", {"fine": 1, 5: 2}),
        lambda exp: setattr(exp, "tags", ["fine", 5]),
        lambda exp: exp.parameters.__setitem__(5, 2),
    ],
    ids=["parameters", "metrics", "tags", "tags anew", "all parameters", "all metrics", "all tags", "an item"],
)
def test_of_several_names_one_of_which_is_no_text_none_is_logged(project, change):
    with refused(project, TypeError, "must be a string, not int 5"):
        change(project["one"])


# --- values ---


class Opaque:
    def __repr__(self):
        raise RuntimeError


def circle():
    found = []
    found.append(found)
    return found


def nested(depth, value=()):
    value = list(value)
    for _ in range(depth - 1):
        value = [value]
    return value


BAD_PARAMETERS = {
    "an object": (object(), TypeError, r"parameters\.bad cannot be held as JSON: object .*log_artifact"),
    "an object that cannot be shown": (
        Opaque(),
        TypeError,
        r"parameters\.bad cannot be held as JSON: Opaque <no repr>",
    ),
    "bytes": (b"x", TypeError, r"parameters\.bad cannot be held as JSON: bytes"),
    "a complex number": (1j, TypeError, r"parameters\.bad cannot be held as JSON: complex"),
    "a generator": ((x for x in ()), TypeError, r"parameters\.bad cannot be held as JSON: generator"),
    "an object inside": ({"a": [{"b": object()}]}, TypeError, r"parameters\.bad cannot be held as JSON: object"),
    "a key inside": ({"a": {(1, 2): 3}}, TypeError, r"parameters\.bad has a key that JSON cannot hold: tuple"),
    "two keys that are one": ({1: "a", "1": "b"}, ValueError, r"parameters\.bad has two keys that are '1' in JSON"),
    "half a pair": ([NO_UNICODE], ValueError, r"parameters\.bad is not valid Unicode"),
    "half a pair as a key": ({NO_UNICODE: 1}, ValueError, r"a key of .*parameters\.bad is not valid Unicode"),
    "a list that holds itself": (circle(), ValueError, r"parameters\.bad is nested deeper than 100 .*holds itself"),
    "101 deep": (nested(101), ValueError, r"parameters\.bad is nested deeper than 100"),
    "100,000 deep": (nested(100_000), ValueError, r"parameters\.bad is nested deeper than 100"),
    "a large array": (np.zeros(10_001), ValueError, r"parameters\.bad is an array of 10001 elements.*log_artifact"),
    "a huge integer": (10**5000, ValueError, r"parameters\.bad is an integer of more than 4300 digits"),
}


@pytest.mark.parametrize(("value", "kind", "match"), BAD_PARAMETERS.values(), ids=BAD_PARAMETERS)
@pytest.mark.parametrize("part", ["experiment", "test"])
def test_a_parameter_that_json_cannot_hold_is_refused_by_name(project, part, value, kind, match):
    exp = project["one"]
    with refused(project, kind, match):
        (exp if part == "experiment" else exp.tests[0]).log_parameter("bad", value)


@pytest.mark.parametrize(
    "value",
    [
        nested(99),
        nested(100),
        10**400,
        -(10**4000),
        2**64,
        math.inf,
        {"float": "NaN"},
        {"dict": {"dict": 1}},
        {"": {"": ""}},
        "\0",
        "x" * 1_000_000,
        list(range(20_000)),
        -0.0,
        5e-324,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_extreme_parameter_is_kept_as_it_is(project, value):
    project["one"].log_parameter("extreme", value)
    exp = stored(project)
    assert exp.parameters["extreme"] == value
    assert exp.to_dict()["parameters"]["extreme"] == value
    assert exp == project["one"]


BAD_METRICS = {
    "None": (None, TypeError),
    "text": ("0.9", TypeError),
    "bytes": (b"0.9", TypeError),
    "a dict": ({"a": 1}, TypeError),
    "a set": ({1}, TypeError),
    "a complex number": (1j, TypeError),
    "numpy's complex number": (np.complex128(1j), TypeError),
    "a time": (np.datetime64("2026-11-20"), TypeError),
    "a list with None": ([1, None], TypeError),
    "a list with text": ([1, ["0.9"]], TypeError),
    "an array of text": (np.array(["a"]), TypeError),
    "an array of times": (np.array(["2026-11-20"], dtype="M8[s]"), TypeError),
    "a huge integer": (10**400, ValueError),
    "a huge integer in a list": ([10**400], ValueError),
    "a huge long double": (np.longdouble("1e4000"), ValueError),
    "a huge decimal": (Decimal("1e400"), ValueError),
    "a huge fraction": (Fraction(10**400), ValueError),
    "a signalling NaN": (Decimal("sNaN"), ValueError),
    "a list that holds itself": (circle(), ValueError),
    "100,000 deep": (nested(100_000), ValueError),
}


@pytest.mark.parametrize(("value", "kind"), BAD_METRICS.values(), ids=BAD_METRICS)
@pytest.mark.parametrize("part", ["experiment", "test"])
def test_a_metric_that_is_no_number_is_refused_by_name(project, part, value, kind):
    exp = project["one"]
    says = "must be a number or a list of numbers, not" if kind is TypeError else "(does not fit a float|nested deeper)"
    with refused(project, kind, rf"metrics\.bad .*{says}"):
        (exp if part == "experiment" else exp.tests[0]).log_metric("bad", value)


def test_of_several_metrics_one_of_which_is_no_number_none_is_logged(project):
    with refused(project, TypeError, r"metrics\.bad must be a number"):
        project["one"].log_metrics({"fine": 1, "bad": None})


GOOD_METRICS = {
    "NaN": (math.nan, math.nan),
    "infinity": (math.inf, math.inf),
    "minus infinity": (-math.inf, -math.inf),
    "a list of them": ([math.nan, math.inf, 1], [math.nan, math.inf, 1]),
    "numpy's float": (np.float32(0.5), 0.5),
    "numpy's NaN": (np.float64("nan"), math.nan),
    "numpy's integer": (np.int64(-7), -7),
    "numpy's largest integer": (np.uint64(2**64 - 1), 2**64 - 1),
    "numpy's truth": (np.bool_(1), 1),
    "numpy's long double": (np.longdouble(0.5), 0.5),
    "an array of no dimension": (np.array(3), 3),
    "an array": (np.array([[1.0, np.inf], [2.0, np.nan]]), [[1, math.inf], [2, math.nan]]),
    "an empty list": ([], []),
    "99 deep": (nested(99, [1.0]), nested(99, [1.0])),
    "100 deep": (nested(100, [1.0]), nested(100, [1.0])),
    "100 deep and empty": (nested(100), nested(100)),
    "an integer beyond 64 bits": (2**70, float(2**70)),
    "the largest float": (1.7976931348623157e308, 1.7976931348623157e308),
    "the least float": (5e-324, 5e-324),
    "a decimal": (Decimal("0.5"), 0.5),
}


@pytest.mark.parametrize(("value", "expected"), GOOD_METRICS.values(), ids=GOOD_METRICS)
def test_a_number_of_any_kind_is_a_metric(project, value, expected):
    project["one"].log_metric("it", value)
    exp = stored(project)
    assert repr(exp.metrics["it"]).replace(".0", "") == repr(expected).replace(".0", "")
    assert exp == project["one"]
    found = Project(project.fpath, mode="r").best("it")
    assert len(found) == (isinstance(expected, (int, float)) and not math.isnan(expected))


def test_a_metric_nested_deeper_than_can_be_read_is_refused(project):
    with refused(project, ValueError, r"metrics\.bad is nested deeper"):
        project["one"].log_metric("bad", nested(101))


# --- expiry ---

ZONE = timezone(timedelta(hours=5))


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)),
        (datetime(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
        (datetime(2020, 1, 1, 5, tzinfo=ZONE), datetime(2020, 1, 1, tzinfo=UTC)),
        ("2020-01-01", datetime(2020, 1, 1, tzinfo=UTC)),
        ("2020-01-01T05:00:00+05:00", datetime(2020, 1, 1, tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
        (timedelta(days=-1), None),
        ("0d", None),
    ],
    ids=str,
)
def test_an_expiry_in_the_past_is_kept_and_loading_warns(project, expiry, expected):
    project["one"].log_artifact("old", [1], handler="json", expiry=expiry)
    exp = stored(project)
    artifact = next(artifact for artifact in exp.artifacts if artifact.name == "old")
    assert artifact.expiry == expected if expected else artifact.expiry <= datetime.now(UTC)
    with pytest.warns(UserWarning, match=r"artifact 'old' expired at .*Z: it should not be used any more"):
        assert exp.load_artifact("old") == [1]


@pytest.mark.parametrize(
    "expiry",
    [datetime(9999, 12, 31), "9999-12-31", timedelta(days=1), "90d", " 12 h "],  # noqa: DTZ001
    ids=str,
)
def test_an_expiry_in_the_future_is_kept_and_loading_does_not_warn(project, expiry):
    project["one"].log_artifact("new", [1], handler="json", expiry=expiry)
    assert stored(project).load_artifact("new") == [1]


@pytest.mark.parametrize(
    ("expiry", "kind"),
    [
        ("soon", ValueError),
        ("", ValueError),
        ("90 days", ValueError),
        ("-1d", ValueError),
        ("999999w", ValueError),
        ("2026-02-30", ValueError),
        ("0001-01-01T00:00:00+14:00", ValueError),
        (timedelta.max, ValueError),
        (datetime.min.replace(tzinfo=ZONE), ValueError),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))), ValueError),
        (90, TypeError),
        (["90d"], TypeError),
        (datetime(2026, 11, 20, tzinfo=UTC).date(), TypeError),
    ],
    ids=str,
)
def test_an_expiry_that_cannot_be_read_is_refused(project, expiry, kind):
    with refused(project, kind, r"expiry of artifact 'bad' (cannot be read|must be a time).*'90d'"):
        project["one"].log_artifact("bad", [1], handler="json", expiry=expiry)


# --- artifacts ---

LEAVING = [
    "",
    ".",
    "..",
    "/",
    "//",
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a/..",
    "\\x",
    "..\\x",
    "a\\..\\..\\x",
    "C:\\x",
    "C:/x",
    "C:x",
    "c:",
    "\\\\machine\\share\\x",
    "a\0b",
]


@pytest.mark.parametrize("fname", LEAVING, ids=repr)
@pytest.mark.parametrize("part", ["experiment", "test"])
def test_a_file_name_that_leaves_the_store_is_refused(project, part, fname):
    exp = project["one"]
    with refused(project, UnsafePathError, f"path {re.escape(repr(fname))} is not inside the store: give a relative"):
        (exp if part == "experiment" else exp.tests[0]).log_artifact("bad", [1], handler="json", fname=fname)


@pytest.mark.parametrize("fname", [5, ["x"], b"x", Path("x")], ids=repr)
def test_a_file_name_that_is_no_text_is_refused(project, fname):
    with refused(project, TypeError, "fname of artifact 'bad' must be a string, not"):
        project["one"].log_artifact("bad", [1], handler="json", fname=fname)


@pytest.mark.parametrize(
    "fname",
    ["a b#c?d%e.json", "con.json", "a/con/b.json", "a//b.json", "./a.json", "x" * 5000, "🎉.json", "a.", " ", "a\\b"],
    ids=lambda fname: repr(fname)[:20],
)
def test_an_odd_file_name_stays_inside(project, fname):
    project["one"].log_artifact("odd", [1], handler="json", fname=fname)
    assert stored(project).load_artifact("odd") == [1]


@pytest.mark.parametrize("handler", ["excel", "", "JSON", "json ", 5, ["json"], "__class__"], ids=repr)
def test_an_unknown_handler_is_refused_and_the_known_ones_are_named(project, handler):
    with refused(project, ValueError, rf"no handler {re.escape(repr(handler))}; known: .*'?json'?.*'?pickle'?"):
        project["one"].log_artifact("bad", [1], handler=handler)


def test_an_artifact_that_is_there_is_refused_and_the_way_out_is_named(project):
    with refused(project, ArtifactLogError, r"there is an artifact 'it' already: .*overwrite=True"):
        project["one"].log_artifact("it", [2], handler="json")


@pytest.mark.parametrize(
    ("value", "handler"),
    [(object(), "json"), ({(1, 2): 3}, "json"), (lambda: None, "pickle"), (circle(), "json"), (nested(10_000), "json")],
    ids=["an object", "a key", "a lambda", "a list that holds itself", "10,000 deep"],
)
def test_an_artifact_that_cannot_be_written_is_named_and_all_else_is_saved(project, home, value, handler):
    exp = project["one"]
    before = set(files(home / "project" / "artifacts"))
    exp.log_artifact("bad", value, handler=handler)
    exp.log_artifact("fine", [2], handler="json")
    exp.log_metric("fine", 2)
    with pytest.raises(SaveError, match=r"all was saved but artifact 'bad' of one-.*overwrite=True"):
        project.save()
    assert len(files(home / "project" / "artifacts").keys() - before) == 1
    again = Project(home, mode="r")["one"]
    assert again.metrics["fine"] == 2
    assert again.load_artifact("fine") == [2]
    assert "bad" not in [artifact.name for artifact in again.artifacts]
    exp.log_artifact("bad", [3], handler="json", overwrite=True)
    assert stored(project).load_artifact("bad") == [3]


# --- modes, slugs ---


@pytest.mark.parametrize("mode", ["x", "", "R", "rb", "r+", "a+", None, 5, ["r"]], ids=repr)
def test_an_unknown_mode_is_refused_and_the_known_ones_are_named(home, mode):
    with pytest.raises(ValueError, match=rf"no mode {re.escape(repr(mode))}; known: 'r' read only; .*'w\+' edit"):
        Project(home, mode=mode)
    assert not home.exists()


@pytest.mark.parametrize("slug", ["nothing", "", "..", "/", "\0", "🎉", None, 5, b"one", ["one"], "o" * 5000], ids=repr)
@pytest.mark.parametrize(
    "ask",
    [lambda project, slug: project[slug], lambda project, slug: project.attach(slug), Project.delete],
    ids=["get", "attach", "delete"],
)
def test_an_unknown_slug_is_refused_and_the_project_is_named(project, ask, slug):
    with refused(project, KeyError, r"no experiment .* in .*project\.json"):
        ask(project, slug)
    assert slug not in project


@pytest.mark.parametrize("name", ["nothing", "", "IT", None, 5], ids=repr)
def test_an_unknown_artifact_is_refused_and_the_known_ones_are_named(project, name):
    with refused(project, LazytrackError, rf"no artifact {re.escape(repr(name))} here; known: 'it'"):
        project["one"].load_artifact(name)


@pytest.mark.parametrize("status", ["exploded", "", None, 5, ["running"]], ids=repr)
def test_an_unknown_status_is_refused_and_the_known_ones_are_named(project, status):
    with refused(project, ValueError, rf"no status {re.escape(repr(status))}; known: running, completed"):
        project["one"].status = status


def test_the_worst_number_to_ask_for_is_none(project):
    for n in (0, -1, 10**9):
        assert len(project.best("auc", n=n)) == min(max(n, 0), 1)


# --- paths ---

PATHS = [
    "with space",
    "a#b",
    "a?b",
    "a%20b",
    "a|b",
    "a//b",
    "a///b//",
    "./a/../b",
    "C:\\x",
    "C:/x",
    "C:/x/churn.json",
    "C://x",
    "c:",
    "a:b",
    "a b#c?d%20e|f/churn.json",
    "🎉",
    "-rf",
    "a'b\"c",
    "a\nb",
    "[a]*",
    "$HOME",
    "{a}",
    "x.JSON",
    "a.json.json",
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "absolute"])
def test_a_project_may_have_any_path(tmp_path, monkeypatch, path, absolute):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    path = f"{home}/{path}" if absolute else path
    project = Project(path)
    with project.log("one") as exp:
        exp.log_artifact("it", [1], handler="json")
    project.save()
    head = Path(path) if path.endswith(".json") else Path(path) / "project.json"
    assert Path(os.path.normpath(head)).is_file()
    written = {file for file in tmp_path.rglob("*") if file.is_file()}
    assert len(written) == 3
    assert all(home in file.parents for file in written)
    again = Project(path, mode="r")
    assert again["one"].load_artifact("it") == [1]
    assert Project(again["one"].project, mode="r")["one"] == again["one"]


def test_a_path_that_begins_with_two_slashes_is_absolute(tmp_path):
    project = Project(f"/{tmp_path}/churn")
    project.log("one")
    project.save()
    assert (tmp_path / "churn" / "project.json").is_file()
    assert len(Project(tmp_path / "churn", mode="r")) == 1


@pytest.mark.parametrize(
    ("path", "kind", "match"),
    [
        ("", ValueError, "names no project"),
        (".json", ValueError, "names no project"),
        ("a\0b", ValueError, r"a\\x00b|null"),
        (5, TypeError, "int"),
        (None, TypeError, "NoneType"),
        (b"churn", TypeError, "bytes"),
        ("gopher://somewhere", ValueError, "cannot keep a store at 'gopher://.*known: abfs"),
        ("x" * 5000, OSError, "name too long"),
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("mode", ["r", "a", "w", "w+"])
def test_a_path_that_no_project_can_have_is_refused(tmp_path, monkeypatch, mode, path, kind, match):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=match):
        Project(path, mode=mode)
    assert list(tmp_path.iterdir()) == []


HEADS = {
    "what lazyscribe writes": (json.dumps([{"name": "one", "slug": "one-1"}]), "a JSON list, as lazyscribe writes"),
    "an empty list": ("[]", "a JSON list, as lazyscribe writes"),
    "an empty dict": ("{}", "is JSON, but not a lazytrack document; lazytrack needs a path of its own"),
    "somebody's package": ('{"name": "churn", "version": "1.0"}', "not a lazytrack document"),
    "a number": ("5", "not a lazytrack document"),
    "null": ("null", "not a lazytrack document"),
    "no JSON": ("name,auc\n", "is not JSON"),
    "a space": (" ", "is not JSON"),
    "half a head": ('{"format": "lazytrack/1", "ki', "is not JSON"),
    "NaN": ("NaN", "is not JSON"),
    "100,000 deep": ("[" * 100_000, "is not JSON"),
    "a newer head": ('{"format": "lazytrack/2", "kind": "project", "id": "x"}', "'lazytrack/2'.*upgrade lazytrack"),
    "a format that is a number": ('{"format": 1, "kind": "project", "id": "x"}', "not a lazytrack document"),
    "a repository": ('{"format": "lazytrack/1", "kind": "repository", "id": "x"}', "is a lazytrack repository, not a"),
    "a log file": ('{"format": "lazytrack/1", "kind": "log", "id": "x"}', "is a lazytrack log, not a project"),
    "no kind": ('{"format": "lazytrack/1", "id": "x"}', "not a project"),
    "a kind that is a list": ('{"format": "lazytrack/1", "kind": ["project"], "id": "x"}', "not a project"),
}


@pytest.mark.parametrize(("content", "match"), HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("mode", ["r", "a", "w", "w+"])
def test_a_file_that_is_no_head_is_refused_by_name_and_left_alone(tmp_path, mode, content, match):
    head = tmp_path / "churn.json"
    head.write_text(content)
    with pytest.raises(FormatError, match=f"{re.escape(str(head))}.*{match}"):
        Project(head, mode=mode)
    assert files(tmp_path) == {head: content.encode()}


@pytest.mark.parametrize("mode", ["r", "a", "w", "w+"])
def test_a_folder_in_the_place_of_the_head_is_refused_by_name(tmp_path, mode):
    head = tmp_path / "churn.json"
    head.mkdir()
    with pytest.raises(FormatError, match=f"{re.escape(str(head))} is a folder, not the head of a project"):
        Project(head, mode=mode)
    assert list(tmp_path.rglob("*")) == [head]


@pytest.mark.parametrize("place", ["churn", "churn/log"])
def test_a_file_in_the_place_of_a_folder_is_named_and_nothing_is_half_written(tmp_path, place):
    head = tmp_path / "churn.json"
    Project(head).save()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("mine")
    before = files(tmp_path)
    project = Project(head)
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json")
    with pytest.raises(SaveError, match=r"churn\.json: (nothing|all) was saved"):
        project.save()
    after = files(tmp_path)
    assert {file: after[file] for file in before} == before
    assert [file for file in after.keys() - before.keys() if "artifacts" not in file.parts] == []
    assert exp.dirty
    (tmp_path / place).unlink()
    project.save()
    assert Project(head, mode="r")["one"].load_artifact("it") == [1]


def test_reading_what_is_not_there_warns_and_makes_nothing(tmp_path):
    path = tmp_path / "nowhere" / "churn.json"
    with pytest.warns(UserWarning, match=f"there is no project at {re.escape(str(path))}: reading an empty one"):
        project = Project(path, mode="r")
    assert project.experiments == []
    with pytest.raises(ReadOnlyError, match=r"was opened with mode='r': open it with 'a', 'w' or 'w\+'"):
        project.log("one")
    with pytest.raises(ReadOnlyError, match="to save it"):
        project.save()
    assert list(tmp_path.iterdir()) == []


# --- wrong types ---


def test_only_an_experiment_can_be_appended(project):
    for value in (5, None, "one", {"name": "one"}, Test("one"), project, Experiment):
        with refused(project, TypeError, f"only a.* Experiment can be appended, not {type(value).__name__}"):
            project.append(value)


def test_only_a_project_can_be_merged(project):
    for value in (5, None, project.fpath, project["one"], [project], Project):
        with refused(project, TypeError, f"only a Project can be merged, not {type(value).__name__}"):
            project.merge(project, value)


@pytest.mark.parametrize("value", [5, "one", None, {"a": 1}, Test("a"), Experiment], ids=repr)
def test_only_an_experiment_can_be_a_dependency(project, value):
    with refused(project, TypeError, f"a dependency is an experiment, not {type(value).__name__}"):
        project["one"].dependencies["base"] = value


def test_of_several_dependencies_one_of_which_is_none_none_is_set(project):
    with refused(project, TypeError, "a dependency is an experiment, not int"):
        project["one"].dependencies = {"other": project["base"], "bad": 5}


@pytest.mark.parametrize("value", [5, "t", None, {"name": "t"}, Experiment], ids=repr)
@pytest.mark.parametrize(
    "change",
    [
        lambda tests, value: tests.append(value),
        lambda tests, value: tests.insert(0, value),
        lambda tests, value: tests.__setitem__(0, value),
        lambda tests, value: tests.__setitem__(slice(None), [Test("fine"), value]),
    ],
    ids=["append", "insert", "replace", "replace all"],
)
def test_only_a_test_can_be_among_the_tests(project, change, value):
    with refused(project, TypeError, f"tests hold objects of class Test, not {type(value).__name__}"):
        change(project["one"].tests, value)


def test_a_test_of_another_experiment_is_refused_and_the_way_out_is_named(project):
    test = project["one"].tests[0]
    with refused(project, ValueError, r"test 'women' belongs to another experiment: append a copy, copy\.copy\(test\)"):
        project["base"].tests.append(test)


ARGUMENTS = {
    "name": [5, None, b"x"],
    "author": [5, b"x"],
    "metrics": [5, "auc", [1], {"auc": None}, {5: 1}],
    "parameters": [5, "lr", [1], {"lr": object()}, {5: 1}],
    "tags": [5, [5], [None]],
    "tests": [5, [5], ["t"]],
    "dependencies": [5, [5], {"a": 5}],
    "notes": [5, ["a"]],
    "created_at": [5, "yesterday", "2026-11-20"],
}


@pytest.mark.parametrize(
    ("argument", "value"),
    [(argument, value) for argument, values in ARGUMENTS.items() for value in values],
    ids=lambda value: repr(value)[:20],
)
def test_an_experiment_made_of_wrong_things_names_what_is_wrong(argument, value):
    says = {"dependencies": "dependenc", "tags": "tag"}.get(argument, argument.removesuffix("s"))
    with pytest.raises((TypeError, ValueError), match=f"(?i){says}"):
        Experiment(**{"name": "one", argument: value})


@pytest.mark.parametrize("value", [5, ["a"], b"a"], ids=repr)
def test_notes_and_descriptions_are_text(project, value):
    with refused(project, TypeError, "notes must be a string, not"):
        project["one"].notes = value
    with refused(project, TypeError, "the description of a test must be a string, not"):
        project["one"].tests[0].description = value
    with refused(project, TypeError, "notes must be a string, not"):
        project.log("new", notes=value)
    with refused(project, TypeError, "the description of a test must be a string, not"):
        project["one"].log_test("new", value)


@pytest.mark.parametrize("section", ["parameters", "metrics"])
@pytest.mark.parametrize("value", [5, "lr", [1], [("a", 1)], None], ids=repr)
def test_a_section_is_a_dict(project, section, value):
    exp = project["one"]
    with refused(project, TypeError, f"{section} are logged as a dict, not as {type(value).__name__}"):
        setattr(exp, section, value)
    with refused(project, TypeError, f"{section} are logged as a dict, not as {type(value).__name__}"):
        getattr(exp, f"log_{section}")(value)


def test_what_is_refused_in_a_block_is_noted_as_its_failure_and_the_rest_is_saved(project, home):
    with suppress(TypeError), project.log("broken") as exp:
        exp.log_metric("fine", 1)
        exp.log_metric("bad", None)
    again = Project(home, mode="r")["broken"]
    assert (again.status, again.metrics) == ("failed", {"fine": 1})
    assert "metrics.bad must be a number" in again.error
