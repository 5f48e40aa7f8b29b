"""Steps as jobs of a real Slurm: what it cannot give, what becomes of jobs, one array for a map, and secrets."""

import getpass
import itertools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import elsewhere
import pytest
from elsewhere import lines, until, until_gone

from lazytrack import StepRetryConfig, pipeline, unmapped
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.step_operators import jobs, register_step_operator
from lazytrack.step_operators import slurm as slurm_operator
from lazytrack.step_operators.slurm import SlurmStepOperator, SlurmStepOperatorConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("project")]


@pytest.fixture
def operator(slurm, tmp_path):
    config = SlurmStepOperatorConfig(folder=str(tmp_path / "shared"), gather_seconds=1)
    operator = SlurmStepOperator("batch", config=config)
    operator.jobs, submit = [], operator.submit

    def submitted(*given):
        operator.jobs.append(submit(*given))
        return operator.jobs[-1]

    operator.submit = submitted
    register_step_operator(operator)
    yield operator
    for job in operator.jobs:
        said("scancel", job)
    assert not list((tmp_path / "shared").glob("*/*"))  # nothing is left


def said(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def queue():
    return said("squeue", "--noheader", "--format=%i").split()


def is_idle():
    return set(said("sinfo", "--noheader", "--format=%T").split()) == {"idle"}


def submitted(step, *args, **options):
    """Have a run with one call of a step, on another thread, as its job is the subject."""

    @pipeline(enable_cache=False, execution_mode="continue_on_failure")
    def whole(meanwhile) -> None:
        future = step.with_options(step_operator="batch", **options).submit(*args)
        try:
            meanwhile()
        except BaseException:
            said("scancel", "--user", getpass.getuser())  # there is no need to wait for it
            raise
        future.wait()

    return whole.with_options(run_name="once")


def lost(meanwhile, step, *args, **options):
    """Return what a step ends with that is lost, and is recorded so."""
    with pytest.raises(PipelineRunError) as caught:
        submitted(step, *args, **options)(meanwhile)
    cause = caught.value.__cause__
    assert isinstance(cause, WorkerLost)
    made = get_run("once").steps[0]
    assert made.status == "failed"
    assert str(cause).splitlines()[0] in made.error
    return str(cause)


# --- what it cannot give ---


@pytest.mark.parametrize(
    ("settings", "said_of_it"),
    [
        ({"slurm": {"partition": "no-such"}}, r"Slurm refuses --partition=no-such: .*invalid partition"),
        ({"resources": {"cpu_count": 100}}, r"Slurm refuses --cpus-per-task=100: .*"),
        ({"resources": {"memory": "100GiB"}}, r"Slurm refuses --mem=102400M: .*"),
        ({"resources": {"gpu_count": 3}}, r"Slurm refuses --gres=gpu:3: .*"),
        (
            {"slurm": {"partition": "short", "time_limit": 10}},
            r"Slurm refuses --partition=short --time=10: .*time limit",
        ),
        ({"slurm": {"options": ["--constraint=none"]}}, r"Slurm refuses --constraint=none: .*"),
        ({"slurm": {"no_such": 1}}, r"settings\['slurm'\] are none of step operator 'batch': (?s:.*)no_such"),
    ],
)
def test_what_slurm_cannot_give_is_refused_before_anything_starts(operator, project, settings, said_of_it):
    step = elsewhere.double.with_options(step_operator="batch", settings=settings)

    @pipeline
    def whole() -> None:
        elsewhere.double(1)
        for call in (step, step.submit, lambda n: step.map([n, n])):
            with pytest.raises(StepInterfaceError, match=f"step 'double': {said_of_it}"):
                call(1)

    assert [made.step_operator for made in whole().steps] == [None]
    assert operator.jobs == []
    assert queue() == []


def test_a_step_for_which_no_node_is_up_waits_for_one(operator, slurm):
    node = f"nodename={slurm.said['node']}"
    said("scontrol", "update", node, "state=drain", "reason=test")

    def come_back():
        until(lambda: operator.jobs)
        assert queue() == operator.jobs
        said("scontrol", "update", node, "state=resume")

    try:
        run = submitted(elsewhere.double, 4)(come_back)
    finally:
        said("scontrol", "update", node, "state=resume")
    assert run.steps[0].output.read() == 8


def test_a_slurm_that_is_not_there_is_told(operator, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepInterfaceError, match="step operator 'batch': sbatch is not installed here"):
        elsewhere.double.with_options(step_operator="batch")(1)


def test_what_a_step_asks_for_is_in_slurms_own_terms(operator, tmp_path):
    path, flag = str(tmp_path / "pid"), tmp_path / "flag"

    def look():
        until(lambda: lines(path))
        told = said("scontrol", "show", "job", operator.jobs[0])
        flag.touch()
        for expected in ("NumCPUs=3", "Partition=short", "TimeLimit=00:01:00", "JobName=lazytrack-stays", "Requeue=0"):
            assert expected in told
        assert re.search(r"(MinMemory\w*|mem)=300M", told)
        assert re.search(r"(TresPerNode|gres)[:=]\S*gpu(:|=)2", told)

    settings = {
        "resources": {"cpu_count": 2.5, "memory": "300MiB", "gpu_count": 2},
        "slurm": {"partition": "short", "time_limit": "1:00"},
    }
    run = submitted(elsewhere.stays, path, str(flag), settings=settings)(look)
    assert run.steps[0].output.read() == 7


# --- what becomes of jobs ---


def test_a_job_that_reaches_its_time_limit(operator, tmp_path):
    path = tmp_path / "pid"

    def bring_forward():
        until(lambda: lines(path))
        said("scontrol", "update", f"JobId={operator.jobs[0]}", "EndTime=now+3")

    told = lost(bring_forward, elsewhere.stays, str(path), settings={"slurm": {"partition": "short"}})
    [job] = operator.jobs
    limit = re.escape(f"step operator 'batch': job {job} failed: it reached its time limit, 00:0") + r"\d:\d\d\n?"
    assert re.match(limit, told), told
    until_gone(lines(path))


def test_a_job_that_somebody_cancels(operator, tmp_path):
    path = tmp_path / "pid"

    def cancel():
        until(lambda: lines(path))
        said("scancel", operator.jobs[0])

    told = lost(cancel, elsewhere.stays_with_a_child, str(path))
    assert told.splitlines()[0] == f"step operator 'batch': job {operator.jobs[0]} cancelled: Slurm says CANCELLED"
    until_gone(lines(path))


def test_a_job_that_somebody_cancels_before_it_begins(operator):
    def cancel():
        until(lambda: operator.jobs)
        said("scancel", operator.jobs[0])

    began = time.monotonic()
    told = lost(cancel, elsewhere.double, 1, settings={"slurm": {"options": ["--hold"]}})
    assert told.splitlines()[0].startswith(f"step operator 'batch': job {operator.jobs[0]} cancelled: ")
    assert time.monotonic() - began < 40  # nobody waits for what a job says that did not run


def test_a_job_that_takes_more_memory_than_it_asked_for(operator):
    told = lost(lambda: None, elsewhere.takes_memory, 900, settings={"resources": {"memory": "300MiB"}})
    # How Slurm says so depends on what it counts memory with.
    assert re.search(r"it used more memory than it had asked for|exceeded memory limit", told), told


def test_a_job_whose_node_is_lost_is_run_again_with_retry(operator, tmp_path, slurm):
    path, node = tmp_path / "pid", slurm.said["node"]
    slurmd = int(Path(slurm.said["pids"], "slurmd").read_text())

    def lose():
        until(lambda: lines(path))
        os.kill(slurmd, signal.SIGSTOP)
        said("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        until(lambda: "NODE_FAIL" in said("scontrol", "show", "job", operator.jobs[0]))
        os.kill(slurmd, signal.SIGCONT)
        said("scontrol", "update", f"nodename={node}", "state=resume")

    step = elsewhere.stays_at_first
    run = submitted(step, str(path), retry=StepRetryConfig(max_retries=1))(lose)
    made = run.steps[0]
    assert (made.status, made.output.read()) == ("completed", 7)
    [attempt] = made.attempts
    assert f"step operator 'batch': job {operator.jobs[0]} lost: Slurm says NODE_FAIL" in attempt["error"]
    until(is_idle)


def test_a_job_whose_process_is_killed_is_run_again_with_retry(operator, tmp_path):
    path = tmp_path / "pid"

    def kill():
        until(lambda: lines(path))
        os.kill(int(lines(path)[0]), signal.SIGKILL)

    run = submitted(elsewhere.stays_at_first, str(path), retry=StepRetryConfig(max_retries=1))(kill)
    [made] = run.steps
    assert (made.status, made.output.read()) == ("completed", 7)
    job = operator.jobs[0]
    assert f"step operator 'batch': job {job} failed: it was ended by signal 9" in made.attempts[0]["error"]


def test_a_controller_that_is_away_for_a_moment_is_waited_for(operator, tmp_path, slurm):
    path, flag = tmp_path / "pid", tmp_path / "flag"
    pid = Path(slurm.said["pids"], "slurmctld")

    def restart():
        until(lambda: lines(path))
        before = int(pid.read_text())
        os.kill(before, signal.SIGTERM)
        until(lambda: pid.exists() and pid.read_text().strip() not in {"", str(before)})
        flag.touch()

    assert submitted(elsewhere.stays, str(path), str(flag))(restart).steps[0].output.read() == 7
    until(is_idle)


def test_a_controller_that_does_not_answer_is_no_lost_job(operator, tmp_path, monkeypatch):
    run, asked = slurm_operator._run, itertools.count()

    def slow(command, *given):
        if command[:2] == ["scontrol", "show"] and next(asked) < 2:
            raise subprocess.TimeoutExpired(command, 60)
        return run(command, *given)

    monkeypatch.setattr(slurm_operator, "_run", slow)
    assert submitted(elsewhere.double, 4)(lambda: None).steps[0].output.read() == 8
    assert next(asked) > 2


def test_a_folder_that_the_node_does_not_see_is_told(operator, tmp_path):
    def take_away():
        until(lambda: operator.jobs)
        shutil.rmtree(tmp_path / "shared")
        said("scontrol", "release", operator.jobs[0])

    told = lost(take_away, elsewhere.double, 4, settings={"slurm": {"options": ["--hold"]}})
    assert told == (
        f"step operator 'batch': job {operator.jobs[0]} failed: the node cannot enter its folder, or write its output: "
        "is the folder shared?"
    )


def test_a_job_that_waits_for_long_is_told_of(operator, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "_PATIENCE_SECONDS", 0.2)

    def release():
        until(lambda: any("waits to be run" in record.getMessage() for record in caplog.records))
        said("scontrol", "release", operator.jobs[0])

    with caplog.at_level(logging.WARNING):
        run = submitted(elsewhere.double, 4, settings={"slurm": {"options": ["--hold"]}})(release)
    assert run.steps[0].output.read() == 8
    told = [record.getMessage() for record in caplog.records if "waits to be run" in record.getMessage()]
    assert told == ["step 'double' waits to be run by 'batch': JobHeldUser"]


# --- arrays ---


def counting(tmp_path, monkeypatch):
    """Have each call of sbatch leave a line."""
    real, folder = shutil.which("sbatch"), tmp_path / "bin"
    folder.mkdir()
    program = folder / "sbatch"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda: [line for line in lines(tmp_path / "calls") if "--test-only" not in line]


def test_two_hundred_mapped_steps_are_one_array_and_none_is_lost(operator, tmp_path, monkeypatch, project):
    calls = counting(tmp_path, monkeypatch)
    (tmp_path / "ran").mkdir()

    @pipeline
    def whole() -> None:
        ran = elsewhere.touch.with_options(step_operator="batch").map(
            list(range(200)), folder=unmapped(str(tmp_path / "ran"))
        )
        assert ran.load() == list(range(200))

    run = whole()
    [call] = calls()
    assert "--array=0-199" in call
    assert len({job.partition("_")[0] for job in operator.jobs}) == 1
    assert len(set(operator.jobs)) == 200
    assert {made.status for made in run.steps} == {"completed"}
    assert sorted(int(file.name) for file in (tmp_path / "ran").iterdir()) == list(range(200))
    assert all(lines(file) == ["ran"] for file in (tmp_path / "ran").iterdir())
    project.refresh()
    assert not project.problems


def test_the_calls_of_a_map_that_are_run_are_one_array_where_others_are_cached(operator, tmp_path, monkeypatch):
    calls = counting(tmp_path, monkeypatch)

    def of(numbers):
        @pipeline(name="of")
        def whole() -> None:
            assert elsewhere.double.with_options(step_operator="batch").map(numbers).load() == [2 * n for n in numbers]

        return [str(made.status) for made in whole().steps]

    assert of([1, 2]) == ["completed"] * 2
    assert of([0, 1, 2, 3]) == ["completed", "cached", "cached", "completed"]
    assert [re.findall(r"--array=\S+", call) for call in calls()] == [["--array=0-1"]] * 2


def test_a_large_map_is_several_arrays(slurm, tmp_path, monkeypatch):
    calls = counting(tmp_path, monkeypatch)
    config = SlurmStepOperatorConfig(folder=str(tmp_path / "shared"), largest_array=3)
    register_step_operator(SlurmStepOperator("small", config=config))

    @pipeline
    def whole() -> None:
        doubled = elsewhere.double.with_options(step_operator="small").map(list(range(7)))
        assert doubled.load() == [2 * n for n in range(7)]

    whole()
    assert [re.findall(r"--array=\S+", call) for call in calls()] == [["--array=0-2"], ["--array=0-2"], []]


# --- secrets ---

SECRET = "not-to-be-stored-anywhere"


def test_secrets_are_in_a_private_file_until_the_job_starts_and_nowhere_else(operator, tmp_path, monkeypatch, slurm):
    monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", SECRET)
    path, flag = tmp_path / "pid", tmp_path / "flag"
    served = Path(slurm.said["conf"]).parent

    def look():
        until(lambda: operator.jobs)
        [script] = (tmp_path / "shared").glob("*/*.sh")
        assert script.stat().st_mode & 0o777 == 0o600
        assert script.parent.stat().st_mode & 0o777 == 0o700
        assert SECRET in script.read_text()
        assert_nowhere("while it waits", besides=script)
        said("scontrol", "release", operator.jobs[0])
        until(lambda: lines(path))
        assert not script.exists()
        assert_nowhere("while it runs")
        assert elsewhere.processes_with(SECRET)  # in the environment of the step
        for pid in elsewhere.processes_with(SECRET):
            assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        flag.touch()

    def assert_nowhere(when, besides=None):
        for folder in (tmp_path, served):
            for file in folder.rglob("*"):
                if file.is_file() and file != besides:
                    assert SECRET.encode() not in file.read_bytes(), (when, file)
        for shown in (("scontrol", "show", "job", "-dd"), ("scontrol", "write", "batch_script", operator.jobs[0], "-")):
            assert SECRET not in said(*shown)

    run = submitted(
        elsewhere.stays,
        str(path),
        str(flag),
        secrets=["LAZYTRACK_TESTED_SECRET"],
        settings={"slurm": {"options": ["--hold"]}},
    )(look)
    assert run.steps[0].output.read() == 7
    assert_nowhere("afterwards")


def test_a_folder_whose_files_others_can_read_is_refused(operator, monkeypatch):
    everyone = types.SimpleNamespace(st_mode=0o100644)
    monkeypatch.setattr(slurm_operator, "os", types.SimpleNamespace(**{**vars(os), "fstat": lambda _: everyone}))
    with pytest.raises(StepInterfaceError, match="can be read by others, and secrets would be in them: name another"):
        elsewhere.double.with_options(step_operator="batch")(1)
    assert queue() == []


def test_a_folder_that_cannot_be_used_is_told(operator, tmp_path):
    (tmp_path / "file").touch()
    settings = {"slurm": {"folder": str(tmp_path / "file")}}
    with pytest.raises(StepInterfaceError, match=r"step operator 'batch': the folder .*file cannot be used"):
        elsewhere.double.with_options(step_operator="batch", settings=settings)(1)

    @pipeline
    def whole() -> None:
        elsewhere.double.with_options(step_operator="batch", settings=settings).map([1, 2])

    with pytest.raises(PipelineRunError, match="StepInterfaceError: step operator 'batch': the folder "):
        whole()


def test_what_a_job_prints_is_shown_and_its_files_are_deleted(operator, capfd, tmp_path):
    assert sys.stdout is not None
    elsewhere.sees_and_prints.with_options(step_operator="batch")("größe")
    assert capfd.readouterr().out == "größe\n"
    elsewhere.sees_and_prints.with_options(step_operator="batch", settings={"slurm": {"show_output": False}})("quiet")
    assert capfd.readouterr().out == ""
    assert list((tmp_path / "shared").iterdir()) == []
