"""Imports from lazyscribe: projects and a repository as lazyscribe wrote them, against what it reads in them."""

import contextlib
import json
import math
import shutil
from datetime import UTC, datetime

import pytest
from comparing import contents, digest, imported, number

from lazytrack import Project, Repository
from lazytrack.artifacts.entries import UnreadableArtifact

UNREADABLE = "artifacts that cannot be read"
ELSEWHERE = "dependencies on other projects: import these first, then this one again"
RELEASES = "releases: copy their file beside the repository"
PROJECTS = ["rows", "data", "models", "keyed", "circular"]


def time(text):
    return text and datetime.fromisoformat(text).replace(tzinfo=UTC)


def by_slug(project):
    """Return the experiments by the slug that they have at lazyscribe; of twins, the first."""
    return {exp.imported["id"]: exp for exp in reversed(project.experiments)}


def numbers(value):
    """Return a value as lazyscribe has it, where JSON has a word for a number."""
    match value:
        case "nan" | "inf" | "-inf":
            return number(value)
        case dict():
            return {key: numbers(inner) for key, inner in value.items()}
        case list():
            return [numbers(inner) for inner in value]
    return value


@pytest.fixture(scope="module")
def models(lazyscribe_stores, tmp_path_factory):
    """The project that has everything, imported."""
    found = imported("lazyscribe", lazyscribe_stores.folder / "models/project.json", tmp_path_factory.mktemp("models"))
    found.expected = lazyscribe_stores.expected["projects"]["models/project.json"]
    found.files = lazyscribe_stores.expected["files"]
    found.base = by_slug(found.project)["base-line-20251009090320"]
    return found


@pytest.fixture(scope="module")
def versions(lazyscribe_stores, tmp_path_factory):
    """The repository, imported."""
    source = lazyscribe_stores.folder / "repository/repository.json"
    found = imported("lazyscribe", source, tmp_path_factory.mktemp("versions"))
    found.expected = lazyscribe_stores.expected["repositories"]["repository/repository.json"]
    found.files = lazyscribe_stores.expected["files"]
    return found


@pytest.fixture
def written(tmp_path):
    """Write a project by hand."""

    def write(*entries, **files):
        folder = tmp_path / "lazyscribe"
        folder.mkdir(exist_ok=True)
        (folder / "project.json").write_text(json.dumps(entries))
        for name, content in files.items():
            path = folder / slug("one") / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        return folder / "project.json"

    return write


def slug(name):
    return f"{name}-20251009085320"


def entry(name="one", **more):
    when = "2025-10-09T08:53:20"
    return {"name": name, "slug": slug(name), "created_at": when, "last_updated": when, **more}


# --- experiments ---


def pairs(found):
    """Return each experiment with what lazyscribe reads of it, twins by what they hold."""
    for told in found.expected:
        same = [exp for exp in found.project.experiments if exp.imported["id"] == told["entry"]["slug"]]
        wanted = told["entry"]["parameters"]
        (exp,) = same if len(same) == 1 else [exp for exp in same if exp.parameters == wanted]
        yield told, exp


def test_every_experiment_is_there_with_all_that_it_says(models):
    assert len(models.project) == models.report.experiments == len(models.expected) == 8
    for told, exp in pairs(models):
        said = told["entry"]
        assert exp.slug.startswith(f"{said['slug']}-")
        assert exp.short_slug == said["short_slug"]
        assert (exp.name, exp.author, exp.last_updated_by) == (said["name"], said["author"], said["last_updated_by"])
        assert (exp.created_at, exp.last_updated) == (time(said["created_at"]), time(said["last_updated"]))
        assert exp.status == "completed"
        assert exp.parameters == said["parameters"]
        assert [*exp.tags] == said["tags"]
        assert repr(exp.metrics) == repr({name: numbers(value) for name, value in sorted(said["metrics"].items())})
        assert exp.imported["from"] == "lazyscribe"


def test_values_are_what_they_were(models):
    base = models.base
    assert base.parameters["a name / with é"] == {"nested": {"deeper": [[1, 2], [3.5, "☃"]]}}
    assert base.parameters["large"] == 2**70
    assert base.parameters["nothing"] is None
    assert math.isnan(base.metrics["not a number"])
    assert base.metrics["infinite"] == -math.inf
    assert base.metrics["curve"] == [1.0, 0.5, 0.25]
    assert base.metrics["exact"] == 0.1 + 0.2
    assert set(base.tags) == {"baseline", "ünïcode ☃", "with, comma"}


def test_twins_of_one_slug_are_two_experiments(models):
    twins = [exp for exp in models.project.experiments if exp.name == "Twin"]
    assert sorted(exp.parameters["number"] for exp in twins) == [0, 1]
    assert len({exp.slug for exp in twins}) == 2
    assert {exp.imported["id"] for exp in twins} == {"twin-20251009094320"}


def test_every_test_is_there(models):
    seen = 0
    for told, exp in pairs(models):
        said = told["entry"]["tests"]
        assert [(test.name, test.description) for test in exp.tests] == [(t["name"], t["description"]) for t in said]
        for test, wanted in zip(exp.tests, said, strict=True):
            assert test.metrics == wanted["metrics"]
            assert test.parameters == wanted["parameters"]
            seen += 1
    assert seen == 2


def artifacts_of(models):
    """Yield each artifact with what it is of, its entry, and what lazyscribe loads of it."""
    for told, exp in pairs(models):
        found = told["entry"]
        for said, loaded in zip(found["artifacts"], told["artifacts"], strict=True):
            yield exp, said, loaded
        for test, wanted in zip(exp.tests, found["tests"], strict=True):
            values = told["artifacts_of_tests"][test.name]
            for said, loaded in zip(wanted["artifacts"], values, strict=True):
                yield test, said, loaded


def test_every_artifact_is_there_but_the_one_that_is_elsewhere(models):
    seen = 0
    for owner, said, loaded in artifacts_of(models):
        artifact = next((artifact for artifact in owner.artifacts if artifact.name == said["name"]), None)
        if said["fname"].startswith("../"):
            assert artifact is None
            continue
        seen += 1
        assert artifact.alias == said["handler"]
        assert artifact.fname == said["fname"]
        assert artifact.version == said["version"]
        assert artifact.created_at == time(said["created_at"])
        assert artifact.expiry == time(said["expiry"])
        if "value" in loaded:
            assert owner.load_artifact(said["name"]) == loaded["value"]
        elif said["handler"] == "pickle" and "repr" in loaded:
            assert repr(owner.load_artifact(said["name"], trust=True)) == loaded["repr"]
    assert seen == models.report.artifacts == 12
    assert len(models.report.left_out[UNREADABLE]) == 1
    assert models.report.left_out[UNREADABLE][0].startswith("base-line-20251009090320: artifacts.beside: path '../bes")


def test_every_file_is_the_same_and_no_other_one_has_come(models):
    wanted = {
        said["sha256"] for name, said in models.files.items() if name.startswith("models/") and name.count("/") > 1
    }
    stored = {
        digest(content)["sha256"]
        for name, content in contents(models.folder / "project").items()
        if name.startswith("project/artifacts/")
    }
    assert stored == wanted
    assert models.files["models/beside.json"]["sha256"] not in stored


def test_handlers_keep_the_environment_they_were_written_in(models):
    entry = models.base._stored()["artifacts.weights"]
    assert entry["environment"] == {"python_version": "3.11"}
    weights = next(artifact for artifact in models.base.artifacts if artifact.name == "weights")
    assert weights.python_version == "3.11"
    entry = models.base._stored()["artifacts.estimator"]
    assert entry["environment"] == {"joblib_version": "1.6.0", "package": "lazyscribe", "package_version": "2.2.2"}


def test_what_no_handler_here_reads_is_there_and_says_so(written, tmp_path):
    artifact = {
        "name": "a",
        "fname": "a.json",
        "handler": "of-nobody",
        "version": 0,
        "created_at": "2025-10-09T08:53:20",
    }
    source = written(entry(artifacts=[{**artifact, "beside": [1]}]), a=1)
    found = imported("lazyscribe", source, tmp_path / "to")
    (artifact,) = found.project.experiments[0].artifacts
    assert isinstance(artifact, UnreadableArtifact)
    assert artifact.alias == "of-nobody"
    (stored,) = [content for name, content in contents(tmp_path / "to").items() if name.endswith("/a.json")]
    assert stored == b"1"
    assert found.project.fsck() == []


@pytest.mark.parametrize(
    "fname", ["../a.json", "/etc/passwd", "..", "", "a/../../a.json", "C:\\a.json", "missing.json"]
)
def test_files_that_are_elsewhere_or_gone_are_said(written, tmp_path, fname):
    artifact = {"name": "a", "fname": fname, "handler": "json", "version": 0, "created_at": "2025-10-09T08:53:20"}
    source = written(entry(artifacts=[artifact]), b=1)
    dry = Project(tmp_path / "dry").import_from("lazyscribe", source, dry_run=True)
    found = imported("lazyscribe", source, tmp_path / "to")
    (said,) = found.report.left_out[UNREADABLE]
    assert said.startswith(f"{slug('one')}: artifacts.a: ")
    assert found.project.experiments[0].artifacts == []
    assert dry.left_out == found.report.left_out
    assert (dry.artifacts, dry.size) == (found.report.artifacts, found.report.size) == (0, 0)


def test_slugs_that_lead_elsewhere_bring_nothing_from_there(written, tmp_path):
    (tmp_path / "secret.json").write_text("1")
    artifact = {"name": "a", "fname": "secret.json", "handler": "json", "created_at": "2025-10-09T08:53:20"}
    source = written({**entry(artifacts=[artifact]), "slug": ".."})
    found = imported("lazyscribe", source, tmp_path / "to")
    assert found.report.artifacts == 0
    assert [name for name in contents(tmp_path / "to") if "secret" in name] == []
    assert found.project.fsck() == []


# --- dependencies ---


def test_dependencies_within_a_project_are_followed(lazyscribe_stores, tmp_path):
    found = imported("lazyscribe", lazyscribe_stores.folder / "circular/project.json", tmp_path)
    first, second = found.project.experiments
    assert second.dependencies == {"first": first}
    assert found.report.left_out == {}


def test_dependencies_on_what_was_imported_before_are_followed_and_others_said(lazyscribe_stores, tmp_path):
    alone = imported("lazyscribe", lazyscribe_stores.folder / "data/project.json", tmp_path / "alone")
    (said,) = alone.report.left_out[ELSEWHERE]
    assert said.startswith("clean-rows-20251009085420: raw-rows-20251009085320 of /")
    for name in PROJECTS[:4]:
        found = imported("lazyscribe", lazyscribe_stores.folder / name / "project.json", tmp_path / "to")
        assert ELSEWHERE not in found.report.left_out
    runs = by_slug(found.project)
    rows, clean = runs["raw-rows-20251009085320"], runs["clean-rows-20251009085420"]
    assert clean.dependencies == {"raw-rows": rows}
    assert runs["same-name-20251009091320"].dependencies == {"clean-rows": clean, "raw-rows": rows}
    assert runs["by-key-20251009085520"].dependencies == {"base-line": runs["base-line-20251009090320"]}
    assert found.project.fsck() == []


def test_what_was_not_there_is_followed_when_it_is_imported_again(lazyscribe_stores, tmp_path):
    folder = lazyscribe_stores.folder
    imported("lazyscribe", folder / "data/project.json", tmp_path)
    imported("lazyscribe", folder / "rows/project.json", tmp_path)
    again = imported("lazyscribe", folder / "data/project.json", tmp_path)
    assert (again.report.updated, again.report.left_out) == (1, {})
    runs = by_slug(again.project)
    assert runs["clean-rows-20251009085420"].dependencies == {"raw-rows": runs["raw-rows-20251009085320"]}


def test_paths_from_where_the_user_was_are_taken_as_they_are(lazyscribe_stores, tmp_path):
    imported("lazyscribe", lazyscribe_stores.folder / "relative/upstream.json", tmp_path)
    found = imported("lazyscribe", lazyscribe_stores.folder / "relative/project.json", tmp_path)
    upstream, downstream = found.project.experiments
    assert downstream.dependencies == {"upstream": upstream}


# --- versions ---


def is_over(artifact):
    return artifact.expiry is not None and artifact.expiry < datetime.now(UTC)


def test_every_version_has_its_number_its_times_and_its_file(versions):
    told = versions.expected["artifacts"]
    assert versions.report.versions == len(versions.repository) == len(told) == 14
    for found in told:
        said = found["entry"]
        name, number = said["name"], said["version"]
        artifact = versions.repository.versions(name)[number]
        assert artifact.version == number
        assert (artifact.alias, artifact.fname) == (said["handler"], said["fname"])
        assert (artifact.created_at, artifact.expiry) == (time(said["created_at"]), time(said["expiry"]))
        assert artifact.stored.sha256 == versions.files[f"repository/{name}/{said['fname']}"]["sha256"]
        with pytest.warns(UserWarning, match="expired") if is_over(artifact) else contextlib.nullcontext():
            if "value" in found:
                assert versions.repository.load_artifact(name, version=number) == numbers(found["value"])
            elif said["handler"] == "pickle" and "repr" in found:
                assert repr(versions.repository.load_artifact(name, version=number, trust=True)) == found["repr"]
    assert {artifact.name for artifact in versions.repository.artifacts} >= {"group/inner", "a name with spaces, é"}


def test_releases_are_said(versions, lazyscribe_stores):
    assert versions.report.left_out == {RELEASES: [f"{lazyscribe_stores.folder}/repository/releases.json"]}


def test_versions_go_on_from_where_they_were(lazyscribe_stores, tmp_path):
    found = imported("lazyscribe", lazyscribe_stores.folder / "repository/repository.json", tmp_path)
    repository = Repository(tmp_path / "repository")
    assert repository.log_artifact("features", ["new"], "json") == 4
    repository.save()
    assert found.repository.fsck() == []
    assert Repository(tmp_path / "repository").load_artifact("features") == ["new"]


def test_a_repository_without_one_to_go_to_is_said(lazyscribe_stores, tmp_path):
    report = Project(tmp_path).import_from("lazyscribe", lazyscribe_stores.folder / "repository/repository.json")
    assert report.left_out["versions of artifacts: name a repository for them"] == ["14 of them"]


# --- what has changed since ---


def test_what_has_changed_comes_and_what_is_of_here_stays(lazyscribe_stores, tmp_path):
    source = tmp_path / "copy" / "project.json"
    shutil.copytree(lazyscribe_stores.folder / "models", source.parent)
    imported("lazyscribe", source, tmp_path / "to")
    here = Project(tmp_path / "to" / "project", mode="w+")
    base = by_slug(here)["base-line-20251009090320"]
    base.tag("of here")
    base.log_metric("loss", 0.125)
    here.save()
    entries = json.loads(source.read_text())
    changed = next(each for each in entries if each["slug"] == "base-line-20251009090320")
    changed["tags"].remove("baseline")
    changed["tags"].append("later")
    changed["metrics"] |= {"loss": 0.5, "new": 1.5}
    del changed["parameters"]["text"]
    changed["artifacts"][0]["created_at"] = "2026-11-29T08:30:55"
    (source.parent / changed["slug"] / "features.json").write_text('["other"]')
    source.write_text(json.dumps(entries))
    dry = Project(tmp_path / "to" / "project").import_from("lazyscribe", source, dry_run=True)
    again = imported("lazyscribe", source, tmp_path / "to")
    assert (again.report.experiments, again.report.updated, again.report.unchanged) == (0, 1, 7)
    assert (dry.experiments, dry.updated, dry.unchanged) == (0, 1, 7)
    base = by_slug(again.project)["base-line-20251009090320"]
    assert set(base.tags) == {"ünïcode ☃", "with, comma", "later", "of here"}
    assert base.metrics["loss"] == 0.125
    assert base.metrics["new"] == 1.5
    assert "text" not in base.parameters
    assert base.load_artifact("features") == ["other"]
    assert again.project.fsck() == []


# --- what is broken ---


@pytest.mark.parametrize("content", ["{}", "[1]", '[{"name": "a"}]', "null", '{"format": "lazytrack/1"}'])
def test_what_is_no_list_of_entries_is_said(tmp_path, content):
    (tmp_path / "project.json").write_text(content)
    with pytest.raises(ValueError, match=r"project\.json is neither a project nor a repository of lazyscribe"):
        Project(tmp_path / "to").import_from("lazyscribe", tmp_path / "project.json")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("content", ["", "[{", "\x00", "[" * 100_000])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "project.json").write_text(content)
    with pytest.raises(ValueError, match=r"project\.json"):
        Project(tmp_path / "to").import_from("lazyscribe", tmp_path / "project.json")


@pytest.mark.parametrize(
    "bad",
    [
        {"created_at": "yesterday"},
        {"last_updated": None},
        {"slug": 3},
        {"metrics": 5},
        {"tests": [{}]},
        {"tests": "ab"},
        {"artifacts": [{"name": "a"}]},
        {"artifacts": 7},
        {"tags": 3},
        {"parameters": [1]},
    ],
)
def test_an_entry_that_makes_no_sense_is_said_and_what_is_beside_it_comes(written, tmp_path, bad):
    found = imported("lazyscribe", written(entry() | bad, entry("two", tags=["t"])), tmp_path / "to")
    assert [[*exp.tags] for exp in found.project.experiments if exp.name == "two"] == [["t"]]
    assert found.report.left_out or len(found.project) == 2
    assert found.project.fsck() == []


def test_a_version_that_makes_no_sense_is_said_and_what_is_beside_it_comes(tmp_path):
    good = {"name": "a", "fname": "a.json", "handler": "json", "created_at": "2025-10-09T08:53:20", "version": 0}
    entries = [good, good | {"version": "two"}, good | {"created_at": "never", "version": 3}]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "a.json").write_text("1")
    (tmp_path / "repository.json").write_text(json.dumps(entries))
    found = imported("lazyscribe", tmp_path / "repository.json", tmp_path / "to")
    assert found.report.versions == 1
    assert len(next(iter(found.report.left_out.values()))) == 2
    assert found.repository.load_artifact("a") == 1


def test_values_that_cannot_be_kept_are_said(written, tmp_path):
    deep = json.loads("[" * 200 + "]" * 200)
    found = imported(
        "lazyscribe", written(entry(parameters={"deep": deep, "a": 1}, metrics={"m": "x"})), tmp_path / "to"
    )
    assert found.project.experiments[0].parameters == {"a": 1}
    said = found.report.left_out["values that cannot be kept"]
    assert [which.split(": ")[1] for which in said] == ["metrics.m", "parameters.deep"]


def test_a_folder_or_nothing_is_said(tmp_path):
    with pytest.raises(ValueError, match="is a folder: name the JSON file"):
        Project(tmp_path / "to").import_from("lazyscribe", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.json"):
        Project(tmp_path / "to").import_from("lazyscribe", tmp_path / "nothing.json")


def test_an_entry_of_another_kind_is_said(written, tmp_path):
    other = {"name": "a", "fname": "a.json", "handler": "json", "created_at": "2025-10-09T08:53:20", "version": 0}
    found = imported("lazyscribe", written(entry(), other), tmp_path / "to")
    assert (found.report.experiments, [*found.report.left_out]) == (1, ["what makes no sense"])


def test_an_empty_project_is_none_to_speak_of(tmp_path):
    (tmp_path / "project.json").write_text("[]")
    report = Project(tmp_path / "to").import_from("lazyscribe", tmp_path / "project.json")
    assert (report.experiments, report.versions, report.left_out) == (0, 0, {})


@pytest.mark.parametrize("linked", ["base-line-20251009090320", "base-line-20251009090320/small-rows"])
def test_folders_that_are_links_are_refused_and_said(lazyscribe_stores, tmp_path, linked):
    shutil.copytree(lazyscribe_stores.folder / "models", tmp_path / "models")
    folder = tmp_path / "models" / linked
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    source = tmp_path / "models" / "project.json"
    found = imported("lazyscribe", source, tmp_path / "to")
    whole = imported("lazyscribe", lazyscribe_stores.folder / "models/project.json", tmp_path / "whole")
    lost = whole.report.artifacts - found.report.artifacts
    assert lost > 0
    said = found.report.left_out["links among artifacts, which may lead anywhere"]
    before = whole.report.left_out.get("links among artifacts, which may lead anywhere", [])
    assert len(said) - len(before) == lost
    dry = Project(tmp_path / "other").import_from("lazyscribe", source, dry_run=True)
    assert dry.left_out == found.report.left_out
