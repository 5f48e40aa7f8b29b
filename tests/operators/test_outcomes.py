"""How a step went is what the project says: operators that do nothing, raise, or lose what they have launched."""

import os
import subprocess
import sys
import threading

import elsewhere
import pytest
from elsewhere import Plain, lines

from lazytrack import ExternalArtifact, Project, StepRetryConfig, entrypoint, pipeline
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.step_operators import (
    BaseStepOperator,
    BaseStepOperatorConfig,
    StepOperatorEntrypointConfiguration,
    register_step_operator,
)
from lazytrack.steps import launching

OF_EACH = {"enable_cache": False}


@pytest.fixture(autouse=True)
def impatient(monkeypatch, project):
    monkeypatch.setattr(launching, "_PATIENCE", 0.3)


@pytest.fixture
def plain():
    operator = Plain()
    register_step_operator(operator)
    yield operator
    for process in operator.left:
        process.kill()
        process.wait()
        process.stderr.close()


def once(step, *args, run_name="once", **options):
    """Have a run with one call of a step that is launched."""

    @pipeline(enable_cache=False)
    def whole() -> None:
        step.with_options(**{"step_operator": "plain", **options})(*args)

    return whole.with_options(run_name=run_name)()


def cause_of(step, *args, **options):
    with pytest.raises(PipelineRunError) as caught:
        once(step, *args, **options)
    return caught.value.__cause__


def test_an_operator_that_does_nothing_is_a_failure(project):
    class Idle(BaseStepOperator):
        def launch(self, info, entrypoint_command, environment):
            pass

    register_step_operator(Idle("idle", config=BaseStepOperatorConfig()))
    cause = cause_of(elsewhere.double, 1, step_operator="idle")
    assert type(cause) is WorkerLost
    assert str(cause) == (
        "step operator 'idle' returned, and the step has not said how it went: it was not run, or its process died"
    )
    run = get_run("once")
    [made] = run.steps
    assert (run.status, made.status, made.outputs) == ("failed", "failed", {})
    assert "it was not run, or its process died" in made.error
    assert made.end_time is not None
    project.refresh()
    assert "launch" not in project._journal.get(run.experiment.slug, "steps.double")


def test_what_an_operator_raises_is_raised_where_the_step_has_said_nothing():
    class Broken(BaseStepOperator):
        def launch(self, info, entrypoint_command, environment):
            raise ConnectionError("the cluster is on fire")

    register_step_operator(Broken("broken", config=BaseStepOperatorConfig()))
    cause = cause_of(elsewhere.double, 1, step_operator="broken", retry=StepRetryConfig(max_retries=1))
    assert (type(cause), str(cause)) == (ConnectionError, "the cluster is on fire")
    [made] = get_run("once").steps
    assert [each["status"] for each in made.attempts] == ["retried"]
    assert "ConnectionError: the cluster is on fire" in made.attempts[0]["error"]


def test_what_an_operator_raises_counts_for_nothing_where_the_step_has_said_that_it_went_well(plain, monkeypatch):
    launch = plain.launch

    def and_then_raises(*given):
        launch(*given)
        raise ConnectionError("lost on the way back")

    monkeypatch.setattr(plain, "launch", and_then_raises)
    assert once(elsewhere.double, 4).get_step("double").output.read() == 8


def test_an_operator_that_overrides_launch_alone_is_enough(plain):
    run = once(elsewhere.double, 4)
    assert run.get_step("double").output.read() == 8
    assert plain.ended == [(0, "")]
    assert isinstance(cause_of(elsewhere.fails, run_name="fails"), LookupError)
    assert plain.ended[1][0] == 5


def test_a_worker_that_cannot_reach_the_project_says_so(plain):
    class Nowhere(StepOperatorEntrypointConfiguration):
        @classmethod
        def get_entrypoint_arguments(cls, **kwargs):
            return super().get_entrypoint_arguments(**{**kwargs, "project": "/nowhere/at/all"})

    plain.kind = Nowhere
    cause = cause_of(elsewhere.double, 1)
    assert str(cause) == "the command ended with 3"
    [(code, said)] = plain.ended
    assert code == 3
    assert said == (
        "lazytrack.entrypoint: FileNotFoundError: there is no project at /nowhere/at/all for this machine: it has to "
        "be in a folder or on a storage that all machines share\n"
    )
    assert not os.path.exists("/nowhere")  # noqa: PTH110


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        ({"run": "no-such-run"}, 3, "no-such-run"),
        ({"step": "no_such_step"}, 3, "has no step 'no_such_step' that waits to be run"),
        ({"step_run_id": "another-0"}, 3, "has no step 'double' that waits to be run"),
    ],
)
def test_a_command_that_names_what_is_not_there_says_so(plain, wrong, code, said):
    class Wrong(StepOperatorEntrypointConfiguration):
        @classmethod
        def get_entrypoint_arguments(cls, **kwargs):
            return super().get_entrypoint_arguments(**{**kwargs, **wrong})

    plain.kind = Wrong
    assert str(cause_of(elsewhere.double, 1)) == f"the command ended with {code}"
    assert said in plain.ended[0][1]
    assert plain.ended[0][1].count("\n") == 1


def test_a_command_that_makes_no_sense_says_so(capsys):
    assert entrypoint.main(["--run", "x"]) == 2
    assert capsys.readouterr().err == (
        "lazytrack.entrypoint: ValueError: the command of a step lacks project, source, step, step_run_id; it takes "
        "project, run, source, step, step_run_id\n"
    )


def test_a_place_where_no_step_stands_is_the_failure_of_the_step(plain):
    for source, said in (
        ("elsewhere:no_such_step", "there is no step 'no_such_step' in elsewhere"),
        ("elsewhere:PATIENCE", "there is no step 'PATIENCE' in elsewhere"),
        ("/no/such/script.py:double", "No such file or directory"),
    ):

        class Wrong(StepOperatorEntrypointConfiguration):
            @classmethod
            def get_entrypoint_arguments(cls, source=source, **kwargs):
                return super().get_entrypoint_arguments(**{**kwargs, "source": cls.wrong})

            wrong = source

        plain.kind = Wrong
        cause = cause_of(elsewhere.double, 1, run_name=said)
        assert said in str(cause)
        assert type(cause) is (FileNotFoundError if ".py" in source else StepInterfaceError)
        assert "what it is made of has to be there" in "".join(cause.__notes__)
        assert "what it is made of has to be there" in get_run(said).get_step("double").error


def test_a_step_that_has_ended_is_not_run_again(plain, project):
    commands = []
    launch = plain.launch
    plain.launch = lambda info, command, environment: (commands.append(command), launch(info, command, environment))
    once(elsewhere.double, 1)
    done = subprocess.run(commands[0], check=False, capture_output=True, text=True)
    assert done.returncode == 3
    assert "has no step 'double' that waits to be run" in done.stderr
    project.refresh()
    assert get_run("once").get_step("double").status == "completed"


# --- attempts that were given up ---


def test_an_attempt_that_was_given_up_does_not_overwrite_the_next_one(plain, tmp_path, project):
    plain.background = 1
    watching = threading.Thread(
        target=lambda: (
            elsewhere.until(lambda: plain.left and plain.left[0].poll() is not None),
            (tmp_path / "first has ended").touch(),
        )
    )
    watching.start()
    run = once(
        elsewhere.overtaken,
        str(tmp_path),
        retry=StepRetryConfig(max_retries=1),
        extra={"folder": str(tmp_path)},
    )
    watching.join()
    [(said, code)] = plain.end_of_the_left()
    assert code == 4
    assert said.startswith("lazytrack.entrypoint: SupersededError: step 'overtaken' of ")
    assert said.endswith("nobody waits for this attempt any more\n")
    made = run.get_step("overtaken")
    assert (made.status, made.output.read()) == ("completed", 2)
    assert made.metadata["by"].value == "the second"
    assert [each["status"] for each in made.attempts] == ["retried"]


def test_an_attempt_that_begins_when_another_one_has_begun_ends_at_once(plain, tmp_path, monkeypatch):
    launch, given, ended = plain.launch, [], []

    def launched_late(info, command, environment):
        given.append((command, environment))
        if len(given) == 1:
            raise ConnectionError("it waits in some queue")
        command, environment = given[0]
        ended.append(subprocess.run(command, env={**os.environ, **environment}, check=False, capture_output=True))
        launch(info, *given[1])

    monkeypatch.setattr(plain, "launch", launched_late)
    made = once(elsewhere.touch, 3, str(tmp_path), retry=StepRetryConfig(max_retries=1)).get_step("touch")
    [late] = ended
    assert late.returncode == 4
    assert b"SupersededError: step 'touch' of " in late.stderr
    assert (made.status, made.output.read()) == ("completed", 3)
    assert plain.ended == [(0, "")]
    assert lines(tmp_path / "3") == ["ran"]


def test_an_attempt_that_an_engine_runs_again_by_itself_is_not_run_twice(plain, tmp_path, monkeypatch):
    launch = plain.launch

    def run_again(info, command, environment):
        first = subprocess.Popen(command, env={**os.environ, **environment})
        elsewhere.until(lambda: lines(tmp_path / "pid"))
        first.kill()
        first.wait()
        launch(info, command, environment)

    monkeypatch.setattr(plain, "launch", run_again)
    assert str(cause_of(elsewhere.stays_at_first, str(tmp_path / "pid"))) == "the command ended with 4"
    [(_, said)] = plain.ended
    assert "was begun by another process already: whether it is run again, its option retry says" in said
    assert len(lines(tmp_path / "pid")) == 1


def test_an_attempt_that_ends_after_its_run_does_not_change_the_record(plain, tmp_path, project):
    plain.background, plain.raises = 1, ConnectionError("the engine is gone")
    cause = cause_of(elsewhere.late, str(tmp_path), extra={"folder": str(tmp_path)})
    assert str(cause) == "the engine is gone"
    assert elsewhere.until(lambda: lines(tmp_path / "tries")) == ["tried"]
    (tmp_path / "run is over").touch()
    [(said, code)] = plain.end_of_the_left()
    assert code == 4, said
    project.refresh()
    made = get_run("once").get_step("late")
    assert (made.status, made.outputs) == ("failed", {})
    assert "the engine is gone" in made.error
    assert "by" not in made.metadata


# --- what cannot be launched ---


def refused(step, *args, **options):
    with pytest.raises(StepInterfaceError) as caught:
        step.with_options(**{"step_operator": "plain", **options})(*args)
    return str(caught.value)


def test_a_step_that_no_other_process_could_find_is_refused(plain, project):
    from lazytrack import step  # noqa: PLC0415

    @step
    def local() -> int:
        return 1

    what = "is to be launched by a step operator, which has to find it in a file"
    assert refused(local) == (
        f"step 'local' {what}: test_a_step_that_no_other_process_could_find_is_refused.<locals>.local is defined "
        "within a function; define it at the top of a module"
    )
    assert refused(step(lambda: 1)).endswith("define it at the top of a module")
    hidden = step(elsewhere.plain_function)
    hidden._function.__qualname__, kept = "gone", hidden._function.__qualname__
    try:
        assert refused(hidden, 1) == f"step 'plain_function' {what}: there is no gone in elsewhere"
    finally:
        hidden._function.__qualname__ = kept
    assert plain.ended == []
    assert [experiment for experiment in project.experiments if experiment.steps] == []


def test_a_step_that_was_typed_into_a_notebook_is_refused(tmp_path):
    code = (
        "from lazytrack import Project, step\n"
        "@step(step_operator='subprocess')\n"
        "def one() -> int:\n    return 1\n"
        f"with Project({str(tmp_path / 'typed')!r}):\n    one()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "one was typed into a notebook or a shell; put it into a module" in done.stderr
    done = subprocess.run([sys.executable, "-"], input=code, check=False, capture_output=True, text=True)
    assert "one was typed into a notebook or a shell; put it into a module" in done.stderr


def test_a_project_in_memory_is_refused(plain):
    with Project("memory://elsewhere/launched"):
        told = refused(elsewhere.double, 1)
    assert told.startswith("step 'double' is to be launched by step operator 'plain', where memory://")
    assert told.endswith("use a project in a folder or on a storage")


def test_storage_options_that_cannot_go_to_another_process_are_refused(plain, tmp_path):
    with Project(tmp_path / "odd", auto_mkdir=threading.Lock()):
        assert "was opened with options that no other process can be given" in refused(elsewhere.double, 1)


def test_an_argument_that_the_record_would_change_is_refused_before_anything_starts(plain, tmp_path):
    from datetime import datetime  # noqa: PLC0415

    told = refused(elsewhere.untyped, (1, 2))
    assert told.startswith(
        "step 'untyped' is to be launched by step operator 'plain', and reads its argument 'value', tuple (1, 2), from "
        "the record as list [1, 2]: annotate it as what it is, or pass it as ExternalArtifact(value=...)"
    )
    assert "2026" in refused(elsewhere.untyped, datetime(2026, 11, 20, 8, 22))  # noqa: DTZ001  (that is the subject)
    assert plain.ended == []
    fine = [1, 2.5, None, float("nan"), {"a": ["x"]}, "text"]
    assert elsewhere.untyped.with_options(step_operator="plain")(fine) == f"list {fine!r}"
    assert once(elsewhere.untyped, ExternalArtifact(value=(1, 2))).steps[0].output.read() == "tuple (1, 2)"


# --- what stands where ---


def test_steps_that_are_classes_are_made_anew_with_their_attributes(plain):
    assert elsewhere.Scaled(scale=3, step_operator="plain")(5) == 15
    assert elsewhere.Scaled(step_operator="plain").with_options(name="again")(5) == 10
    told = refused(elsewhere.Scaled(scale={1, 2}), 5)
    assert told == (
        "step 'Scaled' is to be launched by a step operator, and its attribute 'scale' is set, which JSON does not "
        "bring back: make it a parameter, or an input"
    )


def test_a_function_that_was_made_a_step_later_is_found(plain):
    assert elsewhere.wrapped_later.with_options(step_operator="plain")(1) == 2
    from lazytrack import step  # noqa: PLC0415

    assert step(elsewhere.plain_function, step_operator="plain", name="other name")(2) == 3


def test_options_of_the_call_hold_where_it_runs(plain):
    from lazytrack.artifacts import PickleArtifact  # noqa: PLC0415

    for chosen in ("pickle", PickleArtifact):
        run = once(elsewhere.double, 2, output_materializers=chosen, run_name=str(chosen))
        assert run.get_step("double").output.type == "pickle"
        assert run.get_step("double").output.read() == 4
    run = once(elsewhere.double, 2, name="other", enable_artifact_metadata=False, run_name="named")
    assert [made.name for made in run.steps] == ["other"]


# --- scripts ---

SCRIPT = """
import dataclasses, sys
from lazytrack import Project, pipeline, step

@dataclasses.dataclass
class Model:
    weights: list

@step(step_operator="subprocess", enable_cache=False)
def make(n: int) -> Model:
    return Model([n, 2 * n])

@step(step_operator="subprocess", enable_cache=False)
def use(model: Model) -> int:
    assert type(model) is Model
    return sum(model.weights)

@pipeline
def whole():
    made = make(3)
    assert made.load() == Model([3, 6])
    print(use(made).load())

"""


def run_script(tmp_path, text, *arguments):
    (tmp_path / "script.py").write_text(text)
    return subprocess.run(
        [sys.executable, *(arguments or ["script.py"])],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=elsewhere.PATIENCE,
    )


@pytest.mark.slow
def test_steps_of_a_script_are_found_and_its_classes_come_and_go(tmp_path):
    guarded = f"{SCRIPT}if __name__ == '__main__':\n    with Project('told'):\n        whole()\n"
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "names.py").write_text("PLACE = 'told'\n")
    (tmp_path / "package" / "__main__.py").write_text(f"from .names import PLACE\n{guarded}".replace("'told'", "PLACE"))
    for arguments in ((), ("-m", "script"), ("-m", "package")):
        done = run_script(tmp_path, guarded, *arguments)
        assert (done.stdout, done.returncode) == ("9\n", 0), done.stderr


def test_a_script_without_a_guard_is_told_so(tmp_path):
    done = run_script(tmp_path, f"{SCRIPT}with Project('told'):\n    whole()\n")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()
    assert any("put what runs it under if __name__ == '__main__':" in line for line in last), done.stderr
