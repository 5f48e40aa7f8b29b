"""Artifacts kept as Parquet: tables of pandas and polars, which most tools for data can read."""

from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact
from lazytrack.extras import load


@attrs.define
class PandasArtifact(Artifact):
    """A pandas DataFrame, with its index, as Parquet."""

    alias: ClassVar[str] = "pandas"
    suffix: ClassVar[str] = "parquet"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("pandas.DataFrame",)

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
        if not isinstance(obj, load("pandas").DataFrame):
            raise cls.unsuitable(obj, "a DataFrame of pandas")
        load("pyarrow")
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
        if not isinstance(obj, load("polars").DataFrame):
            raise cls.unsuitable(obj, "a DataFrame of polars")
        obj.write_parquet(buf, **kwargs)
