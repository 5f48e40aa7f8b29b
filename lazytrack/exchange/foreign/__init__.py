"""What other trackers have written, read without running any of it, as drafts of records."""

import importlib
from collections.abc import Iterator
from typing import Any, Protocol

import attrs

from lazytrack.exchange.foreign.draft import IMPORTED, Draft
from lazytrack.exchange.foreign.sources import missing

__all__ = ["IMPORTED", "KINDS", "Draft", "Imported", "Importing", "begin"]

KINDS = ("lazyscribe", "mlflow", "tango")
"""What can be imported."""


class Importing(Protocol):
    """One import."""

    left_out: dict[str, list[str]]
    """What of the whole has no place here."""

    def drafts(self) -> Iterator[Draft]:
        """Yield what is to become of experiments."""

    def versions(self) -> Iterator[Draft]:
        """Yield what is to become of the versions of artifacts, and of what they are called; after the others."""


@attrs.define(kw_only=True)
class Imported:
    """What has come of an import, or would.

    Parameters
    ----------
    kind, source
        From what, and from where.
    dry_run
        Whether nothing was written.
    experiments, versions
        How many are new here.
    updated, unchanged, deleted
        How many were here already and have changed there since; or have not; or were deleted here, and stay so.
    artifacts, points, size
        Of those that are new or updated: artifacts, points of histories, and bytes.
    left_out
        What has no place here, or cannot be read: of what kind, and which.
    """

    kind: str
    source: str
    dry_run: bool
    experiments: int = 0
    versions: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    artifacts: int = 0
    points: int = 0
    size: int = 0
    left_out: dict[str, list[str]] = attrs.Factory(dict)

    def add(self, draft: Draft, *, is_new: bool) -> None:
        """Take note of a record that is new or updated."""
        if not is_new:
            self.updated += 1
        elif "/" in draft.record:
            self.versions += draft.record.rpartition("/")[2].isdecimal()
        else:
            self.experiments += 1
        self.artifacts += draft.artifacts
        self.points += draft.points
        self.size += draft.size

    def leave_out(self, draft: Draft) -> None:
        """Take note of what of a record has no place here."""
        for kind, which in draft.left_out:
            self.left_out.setdefault(kind, []).append(f"{draft.source['id']}: {which}" if which else draft.source["id"])


def begin(kind: str, source: str, **how: Any) -> Importing:
    """Open what another tracker has written.

    Parameters
    ----------
    how
        ``home``, ``is_here`` and ``records``, what the project is called that it goes to, what tells of a record
        whether it is there, and what returns all that are or were; ``follow``, whether artifacts are fetched from
        outside of the source; ``dry``, whether files are only counted; ``options`` for the filesystem of the source.

    Raises
    ------
    ValueError
        When this kind is not known, or there is no such thing at the source.
    FileNotFoundError
        When there is nothing.
    """
    if kind not in KINDS:
        raise ValueError(f"cannot import {kind!r}; known: {', '.join(KINDS)}")
    module = importlib.import_module(f"lazytrack.exchange.foreign.{kind}")
    try:
        return module.begin(source, **how)  # type: ignore[no-any-return]
    except FileNotFoundError as error:
        if error.errno is None:  # it says so by itself
            raise
        raise missing(source) from error
