"""Merging, at random: whatever was logged, deleted and merged where, merging all of it in any order gives the same."""

import random
import shutil

import pytest

from lazytrack import Project, codec

NAMES = ("a", "b", "c")


def play(rng, folder):  # noqa: C901  (a list of what may happen)
    """Write three projects that log, edit, delete and merge at random, and return their paths."""
    paths = [folder / name for name in NAMES]
    for path in paths:
        with Project(path) as project, project.log("first"):
            pass
    for _ in range(rng.randint(4, 14)):
        path = rng.choice(paths)
        project = Project(path, mode="w+")
        slugs = [exp.slug for exp in project.experiments]
        match rng.choice(["log", "log", "edit", "edit", "delete", "merge", "append"]):
            case "log":
                with project.log(rng.choice(NAMES)) as exp:
                    exp.log_artifact("it", rng.randint(0, 2), handler="json")
                    exp.log_metric("m", rng.random())
                    exp.tag(rng.choice(NAMES))
            case "edit" if slugs:
                exp = project[rng.choice(slugs)]
                exp.log_metric(rng.choice("mn"), rng.random())
                exp.tags[:] = rng.sample(NAMES, rng.randint(0, 2))
                exp.log_artifact("it", rng.randint(0, 5), handler="json", overwrite=True)
                if rng.random() < 0.5:
                    exp.log_test(rng.choice(NAMES)).log_artifact("it", rng.randint(0, 2), handler="json")
                elif exp.tests:
                    exp.tests.pop()
            case "delete" if slugs:
                project.delete(rng.choice(slugs))
            case "merge":
                project = project.merge(Project(rng.choice(paths), mode="r"))
            case "append":
                for exp in Project(rng.choice(paths), mode="r").experiments[:1]:
                    if not project._journal.is_deleted(exp.slug):
                        project.append(exp)
        project.save()
    return paths


def state(project):
    """Return all a project shows, artifacts included; the order of tags and tests is nobody's promise."""
    shown = {}
    for exp in project.experiments:
        data = exp.to_dict()
        data |= {"tags": sorted(data["tags"]), "tests": sorted(data["tests"], key=str)}
        values = [exp.load_artifact(artifact.name) for artifact in exp.artifacts]
        values += sorted(test.load_artifact(artifact.name) for test in exp.tests for artifact in test.artifacts)
        shown[exp.slug] = codec.store(data), values
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_merging_in_any_order_any_number_of_times_gives_what_copying_the_files_gives(seed, tmp_path):
    rng = random.Random(seed)
    paths = play(rng, tmp_path)
    copied = tmp_path / "copied"
    for path in paths:
        shutil.copytree(path / "project", copied / "project", dirs_exist_ok=True)
    shutil.copy(paths[0] / "project.json", copied / "project.json")
    expected = state(Project(copied, mode="r"))
    for attempt in range(3):
        others = [Project(path, mode="r") for path in paths * 2]
        rng.shuffle(others)
        merged = Project(tmp_path / f"merged-{attempt}").merge(*others)
        assert state(merged) == expected  # before it is saved too
        merged.save()
        assert state(Project(tmp_path / f"merged-{attempt}", mode="r")) == expected
        assert Project(tmp_path / f"merged-{attempt}").merge(*others)._adopted == {}
