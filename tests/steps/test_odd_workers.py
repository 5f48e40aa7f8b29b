"""Steps in other processes that do what steps rarely do, and executors that are not what they seem."""

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lazytrack import Project, StepRetryConfig, pipeline, step
from lazytrack.errors import PipelineRunError, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.steps import executors
from lazytrack.steps.envelope import Sealed, unpack


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "shop") as project:
        yield project


def script(tmp_path, text, *, cwd=None, folder=None):
    """Run a script, and return what it says."""
    program = (folder or tmp_path) / "script.py"
    program.write_text(f"from lazytrack import Project, StepRetryConfig, pipeline, step\n{textwrap.dedent(text)}")
    done = subprocess.run(
        [sys.executable, program], cwd=cwd or tmp_path, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_steps_of_a_script_call_each_other_and_its_classes_come_and_go(tmp_path):
    said = script(
        tmp_path,
        """
        import dataclasses

        @dataclasses.dataclass
        class Model:
            weights: list

        def helper(n):
            return double(n)

        @step
        def double(n: int) -> int:
            return 2 * n

        @step
        def make(n: int) -> Model:
            return Model([helper(n), double(double(n))])

        @step
        def use(model: object) -> int:
            return sum(model.weights)

        @pipeline(executor="processes:2")
        def whole():
            made = make.submit(3)
            assert made.load() == Model([6, 12])
            print(use.submit(made).load())

        with Project("told"):
            whole()
        """,
    )
    assert said == "18\n"


def test_nothing_in_the_working_folder_is_taken_for_a_module_of_pythons(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "queue.py").write_text("raise ImportError('not me')")
    said = script(
        tmp_path,
        """
        @step
        def one() -> int:
            return 1

        @pipeline(executor="processes:1")
        def whole():
            print(one.submit().load())

        with Project("told"):
            whole()
        """,
        cwd=tmp_path / "here",
    )
    assert said == "1\n"


def test_children_that_a_step_forks_have_no_part_in_its_answer(capfd):
    @step(enable_cache=False)
    def forks(how: str) -> int:
        child = os.fork()
        if child == 0:
            if how == "prints":
                sys.stdout.write("x" * 20_000 + "\n")
                os._exit(0)
            if how == "returns":
                return -1
            time.sleep(60)
        if how == "dies":
            os._exit(3)
        os.waitpid(child, 0)
        return 1

    @pipeline(executor="processes:1")
    def forked() -> None:
        assert forks.submit("prints").load() == 1
        assert forks.submit("returns").load() == 1
        began = time.monotonic()
        with pytest.raises(WorkerLost):
            forks.submit("dies").wait()
        assert time.monotonic() - began < 40
        assert forks.submit("prints").load() == 1

    assert {made.status for made in forked().steps} == {"completed", "failed"}


def test_a_hook_that_ends_the_program_is_the_failure_of_its_step():
    def ends() -> None:
        sys.exit(3)

    @step(enable_cache=False, on_start=ends)
    def one() -> int:
        return 1

    @pipeline(executor="processes:1")
    def whole() -> None:
        one.submit()

    with pytest.raises(SystemExit):
        whole()


def test_bytes_that_are_printed_are_shown(capsys):
    @step(enable_cache=False)
    def writes() -> None:
        sys.stdout.buffer.write("größe\n".encode())
        sys.stdout.buffer.flush()

    @pipeline(executor="processes:1")
    def whole() -> None:
        writes.submit()

    whole()
    assert capsys.readouterr().out == "größe\n"


def test_an_executor_that_takes_nothing_more_is_the_failure_of_the_step():
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    @step(enable_cache=False)
    def one() -> int:
        return 1

    @pipeline(executor=pool)
    def whole() -> None:
        one.submit()

    with pytest.raises(PipelineRunError, match="cannot schedule new futures"):
        whole()


def test_dasks_own_executor_runs_each_step(dask_cluster, tmp_path):
    from distributed import Client  # noqa: PLC0415  (few tests need it)

    @step(enable_cache=False)
    def touches(n: int, folder: str) -> int:
        with open(f"{folder}/{n}", "w"):  # noqa: PTH123
            return n

    (tmp_path / "touched").mkdir()
    with Client(dask_cluster.replace("dask://", "tcp://"), set_as_default=False) as client:

        @pipeline(executor=client.get_executor())
        def whole() -> None:
            assert touches.map(list(range(8)), folder=str(tmp_path / "touched")).load() == list(range(8))

        whole()
        assert len(list((tmp_path / "touched").iterdir())) == 8


def test_a_client_that_is_asynchronous_is_refused():
    class Asynchronous:
        asynchronous = True

    with pytest.raises(TypeError, match="asynchronous"):
        from lazytrack.steps.dask import Dask  # noqa: PLC0415  (needs Dask)

        Dask(Asynchronous())


def test_the_answer_of_another_step_is_none():
    import pickle  # noqa: PLC0415  (it is made up)

    from lazytrack.steps.envelope import Answer, Outcome  # noqa: PLC0415

    with pytest.raises(WorkerLost, match="the answer of another step"):
        unpack(pickle.dumps((Answer(outcome=Outcome(), ticket="one"), None)), "two")
    assert repr(Sealed(b"secret")) == "<6 bytes>"


def test_an_interrupt_while_the_processes_are_ended_leaves_a_failed_run(monkeypatch):
    @step(enable_cache=False)
    def one() -> int:
        return 1

    close = executors.Processes.close

    def interrupted(self, *, wait=True):
        close(self, wait=wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(executors.Processes, "close", interrupted)

    @pipeline(executor="processes:1")
    def whole() -> None:
        one.submit().load()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole.with_options(run_name="interrupted")()
    assert get_run("interrupted").status == "failed"
    with pytest.raises(KeyboardInterrupt):
        whole.resume("interrupted")


def test_a_retry_that_waits_ends_when_the_run_is_stopped():
    @step(enable_cache=False, retry=StepRetryConfig(max_retries=3, delay=600))
    def fails() -> None:
        raise LookupError("again")

    @step(enable_cache=False)
    def other() -> None:
        time.sleep(0.5)
        raise OSError("first")

    @pipeline(execution_mode="fail_fast")
    def whole() -> None:
        fails.submit()
        other.submit()

    began = time.monotonic()
    with pytest.raises(OSError, match="first"):
        whole()
    assert time.monotonic() - began < 300


def test_a_program_that_asks_is_answered_on_a_plain_terminal(tmp_path):
    import pty  # noqa: PLC0415  (there is none on Windows)

    program = tmp_path / "asks.py"
    program.write_text(
        textwrap.dedent(
            f"""
            import time
            from lazytrack import Project, pipeline, step

            @step
            def one() -> int:
                time.sleep(1.3)
                return 1

            @pipeline
            def whole():
                one()
                print("you said", input("what is it? "))

            with Project({str(tmp_path / "asked")!r}):
                whole()
            """
        )
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, program], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        answered = False
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
            if b"what is it? " in shown and not answered:
                answered = True
                os.write(ours, b"this\n")
    os.close(ours)
    assert process.returncode == 0
    assert b"you said this" in shown
