import json
import pickle
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import ClassVar

import attrs
import pytest

from lazytrack import naming
from lazytrack.artifacts import Artifact, JSONArtifact, PickleArtifact, StoredFile, to_entry
from lazytrack.artifacts.pickle import python_version

MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
LATER = MOMENT + timedelta(days=90)


class Plain(Artifact):
    """A handler that states its class variables, `read` and `write`, and nothing else."""

    alias: ClassVar[str] = "base-plain"
    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(obj)


def captured():
    return captured.version


captured.version = "1.0"


@attrs.define
class Captured(Plain):
    """A handler with environment fields of its own."""

    alias: ClassVar[str] = "base-captured"

    library_version: str = attrs.field(factory=captured)
    device: str = "cpu"


@attrs.define
class Original(Plain):
    """A handler that repeats the original's nine parameters, with an environment field that has to be given."""

    alias: ClassVar[str] = "base-original"

    library_version: str

    @classmethod
    def construct(
        cls,
        name,
        value=None,
        fname=None,
        created_at=None,
        expiry=None,
        writer_kwargs=None,
        version=0,
        dirty=True,
        **kwargs,
    ):
        created_at = created_at or MOMENT
        return cls(
            name=name,
            value=value,
            fname=fname or f"{name}.{cls.suffix}",
            created_at=created_at,
            expiry=expiry,
            writer_kwargs=writer_kwargs or {},
            version=version,
            dirty=dirty,
            library_version=kwargs.get("library_version") or captured(),
        )


HANDLERS = [JSONArtifact, PickleArtifact, Plain, Captured, Original]
each_handler = pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)


# --- the class ---


@pytest.mark.parametrize(
    ("handler", "alias", "suffix", "binary", "executes_code"),
    [(JSONArtifact, "json", "json", False, False), (PickleArtifact, "pickle", "pkl", True, True)],
)
def test_the_published_handlers_are_what_they_are_documented_to_be(handler, alias, suffix, binary, executes_code):
    assert (handler.alias, handler.suffix, handler.binary) == (alias, suffix, binary)
    assert handler.output_only is False
    assert handler.executes_code is executes_code


def test_the_base_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        Artifact(name="a", fname="a")
    with pytest.raises(TypeError, match="abstract"):
        Artifact.construct("a", fname="a")


def test_a_handler_without_read_cannot_be_made():
    class Half(Artifact):
        alias: ClassVar[str] = "base-half"
        suffix: ClassVar[str] = "txt"
        binary: ClassVar[bool] = False

        @classmethod
        def write(cls, obj, buf, **kwargs):
            buf.write(obj)

    with pytest.raises(TypeError, match="read"):
        Half.construct("a")


# --- construct ---


@each_handler
def test_construct_fills_in_what_is_not_given(handler, monkeypatch):
    monkeypatch.setattr(naming, "now", lambda: MOMENT)
    artifact = handler.construct("model")
    assert artifact.name == "model"
    assert artifact.value is None
    assert artifact.created_at == MOMENT
    assert artifact.expiry is None
    assert artifact.writer_kwargs == {}
    assert artifact.version == 0
    assert artifact.dirty is True
    assert artifact.stored is None


@each_handler
def test_construct_takes_the_nine_parameters_of_the_original_by_place(handler):
    artifact = handler.construct("model", [1], "plots/a.bin", MOMENT, LATER, {"indent": 2}, 3, False)
    assert artifact.name == "model"
    assert artifact.value == [1]
    assert artifact.fname == "plots/a.bin"
    assert artifact.created_at == MOMENT
    assert artifact.expiry == LATER
    assert artifact.writer_kwargs == {"indent": 2}
    assert artifact.version == 3
    assert artifact.dirty is False


@each_handler
def test_construct_overlooks_what_no_field_is_called(handler):
    assert handler.construct("model", some_option=1).name == "model"


@pytest.mark.parametrize(
    ("handler", "name", "fname"),
    [
        (JSONArtifact, "model", "model-20261120082233.json"),
        (PickleArtifact, "My Model v1.2", "my-model-v1-2-20261120082233.pkl"),
        (Plain, "Größe", "grosse-20261120082233.txt"),
        (JSONArtifact, "🚀", "json-20261120082233.json"),
        (JSONArtifact, "../../etc", "etc-20261120082233.json"),
    ],
)
def test_the_default_name_of_a_file_is_made_from_the_name_and_the_time(handler, name, fname):
    assert handler.construct(name, created_at=MOMENT).fname == fname
    in_another_zone = MOMENT.astimezone(timezone(timedelta(hours=9)))
    assert handler.construct(name, created_at=in_another_zone).fname == fname


def test_the_default_name_of_a_file_goes_by_the_present_time(monkeypatch):
    monkeypatch.setattr(naming, "now", lambda: MOMENT)
    assert JSONArtifact.construct("model").fname == "model-20261120082233.json"


def test_a_given_name_of_a_file_is_kept_with_its_folders():
    assert JSONArtifact.construct("model", fname="plots/2026/Roc Curve.dat").fname == "plots/2026/Roc Curve.dat"


@pytest.mark.parametrize("field", ["created_at", "expiry"])
@pytest.mark.parametrize("handler", [JSONArtifact, PickleArtifact, Plain, Captured], ids=lambda cls: cls.__name__)
def test_times_given_by_a_user_are_aware_and_in_utc(handler, field):
    naive = MOMENT.replace(tzinfo=None)
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=-5)))
    for given in (MOMENT, naive, elsewhere):
        kept = getattr(handler.construct("model", **{field: given}), field)
        assert kept.utcoffset() == timedelta(0)
        assert kept == MOMENT


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system does not let a process choose its zone")
def test_a_time_without_a_zone_is_utc_wherever_the_machine_stands(monkeypatch):
    with monkeypatch.context() as patching:
        patching.setenv("TZ", "XXX-9")
        time.tzset()
        artifact = JSONArtifact.construct("model", created_at=MOMENT.replace(tzinfo=None))
        entry = to_entry(artifact, StoredFile(path="a", sha256="0", size=1))
    time.tzset()
    assert artifact.created_at == MOMENT
    assert artifact.fname == "model-20261120082233.json"
    assert entry["created_at"] == "2026-11-20T08:22:33.123456Z"


def test_two_artifacts_do_not_share_their_writers_arguments():
    one, other = JSONArtifact.construct("a"), JSONArtifact.construct("b")
    one.writer_kwargs["indent"] = 2
    assert other.writer_kwargs == {}


# --- environment and equality ---


def test_the_environment_is_captured_when_a_handler_is_constructed(monkeypatch):
    assert PickleArtifact.construct("a").python_version == ".".join(map(str, sys.version_info[:2])) == python_version()
    monkeypatch.setattr(captured, "version", "2.0")
    assert Captured.construct("a").environment() == {"library_version": "2.0", "device": "cpu"}
    assert Original.construct("a").environment() == {"library_version": "2.0"}


@pytest.mark.parametrize("handler", [Captured, Original], ids=lambda handler: handler.__name__)
def test_an_environment_that_is_given_is_not_captured(handler, monkeypatch):
    monkeypatch.setattr(f"{__name__}.captured", lambda: pytest.fail("the environment was captured"))
    assert handler.construct("a", library_version="0.9").library_version == "0.9"
    assert PickleArtifact.construct("a", python_version="2.7").python_version == "2.7"


@pytest.mark.parametrize(
    ("handler", "fields"),
    [
        (JSONArtifact, []),
        (PickleArtifact, ["python_version"]),
        (Plain, []),
        (Captured, ["library_version", "device"]),
        (Original, ["library_version"]),
    ],
)
def test_only_the_fields_a_handler_adds_describe_its_environment(handler, fields):
    assert list(handler.environment_fields()) == fields
    assert list(handler.construct("a").environment()) == fields


@each_handler
def test_artifacts_of_one_environment_are_equal_whatever_they_hold(handler):
    one = handler.construct("model", [1], "a.bin", MOMENT, LATER, {"indent": 2}, 3, False)
    one.stored = StoredFile(path="a", sha256="0", size=1)
    assert one == handler.construct("other")


@pytest.mark.parametrize(
    ("handler", "field"), [(PickleArtifact, "python_version"), (Captured, "library_version"), (Captured, "device")]
)
def test_artifacts_of_different_environments_differ(handler, field):
    assert handler.construct("model") != handler.construct("model", **{field: "0.1"})


def test_artifacts_of_different_handlers_differ():
    assert JSONArtifact.construct("model") != Plain.construct("model")
    assert JSONArtifact.construct("model") != PickleArtifact.construct("model")


def test_an_artifact_does_not_show_what_it_holds():
    shown = repr(JSONArtifact.construct("model", {"secret": "of a size"}, writer_kwargs={"token": "abc"}))
    assert "'model'" in shown
    assert "secret" not in shown
    assert "token" not in shown


# --- pickling a handler ---


@attrs.define
class Lines(Plain):
    """Keeps what `pickle` cannot: it knows how to write it and how to make it anew."""

    alias: ClassVar[str] = "base-lines"

    @classmethod
    def read(cls, buf, **kwargs):
        return (line.rstrip("\n") for line in list(buf))

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.writelines(f"{line}\n" for line in obj)


@each_handler
def test_a_handler_travels_to_another_process(handler):
    artifact = handler.construct("model", "text", "plots/a.bin", MOMENT, LATER, {}, 3, True)
    artifact.stored = StoredFile(path="a", sha256="0", size=1)
    arrived = pickle.loads(pickle.dumps(artifact))
    assert type(arrived) is handler
    for field in ("name", "value", "fname", "created_at", "expiry", "writer_kwargs", "version", "dirty", "stored"):
        assert getattr(arrived, field) == getattr(artifact, field)
    assert arrived == artifact


def test_a_handler_travels_as_the_bytes_it_writes():
    with pytest.raises(TypeError):
        pickle.dumps(line for line in "ab")
    artifact = Lines.construct("model", (line for line in ["one", "two"]))
    arrived = pickle.loads(pickle.dumps(artifact))
    assert list(arrived.value) == ["one", "two"]


@attrs.define
class Closing(Plain):
    """Closes what it is given, as some writers do; in files of artifacts that is fine."""

    alias: ClassVar[str] = "base-closing"

    @classmethod
    def write(cls, obj, buf, **kwargs):
        with buf:
            buf.write(obj)


@attrs.define
class Drawing(Plain):
    """Writes a picture of the object, which nobody can read back as the object."""

    alias: ClassVar[str] = "base-drawing"
    output_only: ClassVar[bool] = True

    @classmethod
    def read(cls, buf, **kwargs):
        raise NotImplementedError("a picture is no figure")


@pytest.mark.parametrize("handler", [Closing, Drawing], ids=lambda handler: handler.__name__)
def test_a_handler_that_closes_its_file_or_cannot_read_it_travels_too(handler):
    arrived = pickle.loads(pickle.dumps(handler.construct("model", "a line\r\n")))
    assert type(arrived) is handler
    assert arrived.value == "a line\r\n"


# --- json and pickle ---


def test_json_passes_arguments_to_the_library(tmp_path):
    path = tmp_path / "a.json"
    with path.open("w", encoding="utf-8") as file:
        JSONArtifact.write({"b": 1, "a": 2}, file, indent=1, sort_keys=True)
    assert path.read_text("utf-8") == '{\n "a": 2,\n "b": 1\n}'
    with path.open(encoding="utf-8") as file:
        assert JSONArtifact.read(file, parse_int=str) == {"a": "2", "b": "1"}


def test_json_is_what_any_json_reader_reads(tmp_path):
    path = tmp_path / "a.json"
    with path.open("w", encoding="utf-8") as file:
        JSONArtifact.write({"größe": [1, None, True]}, file)
    assert json.loads(path.read_bytes()) == {"größe": [1, None, True]}


@pytest.mark.parametrize(("kwargs", "protocol"), [({}, pickle.HIGHEST_PROTOCOL), ({"protocol": 2}, 2)])
def test_pickle_uses_the_newest_protocol_unless_one_is_given(tmp_path, kwargs, protocol):
    path = tmp_path / "a.pkl"
    with path.open("wb") as file:
        PickleArtifact.write({"a": 1}, file, **kwargs)
    assert path.read_bytes()[:2] == bytes([0x80, protocol])
    with path.open("rb") as file:
        assert PickleArtifact.read(file, encoding="bytes") == {"a": 1}
