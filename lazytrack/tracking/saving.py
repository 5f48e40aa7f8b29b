"""One save: what has changed becomes files, then one log file; what fails becomes dirty again."""

from lazytrack.errors import SaveError, reason
from lazytrack.files import Files
from lazytrack.journal import Head, Patch, write_head
from lazytrack.tracking.changes import Changes
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.transfers import Outcome, copy_files, sending_for, write_files


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
        raise SaveError(f"{files.url}/{name} cannot be written, so nothing was saved: {reason(error)}") from error


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
    outcome = Outcome()
    try:
        with sending_for(owner, living) as sending:
            write_files(owner, living, outcome, sending)
            whole = copy_files(owner, copies, living, outcome, sending)
        patches = [changes.patch() for changes in living if changes.fields]
        patches += [{"record": record, "delete": True} for record in doomed]
        earlier = [patch for changes in living for patch in changes.earlier.values()]
        if patches or any(whole):
            journal.append(patches, by=owner.author, copies=[*filter(None, whole), *earlier])
            outcome.confirm(owner)
    except (OSError, OverflowError, TypeError) as error:
        raise SaveError(f"{owner.fpath}: nothing was saved, all of it stays dirty: {reason(error)}") from error
    for changes in taken:  # a change to what was deleted is dropped
        changes.fields = {f: at for f, at in changes.fields.items() if f in outcome.kept.get(changes.slug, ())}
    copies[:] = outcome.left
    outcome.settle(owner, [changes.slug for changes in taken if changes not in living])
