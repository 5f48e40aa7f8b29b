import argparse
import dataclasses
import enum
import functools
import json
import math
import operator
import sys
import threading
import time as clock
import types
from collections import OrderedDict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lazytrack import codec, naming
from lazytrack.artifacts import StoredFile

unhurried = settings(deadline=None, max_examples=200)

NAN, INFINITY = math.nan, math.inf
HOUR = timedelta(hours=1)
LR = "parameter 'lr'"


def exactly(value):
    """Return what tells values apart that compare equal, such as 1, 1.0 and True, and not NaN from itself."""
    return repr(value)


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    NOTHING = None


class Size(enum.IntEnum):
    LARGE = 3


class Mode(str, enum.Enum):  # noqa: UP042  (what people wrote before there was StrEnum)
    FAST = "fast"


class Kind(enum.StrEnum):
    TREE = "tree"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: float


Pair = namedtuple("Pair", "left right")  # noqa: PYI024  (people log these too)


@dataclasses.dataclass
class Optimizer:
    name: str
    betas: tuple[float, float] = (0.9, 0.999)


@dataclasses.dataclass
class Box:
    content: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Training:
    optimizer: Optimizer
    out: Path = Path("out")


@attrs.frozen
class Layer:
    width: int
    _dropout: float = 0.5


class Model(pydantic.BaseModel):
    depth: int
    color: Color = Color.RED
    layers: list[int] = [3, 4]


class Widths(pydantic.RootModel):
    root: list[int]


class Dumping:
    def model_dump(self):
        return {"a": np.int64(1), "b": Path("x")}


class Tensor:
    """What torch's tensors show of themselves."""

    def __init__(self, value):
        self.value = value

    def tolist(self):
        return self.value

    def size(self):
        return len(self.value) if isinstance(self.value, list) else 1


class Measured:
    def __float__(self):
        return 2.5


class Moody:
    def __repr__(self):
        raise RuntimeError("no words")


class Endless:
    def __float__(self):
        return INFINITY


class Unmeasured(Moody):
    def __float__(self):
        raise TypeError("not a plain number")


class Word(str):
    __slots__ = ()

    def __str__(self):
        return "something else"


def train():
    """Stand for a function that is logged as a parameter."""


# --- logged -> plain ---

PLAIN = [
    (None, None),
    (True, True),
    (1, 1),
    (1.5, 1.5),
    (-0.0, -0.0),
    ("ä 模型 🚀", "ä 模型 🚀"),
    (Word("word"), "word"),
    # numpy's scalars
    (np.True_, True),
    (np.int8(-3), -3),
    (np.int64(2**62), 2**62),
    (np.uint8(200), 200),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.intp(7), 7),
    (np.float16(0.5), 0.5),
    (np.float32(0.25), 0.25),
    (np.float64(0.1), 0.1),
    (np.longdouble(1.5), 1.5),
    (np.str_("text"), "text"),
    (np.float32("nan"), NAN),
    (np.float64("-inf"), -INFINITY),
    (np.datetime64("2026-11-20T08:22:33"), "2026-11-20T08:22:33.000000Z"),
    (np.datetime64("2026-11-20T08:22:33.123456789"), "2026-11-20T08:22:33.123456Z"),
    (np.datetime64("2026-11-20"), "2026-11-20"),
    (np.datetime64("NaT", "ns"), None),
    (np.timedelta64(5, "s"), 5.0),
    (np.timedelta64(5 * 10**9, "ns"), 5.0),
    # arrays
    (np.array(5), 5),
    (np.array(2.5), 2.5),
    (np.array("text"), "text"),
    (np.array([]), []),
    (np.array([1, 2, 3]), [1, 2, 3]),
    (np.array([[1.0, NAN], [3.0, INFINITY]]), [[1.0, NAN], [3.0, INFINITY]]),
    (np.asfortranarray([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array([True, False]), [True, False]),
    (np.array([np.longdouble(1.5)]), [1.5]),
    (np.array([Path("a"), {"b": (1,)}], dtype=object), ["a", {"b": [1]}]),
    (np.array(["2026-11-20T08:22:33"], dtype="datetime64[ns]"), ["2026-11-20T08:22:33.000000Z"]),
    (Tensor([1.0, 2.0]), [1.0, 2.0]),
    (Tensor(1.0), 1.0),
    (np.dtype("f4"), "float32"),
    # pandas
    (pd.Timestamp("2026-11-20 08:22", tz="Europe/Berlin"), "2026-11-20T07:22:00.000000Z"),
    (pd.Timestamp("2026-11-20 08:22"), "2026-11-20T08:22:00.000000Z"),
    (pd.Timedelta("90s"), 90.0),
    (pd.NaT, None),
    (pd.NA, None),
    (pd.Series([1, 2.5, None]), [1.0, 2.5, NAN]),
    (pd.Series([1, None], dtype="Int64"), [1, None]),
    (pd.Index(["a", "b"]), ["a", "b"]),
    (pd.Categorical(["a", "b", "a"]), ["a", "b", "a"]),
    (pd.DatetimeIndex(["2026-11-20", None]), ["2026-11-20T00:00:00.000000Z", None]),
    # paths
    (PurePosixPath("a/b"), "a/b"),
    (Path("a") / "b", str(Path("a") / "b")),
    # times
    (datetime(2026, 11, 20, 8, 22), "2026-11-20T08:22:00.000000Z"),  # noqa: DTZ001  (one without a zone is UTC)
    (datetime(2026, 11, 20, 8, 22, 0, 5, timezone(2 * HOUR)), "2026-11-20T06:22:00.000005Z"),
    (datetime(5, 1, 1, tzinfo=UTC), "0005-01-01T00:00:00.000000Z"),
    (date(2026, 11, 20), "2026-11-20"),
    (time(8, 22, 33), "08:22:33"),
    (timedelta(minutes=2, microseconds=1), 120.000001),
    # enumerations
    (Color.RED, "red"),
    (Color.PAIR, [1, 2]),
    (Color.NOTHING, None),
    (Size.LARGE, 3),
    (Mode.FAST, "fast"),
    (Kind.TREE, "tree"),
    (Access.READ | Access.WRITE, 3),
    # containers
    ([1, (2, [3])], [1, [2, [3]]]),
    ((), []),
    (Point(1, 2.5), [1, 2.5]),
    (Pair(1, "b"), [1, "b"]),
    (range(3), [0, 1, 2]),
    ({"b", "a"}, ["a", "b"]),
    (frozenset([(2, 1)]), [[2, 1]]),
    (set(), []),
    ({"x": 1}.keys(), ["x"]),
    ({"a": {"b": {1.5}}}, {"a": {"b": [1.5]}}),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    # records
    (Optimizer("adam"), {"name": "adam", "betas": [0.9, 0.999]}),
    (Training(Optimizer("sgd")), {"optimizer": {"name": "sgd", "betas": [0.9, 0.999]}, "out": "out"}),
    (Layer(width=8), {"width": 8, "_dropout": 0.5}),
    (Model(depth=2), {"depth": 2, "color": "red", "layers": [3, 4]}),
    (Widths([1, 2]), [1, 2]),
    (argparse.Namespace(lr=0.1, out=Path("out")), {"lr": 0.1, "out": "out"}),
    (types.SimpleNamespace(a={1}), {"a": [1]}),
    (Dumping(), {"a": 1, "b": "x"}),
    # other numbers
    (Decimal("0.10"), "0.10"),
    (Fraction(1, 4), 0.25),
    (UUID("00000000-0000-0000-0000-00000000000a"), "00000000-0000-0000-0000-00000000000a"),
    (10**400, 10**400),
    (-(2**63) - 1, -(2**63) - 1),
    # what has a name
    (train, f"{__name__}.train"),
    (Optimizer, f"{__name__}.Optimizer"),
    (Model, f"{__name__}.Model"),
    (Tensor, f"{__name__}.Tensor"),
    (np.float32, "numpy.float32"),
    (len, "builtins.len"),
]


@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=lambda value: type(value).__name__)
def test_what_people_log_becomes_the_json_it_stands_for(value, expected):
    assert exactly(codec.plain(value, LR)) == exactly(expected)


@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=lambda value: type(value).__name__)
def test_what_people_log_in_a_container_becomes_the_same(value, expected):
    assert exactly(codec.plain({"a": [value]}, LR)) == exactly({"a": [expected]})


@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=lambda value: type(value).__name__)
def test_what_people_log_survives_the_way_through_a_file(value, expected):
    plain = codec.plain(value, LR)
    assert exactly(codec.unstore(codec.loads(codec.dumps(codec.store(plain))))) == exactly(expected)


@pytest.fixture
def far_from_utc(monkeypatch):
    """Put the machine into a zone nine hours east of UTC."""
    if not hasattr(clock, "tzset"):
        pytest.skip("this system does not let a process choose its zone")
    with monkeypatch.context() as patching:
        patching.setenv("TZ", "XXX-9")
        clock.tzset()
        yield
    clock.tzset()


def test_a_time_without_a_zone_is_utc_wherever_the_machine_stands(far_from_utc):
    naive = datetime(2026, 11, 20, 8, 22)  # noqa: DTZ001  (the subject)
    assert naive.astimezone(UTC).hour == 23
    assert codec.plain(naive, LR) == "2026-11-20T08:22:00.000000Z"
    assert codec.parse_time("2026-11-20T08:22:00") == naive.replace(tzinfo=UTC)
    assert codec.plain(np.datetime64("2026-11-20T08:22:00"), LR) == "2026-11-20T08:22:00.000000Z"


@unhurried
@given(st.permutations(["b", "a", 10, 9, "10", 2**70, -1, "é"]))
def test_equal_sets_become_equal_lists(items):
    assert codec.plain(set(items), LR) == codec.plain({"b", "a", 10, 9, "10", 2**70, -1, "é"}, LR)


def test_a_plain_value_is_a_copy():
    inner = [1]
    logged = {"a": inner}
    plain = codec.plain(logged, LR)
    inner.append(2)
    logged["b"] = 3
    assert plain == {"a": [1]}


# --- refusals ---

UNKNOWN_TYPES = [
    b"bytes",
    bytearray(b"bytes"),
    np.bytes_(b"bytes"),
    np.array([b"bytes"]),
    1j,
    np.complex128(1j),
    object(),
    Moody(),
    threading.Lock(),
    iter([1]),
    deque([1]),
    operator.itemgetter(1),
    functools.partial(train),
    list[int],
    Ellipsis,
]

holds_itself: list[Any] = []
holds_itself.append(holds_itself)
maps_to_itself: dict[str, Any] = {}
maps_to_itself["a"] = maps_to_itself


def nested(wrap, depth, innermost):
    value = innermost
    for _ in range(depth):
        value = wrap(value)
    return value


BAD_VALUES = [
    "half a pair \ud800",
    Word("\udfff"),
    Path("\udcff"),
    {"\ud800": 1},
    {Path("\udcff"): 1},
    {Color.RED: 1, "red": 2},
    {1: "a", "1": "b"},
    {None: "a", "null": "b"},
    {True: "a", "true": "b"},
    holds_itself,
    maps_to_itself,
    nested(lambda value: [value], 101, 1),
    nested(lambda value: [value], 100_000, 1),
    nested(lambda value: {"a": value}, 101, []),
    nested(Color, 0, 10**5000),
    -(10**5000),
    {10**5000: 1},
    Fraction(10**400),
    range(0, 2 * codec.MAX_ARRAY + 1, 2),
    range(0, -3 * codec.MAX_ARRAY - 1, -3),
    range(10**15),
    range(10**30),
    np.zeros(codec.MAX_ARRAY + 1),
    np.zeros((101, 100)),
    Tensor([0.0] * (codec.MAX_ARRAY + 1)),
    datetime.min.replace(tzinfo=timezone(HOUR)),
    datetime.max.replace(tzinfo=timezone(-HOUR)),
]


def shortly(value):
    return type(value).__name__


@pytest.mark.parametrize("value", UNKNOWN_TYPES, ids=shortly)
def test_what_json_cannot_hold_is_refused_by_name_with_a_way_out(value):
    for logged in (value, [value], {"a": (value,)}, Optimizer(name=value)):
        with pytest.raises(TypeError, match=r"^parameter 'lr' .*log_artifact\(") as caught:
            codec.plain(logged, LR)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", BAD_VALUES, ids=shortly)
def test_what_is_too_deep_too_large_or_no_unicode_is_refused_by_name(value):
    for logged in (value, [value], {"a": (value,)}):
        with pytest.raises(ValueError, match="parameter 'lr'") as caught:
            codec.plain(logged, LR)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", [(1, 2), b"a", frozenset(), object(), Moody(), Color.PAIR], ids=shortly)
def test_a_key_that_json_cannot_hold_is_refused_by_name(key):
    with pytest.raises(TypeError, match=r"^parameter 'lr' has a key that JSON cannot hold: "):
        codec.plain({"a": {key: 1}}, LR)


def test_a_large_array_is_refused_with_its_size_and_a_way_out():
    with pytest.raises(ValueError, match=r"is an array of 10001 elements; above 10000 log it .*log_artifact\("):
        codec.plain(np.zeros(10_001), LR)


def test_the_largest_array_is_taken():
    assert codec.plain(np.zeros((100, 100)), LR) == [[0.0] * 100] * 100
    assert codec.plain(range(codec.MAX_ARRAY), LR) == list(range(codec.MAX_ARRAY))


def test_a_list_may_be_longer_than_an_array():
    assert codec.plain([1] * (codec.MAX_ARRAY + 1), LR) == [1] * (codec.MAX_ARRAY + 1)


@pytest.mark.parametrize(
    "wrap",
    [lambda value: [value], lambda value: (value,), lambda value: {"dict": value}, Box],
    ids=["list", "tuple", "dict", "dataclass"],
)
@pytest.mark.parametrize("innermost", [1, "text", NAN, 2**70, None, [], {}], ids=repr)
def test_a_hundred_nested_containers_are_taken_and_can_be_stored(wrap, innermost):
    depth = codec.MAX_DEPTH - isinstance(innermost, (list, dict))
    plain = codec.plain(nested(wrap, depth, innermost), LR)
    in_a_document = {"patches": [{"set": {"parameters.lr": codec.store(plain)}}]}
    read = codec.loads(codec.dumps(in_a_document))
    assert exactly(codec.unstore(read["patches"][0]["set"]["parameters.lr"])) == exactly(plain)
    with pytest.raises(ValueError, match="parameter 'lr' is nested deeper than 100 containers"):
        codec.plain(nested(wrap, depth + 1, innermost), LR)


def test_an_integer_of_as_many_digits_as_python_writes_is_kept_exactly():
    digits = sys.get_int_max_str_digits() or 4300
    for value in (10**digits - 1, 1 - 10**digits):
        plain = codec.plain(value, LR)
        assert codec.unstore(codec.loads(codec.dumps(codec.store(plain)))) == value
    with pytest.raises(ValueError, match=f"^parameter 'lr' is an integer of more than {digits} digits$"):
        codec.plain(10**digits, LR)


def test_an_object_whose_repr_raises_is_still_refused_by_type():
    with pytest.raises(TypeError, match=r"^parameter 'lr' cannot be held as JSON: Moody "):
        codec.plain(Moody(), LR)


# --- keys ---


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (1, "1"),
        (-2.5, "-2.5"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (NAN, "nan"),
        (np.int64(3), "3"),
        (Fraction(1, 3), "1/3"),
        (date(2026, 11, 20), "2026-11-20"),
        (PurePosixPath("a/b"), "a/b"),
        (Size.LARGE, "3"),
        (Mode.FAST, "fast"),
        (Kind.TREE, "tree"),
        (Color.RED, "red"),
        (Word("word"), "word"),
        ("", ""),
    ],
    ids=shortly,
)
def test_keys_that_are_no_strings_become_strings(key, name):
    assert exactly(codec.plain({key: 1}, LR)) == exactly({name: 1})


def test_a_collision_of_keys_names_the_key():
    with pytest.raises(ValueError, match=r"^parameter 'lr' has two keys that are '1' in JSON$"):
        codec.plain({"a": {1: "a", "1": "b"}}, LR)


# --- metrics ---

AUC = "metric 'auc'"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (1, 1),
        (2**53 + 1, 2**53 + 1),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (2**64, float(2**64)),
        (-(2**63) - 1, -float(2**63)),
        (10**300, 1e300),
        (True, 1),
        (Size.LARGE, 3),
        (NAN, NAN),
        (-INFINITY, -INFINITY),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.int32(7), 7),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.True_, 1),
        (np.float16("nan"), NAN),
        (np.array(0.5), 0.5),
        (np.array([1, 2]), [1, 2]),
        (np.array([[1.0, INFINITY]]), [[1.0, INFINITY]]),
        (Tensor(0.5), 0.5),
        (Tensor([0.5, 1]), [0.5, 1]),
        (Decimal("0.5"), 0.5),
        (Decimal("Infinity"), INFINITY),
        (Fraction(1, 4), 0.25),
        (Measured(), 2.5),
        (Endless(), INFINITY),
        ([1, np.float64(2.5), (3,)], [1, 2.5, [3]]),
        ([], []),
    ],
    ids=shortly,
)
def test_whatever_is_a_number_is_a_metric(value, expected):
    number = codec.number(value, AUC)
    assert exactly(number) == exactly(expected)
    assert exactly(codec.unstore_number(codec.loads(codec.dumps(codec.store_number(number))))) == exactly(number)


NO_NUMBERS = [
    "0.5",
    np.str_("0.5"),
    b"0.5",
    None,
    1j,
    np.complex128(1j),
    {"a": 1},
    {1.0},
    range(3),
    object(),
    Mode.FAST,
    Color.RED,
    date(2026, 11, 20),
    timedelta(1),
    np.timedelta64(1, "s"),
    np.timedelta64(1, "ns"),
    np.datetime64("2026-11-20T08:22:33.123456789"),
    np.array(["a"]),
    Moody(),
    Unmeasured(),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=shortly)
def test_what_is_no_number_is_no_metric(value):
    for logged in (value, [1.0, value]):
        with pytest.raises(TypeError, match=r"^metric 'auc' must be a number or a list of numbers, not "):
            codec.number(logged, AUC)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**5000, Fraction(10**400), Decimal("1e400"), Decimal("sNaN")], ids=shortly
)
def test_a_number_that_fits_no_float_is_no_metric(value):
    for logged in (value, [1.0, value]):
        with pytest.raises(ValueError, match=r"^metric 'auc' does not fit a float: ") as caught:
            codec.number(logged, AUC)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "value",
    [holds_itself, nested(lambda value: [value], 300, 1.0), nested(lambda value: (value,), 100_000, 1.0)],
    ids=["itself", "300", "100000"],
)
def test_a_metric_that_no_file_could_hold_is_refused_when_it_is_logged(value):
    with pytest.raises(ValueError, match=r"^metric 'auc' is nested deeper than "):
        codec.number(value, AUC)


# --- text ---


@pytest.mark.parametrize("value", ["", "plain", "ä 模型 🚀", "nul\0"], ids=ascii)
def test_text_is_itself(value):
    assert codec.text(value, "a tag") == value


@pytest.mark.parametrize("value", [Word("fast"), np.str_("fast"), Mode.FAST], ids=shortly)
def test_text_of_a_class_derived_from_str_is_the_characters_it_holds(value):
    assert type(codec.text(value, "a tag")) is str
    assert codec.text(value, "a tag") == "fast"


@pytest.mark.parametrize("value", [None, 1, b"bytes", Path("a"), Moody(), Color.RED], ids=shortly)
def test_what_is_no_string_is_no_text(value):
    with pytest.raises(TypeError, match=r"^a tag must be a string, not "):
        codec.text(value, "a tag")


@pytest.mark.parametrize("value", ["\ud800", "ok \udfff", "\ud83d\ude80"[0]], ids=ascii)
def test_half_a_surrogate_pair_is_no_text(value):
    with pytest.raises(ValueError, match=r"^a tag is not valid Unicode: "):
        codec.text(value, "a tag")


# --- plain <-> stored ---

integers = st.one_of(
    st.integers(), st.integers(-(2**200), 2**200), st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63)])
)
keys = st.one_of(st.sampled_from(["float", "int", "dict", "a"]), st.text(max_size=5))
texts = st.one_of(st.text(max_size=10), st.sampled_from(["NaN", "Infinity", "-Infinity", "12"]))
plains = st.recursive(
    st.one_of(st.none(), st.booleans(), integers, st.floats(), texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


@settings(unhurried, max_examples=500)
@given(plains)
@example({"float": "NaN"})
@example({"int": "5"})
@example({"dict": {"float": "NaN"}})
@example({"dict": {"dict": {"dict": {"int": 2**70}}}})
@example({"dict": NAN})
@example({"float": {"int": {"dict": [NAN, 2**64]}}})
@example([NAN, INFINITY, -INFINITY, -0.0, 5e-324, 1e308, 2**64, -(2**63) - 1])
def test_every_plain_value_comes_back_from_strict_json(value):
    data = codec.dumps(codec.store(value))
    by_others = json.loads(data, parse_constant=refuse_constant)
    assert exactly(by_others) == exactly(codec.loads(data))
    assert exactly(codec.unstore(by_others)) == exactly(value)
    assert exactly(codec.plain(value, LR)) == exactly(value)


@unhurried
@given(st.recursive(st.floats() | st.integers(-(2**63), 2**64 - 1), lambda inner: st.lists(inner, max_size=4)))
def test_every_metric_comes_back_from_strict_json(value):
    data = codec.dumps(codec.store_number(value))
    by_others = json.loads(data, parse_constant=refuse_constant)
    assert exactly(codec.unstore_number(by_others)) == exactly(value)
    assert exactly(codec.number(value, AUC)) == exactly(value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (NAN, {"float": "NaN"}),
        (INFINITY, {"float": "Infinity"}),
        (-INFINITY, {"float": "-Infinity"}),
        (2**64 - 1, 2**64 - 1),
        (2**64, {"int": "18446744073709551616"}),
        (-(2**63) - 1, {"int": "-9223372036854775809"}),
        ({"float": "NaN"}, {"dict": {"float": "NaN"}}),
        ({"int": 1}, {"dict": {"int": 1}}),
        ({"dict": {}}, {"dict": {"dict": {}}}),
        ({"float": 1, "int": 2}, {"float": 1, "int": 2}),
        ({"floats": 1}, {"floats": 1}),
        ([{"a": NAN}], [{"a": {"float": "NaN"}}]),
    ],
    ids=repr,
)
def test_what_strict_json_cannot_say_is_spelled_as_documented(value, stored):
    assert codec.store(value) == stored
    assert exactly(codec.unstore(stored)) == exactly(value)


@pytest.mark.parametrize(
    ("value", "stored"), [(NAN, "NaN"), ([INFINITY, 1], ["Infinity", 1]), ([[-INFINITY]], [["-Infinity"]])], ids=repr
)
def test_in_number_fields_nan_and_infinities_are_strings(value, stored):
    assert codec.store_number(value) == stored
    assert exactly(codec.unstore_number(stored)) == exactly(value)


def test_a_stored_value_does_not_follow_later_changes():
    inner = [1]
    value = {"a": {"b": inner}, "dict": inner}
    stored, number = codec.store(value), codec.store_number(inner)
    inner.append(2)
    value["a"]["c"] = 3
    assert stored == {"a": {"b": [1]}, "dict": [1]}
    assert number == [1]


def test_a_value_read_does_not_follow_later_changes_of_what_it_was_read_from():
    stored = {"a": [1], "b": {"dict": {"int": [2]}}}
    value, number = codec.unstore(stored), codec.unstore_number(stored["a"])
    stored["a"].append(3)
    stored["b"]["dict"]["int"].append(4)
    assert value == {"a": [1], "b": {"int": [2]}}
    assert number == [1]


@pytest.mark.parametrize(
    "stored",
    [
        {"int": "abc"},
        {"int": ""},
        {"int": "9" * 5000},
        {"int": 5},
        {"int": None},
        {"float": "x"},
        {"float": "nan"},
        {"float": 1.5},
        {"dict": 3},
        {"dict": "text"},
        {"dict": [1]},
        {"double": "NaN"},
        {"float": "NaN", "note": "of a later version"},
    ],
    ids=lambda stored: repr(stored)[:40],
)
def test_an_escape_that_is_not_known_is_left_as_it_is(stored):
    assert codec.unstore(stored) == stored
    assert codec.unstore([{"a": stored}]) == [{"a": stored}]


@pytest.mark.parametrize("stored", ["nan", "x", None, True], ids=repr)
def test_a_metric_that_is_not_known_is_left_as_it_is(stored):
    assert codec.unstore_number(stored) == stored
    assert codec.unstore_number([stored]) == [stored]


@pytest.mark.parametrize("stored", [{}, {"float": "NaN"}, [1, {}], functools.reduce(lambda v, _: [v], range(101), [])])
def test_what_can_be_no_metric_is_refused(stored):
    with pytest.raises(ValueError, match=r"is no number|nested deeper"):
        codec.unstore_number(stored)


# --- documents ---


def test_a_document_is_one_line_of_utf_8():
    assert codec.dumps({"b": "ä\n", "a": [1.5]}) == '{"b":"ä\\n","a":[1.5]}\n'.encode()


NO_JSON = [
    b"",
    b"{",
    b"nothing",
    b"NaN",
    b"[Infinity]",
    b"{'a': 1}",
    b"[1,]",
    b"[01]",
    b'{"a": 1} x',
    b'{"patches": ["',
    b'"\xff"',
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"/* why */ {}",
]


@pytest.mark.parametrize("data", NO_JSON, ids=ascii)
def test_what_is_no_strict_json_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        codec.loads(data)


# --- records ---

zones = st.builds(timezone, st.timedeltas(-23 * HOUR, 23 * HOUR))
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001  (bounds have no zone)


@attrs.frozen(kw_only=True)
class Record:
    """Stands for records to come, with all the shapes they use."""

    created_at: datetime
    expiry: datetime | None = None
    moments: list[datetime] = attrs.field(factory=list)
    files: dict[str, StoredFile] = attrs.field(factory=dict)


files = st.builds(StoredFile, path=st.text(), sha256=st.text(), size=st.integers(0, 2**63))
records = st.builds(
    Record,
    created_at=times,
    expiry=st.none() | times,
    moments=st.lists(times, max_size=2),
    files=st.dictionaries(st.text(max_size=5), files, max_size=2),
)


@unhurried
@given(st.one_of(files, records))
def test_every_record_comes_back_as_it_was(record):
    data = codec.dumps(codec.converter.unstructure(record))
    assert codec.converter.structure(codec.loads(data), type(record)) == record


@unhurried
@given(times)
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(datetime(2026, 11, 20, 8, 22, 33, 1, timezone(-9 * HOUR)))
def test_every_time_comes_back_aware_in_utc_and_exact(moment):
    spelled = codec.converter.unstructure(moment)
    assert spelled == naming.iso(moment)
    read = codec.converter.structure(spelled, datetime)
    assert read == moment
    assert read.tzinfo is UTC


def test_a_whole_number_is_read_where_a_float_is_expected():
    assert exactly(codec.converter.structure(3, float)) == "3.0"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, str),
        (5, str),
        ("5", int),
        (None, int),
        (1.5, int),
        (True, int),
        ("x", float),
        (True, float),
        (5, datetime),
    ],
)
def test_a_value_of_a_wrong_kind_is_refused_and_not_made_to_fit(value, kind):
    with pytest.raises((TypeError, ValueError)):
        codec.converter.structure(value, kind)


@pytest.mark.parametrize(
    ("spelled", "moment"),
    [
        ("2026-11-20T08:22:33.123456Z", datetime(2026, 11, 20, 8, 22, 33, 123456, UTC)),
        ("2026-11-20T08:22:33", datetime(2026, 11, 20, 8, 22, 33, tzinfo=UTC)),
        ("2026-11-20 08:22:33", datetime(2026, 11, 20, 8, 22, 33, tzinfo=UTC)),
        ("2026-11-20T08:22:33+02:00", datetime(2026, 11, 20, 6, 22, 33, tzinfo=UTC)),
        ("20261120T082233Z", datetime(2026, 11, 20, 8, 22, 33, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_in_any_iso_shape_and_as_utc_where_it_names_no_zone(spelled, moment):
    assert codec.parse_time(spelled) == moment
    assert codec.parse_time(spelled).utcoffset() == timedelta(0)


NO_TIMES = [
    "",
    "yesterday",
    "2026-02-30",
    "2026-11-20T25:00:00",
    "1795162953",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
]


@pytest.mark.parametrize("spelled", NO_TIMES)
def test_what_is_no_time_is_refused(spelled):
    with pytest.raises(ValueError, match=r"."):
        codec.parse_time(spelled)
