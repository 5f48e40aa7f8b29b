"""Saves with many files: they are sent at once, and what becomes of each is told."""

import _thread
import contextlib
import itertools
import signal
import threading
import time

import pytest

from lazytrack import Project
from lazytrack.errors import SaveError
from lazytrack.files.local import LocalFiles
from lazytrack.files.memory import MemoryFiles

TOGETHER = 8


@pytest.fixture
def far_away(monkeypatch):
    """A disk whose files appear when eight have been written."""
    meeting = threading.Barrier(TOGETHER)
    open_write = LocalFiles.open_write

    @contextlib.contextmanager
    def slow(self, path):
        with open_write(self, path) as upload:
            yield upload
            if "artifacts/" in path and not upload.aborted:
                meeting.wait(timeout=10)

    monkeypatch.setattr(LocalFiles, "together", TOGETHER)
    monkeypatch.setattr(LocalFiles, "is_elsewhere", True)
    monkeypatch.setattr(LocalFiles, "open_write", slow)
    return meeting


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn")


def test_artifacts_of_one_save_are_sent_at_once(project, far_away, tmp_path):
    for run in range(2):
        exp = project.log(f"run {run}")
        for number in range(TOGETHER):
            exp.log_artifact(f"report {number}", [run, number], handler="json")
    project.save()
    found = Project(tmp_path / "churn", mode="r")
    loaded = [found[f"run-{run}"].load_artifact(f"report {n}") for run in range(2) for n in range(TOGETHER)]
    assert loaded == [[run, n] for run in range(2) for n in range(TOGETHER)]
    assert found.problems == {}


def test_handlers_write_in_the_thread_that_saves(project, far_away, monkeypatch):
    wrote = []
    for number in range(TOGETHER):
        project.log("run").log_artifact(f"report {number}", Noted(number, wrote), handler="pickle")
    project.save()
    assert wrote == [threading.get_ident()] * TOGETHER


class Noted:
    def __init__(self, number, wrote):
        self.number, self.wrote = number, wrote

    def __getstate__(self):
        self.wrote.append(threading.get_ident())
        return {"number": self.number}


def test_one_that_fails_does_not_stop_the_others_and_is_saved_the_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(MemoryFiles, "together", TOGETHER)
    monkeypatch.setattr(MemoryFiles, "is_elsewhere", True)
    create = MemoryFiles.create
    is_broken = True

    def sometimes(self, path, data):
        if is_broken and "report-3" in path:
            raise OSError("no space")
        create(self, path, data)

    monkeypatch.setattr(MemoryFiles, "create", sometimes)
    url = f"memory://{tmp_path.name}/churn"
    project = Project(url)
    exp = project.log("run")
    for number in range(TOGETHER):
        exp.log_artifact(f"report 3{number}" if number == 5 else f"report {number}", [number], handler="json")
    with pytest.raises(SaveError, match=r"all was saved but artifact 'report 3' of .*no space; artifact 'report 35'"):
        project.save()
    found = Project(url, mode="r")["run"]
    assert [found.load_artifact(f"report {n}") for n in (0, 1, 2, 4, 6, 7)] == [[0], [1], [2], [4], [6], [7]]
    assert exp.dirty
    is_broken = False
    project.save()
    found = Project(url, mode="r")["run"]
    assert found.load_artifact("report 3") == [3]
    assert found.load_artifact("report 35") == [5]
    assert not exp.dirty


def test_equal_content_in_one_save_is_sent_once(project, monkeypatch, tmp_path):
    monkeypatch.setattr(LocalFiles, "together", TOGETHER)
    monkeypatch.setattr(LocalFiles, "is_elsewhere", True)
    exp = project.log("run")
    for number in range(TOGETHER):
        exp.log_artifact(f"report {number}", "the same", handler="text")
    project.save()
    assert len([file for file in (tmp_path / "churn").rglob("artifacts/**/*") if file.is_file()]) == 1
    found = Project(tmp_path / "churn", mode="r")["run"]
    assert {found.load_artifact(f"report {number}") for number in range(TOGETHER)} == {"the same"}


def test_files_of_merged_projects_are_copied_at_once(project, far_away, tmp_path):
    for number in range(TOGETHER):
        exp = project.log(f"run {number}")
        exp.log_artifact("report", [number], handler="json")
        for step in range(100):
            exp.log_metric("loss", float(number), step=step)
    project.save()
    merged = Project(tmp_path / "other").merge(project)
    merged.save()
    found = Project(tmp_path / "other", mode="r")
    assert [found[f"run-{n}"].load_artifact("report") for n in range(TOGETHER)] == [[n] for n in range(TOGETHER)]
    assert [found[f"run-{n}"].history("loss").value for n in range(TOGETHER)] == [[float(n)] * 100 for n in range(8)]


def test_two_hundred_artifacts_are_two_hundred_requests_and_one(s3, s3_server):
    url, options = s3
    project = Project(url, **options)
    exp = project.log("run")
    project.save()
    s3_server.requests()
    for number in range(200):
        exp.log_artifact(f"report {number}", [number], handler="json")
    project.save()
    assert [method for method, _ in s3_server.requests()] == ["PUT"] * 201
    found = Project(url, mode="r", **options)["run"]
    assert [found.load_artifact(f"report {number}") for number in range(0, 200, 20)] == [[n] for n in range(0, 200, 20)]


@pytest.fixture
def heeds_interrupts():
    """Have this process mind Ctrl-C, which one that was started in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_after_an_interrupted_save_the_next_one_saves_all(tmp_path, monkeypatch, heeds_interrupts):
    monkeypatch.setattr(MemoryFiles, "together", 2)
    monkeypatch.setattr(MemoryFiles, "is_elsewhere", True)
    create = MemoryFiles.create
    sent = itertools.count(1)

    def interrupt(self, path, data):
        if next(sent) == 5:
            _thread.interrupt_main()
        time.sleep(0.01)
        create(self, path, data)

    monkeypatch.setattr(MemoryFiles, "create", interrupt)
    url = f"memory://{tmp_path.name}/interrupted"
    project = Project(url)
    exp = project.log("run")
    for number in range(40):
        exp.log_artifact(f"report {number}", [number], handler="json")
    with pytest.raises(KeyboardInterrupt):
        project.save()
    project.save()
    assert not exp.dirty
    found = Project(url, mode="r")["run"]
    assert [found.load_artifact(f"report {number}") for number in range(40)] == [[n] for n in range(40)]


def test_a_twin_whose_upload_fails_is_sent_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(MemoryFiles, "together", TOGETHER)
    monkeypatch.setattr(MemoryFiles, "is_elsewhere", True)
    create = MemoryFiles.create

    def first_fails(self, path, data):
        if "first" in path:
            raise OSError("no space")
        create(self, path, data)

    monkeypatch.setattr(MemoryFiles, "create", first_fails)
    url = f"memory://{tmp_path.name}/twins"
    project = Project(url)
    exp = project.log("run")
    exp.log_artifact("first", "the same", handler="text")
    exp.log_artifact("second", "the same", handler="text")
    with pytest.raises(SaveError, match="all was saved but artifact 'first'"):
        project.save()
    assert Project(url, mode="r")["run"].load_artifact("second") == "the same"
