"""References: data that stays where it is, with what tells it from other data."""

import json
import os
from pathlib import Path

import pytest

import lazytrack.artifacts.reference
from lazytrack import Project, Repository
from lazytrack.artifacts import Reference, handler_for
from lazytrack.errors import ArtifactLoadError
from lazytrack.files import open_files
from lazytrack.testing import HandlerTests


class TestReference(HandlerTests):
    alias = "reference"
    values = [lambda: Reference.to(__file__), lambda: Reference.to(Path(__file__).parent, checksum=False)]
    refused = (5, {"url": "x"})


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data" / "train.csv"
    path.parent.mkdir()
    path.write_text("a,b\n1,2\n")
    return path


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store")


def logged(to, value, **kwargs):
    with to.log("run") as exp:
        exp.log_artifact("data", value, **kwargs)
    to.save()
    return Project(to.fpath, mode="r")["run"]


def test_a_reference_keeps_no_copy_and_says_what_was_there(project, data):
    exp = logged(project, data, handler="reference")
    [path] = Path(project.folder).glob("artifacts/*/*/*/*")
    said = json.loads(path.read_text())
    assert (said["format"], said["kind"], said["url"]) == ("lazytrack/1", "reference", f"file://{data}")
    assert said["files"] == [{"size": 8, "sha256": said["files"][0]["sha256"]}]
    reference = exp.load_artifact("data")
    assert (reference.url, reference.size, reference.names) == (f"file://{data}", 8, [""])
    assert reference.changes() == []
    with reference.open() as file:
        assert file.read() == data.read_bytes()


def test_loading_one_does_not_look_where_it_leads_to(project, data, monkeypatch):
    exp = logged(project, Reference.to(data))
    assert exp.artifacts[0].alias == "reference"
    data.unlink()
    monkeypatch.setattr(lazytrack.artifacts.reference, "open_files", lambda *_, **__: pytest.fail("looks"))
    assert exp.load_artifact("data").url == f"file://{data}"
    assert project.fsck() == []


def test_what_is_not_what_it_was_is_told_and_not_opened(project, data):
    reference = logged(project, data, handler="reference").load_artifact("data")
    data.write_text("a,b\n1,3\n")
    [line] = reference.changes()
    assert "had sha256" in line
    with pytest.raises(ArtifactLoadError, match=r"had sha256 .* and has"):
        reference.open()
    data.unlink()
    assert reference.changes() == [f"file://{data} is gone"]
    with pytest.raises(ArtifactLoadError, match="is gone"):
        reference.open()


def test_a_folder_is_referred_to_file_by_file(project, data):
    (data.parent / "more").mkdir()
    (data.parent / "more" / "b.csv").write_text("b")
    reference = logged(project, str(data.parent), handler="reference").load_artifact("data")
    assert reference.names == ["more/b.csv", "train.csv"]
    assert reference.size == 9
    with reference.open("more/b.csv") as file:
        assert file.read() == b"b"
    with pytest.raises(KeyError, match=r"no file 'c.csv' .* known: 'more/b.csv'"):
        reference.open("c.csv")
    (data.parent / "new.csv").write_text("n")
    (data.parent / "more" / "b.csv").unlink()
    assert reference.changes() == [f"file://{data.parent}/more/b.csv is gone", f"file://{data.parent}/new.csv is new"]


def test_without_a_checksum_size_and_time_have_to_do(data):
    reference = Reference.to(data, checksum=False)
    assert reference.files[0].sha256 is None
    assert reference.changes() == []
    data.write_text("longer than it was")
    assert "had size 8 and has 18" in reference.changes()[0]
    reference = Reference.to(data, checksum=False)
    os.utime(data, (1, 1))
    assert reference.changes() == [] or "modified" in reference.changes()[0]


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "sftp", "memory"])
def test_data_on_every_filesystem_is_referred_to_and_opened(request, kind, project):
    url, options = request.getfixturevalue(kind)
    files = open_files(url, **options)
    files.create("data/a.csv", b"one")
    files.create("data/more/b.csv", b"two")
    exp = logged(project, f"{url}/data", handler="reference", **options)
    reference = exp.load_artifact("data")
    assert reference.names == ["a.csv", "more/b.csv"]
    assert all(file.etag or file.sha256 for file in reference.files)
    assert (kind in {"s3", "gcs", "azure"}) == bool(reference.files[0].etag)
    assert reference.changes(**options) == []
    with reference.open("a.csv", **options) as file:
        assert file.read() == b"one"
    files.create("data/a.csv", b"six")
    assert len(reference.changes(**options)) == 1
    with pytest.raises(ArtifactLoadError):
        reference.open("a.csv", **options)
    one = Reference.to(f"{url}/data/a.csv", checksum=True, **options)
    assert one.files[0].sha256 is not None
    with one.open(**options) as file:
        assert file.read() == b"six"
    for path in Path(project.folder).rglob("*.json"):
        assert not any(str(value) in path.read_text() for value in options.values())


def test_nothing_there_is_told_when_it_is_logged(project, tmp_path):
    exp = project.log("run")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "missing.csv", tmp_path / "empty", "memory://nowhere/x.csv"):
        with pytest.raises(FileNotFoundError, match=r"there is nothing at .* to refer to"):
            exp.log_artifact("data", path, "reference")
    with pytest.raises(TypeError, match="keeps a path, a URL or a Reference, not int"):
        exp.log_artifact("data", 5, "reference")
    assert exp.artifacts == []


@pytest.mark.parametrize(
    "url",
    [
        "https://dana:secret-word@example.org/data.csv",
        "https://bucket.example.org/data.csv?X-Amz-Signature=secret-word",
        "https://example.org/data.csv?sig=secret-word&se=2026",
        "https://example.org/data.csv?API_KEY=secret-word",
        "https://example.org/data.csv#access_token=secret-word",
        "https://secret-word@example.org/data.csv",
        "s3://key:secret-word@bucket/data.csv",
    ],
)
def test_what_would_let_others_in_is_refused_and_not_repeated(project, url):
    exp = project.log("run")
    for make in (Reference.to, lambda url: Reference(url, ()), lambda url: exp.log_artifact("data", url, "reference")):
        with pytest.raises(ValueError, match="is kept nowhere") as caught:
            make(url)
        assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "abfss://container@account.dfs.core.windows.net/data.csv",
        "sftp://dana@example.org/data.csv",
        "/data/a:b@c?token=d",
    ],
)
def test_what_lets_nobody_in_is_referred_to(url):
    assert Reference(url, ()).url == url


def test_references_are_promoted_and_merged_as_other_artifacts_are(project, data, tmp_path):
    logged(project, data, handler="reference")
    repository = Repository(tmp_path / "models")
    project["run"].promote_artifact(repository, "data")
    assert Repository(repository.fpath).load_artifact("data").changes() == []
    other = Project(tmp_path / "other")
    other.merge(project).save()
    assert Project(other.fpath)["run"].load_artifact("data").changes() == []


def test_a_reference_is_no_choice_of_its_own_for_a_path(data):
    assert handler_for(data) == "file"
    assert handler_for(Reference.to(data)) == "reference"
