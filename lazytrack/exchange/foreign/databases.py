"""Sqlite databases that others have made, opened to be read and never written."""

import sqlite3
import stat
from pathlib import Path


def open_database(path: str) -> sqlite3.Connection:
    """Open a database on a local disk; what is not there is not made.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ValueError
        When it is a folder.
    """
    where = Path(path).absolute()
    if stat.S_ISDIR(where.stat().st_mode):
        raise ValueError(f"{where} is no sqlite database: it is a folder")
    connection = sqlite3.connect(f"{where.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.execute("pragma query_only = 1")
    return connection
