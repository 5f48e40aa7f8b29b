"""What lazytrack relies on in a step operator, as tests: for those who launch steps on an engine of their own."""

import dataclasses
import enum
import hashlib
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

from lazytrack import (
    ExternalArtifact,
    Project,
    StepRetryConfig,
    current_experiment,
    get_step_context,
    log_metadata,
    naming,
    pipeline,
    step,
    unmapped,
)
from lazytrack.errors import PipelineRunError, StepFailed, StepInterfaceError, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.step_operators import BaseStepOperator, JobStepOperator, StepRunInfo, register_step_operator

_PATIENCE_SECONDS = 120
_LINES = "LAZYTRACK_TESTED_LINES"
"""The variable with the path of the file that steps and hooks write lines to."""


# --- steps: they stand here, where workers can import them ---


class KnownError(Exception):
    """What a step raises, of a class that both sides know."""


class Colour(enum.Enum):
    """An argument of a step."""

    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Settings:
    """An argument of a step."""

    rate: float
    layers: list[int]
    best: Colour = Colour.BLUE


def write_line(path: str | Path, line: str) -> int:
    """Add a line to a file, and return how many there are."""
    with Path(path).open("a+", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.seek(0)
        return len(file.readlines())


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file; none where it is not there."""
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def wait_until(holds: Callable[[], object]) -> None:
    """Wait for what another process does."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


@step
def where() -> dict[str, Any]:
    """Return what runs this, and where."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "python": sys.executable,
        "command": sys.orig_argv,
    }


@step
def double(n: int) -> int:
    """Return twice as much."""
    return 2 * n


@step
def sees(names: list[str], does: str = "") -> dict[str, str | None]:
    """Return digests of variables, or have them come out in other ways."""
    found = {name: os.environ.get(name) for name in names}
    if does == "raises":
        raise KnownError(found[names[0]], {"all": [found]})
    if does == "prints":
        sys.stdout.write(" ".join(str(value) for value in found.values()) + "\n")
    return {name: None if value is None else digest_of(value) for name, value in found.items()}


def digest_of(text: str) -> str:
    """Return what tells texts apart, and not what they are."""
    return hashlib.sha256(text.encode()).hexdigest()


@step
def describe(  # noqa: PLR0913, PLR0917  (an argument for each kind)
    n: int,
    rate: float,
    text: str,
    when: date,
    pause: timedelta,
    colour: Colour,
    folder: Path,
    pair: tuple[int, str],
    tags: set[str],
    settings: Settings,
    raw: dict[str, Any],
    nothing: int | None = None,
    usual: str = "default",
) -> list[str]:
    """Return what arguments look like."""
    given = (n, rate, text, when, pause, colour, folder, pair, sorted(tags), settings, raw, nothing, usual)
    return [f"{type(value).__name__} {value!r}" for value in given]


@step
def make() -> tuple[Annotated[list[int], "numbers"], Annotated[object, "things"], Annotated[bytes, "raw"], None]:
    """Return several values, some of which JSON cannot hold."""
    return [3, 1, 2], {1j, 2j}, b"\0\xff", None


@step
def take(numbers: list[int], things: object, raw: bytes, parts: list[int], external: object) -> object:
    """Return all that it was given."""
    return numbers, things, raw, parts, external


@step
def tell(n: int) -> Annotated[int, "n"]:
    """Say, log and print something."""
    sys.stdout.write(f"step {n}\n")
    sys.stderr.write(f"error of {n}\n")
    log_metadata({"number": n, "nested": {"of": [n]}})
    context = get_step_context()
    context.add_output_metadata({"unit": "m"})
    experiment = current_experiment()
    experiment.log_metric(f"of {context.step_name}", n / 2, step=n)
    experiment.log_artifact(f"note of {context.step_name}", f"{n}", handler="text")
    return n


@step
def fail(kind: str) -> int:
    """Raise something."""

    class LocalError(Exception):
        """What only this call knows."""

    match kind:
        case "known":
            raise KnownError("no luck", 7)
        case "local":
            raise LocalError("not even here")
        case "lookup":
            raise LookupError("no such thing")
        case _:
            sys.exit(3)


@step
def maybe(n: int) -> int:
    """Fail for one."""
    if n == 1:
        raise KnownError(n)
    return n


@step
def fail_at_first(path: str, times: int) -> int:
    """Fail some times, and then no more."""
    count = write_line(path, "tried")
    if count <= times:
        raise OSError(f"try {count}")
    return count


@step
def die_at_first(path: str, times: int) -> int:
    """End the process some times without a word, and then no more."""
    count = write_line(path, "tried")
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


@step
def leave_a_line(line: str, path: str) -> str:
    """Write a line."""
    write_line(path, line)
    return line


@step
def wait_for(flag: str, path: str) -> str:
    """Write a line, and wait for a file."""
    write_line(path, "waits")
    wait_until(Path(flag).exists)
    return "waited"


@step
def beat(path: str) -> int:
    """Write lines for as long as somebody may want it."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        write_line(path, "beat")
        time.sleep(0.05)
    return 1


@step
def fail_when_there_is(path: str) -> int:
    """Fail once there is a file."""
    wait_until(Path(path).exists)
    raise KnownError("late")


def on_start() -> None:
    """Say that it was called, and where."""
    write_line(os.environ[_LINES], f"on_start {os.getpid()}")


def on_end(error: BaseException | None) -> None:
    """Say that it was called, and where."""
    write_line(os.environ[_LINES], f"on_end {type(error).__name__} {os.getpid()}")


def on_success() -> None:
    """Say that it was called, and where."""
    write_line(os.environ[_LINES], f"on_success {os.getpid()}")


def on_failure(error: BaseException) -> None:
    """Say that it was called, and where."""
    write_line(os.environ[_LINES], f"on_failure {type(error).__name__} {os.getpid()}")


_PROGRAM = """
import pickle, sys
from lazytrack import Project, pipeline
from lazytrack.step_operators import register_step_operator
from lazytrack.testing import operators

kind, name, config = pickle.loads(bytes.fromhex(sys.stdin.readline()))
register_step_operator(kind(name=name, config=config))

@pipeline
def whole(flag: str, path: str):
    line = operators.leave_a_line.with_options(step_operator=name)("first", path)
    waited = operators.wait_for.with_options(step_operator=name)(flag, path, after=line)
    operators.leave_a_line.with_options(step_operator=name)("last", path, after=waited)

if __name__ == "__main__":
    runs, what, *arguments = sys.argv[1:]
    with Project(runs):
        if what == "run":
            whole.with_options(run_name="long")(*arguments)
        else:
            print(whole.resume("long", force=True).status)
"""


class OperatorTests:
    """What is relied on in every step operator.

    Subclass it, name the class ``Test…``, and give it a fixture `operator` that returns one. Workers have to reach the
    folder of pytest's ``tmp_path``, and to have pytest installed. The operator has to be one that its class, its name
    and its config make anew in another program.
    """

    @pytest.fixture
    def operator(self) -> BaseStepOperator:
        """Return what is to launch steps."""
        raise NotImplementedError("give the suite a fixture operator")

    @pytest.fixture(autouse=True)
    def project(self, tmp_path: Path, operator: BaseStepOperator) -> Iterator[Project]:
        """Have runs recorded in a project of their own, and steps find the operator."""
        register_step_operator(operator)
        with Project(tmp_path / "runs") as project:
            yield project

    def there(self, launched: Any, operator: BaseStepOperator, **options: Any) -> Any:
        """Return a step that the operator launches."""
        return launched.with_options(step_operator=operator.name, **options)

    @pytest.fixture
    def launches(
        self, operator: BaseStepOperator, monkeypatch: pytest.MonkeyPatch
    ) -> list[tuple[StepRunInfo, list[str], dict[str, str]]]:
        """Return what the operator is given each time."""
        seen: list[tuple[StepRunInfo, list[str], dict[str, str]]] = []
        launch = operator.launch

        def seeing(info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
            seen.append((info, list(entrypoint_command), dict(environment)))
            launch(info, entrypoint_command, environment)

        monkeypatch.setattr(operator, "launch", seeing)
        return seen

    def test_a_step_runs_in_another_process(self, operator: BaseStepOperator, project: Project) -> None:
        @pipeline
        def whole() -> None:
            self.there(where, operator)()

        run = whole()
        made = run.get_step("where")
        there = made.output.read()
        assert (there["pid"], there["host"]) != (os.getpid(), socket.gethostname())
        assert (run.status, made.status, made.step_operator) == ("completed", "completed", operator.name)
        assert made.start_time is not None
        assert made.end_time is not None
        assert made.start_time <= made.end_time
        again = self.there(where, operator)()  # called by itself, it is launched, too
        assert again["pid"] not in {os.getpid(), there["pid"]}
        assert len(project.experiments) == 2

    def test_the_command_tells_where_the_step_is_and_the_operator_which_it_is(
        self, operator: BaseStepOperator, launches: list[Any], project: Project
    ) -> None:
        @pipeline(name="told")
        def whole() -> None:
            self.there(double, operator, settings={"resources": {"cpu_count": 1}})(4)

        run = whole()
        [(info, command, _)] = launches
        assert command[1:3] == ["-m", "lazytrack.entrypoint"]
        said = operator.entrypoint_config_class(command[3:]).entrypoint_args
        assert said["project"] == project.location
        assert (said["run"], said["step"]) == (info.run_id, "double")
        assert said["step_run_id"] == info.step_run_id
        assert said["source"] == "lazytrack.testing.operators:double"
        assert (info.run_name, info.pipeline, info.pipeline_step_name) == (run.name, "told", "double")
        assert info.config.resources.cpu_count == 1
        assert info.config.step_operator == operator.name
        info.force_write_logs()
        assert not info.is_cancelled()

    def test_environment_and_secrets_are_seen_there_and_nowhere_else(
        self,
        operator: BaseStepOperator,
        launches: list[Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        secret, public = "-".join(["not", "to", "be", "stored"] * 2) + " $HOME \"'\\", 'it\'s\na "line" $HOME'
        monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", secret)
        names = ["LAZYTRACK_TESTED_SECRET", "LAZYTRACK_TESTED"]
        before = dict(os.environ)
        uses = self.there(sees, operator, environment={names[1]: public}, secrets=names[:1])

        @pipeline
        def whole(does: str) -> None:
            seen = uses(names, does)
            assert seen.load() == {names[0]: digest_of(secret), names[1]: digest_of(public)}

        whole("")
        assert dict(os.environ) == before
        out, err = capfd.readouterr()
        assert secret not in out + err
        [(_, command, environment)] = launches
        assert environment[names[0]] == secret
        assert secret not in " ".join(command)
        printed = whole("prints")
        assert printed.get_step("sees").logs == f"*** {public}\n"
        with pytest.raises(PipelineRunError) as caught:
            whole("raises")
        assert isinstance(caught.value.__cause__, KnownError)
        assert caught.value.__cause__.args[0] == "***"
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or b"not-to-be-stored-not" not in file.read_bytes(), file

    def test_parameters_arrive_as_they_are_declared(self, operator: BaseStepOperator) -> None:
        values = {
            "n": 2**70,
            "rate": float("inf"),
            "text": "größe\n\t{{x}}",
            "when": date(2026, 11, 20),
            "pause": timedelta(seconds=1.5),
            "colour": Colour.RED,
            "folder": Path("a/b"),
            "pair": (1, "one"),
            "tags": {"a", "b"},
            "settings": Settings(rate=0.1, layers=[1, 2], best=Colour.RED),
            "raw": {"a": [1, 2.5, None, True, "x"], "b": {"c": {}}},
        }

        @pipeline
        def whole() -> None:
            assert self.there(describe, operator)(**values).load() == describe.call_entrypoint(**values)

        whole()

    def test_artifacts_come_and_go(self, operator: BaseStepOperator) -> None:
        @pipeline
        def whole() -> None:
            numbers, things, raw, nothing = self.there(make, operator)()
            assert (things.load(), nothing.load()) == ({1j, 2j}, None)
            doubled = self.there(double, operator).map(numbers)  # each call takes an item of the list
            parts = [doubled[2], doubled[0]]
            taken = self.there(take, operator)(numbers, things, raw, parts, ExternalArtifact(value={3j}))
            assert taken.load() == ([3, 1, 2], {1j, 2j}, b"\0\xff", [4, 6], {3j})

        run = whole()
        outputs = run.get_step("make").outputs
        assert list(outputs) == ["numbers", "things", "raw", "output_3"]
        assert [outputs[name].type for name in ("numbers", "things")] == ["json", "pickle"]
        assert outputs["things"].data_type == "builtins.set"
        assert outputs["things"].read() == {1j, 2j}

    def test_what_a_step_says_logs_and_prints_is_recorded(self, operator: BaseStepOperator) -> None:
        @pipeline
        def whole() -> None:
            current_experiment().log_parameter("from", "the body")
            self.there(tell, operator).map([1, 2, 3]).wait()
            current_experiment().log_metric("of the body", 1)

        run = whole()
        halves = {"of tell": 0.5, "of tell_2": 1.0, "of tell_3": 1.5}
        assert run.experiment.metrics == {**halves, "of the body": 1}
        for number, made in enumerate(run.steps, 1):
            assert made.logs == f"step {number}\nerror of {number}\n"
            assert made.metadata["number"].value == number
            assert made.metadata["nested"].value == {"of": [number]}
            assert made.output.metadata["unit"].value == "m"
            assert list(run.experiment.history(f"of {made.name}").step) == [number]
            assert run.experiment.load_artifact(f"note of {made.name}") == str(number)

    def test_the_record_says_where_the_step_ran(self, operator: BaseStepOperator, project: Project) -> None:
        @pipeline
        def whole() -> None:
            self.there(where, operator, environment={"LAZYTRACK_PROVENANCE": "1"})()

        there = whole().get_step("where").output.read()
        [made] = project.experiments[0].steps
        assert made.platform.host == there["host"]
        assert str(made.environment.executable) == there["python"]
        assert "lazytrack" in {name for name, _ in made.environment.packages or ()}

    def test_hooks_are_called_there_and_that_of_a_failure_at_last(
        self, operator: BaseStepOperator, tmp_path: Path
    ) -> None:
        path = tmp_path / "lines"
        hooks = {
            "on_start": "lazytrack.testing.operators.on_start",  # a path, and functions
            "on_end": on_end,
            "on_success": on_success,
            "on_failure": on_failure,
            "environment": {_LINES: str(path)},
        }

        @pipeline
        def well() -> None:
            pid = self.there(where, operator, **hooks)().load()["pid"]
            assert lines_of(path) == [f"on_start {pid}", f"on_end NoneType {pid}", f"on_success {pid}"]

        @pipeline
        def badly() -> None:
            self.there(fail, operator, retry=StepRetryConfig(max_retries=1), **hooks)("known")

        well()
        path.unlink()
        with pytest.raises(PipelineRunError):
            badly()
        said = [line.rpartition(" ")[0] for line in lines_of(path)]
        assert said == ["on_start", "on_end KnownError", "on_start", "on_end KnownError", "on_failure KnownError"]
        assert len({line.rpartition(" ")[2] for line in lines_of(path)} - {str(os.getpid())}) == 2

    def test_what_a_step_raises_arrives_with_its_traceback(self, operator: BaseStepOperator) -> None:
        @pipeline
        def whole(kind: str) -> None:
            self.there(fail, operator)(kind)

        with pytest.raises(PipelineRunError, match="failed in 'fail'") as caught:
            whole.with_options(run_name="known")("known")
        cause = caught.value.__cause__
        assert isinstance(cause, KnownError)
        assert cause.args == ("no luck", 7)
        assert "raise KnownError" in "".join(cause.__notes__)
        made = get_run("known").get_step("fail")
        assert (get_run("known").status, made.status) == ("failed", "failed")
        assert "raise KnownError" in str(made.error)
        with pytest.raises(PipelineRunError) as caught:
            whole("local")
        assert isinstance(caught.value.__cause__, StepFailed)
        assert "LocalError: not even here" in str(caught.value.__cause__)
        assert "raise LocalError" in str(caught.value.__cause__)
        with pytest.raises(LookupError, match="no such thing"):
            self.there(fail, operator)("lookup")

    def test_a_step_that_ends_its_program_ends_the_run(self, operator: BaseStepOperator) -> None:
        @pipeline
        def whole() -> None:
            self.there(fail, operator, retry=StepRetryConfig(max_retries=1))("exit")

        with pytest.raises(SystemExit) as caught:
            whole.with_options(run_name="ended")()
        assert caught.value.code == 3
        made = get_run("ended").get_step("fail")
        assert (made.status, made.attempts) == ("failed", [])

    def test_a_failing_step_is_tried_again(self, operator: BaseStepOperator, tmp_path: Path) -> None:
        @pipeline
        def whole() -> None:
            flaky = self.there(fail_at_first, operator, retry=StepRetryConfig(max_retries=2))
            assert flaky(str(tmp_path / "tries"), 2).load() == 3

        made = whole().get_step("fail_at_first")
        assert made.status == "completed"
        assert [each["status"] for each in made.attempts] == ["retried", "retried"]
        assert ["OSError: try" in each["error"] for each in made.attempts] == [True, True]
        assert "OSError: try 2" in made.attempts[1]["error"]

    def test_a_worker_that_dies_is_noticed_and_with_retry_made_up_for(
        self, operator: BaseStepOperator, tmp_path: Path
    ) -> None:
        @pipeline(execution_mode="continue_on_failure")
        def whole() -> None:
            lost = self.there(die_at_first, operator).submit(str(tmp_path / "lost"), 1)
            again = self.there(die_at_first, operator, retry=StepRetryConfig(max_retries=1))
            made_up = again.submit(str(tmp_path / "again"), 1)
            with pytest.raises(WorkerLost, match=operator.name):
                lost.load()
            assert made_up.load() == 2

        run = whole()
        lost, again = run.steps
        assert (lost.status, again.status) == ("failed", "completed")
        assert "WorkerLost" in str(lost.error)
        assert [each["status"] for each in again.attempts] == ["retried"]
        assert lines_of(tmp_path / "lost") == ["tried"]

    def test_code_that_cannot_be_imported_there_is_a_failure_that_says_so(
        self, operator: BaseStepOperator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = f"only_here_{naming.unique()}"
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / f"{name}.py").write_text(
            "from lazytrack import step\n@step\ndef one() -> int:\n    return 1\n", encoding="utf-8"
        )
        with monkeypatch.context() as patch:
            patch.syspath_prepend(tmp_path / "here")
            found = importlib.import_module(name)

        @pipeline
        def whole() -> None:
            self.there(found.one, operator)()

        with pytest.raises(PipelineRunError) as caught:
            whole()
        cause = caught.value.__cause__
        assert isinstance(cause, ModuleNotFoundError)
        assert str(cause) == f"No module named {name!r}"
        assert "what it is made of has to be there" in "".join(cause.__notes__)

    def test_results_are_in_the_order_of_the_inputs_and_cached_the_second_time(
        self, operator: BaseStepOperator, launches: list[Any]
    ) -> None:
        @pipeline
        def whole() -> None:
            doubled = self.there(double, operator).map(list(range(8)))
            assert doubled.load() == [2 * n for n in range(8)]

        assert {made.status for made in whole().steps} == {"completed"}
        assert len({info.group for info, _, _ in launches}) == 1
        assert {info.group_size for info, _, _ in launches} == {8}
        assert {made.status for made in whole().steps} == {"cached"}
        assert len(launches) == 8

    def test_continue_on_failure_runs_what_does_not_need_what_failed(self, operator: BaseStepOperator) -> None:
        @pipeline(execution_mode="continue_on_failure")
        def whole() -> None:
            some = self.there(maybe, operator)
            some.map(some.map([0, 1, 2]))

        with pytest.raises(PipelineRunError) as caught:
            whole.with_options(run_name="goes on")()
        assert isinstance(caught.value.__cause__, KnownError)
        statuses = [str(made.status) for made in get_run("goes on").steps]
        assert statuses == ["completed", "failed", "completed", "completed", "skipped", "completed"]

    def test_steps_here_and_there_take_from_each_other(self, operator: BaseStepOperator) -> None:
        @pipeline
        def whole() -> None:
            here = double(1)
            there = self.there(double, operator)(here)
            assert double.submit(self.there(double, operator).submit(there)).load() == 16

        run = whole()
        assert [made.step_operator for made in run.steps] == [None, operator.name, operator.name, None]

    def test_settings_that_are_not_known_are_refused_before_anything_starts(
        self, operator: BaseStepOperator, launches: list[Any]
    ) -> None:
        assert operator.flavor, "an operator has a flavor, which is what settings call it"
        wrong = self.there(double, operator, settings={operator.flavor: {"no_such_setting": 1}})

        @pipeline
        def whole() -> None:
            with pytest.raises(StepInterfaceError, match="no_such_setting"):
                wrong(1)
            with pytest.raises(StepInterfaceError, match="no_such_setting"):
                wrong.submit(1)
            with pytest.raises(StepInterfaceError, match="no_such_setting"):
                wrong.map([1, 2])
            double(1)

        assert [(made.step_operator, made.status) for made in whole().steps] == [(None, "completed")]
        assert launches == []

    def test_a_command_that_fails_is_raised(self, operator: BaseStepOperator, monkeypatch: pytest.MonkeyPatch) -> None:
        launch = operator.launch
        raised: list[BaseException] = []

        def badly(info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
            try:
                launch(info, [*entrypoint_command[:3], "--no", "sense"], environment)
            except Exception as error:
                raised.append(error)
                raise

        monkeypatch.setattr(operator, "launch", badly)

        @pipeline
        def whole() -> None:
            self.there(double, operator)(1)

        with pytest.raises(PipelineRunError) as caught:
            whole()
        assert raised == [caught.value.__cause__]

    def test_a_run_whose_program_was_killed_goes_on_with_what_workers_recorded(
        self, operator: BaseStepOperator, tmp_path: Path
    ) -> None:
        import cloudpickle  # noqa: PLC0415  (only this needs it)

        path, flag = tmp_path / "lines", tmp_path / "flag"
        (tmp_path / "program.py").write_text(_PROGRAM, encoding="utf-8")
        made_of = cloudpickle.dumps((type(operator), operator.name, operator.config)).hex() + "\n"
        command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "runs")]
        run = subprocess.Popen(  # noqa: S603
            [*command, "run", str(flag), str(path)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert run.stdin is not None
        with run.stdin:
            run.stdin.write(made_of)
        wait_until(lambda: run.poll() is not None or lines_of(path) == ["first", "waits"])
        run.kill()
        run.wait()
        assert lines_of(path) == ["first", "waits"]
        flag.touch()
        done = subprocess.run(  # noqa: S603
            [*command, "resume"], check=False, capture_output=True, text=True, input=made_of, timeout=_PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "completed"
        lines = lines_of(path)
        assert (lines.count("first"), lines.count("last"), lines[-1]) == (1, 1, "last")
        with Project(tmp_path / "runs", mode="r"):
            resumed = get_run("long")
            assert {made.status for made in resumed.steps} == {"completed"}
            assert [made.output.read() for made in resumed.steps] == ["first", "waited", "last"]


class JobOperatorTests(OperatorTests):
    """What is relied on besides where the operator is a `JobStepOperator`."""

    def test_a_step_that_nobody_waits_for_any_more_ends(self, operator: BaseStepOperator, tmp_path: Path) -> None:
        assert isinstance(operator, JobStepOperator)
        path = tmp_path / "beats"

        @pipeline(execution_mode="fail_fast")
        def whole() -> None:
            self.there(beat, operator).submit(str(path))
            self.there(fail_when_there_is, operator).submit(str(path))

        with pytest.raises(KnownError, match="late"):
            whole.with_options(run_name="too late")()
        seen = -1

        def is_over() -> bool:
            nonlocal seen
            before, seen = seen, len(lines_of(path))
            time.sleep(1)
            return before == seen

        wait_until(is_over)
        statuses = {made.name: str(made.status) for made in get_run("too late").steps}
        assert statuses == {"beat": "stopped", "fail_when_there_is": "failed"}

    def test_what_a_failing_command_prints_is_told(
        self, operator: BaseStepOperator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        launch = operator.launch

        def badly(info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
            launch(info, [*entrypoint_command[:3], "--no", "sense"], environment)

        monkeypatch.setattr(operator, "launch", badly)
        with pytest.raises(WorkerLost, match="exit code 2") as caught:
            self.there(double, operator)(1)
        assert "lazytrack.entrypoint: ValueError: the command of a step lacks" in str(caught.value)
        assert caught.value.exit_code == 2

    def test_many_mapped_steps_are_launched_together_and_none_is_lost(
        self, operator: BaseStepOperator, tmp_path: Path
    ) -> None:
        @pipeline(enable_cache=False)
        def whole() -> None:
            lines = self.there(leave_a_line, operator).map(
                [f"line {n}" for n in range(8)], path=unmapped(str(tmp_path / "lines"))
            )
            assert lines.load() == [f"line {n}" for n in range(8)]

        whole()
        assert sorted(lines_of(tmp_path / "lines")) == [f"line {n}" for n in range(8)]
