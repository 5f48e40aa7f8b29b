"""Artifacts kept as Parquet: tables of pandas and polars, which most tools for data can read."""

import datetime as dt
import io
import warnings
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact
from lazytrack.extras import load

_FEW = 100
"""So many rows tell what becomes of all that the types of a table decide."""
_PLAIN = {str, bytes, dt.date}
"""Python objects that Parquet gives back as they are, where a column holds one kind of them."""


@attrs.define
class PandasArtifact(Artifact):
    """A pandas DataFrame, with its index, as Parquet."""

    alias: ClassVar[str] = "pandas"
    suffix: ClassVar[str] = "parquet"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("pandas.DataFrame",)

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is a table that comes back equal, with all its types.

        The ``freq`` of an index, which follows from its times, is not asked for.
        """
        return super().suits(value) and _pandas_comes_back(value)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:
        """Refuse what is no table, or one whose first rows cannot be written."""
        _check_pandas(cls, value)
        _check_rows(cls, value.head(_FEW).to_parquet, kwargs)

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the table; `kwargs` go to `pandas.read_parquet`."""
        return load("pandas").read_parquet(buf, **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the table; `kwargs` go to its ``to_parquet``.

        Raises
        ------
        TypeError
            When it is none.
        """
        _check_pandas(cls, obj)
        obj.to_parquet(buf, **kwargs)


@attrs.define
class PolarsArtifact(Artifact):
    """A polars DataFrame as Parquet."""

    alias: ClassVar[str] = "polars"
    suffix: ClassVar[str] = "parquet"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("polars.DataFrame",)

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is a table that comes back equal, with all its types."""
        return super().suits(value) and _polars_comes_back(value)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:
        """Refuse what is no table, or one whose first rows cannot be written."""
        _check_polars(cls, value)
        _check_rows(cls, value.head(_FEW).write_parquet, kwargs)

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the table; `kwargs` go to `polars.read_parquet`."""
        return load("polars").read_parquet(buf, **kwargs)

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the table; `kwargs` go to its ``write_parquet``.

        Raises
        ------
        TypeError
            When it is none.
        """
        _check_polars(cls, obj)
        obj.write_parquet(buf, **kwargs)


def _check_pandas(handler: type[Artifact], value: Any) -> None:
    if not isinstance(value, load("pandas").DataFrame):
        raise handler.unsuitable(value, "a DataFrame of pandas")
    load("pyarrow")


def _check_polars(handler: type[Artifact], value: Any) -> None:
    if not isinstance(value, load("polars").DataFrame):
        raise handler.unsuitable(value, "a DataFrame of polars")


def _check_rows(handler: type[Artifact], write: Any, kwargs: dict[str, Any]) -> None:
    """Refuse a table of which even these rows cannot be written."""
    try:
        with warnings.catch_warnings(action="ignore"):  # whoever writes all of them warns
            write(io.BytesIO(), **kwargs)
    except Exception as error:
        raise TypeError(
            f"the handler {handler.alias!r} cannot keep this table as Parquet: {error}. Convert it, or leave `handler` "
            "out, which chooses one that can"
        ) from error


# --- does it come back? ---


def _pandas_comes_back(frame: Any) -> bool:
    """Tell whether Parquet gives a table back as it is, from a few of its rows and all of its Python objects."""
    try:
        objects = list(_objects(frame))
        with warnings.catch_warnings(action="ignore"):
            return all(map(_is_plain, objects)) and all(map(_is_same_again, _samples(frame, objects)))
    except Exception:  # noqa: BLE001  (each library and each type has errors of its own: then it does not)
        return False


def _objects(frame: Any) -> Iterator[Any]:
    """Yield each column, and each level of the index, that holds Python objects."""
    columns = (frame.iloc[:, place] for place, kind in enumerate(frame.dtypes) if kind == "object")
    levels = (frame.index.get_level_values(place) for place in range(frame.index.nlevels))
    return (values.to_numpy() for values in (*columns, *levels) if values.dtype == "object")


def _is_plain(values: Any) -> bool:
    """Tell whether all of some Python objects are of one kind that can be written, or None."""
    kinds = set(map(type, values)) - {type(None)}
    # Of one kind some may be refused all the same, such as texts that are no Unicode.
    return len(kinds) <= 1 and kinds <= _PLAIN and load("pyarrow").array(values) is not None


def _samples(frame: Any, objects: list[Any]) -> Iterator[Any]:
    """Yield some rows that tell of all: the first, and that in which each column of Python objects has its first."""
    yield frame.head(_FEW)
    firsts = (next((place for place, value in enumerate(values) if value is not None), None) for values in objects)
    if places := {place for place in firsts if place is not None}:
        yield frame.iloc[sorted(places)]


def _is_same_again(frame: Any) -> bool:
    buf, pandas = io.BytesIO(), load("pandas")
    frame.to_parquet(buf)
    again = pandas.read_parquet(io.BytesIO(buf.getvalue()))
    pandas.testing.assert_frame_equal(again, frame, check_exact=True, check_freq=False)  # which raises
    return bool(again.attrs == frame.attrs)


def _polars_comes_back(frame: Any) -> bool:
    """Tell whether Parquet gives a table back as it is; that its types decide."""
    few, buf = frame.head(_FEW), io.BytesIO()
    try:
        few.write_parquet(buf)
        again = load("polars").read_parquet(io.BytesIO(buf.getvalue()))
    except Exception:  # noqa: BLE001  (its errors are its own)
        return False
    return bool(again.schema == few.schema and again.equals(few))
