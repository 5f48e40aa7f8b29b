"""The values of a call are its own: what one call, or the body, does to them is seen by no other."""

import functools
from typing import Annotated

import numpy as np
import pydantic
import pytest

from lazytrack import (
    CachePolicy,
    ExternalArtifact,
    Project,
    StepRetryConfig,
    current_experiment,
    pipeline,
    step,
    unmapped,
)
from lazytrack.errors import PipelineRunError, StepInterfaceError
from lazytrack.post_execution import get_run
from lazytrack.steps.spelling import spelled


@pytest.fixture(autouse=True)
def project(tmp_path):
    with Project(tmp_path / "shop") as project:
        yield project


@step
def rows() -> list[dict]:
    return [{"n": 0}]


@step(enable_cache=False)
def add(x: dict, y: int) -> int:
    x["n"] += y
    return x["n"]


def test_attempts_begin_with_the_same_values():
    attempts = []

    @step(retry=StepRetryConfig(max_retries=1))
    def take(x: list) -> list:
        x.append("seen")
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError
        return x

    @pipeline
    def whole():
        take(["a"])

    assert whole().get_step("take").output.read() == ["a", "seen"]


def test_calls_of_a_map_do_not_share_what_they_are_given():
    @pipeline
    def whole():
        assert add.product(x=rows(), y=[1, 1]).load() == [1, 1]
        assert add.product(x=[{"n": 0}], y=[1, 2, 3]).load() == [1, 2, 3]
        assert add.map(x=unmapped({"n": 0}), y=[1, 2, 3]).load() == [1, 2, 3]

    whole()


def test_what_the_body_changes_after_a_call_does_not_reach_it():
    @step
    def total(values: list[int]) -> int:
        return sum(values)

    @pipeline
    def whole():
        values = [1]
        later = total.submit(values, after=rows.submit())
        values[0] = 100
        assert later.load() == 1
        value = {"n": 1}
        external = ExternalArtifact(value=value)
        assert add(external, 0).load() == 1
        value["n"] = 6
        assert add(external, 0).load() == 6

    run = whole()
    assert run.get_step("total").parameters == {"values": [1]}


def test_an_external_value_is_written_once_for_a_map():
    @step
    def look(x: object, n: int) -> int:
        return len(x) + n

    @pipeline
    def whole():
        assert look.map(ExternalArtifact(value={(1, 2)}), n=[1, 2, 3]).load() == [2, 3, 4]

    run = whole()
    assert len({made.input.uri for made in run.steps}) == 1


def test_arguments_by_place_alone_can_be_mapped():
    @step
    def pos(a, /, b=2) -> int:
        return a * b

    @pipeline
    def whole():
        assert pos.map([1, 2]).load() == [2, 4]
        assert pos(3).load() == 6

    whole()


def test_a_marked_value_in_a_plain_call_is_the_value():
    @step
    def same(x: int) -> int:
        return x

    assert same(unmapped(3)) == 3


# --- outputs ---


def test_numbers_of_numpy_are_kept_as_json_and_so_is_nan():
    @step
    def scores() -> tuple[float, object, float, Annotated[bool, "flag"]]:
        return np.float64(0.5), np.int64(3), float("nan"), True

    @pipeline
    def whole():
        scores()

    outputs = whole().get_step("scores").outputs
    assert [view.type for view in outputs.values()] == ["json"] * 4
    assert [repr(view.read()) for view in outputs.values()] == ["0.5", "3", "nan", "True"]


def test_what_cannot_be_kept_says_which_output_and_what_to_do():
    @step
    def makes() -> Annotated[object, "function"]:
        return lambda: 1

    with pytest.raises(Exception, match="pickle") as caught:
        makes()
    [note] = [each for each in caught.value.__notes__ if "output" in each]
    assert "output 'function' of step 'makes'" in note
    assert "output_materializers" in note

    @step
    def counts() -> int:
        return np.array([1, 2]).sum()

    with pytest.raises(StepInterfaceError, match=r"expected int, found numpy.int64 .*: return its .item\(\)"):
        counts()


def test_an_integer_of_many_digits_comes_back():
    @step
    def large() -> int:
        return 10**5000

    assert large() == 10**5000


def test_a_generator_is_refused_when_it_is_declared():
    with pytest.raises(StepInterfaceError, match="is a generator"):

        @step
        def items():
            yield 1


# --- names ---


def test_outputs_that_would_share_a_name_are_kept_apart():
    @step
    def first() -> Annotated[str, "b.c"]:
        return "one"

    @step
    def second() -> Annotated[str, "c"]:
        return "two"

    @step
    def taking(x: object) -> Annotated[str, "2"]:
        return "made"

    @pipeline
    def whole():
        first(id="a")
        second(id="a.b")
        taking(ExternalArtifact(value={1: (1,)}), id="external")
        taking(ExternalArtifact(value={2: (1,)}), id="external.2")
        first(id="../../x")

    for _ in range(2):
        run = whole()
        values = [made.output.read() for made in run.steps]
        assert values == ["one", "two", "made", "made", "one"]
    assert run.get_step("external").input.read() == {1: (1,)}


def test_outputs_of_one_name_are_refused():
    @step
    def twice() -> tuple[Annotated[int, "x_{k}"], Annotated[int, "x_{j}"]]:
        return 1, 2

    @pipeline(substitutions={"k": "a", "j": "a"})
    def whole():
        twice()

    with pytest.raises(StepInterfaceError, match="outputs of one name"):
        whole()
    assert whole.with_options(substitutions={"j": "b"})().get_step("twice").outputs["x_b"].read() == 2


def test_a_name_with_a_time_in_it_is_no_obstacle_to_a_hit():
    @step
    def timed() -> Annotated[int, "out_{date}_{time}"]:
        return 7

    @pipeline
    def whole():
        assert timed().load() == 7

    whole()
    assert whole().get_step("timed").is_cached


def test_an_artifact_that_the_step_logs_under_the_name_of_its_output_is_not_lost(project):
    @step
    def logs() -> int:
        current_experiment().log_artifact("logs.output", "mine")
        return 1

    with pytest.raises(Exception, match=r"has logged an artifact 'logs\.output'"):
        logs()
    assert project.experiments[0].load_artifact("logs.output") == "mine"


def test_a_handle_of_another_project_is_refused(tmp_path):
    handles = []

    @pipeline
    def makes():
        handles.append(rows())

    @pipeline
    def takes():
        add(handles[0], 1)

    makes()
    with Project(tmp_path / "other"), pytest.raises(StepInterfaceError, match="in another project"):
        takes()


# --- spelling ---


def test_all_of_a_pydantic_model_counts_and_the_value_of_an_enum():
    class Base(pydantic.BaseModel):
        pass

    class Rate(Base):
        r: int
        hidden: int = pydantic.Field(default=0, exclude=True)
        _own: int = pydantic.PrivateAttr(default=0)

    class Holder(pydantic.BaseModel):
        shape: Base

    one, two = Holder(shape=Rate(r=1)), Holder(shape=Rate(r=2))
    assert spelled(one) != spelled(two)
    assert spelled(Rate(r=1, hidden=1)) != spelled(Rate(r=1, hidden=2))
    changed = Rate(r=1)
    changed._own = 5
    assert spelled(changed) != spelled(Rate(r=1))


def test_a_source_dependency_may_be_a_partial():
    @step(cache_policy=CachePolicy(source_dependencies=[functools.partial(spelled, 1)]))
    def depends() -> int:
        return 1

    @pipeline
    def whole():
        depends()

    whole()
    assert whole().get_step("depends").is_cached


# --- mistakes ---


def test_a_handle_and_a_future_in_a_condition_are_refused_with_what_to_do():
    @pipeline
    def whole():
        handle, future = rows(), rows.submit()
        for each in (handle, future, future[0]):
            with pytest.raises(TypeError, match=r"neither true nor false.*\.load\(\)"):
                bool(each)
        with pytest.raises(AttributeError, match=r"has no 'shape': look at the value with \.load\(\)"):
            handle.shape  # noqa: B018
        with pytest.raises(TypeError, match="is a handle"):
            list(handle)

    whole()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"run_name": "x-{dat}"}, r"run_name 'x-\{dat\}' has a placeholder 'dat'; known: pipeline, date, time"),
        ({"nothing": 1}, "has no option 'nothing'"),
        ({"execution_mode": "stop"}, "must be one of 'stop_on_failure', 'fail_fast', 'continue_on_failure'"),
        ({"tags": "one"}, "must be a list of strings"),
    ],
)
def test_options_of_a_pipeline_that_make_no_sense_are_refused(options, told):
    @pipeline
    def whole():
        rows()

    with pytest.raises((ValueError, TypeError), match=told):
        whole.with_options(**options)()


def test_a_policy_that_ignores_what_is_no_input_is_refused():
    with pytest.raises(StepInterfaceError, match="there is no input 'verbos': did you mean"):

        @step(cache_policy=CachePolicy(ignored_inputs=["verbos"]))
        def s(verbose: bool) -> int:
            return 1


def test_a_pipeline_that_maps_over_nothing_is_a_run_and_one_that_calls_nothing_is_none(project):
    @step
    def look(n: int) -> int:
        return n

    @pipeline
    def ingest(files: list[int]):
        assert look.map(files).load() == []

    run = ingest([])
    assert (run.status, run.steps) == ("completed", [])

    @pipeline
    def nothing():
        pass

    @pipeline
    def only_logs():
        current_experiment().log_metric("auc", 1)

    with pytest.raises(ValueError, match="called no step"):
        nothing()
    with pytest.raises(ValueError, match="called no step"):
        only_logs()
    assert [each.status for each in project.experiments] == ["completed", "failed"]


def test_what_goes_wrong_before_a_step_begins_is_recorded():
    @step
    def takes(x: object) -> int:
        return 1

    @pipeline
    def whole():
        takes(ExternalArtifact(value=(n for n in [1])))

    with pytest.raises(PipelineRunError, match="failed in 'takes'"):
        whole.with_options(run_name="named")()
    made = get_run("named").get_step("takes")
    assert made.status == "failed"
    assert "generator" in made.error
