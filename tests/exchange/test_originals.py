"""The stores that other trackers wrote are as rich as the tests of importers take them to be."""

import sqlite3

import pytest

STORES = ["lazyscribe_stores", "mlflow_stores", "tango_workspace"]


@pytest.mark.parametrize("name", STORES)
def test_stores_are_not_where_they_were_written(name, request):
    stores = request.getfixturevalue(name)
    assert str(stores.folder) != stores.expected["root"]
    assert not stores.executed.parent.exists()


@pytest.mark.parametrize("name", STORES)
def test_no_trap_was_sprung_when_stores_were_written_and_told(name, request):
    stores = request.getfixturevalue(name)
    assert not stores.executed.exists()
    assert not (stores.folder / stores.executed.name).exists()


@pytest.mark.parametrize("name", STORES)
def test_traps_lie_in_the_stores(name, request):
    stores = request.getfixturevalue(name)
    bait = str(stores.executed).encode()
    baited = [path for path in stores.folder.rglob("*.pkl") if bait in path.read_bytes()]
    baited += [path for path in stores.folder.rglob("stepinfo.sqlite") if bait in path.read_bytes()]
    assert len(baited) >= 2


def test_lazyscribe_stores_hold_projects_and_a_repository(lazyscribe_stores):
    expected, folder = lazyscribe_stores.expected, lazyscribe_stores.folder
    experiments = [found["entry"] for project in expected["projects"].values() for found in project]
    assert len(experiments) >= 10
    for part in ("artifacts", "dependencies", "metrics", "parameters", "tags", "tests"):
        assert any(entry[part] for entry in experiments), part
    for repository in expected["repositories"].values():
        assert {found["entry"]["version"] for found in repository["artifacts"]} == {0, 1, 2, 3}
        assert any(found["entry"]["expiry"] for found in repository["artifacts"])
        assert repository["releases"]
    for name, file in expected["files"].items():
        assert (folder / name).stat().st_size == file["size"]


@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_mlflow_stores_hold_runs_models_and_what_was_deleted(kind, mlflow_stores):
    expected = mlflow_stores.expected[kind]
    runs = [run for experiment in expected["experiments"] for run in experiment["runs"]]
    assert len(runs) >= 24
    assert {run["status"] for run in runs} == {"FINISHED", "FAILED", "KILLED", "RUNNING"}
    assert {run["lifecycle_stage"] for run in runs} == {"active", "deleted"}
    assert {experiment["lifecycle_stage"] for experiment in expected["experiments"]} == {"active", "deleted"}
    for part in ("artifacts", "datasets", "history", "models_out", "params", "tags"):
        assert any(run[part] for run in runs), part
    assert max(len(points) for run in runs for points in run["history"].values()) == 300
    assert any(model["aliases"] and len(model["versions"]) == 3 for model in expected["registered_models"])
    assert any(model["metrics"] for experiment in expected["experiments"] for model in experiment["logged_models"])


def test_mlflow_stores_are_files_and_a_database(mlflow_stores):
    assert list(mlflow_stores.folder.glob("mlruns/*/*/meta.yaml"))
    with sqlite3.connect(mlflow_stores.folder / "sqlite" / "mlflow.db") as database:
        (count,) = database.execute("SELECT count(*) FROM runs").fetchone()
    database.close()
    assert count == sum(len(found["runs"]) for found in mlflow_stores.expected["sqlite"]["experiments"])


def test_the_tango_workspace_holds_runs_with_steps_in_every_state(tango_workspace):
    expected, folder = tango_workspace.expected, tango_workspace.folder
    first, second = (set(expected["runs"][name].values()) for name in ("first-run", "second run, é"))
    assert first & second
    assert first | second == set(expected["steps"])
    states = {found["state"] for found in expected["steps"].values()}
    assert states == {"completed", "failed", "incomplete", "running", "uncacheable"}
    assert any(found["result"] for found in expected["steps"].values())
    for step, found in expected["steps"].items():
        for name, file in found["files"].items():
            assert (folder / "workspace" / "cache" / step / name).stat().st_size == file["size"]
