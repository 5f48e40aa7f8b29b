"""Text without the colours of a terminal, and where each part of it stands in the text with them."""

import re
from bisect import bisect_right
from itertools import accumulate

import attrs

from lazytrack.provenance.redact.tokens import Span

_SENT = (
    r"(?:\x1b\[|\x9b)[0-?]{0,40}+[ -/]{0,4}+[@-~]"
    r"|\x1b\][^\x07\x1b\r\n]{0,1000}+(?:\x07|\x1b\\)"
)
"""Control sequences of ECMA-48 as a terminal gets them: colours, and links."""
_SEQUENCE = re.compile(_SENT)
_SPELLED = re.compile(r"(?<!\\)\\++(?:x1[bB]|u001[bB]|033|e)\[[0-9;:?]{0,40}+[A-Za-z]")
"""How Python, JSON and shells spell them, also within each other."""
_ANY = re.compile(f"{_SENT}|{_SPELLED.pattern}")
_NEEDLES = ("\x1b", "\x9b")
_NEEDLES_SPELLED = ("x1b[", "x1B[", "u001b[", "u001B[", "\\033[", "\\e[")
"""Characters without which there is none."""


@attrs.frozen(kw_only=True)
class Plain:
    """A text without its control sequences."""

    text: str
    starts: list[int]
    """Where the pieces between the sequences begin in `text`."""
    lengths: list[int]
    """How many characters of sequences stand before each piece."""

    def place(self, span: Span) -> Span:
        """Return where a part of the plain text stands in the other; the sequences within it are of it."""
        start, end = span
        return start + self._before(start), end + self._before(end - 1)

    def _before(self, position: int) -> int:
        return self.lengths[max(bisect_right(self.starts, position) - 1, 0)]


def without_colours(text: str) -> Plain | None:
    """Return `text` without control sequences; None where it has none."""
    return _without(text, _SEQUENCE) if any(needle in text for needle in _NEEDLES) else None


def without_spelled_colours(text: str) -> Plain | None:
    """Return `text` also without control sequences that are spelled out; None where none is."""
    if any(needle in text for needle in _NEEDLES_SPELLED) and _SPELLED.search(text):
        return _without(text, _ANY)
    return None


def _without(text: str, pattern: re.Pattern[str]) -> Plain | None:
    sequences = [match.span() for match in pattern.finditer(text)]
    if not sequences:
        return None
    begins = [0, *(end for _, end in sequences)]
    ends = [*(start for start, _ in sequences), len(text)]
    pieces = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return Plain(
        text="".join(pieces),
        starts=[0, *accumulate(map(len, pieces[:-1]))],
        lengths=[0, *accumulate(end - start for start, end in sequences)],
    )
