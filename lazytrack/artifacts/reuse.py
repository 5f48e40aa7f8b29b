"""Files that a save names though they were there already: whether they still are, once it has named them."""

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from lazytrack.artifacts.base import StoredFile
from lazytrack.artifacts.shelf import Shelf
from lazytrack.errors import ArtifactLogError
from lazytrack.journal import Journal


@attrs.define(kw_only=True, eq=False)
class Named:
    """A file that a save names.

    Parameters
    ----------
    record, field, value
        Where, and what the record says there.
    stored
        The file.
    renew
        Writes a copy that nobody else has in mind.
    """

    record: str
    field: str
    value: Any
    stored: StoredFile
    renew: Callable[[], StoredFile]


def confirm(
    journal: Journal, shelf: Shelf, named: Iterable[Named], *, by: str, refresh: Callable[[], Any]
) -> list[tuple[Named, Exception]]:
    """Make sure that the files are there that a log file of this process names, now that it is durable.

    One that is condemned or gone is written anew, and named by another log file; see `lazytrack.journal.condemned`.

    Parameters
    ----------
    refresh
        Reads what is new in the store.

    Returns
    -------
    list
        Files that are gone everywhere, with what went wrong.

    Raises
    ------
    OSError
        When the storage does not say.
    """
    doubtful = [each for each in named if not shelf.is_recent(each.stored)]
    if not doubtful:
        return []
    refresh()
    failed: list[tuple[Named, Exception]] = []
    values: dict[tuple[str, str], Any] = {}
    for each in doubtful:
        if journal.get(each.record, each.field) != each.value:
            continue  # somebody has put something newer there, which must not be undone
        if not shelf.is_lost(each.stored):
            continue
        try:
            fresh = _renewed(each)
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  (a handler may raise anything)
            failed.append((each, error))
            continue
        place = each.record, each.field
        values[place] = replaced(values.get(place, each.value), each.stored.path, fresh)
        each.stored = fresh
    changes: dict[str, dict[str, Any]] = {}
    for (record, field), value in values.items():
        changes.setdefault(record, {"record": record, "set": {}})["set"][field] = value
    if changes:
        journal.append(changes.values(), by=by)
    return failed


def _renewed(named: Named) -> StoredFile:
    fresh = named.renew()
    if named.stored.parts is None and fresh.sha256 != named.stored.sha256:
        raise ArtifactLogError("its file was collected meanwhile, and writing it again gives something else")
    return fresh


def replaced(value: Any, path: str, file: StoredFile) -> Any:
    """Return what a record says, with another file, and its signature if it has one, in the place of that at `path`."""
    if isinstance(value, list):
        return [replaced(item, path, file) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("path") != path:
        return {key: replaced(item, path, file) for key, item in value.items()}
    signature = {"signature": file.signature} if file.signature is not None else {}
    return {**value, "path": file.path, "sha256": file.sha256, "size": file.size, **signature}
