"""Experiments that come from elsewhere: made directly, from another project, from another process."""

import copy
import json
import pickle
import shutil
from pathlib import Path

import pytest

from lazytrack import Experiment, Project, Test, codec
from lazytrack.errors import ReadOnlyError, RecordDeletedError, SaveError
from lazytrack.tracking import ReadOnlyExperiment


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "here", mode="w+")


@pytest.fixture
def other(tmp_path):
    """Return another project, with one experiment that has something of everything."""
    project = Project(tmp_path / "there", mode="w+", author="dana")
    with project.log("there") as exp:
        fill(exp)
    project.save()
    return project


def fill(exp):
    exp.log_parameter("deep", [{"a": [float("nan"), 2**70]}])
    exp.log_metric("auc", 0.5)
    exp.tag("one", "two")
    exp.notes = "a note"
    exp.log_artifact("report", {"rows": [1, 2]}, handler="json")
    with exp.log_test("women", "a part") as test:
        test.log_metric("auc", 0.4)
        test.log_artifact("model", [1], handler="pickle")


def reopened(project):
    return Project(project.fpath, mode="r")


def files_of(project):
    return [path for path in Path(project.folder).rglob("*") if path.is_file()]


def travelled(thing):
    return pickle.loads(pickle.dumps(thing))


# --- append ---


def test_an_experiment_made_directly_is_the_one_that_is_appended_and_logged_to(project):
    exp = Experiment(name="direct", project=project.fpath, author="dana")
    exp.log_metric("before", 1)
    project.append(exp)
    exp.log_metric("after", 2)
    assert project["direct"] is exp
    project.save()
    found = reopened(project)["direct"]
    assert (found.metrics, found.author) == ({"before": 1, "after": 2}, "dana")
    assert found.last_updated_by == project.author
    assert not exp.dirty


def test_an_experiment_made_directly_takes_what_is_logged_already(project, other):
    upstream = other["there"]
    exp = Experiment(
        "direct",
        project.fpath,
        metrics={"auc": 1},
        parameters={"lr": 0.1},
        tags=["a"],
        tests=[Test("women", metrics={"auc": 2})],
        dependencies={"there": upstream},
        notes="why",
    )
    project.append(exp)
    project.save()
    found = reopened(project)["direct"]
    assert found.to_dict() == exp.to_dict()
    assert (found.metrics, found.parameters, found.tags, found.notes) == ({"auc": 1}, {"lr": 0.1}, ["a"], "why")
    assert found.tests[0].metrics == {"auc": 2}
    assert found.dependencies["there"] == upstream


def test_an_experiment_that_belongs_to_no_project_is_not_saved_and_can_be_read(project):
    exp = Experiment("direct", project.fpath)
    with exp:
        fill(exp)
    assert exp.dirty
    assert exp.status == "completed"
    assert (exp.project, exp.dir) == (project.fpath, project.dir)
    project.save()
    assert len(reopened(project)) == 0


def test_appending_twice_changes_nothing(project):
    exp = Experiment("direct", project.fpath)
    project.append(exp)
    project.append(exp)
    project.save()
    project.append(exp)
    project.save()
    assert len(project) == len(reopened(project)) == 1


def test_of_an_experiment_of_another_project_a_copy_is_appended_with_its_files(project, other):
    exp = other["there"]
    project.append(exp)
    assert project["there"] is not exp
    assert project["there"].load_artifact("report") == {"rows": [1, 2]}  # before it is saved too
    project.save()
    shutil.rmtree(other.dir)
    assert project["there"].load_artifact("report") == {"rows": [1, 2]}
    found = reopened(project)["there"]
    assert found == exp
    assert found.author == "dana"
    assert found.load_artifact("report") == {"rows": [1, 2]}
    assert found.tests[0].load_artifact("model") == [1]


def test_what_is_not_saved_of_an_experiment_is_appended_too_and_stays_unsaved_there(project, other):
    exp = other["there"]
    exp.log_metric("new", 1)
    exp.tags.remove("one")
    exp.log_artifact("later", {1, 2}, handler="pickle")
    del exp.tests[0]
    exp.log_test("men").log_metric("auc", 0.6)
    project.append(exp)
    project.save()
    found = reopened(project)["there"]
    assert found.metrics == {"auc": 0.5, "new": 1}
    assert found.tags == ["two"]
    assert [test.name for test in found.tests] == ["men"]
    assert found.load_artifact("later") == {1, 2}
    assert exp.dirty
    assert reopened(other)["there"].metrics == {"auc": 0.5}
    other.save()
    assert reopened(other)["there"].load_artifact("later") == {1, 2}


def test_of_two_copies_of_one_experiment_the_newest_value_of_each_field_wins(project, other):
    project.append(other["there"])
    project.save()
    project["there"].log_metrics({"auc": 0.6, "here": 1})
    project.save()
    other["there"].log_metrics({"auc": 0.7, "there": 1})
    other.save()
    project["there"].log_metric("here", 2)
    project.save()
    project.append(other["there"])
    project.save()
    assert reopened(project)["there"].metrics == {"auc": 0.7, "here": 2, "there": 1}


def test_appending_to_a_project_that_reads_only_is_refused(project, other):
    project.save()
    with pytest.raises(ReadOnlyError, match="append"):
        reopened(project).append(other["there"])


@pytest.mark.parametrize("wrong", [{}, None, "there", Test("x")])
def test_what_is_no_experiment_is_not_appended(project, wrong):
    with pytest.raises(TypeError, match=r"only an? Experiment can be appended"):
        project.append(wrong)


def test_an_experiment_that_was_deleted_here_does_not_come_back(project, other):
    project.append(other["there"])
    project.save()
    project.delete("there")
    project.save()
    for unread in (project, Project(project.fpath)):
        with pytest.raises(RecordDeletedError, match="for good"):
            unread.append(other["there"])
    merged = project.merge(other)
    assert len(merged) == 0
    assert merged._adopted == {}


def test_an_appended_experiment_can_be_added_in_mode_a_and_is_read_only_there(project, other):
    project.save()
    adding = Project(project.fpath, mode="a")
    adding.append(other["there"])
    adding.save()
    assert isinstance(adding["there"], ReadOnlyExperiment)
    assert reopened(project)["there"] == other["there"]


def test_an_appended_copy_shows_in_the_experiment_that_is_held_already(project, other):
    project.append(other["there"])
    project.save()
    held = project["there"]
    assert (held.metrics, held.tags) == ({"auc": 0.5}, ["one", "two"])
    other["there"].log_metric("auc", 0.6)
    other["there"].tag("three")
    other.save()
    project.append(other["there"])
    assert (held.metrics, held.tags) == ({"auc": 0.6}, ["one", "two", "three"])
    assert project["there"] is held


def test_a_stored_artifact_that_no_record_names_any_more_is_copied_with_the_rest(project, other):
    exp = other["there"]
    test = exp.tests.pop()
    other.save()
    exp.tests.append(test)  # not saved, and its artifact is on the disk
    for number, source in enumerate((exp, travelled(exp))):
        target = Project(f"{project.dir}/{number}")
        target.append(source)
        assert target["there"].tests[0].load_artifact("model", trust=True) == [1]
        target.save()
        shutil.copytree(target.dir, f"{target.dir}-copy")
        found = Project(f"{target.dir}-copy", mode="r")["there"]
        assert found.tests[0].load_artifact("model") == [1]


# --- merge ---


def test_a_merged_project_holds_all_experiments_in_memory_until_it_is_saved(project, other):
    with project.log("here"):
        pass
    project.save()
    merged = project.merge(other)
    assert [exp.name for exp in merged.experiments] == ["there", "here"]  # oldest first
    assert merged["there"].load_artifact("report") == {"rows": [1, 2]}
    assert len(project) == len(reopened(project)) == 1
    merged.save()
    assert [exp.name for exp in reopened(project).experiments] == ["there", "here"]
    assert reopened(project)["there"].load_artifact("report") == {"rows": [1, 2]}
    assert len(reopened(other)) == 1


def test_a_merged_project_has_the_path_the_author_and_the_mode_of_the_first(project, other):
    merged = project.merge(other)
    assert (merged.fpath, merged.author, merged.mode) == (project.fpath, project.author, "w+")
    assert other.merge(project).author == "dana"
    with pytest.raises(ReadOnlyError):
        reopened(other).merge(project).save()


def test_merging_many_and_merging_again_changes_nothing_more(project, other, tmp_path):
    third = Project(tmp_path / "third")
    with third.log("third") as exp:
        exp.log_artifact("report", [3], handler="json")
    third.save()
    project.merge(other, third).save()
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    merged = reopened(project).merge(other, third)
    assert merged._adopted == {}
    Project(project.fpath).merge(third, other).save()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == files
    assert [exp.name for exp in reopened(project).experiments] == ["there", "third"]


def test_what_is_not_saved_is_merged_too(project, other):
    with project.log("here") as here:
        here.log_artifact("it", {1}, handler="pickle")
    other["there"].log_metric("auc", 0.9)
    merged = project.merge(other)
    merged.save()
    assert reopened(project)["there"].metrics == {"auc": 0.9}
    assert reopened(project)["here"].load_artifact("it") == {1}
    assert here.dirty
    assert other["there"].dirty


def test_deletes_are_merged(project, other):
    project.append(other["there"])
    project.save()
    other.delete("there")
    other.save()
    merged = project.merge(other)
    assert len(merged) == 0
    assert len(reopened(project)) == 1
    merged.save()
    assert len(reopened(project)) == 0


def test_a_project_that_starts_empty_stays_so_when_others_are_merged_into_it(project, other):
    with project.log("old"):
        pass
    project.append(other["there"])
    project.save()
    fresh = Project(project.fpath, mode="w")
    merged = fresh.merge(other)
    assert [exp.name for exp in merged.experiments] == ["there"]
    merged.save()
    assert [exp.name for exp in reopened(project).experiments] == ["there"]
    assert reopened(project)["there"].load_artifact("report") == {"rows": [1, 2]}


def test_a_project_that_was_merged_into_another_passes_on_what_is_not_saved_yet(project, other, tmp_path):
    third = Project(tmp_path / "third", mode="w+")
    third.merge(project.merge(other)).save()
    assert reopened(third)["there"].load_artifact("report") == {"rows": [1, 2]}
    project.append(project.merge(other)["there"])
    project.save()
    assert reopened(project)["there"].load_artifact("report") == {"rows": [1, 2]}


def test_a_file_that_cannot_be_copied_is_named_and_stops_nothing_else(project, other):
    [report] = [path for path in files_of(other) if path.name.startswith("report")]
    report.write_text("something else")
    project.append(other["there"])
    with pytest.raises(SaveError, match=r"artifacts\.report of there-.*is not the one that was saved"):
        project.save()
    found = reopened(project)["there"]
    assert [artifact.name for artifact in found.artifacts] == []
    assert found.tests[0].load_artifact("model") == [1]
    assert found.metrics == {"auc": 0.5}
    report.write_text(json.dumps({"rows": [1, 2]}))  # and is tried again by the next save
    project.save()
    assert reopened(project)["there"].load_artifact("report") == {"rows": [1, 2]}


@pytest.mark.parametrize("wrong", [[], None, "there.json"])
def test_what_is_no_project_is_not_merged(project, wrong):
    with pytest.raises(TypeError, match="only a Project can be merged"):
        project.merge(wrong)


# --- travelling ---


def test_an_experiment_travels_with_all_it_holds_saved_or_not(project):
    with project.log("it") as exp:
        fill(exp)
    there = travelled(exp)
    assert there == exp
    assert codec.store(there.to_dict()) == codec.store(exp.to_dict())
    project.save()
    there = travelled(exp)
    assert there == exp
    assert there.load_artifact("report") == {"rows": [1, 2]}
    assert there.tests[0].load_artifact("model") == [1]


def test_an_experiment_that_travelled_refuses_changes_and_says_how_they_can_be_made(project):
    with project.log("it") as exp:
        fill(exp)
    there = travelled(exp)
    for change in (
        lambda: there.log_metric("auc", 1),
        lambda: there.parameters["deep"].append(1),
        lambda: there.tests[0].log_metric("auc", 1),
        there.tags.clear,
    ):
        with pytest.raises(ReadOnlyError, match=r"project.attach\(slug\)"):
            change()
    assert there == exp


def test_an_experiment_that_came_back_can_be_appended_and_logged_to_again(project):
    there = travelled(Experiment("far", project.fpath, metrics={"auc": 1}))
    project.append(there)
    there.log_metric("near", 2)
    project.save()
    assert reopened(project)["far"].metrics == {"auc": 1, "near": 2}


def test_a_read_only_experiment_travels_as_one(project, other):
    there = travelled(reopened(other)["there"])
    assert isinstance(there, ReadOnlyExperiment)
    assert there.load_artifact("report") == {"rows": [1, 2]}
    project.append(there)
    project.save()
    assert reopened(project)["there"] == there


def test_a_test_travels_with_all_it_holds_and_can_be_appended(project):
    test = Test("women", "a part", metrics={"auc": 1}, parameters={"deep": [[1]]})
    test.log_artifact("it", {1}, handler="pickle")
    there = travelled(test)
    assert there == test
    with project.log("it") as exp:
        exp.tests.append(there)
    project.save()
    found = reopened(project)["it"].tests[0]
    assert (found.name, found.description, found.metrics, found.parameters) == (
        "women",
        "a part",
        {"auc": 1},
        {"deep": [[1]]},
    )
    assert found.load_artifact("it") == {1}
    assert travelled(found) == found


def test_a_project_travels_and_what_it_has_not_saved_can_be_read_there_and_is_not_saved(project):
    with project.log("stored"):
        pass
    project.save()
    with project.log("unsaved") as unsaved:
        fill(unsaved)
    there = travelled(project)
    assert [exp.name for exp in there.experiments] == ["stored", "unsaved"]
    assert there["unsaved"] == unsaved
    with pytest.raises(ReadOnlyError, match="attach"):
        there["unsaved"].log_metric("auc", 1)
    with there.log("new"):
        pass
    there.save()
    assert [exp.name for exp in reopened(project).experiments] == ["stored", "new"]
    project.save()
    assert {exp.name for exp in reopened(project).experiments} == {"stored", "unsaved", "new"}


def test_a_project_that_starts_empty_does_not_delete_where_it_travels_to(project):
    with project.log("old"):
        pass
    project.save()
    there = travelled(Project(project.fpath, mode="w"))
    with there.log("new"):
        pass
    there.save()
    assert [exp.name for exp in there.experiments] == ["new"]
    assert [exp.name for exp in reopened(project).experiments] == ["old", "new"]


def test_a_merged_project_travels_with_what_is_not_saved_and_leaves_saving_it_to_its_parent(project, other):
    there = travelled(project.merge(other))
    assert there["there"].load_artifact("report") == {"rows": [1, 2]}
    there.save()
    assert len(reopened(project)) == 0


def test_a_project_travels_with_its_place_and_options_and_finds_it_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project("here/it.json", author="dana", auto_mkdir=True)
    with project.log("it"):
        pass
    project.save()
    data = pickle.dumps(project)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = pickle.loads(data)
    assert (there.fpath, there.author, there.mode, there.storage_options) == (
        "here/it.json",
        "dana",
        "a",
        {"auto_mkdir": True},
    )
    assert there.location == project.location
    assert len(there) == 1


def test_who_is_handed_work_is_later_than_who_handed_it(project, monkeypatch):
    with project.log("it"):
        pass
    project.save()
    clock = project._journal.clock
    ahead = clock._last + 10**12
    monkeypatch.setattr(clock, "_last", ahead)
    data = pickle.dumps(project)
    monkeypatch.setattr(clock, "_last", 0)  # as in another process, on a machine whose clock is behind
    pickle.loads(data)
    assert clock._last > ahead


def test_copies_of_a_project_and_of_an_experiment_are_as_if_they_had_travelled(project):
    with project.log("it") as exp:
        fill(exp)
    for duplicate in (copy.copy, copy.deepcopy):
        assert duplicate(exp) == exp
        assert duplicate(exp) is not exp
        assert [found.name for found in duplicate(project).experiments] == ["it"]


# --- attach ---


def test_a_stored_experiment_can_be_logged_to_in_mode_a_after_attaching(project):
    with project.log("it") as exp:
        exp.log_metric("a", 1)
    project.save()
    adding = Project(project.fpath, mode="a")
    with pytest.raises(ReadOnlyError):
        adding["it"].log_metric("b", 2)
    attached = adding.attach("it")
    attached.log_metric("b", 2)
    assert adding["it"] is attached is adding.attach(exp.slug)
    adding.save()
    assert reopened(project)["it"].metrics == {"a": 1, "b": 2}


def test_attaching_where_it_was_made_gives_the_same_object(project):
    with project.log("it") as exp:
        pass
    assert project.attach("it") is exp


def test_an_experiment_that_travelled_unsaved_can_be_attached_to_once_it_is_saved(project):
    with project.log("it") as exp:
        exp.log_metric("a", 1)
    there = travelled(project)
    with pytest.raises(KeyError, match="not saved yet"):
        there.attach("it")
    project.save()
    there.attach("it").log_metric("b", 2)
    there.save()
    assert reopened(project)["it"].metrics == {"a": 1, "b": 2}


def test_attaching_to_nothing_or_where_only_reading_is_allowed_is_refused(project):
    with project.log("it"):
        pass
    project.save()
    with pytest.raises(KeyError, match="did you mean 'it'"):
        project.attach("itt")
    with pytest.raises(ReadOnlyError, match="attach"):
        reopened(project).attach("it")


# --- comparison ---


def test_experiments_are_equal_when_what_they_hold_is(project, other):
    exp = other["there"]
    assert exp == reopened(other)["there"]
    assert hash(exp) == hash(reopened(other)["there"])
    assert exp != project
    changed = reopened(other)["there"]
    for change in (
        lambda: exp.log_metric("auc", 1),
        lambda: exp.tag("x"),
        lambda: exp.tests[0].log_metric("auc", 1),
        lambda: exp.log_artifact("more", 1, handler="json"),
    ):
        change()
        assert exp != changed
        other.save()
        changed = reopened(other)["there"]
        assert exp == changed


def test_experiments_are_ordered_by_creation_and_copies_of_one_by_their_last_change(project):
    first, second = project.log("b"), project.log("a")
    first.log_metric("x", 1)
    assert first < second
    assert second > first
    assert first <= second
    assert sorted([second, first]) == [first, second]
    earlier = travelled(first)
    first.log_metric("x", 2)
    assert earlier < first
    assert first >= earlier
    with pytest.raises(TypeError):
        assert first < 1
