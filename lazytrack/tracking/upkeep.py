"""Upkeep of a project: what its experiments need, for collecting garbage and for checking the store."""

from collections.abc import Iterator

import attrs

from lazytrack.maintenance import Findings, Garbage, Need, Store, check, collect, needs_in
from lazytrack.tracking.dependencies import FIELD
from lazytrack.tracking.logged import files_of
from lazytrack.tracking.runs import Runs


class Upkeep(Runs):
    """What of `Project` is looking after its files."""

    def gc(self, *, dry_run: bool = True) -> Garbage:
        """Find the files that no experiment needs, and delete them.

        Those are: files of artifacts that were overwritten, of experiments that were deleted, of histories that were
        merged into larger files, of artifacts that expired a day ago, and what saves left that did not succeed. What
        is younger than 24 hours stays, and so does what an experiment needs that another one of this project depends
        on. Everything else of the project stays as it is, and others may go on logging meanwhile.

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
        return collect(self._as_store(), dry_run=dry_run)

    def fsck(self, *, digests: bool = True, repair: bool = False) -> Findings:
        """Look through the whole store, and return what is not as it should be; nothing where all is well.

        Parameters
        ----------
        digests
            Read every file that is needed; otherwise only their sizes are compared.
        repair
            Do what is safe: put torn files aside, delete what dead writers left, and name an equal file where one is
            missing or altered.

        Raises
        ------
        ReadOnlyError
            To repair in mode ``r``.
        OSError
            When the store cannot be read, or repaired.
        """
        if repair:
            self._check_writable("repair it")
        return check(self._as_store(), digests=digests, repair=repair)

    def _as_store(self) -> Store:
        return Store(
            url=self.folder,
            files=self._journal.files,
            journal=self._journal,
            shelf=self._shelf,
            needs=self._needs,
            problems=lambda: self.problems,
            refresh=self.refresh,
            by=self.author,
        )

    def _needs(self) -> Iterator[Need]:
        records = [record for record in self._journal.created() if not record.startswith(".")]
        upstream: dict[str, str] = {}
        """Who depends on an experiment."""
        for record in records:
            for field, value in self._journal.fields(record).items():
                if field.startswith(FIELD) and isinstance(value, str):
                    upstream[value.rpartition("|")[2]] = record
        for record in records:
            for _, need in needs_in(record, self._journal.fields(record), files_of):
                if need.until is not None and record in upstream:
                    yield attrs.evolve(need, until=None, why=f"{need.why}, on which {upstream[record]} depends")
                else:
                    yield need
