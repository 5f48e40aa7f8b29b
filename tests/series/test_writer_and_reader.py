"""Writers and readers of series: which files there are, what is read, and what does not count."""

import hashlib
import itertools
import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazytrack.errors import UnsafePathError
from lazytrack.files import open_files
from lazytrack.series import (
    Columns,
    History,
    Piece,
    Reader,
    Role,
    Segment,
    Source,
    Stock,
    Summary,
    Writer,
    cuts,
    next_attempt,
    summary_from_stored,
)
from lazytrack.series import writer as writing
from lazytrack.series.entries import summary_to_stored

TIME = 1_763_627_400_123_456
LOSS = "metrics.loss"


@pytest.fixture
def files(tmp_path):
    return open_files(tmp_path)


def points(start, count):
    return Columns(range(start, start + count), range(TIME + start, TIME + start + count), map(float, range(count)))


def new_writer(**role):
    return Writer("run", Role(rank=0, **role))


def save(writer, files, *batches):
    for batch in batches:
        writer.settle(writer.write(files, {LOSS: batch}))
    return writer.stock


def as_read(value):
    return json.loads(json.dumps(value.to_stored()))


def source(stock, rank=0, before_step=math.inf):
    return Source(rank=rank, before_step=before_step, stock=stock, unsaved=Columns())


def read(files, *writers, field=LOSS, until=math.inf):
    """Return a metric as somebody else reads it, who has only what is stored."""
    sources = [source(Stock.from_stored(as_read(writer.stock))) for writer in writers]
    pieces, damaged = Reader().pieces(field, sources, until=until, where=lambda _: files)
    assert damaged == {}
    return History("loss", pieces)


def there(files):
    return sorted(path for path in files.names("series/run"))


def test_few_points_are_in_the_record_and_need_no_file(files):
    writer = new_writer()
    stock = save(writer, files, points(0, 30), points(30, 34))
    assert there(files) == []
    assert len(stock.recent[LOSS]) == 64
    assert read(files, writer).step == list(range(64))


def test_more_points_go_to_a_file_with_those_before_them(files):
    writer = new_writer()
    stock = save(writer, files, points(0, 64), points(64, 1))
    assert stock.recent == {}
    assert there(files) == [f"{writer.id}-0.series"]
    assert read(files, writer).step == list(range(65))


def test_the_eighth_file_of_a_level_becomes_one_with_the_others(files):
    writer = new_writer()
    levels = []
    for number in range(64):
        stock = save(writer, files, points(number * 100, 100))
        levels.append([segment.level for segment in stock.segments])
    assert levels[6] == [0] * 7
    assert levels[7] == [1]
    assert levels[14] == [1, *[0] * 7]
    assert levels[62] == [*[1] * 7, *[0] * 7]
    assert levels[63] == [2]
    assert len(there(files)) == 64, "files that are no longer named stay"
    history = read(files, writer)
    assert history.step == list(range(6400))
    assert history.summary() == writer.summaries[LOSS]


def test_large_files_are_left_alone(files, monkeypatch):
    monkeypatch.setattr(writing, "_LARGEST", 5000)
    writer = new_writer()
    stock = save(writer, files, points(0, 1000), *(points(n, 70) for n in range(1000, 2000, 100)))
    assert [segment.level for segment in stock.segments] == [0, 1, 0, 0]
    assert len(read(files, writer)) == 1700


def test_a_file_that_is_damaged_is_not_merged_and_hides_no_other(files, tmp_path):
    writer = new_writer()
    save(writer, files, *(points(n * 100, 100) for n in range(7)))
    (tmp_path / "series" / "run" / f"{writer.id}-3.series").write_bytes(b"{}\n")
    stock = save(writer, files, points(700, 100))
    assert [segment.level for segment in stock.segments] == [0] * 8
    pieces, damaged = Reader().pieces(LOSS, [source(stock)], until=math.inf, where=lambda _: files)
    assert len(History("loss", pieces)) == 700
    [(path, reason)] = damaged.items()
    assert path.endswith("-3.series")
    assert "digest" in reason


@pytest.mark.parametrize("damage", ["gone", "shorter", "folder", "forged"])
def test_damaged_files_are_named_with_the_reason(files, tmp_path, damage):
    writer = new_writer()
    stock = save(writer, files, points(0, 100))
    path = tmp_path / stock.segments[0].path
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "shorter":
        path.write_bytes(content[:-1])
    elif damage == "forged":  # with the right digest, as who writes the record can
        path.write_bytes(b"no file of points\n")
        stock = Stock.from_stored(stock.to_stored() | {"segments": [forged(path, stock.segments[0])]})
    pieces, damaged = Reader().pieces(LOSS, [source(stock)], until=math.inf, where=lambda _: files)
    assert pieces == []
    assert list(damaged) == [stock.segments[0].path]


def forged(path, segment):
    content = path.read_bytes()
    return {"path": segment.path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "level": 0}


def test_a_file_that_the_storage_does_not_give_stops_neither_saving_nor_reading_the_others(files, monkeypatch):
    writer = new_writer()
    save(writer, files, *(points(n * 100, 100) for n in range(7)))
    bad, read_many = writer.stock.segments[2].path, files.read_many

    def refuse(paths):
        for path, content in read_many(paths):
            yield path, OSError(5, "Input/output error") if path == bad else content

    monkeypatch.setattr(files, "read_many", refuse)
    stock = save(writer, files, points(700, 100))
    assert [segment.level for segment in stock.segments] == [0] * 8
    reader = Reader()
    for _ in range(2):  # the second time all others are remembered
        pieces, damaged = reader.pieces(LOSS, [source(stock)], until=math.inf, where=lambda _: files)
        assert (len(History("loss", pieces)), list(damaged)) == (700, [bad])
    monkeypatch.setattr(files, "read_many", lambda paths: ((path, OSError(5, "Input/output error")) for path in paths))
    with pytest.raises(OSError, match="Input/output"):
        Reader().pieces(LOSS, [source(stock)], until=math.inf, where=lambda _: files)


def test_what_a_save_that_failed_has_put_into_a_file_is_not_put_into_another(files):
    writer, logged = new_writer(), Columns()
    for start in range(0, 500, 100):  # the record cannot be saved, again and again
        logged.extend(points(start, 100))
        written = writer.write(files, {LOSS: logged})
    assert len(there(files)) == 5
    assert len({len(content) // 100 for _, content in files.read_many([f"series/run/{n}" for n in there(files)])}) == 1
    assert written.summaries[LOSS].count == 500
    writer.settle(written)
    assert read(files, writer).step == list(range(500))
    save(writer, files, points(500, 10))
    assert read(files, writer).step == list(range(510))


def test_a_reader_reads_each_file_of_an_experiment_once(files, monkeypatch):
    writer = new_writer()
    writer.settle(writer.write(files, {LOSS: points(0, 100), "metrics.auc": points(0, 100)}))
    asked = []
    read_many = files.read_many
    monkeypatch.setattr(files, "read_many", lambda paths: read_many([asked.append(p) or p for p in paths]))
    reader = Reader()
    for field in (LOSS, "metrics.auc", LOSS):
        assert reader.pieces(field, [source(writer.stock)], until=math.inf, where=lambda _: files)[0]
    assert len(asked) == 1
    assert reader.pieces("metrics.none", [source(writer.stock)], until=math.inf, where=lambda _: files) == ([], {})


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        *((kind, stored) for kind in (Role, Stock) for stored in (None, [], "x", 5)),
        (Role, {"rank": "0"}),
        (Role, {"rank": -1}),
        (Role, {"rank": 2**60}),
        (Role, {"attempt": 1.5}),
        (Role, {"attempt": 2**31}),
        (Role, {"from_step": "1"}),
        (Role, {"from_step": 2**60}),
        (Role, {"started_at": "yesterday"}),
        (Stock, {"segments": [{"path": "series/x", "sha256": "0"}]}),
        (Stock, {"segments": [{"path": "artifacts/x", "sha256": "0", "size": 1}]}),
        (Stock, {"segments": [{"path": "series/../../x", "sha256": "0", "size": 1}]}),
        (Stock, {"segments": [{"path": "/etc/passwd", "sha256": "0", "size": 1}]}),
        (Stock, {"recent": {LOSS: {"step": [1]}}}),
        (Stock, {"recent": 1}),
    ],
)
def test_what_a_stranger_says_of_a_writer_is_refused_where_it_makes_no_sense(kind, stored):
    with pytest.raises(ValueError, match=r"."):
        kind.from_stored(stored)


@pytest.mark.parametrize("stored", [None, [], 5, {"count": "many"}, {"min": []}, {"max": {}}, {"nan": None}])
def test_a_summary_that_makes_no_sense_is_refused(stored):
    with pytest.raises(ValueError, match=r"."):
        summary_from_stored(stored)


def test_a_path_that_leaves_the_store_is_refused_as_such():
    with pytest.raises(UnsafePathError):
        Stock.from_stored({"segments": [{"path": "../x", "sha256": "0", "size": 1}]})


def test_what_a_record_says_of_a_writer_comes_back():
    moment = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)
    role = Role(rank=3, attempt=2, resumed=True, from_step=0, ranks=8, started_at=moment)
    assert as_read(role) == {
        "rank": 3,
        "attempt": 2,
        "resumed": True,
        "from_step": 0,
        "ranks": 8,
        "started_at": "2026-11-20T08:22:33.123456Z",
    }
    assert Role.from_stored(as_read(role)) == role
    assert Role.from_stored(as_read(role) | {"of a later version": 1}) == role
    assert as_read(Role()) == {"attempt": 1}
    stock = Stock(segments=(Segment(path="series/run/a-0.series", sha256="0" * 64, size=5, level=1),))
    assert Stock.from_stored(as_read(stock)) == stock
    assert as_read(Stock()) == {}


def test_summaries_are_stored_without_what_goes_without_saying():
    plain = Summary.of(points(0, 3).step, points(0, 3).value)
    assert summary_to_stored(plain) == {"count": 3, "min": 0, "max": 2, "last": 2, "last_step": 2}
    of_nan = Summary(nan=2, max_step=4)
    assert summary_to_stored(of_nan) == {"count": 0, "nan": 2, "max_step": 4}
    infinite = Summary(count=1, min=-math.inf, max=-math.inf, last=-math.inf, last_step=0, max_step=0)
    assert summary_to_stored(infinite)["min"] == "-Infinity"
    for summary in (plain, of_nan, infinite):
        assert summary_from_stored(json.loads(json.dumps(summary_to_stored(summary)))) == summary


def test_a_save_says_what_changed_and_no_more(files):
    writer = new_writer()
    writer.settle(writer.write(files, {f"metrics.m{n}": points(0, 1) for n in range(300)}))
    written = writer.write(files, {"metrics.m7": points(1, 1)})
    assert written.fields("w").keys() == {"series.w", "summaries.w.metrics.m7"}
    assert len(json.dumps(written.fields("w"))) < 500


# --- several writers ---


def role(rank=0, attempt=1, step=None, ranks=None):
    return Role(rank=rank, attempt=attempt, from_step=step, ranks=ranks)


@pytest.mark.parametrize(
    ("roles", "hidden"),
    [
        ([role()], [math.inf]),
        ([role(), role(0, 2, 5)], [5, math.inf]),
        ([role(), role(0, 2, 5), role(0, 3, 3)], [3, 3, math.inf]),
        ([role(), role(0, 2, 3), role(0, 3, 5)], [3, 5, math.inf]),
        ([role(), role(0, 2)], [math.inf, math.inf]),
        ([role(1), role(0, 2, 5)], [math.inf, math.inf]),
        ([role(1), role(2), role(0, 2, 5, ranks=2)], [math.inf, 5, math.inf]),
        ([role(2), role(2, 2), role(0, 2, 5, ranks=2)], [5, 5, math.inf]),
        ([role(0, 2, 5), role(0, 2, 5)], [5, math.inf]),  # begun at the same time: one of them counts
        ([role(None), role(0, 2, 5, ranks=1), role(None, 2, 5)], [math.inf, math.inf, math.inf]),
    ],
)
def test_who_goes_on_from_a_step_hides_what_came_before_it(roles, hidden):
    assert list(cuts(dict(enumerate(roles))).values()) == hidden


EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3), st.none() | st.integers(1, 4)), min_size=1, max_size=8
)


@given(EVENTS)
def test_who_came_last_is_hidden_by_nobody_and_hides_all_it_says(events):
    roles = {}
    for number, (rank, step, wanted) in enumerate(events):
        ranks = None if step is None or wanted is None or wanted <= rank else wanted
        roles[number] = role(rank, next_attempt(roles, rank, ranks), step, ranks)
        hidden = cuts(roles)
        assert hidden[number] == math.inf
        for other, its in roles.items():
            if step is not None and other != number and (its.rank == rank or (ranks is not None and its.rank >= ranks)):
                assert hidden[other] <= step


def columns_of(history):
    return [history.step, history.time, history.value, history.rank]


LOGS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(1, 3),
        st.none() | st.integers(0, 6),
        st.lists(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 50)), max_size=6), max_size=3),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(LOGS, st.sampled_from([math.inf, TIME + 25]), st.integers(1, 6))
def test_a_history_is_all_that_counts_in_order_with_numpy_and_without(writers, until, few):
    files = open_files("memory://series-of-many")
    value, made, known = itertools.count(), [], {}
    for number, (rank, attempt, from_step, batches) in enumerate(writers):
        writer = Writer(f"run-{next(_unique)}", role(rank, attempt, from_step))
        known[number] = writer
        for batch in batches:
            held = Columns([s for s, _ in batch], [TIME + t for _, t in batch], [float(next(value)) for _ in batch])
            made += [(rank, attempt, number, *point) for point in zip(held.step, held.time, held.value, strict=True)]
            if held:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(writing, "_FEW", few)
                    writer.settle(writer.write(files, {LOSS: held}))
    expected = []
    for rank, attempt, number, step, time, its_value in sorted(made, key=lambda point: point[:3]):
        rivals = [(w.role.attempt, n, w.role.from_step) for n, w in known.items() if w.role.rank == rank]
        later = [start for its, n, start in rivals if (its, n) > (attempt, number) and start is not None]
        if time <= until and all(step < start for start in later):
            expected.append((step, time, its_value, rank))
    expected.sort(key=lambda point: point[0])
    hidden = cuts({number: writer.role for number, writer in known.items()})
    order = sorted(known, key=lambda number: (known[number].role.rank, known[number].role.attempt, number))
    sources = [source(known[n].stock, rank=known[n].role.rank, before_step=hidden[n]) for n in order]
    pieces, damaged = Reader().pieces(LOSS, sources, until=until, where=lambda _: files)
    assert damaged == {}
    history = History("loss", pieces)
    assert list(zip(history.step, history.columns().time, history.value, history.rank, strict=True)) == expected
    assert len(history) == len(expected)
    arrays = History("loss", pieces).to_numpy()
    assert [column.tolist() for column in (arrays["step"], arrays["value"], arrays["rank"])] == [
        history.step,
        history.value,
        history.rank,
    ]
    assert arrays["time"].astype("datetime64[us]").astype("i8").tolist() == history.columns().time.tolist()


_unique = itertools.count()


def test_a_history_is_a_table_of_pandas_and_of_polars():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    history = History("loss", [Piece(rank=1, points=Columns([1, 0], [TIME, TIME + 1], [0.5, math.nan]))])
    table = history.to_pandas()
    assert list(table.columns) == ["step", "time", "value", "rank"]
    assert table["step"].tolist() == [0, 1]
    assert str(table["time"].dtype) == "datetime64[us, UTC]"
    assert [time.to_pydatetime() for time in table["time"]] == history.time
    assert pandas.isna(table["value"][0])
    table = history.to_polars()
    assert table.columns == ["step", "time", "value", "rank"]
    assert table["time"].dtype == polars.Datetime("us", "UTC")
    assert table["time"].to_list() == history.time
    assert table["value"].to_list()[1] == 0.5


@pytest.mark.parametrize("way", ["to_numpy", "to_pandas", "to_polars"])
def test_a_history_without_points_has_all_columns(way):
    history = History("loss", [])
    assert columns_of(history) == [[], [], [], []]
    assert list(history) == []
    assert not history
    table = getattr(history, way)()
    assert list(table) == ["step", "time", "value", "rank"] if way == "to_numpy" else len(table.columns) == 4
    assert history.summary() == Summary()


def test_a_history_says_what_it_is():
    assert repr(History("loss", [])) == "History('loss', no points)"
    two = [Piece(rank=rank, points=points(0, 5)) for rank in (0, 1)]
    assert repr(History("loss", two)) == "History('loss', 10 points, steps 0 to 4, 2 ranks, last 4.0)"
    assert next(iter(History("loss", two)))[2:] == (0.0, 0)
    assert isinstance(np.array(History("loss", two).value), np.ndarray)
