"""Exports: a whole project as one file, a JSON document or a zip archive, that can be opened anywhere."""

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

import attrs

from lazytrack import naming
from lazytrack.artifacts import Shelf, StoredFile
from lazytrack.errors import LazytrackError
from lazytrack.files import Files
from lazytrack.journal import Patch
from lazytrack.journal.document import compose, compose_export, parse
from lazytrack.progress import Progress

_PIECE_BYTES = 2**20
_STORE, _HEAD = "project", "project.json"
"""What a project is called in an archive."""


@attrs.frozen(kw_only=True)
class Export:
    """What was exported, and what was not.

    Parameters
    ----------
    fpath
        The file.
    experiments, files
        How many are in it.
    size
        Of the files in it, in bytes.
    left_out
        Files that records name and that are not in it though they should be, by path, with the reason.
    """

    fpath: str
    experiments: int
    files: int
    size: int
    left_out: Mapping[str, str]


def check_target(files: Files, name: str, *, overwrite: bool) -> None:
    """Refuse to write a file where another one would be lost.

    Raises
    ------
    ValueError
        When the name says neither JSON nor zip.
    FileExistsError
        When there is a file, and it is not to be overwritten, or is no export.
    """
    where = f"{files.url}/{name}"
    if not name.endswith((".json", ".zip")):
        raise ValueError(f"cannot export to {where}: give a name that ends in .json or .zip")
    try:
        files.stat(name)
    except FileNotFoundError:
        return
    if not overwrite:
        raise FileExistsError(
            f"there is a file {where} already: give another name, or overwrite=True, which is --overwrite"
        )
    if not _is_export(files, name):
        raise FileExistsError(f"{where} is no export: what is written does not take its place")


def _is_export(files: Files, name: str) -> bool:
    if name.endswith(".json"):
        return parse(files.read(name)).kind == "export"
    with files.open_read(name) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return parse(archive.read(_HEAD)).kind == "project"
        except (zipfile.BadZipFile, KeyError):  # no archive, or not of a project
            return False


def write(
    target: Files, name: str, *, patches: list[Patch], named: Iterable[StoredFile], shelf: Shelf, source: Files
) -> tuple[int, int, dict[str, str]]:
    """Write an export, and return how many files are in it, their size, and what is missing with the reason.

    Parameters
    ----------
    patches
        All that the project's records say.
    named
        The files that they name and that are to be in it.
    shelf, source
        What reads artifacts, and where all files are.

    Raises
    ------
    OSError
        When it cannot be written; then there is no file.
    """
    missing: dict[str, str] = {}
    opened = _opened(named, shelf, source, missing)
    created_at, own_id = naming.iso(naming.now()), naming.unique(16)
    if name.endswith(".json"):
        held = {path: file.read() for path, file in opened}
        document = compose_export(id=own_id, created_at=created_at, patches=patches, files=held)
        with target.open_write(name) as upload:
            upload.write(document)
        return len(held), sum(map(len, held.values())), missing
    count = size = 0
    log = f"{_STORE}/log/{naming.LogicalClock().tick()}.json"
    with (
        target.open_write(name) as upload,
        zipfile.ZipFile(upload, "w", compression=zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr(_HEAD, compose("project", id=own_id, created_at=created_at))
        for path, file in opened:
            with archive.open(f"{_STORE}/{path}", "w", force_zip64=True) as copy:
                shutil.copyfileobj(file, copy, _PIECE_BYTES)
                size += file.tell()
            count += 1
        archive.writestr(log, compose("log", id=log[len(_STORE) + 5 : -5], patches=patches))
    return count, size, missing


def _opened(
    named: Iterable[StoredFile], shelf: Shelf, source: Files, missing: dict[str, str]
) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield each file that records name, once, open for reading, with those that manifests name."""
    seen: set[str] = set()
    waiting = [*named]
    with Progress(f"exporting {source.url}", files=len(waiting)) as progress:
        for stored in waiting:  # which grows by what manifests name
            if stored.path in seen:
                continue
            seen.add(stored.path)
            progress.add_file()
            try:
                waiting += shelf.parts_of(stored)
                file = shelf.open_checked(stored, f"{stored.field} of {stored.record}")
            except LazytrackError as error:
                missing[stored.path] = str(error)
                continue
            with file:
                yield stored.path, file
