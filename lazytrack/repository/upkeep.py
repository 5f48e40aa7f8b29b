"""Upkeep of a repository: what its versions, aliases and releases need, for collecting garbage and for checking."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.artifacts import StoredFile
from lazytrack.artifacts.entries import stored_in
from lazytrack.errors import ReadOnlyError
from lazytrack.maintenance import Findings, Garbage, Need, Store, check, collect, needs_in
from lazytrack.repository.catalog import Catalog
from lazytrack.repository.place import aliases_in
from lazytrack.repository.versions import FIELD, aliases_of, claim_content, claim_of, is_version, record_of

RELEASES = "releases.json"
"""The file of releases beside a repository."""
_UNREADABLE = (ValueError, TypeError, KeyError, OSError)


class Upkeep(Catalog):
    """What of `Repository` is looking after its files."""

    def gc(self, *, dry_run: bool = True) -> Garbage:
        """Find the files that no version needs, and delete them.

        Those are: files of versions that were deleted, of versions that expired a day ago, and what saves left that
        did not succeed. What is younger than 24 hours stays, and so does a version that has expired and that an alias,
        or a release in the file ``releases.json`` beside the repository, means. Others may go on logging meanwhile.

        Parameters
        ----------
        dry_run
            Only tell which file may go or must stay, and why.

        Raises
        ------
        ReadOnlyError
            In mode ``r``, but for a dry run.
        OSError
            When the store cannot be read, or a file cannot be deleted.
        """
        if not dry_run:
            self._check_writable("collect its garbage")
        with self._lock:
            return collect(self._as_store(), dry_run=dry_run)

    def fsck(self, *, digests: bool = True, repair: bool = False) -> Findings:
        """Look through the whole store, and return what is not as it should be; nothing where all is well.

        Parameters
        ----------
        digests
            Read every file that is needed; otherwise only their sizes are compared.
        repair
            Do what is safe: put torn files aside, delete what dead writers left, make claims again, and name an equal
            file where one is missing or altered.

        Raises
        ------
        ReadOnlyError
            To repair in mode ``r``.
        OSError
            When the store cannot be read, or repaired.
        """
        if repair:
            self._check_writable("repair it")
        with self._lock:
            return check(self._as_store(), digests=digests, repair=repair)

    def _check_writable(self, what: str) -> None:
        if self.mode == "r":
            raise ReadOnlyError(f"{self.fpath} was opened for reading only: open it with mode='w+' to {what}")

    def _as_store(self) -> Store:
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
                    yield attrs.evolve(need, until=None, why=keeper)
                elif "expiry" in fields and codec.is_time(fields["expiry"]):
                    yield attrs.evolve(need, until=codec.parse_time(fields["expiry"]), why=f"version {record}")
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

    # --- claims ---

    def _missing_claims(self) -> dict[str, bytes]:
        """Return the claims of versions that are there, and whose number could be given again."""
        missing = {}
        for name, versions in self._stored.items():
            claims = set(self._inside.names(claim_of(name, 0).rpartition("/")[0]))
            for number in versions:
                if claim_of(name, number).rpartition("/")[2] not in claims:
                    missing[claim_of(name, number)] = claim_content()
        return missing


def _files_of(field: str, value: Any, record: str) -> list[StoredFile]:
    stored = stored_in(value, record=record, field=field) if field == FIELD else None
    return [] if stored is None else [stored]
