"""Each handler of the package through the published suite, and what is particular to it."""

import datetime as dt
import io
import json
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import joblib
import matplotlib as mpl
import numpy as np
import onnx
import pandas as pd
import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from hypothesis.extra import pandas as frames
from matplotlib.figure import Figure
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lazytrack import Project, Repository
from lazytrack.artifacts import get_handler, handler_for
from lazytrack.errors import ArtifactLoadError, SaveError
from lazytrack.testing import HandlerTests

mpl.use("Agg")


def written(alias, value, **kwargs):
    """Return the bytes that a handler writes."""
    handler = get_handler(alias)
    buf = io.BytesIO() if handler.binary else io.StringIO()
    handler.write(value, buf, **kwargs)
    return buf.getvalue()


def loaded(alias, content, **kwargs):
    handler = get_handler(alias)
    return handler.read(io.BytesIO(content) if handler.binary else io.StringIO(content), **kwargs)


class TestJSON(HandlerTests):
    alias = "json"
    values = [{"a": [1, 2.5, None, "ü"]}, [], "text", 0]
    refused = ({1, 2}, object())


class TestText(HandlerTests):
    alias = "text"
    values = ["", "one\r\ntwo\n", "größe 🚀"]
    refused = (b"bytes", 5, None)


class TestPickle(HandlerTests):
    alias = "pickle"
    values = [{"a": {1, 2}}, (1, 2), None]


class TestBytes(HandlerTests):
    alias = "bytes"
    values = [b"\0\xff", b"", bytearray(b"abc"), memoryview(b"abc")]
    refused = ("text", 5, None)


class TestNumpy(HandlerTests):
    alias = "numpy"
    values = [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.eye(3, dtype=np.float16)),
        np.array(["a", "größe"]),
        np.array(["2026-11-20"], dtype="datetime64[us]"),
        np.zeros((0, 3), dtype=np.int8),
        np.array(2.5),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    ]
    refused = (np.array([object()]), np.array([{}, 1], dtype=object), object())

    def is_equal(self, loaded, value):
        return loaded.dtype == value.dtype and loaded.shape == value.shape and np.array_equal(loaded, value)


class TestSafetensors(HandlerTests):
    alias = "safetensors"
    values = [{"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2)}, {}]
    refused = ([np.zeros(2)], {1: np.zeros(2)}, {"a": np.zeros(2), "b": [1, 2]}, {"a": 5})

    def is_equal(self, loaded, value):
        return loaded.keys() == value.keys() and all(np.array_equal(loaded[name], value[name]) for name in value)


class TestPandas(HandlerTests):
    alias = "pandas"
    values = [
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=pd.Index(["i", "j"], name="key")),
        lambda: pd.DataFrame({"when": pd.to_datetime(["2026-11-20"], utc=True), "kind": pd.Categorical(["x"])}),
        lambda: pd.DataFrame({"a": []}),
    ]
    refused = ({"a": [1]}, pl.DataFrame({"a": [1]}), pd.Series([1]))

    def is_equal(self, loaded, value):
        pd.testing.assert_frame_equal(loaded, value)
        return True


class TestPolars(HandlerTests):
    alias = "polars"
    values = [
        lambda: pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [[1], [2, 3]]}),
        lambda: pl.DataFrame({"a": []}),
    ]
    refused = ({"a": [1]},)

    def is_equal(self, loaded, value):
        return loaded.equals(value)


class TestJoblib(HandlerTests):
    alias = "joblib"
    values = [LogisticRegression(C=2.5), {"a": np.arange(5)}]

    def is_equal(self, loaded, value):
        return joblib.hash(loaded) == joblib.hash(value)


def model():
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "relu",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    return onnx.helper.make_model(graph)


class TestONNX(HandlerTests):
    alias = "onnx"
    values = [model]
    refused = ({"a": 1}, "text")


def figure():
    drawn = Figure()
    drawn.subplots().plot([1, 2, 3])
    return drawn


class TestMatplotlib(HandlerTests):
    alias = "matplotlib"
    values = [figure]
    refused = ([1, 2], "text")


class TestPlotly(HandlerTests):
    alias = "plotly"
    values = [lambda: go.Figure(go.Scatter(y=[1, 2, 3]))]
    refused = ([1, 2], pd.DataFrame({"a": [1]}))


class TestImage(HandlerTests):
    alias = "image"
    values = [
        lambda: Image.linear_gradient("L"),
        lambda: Image.new("RGBA", (3, 2), (1, 2, 3, 4)),
        lambda: Image.new("1", (9, 1)),
    ]
    refused = (np.zeros((2, 2)), b"png")

    def is_equal(self, loaded, value):
        return (loaded.mode, loaded.size, loaded.tobytes()) == (value.mode, value.size, value.tobytes())


class TestFile(HandlerTests):
    alias = "file"
    values = [lambda: Path(__file__)]
    refused = (5, b"bytes")

    def is_equal(self, loaded, value):
        return loaded.read_bytes() == value.read_bytes()


# --- round trips of anything there may be ---


@given(
    arrays.arrays(st.one_of(arrays.scalar_dtypes(), arrays.unicode_string_dtypes()), arrays.array_shapes(min_dims=0))
)
def test_any_array_comes_back(array):
    again = loaded("numpy", written("numpy", array))
    assert again.dtype == array.dtype
    assert again.tobytes() == np.asarray(array).tobytes()


@given(st.dictionaries(st.text(), arrays.arrays(np.float32, arrays.array_shapes())))
def test_any_dict_of_arrays_comes_back(weights):
    again = loaded("safetensors", written("safetensors", weights))
    assert again.keys() == weights.keys()
    assert all(again[name].tobytes() == weights[name].tobytes() for name in weights)


@given(st.text())
def test_any_text_comes_back(text):
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert loaded("text", written("text", text)) == text


@given(st.binary())
def test_any_bytes_come_back(content):
    assert loaded("bytes", written("bytes", content)) == content


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_any_plain_value_comes_back_as_json(value):
    assert loaded("json", written("json", value)) == value


@given(plain | st.tuples(plain, st.binary()) | st.sets(st.integers()) | st.complex_numbers(allow_nan=False))
def test_any_value_comes_back_as_a_pickle_and_from_joblib(value):
    for alias in ("pickle", "joblib"):
        again = loaded(alias, written(alias, value))
        assert (again, type(again)) == (value, type(value))


@given(
    frames.data_frames(
        [
            frames.column("whole", dtype=np.int64),
            frames.column("real", dtype=np.float64),
            frames.column("word", elements=st.text(st.characters(exclude_categories=["Cs"])), dtype=object),
        ]
    )
)
def test_any_frame_comes_back(frame):
    frame["word"] = frame["word"].astype("str")  # what pandas itself makes of words
    pd.testing.assert_frame_equal(loaded("pandas", written("pandas", frame)), frame)
    other = pl.from_pandas(frame)
    assert loaded("polars", written("polars", other)).equals(other)


@given(arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 2, st.sampled_from([3, 4]))))
def test_any_image_comes_back(pixels):
    assert np.array_equal(loaded("image", written("image", Image.fromarray(pixels))), pixels)


# --- what is particular ---


def test_numpy_never_reads_a_pickle():
    with io.BytesIO() as buf:
        np.save(buf, np.array([{"a": 1}]), allow_pickle=True)
        content = buf.getvalue()
    with pytest.raises(ValueError, match="allow_pickle"):
        loaded("numpy", content)
    with pytest.raises(ValueError, match="allow_pickle"):
        loaded("numpy", content, allow_pickle=True)


def test_safetensors_keeps_metadata_and_tells_what_it_does_not_know():
    content = written("safetensors", {"w": np.zeros(2)}, metadata={"epoch": "3"})
    assert b'"epoch":"3"' in content
    with pytest.raises(TypeError, match="keeps no arrays of 'pandas'"):
        written("safetensors", {"w": pd.Series([1])})


def test_kwargs_go_to_the_writer_and_to_the_reader(tmp_path):
    project = Project(tmp_path / "churn")
    exp = project.log("run")
    exp.log_artifact("table", pd.DataFrame({"a": [1], "b": [2]}), "pandas", compression="gzip")
    with pytest.warns(UserWarning, match="cannot be loaded back"):
        exp.log_artifact("plot", figure(), "matplotlib", fname="plot.svg", format="svg")
    with pytest.warns(UserWarning, match="only writes"):
        project.save()
    assert list(exp.load_artifact("table", columns=["b"]).columns) == ["b"]
    with pytest.warns(UserWarning, match="may not come back"):
        assert b"<svg" in exp.load_artifact("plot")


def test_a_page_of_plotly_needs_no_network():
    page = written("plotly", go.Figure(go.Scatter(y=[1])))
    assert 'src="http' not in page
    assert "<html>" in page


@pytest.mark.parametrize(
    ("alias", "value", "reason"),
    [
        ("image", Image.new("CMYK", (2, 2)), "cannot write mode CMYK as PNG"),
        ("image", b"png", "keeps an image of Pillow, not bytes"),
        ("pandas", pd.DataFrame([[1, 2]], columns=["a", "a"]), "Duplicate column names"),
        ("pandas", pd.DataFrame({"a": [1j]}), "Unsupported numpy type"),
        ("pandas", pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), "Sparse pandas data"),
        ("pandas", pd.DataFrame({"a": pd.Series(["a", 1], dtype=object)}), "got a 'int' object"),
        ("pandas", {"a": [1]}, "keeps a DataFrame of pandas, not dict"),
        ("polars", pl.DataFrame({"a": [object()]}, schema={"a": pl.Object}), "cannot write 'Object' datatype"),
        ("polars", pd.DataFrame(), "keeps a DataFrame of polars"),
        ("numpy", np.array([{}]), "not Python objects"),
        ("safetensors", {"a": np.zeros(2), "b": [1]}, "arrays of one framework"),
        ("onnx", "text", "keeps a model of onnx"),
        ("matplotlib", "text", "keeps a Figure"),
        ("plotly", "text", "keeps a Figure of plotly"),
        ("bytes", "text", "keeps bytes, not str"),
        ("text", b"bytes", "keeps a string, not bytes"),
    ],
)
def test_what_a_named_handler_cannot_keep_is_refused_when_it_is_logged(tmp_path, alias, value, reason):
    exp, repository = Project(tmp_path / "churn").log("run"), Repository(tmp_path / "models")
    for log in (exp.log_artifact, repository.log_artifact):
        with pytest.raises(TypeError, match=reason):
            log("it", value, alias)
    assert (exp.artifacts, repository.artifacts) == ([], [])


def test_a_writers_options_count_for_what_is_refused(tmp_path):
    exp = Project(tmp_path / "churn").log("run")
    with pytest.warns(UserWarning, match="only writes"):
        exp.log_artifact("plot", figure(), "matplotlib", format="svg")
    exp.log_artifact("photo", Image.new("CMYK", (2, 2)), "image", format="JPEG", fname="photo.jpg")
    with pytest.raises(TypeError, match="compression"):
        exp.log_artifact("table", pd.DataFrame({"a": [1]}), "pandas", compression="none such")


def test_estimators_of_another_version_of_sklearn_are_told(tmp_path, monkeypatch):
    project = Project(tmp_path / "churn")
    exp = project.log("run")
    exp.log_artifact("model", LogisticRegression())
    project.save()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99.0")
    with pytest.raises(ArtifactLoadError, match=r"sklearn_version was '1.* and is '99.0' here"):
        exp.load_artifact("model")
    assert isinstance(exp.load_artifact("model", validate=False), LogisticRegression)


# --- files ---


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights v2.bin"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def saved(tmp_path, weights):
    project = Project(tmp_path / "churn")
    exp = project.log("run")
    exp.log_artifact("weights", weights)
    project.save()
    return exp


def test_a_file_keeps_its_name_and_is_a_path_again(saved, weights, tmp_path):
    weights.unlink()
    path = saved.load_artifact("weights")
    assert (path.name, path.read_bytes()) == ("weights v2.bin", b"weights")
    assert saved.artifacts[0].stored.path.endswith("/weights v2.bin")


def test_a_file_is_loaded_to_a_place_of_ones_own(saved, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    assert saved.load_artifact("weights", to=here) == here / "weights v2.bin"
    target = tmp_path / "new" / "w.bin"
    assert saved.load_artifact("weights", to=target) == target
    target.write_bytes(b"old")
    saved.load_artifact("weights", to=str(target))
    assert target.read_bytes() == b"weights"
    assert [path.name for path in target.parent.iterdir()] == ["w.bin"]


def test_a_file_loaded_to_no_place_goes_with_the_process(saved, tmp_path):
    code = f"""
from lazytrack import Project
print(Project({str(tmp_path / "churn")!r}, mode="r")["run"].load_artifact("weights"))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip().endswith("weights v2.bin")
    assert not Path(done.stdout.strip()).parent.exists()


def test_what_is_no_file_is_refused_when_it_is_logged(tmp_path):
    exp = Project(tmp_path / "churn").log("run")
    with pytest.raises(FileNotFoundError, match=r"no file .*missing.bin to log as artifact 'weights'"):
        exp.log_artifact("weights", tmp_path / "missing.bin")
    with pytest.raises(IsADirectoryError, match=r"is a folder, .* handler='directory' keeps folders"):
        exp.log_artifact("weights", tmp_path, "file")
    with pytest.raises(TypeError, match="the file at a path, not int"):
        exp.log_artifact("weights", 5, "file")
    assert exp.artifacts == []


def test_a_file_that_is_gone_when_it_is_saved_is_told(tmp_path, weights):
    project = Project(tmp_path / "churn")
    project.log("run").log_artifact("weights", weights)
    weights.unlink()
    with pytest.raises(SaveError, match=r"artifact 'weights' of .*FileNotFoundError"):
        project.save()


# --- which handler is chosen where none is named ---


class Derived(np.ndarray):
    pass


class Mine(BaseEstimator):
    pass


def with_attrs(frame, **kwargs):
    frame.attrs = kwargs
    return frame


def read_from(image, **kwargs):
    """Return an image that was read from a file."""
    buf = io.BytesIO()
    image.save(buf, **kwargs)
    return Image.open(buf)


LATE = [None] * 200
"""What comes after this is not among the first rows."""
CHOSEN = {
    "text": ["text"],
    "bytes": [b"abc", bytearray(b"abc")],
    "json": [{"a": [1, 2.5, None]}, [], 5, True, None, OrderedDict(a=1), "\ud800"],
    "pickle": [
        *[(1, 2), {"a": (1,)}, {1: "a"}, float("nan"), {1, 2}, np.array([{}]), np.zeros(2).view(Derived), object],
        np.zeros(2, np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [4, 0]})),
        np.zeros(2, np.dtype("i4", metadata={"unit": "m"})),
        pd.DataFrame({"a": [{"x": 1.0}, {"y": 2.0}]}),
        pd.DataFrame({"a": [*LATE, {"x": 1.0}, {"y": 2.0}]}),
        pd.DataFrame({"a": pd.Series(["a", 1], dtype=object)}),
        pd.DataFrame({"a": pd.Series([*LATE, "a", 1], dtype=object)}),
        pd.DataFrame({"a": pd.Series(["a", b"b"], dtype=object)}),
        pd.DataFrame({"a": pd.Series([*LATE, 1, 2], dtype=object)}),
        pd.DataFrame({"a": pd.Series([*LATE, b"a", float("nan")], dtype=object)}),
        pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)}),
        pd.DataFrame({"a": [[1], [2]]}),
        pd.DataFrame({"a": [1, 2]}, index=pd.Index(["a", 1], dtype=object)),
        pd.DataFrame({"a": [1j]}),
        pd.DataFrame({"a": pd.arrays.SparseArray([0, 0, 1])}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", 1]),
        pd.DataFrame({"a": pd.Categorical([1, 2])}),
        pd.DataFrame({"a": pd.Categorical(["a", 1])}),
        pd.DataFrame({"a": np.array(["2026-01-01"], dtype="M8[s]")}),
        with_attrs(pd.DataFrame({"a": [1]}), unit=(1, 2)),
        pl.DataFrame({"a": [object()]}, schema={"a": pl.Object}),
        *[Image.new(mode, (2, 2)) for mode in ("F", "CMYK", "HSV", "LAB", "YCbCr", "I", "PA", "La", "RGBX", "I;16B")],
        Image.new("L", (0, 2)),
        Image.new("RGBA", (4, 4), (1, 2, 3, 4)).quantize(4, method=Image.Quantize.FASTOCTREE),
    ],
    "file": [Path(__file__)],
    "numpy": [np.arange(3), np.array(["a"])],
    "pandas": [
        pd.DataFrame({"a": [1]}),
        pd.DataFrame(),
        pd.DataFrame(columns=["a", "b"], dtype=object),
        pd.DataFrame({"a": LATE}),
        pd.DataFrame({"a": [*LATE, "text"], "b": range(201)}),
        pd.DataFrame({"a": [b"a", None], "b": pd.Series([None, dt.date(2026, 11, 20)], dtype=object)}),
        pd.DataFrame({"a": pd.Series([*LATE, dt.date(2026, 11, 20)], dtype=object)}),
        pd.DataFrame({"a": pd.Categorical(["x"], categories=["x", "y"], ordered=True)}),
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [np.nan, -0.0]}),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None])),
        pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026-11-20", periods=2, tz="Europe/Vienna")),
        with_attrs(pd.DataFrame({"a": [1]}), unit="m"),
    ],
    "polars": [
        pl.DataFrame({"a": [1]}),
        pl.DataFrame({"a": [{"x": None}, None], "b": ["x", None]}, schema_overrides={"b": pl.Categorical}),
    ],
    "joblib": [LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression()), Mine()],
    "onnx": [model()],
    "matplotlib": [Figure()],
    "plotly": [go.Figure()],
    "image": [
        *[Image.new(mode, (1, 1)) for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16")],
        read_from(Image.new("L", (1, 1)), format="PNG"),
        read_from(Image.new("RGB", (8, 8)), format="JPEG"),
        Image.linear_gradient("L").convert("RGB").quantize(7),
    ],
}


@pytest.mark.parametrize(("alias", "value"), [(alias, value) for alias, values in CHOSEN.items() for value in values])
def test_a_handler_is_chosen_by_the_objects_type(alias, value):
    assert handler_for(value) == alias


def is_equal(again, value):
    """Tell whether what was loaded is what was logged, whatever that is."""
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(again, value, check_exact=True, check_freq=False)
        return again.attrs == value.attrs
    if isinstance(value, pl.DataFrame):
        return again.schema == value.schema and again.equals(value)
    if isinstance(value, np.ndarray):
        return again.dtype == value.dtype and again.tobytes() == value.tobytes()
    if isinstance(value, Image.Image):
        return TestImage().is_equal(again, value) and again.getpalette() == value.getpalette()
    return again == value


@pytest.mark.parametrize(
    ("alias", "value"),
    [
        (alias, value)
        for alias in ("text", "bytes", "json", "numpy", "pandas", "polars", "image")
        for value in CHOSEN[alias]
    ],
)
def test_what_a_handler_is_chosen_for_comes_back_equal(alias, value):
    assert is_equal(loaded(alias, written(alias, value)), value)


def test_the_choice_is_shown(tmp_path, caplog):
    caplog.set_level("INFO", logger="lazytrack")
    exp = Project(tmp_path / "churn").log("run")
    exp.log_artifact("curve", np.arange(3))
    assert "artifact 'curve', of type ndarray, is kept by the handler 'numpy'" in caplog.text
    assert [artifact.alias for artifact in exp.artifacts] == ["numpy"]


def test_handlers_of_ones_own_are_chosen_too(tmp_path):
    code = """
import attrs
from typing import ClassVar
from lazytrack import Project
from lazytrack.artifacts import Artifact, handler_for

class Molecule: pass

@attrs.define
class MoleculeArtifact(Artifact):
    alias: ClassVar[str] = "molecule"
    suffix: ClassVar[str] = "mol"
    binary: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("__main__.Molecule", "builtins.str")
    @classmethod
    def read(cls, buf, **kwargs): return Molecule()
    @classmethod
    def write(cls, obj, buf, **kwargs): buf.write(b"mol")

print(handler_for(Molecule()), handler_for("text"), handler_for(b"1"))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["molecule", "molecule", "bytes"]


def test_choosing_imports_none_of_the_libraries():
    code = "from lazytrack.artifacts import handler_for; handler_for((1, 2)); import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"numpy", "pandas", "polars", "sklearn", "matplotlib", "plotly", "PIL", "onnx", "joblib", "safetensors"}
    assert heavy & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("alias", "library", "extra"),
    [
        ("numpy", "numpy", "numpy"),
        ("safetensors", "safetensors", "safetensors"),
        ("pandas", "pandas", "pandas"),
        ("polars", "polars", "polars"),
        ("joblib", "joblib", "joblib"),
        ("onnx", "onnx", "onnx"),
        ("image", "PIL", "image"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(alias, library, extra):
    code = f"""
import io, sys
sys.modules[{library!r}] = None
from lazytrack.artifacts import get_handler
get_handler({alias!r}).read(io.BytesIO(b""))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert f"{library} is not installed: pip install 'lazytrack[{extra}]'" in done.stderr


def test_json_files_are_what_json_writes(tmp_path):
    assert json.loads(written("json", {"a": [1]})) == {"a": [1]}
