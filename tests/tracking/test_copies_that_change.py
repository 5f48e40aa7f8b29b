"""Copies that change on both sides: what is later wins, field by field, and nobody undoes what he has not seen."""

import copy
import pickle
import shutil
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from lazytrack import Experiment, Project, Test, tracking
from lazytrack.artifacts import JSONArtifact
from lazytrack.errors import RecordDeletedError, SaveError


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "here", mode="w+")


@pytest.fixture
def other(tmp_path):
    return Project(tmp_path / "there", mode="w+")


def travelled(thing):
    return pickle.loads(pickle.dumps(thing))


def reopened(project):
    return Project(project.fpath, mode="r")


def logged(project, **parameters):
    exp = project.log("it")
    exp.log_parameters(parameters)
    return exp


# --- values ---


@pytest.mark.parametrize("saved_first", [False, True])
def test_what_two_children_changed_and_what_the_parent_changed_meanwhile_all_stay(project, saved_first):
    exp = logged(project, theirs=0, mine=0, untouched=0)
    children = [travelled((project, exp)) for _ in range(2)]
    for number, (there, child) in enumerate(children):
        there.append(child)
        child.log_parameter(f"child {number}", 1)
        child.log_parameter("theirs", number + 1)
    exp.log_parameter("mine", 7)
    if saved_first:
        project.save()
    for _, child in children:
        project.append(travelled(child))
    assert exp.parameters == {"theirs": 2, "mine": 7, "untouched": 0, "child 0": 1, "child 1": 1}
    project.save()
    assert reopened(project)["it"].parameters == exp.parameters
    assert not exp.dirty


def test_a_child_that_saves_by_itself_does_not_undo_what_its_parent_changed_meanwhile(project):
    exp = logged(project, theirs=0, mine=0)
    there, child = travelled((project, exp))
    there.append(child)
    child.log_parameter("theirs", 1)
    exp.log_parameter("mine", 7)
    project.save()
    there.save()
    assert reopened(project)["it"].parameters == {"theirs": 1, "mine": 7}
    project.refresh()
    project.save()
    assert exp.parameters == reopened(project)["it"].parameters == {"theirs": 1, "mine": 7}


def test_a_copy_that_is_saved_late_does_not_undo_what_was_saved_before(project, other):
    exp = logged(project, lr=1)
    other.append(exp)
    exp.log_parameter("lr", 2)
    project.save()
    other.save()
    assert other.merge(project)["it"].parameters == {"lr": 2}
    assert project.merge(other)["it"].parameters == {"lr": 2}


def test_what_a_refresh_brings_wins_over_what_went_elsewhere_before_and_not_over_what_changed_since(project):
    exp = logged(project, old=0, new=0)
    project.save()
    exp.log_parameters({"old": 1, "new": 1})
    travelled(exp)
    with Project(project.fpath, mode="w+") as editing:
        editing["it"].log_parameters({"old": 2, "new": 2})
    exp.log_parameter("new", 3)
    project.refresh()
    assert exp.parameters == {"old": 2, "new": 3}
    project.save()
    assert reopened(project)["it"].parameters == {"old": 2, "new": 3}


def test_a_returned_artifact_does_not_take_the_place_of_a_newer_one(project):
    exp = logged(project)
    exp.log_artifact("same", 1, handler="json")
    exp.log_artifact("newer here", 1, handler="json")
    exp.log_artifact("newer there", 1, handler="json")
    there, child = travelled((project, exp))
    there.append(child)
    child.log_artifact("newer there", 2, handler="json", overwrite=True)
    exp.log_artifact("newer here", 3, handler="json", overwrite=True)
    project.append(travelled(child))
    project.save()
    found = reopened(project)["it"]
    assert {a.name: found.load_artifact(a.name) for a in found.artifacts} == {
        "same": 1,
        "newer here": 3,
        "newer there": 2,
    }


def test_a_project_that_travelled_shows_all_of_what_was_saved_and_changed_since(project):
    exp = logged(project, lr=1)
    exp.tag("t")
    exp.log_test("women").log_metric("auc", 1)
    project.save()
    exp.log_metric("m", 2)
    there = travelled(project)
    assert there[exp.slug] == exp
    assert there[exp.slug].parameters == {"lr": 1}


def test_what_went_elsewhere_and_was_taken_out_there_and_put_in_here_ends_as_the_later_says(project, other):
    exp = logged(project, a=1, b=1)
    exp.tag("t")
    project.save()
    exp.log_parameter("a", 2)
    del exp.parameters["b"]
    exp.tags.clear()
    travelled(exp)
    exp.log_parameter("a", 3)  # noted first, and of a later time than the rest
    other.append(exp)
    assert (other["it"].parameters, other["it"].tags) == ({"a": 3}, [])
    other.save()
    project.save()
    for found in (reopened(project)["it"], reopened(other)["it"]):
        assert (found.parameters, found.tags) == ({"a": 3}, [])


# --- one object for one experiment ---


def test_threads_that_attach_at_once_get_one_object_and_lose_nothing(project):
    logged(project)
    project.save()
    for _ in range(5):
        adding = Project(project.fpath)
        adding.load()
        barrier, found = threading.Barrier(4), []

        def attach(number, adding=adding, barrier=barrier, found=found):
            barrier.wait()
            found.append(adding.attach("it"))
            found[-1].log_metric(f"m{number}", number)

        threads = [threading.Thread(target=attach, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        adding.save()
        assert len({id(exp) for exp in found}) == 1
    assert reopened(project)["it"].metrics == {f"m{number}": number for number in range(4)}


def test_what_is_appended_to_an_experiment_that_is_attached_joins_it(project):
    exp = logged(project)
    project.save()
    exp.log_metric("theirs", 1)
    there, child = travelled((project, exp))
    attached = there.attach("it")
    attached.log_metric("mine", 2)
    there.append(child)
    assert there["it"] is attached
    there.save()
    assert reopened(project)["it"].metrics == {"theirs": 1, "mine": 2}


def test_threads_that_append_between_two_projects_do_not_wait_for_each_other(project, other):
    mine, theirs = logged(project), logged(other)
    project.save()
    other.save()

    def loop(target, exp):
        for _ in range(200):
            target.append(exp)

    threads = [threading.Thread(target=loop, args=pair, daemon=True) for pair in ((project, theirs), (other, mine))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_a_shallow_copy_of_a_project_leaves_its_experiments_alone(project):
    exp = logged(project)
    duplicate = copy.copy(project)
    project.save()
    exp.log_metric("m", 1)
    project.save()
    assert reopened(project)["it"].metrics == {"m": 1}
    assert duplicate["it"] is not exp


# --- while a save is under way ---


class Waiting(JSONArtifact):
    """A handler that calls back while it writes."""

    alias: ClassVar[str] = "waiting"
    during: ClassVar = None

    @classmethod
    def write(cls, obj, buf, **kwargs):
        JSONArtifact.write(obj, buf)
        cls.during()


def test_a_copy_that_is_made_while_its_original_is_saved_is_whole(project, other, tmp_path):
    exp = logged(project, lr=1)
    exp.log_artifact("it", [1], handler="waiting")
    copies = []

    project.load()

    def during():
        Waiting.during = lambda: None  # travelling writes too

        def run():
            other.append(exp)
            copies.extend([travelled(exp), Project(tmp_path / "third", mode="w+").merge(project)["it"]])

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()

    Waiting.during = during
    project.save()
    assert [found.parameters for found in (*copies, other["it"])] == [{"lr": 1}] * 3
    other.save()
    assert reopened(other)["it"].load_artifact("it") == [1]


def test_a_delete_during_a_save_that_fails_takes_nothing_from_the_others(project, monkeypatch):
    gone, stays = logged(project), project.log("stays")
    project.save()
    gone.log_artifact("it", 1, handler="waiting")
    stays.log_metric("m", 1)
    Waiting.during = lambda: project.delete(gone.slug)

    def fail(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(project._journal, "append", fail)
    with pytest.raises(SaveError):
        project.save()
    monkeypatch.undo()
    assert stays.dirty
    project.save()
    assert [(exp.name, exp.metrics) for exp in reopened(project).experiments] == [("stays", {"m": 1})]


def test_what_somebody_deleted_is_said_also_when_something_else_could_not_be_written(project):
    exp = logged(project)
    project.save()
    with Project(project.fpath, mode="w+") as editing:
        editing.delete("it")
    exp.log_metric("m", 1)
    project.log("fails").log_artifact("it", object(), handler="json")
    project._journal.refresh()
    with pytest.raises(SaveError, match=r"all was saved but artifact 'it' of fails.*deleted by somebody"):
        project.save()
    assert [found.name for found in project.experiments] == ["fails"]


def test_an_output_only_artifact_warns_when_all_is_settled(project):
    class Plot(JSONArtifact):
        alias: ClassVar[str] = "plot-only"
        output_only: ClassVar[bool] = True

    exp = logged(project)
    with pytest.warns(UserWarning, match="only writes"):
        exp.log_artifact("plot", 1, handler="plot-only")
    exp.log_artifact("report", 2, handler="json")
    with pytest.raises(UserWarning, match="only writes"):  # as where warnings are errors
        project.save()
    assert not exp.dirty
    assert exp.load_artifact("report") == 2
    assert Plot.output_only


# --- tests and containers ---


def test_a_test_that_was_taken_out_does_not_come_back_by_a_refresh(project):
    exp = logged(project)
    exp.log_test("t").log_metric("q", 1)
    project.save()
    with Project(project.fpath) as adding:
        adding.attach("it").log_metric("other", 1)
    exp.tests.clear()
    project.refresh()
    assert exp.tests == []
    project.save()
    assert reopened(project)["it"].tests == []


def test_taking_a_test_out_travels_as_well(project, other):
    exp = logged(project)
    exp.log_test("t").log_metric("q", 1)
    project.save()
    other.append(exp)
    other.save()
    exp.tests.clear()
    other.append(exp)
    assert other["it"].tests == []
    other.save()
    assert reopened(other)["it"].tests == []


@pytest.mark.parametrize("way", ["copied", "popped", "travelled"])
def test_a_test_that_moves_to_another_project_brings_its_files(project, other, way):
    exp = logged(project)
    exp.log_test("t").log_artifact("rep", [1], handler="json")
    project.save()
    test = {"copied": copy.copy, "travelled": travelled, "popped": exp.tests.remove}[way](exp.tests[0]) or None
    if test is None:
        test = Project(project.fpath, mode="w+")["it"].tests.pop()
    target = other.log("target")
    target.tests.append(test)
    assert target.tests[0].load_artifact("rep") == [1] if not target.tests[0].dirty else True
    other.save()
    shutil.rmtree(project.dir)
    assert reopened(other)["target"].tests[0].load_artifact("rep") == [1]


def test_an_artifact_whose_file_is_nowhere_to_be_found_is_not_saved_as_if_it_were(project, other):
    exp = logged(project)
    exp.log_artifact("rep", [1], handler="json")
    project.save()
    other.log("target").tests.append(Test("q", artifacts=exp.artifacts))
    with pytest.raises(SaveError, match="its file is in another project, or gone"):
        other.save()


def test_containers_that_are_held_stay_part_of_a_test_that_joins_an_experiment(project):
    test = Test("t", parameters={"list": [{"a": []}]})
    inner, metrics = test.parameters["list"][0]["a"], test.metrics
    exp = logged(project)
    exp.tests.append(test)
    project.save()
    inner.append(1)
    metrics["m"] = 1
    assert exp.dirty
    project.save()
    found = reopened(project)["it"].tests[0]
    assert (found.parameters, found.metrics) == ({"list": [{"a": [1]}]}, {"m": 1})


def test_a_container_within_a_list_stays_the_one_that_is_saved_when_others_write(project):
    exp = logged(project, layers=[{"u": 1}, {"u": 2}, {"u": 3}], flags=[0, 1])
    project.save()
    first = exp.parameters["layers"][0]
    with Project(project.fpath, mode="w+") as editing:
        editing["it"].parameters["layers"][1]["u"] = 9
        editing["it"].parameters["layers"].pop()
        editing["it"].parameters["flags"] = [False, True]
    project.refresh()
    assert [type(flag) for flag in exp.parameters["flags"]] == [bool, bool]
    first["u"] = 5
    project.save()
    assert reopened(project)["it"].parameters["layers"] == [{"u": 5}, {"u": 9}]


# --- deletes, and merges that are not saved ---


def test_unsaved_deletes_are_merged_too(project, other):
    logged(project)
    project.save()
    other.append(project["it"])
    other.save()
    project.delete("it")
    for merged in (project.merge(reopened(project)), other.merge(project)):
        assert len(merged) == 0
        merged.save()
        assert len(reopened(merged)) == 0


def test_what_was_deleted_here_and_not_saved_yet_cannot_be_appended(project, other):
    exp = logged(other)
    other.save()
    project.append(exp)
    project.save()
    project.delete("it")
    with pytest.raises(RecordDeletedError):
        project.append(exp)


@pytest.mark.parametrize("way_out", ["delete", "overwrite"])
def test_a_file_that_cannot_be_merged_can_be_given_up(project, other, way_out):
    exp = logged(other)
    exp.log_artifact("rep", [1], handler="json")
    other.save()
    [file] = [path for path in Path(other.folder).rglob("artifacts/**/*") if path.is_file()]
    file.unlink()
    merged = project.merge(other)
    for _ in range(2):
        with pytest.raises(SaveError, match="is gone"):
            merged.save()
    assert len(list(Path(merged.folder, "log").iterdir())) == 1
    if way_out == "delete":
        merged.delete("it")
    else:
        merged["it"].log_artifact("rep", [2], handler="json", overwrite=True)
    merged.save()
    merged.save()
    found = reopened(merged)
    assert [exp.load_artifact("rep") for exp in found.experiments] == ([] if way_out == "delete" else [[2]])


def test_an_experiment_of_a_merge_that_is_not_saved_travels_with_where_its_files_are(project, other, tmp_path):
    exp = logged(other)
    exp.log_artifact("rep", [1], handler="json")
    other.save()
    there = travelled(project.merge(other)["it"])
    assert there.load_artifact("rep") == [1]
    third = Project(tmp_path / "third")
    third.append(there)
    third.save()
    assert reopened(third)["it"].load_artifact("rep") == [1]


def test_a_merge_that_is_not_saved_cannot_be_attached_to_by_another_process(project, other):
    logged(other, lr=1)
    other.save()
    merged = project.merge(other)
    there = travelled(merged)
    with pytest.raises(KeyError, match="not saved yet"):
        there.attach("it")
    merged.save()
    there.attach("it").log_metric("m", 1)
    there.save()
    assert reopened(project).problems == {}
    assert (reopened(project)["it"].parameters, reopened(project)["it"].metrics) == ({"lr": 1}, {"m": 1})


# --- experiments that belong to no project ---


def test_an_experiment_that_belongs_to_no_project_can_be_logged_to_wherever_it_travels(project):
    there = travelled(Experiment("hand", project.fpath, parameters={"lr": 1}))
    there.log_metric("m", 1)
    project.append(travelled(there))
    project.save()
    found = reopened(project)["hand"]
    assert (found.parameters, found.metrics, found.status) == ({"lr": 1}, {"m": 1}, "completed")


# --- artifacts, dependencies, forks ---


@pytest.mark.parametrize("way", ["merge", "append"])
def test_an_artifact_that_is_not_saved_does_not_come_back_over_a_newer_one(project, other, way):
    exp = Experiment("it")
    exp.log_artifact("x", "v1", handler="json")
    project.append(exp)
    other.append(exp)
    other["it"].log_artifact("x", "v2", handler="json", overwrite=True)
    other.save()
    if way == "merge":
        other = other.merge(project)
    else:
        exp.log_metric("m", 1)
        other.append(exp)
    assert other["it"].load_artifact("x") == "v2"
    other.save()
    assert reopened(other)["it"].load_artifact("x") == "v2"


def test_an_artifact_is_of_the_time_it_went_elsewhere_as_values_are(project):
    exp = logged(project)
    exp.log_artifact("x", "v1", handler="json")
    exp.log_artifact("kept", "v1", handler="json")
    there, child = travelled((project, exp))
    there.append(child)
    child.log_artifact("x", "v2", handler="json", overwrite=True)
    there.save()
    project.save()
    found = reopened(project)["it"]
    assert (found.load_artifact("x"), found.load_artifact("kept")) == ("v2", "v1")


def test_a_dependency_that_is_copied_late_does_not_undo_a_newer_one(project, tmp_path):
    upstream = Project(tmp_path / "up", mode="w+")
    first, second = upstream.log("first"), upstream.log("second")
    upstream.save()
    exp = logged(project)
    exp.dependencies["up"] = first
    project.save()
    stale = reopened(project)
    assert len(stale) == 1
    exp.dependencies["up"] = second
    project.save()
    for source in (stale, reopened(project), stale):
        deep = Project(tmp_path / "deep/er/than")
        deep.append(source["it"])
        deep.save()
    assert reopened(deep)["it"].dependencies["up"] == second
    assert len(list(Path(deep.folder, "log").iterdir())) == 2  # the third time there was nothing new


def test_what_goes_elsewhere_during_a_save_that_fails_keeps_its_time(project, monkeypatch):
    exp = logged(project, m=1)
    copies = []

    def fail(*_, **__):
        copies.append(travelled((project._place(), exp))[1])
        raise OSError("the disk is full")

    monkeypatch.setattr(project._journal, "append", fail)
    with pytest.raises(SaveError):
        project.save()
    monkeypatch.undo()
    with Project(project.fpath) as there:
        there.append(copies[0])
        copies[0].log_parameter("m", 2)
    project.save()
    assert reopened(project)["it"].parameters == {"m": 2}


def test_when_only_an_artifact_is_not_saved_the_copy_knows_when_that_was(project, other):
    exp = logged(project)
    project.save()
    exp.log_artifact("x", 1, handler="json")
    other.append(exp)
    assert other["it"].last_updated == exp.last_updated


def test_a_save_that_ends_while_it_is_merged_is_in_the_merge(project, other, monkeypatch):
    exp = logged(project)
    project.save()
    exp.log_metric("m", 1)
    real = tracking.project.adopt_patches

    def adopt_patches(merged, source, records):
        real(merged, source, records)
        project.save()

    monkeypatch.setattr(tracking.project, "adopt_patches", adopt_patches)
    assert other.merge(project)["it"].metrics == {"m": 1}


def test_a_copy_of_a_project_that_starts_empty_cannot_take_over_what_its_original_is_going_to_delete(project):
    logged(project)
    project.save()
    exp = reopened(project)["it"]
    there = travelled(Project(project.fpath, mode="w"))
    with pytest.raises(RecordDeletedError, match="about to be"):
        there.append(exp)


def test_an_append_that_cannot_read_the_store_changes_nothing(project, other, monkeypatch):
    logged(project)
    project.save()
    other.append(project["it"])
    other["it"].log_metric("m", 1)
    other.save()
    fresh = Project(project.fpath, mode="w")
    fresh._was_read = False

    def fail():
        raise OSError("the storage is away")

    monkeypatch.setattr(fresh, "refresh", fail)
    with pytest.raises(OSError, match="away"):
        fresh.append(other["it"])
    monkeypatch.undo()
    fresh.save()
    assert len(reopened(fresh)) == 0
