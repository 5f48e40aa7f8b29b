"""Processes that run steps: what stops them, what is left of a run that lost some, and what goes there and back."""

import contextlib
import logging
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from distributed import LocalCluster
from processes import processes_with, until

from lazytrack import Project, StepRetryConfig, current_experiment, naming, pipeline, step
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.steps import envelope, executors
from lazytrack.steps.envelope import Sender


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "shop") as project:
        yield project


def statuses(run):
    return {made.name: str(made.status) for made in run.steps}


# --- which executor ---


@step(enable_cache=False)
def where(n: int = 0) -> int:
    return os.getpid()


@pipeline
def whole() -> None:
    where.submit()


@pytest.mark.parametrize("bad", ["proceses:2", "threads:0", "processes:", "dask:", "processes:-1", ""])
def test_a_word_that_is_none_is_told(bad):
    with pytest.raises(ValueError, match="known: inline, threads"):
        whole.with_options(executor=bad)


def test_an_object_that_is_no_executor_is_told():
    with pytest.raises(TypeError, match="must be one of inline"):
        whole.with_options(executor=3)


def test_the_environment_says_where_steps_run(monkeypatch):
    monkeypatch.setenv(executors.VARIABLE, "processes:1")
    assert whole().get_step("where").output.read() != os.getpid()
    assert whole.with_options(executor="inline")().get_step("where").output.read() == os.getpid()
    monkeypatch.setenv(executors.VARIABLE, "nowhere")
    with pytest.raises(ValueError, match="LAZYTRACK_EXECUTOR: no executor 'nowhere'"):
        whole()


def test_a_call_says_where_it_runs():
    @pipeline(executor="inline")
    def mixed() -> None:
        assert where.submit().load() == os.getpid()
        assert where.submit(executor="processes:1").load() != os.getpid()
        assert len(set(where.map([1, 2, 3], executor="processes:1").load())) == 1
        assert where.product([1], executor="threads").load() == [os.getpid()]
        with pytest.raises(ValueError, match="step 'where': executor: no executor 'here'"):
            where.submit(executor="here")

    mixed()


def test_an_argument_of_that_name_is_refused():
    with pytest.raises(StepInterfaceError, match="has an argument 'executor'"):

        @step
        def takes(executor: str) -> None:
            """Never run."""


def test_executors_of_the_user_are_left_open():
    for pool in (ThreadPoolExecutor(1), ProcessPoolExecutor(1)):
        with pool:
            whole.with_options(executor=pool)()
            assert pool.submit(os.getpid).result() > 0


def test_nobody_is_at_an_address():
    with pytest.raises(ConnectionError, match=r"there is no Dask scheduler at tcp://127\.0\.0\.1:9"):
        whole.with_options(executor="dask://127.0.0.1:9")()


def test_a_cluster_that_does_not_end_holds_nobody_up(monkeypatch, caplog):
    close, log, closed = LocalCluster.close, logging.getLogger("distributed.nanny"), []

    def hangs(self, timeout=None):
        if self not in closed:
            closed.append(self)
            assert timeout == 60
            log.warning("Worker process still alive after 4.0 seconds, killing")
            close(self)
            raise TimeoutError

    monkeypatch.setattr(LocalCluster, "close", hangs)
    level = log.level
    run = whole.with_options(executor="dask")()
    assert set(statuses(run).values()) == {"completed"}
    assert len(closed) == 1
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []
    assert log.level == level


def test_dask_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lazytrack\[dask\]'"):
        whole.with_options(executor="dask")()


def test_what_no_worker_of_a_cluster_has_is_refused_before_it_waits_for_ever(dask_cluster):
    @pipeline(executor=dask_cluster)
    def asks(count: int, memory: str) -> None:
        where.with_options(settings={"resources": {"gpu_count": count, "memory": memory}}).submit()

    assert asks(1, "1MB").get_step("where").status == "completed"
    with pytest.raises(StepInterfaceError, match="asks for GPU=2, which no worker of the Dask cluster has"):
        asks(2, "1MB")
    with pytest.raises(StepInterfaceError, match="asks for 1PB of memory"):
        asks(1, "1PB")


# --- workers that die ---


@step(enable_cache=False)
def waits(flag: str) -> int:
    Path(f"{flag}.begun").touch()
    while not Path(flag).exists():
        time.sleep(0.01)
    return 1


@step(enable_cache=False)
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_takes_only_its_own_step_with_it(tmp_path):
    flag = str(tmp_path / "flag")

    @pipeline(executor="processes:3", execution_mode="continue_on_failure")
    def both() -> None:
        slow = waits.submit(flag)
        until(Path(f"{flag}.begun").exists)
        with pytest.raises(WorkerLost, match="died with signal 9"):
            dies.submit().wait()
        Path(flag).touch()
        assert slow.load() == 1

    assert statuses(both()) == {"waits": "completed", "dies": "failed"}


@pytest.mark.slow
def test_workers_that_are_killed_at_random_cost_no_result(monkeypatch):
    """Whatever is lost is run again, and the run holds each result once."""
    pids, dice = set(), random.Random(7)
    begin = subprocess.Popen.__init__

    def begun(process, *args, **kwargs):
        begin(process, *args, **kwargs)
        pids.add(process.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", begun)

    @step(enable_cache=False, retry=StepRetryConfig(max_retries=50))
    def slowly(n: int) -> int:
        time.sleep(0.02)
        current_experiment().log_metric(f"of {n}", n)
        return n

    @pipeline(executor="processes:4")
    def killed() -> None:
        mapped = slowly.map(list(range(100)))
        kills = 0
        while mapped.running():
            time.sleep(0.15)
            if pids and kills < 25:
                kills += 1
                victim = dice.choice(sorted(pids))
                pids.discard(victim)
                os.kill(victim, signal.SIGKILL)
        assert mapped.load() == list(range(100))

    run = killed()
    assert set(statuses(run).values()) == {"completed"}
    assert run.experiment.metrics == {f"of {n}": n for n in range(100)}
    assert sum(len(made.attempts) for made in run.steps) > 0


def test_what_dask_runs_again_by_itself_is_recorded_as_attempts(dask_cluster, tmp_path):
    @step(enable_cache=False)
    def dies_once(flag: str) -> int:
        if not Path(flag).exists():
            Path(flag).touch()
            time.sleep(0.3)  # what the worker has said is on its way
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    @pipeline(executor=dask_cluster)
    def once() -> None:
        assert dies_once.submit(str(tmp_path / "flag")).load() == 1

    made = once().get_step("dies_once")
    assert made.status == "completed"
    [attempt] = made.attempts
    assert attempt["status"] == "retried"
    assert re.fullmatch(r"the Dask worker tcp://127\.0\.0\.1:\d+ died", attempt["error"])
    assert attempt["start_time"] <= attempt["end_time"]


def test_a_worker_that_does_not_see_the_project_says_so(monkeypatch, project, tmp_path):
    @pipeline(executor="processes:1")
    def elsewhere() -> None:
        where.submit()

    get_state = Sender.__init__

    def moved(self, owner):
        get_state(self, Project(tmp_path / "nowhere"))

    monkeypatch.setattr(Sender, "__init__", moved)
    with pytest.raises(PipelineRunError, match=r"does not see the project at .*nowhere/project.json"):
        elsewhere()
    assert not (tmp_path / "nowhere").exists()


def test_a_step_that_runs_on_another_machine_says_so(monkeypatch, tmp_path):
    """Here the machine that sends it pretends to be another one."""
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    monkeypatch.setattr(envelope, "_where", lambda: ("far", "python"))

    @step(enable_cache=False)
    def tells() -> str:
        os.environ["LAZY"] = "changed"
        return sys.executable

    @pipeline(executor="processes:1")
    def elsewhere() -> None:
        tells()
        tells.submit()
        tells.submit()

    with Project(tmp_path / "told") as project:
        run = elsewhere()
        project.save()
    with Project(tmp_path / "told", mode="r") as project:
        here, there, again = project[run.id].steps
        fields = project._journal.fields(run.id)
    assert fields["steps.tells"]["platform"] == fields["platform"]
    for made in (here, there, again):
        assert str(made.environment.executable) == sys.executable
        assert made.platform.host == here.platform.host
    kept = {path.stem for path in (tmp_path / "told/project/environments").iterdir()}
    assert {fields["steps.tells_2"][kind] for kind in ("platform", "environment")} <= kept
    assert fields["steps.tells_3"]["environment"] == fields["steps.tells_2"]["environment"]


def test_fail_fast_stops_what_runs(tmp_path):
    flag = str(tmp_path / "flag")

    @step(enable_cache=False)
    def fails(flag: str) -> None:
        until(Path(f"{flag}.begun").exists)
        raise LookupError("first")

    @pipeline(executor="processes:2", execution_mode="fail_fast")
    def fast() -> None:
        waits.submit(flag)  # for ever
        fails.submit(flag)
        waits.submit(flag)

    with pytest.raises(LookupError, match="first"):
        fast.with_options(run_name="fast")()
    run = get_run("fast")
    assert statuses(run) == {"waits": "stopped", "fails": "failed", "waits_2": "stopped"}
    assert run.status == "failed"


def test_a_failure_that_the_body_catches_stops_nothing_that_runs(tmp_path):
    flag = str(tmp_path / "flag")

    @step(enable_cache=False)
    def fails(flag: str) -> None:
        until(Path(f"{flag}.begun").exists)
        raise LookupError("first")

    @pipeline(executor="processes:2", execution_mode="fail_fast")
    def fast() -> None:
        slow = waits.submit(flag)
        with pytest.raises(LookupError):
            fails.submit(flag).wait()
        Path(flag).touch()
        assert slow.load() == 1

    assert statuses(fast()) == {"waits": "completed", "fails": "failed"}


# --- what goes there and back ---


def test_what_a_step_prints_is_printed_here(capsys):
    @step(enable_cache=False)
    def prints() -> None:
        sys.stdout.write("to stdout\nand on")
        sys.stderr.write("to stderr\n")
        subprocess.run(["sh", "-c", "echo from a program"], check=True)

    @pipeline(executor="processes:1")
    def printed() -> None:
        prints.submit()

    assert printed().get_step("prints").logs == "to stdout\nand onto stderr\n"
    shown = capsys.readouterr()
    assert shown.out == "to stdout\nand on"
    assert shown.err == "to stderr\n"


def test_tracebacks_of_code_that_cannot_be_imported_show_where_it_stands(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from lazytrack import Project, pipeline, step\n"
        "def helper(n):\n"
        "    return [1 / each for each in (n,)]  # in the helper\n"
        "@step\n"
        "def fails(n: int) -> list:\n"
        "    return helper(n)  # in the step\n"
        "@pipeline(executor='processes:1')\n"
        "def whole():\n"
        "    fails.submit(0)\n"
        f"with Project({str(tmp_path / 'told')!r}):\n"
        "    whole()\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
    with Project(tmp_path / "told", mode="r") as project:
        error = project.experiments[0].steps[0].error
    assert f'File "{program}", line 3, in helper\n    return [1 / each for each in (n,)]  # in the helper' in error
    assert f'File "{program}", line 6, in fails\n    return helper(n)  # in the step' in error


def test_a_step_that_reads_finds_nothing_to_read():
    @step(enable_cache=False)
    def reads() -> str:
        return sys.stdin.read()

    @pipeline(executor="processes:1")
    def read() -> None:
        assert reads.submit().load() == ""

    read()


def test_a_step_that_is_an_object_goes_as_it_is_when_it_is_called():
    from lazytrack.steps import BaseStep  # noqa: PLC0415  (it is what this test is about)

    class Scale(BaseStep):
        def __init__(self, by, **options):
            super().__init__(**options)
            self.by = by

        def entrypoint(self, n: int) -> int:
            return n * self.by

    @pipeline(executor="processes:1")
    def scaled() -> None:
        scale = Scale(2)
        assert scale.submit(3).load() == 6
        scale.by = 10
        assert scale.submit(3).load() == 30
        assert scale.map([1, 2]).load() == [10, 20]

    scaled()


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "count"), [("threads", 10_000), ("processes:2", 3_000), ("dask", 1_000)])
def test_thousands_of_small_steps(executor, count, request):
    @step(enable_cache=False)
    def plus(n: int) -> int:
        return n + 1

    @step
    def total(parts: list[int]) -> int:
        return sum(parts)

    @pipeline(executor=request.getfixturevalue("dask_cluster") if executor == "dask" else executor)
    def many() -> None:
        assert total(plus.map(list(range(count)))).load() == sum(range(1, count + 1))

    with in_memory() as folder, Project(folder):
        assert len(many().steps) == count + 1


@contextlib.contextmanager
def in_memory():
    """Return a folder that no disk has to keep, where there is one."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield folder


# --- Ctrl-C, from a terminal ---

PROGRAM = """
import os, subprocess, sys, time
from lazytrack import Project, pipeline, step

@step(enable_cache=False)
def waits(n: int, folder: str) -> int:
    subprocess.Popen(["sleep", "600"])
    open(f"{folder}/begun-{n}", "w").close()
    while True:
        time.sleep(0.05)

@step(enable_cache=False)
def quick() -> int:
    return 1

@pipeline(executor=sys.argv[3])
def whole(folder: str):
    quick.submit().load()
    waits.map([1, 2, 3], folder=folder).load()

if __name__ == "__main__":
    with Project(sys.argv[1]):
        whole.with_options(run_name="long")(sys.argv[2])
"""


def shown_by(terminal, process, seconds=60):
    """Return what a program shows on a terminal until it ends."""
    shown, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
        elif process.poll() is not None:
            break
    return shown.decode()


@pytest.mark.parametrize("executor", ["processes:2", "dask"])
def test_after_an_interrupt_from_a_terminal_nothing_is_left_running(tmp_path, executor):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ours, theirs = pty.openpty()
    mark = naming.unique()
    # A session's first process that opens a terminal is the one that this interrupts.
    opening = "import os, sys; os.open(os.ttyname(0), os.O_RDWR); os.execv(sys.executable, sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", opening, sys.executable, program, tmp_path / "runs", tmp_path, executor],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"LAZYTRACK_MARK": mark},
        start_new_session=True,
    )
    os.close(theirs)
    until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
    os.write(ours, b"\x03")
    shown = shown_by(ours, process)
    process.wait(60)
    os.close(ours)
    assert "KeyboardInterrupt" in shown
    until(lambda: processes_with(mark) == [])
    with Project(tmp_path / "runs"):
        run = get_run("long")
        assert run.status == "failed"
        assert statuses(run) == {"quick": "completed", "waits": "stopped", "waits_2": "stopped", "waits_3": "stopped"}
        assert "KeyboardInterrupt" in run.experiment.to_dict()["error"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_after_the_program_was_killed_nothing_is_left_running(tmp_path, how):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    mark = naming.unique()
    process = subprocess.Popen(
        [sys.executable, program, tmp_path / "runs", tmp_path, "processes:2"],
        env=os.environ | {"LAZYTRACK_MARK": mark},
    )
    until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
    process.send_signal(how)
    process.wait()
    until(lambda: processes_with(mark) == [])


def test_an_interrupt_in_a_step_that_runs_inline_ends_the_run():
    @step(enable_cache=False)
    def interrupted() -> int:
        raise KeyboardInterrupt

    @pipeline(executor="inline")
    def inline() -> None:
        interrupted.submit()
        raise AssertionError("it goes on")

    with pytest.raises(KeyboardInterrupt):
        inline.with_options(run_name="inline")()
    run = get_run("inline")
    assert run.status == "failed"
    assert statuses(run) == {"interrupted": "failed"}


def test_a_step_that_fails_inline_is_told_of_by_the_next_one():
    @step(enable_cache=False)
    def fails() -> int:
        raise LookupError("here")

    @pipeline(executor="inline")
    def inline() -> None:
        fails.submit()
        where.submit()

    with pytest.raises(PipelineRunError, match="failed in 'fails': LookupError: here"):
        inline()
