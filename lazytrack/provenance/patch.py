"""What differs from a commit, as a patch that ``git apply`` takes."""

import base64
import hashlib
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import attrs

from lazytrack.provenance import probing, redact
from lazytrack.provenance.metadata import LeftOut
from lazytrack.provenance.program import ABSENT, SUBMODULE, Change, Git, Status

MAX_BYTES = 1 << 20
"""A patch is no longer than this unless asked for."""
MAX_NAMED = 100
"""Of what is left out, so many are named."""
_LARGEST_FILE = 8 << 20
_LARGEST_TOTAL = 32 << 20
"""Of the files that git is asked to compare; what is larger is data, and would keep the run waiting."""
_LARGEST_DIGESTED = 64 << 20
_LARGEST_DIGESTED_TOTAL = 256 << 20
_OPTIONS = (
    "--patch",
    "--binary",
    "--full-index",
    "--find-renames",
    "--unified=3",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=dirty",
)
_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""What there is before the first commit, by the length of the names of objects."""
_HEADER = b"diff --git "
_RENAMED = re.compile(rb"^rename to (.*)$", re.MULTILINE)
_PACKED = re.compile(rb"^(?:literal|delta) [0-9]+\n((?:[A-Za-z][!-~]+\n)+)", re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{3}|.)")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


@attrs.frozen(kw_only=True)
class Diff:
    """The changes that are not committed.

    Parameters
    ----------
    patch
        What ``git apply`` takes, at the same commit: it makes the same files, unless something was redacted or
        left out.
    digest
        SHA-256 in hexadecimal of the whole patch with nothing redacted, and of the sizes and digests of what git was
        not asked to compare. It does not depend on how long a patch may be.
    redacted_hunks
        Where something was redacted: the patch does not apply there.
    left_out
        Files that are not in the patch, in order, as they are large, or packed with a secret in them; at most
        `MAX_NAMED` of them.
    unnamed
        How many more were left out.
    """

    patch: bytes
    digest: str
    redacted_hunks: list[str]
    left_out: list[LeftOut]
    unnamed: int = 0


@attrs.frozen(kw_only=True)
class Difference:
    """What differs from the commit, file by file, with secrets: it is not to be stored.

    Parameters
    ----------
    top
        The checkout's.
    parts
        The patch of each file.
    uncompared
        What git was not asked to compare.
    """

    top: Path
    parts: Sequence[bytes]
    uncompared: Sequence[LeftOut]

    def digest(self) -> str:
        """Return the digest of it all: the same for the same changes."""
        digest = hashlib.sha256(b"".join(self.parts))
        for item in self.uncompared:
            digest.update(f"left out {item.path!a} {item.size} {item.digest}\n".encode())
        return digest.hexdigest()

    def within(self, max_bytes: int) -> Diff:
        """Return it without secrets and no longer than `max_bytes` before they were redacted; the shortest parts stay.

        Source is short, and data long. Of what git takes for no text, a secret cannot be masked: it is left out.
        """
        kept, room = set(), max_bytes
        shown = [number for number, part in enumerate(self.parts) if not _hides_a_secret(self.top, part)]
        for number in sorted(shown, key=lambda number: len(self.parts[number])):
            if (room := room - len(self.parts[number])) < 0:
                break
            kept.add(number)
        apart = sorted(_path_of(part) for number, part in enumerate(self.parts) if number not in kept)
        named = _name(self.top, apart[:MAX_NAMED])  # that reads them
        left_out = sorted([*self.uncompared, *named], key=lambda item: item.path)
        patch = b"".join(part for number, part in enumerate(self.parts) if number in kept)
        # Bytes that are no text go through as they are.
        text, redacted_hunks = redact.redact_diff(patch.decode("utf-8", "surrogateescape"))
        return Diff(
            patch=text.encode("utf-8", "surrogateescape"),
            digest=self.digest(),
            redacted_hunks=redacted_hunks,
            left_out=left_out[:MAX_NAMED],
            unnamed=len(left_out[MAX_NAMED:]) + len(apart[MAX_NAMED:]),
        )


def compare(git: Git, status: Status, changes: Iterable[Change], index: Path) -> Difference:
    """Return what of `changes`, some of those in `status`, differs; `index` is the user's, which stays as it is."""
    ordered = sorted(changes, key=lambda change: change.path)
    compared = _to_compare(git, ordered)
    beside = [change for change in ordered if change not in compared]
    return Difference(
        top=git.top,
        parts=_patch(git, status, compared, index) if compared else [],
        uncompared=_name(git.top, [change.path for change in beside]),
    )


def _to_compare(git: Git, changes: Sequence[Change]) -> set[Change]:
    """Choose what git is asked to compare: all of it, but for what is large or cannot be read."""
    before = _sizes_before(git, changes)
    weights = {}
    for change in changes:
        sizes = (_size_now(git.top, change), before.get(change.blob, 0))
        if None not in sizes and (weight := max(size or 0 for size in sizes)) <= _LARGEST_FILE:
            weights[change] = weight
    chosen, room = set(), _LARGEST_TOTAL
    for change, weight in sorted(weights.items(), key=lambda item: (item[1], item[0].path)):
        if (room := room - weight) < 0:
            break
        chosen.add(change)
    return chosen


def _sizes_before(git: Git, changes: Iterable[Change]) -> dict[str, int | None]:
    """Return the sizes of the commit's files by their objects' names; None of those that are not here."""
    blobs = sorted({change.blob for change in changes if change.mode not in {ABSENT, SUBMODULE}})
    if not blobs:
        return {}
    said = git.ask("cat-file", "--batch-check=%(objectsize)", input="".join(f"{blob}\n" for blob in blobs).encode())
    return {
        blob: int(size) if size.isdigit() else None
        for blob, size in zip(blobs, said.decode().splitlines(), strict=True)
    }


def _size_now(top: Path, change: Change) -> int | None:
    """Return the size of a file, 0 where it is gone; None where it cannot be compared."""
    path = top / os.fsdecode(change.path)
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:
        return None
    if stat.S_ISDIR(found.st_mode):  # a submodule, else a repository in the repository
        return None if change.path.endswith(b"/") else 0
    if stat.S_ISLNK(found.st_mode):
        return found.st_size
    return found.st_size if stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK) else None


def _patch(git: Git, status: Status, compared: Collection[Change], index: Path) -> Sequence[bytes]:
    """Ask git for the patch, with an index of our own that holds every file that is to be compared, and no other."""
    length = len(status.commit or "") or (64 if git.settings.get("extensions.objectformat") == "sha256" else 40)
    with tempfile.TemporaryDirectory(prefix="lazytrack-") as folder:
        ours = Path(folder) / "index"
        if index.is_file():
            shutil.copy2(index, ours)  # with its time, by which git knows which entries to trust
        # First everything is as in the commit.
        entries = [_entry(change.mode, change.blob or "0" * length, change.path) for change in status.changes]
        # A new file has to be in the index; under which object makes no difference: its contents are looked at.
        added = [change for change in compared if change.mode == ABSENT]
        entries += [_entry(mode, "1" * length, c.path) for c in added if (mode := _mode_now(git.top, c)) != ABSENT]
        git.ask("update-index", "-z", "--index-info", input=b"".join(entries), index=ours)
        if hidden := [c.path + b"\0" for c in status.changes if c.mode != ABSENT and c not in compared]:
            git.ask("update-index", "-z", "--skip-worktree", "--stdin", input=b"".join(hidden), index=ours)
        said = git.ask("diff-index", *_OPTIONS, status.commit or _EMPTY_TREES[length], "--", index=ours)
    return [part for part in re.split(rb"^(?=diff --git )", said, flags=re.MULTILINE) if part]


def _entry(mode: str, blob: str, path: bytes) -> bytes:
    """Return a line for git's index; a mode of `ABSENT` takes the path out of it."""
    return f"{mode} {'0' * len(blob) if mode == ABSENT else blob}\t".encode() + path + b"\0"


def _mode_now(top: Path, change: Change) -> str:
    try:
        mode = (top / os.fsdecode(change.path)).lstat().st_mode
    except OSError:
        return ABSENT
    if stat.S_ISLNK(mode):
        return "120000"
    if stat.S_ISDIR(mode):
        return SUBMODULE
    return "100755" if mode & stat.S_IXUSR else "100644"


def _hides_a_secret(top: Path, part: bytes) -> bool:
    """Tell whether a secret is in a file's patch where no one sees it: packed, as what git takes for no text.

    Attributes can say that of any file, and UTF-16 looks like it.
    """
    if (begin := part.find(b"\nGIT binary patch\n")) < 0:
        return False
    contents = []
    for packed in _PACKED.findall(part, begin):
        lines = [base64.b85decode(line[1:]) for line in packed.splitlines()]
        contents.append(zlib.decompressobj().decompress(b"".join(lines), _LARGEST_FILE))
    path = top / os.fsdecode(_path_of(part))
    if path.is_file() and not path.is_symlink():  # what is packed may only be what differs
        with path.open("rb") as file:
            contents.append(file.read(_LARGEST_FILE))
    texts = (content.replace(b"\0", b"").decode("utf-8", "ignore") for content in contents)
    return any(redact.redact(text) != text for text in texts)


def _path_of(part: bytes) -> bytes:
    """Return the path of one file's patch."""
    if renamed := _RENAMED.search(part):
        return _unquoted(renamed[1])
    both = part.partition(b"\n")[0].removeprefix(_HEADER)
    one = both[: len(both) // 2]  # the same name twice, with a blank between
    return _unquoted(b'"' + one[3:] if one.startswith(b'"') else one[2:])


def _unquoted(name: bytes) -> bytes:
    if not name.startswith(b'"'):
        return name
    return _ESCAPED.sub(_unescaped, name[1:-1])


def _unescaped(match: "re.Match[bytes]") -> bytes:
    code = match[1]
    return bytes([int(code, 8)]) if len(code) > 1 else _ESCAPES.get(code, code)


def _name(top: Path, paths: Iterable[bytes]) -> list[LeftOut]:
    """Return what there is to say of files that are left out. Those past a limit of what is read have no digest."""
    found, room = [], _LARGEST_DIGESTED_TOTAL
    for path in paths:
        where, size, digest = top / os.fsdecode(path), None, None
        about = probing.ask(f"the size of {where}", where.lstat)
        if about is not None and stat.S_ISREG(about.st_mode):
            size = about.st_size
            if size <= min(room, _LARGEST_DIGESTED):
                room -= size
                digest = probing.ask(f"the digest of {where}", lambda where=where: _digest(where))  # type: ignore[misc]
        told = probing.legible(redact.redact(os.fsdecode(path)))
        found.append(LeftOut(path=told, size=size, digest=digest))
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
