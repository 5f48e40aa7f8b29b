"""What those who save and those who collect garbage agree on: which files nobody names again, and which are safe.

Why it is safe. Whoever collects says in the store which files are condemned, then reads the store, then deletes those
that nobody names. Whoever saves and names a file that was there already reads the store once its own log file is
durable. One of the two comes later: either the collector sees the file named and leaves it, or the saver sees it
condemned or gone, and writes a copy of its own before the save returns. A file that was written less than
`SAFE_SECONDS` ago needs no such look, as collectors leave alone what is younger than `GRACE_SECONDS`.
"""

from lazytrack.journal.journal import Journal

RECORD = ".gc"
"""The record in which collectors say what they do."""
CONDEMNED = "condemned."
"""What the fields begin with that condemn a file; its path follows."""
SAFE_SECONDS = 12 * 3600
GRACE_SECONDS = 24 * 3600


def is_condemned(journal: Journal, path: str) -> bool:
    """Tell whether a file is condemned, as far as the store was read."""
    return journal.get(RECORD, CONDEMNED + path) is not None


def condemned(journal: Journal) -> list[str]:
    """Return the paths of the files that are condemned, as far as the store was read."""
    return [field[len(CONDEMNED) :] for field in journal.fields(RECORD) if field.startswith(CONDEMNED)]
