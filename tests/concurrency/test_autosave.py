"""Autosave: what is there when a process ends, however it ends, and what a storage that fails does to a run."""

import copy
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pytest
from faulty_disk import failing, install
from store_checks import finish, leftovers

from lazytrack import Experiment, Project
from lazytrack.errors import ReadOnlyError
from lazytrack.tracking import autosave

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


def found(path):
    project = Project(path, mode="r")
    assert project.problems == {}
    return project["run"]


def until(condition, seconds=30):
    """Wait for what another thread or process is about to bring about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("lazytrack autosave")]


# --- while it runs ---


def test_a_run_is_saved_at_once_and_then_as_it_goes(tmp_path):
    path = tmp_path / "churn.json"
    with Project(path).log("run", autosave=0.05) as exp:
        until(path.exists)
        until(lambda: "run" in Project(path))
        assert found(path).status == "running"
        assert found(path).heartbeat is not None
        for step in range(3):
            exp.log_metric("loss", float(step), step=step)
            until(lambda s=step: found(path).metrics.get("loss") == s)
        exp.log_parameter("lr", 0.1)
        exp.log_artifact("report", {"a": 1}, "json")
        until(lambda: found(path).artifacts)
    assert found(path).status == "completed", "the block's end saves"
    assert found(path).history("loss").step == [0, 1, 2]
    assert not exp.dirty
    until(lambda: threads() == [])
    assert leftovers(tmp_path / "churn") == set()


def test_nothing_is_written_where_nothing_changes_but_a_sign_of_life(tmp_path, monkeypatch):
    path = tmp_path / "churn.json"
    log_folder = tmp_path / "churn" / "log"
    with Project(path).log("run", autosave=0.01) as exp:
        until(lambda: log_folder.exists() and not exp.dirty)
        time.sleep(0.1)
        assert len(list(log_folder.iterdir())) == 1
        first = found(path).heartbeat
        monkeypatch.setattr(autosave, "HEARTBEAT_SECONDS", 0.05)
        until(lambda: found(path).heartbeat > first)
        assert exp.last_updated == exp.created_at or exp.last_updated < found(path).heartbeat


def test_other_experiments_wait_for_save(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)
    other = project.log("other")
    with project.log("run", autosave=0.01):
        until(lambda: "run" in Project(path))
    assert other.dirty
    assert "other" not in Project(path)
    project.save()
    assert "other" in Project(path)


@pytest.mark.parametrize("status", ["completed", "failed", "stopped"])
def test_a_run_without_block_ends_when_it_is_finished(tmp_path, status):
    path = tmp_path / "churn.json"
    exp = Project(path).log("run", autosave=0.01, system_metrics=0.01, capture=True)
    exp.log_metric("loss", 1.0, step=0)
    sys.stdout.write("heard\n")
    exp.finish(status)
    sys.stdout.write("not heard\n")
    assert found(path).status == status
    assert found(path).history("loss").step == [0]
    assert found(path).output == "heard\n"
    assert not exp.dirty
    until(lambda: threads() == [])
    assert not [thread for thread in threading.enumerate() if "system metrics" in thread.name]


def test_a_finished_run_gives_no_sign_of_life(tmp_path, monkeypatch):
    beating, finished, late = threading.Event(), threading.Event(), []
    beat = Experiment._beat

    def slow(self):
        if threading.current_thread() in threads():
            beating.set()
            finished.wait(0.5)
        beat(self)
        late.append(finished.is_set())

    monkeypatch.setattr(Experiment, "_beat", slow)
    exp = Project(tmp_path / "churn.json").log("run", autosave=0.01)
    assert beating.wait(30)
    exp.finish()
    finished.set()
    until(lambda: threads() == [])
    assert late
    assert not any(late), "what was saved at the end is changed no more"


def test_a_run_that_does_not_save_itself_is_saved_when_it_is_finished(tmp_path):
    path = tmp_path / "churn.json"
    exp = Project(path).log("run")
    with pytest.raises(ValueError, match="no status 'done'"):
        exp.finish("done")
    exp.finish()
    assert found(path).status == "completed"


def test_a_run_that_somebody_says_has_ended_is_saved_all_the_same(tmp_path):
    path = tmp_path / "churn.json"
    with Project(path).log("run") as exp:
        pass
    exp._owner.save()
    project = Project(path)
    with project.attach("run", rank=1, autosave=0.01) as late:
        until(lambda: found(path).writers)
        assert threads()
        late.log_metric("loss", 1.0, step=0)
        until(lambda: "loss" in found(path).history_names)
    assert found(path).status == "completed"


def test_a_block_that_raises_is_saved_as_failed(tmp_path):
    path = tmp_path / "churn.json"
    with pytest.raises(ZeroDivisionError), Project(path).log("run", autosave=60) as exp:
        exp.log_metric("loss", 1.0, step=0)
        raise ZeroDivisionError
    assert found(path).status == "failed"
    assert "ZeroDivisionError" in found(path).error
    assert found(path).history("loss").step == [0]
    until(lambda: threads() == [])


def test_a_run_that_somebody_deleted_is_let_go_with_a_warning(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with project.log("run", autosave=0.01) as exp:
            until(lambda: "run" in Project(path))
            other = Project(path, mode="w+")
            other.delete(exp.slug)
            other.save()
            project.refresh()
            exp.log_metric("loss", 1.0, step=0)
            until(lambda: threads() == [])
    assert "is saved no more" in str(caught[0].message)
    assert len(Project(path)) == 0


# --- a storage that fails ---


def test_a_storage_that_fails_stops_nothing_and_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "churn.json"
    disk = install(monkeypatch)
    project = Project(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with project.log("run", autosave=0.01) as exp:
            until(path.exists)
            for spell in range(2):
                disk.arm(1, failing(errno.EIO), lasting=True)
                for step in range(spell * 100, spell * 100 + 100):
                    exp.log_metric("loss", 1.0, step=step)
                until(lambda n=spell: len(caught) == n + 1)
                time.sleep(0.1)  # many more attempts fail, and one warning is enough
                disk.disarm()
                until(lambda: not exp.dirty)
                assert len(found(path).history("loss")) == spell * 100 + 100
    assert [str(w.message).split(":")[0] for w in caught] == [
        f"{exp.slug} could not be saved, all is kept and tried again"
    ] * 2
    assert found(path).history("loss").step == list(range(200))
    assert found(path).status == "completed"


def test_a_block_that_ends_while_the_storage_fails_warns_and_is_saved_later(tmp_path, monkeypatch):
    path = tmp_path / "churn.json"
    disk = install(monkeypatch)
    project = Project(path)
    disk.arm(1, failing(errno.EIO), lasting=True)
    with pytest.warns(UserWarning, match="all is kept and tried again"), project.log("run", autosave=0.05) as exp:
        exp.log_metric("loss", 1.0, step=0)
    assert exp.dirty
    disk.disarm()
    until(lambda: threads() == [])
    assert found(path).status == "completed"
    assert found(path).history("loss").step == [0]


@posix
def test_logging_goes_on_while_a_save_hangs(tmp_path, monkeypatch):
    project = Project(tmp_path / "churn.json")
    gate, inside = threading.Event(), threading.Event()
    create = type(project._files).create

    def hang(self, path, data):
        inside.set()
        assert gate.wait(30)
        create(self, path, data)

    with project.log("run", autosave=0.01) as exp:
        until(lambda: not exp.dirty)
        monkeypatch.setattr(type(project._files), "create", hang)
        exp.log_metric("loss", 0.0, step=0)
        assert inside.wait(30)
        for step in range(1, 1000):
            exp.log_metric("loss", 0.0, step=step)
            exp.log_parameter("p", step)
        gate.set()
    assert found(tmp_path / "churn.json").history("loss").step == list(range(1000))
    assert found(tmp_path / "churn.json").parameters == {"p": 999}


def test_what_can_never_be_written_is_not_waited_for_at_the_end(tmp_path):
    exp = Project(tmp_path / "churn.json").log("run", autosave=60)
    exp.log_artifact("it", threading.Lock(), "pickle")
    saver = exp._companions._autosave
    with pytest.warns(UserWarning, match="could not be saved.*cannot pickle"):
        assert not saver._save_within(1000, first=lambda: None)
    exp.log_artifact("it", "5", "text", overwrite=True)
    exp.finish()


def test_looking_up_a_history_does_not_wait_for_a_save_that_waits_for_it(tmp_path):
    project = Project(tmp_path / "churn.json")
    exp = project.log("run")
    test = exp.log_test("women")
    for step in range(100):
        test.log_metric("auc", 1.0, step=step)
    project.save()
    for path in (tmp_path / "churn" / "series").rglob("*.series"):
        path.unlink()
    test.log_metric("auc", 1.0, step=100)
    saving = threading.Thread(target=project.save)
    with exp._ledger.lock:
        saving.start()
        time.sleep(0.1)  # it holds its own lock, and waits for this one
        with warnings.catch_warnings(action="ignore"):
            copy.copy(test)
    saving.join(30)
    assert not saving.is_alive()


def test_exits_are_heard_of_whoever_listens_too():
    code = """
import sys
from lazytrack import Experiment, Project
first = Project(sys.argv[1]).log("first", autosave=60)
before = sys.exit
def wrapped(code=None):
    before(code)
sys.exit = wrapped
second = Project(sys.argv[1]).log("second", autosave=60)
sys.exit(3)
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "churn.json"
        done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], check=False, capture_output=True)
        assert (done.returncode, done.stderr) == (3, b"")
        assert [exp.status for exp in Project(path).experiments] == ["failed", "failed"]
        assert "SystemExit: 3" in Project(path)["first"].error


# --- how a process ends ---


@pytest.mark.slow
@pytest.mark.parametrize("how", ["return", "thread", "thread that goes on"])
def test_a_program_that_comes_to_its_end_has_saved_everything(tmp_path, start, how):
    path = tmp_path / "churn.json"
    assert finish(start("child_autosave.py", path, how)) == ["logged\n"]
    assert found(path).status == "completed"
    assert found(path).history("loss").step == list(range(100))


@pytest.mark.slow
def test_a_program_that_ends_by_an_exception_has_saved_everything_and_failed(tmp_path, start):
    path = tmp_path / "churn.json"
    child = start("child_autosave.py", path, "raise")
    _, err = child.communicate()
    assert child.returncode == 1
    assert "of all things" in err
    assert found(path).status == "failed"
    assert "of all things" in found(path).error
    assert found(path).history("loss").step == list(range(100))


@pytest.mark.slow
def test_a_block_that_exits_is_saved_once(tmp_path, start):
    path = tmp_path / "churn.json"
    child = start("child_autosave.py", path, "exit")
    assert child.communicate() == ("logged\n", "")
    assert child.returncode == 41
    assert found(path).status == "failed"
    assert found(path).history("loss").step == list(range(100))


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("how", "code"), [("wait", -signal.SIGTERM), ("handler", 40), ("chain", -signal.SIGTERM)])
def test_sigterm_saves_and_then_does_what_it_would_have_done(tmp_path, start, how, code):
    path = tmp_path / "churn.json"
    child = start("child_autosave.py", path, how)
    assert child.stdout.readline() == "logged\n"
    child.terminate()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (code, "")
    assert found(path).status == "stopped"
    assert found(path).error is None
    assert found(path).history("loss").step == list(range(100))


@posix
@pytest.mark.slow
def test_a_run_that_is_told_to_stop_and_does_so_in_its_own_time_is_saved_to_the_end(tmp_path, start):
    path = tmp_path / "churn.json"
    child = start("child_autosave.py", path, "graceful")
    assert child.stdout.readline() == "logged\n"
    child.terminate()
    assert child.communicate(timeout=60) == ("stopped\n", "")
    assert child.returncode == 0
    assert found(path).status == "stopped"
    assert found(path).history("loss").step == [*range(100), 200]


@posix
@pytest.mark.slow
def test_a_killed_run_leaves_what_was_saved_and_is_stale_later(tmp_path, start, monkeypatch):
    path = tmp_path / "churn.json"
    child = start("child_autosave.py", path, "wait")
    assert child.stdout.readline() == "logged\n"
    child.kill()
    child.communicate()
    run = found(path)
    assert (run.status, run.history_names, run.stale) == ("running", [], False)
    from datetime import timedelta  # noqa: PLC0415

    from lazytrack import naming  # noqa: PLC0415

    right = naming.now
    monkeypatch.setattr(naming, "now", lambda: right() + timedelta(minutes=16))
    assert run.stale


CODE = """
import multiprocessing, os, sys, time
from lazytrack import Experiment, Project

def work(path, how):
    project = Project(path)
    exp = project.log("child", autosave=60)
    exp.log_metric("loss", 1.0, step=0)

if __name__ == "__main__":
    path, method = sys.argv[1:]
    exp = Project(path).log("parent", autosave=60)
    exp.log_metric("loss", 1.0, step=0)
    while exp.dirty:
        time.sleep(0.01)
    exp.log_metric("loss", 1.0, step=1)
    process = multiprocessing.get_context(method).Process(target=work, args=(path, method))
    process.start()
    process.join()
    assert process.exitcode == 0
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_saves_its_own_run_and_the_parent_its_own(tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(CODE)
    path = tmp_path / "churn.json"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", script, path, method],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    project = Project(path, mode="r")
    assert [e.name for e in project.experiments] == ["parent", "child"]
    assert [e.status for e in project.experiments] == ["completed", "completed"]
    assert project["parent"].history("loss").step == [0, 1]
    assert project["child"].history("loss").step == [0]


@posix
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_no_part_in_its_parents_runs(tmp_path):
    path = tmp_path / "churn.json"
    with Project(path).log("run", autosave=0.02) as exp:
        until(lambda: "run" in Project(path))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(ReadOnlyError):
                    exp.log_metric("loss", 1.0, step=0)
                assert autosave._running == set()
                signal.raise_signal(signal.SIGTERM)  # with nothing to save it ends this process at once
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == signal.SIGTERM
        exp.log_metric("loss", 1.0, step=0)
    assert found(path).status == "completed"
