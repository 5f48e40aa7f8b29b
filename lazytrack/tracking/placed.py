"""Values of a record that are there before the save that names them: outputs of steps, whose files are written."""

import functools
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.artifacts import Artifact, StoredFile, from_entry, to_entry
from lazytrack.artifacts.reuse import Named, confirm
from lazytrack.artifacts.trust import signed
from lazytrack.errors import SaveError
from lazytrack.provenance.kept import Shared
from lazytrack.tracking.changes import Changes
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import MISSING, STEPS
from lazytrack.tracking.origins import Origins
from lazytrack.tracking.owner import Owner

ARTIFACT = "artifacts."
"""What the fields of artifacts begin with."""


@attrs.frozen(kw_only=True)
class Entry:
    """An artifact as a record has it.

    Parameters
    ----------
    name
        Of the artifact.
    said
        What the record says of it, as strict JSON.
    """

    name: str
    said: dict[str, Any]

    @property
    def digest(self) -> str:
        """The sha256 of its file, in hexadecimal."""
        return str(self.said["sha256"])

    @property
    def path(self) -> str:
        """Of its file, in the store."""
        return str(self.said["path"])

    def artifact(self, record: str) -> Artifact:
        """Return its handler."""
        return from_entry(self.name, self.said, record=record, field=ARTIFACT + self.name)


@attrs.frozen(kw_only=True, eq=False)
class Written:
    """An artifact whose file is there, and which no record names yet.

    Parameters
    ----------
    entry
        What the record is going to say.
    stored
        The file.
    artifact
        What it was written from, where that can be written again.
    """

    entry: Entry
    stored: StoredFile
    artifact: Artifact | None = None


def write_file(owner: Owner, record: str, artifact: Artifact, folder: str) -> Written:
    """Write the file of an artifact that a record is going to have; nothing names it yet.

    Parameters
    ----------
    folder
        Where it is put, with others; see `lazytrack.artifacts.Shelf.write`.

    Raises
    ------
    Exception
        Whatever its handler raises; then there is no file.
    """
    stored = owner._shelf.write(artifact, owner=record, folder=folder)
    stored = signed(artifact, stored, record=record, field=ARTIFACT + artifact.name)
    said = to_entry(artifact, stored)
    codec.dumps(said)
    return Written(entry=Entry(name=artifact.name, said=said), stored=stored, artifact=artifact)


class Placed(Origins):
    """What of `Experiment` is values that were made before they are saved."""

    __slots__ = ("_code_files", "_ready", "_unconfirmed")

    def _set_up(self, owner: Owner, slug: str, ledger: Ledger) -> None:
        super()._set_up(owner, slug, ledger)
        self._ready: dict[str, Any] = {}
        """By field, as strict JSON."""
        self._code_files: dict[str, Shared] = {}
        """Files that its steps name for their code, by digest."""
        self._unconfirmed: list[Named] = []
        """Files that were there already, as far as was known when they were named."""

    def _name_file(self, written: "Written") -> None:
        """Have the next save name a file that is there."""
        entry, stored, owner = written.entry, written.stored, self._owner
        with self._ledger.lock:
            self._set_field(ARTIFACT + entry.name, entry.said)
            if self._artifacts is not None:
                self._artifacts[entry.name] = entry.artifact(self.slug)
            if owner._shelf.is_recent(stored):
                return
            artifact = written.artifact
            renew: Callable[[], StoredFile] = (
                functools.partial(owner._shelf.renew, stored)
                if artifact is None
                else functools.partial(_written_anew, owner, artifact, stored)
            )
            self._unconfirmed.append(
                Named(record=self.slug, field=ARTIFACT + entry.name, value=entry.said, stored=stored, renew=renew)
            )

    def _has_field(self, field: str) -> bool:
        """Tell whether a field has a value, saved or not."""
        unsaved = field in self._ledger.changed or field in self._ledger.taken
        return unsaved or self._owner._journal.get(self.slug, field) is not None

    def _set_field(self, field: str, value: Any) -> None:
        """Have the next save write a field; its value, strict JSON, is not modified afterwards."""
        with self._ledger.lock:
            self._ledger.note(field)
            self._ready[field] = value

    def _commit(self, fields: Iterable[str] = ()) -> None:
        """Save what has changed, unless another thread has just done so with these fields.

        Raises
        ------
        SaveError
            When one of these fields could not be saved. What else could not be stays dirty.
        """
        ledger, owner = self._ledger, self._owner
        with owner._saving():
            wanted = set(fields)
            if wanted and wanted.isdisjoint(ledger.changed):
                return
            try:
                owner._save(only=self)
            except SaveError:
                if not wanted or not wanted.isdisjoint(ledger.changed):
                    raise
            self._confirm()

    def _confirm(self) -> None:
        """Make sure that files which were there already still are, now that a save has named them."""
        with self._ledger.lock:
            named, self._unconfirmed = self._unconfirmed, []
        if not named:
            return
        owner = self._owner
        try:
            failed = confirm(owner._journal, owner._shelf, named, by=owner.author, refresh=owner._look_again)
        except OSError:
            self._unconfirmed = [*named, *self._unconfirmed]
            raise
        for each in named:
            stored = owner._journal.get(each.record, each.field)
            if stored is not None:
                self._ready[each.field] = stored
        if failed:
            lost, error = failed[0]
            raise SaveError(f"{lost.field} of {lost.record} was collected before the save came to name it: {error}")

    # --- as the rest of an experiment sees them ---

    def _current(self, field: str) -> Any:
        made = self._ready.get(field, MISSING)
        if made is MISSING or self._is_logged_again(field):
            return super()._current(field)
        return made

    def _is_logged_again(self, field: str) -> bool:
        artifacts = self._artifacts
        if artifacts is None or not field.startswith(ARTIFACT):
            return False
        there = artifacts.get(field[len(ARTIFACT) :])
        return there is None or there.dirty

    def _artifact_map(self) -> dict[str, Artifact]:
        with self._ledger.lock:
            if self._artifacts is None:
                artifacts = super()._artifact_map()
                for field in [*self._ledger.taken, *self._ledger.changed]:
                    if field.startswith(ARTIFACT) and field in self._ready:
                        name = field[len(ARTIFACT) :]
                        artifacts[name] = Entry(name=name, said=self._ready[field]).artifact(self.slug)
            return super()._artifact_map()

    def _take_changes(self) -> Changes:
        changes = super()._take_changes()
        if "lazytrack.provenance.redact.told" in sys.modules:  # without it, nobody has told of a secret
            from lazytrack.provenance.redact.told import mask_told  # noqa: PLC0415

            changes.set = {field: _masked(field, value, mask_told) for field, value in changes.set.items()}
        if self._code_files:
            changes.shared = [*changes.shared, *self._code_files.values()]
        return changes


_SAID_BY_USERS = re.compile(r"(tests\.[^.]+\.)?parameters\.|notes$|error$")
_SAID_OF_STEPS = {"metadata", "output_metadata", "parameters", "error", "why", "attempts", "config"}


def _masked(field: str, value: Any, mask: Callable[[Any], Any]) -> Any:
    """Return a value without what was told to be secret, where people say something; paths and digests stay."""
    if field.startswith(STEPS) and isinstance(value, dict):
        return {key: mask(said) if key in _SAID_OF_STEPS else said for key, said in value.items()}
    return mask(value) if _SAID_BY_USERS.match(field) else value


def _written_anew(owner: Owner, artifact: Artifact, stored: StoredFile) -> StoredFile:
    """Write an artifact's file again, from the object."""
    fresh = owner._shelf.write(artifact, owner=stored.record, anew=True)
    return signed(artifact, fresh, record=stored.record, field=stored.field)
