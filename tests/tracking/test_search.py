"""Finding experiments: by slug, by the beginning of one, by short slug, by a metric."""

import math

import pytest

from lazytrack.tracking import search

SLUGS = [
    "model-20260101000000-aaaaaaaa",
    "model-2-20260101000000-bbbbbbbb",
    "model-20260102000000-cccccccc",
    "tree-20260103000000-dddddddd",
]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("model", 2),  # the newest, though "model-2" begins so too
        ("model-2", 1),  # a short slug, though slugs of "model" begin so too
        ("tree", 3),
        ("tree-2026", 3),
        ("t", 3),
        ("model-20260102", 2),
        ("model-2026010", None),  # two begin so
        ("mod", None),
        ("", None),
        ("oak", None),
        ("tree-20260103000000-ddddddddd", None),
    ],
)
def test_a_name_means_the_newest_of_a_short_slug_or_the_only_one_that_begins_so(key, found):
    assert search.find(key, SLUGS) == (None if found is None else SLUGS[found])


@pytest.mark.parametrize(("key", "found"), [("tree", 3), ("tree-2026", None), ("t", None), ("model", 2)])
def test_where_whole_names_are_asked_for_a_beginning_means_nothing(key, found):
    assert search.find(key, SLUGS, whole=True) == (None if found is None else SLUGS[found])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("mod", "; 3 begin so, the newest 'model-20260102000000-cccccccc': give more of it"),
        ("modle", "; did you mean 'model', 'model-2'?"),
        ("xyz", "; it has 4, the newest 'tree-20260103000000-dddddddd'"),
        (5, "; it has 4, the newest 'tree-20260103000000-dddddddd'"),
    ],
)
def test_what_is_not_found_is_told_with_what_may_have_been_meant(key, said):
    assert search.suggest(key, SLUGS) == said


def test_in_an_empty_project_nothing_is_suggested():
    assert search.suggest("x", []) == "; it has 0"


@pytest.mark.parametrize(("minimize", "found"), [(False, ["inf", "b", "a"]), (True, ["-inf", "a", "b"])])
def test_the_best_are_numbers(minimize, found):
    values = {"a": 1, "b": 2.5, "nan": math.nan, "text": "x", "stored nan": "NaN", "inf": "Infinity", "-inf": -math.inf}
    assert search.best(values | {"list": [9], "none": None}, 3, minimize=minimize) == found
