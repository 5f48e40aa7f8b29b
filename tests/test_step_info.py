"""The record of a step: its states, its JSON, and that reading one takes nothing from the machine that reads it."""

import copy
import importlib
import json
import math
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazytrack import codec, naming, step_info
from lazytrack.provenance import environment, git, platform
from lazytrack.step_info import (
    Accelerator,
    EnvironmentMetadata,
    GitMetadata,
    LazytrackMetadata,
    LockFile,
    PlatformMetadata,
    StepInfo,
    StepState,
    make_unique_id,
)

MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
LATER = MOMENT + timedelta(minutes=3, microseconds=1)
NOTHING_KNOWN = {
    kind: {field.name: None for field in attrs.fields(kind) if field.name != "_extra"}
    for kind in (PlatformMetadata, EnvironmentMetadata, GitMetadata, LazytrackMetadata)
}
PLATFORM = PlatformMetadata(**NOTHING_KNOWN[PlatformMetadata])
ENVIRONMENT = EnvironmentMetadata(**NOTHING_KNOWN[EnvironmentMetadata])
LEAST = {"unique_id": "Train-1", "step_class_name": "Train", "dependencies": [], "cacheable": True}


def info(**fields):
    known = {"cacheable": True, "platform": PLATFORM, "environment": ENVIRONMENT} | fields
    return StepInfo(unique_id="Train-1", step_class_name="Train", dependencies=set(), **known)


def through_json(record):
    return StepInfo.from_json_dict(json.loads(codec.dumps(record.to_json_dict())))


@pytest.fixture
def elsewhere(monkeypatch):
    """Be a machine whose probes must not be asked: note those that are."""
    asked = []

    def note(names):
        asked.extend(names)
        raise AssertionError(names)

    for probes in (platform, environment, git):
        monkeypatch.setattr(probes, "present", note)
    monkeypatch.setattr(git, "capture", note)
    monkeypatch.setattr(subprocess, "run", note)
    return asked


# --- fields ---


def test_the_first_fields_may_be_given_in_their_order():
    names = [field.name for field in attrs.fields(StepInfo) if field.name != "_extra"]
    assert names[:14] == [
        "unique_id",
        "step_class_name",
        "dependencies",
        "cacheable",
        "step_name",
        "version",
        "start_time",
        "end_time",
        "error",
        "result_location",
        "config",
        "metadata",
        "platform",
        "environment",
    ]
    values = ["id", "Train", {"a"}, True, "train", "2", MOMENT, LATER, "boom", "s3://r", {"a": 1}, [1]]
    made = StepInfo(*values, PLATFORM, ENVIRONMENT)
    assert [getattr(made, name) for name in names[:14]] == [*values, PLATFORM, ENVIRONMENT]


def test_platform_and_environment_are_captured_when_they_are_not_given():
    made = StepInfo("id", "Train", set(), cacheable=True)
    assert made.platform.user == naming.login()
    assert made.environment.executable == Path(sys.executable)
    assert made.environment.git is None or made.environment.git.commit


def test_refreshing_captures_them_again_and_asks_for_accelerators_anew(monkeypatch):
    made = info()
    monkeypatch.setattr(platform, "_LISTINGS", {"told": lambda name: [Accelerator(name="one")]})
    platform.forget()
    assert PlatformMetadata().accelerators == [Accelerator(name="one")]
    monkeypatch.setattr(platform, "_LISTINGS", {"told": lambda name: [Accelerator(name="two")]})
    assert PlatformMetadata().accelerators == [Accelerator(name="one")]
    made.refresh()
    assert made.platform.accelerators == [Accelerator(name="two")]
    assert made.environment.executable == Path(sys.executable)
    platform.forget()


def test_a_time_without_a_zone_is_taken_as_utc_also_when_it_is_set_later():
    made = info(start_time=MOMENT.replace(tzinfo=None))
    made.end_time = LATER.astimezone(timezone(timedelta(hours=5)))
    made.heartbeat = LATER.replace(tzinfo=None)
    assert (made.start_time, made.end_time, made.heartbeat) == (MOMENT, LATER, LATER)
    assert made.end_time.tzinfo is UTC
    with pytest.raises(TypeError, match="must be a datetime"):
        made.end_time = "2026-11-20"


def test_in_utc_no_hour_comes_twice():
    naive = MOMENT.replace(tzinfo=None, fold=1)
    assert info(start_time=naive).start_time.fold == 0


def test_local_times_and_the_duration_are_none_until_there_are_times():
    made = info()
    assert (made.start_time_local, made.end_time_local, made.duration) == (None, None, None)
    made.start_time = MOMENT
    assert made.duration is None
    made.end_time = LATER
    assert made.duration == timedelta(minutes=3, microseconds=1)
    assert (made.start_time_local, made.end_time_local) == (MOMENT, LATER)
    assert made.start_time_local.utcoffset() == MOMENT.astimezone().utcoffset()


# --- state ---

E = "it went wrong"


@pytest.mark.parametrize(
    ("start", "end", "error", "state"),
    [
        (None, None, None, StepState.INCOMPLETE),
        (MOMENT, None, None, StepState.RUNNING),
        (MOMENT, LATER, None, StepState.COMPLETED),
        (MOMENT, LATER, E, StepState.FAILED),
        (MOMENT, LATER, "", StepState.FAILED),
    ],
)
def test_the_state_follows_from_start_end_and_error(start, end, error, state):
    assert info(start_time=start, end_time=end, error=error).state is state
    assert info(start_time=start, end_time=end, error=error, cacheable=False).state is StepState.UNCACHEABLE


@pytest.mark.parametrize(
    ("start", "end", "error", "said"),
    [
        (None, LATER, None, "it has end_time, but no start_time or error"),
        (None, None, E, "it has error, but no start_time or end_time"),
        (MOMENT, None, E, "it has start_time and error, but no end_time"),
        (None, LATER, E, "it has end_time and error, but no start_time"),
    ],
)
def test_an_impossible_combination_is_named(start, end, error, said):
    with pytest.raises(RuntimeError, match=f"step 'Train-1' is in no state: {said}"):
        info(start_time=start, end_time=end, error=error).state  # noqa: B018


def test_states_are_their_names_in_text():
    assert {state.name: state.value for state in StepState} == {name.upper(): name for name in StepState}
    assert f"{StepState.RUNNING}" == "running" == StepState.RUNNING


# --- staleness ---


@pytest.fixture
def clock(monkeypatch):
    """Set the time that it is, in minutes after the start."""

    def set_to(minutes):
        monkeypatch.setattr(naming, "now", lambda: MOMENT + timedelta(minutes=minutes))

    return set_to


def test_a_running_step_that_is_not_heard_of_for_half_an_hour_is_stale(clock):
    made = info(start_time=MOMENT, heartbeat=MOMENT + timedelta(minutes=10))
    clock(40)
    assert not made.stale
    clock(40.1)
    assert made.stale
    made.heartbeat = MOMENT + timedelta(minutes=35)
    assert not made.stale


def test_the_start_is_the_first_sign_of_life(clock):
    clock(29)
    assert not info(start_time=MOMENT).stale
    clock(31)
    assert info(start_time=MOMENT).stale
    assert info(start_time=MOMENT, cacheable=False).stale
    early = info(start_time=MOMENT, heartbeat=MOMENT - timedelta(days=1))  # of the attempt before
    clock(29)
    assert not early.stale


def test_a_step_may_be_given_another_time_to_be_heard_of(clock):
    clock(15)
    assert info(start_time=MOMENT, heartbeat_healthy_threshold=10).stale
    assert not info(start_time=MOMENT, heartbeat_healthy_threshold=60).stale


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"start_time": MOMENT, "end_time": LATER},
        {"start_time": MOMENT, "end_time": LATER, "error": E},
        {"error": E},
    ],
)
def test_a_step_that_does_not_run_is_never_stale(clock, fields):
    clock(10_000)
    assert not info(**fields).stale


# --- ids ---


def test_equal_cache_keys_make_equal_ids_and_others_do_not():
    one = make_unique_id("Train", "2", "key")
    assert one == make_unique_id("Train", "2", "key")
    assert one.startswith("Train-2-")
    assert one != make_unique_id("Train", "2", "other")
    assert make_unique_id("Train", None, "key") == "Train-" + one.removeprefix("Train-2-")


def test_ids_of_steps_that_are_not_cacheable_are_drawn(monkeypatch):
    ids = {make_unique_id("Train", None, None) for _ in range(1000)}
    assert len(ids) == 1000
    monkeypatch.setattr(naming, "unique", lambda length: "x" * length)
    assert make_unique_id("Train", "1", None) == "Train-1-" + "x" * 32


# --- JSON ---


def test_the_keys_are_the_fields_names_in_their_order():
    stored = StepInfo("id", "Train", set("hgfedcba"), cacheable=True).to_json_dict()
    assert list(stored) == [field.name for field in attrs.fields(StepInfo) if field.name != "_extra"]
    assert stored["dependencies"] == list("abcdefgh")
    assert list(stored["platform"]) == list(NOTHING_KNOWN[PlatformMetadata])
    assert list(stored["environment"]) == list(NOTHING_KNOWN[EnvironmentMetadata])
    assert stored["environment"]["lazytrack"] == {"version": LazytrackMetadata().version}
    json.dumps(stored, allow_nan=False)


def test_times_are_stored_to_the_microsecond_in_utc():
    stored = info(start_time=MOMENT.astimezone(timezone(timedelta(hours=-3)))).to_json_dict()
    assert stored["start_time"] == "2026-11-20T08:22:33.123456Z"


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2026-11-20T08:22:33", MOMENT.replace(microsecond=0)),
        ("2026-11-20T08:22:33.123456Z", MOMENT),
        ("2026-11-20T10:22:33.123456+02:00", MOMENT),
    ],
)
def test_stamps_without_a_zone_are_read_as_utc(stamp, time):
    found = StepInfo.from_json_dict(LEAST | {"start_time": stamp})
    assert (found.start_time, found.start_time.utcoffset()) == (time, timedelta(0))


def test_keys_that_are_not_known_are_kept_at_every_depth():
    stored = info(environment=attrs.evolve(ENVIRONMENT, git=GitMetadata(commit="a"), lock_files=[])).to_json_dict()
    stored |= {"tango": {"version": "1.0"}, "retries": [1, {"x": None}]}
    stored["platform"]["firmware"] = "F31"
    stored["environment"]["git"]["signed"] = True
    stored["environment"]["lock_files"] = [{"name": "a", "size": 1, "sha256": "b", "text": None, "by": "uv"}]
    before = copy.deepcopy(stored)
    found = StepInfo.from_json_dict(stored)
    assert found.to_json_dict() == before
    found.to_json_dict()["retries"].append(2)
    stored["retries"].append(3)
    assert found.to_json_dict() == before, "what is handed out is a copy, and so is what is kept"


def test_the_least_that_is_a_record_says_that_nothing_is_known(elsewhere):
    found = StepInfo.from_json_dict(LEAST)
    assert (found.platform, found.environment) == (PLATFORM, ENVIRONMENT)
    assert (found.state, found.heartbeat, found.config) == (StepState.INCOMPLETE, None, None)
    assert StepInfo.from_json_dict(LEAST | {"platform": None, "environment": None}) == found


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"unique_id": None}, ValueError, "'unique_id' of StepInfo: it is missing"),
        ({"cacheable": "yes"}, TypeError, "'cacheable' of StepInfo: expected bool, not str 'yes'"),
        ({"dependencies": "abc"}, TypeError, "'dependencies' of StepInfo: expected a list, not str"),
        ({"dependencies": [1]}, TypeError, "'dependencies' of StepInfo"),
        ({"start_time": "yesterday"}, ValueError, "'start_time' of StepInfo"),
        ({"start_time": 1}, TypeError, "'start_time' of StepInfo"),
        ({"platform": []}, TypeError, "'platform' of StepInfo"),
        ({"platform": {"cpu_count": "8"}}, TypeError, "'platform' of StepInfo: 'cpu_count' of PlatformMetadata"),
        ({"environment": {"packages": {"a": "1"}}}, TypeError, "'packages' of EnvironmentMetadata"),
        ({"environment": {"packages": [["a", "1", "2"]]}}, ValueError, "'packages' of EnvironmentMetadata"),
        ({"environment": {"root": 1}}, TypeError, "'root' of EnvironmentMetadata"),
        ({"environment": {"git": "main"}}, TypeError, "'git' of EnvironmentMetadata"),
    ],
)
def test_a_record_that_makes_no_sense_is_refused_with_its_field(change, error, said):
    with pytest.raises(error) as caught:
        StepInfo.from_json_dict(LEAST | change)
    assert said in str(caught.value)


@pytest.mark.parametrize("stored", [None, [], "x", 1])
def test_what_is_no_object_is_refused(stored):
    with pytest.raises(TypeError, match="as an object"):
        StepInfo.from_json_dict(stored)


def test_config_and_metadata_are_held_as_the_json_they_stand_for():
    made = info(config={"layers": (1, 2), "path": Path("a/b")}, metadata={"worst": -math.inf, "when": MOMENT})
    assert made.config == {"layers": [1, 2], "path": "a/b"}
    assert made.metadata == {"worst": -math.inf, "when": "2026-11-20T08:22:33.123456Z"}
    assert made.to_json_dict()["metadata"]["worst"] == {"float": "-Infinity"}
    assert through_json(made) == made
    made.metadata["late"] = (1,)
    assert through_json(made).metadata["late"] == [1]
    with pytest.raises(TypeError, match="cannot be held as JSON"):
        info(config=threading.Lock())


def test_decoding_on_another_machine_captures_nothing(elsewhere):
    git_state = GitMetadata(**NOTHING_KNOWN[GitMetadata] | {"commit": "a" * 40})
    for environment_ in (ENVIRONMENT, attrs.evolve(ENVIRONMENT, git=git_state)):
        stored = info(environment=environment_, start_time=MOMENT).to_json_dict()
        found = StepInfo.from_json_dict(stored)
        assert found.to_json_dict() == stored
        for record in (found, found.platform, found.environment):
            assert pickle.loads(pickle.dumps(record)) == copy.deepcopy(record) == record
    sparse = {"platform": {"user": "dana"}, "environment": {"git": {}, "lazytrack": {}, "lock_files": []}}
    found = StepInfo.from_json_dict(LEAST | sparse)
    assert found.platform == attrs.evolve(PLATFORM, user="dana")
    assert found.environment.lazytrack.version is None
    assert found.environment.git == attrs.evolve(git_state, commit=None)
    assert elsewhere == []
    with pytest.raises(AssertionError):
        PlatformMetadata()
    assert elsewhere != [], "the probes are where they are asked"


def test_reading_records_loads_no_probes():
    code = (
        "import sys, json\nfrom lazytrack.step_info import StepInfo\n"
        f"StepInfo.from_json_dict({LEAST | {'platform': {}, 'environment': {}}!r}).to_json_dict()\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "lazytrack.provenance.metadata" in loaded
    probes = {f"lazytrack.provenance.{name}" for name in ("platform", "environment", "git", "redact")}
    assert not (probes | {"subprocess", "importlib.metadata", "fsspec", "pydantic"}) & set(loaded)


def test_the_public_names_are_these():
    assert step_info.__all__ == [
        "Accelerator",
        "EnvironmentMetadata",
        "GitMetadata",
        "LazytrackMetadata",
        "LockFile",
        "PlatformMetadata",
        "StepInfo",
        "StepState",
        "make_unique_id",
    ]
    assert all(getattr(importlib.import_module("lazytrack.step_info"), name) for name in step_info.__all__)


# --- any record comes back from JSON as it was ---

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
counts = st.integers(0, 2**63)
times = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001  (what a user gives)
    max_value=datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.none()
    | st.timezones()
    | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23))),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
paths = st.lists(st.text("abc .ü-", min_size=1, max_size=6), min_size=1, max_size=4).map(lambda parts: Path(*parts))


def records(kind, **fields):
    known = {field.name for field in attrs.fields(kind)}
    extras = st.dictionaries(texts.filter(lambda key: key not in known), st.integers(0, 9) | texts, max_size=2)
    return st.builds(kind, **{name: st.none() | field for name, field in fields.items()}, extra=extras)


accelerators = records(Accelerator, name=texts, memory=counts, driver=texts)
platforms = records(
    PlatformMetadata,
    **dict.fromkeys(("operating_system", "user", "host", "machine", "cpu_model", "container", "job"), texts),
    **dict.fromkeys(("cpu_count", "memory", "usable_memory"), counts),
    usable_cpus=st.floats(0, 1e6),
    accelerators=st.lists(accelerators, max_size=2),
)
git_states = records(
    GitMetadata,
    **dict.fromkeys(("commit", "remote", "branch", "folder", "diff_digest"), texts),
    dirty=st.booleans(),
)
locks = st.builds(LockFile, name=texts, size=counts, sha256=texts, text=st.none() | texts)
environments = records(
    EnvironmentMetadata,
    **dict.fromkeys(("python", "command", "cuda", "blas"), texts),
    **dict.fromkeys(("executable", "root"), paths),
    packages=st.lists(st.tuples(texts, texts), max_size=3),
    conda=st.lists(st.tuples(texts, texts, texts), max_size=2),
    sources=st.dictionaries(texts, texts, max_size=2),
    git=git_states,
    lazytrack=records(LazytrackMetadata, version=texts),
    lock_files=st.lists(locks, max_size=2),
)
steps = st.builds(
    StepInfo,
    unique_id=texts,
    step_class_name=texts,
    dependencies=st.sets(texts, max_size=3),
    cacheable=st.booleans(),
    **dict.fromkeys(("step_name", "version", "error", "result_location"), st.none() | texts),
    **dict.fromkeys(("start_time", "end_time", "heartbeat"), st.none() | times),
    config=values,
    metadata=values,
    platform=platforms,
    environment=environments,
    heartbeat_healthy_threshold=st.none() | st.integers(10, 60),
)


@settings(deadline=None, max_examples=150)
@given(steps)
def test_any_record_comes_back_from_json_exactly(record):
    stored = record.to_json_dict()
    again = StepInfo.from_json_dict(json.loads(codec.dumps(stored)))
    assert again == record
    again.dependencies = record.dependencies = set()  # has no order of its own
    assert repr(again) == repr(record), "types too: 1 is not 1.0, a list no tuple"
    assert repr((again.platform, again.environment)) == repr((record.platform, record.environment))
    assert again.to_json_dict() == stored | {"dependencies": []}
