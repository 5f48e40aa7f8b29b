"""What a step takes and returns, as its signature says it."""

import typing
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NewType, Optional, Protocol, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pydantic
import pytest

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.annotations import accepts
from lazytrack.steps.interface import read_interface

T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
OneOf = TypeVar("OneOf", int, str)
Rate = NewType("Rate", float)


class Options(TypedDict):
    depth: int


class Model(pydantic.BaseModel):
    depth: int


class Sized(Protocol):
    def size(self) -> int: ...


def returning(annotation):
    def entrypoint():
        pass

    entrypoint.__annotations__["return"] = annotation
    return read_interface(entrypoint, "s")


def taking(annotation, default=...):
    def entrypoint(x=default):
        pass

    entrypoint.__annotations__["x"] = annotation
    return read_interface(entrypoint, "s").inputs["x"]


# --- outputs ---


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        (int, ["output"]),
        (Any, ["output"]),
        (dict[str, int], ["output"]),
        (tuple, ["output"]),
        (typing.Tuple, ["output"]),  # noqa: UP006
        (tuple[int, str], ["output_0", "output_1"]),
        (typing.Tuple[int, str], ["output_0", "output_1"]),  # noqa: UP006
        (tuple[int], ["output_0"]),
        (Annotated[int, "n"], ["n"]),
        (Annotated[int, pydantic.Field(gt=0), "n"], ["n"]),
        (Annotated[int, pydantic.Field(gt=0)], ["output"]),
        (Annotated[tuple[int, ...], "n"], ["n"]),
        (Annotated[tuple[int, int], "n"], ["n"]),
        (Annotated[tuple[int, int], {"not": "hashable"}], ["output_0", "output_1"]),
        (tuple[Annotated[int, "n"], str], ["n", "output_1"]),
        (tuple["Annotated[int, 'n']", "pd.DataFrame"], ["n", "output_1"]),
        (tuple[int, None], ["output_0", "output_1"]),
        (Optional[int], ["output"]),  # noqa: UP045
        (None, []),
        (typing.NoReturn, []),
    ],
)
def test_the_annotation_names_the_outputs(annotation, names):
    assert list(returning(annotation).outputs) == names


def test_without_an_annotation_there_is_one_output_of_any_type():
    interface = read_interface(lambda: None, "s")
    assert interface.outputs_in({"any": "thing"}, "s") == {"output": {"any": "thing"}}
    assert interface.outputs_in((1, 2), "s") == {"output": (1, 2)}
    assert interface.outputs_in(None, "s") == {"output": None}


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (tuple[int, ...], r"returns tuple\[int, ...\], which does not say how many"),
        (typing.Tuple[int, ...], "does not say how many"),  # noqa: UP006
        (tuple[()], "does not say how many"),
        (tuple[Annotated[int, "n"], Annotated[int, "n"]], "two outputs 'n'"),
        (tuple[Annotated[int, "output_1"], int], "two outputs 'output_1'"),
        (Annotated[int, "a", "b"], "2 names: 'a', 'b'"),
        (Annotated[int, " "], "an empty name"),
        ("Absent", "the return annotation, 'Absent', cannot be resolved"),
        ("1 +", "cannot be resolved"),
    ],
)
def test_outputs_that_cannot_be_told_apart_are_refused_when_made(annotation, told):
    with pytest.raises(StepInterfaceError, match=rf"^step 's'.*{told}"):
        returning(annotation)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [1, True], [1.0, "1", None, np.int64(1)]),
        (float, [1.0, 1, True, np.float64(1)], ["1", None, 1j]),
        (complex, [1j, 1.0, 1], ["1"]),
        (str, ["a"], [b"a", None]),
        (bool, [True], [1]),
        (object, [None, 1], []),
        (list[int], [[1], ["not looked at"]], [(1,), None]),
        (int | None, [1, None], ["1"]),
        (typing.Union[int, str], [1, "a"], [None]),  # noqa: UP007
        (Literal["a", 1], ["a", 1], ["b", True]),
        (pd.DataFrame, [pd.DataFrame()], [pd.Series(dtype=float), {}]),
        (npt.NDArray[np.float64], [np.zeros(2)], [[0.0]]),
        (type[int], [int, bool], [str, 1]),
        (type[Any], [str], [1]),
        (Callable[[], int], [len], [1]),
        (Iterable[int], [[1], (x for x in [1])], [1]),
        (Options, [{"depth": 1}], [[1]]),
        (Model, [Model(depth=1)], [{"depth": 1}]),
        (T, [1, None], []),
        (Bound, [1], ["1"]),
        (OneOf, [1, "1"], [1.0]),
        (Rate, [1.0, 1], ["1"]),
        (Sized, [1, None], []),
        (typing.LiteralString, ["a", 1], []),
        (Annotated[None, "output"], [None], [0]),
        (Any, [1, None], []),
    ],
)
def test_outputs_are_checked_by_isinstance_and_stay_what_they_are(annotation, good, bad):
    interface = returning(annotation)
    for value in good:
        assert interface.outputs_in(value, "s")["output"] is value
    for value in bad:
        with pytest.raises(StepInterfaceError, match=r"step 's', output 'output': expected .*, found "):
            interface.outputs_in(value, "s")


def test_an_alias_of_a_type_means_that_type():
    class Alias:  # as `type Alias = list[int]` makes one from Python 3.12 on
        def __init__(self, value):
            self.__value__ = value

    assert accepts(Alias(list[int]), [1])
    assert not accepts(Alias(list[int]), 1)
    assert accepts(Alias(None), None)
    assert not accepts(Alias(None), 1)


def test_errors_of_outputs_name_step_output_expected_and_found():
    interface = returning(tuple[Annotated[pd.DataFrame, "table"], float])
    assert interface.outputs_in([frame := pd.DataFrame(), 1], "s") == {"table": frame, "output_1": 1}
    for returned, told in [
        ((None, 1.0), r"^step 's', output 'table': expected pandas.*\.?DataFrame, found None$"),
        ((pd.DataFrame(), "a"), "^step 's', output 'output_1': expected float, found str 'a'$"),
        ((1, 2, 3), r"^step 's': expected 2 outputs \(table, output_1\), found 3$"),
        (None, r"^step 's': expected a tuple of 2 outputs \(table, output_1\), found None$"),
        ({"table": 1, "output_1": 2}, "expected a tuple of 2 outputs .* found dict"),
    ]:
        with pytest.raises(StepInterfaceError, match=told):
            interface.outputs_in(returned, "s")


def test_a_step_that_is_declared_to_return_nothing_returns_nothing():
    interface = returning(None)
    assert interface.outputs_in(None, "s") == {}
    with pytest.raises(StepInterfaceError, match="step 's' is declared to return nothing, but returned int 0"):
        interface.outputs_in(0, "s")


# --- inputs ---


def test_inputs_have_annotations_and_defaults():
    def entrypoint(a, /, b: "pd.DataFrame", *, c: int = 3):
        pass

    inputs = read_interface(entrypoint, "s").inputs
    assert [(i.name, i.annotation, i.default) for i in inputs.values()] == [
        ("a", Any, inputs["a"].default),
        ("b", pd.DataFrame, inputs["a"].default),
        ("c", int, 3),
    ]


@pytest.mark.parametrize(
    ("annotation", "value", "coerced"),
    [
        (int, "3", 3),
        (int, 3.0, 3),
        (int, np.int64(3), 3),
        (float, "0.5", 0.5),
        (float, np.float32(0.5), 0.5),
        (float, np.array(0.5), 0.5),
        (bool, "yes", True),
        (list[int], ["1", 2], [1, 2]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (typing.Tuple[int, str], [1, "a"], (1, "a")),  # noqa: UP006
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (int | None, "3", 3),
        (Literal["a"], "a", "a"),
        (Model, {"depth": "2"}, Model(depth=2)),
        (Model | None, {"depth": 2}, Model(depth=2)),
        (Options, {"depth": 2}, {"depth": 2}),
        (list[Options], [{"depth": 2}], [{"depth": 2}]),
        (Annotated[int, pydantic.Field(gt=0)], "1", 1),
        (Rate, "0.5", 0.5),
        (Any, "3", "3"),
        (object, "3", "3"),
        (Iterable[int], [1], [1]),
    ],
)
def test_inputs_are_coerced_to_what_the_annotation_says(annotation, value, coerced):
    found = taking(annotation).coerce(value, "s")
    assert found == coerced
    assert type(found) is type(coerced)


def test_types_that_pydantic_does_not_know_are_checked_by_isinstance():
    frame, array = pd.DataFrame(), np.zeros(2)
    assert taking(pd.DataFrame).coerce(frame, "s") is frame
    assert taking(list[pd.DataFrame]).coerce([frame], "s")[0] is frame
    assert taking(pd.DataFrame | None).coerce(frame, "s") is frame
    assert taking(npt.NDArray[np.float64]).coerce(array, "s") is array
    assert taking(list[npt.NDArray[np.float64]]).coerce([array], "s")[0] is array
    for annotation, value in [
        (pd.DataFrame, {}),
        (list[pd.DataFrame], [{}]),
        (pd.DataFrame | None, 1),
        (npt.NDArray[np.float64], [0.0]),
        (list[npt.NDArray[np.float64]], 1),
    ]:
        with pytest.raises(StepInterfaceError, match=r"step 's', argument 'x': expected .*, found "):
            taking(annotation).coerce(value, "s")


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        (int, "three", "expected int, found str 'three' .*valid integer"),
        (int, None, "expected int, found None"),
        (str, 3, "expected str, found int 3"),
        (list[int], [1, "a"], r"expected list\[int\], found list .* \(1: .*valid integer"),
        (Annotated[int, pydantic.Field(gt=0)], 0, "greater than 0"),
        (Literal["a"], "b", "found str 'b'"),
    ],
)
def test_errors_of_inputs_name_step_argument_expected_and_found(annotation, value, told):
    with pytest.raises(StepInterfaceError, match=rf"^step 's', argument 'x': .*{told}"):
        taking(annotation).coerce(value, "s")


def test_none_passes_where_it_is_the_default():
    assert taking(int, None).coerce(None, "s") is None


def test_a_value_whose_repr_raises_is_refused_all_the_same():
    class Shy:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(StepInterfaceError, match=r"expected int, found .*Shy"):
        taking(int).coerce(Shy(), "s")


# --- what no step can be ---


def variadic(*args): ...
def keywords(**kwargs): ...
def later(after): ...
def named(id=1): ...
def unresolved(x: "Absent"): ...  # noqa: F821
async def waiting(): ...
async def streaming():
    yield 1


@pytest.mark.parametrize(
    ("entrypoint", "told"),
    [
        (variadic, r"takes \*args"),
        (keywords, r"takes \*\*kwargs"),
        (later, "argument 'after'"),
        (named, "argument 'id'"),
        (unresolved, "the annotation of argument 'x', 'Absent', cannot be resolved"),
        (waiting, "async"),
        (streaming, "async"),
    ],
)
def test_a_signature_that_no_step_can_have_is_refused_when_made(entrypoint, told):
    with pytest.raises(StepInterfaceError, match=rf"^step 's'.*{told}"):
        read_interface(entrypoint, "s")
