"""Steps of a plain script: how each went, what it logged, and what is known of one whose process was killed."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from lazytrack import Experiment, Project, naming
from lazytrack.errors import ReadOnlyError, StoreWarning
from lazytrack.provenance import capture
from lazytrack.step_info import StepInfo, StepState


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store")


def saved(project, name="run"):
    project.save()
    return Project(project.fpath, mode="r")[name].steps


def by_name(steps):
    return {step.step_name: step for step in steps}


def test_a_block_is_recorded_with_its_times_metadata_and_state(project):
    before = naming.now()
    with project.log("run") as exp, exp.step("load data", metadata={"source": "s3"}) as step:
        assert step.info.state is StepState.RUNNING
        step.log_metadata({"rows": 120, "nan": float("nan")})
        step.log_metadata({"rows": 121})
    [found] = saved(project)
    assert (found.step_name, found.step_class_name, found.state) == ("load-data", "load data", StepState.COMPLETED)
    assert found.unique_id.startswith("load-data-")
    assert found.metadata["rows"] == 121
    assert found.metadata["source"] == "s3"
    assert found.metadata["nan"] != found.metadata["nan"]
    assert before <= found.start_time <= found.end_time <= naming.now()
    assert found.duration == found.end_time - found.start_time
    assert found.error is None
    assert not found.stale
    assert step.info == found
    assert isinstance(found, StepInfo)


def test_what_it_logged_is_told_by_block(project):
    with project.log("run") as exp:
        exp.log_metric("before", 1)
        with exp.step("outer"):
            exp.log_parameter("lr", 0.1)
            with exp.step("inner"):
                for number in range(3):
                    exp.log_metric("loss", number, step=number)
                exp.log_artifact("model", [1])
            exp.tag("seen")
        exp.log_metric("after", 1)
        with exp.step("later"):
            exp.log_metric("loss", 4, step=4)
    steps = by_name(saved(project))
    assert steps["outer"].logged == ["parameters.lr", "tags.seen"]
    assert steps["inner"].logged == ["metrics.loss", "artifacts.model"]
    assert steps["later"].logged == ["metrics.loss"]
    assert (steps["outer"].parent, steps["inner"].parent) == (None, "outer")
    assert [step.step_name for step in project["run"].steps] == ["outer", "inner", "later"]


def test_what_a_save_brings_into_the_record_is_not_what_the_block_logged(project, tmp_path, monkeypatch):
    git = ["git", "-c", "user.email=dana@example.org", "-c", "user.name=dana", "-C", tmp_path]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "train.py").write_text("lr = 0.1\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    (tmp_path / "train.py").write_text("lr = 0.2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(capture.SWITCH, "1")
    monkeypatch.setattr(capture, "_capture", None)
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 60)
    with project.log("run") as exp, exp.step("train") as step:
        exp._beat()
        exp.log_metric("loss", 1, step=0)
        project.save()
        exp.tag("seen")
        exp.diff  # noqa: B018
    assert exp.diff
    assert step.info.logged == ["metrics.loss", "tags.seen"]


@pytest.mark.parametrize(
    ("code", "state"),
    [(0, "completed"), (None, "completed"), (False, "completed"), (1, "failed"), ("no data", "failed"), ([], "failed")],
)
def test_a_block_that_leaves_the_program_ends_as_its_experiment_does(project, code, state):
    with pytest.raises(SystemExit), project.log("run") as exp, exp.step("train"):
        sys.exit(code)
    [found] = saved(project)
    assert (found.state.value, Project(project.fpath, mode="r")["run"].status) == (state, state)


def test_a_block_that_raises_has_failed_with_its_traceback_and_the_exception_goes_on(project):
    with pytest.raises(ZeroDivisionError), project.log("run") as exp, exp.step("train"):
        1 / 0  # noqa: B018
    [found] = Project(project.fpath, mode="r")["run"].steps
    assert found.state is StepState.FAILED
    assert "ZeroDivisionError: division by zero" in found.error
    assert Path(__file__).name in found.error


def test_a_failure_that_is_caught_fails_the_block_alone(project):
    with project.log("run") as exp:
        with pytest.raises(ValueError, match="no"), exp.step("try"):
            raise ValueError("no")
        with exp.step("try"):
            pass
    states = [(step.step_name, step.state.value) for step in saved(project)]
    assert states == [("try", "failed"), ("try_2", "completed")]
    assert Project(project.fpath, mode="r")["run"].status == "completed"


def test_blocks_of_threads_are_apart(project):
    barrier = threading.Barrier(8)

    def work(number):
        with exp.step(f"part {number}"):
            barrier.wait()
            exp.log_metric(f"metric {number}", number)
            barrier.wait()

    with project.log("run") as exp:
        with exp.step("before"):
            pass
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    steps = by_name(saved(project))
    assert len(steps) == 9
    for number in range(8):
        assert steps[f"part-{number}"].logged == [f"metrics.metric {number}"]
        assert steps[f"part-{number}"].parent is None


def test_a_step_is_one_field_of_the_record_and_a_save_writes_what_changed(project):
    with project.log("run") as exp, exp.step("one"):
        pass
    project.save()
    with exp.step("two"):
        pass
    assert exp.dirty
    project.save()
    patches = [p for p in project._journal.patches(exp.slug) if any(f.startswith("steps.") for f in p.get("set", ()))]
    assert [[f for f in patch["set"] if f.startswith("steps.")] for patch in patches] == [["steps.one"], ["steps.two"]]
    assert [step.step_name for step in saved(project)] == ["one", "two"]


def test_steps_of_several_processes_stand_beside_each_other(project):
    with project.log("run") as exp, exp.step("first"):
        pass
    project.save()
    other = Project(project.fpath)
    with other.attach(exp.slug) as attached, attached.step("second"):
        pass
    other.save()
    project.refresh()
    assert [step.step_name for step in exp.steps] == ["first", "second"]


def test_a_block_that_was_saved_while_it_ran_is_running_and_then_over(project):
    with project.log("run") as exp:
        with exp.step("long"):
            project.save()
            [running] = Project(project.fpath, mode="r")["run"].steps
            assert (running.state, running.end_time, running.stale) == (StepState.RUNNING, None, False)
        project.save()
    assert Project(project.fpath, mode="r")["run"].steps[0].state is StepState.COMPLETED


CHILD = """
import sys, time
from lazytrack import Project
project = Project(sys.argv[1])
exp = project.log("run", autosave=1)
with exp.step("load"):
    pass
with exp.step("train"):
    exp._beat(); project.save()
    print("running", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_is_told_from_a_running_one(tmp_path, monkeypatch):
    child = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path / "store"], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "running\n"
    steps = by_name(Project(tmp_path / "store", mode="r")["run"].steps)
    assert (steps["load"].state, steps["train"].state) == (StepState.COMPLETED, StepState.RUNNING)
    assert steps["train"].heartbeat is not None
    assert not steps["train"].stale
    child.send_signal(signal.SIGKILL)
    child.communicate()
    real = naming.now
    monkeypatch.setattr(naming, "now", lambda: real() + timedelta(minutes=29))
    assert not by_name(Project(tmp_path / "store", mode="r")["run"].steps)["train"].stale
    monkeypatch.setattr(naming, "now", lambda: real() + timedelta(minutes=31))
    assert by_name(Project(tmp_path / "store", mode="r")["run"].steps)["train"].stale
    assert not by_name(Project(tmp_path / "store", mode="r")["run"].steps)["load"].stale


def test_each_save_by_hand_is_a_sign_of_life_where_nothing_saves_by_itself(project, monkeypatch):
    real = naming.now
    exp = project.log("run")
    exp.step("train").__enter__()
    exp.log_metric("loss", 1)
    monkeypatch.setattr(naming, "now", lambda: real() + timedelta(minutes=20))
    assert not saved(project)[0].stale
    for minutes, stale in ((49, False), (51, True)):
        monkeypatch.setattr(naming, "now", lambda minutes=minutes: real() + timedelta(minutes=minutes))
        [found] = Project(project.fpath, mode="r")["run"].steps
        assert (found.state, found.stale) == (StepState.RUNNING, stale)
        assert found.heartbeat > found.start_time
    exp.log_metric("loss", 0.5)
    assert not saved(project)[0].stale


def test_a_block_is_begun_once_and_refused_where_nothing_may_be_changed(project):
    with project.log("run") as exp:
        block = exp.step("once")
        with pytest.raises(RuntimeError, match="has not begun"):
            block.info  # noqa: B018
        with block:
            pass
        with pytest.raises(RuntimeError, match="has begun already"), block:
            pass
        with pytest.raises(TypeError, match="the name of a step must be a string"):
            exp.step(5)
        with pytest.raises(TypeError, match="metadata of step 'x' cannot be held as JSON"):
            exp.step("x", metadata={"a": object()})
        with pytest.raises(TypeError, match="values by name"):
            exp.step("x").log_metadata([1])
    project.save()
    found = Project(project.fpath, mode="r")["run"]
    with pytest.raises(ReadOnlyError), found.step("more"):
        pass
    assert [step.step_name for step in found.steps] == ["once"]


def test_an_experiment_without_a_project_has_steps_too(project):
    exp = Experiment("by hand", project=project.fpath)
    with exp.step("one"):
        exp.log_metric("auc", 1)
    assert exp.steps[0].logged == ["metrics.auc"]
    project.append(exp)
    assert [step.step_name for step in saved(project, "by-hand")] == ["one"]


@pytest.mark.parametrize("value", [5, "text", [], {}, {"unique_id": 5}, {"start_time": "never"}])
def test_a_strangers_step_is_warned_of_and_hides_nothing_else(project, value):
    with project.log("run") as exp, exp.step("good"):
        exp.log_metric("auc", 1)
    project.save()
    project._journal.append([{"record": exp.slug, "set": {"steps.bad": value}}], by="x")
    found = Project(project.fpath, mode="r")["run"]
    assert found.metrics == {"auc": 1}
    with pytest.warns(StoreWarning, match=r"step 'bad' of run-.* makes no sense and is left out"):
        assert [step.step_name for step in found.steps] == ["good"]


def test_a_step_whose_environment_is_gone_is_shown_without_it(project):
    with project.log("run") as exp, exp.step("good"):
        pass
    project.save()
    stored = project._journal.get(exp.slug, "steps.good")
    project._journal.append([{"record": exp.slug, "set": {"steps.good": {**stored, "environment": "0" * 64}}}], by="x")
    found = Project(project.fpath, mode="r")["run"]
    with pytest.warns(StoreWarning, match=r"the environment of step 'good' .* is gone"):
        [step] = found.steps
    assert (step.environment.python, step.environment.packages) == (None, None)


def test_logging_after_the_last_block_notes_nothing_for_it(project):
    with project.log("run") as exp:
        with exp.step("one"):
            pass
        assert exp._ledger.watch is None
        exp.log_metric("auc", 1)
    assert exp.steps[0].logged is None


def test_blocks_of_several_experiments_are_apart(project):
    one, other = project.log("one"), project.log("other")
    with one.step("outer"), other.step("between"):
        one.log_metric("mine", 1)
        other.log_metric("others", 2)
        with one.step("inner"):
            one.log_metric("deep", 3)
    assert [(s.step_name, s.parent, s.logged) for s in one.steps] == [
        ("outer", None, ["metrics.mine"]),
        ("inner", "outer", ["metrics.deep"]),
    ]
    assert [(s.step_name, s.parent, s.logged) for s in other.steps] == [("between", None, ["metrics.others"])]


def test_a_block_may_end_in_another_thread(project):
    exp = project.log("run")
    block = exp.step("far")
    thread = threading.Thread(target=block.__enter__)
    thread.start()
    thread.join()
    block.__exit__(None, None, None)
    assert block.info.state is StepState.COMPLETED
    assert exp._ledger.watch is None


def test_what_ends_twice_or_never_began_changes_nothing(project):
    exp = project.log("run")
    exp.step("never").__exit__(None, None, None)
    with exp.step("outer"):
        with exp.step("inner") as inner:
            pass
        inner.__exit__(None, None, None)
        exp.log_metric("auc", 1)
    assert [(s.step_name, s.logged) for s in exp.steps] == [("outer", ["metrics.auc"]), ("inner", None)]
    assert exp._ledger.watch is None


def test_a_step_that_is_nested_too_deep_hides_no_other(project):
    deep: list = []
    for _ in range(900):
        deep = [deep]
    with project.log("run") as exp:
        with exp.step("good"):
            pass
        with exp.step("bad") as bad:
            pass
    bad._record["unknown"] = deep
    with pytest.warns(StoreWarning, match="'bad' of .* makes no sense"):
        assert [step.step_name for step in exp.steps] == ["good"]
