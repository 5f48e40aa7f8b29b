"""Folders as artifacts: many files, each of which is kept once, and nothing that leads out of them."""

import json
import os
import pickle
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazytrack import Project, Repository
from lazytrack.artifacts import Shelf, get_handler, handler_for
from lazytrack.errors import ArtifactLoadError, SaveError, UnsafePathError
from lazytrack.files import open_files
from lazytrack.testing import HandlerTests

FILES = {"config.json": b"{}", "weights/layer 0.bin": b"\0" * 100, "weights/layer 1.bin": b"\1" * 100, "empty": b""}


def fill(folder, files=FILES):
    for name, content in files.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Path(folder)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kept(store):
    """Return the artifact files of a store, manifests aside."""
    return sorted(path for path in Path(store.folder).glob("artifacts/**/files/**/*") if path.is_file())


@pytest.fixture
def model(tmp_path):
    return fill(tmp_path / "model")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store")


def log(project, folder, name="run"):
    with project.log(name) as exp:
        exp.log_artifact("model", folder)
    project.save()
    return exp


class TestDirectory(HandlerTests):
    alias = "directory"
    values = [lambda: fill(Path(tempfile.mkdtemp())), lambda: fill(Path(tempfile.mkdtemp()), {"one": b"1"})]

    def is_equal(self, loaded, value):
        return contents(loaded) == contents(value)


names = st.text(
    st.characters(exclude_characters='/\\\0:<>"|?*', exclude_categories=["C", "Z"]), min_size=1, max_size=20
)
paths = st.lists(names.filter(lambda name: name.strip(".") and len(name.encode()) < 200), min_size=1, max_size=3)


@settings(deadline=None)
@given(st.dictionaries(paths.map("/".join), st.binary(max_size=100), max_size=5))
def test_any_folder_comes_back(files):
    with tempfile.TemporaryDirectory() as folder:
        try:
            here = fill(Path(folder, "here"), files)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):  # "a" and "a/b"
            return
        here.mkdir(exist_ok=True)
        shelf = Shelf(open_files(Path(folder, "store")))
        artifact = get_handler("directory").construct(name="it", value=here)
        artifact.stored = shelf.write(artifact)
        assert contents(shelf.read(artifact)) == files
        assert artifact.stored.parts.count == len(files)


def test_a_folder_is_logged_by_its_path_and_loaded_as_one(project, model, tmp_path):
    assert handler_for(model) == "directory"
    log(project, model)
    exp = Project(project.fpath, mode="r")["run"]
    assert contents(exp.load_artifact("model")) == FILES
    assert exp.load_artifact("model", to=tmp_path / "new" / "place") == tmp_path / "new" / "place"
    assert contents(tmp_path / "new" / "place") == FILES
    empty = tmp_path / "empty"
    empty.mkdir()
    assert contents(exp.load_artifact("model", to=str(empty))) == FILES
    with pytest.raises(FileExistsError, match="give a folder that is empty"):
        exp.load_artifact("model", to=empty)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "model", "new", "store"]


def test_each_file_keeps_its_name_and_the_manifest_says_what_it_is(project, model):
    exp = log(project, model)
    [manifest] = Path(project.folder).glob("artifacts/*/model/*/*.json")
    assert {path.relative_to(manifest.parent / "files").as_posix() for path in kept(project)} == set(FILES)
    said = json.loads(manifest.read_text())
    assert (said["format"], said["kind"]) == ("lazytrack/1", "directory")
    assert [line["name"] for line in said["files"]] == sorted(FILES)
    for line in said["files"]:
        assert Path(project.folder, line["path"]).read_bytes() == FILES[line["name"]]
        assert line["size"] == len(FILES[line["name"]])
    [entry] = [
        value
        for path in Path(project.folder).glob("log/*")
        for patch in json.loads(path.read_text())["patches"]
        for field, value in patch["set"].items()
        if field == "artifacts.model"
    ]
    assert entry["parts"] == {"count": 4, "size": 202}
    assert exp.artifacts[0].stored.parts.count == 4


def test_what_did_not_change_is_not_written_again(project, model):
    log(project, model)
    before = kept(project)
    Path(model, "config.json").write_bytes(b'{"a": 1}')
    log(project, model, "second")
    assert len(kept(project)) == len(before) + 1
    again = Project(project.fpath)  # another process, which has read nothing of it yet
    Path(model, "more").write_bytes(b"more")
    log(again, model, "third")
    assert len(kept(project)) == len(before) + 2
    log(again, model, "fourth")
    assert len(list(Path(project.folder).glob("artifacts/*/model/*/*.json"))) == 3
    for name, count in (("run", 4), ("second", 4), ("third", 5), ("fourth", 5)):
        assert len(contents(Project(project.fpath)[name].load_artifact("model"))) == count


def test_names_that_only_differ_by_case_are_kept_apart(project, tmp_path):
    try:
        folder = fill(tmp_path / "both", {"a.txt": b"small", "A.txt": b"large"})
    except FileExistsError:
        pytest.skip("this filesystem does not tell them apart")
    log(project, folder)
    places = [path.relative_to(project.folder).as_posix().casefold() for path in kept(project)]
    assert len(set(places)) == 2
    assert contents(Project(project.fpath)["run"].load_artifact("model")) == {"a.txt": b"small", "A.txt": b"large"}


@pytest.mark.parametrize("to", ["inside", "outside", "nothing", "folder"])
def test_a_link_is_refused_when_it_is_logged(project, model, tmp_path, to):
    target = {"inside": model / "config.json", "outside": tmp_path, "nothing": tmp_path / "x", "folder": model}[to]
    (model / "weights" / "link").symlink_to(target)
    with pytest.raises(ValueError, match=r"weights.link is a link"):
        project.log("run").log_artifact("model", model)


def test_a_pipe_and_a_name_that_climbs_elsewhere_are_refused(project, model):
    os.mkfifo(model / "pipe")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        project.log("run").log_artifact("model", model)
    (model / "pipe").unlink()
    (model / "..\\evil").write_bytes(b"")
    with pytest.raises(ValueError, match="evil"):
        project.log("run").log_artifact("model", model)


def test_a_file_or_nothing_is_no_folder(project, model):
    exp = project.log("run")
    with pytest.raises(NotADirectoryError, match="is a file"):
        exp.log_artifact("model", model / "config.json", "directory")
    with pytest.raises(FileNotFoundError, match="no folder"):
        exp.log_artifact("model", model / "missing", "directory")
    with pytest.raises(TypeError, match="keeps the folder at a path, not int"):
        exp.log_artifact("model", 5, "directory")
    assert exp.artifacts == []


def test_a_link_that_appears_before_the_save_is_refused_then(project, model):
    project.log("run").log_artifact("model", model)
    (model / "link").symlink_to("/etc/passwd")
    with pytest.raises(SaveError, match=r"artifact 'model' of run.* is a link"):
        project.save()
    (model / "link").unlink()
    project.save()
    assert contents(Project(project.fpath)["run"].load_artifact("model")) == FILES


def altered(project, change):
    """Change a manifest, and what the record says of it, as a stranger may."""
    [manifest] = Path(project.folder).glob("artifacts/*/model/*/*.json")
    said = json.loads(manifest.read_text())
    change(said)
    manifest.write_text(json.dumps(said))
    import hashlib  # noqa: PLC0415

    digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
    for path in Path(project.folder).glob("log/*"):
        document = json.loads(path.read_text())
        for patch in document["patches"]:
            for field, value in patch["set"].items():
                if field == "artifacts.model":
                    value |= {"sha256": digest, "size": manifest.stat().st_size}
        path.write_text(json.dumps(document))
    return Project(project.fpath, mode="r")["run"]


@pytest.mark.parametrize("name", ["../out", "/abs", "a/../../out", "..\\out", "C:\\out", "a//b", "./a", "", "a\\b"])
def test_a_strangers_manifest_puts_nothing_outside(project, model, tmp_path, name):
    log(project, model)
    exp = altered(project, lambda said: said["files"][0].update(name=name))
    here = tmp_path / "here"
    with pytest.raises(UnsafePathError):
        exp.load_artifact("model", to=here)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "store"]


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["files"][0].update(path="../../secret"),
        lambda said: said["files"][0].update(path="/etc/passwd"),
        lambda said: said["files"][0].update(path="log/x.json"),
        lambda said: said["files"][1].update(name=said["files"][0]["name"]),
        lambda said: said["files"][0].update(name=said["files"][1]["name"] + "/inside"),
        lambda said: said["files"][0].update(sha256="0" * 64),
        lambda said: said["files"][0].update(size="large"),
        lambda said: said.update(files={"a": 1}),
        lambda said: said.update(kind="log"),
        lambda said: said.clear(),
    ],
)
def test_a_strangers_manifest_is_refused_and_leaves_nothing(project, model, tmp_path, change):
    log(project, model)
    exp = altered(project, change)
    with pytest.raises((UnsafePathError, ArtifactLoadError)):
        exp.load_artifact("model", to=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_file_that_was_tampered_with_or_is_gone_is_told(project, model, tmp_path):
    log(project, model)
    [path] = [path for path in kept(project) if path.name == "layer 0.bin"]
    path.write_bytes(b"\2" * 100)
    exp = Project(project.fpath, mode="r")["run"]
    with pytest.raises(ArtifactLoadError, match=r"is not the one that was saved: .*layer 0.bin"):
        exp.load_artifact("model", to=tmp_path / "here")
    path.unlink()
    with pytest.raises(ArtifactLoadError, match=r"is gone: .*layer 0.bin"):
        exp.load_artifact("model", to=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_tampered_file_is_not_named_again(project, model):
    log(project, model)
    [path] = [path for path in kept(project) if path.name == "layer 0.bin"]
    path.write_bytes(b"\2" * 100)
    log(Project(project.fpath), model, "second")
    assert contents(Project(project.fpath)["second"].load_artifact("model")) == FILES


def test_a_folder_travels_with_what_is_not_saved(project, model):
    exp = project.log("run")
    exp.log_artifact("model", model)
    away = pickle.loads(pickle.dumps(exp))
    for path in model.rglob("*.bin"):
        path.unlink()
    other = Project(Path(project.dir).parent / "other")
    other.append(away)
    other.save()
    assert contents(Project(other.fpath)["run"].load_artifact("model")) == FILES


def test_what_arrives_from_elsewhere_is_looked_at():
    buf = BytesIO()
    with tarfile.open(fileobj=buf, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../out"))
    with pytest.raises(UnsafePathError):
        get_handler("directory").read(BytesIO(buf.getvalue()))
    buf = BytesIO()
    with tarfile.open(fileobj=buf, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ValueError, match="is no file"):
        get_handler("directory").read(BytesIO(buf.getvalue()))


def test_merging_and_promoting_copy_all_files(project, model, tmp_path):
    exp = log(project, model)
    other = Project(tmp_path / "other")
    other.merge(project).save()
    repository = Repository(tmp_path / "models")
    exp.promote_artifact(repository, "model")
    Path(model, "config.json").write_bytes(b"[]")
    log(project, model, "second").promote_artifact(repository, "model")
    project.fs.rm(project.folder, recursive=True)
    assert contents(Project(other.fpath)["run"].load_artifact("model")) == FILES
    found = Repository(repository.fpath, mode="r")
    assert contents(found.load_artifact("model", version=0)) == FILES
    assert contents(found.load_artifact("model")) == FILES | {"config.json": b"[]"}
    assert len(kept(found)) == 5
    assert "2 config.json" in found.get_version_diff("model", (0, 1))
    assert "layer" not in "".join(x for x in found.get_version_diff("model", (0, 1)).splitlines() if x[0] in "+-")


def test_a_folder_goes_to_every_filesystem(place, model):
    url, options = place
    project = Project(url, **options)
    log(project, model)
    assert contents(Project(url, mode="r", **options)["run"].load_artifact("model")) == FILES


def test_a_file_that_is_gone_when_it_is_saved_is_told(project, model):
    project.log("run").log_artifact("model", model)
    (model / "config.json").unlink()
    with pytest.raises(SaveError, match=r"config.json of .* is gone since it was logged"):
        project.save()


def test_a_folder_comes_to_the_present_one_and_to_the_users_own(project, model, tmp_path, monkeypatch):
    log(project, model)
    exp = Project(Path(project.dir) / "project.json", mode="r")["run"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert exp.load_artifact("model", to=".") == tmp_path / "here"
    assert contents(Path()) == FILES
    monkeypatch.setenv("HOME", str(tmp_path))
    assert exp.load_artifact("model", to="~/own") == tmp_path / "own"
    assert contents(tmp_path / "own") == FILES
    project.log("again").log_artifact("model", "~/own", "directory")


def test_names_that_lead_elsewhere_on_other_systems_are_refused_with_the_reason(project, model):
    (model / "x:1").write_text("")
    with pytest.raises(ValueError, match="x:1 has a name that leads elsewhere on other systems: rename it"):
        project.log("run").log_artifact("model", model)


def test_a_folder_that_is_there_already_is_not_sent_again(s3_server, s3, tmp_path):
    url, options = s3
    folder = fill(tmp_path / "large", {f"{number}.bin": os.urandom(3_000_000) for number in range(3)})
    first = Project(url, **options)
    log(first, folder)
    again = Project(url, **options)
    assert len(again) == 1
    s3_server.requests()
    log(again, folder, "second")
    sent = [path for method, path in s3_server.requests() if method in {"PUT", "POST"}]
    assert len(sent) == 1
    assert contents(Project(url, mode="r", **options)["second"].load_artifact("model")) == contents(folder)


def test_a_large_file_that_this_project_wrote_itself_is_not_sent_again(s3_server, s3):
    url, options = s3
    project = Project(url, **options)
    content = os.urandom(40_000_000)
    sent = []
    for name in ("first", "second"):
        with project.log(name) as exp:
            exp.log_artifact("data", content, handler="bytes")
        s3_server.requests()
        project.save()
        sent.append([path for method, path in s3_server.requests() if method in {"PUT", "POST"}])

    assert any("/artifacts/" in path for path in sent[0])
    assert not any("/artifacts/" in path for path in sent[1])
