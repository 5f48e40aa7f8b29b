"""What section 2 of the parity page promises of projects, experiments, tests, the registry and the exceptions."""

import getpass
import inspect
import json
import pickle
import re
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import attrs
import fsspec
import pytest

import lazytrack
from lazytrack import Experiment, Project, Test, errors, naming
from lazytrack.artifacts.base import Artifact
from lazytrack.artifacts.json import JSONArtifact
from lazytrack.artifacts.pickle import PickleArtifact
from lazytrack.errors import (
    ArtifactLoadError,
    ArtifactLogError,
    ReadOnlyError,
    SaveError,
    UnsafePathError,
    UntrustedArtifactError,
)
from lazytrack.tracking import ReadOnlyExperiment, ReadOnlyTest
from lazytrack.tracking.registry import Registry, registry

MODES = ["r", "a", "w", "w+"]
MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
NAIVE = MOMENT.replace(tzinfo=None)
LONG_AGO = datetime(2020, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
FUTURE = datetime(2199, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HERE = ".".join(map(str, sys.version_info[:2]))


@attrs.define
class Angled(Artifact):
    """A handler whose writer can be told from any other's."""

    alias: ClassVar[str] = "parity-angled"
    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()[1 : kwargs.get("end", -1)]

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(f"{kwargs.get('left', '<')}{obj}>")


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch):
    monkeypatch.setattr(registry, "projects", {})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "churn"


@pytest.fixture
def in_memory():
    """Return the URL of a project in memory; that is quicker than a disk."""
    return f"memory://{naming.unique()}/churn.json"


@pytest.fixture
def project(folder):
    return Project(folder, mode="w+", author="dana")


def filled(folder, *names, author="dana"):
    """Return a project that holds these experiments, saved."""
    project = Project(folder, mode="w+", author=author)
    for name in names:
        with project.log(name) as exp:
            exp.log_parameter("name", name)
    project.save()
    return project


def saved(project, exp):
    """Save, and return the experiment as somebody else reads it."""
    project.save()
    return Project(project.fpath, mode="r")[exp.slug]


def names(project):
    return [exp.name for exp in project.experiments]


def patches(project):
    """Return what the log files of a project say, oldest first."""
    files = sorted((Path(project.folder) / "log").glob("*.json"))
    return [patch for path in files for patch in json.loads(path.read_bytes())["patches"]]


def written(project, slug):
    """Return the fields of a record as the log files have them."""
    fields = {}
    for patch in patches(project):
        if patch["record"] == slug:
            fields |= patch.get("set", {})
            for field in patch.get("unset", []):
                del fields[field]
    return fields


def artifact_files(project):
    return sorted(path for path in Path(project.folder).rglob("artifacts/**/*") if path.is_file())


# --- signature: Project(fpath="project.json", mode="a", author=None, **storage_options) ---


def test_project_has_the_documented_signature():
    parameters = inspect.signature(Project).parameters
    assert {name: p.default for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD} == {
        "fpath": "project.json",
        "mode": "a",
        "author": None,
    }
    assert parameters["storage_options"].kind is inspect.Parameter.VAR_KEYWORD


def test_project_without_arguments_is_project_json_in_the_present_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project()
    assert project.mode == "a"
    with project.log("one"):
        pass
    project.save()
    assert (tmp_path / "project.json").is_file()


# --- fpath is a str or Path, any fsspec URL ---


def test_fpath_may_be_a_str_or_a_path(tmp_path):
    filled(tmp_path / "as-path.json", "one")
    filled(str(tmp_path / "as-str.json"), "one")
    assert names(Project(str(tmp_path / "as-path.json"), mode="r")) == ["one"]
    assert names(Project(tmp_path / "as-str.json", mode="r")) == ["one"]


def test_fpath_may_be_a_url_of_files(tmp_path):
    filled(f"file://{tmp_path}/churn.json", "one")
    assert names(Project(tmp_path / "churn.json", mode="r")) == ["one"]


def test_fpath_may_be_a_url_in_memory(in_memory):
    filled(in_memory, "one")
    assert names(Project(in_memory, mode="r")) == ["one"]
    assert fsspec.filesystem("memory").isfile(in_memory)


# --- modes ---


def test_mode_r_only_reads(folder):
    filled(folder, "one")
    project = Project(folder, mode="r")
    assert type(project["one"]) is ReadOnlyExperiment
    with pytest.raises(ReadOnlyError):
        project["one"].log_metric("auc", 1)


def test_mode_a_gives_existing_experiments_read_only_and_takes_new_ones(folder):
    filled(folder, "one")
    project = Project(folder, mode="a")
    with pytest.raises(ReadOnlyError):
        project["one"].log_metric("auc", 1)
    with project.log("two") as exp:
        exp.log_metric("auc", 2)
    project.save()
    assert type(project["one"]) is ReadOnlyExperiment
    assert names(Project(folder, mode="r")) == ["one", "two"]
    assert Project(folder, mode="r")["two"].metrics == {"auc": 2}


def test_mode_w_starts_empty(folder):
    filled(folder, "one")
    project = Project(folder, mode="w")
    assert project.experiments == []
    with project.log("two"):
        pass
    project.save()
    assert names(Project(folder, mode="r")) == ["two"]


def test_mode_w_starts_empty_though_nothing_is_logged(folder):
    filled(folder, "one")
    Project(folder, mode="w").save()
    assert Project(folder, mode="r").experiments == []


def test_mode_w_plus_makes_everything_editable(folder):
    filled(folder, "one")
    project = Project(folder, mode="w+")
    project["one"].log_metric("auc", 1)
    with project.log("two"):
        pass
    project.save()
    stored = Project(folder, mode="r")
    assert names(stored) == ["one", "two"]
    assert stored["one"].metrics == {"auc": 1}


@pytest.mark.parametrize("mode", ["x", "", "rw", "a+", "R", None])
def test_mode_that_is_bad_is_a_value_error(folder, mode):
    with pytest.raises(ValueError, match="mode"):
        Project(folder, mode=mode)


# --- author ---


def test_author_defaults_to_the_login_user(folder):
    project = Project(folder)
    assert project.author == getpass.getuser()
    assert project.log("one").author == getpass.getuser()


def test_author_that_is_given_signs_the_experiments(folder):
    project = filled(folder, "one", author="lee")
    assert project.author == "lee"
    assert Project(folder, mode="r")["one"].author == "lee"
    assert written(project, project["one"].slug)["author"] == "lee"


# --- row: with project.log(name) as exp ---


def test_log_gives_a_new_experiment(project):
    with project.log("My experiment") as exp:
        assert isinstance(exp, Experiment)
        exp.log_metric("auc", 0.5)
    assert exp.name == "My experiment"
    assert project.experiments == [exp]
    assert saved(project, exp).metrics == {"auc": 0.5}


def test_log_is_thread_safe(project):
    together = threading.Barrier(16)

    def attempt(n):
        together.wait()
        with project.log("same name") as exp:
            exp.log_metric("n", n)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(attempt, range(16)))
    project.save()
    assert sorted(exp.metrics["n"] for exp in Project(project.fpath, mode="r").experiments) == list(range(16))


def test_log_keeps_an_experiment_whose_block_raises_as_failed_with_its_traceback(project):
    with pytest.raises(ZeroDivisionError), project.log("one") as exp:
        exp.log_metric("auc", 0.5)
        exp.log_metric("auc", 1 / 0)
    assert project["one"] is exp
    found = saved(project, exp)
    assert found.status == "failed"
    assert found.metrics == {"auc": 0.5}
    assert found.error.startswith("Traceback")
    assert "1 / 0" in found.error
    assert "ZeroDivisionError: division by zero" in found.error
    assert written(project, exp.slug)["status"] == "failed"


def test_log_lets_the_exception_of_its_block_go_on(project):
    raised = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught, project.log("one"):
        raise raised
    assert caught.value is raised


# --- row: exp.log_metric overwrites the last value ---


def test_log_metric_overwrites_the_last_value(project):
    exp = project.log("one")
    exp.log_metric("auc", 0.5)
    exp.log_metric("auc", 0.75)
    assert saved(project, exp).metrics == {"auc": 0.75}
    exp.log_metric(name="auc", value=1)
    assert saved(project, exp).metrics == {"auc": 1}


# --- row: exp.log_parameter, exp.tag ---


def test_log_parameter_keeps_a_parameter_of_that_name(project):
    exp = project.log("one")
    exp.log_parameter("features", ["age"])
    exp.log_parameter(name="features", value=["age", "plan"])
    assert saved(project, exp).parameters == {"features": ["age", "plan"]}


def test_tag_adds_tags(project):
    exp = project.log("one")
    exp.tag("a", "b")
    exp.tag("c")
    assert saved(project, exp).tags == ["a", "b", "c"]


def test_tag_with_overwrite_replaces_the_tags(project):
    exp = project.log("one")
    exp.tag("a", "b")
    exp.tag("c", overwrite=True)
    assert saved(project, exp).tags == ["c"]


# --- row: exp.log_artifact associates; written at save; same name needs overwrite ---


def test_log_artifact_has_the_documented_signature():
    for kind in (Experiment, Test):
        parameters = list(inspect.signature(kind.log_artifact).parameters.values())[1:]
        assert [p.name for p in parameters] == ["name", "value", "handler", "fname", "overwrite", "expiry", "kwargs"]
        assert [p.default for p in parameters[3:6]] == [None, False, None]


def test_log_artifact_associates_and_save_writes(project):
    exp = project.log("one")
    exp.log_artifact("report", {"auc": 1}, handler="json")
    assert [artifact.name for artifact in exp.artifacts] == ["report"]
    assert artifact_files(project) == []
    project.save()
    (path,) = artifact_files(project)
    assert json.loads(path.read_bytes()) == {"auc": 1}


def test_log_artifact_passes_its_kwargs_to_the_writer(project):
    exp = project.log("one")
    exp.log_artifact("note", "text", handler="parity-angled", left="{")
    project.save()
    assert artifact_files(project)[0].read_text() == "{text>"


def test_log_artifact_keeps_the_fname_it_is_given(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json", fname="reports/final.json")
    assert saved(project, exp).artifacts[0].fname == "reports/final.json"
    assert artifact_files(project)[0].as_posix().endswith("/reports/final.json")


@pytest.mark.parametrize("fname", ["../out.json", "/etc/out.json", "a/../../out.json"])
def test_log_artifact_refuses_an_fname_outside_the_store(project, fname):
    exp = project.log("one")
    with pytest.raises(UnsafePathError):
        exp.log_artifact("report", [1], handler="json", fname=fname)
    assert exp.artifacts == []


def test_log_artifact_of_the_same_name_without_overwrite_is_refused(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    with pytest.raises(ArtifactLogError, match="'report'"):
        exp.log_artifact("report", [2], handler="json")
    project.save()
    with pytest.raises(ArtifactLogError, match="'report'"):
        exp.log_artifact("report", [2], handler="pickle")
    assert saved(project, exp).load_artifact("report") == [1]


@pytest.mark.parametrize("save_between", [False, True])
def test_log_artifact_of_the_same_name_with_overwrite_replaces_it(project, save_between):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    if save_between:
        project.save()
    exp.log_artifact("report", {2}, handler="pickle", overwrite=True)
    found = saved(project, exp)
    assert [artifact.alias for artifact in found.artifacts] == ["pickle"]
    assert found.load_artifact("report") == {2}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (FUTURE, FUTURE),
        (FUTURE.replace(tzinfo=None), FUTURE),
        (FUTURE.astimezone(timezone(timedelta(hours=9))), FUTURE),
        (None, None),
    ],
    ids=str,
)
def test_log_artifact_takes_an_expiry(project, given, expected):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json", expiry=given)
    assert exp.artifacts[0].expiry == saved(project, exp).artifacts[0].expiry == expected


# --- row: exp.load_artifact ---


def test_load_artifact_has_the_documented_signature():
    for kind in (Experiment, Test):
        parameters = inspect.signature(kind.load_artifact).parameters
        assert list(parameters) == ["self", "name", "validate", "trust", "kwargs"]
        assert (parameters["validate"].default, parameters["trust"].default) == (True, False)
        assert parameters["trust"].kind is inspect.Parameter.KEYWORD_ONLY


def test_load_artifact_passes_its_kwargs_to_the_reader(project):
    exp = project.log("one")
    exp.log_artifact("note", "text", handler="parity-angled")
    found = saved(project, exp)
    assert found.load_artifact("note") == "text"
    assert found.load_artifact("note", end=-2) == "tex"


def written_by_another_python(exp):
    """Log what a process of another Python would have."""
    artifact = PickleArtifact.construct("model", {1, 2}, python_version="2.7")
    exp.tests.append(Test("women", artifacts=[artifact]))


def test_load_artifact_of_another_environment_is_refused(project):
    exp = project.log("one")
    written_by_another_python(exp)
    (test,) = saved(project, exp).tests
    with pytest.raises(ArtifactLoadError):
        test.load_artifact("model")


def test_load_artifact_of_another_environment_loads_without_validate(project):
    exp = project.log("one")
    written_by_another_python(exp)
    (test,) = saved(project, exp).tests
    assert test.load_artifact("model", validate=False) == {1, 2}


def test_load_artifact_of_no_such_name_is_refused(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    found = saved(project, exp)
    with pytest.raises(ArtifactLoadError, match="'reprot'"):
        found.load_artifact("reprot")


def test_load_artifact_of_who_is_not_trusted_needs_trust(project, tmp_path, monkeypatch):
    exp = project.log("one")
    exp.log_artifact("model", {1, 2}, handler="pickle")
    exp.log_artifact("report", [1], handler="json")
    found = saved(project, exp)
    assert found.load_artifact("model") == {1, 2}
    for variable in ("HOME", "XDG_CONFIG_HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "somebody else"))
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", "the-key-of-somebody-else-altogether")
    with pytest.raises(UntrustedArtifactError, match="'model'"):
        found.load_artifact("model")
    assert found.load_artifact("model", trust=True) == {1, 2}
    assert found.load_artifact("report") == [1]


# --- row: with exp.log_test(name, description=None) as test ---


def test_log_test_keeps_what_a_sub_population_shows(project):
    exp = project.log("one")
    with exp.log_test("women under 40", description="the youngest") as test:
        assert isinstance(test, Test)
        test.log_metric("auc", 0.5)
        test.log_parameter("n", 12)
        test.log_artifact("curve", [[0, 0]], handler="json")
    (found,) = saved(project, exp).tests
    assert (found.name, found.description) == ("women under 40", "the youngest")
    assert (found.metrics, found.parameters) == ({"auc": 0.5}, {"n": 12})
    assert found.load_artifact("curve") == [[0, 0]]


def test_log_test_needs_no_description(project):
    exp = project.log("one")
    with exp.log_test("women") as test:
        pass
    assert test.description is None
    assert saved(project, exp).tests[0].description is None


def test_log_test_leaves_the_experiment_as_it_was(project):
    exp = project.log("one")
    exp.log_metric("auc", 1)
    with exp.log_test("women") as test:
        test.log_metric("auc", 2)
    assert saved(project, exp).metrics == {"auc": 1}


# --- row: project.save() writes everything dirty ---


def test_save_writes_everything_that_is_dirty(project):
    one, two = project.log("one"), project.log("two")
    project.save()
    one.log_metric("auc", 1)
    two.log_test("women").log_metric("auc", 2)
    three = project.log("three")
    three.log_artifact("report", [3], handler="json")
    project.save()
    assert [exp.dirty for exp in project.experiments] == [False, False, False]
    stored = Project(project.fpath, mode="r")
    assert stored["one"].metrics == {"auc": 1}
    assert stored["two"].tests[0].metrics == {"auc": 2}
    assert stored["three"].load_artifact("report") == [3]


def test_save_is_refused_in_mode_r(folder):
    filled(folder, "one")
    with pytest.raises(ReadOnlyError):
        Project(folder, mode="r").save()


def test_save_that_cannot_write_an_artifact_records_the_rest_and_keeps_that_dirty(project):
    exp, other = project.log("one"), project.log("two")
    exp.log_metric("auc", 1)
    exp.log_artifact("good", [1], handler="json")
    exp.log_artifact("bad", {1}, handler="json")
    with pytest.raises(SaveError, match="'bad'"):
        project.save()
    stored = Project(project.fpath, mode="r")
    assert names(stored) == ["one", "two"]
    assert [artifact.name for artifact in stored["one"].artifacts] == ["good"]
    assert stored["one"].metrics == {"auc": 1}
    assert len(artifact_files(project)) == 1
    assert (exp.dirty, other.dirty) == (True, False)
    assert {a.name: a.dirty for a in exp.artifacts} == {"good": False, "bad": True}
    exp.log_artifact("bad", [2], handler="json", overwrite=True)
    assert saved(project, exp).load_artifact("bad") == [2]
    assert not exp.dirty


def test_save_that_cannot_write_an_artifact_of_a_test_says_so(project):
    exp = project.log("one")
    test = exp.log_test("women")
    test.log_artifact("bad", {1}, handler="json")
    with pytest.raises(SaveError, match="'bad'"):
        project.save()
    assert test.dirty
    assert Project(project.fpath, mode="r")["one"].tests[0].artifacts == []


def test_save_that_cannot_write_at_all_records_nothing_and_keeps_all_dirty(project, folder):
    exp = project.log("one")
    exp.log_metric("auc", 1)
    exp.log_artifact("report", [1], handler="json")
    folder.mkdir()
    (folder / "project").write_text("in the way")
    with pytest.raises(SaveError):
        project.save()
    assert exp.dirty
    assert exp.artifacts[0].dirty
    (folder / "project").unlink()
    found = saved(project, exp)
    assert found.metrics == {"auc": 1}
    assert found.load_artifact("report") == [1]
    assert not exp.dirty


# --- row: project.append, merge, filter ---


def test_append_adds_an_experiment_that_was_made_directly(project):
    exp = Experiment(name="by hand", project=project.fpath, author="lee")
    exp.log_metric("auc", 1)
    exp.log_artifact("report", [1], handler="json")
    project.append(exp)
    assert project["by-hand"] is exp
    found = saved(project, exp)
    assert (found.author, found.metrics) == ("lee", {"auc": 1})
    assert found.load_artifact("report") == [1]


def test_append_adds_an_experiment_of_another_project_with_its_artifacts(project, tmp_path):
    other = filled(tmp_path / "other", "theirs")
    other["theirs"].log_artifact("report", [1], handler="json")
    other.save()
    project.append(other["theirs"])
    found = saved(project, other["theirs"])
    assert found.parameters == {"name": "theirs"}
    shutil.rmtree(tmp_path / "other")
    assert found.load_artifact("report") == [1]


def copied(folder, elsewhere):
    """Return a copy of a project, as another machine would have it."""
    shutil.copytree(folder, elsewhere)
    return Project(elsewhere, mode="w+")


def test_merge_is_the_union_by_slug(folder, tmp_path):
    here = filled(folder, "shared")
    there = copied(folder, tmp_path / "there")
    elsewhere = filled(tmp_path / "elsewhere", "shared", "third")
    for project, name in ((here, "mine"), (there, "theirs")):
        with project.log(name):
            pass
        project.save()
    merged = here.merge(there, elsewhere)
    slugs = [exp.slug for project in (here, there, elsewhere) for exp in project.experiments]
    assert sorted(exp.slug for exp in merged.experiments) == sorted(set(slugs))
    assert sorted(names(merged)) == ["mine", "shared", "shared", "theirs", "third"]


def test_merge_takes_of_each_field_the_newest_value(folder, tmp_path):
    here = filled(folder, "shared")
    here["shared"].metrics = {"a": 0, "b": 0, "c": 0}
    here.save()
    there = copied(folder, tmp_path / "there")
    here["shared"].metrics["a"] = 1
    here.save()
    there["shared"].metrics.update({"a": 2, "b": 2})
    there.save()
    here["shared"].metrics["b"] = 3
    here.save()
    for merged in (here.merge(there), there.merge(here)):
        assert merged["shared"].metrics == {"a": 2, "b": 3, "c": 0}


def test_merge_that_is_saved_holds_what_the_others_held(folder, tmp_path):
    here, there = filled(folder, "mine"), filled(tmp_path / "there", "theirs")
    there["theirs"].log_artifact("report", [1], handler="json")
    there.save()
    here.merge(there).save()
    shutil.rmtree(tmp_path / "there")
    stored = Project(folder, mode="r")
    assert sorted(names(stored)) == ["mine", "theirs"]
    assert stored["theirs"].load_artifact("report") == [1]


def test_merge_takes_what_is_not_saved_yet_too(folder, tmp_path):
    here, there = filled(folder, "shared"), Project(tmp_path / "there")
    here["shared"].log_metric("auc", 1)
    there.log("theirs").log_artifact("report", [1], handler="json")
    merged = here.merge(there)
    assert merged["shared"].metrics == {"auc": 1}
    merged.save()
    stored = Project(folder, mode="r")
    assert stored["shared"].metrics == {"auc": 1}
    assert stored["theirs"].load_artifact("report") == [1]


def test_filter_finds_experiments_by_a_function(project):
    for n in range(4):
        project.log(f"n{n}").log_metric("n", n)
    assert [exp.name for exp in project.filter(lambda exp: exp.metrics["n"] % 2)] == ["n1", "n3"]
    assert list(project.filter(lambda exp: False)) == []


# --- row: project[slug], slug in project, iter(project) ---


def test_a_slug_finds_its_experiment(folder):
    project = filled(folder, "same", "same")
    first, last = project.experiments
    for stored in (project, Project(folder, mode="r")):
        assert stored[first.slug].slug == first.slug
        assert stored[last.slug].slug == last.slug
        assert first.slug in stored


def test_a_short_slug_finds_the_newest_experiment(folder):
    filled(folder, "Same name", "other", "Same name")
    project = Project(folder, mode="r")
    assert project["same-name"] is project.experiments[-1]
    assert "same-name" in project


def test_a_short_slug_finds_the_experiment_that_was_saved_last(folder):
    project = filled(folder, "same")
    project.append(old := Experiment(name="same", project=project.fpath, created_at=LONG_AGO))
    assert project["same"] is old
    project.save()
    assert Project(folder, mode="r")["same"].slug == old.slug


def test_a_slug_of_nothing_is_not_in_the_project(folder):
    project = filled(folder, "one")
    assert "two" not in project
    assert project["one"].slug + "x" not in project


def test_iteration_gives_plain_dicts(folder):
    project = filled(folder, "one", "two")
    project["one"].log_parameter("deep", {"a": [{"b": 1}]})
    found = list(project)
    assert [item["name"] for item in found] == ["one", "two"]
    assert [type(item) for item in found] == [dict, dict]
    assert type(found[0]["parameters"]) is type(found[0]["parameters"]["deep"]) is dict
    assert json.loads(json.dumps(found)) == found


# --- row: exp.slug is <short-slug>-<YYYYMMDDHHMMSS>-<8 random characters> ---


def test_slug_is_the_short_slug_the_time_and_eight_random_characters(project):
    exp = project.log("My Größe, v2!")
    assert re.fullmatch(rf"my-grosse-v2-{exp.created_at:%Y%m%d%H%M%S}-[0-9a-z]{{8}}", exp.slug)
    assert saved(project, exp).slug == exp.slug


def test_slug_is_unique_even_within_one_second(project):
    made = [Experiment("same", created_at=MOMENT) for _ in range(50)]
    assert len({exp.slug for exp in made}) == 50
    for exp in made:
        project.append(exp)
    project.save()
    assert len(Project(project.fpath, mode="r").experiments) == 50


# --- row: exp.dependencies are upstream experiments, of other projects too ---


def test_dependencies_may_be_of_the_same_project(project):
    up, exp = project.log("up"), project.log("one")
    exp.dependencies["up"] = up
    assert exp.dependencies["up"] is up
    assert saved(project, exp).dependencies["up"].slug == up.slug


def test_dependencies_may_be_of_another_project(project, tmp_path):
    up = filled(tmp_path / "features", "clean")["clean"]
    exp = project.log("one")
    exp.dependencies[up.short_slug] = up
    found = saved(project, exp).dependencies["clean"]
    assert (found.slug, found.parameters) == (up.slug, {"name": "clean"})


# --- bullet, Project: its attributes, and load() ---


def test_project_lists_its_experiments(folder):
    project = filled(folder, "one", "two")
    assert isinstance(project.experiments, list)
    assert all(isinstance(exp, Experiment) for exp in project.experiments)


def test_project_lists_its_experiments_oldest_first(folder):
    filled(folder, "c", "a", "b")
    for mode in ("r", "a", "w+"):
        assert names(Project(folder, mode=mode)) == ["c", "a", "b"]


def test_project_lists_experiments_as_they_were_first_saved_whatever_clocks_say(folder):
    project = filled(folder, "new")
    project.append(Experiment(name="old", project=project.fpath, created_at=LONG_AGO))
    assert names(project) == ["new", "old"]
    project.save()
    assert names(Project(folder, mode="r")) == ["new", "old"]
    assert [exp.name for exp in sorted(project.experiments)] == ["old", "new"]


def test_project_has_author_fpath_mode_storage_options_and_fs(tmp_path):
    project = Project(tmp_path / "churn.json", mode="w+", author="dana", auto_mkdir=True)
    assert project.author == "dana"
    assert Path(project.fpath) == tmp_path / "churn.json"
    assert project.mode == "w+"
    assert project.storage_options == {"auto_mkdir": True}
    assert Project(tmp_path / "churn.json").storage_options == {}
    project.save()
    assert isinstance(project.fs, fsspec.AbstractFileSystem)
    assert project.fs.isfile(str(project.fpath))


def test_project_load_reads_what_others_have_saved(folder):
    mine = filled(folder, "one")
    assert names(mine) == ["one"]
    filled(folder, "two")
    mine.load()
    assert names(mine) == ["one", "two"]
    mine.load()
    assert names(mine) == ["one", "two"]


# --- same bullet: a missing file, an unknown slug, filter, merge ---


@pytest.mark.parametrize("mode", ["a", "w", "w+"])
def test_a_missing_file_is_an_empty_project(folder, mode):
    assert Project(folder, mode=mode).experiments == []
    assert not folder.exists()


def test_a_missing_file_is_an_empty_project_in_mode_r_with_a_warning(folder):
    with pytest.warns(UserWarning, match=re.escape(str(folder))):
        project = Project(folder, mode="r")
    assert project.experiments == []
    assert not folder.exists()


def test_an_unknown_slug_is_a_key_error(folder):
    project = filled(folder, "one")
    for slug in ("two", project["one"].slug + "x", ""):
        with pytest.raises(KeyError):
            project[slug]


def test_filter_yields_experiments(folder):
    project = filled(folder, "one", "two")
    found = project.filter(lambda exp: exp.name == "two")
    assert inspect.isgenerator(found) or iter(found) is found
    assert list(found) == [project["two"]]


def test_merge_returns_a_new_project_with_the_fpath_author_and_mode_of_the_first(folder, tmp_path):
    filled(folder, "mine")
    there = filled(tmp_path / "there", "theirs", author="lee")
    here = Project(folder, mode="a", author="kim")
    merged = here.merge(there)
    assert isinstance(merged, Project)
    assert merged is not here
    assert (merged.fpath, merged.author, merged.mode) == (here.fpath, "kim", "a")


def test_merge_leaves_the_projects_as_they_are(folder, tmp_path):
    here, there = filled(folder, "mine"), filled(tmp_path / "there", "theirs")
    here.merge(there)
    assert (names(here), names(there)) == (["mine"], ["theirs"])
    assert names(Project(folder, mode="r")) == ["mine"]
    assert names(Project(there.fpath, mode="r")) == ["theirs"]


# --- same bullet: mode r, and the files of lazyscribe ---


def test_mode_r_refuses_log(folder):
    filled(folder, "one")
    project = Project(folder, mode="r")
    with pytest.raises(ReadOnlyError), project.log("two"):
        pass
    assert names(project) == ["one"]


def test_mode_r_refuses_append(folder):
    filled(folder, "one")
    project = Project(folder, mode="r")
    with pytest.raises(ReadOnlyError):
        project.append(Experiment(name="two", project=project.fpath))
    assert names(project) == ["one"]


def test_mode_r_refuses_save_and_writes_no_file(folder):
    with pytest.warns(UserWarning, match="no project"):
        project = Project(folder, mode="r")
    with pytest.raises(ReadOnlyError):
        project.save()
    assert not folder.exists()


@pytest.mark.parametrize("mode", MODES)
def test_a_lazyscribe_file_is_refused_with_the_import_command(folder, mode):
    folder.mkdir()
    content = json.dumps([{"name": "one", "slug": "one-20240101000000"}])
    (folder / "project.json").write_text(content)
    with pytest.raises(errors.LazytrackError, match="lazytrack import"):
        Project(folder, mode=mode)
    assert (folder / "project.json").read_text() == content


# --- bullet, Experiment: its attributes ---


def test_experiment_has_name_slug_and_short_slug(project):
    exp = project.log("My experiment")
    found = saved(project, exp)
    for each in (exp, found):
        assert (each.name, each.short_slug) == ("My experiment", "my-experiment")
        assert each.slug.startswith("my-experiment-")


def test_experiment_has_the_project_dir_path_and_fs_it_belongs_to(folder, project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    found = saved(project, exp)
    for each in (exp, found):
        assert Path(each.project) == folder / "project.json"
        assert Path(each.dir) == folder
        assert Path(each.path).is_relative_to(folder)
        assert each.path.rstrip("/").endswith(exp.slug)
        assert isinstance(each.fs, fsspec.AbstractFileSystem)
        assert each.fs.isdir(str(each.path))
    assert all(path.is_relative_to(exp.path) for path in artifact_files(project))


def test_experiment_has_author_and_last_updated_by(project):
    exp = project.log("one")
    assert exp.author == exp.last_updated_by == "dana"
    found = saved(project, exp)
    assert found.author == found.last_updated_by == "dana"


def test_experiment_has_metrics_and_parameters_that_are_dicts(project):
    exp = project.log("one")
    assert (exp.metrics, exp.parameters) == ({}, {})
    exp.metrics["auc"] = 1
    exp.parameters["features"] = ["age"]
    exp.parameters["features"].append("plan")
    found = saved(project, exp)
    assert (found.metrics, found.parameters) == ({"auc": 1}, {"features": ["age", "plan"]})
    assert isinstance(found.metrics, dict)
    assert isinstance(found.parameters, dict)


def test_experiment_has_created_at_and_last_updated_that_are_aware_utc_with_microseconds(project):
    before = datetime.now(UTC)
    exp = project.log("one")
    exp.log_metric("auc", 1)
    assert before <= exp.created_at <= exp.last_updated <= datetime.now(UTC)
    found = saved(project, exp)
    assert (found.created_at, found.last_updated) == (exp.created_at, exp.last_updated)
    assert found.created_at.utcoffset() == found.last_updated.utcoffset() == timedelta(0)


def test_experiment_keeps_the_microseconds_of_created_at(project):
    exp = Experiment(name="one", project=project.fpath, created_at=MOMENT)
    project.append(exp)
    assert saved(project, exp).created_at == MOMENT


def test_experiment_takes_a_naive_created_at_as_utc(project):
    exp = Experiment(name="one", project=project.fpath, created_at=NAIVE)
    assert exp.created_at == MOMENT
    assert exp.created_at.utcoffset() == timedelta(0)
    assert exp.slug.startswith("one-20261120082233-")


def test_experiment_has_dependencies_tests_artifacts_and_tags_that_begin_empty(project):
    exp = project.log("one")
    assert dict(exp.dependencies) == {}
    assert (exp.tests, exp.artifacts, exp.tags) == ([], [], [])
    assert all(isinstance(part, list) for part in (exp.tests, exp.artifacts, exp.tags))


def test_experiment_has_artifacts_that_are_their_handlers(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    exp.log_artifact("model", {1}, handler="pickle")
    found = saved(project, exp).artifacts
    assert [(type(artifact), artifact.name) for artifact in found] == [
        (JSONArtifact, "report"),
        (PickleArtifact, "model"),
    ]


def test_experiment_is_dirty_from_a_change_to_the_next_save(project):
    exp = project.log("one")
    assert exp.dirty is True
    project.save()
    assert exp.dirty is False
    exp.log_metric("auc", 1)
    assert exp.dirty is True
    assert saved(project, exp).dirty is False


# --- same bullet: made directly and appended ---


@pytest.mark.parametrize("kind", [str, Path])
def test_experiment_may_be_made_directly_with_name_project_and_author(tmp_path, kind):
    path = kind(tmp_path / "churn" / "project.json")
    exp = Experiment(name="My experiment", project=path, author="lee")
    assert (exp.name, exp.short_slug, exp.author, exp.last_updated_by) == (
        "My experiment",
        "my-experiment",
        "lee",
        "lee",
    )
    assert Path(exp.project) == Path(path)
    assert Path(exp.dir) == tmp_path / "churn"
    assert not (tmp_path / "churn").exists()


def test_experiment_that_is_made_directly_has_the_login_user_as_author(tmp_path):
    assert Experiment(name="one", project=tmp_path / "project.json").author == getpass.getuser()


def test_experiment_that_is_made_directly_and_appended_is_saved(project):
    exp = Experiment(name="one", project=project.fpath, author="lee")
    exp.log_parameter("lr", 1)
    exp.tag("candidate")
    exp.log_test("women").log_metric("auc", 1)
    project.append(exp)
    exp.log_metric("later", 2)
    found = saved(project, exp)
    assert (found.parameters, found.tags, found.metrics) == ({"lr": 1}, ["candidate"], {"later": 2})
    assert found.tests[0].metrics == {"auc": 1}


# --- same bullet: comparison ---


def test_experiments_of_different_slugs_compare_by_created_at():
    old, new = Experiment("old", created_at=LONG_AGO), Experiment("new", created_at=MOMENT)
    old.log_metric("auc", 1)  # so that the old one is updated last
    assert old.last_updated > new.last_updated
    assert old < new
    assert new > old
    assert (old > new, new < old) == (False, False)
    assert sorted([new, old]) == [old, new]


def test_experiments_of_one_slug_compare_by_last_updated(folder):
    project = filled(folder, "one")
    before = Project(folder, mode="r")["one"]
    project["one"].log_metric("auc", 1)
    after = saved(project, project["one"])
    assert before.slug == after.slug
    assert before < after
    assert after > before
    assert (before > after, after < before) == (False, False)


def test_experiments_that_were_created_at_one_moment_are_neither_less_nor_greater():
    one, two = Experiment("one", created_at=MOMENT), Experiment("two", created_at=MOMENT)
    assert (one < two, two < one) == (False, False)
    assert (one > two, two > one) == (False, False)


def test_experiments_are_equal_when_their_contents_are(folder):
    project = filled(folder, "one")
    one, copy = Project(folder, mode="r")["one"], Project(folder, mode="w+")["one"]
    assert one is not copy
    assert one == copy == project["one"]
    assert one != Experiment("one")
    assert one != "one"


@pytest.mark.parametrize(
    "change",
    [
        lambda exp: exp.log_metric("auc", 1),
        lambda exp: exp.log_parameter("lr", 1),
        lambda exp: exp.tag("candidate"),
        lambda exp: exp.log_test("women"),
        lambda exp: exp.log_artifact("report", [1], handler="json"),
    ],
    ids=["metric", "parameter", "tag", "test", "artifact"],
)
def test_experiments_whose_contents_differ_are_not_equal(folder, change):
    filled(folder, "one")
    one, copy = Project(folder, mode="w+")["one"], Project(folder, mode="w+")["one"]
    change(copy)
    assert one != copy


# --- same bullet: what a metric is; last_updated; last_updated_by ---


@pytest.mark.parametrize("value", [1, 0.5, -3, [1, 2.5], []])
def test_a_metric_is_a_number_or_a_list_of_them(project, value):
    exp = project.log("one")
    exp.log_metric("auc", value)
    assert saved(project, exp).metrics == {"auc": value}
    assert written(project, exp.slug)["metrics.auc"] == value


@pytest.mark.parametrize("value", ["0.5", None, {"a": 1}, [1, "x"]])
def test_a_metric_that_is_no_number_is_refused(project, value):
    exp = project.log("one")
    with pytest.raises(TypeError, match="auc"):
        exp.log_metric("auc", value)
    assert exp.metrics == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda exp: exp.log_metric("auc", 1),
        lambda exp: exp.log_parameter("lr", 1),
        lambda exp: exp.tag("candidate"),
        lambda exp: exp.log_artifact("report", [1], handler="json"),
        lambda exp: exp.log_test("men"),
        lambda exp: exp.tests[0].log_metric("auc", 1),
        lambda exp: exp.metrics.update(auc=1),
        lambda exp: exp.parameters["deep"]["list"].append(1),
        lambda exp: exp.tags.clear(),
        lambda exp: exp.dependencies.__setitem__("up", exp),
    ],
)
def test_each_change_sets_last_updated(project, change):
    exp = project.log("one")
    exp.log_parameter("deep", {"list": []})
    exp.tag("old")
    exp.log_test("women")
    project.save()
    before = exp.last_updated
    change(exp)
    assert before < exp.last_updated <= datetime.now(UTC)
    assert saved(project, exp).last_updated == exp.last_updated


def test_a_save_without_a_change_leaves_last_updated(project):
    exp = project.log("one")
    project.save()
    before = exp.last_updated
    project.save()
    assert exp.last_updated == saved(project, exp).last_updated == before


def test_saving_a_changed_experiment_in_mode_w_plus_sets_last_updated_by(folder):
    filled(folder, "one", "two", author="dana")
    project = Project(folder, mode="w+", author="lee")
    project["one"].log_metric("auc", 1)
    project.save()
    stored = Project(folder, mode="r")
    for each in (project, stored):
        assert (each["one"].author, each["one"].last_updated_by) == ("dana", "lee")
        assert (each["two"].author, each["two"].last_updated_by) == ("dana", "dana")


def test_saving_an_appended_experiment_in_mode_w_plus_sets_last_updated_by(project):
    exp = Experiment(name="one", project=project.fpath, author="lee")
    project.append(exp)
    found = saved(project, exp)
    assert (found.author, found.last_updated_by) == ("lee", "dana")


# --- same bullet: to_dict() and iteration ---


def full(project):
    """Return an experiment that holds something of each kind."""
    up, exp = project.log("up"), project.log("one")
    exp.log_parameter("features", ["age"])
    exp.log_metric("auc", 0.5)
    exp.tag("candidate")
    exp.log_artifact("model", {1}, handler="pickle", expiry=FUTURE)
    with exp.log_test("women", "half of them") as test:
        test.log_metric("auc", 0.25)
        test.log_artifact("curve", [1], handler="json")
    exp.dependencies[up.short_slug] = up
    return exp


def test_to_dict_is_what_iteration_gives(project):
    exp = full(project)
    assert list(project)[-1] == exp.to_dict()
    found = saved(project, exp)
    assert found.to_dict() == exp.to_dict()


def test_to_dict_holds_every_field_of_the_experiment(project):
    shown = full(project).to_dict()
    fields = ["name", "slug", "short_slug", "author", "last_updated_by", "created_at", "last_updated"]
    assert {*fields, "metrics", "parameters", "tags", "dependencies", "tests", "artifacts"} <= shown.keys()
    assert {"project", "dir", "fs", "dirty"}.isdisjoint(shown)
    assert (shown["name"], shown["author"], shown["tags"]) == ("one", "dana", ["candidate"])
    assert (shown["parameters"], shown["metrics"]) == ({"features": ["age"]}, {"auc": 0.5})
    assert json.loads(json.dumps(shown)) == shown


def test_to_dict_has_iso_times(project):
    exp = full(project)
    shown = exp.to_dict()
    assert datetime.fromisoformat(shown["created_at"]) == exp.created_at
    assert datetime.fromisoformat(shown["last_updated"]) == exp.last_updated
    (artifact,) = shown["artifacts"]
    assert datetime.fromisoformat(artifact["created_at"]) == exp.artifacts[0].created_at
    assert datetime.fromisoformat(artifact["expiry"]) == FUTURE


def test_to_dict_has_dependencies_as_strings(project):
    exp = full(project)
    assert exp.to_dict()["dependencies"] == [f"project.json|{project['up'].slug}"]


def test_to_dict_has_artifacts_with_their_handler_and_without_value_writer_kwargs_and_dirty(project):
    exp = full(project)
    for shown in (exp.to_dict(), saved(project, exp).to_dict()):
        (artifact,) = shown["artifacts"]
        assert (artifact["handler"], artifact["name"], artifact["version"]) == ("pickle", "model", 0)
        assert artifact["fname"].endswith(".pkl")
        assert artifact["python_version"] == HERE
        (in_test,) = shown["tests"][0]["artifacts"]
        assert (in_test["handler"], in_test["name"]) == ("json", "curve")
        for each in (artifact, in_test):
            assert {"value", "writer_kwargs", "dirty"}.isdisjoint(each)


def test_tag_with_overwrite_and_without_tags_clears_them(project):
    exp = project.log("one")
    exp.tag("a", "b")
    project.save()
    exp.tag(overwrite=True)
    assert exp.tags == saved(project, exp).tags == []


# --- bullet, Test ---


def test_test_has_the_documented_signature():
    parameters = inspect.signature(Test).parameters
    assert list(parameters) == ["name", "description", "metrics", "parameters", "artifacts", "path", "fs"]
    assert parameters["name"].default is inspect.Parameter.empty
    assert all(p.default is not p.empty for name, p in parameters.items() if name != "name")


def test_test_needs_only_a_name():
    test = Test("women")
    assert (test.name, test.description) == ("women", None)
    assert (test.metrics, test.parameters, test.artifacts) == ({}, {}, [])
    Test("men").log_metric("auc", 1)
    assert test.metrics == {}


def test_test_takes_what_is_logged_already(tmp_path):
    artifact = JSONArtifact.construct("curve", [1])
    fs = fsspec.filesystem("memory")
    test = Test("women", "half of them", {"auc": 1}, {"n": 3}, [artifact], path=tmp_path, fs=fs)
    assert (test.name, test.description) == ("women", "half of them")
    assert (test.metrics, test.parameters) == ({"auc": 1}, {"n": 3})
    assert [each.name for each in test.artifacts] == ["curve"]
    assert Path(test.path) == tmp_path
    assert test.fs is fs


def test_test_of_an_experiment_has_its_path_and_fs(project):
    exp = project.log("one")
    test = exp.log_test("women")
    assert Path(test.path).is_relative_to(exp.path)
    assert test.fs is exp.fs


def test_test_logs_metrics_parameters_and_artifacts(project):
    exp = project.log("one")
    test = exp.log_test("women")
    test.log_metric("auc", 1)
    test.log_metric("auc", 0.5)
    test.log_parameter("n", 3)
    test.log_artifact("curve", [1], handler="json", fname="plots/curve.json", expiry=FUTURE)
    (found,) = saved(project, exp).tests
    assert (found.metrics, found.parameters) == ({"auc": 0.5}, {"n": 3})
    assert (found.artifacts[0].fname, found.artifacts[0].expiry) == ("plots/curve.json", FUTURE)
    assert json.loads(artifact_files(project)[0].read_bytes()) == [1]


def test_test_loads_its_artifacts(project):
    exp = project.log("one")
    test = exp.log_test("women")
    test.log_artifact("curve", [1], handler="json")
    found = saved(project, exp).tests[0]
    assert test.load_artifact("curve") == found.load_artifact("curve") == [1]
    with pytest.raises(ArtifactLoadError, match="'curv'"):
        found.load_artifact("curv")


def test_test_refuses_an_artifact_of_the_same_name_without_overwrite(project):
    exp = project.log("one")
    exp.log_artifact("curve", [0], handler="json")
    test = exp.log_test("women")
    test.log_artifact("curve", [1], handler="json")
    with pytest.raises(ArtifactLogError, match="'curve'"):
        test.log_artifact("curve", [2], handler="json")
    test.log_artifact("curve", [3], handler="json", overwrite=True)
    found = saved(project, exp)
    assert (found.load_artifact("curve"), found.tests[0].load_artifact("curve")) == ([0], [3])


def test_test_has_to_dict(project):
    exp = project.log("one")
    test = exp.log_test("women", "half of them")
    test.log_metric("auc", 1)
    test.log_parameter("n", 3)
    test.log_artifact("curve", [1], handler="json")
    shown = test.to_dict()
    assert (shown["name"], shown["description"]) == ("women", "half of them")
    assert (shown["metrics"], shown["parameters"]) == ({"auc": 1}, {"n": 3})
    assert shown["artifacts"][0]["handler"] == "json"
    assert {"value", "writer_kwargs", "dirty"}.isdisjoint(shown["artifacts"][0])
    assert {"path", "fs"}.isdisjoint(shown)
    assert exp.to_dict()["tests"] == [shown] == saved(project, exp).to_dict()["tests"]


def test_test_that_is_made_directly_and_appended_is_saved(project):
    exp = project.log("one")
    test = Test("women", metrics={"auc": 1}, artifacts=[JSONArtifact.construct("curve", [1])])
    test.log_artifact("model", {2}, handler="pickle")
    exp.tests.append(test)
    test.log_parameter("later", 3)
    (found,) = saved(project, exp).tests
    assert (found.metrics, found.parameters) == ({"auc": 1}, {"later": 3})
    assert (found.load_artifact("curve"), found.load_artifact("model")) == ([1], {2})


def test_test_is_not_collected_by_pytest(request):
    assert Test.__test__ is False
    assert ReadOnlyTest.__test__ is False
    assert lazytrack.Test is Test
    module = request.node.getparent(pytest.Module)
    assert [list(found.collect()) for found in module.collect() if isinstance(found, pytest.Class)] == [[]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda test: test.log_metric("auc", 2), "tests.women.metrics.auc"),
        (lambda test: test.parameters["deep"].append(1), "tests.women.parameters.deep"),
        (lambda test: test.log_artifact("curve", [1], handler="json"), "tests.women.artifacts.curve"),
    ],
    ids=["metric", "in place", "artifact"],
)
def test_test_that_alone_is_changed_is_written_by_the_next_save(project, change, field):
    exp = project.log("one")
    test = exp.log_test("women")
    test.log_parameter("deep", [])
    project.save()
    count = len(patches(project))
    assert not exp.dirty
    change(test)
    assert exp.dirty
    found = saved(project, exp)
    (patch,) = patches(project)[count:]
    assert field in patch["set"]
    assert found.tests[0].to_dict() == test.to_dict()


# --- bullet: loaded read-only ---


def test_read_only_experiments_and_tests_are_subclasses_of_the_editable_ones():
    assert issubclass(ReadOnlyExperiment, Experiment)
    assert issubclass(ReadOnlyTest, Test)


@pytest.mark.parametrize(
    ("mode", "experiment", "test"),
    [("r", ReadOnlyExperiment, ReadOnlyTest), ("a", ReadOnlyExperiment, ReadOnlyTest), ("w+", Experiment, Test)],
)
def test_read_only_is_what_is_loaded_in_modes_r_and_a(project, mode, experiment, test):
    project.log("one").log_test("women")
    project.save()
    found = Project(project.fpath, mode=mode)["one"]
    assert type(found) is experiment
    assert type(found.tests[0]) is test


# --- bullet: the registry ---


def test_registry_is_a_registry_that_starts_with_the_projects_it_is_given(folder):
    project = Project(folder)
    assert isinstance(registry, Registry)
    assert Registry().projects == {}
    assert Registry(projects={"churn": project})["churn"] is project
    assert Registry().projects is not Registry().projects


def test_registry_add_project_registers_a_project_by_name(folder):
    project, mine = Project(folder), Registry()
    mine.add_project("churn", project)
    assert mine["churn"] is project
    assert mine.projects == {"churn": project}


def test_registry_search_finds_a_project_by_path(tmp_path):
    mine = Registry()
    mine.add_project("churn", Project(tmp_path / "churn.json"))
    mine.add_project("other", Project(tmp_path / "other.json"))
    assert mine.search(tmp_path / "churn.json") == "churn"
    assert mine.search(str(tmp_path / "other.json")) == "other"


def test_registry_search_finds_a_project_by_another_spelling_of_its_path(tmp_path, monkeypatch):
    mine = Registry()
    mine.add_project("churn", Project(tmp_path / "churn.json"))
    monkeypatch.chdir(tmp_path)
    assert mine.search("churn.json") == "churn"
    assert mine.search(f"file://{tmp_path}/x/../churn.json") == "churn"


def test_registry_search_finds_a_project_by_url(in_memory):
    mine = Registry(projects={"churn": Project(in_memory)})
    assert mine.search(in_memory) == "churn"
    assert mine.search(in_memory.replace("churn", "other")) is None


def test_registry_search_finds_none_where_there_is_none(tmp_path):
    mine = Registry()
    assert mine.search(tmp_path / "churn.json") is None
    mine.add_project("other", Project(tmp_path / "other.json"))
    assert mine.search(tmp_path / "churn.json") is None


def test_registry_of_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="churn"):
        Registry()["churn"]


def test_registry_tells_whether_a_name_is_in_it(folder):
    mine = Registry(projects={"churn": Project(folder)})
    assert "churn" in mine
    assert "other" not in mine


# --- same bullet: how dependencies are stored ---


@pytest.fixture
def upstream(tmp_path):
    """Another project, which holds the experiment `clean`."""
    return filled(tmp_path / "features", "clean", author="kim")


def depends(project, upstream):
    """Return a saved experiment that depends on `clean`."""
    exp = project.log("one")
    up = upstream["clean"]
    exp.dependencies[up.short_slug] = up
    project.save()
    return exp


def test_dependencies_map_a_short_slug_to_an_experiment(project, upstream):
    exp = depends(project, upstream)
    for each in (exp, Project(project.fpath, mode="r")["one"]):
        assert list(each.dependencies) == ["clean"]
        assert "clean" in each.dependencies
        assert isinstance(each.dependencies["clean"], Experiment)
        assert [up.slug for up in each.dependencies.values()] == [upstream["clean"].slug]
        with pytest.raises(KeyError):
            each.dependencies["dirty"]


def test_dependencies_are_stored_by_the_name_in_the_registry(project, upstream):
    registry.add_project("features", upstream)
    exp = depends(project, upstream)
    assert exp.to_dict()["dependencies"] == [f"features|{upstream['clean'].slug}"]
    assert written(project, exp.slug)["dependencies.clean"] == f"features|{upstream['clean'].slug}"


def test_dependencies_are_stored_by_a_relative_path_where_nothing_is_registered(project, upstream):
    exp = depends(project, upstream)
    assert written(project, exp.slug)["dependencies.clean"] == f"../features/project.json|{upstream['clean'].slug}"


def test_dependencies_by_a_relative_path_move_with_the_folder_of_both(project, upstream, tmp_path):
    depends(project, upstream)
    (tmp_path / "moved").mkdir()
    for name in ("churn", "features"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    found = Project(tmp_path / "moved" / "churn", mode="r")["one"].dependencies["clean"]
    assert (found.slug, found.parameters) == (upstream["clean"].slug, {"name": "clean"})


def test_dependencies_on_another_filesystem_are_stored_by_their_url(project, in_memory):
    upstream = filled(in_memory, "clean")
    exp = depends(project, upstream)
    assert written(project, exp.slug)["dependencies.clean"] == f"{in_memory}|{upstream['clean'].slug}"
    assert Project(project.fpath, mode="r")["one"].dependencies["clean"].parameters == {"name": "clean"}


# --- same bullet: on load a registry name, then a registered project of that path, then that path read-only ---


def test_dependencies_are_found_on_load_by_the_name_in_the_registry(project, upstream, tmp_path):
    registry.add_project("features", upstream)
    depends(project, upstream)
    (tmp_path / "features").rename(tmp_path / "moved")
    moved = Project(tmp_path / "moved", mode="w+")
    registry.add_project("features", moved)
    assert Project(project.fpath, mode="r")["one"].dependencies["clean"] is moved["clean"]


def test_dependencies_are_found_on_load_in_a_registered_project_of_that_path(project, upstream):
    depends(project, upstream)
    registry.add_project("whatever it is called", upstream)
    found = Project(project.fpath, mode="r")["one"].dependencies["clean"]
    assert found is upstream["clean"]
    assert type(found) is Experiment


def test_dependencies_are_found_on_load_by_opening_the_path_read_only(project, upstream):
    depends(project, upstream)
    found = Project(project.fpath, mode="w+")["one"].dependencies["clean"]
    assert type(found) is ReadOnlyExperiment
    assert Path(found.project) == Path(upstream.fpath)
    with pytest.raises(ReadOnlyError):
        found.log_metric("auc", 1)


def test_dependencies_on_one_project_are_of_one_opened_project(project, upstream):
    exp = depends(project, upstream)
    exp.dependencies["again"] = upstream["clean"]
    found = saved(project, exp)
    assert found.dependencies["clean"] is found.dependencies["again"]


# --- same bullet: an upstream that cannot be reached never stops a project from opening ---


def gone(upstream):
    shutil.rmtree(Path(upstream.fpath).parent)


def damaged(upstream):
    Path(upstream.fpath).write_text("{")


def of_lazyscribe(upstream):
    Path(upstream.fpath).write_text("[]")


def without_the_experiment(upstream):
    upstream.delete("clean")
    upstream.save()


def not_registered(upstream):
    registry.projects.clear()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("harm", [gone, damaged, of_lazyscribe, without_the_experiment, not_registered])
def test_an_upstream_that_cannot_be_reached_never_stops_a_project_from_opening(project, upstream, harm, mode):
    if harm is not_registered:
        registry.add_project("features", upstream)
    exp = depends(project, upstream)
    exp.log_metric("auc", 1)
    project.save()
    shown = exp.to_dict()
    harm(upstream)
    opened = Project(project.fpath, mode=mode)
    if mode == "w":
        assert opened.experiments == []
        return
    assert list(opened) == [shown]
    assert opened["one"].metrics == {"auc": 1}
    assert list(opened["one"].dependencies) == ["clean"]


@pytest.mark.filterwarnings("ignore:there is no project")
@pytest.mark.parametrize("harm", [gone, damaged, of_lazyscribe, without_the_experiment])
def test_an_upstream_that_cannot_be_reached_is_reported_when_it_is_asked_for(project, upstream, harm):
    depends(project, upstream)
    harm(upstream)
    found = Project(project.fpath, mode="r")["one"]
    with pytest.raises(LookupError, match="clean"):
        found.dependencies["clean"]


def test_an_upstream_that_cannot_be_reached_stays_recorded(project, upstream):
    exp = depends(project, upstream)
    before = written(project, exp.slug)["dependencies.clean"]
    gone(upstream)
    again = Project(project.fpath, mode="w+")
    again["one"].log_metric("auc", 1)
    again.save()
    assert written(project, exp.slug)["dependencies.clean"] == before
    assert Project(project.fpath, mode="r")["one"].to_dict()["dependencies"] == [before]


def test_an_upstream_that_depends_on_the_project_itself_stops_nothing(project, upstream):
    exp = depends(project, upstream)
    upstream["clean"].dependencies["one"] = exp
    upstream.save()
    found = Project(project.fpath, mode="r")["one"]
    assert found.dependencies["clean"].dependencies["one"].slug == exp.slug


# --- bullet: lazytrack.errors ---

TOP = [
    "ReadOnlyError",
    "SaveError",
    "VersionNotFoundError",
    "InvalidVersionError",
    "UnsafePathError",
    "RecordDeletedError",
    "StepInterfaceError",
    "StepFailed",
    "WorkerLost",
    "PipelineRunError",
    "ArtifactError",
]


@pytest.mark.parametrize("name", TOP)
def test_errors_derive_from_lazytrack_error(name):
    assert errors.LazytrackError in getattr(errors, name).__bases__
    with pytest.raises(errors.LazytrackError, match="what happened"):
        raise getattr(errors, name)("what happened")


@pytest.mark.parametrize("name", ["ArtifactLogError", "ArtifactLoadError", "UntrustedArtifactError"])
def test_errors_of_artifacts_derive_from_artifact_error(name):
    assert errors.ArtifactError in getattr(errors, name).__bases__
    with pytest.raises(errors.ArtifactError, match="what happened"):
        raise getattr(errors, name)("what happened")


def test_errors_of_an_environment_show_the_stored_and_the_current_value(project):
    exp = project.log("one")
    written_by_another_python(exp)
    (test,) = saved(project, exp).tests
    with pytest.raises(ArtifactLoadError, match=rf"python_version.*2\.7.*{re.escape(HERE)}"):
        test.load_artifact("model")


# --- paragraph: read-only objects refuse every change, in-place changes included ---


@pytest.fixture
def read_only(in_memory):
    """An experiment with something of each kind, opened read-only."""
    project = Project(in_memory, mode="w+", author="dana")
    exp = full(project)
    exp.log_parameter("deep", {"list": [1, {"x": 2}]})
    exp.tests[0].log_parameter("deep", {"list": [1]})
    return saved(project, exp)


IN_PLACE = {
    "metrics item": lambda exp: exp.metrics.__setitem__("auc", 1),
    "metrics del": lambda exp: exp.metrics.__delitem__("auc"),
    "metrics update": lambda exp: exp.metrics.update(auc=1),
    "metrics pop": lambda exp: exp.metrics.pop("auc"),
    "metrics popitem": lambda exp: exp.metrics.popitem(),
    "metrics clear": lambda exp: exp.metrics.clear(),
    "metrics setdefault": lambda exp: exp.metrics.setdefault("new", 1),
    "metrics or": lambda exp: exp.metrics.__ior__({"new": 1}),
    "parameters item": lambda exp: exp.parameters.__setitem__("lr", 1),
    "parameters clear": lambda exp: exp.parameters.clear(),
    "parameters list": lambda exp: exp.parameters["features"].append("plan"),
    "parameters list item": lambda exp: exp.parameters["features"].__setitem__(0, "plan"),
    "parameters list sort": lambda exp: exp.parameters["features"].sort(),
    "parameters deep dict": lambda exp: exp.parameters["deep"].__setitem__("x", 1),
    "parameters deep list": lambda exp: exp.parameters["deep"]["list"].extend([1]),
    "parameters deeper": lambda exp: exp.parameters["deep"]["list"][1].pop("x"),
    "tags append": lambda exp: exp.tags.append("new"),
    "tags clear": lambda exp: exp.tags.clear(),
    "tags remove": lambda exp: exp.tags.remove("candidate"),
    "tests append": lambda exp: exp.tests.append(Test("men")),
    "tests clear": lambda exp: exp.tests.clear(),
    "dependencies item": lambda exp: exp.dependencies.__setitem__("one", exp),
    "dependencies del": lambda exp: exp.dependencies.__delitem__("up"),
    "dependencies clear": lambda exp: exp.dependencies.clear(),
    "test metrics": lambda exp: exp.tests[0].metrics.update(auc=1),
    "test metrics del": lambda exp: exp.tests[0].metrics.__delitem__("auc"),
    "test parameters": lambda exp: exp.tests[0].parameters.clear(),
    "test parameters deep": lambda exp: exp.tests[0].parameters["deep"]["list"].append(2),
}
CALLS = {
    "log_metric": lambda exp: exp.log_metric("auc", 1),
    "log_parameter": lambda exp: exp.log_parameter("lr", 1),
    "log_artifact": lambda exp: exp.log_artifact("new", [1], handler="json"),
    "log_artifact overwrite": lambda exp: exp.log_artifact("model", [1], handler="json", overwrite=True),
    "tag": lambda exp: exp.tag("new"),
    "tag overwrite": lambda exp: exp.tag(overwrite=True),
    "log_test": lambda exp: exp.log_test("men"),
    "test log_metric": lambda exp: exp.tests[0].log_metric("auc", 1),
    "test log_parameter": lambda exp: exp.tests[0].log_parameter("n", 1),
    "test log_artifact": lambda exp: exp.tests[0].log_artifact("new", [1], handler="json"),
}
ASSIGNED = {
    "metrics": {"auc": 1},
    "parameters": {"lr": 1},
    "tags": ["new"],
    "dependencies": {},
    "status": "running",
}


def refused(exp, change):
    """Check that a change is refused with the right exception, and that nothing of it is left."""
    before = exp.to_dict()
    with pytest.raises(ReadOnlyError) as caught:
        change(exp)
    assert isinstance(caught.value, AttributeError)
    assert exp.to_dict() == before
    assert not exp.dirty


@pytest.mark.parametrize("change", IN_PLACE.values(), ids=IN_PLACE)
def test_read_only_experiments_refuse_changes_in_place(read_only, change):
    refused(read_only, change)


@pytest.mark.parametrize("change", CALLS.values(), ids=CALLS)
def test_read_only_experiments_refuse_calls_that_would_change_them(read_only, change):
    refused(read_only, change)


@pytest.mark.parametrize(("field", "value"), ASSIGNED.items(), ids=ASSIGNED)
def test_read_only_experiments_refuse_assignments(read_only, field, value):
    refused(read_only, lambda exp: setattr(exp, field, value))


@pytest.mark.parametrize(("field", "value"), [("metrics", {}), ("parameters", {}), ("description", "other")])
def test_read_only_tests_refuse_assignments(read_only, field, value):
    refused(read_only, lambda exp: setattr(exp.tests[0], field, value))


@pytest.mark.parametrize(
    "field",
    ["name", "slug", "author", "last_updated_by", "created_at", "last_updated", "artifacts", "project", "extra"],
)
def test_read_only_experiments_refuse_assignments_that_no_experiment_takes(read_only, field):
    before = read_only.to_dict()
    with pytest.raises(AttributeError):
        setattr(read_only, field, "other")
    assert read_only.to_dict() == before


def test_read_only_experiments_in_mode_a_refuse_changes_too(read_only):
    exp = Project(read_only.project, mode="a")[read_only.slug]
    for change in [*IN_PLACE.values(), *CALLS.values()]:
        refused(exp, change)


# --- paragraph: Project, Experiment and Test pickle ---


@pytest.mark.parametrize("mode", MODES)
def test_a_project_pickles_with_what_it_was_opened_with(folder, mode):
    filled(folder, "one")
    project = Project(folder, mode=mode, author="lee", auto_mkdir=True)
    arrived = pickle.loads(pickle.dumps(project))
    assert (arrived.fpath, arrived.mode, arrived.author) == (project.fpath, mode, "lee")
    assert arrived.storage_options == {"auto_mkdir": True}
    assert arrived.fs.exists(str(arrived.fpath))
    assert names(arrived) == ([] if mode == "w" else ["one"])


def test_a_project_pickles_with_what_is_not_saved(project):
    exp = full(project)
    arrived = pickle.loads(pickle.dumps(project))
    assert names(arrived) == ["up", "one"]
    assert arrived["one"] == exp
    assert arrived["one"].to_dict() == exp.to_dict()


def test_a_project_that_was_pickled_can_be_logged_to_and_saved(folder):
    filled(folder, "one")
    arrived = pickle.loads(pickle.dumps(Project(folder)))
    with arrived.log("two") as exp:
        exp.log_artifact("report", [1], handler="json")
    arrived.save()
    stored = Project(folder, mode="r")
    assert names(stored) == ["one", "two"]
    assert stored["two"].load_artifact("report") == [1]


def test_a_project_that_was_pickled_refuses_what_it_refused_before(folder):
    filled(folder, "one")
    arrived = pickle.loads(pickle.dumps(Project(folder, mode="r")))
    assert type(arrived["one"]) is ReadOnlyExperiment
    with pytest.raises(ReadOnlyError):
        arrived.log("two")


@pytest.mark.parametrize("is_saved", [False, True])
def test_an_experiment_pickles_with_all_it_holds(project, is_saved):
    exp = full(project)
    if is_saved:
        project.save()
    arrived = pickle.loads(pickle.dumps(exp))
    assert type(arrived) is Experiment
    assert arrived == exp
    assert arrived.to_dict() == exp.to_dict()
    assert (arrived.project, arrived.dir, arrived.path) == (exp.project, exp.dir, exp.path)
    if is_saved:
        assert arrived.load_artifact("model") == {1}
        assert arrived.tests[0].load_artifact("curve") == [1]


def test_an_experiment_pickles_as_read_only_where_it_is(folder):
    filled(folder, "one")
    exp = Project(folder, mode="r")["one"]
    arrived = pickle.loads(pickle.dumps(exp))
    assert type(arrived) is ReadOnlyExperiment
    assert arrived == exp
    with pytest.raises(ReadOnlyError):
        arrived.log_metric("auc", 1)


def test_an_experiment_that_was_pickled_can_be_appended_to_another_project(tmp_path, project):
    exp = project.log("one")
    exp.log_metric("auc", 1)
    exp.log_artifact("report", [1], handler="json")
    other = Project(tmp_path / "other")
    other.append(pickle.loads(pickle.dumps(exp)))
    found = saved(other, exp)
    assert found.metrics == {"auc": 1}
    assert found.load_artifact("report") == [1]


def test_an_experiment_that_belongs_to_no_project_pickles():
    exp = Experiment(name="one", author="lee", created_at=MOMENT)
    exp.log_metric("auc", 1)
    arrived = pickle.loads(pickle.dumps(exp))
    assert arrived == exp
    assert (arrived.slug, arrived.created_at, arrived.metrics) == (exp.slug, MOMENT, {"auc": 1})


def test_a_test_pickles_with_all_it_holds(project):
    inside = full(project).tests[0]
    alone = Test("men", "the others", {"auc": 1}, {"n": 3}, [JSONArtifact.construct("curve", [1])])
    for test in (inside, alone):
        arrived = pickle.loads(pickle.dumps(test))
        assert arrived == test
        assert arrived.to_dict() == test.to_dict()


def test_a_test_that_was_pickled_can_be_appended_to_an_experiment(project):
    test = Test("men", artifacts=[JSONArtifact.construct("curve", [1])])
    arrived = pickle.loads(pickle.dumps(test))
    arrived.log_metric("auc", 1)
    exp = project.log("one")
    exp.tests.append(arrived)
    (found,) = saved(project, exp).tests
    assert found.metrics == {"auc": 1}
    assert found.load_artifact("curve") == [1]


# --- same paragraph: and can be logged to from threads ---


def in_threads(log):
    """Call `log` with 0 to 15 from as many threads at once."""
    together = threading.Barrier(16)

    def at_once(n):
        together.wait()
        log(n)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(at_once, range(16)))


def test_an_experiment_can_be_logged_to_from_threads(project):
    exp = project.log("one")

    def log(n):
        exp.log_metric(f"m{n}", n)
        exp.log_parameter(f"p{n}", n)
        exp.tag(f"t{n}")
        exp.log_artifact(f"a{n}", n, handler="json")
        with exp.log_test(f"test {n}") as test:
            test.log_metric("n", n)

    in_threads(log)
    found = saved(project, exp)
    assert found.metrics == {f"m{n}": n for n in range(16)}
    assert found.parameters == {f"p{n}": n for n in range(16)}
    assert sorted(found.tags) == sorted(f"t{n}" for n in range(16))
    assert [found.load_artifact(f"a{n}") for n in range(16)] == list(range(16))
    assert {test.name: test.metrics["n"] for test in found.tests} == {f"test {n}": n for n in range(16)}


def test_a_test_can_be_logged_to_from_threads(project):
    exp = project.log("one")
    test = exp.log_test("women")

    def log(n):
        test.log_metric(f"m{n}", n)
        test.log_parameter(f"p{n}", n)
        test.log_artifact(f"a{n}", n, handler="json")

    in_threads(log)
    (found,) = saved(project, exp).tests
    assert found.metrics == {f"m{n}": n for n in range(16)}
    assert found.parameters == {f"p{n}": n for n in range(16)}
    assert [found.load_artifact(f"a{n}") for n in range(16)] == list(range(16))


def test_a_project_can_be_logged_to_and_saved_from_threads(project):
    def log(n):
        with project.log(f"n{n}") as exp:
            exp.log_metric("n", n)
        project.append(Experiment(name=f"by hand {n}", project=project.fpath))
        project.save()

    in_threads(log)
    stored = Project(project.fpath, mode="r")
    assert sorted(names(stored)) == sorted([*(f"n{n}" for n in range(16)), *(f"by hand {n}" for n in range(16))])
    assert all(stored[f"n{n}"].metrics == {"n": n} for n in range(16))
