"""Projects: opening, logging, saving, finding, refreshing, deleting."""

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import ClassVar

import attrs
import pytest

from lazytrack import Project, Repository
from lazytrack.artifacts import Artifact
from lazytrack.errors import FormatError, ReadOnlyError, RecordDeletedError, SaveError, StoreWarning
from lazytrack.files.local import LocalFiles
from lazytrack.tracking import Experiment, ReadOnlyExperiment


@pytest.fixture
def folder(tmp_path):
    """Return a folder whose path has all that has ever been truncated or decoded by mistake."""
    return tmp_path / "a b#c?d%20e|f"


def filled(folder, *names):
    project = Project(folder, mode="w+")
    for name in names:
        with project.log(name) as exp:
            exp.log_parameter("name", name)
        project.save()
    return project


def log_files(folder):
    return sorted((folder / "project" / "log").iterdir())


# --- opening ---


def test_a_path_that_ends_in_json_owns_the_folder_beside_it(folder):
    project = Project(folder / "churn.json")
    with project.log("one"):
        pass
    project.save()
    assert sorted(path.name for path in folder.iterdir()) == ["churn", "churn.json"]
    assert [path.name for path in (folder / "churn").iterdir()] == ["log"]


def test_a_path_that_does_not_end_in_json_is_a_folder(folder):
    filled(folder, "one")
    assert (folder / "project.json").is_file()
    assert len(Project(str(folder) + "/", mode="r").experiments) == 1


def test_a_project_does_not_move_when_the_process_changes_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project("here/project.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with project.log("one"):
        pass
    project.save()
    assert (tmp_path / "here" / "project.json").is_file()


def test_an_unknown_mode_is_refused_and_the_known_ones_are_named(folder):
    with pytest.raises(ValueError, match=r"no mode 'x'; known: 'r' read only"):
        Project(folder, mode="x")


@pytest.mark.parametrize("mode", ["a", "w", "w+"])
def test_a_missing_file_is_an_empty_project(folder, mode):
    assert Project(folder, mode=mode).experiments == []
    assert not folder.exists()


def test_a_missing_file_is_an_empty_project_for_reading_with_a_warning(folder):
    with pytest.warns(UserWarning, match="no project at"):
        assert Project(folder, mode="r").experiments == []


def test_an_empty_project_can_be_saved_and_opened(folder):
    Project(folder).save()
    assert Project(folder, mode="r").experiments == []
    assert [path.name for path in folder.iterdir()] == ["project.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "lazyscribe.*lazytrack import"),
        ("{}", "not a lazytrack document"),
        ("no json", "is not JSON"),
        ('{"format": "lazytrack/2", "kind": "project"}', "upgrade"),
        ('{"format": "lazytrack/1", "kind": "repository", "id": "x"}', "is a lazytrack repository, not a project"),
    ],
)
def test_a_foreign_or_newer_head_is_refused_and_left_alone(folder, content, reason):
    folder.mkdir()
    (folder / "project.json").write_text(content)
    for mode in ("r", "a", "w", "w+"):
        with pytest.raises(FormatError, match=reason):
            Project(folder, mode=mode)
    assert (folder / "project.json").read_text() == content


def test_an_empty_head_is_one_whose_writer_died_and_is_written_anew(folder):
    filled(folder, "one")
    (folder / "project.json").write_bytes(b"")
    project = Project(folder)
    with project.log("two"):
        pass
    project.save()
    assert json.loads((folder / "project.json").read_bytes())["kind"] == "project"
    assert [exp.name for exp in Project(folder, mode="r").experiments] == ["one", "two"]


def test_a_folder_in_the_place_of_the_head_is_refused(folder):
    (folder / "project.json").mkdir(parents=True)
    with pytest.raises(FormatError, match="is a folder"):
        Project(folder)


def test_opening_reads_the_head_and_nothing_else(folder, monkeypatch):
    filled(folder, "one")
    read = []
    real = LocalFiles.read
    monkeypatch.setattr(LocalFiles, "names", lambda self, name: read.append(name) or [])
    monkeypatch.setattr(LocalFiles, "read", lambda self, name: read.append(name) or real(self, name))
    Project(folder)
    assert read == ["project.json"]


def test_an_export_is_opened_for_reading_only(folder):
    project = filled(folder, "one", "two")
    patches = [patch for path in log_files(folder) for patch in json.loads(path.read_text())["patches"]]
    export = folder / "export.json"
    export.write_text(json.dumps({"format": "lazytrack/1", "kind": "export", "id": "x", "patches": patches}))
    assert list(Project(export, mode="r")) == list(project)
    with pytest.raises(ReadOnlyError, match="is an export"):
        Project(export)


def test_the_author_is_the_login_user_unless_given(folder):
    assert Project(folder, author="dana").log("one").author == "dana"
    assert Project(folder).log("one").author == Project(folder).author != ""


# --- saving ---


def test_one_save_is_one_new_file_whatever_has_changed(folder):
    project = filled(folder, "one")
    for _ in range(3):
        for name in ("two", "three"):
            with project.log(name):
                pass
        project["one"].metrics["auc"] = 1
        before = len(log_files(folder))
        project.save()
        assert len(log_files(folder)) == before + 1


def test_a_save_without_changes_writes_nothing(folder):
    project = filled(folder, "one")
    project.save()
    assert len(log_files(folder)) == 1


def test_a_save_writes_what_changed_and_not_the_rest(folder):
    project = filled(folder, "one")
    project["one"].metrics["auc"] = 0.5
    project.save()
    (patch,) = json.loads(log_files(folder)[-1].read_text())["patches"]
    assert patch["set"].keys() == {"metrics.auc", "last_updated"}


def test_two_experiments_of_one_name_in_one_second_both_survive(folder):
    filled(folder, "same", "same", "same")
    assert len(Project(folder, mode="r").experiments) == 3


def test_two_writers_of_one_experiment_both_survive(folder):
    filled(folder, "shared")
    one, two = Project(folder, mode="w+"), Project(folder, mode="w+")
    one["shared"].metrics["a"] = 1
    two["shared"].metrics["b"] = 2
    one["shared"].tag("one")
    two["shared"].tag("two")
    one.save()
    two.save()
    exp = Project(folder, mode="r")["shared"]
    assert exp.metrics == {"a": 1, "b": 2}
    assert exp.tags == ["one", "two"]


def test_a_project_saves_on_leaving_its_block(folder):
    with Project(folder) as project, project.log("one"):
        pass
    assert len(Project(folder, mode="r")) == 1


def test_a_project_saves_on_leaving_its_block_when_it_raises(folder):
    with pytest.raises(KeyError), Project(folder) as project:
        project.log("one").log_metric("auc", 1)
        raise KeyError
    assert Project(folder, mode="r")["one"].metrics == {"auc": 1}


def test_a_failed_save_on_leaving_a_block_is_noted_at_the_exception(folder, monkeypatch):
    with pytest.raises(KeyError) as caught, Project(folder) as project:
        project.log("one")
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "no space")))
        raise KeyError
    assert "could not save project" in caught.value.__notes__[0]


def test_an_artifact_that_cannot_be_written_does_not_stop_the_rest(folder):
    project = Project(folder)
    exp = project.log("one")
    exp.log_metric("auc", 0.5)
    exp.log_artifact("good", [1], handler="json")
    exp.log_artifact("bad", {1, 2}, handler="json")
    with pytest.raises(SaveError, match=r"all was saved but artifact 'bad' of one-.*not JSON serializable") as caught:
        project.save()
    assert isinstance(caught.value.__cause__, TypeError)
    assert exp.dirty
    stored = Project(folder, mode="r")["one"]
    assert stored.metrics == {"auc": 0.5}
    assert [artifact.name for artifact in stored.artifacts] == ["good"]
    exp.log_artifact("bad", [1, 2], handler="json", overwrite=True)
    project.save()
    assert not exp.dirty
    assert Project(folder, mode="r")["one"].load_artifact("bad") == [1, 2]
    names = [path.name for path in folder.rglob("*") if path.is_file() and "artifacts" in path.parts]
    assert len(names) == 2


def test_reading_modes_refuse_to_write(folder):
    filled(folder, "one")
    project = Project(folder, mode="r")
    for change in (lambda: project.log("two"), project.save, lambda: project.delete("one")):
        with pytest.raises(ReadOnlyError):
            change()


# --- modes ---


def test_in_mode_a_what_is_stored_is_read_only_and_what_is_new_is_not(folder):
    filled(folder, "one")
    project = Project(folder, mode="a")
    new = project.log("two")
    project.save()
    new.log_metric("auc", 1)
    project.save()
    assert type(project["one"]) is ReadOnlyExperiment
    assert type(project["two"]) is Experiment
    assert project["two"] is new
    with pytest.raises(ReadOnlyError, match="mode='w\\+'"):
        project["one"].log_metric("auc", 1)
    assert Project(folder, mode="r")["two"].metrics == {"auc": 1}


def test_in_mode_w_what_was_there_when_opened_is_deleted_at_the_first_save(folder):
    filled(folder, "one", "two")
    project = Project(folder, mode="w")
    assert project.experiments == []
    assert len(Project(folder, mode="r")) == 2
    filled(folder, "meanwhile")
    with project.log("new"):
        pass
    project.save()
    project.save()
    assert [exp.name for exp in Project(folder, mode="r").experiments] == ["meanwhile", "new"]


def test_in_mode_w_plus_everything_can_be_edited(folder):
    filled(folder, "one")
    project = Project(folder, mode="w+", author="lee")
    project["one"].log_metric("auc", 1)
    project.save()
    stored = Project(folder, mode="r")["one"]
    assert stored.metrics == {"auc": 1}
    assert stored.last_updated_by == "lee"
    assert stored.author != "lee"


# --- finding ---


def test_experiments_are_found_by_slug_and_the_newest_by_short_slug(folder):
    filled(folder, "same", "other", "same")
    project = Project(folder, mode="r")
    first, other, last = project.experiments
    assert project["same"] is last
    assert project[first.slug] is first
    assert project["other"] is other
    assert "same" in project
    assert "nothing" not in project
    assert len(project) == 3


def test_an_experiment_that_is_not_saved_yet_is_found_too(folder):
    project = filled(folder, "one")
    exp = project.log("two")
    assert project["two"] is exp
    assert project.experiments[-1] is exp


def test_an_unknown_slug_suggests_what_was_meant(folder):
    project = filled(folder, "baseline")
    with pytest.raises(KeyError, match="did you mean 'baseline'"):
        project["basline"]


def test_iteration_gives_plain_dicts(folder):
    filled(folder, "one", "two")
    found = list(Project(folder, mode="r"))
    assert [item["name"] for item in found] == ["one", "two"]
    json.dumps(found)


def test_the_best_experiments_come_first_and_those_without_the_metric_not_at_all(folder):
    project = Project(folder)
    for name, value in {"b": 2, "nan": float("nan"), "a": 3.5, "list": [9], "c": -1, "inf": float("inf")}.items():
        project.log(name).log_metric("auc", value)
    project.log("none")
    assert [exp.name for exp in project.best("auc")] == ["inf", "a", "b", "c"]
    project.save()
    stored = Project(folder, mode="r")
    assert [exp.name for exp in stored.best("auc", n=2)] == ["inf", "a"]
    assert [exp.name for exp in stored.best("auc", minimize=True)] == ["c", "b", "a", "inf"]
    assert stored.best("loss") == []


def test_the_best_are_found_among_changed_values_and_not_among_deleted_experiments(folder):
    project = filled(folder, "one", "two", "three")
    for exp, value in zip(project.experiments, (1, 2, 3), strict=True):
        exp.metrics["auc"] = value
    project.save()
    project["one"].metrics["auc"] = 9
    project.delete("three")
    assert [exp.name for exp in project.best("auc")] == ["one", "two"]


# --- refreshing ---


def test_refresh_shows_what_others_wrote_and_keeps_what_is_not_saved(folder):
    mine = filled(folder, "shared")
    exp = mine["shared"]
    exp.metrics.update(a=1, b=1)
    exp.tag("old")
    exp.log_test("women").log_metric("auc", 1)
    mine.save()
    exp.metrics["a"] = 2
    exp.tag("mine")
    other = Project(folder, mode="w+")
    there = other["shared"]
    there.metrics.update(a=7, b=7, c=7)
    there.tags.remove("old")
    there.tag("theirs")
    there.tests[0].metrics["auc"] = 7
    there.log_test("men").log_metric("auc", 7)
    there.log_artifact("it", [7], handler="json")
    del there.parameters["name"]
    other.log("new")
    other.save()
    mine.refresh()
    assert mine["shared"] is exp
    assert exp.metrics == {"a": 2, "b": 7, "c": 7}
    assert exp.tags == ["mine", "theirs"]
    assert [(test.name, test.metrics) for test in exp.tests] == [("women", {"auc": 7}), ("men", {"auc": 7})]
    assert exp.load_artifact("it") == [7]
    assert exp.parameters == {}
    assert "new" in mine
    assert mine["new"].status == "running"
    mine.save()
    stored = Project(folder, mode="r")["shared"]
    assert stored.metrics == {"a": 2, "b": 7, "c": 7}


def test_who_read_last_and_wrote_wins_though_an_older_file_arrives_later(folder):
    project = filled(folder, "shared")
    other = Project(folder, mode="w+")
    project["shared"].metrics["auc"] = 1
    project.save()
    other.refresh()
    other["shared"].metrics["auc"] = 2
    other.save()
    project.refresh()
    assert project["shared"].metrics["auc"] == 2


# --- deleting ---


def test_a_deleted_experiment_is_gone_for_good(folder):
    project = filled(folder, "one", "two")
    slug = project["one"].slug
    project.delete("one")
    assert [exp.name for exp in project.experiments] == ["two"]
    assert len(Project(folder, mode="r")) == 2
    project.save()
    assert [exp.name for exp in Project(folder, mode="r").experiments] == ["two"]
    assert slug not in project
    with pytest.raises(KeyError):
        project.delete(slug)


def test_deleting_what_is_read_only_is_refused(folder):
    filled(folder, "one")
    with pytest.raises(ReadOnlyError):
        Project(folder, mode="a").delete("one")


def test_saving_to_a_deleted_experiment_raises_once_and_everything_else_is_written(folder):
    project = filled(folder, "one", "two")
    project["one"].metrics["auc"] = 1
    project["two"].metrics["auc"] = 2
    other = Project(folder, mode="w+")
    other.delete("one")
    other.save()
    project.refresh()
    with pytest.raises(RecordDeletedError, match="one-"):
        project.save()
    assert [exp.name for exp in project.experiments] == ["two"]
    project.save()
    assert Project(folder, mode="r")["two"].metrics == {"auc": 2}


def test_a_delete_hides_what_was_written_later_by_who_did_not_see_it(folder):
    late = filled(folder, "one")
    late["one"].metrics["auc"] = 1
    other = Project(folder, mode="w+")
    other.delete("one")
    other.save()
    late.save()
    assert Project(folder, mode="r").experiments == []


# --- problems ---


def test_a_record_that_nobody_says_was_created_is_reported_and_not_listed(folder):
    project = filled(folder, "one", "two")
    project["one"].metrics["auc"] = 1
    slug = project["one"].slug
    project.save()
    log_files(folder)[0].unlink()
    stored = Project(folder, mode="r")
    assert [exp.name for exp in stored.experiments] == ["two"]
    assert "incomplete" in stored.problems[f"record {slug}"]


def test_a_sound_project_has_no_problems_and_warns_of_nothing(folder):
    filled(folder, "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Project(folder, mode="r").problems == {}


def test_a_project_in_memory_works_as_one_on_disk():
    project = Project("memory://somewhere/churn", mode="w")
    with project.log("one") as exp:
        exp.log_artifact("it", [1], handler="json")
    project.save()
    again = Project("memory://somewhere/churn", mode="r")
    assert again["one"].load_artifact("it") == [1]
    assert again.fs.exists("/somewhere/churn/project.json")


def test_an_unknown_protocol_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match=r"known: abfs, .*file, .*memory"):
        Project("gopher://somewhere/churn")


def test_owned_containers_pickle_and_copy_as_plain_ones(folder):
    exp = Project(folder).log("one")
    exp.log_parameter("deep", {"a": [1, {"b": 2}]})
    copied = pickle.loads(pickle.dumps(exp.parameters))
    assert copied == {"deep": {"a": [1, {"b": 2}]}}
    assert type(copied) is dict
    assert type(copied["deep"]) is dict
    assert type(copied["deep"]["a"]) is list


def test_the_paths_of_a_project_are_what_they_say(tmp_path):
    project = Project(tmp_path / "churn.json", author="dana")
    exp = project.log("one")
    exp.log_artifact("it", [1], handler="json")
    project.save()
    assert project.fpath == str(tmp_path / "churn.json")
    assert project.dir == exp.dir == str(tmp_path)
    assert Path(exp.path).is_dir()
    assert exp.project == project.fpath
    assert exp.fs.exists(exp.path)
    assert repr(project) == f"Project({project.fpath!r}, mode='a')"


# --- what a second look found ---


def test_a_container_that_is_held_stays_the_one_that_is_saved_when_others_write(folder):
    project = filled(folder, "one")
    exp = project["one"]
    exp.parameters["cfg"] = {"lr": 1, "layers": [1, {"n": 2}], "gone": 0}
    project.save()
    cfg, layers = exp.parameters["cfg"], exp.parameters["cfg"]["layers"]
    other = Project(folder, mode="w+")
    other["one"].metrics["auc"] = 1
    other["one"].parameters["cfg"].update({"new": 1, "lr": 2})
    del other["one"].parameters["cfg"]["gone"]
    other.save()
    project.refresh()
    assert cfg == {"lr": 2, "layers": [1, {"n": 2}], "new": 1}
    cfg["lr"] = 99
    layers[1]["n"] = 3
    project.save()
    assert Project(folder, mode="r")["one"].parameters["cfg"] == {"lr": 99, "layers": [1, {"n": 3}], "new": 1}


def test_logging_to_an_experiment_that_was_deleted_here_is_refused(folder):
    project = filled(folder, "one")
    exp = project["one"]
    exp.metrics["auc"] = 1
    project.delete("one")
    with pytest.raises(RecordDeletedError, match="was deleted, for good"):
        exp.log_metric("auc", 2)
    project.save()
    assert Project(folder, mode="r").experiments == []


def test_who_updated_last_is_known_after_a_save_that_had_to_be_repeated(folder, monkeypatch):
    filled(folder, "one")
    project = Project(folder, mode="w+", author="bob")
    project["one"].metrics["auc"] = 1
    with monkeypatch.context() as failing, pytest.raises(SaveError):
        failing.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
        project.save()
    project.save()
    assert project["one"].last_updated_by == "bob"
    assert Project(folder, mode="r")["one"].last_updated_by == "bob"


def test_a_block_on_a_read_only_experiment_hides_no_exception(folder):
    filled(folder, "one")
    for raised in (KeyError, None):
        exp = Project(folder, mode="r")["one"]
        if raised is None:
            with exp:
                pass
        else:
            with pytest.raises(raised), exp:
                raise raised
        assert exp.status == "completed"


def test_in_mode_w_a_block_that_raises_deletes_nothing_yet(folder):
    filled(folder, "old")
    project = Project(folder, mode="w")
    with pytest.raises(KeyError), project.log("new"):
        raise KeyError
    assert [exp.name for exp in Project(folder, mode="r").experiments] == ["old", "new"]
    project.save()
    assert [exp.name for exp in Project(folder, mode="r").experiments] == ["new"]


def test_an_artifact_whose_environment_is_no_json_does_not_stop_the_rest(folder):
    project = Project(folder)
    project.log("one").log_metric("auc", 1)
    bad = project.log("two")
    bad.log_artifact("it", b"x", handler="odd-environment")
    with pytest.raises(SaveError, match="all was saved but artifact 'it'"):
        project.save()
    assert [exp.name for exp in Project(folder, mode="r").experiments] == ["one", "two"]


@attrs.define
class OddEnvironment(Artifact):
    alias: ClassVar[str] = "odd-environment"
    suffix: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True
    where: dict[tuple[str, int], int] = attrs.field(factory=lambda: {("a", 1): 2})

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(obj)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"created_at": 5}, "which is no time"),
        ({"created_at": "yesterday"}, "which is no time"),
        ({"metrics.auc": 1}, "is incomplete"),
    ],
)
def test_a_record_that_makes_no_sense_is_named_and_hides_no_other(folder, fields, reason):
    project = filled(folder, "one")
    at = "20200101T000000.000000Z-00000000"
    patch = {"at": at, "record": "stranger", "set": fields}
    document = {"format": "lazytrack/1", "kind": "log", "id": at, "patches": [patch]}
    (folder / "project" / "log" / f"{at}.json").write_text(json.dumps(document))
    stored = Project(folder, mode="r")
    assert "one" in [found["name"] for found in stored]
    assert reason in stored.problems["record stranger"]
    assert project["one"].name == "one"


def test_a_record_without_a_name_goes_by_its_short_slug(folder):
    filled(folder, "one")
    at = "20200101T000000.000000Z-00000000"
    record = {"at": at, "record": "nameless-20200101000000-00000000", "set": {"created_at": "2020-01-01T00:00:00Z"}}
    document = {"format": "lazytrack/1", "kind": "log", "id": at, "patches": [record]}
    (folder / "project" / "log" / f"{at}.json").write_text(json.dumps(document))
    assert [found["name"] for found in Project(folder, mode="r")] == ["nameless", "one"]


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make symbolic links")
def test_a_file_that_cannot_be_read_is_named_and_hides_no_other(folder):
    filled(folder, "one")
    name = "20200101T000000.000000Z-00000000.json"
    (folder / "project" / "log" / name).symlink_to(name)
    project = Project(folder, mode="r")
    with pytest.warns(StoreWarning, match="cannot be read"):
        assert [exp.name for exp in project.experiments] == ["one"]
    assert project.problems.keys() == {f"log/{name}"}


def test_a_path_with_a_tilde_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Project("~/churn").save()
    assert (tmp_path / "churn" / "project.json").is_file()


def test_an_option_that_the_filesystem_does_not_have_is_refused_by_name(folder):
    with pytest.raises(TypeError, match="no option 'atuhor'"):
        Project(folder, atuhor="dana")
    with pytest.raises(TypeError, match="no option 'mod'"):
        Project("memory://somewhere", mod="r")


@pytest.mark.parametrize("kind", [Project, Repository])
@pytest.mark.parametrize("path", ["s3:/bucket/churn", Path("gs://bucket/churn/project.json")])
def test_a_url_that_was_made_a_path_is_no_folder_here(path, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"(s3|gs)://bucket/churn.* is a URL, which is no Path"):
        kind(path)


@pytest.mark.parametrize("path", ["", ".json", "somewhere/.json", "s3://", "s3:///", "memory://", "file://"])
def test_a_path_that_names_nothing_is_refused(path):
    with pytest.raises(ValueError, match="names no project"):
        Project(path)


def test_a_file_in_the_place_of_the_folder_is_refused(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("mine")
    with pytest.raises(FormatError, match="is a file, not the folder of a project"):
        Project(folder)
    assert folder.read_text() == "mine"
