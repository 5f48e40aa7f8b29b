"""What many results share of where they come from, kept in a store once: a file by the digest of its content."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.errors import FormatError
from lazytrack.files import Files
from lazytrack.journal import FORMAT

FOLDER = "environments"
KINDS = ("platform", "environment")
"""What a record, or a step, names such a file for."""
SOURCE = "source"
"""What a step alone names one for: its code."""
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OF_THE_RUN = {"environment": ("command", "root", "git"), "platform": ("job",)}
"""What of them differs from run to run: that is in the record."""


@attrs.frozen
class Shared:
    """A file of what many results share.

    Parameters
    ----------
    digest
        Of its content: the name of the file.
    content
        Of the file.
    said
        What it says, as JSON.
    """

    digest: str
    content: bytes
    said: dict[str, Any]

    @property
    def path(self) -> str:
        """Where the file is in a store."""
        return path_of(self.digest)


def path_of(digest: str) -> str:
    """Return where the file of a digest is in a store."""
    return f"{FOLDER}/{digest}.json"


def divide(kind: str, record: Mapping[str, Any]) -> tuple[Shared, dict[str, Any]]:
    """Divide a platform or an environment, as JSON, into what many runs share and what is of one run.

    Parameters
    ----------
    kind
        ``platform`` or ``environment``.
    """
    own = {key: record[key] for key in _OF_THE_RUN[kind] if record.get(key) is not None}
    shared = {key: value for key, value in record.items() if key not in _OF_THE_RUN[kind] and value is not None}
    return file_of(kind, shared), own


def file_of(kind: str, said: dict[str, Any]) -> Shared:
    """Return the file that says this, as JSON, of a kind."""
    content = codec.dumps({"format": FORMAT, "kind": kind, kind: said})
    return Shared(hashlib.sha256(content).hexdigest(), content, said)


def digests_in(field: str, value: Any) -> list[str]:
    """Return the digests in a field of a record: of a platform, an environment, or a step that has both, and code."""
    of_a_step = (*KINDS, SOURCE)
    found = [value] if field in KINDS else [value.get(kind) for kind in of_a_step] if isinstance(value, dict) else []
    return [digest for digest in found if isinstance(digest, str) and _DIGEST.fullmatch(digest)]


def put(files: Files, shared: Shared) -> None:
    """Write a file of what is shared, unless it is there."""
    if files.can_claim:
        files.claim(shared.path, shared.content)
    elif shared.path.rpartition("/")[2] not in files.names(FOLDER):
        files.create(shared.path, shared.content)


def get(files: Files, kind: str, digest: str) -> dict[str, Any]:
    """Return what a file says that many results share.

    Raises
    ------
    FormatError
        When it is gone, altered, or of a later lazytrack.
    OSError
        When it cannot be read.
    """
    where = f"{files.url}/{path_of(digest)}"
    if not _DIGEST.fullmatch(digest):
        raise FormatError(f"{digest[:80]!r} is no name of a file in {files.url}/{FOLDER}")
    try:
        content = files.read(path_of(digest))
    except FileNotFoundError as error:
        raise FormatError(f"{where} is gone") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise FormatError(f"{where} is not the file that was written")
    document = codec.loads(content)
    found = document.get(kind) if isinstance(document, dict) and document.get("format") == FORMAT else None
    if not isinstance(found, dict):
        raise FormatError(f"{where} is no {kind} of this format")
    return found
