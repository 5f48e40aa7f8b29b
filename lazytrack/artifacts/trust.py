"""Whose files may run code when they are read: those whose record is signed by a key that this user holds.

A signature says: who held this key wrote these bytes, for this handler, as this field of this record. It names nothing
of the store, so it survives copying and merging, and it is worth nothing for another record or artifact.

Keys are words. The first signs, each of them verifies: a key is rotated by putting a new one before the old one. A team
shares keys through ``LAZYTRACK_SIGNING_KEY``; a user's own are in a private file in the user's configuration folder,
which the first signature makes.
"""

import hashlib
import hmac
import os
import re
import warnings
from collections.abc import Iterator

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts.base import Artifact, StoredFile
from lazytrack.errors import UntrustedArtifactError
from lazytrack.files import open_private

VARIABLE = "LAZYTRACK_SIGNING_KEY"
"""The environment variable with the keys of a team."""

_PLACE = re.compile(
    r"artifacts/(?:(?P<owner>[^/]+)/)?(?P<name>[^/]+)/(?P<version>\d+)-[0-9a-z]{8}/.+", re.ASCII | re.DOTALL
)
"""The path of a file, which tells whose it was at first."""
_FILE = "signing.key"
_LEAST = 16
"""Characters of a key. A short one could be found by trying."""


def signed(artifact: Artifact, stored: StoredFile, *, record: str, field: str) -> StoredFile:
    """Return a file that was written here with its place in the store, and a signature where reading it runs code.

    Where this user can keep no key, that is no signature, and a warning.

    Parameters
    ----------
    record, field
        What is going to name it, such as ``artifacts.model`` of an experiment.

    Raises
    ------
    ValueError
        When a key in ``LAZYTRACK_SIGNING_KEY`` is too short.
    """
    stored = attrs.evolve(stored, record=record, field=field, signature=None)
    if not artifact.executes_code:
        return stored
    keys = _held_keys() or _make_key()
    return attrs.evolve(stored, signature=_signature(keys[0], stored, artifact.alias)) if keys else stored


def check_trust(artifact: Artifact) -> None:
    """Refuse an artifact that could run code when it is read, unless a key that this user holds has signed it.

    Raises
    ------
    UntrustedArtifactError
        Which says why, and the two ways out.
    """
    if artifact.stored is None or not artifact.executes_code:
        return
    if (doubt := _doubt(artifact.stored, artifact.alias)) is not None:
        raise UntrustedArtifactError(
            f"artifact {artifact.name!r} of {artifact.stored.record!r} could run code when it is read, and {doubt}. "
            f"Put the key of who wrote it into {VARIABLE}, or, if you trust where it comes from, "
            "load_artifact(..., trust=True)"
        )


def is_trusted(artifact: Artifact) -> bool:
    """Tell whether an artifact may be read unasked."""
    return artifact.stored is not None and (
        not artifact.executes_code or _doubt(artifact.stored, artifact.alias) is None
    )


def _doubt(stored: StoredFile, handler: str) -> str | None:
    """Say what is wrong with a signature; None where it is right."""
    if stored.signature is None:
        return "it is not signed"
    key_id = stored.signature.partition(":")[0]
    held = [key for key in _held_keys() if _key_id(key) == key_id]
    if not held:
        return f"it is signed by a key that is not held here ({key_id[:16]!r})"
    expected = [_signature(key, stored, handler).encode() for key in held]
    given = stored.signature.encode("utf-8", "replace")
    if any(hmac.compare_digest(given, signature) for signature in expected):
        return None
    for key in held:
        for elsewhere, where in _places_told_by(stored):
            if hmac.compare_digest(given, _signature(key, elsewhere, handler).encode()):
                return f"what is signed is {where}: the record was moved here from there"
    return "its signature is of other bytes or another handler: the record was altered"


def _places_told_by(stored: StoredFile) -> Iterator[tuple[StoredFile, str]]:
    """Yield where else a file may have been signed for, as its path tells; only the signature proves it."""
    place = _PLACE.fullmatch(stored.path)
    if place is None:
        return
    record, name = place["owner"], place["name"]
    for field in (f"artifacts.{name}", stored.field):
        yield attrs.evolve(stored, record=record or stored.record, field=field), f"{field} of {record!r}"
    yield attrs.evolve(stored, field=f"artifacts.{name}"), f"artifacts.{name} of {stored.record!r}"
    number = place["version"]
    yield attrs.evolve(stored, record=f"{name}/{number}", field="artifact"), f"version {number} of {name!r}"


def _signature(key: str, stored: StoredFile, handler: str) -> str:
    message = codec.dumps(["lazytrack/1", stored.sha256, handler, stored.record, stored.field])
    return f"{_key_id(key)}:{hmac.new(key.encode(), message, hashlib.sha256).hexdigest()}"


def _key_id(key: str) -> str:
    """Return a name for a key, from which it cannot be found."""
    return hmac.new(key.encode(), b"name of the key", hashlib.sha256).hexdigest()[:16]


# --- keys ---


def count_keys() -> int:
    """Return how many signing keys this user holds; none is made."""
    return len(_held_keys())


def _held_keys() -> list[str]:
    """Return the keys this user holds: the team's, then the user's own."""
    shared = os.environ.get(VARIABLE, "").replace(",", " ").split()
    if short := [key for key in shared if len(key) < _LEAST]:
        raise ValueError(
            f"{VARIABLE} holds a key of {len(short[0])} characters, which could be guessed; take at least {_LEAST}, "
            "such as `python -c 'import secrets; print(secrets.token_hex(32))'` makes"
        )
    return [*shared, *_own_keys()]


def _own_keys() -> list[str]:
    try:
        return open_private(_folder()).read(_FILE).decode().split()
    except (OSError, UnicodeDecodeError, RuntimeError):  # there is none, or none that can be used
        return []


def _make_key() -> list[str]:
    """Make this user's own key, unless another process was faster, and return what is there."""
    reason = "it cannot be read"
    try:
        open_private(_folder()).claim(_FILE, f"{naming.unique(52)}\n".encode())
    except (OSError, RuntimeError) as error:  # a home that is not there, or may not be written
        reason = str(error)
    keys = _own_keys()
    if not keys:
        warnings.warn(
            f"no signing key can be kept in {_folder()} ({reason}): artifacts that could run code when they are read "
            f"are saved unsigned, and load with trust=True alone. {VARIABLE} can hold a key instead",
            UserWarning,
            stacklevel=2,
        )
    return keys


def _folder() -> str:
    import platformdirs  # noqa: PLC0415  (only artifacts that run code when they are read need it)

    return platformdirs.user_config_dir("lazytrack", appauthor=False)
