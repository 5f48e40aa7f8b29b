"""What differs between two experiments, runs or steps, and between two times of a project."""

import time

import pytest

from lazytrack import Project, naming, pipeline, step
from lazytrack.post_execution.differences import diff, diff_of_times


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    with Project(tmp_path / "churn") as project:
        yield project


def logged(project, name, **changes):
    with project.log(name) as exp:
        exp.log_parameters({"lr": changes.get("lr", 0.1), "same": float("nan")})
        exp.log_metric("auc", changes.get("auc", 0.5))
        exp.tag(*changes.get("tags", ["a"]))
        exp.log_artifact("notes", changes.get("notes", "one\ntwo\n"), "text")
        exp.log_artifact("model", changes.get("model", {1, 2}), "pickle")
        with exp.log_test("women") as test:
            test.log_metric("auc", changes.get("women", 0.4))
        if "more" in changes:
            exp.log_artifact("more", [1], "json")
    return exp


def test_two_experiments_that_do_not_differ(project):
    first, second = logged(project, "a"), logged(project, "a")
    project.save()
    found = diff(first, second)
    assert not found
    assert str(found) == f"{first.slug} and {second.slug} do not differ"


def test_all_that_differs_between_two_experiments(project):
    first = logged(project, "a")
    second = logged(
        project, "b", lr=0.2, auc=0.6, tags=["a", "b"], notes="one\nthree\n", model={3}, women=0.7, more=True
    )
    project.save()
    found = diff(first, second)
    assert found.sections["parameters"] == {"lr": (0.1, 0.2)}
    assert found.sections["metrics"] == {"auc": (0.5, 0.6)}
    assert found.sections["tags"] == {"b": (None, True)}
    assert found.sections["tests"] == {"women.auc": (0.4, 0.7)}
    assert set(found.sections["artifacts"]) == {"notes", "model", "more"}
    assert found.sections["artifacts"]["more"][0] is None
    assert found.texts == {"notes": "--- notes before\n+++ notes after\n@@ -1,2 +1,2 @@\n one\n-two\n+three"}
    told = str(found)
    assert "  lr: 0.1 → 0.2" in told
    assert told.endswith("-two\n+three")


def test_packages_and_machines(project, monkeypatch, tmp_path):
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    first = logged(project, "a")
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "0")
    second = logged(project, "a")
    project.save()
    first.environment  # noqa: B018  (it waits until that is known)
    assert set(diff(first, first).sections) >= {"packages", "python", "platform", "git", "lock_files"}
    assert not diff(first, first)
    if first.environment is not None:
        assert diff(first, second).sections["origin"]["recorded"][0] is True


@step
def load(n: int) -> list[int]:
    return list(range(n))


def test_runs_and_steps():
    @pipeline
    def whole(n: int) -> None:
        load(n)

    first, second = whole(3), whole(4)
    found = diff(first, second)
    assert found.sections["parameters"] == {"n": (3, 4)}
    of_steps = diff(first.get_step("load"), second.get_step("load"))
    assert of_steps.sections["parameters"] == {"n": (3, 4)}
    assert set(of_steps.sections["outputs"]) == {"output"}
    assert "+[0, 1, 2, 3]" in of_steps.texts["output"]
    assert not diff(first.get_step("load"), first.get_step("load"))
    with pytest.raises(TypeError, match="two experiments, two runs or two steps"):
        diff(first, first.get_step("load"))
    with pytest.raises(TypeError, match="can be compared"):
        diff(3, 4)


def test_steps_whose_code_differs():
    def made(by):
        if by == 1:

            @step
            def changes(n: int) -> int:
                return n + 1
        else:

            @step
            def changes(n: int) -> int:
                return n + 2

        return changes

    runs = []
    for by in (1, 2):
        changes = made(by)

        @pipeline
        def whole() -> None:
            changes(1)  # noqa: B023

        runs.append(whole())
    found = diff(*(run.get_step("changes") for run in runs))
    assert "-    return n + 1" in found.texts["source"]
    assert "source" in found.sections


def test_two_times_of_a_project(project):
    exp = logged(project, "a")
    project.save()
    time.sleep(0.01)
    between = naming.now()
    with Project(project.fpath, mode="w+") as later:
        later[exp.slug].log_metric("auc", 0.9)
        later.log("b")
    project.refresh()
    found = diff_of_times(project.as_of(between), project)
    [new] = found.sections["experiments"]
    assert new.startswith("b-")
    assert found.sections[exp.slug] == {"metrics.auc": (0.5, 0.9)}
    assert str(found).startswith(f"from {naming.iso(between)} to now\nexperiments")
