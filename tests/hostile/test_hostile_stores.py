"""Stores that strangers wrote: whatever is done to one, nothing of it runs, leaves its folder or hides the rest."""

import contextlib
import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
import stores
from stores import BAD, HOSTILE, inside

from lazytrack import Project
from lazytrack.errors import (
    ArtifactLoadError,
    LazytrackError,
    SaveError,
    StoreWarning,
    UnsafePathError,
    UntrustedArtifactError,
)
from lazytrack.files import open_files
from lazytrack.journal import Journal, packing

REFUSALS = (LazytrackError, OSError, ValueError, TypeError)
"""What asking a stranger's record for something may raise: never what tells of a mistake in the program."""


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return stores.sound(tmp_path_factory.mktemp("template") / "churn.json")


@pytest.fixture
def path(tmp_path, template, monkeypatch):
    """Return a sound project, of which a builder makes a hostile one."""
    path = tmp_path / "outer" / "churn.json"
    shutil.copytree(template.parent, path.parent)
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no power is cut here
    return path


def contents(folder, *, but=()):
    """Return every file and link below a folder with what is in it."""
    found = {}
    for entry in os.scandir(folder):
        file = Path(entry.path)
        if file in but:
            continue
        if entry.is_symlink():
            found[file] = file.readlink()
        elif entry.is_dir():
            found |= contents(file, but=but)
        else:
            found[file] = file.read_bytes()
    return found


def assert_sound_are_whole(path, numbers=range(3)):
    """Check the sound experiments of a store as somebody sees them who opens it now."""
    project = Project(path, mode="r")
    found = [exp for exp in project.experiments if exp.name.startswith("good")]
    assert [exp.name for exp in found] == [f"good {number}" for number in numbers]
    for number, exp in zip(numbers, found, strict=True):
        assert project[f"good-{number}"] is exp
        assert exp.metrics["number"] == number
        assert exp.history("curve").value[:100] == [number / 4] * 100
        assert exp.parameters["deep"] == {"a": [1, {"b": None}]}
        assert exp.notes == "sound"
        assert "sound" in exp.tags
        assert exp.tests[0].metrics == {"auc": number}
        assert exp.load_artifact("table") == {"number": number}
        assert exp.load_artifact("model") == ("model", number)


def strangers(project):
    return [exp for exp in project.experiments if not exp.name.startswith("good")]


def assert_dependencies_lead_home_or_nowhere(exp):
    for key, reference in exp.dependencies.references().items():
        if reference == f"churn.json|{exp.slug}":
            assert exp.dependencies[key] is exp
        else:
            with warnings.catch_warnings(action="ignore"), pytest.raises(LookupError, match="cannot be reached"):
                exp.dependencies[key]


PROPERTIES = (
    *("slug", "author", "last_updated", "last_updated_by", "status", "error", "path", "dependencies"),
    *("heartbeat", "stale", "parent", "children", "rank", "attempt", "last_step", "output", "writers"),
)


# --- whatever is done ---


def read(path, elsewhere):
    assert_sound_are_whole(path)


def iterate(path, elsewhere):
    told = list(Project(path, mode="r"))
    json.dumps(told, allow_nan=True)
    assert {"good 0", "good 1", "good 2"} <= {item["name"] for item in told if isinstance(item["name"], str)}


def touch(path, elsewhere):
    for exp in Project(path, mode="r").experiments:
        for part in (exp, *exp.tests):
            for name in ("name", "notes", "metrics", "parameters", "artifacts", "description", "created_at", "tags"):
                try:
                    repr(getattr(part, name, None))
                except REFUSALS:
                    assert part in strangers(exp._owner)
            for name in part.history_names:
                try:
                    assert part.history(name).to_numpy()["step"].tolist() == part.history(name).step
                    repr((part.history(name).time, part.history(name), part.summary(name)))
                except REFUSALS:
                    assert part in strangers(exp._owner)
        for name in PROPERTIES:
            try:
                repr(getattr(exp, name))
            except REFUSALS:
                assert exp in strangers(exp._owner)
        assert_dependencies_lead_home_or_nowhere(exp)


def load(path, elsewhere):
    for exp in Project(path, mode="r").experiments:
        for part in (exp, *exp.tests):
            for artifact in part.artifacts:
                try:
                    part.load_artifact(artifact.name)
                except REFUSALS:
                    assert exp.name == "good 0" or exp in strangers(exp._owner)
    assert_sound_are_whole(path)


def compare(path, elsewhere):
    mine, theirs = (Project(path, mode="r").experiments for _ in range(2))
    assert mine == theirs
    assert all(one != other for one, other in pairwise(mine))
    assert len({*mine, *theirs}) == len(mine)


def search(path, elsewhere):
    project = Project(path, mode="r")
    assert [exp.metrics["number"] for exp in project.best("number")] == [2, 1, 0]
    for metric in ("it", "seen", "a", "", "nothing"):
        project.best(metric)
        project.best(metric, minimize=True)
    assert len(list(project.filter(lambda exp: exp.metrics.get("number") == 1))) == 1
    assert "nothing" not in project
    with pytest.raises(KeyError, match="nothing"):
        project["nothing"]
    assert len(project.table()) == len(project)
    assert len(project.as_of(datetime.now(UTC))) <= len(project)
    for name, why in project.problems.items():
        assert name
        assert why
    project.refresh()
    repr(project)


def pickled(path, elsewhere):
    project = Project(path, mode="r")
    again = pickle.loads(pickle.dumps(project))
    assert len(again) == len(project)
    for exp in project.experiments:
        copy = pickle.loads(pickle.dumps(exp))
        assert copy.slug == exp.slug
        assert list(copy.metrics) == list(exp.metrics)
    assert_sound_are_whole(path)


def save_what_can_be(project):
    """Save twice: what a stranger's record does not let through is named, and stops nothing else."""
    for _ in range(2):
        try:
            project.save()
        except SaveError as error:
            if "all was saved but" not in str(error):
                raise


def merge_from(path, elsewhere):
    before = contents(path.parent)
    target = elsewhere / "target.json"
    save_what_can_be(Project(target, mode="w+").merge(Project(path, mode="r")))
    assert_sound_are_whole(target)
    assert contents(path.parent) == before
    assert_nothing_came_from_outside(target)


def merge_beside_what_is_there(path, elsewhere):
    target = stores.sound(elsewhere / "target.json", ("good 3",))
    before = contents(inside(target) / "artifacts")
    save_what_can_be(Project(target, mode="w+").merge(Project(path, mode="r")))
    assert before.items() <= contents(inside(target) / "artifacts").items()
    assert_nothing_came_from_outside(target)
    assert len(Project(target, mode="r")) >= 4


def merge_into(path, elsewhere):
    other = stores.sound(elsewhere / "other.json", ("good 3",))
    merged = Project(path, mode="w+").merge(Project(other, mode="r"))
    merged.save()
    project = Project(path, mode="r")
    assert project["good-3"].load_artifact("model") == ("model", 0)
    assert [exp.metrics["number"] for exp in project.best("number")] == [2, 1, 0, 0]
    assert len({exp.slug for exp in project.experiments}) == len(project) >= 4


def append(path, elsewhere):
    target = Project(elsewhere / "target.json")
    for exp in Project(path, mode="r").experiments:
        target.append(exp)
    save_what_can_be(target)
    assert_sound_are_whole(elsewhere / "target.json")
    assert_nothing_came_from_outside(elsewhere / "target.json")


def append_what_travelled(path, elsewhere):
    target = Project(elsewhere / "target.json")
    for exp in Project(path, mode="w+").experiments:
        exp.log_metric("more", 1)
        try:
            target.append(pickle.loads(pickle.dumps(exp)))
        except REFUSALS:
            assert not exp.name.startswith("good")
    save_what_can_be(target)
    assert_sound_are_whole(elsewhere / "target.json")
    assert_nothing_came_from_outside(elsewhere / "target.json")


def attach(path, elsewhere):
    project = Project(path, mode="a")
    slugs = [exp.slug for exp in project.experiments]
    for slug in slugs:
        project.attach(slug, rank=1).log_metric("more", 1, step=7)
    project.save()
    resuming = Project(path, mode="a")
    for slug in slugs:
        assert resuming.resume(slug, step=50, rank=1).metrics["more"] == 1
    resuming.save()
    stored = Project(path, mode="r")
    assert [stored[f"good-{n}"].history("more", rank=1).value for n in range(3)] == [[1.0]] * 3
    assert [stored[slug].metrics["more"] for slug in slugs] == [1] * len(slugs)
    assert_sound_are_whole(path)


def edit(path, elsewhere):
    project = Project(path, mode="w+")
    for exp in project.experiments:
        exp.tag("edited")
        exp.log_parameter("mine", {"a": 1})
        for step in range(100):
            exp.log_metric("my curve", 1.0, step=step)
        exp.log_artifact("mine", [exp.slug], handler="json")
        exp.log_test("mine").log_artifact("mine", [exp.slug], handler="pickle")
    save_what_can_be(project)
    assert_sound_are_whole(path)
    stored = Project(path, mode="r")
    for exp in stored.experiments:
        assert "edited" in exp.tags
        assert exp.parameters["mine"] == {"a": 1}
        if exp.name.startswith("good"):
            assert len(exp.history("my curve")) == 100
            assert exp.load_artifact("mine") == exp.tests[-1].load_artifact("mine") == [exp.slug]


def delete(path, elsewhere):
    project = Project(path, mode="w+")
    for exp in strangers(project):
        project.delete(exp.slug)
    project.save()
    assert strangers(project) == strangers(Project(path, mode="r")) == []
    assert_sound_are_whole(path)


def start_empty(path, elsewhere):
    project = Project(path, mode="w")
    project.log("new")
    project.save()
    assert [exp.name for exp in Project(path, mode="r").experiments] == ["new"]


def pack(path, elsewhere):
    before = [exp.slug for exp in Project(path, mode="r").experiments]
    Project(path).log("good 3")
    for name in ("good 3", "good 4"):
        project = Project(path)
        project.log(name)
        project.save()
        Journal(open_files(inside(path))).pack(everything=True)
        Journal(open_files(inside(path))).pack()
    assert list((inside(path) / "packs").glob("*.json"))
    project = Project(path, mode="r")
    assert {exp.slug for exp in project.experiments} >= {*before}
    assert [exp.name for exp in project.experiments if exp.name.startswith("good")] == [f"good {n}" for n in range(5)]
    assert project["good-0"].load_artifact("model") == ("model", 0)


READING = [read, iterate, touch, load, compare, search, pickled]
TRAVELLING = [merge_from, merge_beside_what_is_there, append, append_what_travelled]
CHANGING = [merge_into, attach, edit, delete, start_empty, pack]


def assert_nothing_came_from_outside(target):
    """Check that a store that took over a hostile one has its own files alone."""
    files = {file.relative_to(inside(target)) for file in inside(target).rglob("*") if file.is_file()}
    assert {file.parts[0] for file in files} <= {"log", "packs", "artifacts", "series"}
    for file in files:
        if file.parts[0] == "artifacts":
            assert not (inside(target) / file).read_bytes().startswith(b'{"format"')
        elif file.parts[0] == "series":
            assert b"secret" not in (inside(target) / file).read_bytes()
        else:
            assert len(file.parts) == 2


@pytest.mark.parametrize("operations", [READING, TRAVELLING, CHANGING], ids=["reading", "travelling", "changing"])
@pytest.mark.parametrize(
    "store", [pytest.param(name, marks=pytest.mark.slow) if "huge" in name else name for name in HOSTILE]
)
def test_whatever_is_done_nothing_runs_or_leaves_the_folder_or_hides_the_rest(path, tmp_path, operations, store):
    HOSTILE[store](path)
    hostile, failures, told = tmp_path / "hostile", [], []
    path.parent.rename(hostile)
    for operation in operations:
        shutil.copytree(hostile, path.parent, symlinks=True)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        before = contents(tmp_path, but=(inside(path), elsewhere))
        try:
            with warnings.catch_warnings(action="ignore", category=StoreWarning):
                operation(path, elsewhere)
            assert not stores.marker_of(path).exists()
            assert contents(tmp_path, but=(inside(path), elsewhere)) == before
            assert {file.name for file in inside(path).iterdir()} <= {"log", "packs", "artifacts", "series"}
        except Exception as error:  # noqa: BLE001  (each operation is to be heard)
            # The traceback of an endless recursion takes pytest minutes.
            failure = AssertionError(f"{type(error).__name__}: {error}")
            failures.append(failure if isinstance(error, RecursionError) else error)
            told.append(f"{operation.__name__}: {type(error).__name__}: {error!s:.300}")
        shutil.rmtree(path.parent)
        shutil.rmtree(elsewhere)
    if failures:
        raise ExceptionGroup("; ".join(told), failures)


# --- what is said ---


def bad_one(path, mode="r"):
    return Project(path, mode=mode)[BAD]


@pytest.mark.parametrize("where", stores.PATHS.values(), ids=stores.PATHS)
@pytest.mark.parametrize("part", ["experiment", "test"])
def test_an_artifact_path_that_is_none_of_an_artifact_is_refused_and_not_copied(path, tmp_path, where, part):
    stores.artifact_at(path, where)
    exp = bad_one(path)
    with pytest.raises(UnsafePathError, match=r"path .* (is not inside the store|is no artifact's)"):
        (exp if part == "experiment" else exp.tests[0]).load_artifact("it")
    for take_over in (lambda project: project.merge(Project(path, mode="r")), lambda project: appended(project, exp)):
        target = tmp_path / "target" / f"{take_over.__code__.co_names[0]}.json"
        taker = take_over(Project(target, mode="w+"))
        with pytest.raises(SaveError, match=rf"all was saved but .*artifacts\.it of {BAD}: UnsafePathError"):
            taker.save()
        assert bad_one(target).metrics == {"seen": 1}
        assert bad_one(target).artifacts == []
        assert not (target.parent / "secret.json").exists()
        assert not [file for file in inside(target).rglob("*secret*") if file.is_file()]


def appended(project, exp):
    project.append(exp)
    return project


def hostile_twin(path, folder):
    """Return a copy of a project where a stranger's record names a sound artifact's path, with another file there."""
    hostile = folder / "hostile" / "churn.json"
    shutil.copytree(path.parent, hostile.parent)
    stored, _ = stores.read_entry(path, "good-0", "artifacts.table")
    stores.put_file(hostile, stored["path"], b"[666]")
    stores.add(hostile, {"artifacts.it": stores.entry(b"[666]", stored["path"])})
    return hostile


def test_an_artifact_at_the_path_of_another_does_not_overwrite_its_file_where_it_is_merged(path, tmp_path):
    hostile = hostile_twin(path, tmp_path)
    save_what_can_be(Project(path, mode="w+").merge(Project(hostile, mode="r")))
    assert_sound_are_whole(path)


def test_an_artifact_at_the_path_of_another_does_not_overwrite_its_file_where_it_is_appended(path, tmp_path):
    hostile = hostile_twin(path, tmp_path)
    save_what_can_be(appended(Project(path, mode="w+"), bad_one(hostile)))
    assert_sound_are_whole(path)


def test_an_artifact_at_the_path_of_another_does_not_hide_it_before_the_merged_project_is_saved(path, tmp_path):
    merged = Project(path, mode="w+").merge(Project(hostile_twin(path, tmp_path), mode="r"))
    assert merged["good-0"].load_artifact("table") == {"number": 0}


def test_an_artifact_at_the_path_of_another_does_not_hide_it_from_a_third_project(path, tmp_path):
    hostile = hostile_twin(path, tmp_path)
    target = tmp_path / "target" / "churn.json"
    save_what_can_be(Project(target, mode="w+").merge(Project(path, mode="r"), Project(hostile, mode="r")))
    assert_sound_are_whole(target)


def test_an_artifact_whose_place_a_stranger_has_taken_is_named_and_stays_where_it_is(path, tmp_path):
    hostile = hostile_twin(path, tmp_path)
    target = tmp_path / "target" / "churn.json"
    merged = Project(target, mode="w+").merge(Project(hostile, mode="r"), Project(path, mode="r"))
    with pytest.raises(SaveError, match=r"all was saved but artifacts\.table of good-0"):
        merged.save()
    assert Project(target, mode="r")["good-0"].metrics == Project(path, mode="r")["good-0"].metrics
    assert_sound_are_whole(path)


WAYS_OUT = r"LAZYTRACK_SIGNING_KEY.*trust=True"


@pytest.mark.parametrize("store", [name for name in stores.RUNNING if "JSON" not in name])
def test_a_pickle_without_a_good_signature_runs_when_it_is_trusted_and_not_before(path, store):
    HOSTILE[store](path)
    exp = bad_one(path)
    with pytest.raises(UntrustedArtifactError, match=rf"artifact 'it' of '{BAD}' could run code.*{WAYS_OUT}"):
        exp.load_artifact("it")
    with pytest.raises(UntrustedArtifactError):
        exp.load_artifact("it", validate=False)
    assert not stores.marker_of(path).exists()
    exp.load_artifact("it", trust=True)
    assert stores.marker_of(path).exists()


def test_a_pickle_of_a_test_runs_when_it_is_trusted_and_not_before(path):
    stores.unsigned_bomb(path)
    [test] = bad_one(path).tests
    with pytest.raises(UntrustedArtifactError, match=WAYS_OUT):
        test.load_artifact("it")
    assert not stores.marker_of(path).exists()
    test.load_artifact("it", trust=True)
    assert stores.marker_of(path).exists()


def test_a_pickle_that_is_said_to_be_json_does_not_run_even_when_it_is_trusted(path):
    stores.bomb_as_json(path)
    for trust in (False, True):
        with pytest.raises(ValueError, match=r"decode|JSON|Expecting|artifact"):
            bad_one(path).load_artifact("it", trust=trust)
    assert not stores.marker_of(path).exists()


def test_a_file_that_its_handler_cannot_read_is_named(path):
    stores.bomb_as_json(path)
    with pytest.raises(ValueError, match="artifact 'it'"):
        bad_one(path).load_artifact("it")


@pytest.mark.parametrize(
    ("store", "name", "part", "artifact"),
    [
        (stores.moved_to_another_experiment, BAD, "experiment", "model"),
        (stores.moved_to_another_name, "good-0", "experiment", "other"),
        (stores.moved_to_a_test, "good-0", "test", "model"),
    ],
    ids=["another experiment", "another name", "a test"],
)
@pytest.mark.parametrize("way", ["as it is", "merged", "appended", "appended after a journey"])
def test_a_signed_pickle_is_not_trusted_in_another_place(path, tmp_path, store, name, part, artifact, way):
    store(path)
    project = Project(path, mode="r")
    target = Project(tmp_path / "target" / "churn.json", mode="w+")
    match way:
        case "merged":
            project = target.merge(project)
            project.save()
        case "appended":
            project = appended(target, project[name])
            project.save()
        case "appended after a journey":
            project = appended(target, pickle.loads(pickle.dumps(project[name])))
            project.save()
    exp = Project(project.fpath, mode="r")[name]
    holder = exp if part == "experiment" else exp.tests[0]
    with pytest.raises(UntrustedArtifactError, match=f"moved here.*{WAYS_OUT}"):
        holder.load_artifact(artifact)
    assert holder.load_artifact(artifact, trust=True) == ("model", 0)


def test_an_unsigned_pickle_does_not_get_a_signature_by_travelling(path, tmp_path):
    stores.unsigned_bomb(path)
    target = Project(tmp_path / "target" / "churn.json", mode="w+")
    mine = target.log("mine")
    mine.tests.append(copy.copy(bad_one(path).tests[0]))
    target.append(bad_one(path))
    target.append(pickle.loads(pickle.dumps(bad_one(path, "w+"))))
    save_what_can_be(target)
    for exp in Project(target.fpath, mode="r").experiments:
        for part in (exp, *exp.tests):
            for artifact in part.artifacts:
                with pytest.raises(UntrustedArtifactError, match="it is not signed"):
                    part.load_artifact(artifact.name)
    assert not stores.marker_of(path).exists()


@pytest.mark.parametrize("trust", [False, True])
def test_a_pickle_whose_file_was_altered_does_not_run_even_when_it_is_trusted(path, trust):
    stored, _ = stores.read_entry(path, "good-0")
    (inside(path) / stored["path"]).write_bytes(stores.bomb(path))
    with pytest.raises(ArtifactLoadError, match=r"artifact 'model' is not the one that was saved: .*sha256"):
        Project(path, mode="r")["good-0"].load_artifact("model", trust=trust)
    assert not stores.marker_of(path).exists()
    assert Project(path, mode="r")["good-1"].load_artifact("model") == ("model", 1)


def test_an_altered_file_is_not_copied_to_another_project(path, tmp_path):
    stored, _ = stores.read_entry(path, "good-0")
    (inside(path) / stored["path"]).write_bytes(stores.bomb(path))
    target = tmp_path / "target" / "churn.json"
    with pytest.raises(SaveError, match=r"all was saved but artifacts.model of good-0-.*not the one that was saved"):
        Project(target, mode="w+").merge(Project(path, mode="r")).save()
    assert not (inside(target) / stored["path"]).exists()
    assert Project(target, mode="r")["good-1"].load_artifact("model") == ("model", 1)
    assert Project(target, mode="r")["good-0"].load_artifact("table") == {"number": 0}


def test_a_pickle_signed_by_another_key_loads_once_that_key_is_held(path, monkeypatch):
    mine, theirs = os.environ["LAZYTRACK_SIGNING_KEY"], "the-key-of-another-team"
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", theirs)
    stores.sound(path, ("theirs",))
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", mine)
    exp = Project(path, mode="r")["theirs"]
    with pytest.raises(UntrustedArtifactError, match=f"signed by a key that is not held here.*{WAYS_OUT}"):
        exp.load_artifact("model")
    assert exp.load_artifact("model", trust=True) == ("model", 0)
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", f"{mine},{theirs}")
    assert exp.load_artifact("model") == ("model", 0)
    assert exp.load_artifact("table") == {"number": 0}


@pytest.mark.parametrize("depth", stores.DEPTHS)
@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("parameters.it", "list"),
        ("parameters.it", "dict"),
        ("tests.t.parameters.it", "dict"),
        ("metrics.it", "list"),
        ("tests.t.metrics.it", "list"),
    ],
)
def test_a_value_that_is_nested_too_deep_is_named_and_left_out(path, field, depth, kind):
    stores.deep_field(path, field, depth, kind)
    exp = bad_one(path)
    part = exp.tests[0] if field.startswith("tests.") else exp
    section = "metrics" if "metrics" in field else "parameters"
    with pytest.warns(StoreWarning, match=r"it of .*nested deeper than 100 containers: it is left out"):
        assert "it" not in getattr(part, section)
    assert exp.metrics.get("seen") == 1


@pytest.mark.parametrize("field", [field for name, field in stores.DEEP_FIELDS.items() if "." not in field])
def test_a_field_that_is_nested_too_deep_is_named(path, field):
    stores.deep_field(path, field, 150)
    project = Project(path, mode="r")
    try:
        with warnings.catch_warnings(record=True, action="always") as warned:
            told = [item for item in project if item["slug"] == BAD]
    except RecursionError as error:
        raise AssertionError(f"RecursionError: {error}") from None
    assert told[0]["metrics"] == {"seen": 1}
    assert any(field in str(warning.message) and BAD in str(warning.message) for warning in warned) or (
        field in str(project.problems)
    )


@pytest.mark.parametrize("depth", stores.TOO_DEEP)
@pytest.mark.parametrize("field", ["parameters.it", "metrics.it", "tests.t.metrics.it", "artifacts.it"])
def test_a_file_that_is_nested_too_deep_is_named(path, field, depth):
    stores.beyond_depth(path, depth, field)
    project = Project(path, mode="r")
    with pytest.warns(StoreWarning, match=r"/log/.* is not JSON.*see project.problems"):
        assert len(project) == 3
    [[name, why]] = project.problems.items()
    assert name.startswith("log/")
    assert "is not JSON" in why


@pytest.mark.parametrize("builder", [stores.beyond_numbers, stores.half_a_character])
def test_a_file_that_no_json_parser_should_read_is_named(path, builder):
    builder(path)
    project = Project(path, mode="r")
    with pytest.warns(StoreWarning, match="is not JSON"):
        assert len(project) == 3
    assert len(project.problems) == 1


@pytest.mark.parametrize("fields", stores.ODD_FIELDS.values(), ids=stores.ODD_FIELDS)
def test_a_field_of_an_odd_type_is_said_or_shown_as_what_it_should_be(path, fields):
    stores.add(path, fields)
    project = Project(path, mode="r")
    exp = project[BAD]
    if project.problems:
        assert list(project.problems) == [f"record {BAD}"]
        assert "created" in project.problems[f"record {BAD}"]
        return
    assert exp.created_at.tzinfo is not None
    for name in ("name", "slug", "author", "last_updated_by", "status"):
        assert type(getattr(exp, name)) is str, name
    for part, name in [(exp, "notes"), (exp, "error"), *((test, "description") for test in exp.tests)]:
        assert type(getattr(part, name)) in {str, type(None)}, name
    assert all(type(tag) is str for tag in exp.tags)
    assert all(type(test.name) is str for test in exp.tests)
    assert all("|" in said or said in {"5", "None", "nonsense", "", stores.LARGE} for said in references(exp))
    assert_dependencies_lead_home_or_nowhere(exp)
    for artifact in exp.artifacts:
        with pytest.raises((ArtifactLoadError, UntrustedArtifactError, UnsafePathError), match="artifact"):
            exp.load_artifact(artifact.name)
    if "last_updated" not in fields:
        assert exp.last_updated.tzinfo is not None


def references(exp):
    return exp.dependencies.references().values()


@pytest.mark.parametrize(
    "fields", [{"created_at": []}, {"created_at": 5}, {"last_updated": []}, {"last_updated": "yesterday"}], ids=str
)
def test_a_time_that_is_none_is_named_where_it_is_asked_for(path, fields):
    stores.add(path, fields)
    [name] = fields
    with pytest.raises((ValueError, TypeError), match=name):
        getattr(bad_one(path), name)


@pytest.mark.parametrize("replaces", stores.REPLACES.values(), ids=stores.REPLACES)
def test_a_pack_that_replaces_what_it_must_not_is_named_and_replaces_nothing(path, replaces):
    stores.replacing(path, replaces)
    project = Project(path, mode="r")
    with pytest.warns(StoreWarning, match=r"/packs/.* replaces files other than log/<name> and packs/<name>"):
        assert len(project) == 3
    before = contents(path.parent)
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        for _ in range(3):
            writer = Project(path)
            writer.log("good 3")
            writer.save()
            Journal(open_files(inside(path))).pack(everything=True)
        gone = before.keys() - contents(path.parent).keys()
        assert {file.parent.name for file in gone} <= {"log"}
        assert len(Project(path, mode="r")["good-0"].artifacts) == 2


@pytest.mark.parametrize("record", stores.ODD_RECORDS.values(), ids=stores.ODD_RECORDS)
def test_a_record_that_is_named_like_a_path_writes_nothing_outside(path, tmp_path, record):
    stores.add(path, record=record)
    before = contents(tmp_path, but=[inside(path)])
    project = Project(path, mode="w+")
    with contextlib.suppress(KeyError):  # what begins with a dot is the store's own, and not listed
        project[record].log_artifact("mine", [1], handler="json")
    project["good-0"].log_artifact("mine", [1], handler="json")
    save_what_can_be(project)
    assert contents(tmp_path, but=[inside(path)]) == before
    assert {file.name for file in inside(path).iterdir()} == {"log", "artifacts", "series"}
    assert Project(path, mode="r")["good-0"].load_artifact("mine") == [1]


# --- links ---

links = pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make symbolic links")


@links
@pytest.mark.parametrize(
    ("builder", "why"),
    [
        (stores.linked_to_nowhere, "cannot be found"),
        (stores.linked_to_itself, "cannot be read"),
        (stores.linked_to_a_folder, "cannot be read"),
    ],
)
def test_a_link_that_cannot_be_read_is_named(path, builder, why):
    builder(path)
    project = Project(path, mode="r")
    with pytest.warns(StoreWarning, match=why):
        assert len(project) == 3
    assert [why in said for said in project.problems.values()] == [True]


@links
def test_an_artifact_is_not_written_through_a_link_out_of_the_store(path):
    stores.linked_artifact_folder(path)
    before = contents(path.parent, but=[inside(path)])
    project = Project(path, mode="w+")
    project[BAD].log_artifact("mine", [1], handler="json")
    save_what_can_be(project)
    assert contents(path.parent, but=[inside(path)]) == before


@links
@pytest.mark.parametrize("target", ["/dev/zero", "a pipe"])
def test_a_link_to_what_never_ends_is_named_and_does_not_stop_the_rest(path, target):
    if target == "a pipe":
        target = path.parent / "pipe"
        os.mkfifo(target)
    elif not Path(target).exists():
        pytest.skip("there is no /dev/zero here")
    stores.linked_to_nowhere(path, target)
    program = (
        "import resource, sys, warnings\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "from lazytrack import Project\n"
        "warnings.simplefilter('ignore')\n"
        "project = Project(sys.argv[1], mode='r')\n"
        "print(len(project), len(project.problems))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=10, check=False
    )
    assert told.stdout == "3 1\n", told.stderr[-300:]


# --- time ---


def test_a_time_at_the_end_of_all_times_is_said_and_nothing_is_half_written(path, monkeypatch):
    at = "99981231T235959.999999Z-zzzzzzzz"
    stores.say(path, {"at": at, "by": "mallory", "record": BAD, "set": {"name": "bad", "created_at": stores.CREATED}})
    assert_sound_are_whole(path)
    project = Project(path, mode="w+")
    project["good-0"].tag("edited")
    before = contents(path.parent)
    with pytest.raises(SaveError, match=r"nothing was saved.*the year 9998"):
        project.save()
    assert contents(path.parent) == before
    assert project["good-0"].dirty


def test_a_time_at_the_end_of_all_times_does_not_stop_other_projects(path, tmp_path, monkeypatch):
    at = "99981231T235959.999999Z-zzzzzzzz"
    stores.say(path, {"at": at, "by": "mallory", "record": BAD, "set": {"name": "bad", "created_at": stores.CREATED}})
    assert len(Project(path, mode="r")) == 4
    mine = Project(tmp_path / "mine")
    mine.log("one")
    mine.save()
    assert len(Project(tmp_path / "mine", mode="r")) == 1
