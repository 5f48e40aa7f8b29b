"""Item 30 of the acceptance list: StepInfo: states, JSON, old stamps, git, secrets, and killed processes."""

import inspect
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from lazytrack import naming
from lazytrack.step_info import (
    EnvironmentMetadata,
    GitMetadata,
    LazytrackMetadata,
    PlatformMetadata,
    StepInfo,
    StepState,
)

START = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
END = START + timedelta(hours=1)
FIELDS = [
    "unique_id",
    "step_class_name",
    "dependencies",
    "cacheable",
    "step_name",
    "version",
    "start_time",
    "end_time",
    "error",
    "result_location",
    "config",
    "metadata",
    "platform",
    "environment",
]
IMPOSSIBLE = "impossible"


def step(**fields):
    return StepInfo(
        **{"unique_id": "id", "step_class_name": "Train", "dependencies": set(), "cacheable": True} | fields
    )


@pytest.fixture
def repo(tmp_path, monkeypatch):
    folder = tmp_path / "repo"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder


def git(*arguments):
    author = ["-c", "user.name=dana", "-c", "user.email=dana@example.org"]
    subprocess.run(["git", *author, *arguments], check=True, capture_output=True)


def test_item_30_state_table():
    table = {
        (0, 0, 0): "incomplete",
        (1, 0, 0): "running",
        (1, 1, 0): "completed",
        (1, 1, 1): "failed",
        (0, 1, 0): IMPOSSIBLE,
        (0, 0, 1): IMPOSSIBLE,
        (0, 1, 1): IMPOSSIBLE,
        (1, 0, 1): IMPOSSIBLE,
    }
    for (start, end, error), state in table.items():
        fields = {
            "start_time": START if start else None,
            "end_time": END if end else None,
            "error": "e" if error else None,
        }
        assert step(cacheable=False, **fields).state is StepState.UNCACHEABLE
        if state is IMPOSSIBLE:
            with pytest.raises(RuntimeError, match="step 'id' is in no state: it has"):
                step(**fields).state  # noqa: B018
        else:
            assert step(**fields).state == state
    assert [state.value for state in StepState] == ["incomplete", "running", "completed", "failed", "uncacheable"]
    assert issubclass(StepState, str)


def test_item_30_json_keys():
    assert list(inspect.signature(StepInfo).parameters)[:14] == FIELDS
    stored = step().to_json_dict()
    assert list(stored)[:14] == FIELDS
    assert set(stored["platform"]) >= {"operating_system", "cpu_count", "user", "host", "machine", "memory"}
    wanted = {"python", "executable", "command", "root", "packages", "git", "lazytrack", "lock_files"}
    assert set(stored["environment"]) >= wanted
    assert set(attrs.fields_dict(GitMetadata)) >= {"commit", "remote", "branch", "dirty", "diff_digest"}


def test_item_30_the_four_metadata_classes_can_be_made_without_arguments():
    assert PlatformMetadata().user == naming.login()
    assert EnvironmentMetadata().executable == Path(sys.executable)
    assert isinstance(GitMetadata(), GitMetadata)
    assert LazytrackMetadata().version
    nothing = EnvironmentMetadata(packages=None, git=None, lazytrack=None)
    assert (nothing.packages, nothing.git, nothing.lazytrack, PlatformMetadata(cpu_count=None).cpu_count) == (None,) * 4


def test_item_30_old_stamps():
    stored = step(start_time=START).to_json_dict() | {"start_time": "2026-11-20T08:22:33", "end_time": None}
    assert StepInfo.from_json_dict(stored).start_time == START.replace(microsecond=0)


def test_item_30_exact_round_trip():
    made = step(dependencies={"b", "a"}, start_time=START, end_time=END, config={"lr": 0.1}, step_name="train")
    stored = made.to_json_dict() | {"of a later version": [1]}
    again = StepInfo.from_json_dict(json.loads(json.dumps(stored)))
    assert again.to_json_dict() == stored
    assert (again.start_time, again.start_time.tzinfo) == (START, UTC)
    assert isinstance(again.environment.root, Path)
    assert {type(package) for package in again.environment.packages} == {tuple}
    assert (again.platform, again.environment) == (made.platform, made.environment)


def test_item_30_git_edge_cases(repo, tmp_path, monkeypatch):
    assert EnvironmentMetadata().git is None, "outside of a checkout"
    git("init", "--quiet", "--initial-branch", "main")
    found = EnvironmentMetadata().git
    assert (found.commit, found.remote, found.branch) == (None, None, "main"), "without commits and remote"
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    (repo / "sub").mkdir()
    monkeypatch.chdir(repo / "sub")
    inside = EnvironmentMetadata()
    assert (inside.root, inside.git.folder, len(inside.git.commit)) == (repo, "sub", 40), "in a sub-folder"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    without = EnvironmentMetadata().git
    assert (without.commit, without.branch, without.dirty) == (inside.git.commit, "main", None), "no git program"


def test_item_30_masked_secrets(repo, monkeypatch):
    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "origin", "https://dana:ghp_0123456789abcdefghijklmnopqrstuvwxyz@example.org/r.git")
    (repo / "requirements.txt").write_text(
        "--index-url https://dana:ghp_0123456789abcdefghijklmnop@example.org/simple\n"
    )
    option = "--token=ghp_0123456789abcdefghijklmnopqrstuvwxyz"
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "train.py", option])
    stored = json.dumps(step().to_json_dict())
    assert "example.org/r.git" in stored
    assert "train.py" in stored
    assert "ghp_0123456789abcdefghijklmnop" not in stored


def test_item_30_a_killed_process_is_not_left_running_for_ever(tmp_path, monkeypatch):
    code = (
        "import json, os, signal, sys\nfrom lazytrack import naming\nfrom lazytrack.step_info import StepInfo\n"
        "info = StepInfo('id', 'Train', set(), True, start_time=naming.now(), heartbeat=naming.now())\n"
        "open(sys.argv[1], 'w').write(json.dumps(info.to_json_dict()))\nos.kill(os.getpid(), signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "step.json")], check=False)
    assert done.returncode != 0
    found = StepInfo.from_json_dict(json.loads((tmp_path / "step.json").read_text()))
    assert (found.state, found.stale) == (StepState.RUNNING, False)
    later = naming.now() + timedelta(minutes=31)
    monkeypatch.setattr(naming, "now", lambda: later)
    assert (found.state, found.stale) == (StepState.RUNNING, True)
