"""Pickles read as what they say: data comes out as it is, and nothing in them is looked up or called."""

import collections
import contextlib
import os
import pickle
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

import pytest
from comparing import nothing_unpickled
from hypothesis import given
from hypothesis import strategies as st

from lazytrack.exchange.foreign import pickled, tango

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
KEYS = st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text())
DATA = st.recursive(
    LEAVES | st.sets(KEYS) | st.frozensets(KEYS),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.tuples(inner, inner) | st.tuples(inner),
    max_leaves=20,
)


class Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.makedirs, (self.path,)


class Plain:
    def __init__(self):
        self.a = [1, {"b": None}]


def is_simple(value):
    """Tell whether the first protocols say a value as data: bytes and sets they make by calling something."""
    match value:
        case bytes() | set() | frozenset():
            return False
        case dict():
            return all(map(is_simple, [*value, *value.values()]))
        case list() | tuple():
            return all(map(is_simple, value))
    return True


@given(DATA, st.sampled_from(PROTOCOLS))
def test_data_is_what_it_was(value, protocol):
    found = pickled.read(pickle.dumps(value, protocol))
    if protocol >= 4 or is_simple(value):
        assert found == value
        assert repr(found) == repr(value) or not is_simple(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_there_twice_is_there_twice(protocol):
    part = [1, "é" * 300]
    found = pickled.read(pickle.dumps({"a": part, "b": [part] * 300}, protocol))
    assert found == {"a": part, "b": [part] * 300}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_are_told_by_name_and_not_made(protocol, tmp_path):
    data = pickle.dumps([Trap(tmp_path / "made"), Plain()], protocol)
    with nothing_unpickled():
        trap, plain = pickled.read(data)
    assert trap.of == pickled.Name(os.makedirs.__module__, "makedirs")
    assert trap.arguments == (str(tmp_path / "made"),)
    assert plain.state == {"a": [1, {"b": None}]}
    assert plain.of.name in {"Plain", "_reconstructor"}
    assert not (tmp_path / "made").exists()


def test_what_is_more_than_a_dictionary_is_refused():
    with pytest.raises(ValueError, match="adds to a Made"):
        pickled.read(pickle.dumps(collections.OrderedDict(a=1)))


def test_no_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "bait_of_pickles.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert pickled.read(b"cbait_of_pickles\nanything\n.") == pickled.Name("bait_of_pickles", "anything")
    assert "bait_of_pickles" not in sys.modules


@pytest.mark.parametrize(
    "data",
    [
        b"Pid\n.",  # persistent
        b"\x80\x02\x82\x01.",  # of the registry of extensions
        b"(ios\nmakedirs\n.",  # calls as it imports
        b"(cos\nmakedirs\no.",  # the same with an object
        b"\x80\x04\x92.",  # with keywords
        b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.",  # a bytearray
    ],
)
def test_what_data_never_needs_is_refused(data):
    with pytest.raises(ValueError, match=r"has an instruction [A-Z0-9_]+, which plain data has not|no pickle"):
        pickled.read(data)


@pytest.mark.parametrize(
    "data", [b"", b".", b"N", b"a.", b"h\x05.", b"\x80\x04].extra"[:3], b"0.", b"(.", b"Na.", b"I1\nN\x86R", b"]]Nb."]
)
def test_what_is_no_pickle_is_refused(data):
    with pytest.raises(ValueError, match=r"is no pickle|has no end|adds to|exhausted|the middle"):
        pickled.read(data)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_that_was_cut_short_is_refused_wherever_that_was(protocol, tmp_path):
    data = pickle.dumps({"a": [1, 2.5, "text", Plain(), (1, 2, 3, 4)], "b": Trap(tmp_path)}, protocol)
    for end in range(len(data)):
        with pytest.raises(ValueError):  # noqa: PT011  (whatever it says)
            pickled.read(data[:end])


@given(st.binary(max_size=60), st.sampled_from(PROTOCOLS), st.data())
def test_whatever_the_bytes_are_there_is_a_value_or_a_refusal(noise, protocol, draw):
    data = bytearray(pickle.dumps({"a": [1, 2.5, "text", Plain()], "b": Trap("nowhere")}, protocol))
    place = draw.draw(st.integers(0, len(data)))
    data[place : place + len(noise)] = noise
    for each in (bytes(data), noise):
        with contextlib.suppress(ValueError):
            tango._plain(pickled.read(each))
    assert not Path("nowhere").exists()


def test_what_holds_itself_is_refused():
    endless = []
    endless.append({"again": endless})
    with pytest.raises(ValueError, match="is nested too deep, or in itself"):
        pickled.read(pickle.dumps(endless))


def test_what_is_nested_without_end_is_refused():
    for depth in (101, 5000):
        with pytest.raises(ValueError, match="is nested too deep"):
            pickled.read(b"]" * depth + b"a" * (depth - 1) + b".")


@pytest.mark.parametrize("kind", [list, tuple, lambda pair: dict(enumerate(pair))])
def test_what_says_the_same_again_and_again_is_refused(kind):
    value = "lol"
    for _ in range(60):
        value = kind([value, value])
    with pytest.raises(ValueError, match="says the same again and again"):
        pickled.read(pickle.dumps(value))


# --- times and paths, as tango's records have them ---

ZONES = [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3, seconds=1), "west")]


@given(st.datetimes(), st.sampled_from([None, *ZONES]), st.sampled_from(PROTOCOLS[4:]))
def test_times_are_what_they_were(naive, zone, protocol):
    found = None
    try:
        wanted = (naive.replace(tzinfo=zone) if zone else naive.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:  # it is of no year in UTC
        return
    found = tango._plain(pickled.read(pickle.dumps(naive.replace(tzinfo=zone), protocol)))
    assert found == wanted
    assert found.tzinfo is UTC


@pytest.mark.parametrize("protocol", PROTOCOLS[3:])
def test_paths_are_texts(protocol):
    for path in ("/a/b c/é", "relative/x", "/"):
        assert tango._plain(pickled.read(pickle.dumps(PurePosixPath(path), protocol))) == path


def test_what_is_no_data_is_refused_wherever_it_is(tmp_path):
    for value in (Trap(tmp_path), [Plain()], {"a": (Trap(tmp_path),)}, os.makedirs, b"bytes", {"zone": datetime}):
        with pytest.raises(ValueError, match="holds"):
            tango._plain(pickled.read(pickle.dumps(value)))
    assert tango._plain(pickled.read(pickle.dumps({"a": {1, "b", None}}))) == {"a": ["b", 1, None]}
