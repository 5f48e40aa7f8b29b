"""Experiments and tests: what they hold, what is noted as changed, what is refused."""

import copy
import enum
import math
import re
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import pytest

from lazytrack import Project, Test
from lazytrack.artifacts import JSONArtifact
from lazytrack.errors import ArtifactLoadError, ArtifactLogError, ReadOnlyError, UnsafePathError
from lazytrack.tracking import ReadOnlyTest


class Color(enum.Enum):
    RED = "red"


@attrs.define
class Plot(JSONArtifact):
    alias: ClassVar[str] = "plot-that-is-only-written"
    output_only: ClassVar[bool] = True


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn", mode="w+", author="dana")


def stored(project, name="one"):
    """Save, and return the experiment as somebody else reads it."""
    project.save()
    return Project(project.fpath, mode="r")[name]


# --- what it is ---


def test_an_experiment_knows_its_names_and_times(project):
    before = datetime.now(UTC)
    exp = project.log("Größe & Maß, v2!")
    assert re.fullmatch(r"grosse-mass-v2-\d{14}-[0-9a-z]{8}", exp.slug)
    assert exp.short_slug == "grosse-mass-v2"
    assert exp.name == "Größe & Maß, v2!"
    assert before <= exp.created_at <= exp.last_updated <= datetime.now(UTC)
    assert exp.created_at.tzinfo is UTC
    assert exp.author == exp.last_updated_by == "dana"
    assert stored(project, exp.slug).created_at == exp.created_at


@pytest.mark.parametrize("name", ["", "🎉", "..", "/", "\\", "\0", "con", "a" * 5000, "|", "x\ny", "#?%"])
def test_any_text_is_a_name(project, name):
    with project.log(name) as exp:
        exp.log_artifact(name, [1], handler="json")
        exp.log_test(name).log_metric(name, 1)
        exp.log_parameter(name, 2)
        exp.tag(name)
    found = stored(project, exp.slug)
    assert found.name == name
    assert found.load_artifact(name) == [1]
    assert found.tests[0].name == name
    assert found.tests[0].metrics == {name: 1}
    assert found.parameters == {name: 2}
    assert found.tags == [name]
    inside = Path(project.folder).resolve()
    assert all(path.resolve().is_relative_to(inside) for path in inside.rglob("*"))


@pytest.mark.parametrize("name", [None, 3, b"x", "\ud800"])
def test_what_is_no_text_is_no_name(project, name):
    with pytest.raises((TypeError, ValueError), match="the name of an experiment"):
        project.log(name)
    assert project.experiments == []


def test_a_block_that_ends_well_is_completed_and_waits_for_save(project):
    with project.log("one") as exp:
        assert exp.status == "running"
    assert exp.status == "completed"
    assert not Path(project.fpath).exists()
    assert stored(project).status == "completed"


def test_a_block_that_raises_is_saved_at_once_as_failed_with_its_traceback(project):
    other = project.log("other")
    with pytest.raises(ZeroDivisionError), project.log("one") as exp:
        exp.log_metric("auc", 0.5)
        exp.log_metric("auc", 1 / 0)
    found = Project(project.fpath, mode="r")
    assert [e.name for e in found.experiments] == ["one"]
    assert found["one"].status == "failed"
    assert found["one"].metrics == {"auc": 0.5}
    assert "ZeroDivisionError: division by zero" in found["one"].error
    assert other.dirty


def test_an_interrupt_goes_on_and_is_recorded(project):
    with pytest.raises(KeyboardInterrupt), project.log("one"):
        raise KeyboardInterrupt
    assert Project(project.fpath, mode="r")["one"].status == "failed"


def test_an_unknown_status_is_refused(project):
    with pytest.raises(ValueError, match="no status 'done'; known: running"):
        project.log("one").status = "done"


# --- values ---


def test_values_become_json_when_they_are_logged(project):
    exp = project.log("one")
    exp.log_parameter("lr", np.float32(0.5))
    exp.log_parameter("shape", (3, np.int64(4)))
    exp.log_parameter("path", Path("a/b"))
    exp.log_parameter("when", datetime(2026, 11, 20, tzinfo=UTC))
    exp.log_parameter("color", Color.RED)
    exp.log_parameter("set", {"b", "a"})
    exp.log_metric("auc", np.float32(0.25))
    exp.log_metric("folds", np.array([1.0, 2.0]))
    expected = {
        "lr": 0.5,
        "shape": [3, 4],
        "path": "a/b",
        "when": "2026-11-20T00:00:00.000000Z",
        "color": "red",
        "set": ["a", "b"],
    }
    assert exp.parameters == expected
    assert exp.metrics == {"auc": 0.25, "folds": [1.0, 2.0]}
    found = stored(project)
    assert found.parameters == expected
    assert found.metrics == exp.metrics


def test_what_json_cannot_say_comes_back_as_it_was(project):
    exp = project.log("one")
    values = {"huge": 10**400, "own": {"float": "NaN"}, "wrapped": {"dict": {"dict": 1}}, "int": {"int": "3"}}
    exp.parameters.update(values)
    exp.log_parameter("deep", [math.inf, {"a": -math.inf}])
    exp.log_metric("bad", float("-inf"))
    exp.log_metric("nan", float("nan"))
    found = stored(project)
    assert found.parameters == values | {"deep": [math.inf, {"a": -math.inf}]}
    assert found.metrics["bad"] == -math.inf
    assert math.isnan(found.metrics["nan"])


@pytest.mark.parametrize("value", [object(), b"bytes", {1: {2: object()}}, "\ud800", [lambda: 0, object()]])
def test_a_parameter_that_json_cannot_hold_is_refused_by_name_when_it_is_logged(project, value):
    exp = project.log("one")
    exp.log_parameter("fine", 1)
    with pytest.raises((TypeError, ValueError), match=r"parameters\.wrong"):
        exp.log_parameter("wrong", value)
    assert stored(project).parameters == {"fine": 1}


@pytest.mark.parametrize("value", [None, "0.5", 10**400, object(), {"a": 1}, [1, "x"], 1j])
def test_a_metric_that_is_no_number_is_refused_by_name_when_it_is_logged(project, value):
    exp = project.log("one")
    with pytest.raises((TypeError, ValueError), match=r"metrics\.wrong"):
        exp.log_metric("wrong", value)
    assert exp.metrics == {}


@pytest.mark.parametrize("key", [3, None, b"x", ("a",)])
def test_a_key_that_is_no_text_is_refused(project, key):
    exp = project.log("one")
    with pytest.raises(TypeError, match="a name in parameters must be a string"):
        exp.parameters[key] = 1
    with pytest.raises(TypeError, match="a name in metrics must be a string"):
        exp.log_metric(key, 1)
    with pytest.raises(TypeError, match="a tag must be a string"):
        exp.tag(key)


# --- changes ---

CHANGES = {
    "set": lambda p: p.__setitem__("new", 1),
    "delete": lambda p: p.__delitem__("list"),
    "pop": lambda p: p.pop("list"),
    "pop what is not there": lambda p: p.pop("nothing", None),
    "popitem": lambda p: p.popitem(),
    "clear": lambda p: p.clear(),
    "update": lambda p: p.update({"a": 1}, b=2),
    "setdefault": lambda p: p.setdefault("new", []).append(1),
    "or": lambda p: p.__ior__({"z": 1}),
    "append": lambda p: p["list"].append({"x": 1}),
    "extend": lambda p: p["list"].extend([1, 2]),
    "extend by itself": lambda p: p["list"].extend(p["list"]),
    "insert": lambda p: p["list"].insert(0, (1, 2)),
    "remove": lambda p: p["list"].remove(3),
    "list pop": lambda p: p["list"].pop(),
    "list clear": lambda p: p["list"].clear(),
    "reverse": lambda p: p["list"].reverse(),
    "sort": lambda p: p["list"].sort(reverse=True),
    "item": lambda p: p["list"].__setitem__(0, [9]),
    "slice": lambda p: p["list"].__setitem__(slice(1, 2), [7, 7]),
    "delete slice": lambda p: p["list"].__delitem__(slice(0, 2)),
    "times": lambda p: p["list"].__imul__(2),
    "plus": lambda p: p["list"].__iadd__([5]),
    "deep dict": lambda p: p["dict"]["inner"]["x"].append({"y": 1}),
    "deep delete": lambda p: p["dict"]["inner"].__delitem__("x"),
    "deep update": lambda p: p["dict"].update(inner=1),
    "what was put in": lambda p: p.setdefault("new", {"a": []})["a"].append(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_way_to_change_a_value_in_place_is_noted_and_saved(project, change):
    exp = project.log("one")
    exp.parameters.update({"list": [1, 2, 3], "dict": {"inner": {"x": []}}, "other": 0})
    plain = {"list": [1, 2, 3], "dict": {"inner": {"x": []}}, "other": 0}
    project.save()
    assert not exp.dirty
    change(exp.parameters)
    change(plain)
    assert exp.dirty == (plain != {"list": [1, 2, 3], "dict": {"inner": {"x": []}}, "other": 0})
    assert stored(project).parameters == exp.parameters
    assert exp.parameters == Project(project.fpath, mode="w+")["one"].parameters
    as_json = {
        key: [list(i) if isinstance(i, tuple) else i for i in v] if isinstance(v, list) else v
        for key, v in plain.items()
    }
    assert exp.parameters == as_json


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_read_only_experiment_refuses_every_change_in_place(project, change):
    exp = project.log("one")
    content = {"list": [1, 2, 3], "dict": {"inner": {"x": []}}, "other": 0}
    exp.parameters.update(content)
    found = stored(project)
    if change is not CHANGES["pop what is not there"]:
        with pytest.raises(ReadOnlyError) as caught:
            change(found.parameters)
        assert isinstance(caught.value, AttributeError)
    assert found.parameters == content


def test_a_read_only_experiment_refuses_every_call_that_would_change_it(project):
    exp = project.log("one")
    exp.tag("old")
    exp.log_test("women").log_metric("auc", 1)
    found = stored(project)
    calls = [
        lambda: found.log_metric("auc", 1),
        lambda: found.log_parameter("lr", 1),
        lambda: found.tag("new"),
        lambda: found.tags.append("new"),
        found.tags.clear,
        lambda: found.log_test("men"),
        found.tests.clear,
        lambda: found.tests[0].log_metric("auc", 2),
        lambda: setattr(found.tests[0], "description", "x"),
        lambda: found.log_artifact("it", [1], handler="json"),
        lambda: found.tests[0].log_artifact("it", [1], handler="json"),
        lambda: setattr(found, "status", "running"),
        lambda: setattr(found, "metrics", {"auc": 1}),
        lambda: setattr(found, "tags", ["x"]),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyError):
            call()
    assert isinstance(found.tests[0], ReadOnlyTest)
    assert found.to_dict() == Project(project.fpath, mode="r")["one"].to_dict()


def test_a_whole_section_can_be_assigned(project):
    exp = project.log("one")
    exp.parameters = {"a": 1, "b": 2}
    exp.parameters |= {"c": 3}
    project.save()
    exp.parameters = {"b": 2}
    exp.metrics = {"auc": 1}
    exp.tags = ["x", "y"]
    exp.tags += ["z"]
    found = stored(project)
    assert (found.parameters, found.metrics, found.tags) == ({"b": 2}, {"auc": 1}, ["x", "y", "z"])


def test_a_change_sets_when_it_was_last_updated(project):
    exp = project.log("one")
    project.save()
    before = exp.last_updated
    exp.parameters["a"] = 1
    assert exp.last_updated > before
    assert stored(project).last_updated == exp.last_updated


def test_tags_are_added_once_and_can_be_replaced(project):
    exp = project.log("one")
    exp.tag("a", "b", "a")
    exp.tag("b", "c")
    assert exp.tags == ["a", "b", "c"]
    exp.tag("z", overwrite=True)
    assert stored(project).tags == ["z"]
    exp.tag(overwrite=True)
    assert stored(project).tags == []


# --- tests ---


def test_a_test_holds_the_figures_of_a_sub_population(project):
    exp = project.log("one")
    with exp.log_test("women under 40", description="the youngest") as test:
        test.log_metric("auc", 0.5)
        test.log_parameter("n", 12)
        test.log_artifact("curve", [[0, 0]], handler="json")
    (found,) = stored(project).tests
    assert (found.name, found.description, found.metrics, found.parameters) == (
        "women under 40",
        "the youngest",
        {"auc": 0.5},
        {"n": 12},
    )
    assert found.load_artifact("curve") == [[0, 0]]


def test_a_change_in_a_test_alone_is_written_by_the_next_save(project):
    exp = project.log("one")
    test = exp.log_test("women")
    test.parameters["deep"] = {"a": []}
    project.save()
    assert not exp.dirty
    test.parameters["deep"]["a"].append(1)
    assert exp.dirty
    assert stored(project).tests[0].parameters == {"deep": {"a": [1]}}


def test_tests_of_one_name_are_kept_apart(project):
    exp = project.log("one")
    for value in (1, 2, 3):
        exp.log_test("women").log_metric("auc", value)
    assert [test.metrics["auc"] for test in stored(project).tests] == [1, 2, 3]


def test_a_test_made_elsewhere_can_be_appended(project):
    exp = project.log("one")
    test = Test("men", "made by hand", metrics={"auc": 0.5}, parameters={"n": 3})
    test.log_artifact("it", [1], handler="json")
    exp.tests.append(test)
    test.log_metric("later", 1)
    (found,) = stored(project).tests
    assert (found.name, found.description, found.parameters) == ("men", "made by hand", {"n": 3})
    assert found.metrics == {"auc": 0.5, "later": 1}
    assert found.load_artifact("it") == [1]


def test_a_test_that_is_taken_out_is_gone_after_the_next_save(project):
    exp = project.log("one")
    for name in ("a", "b", "c"):
        exp.log_test(name).log_metric("auc", 1)
    project.save()
    del exp.tests[1]
    assert [test.name for test in stored(project).tests] == ["a", "c"]


def test_only_tests_are_tests_and_each_belongs_to_one_experiment(project):
    one, two = project.log("one"), project.log("two")
    with pytest.raises(TypeError, match="not dict"):
        one.tests.append({"name": "x"})
    test = one.log_test("women")
    with pytest.raises(ValueError, match="belongs to another experiment"):
        two.tests.append(test)


# --- artifacts ---


def test_an_artifact_of_the_same_name_needs_overwrite_and_makes_a_next_version(project):
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json")
    with pytest.raises(ArtifactLogError, match="overwrite=True"):
        exp.log_artifact("it", [2], handler="json")
    project.save()
    exp.log_artifact("it", [2], handler="json", overwrite=True)
    found = stored(project)
    assert found.load_artifact("it") == [2]
    assert [artifact.version for artifact in found.artifacts] == [1]
    assert len([path for path in Path(exp.path).rglob("*") if path.is_file()]) == 2


def test_artifacts_whose_names_look_alike_are_kept_apart(project):
    exp = project.log("one")
    names = ["a b", "a-b", "A-B", "a_b", "a/b", "a\\b", "con", "CON", "é", "e"]
    for name in names:
        exp.log_artifact(name, name, handler="json", fname="same.json")
    found = stored(project)
    assert [found.load_artifact(name) for name in names] == names


def test_a_file_name_may_have_folders_and_may_not_leave_its_own(project):
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json", fname="plots/Final one.json")
    for fname in ("../../x", "/etc/x", "a/../../x", "C:\\x", "..\\x", "a\0b", ""):
        with pytest.raises(UnsafePathError):
            exp.log_artifact("out", [1], handler="json", fname=fname)
    found = stored(project)
    assert found.artifacts[0].fname == "plots/Final one.json"
    assert found.artifacts[0].stored.path.endswith("/plots/Final one.json")
    assert found.load_artifact("it") == [1]


def test_an_unknown_handler_is_refused_and_the_known_ones_are_named(project):
    with pytest.raises(ValueError, match=r"no handler 'jsn'; known: .*json, .*pickle"):
        project.log("one").log_artifact("it", [1], handler="jsn")


def test_loading_what_is_not_there_or_not_saved_says_so(project):
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json")
    with pytest.raises(ArtifactLoadError, match="is not saved yet"):
        exp.load_artifact("it")
    with pytest.raises(ArtifactLoadError, match="no artifact 'that' here; known: 'it'"):
        exp.load_artifact("that")


def test_a_pickle_of_another_python_needs_validate_false(project):
    exp = project.log("one")
    exp.log_artifact("it", {1, 2}, handler="pickle")
    project.save()
    (path,) = (Path(project.folder) / "log").iterdir()
    here = exp.artifacts[0].python_version
    path.write_text(path.read_text().replace(f'"python_version":"{here}"', '"python_version":"2.7"'))
    found = Project(project.fpath, mode="r")["one"]
    with pytest.raises(ArtifactLoadError, match=f"python_version was '2.7' and is '{here}' here"):
        found.load_artifact("it")
    assert found.load_artifact("it", validate=False) == {1, 2}


def test_an_artifact_that_only_writes_warns_when_logged_saved_and_loaded(project):
    exp = project.log("one")
    with pytest.warns(UserWarning, match="cannot be loaded back later"):
        exp.log_artifact("plot", [1], handler="plot-that-is-only-written")
    with pytest.warns(UserWarning, match="was saved"):
        project.save()
    with pytest.warns(UserWarning, match="may not come back"):
        assert exp.load_artifact("plot") == [1]


def test_an_artifact_whose_handler_is_not_installed_hides_nothing(project):
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json")
    exp.log_artifact("other", [2], handler="json")
    exp.log_metric("auc", 1)
    project.save()
    (path,) = (Path(project.folder) / "log").iterdir()
    path.write_text(path.read_text().replace('"handler":"json"', '"handler":"of another package"', 1))
    found = Project(project.fpath, mode="r")["one"]
    assert found.metrics == {"auc": 1}
    assert found.load_artifact("other") == [2]
    assert [artifact["handler"] for artifact in found.to_dict()["artifacts"]] == ["of another package", "json"]
    with pytest.raises(ArtifactLoadError, match="no handler 'of another package'; known"):
        found.load_artifact("it")


def test_a_value_is_not_held_after_it_was_saved(project):
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json")
    project.save()
    assert exp.artifacts[0].value is None
    assert not exp.artifacts[0].dirty
    assert exp.load_artifact("it") == [1]


def test_copies_of_what_it_holds_are_plain(project):
    exp = project.log("one")
    exp.parameters["a"] = {"b": [1]}
    copied = copy.deepcopy(exp.parameters)
    copied["a"]["b"].append(2)
    assert exp.parameters == {"a": {"b": [1]}}
    assert type(copy.copy(exp.parameters)) is dict


def test_an_experiment_shows_what_it_is(project):
    exp = project.log("one")
    assert repr(exp) == f"Experiment(slug={exp.slug!r}, status='running')"
    assert repr(exp.log_test("women")) == "Test(name='women')"


def test_everything_of_an_experiment_is_in_its_dict(project):
    exp = project.log("one")
    exp.log_parameter("lr", 1)
    exp.log_test("women").log_metric("auc", 1)
    exp.log_artifact("model", {1}, handler="pickle")
    shown = exp.to_dict()
    assert shown["slug"] == exp.slug
    assert shown["parameters"] == {"lr": 1}
    assert shown["tests"][0]["metrics"] == {"auc": 1}
    assert shown["artifacts"][0]["handler"] == "pickle"
    assert {"value", "writer_kwargs", "dirty"}.isdisjoint(shown["artifacts"][0])
    assert stored(project).to_dict() == exp.to_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        project.save()


def test_changes_in_place_may_not_nest_deeper_than_what_is_logged_at_once(project):
    exp = project.log("one")
    exp.log_parameter("deep", {})
    inner = exp.parameters["deep"]
    with pytest.raises(ValueError, match=r"parameters\.deep is nested deeper than 100"):
        for _ in range(200):
            inner["k"] = {}
            inner = inner["k"]
    exp.log_parameter("list", [])
    items = exp.parameters["list"]
    with pytest.raises(ValueError, match=r"parameters\.list is nested deeper than 100"):
        for _ in range(200):
            items.append([])
            items = items[-1]
    assert stored(project).parameters == exp.parameters


@pytest.mark.parametrize(
    ("expiry", "days"),
    [
        (timedelta(days=3), 3),
        ("3d", 3),
        ("48h", 2),
        ("2 w", 14),
        ("2030-01-01", None),
        (datetime(2030, 1, 1), None),  # noqa: DTZ001  (one without a zone is taken as UTC)
        (datetime(2030, 1, 1, tzinfo=UTC), None),
    ],
)
def test_an_artifact_may_expire_at_a_time_or_after_a_while(project, expiry, days):
    exp = project.log("one")
    before = datetime.now(UTC)
    exp.log_artifact("it", [1], handler="json", expiry=expiry)
    (artifact,) = stored(project).artifacts
    if days is None:
        assert artifact.expiry == datetime(2030, 1, 1, tzinfo=UTC)
    else:
        assert before <= artifact.expiry - timedelta(days=days) <= datetime.now(UTC)


@pytest.mark.parametrize("expiry", ["soon", "", "3 fortnights", 90, "999999w"])
def test_an_expiry_that_cannot_be_read_is_refused_when_it_is_logged(project, expiry):
    with pytest.raises((ValueError, TypeError), match="expiry of artifact 'it'"):
        project.log("one").log_artifact("it", [1], handler="json", expiry=expiry)


def test_a_slug_is_for_good(project):
    exp = project.log("one")
    with pytest.raises(AttributeError):
        exp.slug = "mine"


def test_a_description_is_text(project):
    test = project.log("one").log_test("women")
    with pytest.raises(TypeError, match="the description of a test must be a string"):
        test.description = 5
    test.description = "said later"
    assert stored(project).tests[0].description == "said later"


def test_the_list_of_artifacts_shows_them_and_refuses_to_be_changed(project):
    exp = project.log("exp")
    exp.log_artifact("a", 1, handler="json")
    with pytest.raises(ReadOnlyError, match="log_artifact"):
        exp.artifacts.append(exp.artifacts[0])
    with pytest.raises(ReadOnlyError, match="log_artifact"):
        del exp.artifacts[0]
    assert [artifact.name for artifact in exp.artifacts] == ["a"]


def test_several_metrics_or_parameters_are_logged_at_once_or_not_at_all(project):
    exp = project.log("exp")
    exp.log_metrics({"a": 1, "b": 2})
    exp.log_parameters({"c": {"d": 1}, "e": None})
    for log, wrong, error in (
        (exp.log_metrics, {"a": 3, "x": "no number"}, TypeError),
        (exp.log_parameters, {"c": 1, "x": object()}, TypeError),
        (exp.log_parameters, {"c": 1, 2: 1}, TypeError),
        (exp.log_metrics, [("a", 1)], TypeError),
        (exp.log_parameters, None, TypeError),
    ):
        with pytest.raises(error):
            log(wrong)
    with pytest.raises(TypeError):
        exp.metrics = {"z": 1, "x": "no number"}
    assert exp.metrics == {"a": 1, "b": 2}
    assert exp.parameters == {"c": {"d": 1}, "e": None}
    exp.parameters["c"]["d"] = 2
    project.save()
    assert Project(project.fpath, mode="r")["exp"].parameters == {"c": {"d": 2}, "e": None}


def test_notes_are_text_of_any_length(project):
    with project.log("exp", notes="first") as exp:
        assert exp.notes == "first"
        exp.notes = "second\n" * 1000
    project.save()
    assert Project(project.fpath, mode="r")["exp"].notes == "second\n" * 1000
    for wrong in (1, ["x"]):
        with pytest.raises(TypeError, match="notes"):
            exp.notes = wrong
    exp.notes = None
    project.save()
    assert Project(project.fpath, mode="r")["exp"].notes is None
    with pytest.raises(TypeError, match="notes"):
        project.log("other", notes=5)
    assert [exp.name for exp in project.experiments] == ["exp"]


def test_an_expired_artifact_loads_with_a_warning(project):
    with project.log("exp") as exp:
        exp.log_artifact("old", 1, handler="json", expiry="2020-01-01")
        exp.log_artifact("new", 1, handler="json", expiry="90d")
    project.save()
    with pytest.warns(UserWarning, match="'old' expired at 2020-01-01T00:00:00.000000Z"):
        assert exp.load_artifact("old") == 1
    assert exp.load_artifact("new") == 1


def test_a_test_that_was_taken_out_holds_what_it_had_and_is_its_own_from_then_on(project):
    with project.log("exp") as exp:
        test = exp.log_test("women")
        test.log_metric("auc", 1)
    project.save()
    exp.tests.remove(test)
    test.log_metric("auc", 2)
    project.save()
    assert Project(project.fpath, mode="r")["exp"].tests == []
    assert test.metrics == {"auc": 2}
    with project.log("other") as other:
        other.tests.append(test)
    project.save()
    assert Project(project.fpath, mode="r")["other"].tests[0].metrics == {"auc": 2}
