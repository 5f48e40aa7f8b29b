"""Metrics logged with a step: what is kept, where it goes with the experiment, and what is refused."""

import copy
import math
import os
import pickle
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lazytrack import Experiment, Project, Test, naming
from lazytrack.errors import ReadOnlyError, SaveError, StoreWarning
from lazytrack.series import Summary
from lazytrack.series import writer as writing


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn")


def again(project, name="run"):
    return Project(project.fpath, mode="r")[name]


def log_curve(exp, count, name="loss", start=0):
    for step in range(start, start + count):
        exp.log_metric(name, 1 / (step + 1), step=step)


# --- logging and reading back ---


@pytest.mark.parametrize("count", [1, 64, 65, 1000])
def test_a_metric_with_steps_keeps_its_history_and_shows_the_last_value(project, count):
    before = datetime.now(UTC)
    exp = project.log("run")
    log_curve(exp, count)
    assert exp.metrics == {"loss": 1 / count}
    unsaved = exp.history("loss")
    project.save()
    for history in (unsaved, exp.history("loss"), again(project).history("loss")):
        assert history.step == list(range(count))
        assert history.value == [1 / (step + 1) for step in range(count)]
        assert history.rank == [0] * count
        assert before <= history.time[0] <= history.time[-1] <= datetime.now(UTC)
    assert again(project).metrics == {"loss": 1 / count}
    assert not exp.dirty


def test_points_of_before_keep_their_times_and_their_experiments_their_parents(project):
    began = datetime(2024, 1, 1, 8, tzinfo=UTC)
    sweep = Experiment("sweep", created_at=began)
    trial = Experiment("trial", created_at=began, parent=sweep)
    for step in range(100):
        trial.log_metric("loss", 1 / (step + 1), step, time=began + timedelta(minutes=step))
    trial.log_metric("auc", 0.5, step=0, time=datetime(2024, 1, 1, 9))  # noqa: DTZ001  (taken as UTC)
    project.append(sweep)
    project.append(trial)
    project.save()
    assert again(project, "trial").history("loss").time == [began + timedelta(minutes=n) for n in range(100)]
    assert again(project, "trial").history("auc").time == [began + timedelta(hours=1)]
    assert again(project, "trial").parent == again(project, "sweep")
    assert [child.name for child in again(project, "sweep").children] == ["trial"]


@pytest.mark.parametrize(
    ("step", "time", "error", "words"),
    [(None, datetime.now(UTC), ValueError, "has a step: give both"), (1, "2024", TypeError, "must be a datetime")],
)
def test_a_time_that_is_none_or_has_no_step_is_refused_and_changes_nothing(project, step, time, error, words):
    exp = project.log("run")
    with pytest.raises(error, match=words):
        exp.log_metric("loss", 0.5, step, time=time)
    assert exp.metrics == {}
    assert exp.history_names == []


def test_without_steps_there_is_no_history(project):
    exp = project.log("run")
    exp.log_metric("auc", 0.9)
    exp.log_metric("loss", 0.5, step=1)
    exp.log_metric("loss", 0.4)
    assert exp.history_names == ["loss"]
    assert len(exp.history("auc")) == 0
    assert exp.summary("auc") == Summary()
    assert exp.metrics["loss"] == 0.4
    assert exp.history("loss").value == [0.5]
    with pytest.raises(KeyError, match=r"no metric 'los' here; known: 'auc', 'loss'"):
        exp.history("los")


def test_a_history_grows_from_save_to_save(project):
    exp = project.log("run")
    for start in range(0, 1000, 10):
        log_curve(exp, 10, start=start)
        project.save()
    reader = Project(project.fpath, mode="r")
    assert reader["run"].history("loss").step == list(range(1000))
    log_curve(exp, 10, start=1000)
    assert exp.history("loss").step == list(range(1010))
    project.save()
    assert len(reader["run"].history("loss")) == 1000
    reader.refresh()
    assert len(reader["run"].history("loss")) == 1010
    assert reader["run"].summary("loss") == exp.summary("loss") == exp.history("loss").summary()


def test_what_counts_as_a_number_and_as_a_step_is_taken(project):
    exp = project.log("run")
    for step, value in [(np.int64(3), np.float32(0.5)), (4, 7), (5, True), (-1, np.array(2.5)), (5, math.nan)]:
        exp.log_metric("x", value, step=step)
    exp.log_metrics({"x": math.inf, "y": 1}, step=9)
    project.save()
    assert again(project).history("x").step == [-1, 3, 4, 5, 5, 9]
    np.testing.assert_array_equal(again(project).history("x").value, [2.5, 0.5, 7, 1, math.nan, math.inf])
    assert again(project).metrics == {"x": math.inf, "y": 1}
    assert again(project).summary("x").nan == 1


@pytest.mark.parametrize(
    ("name", "value", "step", "error", "words"),
    [
        ("x", [1, 2], 0, TypeError, "metrics.x with a step is one number"),
        ("x", "1", 0, TypeError, "metrics.x"),
        ("x", None, 0, TypeError, "metrics.x"),
        ("x", 1.0, 1.5, TypeError, "the step of metrics.x is an integer, not float 1.5"),
        ("x", 1.0, "1", TypeError, "the step of metrics.x is an integer, not str '1'"),
        ("x", 1.0, 2**53 + 1, ValueError, "the step of metrics.x is beyond"),
        ("x", 10**400, 1, ValueError, "does not fit a float"),
        (3, 1.0, 1, TypeError, "name of a metric"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once_and_changes_nothing(project, name, value, step, error, words):
    exp = project.log("run")
    exp.log_metric("x", 0.5, step=0)
    with pytest.raises(error, match=words):
        exp.log_metric(name, value, step=step)
    with pytest.raises(error, match=words):
        exp.log_metrics({"x": 0.25, name: value}, step=step)
    assert exp.metrics == {"x": 0.5}
    assert exp.history("x").value == [0.5]


def test_read_only_objects_refuse_points(project):
    with project.log("run") as exp:
        exp.log_metric("x", 1.0, step=0)
    project.save()
    reader = again(project)
    for log in (
        lambda: reader.log_metric("x", 2.0, step=1),
        lambda: reader.log_metrics({"x": 2.0}, step=1),
        lambda: reader.log_metric("x", 2, step=1),
    ):
        with pytest.raises(ReadOnlyError):
            log()
    assert reader.history("x").value == [1.0]
    project.delete(exp.slug)
    with pytest.raises(LookupError):
        exp.log_metric("x", 2.0, step=1)


def test_tests_have_histories_of_their_own(project):
    exp = project.log("run")
    exp.log_metric("loss", 1.0, step=0)
    test = exp.log_test("women")
    test.log_metric("loss", 2.0, step=0)
    test.log_metric("auc", 0.5, step=0)
    project.save()
    found = again(project)
    assert (found.history("loss").value, found.tests[0].history("loss").value) == ([1.0], [2.0])
    assert (found.history_names, found.tests[0].history_names) == (["loss"], ["loss", "auc"])
    assert found.tests[0].summary("auc").last == 0.5


def test_a_test_brings_its_history_along_wherever_it_goes(project):
    test = Test("women")
    test.log_metric("auc", 0.5, step=1)
    assert test.history("auc").value == [0.5]
    one = project.log("one")
    one.tests.append(test)
    test.log_metric("auc", 0.6, step=2)
    project.save()
    other = project.log("other")
    other.tests.append(copy.copy(test))
    other.tests.append(pickle.loads(pickle.dumps(test)))
    other.tests[0].log_metric("auc", 0.7, step=3)
    del one.tests[0]
    third = project.log("third")
    third.tests.append(test)
    project.save()
    found = Project(project.fpath, mode="r")
    assert [t.history("auc").value for t in found["other"].tests] == [[0.5, 0.6, 0.7], [0.5, 0.6]]
    assert found["third"].tests[0].history("auc").value == [0.5, 0.6]
    assert found["one"].tests == []


def test_threads_may_log_one_metric_while_another_saves(project):
    exp = project.log("run")

    def log(thread):
        for step in range(2000):
            exp.log_metric("loss", float(thread), step=step)

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        project.save()
    project.save()
    history = again(project).history("loss")
    assert len(history) == 8000
    expected = [(step, float(thread)) for step in range(2000) for thread in range(4)]
    assert sorted(zip(history.step, history.value, strict=True)) == expected


def test_points_that_are_logged_while_others_are_saved_wait_for_the_next_save(project, monkeypatch):
    exp = project.log("run")
    log_curve(exp, 100)
    create = type(project._journal.files).create

    def log_meanwhile(self, path, data):
        create(self, path, data)
        if len(exp.history("loss")) < 110:
            log_curve(exp, 5, start=len(exp.history("loss")))

    monkeypatch.setattr(type(project._journal.files), "create", log_meanwhile)
    project.save()
    assert exp.dirty
    assert exp.history("loss").step == list(range(110))
    project.save()
    assert not exp.dirty
    assert again(project).history("loss").step == list(range(110))


def test_a_value_without_a_step_between_points_stops_none_of_them(project):
    exp = project.log("run")
    exp.log_metric("loss", 0.0, step=0)
    project.save()
    exp.log_metric("loss", 5.0)
    exp.log_metric("loss", 1.0, step=1)
    project.save()
    exp.log_metric("other", 5.0, step=0)
    exp.metrics["loss"] = 7.0
    exp.log_metric("loss", 2.0, step=2)
    project.save()
    assert again(project).history("loss").value == [0.0, 1.0, 2.0]
    assert again(project).metrics == {"loss": 2.0, "other": 5.0}


def test_a_run_that_is_about_to_be_deleted_refuses_points(project):
    exp = project.log("run")
    exp.log_metric("loss", 0.0, step=0)
    project.delete(exp.slug)
    with pytest.raises(LookupError):
        exp.log_metric("loss", 1.0, step=1)


@pytest.mark.parametrize("where", ["before", "within", "after"])
def test_a_point_that_is_interrupted_is_there_or_not_and_stops_nothing(project, monkeypatch, where):
    """Ctrl-C, or a handler of a signal that raises, may come between any two steps of the interpreter."""
    exp = project.log("run")
    log_curve(exp, 10)
    place = {"before": "naming.micros", "within": "measured._pack", "after": "measured.dict"}[where]

    class Interrupted(dict):
        __setitem__ = None

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "after":
            patch.setattr(type(exp.metrics), "__setitem__", interrupt)
            patch.setattr("lazytrack.tracking.measured.dict", Interrupted, raising=False)
        else:
            home = "lazytrack." if where == "before" else "lazytrack.tracking."
            patch.setattr(home + place, interrupt)
        with pytest.raises((KeyboardInterrupt, TypeError)):
            exp.log_metric("loss", 5.0, step=10)
    log_curve(exp, 10, start=20)
    project.save()
    assert again(project).history("loss").step == [*range(10), *([10] if where == "after" else []), *range(20, 30)]


def test_a_history_that_cannot_be_written_stops_no_other(project, monkeypatch):
    exp, other = project.log("run"), project.log("other")
    log_curve(exp, 100)
    log_curve(other, 100)
    other.log_parameter("lr", 1)
    compose = writing.file.compose

    def refuse(points, *, id, record):
        if record == exp.slug:
            raise ValueError("cannot be written")
        return compose(points, id=id, record=record)

    monkeypatch.setattr(writing.file, "compose", refuse)
    with pytest.raises(SaveError, match=f"all was saved but the history of {exp.slug}: ValueError: cannot be written"):
        project.save()
    assert len(again(project, "other").history("loss")) == 100
    assert again(project, "other").parameters == {"lr": 1}
    monkeypatch.undo()
    project.save()
    assert len(again(project).history("loss")) == 100


def test_a_test_that_is_taken_out_while_it_is_saved_keeps_its_history(project, monkeypatch):
    exp = project.log("run")
    test = exp.log_test("women")
    log_curve(test, 10)
    create = type(project._journal.files).create

    def take_out(self, path, data):
        if exp.tests:
            exp.tests.remove(test)
        create(self, path, data)

    monkeypatch.setattr(type(project._journal.files), "create", take_out)
    project.save()
    assert len(test.history("loss")) == 10
    project.log("other").tests.append(test)
    project.save()
    assert len(again(project, "other").tests[0].history("loss")) == 10


def test_a_test_that_is_put_back_has_its_history_once_and_gives_it_to_no_other(project):
    exp = project.log("run")
    log_curve(exp.log_test("women"), 5)
    project.save()
    exp.tests.insert(0, exp.tests.pop())
    project.save()
    assert again(project).tests[0].history("loss").step == list(range(5))
    exp.tests.clear()
    log_curve(exp.log_test("women"), 1, start=100)
    project.save()
    assert again(project).tests[0].history("loss").step == [100]


# --- storage that fails ---


def test_points_of_a_save_that_fails_are_saved_by_the_next_one_once(project, monkeypatch):
    exp = project.log("run")
    log_curve(exp, 100)
    create, failing = type(project._journal.files).create, []

    def fail(self, path, data):
        if path.startswith(failing[-1]):
            raise OSError("no space")
        create(self, path, data)

    monkeypatch.setattr(type(project._journal.files), "create", fail)
    for folder in ("series/", "log/"):
        failing.append(folder)
        with pytest.raises(SaveError, match="no space"):
            project.save()
        assert exp.dirty
        log_curve(exp, 1, start=len(exp.history("loss")))
    monkeypatch.undo()
    project.save()
    assert again(project).history("loss").step == list(range(102))
    assert again(project).summary("loss").count == 102


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_a_damaged_file_of_points_is_named_and_hides_no_others(project, tmp_path, damage):
    exp = project.log("run")
    for start in (0, 100, 200):
        log_curve(exp, 100, start=start)
        project.save()
    path = sorted((tmp_path / "churn/project/series" / exp.slug).iterdir())[1]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"count", b"COUNT"))
    reader = Project(project.fpath, mode="r")
    with pytest.warns(StoreWarning, match=path.name):
        history = reader["run"].history("loss")
    assert history.step == [*range(100), *range(200, 300)]
    assert [name for name in reader.problems if path.name in name]


def test_a_series_that_makes_no_sense_hides_no_other(project):
    exp = project.log("run")
    log_curve(exp, 3)
    project.save()
    project._journal.append([{"record": exp.slug, "set": {"writers.forged": {"rank": "first"}}}], by="mallory")
    with pytest.warns(StoreWarning, match=r"writers\.forged of .* makes no sense"):
        assert again(project).history("loss").step == [0, 1, 2]


def test_a_reader_whose_files_were_merged_and_are_gone_looks_again(project, tmp_path):
    exp = project.log("run")
    for start in range(0, 700, 100):
        log_curve(exp, 100, start=start)
        project.save()
    reader = Project(project.fpath, mode="r")
    assert len(reader["run"].history("loss")) == 700
    before = set((tmp_path / "churn/project/series" / exp.slug).iterdir())
    log_curve(exp, 100, start=700)
    project.save()
    for path in before:
        path.unlink()
    reader = Project(project.fpath, mode="r")
    held = reader["run"]
    held.metrics  # noqa: B018  (the project is read)
    assert len(held.history("loss")) == 800


def test_a_reader_that_opened_before_the_merge_looks_again_too(project, tmp_path):
    exp = project.log("run")
    for start in range(0, 700, 100):
        log_curve(exp, 100, start=start)
        project.save()
    held = Project(project.fpath, mode="r")["run"]
    before = set((tmp_path / "churn/project/series" / exp.slug).iterdir())
    log_curve(exp, 100, start=700)
    project.save()
    for path in before:
        path.unlink()
    assert len(held.history("loss")) == 800


# --- copies ---


def test_an_experiment_made_directly_brings_its_history(project):
    exp = Experiment("run", project=project.fpath)
    log_curve(exp, 100)
    assert len(exp.history("loss")) == 100
    project.append(exp)
    log_curve(exp, 100, start=100)
    project.save()
    log_curve(exp, 100, start=200)
    project.save()
    assert again(project).history("loss").step == list(range(300))
    assert again(project).attempt == 1


@pytest.mark.parametrize("saved", [0, 100])
def test_merging_copies_histories_with_their_files(project, tmp_path, saved):
    other = Project(tmp_path / "other")
    exp = other.log("run")
    log_curve(exp, 200 if saved else 0)
    if saved:
        other.save()
    log_curve(exp, 100, start=200)
    merged = project.merge(other)
    assert len(merged["run"].history("loss")) == (300 if saved else 100)
    merged.save()
    copied = sorted(path.name for path in (tmp_path / "churn").rglob("*.series"))
    assert copied == sorted(path.name for path in (tmp_path / "other").rglob("*.series"))
    assert len(again(project).history("loss")) == (300 if saved else 100)
    log_curve(exp, 100, start=300)
    other.save()
    assert len(Project(other.fpath)["run"].history("loss")) == (400 if saved else 200)
    Project(project.fpath).merge(Project(other.fpath)).save()
    assert again(project).history("loss").step == Project(other.fpath)["run"].history("loss").step


def test_a_pickled_experiment_can_be_read_and_taken_over(project, tmp_path):
    exp = project.log("run")
    log_curve(exp, 100)
    project.save()
    log_curve(exp, 100, start=100)
    arrived = pickle.loads(pickle.dumps(exp))
    assert arrived.history("loss").step == list(range(200))
    other = Project(tmp_path / "other")
    other.append(arrived)
    other.save()
    assert again(other).history("loss").step == list(range(200))
    project.save()
    assert again(project).history("loss").step == list(range(200))


def test_a_pickled_project_shows_histories(project):
    exp = project.log("run")
    log_curve(exp, 100)
    arrived = pickle.loads(pickle.dumps(project))
    assert arrived["run"].history("loss").step == list(range(100))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_points_that_were_not_saved_at_a_fork_are_in_the_store_once(project, tmp_path):
    exp = project.log("run")
    log_curve(exp, 70)
    project.save()
    log_curve(exp, 30, start=70)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert len(exp.history("loss")) == 100
            with pytest.raises(ReadOnlyError):
                exp.log_metric("loss", 1.0, step=0)
            project.append(exp)  # takes over what is not saved
            exp.log_metric("loss", 9.0, step=500)
            project.save()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    log_curve(exp, 1, start=100)
    project.save()
    history = again(project).history("loss")
    assert history.step == [*range(101), 500]
    assert again(project).summary("loss").count == 102


# --- what else there is to know ---


def test_last_step_is_where_the_history_ends(project):
    exp = project.log("run")
    assert exp.last_step is None
    exp.log_metric("loss", 1.0, step=7)
    exp.log_metric("auc", 1.0, step=3)
    exp.log_metric("system/cpu", 1.0, step=700)
    assert exp.last_step == 7
    project.save()
    assert again(project).last_step == 7


def test_the_record_holds_what_a_summary_needs(project, monkeypatch):
    exp = project.log("run")
    log_curve(exp, 1000)
    project.save()
    reader = again(project)
    monkeypatch.setattr(type(project._journal.files), "read_many", lambda *_: pytest.fail("a file of points was read"))
    assert reader.summary("loss") == Summary(
        count=1000, min=0.001, max=1.0, last=0.001, last_step=999, nan=0, max_step=999
    )


def test_as_of_a_time_the_project_is_as_it_was(project, monkeypatch):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    clock = [start]
    monkeypatch.setattr("lazytrack.naming.now", lambda: clock[0])
    monkeypatch.setattr("lazytrack.naming.micros", lambda: int(clock[0].timestamp() * 1e6))
    exp = project.log("run")
    for hour in range(3):
        clock[0] = start + timedelta(hours=hour)
        exp.log_metric("loss", float(hour), step=hour)
        exp.log_parameter("hour", hour)
        project.save()
    clock[0] += timedelta(hours=1)
    project.log("later")
    project.delete(exp.slug)
    project.save()
    now = Project(project.fpath)
    assert [e.name for e in now.experiments] == ["later"]
    assert len(now.as_of(start - timedelta(seconds=1))) == 0
    for hour in range(3):
        past = now.as_of(start + timedelta(hours=hour, minutes=30))
        assert past.mode == "r"
        [then] = past.experiments
        assert then.parameters == {"hour": hour}
        assert then.metrics == {"loss": float(hour)}
        for other in (then, pickle.loads(pickle.dumps(past))["run"]):
            assert other.history("loss").step == list(range(hour + 1))
    with pytest.raises(TypeError, match="time must be a datetime"):
        now.as_of(5)
    with pytest.raises(ValueError, match="time 'yesterday' cannot be read"):
        now.as_of("yesterday")
    assert len(now.as_of("2026-11-01T00:30")) == 1


def test_as_of_a_time_nobody_has_gone_on_yet(project):
    exp = project.log("run")
    log_curve(exp, 100)
    project.save()
    then = datetime.now(UTC)
    mine = Project(project.fpath)
    resumed = mine.resume("run", step=50)
    resumed.log_metric("loss", 1.0, step=500)
    resumed.log_metric("new", 1.0, step=500)
    mine.save()
    past = project.as_of(then)["run"]
    assert past.history("loss").step == list(range(100))
    assert (past.last_step, past.history_names, past.attempt) == (99, ["loss"], 1)
    assert past.summary("loss").count == 100


def test_as_of_a_time_histories_are_whole_after_packing_too(project, monkeypatch):
    micros, last = naming.micros, [0]

    def rising():
        """Return the present time, later than before: two points of one microsecond are both of that time."""
        last[0] = max(last[0] + 1, micros())
        return last[0]

    monkeypatch.setattr(naming, "micros", rising)
    exp = project.log("run")
    for start in (0, 100):
        log_curve(exp, 100, start=start)
        project.save()
    times = exp.history("loss").time
    for name in range(3):
        project.log(f"more {name}")
        project.save()
    project._journal.pack(everything=True)
    for path in project._journal.files.names("log"):
        project._journal.files.remove([f"log/{path}"])  # as packing does ten minutes later
    past = Project(project.fpath).as_of(times[149])
    assert past["run"].history("loss").step == list(range(150))


def test_histories_end_at_the_time_that_is_asked_for(project, monkeypatch):
    micros = iter(range(10**15, 10**16, 10**6))
    monkeypatch.setattr("lazytrack.naming.micros", lambda: next(micros))
    exp = project.log("run")
    log_curve(exp, 200)
    times = exp.history("loss").time
    monkeypatch.setattr("lazytrack.naming.now", lambda: times[0])
    project.save()
    past = project.as_of(times[100])
    assert past["run"].history("loss").step == list(range(101))
    assert past["run"].summary("loss").count == 101
