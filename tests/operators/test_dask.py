"""Steps beside the workers of a real Dask cluster: workers and schedulers that die, and what it cannot give."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import elsewhere
import pytest
from elsewhere import lines, until, until_gone

from lazytrack import StepRetryConfig, pipeline, unmapped
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.step_operators import dask as operators_of_dask
from lazytrack.step_operators import jobs, register_step_operator
from lazytrack.step_operators.dask import DaskStepOperator, DaskStepOperatorConfig, Sealed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("project")]
SECRET = "not-to-be-stored-anywhere"


@pytest.fixture
def registered():
    """Return what registers an operator for the scheduler at an address."""
    operators = []

    def register(address, **settings):
        operator = DaskStepOperator("cluster", config=DaskStepOperatorConfig(address=address, **settings))
        register_step_operator(operator)
        operators.append(operator)
        return operator

    yield register
    for operator in operators:
        for client in operator._connected.values():
            client.close()


class Cluster:
    """A scheduler, and as many workers of one thread as one asks for, each a process that nobody looks after."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.scheduler, self.address = self.start(
            "scheduler", "  Scheduler at:", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
        )

    def start(self, program, says, *arguments):
        """Start a program, and return its process and what it says when it is there."""
        file = self.folder / f"{program}{len(self.processes)}.log"
        with file.open("w") as log:
            command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *arguments]
            self.processes.append(subprocess.Popen(command, stderr=log, stdout=log, cwd=self.folder))
        [line] = until(lambda: [line for line in file.read_text().splitlines(keepends=True) if says in line])
        return self.processes[-1], line.split()[-1]

    def worker(self):
        process, _ = self.start(
            *("worker", "Registered to:", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny"),
            *("--no-dashboard", "--local-directory", str(self.folder)),
        )
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    (tmp_path / "dask").mkdir()
    cluster = Cluster(tmp_path / "dask")
    yield cluster
    cluster.stop()


def during(meanwhile, step, *args, **options):
    """Have a run with one call of a step, and do something meanwhile."""

    @pipeline(enable_cache=False, execution_mode="continue_on_failure")
    def whole() -> None:
        future = step.with_options(step_operator="cluster", **options).submit(*args)
        meanwhile()
        future.wait()

    return whole()


def test_two_hundred_mapped_steps_all_finish(dask_server, registered, tmp_path, project):
    registered(dask_server.said["address"])
    (tmp_path / "ran").mkdir()

    @pipeline
    def whole() -> None:
        ran = elsewhere.touch.with_options(step_operator="cluster").map(
            list(range(200)), folder=unmapped(str(tmp_path / "ran"))
        )
        assert ran.load() == list(range(200))

    assert {made.status for made in whole().steps} == {"completed"}
    assert sorted(int(file.name) for file in (tmp_path / "ran").iterdir()) == list(range(200))
    assert all(lines(file) == ["ran"] for file in (tmp_path / "ran").iterdir())
    project.refresh()
    assert not project.problems


@pytest.mark.parametrize("others", [0, 1])
def test_a_worker_that_is_killed_loses_its_step_whether_there_are_others_or_not(cluster, registered, tmp_path, others):
    workers = [cluster.worker() for _ in range(1 + others)]
    registered(cluster.address)
    path = tmp_path / "pid"

    def kill():
        until(lambda: lines(path))
        parent = int(Path(f"/proc/{lines(path)[0]}/stat").read_text().rpartition(")")[2].split()[1])
        assert parent in {worker.pid for worker in workers}
        os.kill(parent, signal.SIGKILL)

    with pytest.raises(PipelineRunError) as caught:
        during(kill, elsewhere.stays, str(path))
    cause = caught.value.__cause__
    assert isinstance(cause, WorkerLost)
    first = str(cause).splitlines()[0]
    assert first.startswith("step operator 'cluster': job stays-")
    assert " lost: the Dask worker tcp://127.0.0.1:" in first
    assert first.endswith(" died")
    until_gone(lines(path))


def test_a_step_whose_worker_is_killed_is_run_again_by_another_one_with_retry(cluster, registered, tmp_path):
    for _ in range(2):
        cluster.worker()
    registered(cluster.address)
    path = tmp_path / "pid"

    def kill():
        until(lambda: lines(path))
        parent = int(Path(f"/proc/{lines(path)[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)

    run = during(kill, elsewhere.stays_at_first, str(path), retry=StepRetryConfig(max_retries=1))
    [made] = run.steps
    assert (made.status, made.output.read()) == ("completed", 7)
    [attempt] = made.attempts
    assert "the Dask worker tcp://127.0.0.1:" in attempt["error"]


def test_a_scheduler_that_is_killed_loses_the_step_and_its_process_ends(cluster, registered, tmp_path, monkeypatch):
    monkeypatch.setattr(operators_of_dask, "_PATIENCE_OF_CONNECTING", 2)
    cluster.worker()
    registered(cluster.address)
    path = tmp_path / "pid"

    def kill():
        until(lambda: lines(path))
        cluster.scheduler.kill()

    with pytest.raises(PipelineRunError) as caught:
        during(kill, elsewhere.stays, str(path))
    assert isinstance(caught.value.__cause__, WorkerLost)
    assert str(caught.value.__cause__).endswith(" lost: the Dask scheduler is gone")
    until_gone(lines(path))
    with pytest.raises(
        ConnectionError, match=r"step operator 'cluster': there is no Dask scheduler at tcp://127.0.0.1"
    ):
        elsewhere.double.with_options(step_operator="cluster")(1)


def test_a_cluster_without_workers_is_waited_for_and_told_of(cluster, registered, monkeypatch, caplog):
    monkeypatch.setattr(jobs, "_PATIENCE_SECONDS", 0.3)
    registered(cluster.address)

    def begin():
        until(lambda: any("waits to be run" in record.getMessage() for record in caplog.records))
        cluster.worker()

    with caplog.at_level(logging.WARNING):
        run = during(begin, elsewhere.double, 4)
    assert run.steps[0].output.read() == 8
    assert "step 'double' waits to be run by 'cluster'" in caplog.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"resources": {"gpu_count": 2}},
            r"asks for GPU=2, which no worker of the Dask cluster has: start one with dask w",
        ),
        (
            {"resources": {"cpu_count": 4}},
            r"asks for 4 processors, and no worker of the Dask cluster has more than 3 thr",
        ),
        (
            {"resources": {"memory": "900TiB"}},
            r"asks for 900TiB of memory, and no worker of the Dask cluster has more th",
        ),
        ({"dask": {"resources": {"licence": 1}}}, r"asks for licence=1, which no worker of the Dask cluster has"),
        ({"dask": {"no_such": 1}}, r": settings\['dask'\] are none of step operator 'cluster': (?s:.*)no_such"),
    ],
)
def test_what_no_worker_has_is_refused_before_anything_starts(dask_server, registered, settings, told):
    registered(dask_server.said["address"].replace("tcp://", "dask://"))
    step = elsewhere.double.with_options(step_operator="cluster", settings=settings)
    with pytest.raises(StepInterfaceError, match=rf"step 'double':? ?{told}"):
        step(1)
    fine = {"resources": {"gpu_count": 1, "cpu_count": 3, "memory": "1MB"}}
    assert elsewhere.double.with_options(step_operator="cluster", settings=fine)(1) == 2


def test_a_scheduler_that_is_not_there_is_told(registered, monkeypatch):
    monkeypatch.setattr(operators_of_dask, "_PATIENCE_OF_CONNECTING", 1)
    registered("tcp://127.0.0.1:9")
    with pytest.raises(
        ConnectionError, match=r"step operator 'cluster': there is no Dask scheduler at tcp://127.0.0.1:9"
    ):
        elsewhere.double.with_options(step_operator="cluster")(1)


def test_secrets_are_in_no_text_of_the_clusters(dask_server, registered, tmp_path, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", SECRET)
    operator = registered(dask_server.said["address"])
    path, flag = tmp_path / "pid", tmp_path / "flag"

    def all_that_is_told(dask_scheduler):
        tasks = [(str(task), repr(task.run_spec)) for task in dask_scheduler.tasks.values()]
        return repr([tasks, dask_scheduler.get_events()])

    def look():
        until(lambda: lines(path))
        [client] = operator._connected.values()
        told = client.run_on_scheduler(all_that_is_told)
        assert "stays" in told
        assert SECRET not in told
        assert SECRET not in str(client.call_stack())
        for pid in elsewhere.processes_with(SECRET):
            assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        flag.touch()

    run = during(look, elsewhere.stays, str(path), str(flag), secrets=["LAZYTRACK_TESTED_SECRET"])
    assert run.steps[0].output.read() == 7
    assert str(Sealed({"a": SECRET})) == repr(Sealed({"a": SECRET})) == "<1 variables>"
