"""A run that was killed, interrupted or failed goes on, and repeats nothing that had completed."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from processes import processes_with, until

from lazytrack import Project, current_experiment, naming, pipeline, step
from lazytrack.errors import PipelineRunError, StepInterfaceError
from lazytrack.post_execution import get_run
from lazytrack.steps.resuming import find_run
from lazytrack.tracking.active import active_project

PROGRAM = """
import os, sys, time
from lazytrack import Project, current_experiment, pipeline, step

@step{options}
def work(n: int, folder: str) -> int:
    with open(f"{{folder}}/ran", "a") as ran:
        ran.write(f"{{n}}\\n")
    current_experiment().log_metric(f"of {{n}}", n)
    while n == 3 and not os.path.exists(f"{{folder}}/go"):
        time.sleep(0.05)
    return n * 10

@step
def total(parts: list[int]) -> int:
    return sum(parts)

@pipeline(executor={executor!r})
def whole(count: int, folder: str):
    parts = work.map(list(range(count)), folder=folder)
    total(parts)

if __name__ == "__main__":
    with Project(sys.argv[1]):
        if sys.argv[3] == "run":
            whole.with_options(run_name="long")(6, sys.argv[2])
        else:
            print(whole.resume("long").status)
"""


def program(tmp_path, executor, options=""):
    (tmp_path / "work.py").write_text(PROGRAM.format(executor=executor, options=options))
    return [sys.executable, str(tmp_path / "work.py"), str(tmp_path / "runs"), str(tmp_path)]


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("options", ["", "(enable_cache=False)"])
@pytest.mark.parametrize("executor", ["inline", "threads:2", "processes:2"])
def test_a_run_that_was_killed_reads_as_stale_and_goes_on_without_repeating_a_step(
    tmp_path, executor, options, monkeypatch
):
    command = program(tmp_path, executor, options)
    mark = naming.unique()
    run = subprocess.Popen([*command, "run"], env=os.environ | {"LAZYTRACK_MARK": mark})
    # On two workers, those behind the one that waits go on; inline they do not.
    expected = ["0", "1", "2", "3"] if executor == "inline" else ["0", "1", "2", "3", "4", "5"]
    until(lambda: sorted(lines(tmp_path / "ran")) == expected)

    def saved():
        with Project(tmp_path / "runs", mode="r") as project:
            [experiment] = project.experiments
            steps = {made.step_name: made.end_time is not None for made in experiment.steps}
            return "work_4" in steps and sum(steps.values()) == len(expected) - 1

    until(saved)
    run.send_signal(signal.SIGKILL)
    run.wait()
    until(lambda: not processes_with(mark))

    with Project(tmp_path / "runs") as project:
        view = get_run("long")
        assert view.status == "running"
        assert not view.stale
    blocked = subprocess.run([*command, "resume"], check=False, capture_output=True, text=True)
    assert "PipelineRunError: run 'long' was heard of at" in blocked.stderr

    later = naming.now() + timedelta(minutes=40)
    with monkeypatch.context() as patch:
        patch.setattr(naming, "now", lambda: later)
        with Project(tmp_path / "runs") as project:
            view = get_run("long")
            assert view.stale
            assert view.get_step("work_4").stale
            assert not view.get_step("work").stale
    with Project(tmp_path / "runs") as project:
        project.close(view.id, force=True)

    (tmp_path / "go").touch()
    resumed = subprocess.run([*command, "resume"], check=True, capture_output=True, text=True)
    assert resumed.stdout == "completed\n"
    ran = lines(tmp_path / "ran")
    assert sorted(ran) == sorted([*expected, "3", *(["4", "5"] if executor == "inline" else [])])
    with Project(tmp_path / "runs") as project:
        assert len(project) == 1
        view = get_run("long")
        assert view.status == "completed"
        assert view.get_step("total").output.read() == 150
        assert view.get_step_names() == ["work", *(f"work_{n}" for n in range(2, 7)), "total"]
        assert {made.status for made in view.steps} == {"completed"}
        [attempt] = view.get_step("work_4").attempts
        assert attempt["error"] == "the run was interrupted when this was running"
        assert view.experiment.metrics == {f"of {n}": n for n in range(6)}


# --- in one program ---


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "shop") as project:
        yield project


ran = []


@pytest.fixture(autouse=True)
def _nothing_ran():
    ran.clear()
    broken.clear()


broken = []


@step(enable_cache=False)
def first(n: int) -> int:
    ran.append("first")
    return n


@step
def second(n: int) -> int:
    ran.append("second")
    if broken:
        raise LookupError("broken")
    return n + 1


@pipeline
def both(n: int = 1, names: tuple[str, ...] = ()) -> None:
    second(first(n))


def fail(name, **arguments):
    broken.append(1)
    with pytest.raises(PipelineRunError):
        both.with_options(run_name=name)(**arguments)
    broken.clear()
    ran.clear()


def test_a_failed_run_goes_on_with_its_arguments(project):
    fail("nightly", n=4, names=("a",))
    view = both.resume("nightly")
    assert ran == ["second"]
    assert view.status == "completed"
    assert view.get_step("second").output.read() == 5
    assert [each["status"] for each in view.get_step("second").attempts] == ["retried"]
    assert "LookupError: broken" in view.get_step("second").attempts[0]["error"]
    assert view.experiment.parameters == {"n": 4, "names": ["a"]}
    assert view.experiment.to_dict()["error"] is None
    assert len(project) == 1
    [kept] = [p for p in (Path(project.dir) / "project/log").iterdir() if "resume_key" in p.read_text()]
    assert json.loads(kept.read_text())["patches"]


def test_one_that_has_completed_is_returned_as_it_is():
    run = both.with_options(run_name="done")()
    ran.clear()
    assert both.resume("done") == run
    assert ran == []


def test_changed_code_and_what_needs_it_run_again(monkeypatch):
    fail("changed")

    def other(n: int) -> int:
        ran.append("other")
        return n * 100

    monkeypatch.setattr(first, "_function", other)
    monkeypatch.setattr(first, "_source", None)
    first._read("first")
    try:
        assert both.resume("changed").get_step("second").output.read() == 101
    finally:
        monkeypatch.undo()
        first._read("first")
    assert ran == ["other", "second"]


def test_outputs_that_are_gone_are_made_again(project):
    fail("gone")
    for file in (Path(project.dir) / "project/artifacts").rglob("*.json"):
        file.unlink()
    assert both.resume("gone").status == "completed"
    assert ran == ["first", "second"]


def test_a_step_whose_cache_was_cleared_is_not_taken(project):
    @pipeline
    def cached() -> None:
        second.with_options(name="sure")(1)
        broken.append(1)
        second(2)

    with pytest.raises(PipelineRunError):
        cached.with_options(run_name="cleared")()
    broken.clear()
    ran.clear()
    get_run("cleared").get_step("sure").clear_cache()
    with pytest.raises(PipelineRunError):
        cached.resume("cleared")
    assert ran == ["second", "second"]


@pytest.mark.parametrize(
    ("name", "arguments", "error", "told"),
    [
        ("nowhere", {}, KeyError, "no run 'nowhere'; the last ones of pipeline 'both': 'there'"),
        ("there", {"n": 2}, ValueError, "called with n=1, not 2"),
        ("there", {"m": 2}, StepInterfaceError, "has no argument 'm'"),
        (3, {}, TypeError, "the name of a run"),
    ],
)
def test_what_cannot_be_resumed_is_told(name, arguments, error, told):
    fail("there")
    with pytest.raises(error, match=told):
        both.resume(name, **arguments)
    assert ran == []


def test_a_run_of_another_pipeline_is_not_resumed():
    @pipeline
    def others() -> None:
        first(1)

    fail("there")
    with pytest.raises(ValueError, match="is of pipeline 'both', not of 'others'"):
        others.resume("there")


def test_a_run_is_not_resumed_within_a_run_nor_while_it_goes_on():
    @pipeline
    def within() -> None:
        first(1)
        both.resume("there")

    @pipeline
    def itself() -> None:
        first(1)
        with pytest.raises(PipelineRunError, match="may be running"):
            find_run(active_project(), "itself", "this one")

    fail("there")
    with pytest.raises(RuntimeError, match="within a run"):
        within()
    itself.with_options(run_name="this one")()


def test_arguments_that_json_cannot_hold_are_given_again():
    @pipeline
    def odd(thing: object, n: int = 1) -> None:
        first(n)
        if thing is not None:
            second(n)

    thing = object()
    broken.append(1)
    with pytest.raises(PipelineRunError):
        odd.with_options(run_name="odd")(thing)
    broken.clear()
    with pytest.raises(ValueError, match=r"JSON could not hold: give it again, as in resume\('odd', thing=...\)"):
        odd.resume("odd")
    assert odd.resume("odd", thing=thing).status == "completed"


def test_a_default_that_json_cannot_hold_need_not_be_given():
    @pipeline
    def odd(thing: object = ..., n: int = 1) -> None:
        assert thing is ...
        second(first(n))

    broken.append(1)
    with pytest.raises(PipelineRunError):
        odd.with_options(run_name="odd")()
    broken.clear()
    assert odd.resume("odd").status == "completed"


def test_blocks_of_an_earlier_attempt_stay_what_they_are(project):
    @pipeline
    def blocks() -> None:
        with current_experiment().step("second"):
            first(1)
        second(1)

    broken.append(1)
    with pytest.raises(PipelineRunError):
        blocks.with_options(run_name="blocks")()
    broken.clear()
    view = blocks.resume("blocks")
    assert view.get_step_names() == ["first", "second_2"]
    assert {made.step_name for made in view.experiment.steps} == {"first", "second", "second_2", "second_3"}
