"""Dependencies on experiments of this project and of others, and the registry that names projects."""

import json
import pickle
import shutil
import warnings
from pathlib import Path

import pytest

from lazytrack import Experiment, Project
from lazytrack.errors import ReadOnlyError
from lazytrack.tracking.registry import Registry, registry


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "projects", {})


@pytest.fixture
def features(tmp_path):
    project = Project(tmp_path / "features/project.json", mode="w+")
    with project.log("clean") as exp:
        exp.log_metric("rows", 100)
    project.save()
    return project


@pytest.fixture
def models(tmp_path):
    return Project(tmp_path / "models/project.json", mode="w+")


def logged(models, upstream, key="clean"):
    with models.log("model") as exp:
        exp.dependencies[key] = upstream
    models.save()
    return exp


def stored(project):
    patches = [
        patch
        for path in sorted(Path(project.folder).glob("log/*"))
        for patch in json.loads(path.read_text())["patches"]
    ]
    return [
        value for patch in patches for field, value in patch.get("set", {}).items() if field.startswith("dependencies.")
    ]


def reopened(project):
    return Project(project.fpath, mode="r")


def test_a_dependency_of_another_project_is_found_again(features, models):
    exp = logged(models, features["clean"])
    found = reopened(models)["model"]
    assert found.dependencies["clean"] == features["clean"]
    assert found.dependencies["clean"].metrics == {"rows": 100}
    assert dict(exp.dependencies) == {"clean": features["clean"]}
    assert found.to_dict()["dependencies"] == [f"../features/project.json|{features['clean'].slug}"]
    assert stored(models) == found.to_dict()["dependencies"]


def test_a_tree_of_projects_may_move_as_a_whole(features, models, tmp_path):
    logged(models, features["clean"])
    (tmp_path / "moved").mkdir()
    for name in ("features", "models"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    moved = Project(tmp_path / "moved/models", mode="r")
    assert moved["model"].dependencies["clean"].metrics == {"rows": 100}


def test_a_dependency_within_one_project_is_an_experiment_of_it(models):
    with models.log("first") as first:
        pass
    logged(models, first, "first")
    again = reopened(models)
    assert again["model"].dependencies["first"] is again["first"]
    assert stored(models) == [f"project.json|{first.slug}"]


def test_a_registered_project_is_named_and_found_wherever_it_is(features, models, tmp_path):
    registry.add_project("features", features)
    logged(models, features["clean"])
    assert stored(models) == [f"features|{features['clean'].slug}"]
    shutil.move(tmp_path / "features", tmp_path / "elsewhere")
    registry.add_project("features", Project(tmp_path / "elsewhere", mode="r"))
    assert reopened(models)["model"].dependencies["clean"].metrics == {"rows": 100}


def test_a_registered_project_of_the_path_is_used_as_it_is_open(features, models):
    logged(models, features["clean"])
    registry.add_project("features", features)
    features["clean"].log_metric("rows", 200)  # and not saved
    assert reopened(models)["model"].dependencies["clean"] is features["clean"]


def test_a_project_that_is_not_registered_is_opened_for_reading_once(features, models):
    logged(models, features["clean"])
    with models.log("another") as another:
        another.dependencies["clean"] = features["clean"]
    models.save()
    again = reopened(models)
    upstream = again["model"].dependencies["clean"]
    assert upstream is again["another"].dependencies["clean"]
    with pytest.raises(ReadOnlyError):
        upstream.log_metric("rows", 1)


def test_an_upstream_that_cannot_be_reached_stops_nothing_but_itself(features, models, tmp_path):
    logged(models, features["clean"])
    registry.add_project("gone", features)
    with models.log("registered") as exp:
        exp.dependencies["clean"] = features["clean"]
    models.save()
    registry.projects.clear()
    shutil.rmtree(tmp_path / "features")
    again = reopened(models)
    assert [exp.name for exp in again.experiments] == ["model", "registered"]
    assert [len(shown["dependencies"]) for shown in again] == [1, 1]
    assert list(again["model"].dependencies) == ["clean"]
    assert "clean" in again["model"].dependencies
    assert "features" in repr(again["model"].dependencies)
    with warnings.catch_warnings(), pytest.raises(LookupError, match=r"cannot be reached.*no experiment"):
        warnings.simplefilter("ignore", UserWarning)
        again["model"].dependencies["clean"]
    with pytest.raises(LookupError, match="no project 'gone' is registered"):
        again["registered"].dependencies["clean"]
    with pytest.raises(KeyError):
        again["model"].dependencies["unknown"]


def test_dependencies_are_changed_as_a_dict_is(features, models):
    exp = logged(models, features["clean"])
    exp.dependencies["other"] = exp.dependencies.pop("clean")
    assert exp.dirty
    models.save()
    assert list(reopened(models)["model"].dependencies) == ["other"]
    exp.dependencies = {"clean": features["clean"]}
    models.save()
    assert list(reopened(models)["model"].dependencies) == ["clean"]
    exp.dependencies.clear()
    models.save()
    assert reopened(models)["model"].to_dict()["dependencies"] == []


def test_what_is_no_experiment_is_no_dependency(models):
    exp = models.log("model")
    for wrong in (None, "clean", {}):
        with pytest.raises(TypeError, match="a dependency is an experiment"):
            exp.dependencies["clean"] = wrong
    with pytest.raises(TypeError, match="name of a dependency"):
        exp.dependencies[1] = exp
    assert dict(exp.dependencies) == {}


def test_dependencies_of_what_is_read_only_are_not_changed(features, models):
    logged(models, features["clean"])
    found = reopened(models)["model"]
    for change in (
        found.dependencies.clear,
        lambda: found.dependencies.update(clean=features["clean"]),
        lambda: setattr(found, "dependencies", {}),
    ):
        with pytest.raises(ReadOnlyError):
            change()
    assert list(found.dependencies) == ["clean"]


def test_a_refresh_shows_the_dependencies_that_others_wrote_and_keeps_what_is_not_saved(features, models):
    exp = logged(models, features["clean"])
    editing = Project(models.fpath, mode="w+")["model"]
    editing.dependencies["self"] = editing
    del editing.dependencies["clean"]
    exp.dependencies["mine"] = exp
    editing._owner.save()
    models.refresh()
    assert set(exp.dependencies) == {"self", "mine"}


def test_dependencies_are_no_part_of_what_makes_experiments_equal(features, models):
    exp = logged(models, features["clean"])
    shown = reopened(models)["model"]
    assert exp == shown


def test_a_copy_in_another_project_points_to_the_same_upstream(features, models, tmp_path):
    exp = logged(models, features["clean"])
    exp.dependencies["later"] = features["clean"]  # not saved
    deep = Project(tmp_path / "some/where/deep", mode="w+")
    deep.append(exp)
    deep.save()
    found = reopened(deep)["model"]
    assert found.to_dict()["dependencies"] == [f"../../../features/project.json|{features['clean'].slug}"] * 2
    assert found.dependencies["clean"] == found.dependencies["later"] == features["clean"]
    models.save()
    merged = Project(tmp_path / "merged/as/deep").merge(models)
    assert dict(merged["model"].dependencies) == {"clean": features["clean"], "later": features["clean"]}


def test_an_experiment_that_travelled_points_to_the_same_upstream_wherever_it_is_appended(features, models, tmp_path):
    exp = logged(models, features["clean"])
    exp.dependencies["later"] = features["clean"]  # not saved
    deep = Project(tmp_path / "some/where/deep", mode="w+")
    deep.append(pickle.loads(pickle.dumps(exp)))
    deep.save()
    found = reopened(deep)["model"]
    assert dict(found.dependencies) == {"clean": features["clean"], "later": features["clean"]}


def test_an_experiment_made_directly_keeps_its_upstream_wherever_it_is_appended(features, models, tmp_path):
    exp = Experiment("direct", tmp_path / "not/there.json")
    exp.dependencies["clean"] = features["clean"]
    models.append(exp)
    models.save()
    assert reopened(models)["direct"].dependencies["clean"] == features["clean"]


def test_a_path_may_hold_the_sign_that_ends_it(tmp_path):
    upstream = Project(tmp_path / "a|b/c|d.json", mode="w+")
    with upstream.log("clean"):
        pass
    upstream.save()
    models = Project(tmp_path / "models", mode="w+")
    logged(models, upstream["clean"])
    assert reopened(models)["model"].dependencies["clean"] == upstream["clean"]


def test_projects_in_memory_depend_on_each_other_and_on_those_on_disk(features):
    a, b = Project("memory://dependencies/a", mode="w"), Project("memory://dependencies/b/c", mode="w")
    with a.log("up") as up:
        pass
    a.save()
    with b.log("down") as down:
        down.dependencies["up"] = up
        down.dependencies["clean"] = features["clean"]
    b.save()
    found = reopened(b)["down"]
    assert dict(found.dependencies) == {"up": up, "clean": features["clean"]}
    assert found.dependencies.references() == {
        "up": f"../../a/project.json|{up.slug}",
        "clean": f"{features.location}|{features['clean'].slug}",
    }


# --- the registry ---


def test_a_registry_finds_projects_by_name_and_by_path(features, tmp_path):
    known = Registry()
    assert known.projects == {}
    known.add_project("features", features)
    assert known["features"] is features
    assert "features" in known
    assert "others" not in known
    assert (list(known), len(known)) == (["features"], 1)
    for path in (features.fpath, tmp_path / "features/project.json", str(tmp_path / "models/../features")):
        assert known.search(path) == "features"
    assert known.search(tmp_path / "models") is None
    with pytest.raises(KeyError, match="no project 'others' is registered; known: 'features'"):
        known["others"]


@pytest.mark.parametrize("name", ["", "a/project.json"])
def test_a_name_that_could_be_a_path_is_refused(features, name):
    with pytest.raises(ValueError, match="cannot be the name"):
        Registry().add_project(name, features)
