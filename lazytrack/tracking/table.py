"""A project as a table: a row for each experiment, a column for each thing that was logged."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from lazytrack import codec, extras, naming
from lazytrack.exchange.columns import as_number, as_text, to_arrow
from lazytrack.files import open_files, split
from lazytrack.series import SYSTEM

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from lazytrack.tracking.experiment import Experiment

_log = logging.getLogger(__name__)
FIRST = ("slug", "name", "status", "created_at")
"""The columns that every table has, and the first ones."""


class Table(Sequence[dict[str, Any]]):
    """Rows with the same columns, in the order of the experiments.

    Made by `Project.table` and `Project.search`. Columns are ``slug name status created_at``, ``parameters.*``,
    ``metrics.*`` and ``tags``; a dict among parameters is a column for each of its items,
    ``parameters.optimizer.lr``. What an experiment does not have is None. System metrics are left out: they tell of the
    machine.
    """

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        names = dict.fromkeys(name for row in rows for name in row)
        logged = [[n for n in names if n.startswith(section)] for section in ("parameters.", "metrics.")]
        self.columns = [*FIRST, *logged[0], *logged[1], "tags"]
        """The names of the columns."""
        self._rows = [{name: row.get(name) for name in self.columns} for row in rows]

    def column(self, name: str) -> list[Any]:
        """Return a column, an item for each experiment.

        Raises
        ------
        KeyError
            When there is none of that name.
        """
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; known: {', '.join(self.columns)}")
        return [row[name] for row in self._rows]

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    @overload
    def __getitem__(self, index: str) -> list[Any]: ...
    def __getitem__(self, index: int | slice | str) -> dict[str, Any] | list[Any]:
        """Return a row by its number, several by a slice, or a column by its name.

        Raises
        ------
        IndexError, KeyError
            When there is none.
        """
        return self.column(index) if isinstance(index, str) else self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"Table({len(self)} experiments, {len(self.columns)} columns)"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table as one of pandas.

        Raises
        ------
        ModuleNotFoundError
            When pandas is not installed: ``pip install 'lazytrack[pandas]'``.
        """
        result: pd.DataFrame = extras.load("pandas").DataFrame(self._rows, columns=self.columns)
        return result

    def to_polars(self) -> "pl.DataFrame":
        """Return the table as one of polars; a column whose values are of several kinds is text, as JSON has it.

        Raises
        ------
        ModuleNotFoundError
            When polars is not installed: ``pip install 'lazytrack[polars]'``.
        """
        polars = extras.load("polars")
        result: pl.DataFrame = polars.DataFrame({name: _column(polars, self.column(name)) for name in self.columns})
        return result

    def to_arrow(self) -> "pa.Table":
        """Return the table as one of Arrow; a column whose values are of several kinds is text, as JSON has it.

        Raises
        ------
        ModuleNotFoundError
            When pyarrow is not installed: ``pip install 'lazytrack[arrow]'``.
        """
        return to_arrow({name: self.column(name) for name in self.columns})

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the table as a file of Parquet, which nearly everything reads.

        Parameters
        ----------
        path
            On a local disk. A file that is there is replaced.

        Raises
        ------
        ModuleNotFoundError
            When pyarrow is not installed: ``pip install 'lazytrack[arrow]'``.
        OSError
            When it cannot be written.
        """
        table = self.to_arrow()
        folder, name = split(os.fspath(path))
        with open_files(folder).open_write(name) as upload:
            extras.load("pyarrow.parquet").write_table(table, upload)


def row_of(experiment: "Experiment") -> dict[str, Any]:
    """Return the row of an experiment as it is here, saved or not."""
    data = experiment.to_dict()
    row = {name: data[name] for name in FIRST[:3]} | {"created_at": None, "tags": data["tags"]}
    with contextlib.suppress(ValueError):  # a stranger may have written anything; ``problems`` names it
        row["created_at"] = experiment.created_at
    return row | _logged(data["parameters"], data["metrics"])


def row_of_record(slug: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a stored experiment; nothing is built for it, so a page of many costs little.

    Parameters
    ----------
    fields
        Of its record.
    """
    parameters, metrics, tags = sections_of(fields)
    created_at: Any = fields.get("created_at")
    row = {
        "slug": slug,
        "name": fields.get("name", naming.short_slug(slug)),
        "status": str(fields.get("status", "completed")),
        "created_at": codec.parse_time(created_at) if codec.is_time(created_at) else None,
        "tags": tags,
    }
    return row | _logged(parameters, metrics)


def sections_of(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the parameters, metrics and tags that the fields of a record say."""
    parameters: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    tags = []
    for field, stored in fields.items():
        section, _, name = field.partition(".")
        if type(stored) is float and section in {"parameters", "metrics"}:  # as most are
            (parameters if section == "parameters" else metrics)[name] = stored
            continue
        try:
            match section:
                case "tags":
                    tags.append(name)
                case "parameters":
                    parameters[name] = codec.unstore(stored)
                case "metrics":
                    metrics[name] = codec.unstore_number(stored)
        except ValueError as error:  # a stranger may have written anything
            _log.debug("%s %s: it is left out of tables", field, error)
    return parameters, metrics, tags


def _logged(parameters: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {name: value for name, value in metrics.items() if not name.startswith(SYSTEM)}
    return _flat(parameters, "parameters.") | _flat(metrics, "metrics.")


def _flat(items: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return nested dicts as one. Where that would give two values one name, the dict stays as it is."""
    flat = {prefix + key: value for key, value in items.items() if not (isinstance(value, dict) and value)}
    for key, value in items.items():
        if isinstance(value, dict) and value:
            inner = _flat(value, f"{prefix}{key}.")
            flat |= {prefix + key: value} if inner.keys() & flat.keys() else inner
    return flat


def _column(polars: Any, values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return polars.Series([as_number(value) for value in values])
    if kinds == {list} and {type(item) for value in values for item in value or ()} <= {str}:
        return polars.Series(values, dtype=polars.List(polars.String))
    try:
        return polars.Series(values, strict=True)
    except (TypeError, OverflowError, polars.exceptions.PolarsError):
        return polars.Series([value if value is None else as_text(value) for value in values], dtype=polars.String)
