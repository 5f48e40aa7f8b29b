"""What is on the disk: the page that describes it, what the code writes, and stores that must open for ever."""

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from every_run import run_everything
from jsonschema import Draft202012Validator

from lazytrack import Project, Repository, codec
from lazytrack.artifacts import Reference
from lazytrack.files import open_files
from lazytrack.journal import Journal
from lazytrack.post_execution.pipeline_run import view_of_run
from lazytrack.provenance import capture

FORMATS = Path(__file__).parent / "formats"
PAGE = Path(__file__).parent.parent / "docs" / "format.md"
BLOCKS = [json.loads(block.split("```")[0]) for block in PAGE.read_text().split("```json\n")[1:]]
SCHEMA = next(block for block in BLOCKS if "$schema" in block)
VERSIONS = sorted(path.name for path in FORMATS.iterdir() if path.is_dir())
VALIDATOR = Draft202012Validator(SCHEMA)


def write_store(folder):
    """Write a store that has everything an experiment can have."""
    project = Project(folder, mode="w+")
    for i in range(70):
        with project.log("many") as exp:
            exp.log_metric("i", i)
        project.save()
    with project.log("all of it") as exp:
        exp.parameters.update({"nan": math.nan, "huge": 2**99, "own": {"dict": 1}, "deep": [{"a": [None]}], "a.b": 1})
        exp.metrics.update({"nan": math.nan, "list": [1, -math.inf], "int": 3})
        exp.tag("a", "b")
        test = exp.log_test("women", "a description")
        test.log_metric("auc", math.nan)
        test.log_artifact("curve", [1], handler="json")
        exp.log_artifact("model", {1, 2}, handler="pickle")
        exp.notes = "a note"
        for step in range(10):
            exp.log_metric("few", math.nan if step == 3 else step, step=step)
        exp.dependencies["many"] = project["many"]
    project.save()
    with project.log("long", parent=exp) as long:
        long._beat()
        for step in range(1000):
            long.log_metric("loss", 1 / (step + 1), step=step * step)
            long.log_metric("small", step % 3, step=step)
    project.save()
    long = Project(folder).resume("long", step=500, rank=2, ranks=4)
    long.log_metric("loss", -math.inf, step=500)
    long._owner.save()
    project.refresh()
    exp.tags.remove("a")
    del exp.tests[0]
    exp.log_artifact("model", {3}, handler="pickle", overwrite=True)
    project.delete(project["many"].slug)
    project.save()
    with pytest.raises(ZeroDivisionError), project.log("failed"):
        raise ZeroDivisionError
    return project


def test_every_file_the_code_writes_matches_the_schema_of_the_page(tmp_path):
    write_store(tmp_path)
    kinds = set()
    for path in [tmp_path / "project.json", *tmp_path.glob("project/log/*"), *tmp_path.glob("project/packs/*")]:
        document = json.loads(path.read_text(), parse_constant=lambda token: pytest.fail(f"{token} is not JSON"))
        VALIDATOR.validate(document)
        kinds.add(document["kind"])
    assert kinds == {"project", "log", "pack"}
    heads = [path.read_bytes().partition(b"\n")[0] for path in tmp_path.glob("project/series/*/*")]
    assert heads
    for head in heads:
        VALIDATOR.validate(json.loads(head))


def test_every_file_of_a_repository_matches_the_schema_of_the_page(tmp_path):
    repository = Repository(tmp_path)
    for number in range(3):
        repository.log_artifact("My model", {number}, "pickle", expiry="90d" if number else None)
    repository.set_alias("My model", "champion", 1)
    repository.save()
    repository.set_alias("My model", "champion", reason="better")
    repository.set_alias("My model", "challenger", 0)
    repository.set_artifact_expiry("My model", 0)
    repository.save()
    repository.delete_alias("My model", "challenger")
    repository.delete("My model", 0)
    repository.save()
    project = Project(tmp_path.parent / "project")
    with project.log("exp") as exp, exp.log_test("part") as test:
        exp.log_artifact("other", {1}, "pickle")
        test.log_artifact("other", {2}, "pickle")
    project.save()
    for part in (exp, test):
        part.promote_artifact(repository, "other")
    Journal(repository._inside).pack(everything=True)
    kinds = {}
    for path in tmp_path.rglob("*.json"):
        document = json.loads(path.read_text())
        VALIDATOR.validate(document)
        kinds.setdefault(document["kind"], []).append(path.relative_to(tmp_path).as_posix())
    assert {kind: len(paths) for kind, paths in kinds.items()} == {"repository": 1, "claim": 5, "log": 5, "pack": 1}
    assert min(kinds["claim"]).startswith("repository/claims/my-model-")
    assert Repository(tmp_path).aliases("My model") == {"champion": 2}
    assert len(Repository(tmp_path).history("other")) == 2


def test_every_file_of_folders_references_and_collections_matches_the_schema_of_the_page(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.bin").write_bytes(b"a")
    project = Project(tmp_path / "store", mode="w+")
    with project.log("exp") as exp:
        exp.log_artifact("folder", folder, "directory")
        exp.log_artifact("data", folder, "reference")
        exp.log_artifact("quick", Reference.to(folder / "inner" / "a.bin", checksum=False))
    project.save()
    condemned = {"condemned.artifacts/x/it/0-abcdefgh/it.json": True}
    project._journal.append([{"record": ".gc", "set": condemned}], by="x")
    project.gc(dry_run=False)
    kinds = []
    for path in Path(project.dir).rglob("*.json"):
        document = json.loads(path.read_text())
        VALIDATOR.validate(document)
        kinds.append(document["kind"])
    assert sorted(kinds) == ["directory", "log", "log", "log", "log", "project", "reference", "reference"]


def test_every_file_of_where_results_come_from_matches_the_schema_of_the_page(tmp_path, monkeypatch):
    monkeypatch.setenv(capture.SWITCH, "1")
    monkeypatch.setattr(capture, "_capture", None)
    monkeypatch.setattr(capture, "PATIENCE_SECONDS", 60)  # the machine may be busy
    folder = tmp_path / "checkout"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / "requirements.txt").write_text("numpy==2.0\n")
    (folder / "large.bin").write_bytes(os.urandom(3_000_000))
    monkeypatch.chdir(folder)
    project = Project(tmp_path / "store", mode="w+")
    with project.log("exp") as exp, exp.step("outer", metadata={"nan": math.nan}):
        exp.log_metric("auc", 1, step=1)
        exp._beat()
        with pytest.raises(ZeroDivisionError), exp.step("inner"):
            1 / 0  # noqa: B018
    project.save()
    kinds = []
    for path in [*Path(project.folder).glob("log/*"), *Path(project.folder).glob("environments/*")]:
        document = json.loads(path.read_text())
        VALIDATOR.validate(document)
        kinds.append(document["kind"])
    assert sorted(kinds) == ["environment", "log", "platform"]
    fields = set(project._journal.fields(exp.slug))
    assert fields >= {"platform", "environment", "command", "root", "git", "uncommitted", "steps.outer", "steps.inner"}


def test_every_file_of_runs_matches_the_schema_of_the_page(tmp_path):
    with Project(tmp_path) as project:
        first, second = run_everything()
    for path in [*Path(project.folder).glob("log/*"), *Path(project.folder).glob("environments/*")]:
        VALIDATOR.validate(json.loads(path.read_text()))
    said = {
        f"{run.id} {field}": value
        for run in (first, second)
        for field, value in project._journal.fields(run.id).items()
        if field.startswith("steps.")
    }
    of_steps = SCHEMA["$defs"]["step"]["properties"].keys()
    unexplained = {key for record in said.values() for key in record} - of_steps
    assert unexplained == set()
    unseen = of_steps - {key for record in said.values() for key in record}
    assert unseen == {"parent", "logged", "version", "platform", "environment"}
    assert second.get_step("flaky").status == "cached"
    assert project.fsck() == []


def test_the_page_reads_a_file_of_points_as_the_code_does(tmp_path):
    write_store(tmp_path)
    code = next(block for block in PAGE.read_text().split("```") if "def read_points" in block)
    names = {}
    exec(code.removeprefix("python"), names)
    [path] = tmp_path.glob("project/series/long-*/*")
    exp = Project(tmp_path, mode="r")["long"]
    for name in ("loss", "small"):
        columns = names["read_points"](path)[f"metrics.{name}"]
        order = columns["step"].argsort(kind="stable")
        history = exp.history(name, rank=0)
        assert len(history) == 1000
        assert columns["step"][order].tolist() == history.step
        assert columns["value"][order].tolist() == history.value
        assert columns["time"][order].tolist() == history.columns().time.tolist()


def test_the_examples_of_the_page_match_its_schema():
    examples = [block for block in BLOCKS if block is not SCHEMA]
    assert examples
    for example in examples:
        VALIDATOR.validate(example)


@pytest.mark.parametrize(
    "document",
    [
        {"format": "lazytrack/2", "kind": "log", "id": "x"},
        {"format": "lazytrack/1", "kind": "pack", "id": "x", "replaces": ["../project.json"]},
        {"format": "lazytrack/1", "kind": "log", "id": "x", "patches": [{"at": "now", "record": "r", "set": {}}]},
        {"format": "lazytrack/1", "kind": "log", "id": "x", "patches": [{"record": "r", "set": {}}]},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(document):
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_format_opens_and_shows_what_it_always_did(version, tmp_path, monkeypatch):
    shutil.copytree(FORMATS / version, tmp_path / "copy")
    expected = json.loads((FORMATS / f"{version}.expected.json").read_text())
    project = Project(tmp_path / "copy", mode="r")
    shown = [codec.store(found) for found in project]
    assert [
        {k: v for k, v in found.items() if k in want}
        for found, want in zip(shown, expected["experiments"], strict=True)
    ] == (expected["experiments"])
    assert project.problems == expected["problems"]
    for which, points in expected.get("histories", {}).items():
        slug, _, name = which.partition(" ")
        history = project[slug].history(name)
        found = [history.step, history.columns().time.tolist(), codec.store_number(history.value), history.rank]
        assert found == [points[column] for column in ("step", "time", "value", "rank")]
    if signed := expected.get("signed_by"):
        monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", signed)
    for which, value in expected["artifacts"].items():
        slug, _, name = which.partition(" ")
        loaded = project[slug].load_artifact(name, validate=False, trust=not signed)
        assert codec.store(codec.plain(loaded, "it")) == value


@pytest.mark.parametrize("version", VERSIONS)
def test_folders_and_versions_in_a_store_of_every_format_are_what_they_were(version, tmp_path, monkeypatch):
    shutil.copytree(FORMATS / version, tmp_path / "copy")
    expected = json.loads((FORMATS / f"{version}.expected.json").read_text())
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", expected.get("signed_by", "of-nobody-who-signed-this"))
    project = Project(tmp_path / "copy", mode="w+")
    for which, files in expected.get("folders", {}).items():
        slug, _, name = which.partition(" ")
        loaded = project[slug].load_artifact(name)
        found = {path.relative_to(loaded).as_posix(): path for path in loaded.rglob("*") if path.is_file()}
        assert {name: path.read_text() for name, path in found.items()} == files
    assert project.fsck() == []
    if (versions := expected.get("repository")) is not None:
        repository = Repository(tmp_path / "copy")
        assert [each.version for each in repository.versions("threshold")] == versions["threshold"]["versions"]
        assert repository.aliases("threshold") == versions["threshold"]["aliases"]
        assert repository.load_artifact("threshold") == versions["threshold"]["newest"]
        assert list(repository.load_artifact("model", validate=False)) == versions["threshold"]["model"]
        assert repository.fsck() == []
        for name, said in expected.get("promotions", {}).items():
            assert repository.history(name) == said["history"]
            for number, origin in enumerate(said["origins"]):
                found = repository.origin(name, number)
                assert (found and found | {"project": "project.json"}) == origin
                if found is not None:
                    entry = Project(found["project"], mode="r")[found["record"]]._stored()[found["field"]]
                    assert entry["sha256"] == repository.versions(name)[number].stored.sha256
        assert repository.log_artifact("threshold", {"n": 3}) == 3


def as_known_then(shown, expected):
    """Return what is shown without fields that did not exist when a store was written, which are None."""
    match shown, expected:
        case dict(), dict():
            known = {key: value for key, value in shown.items() if value is not None or key in expected}
            return {key: as_known_then(value, expected.get(key)) for key, value in known.items()}
        case list(), list() if len(shown) == len(expected):
            return [as_known_then(*pair) for pair in zip(shown, expected, strict=True)]
    return shown


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_format_says_where_its_results_come_from(version):
    expected = json.loads((FORMATS / f"{version}.expected.json").read_text())
    project = Project(FORMATS / version, mode="r")
    for slug, origin in expected.get("origins", {}).items():
        exp = project[slug]
        assert codec.converter.unstructure(exp.platform) == origin["platform"]
        environment = codec.converter.unstructure(exp.environment)
        assert as_known_then(environment, origin["environment"]) == origin["environment"]
        assert as_known_then([step.to_json_dict() for step in exp.steps], origin["steps"]) == origin["steps"]


def shown_of_run(project, slug):
    """Return what the view of a run shows, as JSON."""
    run = view_of_run(project, slug)
    steps = {}
    for made in run.steps:
        assert made.step_configuration["name"] == made.name
        outputs = {name: codec.store(codec.plain(view.read(), name)) for name, view in made.outputs.items()}
        steps[made.name] = {
            "status": str(made.status),
            "entrypoint": made.spec.source,
            "upstream": list(made.spec.upstream_steps),
            "parameters": codec.store(made.parameters),
            "inputs": list(made.inputs),
            "outputs": outputs,
            "types": {name: view.data_type for name, view in made.outputs.items()},
            "metadata": {name: str(entry.value) for name, entry in made.metadata.items()},
            "attempts": len(made.attempts),
            "logs": made.logs,
            "source": made.source_code,
            "original": None if made.original is None else made.original.id,
            "explained": made.explain_cache().reasons,
        }
    return {"name": run.name, "pipeline": run.pipeline_name, "status": str(run.status), "steps": steps}


@pytest.mark.parametrize("version", VERSIONS)
def test_runs_in_a_store_of_every_format_show_what_they_did(version, monkeypatch):
    expected = json.loads((FORMATS / f"{version}.expected.json").read_text())
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", expected.get("signed_by", "of-nobody-who-signed-this"))
    project = Project(FORMATS / version, mode="r")
    for slug, shown in expected.get("runs", {}).items():
        assert shown_of_run(project, slug) == shown


@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_of_every_format_can_be_gone_on_with(version, tmp_path):
    shutil.copytree(FORMATS / version, tmp_path / "copy")
    before = [found["slug"] for found in Project(tmp_path / "copy", mode="r")]
    project = Project(tmp_path / "copy", mode="w+")
    project.experiments[0].tag("seen again")
    with project.log("today"):
        pass
    project.save()
    Journal(open_files(tmp_path / "copy" / "project")).pack(everything=True)
    again = Project(tmp_path / "copy", mode="r")
    assert [found["slug"] for found in again][:-1] == before
    assert "seen again" in again.experiments[0].tags


def test_the_project_can_be_copied_and_reopened_elsewhere(tmp_path):
    write_store(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    here = list(Project(tmp_path / "here", mode="r"))
    shutil.rmtree(tmp_path / "here")
    there = Project(tmp_path / "there", mode="r")
    assert codec.dumps(codec.store(list(there))) == codec.dumps(codec.store(here))
    assert there["all-of-it"].load_artifact("model") == {3}


def test_two_projects_merge_by_copying_the_files_of_one_into_the_other(tmp_path):
    for name in ("one", "two"):
        project = Project(tmp_path / name)
        with project.log(name) as exp:
            exp.log_artifact("it", name, handler="json")
        project.save()
    shutil.copytree(tmp_path / "two" / "project", tmp_path / "one" / "project", dirs_exist_ok=True)
    merged = Project(tmp_path / "one", mode="r")
    assert [exp.name for exp in merged.experiments] == ["one", "two"]
    assert [exp.load_artifact("it") for exp in merged.experiments] == ["one", "two"]


def test_nothing_in_a_store_names_the_place_it_is_in(tmp_path):
    write_store(tmp_path / "a-place-of-its-own")
    for path in tmp_path.rglob("*.json"):
        if path.parent.name in {"log", "packs"} and "traceback" not in path.read_text().lower():
            assert "a-place-of-its-own" not in path.read_text()
