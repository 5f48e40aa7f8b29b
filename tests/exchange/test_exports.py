"""Exports: a project as one file, opened where it is, over HTTP, in another process, and ten years later."""

import base64
import concurrent.futures
import functools
import hashlib
import http.server
import json
import math
import multiprocessing
import pickle
import threading
import zipfile
from pathlib import Path

import pytest
from comparing import contents, digests
from jsonschema import Draft202012Validator

from lazytrack import Project, Repository, cli, codec
from lazytrack.artifacts import Reference
from lazytrack.errors import (
    ArtifactLoadError,
    FormatError,
    LazytrackError,
    ReadOnlyError,
    StoreWarning,
)
from lazytrack.provenance import capture

FORMATS = Path(__file__).parent.parent / "formats"
FILES = {"short.json": {}, "whole.json": {"artifacts": True}, "whole.zip": {}, "short.zip": {"artifacts": False}}
"""What an export may be called, with how it is made."""
WHOLE = [name for name in FILES if name.startswith("whole")]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


# --- a project that has everything ---


def fill(folder):
    """Write a project that has everything a project can have, beside one that it depends on."""
    files = folder / "some files"
    (files / "inner é").mkdir(parents=True)
    (files / "inner é" / "a.bin").write_bytes(bytes(range(256)))
    (files / "b.txt").write_text("b ☃")
    with Project(folder / "upstream") as upstream, upstream.log("rows") as rows:
        rows.log_metric("count", 3)
    project = Project(folder / "churn", mode="w+", author="jürgen")
    with project.log("gone"):
        pass
    with project.log("all of it, ☃") as exp:
        exp.log_parameters({"nan": math.nan, "huge": 2**99, "own": {"dict": 1}, "a.b/c é": [{"x": [None]}]})
        exp.metrics.update({"nan": math.nan, "list": [1, -math.inf], "int": 3})
        exp.tag("ünïcode ☃", "b")
        exp.notes = "two\nlines ☃"
        with exp.log_test("women", "a description") as test:
            test.log_metric("auc", 0.5)
            test.log_artifact("curve", [1, 2], handler="json")
        exp.log_artifact("report", {"é": [1]}, handler="json")
        exp.log_artifact("model", {"w": (1, b"\x00")}, handler="pickle")
        exp.log_artifact("blob", b"\x00\xff" * 500)
        exp.log_artifact("folder", files, "directory")
        exp.log_artifact("data", Reference.to(files / "b.txt"))
        exp.dependencies["rows"] = rows
        with exp.step("outer", metadata={"nan": math.nan}), pytest.raises(ZeroDivisionError), exp.step("inner"):
            1 / 0  # noqa: B018
    project.save()
    with project.log("parent") as parent:
        for step in range(10):
            parent.log_metric("few", math.nan if step == 3 else step / 7, step=step)
        parent.dependencies["all"] = exp
    with project.log("child", parent=parent) as child, project.log("grandchild", parent=child):
        pass
    with project.log("long", parent=child) as long:
        for step in range(1000):
            long.log_metric("loss", 1 / (step + 1), step=step * 3)
            long.log_metric("small", step % 3, step=step)
    project.save()
    resumed = Project(folder / "churn").resume(long.slug, step=1500, rank=2, ranks=4)
    resumed.log_metric("loss", -math.inf, step=1500)
    resumed._owner.save()
    project.refresh()
    exp.tags.remove("b")
    exp.log_artifact("report", {"é": [2]}, handler="json", overwrite=True)
    project.delete(project["gone"].slug)
    project.save()
    with pytest.raises(ZeroDivisionError), project.log("failed"):
        1 / 0  # noqa: B018
    project.save()
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a project ``churn`` that has everything, and where it comes from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(capture.SWITCH, "1")
        patch.setattr(capture, "_capture", None)
        patch.setattr(capture, "PATIENCE_SECONDS", 60)  # the machine may be busy
        return fill(tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def original(written):
    return Project(written / "churn", mode="r")


@pytest.fixture(scope="module")
def exports(original, written):
    """The exports of the project, beside it, each with what was said of it."""
    return {name: original.export(written / name, **how) for name, how in FILES.items()}


@pytest.fixture
def web(written):
    """Serve the folder, without ranges; return its URL."""
    handler = functools.partial(QuietHandler, directory=written)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def told(project):
    """Return all that a project says but the content of artifacts, as text, in which nan is as good as itself."""
    experiments = project.experiments
    return [
        *(repr({**exp, "dependencies": len(exp["dependencies"])}) for exp in project),
        *(f"{exp.slug} {key} {exp.dependencies[key].slug}" for exp in experiments for key in exp.dependencies),
        *(
            f"{exp.slug} {name} {[*exp.history(name)]} {exp.summary(name)}"
            for exp in experiments
            for name in exp.history_names
        ),
        *(f"{exp.slug} {step.to_json_dict()}" for exp in experiments for step in exp.steps),
        *(f"{exp.slug} {exp.environment} {exp.platform} {exp.git} {exp.error} {exp.writers}" for exp in experiments),
        *(
            f"{exp.slug} {exp.parent and exp.parent.slug} {[child.slug for child in exp.children]}"
            for exp in experiments
        ),
    ]


def loaded(project):
    """Return the content of every artifact."""
    found = {}
    for exp in project.experiments:
        for owner in (exp, *exp.tests):
            for artifact in owner.artifacts:
                value = owner.load_artifact(artifact.name)
                is_path = artifact.alias in {"directory", "file"}
                found[exp.slug, owner.name, artifact.name] = digests(value) if is_path else value
    assert len(found) >= 6
    return found


# --- opening ---


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", ["here", "there"])
def test_an_export_is_its_project_wherever_it_is_opened(original, exports, written, web, name, where):
    export = Project(written / name if where == "here" else f"{web}/{name}", mode="r")
    assert told(export) == told(original)
    assert len(export) == exports[name].experiments == 6
    assert export.problems == {}
    assert export.experiments == original.experiments
    if name in WHOLE:
        assert repr(loaded(export)) == repr(loaded(original))


def test_the_project_has_all_that_these_tests_are_about(original):
    assert original["all-of-it"].environment.packages
    assert [step.step_name for step in original["all-of-it"].steps] == ["outer", "inner"]
    assert original["long"].history("loss", rank=2).value == [-math.inf]
    assert len(original["long"].history("small")) > 100
    assert len(original["parent"].history("few")) == 10
    assert original["grandchild"].parent.parent.name == "parent"
    assert original["failed"].status == "failed"
    kinds = {name.split("/")[1] for name in contents(Path(original.dir)) if name.count("/") > 1}
    assert kinds >= {"log", "artifacts", "series", "environments"}


@pytest.mark.parametrize("name", FILES)
def test_an_export_is_one_file_that_says_how_much_is_in_it(exports, written, name):
    done = exports[name]
    assert done.fpath == str(written / name)
    assert done.left_out == {}
    if name.endswith(".json"):
        document = json.loads((written / name).read_text(), parse_constant=pytest.fail)
        assert (document["format"], document["kind"]) == ("lazytrack/1", "export")
        held = document["files"]
        sizes = [
            len(text.encode()) if isinstance(text, str) else len(base64.b64decode(text["base64"]))
            for text in held.values()
        ]
    else:
        with zipfile.ZipFile(written / name) as archive:
            assert archive.testzip() is None
            held = {path for path in archive.namelist() if path != "project.json" and "/log/" not in path}
            sizes = [archive.getinfo(path).file_size for path in held]
            assert len([path for path in archive.namelist() if "/log/" in path]) == 1
    assert (done.files, done.size) == (len(held), sum(sizes))
    assert any("artifacts/" in path for path in held) == (name in WHOLE)
    assert any("series/" in path for path in held)
    assert any("environments/" in path for path in held)


def test_text_can_be_read_in_a_document(exports, written):
    document = json.loads((written / "whole.json").read_text())
    reports = [text for path, text in document["files"].items() if "/report/" in path]
    assert [json.loads(text) for text in reports] == [{"é": [2]}]
    assert "☃" in (written / "whole.json").read_text()


def test_what_was_deleted_is_gone_and_nothing_else_of_it_is_left(original, exports, written):
    (gone,) = original._journal.deleted
    for name in FILES:
        export = Project(written / name, mode="r")
        with pytest.raises(KeyError):
            export["gone"]
        assert export._journal.deleted == {gone}
    assert "fields" not in (written / "short.json").read_text().partition(gone)[2][:200]


@pytest.mark.parametrize("name", ["short.json", "short.zip"])
def test_what_an_export_leaves_out_is_told_when_it_is_loaded(exports, written, name):
    export = Project(written / name, mode="r")
    assert len(export["all-of-it"].artifacts) >= 5
    with pytest.raises(ArtifactLoadError, match="is not in this export" if name.endswith("json") else "is gone"):
        export["all-of-it"].load_artifact("report")


def test_dependencies_are_followed_from_where_the_export_is(original, exports, written, tmp_path):
    original.export(tmp_path / "deep.json")
    for path in (tmp_path / "deep.json", *(written / name for name in FILES)):
        export = Project(path, mode="r")
        assert export["parent"].dependencies == {"all": export["all-of-it"]}
        assert export["all-of-it"].dependencies["rows"].metrics == {"count": 3}


def test_what_is_not_saved_is_not_exported(tmp_path):
    project = Project(tmp_path / "churn")
    with project.log("saved"):
        pass
    project.save()
    project.log("unsaved")
    assert project.export(tmp_path / "it.json").experiments == 1
    assert [exp.name for exp in Project(tmp_path / "it.json", mode="r").experiments] == ["saved"]


def test_an_empty_project_is_an_export_of_nothing(tmp_path):
    project = Project(tmp_path / "churn")
    for name in ("it.json", "it.zip"):
        done = project.export(tmp_path / name)
        assert (done.experiments, done.files) == (0, 0)
        assert list(Project(tmp_path / name, mode="r")) == []
    assert not (tmp_path / "churn").exists()


def test_some_experiments_are_exported_with_their_files_alone(original, tmp_path):
    slug = original["long"].slug
    for name in ("it.json", "it.zip"):
        done = original.export(tmp_path / name, slugs=["long", slug, "failed"], artifacts=True)
        export = Project(tmp_path / name, mode="r")
        assert [exp.name for exp in export.experiments] == ["long", "failed"]
        assert done.experiments == 2
        assert [line for line in told(original) if line.startswith(f"{slug} loss")] == [
            line for line in told(export) if line.startswith(f"{slug} loss")
        ]
        assert export._journal.deleted == frozenset()
        assert export["long"].parent is None or export["long"].parent.slug != slug
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert not [path for path in archive.namelist() if "report" in path]
    with pytest.raises(KeyError, match="nothing"):
        original.export(tmp_path / "other.json", slugs=["nothing"])
    assert not (tmp_path / "other.json").exists()


# --- what can be done with it ---


@pytest.mark.parametrize("name", FILES)
def test_an_export_is_only_read(exports, written, name):
    before = (written / name).read_bytes()
    if name.endswith(".json"):
        for mode in ("a", "w", "w+"):
            with pytest.raises(ReadOnlyError, match="is an export: open it with mode='r'"):
                Project(written / name, mode=mode)
    export = Project(written / name, mode="r")
    with pytest.raises(ReadOnlyError):
        export.log("more")
    with pytest.raises(ReadOnlyError):
        export["long"].tag("more")
    with pytest.raises(ReadOnlyError):
        export.save()
    assert (written / name).read_bytes() == before
    assert not (written / name.partition(".")[0]).exists()


@pytest.mark.parametrize("name", WHOLE)
def test_an_export_that_is_merged_makes_an_equal_project(original, exports, written, tmp_path, name):
    merged = Project(tmp_path / "to").merge(Project(written / name, mode="r"))
    merged.save()
    found = Project(tmp_path / "to", mode="r")
    assert told(found) == told(original)
    assert repr(loaded(found)) == repr(loaded(original))
    assert Project(tmp_path / "to").fsck() == []
    before = contents(tmp_path / "to")
    again = Project(tmp_path / "to").merge(Project(written / name, mode="r"))
    again.save()
    assert contents(tmp_path / "to") == before


def test_what_was_deleted_in_an_export_is_deleted_by_a_merge(original, exports, written, tmp_path):
    (gone,) = original._journal.deleted
    other = Project(tmp_path / "to")
    with other.log("gone") as exp:
        pass
    other.save()
    merged = other.merge(Project(written / "whole.json", mode="r"))
    merged.save()
    assert merged._journal.deleted == {gone}
    assert exp.slug in {each.slug for each in merged.experiments}


def test_a_merge_says_that_an_export_is_without_artifacts(exports, written, tmp_path):
    with pytest.warns(StoreWarning, match=r"artifacts of .*short\.json are left out: that export is without them"):
        merged = Project(tmp_path / "to").merge(Project(written / "short.json", mode="r"))
    merged.save()
    found = Project(tmp_path / "to", mode="r")
    assert found["long"].history("loss").step[-1] == 2997
    assert found["all-of-it"].metrics["int"] == 3


@pytest.mark.parametrize("name", ["whole.zip", "short.zip"])
def test_an_archive_that_is_unpacked_can_be_logged_to(original, exports, written, name):
    with zipfile.ZipFile(written / name) as archive:
        archive.extractall(written / f"unpacked {name}")
    unpacked = written / f"unpacked {name}"
    project = Project(unpacked, mode="w+")
    assert told(project) == told(original)
    project["long"].tag("later")
    with project.log("more") as more:
        more.log_metric("loss", 1)
    project.save()
    assert len(Project(unpacked, mode="r")) == 7
    assert bool(Project(unpacked).fsck()) == (name == "short.zip")


@pytest.mark.parametrize("first", WHOLE)
@pytest.mark.parametrize("second", ["again.json", "again.zip"])
def test_an_export_of_an_export_is_equal(original, exports, written, tmp_path, first, second):
    done = Project(written / first, mode="r").export(tmp_path / second, artifacts=True)
    again = Project(tmp_path / second, mode="r")
    assert told(again) == told(original)
    assert repr(loaded(again)) == repr(loaded(original))
    assert (done.files, done.size, done.left_out) == (exports[first].files, exports[first].size, {})


@pytest.mark.parametrize("name", WHOLE)
def test_an_open_export_goes_to_other_processes(original, exports, written, name):
    export = Project(written / name, mode="r")
    copy = pickle.loads(pickle.dumps(export))
    assert told(copy) == told(original)
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(names_in, export).result() == [exp.name for exp in original.experiments]
        assert pool.submit(Project.__len__, export).result() == 6


def names_in(project):
    assert project["all-of-it"].load_artifact("report") == {"é": [2]}
    return [exp.name for exp in project.experiments]


def test_an_experiment_of_an_export_can_be_appended(exports, written, tmp_path):
    export = Project(written / "whole.json", mode="r")
    project = Project(tmp_path / "to")
    project.append(export["all-of-it"])
    project.save()
    assert Project(tmp_path / "to", mode="r")["all-of-it"].load_artifact("report") == {"é": [2]}


@pytest.mark.parametrize("kind", ["s3", "memory"])
@pytest.mark.parametrize("name", ["it.json", "it.zip"])
def test_exports_are_written_to_and_read_from_other_filesystems(request, original, name, kind):
    url, options = request.getfixturevalue(kind)
    project = Project(f"{url}/churn", **options)
    merged = project.merge(original)
    merged.save()
    done = merged.export(f"{url}/{name}", artifacts=True)
    assert done.left_out == {}
    export = Project(f"{url}/{name}", mode="r", **options)
    assert told(export) == told(original)
    assert export["all-of-it"].load_artifact("report") == {"é": [2]}


# --- what is refused ---


@pytest.mark.parametrize("name", ["it", "it.txt", "it.json.gz", "folder/"])
def test_a_name_that_says_neither_kind_is_refused(original, tmp_path, name):
    with pytest.raises(ValueError, match=r"give a name that ends in \.json or \.zip"):
        original.export(f"{tmp_path}/{name}")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["it.json", "it.zip"])
def test_a_file_that_is_there_is_replaced_when_that_is_said(original, tmp_path, name):
    first = original.export(tmp_path / name, slugs=["failed"])
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match="give another name, or overwrite=True"):
        original.export(tmp_path / name)
    assert contents(tmp_path) == before
    assert original.export(tmp_path / name, overwrite=True).experiments > first.experiments
    assert told(Project(tmp_path / name, mode="r")) == told(original)


def test_no_export_takes_the_place_of_a_project(original, tmp_path):
    for name in ("project.json", "churn.json"):
        with Project(tmp_path / name) as project, project.log("exp"):
            pass
        before = contents(tmp_path)
        with pytest.raises(FileExistsError, match="is no export"):
            original.export(tmp_path / name, overwrite=True)
        assert contents(tmp_path) == before
    repository = Repository(tmp_path / "repository.json")
    repository.log_artifact("a", "text")
    repository.save()
    with pytest.raises(FileExistsError, match="is no export"):
        original.export(tmp_path / "repository.json", overwrite=True)
    for content in ('{"format": "lazytrack/2", "kind": "project"', '{"format": "lazytrack/2", "kind": "export"}'):
        (tmp_path / "newer.json").write_text(content)
        with pytest.raises(FileExistsError, match="is no export"):
            original.export(tmp_path / "newer.json", overwrite=True)
        assert (tmp_path / "newer.json").read_text() == content
    assert len(Repository(tmp_path / "repository.json", mode="r")) == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_another_kind_is_not_replaced(original, tmp_path, overwrite):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("thesis.txt", "")
    before = contents(tmp_path)
    for name in before:
        with pytest.raises(FileExistsError):
            original.export(tmp_path / name, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_an_export_does_not_go_into_the_project_s_own_folder(original):
    with pytest.raises(ValueError, match="is within"):
        original.export(f"{original.folder}/log/all.json")


@pytest.mark.parametrize("name", ["it.json", "it.zip"])
def test_an_export_that_cannot_be_written_leaves_nothing(original, tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is full"):
        patch.setattr("os.fsync", full)
        original.export(tmp_path / name)
    assert contents(tmp_path) == {}


def test_a_repository_is_no_project(exports, written):
    with pytest.raises(FormatError, match=r"short\.json is a lazytrack export of a project, not a repository"):
        Repository(written / "short.json", mode="r")


@pytest.mark.parametrize("damage", ["missing", "altered"])
@pytest.mark.parametrize("name", ["it.json", "it.zip"])
def test_a_file_that_is_missing_or_altered_is_named_and_left_out(tmp_path, capsys, damage, name):
    with Project(tmp_path / "churn") as project, project.log("exp") as exp:
        exp.log_artifact("good", "good", "text")
        exp.log_artifact("bad", "bad", "text")
    (path,) = [path for path in (tmp_path / "churn").rglob("*.txt") if "bad" in path.parts]
    path.unlink() if damage == "missing" else path.write_text("other")
    done = Project(tmp_path / "churn", mode="r").export(tmp_path / name, artifacts=True)
    ((left, why),) = done.left_out.items()
    assert path.as_posix().endswith(left)
    assert "artifacts.bad of exp-" in why
    assert done.files == 1
    export = Project(tmp_path / name, mode="r")
    assert export["exp"].load_artifact("good") == "good"
    with pytest.raises(ArtifactLoadError):
        export["exp"].load_artifact("bad")
    code = cli.main(["export", "-p", f"{tmp_path}/churn", "-o", f"{tmp_path}/again-{name}", "--artifacts"])
    assert code == 5
    assert f"left out {left}: " in capsys.readouterr().err


# --- hostile exports ---


def export_of(folder, **changes):
    """Write an export by hand; return the document, for others to change."""
    record = "exp-20260101000000-abcdefgh"
    text = "good"
    path = f"artifacts/{record}/a/0-abcdefgh/a.txt"
    entry = {
        "handler": "text",
        "fname": "a.txt",
        "version": 0,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "path": path,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "size": len(text),
    }
    said = {"name": "exp", "created_at": "2026-01-01T00:00:00.000000Z", "artifacts.a": entry | changes.pop("entry", {})}
    document = {
        "format": "lazytrack/1",
        "kind": "export",
        "id": "abcdefgh",
        "created_at": "2026-01-01T00:00:00.000000Z",
        "patches": [{"at": "20260101T000000.000000Z-abcdefgh", "by": "x", "record": record, "set": said}],
        "files": {path: text},
    }
    (folder / "it.json").write_text(json.dumps(document | changes))
    return folder / "it.json"


def test_an_export_that_is_written_by_hand_is_as_good(tmp_path):
    assert Project(export_of(tmp_path), mode="r")["exp"].load_artifact("a") == "good"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"format": "lazytrack/2"},
            "is of format 'lazytrack/2', which this lazytrack does not know: upgrade lazytrack",
        ),
        ({"format": "other/1"}, "is JSON, but not a lazytrack document"),
        ({"format": None}, "is JSON, but not a lazytrack document"),
        ({"kind": "pack"}, "is a lazytrack pack, not a project"),
        ({"kind": 3}, "not a project"),
        ({"files": []}, "has files that are no object"),
        ({"files": {"a": 3}}, "has a file 'a' that is neither text nor base64"),
        ({"files": {"a": {"base64": "!!!"}}}, "has a file 'a' that is no base64"),
        ({"files": {"a": {"base64": "YQ"}}}, "has a file 'a' that is no base64"),
        ({"files": {"a": {"base64": 3}}}, "has a file 'a' that is neither"),
        ({"files": {"a": "\ud800"}}, "is not JSON: no low surrogate in string"),
        ({"patches": {}}, "has patches that are no list"),
        ({"patches": [3]}, "patch 0"),
        ({"patches": [{"at": "now", "record": "r", "set": {}}]}, "patch 0"),
    ],
)
def test_an_export_that_makes_no_sense_is_refused(tmp_path, changes, says):
    path = export_of(tmp_path, **changes)
    with pytest.raises(FormatError, match=r"it\.json") as caught:
        Project(path, mode="r")
    assert says in str(caught.value)


def test_an_export_that_was_cut_short_is_refused(exports, written, tmp_path):
    for name in FILES:
        content = (written / name).read_bytes()
        for end in (1, len(content) // 2, len(content) - 2):
            (tmp_path / name).write_bytes(content[:end])
            with pytest.raises((FormatError, OSError), match=r"short|whole|not a zip file"):
                len(Project(tmp_path / name, mode="r"))


@pytest.mark.parametrize(
    "path", ["../secret.txt", "/etc/hostname", "artifacts/../../secret.txt", "..", "", "log/../../secret.txt", "C:\\x"]
)
def test_an_export_that_points_outside_reads_and_writes_nothing_there(tmp_path, path):
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "exports"
    folder.mkdir()
    secret = {"sha256": hashlib.sha256(b"secret").hexdigest(), "size": 6}
    export = Project(export_of(folder, entry={"path": path, **secret}, files={path: "secret"}), mode="r")
    with pytest.raises(LazytrackError):
        export["exp"].load_artifact("a")
    before = contents(tmp_path)
    merged = Project(tmp_path / "to").merge(export)
    with pytest.raises(LazytrackError):
        merged.save()
    assert {name: content for name, content in contents(tmp_path).items() if not name.startswith("to/")} == before
    assert not [name for name, content in contents(tmp_path / "to").items() if content == b"secret"]
    for name in ("again.json", "again.zip"):
        done = export.export(folder / name, artifacts=True)
        assert done.files == 0


@pytest.mark.parametrize("entry", [{"sha256": "0" * 64}, {"sha256": "short"}])
def test_a_file_that_is_not_what_its_record_says_is_told(tmp_path, entry):
    export = Project(export_of(tmp_path, entry=entry), mode="r")
    with pytest.raises(ArtifactLoadError):
        export["exp"].load_artifact("a")
    merged = Project(tmp_path / "to").merge(export)
    with pytest.raises(LazytrackError, match="a"):
        merged.save()
    assert export.export(tmp_path / "again.json", artifacts=True).files == 0


def test_files_of_other_kinds_are_none_of_an_export(tmp_path):
    log = {"format": "lazytrack/1", "kind": "log", "id": "20260101T000000.000000Z-bbbbbbbb"}
    hidden = {"at": log["id"], "by": "x", "record": "hidden-20260101000000-bbbbbbbb", "set": {"name": "hidden"}}
    files = {
        f"log/{log['id']}.json": json.dumps({**log, "patches": [hidden]}),
        "project.json": "{}",
        "environments/x.json": "{}",
        "series/x/y.points": {"base64": ""},
    }
    export = Project(export_of(tmp_path, files=files), mode="r")
    assert len(export) in {1, 2}
    assert all(exp.name in {"exp", "hidden"} for exp in export.experiments)
    with pytest.warns(StoreWarning, match="1 artifacts of .* are left out: that export is without them"):
        merged = Project(tmp_path / "to").merge(export)
    merged.save()
    assert not (tmp_path / "to" / "project" / "environments").exists()
    assert not (tmp_path / "to" / "project" / "series").exists()


def test_a_pickle_of_a_stranger_is_not_trusted(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "executed").mkdir, ()

    content = pickle.dumps(Trap())
    path = "artifacts/exp-20260101000000-abcdefgh/a/0-abcdefgh/a.pkl"
    entry = {"handler": "pickle", "path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    files = {path: {"base64": base64.b64encode(content).decode()}}
    export = Project(export_of(tmp_path, entry=entry, files=files), mode="r")
    with pytest.raises(LazytrackError, match="trust"):
        export["exp"].load_artifact("a")
    assert not (tmp_path / "executed").exists()


def test_an_archive_with_paths_that_lead_out_is_read_within(exports, written, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    with zipfile.ZipFile(written / "whole.zip") as source, zipfile.ZipFile(tmp_path / "it.zip", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("../secret.txt", "other")
        target.writestr("project/../../secret.txt", "other")
    export = Project(tmp_path / "it.zip", mode="r")
    assert len(export) == 6
    assert export["all-of-it"].load_artifact("report") == {"é": [2]}
    assert (tmp_path / "secret.txt").read_text() == "secret"


# --- ten years later ---


def test_an_export_matches_the_schema_of_the_page(original, tmp_path):
    page = FORMATS.parent.parent / "docs" / "format.md"
    blocks = [json.loads(block.split("```")[0]) for block in page.read_text().split("```json\n")[1:]]
    validator = Draft202012Validator(next(block for block in blocks if "$schema" in block))
    original.export(tmp_path / "it.json", slugs=["failed"])
    document = json.loads((tmp_path / "it.json").read_text())
    validator.validate({key: said for key, said in document.items() if key != "files"})
    assert not validator.is_valid(document | {"format": "lazytrack/2"})


def as_told(shown, expected):
    """Return of what is shown what was known of it when it was told."""
    match shown, expected:
        case dict(), dict():
            return {key: as_told(shown.get(key), value) for key, value in expected.items()}
        case list(), list() if len(shown) == len(expected):
            return [as_told(*pair) for pair in zip(shown, expected, strict=True)]
    return shown


@pytest.mark.parametrize("path", sorted(FORMATS.glob("*-export.json")), ids=lambda path: path.stem)
def test_an_export_of_every_format_shows_what_it_always_did(monkeypatch, path):
    expected = json.loads(path.with_suffix(".expected.json").read_text())
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", expected["signed_by"])
    export = Project(path, mode="r")
    found = {"experiments": [codec.store(found) for found in export], "deleted": sorted(export._journal.deleted)}
    for kind in ("histories", "artifacts", "folders", "dependencies"):
        found[kind] = {which: shown_of(kind, export, *which.split(" ", 1)) for which in expected[kind]}
    found["origins"] = {
        slug: {
            "platform": codec.converter.unstructure(export[slug].platform),
            "python": export[slug].environment.python,
            "steps": [step.to_json_dict() for step in export[slug].steps],
        }
        for slug in expected["origins"]
    }
    assert as_told(found, expected) == {**expected, "signed_by": None}
    assert export.problems == {}
    merged = Project("memory://formats/of-exports").merge(export)
    assert [exp.slug for exp in merged.experiments] == [exp["slug"] for exp in expected["experiments"]]


def shown_of(kind, export, slug, name):
    exp = export[slug]
    match kind:
        case "histories":
            history = exp.history(name)
            return {
                "step": history.step,
                "time": history.columns().time.tolist(),
                "value": codec.store_number(history.value),
                "rank": history.rank,
            }
        case "artifacts":
            return codec.store(codec.plain(exp.load_artifact(name), "it"))
        case "folders":
            return digests(exp.load_artifact(name))
        case "dependencies":
            return exp.dependencies[name].slug


# --- the command line ---


def test_the_command_writes_an_export_that_other_commands_read(run, original, exports, written, tmp_path):
    code, out, err = run("export", "-p", written / "churn", "-o", tmp_path / "it.zip")
    assert (code, out) == (0, "")
    assert f"{tmp_path}/it.zip: 6 experiments, {exports['whole.zip'].files} files, " in err
    wanted = run("list", "-p", written / "churn")
    assert run("list", "-p", tmp_path / "it.zip") == wanted
    assert run("list", "-p", written / "short.json") == wanted
    code, _, err = run("export", "-p", written / "churn", "-o", tmp_path / "it.zip")
    assert code != 0
    assert "overwrite" in err
    code, _, err = run("export", "long", "failed", "-p", written / "churn", "-o", tmp_path / "it.zip", "--overwrite")
    assert code == 0
    assert len(Project(tmp_path / "it.zip", mode="r")) == 2
    code, _, err = run("export", "nothing", "-p", written / "churn", "-o", tmp_path / "other.zip")
    assert code != 0
    assert "nothing" in err
    code, _, err = run("export", "-p", written / "churn", "-o", tmp_path / "it.txt")
    assert code == 2
    assert "Traceback" not in err
    assert contents(tmp_path).keys() == {"it.zip"}


def test_no_warning_is_given_of_a_sound_export(exports, written, recwarn):
    for name in FILES:
        told(Project(written / name, mode="r"))
    assert not [found for found in recwarn if issubclass(found.category, StoreWarning)]
