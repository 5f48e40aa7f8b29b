"""Which values a call has: from itself, from the configuration, by default."""

import enum
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.interface import read_interface
from lazytrack.steps.parameters import resolve


def train(data: Any, lr: float = 1.0, n: int = 3):
    pass


def resolved(*args, function=train, configured=None, **kwargs):
    return resolve(read_interface(function, "train"), "train", args, kwargs, configured=configured)


def one(value, **options):
    def takes(x):
        pass

    return resolve(read_interface(takes, "takes"), "takes", [value], {}, **options)


def test_the_call_comes_before_the_configured_and_that_before_the_default():
    assert resolved(1).parameters == {"data": 1, "lr": 1.0, "n": 3}
    assert resolved(1, configured={"lr": 2}).parameters == {"data": 1, "lr": 2.0, "n": 3}
    assert resolved(1, configured={"lr": 2}, lr="3").parameters == {"data": 1, "lr": 3.0, "n": 3}
    assert resolved(1, 3, configured={"lr": 2, "n": "4"}).parameters == {"data": 1, "lr": 3.0, "n": 4}


def test_a_default_given_explicitly_is_the_default():
    def takes(x: float = 1):
        pass

    assert repr(resolved(function=takes)) == repr(resolved(1, function=takes))


def test_what_the_entrypoint_does_to_a_configured_value_stays_in_the_call():
    configured = {"data": {"a": [1]}}
    resolved(configured=configured).parameters["data"]["a"].append(2)
    assert configured == {"data": {"a": [1]}}


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ([], {}, "lacks a value for argument 'data'.*parameters={'data': ...}"),
        ([1, 2, 3, 4], {}, r"takes 3 arguments \(data, lr, n\), not 4"),
        ([1], {"dta": 2}, "has no argument 'dta': did you mean 'data'\\? known: data, lr, n"),
        ([1], {"data": 2}, "multiple values for argument 'data'"),
    ],
)
def test_a_call_that_does_not_fit_the_signature_is_refused(args, kwargs, told):
    with pytest.raises(StepInterfaceError, match=f"^step 'train'.*{told}"):
        resolved(*args, **kwargs)


def test_arguments_by_place_alone_are_given_by_place():
    def takes(x, /, y):
        return x, y

    interface = read_interface(takes, "takes")
    assert interface.call(takes, resolve(interface, "takes", [1], {"y": 2}).parameters) == (1, 2)
    with pytest.raises(StepInterfaceError, match="step 'takes': argument 'x' is positional only"):
        resolve(interface, "takes", [], {"x": 1, "y": 2})


class Color(enum.Enum):
    RED = "red"


class Config(pydantic.BaseModel):
    depth: int


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        ({"a": (1, 2.5, "b")}, {"a": [1, 2.5, "b"]}),
        (np.float32(0.5), 0.5),
        (Path("a/b"), "a/b"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
        (Color.RED, "red"),
        (Config(depth=2), {"depth": 2}),
        ({1, 2}, [1, 2]),
    ],
)
def test_parameters_are_what_json_holds_or_stands_for(value, plain):
    found = one(value)
    assert found.parameters["x"] is value
    assert found.plain == {"x": plain}
    assert found.artifacts == {}


@pytest.mark.parametrize(
    "value",
    [
        object(),
        pd.DataFrame({"a": [1]}),
        pd.Series([1]),
        np.zeros(2),
        [np.zeros(2)],
        {"a": {"b": (np.zeros(2),)}},
        len,
        lambda: 1,
        int,
        "\ud800",
    ],
)
def test_what_json_cannot_hold_is_refused_or_else_an_artifact(value):
    with pytest.raises(StepInterfaceError, match=r"^step 'takes', argument 'x': .* JSON cannot hold it: .*Artifact"):
        one(value)
    found = one(value, others_are_artifacts=True)
    assert found.artifacts["x"] is value
    assert found.parameters == found.plain == {}


def test_values_that_hold_themselves_are_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(StepInterfaceError, match="JSON cannot hold it") as caught:
        one(endless)
    assert "nested deeper" in str(caught.value.__cause__)


def test_artifact_inputs_are_left_alone():
    handle = object()
    found = resolve(
        read_interface(train, "train"), "train", [1], {"lr": handle}, is_artifact=lambda value: value is handle
    )
    assert found.artifacts == {"lr": handle}
    assert found.parameters == {"data": 1, "n": 3}
