"""What goes wrong in a run reaches who waits, and is recorded as what it was."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lazytrack import Project, StepRetryConfig, current_experiment, log_metadata, pipeline, step
from lazytrack.errors import PipelineRunError, StepInterfaceError
from lazytrack.post_execution import get_pipeline, get_run
from lazytrack.steps import environment


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "shop") as project:
        yield project


def statuses(run):
    return {made.name: str(made.status) for made in run.steps}


@step(enable_cache=False)
def good(n: int = 1) -> int:
    return n


@step(enable_cache=False)
def bad(n: int = 1) -> int:
    raise LookupError(f"bad {n}")


@step(enable_cache=False)
def both(a: int, b: int) -> int:
    return a + b


def test_a_failure_that_was_caught_does_not_stop_a_fast_run():
    tries = []

    @step(enable_cache=False, retry=StepRetryConfig(max_retries=1))
    def flaky() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OSError
        return 5

    @pipeline(execution_mode="fail_fast")
    def whole():
        with pytest.raises(LookupError):
            bad()
        assert good(5).load() == 5
        assert flaky().load() == 5
        with pytest.raises(LookupError):
            bad.submit().load()
        assert good.submit(6).load() == 6

    run = whole()
    assert run.status == "completed"
    assert statuses(run) == {
        "bad": "failed",
        "good": "completed",
        "flaky": "completed",
        "bad_2": "failed",
        "good_2": "completed",
    }


@pytest.mark.parametrize("mode", ["stop_on_failure", "continue_on_failure"])
def test_who_is_told_of_one_cause_is_told_of_all_of_them(mode):
    @pipeline(execution_mode=mode)
    def whole():
        first, second = bad.submit(1), bad.submit(2)
        for future in (first, second):
            future._invocation.settle()
        joined = both.submit(first, second)
        with pytest.raises(LookupError, match="bad 1"):
            joined.load()
        good()

    if mode == "stop_on_failure":
        with pytest.raises(PipelineRunError):  # nothing more is started
            whole()
    else:
        assert whole().status == "completed"


def test_an_exception_that_cannot_tell_of_itself_ends_the_run_all_the_same():
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    @step
    def mute() -> None:
        raise MuteError

    @pipeline
    def whole():
        mute()

    with pytest.raises(PipelineRunError, match="failed in 'mute': MuteError") as caught:
        whole.with_options(run_name="mute")()
    assert isinstance(caught.value.__cause__, MuteError)
    assert get_run("mute").status == "failed"


def test_a_run_that_is_deleted_under_its_steps_hangs_nobody(project):
    @step
    def deletes() -> int:
        project.delete(current_experiment().slug)
        return 1

    @pipeline
    def whole():
        good.submit(deletes.submit())

    with pytest.raises(Exception, match="deleted"):
        whole()


def test_the_context_of_an_error_of_the_body_is_kept():
    @pipeline
    def whole():
        try:
            bad()
        except LookupError:
            raise ValueError("of the body")  # noqa: B904  (the context is what this is about)

    with pytest.raises(ValueError, match="of the body") as caught:
        whole()
    assert isinstance(caught.value.__context__, LookupError)
    assert not caught.value.__suppress_context__


def test_an_interrupt_between_two_attempts_ends_the_step(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    @pipeline
    def whole():
        bad.with_options(retry=StepRetryConfig(max_retries=3, delay=60))()

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        whole.with_options(run_name="interrupted")()
    run = get_run("interrupted")
    assert (statuses(run), run.status) == ({"bad": "failed"}, "failed")


def test_an_attempt_that_failed_is_logged(caplog):
    @pipeline
    def whole():
        bad.with_options(retry=StepRetryConfig(max_retries=1))()

    with pytest.raises(PipelineRunError):
        whole()
    assert [r.getMessage() for r in caplog.records] == [
        "step 'bad' failed and is tried again in 0 s: LookupError: bad 1"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_while_the_run_waits_stops_what_has_not_begun(interrupts, project, tmp_path):
    code = f"""
        import os, time
        from lazytrack import Project, pipeline, step

        @step
        def slow(n: int) -> int:
            os.write(1, b"begins\\n")
            time.sleep({2 if interrupts == 1 else 5})
            return n

        @pipeline
        def whole():
            slow.map(list(range(160)))

        with Project({str(tmp_path / "shop")!r}):
            try:
                whole()
            except KeyboardInterrupt:
                print("interrupted", flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(16):
            assert process.stdout.readline() == "begins\n"
        for _ in range(interrupts):
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        process.wait(60)
    project.refresh()
    [run] = get_pipeline("whole").runs
    found = list(statuses(run).values())
    assert run.status == "failed"
    assert len(found) == 160
    # Threads end what they have begun, also where nobody waits for them any more.
    assert {status: found.count(status) for status in found} == {"completed": 16, "stopped": 144}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_a_step_forks_ends_as_it_wants_to():
    @step
    def forks() -> int:
        child = os.fork()
        if child == 0:
            sys.exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @pipeline
    def whole():
        forks()

    try:
        run = whole()
    except SystemExit as error:  # the child: pytest must not go on in it
        os._exit(error.code)
    assert run.get_step("forks").output.read() == 7


# --- environment and secrets ---


def test_an_environment_does_not_reach_processes_of_other_steps(monkeypatch):
    monkeypatch.delenv("LAZY_A", raising=False)
    inside, go_on = threading.Event(), threading.Event()

    @step(enable_cache=False, environment={"LAZY_A": "mine"})
    def alone() -> str | None:
        inside.set()
        go_on.wait(60)
        return os.environ.get("LAZY_A")

    @step(enable_cache=False, environment={"LAZY_B": "other"})
    def other() -> list[str | None]:
        return [os.environ.get("LAZY_A"), os.environ.get("LAZY_B")]

    @step(enable_cache=False, runtime="isolated")
    def isolated() -> str | None:
        return os.environ.get("LAZY_A")

    @pipeline
    def runs_alone():
        assert alone().load() == "mine"

    @pipeline
    def runs_others():
        assert other().load() == [None, "other"]
        assert isolated().load() is None

    thread = threading.Thread(target=runs_alone)
    thread.start()
    assert inside.wait(60)
    assert os.environ.get("LAZY_A") == "mine"
    runs_others()
    go_on.set()
    thread.join(60)
    assert "LAZY_A" not in os.environ


def test_a_step_with_an_environment_that_was_submitted_holds_nobody_up(tmp_path):
    flag = tmp_path / "flag"

    @step(environment={"LAZY_A": "1"})
    def waits(flag: str) -> str | None:
        for _ in range(600):
            if os.path.exists(flag):  # noqa: PTH110
                return os.environ.get("LAZY_A")
            time.sleep(0.1)
        return None

    @step
    def sets(flag: str) -> int:
        return open(flag, "w").close() or 1  # noqa: PTH123

    @pipeline
    def whole():
        waiting = waits.submit(str(flag))
        sets.submit(str(flag))
        assert waiting.load() == "1"

    whole()


def test_items_of_a_list_go_to_a_process_of_their_own_too():
    @step
    def rows() -> list[list[int]]:
        return [[1], [2]]

    @step(environment={"LAZY_A": "1"})
    def looks(row: list[int]) -> str:
        return f"{row[0]} {os.environ['LAZY_A']}"

    @pipeline
    def whole():
        assert looks.map(rows()).load() == ["1 1", "2 1"]

    whole()


def test_in_memory_a_step_with_an_environment_waits_for_its_turn():
    @step(environment={"LAZY_A": "1"})
    def sees() -> str | None:
        return os.environ.get("LAZY_A")

    @pipeline
    def whole():
        futures = [sees.submit(), good.submit(), sees.with_options(environment={"LAZY_A": "2"}).submit()]
        assert [future.load() for future in futures] == ["1", 1, "2"]
        with pytest.raises(StepInterfaceError, match=r"where memory://environment/shop/project\.json is not: use"):
            good.with_options(runtime="isolated")()

    with Project("memory://environment/shop"):
        whole()
    assert "LAZY_A" not in os.environ


def test_a_secret_stays_masked_wherever_it_is_said(monkeypatch, tmp_path, project):
    secret = "2retnuh-2retnuh"[::-1] + "-in-many-places"
    monkeypatch.setenv("LAZY_KEY", secret)

    @step(secrets=["LAZY_KEY"])
    def leaks() -> int:
        value = os.environ["LAZY_KEY"]
        log_metadata({"key": value, "of": [value]})
        current_experiment().log_parameter("key", {"deep": f"key {value}"})
        raise KeyError(value)

    @step
    def notes(text: str) -> int:
        return len(text)

    @pipeline
    def whole():
        try:
            leaks()
        except KeyError as error:
            notes(f"failed: {error}")
        leaks()

    with pytest.raises(PipelineRunError), project.log("outer"):
        whole()
    project.save()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert stored.count(b"***") >= 5
    assert secret in environment._told


def test_a_secret_is_masked_in_what_a_process_of_its_own_prints_and_raises(monkeypatch, tmp_path):
    secret = "2retnuh-2retnuh"[::-1] + "-elsewhere"
    monkeypatch.setenv("LAZY_KEY", secret)

    @step(secrets=["LAZY_KEY"], runtime="isolated")
    def leaks() -> int:
        sys.stderr.write(f"key {os.environ['LAZY_KEY']}\n")
        raise KeyError(os.environ["LAZY_KEY"])

    with pytest.raises(KeyError):
        leaks()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert b"key ***" in stored


def test_an_environment_that_looks_secret_is_masked_in_the_record(project):
    secret = "2retnuh"[::-1] * 2

    @step(environment={"DB_PASSWORD": secret, "THREADS": "2"})
    def uses() -> int:
        return len(os.environ["DB_PASSWORD"])

    assert uses() == 14
    [experiment] = project.experiments
    assert experiment.steps[0].config["environment"] == {"DB_PASSWORD": "***", "THREADS": "2"}
