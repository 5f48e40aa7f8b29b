"""Where the material of private keys stands in a text: in lines of base64, whole, cut off, or escaped within JSON."""

import re
from collections.abc import Iterator

from lazytrack.provenance.redact.tokens import Span

_BEGIN = re.compile(r"-{4,5} ?BEGIN (?P<label>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?) ?-{4,5}|Private-Lines: [0-9]{1,4}")
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_KEY_LINE = re.compile(
    r"(?:\s|\\+[nrt]|[\"'>|#,+-])++"
    r"(?:(?P<header>[A-Za-z-]{4,20}: [^\r\n\\]{0,200})|(?P<word>[A-Za-z0-9+/=]++)(?=[ \t]*+(?:[\r\n\"'\\,]|\Z)))"
)
_IN_KEY = re.compile(r"[ \t+>|#-]*+(?P<word>[A-Za-z0-9+/=]++)[ \t\r]*+")
_STRING_END = re.compile(r"(?:\\+[nr])?\\*[\"']|\Z")
_LINE_ENDS = re.compile(r"(?:\s|\\+[nr])*+")
_KEY_LENGTH = 20_000
"""Characters within which a key ends; one of 16,384 bits has 13,000."""
_FULL_LINE = 40
"""Characters of a line that has another one of the same key after it."""
_FIRST_LINE = 16
"""Characters of a line that can be the first one of a key."""


def key_spans(text: str) -> Iterator[Span]:
    """Find the material of private keys: between the lines that begin and end it, or as far as there is of it."""
    if "PRIVATE KEY" not in text and "Private-Lines" not in text:
        return
    begins = list(_BEGIN.finditer(text))
    next_ones = [*(begin.start() for begin in begins[1:]), len(text)]
    closed = set()
    for begin, following in zip(begins, next_ones, strict=False):
        limit = min(following, begin.end() + _KEY_LENGTH)
        end = _END.search(text, begin.end(), limit) if begin["label"] else None
        if end:
            closed.add(end.start())
            yield _trimmed(text, begin.end(), end.start())
        else:
            yield _open_key(text, begin.end())
    passed = 0
    for end in _END.finditer(text):
        if end.start() not in closed:
            yield _headless_key(text, passed, end.start())
        passed = end.end()


def _trimmed(text: str, start: int, end: int) -> Span:
    """Leave out the line ends, also escaped ones, around the material of a key."""
    if match := _LINE_ENDS.match(text, start, end):
        start = match.end()
    while end > start:
        if text[end - 1].isspace():
            end -= 1
        elif text[end - 1] in "nr" and text[end - 2] == "\\":
            end -= 2
        else:
            break
    return start, max(start, end)


def _open_key(text: str, position: int) -> Span:
    """Find the material of a key that has a beginning and no end: lines of base64, the last of which may be short."""
    start = end = position
    while match := _KEY_LINE.match(text, end):
        begun = start > position
        word = match["word"] or ""
        is_cut_off = _STRING_END.match(text, match.end()) is not None
        if (match["header"] and begun) or (word and not begun and len(word) < _FIRST_LINE and not is_cut_off):
            break
        if word and not begun:
            start = match.start("word")
        end = match.end()
        if word and len(word) < _FULL_LINE:
            break
    return (start, end) if start > position else (position, position)


def _headless_key(text: str, lowest: int, end: int) -> Span:
    """Find the material of a key whose beginning is cut off: the lines of base64 before its end."""
    start = last = max(text.rfind("\n", lowest, end) + 1, lowest)
    while start > lowest:
        line = max(text.rfind("\n", lowest, start - 1) + 1, lowest)
        match = _IN_KEY.fullmatch(text, line, start - 1)
        # What is cut off may begin within a line; the line before the end may be short.
        if not match or (line > 0 and start < last and len(match["word"]) < _FULL_LINE):
            break
        start = line
    return _trimmed(text, start, last)
