"""Blocks that do not end well: by an exception, by a signal, by a kill."""

import errno
import os
import signal

import pytest
from faulty_disk import failing, install
from store_checks import leftovers, read_afresh

from lazytrack import Project
from lazytrack.errors import SaveError


def log_files(folder):
    return list(folder.glob("log/*.json"))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_block_that_raises_saves_its_experiment_at_once_and_no_other(tmp_path, error):
    path = tmp_path / "churn.json"
    project = Project(path)
    other = project.log("other")
    with pytest.raises(error, match="of all things") as raised, project.log("failing") as exp:
        exp.log_metric("loss", 1)
        exp.log_artifact("report", "so far", "json")
        exp.log_test("part").log_metric("auc", 2)
        raise error("of all things")
    assert not hasattr(raised.value, "__notes__")
    [(slug, told)] = read_afresh(path).items()
    assert slug == exp.slug
    assert (told["status"], told["metrics"], told["artifacts"]) == ("failed", {"loss": 1}, {"report": "so far"})
    assert told["tests"]["part"]["metrics"] == {"auc": 2}
    error_text = Project(path)[slug].error
    assert error_text.startswith("Traceback")
    assert "of all things" in error_text
    assert __file__ in error_text
    assert not exp.dirty
    assert other.dirty
    assert len(log_files(tmp_path / "churn")) == 1

    project.save()
    assert read_afresh(path).keys() == {exp.slug, other.slug}
    assert leftovers(tmp_path / "churn") == set()


def test_a_block_that_raises_within_another_saves_the_inner_experiment_first(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)
    with pytest.raises(ZeroDivisionError), project.log("outer") as outer, project.log("inner") as inner:
        inner.log_metric("loss", 1 / 0)
    assert list(read_afresh(path)) == [inner.slug, outer.slug]
    assert {told["status"] for told in read_afresh(path).values()} == {"failed"}
    assert len(log_files(tmp_path / "churn")) == 2


def test_a_block_whose_save_fails_lets_its_own_exception_go_on_and_keeps_the_experiment(tmp_path, monkeypatch):
    path = tmp_path / "churn.json"
    disk = install(monkeypatch)
    project = Project(path)
    disk.arm(1, failing(errno.ENOSPC), lasting=True)
    with pytest.raises(ValueError, match="mine") as raised, project.log("failing") as exp:
        exp.log_metric("loss", 1)
        raise ValueError("mine")
    [note] = raised.value.__notes__
    assert exp.slug in note
    assert "No space left" in note
    assert exp.dirty
    with pytest.raises(SaveError):
        project.save()
    assert not path.exists()
    disk.disarm()
    project.save()
    [told] = read_afresh(path).values()
    assert (told["status"], told["metrics"]) == ("failed", {"loss": 1})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGKILL", None)], ids=str)
def test_a_block_whose_process_is_killed_leaves_what_was_saved_and_nothing_half(tmp_path, start, number):
    path = tmp_path / "churn.json"
    child = start("child_block.py", path)
    slug = child.stdout.readline().strip()
    os.kill(child.pid, number)
    assert child.communicate() == ("", "")
    assert child.returncode == -number
    [(found, told)] = read_afresh(path).items()
    assert found == slug
    assert (told["status"], told["parameters"], told["metrics"]) == ("running", {"saved": 1}, {})
    assert told["artifacts"] == {"report": "saved"}
    assert leftovers(tmp_path / "churn") == set()

    project = Project(path, mode="w+")
    project[slug].status = "failed"
    project.save()
    assert read_afresh(path)[slug] == {**told, "status": "failed"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "options"), [(signal.SIGTERM, ["exiting"]), (signal.SIGINT, [])], ids=str)
def test_a_block_that_a_signal_ends_by_an_exception_saves_its_experiment(tmp_path, start, number, options):
    path = tmp_path / "churn.json"
    child = start("child_block.py", path, *options)
    slug = child.stdout.readline().strip()
    os.kill(child.pid, number)
    child.communicate()
    assert child.returncode == (143 if number == signal.SIGTERM else -signal.SIGINT)
    [(found, told)] = read_afresh(path).items()
    assert found == slug
    assert told["status"] == "failed"
    assert told["metrics"] == {"not saved": 2}
    assert told["artifacts"] == {"report": "saved", "model": "not saved"}
    assert Project(path)[slug].error.rstrip().endswith("143" if number == signal.SIGTERM else "KeyboardInterrupt")
    assert leftovers(tmp_path / "churn") == set()
