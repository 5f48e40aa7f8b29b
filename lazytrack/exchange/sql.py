"""SQL over what was logged: tables that are made when a query names them, in a DuckDB of this process."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lazytrack import extras
from lazytrack.exchange.columns import to_arrow

if TYPE_CHECKING:
    import duckdb

Columns = Mapping[str, Sequence[Any]]
_QUERIES = {"SELECT", "EXPLAIN", "CALL", "PRAGMA", "MULTI", "SET", "ATTACH", "DETACH", "LOAD"}
"""What DuckDB calls the statements that leave the tables as they are; a pivot is several in one."""
_OF_ALL = re.compile(r"\b(show|information_schema|pragma|duckdb_(tables|columns))\b", re.IGNORECASE)
"""What asks which tables there are."""


class Database:
    """A DuckDB in memory whose tables are those of one project.

    Parameters
    ----------
    tables
        What makes each table, by its name: its columns, and the types of those that do not depend on what is in them.

    Raises
    ------
    ModuleNotFoundError
        When duckdb or pyarrow is not installed: ``pip install 'lazytrack[duckdb]'``.
    """

    def __init__(self, tables: Mapping[str, Callable[[], tuple[Columns, Mapping[str, type]]]]) -> None:
        duckdb = extras.load("duckdb")
        self._error = duckdb.Error
        self._connection = duckdb.connect()
        self._connection.execute("set global timezone = 'UTC'")
        self._tables = tables
        self._states: dict[str, object] = {}
        """The state of the project that each table is of."""
        self._lock = threading.Lock()

    def query(self, text: str, state: object) -> "duckdb.DuckDBPyRelation":
        """Return what a query finds.

        Parameters
        ----------
        state
            Of the project: tables of another one are made anew.

        Raises
        ------
        ValueError
            When it is no query, or asks for what is not there; with what DuckDB has to say.
        """
        with self._lock:
            for name in self._tables:
                # What is mentioned without being asked costs no more than being made.
                is_named = re.search(rf'\b{name}\b"?(?!\s*\.)', text, re.IGNORECASE) or _OF_ALL.search(text)
                if is_named and self._states.get(name, self) != state:
                    self._make(name)
                    self._states[name] = state
            # A connection does one thing at a time, and what is found is read later, by whichever thread.
            connection = self._connection.cursor()
            found: duckdb.DuckDBPyRelation | None = None
            try:
                if {statement.type.name for statement in connection.extract_statements(text)} <= _QUERIES:
                    found = connection.sql(text)
            except self._error as error:
                raise ValueError(f"{error}; tables are {', '.join(self._tables)}") from error
        if found is None:
            raise ValueError("that is no query: it finds nothing; begin it with select, from, with or describe")
        return found

    def _make(self, name: str) -> None:
        """Make a table. It is DuckDB's own: asking it is quicker than asking what it was made from."""
        made = to_arrow(*self._tables[name]())
        self._connection.register("lazytrack_made", made)
        self._connection.execute(f'create or replace table "{name}" as from lazytrack_made')
        self._connection.unregister("lazytrack_made")
