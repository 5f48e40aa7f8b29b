"""What one save takes from an experiment."""

from collections.abc import Sequence
from typing import Any

import attrs

from lazytrack.artifacts import Artifact
from lazytrack.journal import Patch
from lazytrack.provenance.kept import Shared
from lazytrack.tracking.curves import Taken
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import MISSING


@attrs.define(kw_only=True, eq=False)
class Changes:
    """What one save takes from an experiment.

    Parameters
    ----------
    slug
        Of the experiment.
    ledger
        Where the changes were noted.
    fields
        What was noted, each with the logical time its value is of where it has one.
    set, unset
        Of the patch.
    earlier
        Patches of values that are of an earlier time, because copies of them have gone elsewhere, by that time.
    artifacts
        Those to be written first, by field.
    taken
        Points to be written first.
    shared
        Files of what many experiments share, to be there first.
    """

    slug: str
    ledger: Ledger
    author: str
    fields: dict[str, str | None] = attrs.Factory(dict)
    set: dict[str, Any] = attrs.Factory(dict)
    unset: list[str] = attrs.Factory(list)
    earlier: dict[str, Patch] = attrs.Factory(dict)
    artifacts: dict[str, Artifact] = attrs.Factory(dict)
    taken: Taken | None = None
    shared: Sequence[Shared] = ()

    def add(self, field: str, value: Any, at: str | None = None) -> None:
        """Add a field with its strict JSON, with an artifact or points that are to be written, or with `MISSING`."""
        if isinstance(value, Artifact):
            self.artifacts[field] = value
        elif isinstance(value, Taken):
            self.taken = value
        elif at is not None:
            patch = self.earlier.setdefault(at, {"at": at, "by": self.author, "record": self.slug})
            add_to(patch, field, value)
        elif value is MISSING:
            self.unset.append(field)
        else:
            self.set[field] = value

    def end(self) -> None:
        """Note as changed again whatever is still among the `fields`: it was not written."""
        self.ledger.settle(self.fields)
        self.fields = {}

    def patch(self) -> dict[str, Any]:
        """Return the changes as the journal takes them."""
        patch: dict[str, Any] = {"record": self.slug}
        if self.set:
            patch["set"] = self.set
        if self.unset:
            patch["unset"] = self.unset
        return patch


def add_to(patch: Patch, field: str, value: Any) -> None:
    """Add a field to a patch, with its strict JSON or `MISSING`."""
    if value is MISSING:
        patch.setdefault("unset", []).append(field)
    else:
        patch.setdefault("set", {})[field] = value
