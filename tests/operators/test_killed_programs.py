"""Programs that are interrupted or killed while operators run their steps, on every engine."""

import os
import pickle
import signal
import subprocess
import sys

import elsewhere
import pytest
from elsewhere import is_gone, lines, until, until_gone

from lazytrack import Project
from lazytrack.post_execution import get_run
from lazytrack.step_operators.dask import DaskStepOperator, DaskStepOperatorConfig
from lazytrack.step_operators.local import SubprocessStepOperator, SubprocessStepOperatorConfig
from lazytrack.step_operators.slurm import SlurmStepOperator, SlurmStepOperatorConfig
from lazytrack.step_operators.ssh import SSHStepOperator, SSHStepOperatorConfig

pytestmark = pytest.mark.slow

PROGRAM = """
import os, pickle, sys
sys.path.append({here!r})
import elsewhere
from lazytrack import Project, pipeline, unmapped
from lazytrack.step_operators import register_step_operator

kind, config = pickle.loads(bytes.fromhex(sys.stdin.readline()))
register_step_operator(kind("engine", config=config))
stays = elsewhere.stays.with_options(step_operator="engine")

@pipeline
def whole(folder: str, flag: str, count: int):
    paths = [os.path.join(folder, str(n)) for n in range(count)]
    if count == 1:
        stays(paths[0], flag)
    else:
        stays.map(paths, flag=unmapped(flag)).wait()

if __name__ == "__main__":
    runs, what, *arguments = sys.argv[1:]
    with Project(runs):
        if what == "run":
            whole.with_options(run_name="long")(*arguments[:2], int(arguments[2]))
        else:
            print(whole.resume("long", force=True).status)
"""


@pytest.fixture(params=["subprocess", "dask", "ssh", "slurm"])
def engine(request, tmp_path):
    def server(name):
        return request.getfixturevalue(name).said

    match request.param:
        case "subprocess":
            return SubprocessStepOperator, SubprocessStepOperatorConfig(at_once=2)
        case "dask":
            return DaskStepOperator, DaskStepOperatorConfig(address=server("dask_server")["address"])
        case "ssh":
            said = server("ssh_server")
            options = ("-F", said["config"])
            return SSHStepOperator, SSHStepOperatorConfig(
                host=said["host"], python=sys.executable, options=options, at_once=2
            )
        case "slurm":
            server("slurm")
            return SlurmStepOperator, SlurmStepOperatorConfig(folder=str(tmp_path / "shared"))


class Program:
    """A program whose steps wait until they are told to end."""

    def __init__(self, engine, folder, count=2):
        self.folder, self.flag = folder, folder / "flag"
        self.told = pickle.dumps(engine).hex() + "\n"
        (folder / "pids").mkdir()
        (folder / "program.py").write_text(PROGRAM.format(here=os.path.dirname(__file__)))  # noqa: PTH120
        self.command = [sys.executable, str(folder / "program.py"), str(folder / "runs")]
        self.process = subprocess.Popen(
            [*self.command, "run", str(folder / "pids"), str(self.flag), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.process.stdin.write(self.told)
        self.process.stdin.flush()
        until(lambda: self.process.poll() is not None or len(self.pids()) == count)
        assert len(self.pids()) == count, self.process.stderr.read()

    def pids(self):
        return [pid for file in (self.folder / "pids").iterdir() for pid in lines(file)]

    def end(self, number):
        """Send a signal, as a terminal does: to the program, and to what it has started."""
        os.killpg(self.process.pid, number)
        _, said = self.process.communicate(timeout=elsewhere.PATIENCE)
        return said

    def resume(self):
        return subprocess.run(
            [*self.command, "resume"], check=False, capture_output=True, text=True, input=self.told, timeout=300
        )


@pytest.fixture
def begun(engine, tmp_path):
    """Return what begins a program with so many steps; one is called, more are mapped."""
    programs = []

    def begin(count):
        programs.append(Program(engine, tmp_path, count))
        return programs[-1]

    yield begin
    for program in programs:
        program.process.kill()
        program.process.communicate()
        program.flag.touch()


def queue():
    return subprocess.run(["squeue", "--noheader"], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupt_ends_the_steps_and_leaves_no_process(begun, request, count):
    program = begun(count)
    said = program.end(signal.SIGINT)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert program.process.returncode in {-signal.SIGINT, 130, 1}
    until_gone(program.pids())
    assert "Traceback" in said
    if "slurm" in request.node.name:
        until(lambda: not queue())
        assert not list((program.folder / "shared").glob("*/*"))
    with Project(program.folder / "runs", mode="r"):
        run = get_run("long")
        assert run.status == "failed"
        assert {str(made.status) for made in run.steps} <= {"stopped", "failed"}


def test_a_killed_program_takes_its_steps_along_unless_they_are_jobs_which_resume_takes(begun, request):
    program = begun(2)
    program.end(signal.SIGKILL)
    if "slurm" not in request.node.name:
        until_gone(program.pids())
        return
    assert len(queue().splitlines()) == 2
    assert not any(is_gone(pid) for pid in program.pids())
    program.flag.touch()
    until(lambda: not queue())
    done = program.resume()
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["completed"], 0), done.stderr
    assert len(program.pids()) == 2  # none of them was run again
    with Project(program.folder / "runs", mode="r"):
        run = get_run("long")
        assert [(str(made.status), made.output.read()) for made in run.steps] == [("completed", 7)] * 2


def test_jobs_that_still_run_when_a_run_goes_on_are_not_waited_for_and_change_nothing(tmp_path, slurm):
    engine = SlurmStepOperator, SlurmStepOperatorConfig(folder=str(tmp_path / "shared"))
    program = Program(engine, tmp_path)
    program.end(signal.SIGKILL)
    before = program.pids()
    with subprocess.Popen(
        [*program.command, "resume"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as again:
        again.stdin.write(program.told)
        again.stdin.flush()
        until(lambda: len(program.pids()) == 4)
        program.flag.touch()
        said, _ = again.communicate(timeout=elsewhere.PATIENCE)
    assert said.splitlines()[-1] == "completed"
    until_gone(before)
    until(lambda: not queue())
    with Project(tmp_path / "runs", mode="r"):
        run = get_run("long")
        assert [(str(made.status), made.output.read()) for made in run.steps] == [("completed", 7)] * 2
        assert all(len(made.attempts) == 1 for made in run.steps)
