"""The one shape of every JSON file in a store: heads, log files, packs and exports; how it is read and checked."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from lazytrack import codec, naming

FORMAT = "lazytrack/1"
FAMILY = "lazytrack/"

Patch = dict[str, Any]
"""One change to one record: ``at``, ``by``, ``record``, and ``set``, ``unset`` or ``delete``. Never modified."""

_KEYS = {"format", "kind", "id", "created_at", "replaces", "patches"}
_OPERATIONS = {"set", "unset", "delete"}
_NOTHING: dict[str, Any] = {}
_AT = r"\d{8}T\d{6}\.\d{6}Z-[0-9a-z]{8}"
_PLAIN_KEYS = {("at", "by", "record", "set")}
LOG_NAME = re.compile(rf"log/{_AT}\.json", re.ASCII)
PACK_NAME = re.compile(rf"packs/([1-9]\d?)-{_AT}\.json", re.ASCII)
_REPLACEABLE = re.compile(rf"{LOG_NAME.pattern}|{PACK_NAME.pattern}", re.ASCII)
_HEAD_END = re.compile(rb'"patches"\s*:\s*\[')


@attrs.frozen(kw_only=True)
class Document:
    """What one file of a store says.

    Parameters
    ----------
    kind, id, created_at
        As in the file.
    replaces
        The files, as ``log/...`` and ``packs/...``, whose patches this one holds too.
    patches
        The sound ones.
    problem
        Why the file is damaged; None where it is sound.
    files
        Of an export, as it spells them; see `files_in`.
    packable
        Whether a packer that knows this version's rules may copy the file's patches and replace it.
    """

    kind: str | None = None
    id: str | None = None
    created_at: str | None = None
    replaces: frozenset[str] = frozenset()
    patches: Sequence[Patch] = ()
    problem: str | None = None
    files: Any = attrs.Factory(dict)
    packable: bool = True


def compose(kind: str, *, id: str, patches: Sequence[Patch] = (), replaces: Iterable[str] = (), **extra: str) -> bytes:
    """Write a document."""
    document: dict[str, Any] = {"format": FORMAT, "kind": kind, "id": id, **extra}
    if replaced := sorted(replaces):
        document["replaces"] = replaced
    if patches:
        document["patches"] = patches
    return codec.dumps(document)


def compose_export(*, id: str, created_at: str, patches: Sequence[Patch], files: Mapping[str, bytes]) -> bytes:
    """Write a whole project as one document.

    Parameters
    ----------
    files
        Content by path in the store. What is text stays text, as which it can be read here.
    """
    document: dict[str, Any] = {"format": FORMAT, "kind": "export", "id": id, "created_at": created_at}
    document["patches"] = patches
    if files:
        document["files"] = {path: _spelled(content) for path, content in files.items()}
    return codec.dumps(document)


def _spelled(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode("ascii")}


def files_in(held: Any) -> dict[str, bytes]:
    """Return the content of the files that an export spells, by path.

    Raises
    ------
    ValueError
        When they are spelled in no way that is known.
    """
    if not isinstance(held, dict):
        raise ValueError("has files that are no object")  # noqa: TRY004  (a file's content, not an argument)
    files = {}
    for path, spelled in held.items():
        match spelled:
            case str():
                files[path] = spelled.encode()
            case {"base64": str(text)}:
                try:
                    files[path] = base64.b64decode(text, validate=True)
                except ValueError as error:
                    raise ValueError(f"has a file {path[:200]!r} that is no base64: {error}") from error
            case _:
                raise ValueError(f"has a file {path[:200]!r} that is neither text nor base64")
    return files


def parse(data: bytes) -> Document:
    """Read a document. What is wrong with it is said in its ``problem``; sound patches beside it are kept."""
    try:
        content = codec.loads(data)
    except ValueError as error:
        return _damaged(f"is not JSON: {error}" if data else "is empty")
    if not isinstance(content, dict):
        return _damaged("is JSON, but not a lazytrack document")
    if (problem := _foreign(content)) is not None:
        return _damaged(problem)
    replaces = content.get("replaces", [])
    patches = content.get("patches", [])
    if not isinstance(replaces, list) or not _all_match(_REPLACEABLE, replaces):
        return _damaged("replaces files other than log/<name> and packs/<name>")
    if not isinstance(patches, list):
        return _damaged("has patches that are no list")
    sound, problem = _sift(patches)
    return Document(
        kind=_string(content.get("kind")),
        id=_string(content.get("id")),
        created_at=_string(content.get("created_at")),
        # The originals of a damaged pack may still be whole, so nothing counts as replaced by it.
        replaces=frozenset() if problem else frozenset(replaces),
        patches=sound,
        problem=problem,
        files=content.get("files", {}),
        packable=problem is None and content.keys() <= _KEYS,
    )


def is_torn(data: bytes) -> bool:
    """Tell whether a file was not written to its end, or is none of JSON at all."""
    try:
        codec.loads(data)
    except ValueError:
        return True
    return False


def is_foreign(name: str, data: bytes) -> bool:
    """Tell whether a damaged file of the journal never was one: neither what it is called nor what it holds says so."""
    return _REPLACEABLE.fullmatch(name) is None and f'"{FAMILY}'.encode() not in data


def parse_replaces(head: bytes) -> frozenset[str] | None:
    """Return what a pack replaces, read from its first bytes; None where these do not tell."""
    end = _HEAD_END.search(head)
    if end is None:
        return None
    document = parse(head[: end.end()] + b"]}")
    return document.replaces or None


def writable(patch: Patch) -> Patch:
    """Return a patch of a stranger without what no file of ours could hold: fields and keys that are nested too deep.

    Where something is left out, it has no other keys than those that every patch may have.
    """
    try:
        codec.dumps(patch)
    except TypeError:
        changes = {field: value for field, value in patch.get("set", _NOTHING).items() if not codec.is_too_deep(value)}
        return {key: patch[key] for key in ("at", "by", "record", "unset", "delete") if key in patch} | {"set": changes}
    return patch


def _foreign(content: dict[str, Any]) -> str | None:
    version = content.get("format")
    if version == FORMAT:
        return None
    if isinstance(version, str) and version.startswith(FAMILY):
        return f"is of format {version[:40]!r}, which this lazytrack does not know: upgrade lazytrack to read it"
    return "is JSON, but not a lazytrack document"


def _all_match(pattern: re.Pattern[str], strings: list[Any]) -> bool:
    return set(map(type, strings)) <= {str} and all(map(pattern.fullmatch, strings))


def _sift(patches: list[Any]) -> tuple[list[Patch], str | None]:
    """Return the sound patches, and what is wrong with the others."""
    if _all_plain(patches):
        return patches, None
    sound, wrong = [], []
    for place, patch in enumerate(patches):
        if fault := _fault(patch):
            wrong.append(f"patch {place} {fault}")
        else:
            sound.append(patch)
    if len(wrong) > 1:
        wrong[0] += f" (and {len(wrong) - 1} more of its {len(patches)} patches are damaged)"
    return sound, wrong[0] if wrong else None


def _all_plain(patches: list[Any]) -> bool:
    """Tell whether all patches only set fields and are sound, at a fraction of the cost of asking each one."""
    if not set(map(type, patches)) <= {dict} or not {tuple(patch) for patch in patches} <= _PLAIN_KEYS:
        return False
    times = [patch["at"] for patch in patches]
    records = [patch["record"] for patch in patches]
    return (
        set(map(type, times)) | set(map(type, records)) <= {str}
        and all(records)
        and {type(patch["set"]) for patch in patches} <= {dict}
        and naming.are_logical(times)
    )


def _fault(patch: Any) -> str | None:
    """Say what is wrong with a patch, None where it is sound.

    Keys it does not know are none of its business; a patch without any operation that it knows is.
    """
    if type(patch) is not dict or "at" not in patch or "record" not in patch:
        return "has no 'at' or no 'record'"
    if type(patch["at"]) is not str or not naming.are_logical([patch["at"]]):
        return "has an 'at' that is no logical time"
    if type(patch["record"]) is not str or not patch["record"]:
        return "has a 'record' that is no name"
    if patch.keys().isdisjoint(_OPERATIONS):
        return "holds an operation this version does not know"
    changes = patch.get("set", _NOTHING)
    if type(changes) is not dict:
        return "has a 'set' that is no object"
    if "unset" in patch:
        gone = patch["unset"]
        if type(gone) is not list or not all(type(field) is str for field in gone):
            return "has an 'unset' that is no list of fields"
        if not changes.keys().isdisjoint(gone):
            return "both sets and unsets a field"
    if patch.get("delete", True) is not True:
        return "has a 'delete' that is not true"
    return None


def _damaged(problem: str) -> Document:
    return Document(problem=problem, packable=False)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
