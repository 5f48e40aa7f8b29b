"""Packing: many small files become one, so that a store of any size opens in a few reads.

Why it is safe. A pack is a copy: it is durable before any original goes. An original goes only when the storage's
own clock says that the pack has been there for `GRACE_SECONDS`, which is longer than any listing takes, and after
the packer has read the pack in full. A copy leaves out only what a later patch *in the same pack* overwrites, so
what it hides and what hides it travel together. Two packers that do the same work write two packs that say the
same, which is harmless. A file this version does not understand to the last key is not copied and not replaced.
"""

from collections.abc import Iterable, Iterator

from lazytrack import naming
from lazytrack.files import Files, Stat, is_of_the_file
from lazytrack.journal import document
from lazytrack.journal.document import LOG_NAME, PACK_NAME, Document
from lazytrack.journal.fold import compact

GRACE_SECONDS = 600
"""How long originals outlive their copy."""
LOOK_EVERY = 32
"""A writer lists the log after its first append and after each so many of its own."""
LOOSE_LOW, LOOSE_HIGH = 64, 512
"""Fewer loose files are left alone; above the second number any writer packs."""
ODDS = 8
"""Between the two, a writer that wrote less than half of them packs one time in so many."""
FAN_IN = 8
"""So many packs of one level make one of the next."""
LARGE_BYTES = 16 * 2**20
"""A pack of this size is left alone."""
_HIGHEST_LEVEL = 99
_HEAD_BYTES = 2**16


class Packer:
    """One writer's share of the packing of a store.

    It knows what packs replace from their first bytes, so that its cost follows what is loose, not the store.

    Parameters
    ----------
    files
        The store's folder.
    clock
        Where the names of packs come from.
    """

    def __init__(self, files: Files, *, clock: naming.LogicalClock) -> None:
        self._files = files
        self._clock = clock
        self._appended = 0
        self._own: set[str] = set()
        self._replaces: dict[str, frozenset[str]] = {}
        self._replaced: set[str] = set()
        self._left_alone: set[str] = set()

    def after_append(self, name: str) -> None:
        """Take note of a log file this writer has just written, and pack where it is this writer's turn."""
        self._own.add(name)
        self._appended += 1
        if self._appended % LOOK_EVERY != 1:
            return
        lucky = naming.one_in(ODDS)
        logs = self._list("log")
        # Most stores end here. What is replaced by packs this writer has not looked into still counts as loose.
        if self._is_due(self._loose(logs), lucky=lucky):
            packs = self._list_packs()
            if self._is_due(self._loose(logs), lucky=lucky):
                self._pack_and_sweep(logs, packs)

    def pack(self, *, everything: bool = False) -> list[str]:
        """Pack now, and return the names of the packs written; `everything` merges all files into one."""
        logs = self._list("log")
        packs = self._list_packs()
        if not everything:
            return self._pack_and_sweep(logs, packs)
        for _ in self._read(packs):  # so that nothing is left out because of what a damaged pack claims
            pass
        levels = self._levels(packs)
        inputs = [*self._loose(logs), *(name for level in levels.values() for name in level)]
        level = min(1 + max(levels, default=0), _HIGHEST_LEVEL)
        written = self._merge(inputs, level=level, present={*logs, *packs}, at_least=2)
        if written:
            self._sweep(written, {*logs, *packs})
        return [written] if written else []

    def _is_due(self, loose: list[str], *, lucky: bool) -> bool:
        if len(loose) < LOOSE_LOW:
            return False
        own = len(self._own.intersection(loose))
        return 2 * own >= len(loose) or lucky or len(loose) > LOOSE_HIGH

    def _pack_and_sweep(self, logs: list[str], packs: list[str]) -> list[str]:
        present = {*logs, *packs}
        written = []
        loose = self._loose(logs)
        if len(loose) >= LOOSE_LOW and (pack := self._merge(loose, level=1, present=present, at_least=LOOSE_LOW)):
            written.append(pack)
        level = 0
        while level < min(max(self._levels([*packs, *written]), default=0), _HIGHEST_LEVEL - 1):
            level += 1
            small = self._small(self._levels([*packs, *written]).get(level, []))
            for first in range(0, len(small) - FAN_IN + 1, FAN_IN):
                inputs = small[first : first + FAN_IN]
                if pack := self._merge(inputs, level=level + 1, present=present, at_least=FAN_IN):
                    written.append(pack)
        if written:
            self._sweep(written[-1], present)
        return written

    # --- what is there ---

    def _list(self, folder: str) -> list[str]:
        return [f"{folder}/{name}" for name in self._files.names(folder)]

    def _list_packs(self) -> list[str]:
        """List the packs, and learn what those that are new to this packer replace."""
        packs = self._list("packs")
        for name in packs:
            if name not in self._replaces:
                self._learn(name, self._head(name))
        return packs

    def _head(self, name: str) -> frozenset[str]:
        try:
            replaces = document.parse_replaces(self._files.read(name, limit=_HEAD_BYTES))
            if replaces is None:
                replaces = document.parse(self._files.read(name)).replaces
        except FileNotFoundError:  # a packer has deleted it, so a newer pack says the same
            return frozenset()
        return replaces

    def _learn(self, pack: str, replaces: frozenset[str]) -> None:
        self._replaces[pack] = replaces
        self._replaced |= replaces
        self._own -= replaces

    def _disbelieve(self, pack: str) -> None:
        """Forget what a pack that turned out to be damaged claims to replace."""
        if self._replaces.get(pack):
            self._replaces[pack] = frozenset()
            self._replaced = set().union(*self._replaces.values())

    def _loose(self, logs: list[str]) -> list[str]:
        """Return the log files that may be packed, in order of time."""
        known = self._replaced | self._left_alone
        return sorted(name for name in logs if name not in known and LOG_NAME.fullmatch(name))

    def _levels(self, packs: list[str]) -> dict[int, list[str]]:
        """Return the packs that may be merged, by level, in order of time."""
        known = self._replaced | self._left_alone
        levels: dict[int, list[str]] = {}
        for name in sorted(packs):
            if name not in known and (match := PACK_NAME.fullmatch(name)):
                levels.setdefault(int(match[1]), []).append(name)
        return levels

    def _small(self, packs: list[str]) -> list[str]:
        if len(packs) < FAN_IN:
            return []
        stats = {name: self._stat(name) for name in packs}
        return [name for name, stat in stats.items() if stat and stat.size < LARGE_BYTES]

    def _stat(self, name: str) -> Stat | None:
        """Return a file's size and time; None where a packer has deleted it, as a newer pack says the same."""
        try:
            return self._files.stat(name)
        except FileNotFoundError:
            return None

    # --- copies before originals ---

    def _merge(self, inputs: list[str], *, level: int, present: set[str], at_least: int) -> str | None:
        """Write one pack with the patches of `inputs`, unless too few of them are left to be packed."""
        sound = dict(self._read(inputs))
        # Another packer may have done the same meanwhile. To write all the same would be harmless, but a waste.
        self._list_packs()
        fresh = {name: content for name, content in sound.items() if name not in self._replaced}
        if len(fresh) < at_least:
            return None
        replaces = frozenset(fresh)
        for content in fresh.values():
            replaces |= content.replaces & present
        at = self._clock.tick()
        name = f"packs/{level}-{at}.json"
        patches = compact(patch for content in fresh.values() for patch in content.patches)
        try:
            data = document.compose("pack", id=at, patches=patches, replaces=replaces)
        except TypeError:  # some stranger's value is nested deeper than can be written: leave its file alone
            self._left_alone |= {name for name, content in fresh.items() if not _can_be_written(content)}
            rest = [name for name in inputs if name not in self._left_alone]
            return (
                self._merge(rest, level=level, present=present, at_least=at_least) if len(rest) < len(inputs) else None
            )
        self._files.create(name, data)
        self._learn(name, replaces)
        return name

    def _read(self, names: Iterable[str]) -> Iterator[tuple[str, Document]]:
        """Yield the files that may be packed; remember those that may not."""
        for name, content in self._files.read_many(names):
            if isinstance(content, FileNotFoundError):
                continue  # packed and deleted by others
            if isinstance(content, OSError):
                if not is_of_the_file(content):
                    raise content
                self._left_alone.add(name)
                continue
            parsed = document.parse(content)
            if parsed.packable:
                yield name, parsed
            else:
                self._left_alone.add(name)
                self._disbelieve(name)

    def _sweep(self, just_written: str, present: set[str]) -> None:
        """Delete files whose copy has been durable for long enough and is whole."""
        mine = self._stat(just_written)
        if mine is None:  # this packer was suspended for so long that its own pack is history
            return
        for pack in sorted(name for name in present if name in self._replaces):
            doomed = self._replaces[pack] & present
            stat = self._stat(pack) if doomed else None
            if stat is None or stat.modified + GRACE_SECONDS > mine.modified:
                continue
            for _, whole in self._read([pack]):
                doomed &= whole.replaces
                self._files.remove(sorted(doomed))
                present -= doomed


def _can_be_written(content: Document) -> bool:
    try:
        document.compose("pack", id="", patches=content.patches)
    except TypeError:
        return False
    return True
