"""Where an experiment's results come from is in its record: found out once for a process, and never in the way."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lazytrack import Experiment, Project
from lazytrack.errors import FormatError, LazytrackError
from lazytrack.provenance import capture, env_diff
from lazytrack.provenance import git as git_room
from lazytrack.tracking import saving

GIT = ["git", "-c", "user.email=dana@example.org", "-c", "user.name=dana"]


@pytest.fixture(autouse=True)
def _anew(monkeypatch):
    """Have each test take the snapshot of a process of its own."""
    monkeypatch.setenv(capture.SWITCH, "1")
    monkeypatch.setattr(capture, "_capture", None)
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 60)  # the machine may be busy
    yield
    if (begun := capture._capture) is not None:
        begun.join()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    folder = tmp_path / "checkout"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "train.py").write_text("lr = 0.1\n")
    subprocess.run([*GIT, "init", "-q", "-b", "main", folder], check=True)
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "one"], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    return folder


def logged(project, name="run"):
    with project.log(name) as exp:
        exp.log_metric("auc", 0.9)
    project.save()
    return exp


def reopened(project, name="run"):
    return Project(project.fpath, mode="r")[name]


def environments(project):
    return sorted(Path(project.folder, "environments").iterdir())


def test_the_record_says_on_what_with_what_and_from_what_it_ran(checkout, tmp_path):
    (checkout / "src" / "train.py").write_text("lr = 0.2\n")
    exp = reopened(Project(logged(Project(tmp_path / "store")).project))
    assert exp.platform.operating_system
    assert exp.platform.cpu_count == os.cpu_count()
    assert exp.environment.python == ".".join(map(str, sys.version_info[:3]))
    assert dict(exp.environment.packages)["attrs"]
    assert exp.environment.root == checkout
    assert exp.environment.executable == Path(sys.executable)
    assert exp.environment.command.startswith(sys.executable)
    assert exp.environment.git == exp.git
    assert (exp.git.branch, exp.git.dirty, exp.git.folder) == ("main", True, ".")
    assert "+lr = 0.2" in exp.diff
    assert [artifact.name for artifact in exp.artifacts] == ["uncommitted.diff"]
    assert exp.to_dict()["metrics"] == {"auc": 0.9}


def test_a_clean_checkout_has_no_diff_and_no_artifact(checkout, tmp_path):
    exp = logged(Project(tmp_path / "store"))
    assert (exp.git.dirty, exp.diff, exp.artifacts) == (False, None, [])


def test_outside_of_any_checkout_there_is_no_git(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exp = reopened(Project(logged(Project(tmp_path / "store")).project))
    assert (exp.git, exp.environment.git, exp.diff) == (None, None, None)
    assert exp.environment.root == tmp_path


def test_what_many_share_is_stored_once(checkout, tmp_path):
    (checkout / "new.txt").write_text("new")
    project = Project(tmp_path / "store")
    for number in range(30):
        logged(project, f"run {number}")
    for _ in range(3):
        logged(Project(tmp_path / "store"), "again")
    assert len(environments(project)) == 2  # a platform and an environment
    assert len(list(Path(project.folder, "artifacts").rglob("*.diff"))) >= 1
    assert len([p for p in Path(project.folder, "artifacts").rglob("*") if p.is_file()]) <= 4
    for path in environments(project):
        document = json.loads(path.read_text())
        assert document["format"] == "lazytrack/1"
        assert document["kind"] in {"platform", "environment"}
    for exp in Project(project.fpath, mode="r").experiments:
        assert exp.environment.packages
    assert project.fsck() == []
    assert project.gc(dry_run=False).going == []


def test_a_process_asks_once_for_all_its_experiments(checkout, tmp_path, monkeypatch):
    asked = []
    real = capture.take
    monkeypatch.setattr(capture, "take", lambda folder: asked.append(folder) or real(folder))
    for name in ("one", "two"):
        project = Project(tmp_path / name)
        logged(project)
        logged(project, "other")
    assert asked == [str(checkout)]


def test_logging_does_not_wait_and_what_comes_too_late_is_saved_all_the_same(checkout, tmp_path, monkeypatch):
    go_on = threading.Event()
    real = capture.take
    monkeypatch.setattr(capture, "take", lambda folder: go_on.wait(30) and real(folder))
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 0.01)
    project = Project(tmp_path / "store")
    exp = logged(project)
    assert not exp.dirty
    assert reopened(project).environment is None
    go_on.set()
    capture._capture.join()
    assert reopened(project).environment.python
    assert reopened(project).last_updated == exp.last_updated
    assert not exp.dirty


def test_a_snapshot_that_fails_leaves_nothing_but_a_message(checkout, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(capture, "take", lambda folder: 1 / 0)
    caplog.set_level("DEBUG", "lazytrack.provenance.capture")
    project = Project(tmp_path / "store")
    exp = logged(project)
    assert (exp.environment, exp.platform, exp.git, exp.diff) == (None, None, None, None)
    assert reopened(project).metrics == {"auc": 0.9}
    assert "ZeroDivisionError" in caplog.text
    with pytest.raises(LazytrackError, match="does not say where it comes from"):
        project.reproduce("run")
    with pytest.raises(ValueError, match="does not say where it comes from"):
        env_diff(exp, exp)


def test_a_failing_probe_is_a_missing_field(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("lazytrack.provenance.platform.memory", lambda: 1 / 0)
    monkeypatch.setitem(__import__("lazytrack.provenance.platform", fromlist=["x"]).PROBES, "memory", lambda: 1 / 0)
    exp = logged(Project(tmp_path / "store"))
    assert exp.platform.memory is None
    assert exp.platform.operating_system
    assert exp.git.commit  # read by hand, as there is no git
    assert exp.git.dirty is None


def test_it_can_be_turned_off(checkout, tmp_path, monkeypatch):
    monkeypatch.setenv(capture.SWITCH, "0")
    project = Project(tmp_path / "store")
    exp = logged(project)
    assert exp.environment is None
    assert not Path(project.folder, "environments").exists()
    assert capture._capture is None
    monkeypatch.setenv(capture.SWITCH, "1")
    assert logged(project, "on").environment is not None
    monkeypatch.setenv(capture.SWITCH, "0")
    assert logged(project, "off").environment is None


def test_what_was_not_run_here_is_not_said_to_be(checkout, tmp_path):
    project = Project(tmp_path / "store", mode="w+")
    project.append(Experiment("by hand", project=project.fpath, metrics={"auc": 1}))
    project.save()
    assert project["by-hand"].environment is None
    logged(project)
    edited = Project(project.fpath, mode="w+")
    edited["by-hand"].tag("seen")
    edited.save()
    assert reopened(project, "by-hand").environment is None


def test_who_goes_on_elsewhere_says_so(checkout, tmp_path, monkeypatch):
    project = Project(tmp_path / "store")
    logged(project)
    first = reopened(project).git
    (checkout / "src" / "train.py").write_text("lr = 0.3\n")
    subprocess.run([*GIT, "commit", "-q", "-a", "-m", "two"], cwd=checkout, check=True)
    monkeypatch.setattr(capture, "_capture", None)
    again = Project(project.fpath)
    with again.resume("run") as exp:
        exp.log_metric("auc", 0.95)
    again.save()
    assert reopened(project).git.commit != first.commit
    assert reopened(project).git == git_room.capture(checkout)


def test_merging_and_appending_bring_it_along(checkout, tmp_path):
    (checkout / "new.txt").write_text("new")
    project = Project(tmp_path / "store")
    exp = logged(project)
    merged = Project(tmp_path / "merged").merge(project)
    merged.save()
    other = Project(tmp_path / "other")
    other.append(exp)
    other.save()
    project.fs.rm(project.folder, recursive=True)
    for found in (reopened(merged), reopened(other)):
        assert found.environment.packages
        assert found.platform.machine
        assert "+new" in found.diff
    assert merged.fsck() == []
    assert other.fsck() == []


def test_a_file_of_an_environment_that_is_gone_or_altered_is_told_and_hides_nothing(checkout, tmp_path):
    project = Project(tmp_path / "store")
    logged(project)
    for path in environments(project):
        path.write_bytes(path.read_bytes() + b" ")
    exp = reopened(project)
    assert exp.metrics == {"auc": 0.9}
    with pytest.raises(FormatError, match="is not the file that was written"):
        exp.environment  # noqa: B018
    assert {finding.kind for finding in project.fsck()} == {"altered"}
    for path in environments(project):
        path.unlink()
    with pytest.raises(FormatError, match="is gone"):
        reopened(project).platform  # noqa: B018
    assert {finding.kind for finding in project.fsck()} == {"missing"}


@pytest.mark.parametrize("value", ["../../etc/passwd", "x" * 64, 5, {"a": 1}, "0" * 64])
def test_a_strangers_record_leads_nowhere_else(checkout, tmp_path, value):
    project = Project(tmp_path / "store")
    exp = logged(project)
    project._journal.append([{"record": exp.slug, "set": {"environment": value, "git": value}}], by="x")
    found = reopened(project)
    assert found.metrics == {"auc": 0.9}
    if isinstance(value, str):
        with pytest.raises(FormatError, match=r"is gone|is no name of a file"):
            found.environment  # noqa: B018
    else:
        assert found.environment is None


def test_a_forked_child_says_the_same(checkout, tmp_path):
    code = f"""
import os, warnings
warnings.simplefilter("ignore")
from lazytrack import Project
from lazytrack.provenance import capture
project = Project({str(tmp_path / "store")!r})
with project.log("parent"): pass
project.save()
pid = os.fork()
if pid == 0:
    with project.log("child"): pass
    project.save()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=checkout)
    project = Project(tmp_path / "store", mode="r")
    assert len(project) == 2
    assert not env_diff(project["parent"], project["child"])


def test_a_script_that_ends_at_once_has_it_in_its_record(checkout, tmp_path):
    code = f"""
from lazytrack import Project
from lazytrack.provenance import capture
capture.PATIENCE_SECONDS = 0
project = Project({str(tmp_path / "store")!r})
with project.log("run"): pass
project.save()
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=checkout)
    assert reopened(Project(tmp_path / "store")).environment.python


@pytest.mark.parametrize("kind", ["s3", "sftp", "memory"])
def test_it_is_kept_on_every_filesystem(request, kind, checkout):
    url, options = request.getfixturevalue(kind)
    project = Project(url, **options)
    logged(project)
    logged(Project(url, **options), "second")
    again = Project(url, mode="r", **options)
    assert again["run"].environment.packages
    assert len({exp._scalars["environment"] for exp in again.experiments}) == 1
    assert len(project._journal.files.names("environments")) == 2


def test_a_working_folder_that_is_gone_stops_no_run(checkout, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    try:
        gone.rmdir()
    except OSError:
        pytest.skip("a working folder cannot be removed here")
    logged(project := Project(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    assert reopened(project).metrics == {"auc": 0.9}


def test_it_is_told_of_the_folder_that_the_run_began_in(checkout, tmp_path, monkeypatch):
    (checkout / "requirements.txt").write_text("attrs\n")
    real = capture.take

    def take(folder):
        os.chdir(tmp_path)  # as the program may do while the snapshot is taken
        return real(folder)

    monkeypatch.setattr(capture, "take", take)
    exp = logged(Project(tmp_path / "store"))
    assert exp.environment.root == checkout
    assert [file.name for file in exp.environment.lock_files] == ["requirements.txt"]


def test_what_is_asked_for_again_and_again_is_told_once(checkout, tmp_path, monkeypatch):
    go_on = threading.Event()
    real = capture.take
    monkeypatch.setattr(capture, "take", lambda folder: go_on.wait(30) and real(folder))
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 0.01)
    exp = logged(Project(tmp_path / "store"))
    for _ in range(10):
        assert exp.git is None
    assert len(capture._capture._waiting) == 1
    go_on.set()


def test_what_is_found_just_after_the_wait_is_saved_all_the_same(checkout, tmp_path, monkeypatch):
    go_on = threading.Event()
    real_take, real_wait = capture.take, capture.Capture.wait
    monkeypatch.setattr(capture, "take", lambda folder: go_on.wait(30) and real_take(folder))
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 0.01)

    def wait(found):
        origin = real_wait(found)
        go_on.set()
        found._done.wait(30)
        return origin

    monkeypatch.setattr(capture.Capture, "wait", wait)
    project = Project(tmp_path / "store")
    logged(project)
    assert reopened(project).environment.python


ENDS = """
import concurrent.futures.thread, sys, time
from lazytrack import Project
from lazytrack.provenance import capture
from lazytrack.tracking import saving, transfers

real_take, real_write = capture.take, transfers.write_files
def take(folder):
    time.sleep(2)
    return real_take(folder)
def write_files(*args):
    if concurrent.futures.thread._shutdown:
        raise RuntimeError("cannot schedule new futures after shutdown")  # as a library of a remote storage does
    return real_write(*args)
capture.take, capture.PATIENCE_SECONDS = take, 0.01
saving.write_files = write_files
project = Project(sys.argv[1])
exp = project.log("run", autosave=float(sys.argv[2]) or None)
project.save()
exp.log_metric("late", 1.0)
"""


@pytest.mark.parametrize("autosave", ["0", "100"])
def test_a_process_that_ends_before_it_is_known_saves_while_libraries_still_work(checkout, tmp_path, autosave):
    command = [sys.executable, "-c", ENDS, tmp_path / "store", autosave]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    exp = Project(tmp_path / "store", mode="r")["run"]
    assert exp.git.branch == "main"
    if autosave != "0":
        assert (exp.metrics, exp.status) == ({"late": 1.0}, "completed")


def test_what_is_found_during_the_first_save_is_saved_all_the_same(checkout, tmp_path, monkeypatch):
    go_on = threading.Event()
    real_take, real_write = capture.take, saving.write_files

    def write_files(*args):
        go_on.set()
        if threading.current_thread() is not capture._capture:
            capture._capture.join(1.0)  # it tells, and has to wait
        return real_write(*args)

    monkeypatch.setattr(capture, "take", lambda folder: go_on.wait(30) and real_take(folder))
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(saving, "write_files", write_files)
    project = Project(tmp_path / "store")
    logged(project)
    capture._capture.join()
    assert reopened(project).environment.python


FORKS = """
import os, sys
from lazytrack import Project
project = Project(sys.argv[1])
project.log("x")
pid = os.fork()
if pid == 0:
    import importlib.metadata, subprocess, csv, tempfile, platform
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_fork_in_the_middle_of_it_hangs_nobody(checkout, tmp_path):
    for number in range(10):
        command = [sys.executable, "-W", "ignore", "-c", FORKS, tmp_path / str(number)]
        subprocess.run(command, check=True, timeout=60)


def test_programs_that_hang_keep_no_process_for_long(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(capture, "DEADLINE_SECONDS", 0.5)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "nvidia-smi", "rocm-smi"):
        (folder / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    exp = logged(Project(tmp_path / "store"))
    assert exp.git.branch == "main"  # read by hand
    assert exp.environment.python
