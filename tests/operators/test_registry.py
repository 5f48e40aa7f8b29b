"""Which operators there are, by name, and what a step's ``step_operator`` means."""

import importlib.metadata

import pytest

from lazytrack import pipeline, step, step_operators
from lazytrack.errors import StepInterfaceError
from lazytrack.step_operators import (
    BaseStepOperator,
    BaseStepOperatorConfig,
    BaseStepOperatorFlavor,
    get_step_operator,
    register_step_operator,
    registry,
)
from lazytrack.steps import launching


class Operator(BaseStepOperator):
    def launch(self, info, entrypoint_command, environment):
        raise LookupError(f"launched by {self.name}")


class NeedsMore(BaseStepOperatorConfig):
    address: str


class Flavor(BaseStepOperatorFlavor):
    name = "theirs"
    implementation_class = Operator


class NeedyFlavor(Flavor):
    name = "needy"
    config_class = NeedsMore


pytestmark = pytest.mark.usefixtures("project")
FLAVOR = Flavor()
GROUP = "lazytrack.step_operator"


@step
def one() -> int:
    return 1


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_made", {})
    monkeypatch.setattr(registry, "_default", None)
    monkeypatch.setattr(launching, "_PATIENCE", 0.1)


@pytest.fixture
def points(monkeypatch):
    """Have there be entry points, by name."""

    def have(**values):
        found = [importlib.metadata.EntryPoint(name, value, GROUP) for name, value in values.items()]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: found if group == GROUP else [])

    return have


def operator(name):
    return Operator(name, config=BaseStepOperatorConfig())


def test_a_registered_operator_is_found_by_its_name():
    mine = operator("mine")
    register_step_operator(mine)
    assert get_step_operator("mine") is mine
    newer = operator("mine")
    register_step_operator(newer)
    assert get_step_operator("mine") is newer
    for wrong in (Operator, "mine", None):
        with pytest.raises(TypeError, match="only a BaseStepOperator can be registered"):
            register_step_operator(wrong)


def test_a_name_that_nobody_registered_is_a_flavor_with_its_default_configuration(points):
    points(theirs=f"{__name__}:Flavor", made=f"{__name__}:FLAVOR")
    found = get_step_operator("theirs")
    assert (type(found), found.name, found.flavor) == (Operator, "theirs", "theirs")
    assert get_step_operator("theirs") is found
    assert get_step_operator("made").name == "made"
    mine = operator("theirs")
    register_step_operator(mine)
    assert get_step_operator("theirs") is mine


def test_processes_are_built_in():
    found = get_step_operator("subprocess")
    assert (found.name, found.flavor, found.config.python) == ("subprocess", "subprocess", None)
    assert get_step_operator("slurm").flavor == "slurm"


def test_a_flavor_that_needs_to_be_set_up_says_how(points):
    points(needy=f"{__name__}:NeedyFlavor")
    with pytest.raises(
        StepInterfaceError,
        match=r"'needy' has to be set up: register_step_operator\(Operator\(name='needy', config=NeedsMore\(\.\.\.\)\)",
    ) as caught:
        get_step_operator("needy")
    assert "address" in str(caught.value)
    with pytest.raises(StepInterfaceError, match=r"'dask' has to be set up: .*DaskStepOperatorConfig"):
        get_step_operator("dask")
    with pytest.raises(StepInterfaceError, match=r"'ssh' has to be set up: .*SSHStepOperatorConfig"):
        get_step_operator("ssh")


def test_entry_points_that_are_broken_are_named(points):
    points(gone="no_such_module_at_all:Flavor", odd=f"{__name__}:Operator", less=f"{__name__}:one")
    with pytest.raises(ImportError, match=r"'gone' of no_such_module_at_all:Flavor cannot be imported"):
        get_step_operator("gone")
    with pytest.raises(TypeError, match=rf"'less', {__name__}:one, is no flavor"):
        get_step_operator("less")
    with pytest.raises(TypeError):
        get_step_operator("odd")


def test_an_unknown_name_is_told_with_those_that_are_known(points, project):
    points(theirs=f"{__name__}:Flavor")
    register_step_operator(operator("mine"))
    known = "no step operator 'mien'; known: dask, mine, slurm, ssh, subprocess, theirs"

    @pipeline
    def whole() -> None:
        for call in (lambda each: each(), lambda each: each.submit(), lambda each: each.map()):
            with pytest.raises(StepInterfaceError, match=known):
                call(one.with_options(step_operator="mien"))
        one()

    assert [made.entrypoint_name for made in whole().steps] == ["one"]
    with pytest.raises(StepInterfaceError, match=known):
        one.with_options(step_operator="mien")()


def test_true_means_the_default_and_false_none(points):
    register_step_operator(operator("mine"))
    with pytest.raises(StepInterfaceError, match=r"step_operator=True means the default one, and there is none"):
        one.with_options(step_operator=True)()
    register_step_operator(operator("usual"), default=True)
    register_step_operator(operator("other"))
    with pytest.raises(LookupError, match="launched by usual"):
        one.with_options(step_operator=True)()
    with pytest.raises(LookupError, match="launched by other"):
        one.with_options(step_operator="other")()
    assert one.with_options(step_operator=False)() == 1
    assert one.with_options(step_operator="other").with_options(step_operator=None)() == 1


def test_one_step_may_be_launched_by_several():
    for name in ("a", "b"):
        register_step_operator(operator(name))
    launched = one.with_options(step_operator="a")
    with pytest.raises(LookupError, match="launched by b"):
        launched.with_options(step_operator="b")()
    with pytest.raises(LookupError, match="launched by a"):
        launched()
    assert one() == 1
    with pytest.raises(TypeError, match="step_operator"):
        one.with_options(step_operator=7)


def test_the_public_names_are_there():
    assert dir(step_operators) == step_operators.__all__
    assert all(getattr(step_operators, name) is not None for name in step_operators.__all__)
    with pytest.raises(AttributeError, match="BaseStepOperater"):
        step_operators.BaseStepOperater  # noqa: B018
