"""The place of a repository, and what is stored there as it was read last."""

import bisect
import functools
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, Shelf, from_entry
from lazytrack.artifacts.blobs import ARTIFACTS
from lazytrack.files import cached, open_files, split
from lazytrack.journal import Head, Journal, head_path, read_head
from lazytrack.journal.condemned import is_condemned
from lazytrack.repository.versions import ALIAS, FIELD, is_version, record_of

if TYPE_CHECKING:
    from lazytrack.files.cache import Cache

_LARGE_BYTES = 1_000_000
"""Before an artifact of this size is written, the store is read: an equal one may be there."""


class Place:
    """What of `Repository` is where it is and what it has read. Nothing is read before something is looked up.

    Parameters
    ----------
    fpath, author, cache, storage_options
        As for `Repository`.
    """

    def __init__(
        self,
        fpath: str | os.PathLike[str],
        author: str | None,
        cache: "Cache | str | os.PathLike[str] | bool",
        storage_options: dict[str, Any],
    ) -> None:
        self.fpath = head_path(fpath, kind="repository")
        self.author = naming.login() if author is None else codec.text(author, "author")
        self.storage_options = storage_options
        self._cache = cache
        self.dir, self._head_name = split(self.fpath)
        self._files = open_files(self.dir, **storage_options)
        inside = self._files.below(self._head_name.removesuffix(".json"))
        self.folder = inside.url
        """The folder of everything but the head."""
        self._inside = cached(inside, cache, ("packs", ARTIFACTS))
        self._journal = Journal(self._inside)
        self._shelf = Shelf(
            self._inside, learn=self._learn, is_condemned=functools.partial(is_condemned, self._journal)
        )
        self._lock = threading.RLock()
        self._head: Head | None = read_head(self._files, self._head_name, kind="repository")
        self._was_read = False
        self._stored: dict[str, dict[int, Artifact]] = {}
        """Each artifact's versions by number."""
        self._numbers: dict[str, list[int]] = {}
        """The numbers of each artifact's versions, ascending; some may be gone."""
        self._aliases: dict[str, dict[str, int]] = {}
        """By the record that keeps an artifact's aliases, which version each of them means."""
        self._names: dict[str, str] = {}
        """What is called so by the store, by the part of its path."""
        self._last: dict[str, int] = {}
        """The highest number that was seen, of deleted versions too, by the part of the path."""
        self._damaged: dict[str, str] = {}
        self.mode = "r"
        self._claims_hold = False
        """Whether the storage was seen to refuse a name that is taken."""

    @property
    def fs(self) -> Any:
        """The fsspec filesystem the repository is on."""
        return self._files.fs

    def refresh(self) -> None:
        """Read what others have written since; what was changed here and not saved yet stays as it is.

        Raises
        ------
        OSError
            When the store cannot be read.
        """
        with self._lock:
            touched = self._journal.refresh()
            self._was_read = True
            for record in touched:
                self._take(record)

    load = refresh

    @property
    def problems(self) -> dict[str, str]:
        """What is damaged in the store: file or record by name, with the reason."""
        self._read_once()
        return {**self._journal.problems, **self._damaged}

    def _read_once(self) -> None:
        if not self._was_read:
            self.refresh()

    def _take(self, record: str) -> None:
        """Take over what the journal says of a record by now."""
        fields = self._journal.fields(record)
        part, _, number = record.rpartition("/")
        if record.startswith("."):  # it is the store's own
            return
        if not is_version(record):
            self._aliases[record] = aliases_in(fields)
            return
        self._last[part] = max(self._last.get(part, -1), int(number))
        if self._journal.is_deleted(record):
            if (name := self._names.get(part)) is not None:
                self._stored[name].pop(int(number), None)
        elif self._is_whole(record, fields):
            name = self._names[part] = fields["name"]
            artifact = from_entry(name, fields[FIELD], record=record, field=FIELD)
            artifact.version = int(number)
            if "expiry" in fields:
                artifact.expiry = codec.parse_time(fields["expiry"])
            stored, numbers = self._stored.setdefault(name, {}), self._numbers.setdefault(name, [])
            if artifact.version not in stored:
                bisect.insort(numbers, artifact.version)
            stored[artifact.version] = artifact
            if artifact.stored is not None:
                self._shelf.know(artifact.stored)

    def _is_whole(self, record: str, fields: Mapping[str, Any]) -> bool:
        """Tell whether a record says what it has to; `problems` names one that does not."""
        name = fields.get("name")
        if not isinstance(name, str) or FIELD not in fields:
            reason = "is incomplete: no file that is there says what it is"
        elif record != record_of(name, int(record.rpartition("/")[2])):
            reason = f"says it is a version of {name!r:.50}, which it cannot be"
        elif "expiry" in fields and not codec.is_time(fields["expiry"]):
            reason = f"says it expires at {fields['expiry']!r:.50}, which is no time"
        else:
            self._damaged.pop(f"record {record}", None)
            return True
        self._damaged[f"record {record}"] = reason
        return False

    def _learn(self, size: int) -> None:
        if size >= _LARGE_BYTES:
            self._read_once()


def aliases_in(fields: Mapping[str, Any]) -> dict[str, int]:
    """Return each alias with its version, of those that the fields of a record say."""
    found = {field[len(ALIAS) :]: value for field, value in fields.items() if field.startswith(ALIAS)}
    return {alias: value for alias, value in found.items() if type(value) is int}
