"""The redaction of unified diffs, which stay diffs: each line keeps its place and its prefix."""

import re
from bisect import bisect_right
from collections.abc import Iterator

import attrs

from lazytrack.provenance.redact.text import MASK, PASSES, redact, secret_spans

_HUNK = re.compile(r"(?P<at>@@+) (?P<ranges>(?:[-+][0-9]{1,12}(?:,[0-9]{1,12})? )+)(?P=at)(?P<function>.*)", re.DOTALL)
_FILE = re.compile(r'(?:\+\+\+|---) (?:"(?P<quoted>.*)"|(?P<plain>[^\t\r]*))')
_KEY_FILE = re.compile(
    r"(?:\.(?:pem|key|p8|p12|pfx|ppk|jks|keystore|asc|gpg)|(?:^|/)id_(?:rsa|dsa|ecdsa|ed25519)(?:_[a-z]+)?)$"
)
"""Files of keys. A hunk of one may begin within a key, whose material then has nothing around it."""
_MATERIAL = re.compile(r"[ \t]*+(?P<word>[A-Za-z0-9+/=]{16,}+)[ \t\r]*+")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{40,}")
"""A line of a key, in the place where git shows the function that a hunk is in."""


@attrs.define
class _Part:
    """Some lines of a diff: a hunk's, or those between hunks, which have no prefix."""

    lines: list[str]
    width: int = 0
    """Characters of a line's prefix; two where a merge of two parents is shown."""
    hunk: str = ""
    file: str = ""
    is_changed: bool = False


def redact_diff(diff: str) -> tuple[str, list[str]]:
    """Return a diff as git writes it with its secrets masked, and the hunks that cannot be applied any more.

    A secret of many lines is masked line by line, so that lines, prefixes and headers stay what they are. What was
    there before and what is there now are looked through each as a whole.

    Returns
    -------
    tuple
        The diff, and names such as ``train.py @@ -1,4 +1,6 @@``; a file's alone where a line outside hunks changed.
    """
    parts = list(_parts(diff.split("\n")))
    for part in parts:
        _redact_part(part)
    changed = dict.fromkeys(
        redact(f"{part.file} {part.hunk}".rstrip()) for part in parts if part.is_changed and part.file
    )
    return "\n".join(line for part in parts for line in part.lines), list(changed)


# --- the parts of a diff ---


def _parts(lines: list[str]) -> Iterator[_Part]:
    """Cut a diff where hunks begin and end, which the counts of their headers say."""
    outside = _Part([])
    file = ""
    position = 0
    while position < len(lines):
        line = lines[position]
        position += 1
        if hunk := _HUNK.fullmatch(line):
            if outside.lines:
                yield outside
            width = len(hunk["at"]) - 1
            end = _end_of_hunk(lines, position, hunk["ranges"], width)
            header = f"{hunk['at']} {hunk['ranges']}{hunk['at']}"
            yield _header(header, hunk["function"])
            yield _Part(lines[position:end], width, header, file)
            outside = _Part([], file=file)
            position = end
        else:
            if line.startswith(("diff ", "Index: ")) and outside.lines:
                yield outside
                outside = _Part([])
            file = outside.file = _file_of(line) or ("" if line.startswith("diff ") else file)
            outside.lines.append(line)
    if outside.lines:
        yield outside


def _header(header: str, function: str) -> _Part:
    """Return the line that a hunk begins with; what it says after its numbers is a line of the file."""
    safe = redact(function)
    if _KEY_LINE.fullmatch(safe.strip()) and not safe.strip().islower():
        safe = f" {MASK}"
    # Nothing that is applied depends on it, so the hunk is not one that was changed.
    return _Part([header + safe], width=len(header) + len(safe))


def _end_of_hunk(lines: list[str], position: int, ranges: str, width: int) -> int:
    """Find the line after a hunk. A removed line may look like a header, so its lines are counted."""
    left = [int(numbers.partition(",")[2] or 1) for numbers in ranges.split()]
    while position < len(lines):
        prefix = lines[position][:width]
        if prefix.startswith("\\"):
            position += 1
            continue
        if max(left) <= 0 or prefix.strip(" +-"):
            break
        for parent, sign in enumerate(prefix.ljust(width)):
            left[parent] -= sign != "+"
        left[-1] -= "-" not in prefix
        position += 1
    return position


def _file_of(line: str) -> str:
    match = _FILE.match(line)
    if match is None or match["plain"] == "/dev/null":
        return ""
    name = match["plain"] if match["quoted"] is None else _unquoted(match["quoted"])
    return re.sub("^[abciow]/", "", name)


def _unquoted(name: str) -> str:
    """Return a name that git has put in quotes, where bytes that are not ASCII are octal numbers."""

    def octet(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 8) & 0xFF]) if match[1].isdigit() else match[1]

    octets = re.sub(rb"\\([0-7]{3}|.)", octet, name.encode("utf-8", "surrogatepass"))
    return octets.decode("utf-8", "replace")


# --- their lines ---


def _redact_part(part: _Part) -> None:
    for _ in range(PASSES):
        before = list(part.lines)
        for absent in "+-" if part.width else " ":
            _redact_view(part, absent)
        if part.lines == before:
            break
        part.is_changed = True
    if part.width and part.hunk and _KEY_FILE.search(part.file):
        _redact_material(part)


def _redact_view(part: _Part, absent: str) -> None:
    """Mask the secrets of a file as it was, which has no added lines, or as it is, which has no removed ones."""
    numbers = [
        number
        for number, line in enumerate(part.lines)
        if absent not in line[: part.width] and not (part.width and line.startswith("\\"))
    ]
    contents = [part.lines[number][part.width :] for number in numbers]
    starts = [0]
    for content in contents:
        starts.append(starts[-1] + len(content) + 1)
    masked: dict[int, list[tuple[int, int]]] = {}
    for start, end in secret_spans("\n".join(contents)):
        first = bisect_right(starts, start) - 1
        for index in range(first, len(contents)):
            if starts[index] >= end:
                break
            content = contents[index]
            begin = max(start - starts[index], len(content) - len(content.lstrip()))
            stop = min(end - starts[index], len(content.rstrip()))
            if content[begin:stop].strip("*"):
                masked.setdefault(index, []).append((begin, stop))
    for index, spans in masked.items():
        line = part.lines[numbers[index]]
        content = line[part.width :]
        for begin, stop in reversed(spans):
            content = content[:begin] + MASK + content[stop:]
        part.lines[numbers[index]] = line[: part.width] + content


def _redact_material(part: _Part) -> None:
    for number, line in enumerate(part.lines):
        if match := _MATERIAL.fullmatch(line, part.width):
            part.lines[number] = line[: match.start("word")] + MASK + line[match.end("word") :]
            part.is_changed = True
