"""Where strings begin and end, in the ways that programs write them: escaped within each other, and in lists."""

import re

from lazytrack.provenance.redact.tokens import Span

QUOTE = re.compile(r"[rbfuRBFU]{0,2}(?P<open>\\*+(?:\"{3}|'{3}|[\"'`]))")
LINE_END = re.compile(r"\r?\n\s*+")
_END = {quote: re.compile(rf"[\r\n]|(?<!\\)(?P<escapes>\\*+){quote}") for quote in "\"'`"}
_CLOSE = re.compile(r"\\*+[\"'`]")
_BRACKETS = re.compile(r"[(\[{]|(?P<closing>[)\]}])|(?P<quote>\\*+[\"'`])|\n{2}")
_TUPLE = re.compile(r"\(\s*+[rbfuRBFU]{0,2}\\*[\"'`(]")
"""What begins with a string; an expression in parentheses does not."""
KEY_FOLLOWS = re.compile(r"\\*[\"'`]\s*(?::|=>)")
_LONGEST_BRACKET = 8192


def end_of_string(text: str, opening: str, start: int) -> int:
    """Find where a string ends: at the quote that is escaped as its opening is, or less, or with the line.

    Strings within strings have quotes with 0, 1, 3, 7 backslashes; a quote that is of a string's own text has more.
    """
    quote = opening[-1]
    escapes = opening.count("\\")
    if opening.endswith(quote * 3):
        end = text.find(opening, start)
        if end >= 0:
            return end
    for match in _END[quote].finditer(text, start):
        found = match["escapes"]
        if found is None:
            return match.start()
        if len(found) < escapes or len(found) % (2 * (escapes + 1)) == escapes:
            return max(start, match.end() - 1 - min(escapes, len(found)))
    return len(text)


def after_string(text: str, opening: str, end: int) -> int:
    """Return where a text goes on whose string ends at `end`: after the closing quote, where there is one."""
    if text.startswith(opening, end):
        return end + len(opening)
    return match.end() if (match := _CLOSE.match(text, end)) else end


def strings_in_brackets(text: str, position: int) -> tuple[list[Span], int]:
    """Find the strings of a list, dict or tuple, at any depth, that are no keys; return where it ends, too.

    Where it has no end within a few pages, those that were found until there.
    """
    spans: list[Span] = []
    if text[position] == "(" and not _TUPLE.match(text, position):
        return spans, position
    depth = 0
    limit = min(len(text), position + _LONGEST_BRACKET)
    while match := _BRACKETS.search(text, position, limit):
        position = match.end()
        if match["quote"]:
            start = position
            position = end_of_string(text, match["quote"], start)
            if not KEY_FOLLOWS.match(text, position):
                spans.append((start, position))
            position += len(match["quote"])
        else:
            depth += -1 if match["closing"] else 1
            if depth <= 0 or match.group().startswith("\n"):
                return spans, position
    return spans, limit
