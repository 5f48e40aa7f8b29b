"""One save: what has changed becomes artifact files, then one log file; what fails becomes dirty again."""

import warnings
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.artifacts import Artifact, StoredFile, to_entry
from lazytrack.artifacts.trust import is_trusted, signed
from lazytrack.errors import LazytrackError, RecordDeletedError, SaveError
from lazytrack.files import Files
from lazytrack.journal import Head, Patch, write_head
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import MISSING, file_of
from lazytrack.tracking.owner import Owner


@attrs.define(kw_only=True, eq=False)
class Changes:
    """What one save takes from an experiment.

    Parameters
    ----------
    slug
        Of the experiment.
    ledger
        Where the changes were noted.
    fields
        What was noted.
    set, unset
        Of the patch.
    artifacts
        Those to be written first, by field.
    """

    slug: str
    ledger: Ledger
    fields: list[str] = attrs.Factory(list)
    set: dict[str, Any] = attrs.Factory(dict)
    unset: list[str] = attrs.Factory(list)
    artifacts: dict[str, Artifact] = attrs.Factory(dict)

    def add(self, field: str, value: Any) -> None:
        """Add a field with its strict JSON, with an artifact that is to be written, or with `MISSING`."""
        if value is MISSING:
            self.unset.append(field)
        elif isinstance(value, Artifact):
            self.artifacts[field] = value
        else:
            self.set[field] = value

    def give_back(self) -> None:
        """Note as changed again whatever was not written."""
        self.ledger.give_back(self.fields)
        self.fields = []

    def patch(self) -> dict[str, Any]:
        """Return the changes as the journal takes them."""
        patch: dict[str, Any] = {"record": self.slug}
        if self.set:
            patch["set"] = self.set
        if self.unset:
            patch["unset"] = self.unset
        return patch


def make_head(files: Files, name: str) -> Head:
    """Write a project's head.

    Raises
    ------
    SaveError
        When it cannot be written.
    """
    try:
        return write_head(files, name, kind="project")
    except OSError as error:
        raise SaveError(f"{files.url}/{name} cannot be written, so nothing was saved: {_reason(error)}") from error


def write(owner: Owner, taken: list[Changes], *, copies: list[Patch], doomed: list[str]) -> None:
    """Write `taken`, patches of other projects with their files, and deletes of the records in `doomed`.

    Afterwards `copies` holds what could not be written of it.

    Raises
    ------
    SaveError
        When something could not be written; that is still among the `fields` of its changes, or noted again.
    RecordDeletedError
        When somebody deleted a record; its changes are dropped, everything else was written.
    """
    journal = owner._journal
    living = [changes for changes in taken if not journal.is_deleted(changes.slug)]
    outcome = _Outcome()
    try:
        for changes in living:
            _write_artifacts(owner, changes, outcome)
        patches = [changes.patch() for changes in living if changes.fields]
        patches += [{"record": record, "delete": True} for record in doomed]
        whole = [_copy_files(owner, patch, outcome) for patch in copies]
        if patches or whole:
            journal.append(patches, by=owner.author, copies=[patch for patch in whole if patch])
    except (OSError, OverflowError, TypeError) as error:
        raise SaveError(f"{owner.fpath}: nothing was saved, all of it stays dirty: {_reason(error)}") from error
    for changes in taken:  # a change to what was deleted is dropped
        changes.fields = []
    copies[:] = outcome.left
    outcome.settle(owner)
    if gone := [changes.slug for changes in taken if changes not in living]:
        raise RecordDeletedError(
            f"{', '.join(gone)}: deleted by somebody, for good; what was logged to it since is dropped. "
            "All other changes were saved"
        )


@attrs.define(eq=False)
class _Outcome:
    """What became of the artifacts of one save."""

    written: list[tuple[Artifact, StoredFile]] = attrs.Factory(list)
    copied: list[StoredFile] = attrs.Factory(list)
    left: list[Patch] = attrs.Factory(list)
    failed: list[tuple[str, Exception]] = attrs.Factory(list)

    def settle(self, owner: Owner) -> None:
        """Call the written ones saved, now that a log file names them, and report the others."""
        for file in self.copied:
            owner._elsewhere.pop((file.path, file.sha256), None)
        for artifact, stored in self.written:
            artifact.stored, artifact.value, artifact.dirty = stored, None, False
            if artifact.output_only:
                warnings.warn(
                    f"artifact {artifact.name!r} was saved by the handler {artifact.alias!r}, which only writes: "
                    "it cannot be loaded back",
                    UserWarning,
                    stacklevel=5,
                )
        if self.failed:
            names = "; ".join(f"{name}: {_reason(error)}" for name, error in self.failed)
            raise SaveError(
                f"{owner.fpath}: all was saved but {names}. What is named stays dirty; "
                "log_artifact(..., overwrite=True) puts another in its place, delete(slug) gives it up"
            ) from self.failed[0][1]


def _write_artifacts(owner: Owner, changes: Changes, outcome: _Outcome) -> None:
    """Write an experiment's artifact files; one that fails is dirty again and does not stop the others."""
    for field, artifact in changes.artifacts.items():
        try:
            stored = _stored(owner, artifact, changes.slug, field, outcome)
            entry = to_entry(artifact, stored)
            codec.dumps(entry)
        except Exception as error:  # noqa: BLE001  (a handler may raise anything)
            outcome.failed.append((f"artifact {artifact.name!r} of {changes.slug}", error))
            changes.ledger.give_back([field])
            changes.fields.remove(field)
        else:
            outcome.written.append((artifact, stored))
            changes.set[field] = entry


def _stored(owner: Owner, artifact: Artifact, record: str, field: str, outcome: _Outcome) -> StoredFile:
    """Return an artifact's file, which is written, copied, or there already, with a signature for its new place."""
    if artifact.dirty or artifact.stored is None:
        return signed(artifact, owner._shelf.write(artifact, owner=record), record=record, field=field)
    _copy_file(owner, artifact.stored, outcome)
    if is_trusted(artifact):
        return signed(artifact, artifact.stored, record=record, field=field)
    return attrs.evolve(artifact.stored, record=record, field=field)


def _copy_files(owner: Owner, patch: Patch, outcome: _Outcome) -> Patch | None:
    """Copy the files that a patch of another project names, and return what can be written of it."""
    kept, left = {}, {}
    for field, value in patch.get("set", {}).items():
        try:
            if (file := file_of(field, value, patch["record"])) is not None:
                _copy_file(owner, file, outcome)
        except (LazytrackError, OSError) as error:
            outcome.failed.append((f"{field} of {patch['record']}", error))
            left[field] = value
        else:
            kept[field] = value
    if not left:
        return patch
    bare = {key: value for key, value in patch.items() if key not in {"set", "unset"}}
    outcome.left.append(bare | {"set": left})
    unset = {"unset": patch["unset"]} if "unset" in patch else {}
    return bare | unset | ({"set": kept} if kept else {}) if kept or unset else None


def _copy_file(owner: Owner, file: StoredFile, outcome: _Outcome) -> None:
    if (source := owner._place_of(file)) is not owner:
        owner._shelf.copy(file, source._shelf)
        outcome.copied.append(file)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
