"""Writers and readers of series: which files there are, what is read, and what does not count."""

import hashlib
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazytrack.errors import UnsafePathError
from lazytrack.files import open_files
from lazytrack.series import Columns, History, Log, Piece, Reader, Segment, Summary, Writer, cuts
from lazytrack.series import writer as writing

TIME = 1_763_627_400_123_456
LOSS = "metrics.loss"


@pytest.fixture
def files(tmp_path):
    return open_files(tmp_path)


def points(start, count):
    return Columns(range(start, start + count), range(TIME + start, TIME + start + count), map(float, range(count)))


def save(writer, files, *batches):
    for batch in batches:
        writer.log = writer.write(files, {LOSS: batch})
    return writer.log


def read(files, *writers, field=LOSS, until=math.inf):
    """Return a metric as somebody else reads it, who has only what is stored."""
    logs = {writer.id: Log.from_stored(json.loads(json.dumps(writer.log.to_stored()))) for writer in writers}
    pieces, damaged = Reader().pieces(field, logs, {}, until=until, where=lambda _: files)
    assert damaged == {}
    return History("loss", pieces)


def there(files):
    return sorted(path for path in files.names("series/run"))


def test_few_points_are_in_the_record_and_need_no_file(files):
    writer = Writer("run")
    log = save(writer, files, points(0, 30), points(30, 34))
    assert there(files) == []
    assert len(log.recent[LOSS]) == 64
    assert read(files, writer).step == list(range(64))


def test_more_points_go_to_a_file_with_those_before_them(files):
    writer = Writer("run")
    log = save(writer, files, points(0, 64), points(64, 1))
    assert log.recent == {}
    assert there(files) == [f"{writer.id}-0.series"]
    assert read(files, writer).step == list(range(65))


def test_the_eighth_file_of_a_level_becomes_one_with_the_others(files):
    writer = Writer("run")
    levels = []
    for number in range(64):
        log = save(writer, files, points(number * 100, 100))
        levels.append([segment.level for segment in log.segments])
    assert levels[6] == [0] * 7
    assert levels[7] == [1]
    assert levels[14] == [1, *[0] * 7]
    assert levels[62] == [*[1] * 7, *[0] * 7]
    assert levels[63] == [2]
    assert len(there(files)) == 64, "files that are no longer named stay"
    history = read(files, writer)
    assert history.step == list(range(6400))
    assert history.summary() == log.summary[LOSS]


def test_large_files_are_left_alone(files, monkeypatch):
    monkeypatch.setattr(writing, "_LARGEST", 5000)
    writer = Writer("run")
    log = save(writer, files, points(0, 1000), *(points(n, 70) for n in range(1000, 2000, 100)))
    assert [segment.level for segment in log.segments] == [0, 1, 0, 0]
    assert len(read(files, writer)) == 1700


def test_a_file_that_is_damaged_is_not_merged_and_hides_no_other(files, tmp_path):
    writer = Writer("run")
    save(writer, files, *(points(n * 100, 100) for n in range(7)))
    (tmp_path / "series" / "run" / f"{writer.id}-3.series").write_bytes(b"{}\n")
    log = save(writer, files, points(700, 100))
    assert [segment.level for segment in log.segments] == [0] * 8
    pieces, damaged = Reader().pieces(LOSS, {writer.id: log}, {}, until=math.inf, where=lambda _: files)
    assert len(History("loss", pieces)) == 700
    [(path, reason)] = damaged.items()
    assert path.endswith("-3.series")
    assert "digest" in reason


@pytest.mark.parametrize("damage", ["gone", "shorter", "folder", "forged"])
def test_damaged_files_are_named_with_the_reason(files, tmp_path, damage):
    writer = Writer("run")
    log = save(writer, files, points(0, 100))
    path = tmp_path / log.segments[0].path
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "shorter":
        path.write_bytes(content[:-1])
    elif damage == "forged":  # with the right digest, as who writes the record can
        path.write_bytes(b"no file of points\n")
        log = Log.from_stored(log.to_stored() | {"segments": [forged(path, log.segments[0])]})
    pieces, damaged = Reader().pieces(LOSS, {"w": log}, {}, until=math.inf, where=lambda _: files)
    assert pieces == []
    assert list(damaged) == [log.segments[0].path]


def forged(path, segment):
    content = path.read_bytes()
    return {"path": segment.path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "level": 0}


def test_a_reader_reads_each_file_of_an_experiment_once(files, monkeypatch):
    writer = Writer("run")
    writer.log = writer.write(files, {LOSS: points(0, 100), "metrics.auc": points(0, 100)})
    asked = []
    read_many = files.read_many
    monkeypatch.setattr(files, "read_many", lambda paths: read_many([asked.append(p) or p for p in paths]))
    reader = Reader()
    for field in (LOSS, "metrics.auc", LOSS):
        assert reader.pieces(field, {"w": writer.log}, {}, until=math.inf, where=lambda _: files)[0]
    assert len(asked) == 1
    assert reader.pieces("metrics.none", {"w": writer.log}, {}, until=math.inf, where=lambda _: files) == ([], {})


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        "x",
        {"rank": "0"},
        {"rank": -1},
        {"rank": 2**60},
        {"attempt": 1.5},
        {"from_step": "1"},
        {"segments": [{"path": "series/x", "sha256": "0"}]},
        {"segments": [{"path": "artifacts/x", "sha256": "0", "size": 1}]},
        {"segments": [{"path": "series/../../x", "sha256": "0", "size": 1}]},
        {"segments": [{"path": "/etc/passwd", "sha256": "0", "size": 1}]},
        {"summary": {LOSS: {"count": "many"}}},
        {"summary": {LOSS: 3}},
        {"summary": []},
        {"recent": {LOSS: {"step": [1]}}},
        {"recent": 1},
    ],
)
def test_what_a_stranger_says_of_a_writer_is_refused_where_it_makes_no_sense(stored):
    with pytest.raises(ValueError, match=r"."):
        Log.from_stored(stored)


def test_a_path_that_leaves_the_store_is_refused_as_such():
    with pytest.raises(UnsafePathError):
        Log.from_stored({"segments": [{"path": "../x", "sha256": "0", "size": 1}]})


def test_what_a_record_says_of_a_writer_comes_back():
    log = Log(
        rank=3,
        attempt=2,
        from_step=7,
        ranks=8,
        summary={LOSS: Summary.of(points(0, 3).step, points(0, 3).value), "nan": Summary(nan=2, max_step=4)},
        segments=(Segment(path="series/run/a-0.series", sha256="0" * 64, size=5, level=1),),
    )
    assert Log.from_stored(json.loads(json.dumps(log.to_stored()))) == log
    assert Log().to_stored() == {"rank": 0, "attempt": 1}
    assert log.to_stored()["summary"] == {
        LOSS: {"count": 3, "min": 0, "max": 2, "last": 2, "last_step": 2},
        "nan": {"count": 0, "nan": 2, "max_step": 4},
    }


def test_infinities_are_spelled_as_strings():
    stored = Log(
        summary={LOSS: Summary(count=1, min=-math.inf, max=-math.inf, last=-math.inf, last_step=0)}
    ).to_stored()
    assert stored["summary"][LOSS]["min"] == "-Infinity"
    assert Log.from_stored(stored).summary[LOSS].min == -math.inf


# --- several writers ---


def resumed(rank=0, attempt=2, step=5, ranks=None):
    return Log(rank=rank, attempt=attempt, from_step=step, ranks=ranks)


@pytest.mark.parametrize(
    ("logs", "hidden"),
    [
        ([Log()], [math.inf]),
        ([Log(), resumed()], [5, math.inf]),
        ([Log(), resumed(), resumed(attempt=3, step=3)], [3, 3, math.inf]),
        ([Log(), resumed(step=3), resumed(attempt=3, step=5)], [3, 5, math.inf]),
        ([Log(), Log(attempt=2)], [math.inf, math.inf]),
        ([Log(rank=1), resumed(rank=0)], [math.inf, math.inf]),
        ([Log(rank=1), Log(rank=2), resumed(rank=0, ranks=2)], [math.inf, 5, math.inf]),
        ([Log(rank=2), Log(rank=2, attempt=2), resumed(attempt=2, ranks=2)], [5, math.inf, math.inf]),
        ([resumed(), resumed()], [math.inf, math.inf]),
    ],
)
def test_who_goes_on_from_a_step_hides_what_came_before_it(logs, hidden):
    assert list(cuts(dict(enumerate(logs)), LOSS).values()) == hidden


def test_system_metrics_go_by_the_clock_and_are_never_hidden():
    assert set(cuts({1: Log(), 2: resumed()}, "metrics.system/cpu_utilization_percentage").values()) == {math.inf}


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
    expected, logs, value = [], {}, itertools.count()
    made = []
    for number, (rank, attempt, from_step, batches) in enumerate(writers):
        writer = Writer("run", Log(rank=rank, attempt=attempt, from_step=from_step))
        writer.id = f"w{number}"
        writer._numbers = itertools.count(next(_unique) * 100)
        for batch in batches:
            held = Columns([s for s, _ in batch], [TIME + t for _, t in batch], [float(next(value)) for _ in batch])
            made += [(rank, attempt, writer.id, *point) for point in zip(held.step, held.time, held.value, strict=True)]
            if held:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(writing, "_FEW", few)
                    writer.log = writer.write(files, {LOSS: held})
        logs[writer.id] = writer.log
    for rank, attempt, _, step, time, its_value in sorted(made, key=lambda point: point[:3]):
        later = [log for log in logs.values() if log.rank == rank and log.attempt > attempt]
        if time <= until and all(log.from_step is None or step < log.from_step for log in later):
            expected.append((step, time, its_value, rank))
    expected.sort(key=lambda point: point[0])
    pieces, damaged = Reader().pieces(LOSS, logs, {}, until=until, where=lambda _: files)
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
