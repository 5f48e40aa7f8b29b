"""Which fields of a record have changed since it was last saved, and whether they may."""

import os
import threading
import weakref
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

    __slots__ = ("__weakref__", "_on_dirty", "changed", "last_updated", "lock", "refusal")

    def __init__(self, *, refusal: LazytrackError | None = None, on_dirty: Callable[[], None] | None = None) -> None:
        self.refusal = refusal
        self._on_dirty = on_dirty
        self.lock = threading.RLock()
        self.changed: dict[str, None] = {}
        self.last_updated: datetime | None = None
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

    def inherit(self) -> None:
        """Begin anew in another process: what is noted is its parent's to save, and nothing may be added to it."""
        self.lock = threading.RLock()  # the thread that held the other one does not exist here
        if self.refusal is None:
            self.refusal = INHERITED


_ledgers: "weakref.WeakSet[Ledger]" = weakref.WeakSet()

INHERITED = ReadOnlyError(
    "this experiment came from another process, which is the one to save what it logs. To log to it here too: "
    "project.attach(slug), once it is saved there; or project.append(experiment) takes over what is not"
)
"""Why an experiment refuses changes in a process that did not make it."""

READ_ONLY = Ledger(
    refusal=ReadOnlyError("this was opened for reading only; to change what is stored, open the project with mode='w+'")
)
"""The ledger of everything that is open for reading only: it never holds a note."""


def _inherit_all() -> None:
    for ledger in list(_ledgers):
        ledger.inherit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit_all)
