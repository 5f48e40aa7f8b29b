"""The head of a store: the one file with a name people know, ``project.json`` or ``repository.json``."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lazytrack import naming
from lazytrack.errors import FormatError
from lazytrack.files import Files
from lazytrack.journal import document
from lazytrack.journal.document import Patch

_PROTOCOL_ALONE = re.compile(r"[A-Za-z0-9+._-]+:/{2,}")


@attrs.frozen(kw_only=True)
class Head:
    """What a head says.

    Parameters
    ----------
    kind
        ``project``, ``repository``, or ``export``: a whole project in one file.
    id
        Drawn when the store was made; nothing depends on it.
    patches, files
        An export's: all that the project's records say, and the content of its files by path; a head has none.
    """

    kind: str
    id: str
    patches: Sequence[Patch] = ()
    files: Mapping[str, bytes] = attrs.Factory(dict)


def head_path(fpath: str | os.PathLike[str], *, kind: str) -> str:
    """Return the path or URL of a store's head: what is no ``.json`` file is the folder it is in.

    Raises
    ------
    ValueError
        When it names nothing.
    """
    path = os.fspath(fpath)
    if not path or path.endswith("/.json") or path == ".json" or _PROTOCOL_ALONE.fullmatch(path):
        raise ValueError(f"fpath {path!r} names no {kind}: give a folder, or a file such as '{kind}.json'")
    return path if path.endswith(".json") else f"{path.rstrip('/')}/{kind}.json"


def read_head(files: Files, name: str, *, kind: str) -> Head | None:
    """Read the head `name` in `files`; None where there is none yet.

    Raises
    ------
    FormatError
        When the file is no head of this `kind`, or of a newer lazytrack.
    OSError
        When it is there and cannot be read.
    """
    try:
        data = files.read(name)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise FormatError(f"{files.url}/{name} is a folder, not the head of a {kind}") from error
    except NotADirectoryError as error:
        raise FormatError(f"{files.url} is a file, not the folder of a {kind}") from error
    if not data:  # whoever was about to write it died, on a filesystem without hard links
        return None
    where = f"{files.url}/{name}"
    parsed = document.parse(data)
    if parsed.problem:
        raise FormatError(f"{where} {parsed.problem}{_hint(data)}")
    if parsed.kind == "export" and kind == "project":
        try:
            return Head(
                kind="export", id=parsed.id or "", patches=parsed.patches, files=document.files_in(parsed.files)
            )
        except ValueError as error:
            raise FormatError(f"{where} {error}") from error
    if parsed.kind != kind:
        of = " of a project" if parsed.kind == "export" else ""
        raise FormatError(f"{where} is a lazytrack {parsed.kind}{of}, not a {kind}")
    return Head(kind=parsed.kind, id=parsed.id or "")


def write_head(files: Files, name: str, *, kind: str) -> Head:
    """Write the head of a new store, unless somebody else was faster, and return the one that is there.

    Raises
    ------
    FormatError
        When a file that is no head of this `kind` has appeared there.
    OSError
        When it cannot be written.
    """
    data = document.compose(kind, id=naming.unique(16), created_at=naming.iso(naming.now()))
    if files.can_claim:
        files.claim(name, data)
    head = read_head(files, name, kind=kind)
    if head is None:
        files.create(name, data)
        head = read_head(files, name, kind=kind)
    if head is None:
        raise FileNotFoundError(f"{files.url}/{name} was written and is gone again")
    return head


def _hint(data: bytes) -> str:
    """Recognise what people may have there instead of a head."""
    try:
        content: Any = json.loads(data)  # others write NaN, which strict JSON has not
    except (ValueError, RecursionError):
        return "; lazytrack needs a path of its own"
    if isinstance(content, list):
        return " (a JSON list, as lazyscribe writes; `lazytrack import lazyscribe SOURCE -p PROJECT` takes it over)"
    return "; lazytrack needs a path of its own"
