"""Items 27 to 29 of the acceptance list: operators that launch steps, their command, and how they are set up."""

import os
import subprocess
import sys
from typing import Annotated

import pytest
from pydantic import SecretStr, ValidationError

from lazytrack import Project, pipeline, step
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.post_execution import get_run
from lazytrack.step_operators import (
    BaseStepOperator,
    BaseStepOperatorConfig,
    BaseStepOperatorFlavor,
    StepOperatorEntrypointConfiguration,
    StepRunInfo,
    get_step_operator,
    register_step_operator,
)
from lazytrack.steps import launching


class OutOfLuckError(Exception):
    """What a step raises."""


@step
def fit(n: int) -> tuple[Annotated[int, "pid"], Annotated[str, "seen"], Annotated[list[int], "rows"]]:
    return os.getpid(), os.environ["LAZYTRACK_TESTED"], list(range(n))


@step
def fails() -> None:
    raise OutOfLuckError("no luck", 3)


class Launcher(BaseStepOperator):
    """An operator as its author would write it for the first time."""

    def launch(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> None:
        self.seen = info, entrypoint_command
        subprocess.run(entrypoint_command, env={**os.environ, **environment}, check=True, stderr=subprocess.DEVNULL)


class Idle(BaseStepOperator):
    """An operator that does nothing."""

    def launch(self, info, entrypoint_command, environment):
        pass


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "runs") as project:
        yield project


@pytest.fixture
def launcher():
    operator = Launcher("launcher", config=BaseStepOperatorConfig())
    register_step_operator(operator)
    return operator


# --- 27 ---


def test_item_27_a_step_runs_in_another_process_sees_its_environment_and_publishes_outputs(launcher):
    @pipeline(name="far")
    def whole() -> None:
        fit.with_options(step_operator="launcher", environment={"LAZYTRACK_TESTED": "yes"})(3)

    run = whole()
    made = run.get_step("fit")
    assert (made.status, made.step_operator) == ("completed", "launcher")
    assert made.outputs["pid"].read() != os.getpid()
    assert made.outputs["seen"].read() == "yes"
    assert made.outputs["rows"].read() == [0, 1, 2]
    assert "LAZYTRACK_TESTED" not in os.environ
    info, command = launcher.seen
    assert (info.run_name, info.pipeline, info.pipeline_step_name) == (run.name, "far", "fit")
    assert command[:3] == [sys.executable, "-m", "lazytrack.entrypoint"]


@pytest.mark.parametrize("named", ["subprocess", True])
def test_item_27_processes_are_built_in_and_may_be_the_default(named, monkeypatch):
    register_step_operator(get_step_operator("subprocess"), default=True)

    @pipeline
    def whole() -> None:
        fit.with_options(step_operator=named, environment={"LAZYTRACK_TESTED": "yes"})(1)

    assert whole().get_step("fit").outputs["pid"].read() != os.getpid()


def test_item_27_an_operator_that_does_nothing_is_a_failure(monkeypatch):
    monkeypatch.setattr(launching, "_PATIENCE", 0.1)
    register_step_operator(Idle("idle", config=BaseStepOperatorConfig()))

    @pipeline
    def whole() -> None:
        fit.with_options(step_operator="idle")(1)

    with pytest.raises(PipelineRunError, match="the step has not said how it went") as caught:
        whole.with_options(run_name="idle")()
    assert isinstance(caught.value.__cause__, WorkerLost)
    assert (get_run("idle").status, get_run("idle").get_step("fit").status) == ("failed", "failed")


def test_item_27_the_exception_of_the_child_arrives_with_its_traceback(launcher):
    @pipeline
    def whole() -> None:
        fails.with_options(step_operator="launcher")()

    with pytest.raises(PipelineRunError) as caught:
        whole()
    cause = caught.value.__cause__
    assert isinstance(cause, OutOfLuckError)
    assert cause.args == ("no luck", 3)
    assert 'raise OutOfLuckError("no luck", 3)' in "".join(cause.__notes__)


def test_item_27_a_name_that_is_not_known_is_told_with_those_that_are():
    with pytest.raises(StepInterfaceError, match=r"no step operator 'no-such'; known: .*slurm, ssh, subprocess"):
        fit.with_options(step_operator="no-such")(1)


# --- 28 ---


def test_item_28_the_arguments_of_the_entrypoint_come_back(launcher, project):
    @pipeline
    def whole() -> None:
        fit.with_options(step_operator="launcher", environment={"LAZYTRACK_TESTED": "yes"})(1)

    run = whole()
    kind = launcher.entrypoint_config_class
    _, command = launcher.seen
    said = kind(command[3:]).entrypoint_args
    assert said == {
        "project": project.location,
        "run": run.experiment.slug,
        "step": "fit",
        "step_run_id": run.experiment.steps[0].unique_id,
        "source": f"{__name__}:fit",
    }
    assert kind.get_entrypoint_arguments(**said) == command[3:]


def test_item_28_options_are_a_set_and_a_missing_one_is_refused():
    kind = StepOperatorEntrypointConfiguration
    options = kind.get_entrypoint_options()
    assert isinstance(options, set)
    assert "step_run_id" in options
    values = {name: f"value of {name}" for name in options}
    arguments = kind.get_entrypoint_arguments(**values)
    assert sorted(zip(arguments[::2], arguments[1::2], strict=True)) == sorted((f"--{n}", v) for n, v in values.items())
    assert kind(arguments).entrypoint_args == values
    del values["step_run_id"]
    with pytest.raises(ValueError, match="lacks step_run_id"):
        kind.get_entrypoint_arguments(**values)


# --- 29 ---


class Config(BaseStepOperatorConfig):
    url: str = "http://here"
    token: SecretStr = SecretStr("")


def test_item_29_a_configuration_is_frozen_and_takes_nothing_that_is_not_known():
    config = Config(url="http://there")
    with pytest.raises(ValidationError):
        config.url = "http://elsewhere"
    with pytest.raises(ValidationError):
        Config(uri="http://there")


def test_item_29_a_secret_in_plain_text_is_warned_of_and_no_repr_shows_it(monkeypatch):
    with pytest.warns(UserWarning, match="token is a secret, given as it is"):
        config = Config(warn_about_plain_text_secrets=True, token="hunter2")
    assert "hunter2" not in repr(config) + str(config) + repr(config.model_dump())
    assert config.token.get_secret_value() == "hunter2"
    monkeypatch.setenv("VAULT_TOKEN", "hunter3")
    assert Config(warn_about_plain_text_secrets=True, token="{{vault.token}}").token.get_secret_value() == "hunter3"


def test_item_29_a_flavor_names_its_configuration_and_its_operator():
    class Flavor(BaseStepOperatorFlavor):
        name = "mine"
        config_class = Config
        implementation_class = Launcher

    flavor = Flavor()
    assert (flavor.name, flavor.type) == ("mine", "step_operator")
    made = flavor.implementation_class(name="m", config=flavor.config_class(), flavor=flavor.name)
    assert (made.name, made.flavor, made.config) == ("m", "mine", Config())
