"""Columns of points: as JSON, as bytes, read with numpy and without."""

import math
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazytrack.series import MAX_STEP, Columns
from lazytrack.series.columns import Packed, from_json, to_bytes, to_json
from lazytrack.series.segment import compose, parse
from lazytrack.series.summary import Summary

TIME = 1_763_627_400_123_456
STEPS = st.one_of(
    st.integers(-MAX_STEP, MAX_STEP), st.integers(0, 300), st.sampled_from([-MAX_STEP, MAX_STEP, 0, 127, 128, 32768])
)
VALUES = st.one_of(st.floats(), st.floats(width=32), st.integers(-5, 5).map(float))
TIMES = st.integers(TIME, TIME + 2**40)
POINTS = st.lists(st.tuples(STEPS, TIMES, VALUES), min_size=1, max_size=40)


def columns(points):
    return Columns(*map(list, zip(*points, strict=True)))


def told(columns):
    """Return columns as they can be compared: NaN is equal to NaN there, and -0.0 is not 0.0."""
    return columns.step.tolist(), columns.time.tolist(), columns.value.tobytes()


def packed(columns):
    head, data = to_bytes(columns)
    return Packed(head, memoryview(b"".join(data)), 0)


@given(POINTS)
def test_columns_come_back_from_bytes_as_they_were(points):
    before = columns(points)
    after = packed(before)
    assert len(after) == len(points)
    # A NaN keeps being one; which of its many forms is nobody's business.
    assert after.columns().step == before.step
    assert after.columns().time == before.time
    np.testing.assert_array_equal(np.array(after.columns().value), np.array(before.value))


@given(POINTS)
def test_numpy_reads_what_is_read_without_it(points):
    for held in (columns(points), packed(columns(points))):
        step, time, value = (np.zeros(len(points), dtype) for dtype in ("i8", "i8", "f8"))
        held.fill(step, time, value)
        assert (step.tolist(), time.tolist(), value.tobytes()) == told(packed(columns(points)).columns())


@given(POINTS)
def test_columns_come_back_from_json_as_they_were(points):
    before = columns(points)
    after = from_json(to_json(before))
    assert (after.step, after.time) == (before.step, before.time)
    np.testing.assert_array_equal(np.array(after.value), np.array(before.value))


@given(st.dictionaries(st.text(max_size=5), POINTS, max_size=4))
def test_a_file_holds_many_metrics(metrics):
    before = {name: columns(points) for name, points in metrics.items()}
    after = parse(compose(before, id="w-0", record="r"))
    assert {name: len(points) for name, points in after.items()} == {n: len(p) for n, p in before.items()}
    assert {name: points.columns().step for name, points in after.items()} == {n: p.step for n, p in before.items()}


def test_a_file_is_a_line_of_json_and_little_endian_columns():
    points = Columns([0, 1, 2], [TIME, TIME + 300, TIME + 70_000], [0.5, 0.1, math.nan])
    data = compose({"metrics.loss": points}, id="k3f9x2ab-0", record="baseline-1")
    head, _, rest = data.partition(b"\n")
    assert head == (
        b'{"format":"lazytrack/1","kind":"series","id":"k3f9x2ab-0","record":"baseline-1","points":{"metrics.loss":'
        b'{"count":3,"step":{"first":0,"by":1},"time":{"first":1763627400123456,"by":"i4"},"value":"f8"}}}'
    )
    assert rest[:24] == struct.pack("<2i2d", 300, 69_700, 0.5, 0.1)
    assert len(rest) == 32


@pytest.mark.parametrize(
    ("points", "size"),
    [
        (Columns(range(1000), [TIME] * 1000, [0.5] * 1000), 4),  # steps and times are counted up
        (Columns(range(1000), range(TIME, TIME + 50_000, 50), [0.1] * 1000), 8),
        (Columns([i * i % 100 for i in range(1000)], [TIME] * 1000, [1.0] * 1000), 5),
        (Columns(range(1000), [TIME + i * i for i in range(1000)], [0.1] * 1000), 10),
        (Columns(range(1000), [TIME + i * i * 1000 for i in range(1000)], [0.1] * 1000), 12),
        (Columns(range(1000), [TIME + i**4 for i in range(1000)], [0.1] * 1000), 16),
    ],
)
def test_a_point_takes_as_few_bytes_as_hold_it(points, size):
    data = b"".join(to_bytes(points)[1])
    assert abs(len(data) - size * 1000) <= 8


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head | {"count": 0},
        lambda head: head | {"count": -1},
        lambda head: head | {"count": True},
        lambda head: head | {"count": "3"},
        lambda head: head | {"count": 4},
        lambda head: head | {"count": 2**60},
        lambda head: head | {"value": "i8"},
        lambda head: head | {"value": ["f8"]},
        lambda head: head | {"step": {"first": 0, "by": "f8"}},
        lambda head: head | {"step": {"first": 0, "by": []}},
        lambda head: head | {"step": {"first": 0}},
        lambda head: head | {"step": {"first": 0.5, "by": 1}},
        lambda head: head | {"step": {"first": 2**63, "by": 1}},
        lambda head: head | {"step": {"first": 0, "by": 2**62}},
        lambda head: head | {"step": 3},
        lambda head: {"count": 3},
        lambda head: [],
        lambda head: None,
    ],
)
def test_bytes_that_make_no_sense_are_refused(change):
    head, data = to_bytes(Columns([0, 1, 2], [TIME, TIME + 1, TIME + 3], [0.1, 0.2, 0.3]))
    with pytest.raises(ValueError, match="column"):
        Packed(change(head), memoryview(b"".join(data)), 0)


def test_integers_that_grow_too_large_are_refused_when_they_are_looked_at():
    head = {"count": 3, "step": {"first": 2**62, "by": "i8"}, "time": {"first": 0, "by": 0}, "value": "f4"}
    points = Packed(head, memoryview(struct.pack("<2q3f", 2**62, 2**62, 0, 0, 0)), 0)
    with pytest.raises(ValueError, match="too large"):
        points.columns()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"format":"lazytrack/2","kind":"series","points":{}}\n',
        b'{"format":"lazytrack/1","kind":"log","points":{}}\n',
        b'{"format":"lazytrack/1","kind":"series","points":{}}\nmore',
        b'{"format":"lazytrack/1","kind":"series","points":{"x":{"count":1}}}\n',
        b'{"format":"lazytrack/1","kind":"series","points":[]}\n',
        b'{"format":"lazytrack/1","kind":"series"}\n',
        b'{"format":"lazytrack/1","kind":"series","points":{}}',
    ],
)
def test_files_that_make_no_sense_are_refused(data):
    with pytest.raises(ValueError, match=r"."):
        parse(data)


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {},
        {"step": [1], "time": [1]},
        {"step": [1], "time": [1], "value": [1, 2]},
        {"step": [1.5], "time": [1], "value": [1]},
        {"step": [2**64], "time": [1], "value": [1]},
        {"step": [1], "time": [1], "value": ["much"]},
        {"step": [1], "time": [1], "value": [[1]]},
        {"step": 1, "time": 1, "value": 1},
        {"step": [1], "time": [None], "value": [1]},
        {"step": [1], "time": [1], "value": {"a": 1}},
    ],
)
def test_json_that_makes_no_sense_is_refused(stored):
    with pytest.raises(ValueError, match=r"."):
        from_json(stored)


# --- in a few numbers ---


def plainly(points):
    """Return the summary of points as its description says."""
    sound = [(s, v) for s, _, v in points if not math.isnan(v)]
    best = max((s for s, _ in sound), default=None)
    return Summary(
        count=len(sound),
        min=min((v for _, v in sound), default=None),
        max=max((v for _, v in sound), default=None),
        last=[v for s, v in sound if s == best][-1] if sound else None,
        last_step=best,
        nan=len(points) - len(sound),
        max_step=max((s for s, _, _ in points), default=None),
    )


SMALL = st.lists(
    st.tuples(st.integers(0, 4), st.just(TIME), st.sampled_from([1.0, 2.0, -1.0, math.nan, math.inf, -math.inf])),
    max_size=8,
)


@given(SMALL, SMALL)
def test_a_summary_is_what_it_says_and_summaries_add_up(first, second):
    def of(points):
        return Summary.of(array("q", [s for s, _, _ in points]), array("d", [v for _, _, v in points]))

    assert of(first) == plainly(first)
    assert of(first) + of(second) == plainly([*first, *second])
