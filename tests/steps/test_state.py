"""What a step depends on besides its arguments, which may change from one call to the next."""

import copy

import pytest

from lazytrack import Project, current_experiment, pipeline, step
from lazytrack.errors import StepInterfaceError
from lazytrack.steps import BaseStep


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "shop") as project:
        yield project


def outputs(run):
    return [each.output.read() for each in run.steps]


class Plus(BaseStep):
    def __init__(self, n, **options):
        super().__init__(**options)
        self.n = n

    def entrypoint(self, x: int) -> int:
        return x + self.n


def test_a_variable_of_the_function_around_a_step_may_change_between_calls():
    n = 1

    @step
    def plus(x: int) -> int:
        return x + n

    @pipeline
    def whole():
        nonlocal n
        for n in (1, 2, 1):  # noqa: B007  (the step reads it)
            plus(1)

    assert outputs(whole()) == [2, 3, 2]
    assert [str(each.status) for each in whole().steps] == ["cached"] * 3


def test_a_variable_that_the_step_sets_itself_does_not_count():
    calls = 0

    @step
    def counting() -> int:
        nonlocal calls
        calls += 1
        return calls

    @pipeline
    def whole():
        counting()

    assert outputs(whole()) == outputs(whole()) == [1]


def test_attributes_of_a_step_may_change_between_calls_and_copies_are_apart():
    plus = Plus(1)
    other = copy.copy(plus)
    other.n = 10

    @pipeline
    def whole():
        plus.n = 1
        plus(1)
        plus.n = 2
        plus(1)
        other(1)

    for _ in range(2):
        assert outputs(whole()) == [2, 3, 11]


def test_options_that_change_between_calls_count_too():
    @step
    def shown(x: int = 0) -> int:
        return x

    @pipeline
    def whole():
        for x in (1, 2):
            shown.configure(parameters={"x": x})
            shown()

    assert outputs(whole()) == [1, 2]


def test_a_block_in_a_step_and_a_call_of_another_step_are_apart():
    @step
    def outer() -> int:
        with current_experiment().step("inner"):
            current_experiment().log_metric("auc", 1)
        return 1

    @step
    def inner() -> int:
        return 2

    @pipeline
    def whole():
        outer()
        inner()
        with pytest.raises(StepInterfaceError, match="a call 'inner' already"):
            inner(id="inner")

    run = whole()
    assert run.get_step_names() == ["outer", "inner_2"]
    steps = {each.step_name: each for each in run.experiment.steps}
    assert steps["inner"].parent == "outer"
    assert steps["inner"].logged == ["metrics.auc"]


def test_options_for_calls_by_their_id_come_before_the_steps_own():
    @step(extra={"a": 1}, enable_cache=True)
    def shown() -> int:
        return 1

    @pipeline
    def whole():
        shown()
        shown()

    configured = whole.with_options(steps={"shown_2": {"extra": {"b": 2}, "enable_cache": False}})
    whole()
    run = configured()
    assert [(each.name, each.extra, str(each.status)) for each in run.steps] == [
        ("shown", {"a": 1}, "cached"),
        ("shown_2", {"a": 1, "b": 2}, "completed"),
    ]
    with pytest.warns(UserWarning, match="had options for 'other', and called no step so"):
        whole.with_options(steps={"other": {"enable_cache": False}})()
