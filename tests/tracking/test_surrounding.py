"""The experiment that a process is a part of, by the environment: found in its project, and in no other."""

import pytest

import lazytrack
from lazytrack import Project
from lazytrack.tracking import surrounding
from lazytrack.tracking.active import active_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a project with an experiment that this process is a part of."""
    monkeypatch.chdir(tmp_path)
    project = Project("tries")
    exp = project.log("outer")
    project.save()
    monkeypatch.setenv("LAZYTRACK_PROJECT", project.location)
    monkeypatch.setenv("LAZYTRACK_EXPERIMENT", exp.slug)
    return project


def test_it_is_one_of_the_project_that_is_named_however_that_is_spelled(project, tmp_path, monkeypatch):
    slug = project["outer"].slug
    for spelled in (str(tmp_path / "tries"), "tries", "./tries/project.json", f"{tmp_path}/tries/"):
        monkeypatch.setenv("LAZYTRACK_PROJECT", spelled)
        assert surrounding.slug_at(project.location) == slug
    assert surrounding.slug_at(str(tmp_path / "other" / "project.json")) is None
    monkeypatch.delenv("LAZYTRACK_PROJECT")
    assert surrounding.slug_at(project.location) is None
    monkeypatch.setenv("LAZYTRACK_PROJECT", "tries")
    monkeypatch.delenv("LAZYTRACK_EXPERIMENT")
    assert surrounding.slug_at(project.location) is None


def test_what_is_logged_in_the_project_is_a_child_unless_it_says_otherwise(project, tmp_path):
    opened = Project("tries")
    with opened.log("inner") as inner:
        pass
    with opened.log("innermost", parent=inner):
        pass
    opened.save()
    other = Project("other")
    with other.log("alone"):
        pass
    other.save()
    project.refresh()
    assert project["inner"].parent == project["outer"]
    assert project["innermost"].parent == inner
    assert [child.slug for child in project["outer"].children] == [inner.slug]
    assert Project(other.fpath, mode="r")["alone"].parent is None


def test_it_is_there_to_log_to_whatever_block_this_is_in(project):
    exp = lazytrack.current_experiment()
    assert exp.slug == project["outer"].slug
    with Project("other") as other:
        assert lazytrack.current_experiment() is exp
        with other.log("own"):
            assert lazytrack.current_experiment() is exp
    with Project("tries", mode="r"):
        assert lazytrack.current_experiment() is exp
    with Project("tries") as again:
        assert lazytrack.current_experiment().slug == exp.slug
        assert lazytrack.current_experiment() is again[exp.slug]
        lazytrack.current_experiment().finish()
    exp.log_metric("auc", 0.5)
    exp.finish()
    project.refresh()
    assert project["outer"].metrics == {"auc": 0.5}


def test_a_block_of_an_empty_project_is_one(tmp_path):
    with Project(tmp_path / "empty") as empty:
        assert active_project() is empty


def test_without_one_it_is_told_what_it_is_for(project, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_EXPERIMENT", "nowhere-20260101000000-abcdefgh")
    with pytest.raises(KeyError, match="nowhere"):
        lazytrack.current_experiment()
    monkeypatch.delenv("LAZYTRACK_EXPERIMENT")
    with pytest.raises(RuntimeError, match="lazytrack run"):
        lazytrack.current_experiment()
