"""One save of a repository: versions are claimed, their files written, then one log file names them all."""

import functools
import warnings
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact, StoredFile, to_entry
from lazytrack.artifacts.entries import stored_in
from lazytrack.artifacts.reuse import Named, confirm
from lazytrack.artifacts.trust import is_trusted, signed
from lazytrack.errors import SaveError, StoreWarning, reason
from lazytrack.files import Sending
from lazytrack.journal import write_head
from lazytrack.journal.document import compose
from lazytrack.progress import Progress
from lazytrack.repository.versions import (
    ALIAS,
    FIELD,
    HISTORY,
    PROMOTED,
    Move,
    aliases_of,
    claim_content,
    claim_of,
    is_version,
    record_of,
)

if TYPE_CHECKING:
    from lazytrack.repository.repository import Repository


def save(repository: "Repository", *, only: Artifact | None = None) -> None:
    """Write what is not saved, or one version. The caller holds the lock.

    Raises
    ------
    SaveError
        When something could not be written; that stays to be saved.
    """
    _Save(repository, only).run()


def make_sure_of_claims(repository: "Repository") -> None:
    """Claim the head again, which must be refused: otherwise two writers could be given one number.

    Raises
    ------
    SaveError
        When it is not: then no version can be numbered there.
    """
    if repository._claims_hold:
        return
    files, name = repository._files, repository._head_name
    if not files.can_claim:
        raise SaveError(
            f"no versions can be numbered at {files.url}: nothing there makes sure that one number is given once. "
            "A project needs no numbers; a repository can be on another storage"
        )
    before = files.read(name)
    if files.claim(name, compose("repository", id=naming.unique(16), created_at=naming.iso(naming.now()))):
        files.create(name, before)
        raise SaveError(
            f"{files.url} grants names that are taken, so two writers could be given one number: a repository "
            "cannot be there, a project can"
        )
    repository._claims_hold = True


@attrs.define(eq=False)
class _Save:
    """What one save has done so far."""

    repository: "Repository"
    only: Artifact | None
    written: list[tuple[Artifact, Named]] = attrs.Factory(list)
    failed: list[tuple[Artifact, Exception]] = attrs.Factory(list)
    kept: set[str] = attrs.Factory(set)
    """Records of versions that are to be kept longer than was said, whose files may be others by now."""

    def run(self) -> None:
        repository = self.repository
        try:
            if repository._head is None:
                repository._head = write_head(repository._files, repository._head_name, kind="repository")
            unsaved = [artifact for versions in repository._new.values() for _, artifact in sorted(versions.items())]
            new = unsaved if self.only is None else [self.only]
            if new:
                make_sure_of_claims(repository)
                self._write(new)
            patches = self._patches()
            if patches:
                repository._journal.append(patches, by=repository.author)
                self._confirm()
        except (OSError, OverflowError, TypeError) as error:
            raise SaveError(f"{repository.fpath}: nothing was saved, all of it is kept: {reason(error)}") from error
        self._settle()

    # --- versions ---

    def _write(self, new: list[Artifact]) -> None:
        repository = self.repository
        begun: list[tuple[Artifact, StoredFile]] = []
        with (
            Progress(f"saving {repository.fpath}", files=len(new)) as progress,
            Sending(repository._files.together, progress) as sending,
        ):
            for artifact in new:
                try:
                    self._claim(artifact)
                    begun.append((artifact, self._stored(artifact, sending)))
                except Exception as error:  # noqa: BLE001  (a handler may raise anything)
                    self.failed.append((artifact, error))
            for artifact, stored in begun:
                try:
                    repository._shelf.wait_for(stored, sending)
                    entry = to_entry(artifact, stored)
                    codec.dumps(entry)
                except Exception as error:  # noqa: BLE001
                    self.failed.append((artifact, error))
                else:
                    self.written.append((artifact, self._named(stored, entry, artifact)))
                    progress.add_file()

    def _named(self, stored: StoredFile, entry: Any, artifact: Artifact | None = None) -> Named:
        """Return a file that this save names, with what writes it anew."""
        shelf = self.repository._shelf
        renew = functools.partial(shelf.renew, stored) if artifact is None else lambda: self._stored(artifact, None)
        return Named(record=stored.record, field=FIELD, value=entry, stored=stored, renew=renew)

    def _stored(self, artifact: Artifact, sending: Sending | None) -> StoredFile:
        """Return the file of a new version, which is written, or copied from where it is promoted from.

        Parameters
        ----------
        sending
            None where an equal one that is here already must not be named.
        """
        shelf, anew = self.repository._shelf, sending is None
        record = record_of(artifact.name, artifact.version)
        promotion = self.repository._promotions.get(id(artifact))
        if promotion is None or promotion.source is None:
            stored = shelf.write(artifact, sending=sending, anew=anew)
            return signed(artifact, stored, record=record, field=FIELD)
        told = None if sending is None else sending.progress.add_bytes
        stored = shelf.take(artifact, promotion.source, told=told, anew=anew)
        if is_trusted(artifact):  # what nobody vouches for there is not vouched for here
            return signed(artifact, stored, record=record, field=FIELD)
        return attrs.evolve(stored, record=record, field=FIELD, signature=None)

    def _claim(self, artifact: Artifact) -> None:
        """Make a version's number its own, or the next that is free."""
        repository = self.repository
        if (artifact.name, artifact.version) in repository._claimed:  # by a save that failed
            return
        content = claim_content()
        number, was_taken = artifact.version, False
        while not repository._inside.claim(claim_of(artifact.name, number), content):
            if not was_taken:  # others were faster: see how far they have come
                repository.refresh()
                was_taken = True
            number = max([number, *repository._stored.get(artifact.name, ())]) + 1
        if number != artifact.version:
            versions = repository._new[artifact.name]
            del versions[artifact.version]
            if (other := versions.pop(number, None)) is not None:  # it moves on too, when its turn comes
                versions[artifact.version] = other
                other.version, artifact.version = artifact.version, number
            artifact.version = number
            versions[number] = artifact
        repository._claimed.add((artifact.name, number))

    # --- the log file ---

    def _patches(self) -> list[dict[str, Any]]:
        repository = self.repository
        patches: dict[str, dict[str, Any]] = {}

        def fields_of(record: str) -> dict[str, Any]:
            return patches.setdefault(record, {"record": record, "set": {}})["set"]  # type: ignore[no-any-return]

        for artifact, named in self.written:
            fields = fields_of(named.record)
            fields.update(name=artifact.name, created_at=naming.iso(artifact.created_at), **{FIELD: named.value})
            if (promotion := repository._promotions.get(id(artifact))) is not None:
                fields[PROMOTED] = attrs.asdict(promotion.origin)
                event = self._event(version=artifact.version, promoted=fields[PROMOTED])
                fields_of(aliases_of(artifact.name)).update(name=artifact.name, **event)
        if self.only is not None:
            return list(patches.values())
        for record, fields in repository._notes.items():
            fields_of(record).update(fields)
        for move in self._moves():
            fields = fields_of(aliases_of(move.name))
            before = repository._aliases.get(aliases_of(move.name), {}).get(move.alias)
            before = fields.get(ALIAS + move.alias, before)
            after = None if move.artifact is None else move.artifact.version
            why = {} if move.reason is None else {"reason": move.reason}
            event = self._event(alias=move.alias, **{"from": before, "to": after}, **why)
            fields |= {"name": move.name, ALIAS + move.alias: after, **event}
        for patch in patches.values():
            if gone := [field for field, value in patch["set"].items() if field.startswith(ALIAS) and value is None]:
                patch["unset"] = gone
                patch["set"] = {field: value for field, value in patch["set"].items() if field not in gone}
        doomed = [record for record in repository._doomed if not repository._journal.is_deleted(record)]
        return [*patches.values(), *({"record": record, "delete": True} for record in doomed)]

    def _event(self, **said: Any) -> dict[str, Any]:
        """Return a field for the history of an artifact."""
        at = self.repository._journal.clock.tick()
        when = naming.iso(naming.logical_to_time(at))
        return {HISTORY + at: {**said, "by": self.repository.author, "at": when}}

    def _moves(self) -> list[Move]:
        """Return the moves of aliases to what is stored, or is about to be."""
        failed = {id(artifact) for artifact, _ in self.failed}
        return [move for move in self.repository._moves if move.artifact is None or id(move.artifact) not in failed]

    def _confirm(self) -> None:
        """Make sure that the files are there that are named now, or that are to be kept longer than was said."""
        repository = self.repository
        named = [each for _, each in self.written]
        if self.only is None:
            self.kept |= {record for record in repository._notes if is_version(record)}
            self.kept |= {record_of(m.name, m.artifact.version) for m in self._moves() if m.artifact is not None}
            self.kept -= {each.record for each in named}
            for record in self.kept:
                entry = repository._journal.get(record, FIELD)
                if (stored := stored_in(entry, record=record, field=FIELD)) is not None:
                    named.append(self._named(attrs.evolve(stored, reused=True), entry))
        shelf, refresh = repository._shelf, repository.refresh
        for lost, error in confirm(repository._journal, shelf, named, by=repository.author, refresh=refresh):
            ours = [artifact for artifact, each in self.written if each is lost]
            self.failed += [(artifact, error) for artifact in ours]
            self.written = [(artifact, each) for artifact, each in self.written if each is not lost]
            if not ours:
                warnings.warn(f"{lost.record} of {repository.fpath} is there, but {error}", StoreWarning, stacklevel=5)

    def _settle(self) -> None:
        """Call what was written saved, and report the rest."""
        repository = self.repository
        for artifact, named in self.written:
            artifact.stored, artifact.value, artifact.dirty = named.stored, None, False
            versions = repository._new[artifact.name]
            del versions[artifact.version]
            if not versions:
                del repository._new[artifact.name]
            repository._claimed.discard((artifact.name, artifact.version))
            repository._promotions.pop(id(artifact), None)
            repository._take(named.record)
            repository._stored[artifact.name][artifact.version] = artifact  # the one that a user may hold
        if self.only is None:
            self._settle_fields()
        if self.failed:
            names = "; ".join(f"artifact {a.name!r}: {reason(error)}" for a, error in self.failed)
            if self.only is not None:
                raise SaveError(f"{repository.fpath}: nothing was promoted: {names}") from self.failed[0][1]
            raise SaveError(
                f"{repository.fpath}: all was saved but {names}. What is named is kept, and tried again by the next "
                "save; delete(name, version) gives it up"
            ) from self.failed[0][1]

    def _settle_fields(self) -> None:
        repository, done = self.repository, self._moves()
        aliases = (aliases_of(move.name) for move in done)
        for record in {*aliases, *repository._doomed, *repository._notes, *self.kept}:
            repository._take(record)
        repository._notes = {}
        repository._doomed = set()
        repository._moves = [move for move in repository._moves if move not in done]
