"""Projects that are read where they are, on a web server or in an archive."""

import pytest

from lazytrack import Project
from lazytrack.files import open_files


@pytest.fixture
def local(tmp_path):
    project = Project(tmp_path / "churn")
    for number in range(3):
        with project.log(f"run {number}") as exp:
            exp.log_artifact("report", {"a": number}, handler="json")
            for step in range(100):
                exp.log_metric("loss", float(number), step=step)
        project.save()
    return project


@pytest.fixture
def place(read_only_place, local, tmp_path):
    return read_only_place(tmp_path / "churn")


def test_a_project_is_read_as_it_is(place, local):
    url, options = place
    project = Project(url, mode="r", **options)
    assert list(project) == list(local)
    assert project["run-1"].load_artifact("report") == {"a": 1}
    assert project["run-2"].history("loss").value == [2.0] * 100
    assert project.problems == {}
    project.refresh()
    assert len(project) == 3


def test_nothing_is_written_there(place):
    url, options = place
    files = open_files(url, **options)
    assert not files.can_claim
    with pytest.raises(OSError, match="can be read there, and not written"):
        files.create("a.json", b"1")
    with pytest.raises(OSError, match="can be read there, and not written"):
        files.remove(["project.json"])
    with pytest.raises(OSError, match="can be read there, and not written"), files.open_write("a.json"):
        pass
    project = Project(url, **options)
    project.log("run")
    with pytest.raises(OSError, match="can be read there, and not written"):
        project.save()


def test_what_is_missing_is_told_from_every_other_fault(place):
    url, options = place
    files = open_files(url, **options)
    with pytest.raises(FileNotFoundError):
        files.read("missing.json")
    assert files.names("missing") == []
    assert files.read("project.json", limit=10) == b'{"format":'
    assert len(files.names("project/log")) == 3
