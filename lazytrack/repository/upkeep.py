"""Upkeep of a repository: what its versions, aliases and releases need, for collecting garbage and for checking."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.artifacts import StoredFile
from lazytrack.artifacts.entries import stored_in
from lazytrack.errors import ReadOnlyError
from lazytrack.journal import read_head
from lazytrack.maintenance import Maintained, Need, Store, needs_in
from lazytrack.repository.catalog import Catalog
from lazytrack.repository.place import aliases_in
from lazytrack.repository.versions import FIELD, aliases_of, claim_content, claim_of, is_version, record_of

RELEASES = "releases.json"
"""The file of releases beside a repository."""
_UNREADABLE = (ValueError, TypeError, KeyError, OSError)


class Upkeep(Catalog, Maintained):
    """What of `Repository` is looking after its files."""

    def _check_writable(self, what: str) -> None:
        if self.mode == "r":
            raise ReadOnlyError(f"{self.fpath} was opened for reading only: open it with mode='w+' to {what}")

    def _as_store(self) -> Store:
        self._head = self._head or read_head(self._files, self._head_name, kind="repository")
        if self._head is None:
            raise FileNotFoundError(f"there is no repository at {self.fpath}, or nothing of it is saved yet")
        return Store(
            url=self.folder,
            files=self._inside,
            journal=self._journal,
            shelf=self._shelf,
            needs=self._needs,
            problems=lambda: self.problems,
            refresh=self.refresh,
            releases=self._broken_releases,
            missing_claims=self._missing_claims,
            by=self.author,
        )

    def _needs(self) -> Iterator[Need]:
        journal = self._journal
        released: dict[str, str] = {}
        with contextlib.suppress(*_UNREADABLE):  # which is an obstacle of its own
            released = dict(self._released())
        for record in journal.created():
            if record.startswith("."):
                continue
            fields = journal.fields(record)
            keeper = self._keeper(record, fields, released) if is_version(record) else None
            for field, need in needs_in(record, fields, _files_of):
                if field != FIELD:
                    yield need
                elif keeper is not None:
                    may_be_gone = need.may_be_gone or "expiry" in fields
                    yield attrs.evolve(need, until=None, may_be_gone=may_be_gone, pinned=True, why=keeper)
                elif "expiry" in fields and codec.is_time(fields["expiry"]):
                    expiry = codec.parse_time(fields["expiry"])
                    yield attrs.evolve(need, until=expiry, may_be_gone=True, why=f"version {record}")
                else:
                    yield attrs.evolve(need, why=f"version {record}")

    def _keeper(self, record: str, fields: Mapping[str, Any], released: dict[str, str]) -> str | None:
        """Say why a version is needed though it may have expired; None where nothing says so."""
        name, number = fields.get("name"), int(record.rpartition("/")[2])
        if isinstance(name, str):
            for alias, meant in aliases_in(self._journal.fields(aliases_of(name))).items():
                if meant == number:
                    return f"version {record}, which is {alias!r}"
        return f"version {record}, which is in release {released[record]!r}" if record in released else None

    # --- releases ---

    def _broken_releases(self) -> str | None:
        """Say why the releases beside the repository cannot be read; None where they can, or there are none."""
        try:
            self._released()
        except _UNREADABLE as error:
            return f"{RELEASES} cannot be read ({error}), and may need what has expired"
        return None

    def _released(self) -> Iterator[tuple[str, str]]:
        """Return the records of versions that are in releases, each with the tag of one of them."""
        files = self._files
        if RELEASES not in files.names(""):
            return iter(())
        pairs = []
        for release in codec.loads(files.read(RELEASES)):
            for name, number in release["artifacts"]:
                pairs.append((record_of(name, int(number)), str(release["tag"])))
        return iter(pairs)

    def _released_as(self, record: str) -> str | None:
        """Return the tag of a release that a version is in; None where it is in none.

        Raises
        ------
        ValueError
            When the releases beside the repository cannot be read.
        """
        if (unreadable := self._broken_releases()) is not None:
            raise ValueError(unreadable)
        return dict(self._released()).get(record)

    # --- claims ---

    def _missing_claims(self) -> dict[str, bytes]:
        """Return the claims of versions that are there, and whose number could be given again."""
        missing = {}
        with self._lock:
            stored = {name: list(versions) for name, versions in self._stored.items()}
        for name, versions in stored.items():
            claims = set(self._inside.names(claim_of(name, 0).rpartition("/")[0]))
            for number in versions:
                if claim_of(name, number).rpartition("/")[2] not in claims:
                    missing[claim_of(name, number)] = claim_content()
        return missing


def _files_of(field: str, value: Any, record: str) -> list[StoredFile]:
    stored = stored_in(value, record=record, field=field) if field == FIELD else None
    return [] if stored is None else [stored]
