import re
import sys
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import EntryPoint
from typing import ClassVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lazytrack import codec
from lazytrack.artifacts import (
    Artifact,
    JSONArtifact,
    PickleArtifact,
    Shelf,
    StoredFile,
    check_environment,
    from_entry,
    to_entry,
)
from lazytrack.artifacts.entries import UnreadableArtifact
from lazytrack.artifacts.registry import ENTRY_POINTS
from lazytrack.errors import ArtifactLoadError
from lazytrack.files import open_files

MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
STORED = StoredFile(path="artifacts/model/3-k3f9x2ab/model.pkl", sha256="ab" * 32, size=7)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.usefixtures("offer")
unhurried = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])

zones = st.builds(timezone, st.timedeltas(-23 * HOUR, 23 * HOUR))
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001  (bounds have no zone)


@attrs.define
class Sized(Artifact):
    """A handler with an environment of several types."""

    alias: ClassVar[str] = "entries-sized"
    suffix: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True

    library: tuple[int, ...] = (1, 2)
    built_at: datetime | None = None
    names: list[str] = attrs.field(factory=list)

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(obj)


@attrs.define
class Raising(Sized):
    """A handler whose own code has a fault that shows only at some time."""

    alias: ClassVar[str] = "entries-raising"
    fault: ClassVar[Exception | None] = None

    @classmethod
    def construct(cls, name, **kwargs):
        if cls.fault is not None:
            raise cls.fault
        return super().construct(name, **kwargs)


def through_a_file(entry):
    return codec.loads(codec.dumps(entry))


def an_entry(**changes):
    artifact = PickleArtifact.construct("model", fname="model.pkl", created_at=MOMENT, expiry=MOMENT + HOUR, version=3)
    return {**through_a_file(to_entry(artifact, STORED)), **changes}


# --- there and back ---


def test_an_entry_says_what_the_format_says():
    artifact = PickleArtifact.construct(
        "model", [1], "a.pkl", MOMENT, MOMENT + HOUR, {"protocol": 4}, 3, python_version="3.11"
    )
    assert to_entry(artifact, STORED) == {
        "handler": "pickle",
        "fname": "a.pkl",
        "version": 3,
        "created_at": "2026-11-20T08:22:33.123456Z",
        "expiry": "2026-11-20T09:22:33.123456Z",
        "environment": {"python_version": "3.11"},
        "path": STORED.path,
        "sha256": STORED.sha256,
        "size": STORED.size,
    }


def test_an_entry_does_not_say_what_there_is_not():
    entry = to_entry(JSONArtifact.construct("report", created_at=MOMENT), STORED)
    assert entry.keys() == {"handler", "fname", "version", "created_at", "path", "sha256", "size"}


@unhurried
@given(
    name=st.text(max_size=20),
    fname=st.text(min_size=1, max_size=20),
    created_at=times,
    expiry=st.none() | times,
    version=st.integers(0, 2**40),
    environment=st.fixed_dictionaries(
        {
            "library": st.lists(st.integers(-(2**60), 2**60), max_size=3).map(tuple),
            "built_at": st.none() | times,
            "names": st.lists(st.text(max_size=5), max_size=2),
        }
    ),
    stored=st.builds(StoredFile, path=st.text(), sha256=st.text(), size=st.integers(0, 2**60)),
)
def test_every_artifact_comes_back_from_its_entry(name, fname, created_at, expiry, version, environment, stored):
    artifact = Sized.construct(
        name, b"", fname=fname, created_at=created_at, expiry=expiry, version=version, **environment
    )
    loaded = from_entry(name, through_a_file(to_entry(artifact, stored)))
    assert type(loaded) is Sized
    assert loaded.environment() == environment
    assert loaded == artifact
    assert (loaded.name, loaded.fname, loaded.version, loaded.stored) == (name, fname, version, stored)
    assert (loaded.created_at, loaded.expiry) == (created_at, expiry)
    assert loaded.created_at.utcoffset() == timedelta(0)
    assert loaded.value is None
    assert loaded.writer_kwargs == {}
    assert loaded.dirty is False


def test_an_expiry_is_a_time_after_a_reload_too():
    loaded = from_entry("model", an_entry())
    assert loaded.expiry == MOMENT + HOUR
    assert loaded.expiry > loaded.created_at
    assert to_entry(loaded, loaded.stored) == an_entry()


@pytest.mark.parametrize("expiry", ["2026-11-20T08:22:33", "2026-11-20T10:22:33+02:00", "2026-11-20T08:22:33.000000Z"])
def test_times_of_other_writers_are_read_as_utc(expiry):
    loaded = from_entry("model", an_entry(expiry=expiry))
    assert loaded.expiry == MOMENT.replace(microsecond=0)
    assert loaded.expiry.utcoffset() == timedelta(0)


def test_keys_of_later_versions_do_no_harm():
    loaded = from_entry("model", an_entry(colour="red", environment={"python_version": "3.11", "colour": "red"}))
    assert type(loaded) is PickleArtifact
    assert loaded.stored == STORED
    assert loaded.python_version == "3.11"


def test_decoding_captures_nothing_where_the_environment_is_recorded():
    assert from_entry("model", an_entry(environment={"python_version": "2.7"})).python_version == "2.7"


# --- entries that make no sense ---

REQUIRED = ["handler", "fname", "version", "created_at", "path", "sha256", "size"]
WRONG = {
    "handler": [None, 5, ["pickle"], {}, "no-such-handler", ""],
    "fname": [None, 5, ["a"], {}],
    "version": [None, "three", [3], {}, 1.5],
    "created_at": [None, 5, [], {}, "yesterday", "", "0001-01-01T00:00:00+01:00"],
    "expiry": [5, [], {}, "tomorrow", "9999-12-31T23:59:59-01:00"],
    "environment": [5, ["python_version"], "3.11"],
    "path": [None, 5, ["a"], {}],
    "sha256": [None, 5, ["a"], {}],
    "size": [None, "many", [1], {}],
}
CASES = [(key, value) for key, values in WRONG.items() for value in values]


def assert_unreadable(artifact, shelf):
    assert isinstance(artifact, UnreadableArtifact)
    assert artifact.name == "model"
    assert artifact.dirty is False
    assert artifact.environment() == {}
    assert type(artifact.fname) is str
    assert type(artifact.alias) is str
    check_environment(artifact)  # not the environment is to blame
    with pytest.raises(ArtifactLoadError, match="'model' cannot be read here: ") as caught:
        shelf.read(artifact)
    assert artifact.reason in str(caught.value)
    return artifact.reason


@pytest.mark.parametrize("key", REQUIRED)
def test_an_entry_that_lacks_a_key_is_unreadable_and_says_which(shelf, key):
    entry = an_entry()
    del entry[key]
    assert key in assert_unreadable(from_entry("model", entry), shelf)


@pytest.mark.parametrize(("key", "value"), CASES, ids=lambda value: repr(value)[:20])
def test_an_entry_with_a_value_of_a_wrong_kind_is_unreadable(shelf, key, value):
    assert assert_unreadable(from_entry("model", an_entry(**{key: value})), shelf)


@pytest.mark.parametrize("entry", [None, 5, "text", [], ["handler"], True, {}], ids=repr)
def test_what_is_no_entry_at_all_is_unreadable(shelf, entry):
    assert_unreadable(from_entry("model", entry), shelf)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@unhurried
@given(st.sampled_from(sorted(WRONG)), json_values, st.sampled_from(["json", "pickle", "entries-sized"]))
def test_no_entry_whatsoever_raises_and_none_is_read_without_its_file(key, value, handler):
    artifact = from_entry("model", {**an_entry(handler=handler), key: value})
    assert isinstance(artifact, Artifact)
    with pytest.raises((ArtifactLoadError, ValueError)):
        Shelf(open_files("memory://nothing-here")).read(artifact)


@pytest.mark.parametrize(
    "environment", [{"library": "x"}, {"library": 5}, {"built_at": "never"}, {"names": 7}], ids=repr
)
def test_an_environment_that_makes_no_sense_is_unreadable(shelf, environment):
    artifact = from_entry("model", an_entry(handler="entries-sized", environment=environment))
    assert_unreadable(artifact, shelf)


def test_an_unknown_handler_is_named_with_the_known_ones(shelf):
    artifact = from_entry("model", an_entry(handler="no-such-handler"))
    assert (artifact.alias, artifact.fname) == ("no-such-handler", "model.pkl")
    assert re.search(r"no handler 'no-such-handler'; known: .*json", assert_unreadable(artifact, shelf))


@pytest.mark.parametrize(
    "fault", [RuntimeError("no GPU"), OSError("no library"), ZeroDivisionError("0"), ImportError("x")]
)
def test_a_handler_whose_own_code_raises_makes_its_artifact_unreadable(shelf, monkeypatch, fault):
    monkeypatch.setattr(Raising, "fault", fault)
    assert str(fault) in assert_unreadable(from_entry("model", an_entry(handler="entries-raising")), shelf)


@pytest.mark.parametrize("content", ["import no_such_library", "raise RuntimeError('no GPU')", "Handler = 5"])
def test_an_entry_point_that_cannot_be_used_makes_its_artifact_unreadable(shelf, offer, tmp_path, monkeypatch, content):
    (tmp_path / "module_of_a_broken_entry.py").write_text(f"{content}\n")
    monkeypatch.syspath_prepend(tmp_path)
    offer(EntryPoint(name="entries-broken", value="module_of_a_broken_entry:Handler", group=ENTRY_POINTS))
    artifact = from_entry("model", an_entry(handler="entries-broken"))
    sys.modules.pop("module_of_a_broken_entry", None)
    assert "entries-broken" in assert_unreadable(artifact, shelf)


def test_an_unreadable_artifact_cannot_be_written_either(shelf, kept_files):
    artifact = from_entry("model", an_entry(handler="no-such-handler"))
    with pytest.raises(NotImplementedError):
        shelf.write(artifact)
    assert kept_files() == []


# --- environments ---


@pytest.mark.parametrize("handler", [JSONArtifact, PickleArtifact, Sized], ids=lambda handler: handler.__name__)
def test_an_artifact_of_this_environment_passes(handler):
    check_environment(from_entry("model", through_a_file(to_entry(handler.construct("model"), STORED))))


def test_an_artifact_of_another_environment_is_refused_with_both_values():
    here = ".".join(map(str, sys.version_info[:2]))
    with pytest.raises(ArtifactLoadError, match=r"'model' was written in another environment") as caught:
        check_environment(from_entry("model", an_entry(environment={"python_version": "2.7"})))
    assert f"python_version was '2.7' and is '{here}' here" in str(caught.value)
    assert "validate=False" in str(caught.value)


def test_only_what_differs_is_shown():
    artifact = Sized.construct("model", library=(0, 9), names=["a"])
    with pytest.raises(ArtifactLoadError) as caught:
        check_environment(artifact)
    assert "library was (0, 9) and is (1, 2) here, names was ['a'] and is [] here" in str(caught.value)
    assert "built_at" not in str(caught.value)
