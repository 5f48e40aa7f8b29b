"""One save: what has changed becomes artifact files, then one log file; what fails becomes dirty again."""

import warnings
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.artifacts import Artifact, StoredFile, to_entry
from lazytrack.artifacts.trust import is_trusted, signed
from lazytrack.errors import ArtifactLogError, LazytrackError, RecordDeletedError, SaveError
from lazytrack.files import Files
from lazytrack.journal import Head, Patch, write_head
from lazytrack.series import FOLDER, SERIES, Written
from lazytrack.tracking.curves import Taken
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import MISSING, files_of
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
        What was noted, each with the logical time its value is of where it has one.
    set, unset
        Of the patch.
    earlier
        Patches of values that are of an earlier time, because copies of them have gone elsewhere, by that time.
    artifacts
        Those to be written first, by field.
    taken
        Points to be written first.
    """

    slug: str
    ledger: Ledger
    author: str
    fields: dict[str, str | None] = attrs.Factory(dict)
    set: dict[str, Any] = attrs.Factory(dict)
    unset: list[str] = attrs.Factory(list)
    earlier: dict[str, Patch] = attrs.Factory(dict)
    artifacts: dict[str, Artifact] = attrs.Factory(dict)
    taken: Taken | None = None

    def add(self, field: str, value: Any, at: str | None = None) -> None:
        """Add a field with its strict JSON, with an artifact or points that are to be written, or with `MISSING`."""
        if isinstance(value, Artifact):
            self.artifacts[field] = value
        elif isinstance(value, Taken):
            self.taken = value
        elif at is not None:
            patch = self.earlier.setdefault(at, {"at": at, "by": self.author, "record": self.slug})
            add_to(patch, field, value)
        elif value is MISSING:
            self.unset.append(field)
        else:
            self.set[field] = value

    def end(self) -> None:
        """Note as changed again whatever is still among the `fields`: it was not written."""
        self.ledger.settle(self.fields)
        self.fields = {}

    def patch(self) -> dict[str, Any]:
        """Return the changes as the journal takes them."""
        patch: dict[str, Any] = {"record": self.slug}
        if self.set:
            patch["set"] = self.set
        if self.unset:
            patch["unset"] = self.unset
        return patch


def add_to(patch: Patch, field: str, value: Any) -> None:
    """Add a field to a patch, with its strict JSON or `MISSING`."""
    if value is MISSING:
        patch.setdefault("unset", []).append(field)
    else:
        patch.setdefault("set", {})[field] = value


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
            _write_points(owner, changes, outcome)
        patches = [changes.patch() for changes in living if changes.fields]
        patches += [{"record": record, "delete": True} for record in doomed]
        noted = {(changes.slug, field) for changes in living for field in changes.fields}
        whole = [_copy_files(owner, _current(owner, patch, noted), outcome) for patch in copies]
        earlier = [patch for changes in living for patch in changes.earlier.values()]
        if patches or any(whole):
            journal.append(patches, by=owner.author, copies=[*filter(None, whole), *earlier])
    except (OSError, OverflowError, TypeError) as error:
        raise SaveError(f"{owner.fpath}: nothing was saved, all of it stays dirty: {_reason(error)}") from error
    for changes in taken:  # a change to what was deleted is dropped
        changes.fields = {f: at for f, at in changes.fields.items() if f in outcome.kept.get(changes.slug, ())}
    copies[:] = outcome.left
    outcome.settle(owner, [changes.slug for changes in taken if changes not in living])


@attrs.define(eq=False)
class _Outcome:
    """What became of the artifacts of one save."""

    written: list[tuple[Artifact, StoredFile]] = attrs.Factory(list)
    points: list[tuple[Ledger, Taken, Written]] = attrs.Factory(list)
    copied: list[StoredFile] = attrs.Factory(list)
    left: list[Patch] = attrs.Factory(list)
    failed: list[tuple[str, Exception]] = attrs.Factory(list)
    kept: dict[str, list[str]] = attrs.Factory(dict)
    """Of each experiment the fields that stay dirty."""

    def settle(self, owner: Owner, gone: list[str]) -> None:
        """Call the written ones saved, now that a log file names them, and report the others, and who is `gone`."""
        for file in self.copied:
            owner._elsewhere.pop((file.path, file.sha256), None)
        for ledger, taken, written in self.points:
            with ledger.lock:
                taken.settle(written)
        for artifact, stored in self.written:
            artifact.stored, artifact.value, artifact.dirty = stored, None, False
        dropped = f"{', '.join(gone)}: deleted by somebody, for good; what was logged to it since is dropped"
        if self.failed:
            names = "; ".join(f"{name}: {_reason(error)}" for name, error in self.failed)
            raise SaveError(
                f"{owner.fpath}: all was saved but {names}. What is named stays dirty; "
                "log_artifact(..., overwrite=True) puts another in its place, delete(slug) gives it up"
                + (f". {dropped}" if gone else "")
            ) from self.failed[0][1]
        if gone:
            raise RecordDeletedError(f"{dropped}. All other changes were saved")
        for artifact, _ in self.written:
            if artifact.output_only:
                warnings.warn(
                    f"artifact {artifact.name!r} was saved by the handler {artifact.alias!r}, which only writes: "
                    "it cannot be loaded back",
                    UserWarning,
                    stacklevel=5,
                )


def _write_artifacts(owner: Owner, changes: Changes, outcome: _Outcome) -> None:
    """Write an experiment's artifact files; one that fails is dirty again and does not stop the others."""
    for field, artifact in changes.artifacts.items():
        try:
            stored = _stored(owner, artifact, changes.slug, field, outcome)
            entry = to_entry(artifact, stored)
            codec.dumps(entry)
        except Exception as error:  # noqa: BLE001  (a handler may raise anything)
            outcome.failed.append((f"artifact {artifact.name!r} of {changes.slug}", error))
            outcome.kept.setdefault(changes.slug, []).append(field)
        else:
            outcome.written.append((artifact, stored))
            changes.add(field, entry, changes.fields[field])


def _write_points(owner: Owner, changes: Changes, outcome: _Outcome) -> None:
    if (taken := changes.taken) is not None:
        field = SERIES + taken.writer.id
        try:
            written = taken.writer.write(owner._journal.files, taken.points)
        except Exception as error:  # noqa: BLE001  (one history must not stop the others)
            outcome.failed.append((f"the history of {changes.slug}", error))
            outcome.kept.setdefault(changes.slug, []).append(field)
        else:
            for name, value in written.fields(taken.writer.id).items():
                changes.add(name, value, changes.fields[field])
            outcome.points.append((changes.ledger, taken, written))


def _stored(owner: Owner, artifact: Artifact, record: str, field: str, outcome: _Outcome) -> StoredFile:
    """Return an artifact's file, which is written, copied, or there already, with a signature for its new place."""
    if artifact.dirty or artifact.stored is None:
        return signed(artifact, owner._shelf.write(artifact, owner=record), record=record, field=field)
    _copy_file(owner, artifact.stored, outcome)
    if not owner._shelf.holds(artifact.stored):
        raise ArtifactLogError(
            "its file is in another project, or gone: log the object itself, or append its experiment"
        )
    if is_trusted(artifact):
        return signed(artifact, artifact.stored, record=record, field=field)
    return attrs.evolve(artifact.stored, record=record, field=field)


def _current(owner: Owner, patch: Patch, noted: set[tuple[str, str]]) -> Patch:
    """Return a patch of another project without the files that a newer value takes the place of."""
    record, changes = patch["record"], patch.get("set", {})
    late = [
        field
        for field, value in changes.items()
        if files_of(field, value, record) and ((record, field) in noted or owner._journal.get(record, field) != value)
    ]
    return patch | {"set": {f: v for f, v in changes.items() if f not in late}} if late else patch


def _copy_files(owner: Owner, patch: Patch, outcome: _Outcome) -> Patch | None:
    """Copy the files that a patch of another project names, and return what can be written of it."""
    kept, left = {}, {}
    for field, value in patch.get("set", {}).items():
        try:
            for file in files_of(field, value, patch["record"]):
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
        if file.field.startswith(SERIES):
            owner._shelf.copy(file, source._shelf, FOLDER)
        else:
            owner._shelf.copy(file, source._shelf)
        outcome.copied.append(file)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
