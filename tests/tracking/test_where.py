"""Expressions that say which experiments are meant, and searching by them."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lazytrack import Project
from lazytrack.tracking.table import row_of
from lazytrack.tracking.where import Where, looker, order

ROW = {
    "name": "baseline",
    "status": "completed",
    "tags": ["prod", "x"],
    "metrics.auc": 0.91,
    "metrics.auc on test": 0.5,
    "metrics.nan": math.nan,
    "parameters": {"lr": 0.1, "optimizer": {"name": "adam"}, "layers": [1, 2]},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.auc > 0.9", True),
        ("metrics.auc > 0.9 and 'prod' in tags", True),
        ("metrics.auc > 0.92 or 'prod' not in tags", False),
        ("not metrics.auc < 0.9", True),
        ("0.9 < metrics.auc <= 0.91", True),
        ("metrics['auc on test'] == 0.5", True),
        ("parameters.lr == 0.1", True),
        ("parameters.optimizer.name == 'adam'", True),
        ("parameters.optimizer['name'] in ['sgd', 'adam']", True),
        ("2 in parameters.layers", True),
        ("metrics.nowhere > 0", False),
        ("metrics.nowhere < 0", False),
        ("metrics.nowhere is None", True),
        ("metrics.auc is not None", True),
        ("metrics.nowhere == 1", False),
        ("metrics.nowhere != 1", True),
        ("name > 3", False),
        ("'x' in metrics.auc", False),
        ("metrics.nan > 0 or metrics.nan <= 0", False),
        ("-metrics.auc < -0.9", True),
        ("-name is None", True),
        ("true", True),
        ("status == 'completed' and (name == 'a' or name == 'baseline')", True),
        ("name", True),
        ("metrics.nowhere", False),
    ],
)
def test_what_an_expression_says(text, expected):
    assert Where(text)(looker(ROW)) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metrics.auc >",
        "open('/etc/passwd')",
        "metrics.auc.__class__()",
        "[x for x in tags]",
        "lambda: 1",
        "metrics[0]",
        "metrics[name]",
        "1 + 1",
        "f'{name}'",
        "tags[0]",
        "a if b else c",
        "x := 3",
        "b'bytes' == name",
        "1j == 1",
        "a\nb",
        "'a' 'b' + c",
        "x" * 3000,
        "(" * 500 + ")" * 500,
    ],
)
def test_what_an_expression_may_not_say(text):
    with pytest.raises(ValueError, match="expression"):
        Where(text)


def test_it_knows_what_it_looks_at():
    assert Where("metrics.auc > 0.9 and ('prod' in tags or name is None)").fields == ("metrics.auc", "tags", "name")


def test_dunder_names_are_only_names():
    assert Where("name.__class__ is None")(looker(ROW)) is True


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused(text):
    try:
        where = Where(text)
    except ValueError:
        return
    where(looker(ROW))


@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.booleans(), st.lists(st.integers()))))
def test_whatever_was_logged_has_an_order(values):
    assert len(sorted(values, key=order)) == len(values)


# --- searching ---


@pytest.fixture
def project(tmp_path):
    with Project(tmp_path / "churn") as project:
        for number in range(5):
            with project.log("baseline" if number else "first") as exp:
                exp.log_parameters({"lr": number / 10, "optimizer": {"name": "adam", "betas": [1, 2]}})
                if number != 3:
                    exp.log_metric("auc", number / 10)
                exp.log_metric("nan", math.nan)
                exp.tag("even" if number % 2 == 0 else "odd")
    return Project(tmp_path / "churn")


def test_search_finds_sorts_and_limits(project):
    found = project.search("metrics.auc >= 0.1 and 'odd' not in tags", sort="metrics.auc", descending=True)
    assert found["metrics.auc"] == [0.4, 0.2]
    assert len(project.search(limit=2)) == 2
    assert [row["name"] for row in project.search(limit=1)] == ["first"]
    assert project.search(descending=True, limit=1)[0]["parameters.lr"] == 0.4
    assert len(project.search("metrics.auc is None")) == 1
    assert len(project.search("parameters.optimizer.name == 'sgd'")) == 0
    last = project.search(sort="metrics.auc")[-1]
    assert last["parameters.lr"] == 0.3
    assert len(project.search("created_at is not None and slug is not None")) == 5
    with pytest.raises(ValueError, match="is no expression"):
        project.search("metrics.auc >")


def test_rows_of_records_are_those_of_experiments(project):
    stored = list(project.search())
    assert project._experiments == {}
    built = [project[row["slug"]] for row in stored]
    assert repr([row_of(exp) for exp in built]) == repr(
        [{k: r[k] for k in row_of(e)} for r, e in zip(stored, built, strict=True)]
    )
    assert list(project.table().columns) == list(project.search().columns)


def test_search_sees_what_is_not_saved_yet(project):
    exp = project.log("new")
    exp.log_metric("auc", 0.99)
    assert project.search("metrics.auc > 0.9")["name"] == ["new"]


def test_times_can_be_sorted_by(project):
    times = project.search(sort="created_at", descending=True)["created_at"]
    assert times == sorted(times, reverse=True)
    assert all(isinstance(time, datetime) and time.tzinfo == UTC for time in times)
