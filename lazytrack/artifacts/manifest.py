"""Manifests: which files an artifact of many files has, where they are, and which bytes they have to be."""

from collections.abc import Iterable
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts.base import Parts, StoredFile
from lazytrack.errors import UnsafePathError

_FORMAT, _KIND = "lazytrack/1", "directory"

Named = tuple[str, StoredFile]
"""A file with the path that it has in the object."""


@attrs.frozen
class _Line:
    """What a manifest says of one file."""

    name: str
    path: str
    sha256: str
    size: int


def dump(files: Iterable[Named]) -> bytes:
    """Return a manifest; that of equal files at equal places is the same."""
    lines = [{"name": name, "path": file.path, "sha256": file.sha256, "size": file.size} for name, file in files]
    return codec.dumps({"format": _FORMAT, "kind": _KIND, "files": sorted(lines, key=lambda line: str(line["name"]))})


def parse(content: bytes) -> list[Named]:
    """Return the files that a manifest names.

    Raises
    ------
    ValueError
        When it is no manifest.
    UnsafePathError
        When the name of a file would lead out of the folder it is put in.
    """
    document = codec.loads(content)
    if not isinstance(document, dict) or (document.get("format"), document.get("kind")) != (_FORMAT, _KIND):
        raise ValueError("it is no manifest of files")
    try:
        lines = codec.converter.structure(document.get("files"), list[_Line])
    except (TypeError, KeyError) as error:
        raise ValueError(f"it names its files in no way that is known: {error}") from error
    _check_names([line.name for line in lines])
    return [(line.name, StoredFile(path=line.path, sha256=line.sha256, size=line.size)) for line in lines]


def summary(files: Iterable[Named]) -> Parts:
    """Return how many files there are, and how large they are."""
    sizes = [file.size for _, file in files]
    return Parts(count=len(sizes), size=sum(sizes))


def _check_names(names: list[Any]) -> None:
    """Refuse names of files that could not stand beside each other in one folder, or would be outside of it."""
    taken: set[str] = set()
    for name in names:
        naming.check_inside(name)
        if name in taken or "\\" in name or any(part in {"", "."} for part in name.split("/")):
            raise UnsafePathError(f"file {name[:200]!r} is named twice, or in a way that leads elsewhere")
        taken.add(name)
    for name in names:
        parts = name.split("/")
        if any("/".join(parts[:depth]) in taken for depth in range(1, len(parts))):
            raise UnsafePathError(f"file {name[:200]!r} would be inside of another file")
