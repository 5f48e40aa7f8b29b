"""Upkeep of a project: what its experiments need, for collecting garbage and for checking the store."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lazytrack.errors import ReadOnlyError
from lazytrack.journal import read_head
from lazytrack.maintenance import Maintained, Need, Store, needs_in
from lazytrack.tracking.dependencies import FIELD
from lazytrack.tracking.logged import STEPS, files_of
from lazytrack.tracking.placed import ARTIFACT
from lazytrack.tracking.runs import Runs


class Upkeep(Runs, Maintained):
    """What of `Project` is looking after its files."""

    def _as_store(self) -> Store:
        if self._until < math.inf:
            raise ReadOnlyError(f"this is {self.fpath} as it was: open the project as it is to look after its files")
        self._head = self._head or read_head(self._files, self._head_name, kind="project")
        if self._head is None:
            raise FileNotFoundError(f"there is no project at {self.fpath}, or nothing of it is saved yet")
        return Store(
            url=self.folder,
            files=self._journal.files,
            journal=self._journal,
            shelf=self._shelf,
            needs=self._needs,
            problems=lambda: self.problems,
            refresh=self.refresh,
            by=self.author,
        )

    def _needs(self) -> Iterator[Need]:
        records = [record for record in self._journal.created() if not record.startswith(".")]
        upstream: dict[str, str] = {}
        """Who depends on an experiment."""
        for record in records:
            for field, value in self._journal.fields(record).items():
                if field.startswith(FIELD) and isinstance(value, str):
                    upstream[value.rpartition("|")[2]] = record
        for record in records:
            fields = self._journal.fields(record)
            taken = _taken_in(fields)
            for field, need in needs_in(record, fields, files_of):
                if need.until is not None and record in upstream:
                    yield attrs.evolve(need, until=None, why=f"{need.why}, on which {upstream[record]} depends")
                else:
                    yield attrs.evolve(need, taker=record) if field in taken else need


def _taken_in(fields: Mapping[str, Any]) -> set[str]:
    """Return the fields of the outputs that steps of a run have taken from earlier ones."""
    taken = set()
    for field, said in fields.items():
        if field.startswith(STEPS) and isinstance(said, dict) and "original" in said:
            outputs = said.get("outputs")
            for output in outputs.values() if isinstance(outputs, dict) else ():
                if isinstance(output, dict):  # a stranger may say anything
                    taken.add(f"{ARTIFACT}{output.get('artifact')}")
    return taken
