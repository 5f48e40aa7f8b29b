"""What section 1 of the parity page promises: artifact handlers, `lazytrack.artifacts`."""

import abc
import importlib
import inspect
import io
import json
import pickle
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import ClassVar

import attrs
import fsspec
import pytest

import lazytrack.artifacts
from lazytrack import Experiment, Project, Test
from lazytrack.artifacts import get_handler, known_aliases, registry
from lazytrack.artifacts.base import Artifact
from lazytrack.artifacts.json import JSONArtifact
from lazytrack.artifacts.pickle import PickleArtifact
from lazytrack.errors import ArtifactLoadError

MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
NAIVE = MOMENT.replace(tzinfo=None)
EARLIER = datetime(2020, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
FUTURE = datetime(2199, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HERE = ".".join(map(str, sys.version_info[:2]))
PARAMETERS = ["name", "value", "fname", "created_at", "expiry", "writer_kwargs", "version", "dirty", "kwargs"]
LIBRARY = {"version": "1.0"}


class Words(Artifact):
    """The least a handler states: three class variables, `read` and `write`."""

    alias: ClassVar[str] = "parity-words"
    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read().split(kwargs.get("separator", " "))

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(kwargs.get("separator", " ").join(obj))


@attrs.define
class Octets(Artifact):
    """A handler of bytes."""

    alias: ClassVar[str] = "parity-octets"
    suffix: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(bytes(obj))


@attrs.define
class Versioned(Words):
    """A handler with an environment field."""

    alias: ClassVar[str] = "parity-versioned"
    library: str = attrs.field(factory=lambda: LIBRARY["version"])


@attrs.define
class Drawing(Words):
    """A handler that only writes, such as that of a plot."""

    alias: ClassVar[str] = "parity-drawing"
    output_only: ClassVar[bool] = True


@attrs.define
class Stream(Words):
    """Its value is a generator: `pickle` refuses it, this handler writes it and makes it anew."""

    alias: ClassVar[str] = "parity-stream"

    @classmethod
    def read(cls, buf, **kwargs):
        return (word for word in buf.read().split())

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(" ".join(f"<{word}>" for word in obj))


@attrs.define(slots=False)
class Unslotted(Stream):
    """A handler that attrs does not make anew."""

    alias: ClassVar[str] = "parity-unslotted"


@attrs.define
class Overriding(Words):
    """As the original's plug-ins are: the nine parameters once more, and a field `construct` has to fill in."""

    alias: ClassVar[str] = "parity-overriding"
    library: str

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
        created_at = created_at or datetime.now(UTC).replace(tzinfo=None)
        return cls(
            name=name,
            value=value,
            fname=fname or f"original-{name}.{cls.suffix}",
            created_at=created_at,
            expiry=expiry,
            writer_kwargs=writer_kwargs or {},
            version=version,
            dirty=dirty,
            library=kwargs.get("library") or LIBRARY["version"],
        )


HANDLERS = [JSONArtifact, PickleArtifact, Words, Octets, Versioned, Overriding]
each_handler = pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn", mode="w+")


def saved(project, exp):
    """Save, and return the experiment as somebody else reads it."""
    project.save()
    return Project(project.fpath, mode="r")[exp.slug]


def kept_file(project, fname):
    """Return the one file below the project that ends in `fname`."""
    (path,) = (path for path in Path(project.folder).rglob("*") if path.as_posix().endswith(f"/{fname}"))
    return path


# --- the class: an attrs class, abstract, never initialised directly ---


def test_artifact_is_an_abstract_attrs_class():
    assert attrs.has(Artifact)
    assert isinstance(Artifact, abc.ABCMeta)
    assert inspect.isabstract(Artifact)


def test_artifact_is_never_initialised_directly():
    with pytest.raises(TypeError, match="abstract"):
        Artifact(name="model", fname="model.txt")
    with pytest.raises(TypeError, match="abstract"):
        Artifact.construct("model", fname="model.txt")


def test_artifact_and_its_two_handlers_are_exported_by_the_package_too():
    assert lazytrack.artifacts.Artifact is Artifact
    assert lazytrack.artifacts.JSONArtifact is JSONArtifact
    assert lazytrack.artifacts.PickleArtifact is PickleArtifact


# --- row `alias`: the name given to log_artifact(handler=...) ---


def test_alias_is_the_name_that_log_artifact_is_given(project):
    exp = project.log("one")
    exp.log_artifact("notes", ["a", "b"], handler="parity-words")
    assert type(exp.artifacts[0]) is Words
    assert saved(project, exp).load_artifact("notes") == ["a", "b"]


@pytest.mark.parametrize("variable", ["alias", "suffix", "binary", "output_only"])
def test_alias_suffix_binary_and_output_only_belong_to_the_class(variable):
    assert variable not in [field.name for field in attrs.fields(Octets)]
    assert getattr(Octets, variable) == getattr(Octets.construct("it"), variable)


# --- row `suffix`: the standard file suffix, without the dot ---


def test_suffix_ends_the_name_of_the_file_after_a_dot(project):
    exp = project.log("one")
    exp.log_artifact("raw", b"\x00", handler="parity-octets")
    project.save()
    assert exp.artifacts[0].fname.endswith(".bin")
    assert kept_file(project, exp.artifacts[0].fname).read_bytes() == b"\x00"


# --- row `binary`: the buffer is opened wb/rb or w/r ---


def test_binary_handlers_are_given_bytes_to_read_and_write(project):
    exp = project.log("one")
    exp.log_artifact("raw", b"\r\n\xff", handler="parity-octets")
    assert saved(project, exp).load_artifact("raw") == b"\r\n\xff"
    assert kept_file(project, exp.artifacts[0].fname).read_bytes() == b"\r\n\xff"


def test_binary_false_gives_text_to_read_and_write(project):
    exp = project.log("one")
    exp.log_artifact("notes", ["größe", "∑"], handler="parity-words")
    assert saved(project, exp).load_artifact("notes") == ["größe", "∑"]
    assert kept_file(project, exp.artifacts[0].fname).read_text("utf-8") == "größe ∑"


# --- row `output_only`: cannot be read back as the object; logging and loading warn ---


def test_output_only_warns_when_it_is_logged(project):
    with pytest.warns(UserWarning, match="'plot'"):
        project.log("one").log_artifact("plot", ["a"], handler="parity-drawing")


def test_output_only_warns_when_it_is_logged_to_a_test(project):
    test = project.log("one").log_test("women")
    with pytest.warns(UserWarning, match="'plot'"):
        test.log_artifact("plot", ["a"], handler="parity-drawing")


@pytest.mark.filterwarnings("ignore:artifact 'plot'")
def test_output_only_warns_when_it_is_loaded(project):
    exp = project.log("one")
    exp.log_artifact("plot", ["a"], handler="parity-drawing")
    found = saved(project, exp)
    with pytest.warns(UserWarning, match="'plot'"):
        assert found.load_artifact("plot") == ["a"]


# --- row of the eight fields: as named; none takes part in equality ---


@pytest.mark.parametrize("field", PARAMETERS[:-1])
@each_handler
def test_fields_are_there_as_named(handler, field):
    given = {
        "name": "model",
        "value": ["a"],
        "fname": "plots/a.bin",
        "created_at": MOMENT,
        "expiry": FUTURE,
        "writer_kwargs": {"indent": 2},
        "version": 3,
        "dirty": False,
    }
    assert getattr(handler.construct(**given), field) == given[field]
    assert field in [known.name for known in attrs.fields(handler)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "other"),
        ("fname", "other.bin"),
        ("value", ["other"]),
        ("writer_kwargs", {"indent": 2}),
        ("created_at", EARLIER),
        ("expiry", FUTURE),
        ("version", 3),
        ("dirty", False),
    ],
)
@each_handler
def test_fields_take_no_part_in_equality(handler, field, value):
    assert handler.construct(**({"name": "model"} | {field: value})) == handler.construct("model")


# --- row `construct`: a classmethod that builds a handler and captures the environment ---


@each_handler
def test_construct_has_the_documented_signature(handler):
    parameters = inspect.signature(handler.construct).parameters
    assert list(parameters) == PARAMETERS
    assert parameters["name"].default is inspect.Parameter.empty
    assert [parameters[name].default for name in PARAMETERS[1:-1]] == [None, None, None, None, None, 0, True]
    assert parameters["kwargs"].kind is inspect.Parameter.VAR_KEYWORD


@each_handler
def test_construct_needs_no_more_than_a_name(handler):
    artifact = handler.construct("model")
    assert type(artifact) is handler
    assert (artifact.value, artifact.expiry, artifact.writer_kwargs, artifact.version) == (None, None, {}, 0)
    assert datetime.now(UTC) - artifact.created_at < timedelta(minutes=1)


@each_handler
def test_construct_takes_its_parameters_by_place(handler):
    artifact = handler.construct("model", ["a"], "a.bin", MOMENT, FUTURE, {"indent": 2}, 3, False)
    assert (artifact.name, artifact.value, artifact.fname) == ("model", ["a"], "a.bin")
    assert (artifact.created_at, artifact.expiry) == (MOMENT, FUTURE)
    assert (artifact.writer_kwargs, artifact.version, artifact.dirty) == ({"indent": 2}, 3, False)


def test_construct_captures_the_version_of_python_for_a_pickle():
    assert PickleArtifact.construct("model").python_version == HERE


def test_construct_does_not_capture_what_is_given():
    assert PickleArtifact.construct("model", python_version="2.7").python_version == "2.7"


# --- row `read`, `write`: classmethods from and to an open fsspec buffer; kwargs go to the underlying library ---


@each_handler
def test_read_gives_back_what_write_put_into_an_open_buffer(handler, tmp_path):
    mode = "b" if handler.binary else ""
    value = b"ab" if handler is Octets else ["a", "b"]
    with fsspec.open(f"memory://{tmp_path.name}/it", f"w{mode}") as buf:
        assert handler.write(value, buf) is None
    with fsspec.open(f"memory://{tmp_path.name}/it", f"r{mode}") as buf:
        assert handler.read(buf) == value


def test_write_passes_its_kwargs_to_the_underlying_writer():
    text, octets = io.StringIO(), io.BytesIO()
    JSONArtifact.write({"b": 1, "a": 2}, text, sort_keys=True, indent=1)
    PickleArtifact.write([1], octets, protocol=2)
    assert text.getvalue() == '{\n "a": 2,\n "b": 1\n}'
    assert octets.getvalue()[:2] == b"\x80\x02"


def test_read_passes_its_kwargs_to_the_underlying_reader():
    assert JSONArtifact.read(io.StringIO("[1]"), parse_int=str) == ["1"]
    assert PickleArtifact.read(io.BytesIO(b"U\x01\xff."), encoding="latin-1") == "ÿ"


def test_write_and_read_are_given_the_kwargs_of_log_artifact_and_load_artifact(project):
    exp = project.log("one")
    exp.log_artifact("notes", ["a b", "c"], handler="parity-words", separator="|")
    found = saved(project, exp)
    assert kept_file(project, exp.artifacts[0].fname).read_text() == "a b|c"
    assert found.load_artifact("notes", separator="|") == ["a b", "c"]
    assert found.load_artifact("notes") == ["a", "b|c"]


@pytest.mark.parametrize("missing", ["read", "write"])
def test_read_and_write_have_to_be_stated(missing):
    body = {"alias": "parity-half", "suffix": "txt", "binary": False, missing: getattr(Artifact, missing)}
    half = type(Words)("Half", (Words,), body)
    with pytest.raises(TypeError, match=missing):
        half.construct("it")


# --- bullet: construct works in the base class; no plug-in repeats the nine parameters ---


def test_construct_in_the_base_class_gives_a_plugin_its_nine_parameters():
    for handler in (Words, Octets, Versioned, JSONArtifact, PickleArtifact):
        assert "construct" not in vars(handler)
    artifact = Versioned.construct("model", ["a"], "a.txt", MOMENT, FUTURE, {}, 3, False, library="0.9")
    assert (artifact.name, artifact.version, artifact.library) == ("model", 3, "0.9")


def test_construct_in_the_base_class_serves_a_plugin_without_a_decorator(project):
    exp = project.log("one")
    exp.log_artifact("notes", ["a", "b"], handler="parity-words")
    assert "__attrs_attrs__" not in vars(Words)
    assert saved(project, exp).load_artifact("notes") == ["a", "b"]


# --- bullet: default fname is <slug of name>-<YYYYMMDDHHMMSS>.<suffix>; a given one is kept ---


@pytest.mark.parametrize(
    ("handler", "name", "fname"),
    [
        (JSONArtifact, "model", "model-20261120082233.json"),
        (PickleArtifact, "My Model v1.2", "my-model-v1-2-20261120082233.pkl"),
        (Words, "Größe", "grosse-20261120082233.txt"),
    ],
)
def test_fname_is_by_default_made_of_the_slug_the_time_and_the_suffix(handler, name, fname):
    assert handler.construct(name, created_at=MOMENT).fname == fname


def test_fname_by_default_is_the_name_of_the_file_on_disk(project):
    exp = project.log("one")
    exp.log_artifact("My Model", [1], handler="json")
    project.save()
    (artifact,) = exp.artifacts
    assert artifact.fname == f"my-model-{artifact.created_at:%Y%m%d%H%M%S}.json"
    assert kept_file(project, artifact.fname).read_text() == "[1]"


def test_fname_that_is_given_is_kept_with_its_sub_folders(project):
    exp = project.log("one")
    exp.log_artifact("curve", [1], handler="json", fname="plots/2026/Roc Curve.dat")
    found = saved(project, exp)
    assert JSONArtifact.construct("curve", fname="plots/Roc Curve.dat").fname == "plots/Roc Curve.dat"
    assert found.artifacts[0].fname == "plots/2026/Roc Curve.dat"
    assert kept_file(project, "plots/2026/Roc Curve.dat").read_text() == "[1]"


# --- bullet: extra fields take part in equality, which is the environment check made on load ---


def test_extra_fields_take_part_in_equality():
    assert PickleArtifact.construct("model") != PickleArtifact.construct("model", python_version="2.7")
    assert Versioned.construct("model", library="0.9") != Versioned.construct("model", library="1.0")
    assert Versioned.construct("model", library="0.9") == Versioned.construct("other", library="0.9")


def test_a_stored_handler_equals_one_that_is_constructed_in_the_same_environment(project):
    exp = project.log("one")
    exp.log_artifact("notes", ["a"], handler="parity-versioned")
    assert saved(project, exp).artifacts[0] == Versioned.construct("notes")


def test_a_stored_handler_that_differs_from_one_constructed_now_is_refused_on_load(project, monkeypatch):
    exp = project.log("one")
    exp.log_artifact("notes", ["a"], handler="parity-versioned")
    found = saved(project, exp)
    assert found.load_artifact("notes") == ["a"]
    monkeypatch.setitem(LIBRARY, "version", "2.0")
    assert found.artifacts[0] != Versioned.construct("notes")
    with pytest.raises(ArtifactLoadError):
        found.load_artifact("notes")
    assert found.load_artifact("notes", validate=False) == ["a"]


# --- bullet: the two handlers that come with lazytrack ---


def test_json_artifact_has_the_alias_and_suffix_json_and_is_text():
    assert (JSONArtifact.alias, JSONArtifact.suffix, JSONArtifact.binary) == ("json", "json", False)


def test_json_artifact_writes_json(project):
    exp = project.log("one")
    exp.log_artifact("report", {"größe": [1, None, True]}, handler="json")
    assert saved(project, exp).load_artifact("report") == {"größe": [1, None, True]}
    assert json.loads(kept_file(project, exp.artifacts[0].fname).read_bytes()) == {"größe": [1, None, True]}


def test_pickle_artifact_has_the_alias_pickle_and_the_suffix_pkl_and_is_binary():
    assert (PickleArtifact.alias, PickleArtifact.suffix, PickleArtifact.binary) == ("pickle", "pkl", True)


def test_pickle_artifact_writes_a_pickle_and_keeps_the_python_version(project):
    exp = project.log("one")
    exp.log_artifact("model", {1, 2}, handler="pickle")
    found = saved(project, exp)
    assert found.load_artifact("model") == {1, 2}
    assert found.artifacts[0].python_version == HERE
    assert found.to_dict()["artifacts"][0]["python_version"] == HERE
    assert pickle.loads(kept_file(project, exp.artifacts[0].fname).read_bytes()) == {1, 2}


# --- bullet: handlers pickle as their own serialised bytes, plain attrs subclasses too ---


def test_handlers_pickle_as_the_bytes_that_they_write():
    octets = pickle.dumps(Stream.construct("words", (word for word in ("one", "two"))))
    assert b"<one> <two>" in octets
    assert list(pickle.loads(octets).value) == ["<one>", "<two>"]


def test_handlers_pickle_with_the_kwargs_of_their_writer():
    octets = pickle.dumps(JSONArtifact.construct("report", {"b": 1, "a": 2}, writer_kwargs={"sort_keys": True}))
    assert b'{"a": 2, "b": 1}' in octets


@each_handler
def test_handlers_pickle_with_all_their_fields(handler):
    artifact = handler.construct("model", b"ab" if handler is Octets else ["a"], "a.bin", MOMENT, FUTURE, {}, 3, False)
    arrived = pickle.loads(pickle.dumps(artifact))
    assert type(arrived) is handler
    assert arrived == artifact
    assert [getattr(arrived, f) for f in PARAMETERS[:-1]] == [getattr(artifact, f) for f in PARAMETERS[:-1]]


def test_handlers_pickle_with_the_environment_they_were_made_in(monkeypatch):
    octets = pickle.dumps(Versioned.construct("notes", ["a"]))
    monkeypatch.setitem(LIBRARY, "version", "2.0")
    assert pickle.loads(octets).library == "1.0"


def test_handlers_pickle_without_a_value_too():
    assert pickle.loads(pickle.dumps(JSONArtifact.construct("report"))).value is None


def test_handlers_that_are_plain_attrs_subclasses_pickle_as_their_bytes():
    with pytest.raises(TypeError, match="generator"):
        pickle.dumps(word for word in "ab")
    assert "__slots__" in vars(Stream)  # attrs made this class anew, and gives such classes methods for pickling
    for handler in (Stream, Unslotted):
        arrived = pickle.loads(pickle.dumps(handler.construct("words", (word for word in "ab"))))
        assert list(arrived.value) == ["<a>", "<b>"]


def test_handlers_let_a_project_travel_with_what_is_not_saved(project, tmp_path):
    project.log("one").log_artifact("words", (word for word in ("one", "two")), handler="parity-stream")
    arrived = pickle.loads(pickle.dumps(project))
    other = Project(tmp_path / "other")
    other.append(arrived["one"])
    other.save()
    assert list(Project(other.fpath, mode="r")["one"].load_artifact("words")) == ["<<one>>", "<<two>>"]


# --- bullet: handlers that override construct with the original signature keep working ---


def test_construct_overridden_with_the_original_signature_keeps_working(project, monkeypatch):
    exp = project.log("one")
    exp.log_artifact("notes", ["a", "b"], handler="parity-overriding", fname=None, expiry=FUTURE)
    found = saved(project, exp)
    assert found.load_artifact("notes") == ["a", "b"]
    assert kept_file(project, "original-notes.txt").read_text() == "a b"
    (artifact,) = found.artifacts
    assert (artifact.library, artifact.expiry, artifact.dirty) == ("1.0", FUTURE, False)
    assert artifact.created_at.utcoffset() == timedelta(0)
    monkeypatch.setitem(LIBRARY, "version", "2.0")
    with pytest.raises(ArtifactLoadError, match=r"1\.0.*2\.0"):
        found.load_artifact("notes")


# --- same bullet: environment fields are attrs fields whose default factory captures the present value ---


def test_environment_fields_capture_the_value_at_the_time_of_construct(monkeypatch):
    monkeypatch.setitem(LIBRARY, "version", "2.0")
    assert Versioned.construct("notes").library == "2.0"


def test_environment_fields_are_taken_from_the_kwargs_of_construct_when_given():
    assert Versioned.construct("notes", library="0.9").library == "0.9"


def test_environment_fields_come_back_from_the_store_as_they_were(project, monkeypatch):
    exp = project.log("one")
    exp.log_artifact("notes", ["a"], handler="parity-versioned")
    project.save()
    monkeypatch.setitem(LIBRARY, "version", "2.0")
    found = Project(project.fpath, mode="r")["one"]
    assert found.artifacts[0].library == "1.0"
    assert found.to_dict()["artifacts"][0]["library"] == "1.0"


def test_environment_fields_are_none_for_json():
    assert [field.name for field in attrs.fields(JSONArtifact) if field.eq] == []
    assert JSONArtifact.construct("a", created_at=MOMENT) == JSONArtifact.construct("b", python_version="2.7")


# --- same bullet: json and pickle are not output only; dirty; saving warns too ---


@pytest.mark.parametrize("handler", [JSONArtifact, PickleArtifact, Words])
def test_output_only_is_false_unless_a_handler_says_otherwise(handler):
    assert handler.output_only is False


@each_handler
def test_construct_gives_dirty_true(handler):
    assert handler.construct("model").dirty is True


def test_loading_gives_dirty_false(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    exp.log_test("women").log_artifact("report", [1], handler="json")
    found = saved(project, exp)
    assert found.artifacts[0].dirty is False
    assert found.tests[0].artifacts[0].dirty is False


def test_saving_makes_dirty_false(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    assert exp.artifacts[0].dirty is True
    project.save()
    assert exp.artifacts[0].dirty is False


def test_saving_warns_of_an_output_only_artifact_too(project):
    exp = project.log("one")
    with pytest.warns(UserWarning, match="'plot'"):
        exp.log_artifact("plot", ["a"], handler="parity-drawing")
    with pytest.warns(UserWarning, match="'plot'"):
        project.save()
    assert kept_file(project, exp.artifacts[0].fname).read_text() == "a"


# --- bullet: lookup by alias, entry points first, then subclasses at any depth ---


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package which offers handlers: their aliases with where they are."""
    site = tmp_path / "site"
    before = set(sys.modules)

    def install(handlers, **modules):
        info = site / "parity_plugins-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parity-plugins\nVersion: 1.0\n")
        lines = [f"{alias} = {place}" for alias, place in handlers.items()]
        (info / "entry_points.txt").write_text("\n".join(["[lazytrack.artifact_type]", *lines, ""]))
        for name, source in modules.items():
            (site / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()
        registry._entry_points.cache_clear()  # the installed packages are scanned once in the life of a process

    yield install
    registry._entry_points.cache_clear()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(site) in str(sys.modules[name].__file__):
            del sys.modules[name]


def handler_of(alias, base=Words, **body):
    """Define a handler class, as a package or a notebook would."""
    return type(base)("Made", (base,), {"alias": alias, "__module__": __name__, "__qualname__": "Made"} | body)


SOURCE = """
from typing import ClassVar
import attrs
from lazytrack.artifacts.base import Artifact

@attrs.define
class Offered(Artifact):
    alias: ClassVar[str] = "{alias}"
    suffix: ClassVar[str] = "off"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf, **kwargs):
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        buf.write(obj)
"""


def test_lookup_finds_a_handler_by_entry_point(install, project):
    install({"parity-offered": "parity_offered:Offered"}, parity_offered=SOURCE.format(alias="parity-offered"))
    assert "parity_offered" not in sys.modules
    exp = project.log("one")
    exp.log_artifact("notes", "text", handler="parity-offered")
    assert type(exp.artifacts[0]) is sys.modules["parity_offered"].Offered
    assert saved(project, exp).load_artifact("notes") == "text"


def test_lookup_asks_entry_points_before_subclasses(install):
    handler = handler_of("parity-first")
    assert get_handler("parity-first") is handler
    install({"parity-first": "no_such_module_anywhere:Handler"})
    with pytest.raises(ImportError, match="parity-first"):
        get_handler("parity-first")


def test_lookup_finds_subclasses_at_any_depth():
    child = handler_of("parity-child", JSONArtifact, __qualname__="Child")
    grandchild = handler_of("parity-grandchild", child, __qualname__="Grandchild")
    great = handler_of("parity-great", grandchild, __qualname__="Great")
    assert [get_handler(f"parity-{name}") for name in ("child", "grandchild", "great")] == [child, grandchild, great]


# --- same bullet: what is wrong is named ---


def test_lookup_of_an_unknown_alias_names_the_known_ones(project):
    with pytest.raises(ValueError, match="'jsn'") as caught:
        project.log("one").log_artifact("report", [1], handler="jsn")
    for alias in ("json", "pickle", "parity-words", "parity-versioned"):
        assert alias in str(caught.value)


def test_lookup_of_an_unknown_alias_names_those_of_entry_points_too(install):
    install({"parity-offered-too": "no_such_module_anywhere:Handler"})
    with pytest.raises(ValueError, match="parity-offered-too"):
        get_handler("jsn")
    assert "parity-offered-too" in known_aliases()


@pytest.mark.parametrize(
    "place", ["no_such_module_anywhere:Handler", "lazytrack.artifacts.json:NoSuchHandler", "parity_raising:Handler"]
)
def test_lookup_of_an_entry_point_that_fails_to_import_names_it(install, place):
    install({"parity-broken": place}, parity_raising="raise RuntimeError('no GPU')\n")
    with pytest.raises(ImportError, match="parity-broken"):
        get_handler("parity-broken")


@pytest.mark.parametrize("place", ["json:dumps", "pathlib:Path", "json"])
def test_lookup_of_an_entry_point_that_is_no_handler_class_is_a_type_error(install, place):
    install({"parity-odd": place})
    with pytest.raises(TypeError, match="parity-odd"):
        get_handler("parity-odd")


# --- same bullet: two distinct classes of one alias are an error; one class in two guises is none ---


def test_lookup_refuses_an_alias_that_two_classes_claim(project):
    handlers = [handler_of("parity-clash", __qualname__=name) for name in ("One", "Other")]
    with pytest.raises(ValueError, match=r"parity-clash.*One.*Other"):
        project.log("one").log_artifact("notes", ["a"], handler="parity-clash")
    assert len(handlers) == 2


def test_lookup_refuses_an_alias_that_one_name_in_two_modules_claims():
    handlers = [handler_of("parity-modules", __module__=name) for name in ("package_a", "package_b")]
    with pytest.raises(ValueError, match=r"package_a.*package_b"):
        get_handler("parity-modules")
    assert len(handlers) == 2


def test_lookup_refuses_an_alias_that_an_entry_point_and_another_class_claim(install):
    handler = handler_of("parity-rival")
    install({"parity-rival": "lazytrack.artifacts.json:JSONArtifact"})
    with pytest.raises(ValueError, match=r"parity-rival.*JSONArtifact.*Made"):
        get_handler("parity-rival")
    assert handler.alias == "parity-rival"


def test_lookup_takes_the_slotted_twin_that_attrs_makes_for_no_clash():
    plain = handler_of("parity-twin")
    slotted = attrs.define(plain)
    assert slotted is not plain
    assert get_handler("parity-twin") is slotted


def test_lookup_takes_a_class_that_an_entry_point_reaches_too_for_no_clash(install, project):
    install({"json": "lazytrack.artifacts.json:JSONArtifact"})
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    assert get_handler("json") is JSONArtifact
    assert saved(project, exp).load_artifact("report") == [1]


def test_lookup_takes_the_latest_of_a_class_that_a_notebook_defines_again():
    first = handler_of("parity-again", __module__="__main__")
    second = handler_of("parity-again", __module__="__main__")
    assert first is not second
    assert get_handler("parity-again") is second


# --- bullet: expiry is a datetime after a reload too ---


def test_expiry_is_a_datetime_after_a_reload(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json", expiry=FUTURE)
    exp.log_test("women").log_artifact("report", [1], handler="json", expiry=FUTURE)
    found = saved(project, exp)
    assert found.artifacts[0].expiry == found.tests[0].artifacts[0].expiry == FUTURE
    assert isinstance(found.artifacts[0].expiry, datetime)
    assert found.load_artifact("report") == [1]


def test_expiry_that_was_not_given_is_none_after_a_reload(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json")
    assert saved(project, exp).artifacts[0].expiry is None


# --- bullet: datetimes are aware UTC with microseconds; naive ones are taken as UTC ---


def test_datetimes_are_aware_and_keep_their_microseconds_after_a_reload(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json", expiry=FUTURE)
    found = saved(project, exp).artifacts[0]
    assert found.created_at == exp.artifacts[0].created_at
    assert found.created_at.utcoffset() == found.expiry.utcoffset() == timedelta(0)
    assert found.expiry.microsecond == 678901


@pytest.mark.parametrize("field", ["created_at", "expiry"])
@pytest.mark.parametrize("given", [MOMENT, NAIVE, MOMENT.astimezone(timezone(timedelta(hours=-5)))], ids=str)
@each_handler
def test_datetimes_given_by_a_user_are_in_utc_and_naive_ones_are_taken_as_utc(handler, given, field):
    kept = getattr(handler.construct("model", **{field: given}), field)
    assert kept == MOMENT
    assert kept.utcoffset() == timedelta(0)
    assert kept.microsecond == 123456


def test_datetimes_that_are_naive_are_taken_as_utc_by_log_artifact(project):
    exp = project.log("one")
    exp.log_artifact("report", [1], handler="json", expiry=FUTURE.replace(tzinfo=None))
    assert exp.artifacts[0].expiry == saved(project, exp).artifacts[0].expiry == FUTURE


def test_datetimes_that_are_naive_are_taken_as_utc_where_a_handler_is_made_by_hand(project, tmp_path):
    exp = Experiment(name="one", project=tmp_path / "churn" / "project.json")
    artifact = Words(name="notes", fname="notes.txt", value=["a"], created_at=NAIVE, expiry=NAIVE + timedelta(1))
    exp.tests.append(Test("women", artifacts=[artifact]))
    project.append(exp)
    (found,) = saved(project, exp).tests[0].artifacts
    assert (found.created_at, found.expiry) == (MOMENT, MOMENT + timedelta(1))
