import gzip
import hashlib
import io
import json
import os
import pickle
from datetime import UTC, datetime
from typing import ClassVar

import attrs
import numpy as np
import pytest

from lazytrack import naming
from lazytrack.artifacts import Artifact, JSONArtifact, PickleArtifact, Shelf, StoredFile, from_entry, to_entry
from lazytrack.errors import ArtifactLoadError, UnsafePathError
from lazytrack.files import open_files

MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("offer")


@attrs.define
class Recorded(Artifact):
    """A handler of bytes that remembers what it was asked to read."""

    alias: ClassVar[str] = "shelf-recorded"
    suffix: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True

    reads: ClassVar[list] = []

    @classmethod
    def read(cls, buf, **kwargs):
        cls.reads.append(kwargs)
        return buf.read()

    @classmethod
    def write(cls, obj, buf, **kwargs):
        for part in obj:
            if isinstance(part, BaseException):
                raise part
            buf.write(part)
        if kwargs.get("close"):
            buf.close()


@attrs.define
class Text(Artifact):
    """A handler of text that is written as it is."""

    alias: ClassVar[str] = "shelf-text"
    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf, **kwargs):
        text = buf.read()
        if kwargs.get("close"):
            buf.close()
        return text

    @classmethod
    def write(cls, obj, buf, **kwargs):
        for part in obj:
            if isinstance(part, BaseException):
                raise part
            buf.write(part)
        if kwargs.get("close"):
            buf.close()


@attrs.define
class Zipped(Recorded):
    """A handler that wraps what it is given."""

    alias: ClassVar[str] = "shelf-zipped"

    @classmethod
    def write(cls, obj, buf, **kwargs):
        with gzip.open(buf, "wt", encoding="utf-8") as file:
            file.write(obj)

    @classmethod
    def read(cls, buf, **kwargs):
        with gzip.open(buf, "rt", encoding="utf-8") as file:
            return file.read()


@pytest.fixture
def reads(monkeypatch):
    """What `Recorded` was asked to read so far."""
    monkeypatch.setattr(Recorded, "reads", [])
    return Recorded.reads


@pytest.fixture(params=["local", "memory"])
def any_shelf(request, tmp_path):
    files = open_files(tmp_path / "store" if request.param == "local" else f"memory://{naming.unique()}")
    yield Shelf(files)
    if files.fs.exists(files.url):
        files.fs.rm(files.url, recursive=True)


def saved(shelf, artifact, **where):
    """Write an artifact and return it as a later process finds it."""
    return from_entry(artifact.name, to_entry(artifact, shelf.write(artifact, **where)))


def digest(data):
    return hashlib.sha256(data).hexdigest()


# --- writing and reading back ---

VALUES = [
    JSONArtifact.construct("report", {"größe": [1, 2.5, None, "🚀"]}),
    JSONArtifact.construct("report", [], fname="plots/2026/Report.json"),
    JSONArtifact.construct("report", "line\nbreak\r\n", writer_kwargs={"ensure_ascii": False}),
    PickleArtifact.construct("model", {"bytes": b"\0\r\n", "set": {1, 2}, "when": MOMENT}),
    PickleArtifact.construct("model", list(range(100_000))),
    Text.construct("notes", ["eins\n", "zwölf\r\n", "🚀\r", ""]),
    Text.construct("notes", []),
    Recorded.construct("blob", [b"\0" * 2_000_000, b"\xff\r\n"]),
    Zipped.construct("zipped", "zwölf\n" * 1000),
]


@pytest.mark.parametrize("artifact", VALUES, ids=lambda artifact: f"{artifact.alias}-{artifact.name}")
def test_what_is_written_reads_back_on_every_filesystem(any_shelf, artifact):
    value = artifact.value
    if isinstance(artifact, Text):
        value = "".join(value)
    if type(artifact) is Recorded:
        value = b"".join(value)
    assert any_shelf.read(saved(any_shelf, artifact)) == value
    assert any_shelf.read(saved(any_shelf, artifact, owner="baseline-20261120082233-k3f9x2ab")) == value


def test_arrays_in_a_pickle_come_back(shelf):
    value = {"weights": np.arange(300_000, dtype=np.float32), "by columns": np.asfortranarray(np.ones((3, 2)))}
    read = shelf.read(saved(shelf, PickleArtifact.construct("model", value)))
    assert all(np.array_equal(read[name], value[name]) for name in value)


def test_a_record_of_a_file_holds_its_place_digest_and_size(shelf, store, kept_files):
    stored = shelf.write(Text.construct("notes", ["zwölf\n"], fname="notes.txt"), owner="baseline")
    assert kept_files() == [stored.path]
    content = (store / stored.path).read_bytes()
    assert content == "zwölf\n".encode()
    assert (stored.sha256, stored.size) == (digest(content), len(content))


@pytest.mark.parametrize("text", ["a\nb\r\nc\rd", "no end", "\ufeffmark", "\u2028 is no line end here\n"], ids=ascii)
def test_text_is_kept_as_utf_8_with_the_line_ends_it_has(shelf, store, text):
    artifact = saved(shelf, Text.construct("notes", [text]))
    assert (store / artifact.stored.path).read_bytes() == text.encode()
    assert shelf.read(artifact) == text


def test_arguments_reach_the_writer_and_the_reader(shelf, store, reads):
    artifact = saved(shelf, JSONArtifact.construct("report", {"b": 1}, writer_kwargs={"indent": 1}))
    assert (store / artifact.stored.path).read_text("utf-8") == '{\n "b": 1\n}'
    assert shelf.read(artifact, parse_int=str) == {"b": "1"}
    shelf.read(saved(shelf, Recorded.construct("blob", [b"1"])), some="option")
    assert reads == [{"some": "option"}]


def test_a_file_is_written_once_and_never_again(shelf, store):
    artifact = JSONArtifact.construct("report", [1], fname="report.json")
    one = shelf.write(artifact)
    artifact.value = [2]
    other = shelf.write(artifact)
    assert one.path != other.path
    assert (store / one.path).read_text("utf-8") == "[1]"
    assert (store / other.path).read_text("utf-8") == "[2]"


# --- where files stand ---


def test_a_file_stands_below_its_owner_name_and_version(shelf):
    stored = shelf.write(JSONArtifact.construct("report", 1, fname="plots/2026/Roc Curve.json", version=3), owner="exp")
    folder, owner, name, version, *fname = stored.path.split("/")
    assert (folder, owner, name) == ("artifacts", "exp", "report")
    assert version.startswith("3-")
    assert len(version) == len("3-") + 8
    assert fname == ["plots", "2026", "Roc Curve.json"]


def test_without_an_owner_the_name_stands_first(shelf):
    assert shelf.write(JSONArtifact.construct("report", 1)).path.startswith("artifacts/report/0-")


@pytest.mark.parametrize(
    "name", ["My Model", "../../etc", "con", "a/b", "", "模型 🚀", ".", "x" * 5000, "C:\\x", "nul\0"]
)
def test_a_name_becomes_one_safe_folder_and_the_object_comes_back(any_shelf, name):
    artifact = saved(any_shelf, JSONArtifact.construct(name, [1]))
    assert artifact.stored.path.split("/")[1] == naming.safe_part(name)
    assert artifact.name == name
    assert any_shelf.read(artifact) == [1]


def test_names_that_differ_only_by_case_have_folders_that_differ_by_more(shelf):
    paths = {
        shelf.write(JSONArtifact.construct(name, name)).path.split("/")[1].lower() for name in ("roc", "Roc", "ROC")
    }
    assert len(paths) == 3


@pytest.mark.parametrize("fname", ["../../x", "..", "a/../../x", "/etc/x", "\\x", "C:\\x", "c:x", "a\0b", "..\\x"])
def test_a_file_name_that_leaves_the_store_is_refused_before_anything_is_written(shelf, kept_files, fname):
    with pytest.raises(UnsafePathError):
        shelf.write(JSONArtifact.construct("report", 1, fname=fname))
    assert kept_files() == []


@pytest.mark.parametrize("owner", ["..", "../..", "a/../../b", "a\0", "..\\.."])
def test_an_owner_that_leaves_the_store_is_refused_before_anything_is_written(shelf, tmp_path, owner):
    with pytest.raises(UnsafePathError):
        shelf.write(JSONArtifact.construct("report", 1), owner=owner)
    assert list(tmp_path.iterdir()) == []


# --- writers that fail or are peculiar ---


@pytest.mark.parametrize("handler", [Recorded, Text])
@pytest.mark.parametrize("size", [1, 3_000_000], ids=["buffered", "beyond the buffer"])
@pytest.mark.parametrize("error", [ValueError("stopped"), KeyboardInterrupt("stopped"), OSError(28, "stopped")])
def test_a_writer_that_raises_leaves_no_file(shelf, kept_files, handler, size, error):
    part = b"x" * size if handler.binary else "x" * size
    with pytest.raises(type(error), match="stopped") as caught:
        shelf.write(handler.construct("blob", [part, error]))
    assert caught.value is error
    assert kept_files() == []


def test_a_value_its_writer_cannot_write_leaves_no_file(shelf, kept_files):
    with pytest.raises(TypeError, match="not JSON serializable"):
        shelf.write(JSONArtifact.construct("report", [1] * 1000 + [object()]))
    with pytest.raises(TypeError, match="pickle"):
        shelf.write(PickleArtifact.construct("model", [bytes(2_000_000), (number for number in ())]))
    assert kept_files() == []


def test_a_failed_write_on_memory_leaves_no_file(any_shelf):
    with pytest.raises(ValueError, match="stopped"):
        any_shelf.write(Recorded.construct("blob", [b"x" * 3_000_000, ValueError("stopped")], fname="a.bin"))
    files = any_shelf._files
    assert not files.fs.exists(files.url) or files.fs.find(files.url) == []


@pytest.mark.parametrize("handler", [Recorded, Text])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_writer_may_close_what_it_is_given(any_shelf, handler, size):
    part = b"x" * size if handler.binary else "x" * size
    artifact = saved(any_shelf, handler.construct("blob", [part], writer_kwargs={"close": True}))
    assert (artifact.stored.size, artifact.stored.sha256) == (size, digest(b"x" * size))
    assert any_shelf.read(artifact) == part


def test_a_reader_may_close_what_it_is_given(any_shelf):
    assert any_shelf.read(saved(any_shelf, Text.construct("notes", ["text"])), close=True) == "text"
    assert any_shelf.read(saved(any_shelf, Zipped.construct("zipped", "text"))) == "text"


def test_a_reader_that_raises_is_heard_of(shelf):
    notes = Text.construct("notes", ["no json"])
    artifact = from_entry("notes", {**to_entry(notes, shelf.write(notes)), "handler": "json"})
    with pytest.raises(json.JSONDecodeError):
        shelf.read(artifact)


# --- files that are not what was saved ---


def damage(path, how):
    content = path.read_bytes()
    match how:
        case "altered":
            path.write_bytes(b"X" + content[1:])
        case "truncated":
            path.write_bytes(content[:-1])
        case "emptied":
            path.write_bytes(b"")
        case "appended to":
            path.write_bytes(content + b"\n")
    return path.read_bytes()


@pytest.mark.parametrize("how", ["altered", "truncated", "emptied", "appended to"])
def test_a_file_that_was_changed_is_refused_before_its_handler_sees_a_byte(shelf, store, reads, how):
    artifact = saved(shelf, Recorded.construct("blob", [b"some bytes"]))
    found = damage(store / artifact.stored.path, how)
    with pytest.raises(ArtifactLoadError, match="'blob' is not the one that was saved") as caught:
        shelf.read(artifact)
    assert reads == []
    assert digest(b"some bytes") in str(caught.value)
    assert digest(found) in str(caught.value)
    assert artifact.stored.path in str(caught.value)


def test_a_file_that_was_changed_runs_no_code(shelf, store):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("a changed pickle ran",)

    artifact = saved(shelf, PickleArtifact.construct("model", 1))
    (store / artifact.stored.path).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArtifactLoadError, match="is not the one that was saved"):
        shelf.read(artifact)


def test_a_file_that_is_gone_is_told_by_its_path(any_shelf, reads):
    artifact = saved(any_shelf, Recorded.construct("blob", [b"some bytes"]))
    any_shelf._files.remove([artifact.stored.path])
    with pytest.raises(ArtifactLoadError, match="the file of artifact 'blob' is gone") as caught:
        any_shelf.read(artifact)
    assert artifact.stored.path in str(caught.value)
    assert reads == []


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "C:\\x", "c:x", "\\\\host\\x", "", ".", "a\0", "..\\x"]
)
def test_a_record_that_points_out_of_the_store_is_refused(shelf, tmp_path, reads, path):
    (tmp_path / "x").write_bytes(b"outside")
    artifact = saved(shelf, Recorded.construct("blob", [b"outside"]))
    artifact.stored = attrs.evolve(artifact.stored, path=path)
    with pytest.raises(UnsafePathError):
        shelf.read(artifact)
    assert reads == []


def test_a_record_may_point_to_any_artifact_file_of_the_store_and_to_no_other(shelf, store):
    (store / "artifacts/elsewhere").mkdir(parents=True)
    for place in ("artifacts/elsewhere/a.json", "a.json"):
        (store / place).write_bytes(b"[1]")
    artifact = JSONArtifact.construct("report")
    artifact.stored = StoredFile(path="a.json", sha256=digest(b"[1]"), size=3)
    with pytest.raises(UnsafePathError, match="is no artifact's"):
        shelf.read(artifact)
    artifact.stored = StoredFile(path="artifacts/elsewhere/a.json", sha256=digest(b"[1]"), size=3)
    assert shelf.read(artifact) == [1]


def test_an_artifact_that_was_never_written_cannot_be_read(shelf):
    with pytest.raises(ArtifactLoadError, match="'report' is not saved yet: save"):
        shelf.read(JSONArtifact.construct("report", 1))


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of open files")
def test_the_file_that_was_checked_is_the_one_that_is_read(shelf, store, monkeypatch):
    artifact = saved(shelf, Recorded.construct("blob", [b"some bytes"]))
    file_digest = hashlib.file_digest

    def swap_afterwards(file, name):
        checked = file_digest(file, name)
        path = store / artifact.stored.path
        path.rename(path.with_name("old"))
        path.write_bytes(b"other")
        return checked

    monkeypatch.setattr(hashlib, "file_digest", swap_afterwards)
    assert shelf.read(artifact) == b"some bytes"


def test_a_file_is_closed_after_it_was_read(shelf, monkeypatch):
    artifacts = [saved(shelf, Recorded.construct("blob", [b"1"])), saved(shelf, Text.construct("notes", ["1"]))]
    opened = []
    open_read = type(shelf._files).open_read

    def remember(files, path, **kwargs):
        opened.append(open_read(files, path, **kwargs))
        return opened[-1]

    monkeypatch.setattr(type(shelf._files), "open_read", remember)
    for artifact in artifacts:
        shelf.read(artifact)
    assert [file.closed for file in opened] == [True, True]
    assert all(isinstance(file, io.BufferedIOBase) for file in opened)
