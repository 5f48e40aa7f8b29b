"""Items 2 to 8 of the acceptance list, as far as steps are declared, configured and called without a run."""

from typing import Annotated, Any, Dict, List, Optional, Tuple  # noqa: UP035  (as users write them)

import pandas as pd
import pytest
import typed_steps
from sklearn.base import ClassifierMixin

from lazytrack.errors import StepInterfaceError
from lazytrack.steps import BaseStep, CachePolicy, ResourceSettings, StepRetryConfig, step
from lazytrack.steps.parameters import resolve

FEATURES = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
LABELS = pd.Series([0, 0, 1, 1])


def outputs(made):
    return list(made.interface.outputs)


# --- 2: output names ---


def test_item_2_one_value_is_output():
    @step
    def one() -> int:
        return 1

    @step
    def unannotated():
        return 1, 2

    assert outputs(one) == outputs(unannotated) == ["output"]


def test_item_2_a_tuple_is_several_by_the_annotation():
    @step
    def written_as_tuple() -> Tuple[int, str]:  # noqa: UP006
        return 1, "a"

    @step
    def written_as_name() -> tuple[int, str]:
        both = 1, "a"
        return both  # noqa: RET504  (the annotation counts, not this)

    assert outputs(written_as_tuple) == outputs(written_as_name) == ["output_0", "output_1"]


def test_item_2_annotated_names_outputs():
    @step
    def named() -> Annotated[int, "answer"]:
        return 42

    @step
    def partly() -> tuple[Annotated[int, "answer"], str]:
        return 42, "a"

    assert outputs(named) == ["answer"]
    assert outputs(partly) == ["answer", "output_1"]
    assert outputs(typed_steps.svc_trainer) == ["trained_model", "training_acc"]
    assert outputs(typed_steps.Trainer()) == ["trained_model"]


def test_item_2_none_is_no_output_and_a_dict_is_one():
    @step
    def nothing() -> None:
        pass

    @step
    def mapping() -> Dict[str, int]:  # noqa: UP006
        return {"a": 1, "b": 2}

    assert outputs(nothing) == []
    assert outputs(mapping) == ["output"]
    assert mapping.call_entrypoint() == {"a": 1, "b": 2}


# --- 3: refused when made ---


def variadic(*args): ...
def keywords(**kwargs): ...
def reserved_after(after): ...
def reserved_id(id): ...
def endless() -> tuple[int, ...]: ...
def endless_typing() -> Tuple[int, ...]: ...  # noqa: UP006
def doubled() -> tuple[Annotated[int, "n"], Annotated[int, "n"]]: ...


@pytest.mark.parametrize(
    "function", [variadic, keywords, reserved_after, reserved_id, endless, endless_typing, doubled]
)
def test_item_3_what_no_step_can_be_is_refused_when_made(function):
    for error in (StepInterfaceError, TypeError):
        with pytest.raises(error, match=f"step '{function.__name__}'"):
            step(function)
    with pytest.raises(StepInterfaceError, match="step 'mine'"):
        step(name="mine")(function)


def test_item_3_a_class_is_refused_when_its_step_is_made():
    class Reserved(BaseStep):
        def entrypoint(self, after: int) -> None:
            pass

    class Nothing(BaseStep):
        pass

    with pytest.raises(StepInterfaceError, match=r"step 'Reserved'.*'after'"):
        Reserved()
    with pytest.raises(TypeError, match="Nothing"):
        Nothing()


def test_item_3_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="'mine'"):
        step(name="mine")("no function")


# --- 4: outputs that are not as declared ---


@pytest.mark.parametrize(
    ("annotation", "returned", "told"),
    [
        (int, "a", "'output': expected int, found str 'a'"),
        (int, None, "expected int, found None"),
        (bool, 1, "expected bool, found int 1"),
        (tuple[int, int], (1, 2, 3), "expected 2 outputs .*found 3"),
        (tuple[int, int], (1,), "expected 2 outputs .*found 1"),
        (tuple[int, int], 1, "expected a tuple of 2 outputs"),
        (tuple[int, Annotated[str, "s"]], (1, 2), "'s': expected str, found int 2"),
        (None, 1, "declared to return nothing, but returned int 1"),
        (pd.DataFrame, {"a": 1}, "expected pandas.*DataFrame, found dict"),
    ],
)
def test_item_4_wrong_type_wrong_count_and_a_value_for_none_are_errors(annotation, returned, told):
    def returns():
        return returned

    returns.__annotations__["return"] = annotation
    with pytest.raises(StepInterfaceError, match=rf"^step 'returns'.*{told}"):
        step(returns).call_entrypoint()


@pytest.mark.parametrize(
    ("annotation", "returned"),
    [(int, True), (float, 1), (float, True), (Any, object), (Optional[int], None)],  # noqa: UP045
)
def test_item_4_nothing_is_coerced_and_what_passes_stays_as_it_is(annotation, returned):
    def returns():
        return returned

    returns.__annotations__["return"] = annotation
    assert step(returns).call_entrypoint() is returned


# --- 5: precedence ---


def test_item_5_call_before_configured_before_default():
    @step
    def rate(lr: float = 0.1) -> float:
        return lr

    configured = rate.with_options(parameters={"lr": 0.2})
    assert rate.call_entrypoint() == 0.1
    assert configured.call_entrypoint() == 0.2
    assert configured.call_entrypoint(lr=0.3) == configured.call_entrypoint(0.3) == 0.3


# --- 6: JSON and types, before anything runs ---


def test_item_6_parameters_that_json_cannot_hold_or_of_another_type_are_refused_before_anything_runs():
    ran = []

    @step
    def train(depth: int, data: Any = None, names: List[str] = ()) -> None:  # noqa: UP006
        ran.append(depth)

    for kwargs, told in [
        ({"depth": "deep"}, "argument 'depth': expected int, found str 'deep'"),
        ({"depth": 1, "data": object()}, "argument 'data': .* JSON cannot hold it"),
        ({"depth": 1, "data": FEATURES}, "argument 'data': .* JSON cannot hold it"),
        ({"depth": 1, "names": "one"}, r"argument 'names': expected List\[str\], found str 'one'"),
        ({}, "argument 'depth'"),
        ({"depth": 1, "dept": 1}, "no argument 'dept': did you mean 'depth'"),
    ]:
        with pytest.raises(StepInterfaceError, match=rf"^step 'train'.*{told}"):
            resolve(train.interface, train.name, (), kwargs)
    with pytest.raises(StepInterfaceError):
        train.call_entrypoint("deep")
    assert ran == []


def test_item_6_unknown_parameters_are_refused_when_they_are_configured():
    with pytest.raises(StepInterfaceError, match=r"step 'svc_trainer'.*'c'.*known: X_train, y_train, C"):
        typed_steps.svc_trainer.with_options(parameters={"c": 1.0})


# --- 7: configuring ---


@step(enable_cache=False, extra={"team": {"name": "a"}}, secrets=["one"])
def configured_step(x: int = 1) -> int:
    """Return what is given."""
    return x


def test_item_7_with_options_leaves_the_original():
    before = configured_step.configuration
    other = configured_step.with_options(enable_cache=True, name="other", parameters={"x": 2})
    assert (configured_step.enable_cache, configured_step.name) == (False, "configured_step")
    assert configured_step.configuration is before
    assert (other.enable_cache, other.name, other.call_entrypoint()) == (True, "other", 2)


def test_item_7_configure_changes_and_returns_self():
    made = configured_step.with_options()
    assert made.configure(enable_cache=True) is made
    assert made.enable_cache is True


def test_item_7_merge_adds_and_without_it_replaces():
    added = configured_step.with_options(extra={"team": {"size": 2}}, secrets=["one", "two"]).configuration
    assert (added.extra, added.secrets) == ({"team": {"name": "a", "size": 2}}, ["one", "two"])
    made = configured_step.with_options()
    made.configure(extra={"team": {"size": 2}}, secrets=["two"], merge=False)
    assert (made.configuration.extra, made.configuration.secrets) == ({"team": {"size": 2}}, ["two"])
    assert made.enable_cache is False


def test_item_7_none_resets_and_what_is_left_out_stays():
    reset = configured_step.with_options(enable_cache=None, extra=None)
    assert reset.enable_cache is reset.configuration.extra is None
    assert reset.configuration.secrets == ["one"]


def test_item_7_name_renames_in_the_decorator_and_in_both_calls():
    assert step(name="a")(configured_step.entrypoint).name == "a"
    assert typed_steps.Trainer(name="b").name == "b"
    assert configured_step.with_options(name="c").name == "c"
    assert configured_step.with_options().configure(name="d").name == "d"
    assert configured_step.with_options(name="c").with_options(name=None).name == "configured_step"


def test_item_7_options_are_given_as_users_give_them():
    def alert(error):
        pass

    made = step(
        enable_cache=True,
        retry=StepRetryConfig(max_retries=3, delay=10, backoff=2),
        settings={"resources": ResourceSettings(cpu_count=2, gpu_count=1, memory="2GiB")},
        on_failure=alert,
        on_success="builtins.print",
        cache_policy=CachePolicy(expires_after=3600),
        environment={"THREADS": 2},
        step_operator="cluster",
        runtime="isolated",
        group="training",
    )(configured_step.entrypoint)
    assert made.configuration.retry.backoff == 2
    assert made.configuration.resources.memory_bytes == 2 * 2**30
    assert made.configuration.on_failure is alert
    assert made.configuration.environment == {"THREADS": "2"}
    assert made.docstring == "Return what is given."


# --- 8: call_entrypoint ---


def test_item_8_call_entrypoint_coerces():
    assert configured_step.call_entrypoint("3") == 3
    assert configured_step.call_entrypoint(x=3.0) == 3
    with pytest.raises(StepInterfaceError, match="step 'configured_step', argument 'x'"):
        configured_step.call_entrypoint("three")


def test_item_8_a_training_step_is_given_data_frames():
    model, accuracy = typed_steps.svc_trainer.call_entrypoint(FEATURES, LABELS, C="10")
    assert isinstance(model, ClassifierMixin)
    assert model.C == 10.0
    assert 0.5 <= accuracy <= 1
    assert isinstance(typed_steps.Trainer().call_entrypoint(X_train=FEATURES, y_train=LABELS), ClassifierMixin)
    with pytest.raises(StepInterfaceError, match=r"'y_train': expected pandas.*Series, found pandas.*DataFrame"):
        typed_steps.svc_trainer.call_entrypoint(FEATURES, FEATURES)


def test_item_8_nothing_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configured_step.call_entrypoint()
    assert list(tmp_path.iterdir()) == []
