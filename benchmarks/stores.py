"""Lazytrack projects of any size, grown by one save for each experiment, and what was written and read meanwhile."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import children
import orjson
import payload

from lazytrack import Project
from lazytrack.files import open_files
from lazytrack.files.local import LocalFiles
from lazytrack.journal import Journal, packing


@dataclass
class Traffic:
    """Files that were written and read."""

    written_files: int = 0
    written_bytes: int = 0
    read: list[str] = field(default_factory=list)
    read_bytes: int = 0


@contextmanager
def counted() -> Iterator[Traffic]:
    """Count every file that is written or read in the block, at the moment it is."""
    traffic = Traffic()
    originals = LocalFiles.open_write, LocalFiles.claim, LocalFiles.read

    @contextmanager
    def open_write(files: LocalFiles, path: str) -> Iterator[Any]:
        with originals[0](files, path) as upload:
            yield upload
        if not upload.aborted:
            traffic.written_files += 1
            traffic.written_bytes += upload.size

    def claim(files: LocalFiles, path: str, data: bytes) -> bool:
        traffic.written_files += 1
        traffic.written_bytes += len(data)
        return originals[1](files, path, data)

    def read(files: LocalFiles, path: str, *, limit: int | None = None) -> bytes:
        data = originals[2](files, path, limit=limit)
        traffic.read.append(f"{files.url}/{path}")
        traffic.read_bytes += len(data)
        return data

    LocalFiles.open_write, LocalFiles.claim, LocalFiles.read = open_write, claim, read
    try:
        yield traffic
    finally:
        LocalFiles.open_write, LocalFiles.claim, LocalFiles.read = originals


def grow(path: str, size: int, *, aged: bool, artifact: bool = False) -> dict[str, Any]:
    """Log `size` experiments with a save for each, and return what that wrote.

    In an aged project replaced files are deleted by the next packer, as they are in one that grew over weeks; in
    another everything happened within minutes, and nothing is deleted yet.
    """
    if aged:
        packing.GRACE_SECONDS = 0
    project = Project(path)
    with counted() as traffic:
        for number in range(size):
            payload.log(project, number, artifact=artifact)
            project.save()
    if len(Project(path, mode="r")) != size:
        raise RuntimeError(f"{size} experiments were saved, and {len(Project(path, mode='r'))} are there")
    journal = Journal(open_files(project.folder))
    journal.refresh()
    return {
        **asdict(traffic),
        "dict_bytes": sum(len(orjson.dumps(experiment.to_dict())) for experiment in project.experiments),
        "set_bytes": sum(len(orjson.dumps(dict(journal.fields(record)))) for record in journal.created()),
    }


@dataclass
class Store:
    """A project that was grown, and what growing it wrote."""

    path: Path
    grown: dict[str, Any]

    @property
    def files(self) -> int:
        """How many files there are in the log and in packs."""
        folder = self.path.with_suffix("")
        return sum(1 for _ in [*folder.glob("log/*.json"), *folder.glob("packs/*.json")])

    def copy(self) -> Path:
        """Return the path of a copy of its own; the files' times stay as they are.

        Copies are removed with everything else at the end of a run: see `places.settle` for what deleting does.
        """
        folder = Path(tempfile.mkdtemp(prefix="copy-", dir=self.path.parent.parent))
        shutil.copytree(self.path.parent, folder, dirs_exist_ok=True)
        os.sync()  # or the first save after it would wait for the copy
        return folder / self.path.name


def store(work: Path, size: int, *, aged: bool = True, artifact: bool = False) -> Store:
    """Return a project of `size` experiments, grown at first use; who writes to one takes a copy."""
    return _store(work, size, aged, artifact)


@cache
def _store(work: Path, size: int, aged: bool, artifact: bool) -> Store:
    name = f"{size}{'-aged' if aged else ''}{'-artifact' if artifact else ''}"
    path = work / name / "project.json"
    path.parent.mkdir()  # refuses to grow the same one twice
    grown = children.call("stores", "grow", path=str(path), size=size, aged=aged, artifact=artifact)
    return Store(path, grown)
