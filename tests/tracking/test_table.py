"""A project as a table, and as one of pandas and polars."""

import math

import pytest

from lazytrack import Project


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "churn")
    with project.log("first") as exp:
        exp.log_parameters({"optimizer": {"name": "adam", "betas": [0.9, 0.99], "nested": {"a": 1}}, "lr": 0.1})
        exp.log_metrics({"auc": 0.9, "per class": [0.1, math.nan]})
        exp.tag("prod", "new")
    project.log("second").log_parameters({"lr": "auto", "optimizer": {}})
    project.save()
    return project


def test_a_row_for_each_experiment_and_a_column_for_each_thing_logged(project):
    table = project.table()
    assert table.columns == [
        "slug",
        "name",
        "status",
        "created_at",
        "parameters.lr",
        "parameters.optimizer.name",
        "parameters.optimizer.betas",
        "parameters.optimizer.nested.a",
        "parameters.optimizer",
        "metrics.auc",
        "metrics.per class",
        "tags",
    ]
    assert len(table) == 2
    first, second = table
    assert first["name"] == "first"
    assert first["parameters.optimizer.betas"] == [0.9, 0.99]
    assert first["tags"] == ["prod", "new"]
    assert first["created_at"] == project["first"].created_at
    assert second["parameters.optimizer"] == {}
    assert second["metrics.auc"] is None
    assert table.column("parameters.lr") == table["parameters.lr"] == [0.1, "auto"]
    assert table[-1] is second
    assert table[:1] == [first]
    assert repr(table) == "Table(2 experiments, 12 columns)"
    with pytest.raises(KeyError, match=r"no column 'lr'; known: slug"):
        table.column("lr")


def test_what_is_not_saved_is_in_it(project):
    project["first"]
    exp = project.log("third")
    exp.log_metric("auc", 0.5)
    assert project.table().column("metrics.auc") == [0.9, None, 0.5]


def test_two_values_never_get_one_name(project):
    project.log("both").log_parameters({"a.b": 1, "a": {"b": 2}, "c": {"d": {"e": 1}, "d.e": 2}})
    row = project.table()[-1]
    assert row["parameters.a.b"] == 1
    assert row["parameters.a"] == {"b": 2}
    assert (row["parameters.c.d.e"], row["parameters.c.d"]) == (2, {"e": 1})


def test_pandas(project):
    pytest.importorskip("pandas")
    table = project.table().to_pandas()
    assert table.shape == (2, 12)
    assert table["metrics.auc"].tolist()[0] == 0.9
    assert math.isnan(table["metrics.auc"][1])
    assert str(table["created_at"].dtype).endswith("UTC]")


def test_system_metrics_are_left_out(project):
    project.log("third").log_metric("system/cpu", 1.0)
    assert not [name for name in project.table().columns if "system" in name]


def test_polars_keeps_numbers_that_are_integers_and_floats(tmp_path):
    polars = pytest.importorskip("polars")
    project = Project(tmp_path / "churn")
    for value in (1, 0.5, None):
        exp = project.log("run")
        if value is not None:
            exp.log_metric("x", value)
    table = project.table().to_polars()
    assert table["metrics.x"].to_list() == [1.0, 0.5, None]
    assert table["tags"].dtype == polars.List(polars.String)


def test_polars(project):
    polars = pytest.importorskip("polars")
    table = project.table().to_polars()
    assert table.shape == (2, 12)
    assert table["parameters.lr"].to_list() == ["0.1", "auto"]
    assert table["metrics.auc"].to_list() == [0.9, None]
    assert table["created_at"].dtype == polars.Datetime("us", "UTC")
    assert table["tags"].to_list() == [["prod", "new"], []]
    assert table["parameters.optimizer"].to_list()[0] is None


@pytest.mark.parametrize("way", ["to_pandas", "to_polars"])
def test_an_empty_project_is_an_empty_table(tmp_path, way):
    table = Project(tmp_path / "empty").table()
    assert table.columns == ["slug", "name", "status", "created_at", "tags"]
    assert list(getattr(table, way)().columns) == table.columns


@pytest.mark.parametrize("way", ["to_pandas", "to_polars"])
def test_a_library_that_is_missing_is_named_with_its_extra(project, monkeypatch, way):
    name = way.removeprefix("to_")
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{name} is not installed: pip install 'lazytrack\[{name}\]'"):
        getattr(project.table(), way)()
