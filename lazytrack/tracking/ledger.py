"""Which fields of a record have changed since it was last saved, and whether they may."""

import threading
from collections.abc import Callable
from datetime import datetime

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

    __slots__ = ("_on_dirty", "changed", "last_updated", "lock", "refusal")

    def __init__(self, *, refusal: LazytrackError | None = None, on_dirty: Callable[[], None] | None = None) -> None:
        self.refusal = refusal
        self._on_dirty = on_dirty
        self.lock = threading.RLock()
        self.changed: dict[str, None] = {}
        self.last_updated: datetime | None = None

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
        self.last_updated = naming.now()

    def take(self) -> list[str]:
        """Take the noted fields away, in the order they were first noted. The caller holds the lock."""
        taken, self.changed = list(self.changed), {}
        return taken

    def give_back(self, fields: list[str]) -> None:
        """Note fields again that could not be saved."""
        with self.lock:
            for field in [*fields, *self.take()]:
                self.note(field)


READ_ONLY = Ledger(
    refusal=ReadOnlyError("this was opened for reading only; to change what is stored, open the project with mode='w+'")
)
"""The ledger of everything that is open for reading only: it never holds a note."""
