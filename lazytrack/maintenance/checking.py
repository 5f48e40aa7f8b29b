"""Checking a store: whether every file that is needed is there and holds what it should, and what else is there."""

import functools
from collections.abc import Iterator, Sequence

import attrs

from lazytrack import naming
from lazytrack.artifacts import StoredFile
from lazytrack.artifacts.base import UNKNOWN
from lazytrack.artifacts.reuse import replaced
from lazytrack.files import Stat
from lazytrack.journal import LOG_NAME, PACK_NAME, is_torn
from lazytrack.journal.condemned import GRACE_SECONDS
from lazytrack.maintenance.store import FOLDERS, Need, Store, is_leftover, is_ours
from lazytrack.progress import Progress

_ASIDE = "damaged"
"""The folder that torn files are put in."""
_KNOWN = (*FOLDERS, "log/", "packs/", "claims/", "environments/", f"{_ASIDE}/")


@attrs.frozen(kw_only=True)
class Finding:
    """Something in a store that is not as it should be.

    Parameters
    ----------
    kind
        ``damaged``, a file of the journal or a record; ``missing`` and ``altered``, a file that is needed;
        ``orphan``, one that nobody needs; ``leftover``, one whose writer died; ``foreign``, one that is not
        lazytrack's; ``claim``, a number that could be given twice.
    where
        Which file or record.
    what
        Is wrong with it.
    remedy
        What can be done about it; with ``repair``, what was done where that is safe.
    repaired
        Whether it was.
    """

    kind: str
    where: str
    what: str
    remedy: str
    repaired: bool = False


class Findings(list[Finding]):
    """What a check found; none where all is well."""

    @property
    def sound(self) -> bool:
        """Whether all that is needed is there and holds what it should; there may be files that gc can delete."""
        return all(finding.kind in {"orphan", "leftover"} or finding.repaired for finding in self)

    def __str__(self) -> str:
        """Return a line for each."""
        if not self:
            return "nothing is wrong"
        return "\n".join(
            f"{finding.kind:>8}  {finding.where} {finding.what}: "
            f"{'repaired: ' if finding.repaired else ''}{finding.remedy}"
            for finding in self
        )


def check(store: Store, *, digests: bool, repair: bool) -> Findings:
    """Look through a whole store.

    Parameters
    ----------
    digests
        Read every file that is needed; otherwise only their sizes are compared.
    repair
        Do what is safe: put torn files aside, delete what dead writers left, make claims again, and name an equal file
        where one is missing or altered.

    Raises
    ------
    OSError
        When the store cannot be read, or repaired.
    """
    now = store.time() if repair else naming.now().timestamp()
    found = dict(store.listed())
    store.refresh()
    return Findings(_Check(store, found, now, digests=digests, repair=repair).run())


@attrs.define(eq=False)
class _Check:
    """One check of a store."""

    store: Store
    found: dict[str, Stat]
    now: float
    digests: bool = attrs.field(kw_only=True)
    repair: bool = attrs.field(kw_only=True)
    _sound: dict[str, StoredFile] = attrs.field(factory=dict, init=False)
    """Files that hold what they should, by digest."""

    def run(self) -> Iterator[Finding]:
        for name, why in sorted(self.store.problems().items()):
            yield self._damaged(name, why)
        blind: list[str] = []
        needs = list(self.store.with_parts(blind))
        yield from self._files(needs)
        needed = {need.path for need in needs}
        for path, stat in sorted(self.found.items()):
            if is_leftover(path) and path not in needed:
                if self._is_old(stat) and not (blind and is_ours(path)):
                    yield self._leftover(path)
            elif is_ours(path):
                if path not in needed and self._is_old(stat) and not blind:
                    yield Finding(kind="orphan", where=path, what="is needed by no record", remedy="gc can delete it")
            elif path.startswith(FOLDERS) or not path.startswith(_KNOWN):
                yield _foreign(path)
        for path, content in sorted(self.store.missing_claims().items()):
            if self.repair:
                self.store.files.claim(path, content)
            yield Finding(
                kind="claim",
                where=path,
                what="is missing, so its number could be given to another version",
                remedy="claim it again",
                repaired=self.repair,
            )

    # --- files that are needed ---

    def _files(self, needs: Sequence[Need]) -> Iterator[Finding]:
        lost: dict[tuple[str, str], list[Need]] = {}
        seen: dict[tuple[str, str], str | None] = {}
        named = [need for need in needs if need.stored is not None]
        with Progress(f"checking {self.store.url}", files=len(named)) as progress:
            for need in named:
                progress.add_file()
                file = need.stored
                if file is None or (self._may_be_gone(need) and not self.store.shelf.exists(need.path)):
                    continue
                if (file.path, file.sha256) not in seen:
                    seen[file.path, file.sha256] = self._fault(file)
                if seen[file.path, file.sha256] is None:
                    self._sound[file.sha256] = file
                else:
                    lost.setdefault((file.path, file.sha256), []).append(need)
        for (path, sha256), whose in lost.items():  # when it is known which files are sound
            yield self._lost(whose, str(seen[path, sha256]), self._sound.get(sha256))

    def _may_be_gone(self, need: Need) -> bool:
        """Tell whether nobody misses a file that is gone: it had expired, and was collected."""
        is_expired = need.until is None or need.until.timestamp() <= self._storage_now
        return not need.pinned and is_expired and self.store.was_collected(need)

    @functools.cached_property
    def _storage_now(self) -> float:
        """What time it is at least by the clock of the storage, by which files are collected."""
        return max([self.now, *(stat.modified for stat in self.found.values())])

    def _fault(self, file: StoredFile) -> str | None:
        stat = self.found.get(file.path)
        if stat is None and not self.store.shelf.exists(file.path):
            return "missing"
        if stat is not None and file.size not in {UNKNOWN, stat.size}:
            return "altered"
        if self.digests and not self.store.shelf.has_bytes(file, file.folder):
            return "altered"
        return None

    def _lost(self, needs: Sequence[Need], fault: str, twin: StoredFile | None) -> Finding:
        """Return one finding for a file, however many records need it."""
        need, whose = needs[0], {need.why if need.at is None else need.at[0] for need in needs}
        what = f"is {'gone' if fault == 'missing' else 'not the file that was saved'}, and is {need.why}"
        if len(whose) > 1:
            what += f"; {len(whose)} records need it"
        fixable = [need for need in needs if need.at is not None]
        if twin is None or not fixable:
            remedy = "bring it back from a copy of the store"
            if any(need.pinned for need in needs):
                remedy += ", or have another version take its place"
            return Finding(kind=fault, where=need.path, what=what, remedy=remedy)
        remedy, repaired = f"the same bytes are at {twin.path}: name these", False
        if len(fixable) < len(needs):
            remedy += "; for the folders that name it bring it back from a copy of the store"
        if self.repair:
            self.store.refresh()  # what somebody has put there meanwhile must not be undone
            changed = [self._name_instead(need, twin) for need in fixable]
            repaired = any(changed) and len(fixable) == len(needs)
            remedy = remedy if any(changed) else "somebody has named another meanwhile"
        return Finding(kind=fault, where=need.path, what=what, remedy=remedy, repaired=repaired)

    def _name_instead(self, need: Need, twin: StoredFile) -> bool:
        """Have a record name a file with the same bytes; tell whether it still named the one that is lost."""
        if need.at is None:
            return False
        record, field = need.at
        value = self.store.journal.get(record, field)
        other = replaced(value, need.path, attrs.evolve(twin, signature=None))
        if other == value:
            return False
        self.store.journal.append([{"record": record, "set": {field: other}}], by=self.store.by)
        return True

    # --- what else is there ---

    def _is_old(self, stat: Stat) -> bool:
        return self.now - stat.modified >= GRACE_SECONDS

    def _damaged(self, name: str, why: str) -> Finding:
        if name in self.store.journal.foreign:
            return _foreign(name)
        stat = self.found.get(name)
        is_journal = LOG_NAME.fullmatch(name) or PACK_NAME.fullmatch(name)
        if stat is None or not is_journal or not is_torn(self.store.files.read(name)):
            return Finding(kind="damaged", where=name, what=why, remedy="bring it back from a copy of the store")
        if not self._is_old(stat):
            remedy = f"wait {GRACE_SECONDS // 3600} hours: it may be on its way here"
            return Finding(kind="damaged", where=name, what=why, remedy=remedy)
        if self.repair:
            self.store.files.create(f"{_ASIDE}/{name}", self.store.files.read(name))
            self.store.files.remove([name])
            self.store.journal.problems.pop(name, None)
        return Finding(kind="damaged", where=name, what=why, remedy=f"put it aside, in {_ASIDE}/", repaired=self.repair)

    def _leftover(self, path: str) -> Finding:
        if self.repair:
            self.store.files.remove([path])
        return Finding(
            kind="leftover", where=path, what="was left by a writer that died", remedy="delete it", repaired=self.repair
        )


def _foreign(path: str) -> Finding:
    return Finding(kind="foreign", where=path, what="is no file of lazytrack's", remedy="move it away")
