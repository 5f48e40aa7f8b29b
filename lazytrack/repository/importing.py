"""Versions of artifacts that another tracker has kept, under the numbers that they have there."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lazytrack import codec, naming
from lazytrack.artifacts import Shelf
from lazytrack.artifacts.entries import stored_in
from lazytrack.artifacts.reuse import Named, confirm
from lazytrack.errors import ArtifactError, SaveError, reason
from lazytrack.files.held import HeldFiles
from lazytrack.journal import write_head
from lazytrack.repository.saving import make_sure_of_claims
from lazytrack.repository.versions import ALIAS, FIELD, check_alias, claim_content, claim_of, is_version

if TYPE_CHECKING:
    from lazytrack.exchange.foreign import Draft, Imported
    from lazytrack.repository.repository import Repository

_IMPORTED = "imported"
_TAKEN = "versions whose numbers are taken by others"


def take_over(repository: "Repository", drafts: "Iterable[Draft]", report: "Imported") -> None:
    """Write versions, one after the other, so that what is interrupted goes on from there. The caller holds the lock.

    Raises
    ------
    SaveError
        When something cannot be written.
    """
    repository.refresh()
    for draft in drafts:
        _leave_numbers(draft)
        if _is_news(repository, draft, report):
            is_new = draft.record not in repository._journal
            report.leave_out(draft)
            if report.dry_run or _write(repository, draft):
                report.add(draft, is_new=is_new)
            else:
                report.left_out.setdefault(_TAKEN, []).append(draft.source["id"])


def _leave_numbers(draft: "Draft") -> None:
    """Leave out aliases that could not be told from numbers and times."""
    for field in [field for field in draft.fields if field.startswith(ALIAS)]:
        try:
            check_alias(field.removeprefix(ALIAS))
        except ValueError:
            del draft.fields[field]
            draft.leave("aliases that could be taken for numbers or times", field.removeprefix(ALIAS))


def _is_news(repository: "Repository", draft: "Draft", report: "Imported") -> bool:
    journal, record = repository._journal, draft.record
    if journal.is_deleted(record):
        report.deleted += 1
        return False
    known = journal.get(record, _IMPORTED)
    if isinstance(known, dict) and (draft.dry or known.get("digest") == draft.digest):
        report.unchanged += is_version(record)
        return False
    if is_version(record) and known is None and record in journal:
        report.left_out.setdefault(_TAKEN, []).append(draft.source["id"])
        return False
    if is_version(record) and not (draft.artifacts if draft.dry else FIELD in draft.fields):
        report.leave_out(draft)
        return False
    return bool(draft.fields)


def _write(repository: "Repository", draft: "Draft") -> bool:
    """Write one version, or what an artifact's versions are called; tell whether its number could be had."""
    try:
        if repository._head is None:
            repository._head = write_head(repository._files, repository._head_name, kind="repository")
        named = []
        if is_version(draft.record):
            make_sure_of_claims(repository)
            if not _claim(repository, draft):
                return False
            named = _copied(repository, draft)
        times = repository._journal.times(draft.record)
        repository._journal.append([], by=repository.author, copies=draft.patches(times))
        failed = confirm(
            repository._journal, repository._shelf, named, by=repository.author, refresh=repository.refresh
        )
        for _, error in failed:
            raise error
        repository._take(draft.record)
    except (OSError, ArtifactError) as error:
        raise SaveError(f"{repository.fpath}: {draft.record} was not imported: {reason(error)}") from error
    return True


def _claim(repository: "Repository", draft: "Draft") -> bool:
    """Make a number the import's own: one that an import has claimed which was interrupted is that, too."""
    if draft.record in repository._journal:
        return True
    own = naming.tail_of(draft.source["from"], draft.source["id"])
    path = claim_of(str(draft.fields["name"]), int(draft.record.rpartition("/")[2]))
    if repository._inside.claim(path, claim_content(own)):
        return True
    return bool(codec.loads(repository._inside.read(path)).get("id") == own)


def _copied(repository: "Repository", draft: "Draft") -> list[Named]:
    entry = draft.fields[FIELD]
    stored = stored_in(entry, record=draft.record, field=FIELD)
    if stored is None:
        return []
    source = Shelf(HeldFiles(draft.record, draft.held))
    repository._shelf.copy(stored, source)
    renew = functools.partial(repository._shelf.renew, stored, [source])
    return [Named(record=draft.record, field=FIELD, value=entry, stored=stored, renew=renew)]
