"""Random values are told apart by their spelling, and random graphs of steps end as a plain evaluation says."""

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazytrack import Project, naming, pipeline, step
from lazytrack.errors import PipelineRunError
from lazytrack.post_execution import get_run
from lazytrack.steps.outputs import is_exactly_json
from lazytrack.steps.spelling import digest, spelled

scalars = st.one_of(
    *(st.none(), st.booleans(), st.integers(-2, 2), st.floats(allow_nan=False, width=16)),
    *(st.text(max_size=3), st.binary(max_size=2)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers(0, 2)), inner, max_size=3),
    ),
    max_leaves=6,
)


def same(a, b):
    """Tell whether two values are of one type and equal, at any depth."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        keys = {(type(key), key): value for key, value in a.items()}
        others = {(type(key), key): value for key, value in b.items()}
        return keys.keys() == others.keys() and all(same(keys[key], others[key]) for key in keys)
    if isinstance(a, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return a == b


@settings(deadline=None, max_examples=500)
@given(values, values)
def test_two_values_are_spelled_alike_only_if_they_are_of_one_type_and_equal(a, b):
    assert (spelled(a) == spelled(b)) == same(a, b)
    assert spelled([a, b]) == spelled([a, b])
    assert (spelled((a, b)) == spelled((b, a))) == same(a, b)


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_a_digest_tells_where_a_part_ends(a, b):
    assert (digest(a) == digest(b)) == (a == b)


@given(values)
def test_what_is_exactly_json_comes_back_as_it_was(value):
    if is_exactly_json(value):
        assert same(json.loads(json.dumps(value)), value)


# --- graphs ---


@step(enable_cache=False)
def node(below: list[int], fails: bool = False) -> int:
    if fails:
        raise LookupError("as it was told to")
    return 1 + sum(below)


@step(enable_cache=False)
def leaf(fails: bool = False) -> int:
    if fails:
        raise LookupError("as it was told to")
    return 1


@st.composite
def graphs(draw):
    """Return nodes, each with those before it whose outputs it takes, whether it fails, and whether it is submitted."""
    nodes = []
    for place in range(draw(st.integers(1, 9))):
        below = draw(st.lists(st.integers(0, place - 1), max_size=3, unique=True)) if place else []
        nodes.append((below, draw(st.integers(0, 4)) == 0, draw(st.booleans())))
    return nodes


def expected(nodes):
    """Return of each node its value, or how it ends without one."""
    ends = []
    for below, fails, _ in nodes:
        if any(isinstance(ends[other], str) for other in below):
            ends.append("skipped")
        else:
            ends.append("failed" if fails else 1 + sum(ends[other] for other in below))
    return ends


numbers = itertools.count()


@settings(deadline=None, max_examples=40)
@given(graphs())
def test_a_random_graph_ends_as_a_plain_evaluation_says(nodes):
    @pipeline(execution_mode="continue_on_failure")
    def whole():
        made = []
        for place, (below, fails, is_submitted) in enumerate(nodes):
            taken, arguments = (node, [[made[other] for other in below]]) if below else (leaf, [])
            call = taken.submit if is_submitted else taken
            made.append(call(*arguments, fails=fails, id=f"n{place}"))

    name = f"run {next(numbers)}-{naming.unique()}"
    with Project(f"memory://graphs/{naming.unique()}"):
        ends = expected(nodes)
        failed = [f"n{place}" for place, end in enumerate(ends) if end == "failed"]
        if failed:
            with pytest.raises(PipelineRunError) as caught:
                whole.with_options(run_name=name)()
            assert [key for key in failed if key not in str(caught.value)] == []
        else:
            whole.with_options(run_name=name)()
        steps = {made.name: made for made in get_run(name).steps}
        assert steps.keys() == {f"n{place}" for place in range(len(nodes))}
        for place, end in enumerate(ends):
            made = steps[f"n{place}"]
            assert made.status == (end if isinstance(end, str) else "completed")
            if not isinstance(end, str):
                assert made.output.read() == end
