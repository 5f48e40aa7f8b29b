"""Collecting garbage: files that no record needs any more go, once it is certain that nobody is about to name them.

How, and why it is safe: `lazytrack.journal.condemned`. All times are the storage's own, so a clock that is wrong
deletes nothing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

import attrs

from lazytrack import naming
from lazytrack.files import Stat
from lazytrack.journal.condemned import CONDEMNED, GRACE_SECONDS, RECORD, condemned
from lazytrack.maintenance.store import FOLDERS, Need, Store, is_leftover, is_ours

_SHOWN = 20
_YOUNG = f"younger than {GRACE_SECONDS // 3600} hours"
_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_KILO = 1024


@attrs.frozen(kw_only=True)
class Fate:
    """What becomes of a file.

    Parameters
    ----------
    path
        Relative to the store.
    size
        In bytes.
    goes
        Whether it may go; otherwise it must stay.
    reason
        Why.
    """

    path: str
    size: int
    goes: bool
    reason: str


@attrs.frozen(kw_only=True, repr=False)
class Garbage:
    """What a collection found, file by file.

    Parameters
    ----------
    url
        The folder of the store.
    files
        All files beside the journal, by path.
    deleted
        Whether those that may go are gone; otherwise this was a dry run.
    obstacles
        Why nothing was certain enough to go.
    """

    url: str
    files: Sequence[Fate]
    deleted: bool
    obstacles: Sequence[str] = ()

    @property
    def going(self) -> list[Fate]:
        """The files that may go, or are gone."""
        return [fate for fate in self.files if fate.goes]

    @property
    def staying(self) -> list[Fate]:
        """The files that must stay."""
        return [fate for fate in self.files if not fate.goes]

    @property
    def size(self) -> int:
        """How many bytes the files have that may go, or are gone."""
        return sum(fate.size for fate in self.going)

    def __str__(self) -> str:
        """Return what a person wants to know of it, as lines."""
        verb = "deleted" if self.deleted else "would delete"
        total = sum(fate.size for fate in self.files)
        counts = f"{len(self.going)} of {len(self.files)} files, {in_units(self.size)} of {in_units(total)}"
        lines = [f"{self.url}: {verb} {counts}"]
        lines += [f"  {in_units(fate.size):>10}  {fate.path}: {fate.reason}" for fate in self.going[:_SHOWN]]
        if len(self.going) > _SHOWN:
            lines.append(f"  … and {len(self.going) - _SHOWN} more")
        young = [fate.size for fate in self.staying if fate.reason.startswith(_YOUNG)]
        if young:
            lines.append(f"  {len(young)} more, {in_units(sum(young))}, are {_YOUNG}: they may go later")
        lines += [f"  nothing can go: {obstacle}" for obstacle in self.obstacles[:_SHOWN]]
        if self.going and not self.deleted:
            lines.append("  this was a dry run: gc(dry_run=False) deletes them")
        return "\n".join(lines)

    __repr__ = __str__


def collect(store: Store, *, dry_run: bool) -> Garbage:
    """Find the files that no record needs, and delete them.

    Parameters
    ----------
    dry_run
        Only tell what would be deleted.

    Raises
    ------
    OSError
        When the store cannot be read, or a file cannot be deleted; the next collection goes on.
    """
    now = naming.now() if dry_run else naming.from_micros(int(store.time() * 1e6))
    found = store.listed()
    store.refresh()
    judgement = _judge(store, found, now)
    fates = judgement.fates if dry_run else _delete(store, judgement, dict(found), now)
    return Garbage(url=store.url, files=fates, deleted=not dry_run, obstacles=judgement.obstacles)


@attrs.frozen(kw_only=True)
class _Judgement:
    """What is to become of files, why nothing can go, and which paths records need or name."""

    fates: list[Fate]
    obstacles: list[str]
    named: Collection[str]


def _delete(store: Store, judgement: _Judgement, found: dict[str, Stat], now: datetime) -> list[Fate]:
    """Condemn what may go, see whether somebody has named it meanwhile, and delete the rest; return what became."""
    fates = judgement.fates
    doomed = {fate.path for fate in fates if fate.goes and is_ours(fate.path)}
    known = condemned(store.journal)
    # What is gone needs no mark any more, unless a record goes on naming it: then the mark says why it is gone.
    forgotten = [CONDEMNED + path for path in known if path not in found and path not in judgement.named]
    patch = {"record": RECORD, "set": {CONDEMNED + path: True for path in sorted(doomed.difference(known))}}
    if forgotten:
        patch["unset"] = forgotten
    if patch["set"] or forgotten:
        store.journal.append([patch], by=store.by)
    if doomed:
        store.refresh()
        again = _judge(store, [(path, found[path]) for path in sorted(doomed)], now)
        verdicts = {fate.path: fate for fate in again.fates}
        fates = [verdicts.get(fate.path, fate) for fate in fates]
    gone = [fate.path for fate in fates if fate.goes]
    store.files.remove(gone)
    store.files.prune(gone)
    return fates


def _judge(store: Store, found: list[tuple[str, Stat]], now: datetime) -> _Judgement:
    journal = store.journal
    damaged = {name: why for name, why in sorted(journal.problems.items()) if name not in journal.foreign}
    obstacles = [f"{name} {why}, and may name it" for name, why in damaged.items()]
    if (unreadable := store.releases()) is not None:
        obstacles.append(unreadable)
    needs: dict[str, list[Need]] = {}
    for need in store.with_parts(obstacles):
        needs.setdefault(need.path, []).append(need)
    fates = []
    for path, stat in sorted(found):
        if is_ours(path):  # also where it is called as a leftover is: people's files may be
            reason = _why_it_stays(path, stat, needs.get(path, []), now) or next(iter(obstacles), None)
        elif is_leftover(path):
            reason = _why_it_stays(path, stat, [], now)
        elif path.startswith(FOLDERS):
            reason = "is no file of lazytrack's"
        else:
            continue
        why = reason or _why_it_goes(path, needs)
        fates.append(Fate(path=path, size=stat.size, goes=reason is None, reason=why))
    return _Judgement(fates=fates, obstacles=obstacles, named=needs.keys())


def _why_it_stays(path: str, stat: Stat, needs: list[Need], now: datetime) -> str | None:
    age = now.timestamp() - stat.modified
    if lasting := [need for need in needs if need.until is None]:
        takers = [need for need in lasting if need.taker is not None]
        return "; ".join(dict.fromkeys(map(_reason, [lasting[0], *takers[:1]])))
    for need in needs:
        if need.until is None:
            continue
        if (now - need.until).total_seconds() < GRACE_SECONDS:
            return f"{_reason(need)}, {f'until {naming.iso(need.until)}' if need.until > now else 'expired lately'}"
    if age < GRACE_SECONDS:
        what = "being written" if is_leftover(path) else "about to be named by a save"
        return f"{_YOUNG}: it may be {what}"
    return None


def _reason(need: Need) -> str:
    return need.why if need.taker is None else f"cache: taken by run {need.taker}"


def _why_it_goes(path: str, needs: dict[str, list[Need]]) -> str:
    if is_leftover(path) and path not in needs:
        return "its writer died"
    whose = [need for need in needs.get(path, []) if need.until is not None]
    if whose:
        return f"expired {naming.iso(max(need.until for need in whose if need.until))}: {whose[0].why}"
    return "no record names it"


def in_units(size: int) -> str:
    """Return a number of bytes as people say it."""
    amount, unit = float(size), 0
    while amount >= _KILO and unit < len(_UNITS) - 1:
        amount, unit = amount / _KILO, unit + 1
    return f"{size} {_UNITS[0]}" if unit == 0 else f"{amount:.1f} {_UNITS[unit]}"
