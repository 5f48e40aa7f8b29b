"""What projects and repositories offer to those who look after them."""

import abc

from lazytrack.journal import Head
from lazytrack.maintenance.checking import Findings, check
from lazytrack.maintenance.collecting import Garbage, collect
from lazytrack.maintenance.store import Store


class Maintained(abc.ABC):
    """A store that can be kept small and sound, while others go on logging to it."""

    _head: Head | None

    @property
    def exists(self) -> bool:
        """Whether it is stored: one that was just begun is, once something of it is saved."""
        return self._head is not None

    def gc(self, *, dry_run: bool = True) -> Garbage:
        """Find the files that nobody needs any more, and delete them.

        Those are: files of artifacts that were overwritten, or expired a day ago, files of experiments or versions
        that were deleted, of histories that were merged into larger files, and what saves left that did not succeed.
        What is younger than 24 hours stays. Of what has expired that stays on which another experiment of the project
        depends; or which, in a repository, an alias means, or a release in the file ``releases.json`` beside it.

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
            Do what is safe: put torn files aside, delete what dead writers left, claim numbers of versions again, and
            name an equal file where one is missing or altered.

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

    def pack(self, *, everything: bool = False) -> list[str]:
        """Pack many small files of the log into few, whoever wrote them, and return the names of the packs written.

        Who saves packs now and then as it is; this is for a store that nobody writes to any more.

        Parameters
        ----------
        everything
            Merge all there is into one file, however large.

        Raises
        ------
        ReadOnlyError
            In mode ``r``.
        OSError
            When the store cannot be read, or written to.
        """
        self._check_writable("pack it")
        return self._as_store().journal.pack(everything=everything)

    @abc.abstractmethod
    def _check_writable(self, what: str) -> None:
        """Refuse to change a store that is open for reading only."""

    @abc.abstractmethod
    def _as_store(self) -> Store:
        """Return the store as those see it who look after it."""
