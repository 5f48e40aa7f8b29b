"""Patches to state: for each field of each record the patch with the greatest ``at`` wins.

State is a join: folding patches in any order, any number of times, packed or not, gives the same. So a reader
never forgets what it has read, and reading more can only add.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lazytrack.journal.document import Patch

_SILENT = {"at", "by", "record"}
"""The keys of a patch that change nothing."""
_KNOWN = _SILENT | {"set", "unset", "delete"}
_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


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
        # The same patch may have come from another file too, which may have lost other entries.
        twin = kept.get((at, record), {})
        changes = twin.get("set", {}) | changes
        # Nothing honest sets and unsets a field at once.
        gone = [field for field in dict.fromkeys([*twin.get("unset", ()), *gone]) if field not in changes]
        smaller = {key: value for key, value in (twin | patch).items() if key not in {"set", "unset"}}
        if changes or smaller.keys() - _KNOWN:
            smaller["set"] = changes
        if gone:
            smaller["unset"] = gone
        if smaller.keys() - _SILENT:
            kept[at, record] = smaller
    return list(kept.values())


class State:
    """All records of a store.

    Nearly all records of a large store are one patch. These are held as they were read, so that opening costs
    little more than parsing; a record of several is folded when it is asked for.
    """

    def __init__(self) -> None:
        self._records: dict[str, Patch | _Fold] = {}
        self.deleted: set[str] = set()

    def add(self, patches: Sequence[Patch]) -> set[str]:
        """Fold patches in and return the names of the records they speak of."""
        records = self._records
        patches = [p for p in patches if p.get("set") or p.get("unset") or p.keys() - _SILENT - {"set", "unset"}]
        names = [patch["record"] for patch in patches]
        touched = set(names)
        if len(touched) == len(names) and records.keys().isdisjoint(touched):
            records.update(zip(names, patches, strict=True))
        else:
            for name, patch in zip(names, patches, strict=True):
                known = records.setdefault(name, patch)
                if not isinstance(known, dict):
                    known.add(patch)
                elif known is not patch:
                    records[name] = _Fold([known, patch])
        self.deleted |= {patch["record"] for patch in patches if "delete" in patch}
        for record in self.deleted & touched:
            del records[record]
        return touched

    def __contains__(self, record: object) -> bool:
        return record in self._records

    def fields(self, record: str) -> Mapping[str, Any]:
        """Return each field of a record with its stored value, in the order they were last set."""
        known = self._records.get(record)
        if known is None:
            return _NO_FIELDS
        return known.get("set", _NO_FIELDS) if isinstance(known, dict) else known.fields

    def created(self) -> dict[str, str | None]:
        """Return each record with the logical time at which its ``created_at`` was set, None where it is not."""
        return {
            record: (known["at"] if "created_at" in known.get("set", _NO_FIELDS) else None)
            if isinstance(known, dict)
            else known.created
            for record, known in self._records.items()
        }

    def column(self, field: str) -> dict[str, Any]:
        """Return each record with the stored value of one field, None where it has none."""
        return {
            record: (known.get("set", _NO_FIELDS) if isinstance(known, dict) else known.fields).get(field)
            for record, known in self._records.items()
        }


class _Fold:
    """The state of a record of several patches."""

    __slots__ = ("_created", "_fields", "_patches", "_stale")

    def __init__(self, patches: list[Patch]) -> None:
        self._patches = patches
        self._fields: dict[str, Any] = {}
        self._created: str | None = None
        self._stale = True

    def add(self, patch: Patch) -> None:
        self._patches.append(patch)
        self._stale = True

    @property
    def fields(self) -> dict[str, Any]:
        self._refold()
        return self._fields

    @property
    def created(self) -> str | None:
        self._refold()
        return self._created

    def _refold(self) -> None:
        if self._stale:
            self._patches = compact(self._patches)
            self._fields = {k: v for patch in self._patches for k, v in patch.get("set", _NO_FIELDS).items()}
            setters = [patch["at"] for patch in self._patches if "created_at" in patch.get("set", _NO_FIELDS)]
            self._created = setters[0] if setters else None
            self._stale = False


def _fields(patch: Patch) -> Iterator[str]:
    yield from patch.get("set", ())
    yield from patch.get("unset", ())


def _order(patch: Patch) -> tuple[str, str]:
    return patch["at"], patch["record"]
