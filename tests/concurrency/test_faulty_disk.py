"""Errors of the disk at each call that a save or a look-up makes: no save is half there, and trying again works."""

import errno
import itertools
import shutil
import warnings
from pathlib import Path

import pytest
from faulty_disk import failing, install
from store_checks import UNFINISHED_FILE, leftovers, read_afresh, told

from lazytrack import Project, naming
from lazytrack.errors import SaveError
from lazytrack.files import open_files
from lazytrack.journal import Journal, packing
from lazytrack.tracking import Experiment

FAULTS = {
    "the disk is full once": {"fault": failing(errno.ENOSPC)},
    "the disk is full from then on": {"fault": failing(errno.ENOSPC), "lasting": True},
    "the disk is read-only from then on": {"fault": failing(errno.EROFS), "lasting": True},
    "the call fails": {"fault": failing(errno.EIO)},
    "the call fails though it has done its work": {"fault": failing(errno.EIO), "late": True},
}


@pytest.fixture
def disk(monkeypatch):
    return install(monkeypatch)


def fill(exp, number):
    exp.log_parameter("number", number)
    exp.log_parameter("deep", {"list": [number]})
    exp.log_metric("loss", number / 2)
    exp.tag("new")


def filled(number, **more):
    return {
        "status": "running",
        "parameters": {"number": number, "deep": {"list": [number]}},
        "metrics": {"loss": number / 2},
        "tags": ["new"],
        "tests": {},
        "artifacts": {},
        **more,
    }


# --- saves: each is a project with changes, and what a reader sees before and after, by the experiments' names ---


def the_first_save(path):
    project = Project(path)
    for number in (1, 2):
        fill(project.log(str(number)), number)
    return project, {}, {"1": filled(1), "2": filled(2)}


def a_save_with_artifacts(path):
    project = Project(path)
    fill(project.log("0"), 0)
    project.save()
    one, two = project.log("1"), project.log("2")
    fill(one, 1)
    fill(two, 2)
    one.log_artifact("report", {"number": 1}, "json")
    two.log_artifact("model", [2], "pickle", fname="deep/er/model.pkl")
    two.log_test("part").log_artifact("of a test", b"\x80" * 1_000, "pickle")
    part = {"parameters": {}, "metrics": {}, "artifacts": {"of a test": b"\x80" * 1_000}}
    after = {
        "0": filled(0),
        "1": filled(1, artifacts={"report": {"number": 1}}),
        "2": filled(2, artifacts={"model": [2]}, tests={"part": part}),
    }
    return project, {"0": filled(0)}, after


def a_later_save(path):
    project = Project(path)
    exp = project.log("1")
    fill(exp, 1)
    exp.log_artifact("report", "first", "json")
    fill(project.log("2"), 2)
    project.save()
    exp.parameters["deep"]["list"].append("more")
    del exp.parameters["number"]
    exp.log_metric("loss", 7)
    exp.tag("old", overwrite=True)
    exp.status = "completed"
    exp.log_artifact("report", "second", "json", overwrite=True)
    changed = {"parameters": {"deep": {"list": [1, "more"]}}, "metrics": {"loss": 7}, "tags": ["old"]}
    before = {"1": filled(1, artifacts={"report": "first"}), "2": filled(2)}
    after = {"1": filled(1, **changed, status="completed", artifacts={"report": "second"}), "2": filled(2)}
    return project, before, after


def a_save_that_deletes(path):
    project = Project(path, mode="w+")
    for number in (1, 2):
        fill(project.log(str(number)), number)
    project.save()
    project.delete("1")
    return project, {"1": filled(1), "2": filled(2)}, {"2": filled(2)}


def a_save_that_packs_and_deletes_what_is_packed(path):
    other = Project(path)

    def save_others(numbers):
        for number in numbers:
            fill(other.log(str(number)), number)
            other.save()

    save_others(range(4))
    journal = Journal(open_files(other.folder))
    journal.pack()
    save_others(range(4, 8))
    project = Project(path)
    fill(project.log("8"), 8)
    return project, {str(n): filled(n) for n in range(8)}, {str(n): filled(n) for n in range(9)}


SAVES = [
    the_first_save,
    a_save_with_artifacts,
    a_later_save,
    a_save_that_deletes,
    a_save_that_packs_and_deletes_what_is_packed,
]


@pytest.fixture
def quick_to_pack(monkeypatch):
    monkeypatch.setattr(packing, "LOOSE_LOW", 4)
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    monkeypatch.setattr(naming, "one_in", lambda odds: True)


def by_name(path):
    """Return what a new reader sees; files and records are checked."""
    seen = read_afresh(path)
    project = Project(path)
    names = [project[slug].name for slug in seen]
    assert len(names) == len(set(names))
    return dict(zip(names, seen.values(), strict=True))


def without(after, before, message):
    """Return `after` as it is when the artifacts that `message` names could not be written."""

    def lacking(told, earlier):
        kept = {k: v for k, v in told["artifacts"].items() if f"artifact {k!r} of" not in message}
        kept |= {k: v for k, v in earlier.get("artifacts", {}).items() if k not in kept}
        tests = {k: lacking(test, {}) for k, test in told.get("tests", {}).items()}
        return told | {"artifacts": kept} | ({"tests": tests} if "tests" in told else {})

    return {name: lacking(told, before.get(name, {})) for name, told in after.items()}


def try_each_call(tmp_path, disk, prepare, error=SaveError, **fault):
    """Save with a fault at the first call, the second, and so on; return which of these saves raised."""
    raised = []
    for nth in itertools.count(1):
        path = tmp_path / str(nth) / "churn.json"
        project, before, after = prepare(path)
        changed = [exp for exp in project._experiments.values() if exp.dirty]
        watcher = Project(path)
        len(watcher)
        disk.arm(nth, **fault)
        message = None
        try:
            project.save()
        except error as failure:
            message = str(failure)
        struck = disk.struck
        disk.disarm()
        if not struck:
            assert message is None
            return raised

        seen = by_name(path) if path.exists() else {}
        if message is None:
            assert seen == after
            assert not any(exp.dirty for exp in changed)
        elif seen == before:
            assert all(exp.dirty for exp in changed)
        else:
            assert seen == without(after, before, message)
            assert not changed or any(exp.dirty for exp in changed)
        watcher.refresh()
        assert {exp.name: told(exp) for exp in watcher.experiments} == seen

        project.save()
        assert not any(exp.dirty for exp in project._experiments.values())
        assert by_name(path) == after
        watcher.refresh()
        assert {exp.name: told(exp) for exp in watcher.experiments} == after
        leftovers(Path(project.folder))
        shutil.rmtree(path.parent)
        raised.append(message is not None)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("prepare", SAVES[:-1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_save_that_fails_at_any_call_is_not_half_there_and_works_the_next_time(tmp_path, disk, prepare, fault):
    raised = try_each_call(tmp_path, disk, prepare, **FAULTS[fault])
    assert raised[0]
    assert len(raised) > 5


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("prepare", SAVES)
def test_a_save_that_is_interrupted_at_any_call_is_not_half_there_and_works_the_next_time(
    tmp_path, disk, prepare, late, quick_to_pack
):
    def interrupt(name):
        raise KeyboardInterrupt

    assert all(try_each_call(tmp_path, disk, prepare, KeyboardInterrupt, fault=interrupt, late=late))


def test_a_save_that_is_interrupted_between_two_experiments_keeps_the_changes_of_both(tmp_path, monkeypatch):
    path = tmp_path / "churn.json"
    project, _, after = the_first_save(path)
    taken = []

    def interrupted(experiment):
        if taken:
            raise KeyboardInterrupt
        taken.append(experiment)
        return plainly(experiment)

    plainly = Experiment._take_changes
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Experiment, "_take_changes", interrupted)
        project.save()
    assert all(exp.dirty for exp in project.experiments)
    project.save()
    assert by_name(path) == after


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_packing_that_fails_at_any_call_never_fails_the_save(tmp_path, disk, fault, quick_to_pack):
    raised = try_each_call(tmp_path, disk, a_save_that_packs_and_deletes_what_is_packed, **FAULTS[fault])
    saving = raised.index(False)
    assert not any(raised[saving:])
    assert len(raised) - saving > 30


@pytest.mark.parametrize("fault", FAULTS)
def test_a_first_save_that_fails_at_any_call_works_the_next_time_where_there_are_no_hard_links(tmp_path, disk, fault):
    disk.links = False
    assert any(try_each_call(tmp_path, disk, the_first_save, **FAULTS[fault]))


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("prepare", SAVES)
def test_writes_that_are_cut_short_are_carried_on(tmp_path, disk, prepare, links, quick_to_pack):
    disk.links, disk.longest_write = links, 1000 if prepare is a_save_with_artifacts else 10
    project, _, after = prepare(tmp_path / "churn.json")
    project.save()
    assert by_name(tmp_path / "churn.json") == after
    assert not any(UNFINISHED_FILE.fullmatch(name) for name in leftovers(tmp_path / "churn"))


# --- look-ups ---


def make_store(path):
    """Make a store with packs of two levels and loose files; return the project and what a reader sees."""
    project = Project(path, mode="w+")
    for number in range(12):
        exp = project.log(str(number))
        fill(exp, number)
        exp.log_artifact("report", number, "json")
        project.save()
        if number in {3, 7}:
            Journal(open_files(project.folder)).pack(everything=number == 7)
    return project, {str(n): filled(n, artifacts={"report": n}) for n in range(12)}


@pytest.mark.parametrize("late", [False, True])
def test_a_look_up_that_fails_raises_and_the_next_one_sees_everything(tmp_path, disk, late):
    path = tmp_path / "churn.json"
    _, expected = make_store(path)
    for nth in itertools.count(1):
        reader = Project(path)
        disk.arm(nth, failing(errno.EIO), late=late)
        try:
            seen = {exp.name: told(exp) for exp in reader.experiments}
        except OSError:
            assert disk.struck
        else:
            assert seen == expected
        struck = disk.struck
        disk.disarm()
        assert {exp.name: told(exp) for exp in reader.experiments} == expected
        assert len(reader) == len(expected)
        assert reader.problems == {}
        if not struck:
            break
    assert nth > 10


@pytest.mark.parametrize("mode", ["a", "w+"])
def test_after_a_refresh_that_failed_the_next_one_brings_the_experiments_up_to_date(tmp_path, disk, mode):
    for nth in itertools.count(1):
        path = tmp_path / str(nth) / "churn.json"
        writer, expected = make_store(path)
        reader = Project(path, mode=mode)
        held = {exp.name: exp for exp in reader.experiments}
        assert {name: told(exp) for name, exp in held.items()} == expected
        for number in range(12):
            exp = writer[str(number)]
            exp.metrics["loss"] = expected[str(number)]["metrics"]["loss"] = -number
            writer.save()
            if number == 8:
                Journal(open_files(writer.folder)).pack(everything=True)
        disk.arm(nth, failing(errno.EIO))
        try:
            reader.refresh()
        except OSError:
            assert disk.struck
        struck = disk.struck
        disk.disarm()
        reader.refresh()
        assert {exp.name: told(exp) for exp in reader.experiments} == expected
        assert {name: told(exp) for name, exp in held.items()} == expected
        shutil.rmtree(path.parent)
        if not struck:
            break
    assert nth > 10


def test_opening_a_project_that_cannot_be_read_raises(tmp_path, disk):
    path = tmp_path / "churn.json"
    make_store(path)
    for nth in itertools.count(1):
        disk.arm(nth, failing(errno.EIO))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                Project(path, mode="r")
        except OSError:
            assert disk.struck
        else:
            assert not disk.struck
            break
    assert nth > 1
