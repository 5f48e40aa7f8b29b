"""Which fields of a record have changed since it was last saved, and whether they may."""

import os
import threading
import weakref
from collections.abc import Callable, Mapping

from lazytrack import naming
from lazytrack.errors import LazytrackError, ReadOnlyError


class Ledger:
    """The note of changes that an experiment and all that belongs to it share.

    Every change takes the lock, notes the field, then changes the value. A save takes the notes away under the
    same lock, and gives them back if it fails.

    Parameters
    ----------
    refusal
        What is raised at every attempt to change something; None where changes are welcome.
    on_dirty
        Called when something is noted where nothing was.
    """

    __slots__ = ("__weakref__", "_on_dirty", "changed", "lock", "refusal", "taken", "updated", "watch")

    def __init__(self, *, refusal: LazytrackError | None = None, on_dirty: Callable[[], None] | None = None) -> None:
        self.refusal = refusal
        self._on_dirty = on_dirty
        self.lock = threading.RLock()
        self.changed: dict[str, str | None] = {}
        """Each noted field, with the logical time its value is of where a copy of it has gone elsewhere."""
        self.taken: dict[str, str | None] = {}
        """Those that are being saved."""
        self.watch: Callable[[str], None] | None = None
        """Called with each field that is noted, again too, while somebody wants to know."""
        self.updated: int | None = None
        """When something was noted last and not saved, in microseconds since 1970."""
        _ledgers.add(self)

    def check(self) -> None:
        """Refuse a change that is about to be made, where it must not be.

        Raises
        ------
        LazytrackError
            The `refusal`.
        """
        if self.refusal is not None:
            raise type(self.refusal)(*self.refusal.args)

    def note(self, field: str) -> None:
        """Note that `field` is about to change, or refuse it (see `check`). The caller holds the lock."""
        if self.refusal is not None:
            self.check()
        if not self.changed and self._on_dirty is not None:
            self._on_dirty()
        self.changed[field] = None
        self.updated = naming.micros()
        if self.watch is not None:
            self.watch(field)

    def take(self) -> dict[str, str | None]:
        """Take the noted fields away, in the order they were first noted. The caller holds the lock."""
        self.taken, self.changed = self.changed, {}
        return dict(self.taken)

    def settle(self, left: Mapping[str, str | None]) -> None:
        """End what `take` began: note again what is `left`, because it could not be saved."""
        with self.lock:
            self.changed = {**{field: self.taken.get(field) or at for field, at in left.items()}, **self.changed}
            self.taken = {}
            if left and self._on_dirty is not None:
                self._on_dirty()

    def stamp(self, at: str) -> dict[str, str]:
        """Return all that is not saved with the time it is of, which is `at` where it had none. The caller locks."""
        taken = {field: time or at for field, time in self.taken.items()}
        changed = {field: time or at for field, time in self.changed.items()}
        self.taken, self.changed = {**taken}, {**changed}
        return {**taken, **changed}

    def inherit(self) -> None:
        """Refuse changes from now on, in a process that did not make this: what is noted is its parent's to save."""
        if self.refusal is None:
            self.refusal = INHERITED

    def reset_lock(self) -> None:
        """Make the lock anew in a forked child, where the thread that held it does not exist."""
        self.lock = threading.RLock()


_ledgers: "weakref.WeakSet[Ledger]" = weakref.WeakSet()

INHERITED = ReadOnlyError(
    "this is a copy that was pickled or forked: where it came from is where it is saved. To log to it here too: "
    "project.attach(slug), once it is saved there; or project.append(experiment) takes over what is not"
)
"""Why an experiment refuses changes in a process that did not make it."""

READ_ONLY = Ledger(
    refusal=ReadOnlyError("this was opened for reading only; to change what is stored, open the project with mode='w+'")
)
"""The ledger of everything that is open for reading only: it never holds a note."""


def _reset_locks() -> None:
    for ledger in list(_ledgers):
        ledger.reset_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_locks)
