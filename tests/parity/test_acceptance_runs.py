"""Items 1 and 4 to 22 of the acceptance list, and 23, where steps run: in pipelines, on threads, and by themselves."""

import enum
import importlib.util
import json
import logging
import os
import re
import sys
import textwrap
import threading
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import pandas as pd
import pytest

from lazytrack import (
    CachePolicy,
    Project,
    StepRetryConfig,
    current_experiment,
    get_step_context,
    log_metadata,
    naming,
    pipeline,
    step,
)
from lazytrack.errors import PipelineRunError, StepFailed, StepInterfaceError, WorkerLost
from lazytrack.post_execution import get_run, get_unlisted_runs
from lazytrack.steps import BaseStep, StepRuntime
from lazytrack.steps.attempts import Attempts
from lazytrack.steps.spelling import spelled

ran: list[str] = []
"""What steps have run, as they say themselves."""


@pytest.fixture(autouse=True)
def project(tmp_path):
    ran.clear()
    with Project(tmp_path / "churn") as project:
        yield project


def statuses(run):
    return {each.name: str(each.status) for each in run.steps}


@step
def one() -> int:
    ran.append("one")
    return 1


@step
def add(a: int, b: int = 1) -> int:
    ran.append(f"add {a} {b}")
    return a + b


@step
def fails(what: str = "no luck") -> int:
    ran.append("fails")
    raise LookupError(what)


class Thing:
    """What JSON cannot hold."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return isinstance(other, Thing) and self.n == other.n

    __hash__ = None


# --- 1 ---


def test_item_1_calls_are_named_after_the_step_and_counted():
    @pipeline
    def three():
        one()
        one()
        one()

    assert three().get_step_names() == ["one", "one_2", "one_3"]


def test_item_1_an_id_names_a_call_and_a_second_one_of_it_is_refused():
    @pipeline
    def named():
        one(id="first")
        one()
        with pytest.raises(StepInterfaceError, match="a call 'first' already"):
            one(id="first")

    run = named()
    assert run.get_step_names() == ["first", "one"]
    assert ran == ["one"]  # the second is cached


def test_item_1_counting_leaves_out_what_an_id_has_taken():
    @pipeline
    def taken():
        one(id="one_2")
        one()
        one()

    assert sorted(taken().get_step_names()) == ["one", "one_2", "one_3"]


# --- 4 ---


def declared(annotation, returned, told):
    def made():
        return returned

    made.__annotations__["return"] = annotation
    return step(made, on_failure=told.append)


@pytest.mark.parametrize(("annotation", "returned"), [(int, "1"), (tuple[int, int], (1, 2, 3)), (None, 1)])
def test_item_4_wrong_outputs_are_a_failure_that_the_hook_is_told_of(annotation, returned, project):
    told = []
    wrong = declared(annotation, returned, told)

    @pipeline(enable_cache=False)
    def whole():
        wrong()

    with pytest.raises(PipelineRunError) as caught:
        whole()
    assert isinstance(caught.value.__cause__, StepInterfaceError)
    assert told == [caught.value.__cause__]
    (experiment,) = project.experiments
    assert experiment.status == "failed"
    assert "StepInterfaceError" in experiment.steps[0].error


# --- 5 and 6 ---


def test_item_5_call_before_configured_before_default_in_a_run():
    configured = add.with_options(parameters={"b": 10})

    @pipeline
    def whole():
        return add(1).load(), configured(1).load(), configured(1, b=100).load()

    assert [each.output.read() for each in whole().steps] == [2, 11, 101]


def test_item_6_what_json_cannot_hold_or_of_another_type_is_refused_before_anything_runs(project):
    @pipeline
    def wrong():
        add("three")

    with pytest.raises(StepInterfaceError, match="argument 'a': expected int"):
        wrong()
    assert ran == []

    @step
    def anything(value) -> None:
        ran.append("anything")

    @pipeline
    def unheld():
        anything(object())

    with pytest.raises(StepInterfaceError, match=r"ExternalArtifact\(value=...\)"):
        unheld()
    assert ran == []


def test_item_6_a_handle_among_other_values_is_refused():
    @step
    def takes(values: dict) -> None:
        ran.append("takes")

    @pipeline
    def hidden():
        takes({"a": one()})

    with pytest.raises(StepInterfaceError, match="among other values"):
        hidden()
    assert ran == ["one"]


# --- 9 and 10 ---


def test_item_9_a_direct_call_returns_the_value_and_is_recorded():
    assert add(1, 2) == 3
    assert add("1") == 2
    runs = get_unlisted_runs()
    assert [run.steps[0].output.read() for run in runs] == [3, 2]
    assert ran == ["add 1 2", "add 1 1"]


def test_item_9_a_direct_call_is_never_cached_and_raises_what_the_step_raises():
    assert add(1, 2) == add(1, 2) == 3
    assert len(ran) == 2
    with pytest.raises(LookupError, match="no luck"):
        fails()
    assert get_unlisted_runs()[-1].status == "failed"


def test_item_9_there_an_object_becomes_an_artifact_by_itself():
    @step
    def total(table: pd.DataFrame, more: object) -> int:
        return int(table.x.sum()) + more.n

    assert total(pd.DataFrame({"x": [1, 2]}), Thing(3)) == 6
    made = get_unlisted_runs()[-1].get_step("total")
    assert made.inputs["table"].read().x.tolist() == [1, 2]
    assert made.inputs["more"].read() == Thing(3)


def test_item_10_a_step_in_a_step_is_a_plain_call():
    @step
    def outer(n: int) -> int:
        return add(n, n) + 1

    @pipeline
    def whole():
        outer(2)

    run = whole()
    assert run.get_step_names() == ["outer"]
    assert run.get_step("outer").output.read() == 5


@pytest.mark.parametrize("method", ["submit", "map", "product"])
def test_item_10_submitting_is_refused_outside_of_a_pipelines_body(method):
    with pytest.raises(RuntimeError, match="body of a pipeline"):
        getattr(add, method)([1])

    @step
    def inside() -> None:
        getattr(add, method)([1])

    with pytest.raises(RuntimeError, match="a running step"):
        inside()


# --- 11 ---


def test_item_11_a_second_run_is_cached_points_to_the_original_and_runs_no_hooks():
    called = []
    hooked = add.with_options(
        on_start=lambda: called.append("start"),
        on_success=lambda: called.append("success"),
        on_end=lambda error: called.append("end"),
    )

    @pipeline
    def whole():
        hooked(one())

    first, second = whole(), whole()
    assert statuses(first) == {"one": "completed", "add": "completed"}
    assert statuses(second) == {"one": "cached", "add": "cached"}
    assert ran == ["one", "add 1 1"]
    assert called == ["start", "end", "success"]
    again = second.get_step("add")
    assert again.original == first.get_step("add")
    assert again.output.producer_step_run_id == first.get_step("add").id
    assert again.output.uri == first.get_step("add").output.uri
    assert again.output.read() == 2
    assert again.is_cached
    assert again.is_completed


def test_item_11_a_hit_on_a_hit_points_to_the_original():
    @pipeline
    def whole():
        one()

    first, _, third = whole(), whole(), whole()
    assert third.get_step("one").original == first.get_step("one")


def test_item_11_another_process_or_project_object_finds_it_too(project, tmp_path):
    @pipeline
    def whole():
        add(one())

    whole()
    with Project(tmp_path / "churn"):
        assert set(statuses(whole()).values()) == {"cached"}


# --- 12 ---


@pytest.fixture
def module(tmp_path):
    """Returns a module of a user's with this text, which has the same name each time."""

    def load(text):
        path = tmp_path / f"version{len(list(tmp_path.glob('version*')))}.py"
        path.write_text("from lazytrack import pipeline, step\nran = []\n" + textwrap.dedent(text))
        spec = importlib.util.spec_from_file_location("steps_of_a_user", path)
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    return load


ORIGINAL = """
    def double(x):
        return 2 * x

    def unused(x):
        return x

    @step
    def made(x: int = 1) -> int:
        ran.append("made")
        return double(x)

    @pipeline
    def whole():
        made()
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("return double(x)", "return double(x) + 1", "the code of the step has changed"),
        ("return 2 * x", "return x + x", "'double', which the step names, or what that names, has changed"),
        ("x: int = 1", "x: int = 2", "parameter 'x' was 1, is 2"),
    ],
)
def test_item_12_a_changed_body_helper_or_default_runs_again_and_is_explained(module, old, new, told):
    assert statuses(module(ORIGINAL).whole()) == {"made": "completed"}
    run = module(ORIGINAL.replace(old, new)).whole()
    assert statuses(run) == {"made": "completed"}
    assert any(told in reason for reason in run.get_step("made").explain_cache().reasons)
    assert told in str(run.get_step("made").explain_cache())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@step", "@step(retry=None, extra={'a': 1}, settings={'resources': {'cpu_count': 2}})"),
        ("@step", "@step(on_failure=lambda error: None, name='other')"),
        ("@step", "@step(\n        enable_step_logs=False,\n    )\n    # a comment"),
        ("def unused(x):\n        return x", "def unused(x):\n        return x + 1"),
        ("made()", "made(x=1)"),
        ("return 2 * x", "return 2 * x  # a comment"),
    ],
)
def test_item_12_a_changed_decorator_or_what_the_step_does_not_name_runs_nothing(module, old, new):
    module(ORIGINAL).whole()
    changed = module(ORIGINAL.replace(old, new))
    assert list(statuses(changed.whole()).values()) == ["cached"]
    assert changed.ran == []


def test_item_12_helpers_of_helpers_classes_and_steps_that_are_called_count(module):
    text = """
        class Scale:
            by = 2

            def __call__(self, x):
                return inner(x) * self.by

        def inner(x):
            return x

        @step
        def plus(x: int) -> int:
            return x + 1

        @step
        def made() -> int:
            return plus(Scale()(1))

        @pipeline
        def whole():
            made()
    """
    assert statuses(module(text).whole()) == {"made": "completed"}
    assert statuses(module(text).whole()) == {"made": "cached"}
    for old, new in [("by = 2", "by = 3"), ("return x\n", "return -x\n"), ("return x + 1", "return x + 2")]:
        assert statuses(module(text.replace(old, new)).whole()) == {"made": "completed"}, new


def test_item_12_another_name_of_the_function_runs_again(module):
    module(ORIGINAL).whole()
    assert statuses(module(ORIGINAL.replace("made", "make")).whole()) == {"make": "completed"}


def test_steps_of_one_factory_are_apart_and_so_are_steps_of_a_class():
    def scaled(by):
        @step
        def scale(x: int) -> int:
            return x * by

        return scale

    class Plus(BaseStep):
        def __init__(self, n, **options):
            super().__init__(**options)
            self.n = n

        def entrypoint(self, x: int) -> int:
            return x + self.n

    @pipeline
    def whole():
        scaled(2)(1)
        scaled(3)(1)
        Plus(2)(1)
        Plus(3)(1)

    assert [each.output.read() for each in whole().steps] == [2, 3, 3, 4]
    assert set(statuses(whole()).values()) == {"cached"}


# --- 13 ---


@pytest.mark.parametrize(
    ("of_step", "of_pipeline", "status"),
    [
        (None, None, "cached"),
        (None, False, "completed"),
        (True, False, "cached"),
        (False, True, "completed"),
        (False, None, "completed"),
    ],
)
def test_item_13_the_step_says_then_the_pipeline_then_the_cache_is_on(of_step, of_pipeline, status):
    @pipeline(enable_cache=of_pipeline)
    def whole():
        one.with_options(enable_cache=of_step)()

    @pipeline
    def before():
        one()

    before()
    assert statuses(whole()) == {"one": status}
    if status == "completed":
        assert whole().get_step("one").explain_cache().reasons == ["its cache is off"]


# --- 14 ---


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


DIFFERENT = [
    *(
        1,
        "1",
        1.0,
        True,
        [1],
        (1,),
        {1: 1},
        {"1": 1},
        [[1], 1],
        [[1, 1]],
        ["1"],
        ["", "1"],
        ["1", ""],
        [1, 11],
        [11, 1],
    ),
    *(None, "None", {"a": [1, 2]}, {"a": (1, 2)}, [], (), {}, "", b"1", {1}, frozenset({1}), 1.5, "1.5", Colour.RED),
    *(Colour.BLUE, Path("a"), "a", ["a;", "b"], ["a", ";b"], date(2026, 1, 1), "2026-01-01"),
]


def test_item_14_no_two_of_these_are_the_same_parameter():
    assert len({spelled(value) for value in DIFFERENT}) == len(DIFFERENT)
    assert spelled({"a": 1, "b": 2}) == spelled({"b": 2, "a": 1})


def test_item_14_values_that_are_equal_to_python_run_apart():
    @step
    def kind(value) -> str:
        return type(value).__name__

    values = [1, "1", 1.0, [1], True]

    @pipeline
    def whole():
        for value in values:
            kind(value)

    assert [each.output.read() for each in whole().steps] == ["int", "str", "float", "list", "bool"]
    assert set(statuses(whole()).values()) == {"cached"}


def test_item_14_parameters_that_are_shifted_are_not_taken_for_each_other():
    @step
    def joined(a: str, b: str, c: str = "") -> str:
        ran.append("joined")
        return f"{a}|{b}|{c}"

    @pipeline
    def whole():
        joined("x", "yz")
        joined("xy", "z")
        joined("x", "y", "z")
        joined("x", "yz", c="")

    assert [each.output.read() for each in whole().steps] == ["x|yz|", "xy|z|", "x|y|z", "x|yz|"]
    assert len(ran) == 3


# --- 15 ---


def test_item_15_expires_after(monkeypatch):
    @pipeline(cache_policy=CachePolicy(expires_after=timedelta(hours=1)))
    def whole():
        one()

    whole()
    assert statuses(whole()) == {"one": "cached"}
    later = naming.now() + timedelta(hours=2)
    monkeypatch.setattr(naming, "now", lambda: later)
    run = whole()
    assert statuses(run) == {"one": "completed"}
    assert "older than expires_after" in run.get_step("one").explain_cache().reasons[0]


def test_item_15_files_sources_functions_and_ignored_inputs(tmp_path):
    file, answers = tmp_path / "data.csv", [1]
    file.write_text("1")

    def depends_on(x):
        return x

    policies = {
        "file": CachePolicy(file_dependencies=[str(file)]),
        "folder": CachePolicy(file_dependencies=[str(tmp_path / "data.csv*")]),
        "function": CachePolicy(cache_func=lambda: answers[0]),
        "source": CachePolicy(source_dependencies=[depends_on, "textwrap.dedent"]),
        "ignored": CachePolicy(ignored_inputs=["b"]),
        "code": CachePolicy(include_step_code=False),
        "parameters": CachePolicy(include_step_parameters=False),
    }

    @pipeline
    def whole(b: int = 1):
        for name, policy in policies.items():
            add.with_options(cache_policy=policy)(1, b, id=name)

    assert set(statuses(whole()).values()) == {"completed"}
    assert set(statuses(whole()).values()) == {"cached"}
    file.write_text("2")
    assert {name for name, status in statuses(whole()).items() if status == "completed"} == {"file", "folder"}
    answers[0] = 2
    run = whole()
    assert {name for name, status in statuses(run).items() if status == "completed"} == {"function"}
    assert run.get_step("function").explain_cache().reasons == ["what cache_func returns has changed"]
    other = statuses(whole(2))
    assert {name for name, status in other.items() if status == "cached"} == {"ignored", "parameters"}


def test_item_15_a_dependency_that_is_not_there_is_an_error_before_anything_runs():
    @pipeline
    def whole():
        add.with_options(cache_policy=CachePolicy(file_dependencies=["nowhere.csv"]))(1)

    with pytest.raises(PipelineRunError, match=r"there is no file 'nowhere\.csv'"):
        whole()
    assert ran == []


def test_item_15_the_pipelines_policy_is_for_steps_without_one():
    @pipeline(cache_policy=CachePolicy(ignored_inputs=["b"]))
    def whole(b: int):
        add(1, b, id="inherits")
        add.with_options(cache_policy="default")(1, b, id="own")

    whole(1)
    assert statuses(whole(2)) == {"inherits": "cached", "own": "completed"}


def test_item_15_content_counts_and_without_it_which_artifact_it_is():
    @step
    def constant(n: int) -> list[int]:
        return [7]

    @step
    def takes(values: list[int]) -> int:
        ran.append("takes")
        return sum(values)

    @pipeline
    def whole(n: int):
        values = constant(n)
        takes(values, id="content")
        takes.with_options(cache_policy=CachePolicy(include_artifact_values=False))(values, id="which")

    whole(1)
    assert statuses(whole(2)) == {"constant": "completed", "content": "cached", "which": "cached"}


@pytest.mark.parametrize(
    "options",
    [
        {"output_materializers": "pickle"},
        {"environment": {"LAZY_OTHER": "1"}},
        {"secrets": ["PATH"]},
        {"cache_policy": CachePolicy(expires_after=60)},
    ],
)
def test_item_15_options_that_change_what_a_step_does_run_it_again(options):
    @pipeline
    def whole(with_options: bool):
        (add.with_options(**options) if with_options else add)(1)

    assert statuses(whole(False)) == {"add": "completed"}
    assert statuses(whole(True)) == {"add": "completed"}
    assert statuses(whole(True)) == {"add": "cached"}


# --- 16 ---


def flaky(failures):
    left = [failures]

    @step(enable_cache=False)
    def sometimes() -> int:
        ran.append("sometimes")
        if left[0]:
            left[0] -= 1
            raise OSError(f"{left[0]} left")
        return 1

    return sometimes


def test_item_16_every_attempt_is_recorded_and_delays_grow(monkeypatch):
    slept = []
    monkeypatch.setattr(Attempts, "_pause", lambda _, seconds: slept.append(seconds))

    @pipeline
    def whole():
        flaky(3).with_options(retry=StepRetryConfig(max_retries=3, delay=2, backoff=3))()

    run = whole()
    made = run.get_step("sometimes")
    assert made.status == "completed"
    assert [each["status"] for each in made.attempts] == ["retried"] * 3
    assert "2 left" in made.attempts[0]["error"]
    assert made.error is None
    assert slept == [2, 6, 18]
    assert run.get_step_names() == ["sometimes"]


def test_item_16_the_last_failure_is_the_steps_and_on_failure_is_told_once():
    told = []

    @pipeline
    def whole():
        flaky(5).with_options(retry=StepRetryConfig(max_retries=1), on_failure=told.append)()

    with pytest.raises(PipelineRunError, match="'sometimes': OSError: 3 left") as caught:
        whole()
    assert told == [caught.value.__cause__]
    assert len(ran) == 2


# --- 17 ---


def test_item_17_hooks_run_in_order_around_the_body_and_its_outputs():
    def begins():
        ran.append(("on_start", get_step_context().step_name))

    def succeeds():
        ran.append(("on_success", get_step_context().step_name))

    def ends(error):
        ran.append(("on_end", get_step_context().step_name, error))

    def has_failed(error):
        ran.append(("on_failure", get_step_context().step_name, error))

    hooks = {"on_start": begins, "on_end": ends, "on_success": succeeds, "on_failure": has_failed}

    @pipeline(execution_mode="continue_on_failure")
    def whole():
        one.with_options(**hooks)()
        fails.with_options(**hooks)()

    with pytest.raises(PipelineRunError) as caught:
        whole()
    error = caught.value.__cause__
    assert ran == [
        ("on_start", "one"),
        "one",
        ("on_end", "one", None),
        ("on_success", "one"),
        ("on_start", "fails"),
        "fails",
        ("on_end", "fails", error),
        ("on_failure", "fails", error),
    ]


def test_item_17_a_hook_that_raises_is_logged_and_changes_nothing(caplog):
    def bad():
        raise ValueError("a bad hook")

    @pipeline
    def whole():
        one.with_options(on_start=bad, on_success=bad, on_end=bad)()

    with caplog.at_level(logging.WARNING):
        assert whole().status == "completed"
    assert [record.message for record in caplog.records if "a bad hook" in record.message] == [
        f"{name} of step 'one' failed: ValueError: a bad hook" for name in ("on_start", "on_end", "on_success")
    ]


def test_item_17_hooks_of_a_pipeline_are_the_steps_where_they_have_none():
    @pipeline(on_success=lambda: ran.append("pipeline's"))
    def whole():
        one()
        add.with_options(on_success=lambda: ran.append("step's"))(1)

    whole()
    assert ran == ["one", "pipeline's", "add 1 1", "step's"]


# --- 18 ---


def test_item_18_stop_on_failure_starts_no_more_and_tells_the_cause(project):
    started, release = threading.Event(), threading.Event()

    @step
    def slow() -> int:
        started.set()
        release.wait(30)
        return 1

    @step
    def breaks() -> None:
        started.wait(30)
        raise LookupError("broken")

    @pipeline
    def whole():
        running = slow.submit()
        later = add.submit(1, after=running)
        release_when(breaks.submit(), release)
        later._invocation.settle()

    with pytest.raises(PipelineRunError, match="failed in 'breaks': LookupError: broken") as caught:
        whole()
    assert isinstance(caught.value.__cause__, LookupError)
    (experiment,) = project.experiments
    run = get_run(experiment.name)
    assert statuses(run) == {"slow": "completed", "breaks": "failed", "add": "stopped"}
    assert run.status == "failed"
    assert "LookupError: broken" in experiment.error
    assert ran == []


def release_when(future, event):
    future._invocation.done.add_done_callback(lambda _: event.set())


def test_item_18_a_call_after_an_unheard_failure_is_not_started():
    @pipeline
    def whole():
        fails.submit()._invocation.settle()
        one()

    with pytest.raises(PipelineRunError, match="failed in 'fails'"):
        whole()
    assert ran == ["fails"]


def test_item_18_fail_fast_raises_the_original_and_what_ran_is_recorded_as_stopped(project):
    started, release = threading.Event(), threading.Event()

    @step
    def slow() -> int:
        started.set()
        release.wait(30)
        return 1

    @step
    def breaks() -> None:
        started.wait(30)
        raise LookupError("broken")

    @pipeline(execution_mode="fail_fast")
    def whole():
        slow.submit()
        release_when(breaks.submit(), release)
        for _ in range(1000):
            time.sleep(0.01)
            one()

    with pytest.raises(LookupError, match="broken"):
        whole()
    run = get_run(project.experiments[0].name)
    assert run.get_step("slow").status == "stopped"
    assert run.status == "failed"


def test_item_18_continue_on_failure_skips_what_needs_the_failed_and_runs_the_rest(project):
    @pipeline(execution_mode="continue_on_failure")
    def whole():
        broken = fails()
        add(broken, id="needs it")
        add.submit(fails.submit(), id="needs it too")
        add(1, id="independent")
        add(1, after=broken, id="comes after")

    with pytest.raises(PipelineRunError, match="failed in 'fails', 'fails_2'") as caught:
        whole()
    assert isinstance(caught.value.__cause__, LookupError)
    run = get_run(project.experiments[0].name)
    assert statuses(run) == {
        "fails": "failed",
        "fails_2": "failed",
        "needs it": "skipped",
        "needs it too": "skipped",
        "independent": "completed",
        "comes after": "skipped",
    }
    assert run.get_step("needs it").error == "'fails' failed"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_item_18_what_ends_a_program_goes_on_and_step_and_run_are_failed(error, project):
    @step
    def interrupted() -> None:
        raise error

    @pipeline(execution_mode="continue_on_failure")
    def whole():
        interrupted()

    with pytest.raises(error):
        whole()
    run = get_run(project.experiments[0].name)
    assert statuses(run) == {"interrupted": "failed"}
    assert run.status == "failed"


# --- 19 ---


@step(enable_cache=False)
def sees(name: str = "LAZY_PLACE") -> str | None:
    return os.environ.get(name)


def test_item_19_the_step_comes_before_the_pipeline_and_all_is_restored(monkeypatch):
    monkeypatch.setenv("LAZY_PLACE", "outside")

    @pipeline(environment={"LAZY_PLACE": "pipeline", "LAZY_OTHER": "pipeline"})
    def whole():
        assert sees().load() == "pipeline"
        assert sees.with_options(environment={"LAZY_PLACE": 3})().load() == "3"
        assert sees.with_options(environment={"LAZY_PLACE": "step"})("LAZY_OTHER").load() == "pipeline"

    whole()
    assert os.environ["LAZY_PLACE"] == "outside"
    assert "LAZY_OTHER" not in os.environ


def test_item_19_it_is_restored_after_a_failure_too(monkeypatch):
    monkeypatch.delenv("LAZY_PLACE", raising=False)
    with pytest.raises(LookupError):
        fails.with_options(environment={"LAZY_PLACE": "1"})()
    assert "LAZY_PLACE" not in os.environ


def test_item_19_steps_that_run_at_the_same_time_do_not_see_it(monkeypatch):
    monkeypatch.delenv("LAZY_PLACE", raising=False)
    both = threading.Barrier(2, timeout=60)

    @step(enable_cache=False)
    def beside() -> list[str | None]:
        seen = [os.environ.get("LAZY_PLACE")]
        both.wait()
        both.wait()
        return [*seen, os.environ.get("LAZY_PLACE")]

    @pipeline
    def whole():
        watching = beside.submit()
        both.wait()
        value = sees.with_options(environment={"LAZY_PLACE": "mine"})()
        both.wait()
        assert value.load() == "mine"
        assert watching.load() == [None, None]

    whole()


def test_item_19_secrets_are_seen_by_the_step_alone_and_are_in_no_record(monkeypatch, tmp_path):
    secret = "2retnuh-2retnuh"[::-1]  # this text may be among what is not committed, which is kept
    (tmp_path / "secrets.json").write_text(json.dumps({"bucket": {"LAZY_KEY": secret}}))
    monkeypatch.setenv("LAZYTRACK_SECRETS_FILE", str(tmp_path / "secrets.json"))

    @step(secrets=["bucket"], enable_cache=False)
    def uses() -> None:
        sys.stdout.write(f"with {os.environ['LAZY_KEY']}\n")
        raise LookupError(os.environ["LAZY_KEY"])

    @pipeline
    def whole():
        uses()

    with pytest.raises(PipelineRunError):
        whole()
    assert "LAZY_KEY" not in os.environ
    stored = b"".join(path.read_bytes() for path in (tmp_path / "churn").rglob("*") if path.is_file())
    assert secret.encode() not in stored
    assert b"with ***" in stored


def test_item_19_a_secret_that_is_nowhere_is_a_clear_error():
    with pytest.raises(StepInterfaceError, match="needs the secret 'LAZY_NOWHERE'"):
        one.with_options(secrets=["LAZY_NOWHERE"])()
    assert ran == []


def test_item_19_an_isolated_step_runs_in_a_process_of_its_own_and_logs_to_the_run(project):
    @step(runtime=StepRuntime.ISOLATED)
    def elsewhere(n: int, rows: list[int]) -> tuple[int, Annotated[int, "total"]]:
        sys.stdout.write("from elsewhere\n")
        log_metadata({"n": n})
        current_experiment().log_metric("auc", 0.5)
        get_step_context().add_output_metadata({"unit": "rows"}, "total")
        return os.getpid(), sum(rows)

    @step
    def rows() -> list[int]:
        return [1, 2, 3]

    @pipeline
    def whole():
        pid, total = elsewhere(3, rows())
        assert pid.load() != os.getpid()
        assert total.load() == 6

    run = whole()
    made = run.get_step("elsewhere")
    assert made.logs == "from elsewhere\n"
    assert made.metadata["n"].value == 3
    assert made.outputs["total"].metadata["unit"].value == "rows"
    project.refresh()
    assert run.experiment.metrics == {"auc": 0.5}


def test_item_19_what_an_isolated_step_raises_arrives_whatever_it_is():
    class UnpicklableError(Exception):
        def __init__(self, a, b):
            super().__init__(f"{a} and {b}")

        def __reduce__(self):
            raise TypeError("not me")

    @step(runtime="isolated")
    def raises(which: str) -> None:
        if which == "plain":
            raise LookupError("from elsewhere")
        if which == "dies":
            os._exit(3)
        raise UnpicklableError(1, 2)

    with pytest.raises(LookupError, match="from elsewhere") as caught:
        raises("plain")
    assert "Traceback" in caught.value.__notes__[0]
    with pytest.raises(StepFailed, match="1 and 2"):
        raises("odd")
    with pytest.raises(WorkerLost, match="exit code 3"):
        raises("dies")


# --- 20 ---


def test_item_20_a_second_run_of_a_name_is_refused_and_the_first_is_untouched(project, tmp_path):
    @pipeline
    def whole():
        one()

    named = whole.with_options(run_name="nightly")
    first = named()
    before = project[first.id].to_dict()
    with pytest.raises(PipelineRunError, match="a run 'nightly'"):
        named()
    with Project(tmp_path / "churn"), pytest.raises(PipelineRunError, match="a run 'nightly'"):
        named()
    project.refresh()
    assert project[first.id].to_dict() == before
    assert len(project) == 1


def test_item_20_names_are_made_of_the_pipelines_date_and_time():
    @pipeline(substitutions={"site": "north"})
    def whole():
        one()

    assert re.fullmatch(r"whole-\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d_\d{6}", whole().name)
    assert re.fullmatch(r"of north at \d{4}_\d\d_\d\d", whole.with_options(run_name="of {site} at {date}")().name)


# --- 21 ---


def test_item_21_six_mapped_steps_that_wait_for_each_other_all_finish():
    barrier = threading.Barrier(6, timeout=60)

    @step
    def waits(n: int) -> int:
        barrier.wait()
        return n

    @pipeline
    def whole():
        assert waits.map(list(range(6))).load() == list(range(6))

    assert len(whole().steps) == 6


# --- 22 ---


def test_item_22_unequal_lengths_are_an_error_at_the_call():
    @pipeline
    def whole():
        add.map(a=[1, 2], b=[1, 2, 3])

    with pytest.raises(ValueError, match="a has 2, b has 3"):
        whole()
    assert ran == []


def test_item_22_a_map_over_nothing_is_an_empty_result():
    @step
    def total(values: list[int]) -> int:
        return sum(values)

    @pipeline
    def whole():
        mapped = add.map([])
        assert len(mapped) == 0
        assert mapped.load() == mapped.result() == []
        assert mapped.unpack() == ([],)
        assert not mapped.running()
        one()

    whole()


# --- 23 ---


def test_item_23_awaited_it_is_the_original_and_never_awaited_the_run_fails_with_it():
    @pipeline
    def awaited():
        future = fails.submit("awaited")
        with pytest.raises(LookupError, match="awaited"):
            future.load()
        with pytest.raises(LookupError, match="awaited"):
            future.result()

    assert awaited().status == "completed"

    @pipeline
    def unheard():
        fails.submit("unheard")

    with pytest.raises(PipelineRunError, match="failed in 'fails'") as caught:
        unheard()
    assert str(caught.value.__cause__) == "'unheard'" or str(caught.value.__cause__) == "unheard"


def test_item_23_what_the_body_catches_leaves_the_run_completed_called_or_submitted():
    @pipeline
    def caught():
        with pytest.raises(LookupError):
            fails()
        future = fails.submit("d")
        with pytest.raises(LookupError):
            future.wait()
        with pytest.raises(LookupError):
            add(future)
        one()

    run = caught()
    assert run.status == "completed"
    assert statuses(run) == {"fails": "failed", "fails_2": "failed", "add": "skipped", "one": "completed"}


@pytest.mark.parametrize("mode", ["stop_on_failure", "continue_on_failure"])
def test_item_23_who_awaits_a_map_is_told_of_all_of_its_failures(mode):
    @pipeline(execution_mode=mode)
    def caught():
        with pytest.raises(LookupError, match="a"):
            fails.map(["a", "b"]).load()
        one()

    run = caught()
    assert run.status == "completed"
    assert run.get_step("fails").status == "failed"
    assert run.get_step("one").status == "completed"
