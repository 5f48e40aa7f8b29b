"""The files of one save: written, copied and sent at once. Their fate is known before a log file names them."""

import contextlib
import errno
import functools
import warnings
from collections.abc import Iterator
from concurrent.futures import Future

import attrs

from lazytrack import codec
from lazytrack.artifacts import Artifact, Shelf, StoredFile, to_entry
from lazytrack.artifacts.reuse import Named, confirm
from lazytrack.artifacts.trust import is_trusted, signed
from lazytrack.errors import ArtifactLoadError, ArtifactLogError, LazytrackError, RecordDeletedError, SaveError, reason
from lazytrack.files import Sending, threads_for
from lazytrack.journal import Patch
from lazytrack.progress import Progress
from lazytrack.provenance import kept
from lazytrack.series import SERIES, Written
from lazytrack.tracking.changes import Changes
from lazytrack.tracking.curves import Taken
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import files_of
from lazytrack.tracking.owner import Owner


@attrs.define(eq=False)
class Outcome:
    """What became of the artifacts of one save."""

    written: list[tuple[Artifact, Named]] = attrs.Factory(list)
    copies: list[Named] = attrs.Factory(list)
    """Files that patches of other projects name."""
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
        for artifact, named in self.written:
            artifact.stored, artifact.value, artifact.dirty = named.stored, None, False
        dropped = f"{', '.join(gone)}: deleted by somebody, for good; what was logged to it since is dropped"
        if self.failed:
            names = "; ".join(f"{name}: {reason(error)}" for name, error in self.failed)
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

    def confirm(self, owner: Owner) -> None:
        """Make sure that what was there already still is, now that a log file names it.

        Raises
        ------
        OSError
            When the storage does not say.
        """
        named = [*(each for _, each in self.written), *self.copies]

        def refresh() -> None:
            if not owner._look_again():
                raise OSError(errno.EBUSY, "what is new in the store cannot be read now", owner.folder)

        for lost, error in confirm(owner._journal, owner._shelf, named, by=owner.author, refresh=refresh):
            self.failed.append((f"{lost.field} of {lost.record}", error))
            self.kept.setdefault(lost.record, []).append(lost.field)
            self.written = [(artifact, each) for artifact, each in self.written if each is not lost]
        for point in [point for point in self.points if point[1].writer.is_late]:
            writer = point[1].writer
            gone = [s.path for s in point[2].stock.segments[-1:] if not owner._shelf.exists(s.path)]
            if gone:  # the next save writes the points again
                error = ArtifactLoadError(f"{gone[0]} was collected before the save came to name it")
                self.failed.append((f"the history of {writer.record}", error))
                self.kept.setdefault(writer.record, []).append(SERIES + writer.id)
                self.points.remove(point)


@contextlib.contextmanager
def sending_for(owner: Owner, living: list[Changes]) -> Iterator[Sending]:
    """Have files sent at once, where the storage takes that, and show how far it has come."""
    threads = threads_for(*(place._files for place in (owner, *owner._elsewhere.values())))
    count = sum(len(changes.artifacts) + (changes.taken is not None) for changes in living) + len(owner._elsewhere)
    with Progress(f"saving {owner.fpath}", files=count) as progress, Sending(threads, progress) as sending:
        yield sending


def write_files(owner: Owner, living: list[Changes], outcome: Outcome, sending: Sending) -> None:
    """Write the files of artifacts and of points; one that fails is dirty again and does not stop the others."""
    artifacts: list[tuple[Changes, str, Artifact, StoredFile]] = []
    points: list[tuple[Changes, str, Taken, Future[Written]]] = []
    shared = {file.digest: file for changes in living for file in changes.shared if file.digest not in owner._there}
    puts = [sending.submit(functools.partial(kept.put, owner._journal.files, file)) for file in shared.values()]
    for changes in living:
        for field, artifact in changes.artifacts.items():
            with _or_dirty(changes, field, f"artifact {artifact.name!r} of {changes.slug}", outcome):
                stored = _stored(owner, artifact, changes.slug, field, outcome, sending)
                artifacts.append((changes, field, artifact, stored))
        if (taken := changes.taken) is not None:
            written = sending.submit(functools.partial(taken.writer.write, owner._journal.files, taken.points))
            points.append((changes, SERIES + taken.writer.id, taken, written))
    for put in puts:
        put.result()
    owner._there |= shared.keys()
    for changes, field, artifact, stored in artifacts:
        with _or_dirty(changes, field, f"artifact {artifact.name!r} of {changes.slug}", outcome):
            owner._shelf.wait_for(stored, sending)
            entry = to_entry(artifact, stored)
            codec.dumps(entry)
            renew = functools.partial(_renewed, owner, artifact, stored)
            named = Named(record=changes.slug, field=field, value=entry, stored=stored, renew=renew)
            outcome.written.append((artifact, named))
            changes.add(field, entry, changes.fields[field])
            sending.progress.add_file()
    for changes, field, taken, written in points:
        with _or_dirty(changes, field, f"the history of {changes.slug}", outcome):
            for name, value in written.result().fields(taken.writer.id).items():
                changes.add(name, value, changes.fields[field])
            outcome.points.append((changes.ledger, taken, written.result()))
            sending.progress.add_file()


@contextlib.contextmanager
def _or_dirty(changes: Changes, field: str, what: str, outcome: Outcome) -> Iterator[None]:
    """Take note of what fails: a handler may raise anything, and one history must not stop the others."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        outcome.failed.append((what, error))
        outcome.kept.setdefault(changes.slug, []).append(field)


def _stored(
    owner: Owner, artifact: Artifact, record: str, field: str, outcome: Outcome, sending: Sending
) -> StoredFile:
    """Return an artifact's file, which is written, copied, or there already, with a signature for its new place."""
    if artifact.dirty or artifact.stored is None:
        stored = owner._shelf.write(artifact, owner=record, sending=sending)
        return signed(artifact, stored, record=record, field=field)
    _copy_file(owner, artifact.stored, outcome, sending)
    if not owner._shelf.holds(artifact.stored):
        raise ArtifactLogError(
            "its file is in another project, or gone: log the object itself, or append its experiment"
        )
    there = attrs.evolve(artifact.stored, reused=True)
    if is_trusted(artifact):
        return signed(artifact, there, record=record, field=field)
    return attrs.evolve(there, record=record, field=field)


def _renewed(owner: Owner, artifact: Artifact, stored: StoredFile) -> StoredFile:
    """Write an artifact's file anew, from the object where that is here."""
    if artifact.dirty or artifact.stored is None:
        fresh = owner._shelf.write(artifact, owner=stored.record, anew=True)
        return signed(artifact, fresh, record=stored.record, field=stored.field)
    return owner._shelf.renew(stored)


def _current(owner: Owner, patch: Patch, noted: set[tuple[str, str]]) -> Patch:
    """Return a patch of another project without the files that a newer value takes the place of."""
    record, changes = patch["record"], patch.get("set", {})
    late = [
        field
        for field, value in changes.items()
        if files_of(field, value, record) and ((record, field) in noted or owner._journal.get(record, field) != value)
    ]
    return patch | {"set": {f: v for f, v in changes.items() if f not in late}} if late else patch


def copy_files(
    owner: Owner, patches: list[Patch], living: list[Changes], outcome: Outcome, sending: Sending
) -> list[Patch | None]:
    """Copy the files that patches of other projects name, and return what can be written of each."""
    noted = {(changes.slug, field) for changes in living for field in changes.fields}
    wanted = [_current(owner, patch, noted) for patch in patches]
    copies: dict[tuple[str, str], Future[None]] = {}
    sources = {(f.path, f.sha256): owner._place_of(f)._shelf for p in wanted for f in _files_in(p)}
    for patch in wanted:
        for field, value in patch.get("set", {}).items():
            for file in files_of(field, value, patch["record"]):
                if (file.path, file.sha256) not in copies:
                    copy = functools.partial(_copy_file, owner, file, outcome, sending)
                    copies[file.path, file.sha256] = sending.submit(copy, size=file.size)
    return [_with_files(owner, patch, copies, sources, outcome) for patch in wanted]


def _files_in(patch: Patch) -> list[StoredFile]:
    return [file for field, value in patch.get("set", {}).items() for file in files_of(field, value, patch["record"])]


def _with_files(
    owner: Owner,
    patch: Patch,
    copies: dict[tuple[str, str], "Future[None]"],
    sources: dict[tuple[str, str], Shelf],
    outcome: Outcome,
) -> Patch | None:
    """Return what can be written of a patch of another project, when its files have been copied."""
    kept, left = {}, {}
    for field, value in patch.get("set", {}).items():
        try:
            for file in files_of(field, value, patch["record"]):
                known = file.path, file.sha256
                copies[known].result()
                there = attrs.evolve(file, reused=True)  # the name is an old one, and may be condemned here
                renew = functools.partial(owner._shelf.renew, there, [sources[known]])
                outcome.copies.append(
                    Named(record=patch["record"], field=field, value=value, stored=there, renew=renew)
                )
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


def _copy_file(owner: Owner, file: StoredFile, outcome: Outcome, sending: Sending) -> None:
    """Copy a file of another project to the same place here."""
    if (source := owner._place_of(file)) is not owner:
        owner._shelf.copy(file, source._shelf, file.folder, told=sending.progress.add_bytes)
        outcome.copied.append(file)
        sending.progress.add_file()
