"""The manifest of a store: small files that are only ever added, read into one state."""

import gc
import logging
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lazytrack import naming
from lazytrack.files import Files, is_of_the_file
from lazytrack.journal import document
from lazytrack.journal.document import PACK_NAME, Patch
from lazytrack.journal.fold import State
from lazytrack.journal.packing import Packer
from lazytrack.progress import Progress

_RELISTINGS = 100
_log = logging.getLogger(__name__)


class Journal:
    """The patches in the folders ``log`` and ``packs`` of a store.

    Writing needs nothing read. Reading happens at the first `refresh`, and each later one reads only new names.

    Parameters
    ----------
    files
        The store's folder.
    clock
        Where logical times come from; by default this process's clock for the store.
    until
        The last time of patches that count, in microseconds since 1970, to see the store as it was.
    """

    def __init__(self, files: Files, *, clock: naming.LogicalClock | None = None, until: float = math.inf) -> None:
        self.files = files
        self.clock = clock or naming.clock_at(files.url)
        self._until = until
        self._packer = Packer(files, clock=self.clock)
        self._state = State()
        self._lock = threading.RLock()  # threads may look records up while one of them saves
        self._seen: set[str] = set()
        self._touched: set[str] = set()
        self.version = 0
        """Greater whenever something was read or written."""
        self.problems: dict[str, str] = {}
        """Each damaged file by name, with the reason."""
        self.foreign: set[str] = set()
        """Those of them that are no files of lazytrack's: nothing of the store is in them."""

    # --- writing ---

    def append(self, changes: Iterable[dict[str, Any]], *, by: str, copies: Iterable[Patch] = ()) -> str:
        """Write one log file with a patch for each of `changes`, and return its logical time.

        When this returns, the patches survive a crash, and no other writer can undo them.

        Parameters
        ----------
        changes
            Of each record, once: ``record`` and ``set``, ``unset`` or ``delete``, as strict JSON. The journal keeps
            them: they must not be modified afterwards.
        by
            Who writes.
        copies
            Patches of another store, which keep who made them and when.

        Raises
        ------
        OSError
            When the file cannot be written. It may have been, all the same: writing the changes again is right.
        """
        at = self.clock.tick()
        patches = [*copies, *({"at": at, "by": by, **change} for change in changes)]
        name = f"log/{at}.json"
        self.files.create(name, document.compose("log", id=at, patches=patches))
        with self._lock:
            self._seen.add(name)
            self._state.add(patches)
            self.version += 1
        self._pack(name)
        return at

    def _pack(self, written: str) -> None:
        try:
            self._packer.after_append(written)
        except Exception:  # noqa: BLE001
            # The save has succeeded; that tidying up after it did not is for the log, not for the user.
            _log.warning("packing %s failed; the next save tries again", self.files.url, exc_info=True)

    # --- reading ---

    def __contains__(self, record: object) -> bool:
        """Tell whether the record was read or written so far, and not deleted."""
        return record in self._state

    def fields(self, record: str) -> Mapping[str, Any]:
        """Return each field of a record with its stored value; none where there is no such record."""
        with self._lock:
            return self._state.fields(record)

    def get(self, record: str, field: str) -> Any:
        """Return the stored value of one field of a record, None where it has none."""
        with self._lock:
            return self._state.get(record, field)

    def patches(self, record: str) -> list[Patch]:
        """Return the patches of a record that still count, ordered by ``at``."""
        with self._lock:
            return self._state.patches(record)

    def news(self, patches: Iterable[Patch]) -> list[Patch]:
        """Return what `patches` say that was not read or written so far, or is older here."""
        with self._lock:
            return self._state.news(patches)

    def times(self, record: str) -> dict[str, str]:
        """Return each field of a record with the logical time at which it was last set or unset."""
        with self._lock:
            return self._state.times(record)

    @property
    def deleted(self) -> frozenset[str]:
        """The records of which a delete was seen."""
        with self._lock:
            return frozenset(self._state.deleted)

    def column(self, field: str) -> dict[str, Any]:
        """Return each record with the stored value of one field; None where it has none."""
        with self._lock:
            return self._state.column(field)

    def created(self) -> dict[str, str | None]:
        """Return each record with the logical time at which it was created; None where no file says it was."""
        with self._lock:
            return self._state.created()

    def is_deleted(self, record: str) -> bool:
        """Tell whether a delete of `record` was seen."""
        return record in self._state.deleted

    def absorb(self, patches: Sequence[Patch]) -> None:
        """Fold in patches that stand elsewhere: in the store's head, or in another store."""
        self._fold(patches)

    def reset_lock(self) -> None:
        """Make the lock anew in a forked child, where the thread that held it does not exist."""
        self._lock = threading.RLock()

    def refresh(self) -> set[str]:
        """Read what is new in the store, and return the names of the records it speaks of.

        Raises
        ------
        OSError
            When the store cannot be listed or a file cannot be read; what was read until then is kept, and the next
            call names its records.
        """
        gone: set[str] = set()
        for _ in range(_RELISTINGS):
            # Originals are listed before their copies: a file that is packed and deleted in between has its pack
            # in the second listing.
            logs = [f"log/{name}" for name in self.files.names("log")]
            packs = [f"packs/{name}" for name in self.files.names("packs")]
            listed = {*logs, *packs}
            strays = {name for name in listed if not name.endswith(".json")}
            self._note_foreign(strays, listed)
            logs, packs = ([name for name in level if name not in strays] for level in (logs, packs))
            new = len(listed - strays - self._seen)
            with _without_gc, Progress(f"reading {self.files.url}", files=new) as progress:
                vanished = self._read(logs, packs, progress)
            for name in vanished & gone:
                # A file that was packed is not listed again; this one is, and is a link to nowhere or the like.
                self.problems[name] = "is listed, and cannot be found"
            if vanished <= gone:
                touched, self._touched = self._touched, set()
                return touched
            gone |= vanished
        raise OSError(f"{self.files.url} changes faster than it can be read: {min(vanished)} vanished")

    def _note_foreign(self, strays: set[str], listed: set[str]) -> None:
        """Take note of files that others have put here, and that those are gone which were moved away."""
        for name in self.foreign - listed:
            self.foreign.discard(name)
            self.problems.pop(name, None)
        self.foreign |= strays
        self.problems |= dict.fromkeys(strays, "is not a lazytrack file (its name does not end in .json)")

    def _read(self, logs: list[str], packs: list[str], progress: Progress) -> set[str]:
        """Read the files that were not seen, and return the names of those that are gone."""
        vanished = set()
        refused: OSError | None = None
        for level in [*_by_level(packs), logs]:
            # What the packs above replace is in `seen` by now.
            for name, content in self.files.read_many([name for name in level if name not in self._seen]):
                progress.add_file()
                if isinstance(content, FileNotFoundError):
                    vanished.add(name)  # it is in a newer pack: list again
                elif isinstance(content, OSError):
                    if not is_of_the_file(content):
                        raise content
                    if not self._seen:  # and perhaps none can: that must not read as an empty store
                        refused = content
                    self.problems[name] = f"cannot be read: {content.strerror or content}"
                else:
                    self._take(name, content)
        if refused is not None and not self._seen:
            raise refused
        # Names that a pack read in the meantime holds are no loss.
        return vanished - self._seen

    def _take(self, name: str, content: bytes) -> None:
        parsed = document.parse(content)
        replaces = parsed.replaces if name.startswith("packs/") else frozenset()
        if not (replaces and replaces <= self._seen):
            self._touched |= self._fold(parsed.patches)
        if parsed.problem:
            self.problems[name] = parsed.problem  # and not seen: it may be on its way here, or be repaired
            if document.is_foreign(name, content):
                self.foreign.add(name)
            self.files.forget(name)
        else:
            self.problems.pop(name, None)
            self.foreign.discard(name)
            self._seen |= replaces | {name}

    def _fold(self, patches: Sequence[Patch]) -> set[str]:
        if self._until < math.inf:
            patches = [p for p in patches if naming.to_micros(naming.logical_to_time(p["at"])) <= self._until]
        if patches:
            self.clock.observe(max([patch["at"] for patch in patches]))
        with self._lock:
            self.version += 1
            return self._state.add(patches)

    def pack(self, *, everything: bool = False) -> list[str]:
        """Pack loose files whoever wrote them, and return the names of the packs written.

        Parameters
        ----------
        everything
            Merge all files into one, whatever their number, level and size.
        """
        return self._packer.pack(everything=everything)


def _by_level(packs: list[str]) -> list[list[str]]:
    """Group packs by level, the highest first; files with odd names come last."""
    levels: dict[int, list[str]] = {}
    for name in packs:
        match = PACK_NAME.fullmatch(name)
        levels.setdefault(int(match[1]) if match else 0, []).append(name)
    return [levels[level] for level in sorted(levels, reverse=True)]


class _GC:
    """Cyclic garbage collection, off while any thread makes many objects of which none is garbage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._was_enabled = True

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._was_enabled:
                gc.enable()

    def reset(self) -> None:
        """Begin anew in a forked child, where the threads that were inside do not exist."""
        if self._inside and self._was_enabled:
            gc.enable()
        self.__init__()  # type: ignore[misc]


_without_gc = _GC()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_without_gc.reset)
