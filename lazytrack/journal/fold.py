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
_MANY = 64
"""So many patches more than needed a record may have before they are compacted."""


def compact(patches: Iterable[Patch]) -> list[Patch]:
    """Return patches that say the same in fewer words, ordered by ``at`` and record.

    Dropped are the ``set`` and ``unset`` entries that a later one of these patches overwrites, or that a delete
    among them covers, and patches that have nothing left to say. The latest ``unset`` of a field stays, or an
    older ``set`` of it that is in another file would come back; so does every delete. Keys of a patch that this
    version does not know are kept as they are.
    """
    ordered = sorted(patches, key=_order)
    deleted = {patch["record"] for patch in ordered if "delete" in patch}
    last: dict[str, dict[str, str]] = {}
    for patch in ordered:
        times = last.setdefault(patch["record"], {})
        times.update(dict.fromkeys(patch.get("set", ()), patch["at"]))
        times.update(dict.fromkeys(patch.get("unset", ()), patch["at"]))
    kept: dict[tuple[str, str], Patch] = {}
    for patch in ordered:
        record, at = patch["record"], patch["at"]
        times = {} if record in deleted else last[record]
        changes = {field: value for field, value in patch.get("set", {}).items() if times.get(field) == at}
        gone = [field for field in patch.get("unset", ()) if times.get(field) == at]
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

    def get(self, record: str, field: str) -> Any:
        """Return the stored value of one field of a record, None where it has none."""
        known = self._records.get(record, _NO_FIELDS)
        return known.get(field) if isinstance(known, _Fold) else known.get("set", _NO_FIELDS).get(field)

    def patches(self, record: str) -> list[Patch]:
        """Return the patches of a record that still count, ordered by ``at``."""
        known = self._records.get(record)
        if known is None:
            return []
        return [known] if isinstance(known, dict) else list(known.patches)

    def times(self, record: str) -> dict[str, str]:
        """Return each field of a record with the logical time at which it was last set or unset."""
        return {field: known["at"] for known in self.patches(record) for field in _fields(known)}

    def news(self, patches: Iterable[Patch]) -> list[Patch]:
        """Return what `patches` say that is not known here, or only by a patch that is older."""
        result = []
        times: dict[str, dict[str, str]] = {}
        for patch in patches:
            record = patch["record"]
            if record in self.deleted:
                continue
            if record not in times:
                times[record] = self.times(record)
            latest = times[record]
            changes = {k: v for k, v in patch.get("set", _NO_FIELDS).items() if latest.get(k, "") < patch["at"]}
            gone = [field for field in patch.get("unset", ()) if latest.get(field, "") < patch["at"]]
            if changes or gone:
                smaller = {key: value for key, value in patch.items() if key not in {"set", "unset"}}
                result.append(smaller | ({"set": changes} if changes else {}) | ({"unset": gone} if gone else {}))
        return result

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
            record: known.get("set", _NO_FIELDS).get(field) if isinstance(known, dict) else known.get(field)
            for record, known in self._records.items()
        }


class _Fold:
    """The state of a record of several patches.

    A patch that is newer than all others, as those of this process's own saves are, changes the state in place, so
    that a save costs what it changes. Any other makes it be folded anew when it is asked for.
    """

    __slots__ = ("_created", "_fields", "_handed_out", "_last", "_limit", "_patches", "_stale")

    def __init__(self, patches: list[Patch]) -> None:
        self._patches = patches
        self._fields: dict[str, Any] = {}
        self._created: str | None = None
        self._last = ""
        self._limit = _MANY
        self._stale = True
        self._handed_out = False

    def add(self, patch: Patch) -> None:
        self._patches.append(patch)
        if len(self._patches) > self._limit or patch["at"] <= self._last:
            self._stale = True
        if not self._stale:
            self._apply(patch)

    @property
    def fields(self) -> dict[str, Any]:
        self._refold()
        self._handed_out = True
        return self._fields

    def get(self, field: str) -> Any:
        self._refold()
        return self._fields.get(field)

    @property
    def created(self) -> str | None:
        self._refold()
        return self._created

    @property
    def patches(self) -> list[Patch]:
        self._patches = compact(self._patches)
        return self._patches

    def _refold(self) -> None:
        if self._stale:
            self._fields, self._created, self._handed_out = {}, None, False
            for patch in self.patches:
                self._apply(patch)
            self._limit = 2 * len(self._patches) + _MANY
            self._stale = False

    def _apply(self, patch: Patch) -> None:
        """Fold in a patch that is newer than all before it."""
        changes = patch.get("set", _NO_FIELDS)
        if self._handed_out:  # another thread may be going through it
            self._fields, self._handed_out = dict(self._fields), False
        for field in _fields(patch):
            self._fields.pop(field, None)
        self._fields.update(changes)
        if "created_at" in changes:
            self._created = patch["at"]
        elif "created_at" in patch.get("unset", ()):
            self._created = None
        self._last = patch["at"]


def _fields(patch: Patch) -> Iterator[str]:
    yield from patch.get("set", ())
    yield from patch.get("unset", ())


def _order(patch: Patch) -> tuple[str, str]:
    return patch["at"], patch["record"]
