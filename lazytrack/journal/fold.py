"""Patches to state: for each field of each record the patch with the greatest ``at`` wins.

State is a join: folding patches in any order, any number of times, packed or not, gives the same. So a reader
never forgets what it has read, and reading more can only add.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from lazytrack.journal.document import Patch

_FOLD_ABOVE = 32
"""A record of more patches than this is compacted as it grows."""


def compact(patches: Iterable[Patch]) -> list[Patch]:
    """Return patches that say the same in fewer words, ordered by ``at`` and record.

    Dropped are the ``set`` and ``unset`` entries that a later one of these patches overwrites, or that a delete
    among them covers, and patches that have nothing left to say. The latest ``unset`` of a field stays, or an
    older ``set`` of it that is in another file would come back; so does every delete. Keys of a patch that this
    version does not know are kept as they are.
    """
    deleted: set[str] = set()
    last: dict[tuple[str, str], str] = {}
    ordered = sorted(patches, key=_order)
    for patch in ordered:
        record, at = patch["record"], patch["at"]
        if "delete" in patch:
            deleted.add(record)
        for field in _fields(patch):
            last[record, field] = at
    kept: dict[tuple[str, str], Patch] = {}
    for patch in ordered:
        record, at = patch["record"], patch["at"]
        living = record not in deleted
        changes = {k: v for k, v in patch.get("set", {}).items() if living and last[record, k] == at}
        gone = [field for field in patch.get("unset", ()) if living and last[record, field] == at]
        smaller = {key: value for key, value in patch.items() if key not in {"set", "unset"}}
        if twin := kept.get((at, record)):  # the same patch from another file, which may have lost other entries
            smaller = twin | smaller
            changes = twin.get("set", {}) | changes
            gone = [f for f in dict.fromkeys([*twin.get("unset", ()), *gone]) if f not in changes]
        if changes:
            smaller["set"] = changes
        if gone:
            smaller["unset"] = gone
        if not smaller.keys() <= {"at", "by", "record"}:
            kept[at, record] = smaller
    return list(kept.values())


class Fold:
    """The state of one record."""

    __slots__ = ("_fields", "_patches", "_stamps")

    def __init__(self, patch: Patch) -> None:
        self._patches = [patch]
        self._fields: dict[str, Any] | None = None
        self._stamps: dict[str, str] | None = None

    def add(self, patch: Patch) -> None:
        """Take note of one more patch of this record."""
        self._patches.append(patch)
        if len(self._patches) > _FOLD_ABOVE:
            self._patches = compact(self._patches)
        self._fields = self._stamps = None

    @property
    def fields(self) -> dict[str, Any]:
        """Each field with its stored value, in the order they were last set. Not to be changed."""
        if self._fields is None:
            if len(self._patches) == 1:
                self._fields = self._patches[0].get("set") or {}
            else:
                self._patches = compact(self._patches)
                self._fields = {k: v for patch in self._patches for k, v in patch.get("set", {}).items()}
        return self._fields

    def at(self, field: str) -> str | None:
        """Return the logical time at which `field` got its value, None where it has none."""
        if len(self._patches) == 1:
            return self._patches[0]["at"] if field in self.fields else None
        if self._stamps is None:
            fields = self.fields
            self._stamps = {k: patch["at"] for patch in self._patches for k in patch.get("set", {}) if k in fields}
        return self._stamps.get(field)


class State:
    """All records of a store."""

    def __init__(self) -> None:
        self.folds: dict[str, Fold] = {}
        self.deleted: set[str] = set()

    def add(self, patches: Iterable[Patch]) -> set[str]:
        """Fold patches in and return the names of the records they speak of."""
        touched = set()
        folds, deleted = self.folds, self.deleted
        for patch in patches:
            record = patch["record"]
            touched.add(record)
            if record in deleted:
                continue
            if "delete" in patch:
                deleted.add(record)
                folds.pop(record, None)
            elif (fold := folds.get(record)) is None:
                folds[record] = Fold(patch)
            else:
                fold.add(patch)
        return touched


def _fields(patch: Patch) -> Iterator[str]:
    yield from patch.get("set", ())
    yield from patch.get("unset", ())


def _order(patch: Patch) -> tuple[str, str]:
    return patch["at"], patch["record"]
