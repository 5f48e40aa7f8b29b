"""Imports from MLflow: both of its stores, as MLflow wrote them, against what MLflow reads in them."""

import contextlib
import errno
import math
import os
import shutil
import sqlite3
import sys
import warnings
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import yaml
from comparing import contents, digests, imported, number

from lazytrack import Project, Repository, naming
from lazytrack.exchange.spelled import read_back
from lazytrack.files.local import LocalFiles

KINDS = ["file", "sqlite"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUSES = {"FINISHED": "completed", "FAILED": "failed", "KILLED": "stopped", "RUNNING": "running"}
LONG = "tags with long values, which `imported` keeps"
UNREADABLE = "files that cannot be read"
OUTSIDE = "artifacts outside of the folder of the store: follow=True, or --follow, fetches them"


def source_of(kind, folder):
    return folder / ("mlruns" if kind == "file" else "sqlite/mlflow.db")


def living(expected):
    """Return the runs that are not in the trash, each with the name of what MLflow calls its experiment."""
    return [
        (run, experiment["name"])
        for experiment in expected["experiments"]
        if experiment["lifecycle_stage"] == "active"
        for run in experiment["runs"]
        if run["lifecycle_stage"] == "active"
    ]


def by_run(project):
    return {exp.imported["id"]: exp for exp in project.experiments}


@pytest.fixture(scope="module", params=KINDS)
def store(request, mlflow_stores, tmp_path_factory):
    """What an import of one of the stores has made, with what MLflow reads there."""
    expected = mlflow_stores.expected[request.param]
    found = imported("mlflow", source_of(request.param, mlflow_stores.folder), tmp_path_factory.mktemp("imported"))
    found.kind, found.expected, found.executed = request.param, expected, mlflow_stores.executed
    found.runs = by_run(found.project)
    found.pairs = [(run, name, found.runs[run["run_id"]]) for run, name in living(expected)]
    found.trained = next(exp for run, _, exp in found.pairs if run["run_name"] == "trained")
    return found


@pytest.fixture(params=KINDS)
def copy(request, mlflow_stores, tmp_path):
    """A store that may be changed, and that says it is where it is."""
    folder = tmp_path / "copy"
    shutil.copytree(mlflow_stores.folder, folder)
    root = mlflow_stores.expected["root"]
    for path in folder.glob("mlruns/**/meta.yaml"):
        path.write_text(path.read_text().replace(root, str(folder)))
    changes = {"runs": "artifact_uri", "logged_models": "artifact_location", "model_versions": "source"}
    with database(folder) as connection:
        for table, column in changes.items():
            connection.execute(f"update {table} set {column} = replace({column}, ?, ?)", (root, str(folder)))
    expected = mlflow_stores.expected[request.param]
    source = source_of(request.param, folder)
    return SimpleNamespace(kind=request.param, folder=folder, source=source, expected=expected)


@pytest.fixture
def files(mlflow_stores, tmp_path):
    """A file store that may be changed."""
    source = tmp_path / "files" / "mlruns"
    shutil.copytree(mlflow_stores.folder / "mlruns", source)
    return SimpleNamespace(source=source, expected=mlflow_stores.expected["file"])


@contextlib.contextmanager
def database(folder):
    with contextlib.closing(sqlite3.connect(folder / "sqlite" / "mlflow.db")) as connection, connection:
        yield connection


@pytest.fixture
def made(tmp_path):
    """A file store with one run, which tests write by hand."""
    run = tmp_path / "mlruns" / "1" / "abc"
    for kind in ("params", "metrics", "tags", "artifacts"):
        (run / kind).mkdir(parents=True)
    (run.parent / "meta.yaml").write_text("{experiment_id: '1', name: plain, lifecycle_stage: active}\n")
    said = {"run_id": "abc", "run_name": "made", "status": 3, "start_time": 1000, "end_time": 2000}
    (run / "meta.yaml").write_text(
        yaml.safe_dump({**said, "lifecycle_stage": "active", "artifact_uri": "file:///gone/mlruns/1/abc/artifacts"})
    )
    return run


def import_made(made, tmp_path, **how):
    found = imported("mlflow", made.parent.parent, tmp_path / "to", **how)
    return found, by_run(found.project)["abc"]


# --- what is in a run ---


def test_every_run_that_is_not_in_the_trash_becomes_an_experiment(store):
    assert len(store.pairs) == 26
    assert len(store.project) == store.report.experiments == 26
    assert store.report.updated == store.report.unchanged == store.report.deleted == 0
    assert store.report.left_out["runs that were deleted"] == ["2 of them"]
    for run, name, exp in store.pairs:
        assert exp.name == run["run_name"]
        assert exp.created_at == EPOCH + timedelta(milliseconds=run["start_time"])
        assert exp.author == run["user_id"]
        assert exp.status == STATUSES[run["status"]]
        assert exp.imported["from"] == "mlflow"
        assert exp.imported["status"] == run["status"]
        assert exp.imported["experiment"] == name
    assert {exp.status for exp in store.project.experiments} == {*STATUSES.values()}


def test_runs_keep_their_order(store):
    times = [exp.created_at for exp in store.project.experiments]
    assert times == sorted(times)
    assert [exp.name for exp in store.project.experiments][:3] == ["trained", "failed", "killed"]


def test_every_parameter_is_there_and_says_what_mlflow_says(store):
    for run, _, exp in store.pairs:
        assert {name: str(value) for name, value in exp.parameters.items()} == run["params"]
    assert sum(len(exp.parameters) for exp in store.project.experiments) >= 40


def test_parameters_are_what_they_were_before_they_became_text(store):
    assert store.trained.parameters == {
        "learning rate": 0.001,
        "optimizer/name": "adam",
        "optimizer/betas": "(0.9, 0.999)",
        "größe-1.b_c": "ünïcode ☃ 日本",
        "long": "0123456789" * 600,
        "two lines": "first\nsecond",
        "JSON": '{"layers": [1, 2, {"a": null}], "text": "\\"quoted\\""}',
        "nothing": None,
        "empty": "",
        "number like": "007",
    }
    fluent = next(exp for exp in store.project.experiments if "epochs" in exp.parameters)
    assert fluent.parameters == {"epochs": 3, "rate": 0.1, "flag": True, "list": [1, "a"]}
    rates = [exp.parameters["rate"] for exp in store.project.experiments if exp.name.startswith("sweep")]
    assert rates == [10.0**-number for number in range(12)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("1e-05", 1e-05),
        ("1e-3", "1e-3"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("0x" + "f" * 5000, "0x" + "f" * 5000),
        ("9" * 5000, "9" * 5000),
        ("inf", math.inf),
        ("True", True),
        ("true", "true"),
        ("None", None),
        ("[1, 2.5, 'a']", [1, 2.5, "a"]),
        ('["a"]', '["a"]'),
        ("{'a': [None]}", {"a": [None]}),
        ("'quoted'", "'quoted'"),
        ("{{}}", "{{}}"),
        ("{{ name }}", "{{ name }}"),
        ("{[]: 1}", "{[]: 1}"),
        (r"'\d'", r"'\d'"),
        ("1if 2else 3", "1if 2else 3"),
        ("(" * 3000, "(" * 3000),
        ("a\x00b", "a\x00b"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        (" 1", " 1"),
    ],
)
def test_only_what_python_would_spell_exactly_so_is_read_back(text, value):
    with warnings.catch_warnings(action="error"):
        found = read_back(text)
    assert found == value
    assert type(found) is type(value)


def test_a_parameter_that_is_nested_too_deep_to_be_kept_stays_text_or_is_said(made, tmp_path):
    (made / "params" / "deep").write_text("[" * 150 + "]" * 150)
    (made / "params" / "beside").write_text("1")
    found, exp = import_made(made, tmp_path)
    assert exp.parameters["beside"] == 1
    assert "deep" in exp.parameters or "values that cannot be kept" in found.report.left_out


def test_every_metric_has_the_last_value_that_mlflow_shows(store):
    seen = 0
    for run, _, exp in store.pairs:
        assert exp.metrics.keys() == run["metrics"].keys()
        for name, value in run["metrics"].items():
            assert exp.metrics[name] == pytest.approx(number(value), rel=0, abs=0, nan_ok=True), name
            seen += 1
    assert seen >= 25


def expected_points(store, run, name):
    points = run["history"][name]
    if store.kind == "file" and name == "val/of model":
        # Where a line names a dataset, MLflow reads step 0, whatever the line says; the file has the step.
        assert [point["step"] for point in points] == [0, 0, 0]
        points = [{**point, "step": step} for step, point in enumerate(points)]
    return sorted((point["step"], point["timestamp"] * 1000, shown(number(point["value"]))) for point in points)


def shown(value):
    """Return a number as text, of which nan is as good as itself; MLflow's databases spell infinity as the greatest."""
    return repr(math.copysign(math.inf, value) if abs(value) == sys.float_info.max else float(value))


def test_every_point_of_every_history_is_there(store):
    seen = 0
    for run, _, exp in store.pairs:
        assert set(exp.history_names) == set(run["history"])
        for name in run["history"]:
            columns = exp.history(name).columns()
            assert [*columns.step] == sorted(columns.step)
            found = sorted(zip(columns.step, columns.time, map(shown, columns.value), strict=True))
            assert found == expected_points(store, run, name), name
            seen += len(found)
    assert seen == store.report.points == 434


def test_times_of_points_are_those_of_the_store(store):
    run = next(run for run, _, exp in store.pairs if exp is store.trained)
    history = store.trained.history("loss")
    assert history.step == [*range(300)]
    assert history.time[7] == EPOCH + timedelta(milliseconds=run["start_time"] + 700)


def test_tags_are_words_or_a_word_and_its_value(store):
    for run, name, exp in store.pairs:
        wanted = {name}
        for key, value in run["tags"].items():
            if key.startswith("mlflow.") or len(value) > 100:
                continue
            wanted.add(key if value in {"", "true"} else f"{key}={value}")
        assert set(exp.tags) == wanted
    assert set(store.trained.tags) == {"plain", "a tag/with a slash é=x", "empty"}


def test_tags_that_are_no_words_are_kept_and_said(store):
    for run, _, exp in store.pairs:
        assert exp.imported["tags"] == run["tags"]
    assert store.trained.imported["tags"]["long"] == "y" * 4000
    assert store.report.left_out[LONG] == [f"{store.trained.imported['id']}: long"]


def test_tags_of_several_lines_are_kept_and_said(made, tmp_path):
    (made / "tags" / "lines").write_text("one\ntwo")
    (made / "tags" / "Flag").write_text("True")
    found, exp = import_made(made, tmp_path)
    assert set(exp.tags) == {"plain", "Flag"}
    assert exp.imported["tags"] == {"Flag": "True", "lines": "one\ntwo"}
    assert found.report.left_out[LONG] == ["abc: lines"]


def test_notes_are_notes_and_the_commit_is_that_of_the_checkout(store):
    for run, _, exp in store.pairs:
        assert exp.notes == run["tags"].get("mlflow.note.content")
        commit = run["tags"].get("mlflow.source.git.commit")
        assert (exp.git and exp.git.commit) == commit
    assert store.trained.git.commit == "0123456789abcdef0123456789abcdef01234567"


def test_children_have_their_parents_two_levels_deep(store):
    for run, _, exp in store.pairs:
        parent = run["tags"].get("mlflow.parentRunId")
        assert exp.parent == (store.runs[parent] if parent else None)
    grandchild = next(exp for exp in store.project.experiments if exp.name == "grandchild")
    assert [grandchild.parent.name, grandchild.parent.parent.name] == ["child", "parent"]
    parent = grandchild.parent.parent
    assert [child.name for child in parent.children] == ["child", "second child"]


def test_a_child_of_a_run_that_is_gone_stands_alone_and_that_is_said(made, tmp_path):
    (made / "tags" / "mlflow.parentRunId").write_text("elsewhere")
    found, exp = import_made(made, tmp_path)
    assert exp.parent is None
    assert found.report.left_out["parents that are not there"] == ["abc: elsewhere"]


def test_datasets_are_said_to_have_no_place(store):
    runs = [run["run_id"] for run, _, _ in store.pairs if run["datasets"]]
    assert runs
    assert store.report.left_out["datasets that runs were given"] == runs


# --- artifacts ---


def files_of(exp):
    """Return the digest of each file of an experiment's artifacts, by its path in them."""
    found = {}
    for artifact in exp.artifacts:
        loaded = exp.load_artifact(artifact.name)
        if artifact.alias == "file":
            assert artifact.fname == artifact.name
            found[artifact.name] = digests(loaded)
        else:
            assert artifact.alias == "directory"
            found |= {f"{artifact.name}/{name}": digest for name, digest in digests(loaded).items()}
    return found


def models_of(store, run):
    return [
        model
        for experiment in store.expected["experiments"]
        for model in experiment["logged_models"]
        if model["source_run_id"] == run["run_id"] and model["artifacts"]
    ]


def test_every_file_of_every_run_and_logged_model_is_there(store):
    seen = 0
    for run, _, exp in store.pairs:
        wanted = dict(run["artifacts"])
        for model in models_of(store, run):
            wanted |= {f"{model['name']}/{name}": digest for name, digest in model["artifacts"].items()}
        if store.kind == "file" and run["run_name"].startswith("sweep"):
            wanted = {}  # they are in another folder, and the store has moved away from it
        assert files_of(exp) == wanted
        seen += len(wanted)
    assert seen == (15 if store.kind == "file" else 18)


def test_logged_models_say_what_mlflow_knows_of_them(store):
    by_name = {
        model["name"]: model for experiment in store.expected["experiments"] for model in experiment["logged_models"]
    }
    kept = store.trained.imported["models"]
    logged = by_name["logged"]
    assert kept[logged["model_id"]] == {key: logged[key] for key in ("params", "tags")} | {"type": "tests"}
    assert kept.keys() == {model["model_id"] for model in by_name.values()}
    artifact = next(artifact for artifact in store.trained.artifacts if artifact.name == "logged")
    assert artifact.created_at == EPOCH + timedelta(milliseconds=logged["creation_timestamp"])


def test_artifacts_outside_of_the_store_are_said_and_fetched_when_told(copy, tmp_path):
    left = imported("mlflow", copy.source, tmp_path / "left")
    wanted = {run["run_id"] for run, _ in living(copy.expected) if run["artifacts"]}
    if copy.kind == "file":
        assert sorted(which.partition(":")[0] for which in left.report.left_out[OUTSIDE]) == sorted(
            run["run_id"] for run, name in living(copy.expected) if run["artifacts"] and name.startswith("renamed")
        )
    found = imported("mlflow", copy.source, tmp_path / "followed", follow=True)
    assert OUTSIDE not in found.report.left_out
    runs = by_run(found.project)
    assert {run for run, exp in runs.items() if exp.artifacts} == wanted
    for run, _ in living(copy.expected):
        assert run["artifacts"].items() <= files_of(runs[run["run_id"]]).items()
    assert found.project.fsck() == []


def test_what_follow_fetches_is_an_update_of_what_was_imported_without(copy, tmp_path):
    imported("mlflow", copy.source, tmp_path / "to")
    again = imported("mlflow", copy.source, tmp_path / "to", follow=True)
    assert (again.report.experiments, again.report.updated) == (0, 3 if copy.kind == "file" else 0)
    assert sum(len(exp.artifacts) for exp in again.project.experiments) == 10


def test_artifacts_of_a_server_are_found_beside_its_database(mlflow_stores, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(mlflow_stores.folder, folder)
    (folder / "sqlite" / "mlruns").rename(folder / "sqlite" / "mlartifacts")
    with database(folder) as connection:
        start = f"{mlflow_stores.expected['root']}/sqlite/mlruns/"
        connection.execute("update runs set artifact_uri = replace(artifact_uri, ?, 'mlflow-artifacts:/')", (start,))
    found = imported("mlflow", folder / "sqlite" / "mlflow.db", tmp_path / "to")
    assert sum(len(exp.artifacts) for exp in found.project.experiments) == 10
    assert found.report.versions == 4


def test_links_among_artifacts_are_refused_and_said(made, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (made / "artifacts" / "link.txt").symlink_to(secret)
    (made / "artifacts" / "out").mkdir()
    (made / "artifacts" / "out" / "inner.txt").symlink_to(secret)
    (made / "artifacts" / "out" / "own.txt").write_text("own")
    (made / "artifacts" / "folder").symlink_to(tmp_path, target_is_directory=True)
    found, exp = import_made(made, tmp_path)
    assert not any(b"secret" in content for content in contents(tmp_path / "to").values())
    left = found.report.left_out["links among artifacts, which may lead anywhere"]
    assert {"abc: artifacts.link.txt", "abc: artifacts.out"} <= {*left}
    assert [artifact.name for artifact in exp.artifacts] == ["out"]
    assert digests(exp.load_artifact("out")).keys() == {"own.txt"}
    dry = Project(tmp_path / "other").import_from("mlflow", made.parent.parent, dry_run=True)
    assert dry.left_out == found.report.left_out


def test_links_among_parameters_are_refused_and_said(made, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    for kind in ("params", "tags", "metrics"):
        (made / kind / "link").symlink_to(secret)
    found, exp = import_made(made, tmp_path)
    assert (exp.parameters, [*exp.tags], exp.metrics) == ({}, ["plain"], {})
    assert len(found.report.left_out[UNREADABLE]) == 3


# --- registered models ---


def test_every_version_of_every_model_has_its_number_its_time_and_its_files(store):
    seen = 0
    for model in store.expected["registered_models"]:
        versions = {version["version"]: version for version in model["versions"]}
        if not versions:
            assert model["name"] not in store.repository
            continue
        assert [artifact.version for artifact in store.repository.versions(model["name"])] == [*versions]
        for artifact in store.repository.versions(model["name"]):
            version = versions[artifact.version]
            loaded = store.repository.load_artifact(model["name"], version=artifact.version)
            assert digests(loaded) == version["artifacts"]
            assert artifact.created_at == EPOCH + timedelta(milliseconds=version["creation_timestamp"])
            seen += 1
    assert seen == store.report.versions == 4
    assert store.report.left_out["registered models without versions"] == ["empty model"]


def test_aliases_and_stages_are_aliases(store):
    model = next(model for model in store.expected["registered_models"] if model["name"] == "a model é")
    assert model["aliases"] == {"champion": 2, "challenger": 3, "v-old_1": 1}
    assert store.repository.aliases("a model é") == {**model["aliases"], "production": 2}
    assert store.repository.aliases("copies") == {}


def test_versions_say_what_mlflow_knows_of_them_and_which_experiment_they_are_of(store):
    store.repository.refresh()
    journal = store.repository._journal
    for model in store.expected["registered_models"]:
        for version in model["versions"]:
            said = journal.get(f"{naming.safe_part(model['name'])}/{version['version']}", "imported")
            assert said["run"] == version["run_id"]
            assert said["record"] == store.runs[version["run_id"]].slug
            assert said.get("description") == (version["description"] or None)
            assert said.get("tags", {}) == version["tags"]


def test_an_alias_that_could_be_taken_for_a_number_is_said(copy, tmp_path):
    if copy.kind == "file":
        (copy.source / "models" / "a model é" / "aliases" / "2024").write_text("1")
    else:
        with database(copy.folder) as connection:
            connection.execute(
                "insert into registered_model_aliases (name, alias, version) values (?, ?, ?)", ("a model é", "2024", 1)
            )
    found = imported("mlflow", copy.source, tmp_path / "to")
    assert "2024" not in found.repository.aliases("a model é")
    assert any("2024" in which for all_of in found.report.left_out.values() for which in all_of)


def test_versions_need_a_repository_and_are_said_where_there_is_none(store, mlflow_stores, tmp_path):
    project = Project(tmp_path / "project")
    report = project.import_from("mlflow", source_of(store.kind, mlflow_stores.folder))
    assert report.versions == 0
    assert report.left_out["versions of artifacts: name a repository for them"] == ["4 of them"]
    # They come when there is one.
    repository = Repository(tmp_path / "repository")
    report = project.import_from("mlflow", source_of(store.kind, mlflow_stores.folder), repository=repository)
    assert (report.experiments, report.versions, report.unchanged) == (0, 4, 26)
    assert len(Repository(tmp_path / "repository")) == 4


def test_a_number_that_is_taken_here_stays_taken(store, mlflow_stores, tmp_path):
    repository = Repository(tmp_path / "repository")
    for text in ("zero", "one"):
        repository.log_artifact("copies", text)
    repository.save()
    report = Project(tmp_path / "project").import_from(
        "mlflow", source_of(store.kind, mlflow_stores.folder), repository=repository
    )
    assert report.versions == 3
    assert report.left_out["versions whose numbers are taken by others"] == ["copies/1"]
    assert repository.load_artifact("copies", version=1) == "one"


# --- what has changed since ---


def test_a_run_that_went_on_is_updated(copy, tmp_path):
    imported("mlflow", copy.source, tmp_path / "to")
    run = next(run for run, _ in living(copy.expected) if run["run_name"] == "running")
    time = run["start_time"] + 5000
    if copy.kind == "file":
        (folder,) = copy.source.glob(f"*/{run['run_id']}")
        with (folder / "metrics" / "loss").open("a") as file:
            file.write(f"{time} 0.25 2\n")
        (folder / "tags" / "late").write_text("yes")
        (folder / "params" / "more").write_text("3")
        meta = yaml.safe_load((folder / "meta.yaml").read_text()) | {"status": 3, "end_time": time}
        (folder / "meta.yaml").write_text(yaml.safe_dump(meta))
    else:
        with database(copy.folder) as connection:
            run_id = run["run_id"]
            connection.execute(
                "insert into metrics (key, value, timestamp, run_uuid, step, is_nan) values (?, ?, ?, ?, ?, ?)",
                ("loss", 0.25, time, run_id, 2, 0),
            )
            connection.execute("insert into tags (key, value, run_uuid) values ('late', 'yes', ?)", (run_id,))
            connection.execute("insert into params (key, value, run_uuid) values ('more', '3', ?)", (run_id,))
            connection.execute("update runs set status = 'FINISHED', end_time = ? where run_uuid = ?", (time, run_id))
    dry = Project(tmp_path / "to" / "project").import_from("mlflow", copy.source, dry_run=True)
    again = imported("mlflow", copy.source, tmp_path / "to")
    assert (again.report.experiments, again.report.updated, again.report.unchanged) == (0, 1, 25 + 4)
    assert (dry.experiments, dry.updated, dry.unchanged) == (0, 1, 25)
    exp = by_run(again.project)[run["run_id"]]
    assert exp.status == "completed"
    assert exp.parameters == {"more": 3}
    assert "late=yes" in exp.tags
    assert exp.metrics["loss"] == 0.25
    assert exp.history("loss").value == [1.0, 0.5, 0.25]
    assert exp.summary("loss").count == 3
    assert again.project.fsck() == []
    fresh = imported("mlflow", copy.source, tmp_path / "fresh")
    assert list(fresh.project) == list(again.project)


def test_what_is_gone_there_is_gone_here_and_what_is_of_here_stays(copy, tmp_path):
    first = imported("mlflow", copy.source, tmp_path / "to")
    run = next(run for run, _ in living(copy.expected) if run["run_name"] == "trained")
    project = Project(first.folder / "project", mode="w+")
    exp = by_run(project)[run["run_id"]]
    exp.tag("of here")
    exp.log_parameter("learning rate", 2)
    exp.notes = "of here, too"
    project.save()
    if copy.kind == "file":
        (folder,) = copy.source.glob(f"*/{run['run_id']}")
        (folder / "tags" / "empty").unlink()
        (folder / "params" / "learning rate").write_text("0.5")
    else:
        with database(copy.folder) as connection:
            connection.execute("delete from tags where key = 'empty' and run_uuid = ?", (run["run_id"],))
            connection.execute(
                "update params set value = '0.5' where key = 'learning rate' and run_uuid = ?", (run["run_id"],)
            )
    again = imported("mlflow", copy.source, tmp_path / "to")
    assert again.report.updated == 1
    exp = by_run(again.project)[run["run_id"]]
    assert set(exp.tags) == {"plain", "a tag/with a slash é=x", "of here"}
    assert exp.notes == "of here, too"
    assert exp.parameters["learning rate"] == 2
    assert "empty" not in exp.imported["tags"]
    assert contents(tmp_path / "to") == contents(imported("mlflow", copy.source, tmp_path / "to").folder)


def test_what_only_imported_keeps_is_brought_up_to_date_too(files, tmp_path):
    imported("mlflow", files.source, tmp_path / "to")
    run = next(run for run, _ in living(files.expected) if run["run_name"] == "trained")
    (path,) = files.source.glob(f"*/{run['run_id']}/tags/long")
    path.write_text("z" * 4000)
    again = imported("mlflow", files.source, tmp_path / "to")
    assert again.report.updated == 1
    assert by_run(again.project)[run["run_id"]].imported["tags"]["long"] == "z" * 4000


def test_a_database_that_is_written_to_meanwhile_is_read_and_its_writer_goes_on(mlflow_stores, tmp_path):
    path = tmp_path / "mlflow.db"
    shutil.copyfile(source_of("sqlite", mlflow_stores.folder), path)
    run = next(run for run, _ in living(mlflow_stores.expected["sqlite"]) if run["run_name"] == "running")
    insert = "insert into params (key, value, run_uuid) values (?, '1', ?)"
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("pragma journal_mode = wal")
        writer.execute(insert, ("in the log", run["run_id"]))
        writer.commit()
        writer.execute(insert, ("not committed", run["run_id"]))
        found = imported("mlflow", path, tmp_path / "to")
        assert by_run(found.project)[run["run_id"]].parameters == {"in the log": 1}
        writer.commit()
    again = imported("mlflow", path, tmp_path / "to")
    assert by_run(again.project)[run["run_id"]].parameters == {"in the log": 1, "not committed": 1}


def test_a_new_version_and_a_moved_alias_come(copy, tmp_path):
    imported("mlflow", copy.source, tmp_path / "to")
    if copy.kind == "file":
        model = copy.source / "models" / "a model é"
        shutil.copytree(model / "version-3", model / "version-4")
        meta = yaml.safe_load((model / "version-4" / "meta.yaml").read_text())
        meta |= {"version": 4, "last_updated_timestamp": meta["last_updated_timestamp"] + 10_000}
        (model / "version-4" / "meta.yaml").write_text(yaml.safe_dump(meta, allow_unicode=True))
        (model / "aliases" / "champion").write_text("4")
        (model / "aliases" / "challenger").unlink()
    else:
        with database(copy.folder) as connection:
            connection.execute("create temporary table new as select * from model_versions where version = 3")
            connection.execute("update new set version = 4, last_updated_time = last_updated_time + 10000")
            connection.execute("insert into model_versions select * from new")
            connection.execute("update registered_model_aliases set version = 4 where alias = 'champion'")
            connection.execute("delete from registered_model_aliases where alias = 'challenger'")
    again = imported("mlflow", copy.source, tmp_path / "to")
    assert (again.report.versions, again.report.experiments) == (1, 0)
    assert again.repository.aliases("a model é") == {"champion": 4, "v-old_1": 1, "production": 2}
    assert [artifact.version for artifact in again.repository.versions("a model é")] == [1, 2, 3, 4]
    assert again.repository.fsck() == []


# --- what is broken ---


def test_a_head_that_was_cut_short_is_said_and_what_is_beside_it_comes(files, tmp_path):
    run = next(run for run, _ in living(files.expected) if run["run_name"] == "trained")
    (path,) = files.source.glob(f"*/{run['run_id']}/meta.yaml")
    path.write_text(path.read_text() + "name: 'cut sho")
    found = imported("mlflow", files.source, tmp_path / "to")
    (said,) = found.report.left_out[UNREADABLE]
    assert said.startswith(path.relative_to(files.source).as_posix())
    assert found.report.experiments == 25


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_a_database_that_was_cut_short_is_named(mlflow_stores, tmp_path, kept):
    content = source_of("sqlite", mlflow_stores.folder).read_bytes()
    (tmp_path / "mlflow.db").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=r"mlflow\.db is no sqlite database, or a damaged one"):
        Project(tmp_path / "to").import_from("mlflow", tmp_path / "mlflow.db", repository=Repository(tmp_path / "re"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not yaml: [",
        "[1, 2]",
        "run_id: abc\nstart_time: soon\n",
        "run_id: abc\nstart_time: 10000000000000000\n",
        "run_id: abc\nstart_time: [1]\n",
        "run_name: x\n",
        "\x00",
        "[" * 5000,
    ],
)
def test_a_run_whose_head_makes_no_sense_is_said(made, tmp_path, content):
    (made / "meta.yaml").write_text(content)
    shutil.copytree(made, made.parent / "sound")
    (made.parent / "sound" / "meta.yaml").write_text("{run_id: sound, run_name: sound, artifact_uri: ''}")
    found = imported("mlflow", made.parent.parent, tmp_path / "to")
    assert "abc" in str(found.report.left_out)
    assert [exp.name for exp in found.project.experiments] == ["sound"]


def test_runs_come_without_the_head_of_their_experiment(made, tmp_path):
    (made.parent / "meta.yaml").write_text("")
    found, exp = import_made(made, tmp_path)
    assert [*exp.tags] == []
    assert found.report.left_out == {UNREADABLE: ["1/meta.yaml: it says nothing"]}


@pytest.mark.parametrize(("path", "content"), [("version-1/meta.yaml", "version: one"), ("aliases/best", "one")])
def test_what_is_broken_of_a_model_is_said(files, tmp_path, path, content):
    (files.source / "models" / "a model é" / path).write_text(content)
    found = imported("mlflow", files.source, tmp_path / "to")
    (said,) = found.report.left_out[UNREADABLE]
    assert said.startswith("models/a model é/")
    assert "copies" in found.repository


@pytest.mark.parametrize(
    "garbage", ["what is this\n", "1000\n", "1000 0.5 x\n", "x 0.5 1\n", "1000 0.5 99999999999999999999\n"]
)
def test_a_metric_that_is_garbage_is_said_and_what_is_beside_it_comes(made, tmp_path, garbage):
    (made / "metrics" / "good").write_text("1000 0.5 1\n")
    (made / "metrics" / "bad").write_text("1000 0.5 1\n" + garbage)
    found, exp = import_made(made, tmp_path)
    assert exp.metrics == {"good": 0.5}
    (said,) = [which for all_of in found.report.left_out.values() for which in all_of]
    assert "bad" in said


def test_lines_of_the_first_releases_have_no_step(made, tmp_path):
    (made / "metrics" / "old").write_text("1000 0.5\n1001 0.25\n")
    _, exp = import_made(made, tmp_path)
    assert [*exp.history("old")] == [
        (0, EPOCH + timedelta(seconds=1), 0.5, -1),
        (0, EPOCH + timedelta(seconds=1.001), 0.25, -1),
    ]


def test_points_at_steps_that_are_none_are_said(made, tmp_path):
    (made / "metrics" / "far").write_text(f"1000 0.5 1\n1001 0.25 {2**62}\n")
    found, exp = import_made(made, tmp_path)
    assert exp.history("far").step == [1]
    (kind,) = found.report.left_out
    assert kind.startswith("points at steps beyond")


@pytest.mark.parametrize("time", [-1, 1_760_000_000_000_000, 1_760_000_000_000_000_000])
def test_points_at_times_that_are_none_are_said(made, tmp_path, time):
    (made / "metrics" / "hasty").write_text(f"{time} 0.5 1\n1001 0.25 2\n{time} 0.125 3\n")
    found, exp = import_made(made, tmp_path)
    assert exp.metrics["hasty"] == 0.125
    assert exp.history("hasty").step == [2]
    assert exp.last_updated == EPOCH + timedelta(seconds=2)
    assert len(found.report.left_out) == 1


def test_points_that_are_all_at_steps_that_are_none_are_said(made, tmp_path):
    (made / "metrics" / "far").write_text(f"1001 0.25 {2**62}\n")
    found, exp = import_made(made, tmp_path)
    assert exp.metrics["far"] == 0.25
    assert exp.history("far").step == []
    assert found.report.left_out


def test_what_is_no_store_is_said(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"folder is no file store of MLflow: no meta.yaml is in it"):
        Project(tmp_path / "to").import_from("mlflow", tmp_path / "folder")
    (tmp_path / "text.db").write_text("this is no database, whatever it is called")
    with pytest.raises(ValueError, match=r"text\.db is no sqlite database"):
        Project(tmp_path / "to").import_from("mlflow", tmp_path / "text.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("create table runs (a)")
    with pytest.raises(ValueError, match=r"other\.db is no database of MLflow"):
        Project(tmp_path / "to").import_from("mlflow", tmp_path / "other.db")


def test_a_database_is_named_as_mlflow_names_it(mlflow_stores, tmp_path):
    project = Project(tmp_path / "to")
    path = mlflow_stores.folder / "sqlite" / "mlflow.db"
    assert project.import_from("mlflow", f"sqlite:///{path}", dry_run=True).experiments == 26
    assert project.import_from("mlflow", (mlflow_stores.folder / "mlruns").as_uri(), dry_run=True).experiments == 26


@pytest.mark.parametrize("url", ["http://localhost:5000", "https://dana:hunter2secret@mlflow.example/prefix/"])
def test_a_tracking_server_is_not_asked(tmp_path, url):
    with pytest.raises(ValueError, match="tracking servers are not read: give the folder or the database") as caught:
        Project(tmp_path / "to").import_from("mlflow", url)
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "mysql+pymysql", "mssql"])
def test_of_other_databases_the_kind_is_said_and_not_the_password(tmp_path, scheme):
    with pytest.raises(ValueError, match="only sqlite is read") as caught:
        Project(tmp_path / "to").import_from("mlflow", f"{scheme}://dana:hunter2secret@host/db")
    assert scheme.partition("+")[0] in str(caught.value)
    assert "hunter2secret" not in str(caught.value)


def test_a_database_that_is_named_as_one_needs_no_ending(mlflow_stores, tmp_path):
    shutil.copyfile(source_of("sqlite", mlflow_stores.folder), tmp_path / "runs")
    report = Project(tmp_path / "to").import_from("mlflow", f"sqlite:///{tmp_path}/runs", dry_run=True)
    assert report.experiments == 26


def test_the_folder_above_a_store_is_none_and_the_store_is_named(mlflow_stores, tmp_path):
    with pytest.raises(ValueError, match="is no file store of MLflow; did you mean") as caught:
        Project(tmp_path / "to").import_from("mlflow", mlflow_stores.folder)
    assert f"{mlflow_stores.folder / 'mlruns'}" in str(caught.value)
    assert not (tmp_path / "to").exists()


def test_a_folder_with_a_database_of_mlflow_names_that(mlflow_stores, tmp_path):
    shutil.copyfile(source_of("sqlite", mlflow_stores.folder), tmp_path / "runs.db")
    (tmp_path / "other.db").write_text("no database")
    with pytest.raises(ValueError, match=r"did you mean .*/runs\.db\?$"):
        Project(tmp_path / "to").import_from("mlflow", tmp_path)


def test_a_part_of_a_store_is_none(mlflow_stores, made, tmp_path):
    for part in (made, made.parent, mlflow_stores.folder / "mlruns" / "models"):
        with pytest.raises(ValueError, match="is no file store of MLflow"):
            Project(tmp_path / "to").import_from("mlflow", part)


def test_a_description_that_is_not_of_mlflow_makes_no_store(tmp_path):
    (tmp_path / "recipes" / "one" / "deep").mkdir(parents=True)
    for folder in ("one", "one/deep"):
        (tmp_path / "recipes" / folder / "meta.yaml").write_text("{package: {name: a, version: 1}}")
    with pytest.raises(ValueError, match="none of its folders is an experiment"):
        Project(tmp_path / "to").import_from("mlflow", tmp_path / "recipes")


# --- what cannot be read ---


def refuse_to_read(monkeypatch, *ends, error):
    """Have reading fail of files whose paths end so."""
    read = LocalFiles.read

    def refusing(self, path, **how):
        if path.endswith(ends):
            raise error(f"{self.url}/{path}")
        return read(self, path, **how)

    monkeypatch.setattr(LocalFiles, "read", refusing)


def denied(path):
    return PermissionError(errno.EACCES, "Permission denied", path)


def gone(path):
    return FileNotFoundError(errno.ENOENT, "No such file or directory", path)


def away(path):
    return OSError(errno.EIO, "the disk is away", path)


def test_pipes_in_a_run_are_said_and_what_is_beside_them_comes(made, tmp_path):
    for kind in ("params", "metrics", "tags"):
        os.mkfifo(made / kind / "fifo")
    (made / "params" / "sound").write_text("1")
    found, exp = import_made(made, tmp_path)
    assert exp.parameters == {"sound": 1}
    assert sorted(found.report.left_out[UNREADABLE]) == [
        f"1/abc/{kind}/fifo: is no regular file" for kind in ("metrics", "params", "tags")
    ]


@pytest.mark.parametrize("kind", ["params", "metrics", "tags"])
def test_a_file_that_may_not_be_read_is_said_and_what_is_beside_it_comes(made, tmp_path, monkeypatch, kind):
    (made / kind / "secret").write_text("1000 0.5 1")
    (made / "params" / "sound").write_text("1")
    refuse_to_read(monkeypatch, f"{kind}/secret", error=denied)
    found, exp = import_made(made, tmp_path)
    assert exp.parameters == {"sound": 1}
    assert found.report.left_out == {UNREADABLE: [f"1/abc/{kind}/secret: Permission denied"]}


@pytest.mark.parametrize("path", ["abc/meta.yaml", "1/meta.yaml"])
def test_a_head_that_may_not_be_read_is_said_and_what_is_beside_it_comes(made, tmp_path, monkeypatch, path):
    shutil.copytree(made, made.parent / "sound")
    (made.parent / "sound" / "meta.yaml").write_text("{run_id: sound, run_name: sound, artifact_uri: ''}")
    refuse_to_read(monkeypatch, path, error=denied)
    found = imported("mlflow", made.parent.parent, tmp_path / "to")
    (said,) = found.report.left_out[UNREADABLE]
    assert said.endswith(f"{path}: Permission denied")
    assert "sound" in {exp.name for exp in found.project.experiments}


def test_what_may_not_be_read_of_a_model_is_said_and_what_is_beside_it_comes(files, tmp_path, monkeypatch):
    (files.source / "models" / "a model é" / "tags").mkdir(exist_ok=True)
    (files.source / "models" / "a model é" / "tags" / "secret").write_text("1")
    refuse_to_read(monkeypatch, "aliases/champion", "tags/secret", error=denied)
    found = imported("mlflow", files.source, tmp_path / "to")
    assert len(found.report.left_out[UNREADABLE]) == 2
    assert "champion" not in found.repository.aliases("a model é")
    assert len(found.repository) == 4


def test_a_run_that_is_removed_while_it_is_read_is_said_and_the_others_come(files, tmp_path, monkeypatch):
    run = next(run for run, _ in living(files.expected) if run["run_name"] == "trained")
    (folder,) = files.source.glob(f"*/{run['run_id']}")
    read, here = LocalFiles.read, folder.relative_to(files.source).as_posix()

    def removing(self, path, **how):
        if path.startswith(f"{here}/params/"):
            shutil.rmtree(folder, ignore_errors=True)
        return read(self, path, **how)

    monkeypatch.setattr(LocalFiles, "read", removing)
    found = imported("mlflow", files.source, tmp_path / "to")
    assert found.report.experiments == 25
    assert run["run_id"] not in by_run(found.project)
    assert all(said.endswith("it was removed while this was read") for said in found.report.left_out[UNREADABLE])
    assert any(f"{here}/params/" in said for said in found.report.left_out[UNREADABLE])


@pytest.mark.parametrize("error", [denied, gone])
def test_what_is_here_stays_while_it_cannot_be_read_there(made, tmp_path, monkeypatch, error):
    (made / "params" / "rate").write_text("0.5")
    import_made(made, tmp_path)
    with monkeypatch.context() as patch:
        refuse_to_read(patch, "params/rate", error=error)
        found, exp = import_made(made, tmp_path)
    assert exp.parameters == {"rate": 0.5}
    assert (found.report.experiments, found.report.updated) == (0, 0)
    assert found.report.left_out[UNREADABLE][0].startswith("1/abc/params/rate: ")
    assert "abc" in [which for all_of in found.report.left_out.values() for which in all_of]
    (made / "params" / "rate").write_text("0.25")
    found, exp = import_made(made, tmp_path)
    assert (found.report.updated, exp.parameters) == (1, {"rate": 0.25})


def test_a_storage_that_fails_stops_an_import(made, tmp_path, monkeypatch):
    (made / "params" / "rate").write_text("0.5")
    refuse_to_read(monkeypatch, "params/rate", error=away)
    with pytest.raises(OSError, match="the disk is away"):
        import_made(made, tmp_path)


# --- what leads elsewhere, or was moved ---


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("above", [False, True])
def test_a_folder_of_artifacts_behind_a_link_comes_only_when_told(copy, tmp_path, follow, moved, above):
    run = next(run for run, _ in living(copy.expected) if run["run_name"] == "trained")
    inside = copy.source.parent / ("" if copy.kind == "file" else "mlruns")
    (folder,) = inside.rglob(f"{run['run_id']}/artifacts")
    if above and copy.kind == "file":
        return  # then the run is not there: that is said of its folder
    linked = folder.parent if above else folder
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    source = copy.source
    if moved:
        copy.folder.rename(tmp_path / "moved")
        source = tmp_path / "moved" / copy.source.relative_to(copy.folder)
    found = imported("mlflow", source, tmp_path / "to", follow=follow)
    names = {artifact.name for artifact in by_run(found.project)[run["run_id"]].artifacts}
    wanted = {name.partition("/")[0] for name in run["artifacts"]}
    if follow:
        assert wanted <= names
    else:
        assert not wanted & names
        (said,) = [said for said in found.report.left_out[OUTSIDE] if said.startswith(run["run_id"])]
        assert said.endswith("artifacts, where a link leads")


def test_a_name_of_a_folder_of_artifacts_does_not_lead_out_of_that_of_the_database(copy, tmp_path):
    if copy.kind == "file":
        return
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secret.txt").write_text("secret")
    with database(copy.folder) as connection:
        (run,) = connection.execute("select run_uuid from runs where name = 'trained'").fetchone()
        (copy.folder / "sqlite" / run).mkdir()
        connection.execute("update runs set artifact_uri = ? where run_uuid = ?", (f"gone/{run}/../../../secrets", run))
    found = imported("mlflow", copy.source, tmp_path / "to")
    assert not any(content == b"secret" for content in contents(tmp_path / "to").values())
    assert by_run(found.project)[run].name == "trained"


def test_a_run_in_a_folder_of_another_name_comes_whole(made, tmp_path):
    (made / "params" / "rate").write_text("0.5")
    (made / "tags" / "stage").write_text("dev")
    (made / "metrics" / "loss").write_text("1000 0.5 1\n")
    (made / "artifacts" / "a.txt").write_text("a")
    _, before = import_made(made, tmp_path / "before")
    renamed = made.rename(made.parent / "abc-copy")
    found, exp = import_made(renamed, tmp_path)
    assert found.report.left_out == {}
    assert exp == before
    assert exp.parameters == {"rate": 0.5}
    assert set(exp.tags) == {"plain", "stage=dev"}
    assert exp.history("loss").value == [0.5]
    assert exp.load_artifact("a.txt").read_text() == "a"


def test_a_copy_of_a_run_is_said_and_the_run_itself_comes(made, tmp_path):
    (made / "params" / "rate").write_text("0.5")
    copied = made.parent / "a-copy"
    shutil.copytree(made, copied)
    (copied / "params" / "rate").write_text("3")
    found, exp = import_made(made, tmp_path)
    assert exp.parameters == {"rate": 0.5}
    assert found.report.experiments == 1
    assert found.report.left_out == {UNREADABLE: ["1/a-copy/meta.yaml: it is a copy of the run in 1/abc"]}


# --- secrets ---


def test_tokens_in_what_mlflow_has_captured_stay_there(made, tmp_path):
    token = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1bC3dE5"
    remote = f"https://dana:{token}@github.com/x/y.git"
    tags = {
        "mlflow.source.git.repoURL": remote,
        "mlflow.gitRepoURL": f"https://{token}@github.com/x/y.git",
        "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
        "mlflow.note.content": f"cloned from {remote}, see README",
        "origin": remote,
        "plain text": "nothing to hide",
    }
    for name, text in tags.items():
        (made / "tags" / name).write_text(text)
    (made / "params" / "remote").write_text("https://dana:hunter2secret@github.com/x/y.git")
    _, exp = import_made(made, tmp_path)
    assert exp.git.remote == "https://***@github.com/x/y.git"
    assert exp.git.commit == tags["mlflow.source.git.commit"]
    assert exp.notes == "cloned from https://***@github.com/x/y.git, see README"
    assert set(exp.tags) == {"plain", "origin=https://***@github.com/x/y.git", "plain text=nothing to hide"}
    assert exp.imported["tags"].keys() == tags.keys()
    assert not any(token.encode() in content for content in contents(tmp_path / "to").values())
    # What somebody has logged is theirs.
    assert exp.parameters["remote"] == "https://dana:hunter2secret@github.com/x/y.git"


def test_tokens_in_tags_and_descriptions_of_models_stay_there(copy, tmp_path):
    token = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1bC3dE5"
    if copy.kind == "file":
        model = copy.source / "models" / "a model é"
        for folder in (model, model / "version-1", *copy.source.glob("*/models/m-*")):
            (folder / "tags").mkdir(exist_ok=True)
            (folder / "tags" / "origin").write_text(f"token {token}")
        for path in (model / "meta.yaml", model / "version-1" / "meta.yaml"):
            said = yaml.safe_load(path.read_text()) | {"description": f"by {token}"}
            path.write_text(yaml.safe_dump(said, allow_unicode=True))
    else:
        with database(copy.folder) as connection:
            for table in ("registered_models", "model_versions"):
                connection.execute(f"update {table} set description = ?", (f"by {token}",))
            connection.execute("update logged_model_tags set tag_value = ?", (f"token {token}",))
    imported("mlflow", copy.source, tmp_path / "to")
    kept = contents(tmp_path / "to").values()
    assert any(b"by ***" in content for content in kept)
    assert not any(token.encode() in content for content in kept)
