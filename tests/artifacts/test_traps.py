"""A stranger's pickle lies in a project and in a repository, and whatever is done to these, it is not loaded."""

import contextlib
import copy
import json
import pickle
import warnings
from pathlib import Path

import pytest

from lazytrack import Project, Repository
from lazytrack.artifacts import trust
from lazytrack.errors import ArtifactError, LazytrackError, UntrustedArtifactError
from lazytrack.release import create_release, minimal_repository_from_release
from lazytrack.testing import Trap


@pytest.fixture
def trap(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "_folder", lambda: str(tmp_path / "config"))
    monkeypatch.setenv(trust.VARIABLE, "a-key-of-somebody-else-0001")
    yield Trap(tmp_path / "sprung")
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def places(tmp_path, trap, monkeypatch):
    """Return a project and a repository with traps, signed by nobody who is trusted here."""
    project = Project(tmp_path / "store")
    repository = Repository(tmp_path / "models")
    for name in ("one", "two"):
        with project.log(name) as exp:
            exp.log_metric("auc", 0.5, step=1)
            exp.log_artifact("it", trap, "pickle")
            exp.log_artifact("soon", trap, "pickle", expiry="1s")
            exp.log_artifact("model", [trap], "joblib")
            exp.log_test("part").log_artifact("it", trap, "pickle")
        project.save()
    for _ in range(2):
        repository.log_artifact("it", trap, "pickle")
    repository.save()
    monkeypatch.setenv(trust.VARIABLE, "a-key-of-our-own-0000000002")
    return tmp_path / "store", tmp_path / "models"


def test_the_trap_is_one(tmp_path):
    trap = Trap(tmp_path / "sprung")
    content = pickle.dumps(trap)
    assert not trap.sprung
    pickle.loads(content)
    assert trap.sprung


def view(project, repository):
    for exp in project.experiments:
        for part in (exp, *exp.tests):
            repr(part), part.to_dict(), list(part.artifacts), [repr(a) for a in part.artifacts]
            part.metrics, part.parameters, part.history("auc") if part.history_names else None
        exp.writers, exp.output, exp.dependencies, exp.children, exp.parent, exp.stale, hash(exp)
        assert exp == exp._owner[exp.slug]
    json.dumps(list(project))
    json.dumps(list(repository))
    repr((project, repository, repository.versions("it"), repository["it"]))


def tabulate(project, repository):
    table = project.table()
    table.to_pandas()
    table.to_polars()
    project.best("auc")
    list(project.filter(lambda exp: exp.artifacts))


def collect_and_check(project, repository):
    for store in (project, repository):
        store.gc()
        store.gc(dry_run=False)
        assert store.fsck(repair=True) == []
        store._journal.pack(everything=True)
        store.refresh()
        assert store.problems == {}


def go_elsewhere(project, repository):
    for thing in (project, project["one"], repository, project["one"].artifacts[0]):
        pickle.loads(pickle.dumps(thing))
    copy.deepcopy(project)
    past = project.as_of("2999-01-01")
    assert len(past) == 2


def merge(project, repository):
    target = Project(Path(project.dir).parent / "merged")
    merged = target.merge(project)
    merged.save()
    other = Project(Path(project.dir).parent / "appended")
    other.append(project["two"])
    other.save()
    for found in (Project(merged.fpath)["one"], Project(other.fpath)["two"]):
        with pytest.raises(UntrustedArtifactError):
            found.load_artifact("it")


def promote(project, repository):
    promoted = Repository(Path(project.dir).parent / "promoted")
    project["one"].promote_artifact(promoted, "it")
    again = Repository(promoted.fpath)
    with pytest.raises(UntrustedArtifactError):
        again.load_artifact("it")


def release(project, repository):
    frozen = Repository(repository.fpath, mode="r")
    frozen.filter("2999-01-01")
    frozen.filter([("it", 0)])
    shipped = minimal_repository_from_release(Path(project.dir).parent / "new", frozen, create_release(frozen, "v1"))
    with pytest.raises(UntrustedArtifactError):
        shipped.load_artifact("it")


def ask_about_versions(project, repository):
    repository.get_artifact_metadata("it")
    with pytest.raises(ValueError, match="writes no text"):
        repository.get_version_diff("it", 0)
    repository.set_alias("it", "champion")
    repository.set_artifact_expiry("it", 0)
    repository.save()
    repository.history("it")
    repository.aliases("it")


def load_untrusted(project, repository):
    for exp in project.experiments:
        for name in ("it", "model"):
            for validate in (True, False):
                with pytest.raises(UntrustedArtifactError):
                    exp.load_artifact(name, validate=validate)
        with pytest.raises(UntrustedArtifactError):
            exp.tests[0].load_artifact("it")
    for version in (None, 0, 1, "2999-01-01"):
        with contextlib.suppress(LazytrackError):
            repository.load_artifact("it", version=version, match="asof" if version == "2999-01-01" else "exact")


def edit(project, repository):
    editing = Project(project.fpath, mode="w+")
    exp = editing["one"]
    exp.tag("seen")
    exp.log_artifact("it", [1], "json", overwrite=True)
    test = exp.tests.pop()
    exp.tests.append(test)
    editing.save()
    editing.delete("two")
    editing.save()
    with pytest.raises(ArtifactError):
        exp.tests[0].load_artifact("it")


@pytest.mark.parametrize(
    "act",
    [
        view,
        tabulate,
        collect_and_check,
        go_elsewhere,
        merge,
        promote,
        release,
        ask_about_versions,
        load_untrusted,
        edit,
    ],
    ids=lambda act: act.__name__,
)
@pytest.mark.parametrize("mode", ["a", "w+"])
def test_nothing_loads_it(places, trap, act, mode):
    project, repository = Project(places[0], mode=mode), Repository(places[1])
    with warnings.catch_warnings(action="ignore"):
        act(project, repository)
    assert not trap.sprung


def test_who_says_that_it_is_trusted_loads_it(places, tmp_path, monkeypatch):
    exp = Project(places[0])["one"]
    exp.load_artifact("it", trust=True)
    assert (tmp_path / "sprung").exists()
    (tmp_path / "sprung").rmdir()
