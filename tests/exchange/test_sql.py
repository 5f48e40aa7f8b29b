"""SQL over what was logged: the tables, their types, when they are made anew, and what is told when it goes wrong."""

import csv
import io
import json
import math
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from lazytrack import Project, cli, naming

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

TABLES = {
    "experiments": {
        "slug": "VARCHAR",
        "name": "VARCHAR",
        "status": "VARCHAR",
        "created_at": "TIMESTAMP WITH TIME ZONE",
        "author": "VARCHAR",
        "last_updated": "TIMESTAMP WITH TIME ZONE",
        "parent": "VARCHAR",
        "notes": "VARCHAR",
        "tags": "VARCHAR[]",
        "parameters": None,
        "metrics": None,
    },
    "parameters": {"slug": "VARCHAR", "name": "VARCHAR", "value": "VARCHAR", "number": "DOUBLE"},
    "metrics": {"slug": "VARCHAR", "name": "VARCHAR", "value": "DOUBLE", "list": "VARCHAR"},
    "tags": {"slug": "VARCHAR", "tag": "VARCHAR"},
    "artifacts": {
        "slug": "VARCHAR",
        "test": "VARCHAR",
        "name": "VARCHAR",
        "handler": "VARCHAR",
        "version": "BIGINT",
        "created_at": "TIMESTAMP WITH TIME ZONE",
        "expiry": "TIMESTAMP WITH TIME ZONE",
        "size": "BIGINT",
        "sha256": "VARCHAR",
        "path": "VARCHAR",
    },
    "steps": {
        "slug": "VARCHAR",
        "name": "VARCHAR",
        "class": "VARCHAR",
        "status": "VARCHAR",
        "start_time": "TIMESTAMP WITH TIME ZONE",
        "end_time": "TIMESTAMP WITH TIME ZONE",
        "seconds": "DOUBLE",
        "error": "VARCHAR",
        "unique_id": "VARCHAR",
    },
    "history": {
        "slug": "VARCHAR",
        "metric": "VARCHAR",
        "step": "BIGINT",
        "time": "TIMESTAMP WITH TIME ZONE",
        "value": "DOUBLE",
        "rank": "BIGINT",
    },
}


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "churn", mode="w+", author="dana")
    with project.log("first", notes="a note") as exp:
        exp.log_parameters({"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.99]}})
        exp.log_metrics({"auc": 0.9, "per class": [0.1, math.nan], "system/cpu": 50.0})
        exp.tag("prod", "new")
        exp.log_artifact("report", {"a": 1}, "json", expiry=datetime(2100, 1, 1, tzinfo=UTC))
        with exp.log_test("women") as test:
            test.log_artifact("rows", [1, 2], "json")
        with exp.step("train"):
            pass
        with pytest.raises(ZeroDivisionError), exp.step("fit"):
            1 / 0  # noqa: B018
        for step in range(3):
            exp.log_metric("loss", 1 / (step + 1), step=step)
    project.log("second", parent=exp).log_parameters({"lr": "auto", "optimizer": {}})
    project.save()
    return project


@pytest.fixture
def run(capsys, project):
    def run(query, *arguments, where=project.dir):
        capsys.readouterr()
        code = cli.main(["sql", query, "-p", str(where), *arguments])
        return code, *capsys.readouterr()

    return run


def rows(project, query):
    return project.sql(query).fetchall()


def logged(tmp_path, *parameters):
    """Return a project with an experiment for each of these parameters."""
    project = Project(tmp_path / "logged")
    for each in parameters:
        project.log("x").log_parameters(each)
    project.save()
    return project


# --- the tables ---


@pytest.mark.parametrize("table", TABLES)
def test_each_table_has_its_columns_of_their_types_with_rows_and_without(project, tmp_path, table):
    bare = Project(tmp_path / "bare")
    bare.log("nothing in it")
    for each in (project, Project(tmp_path / "empty"), bare):
        found = {name: kind for name, kind, *_ in rows(each, f"describe {table}")}
        assert list(found) == list(TABLES[table])
        assert {name: kind for name, kind in found.items() if TABLES[table][name]} == {
            name: kind for name, kind in TABLES[table].items() if kind
        }
    assert rows(Project(tmp_path / "empty"), f"select * from {table}") == []


def test_experiments(project):
    first, second = project["first"], project["second"]
    found = rows(project, "select * exclude (parameters, metrics, last_updated) from experiments order by created_at")
    assert found == [
        (first.slug, "first", "completed", first.created_at, "dana", None, "a note", ["prod", "new"]),
        (second.slug, "second", "running", second.created_at, "dana", first.slug, None, []),
    ]
    assert rows(project, 'select metrics.auc, metrics."per class", parameters.lr from experiments order by name') == [
        (0.9, [0.1, pytest.approx(math.nan, nan_ok=True)], "0.1"),
        (None, None, "auto"),
    ]
    [(kind,)] = rows(project, "select distinct typeof(metrics) from experiments")
    assert "system" not in kind


def test_parameters_metrics_and_tags(project):
    slug = project["first"].slug
    assert rows(project, f"select * exclude slug from parameters where slug = '{slug}' order by name") == [
        ("lr", "0.1", 0.1),
        ("optimizer", '{"name":"adam","betas":[0.9,0.99]}', None),
    ]
    assert rows(project, "select name, value, list from metrics order by name") == [
        ("auc", 0.9, None),
        ("loss", 1 / 3, None),
        ("per class", None, "[0.1,NaN]"),
        ("system/cpu", 50.0, None),
    ]
    assert rows(project, "from tags") == [(slug, "prod"), (slug, "new")]


def test_artifacts(project):
    [report, test] = rows(project, "from artifacts order by name")
    slug = project["first"].slug
    stored = next(iter(project["first"].artifacts)).stored
    assert report[:5] == (slug, None, "report", "json", 0)
    assert report[6:] == (datetime(2100, 1, 1, tzinfo=UTC), stored.size, stored.sha256, stored.path)
    assert test[:4] == (slug, "women", "rows", "json")
    unsaved = project.log("third")
    unsaved.log_artifact("more", 1, "json")
    assert rows(project, "select size, sha256, path from artifacts where name = 'more'") == [(None, None, None)]


def test_steps(project):
    steps = rows(project, "select name, class, status, seconds >= 0, error is not null from steps order by start_time")
    assert steps == [("train", "train", "completed", True, False), ("fit", "fit", "failed", True, True)]
    assert "ZeroDivisionError" in rows(project, "select error from steps where name = 'fit'")[0][0]


def test_history_over_ranks(project):
    exp = project.log("together")
    exp.log_metric("loss", 1.0, step=0)
    project.save()
    for rank in (1, 2):
        other = Project(project.fpath)
        other.attach(exp.slug, rank=rank).log_metric("loss", 1.0 + rank, step=0)
        other.save()
    other.attach(exp.slug).log_metric("odd", math.inf, step=-5)
    other.save()
    project.refresh()
    exp.log_metric("loss", 0.5, step=1)  # which is not saved yet
    found = rows(project, f"select metric, step, value, rank from history where slug = '{exp.slug}' order by all")
    assert found == [
        ("loss", 0, 1.0, 0),
        ("loss", 0, 2.0, 1),
        ("loss", 0, 3.0, 2),
        ("loss", 1, 0.5, 0),
        ("odd", -5, math.inf, 2),
    ]
    assert rows(project, "select count(*), count(distinct slug), min(time) from history")[0][:2] == (8, 2)


@pytest.mark.parametrize("query", ["show tables", "select table_name from information_schema.tables"])
def test_what_asks_for_the_tables_finds_all(project, query):
    names = {name for (name,) in rows(project, query)}
    assert names == {"experiments", "parameters", "metrics", "tags", "artifacts", "steps", "history"}


def test_tables_join(project):
    found = rows(
        project,
        'select e.name, h.value from experiments e join "history" h using (slug) join tags t using (slug) '
        "where t.tag = 'prod' and h.step = 2",
    )
    assert found == [("first", 1 / 3)]
    assert rows(project, "select count(*) from EXPERIMENTS") == [(2,)]
    assert rows(project, "select experiments.name from main.experiments order by 1") == [("first",), ("second",)]


# --- values ---


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, 2], "BIGINT", [1, 2]),
        ([1, 0.5], "DOUBLE", [1.0, 0.5]),
        ([2**60 + 1, 0.5], "DOUBLE", [float(2**60), 0.5]),
        ([10**400, -(10**400), 0.5], "DOUBLE", [math.inf, -math.inf, 0.5]),
        ([2**70, 1], "VARCHAR", ["1180591620717411303424", "1"]),
        ([True, False], "BOOLEAN", [True, False]),
        ([True, 1], "VARCHAR", ["true", "1"]),
        (["a", 1, None], "VARCHAR", ["a", "1", None]),
        ([math.inf, -math.inf], "DOUBLE", [math.inf, -math.inf]),
        ([datetime(2026, 1, 2, tzinfo=UTC)], "VARCHAR", ["2026-01-02T00:00:00.000000Z"]),
        ([[1, 2], [3]], "BIGINT[]", [[1, 2], [3]]),
        ([["a"], []], "VARCHAR[]", [["a"], []]),
        ([[1, "a"], 3], "VARCHAR", ['[1,"a"]', "3"]),
        ([[1, "a"]], "VARCHAR", ['[1,"a"]']),
        ([[2**70]], "VARCHAR", ["[1180591620717411303424]"]),
        ([[{}]], "VARCHAR", ["[{}]"]),
        ([[{"a": 1}], [{"b": 2}]], "STRUCT(a BIGINT, b BIGINT)[]", [[{"a": 1, "b": None}], [{"a": None, "b": 2}]]),
        ([{}, {}], "VARCHAR", [None, None]),
        ([{"a": {}}], "STRUCT(a VARCHAR)", [{"a": None}]),
        ([{"a": {"b": 1}}, {"a": 2}], "STRUCT(a VARCHAR)", [{"a": '{"b":1}'}, {"a": "2"}]),
        ([{"a": 1}, "text"], "VARCHAR", ['{"a":1}', "text"]),
        (["é\n\x00😀"], "VARCHAR", ["é\n\x00😀"]),
    ],
)
def test_a_column_of_values_has_one_type(tmp_path, values, kind, found):
    project = logged(tmp_path, *({"x": value} for value in values))
    assert rows(project, "select typeof(parameters.x), parameters.x from experiments") == [
        (kind, value) for value in found
    ]
    assert len(rows(project, "from parameters")) == len(values)
    project.table().to_parquet(tmp_path / "x.parquet")
    assert rows(project, f"select count(*) from '{tmp_path}/x.parquet'") == [(len(values),)]


def test_not_a_number_is_a_number(tmp_path):
    project = logged(tmp_path, {"x": math.nan}, {"x": 1})
    project.log("y").log_metric("m", math.nan)
    assert rows(project, "select count(*) from experiments where isnan(parameters.x) or isnan(metrics.m)") == [(2,)]
    assert rows(project, "select count(*) from parameters where isnan(number)") == [(1,)]
    assert rows(project, "select count(*) from metrics where isnan(value)") == [(1,)]


def test_names_that_a_database_does_not_tell_apart_are_told_apart(tmp_path):
    project = logged(tmp_path, {"LR": 1, "lr": 2, "lr_2": 3, "in": {"a": 4, "A": 5}})
    assert rows(
        project, 'select parameters.lr_1, parameters.lr_3, parameters.lr_2, parameters."in" from experiments'
    ) == [(1, 2, 3, {"a_1": 4, "A_2": 5})]
    with pytest.raises(ValueError, match="lr_3"):  # neither answers for both
        rows(project, "select parameters.lr from experiments")
    assert sorted(rows(project, "select name, number from parameters where name != 'in'")) == [
        ("LR", 1.0),
        ("lr", 2.0),
        ("lr_2", 3.0),
    ]


@pytest.mark.parametrize("name", ["a/b", "a name", 'quoted "so"', "it's", "a.b", "select", "é", "1", "", "a\nb"])
def test_names_of_all_kinds_are_found(tmp_path, name):
    project = logged(tmp_path, {name: 1, "other": 2})
    spelled = name.replace('"', '""')
    if name:  # which SQL has no way to spell
        assert rows(project, f'select parameters."{spelled}" from experiments') == [(1,)]
    assert rows(project, "select parameters.other from experiments") == [(2,)]
    assert rows(project, "select name from parameters where number = 1") == [(name,)]


def test_what_strangers_have_written_is_passed_over(project):
    odd = {"created_at": "?", "name": 5, "status": [1], "notes": {}, "metrics.m": "x", "parameters.p": {"int": "x"}}
    project._journal.append([{"record": "odd", "set": odd}], by="x")
    assert rows(project, "select name, status, created_at, notes from experiments where slug = 'odd'") == [
        ("5", "[1]", None, "{}")
    ]
    for table in TABLES:
        rows(project, f"from {table}")


# --- what is new ---


def test_what_is_not_saved_is_seen(project):
    assert rows(project, "select count(*) from experiments") == [(2,)]
    exp = project.log("third")
    assert rows(project, "select count(*) from experiments") == [(3,)]
    for value in (0.1, 0.2):
        exp.log_metric("auc", value)
        assert rows(project, "select metrics.auc from experiments where name = 'third'") == [(value,)]
    project["first"].tags.remove("new")
    assert rows(project, "select tag from tags") == [("prod",)]
    project.delete("first")
    assert rows(project, "select name from experiments order by 1") == [("second",), ("third",)]
    assert rows(project, "from tags") == []
    project.save()
    assert rows(project, "select name from experiments order by 1") == [("second",), ("third",)]
    again = Project(project.fpath, mode="w+")
    assert rows(again, "select count(*) from experiments") == [(2,)]
    again.delete("third")  # and nothing else
    assert rows(again, "select name from experiments") == [("second",)]


def test_what_another_process_has_saved_is_seen_after_a_refresh(project):
    reader = Project(project.fpath, mode="r")
    assert rows(reader, "select count(*) from experiments") == [(2,)]
    program = (
        "import sys; from lazytrack import Project; p = Project(sys.argv[1]);"
        "p.log('other').log_metric('auc', 0.5); p.save()"
    )
    subprocess.run([sys.executable, "-c", program, project.fpath], check=True)
    assert rows(reader, "select count(*) from experiments") == [(2,)]
    reader.refresh()
    assert rows(reader, "select metrics.auc from experiments where name = 'other'") == [(0.5,)]
    assert rows(reader, "select count(*) from metrics") == [(5,)]


def test_tables_are_made_only_when_a_query_names_them_and_something_is_new(project, monkeypatch):
    rows(project, "select metrics.auc, parameters.lr from experiments")
    made = []
    make = type(project._database)._make
    monkeypatch.setattr(type(project._database), "_make", lambda self, name: (made.append(name), make(self, name)))
    reader = Project(project.fpath, mode="r")
    for query in (
        "select metrics.auc, parameters . lr from experiments",
        "select experiments.slug from experiments",
        "select 'history'",
        "select * from tags",
        "select * from tags",
    ):
        reader.sql(query)
    assert made == ["experiments", "history", "tags"]


def test_what_was_found_can_be_read_later_and_again(project):
    found = project.sql("select slug from experiments")
    kept = project.sql("select count(*) as n from metrics")
    project.log("third").log_metric("new", 1)
    rows(project, "from experiments")
    assert len(found.fetchall()) == len(found.fetchall())
    assert kept.columns == ["n"]
    del project
    assert kept.fetchall() == kept.fetchall()


def test_it_answers_as_pandas_polars_and_arrow(project):
    found = project.sql("select name, parameters.lr as lr, created_at from experiments order by name")
    assert found.df()["lr"].tolist() == ["0.1", "auto"]
    assert found.pl()["name"].to_list() == ["first", "second"]
    assert found.df()["created_at"][0].to_pydatetime() == project["first"].created_at


def test_many_threads_ask_at_once(project):
    wrong = []

    def ask(number):
        try:
            for turn in range(10):
                project.log("thread").log_metric(f"m{number}", turn)
                found = rows(
                    project, f"select count(*), max(metrics.m{number}) from experiments where metrics.m{number} >= 0"
                )
                assert found == [(turn + 1, turn)]
                assert rows(project, "select count(*) from history") == [(3,)]
        except Exception as error:  # noqa: BLE001
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert rows(project, "select count(*) from experiments") == [(62,)]


# --- projects of other kinds ---


def test_a_project_as_it_was_answers_too(project):
    before = naming.now()
    with project.log("later"):
        pass
    project.save()
    assert rows(project.as_of(before), "select name from experiments order by 1") == [("first",), ("second",)]
    assert rows(project.as_of(before - timedelta(days=1)), "from experiments") == []


@pytest.mark.parametrize("name", ["all.json", "all.zip"])
def test_an_export_answers_too(project, tmp_path, name, run):
    project.export(tmp_path / name)
    there = Project(tmp_path / name, mode="r")
    for table in set(TABLES) - {"artifacts", "experiments"}:
        assert sorted(rows(there, f"from {table}"), key=repr) == sorted(rows(project, f"from {table}"), key=repr)
    code, out, _ = run("select name from experiments order by name", "--csv", where=tmp_path / name)
    assert (code, out) == (0, "name\nfirst\nsecond\n")


def test_a_project_elsewhere_answers_too(memory):
    project = Project(memory[0])
    project.log("x").log_metric("auc", 0.5, step=3)
    project.save()
    assert rows(Project(memory[0], mode="r"), "select step, value from history") == [(3, 0.5)]


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select nope from experiments", "nope"),
        ("select metrics.nope from experiments", "nope"),
        ("select * from nope", "nope"),
        ("selec slug", "syntax error"),
        ("select * from", "syntax error"),
        ("from 'nowhere.csv'", "nowhere.csv"),
    ],
)
def test_what_is_not_there_is_told_with_the_tables_that_are(project, query, told):
    with pytest.raises(ValueError, match=rf"(?s){told}.*tables are experiments, parameters, metrics, tags, artifacts"):
        project.sql(query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "-- nothing",
        "drop table experiments",
        "delete from experiments",
        "update experiments set name = 'x'",
        "insert into tags select * from tags returning *",
        "create or replace table experiments as select 1 as a",
        "select 1; drop table experiments",
        "copy experiments to 'out.csv'",
    ],
)
def test_what_is_no_query_changes_nothing(project, query, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = repr([rows(project, "from experiments"), rows(project, "from tags")])
    with pytest.raises(ValueError, match="that is no query"):
        project.sql(query)
    assert repr([rows(project, "from experiments"), rows(project, "from tags")]) == before
    assert not (tmp_path / "out.csv").exists()


def test_other_files_can_be_joined(project, tmp_path):
    (tmp_path / "prices.csv").write_text("name,price\nfirst,3\n")
    assert rows(project, f"select price from '{tmp_path}/prices.csv' join experiments using (name)") == [(3,)]
    assert rows(project, "pivot metrics on name using first(value)")
    assert rows(project, "with x as (select slug from tags) select count(*) from x") == [(2,)]


@pytest.mark.parametrize(("missing", "extra"), [("duckdb", "duckdb"), ("pyarrow", "arrow")])
def test_a_library_that_is_missing_is_named_with_its_extra(project, run, monkeypatch, missing, extra):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{missing} is not installed: pip install 'lazytrack\[{extra}\]'"):
        project.sql("from experiments")
    code, _, err = run("from experiments")
    assert code == 1
    assert f"{missing} is not installed" in err


# --- the command ---


def test_each_shape(run, project):
    query = "select name, metrics.auc, tags, created_at, parameters.optimizer.name as o from experiments order by name"
    code, out, _ = run(query, "--json")
    assert code == 0
    first, second = json.loads(out)
    assert first == {
        "name": "first",
        "auc": 0.9,
        "tags": ["new", "prod"],
        "created_at": naming.iso(project["first"].created_at),
        "o": "adam",
    }
    assert (second["auc"], second["tags"]) == (None, [])
    [first, second] = csv.DictReader(io.StringIO(run(query, "--csv")[1]))
    assert (first["auc"], first["o"], second["auc"]) == ("0.9", "adam", "")
    lines = run(query, "--md")[1].splitlines()
    assert lines[0] == "| name | auc | tags | created_at | o |"
    assert len(lines) == 4
    assert run(query)[1].split()[:3] == ["name", "auc", "tags"]
    assert run("select 1 / 3.0::double as third", "--precision", "3")[1].split()[-1] == "0.333"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select nope from experiments", "tables are experiments"),
        ("drop table experiments", "that is no query"),
        ("", "that is no query"),
        ("select cast(slug as int) from experiments", "Conversion Error"),
    ],
)
def test_a_query_that_goes_wrong_is_a_wrong_use_of_the_command(run, query, told):
    code, out, err = run(query)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_nothing_found_and_no_project(run, tmp_path):
    assert run("select slug from experiments where name = 'x'") == (0, "", "nothing is found\n")
    assert run("select slug from experiments where name = 'x'", "--csv") == (0, "slug\n", "")
    assert run("select slug from experiments where name = 'x'", "--json")[:2] == (0, "[]\n")
    assert run("select 1", where=tmp_path / "nowhere")[0] == 3
    assert run("select 1", "--json", "--csv")[0] == 2
