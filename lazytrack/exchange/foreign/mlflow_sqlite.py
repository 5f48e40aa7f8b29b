"""MLflow's sqlite store: one database, with artifacts in folders beside it."""

import contextlib
import math
import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lazytrack.exchange.foreign.databases import open_database
from lazytrack.exchange.foreign.mlflow_store import DELETED, Details, Experiment, LoggedModel, Registered, Run, Version
from lazytrack.files import Files, Stat
from lazytrack.series import Columns

SUFFIXES = (".db", ".sqlite", ".sqlite3")
"""What names of databases end with."""
_INFINITE = 1.7976931348623157e308
"""How MLflow spells infinity there."""
_TABLES = {"runs", "experiments", "metrics", "params", "tags"}
"""What every release has."""


class Database:
    """A sqlite database of MLflow. It is only read; a program that writes to it meanwhile goes on.

    Parameters
    ----------
    path
        Of the database, on a local disk.
    root
        The folder that it is in.

    Raises
    ------
    ValueError
        When it is none.
    FileNotFoundError
        When there is none.
    """

    def __init__(self, path: str, root: Files) -> None:
        self.root = root
        self.left_out: dict[str, list[str]] = {}
        self._path = path
        try:
            self._connection = open_database(path)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is no sqlite database, or one that cannot be opened: {error}") from error
        weakref.finalize(self, self._connection.close)
        self._connection.row_factory = sqlite3.Row
        self._tables = {row["name"] for row in self._rows("select name from sqlite_master where type = 'table'")}
        if _TABLES - self._tables:
            raise ValueError(f"{path} is no database of MLflow: it has no table of runs")

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        try:
            with contextlib.closing(self._connection.execute(query, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self._path} is no sqlite database, or a damaged one: {error}") from error

    def _all(self, table: str, order: str) -> list[dict[str, Any]]:
        """Return the rows of a table, none where this release of MLflow has none of that name."""
        if table not in self._tables:
            return []
        return [dict(row) for row in self._rows(f"select * from {table} order by {order}")]  # noqa: S608  (our words)

    def experiments(self) -> Iterable[Experiment]:
        """Return the groups of runs."""
        return [
            Experiment(id=str(row["experiment_id"]), name=row["name"], stage=row["lifecycle_stage"] or "active")
            for row in self._all("experiments", "experiment_id")
        ]

    def runs(self) -> Iterable[Run]:
        """Return all runs, oldest first."""
        return [
            Run(
                id=row["run_uuid"],
                name=row.get("name") or "",
                experiment=str(row["experiment_id"]),
                user=row.get("user_id") or "",
                status=row["status"],
                stage=row.get("lifecycle_stage") or "active",
                start=row["start_time"],
                end=row["end_time"],
                uri=row["artifact_uri"] or "",
            )
            for row in self._all("runs", "start_time, run_uuid")
        ]

    def details(self, runs: list[Run]) -> Iterator[Details]:
        """Yield what was logged to each of some runs."""
        for run in runs:
            yield Details(
                params=self._pairs("params", run.id),
                tags=self._pairs("tags", run.id),
                metrics=self._metrics(run.id),
                datasets=self._datasets(run.id),
            )

    def _pairs(self, table: str, run: str) -> dict[str, str]:
        query = f"select key, value from {table} where run_uuid = ? order by key"  # noqa: S608  (our words)
        return {row["key"]: row["value"] or "" for row in self._rows(query, run)}

    def _metrics(self, run: str) -> dict[str, Columns]:
        found: dict[str, Columns] = {}
        query = (
            "select key, value, timestamp, step, is_nan from metrics where run_uuid = ? order by key, timestamp, step"
        )
        for row in self._rows(query, run):
            value = math.nan if row["is_nan"] else row["value"]
            if abs(value) >= _INFINITE:
                value = math.copysign(math.inf, value)
            columns = found.setdefault(row["key"], Columns())
            columns.step.append(row["step"])
            columns.time.append(row["timestamp"])
            columns.value.append(value)
        return found

    def _datasets(self, run: str) -> int:
        if "inputs" not in self._tables:
            return 0
        query = "select count(*) from inputs where source_type = 'DATASET' and destination_id = ?"
        return int(self._rows(query, run)[0][0])

    def logged_models(self) -> Iterable[LoggedModel]:
        """Return the models that runs have logged."""
        said: dict[str, dict[str, dict[str, str]]] = {}
        for kind, key in (("params", "param"), ("tags", "tag")):
            for row in self._all(f"logged_model_{kind}", "model_id"):
                section = said.setdefault(row["model_id"], {}).setdefault(kind, {})
                section[row[f"{key}_key"]] = row[f"{key}_value"]
        return [
            LoggedModel(
                id=row["model_id"],
                name=row["name"],
                run=row["source_run_id"] or "",
                experiment=str(row["experiment_id"]),
                uri=row["artifact_location"],
                created=row["creation_timestamp_ms"],
                said=said.get(row["model_id"], {}) | ({"type": row["model_type"]} if row["model_type"] else {}),
            )
            for row in self._all("logged_models", "creation_timestamp_ms, model_id")
            if row["lifecycle_stage"] != DELETED
        ]

    def registered(self) -> Iterator[Registered]:
        """Yield the registered models."""
        versions, aliases, of_versions, of_models = (
            self._all(table, "name")
            for table in (
                "model_versions",
                "registered_model_aliases",
                "model_version_tags",
                "registered_model_tags",
            )
        )
        for row in self._all("registered_models", "name"):
            name = row["name"]
            said = {
                "description": row.get("description"),
                "tags": {tag["key"]: tag["value"] for tag in of_models if tag["name"] == name},
            }
            yield Registered(
                name=name,
                aliases={alias["alias"]: int(alias["version"]) for alias in aliases if alias["name"] == name},
                said={key: value for key, value in said.items() if value},
                versions=sorted(
                    (
                        _version(each, [t for t in of_versions if (t["name"], t["version"]) == (name, each["version"])])
                        for each in versions
                        if each["name"] == name
                    ),
                    key=lambda version: version.number,
                ),
            )

    def files_in(self, folder: str) -> list[tuple[str, Stat]]:
        """Return the files in a folder of artifacts; none where its name leads out of this one."""
        if ".." in folder.split("/"):
            return []
        return sorted(self.root.walk(folder), key=lambda item: item[0])


def is_database(path: str) -> bool:
    """Tell whether a file on a local disk is a database of MLflow."""
    try:
        with contextlib.closing(open_database(path)) as connection:
            found = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    except (OSError, ValueError, sqlite3.DatabaseError):
        return False
    return {(table,) for table in _TABLES} <= {*found}


def _version(row: Mapping[str, Any], tags: list[dict[str, Any]]) -> Version:
    said = {
        "description": row.get("description"),
        "user_id": row.get("user_id"),
        "tags": {tag["key"]: tag["value"] for tag in tags},
        "stage": row.get("current_stage"),
    }
    return Version(
        number=int(row["version"]),
        created=row["creation_time"] or 0,
        changed=row["last_updated_time"] or 0,
        source=row["source"] or "",
        where=row.get("storage_location") or "",
        run=row["run_id"] or "",
        model="",
        stage=row.get("current_stage") or "",
        said={key: value for key, value in said.items() if value},
    )
