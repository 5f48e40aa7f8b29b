"""A project as a table of Arrow, and as a file of Parquet."""

import math
import sys
from datetime import UTC, datetime

import pytest

from lazytrack import Project

pytest.importorskip("pyarrow")


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "churn")
    with project.log("first") as exp:
        exp.log_parameters({"optimizer": {"name": "adam", "betas": [0.9, 0.99], "nested": {"a": 1}}, "lr": 0.1})
        exp.log_parameters({"when": datetime(2026, 1, 2, tzinfo=UTC), "layers": [{"units": 3}], "odd": [{}]})
        exp.log_metrics({"auc": 0.9, "count": 3, "per class": [0.1, 2.0]})
        exp.tag("prod", "new")
    with project.log("second") as exp:
        exp.log_parameters({"lr": "auto", "optimizer": {}})
        exp.log_metrics({"auc": 1, "count": 2})
    project.save()
    return project


def read(path):
    from pyarrow import parquet  # noqa: PLC0415  (an optional library)

    return parquet.read_table(path)


def test_arrow_has_the_rows_of_the_table(project):
    table = project.table()
    arrow = table.to_arrow()
    assert arrow.column_names == table.columns
    changed = {"parameters.lr", "parameters.odd", "parameters.optimizer"}
    for name in set(table.columns) - changed:
        assert arrow[name].to_pylist() == table.column(name), name
    assert arrow["parameters.lr"].to_pylist() == ["0.1", "auto"]
    assert arrow["parameters.odd"].to_pylist() == ["[{}]", None]
    kinds = {name: str(arrow.schema.field(name).type) for name in table.columns}
    assert kinds["created_at"] == "timestamp[us, tz=UTC]"
    assert kinds["tags"].startswith("list<") and kinds["tags"].endswith("string>")  # noqa: PT018
    assert (kinds["metrics.auc"], kinds["metrics.count"]) == ("double", "int64")


def test_parquet_is_read_as_it_was_written(project, tmp_path):
    table = project.table()
    table.to_parquet(tmp_path / "churn.parquet")
    assert read(tmp_path / "churn.parquet").to_pylist() == table.to_arrow().to_pylist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["churn", "churn.parquet"]


def test_parquet_takes_the_place_of_an_earlier_file_as_a_whole(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.table().to_parquet("churn.parquet")
    project.log("third")
    project.table().to_parquet("churn.parquet")
    assert read("churn.parquet").num_rows == 3
    before = (tmp_path / "churn.parquet").read_bytes()
    table = project.table()
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr(type(table), "to_arrow", lambda _: 1 / 0)
        table.to_parquet("churn.parquet")
    assert (tmp_path / "churn.parquet").read_bytes() == before
    with pytest.raises(OSError, match=r"churn\.parquet"):
        Project(tmp_path / "churn", mode="r").table().to_parquet("churn.parquet/x.parquet")


def test_what_was_searched_goes_out_too(project, tmp_path):
    pytest.importorskip("duckdb")
    project.search("metrics.auc > 0.95").to_parquet(tmp_path / "best.parquet")
    query = f"""select name, "metrics.auc" from '{tmp_path}/best.parquet'"""
    assert project.sql(query).fetchall() == [("second", 1)]


@pytest.mark.parametrize("way", ["to_arrow", "to_polars"])
def test_integers_beside_floats_are_floats_however_large(tmp_path, way):
    pytest.importorskip("polars")
    project = Project(tmp_path / "large")
    for value in (10**400, 2**60 + 1, 0.5, math.nan, None):
        exp = project.log("x")
        if value is not None:
            exp.log_parameter("x", value)
    column = getattr(project.table(), way)()["parameters.x"]
    found = column.to_pylist() if way == "to_arrow" else column.to_list()
    assert found[:3] == [math.inf, float(2**60), 0.5]
    assert math.isnan(found[3])
    assert found[4] is None


def test_an_empty_project_is_an_empty_table(tmp_path):
    table = Project(tmp_path / "empty").table()
    assert table.to_arrow().column_names == table.columns
    table.to_parquet(tmp_path / "empty.parquet")
    assert read(tmp_path / "empty.parquet").num_rows == 0


@pytest.mark.parametrize("way", ["to_arrow", "to_parquet"])
def test_a_library_that_is_missing_is_named_with_its_extra(project, tmp_path, monkeypatch, way):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pyarrow is not installed: pip install 'lazytrack\[arrow\]'"):
        getattr(project.table(), way)(*([tmp_path / "x.parquet"] if way == "to_parquet" else []))
    assert not (tmp_path / "x.parquet").exists()
