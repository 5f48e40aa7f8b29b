"""The redaction of free text: recognised secrets become ``***``, all else stays to the letter."""

from collections.abc import Iterable, Iterator

from lazytrack.provenance.redact.assignments import assignment_spans
from lazytrack.provenance.redact.colours import without_colours, without_spelled_colours
from lazytrack.provenance.redact.private_keys import key_spans
from lazytrack.provenance.redact.tokens import Span, token_spans
from lazytrack.provenance.redact.told import told_spans
from lazytrack.provenance.redact.urls import url_spans, whole_url_spans

MASK = "***"

PASSES = 8
"""How often masking is tried again: a mask can make a neighbour recognisable.

Each pass leaves fewer characters that are no asterisks. Only texts that were made for it need more than two.
"""
_ASCII_LOWER = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}


def redact(text: str) -> str:
    """Return `text` with each recognised secret masked, and everything else to the letter.

    Masking again changes nothing. It takes time in proportion to the text, and never raises.
    """
    for _ in range(PASSES):
        spans = secret_spans(text)
        if not spans:
            break
        text = masked(text, spans)
    return text


def redact_url(url: str) -> str:
    """Return a git remote, or any other URL, without its password, token and signature.

    A user without a password stays in ``ssh://git@host`` and ``git@host:path``; at http it may be a token, and goes.
    """
    return redact(masked(url, _merged(url, whole_url_spans(url))))


def secret_spans(text: str) -> list[Span]:
    """Find where the secrets of `text` are that are not masked yet, in order, none touching another."""
    return _merged(text, _spans(text))


def masked(text: str, spans: list[Span]) -> str:
    """Return `text` with a mask in the place of each of `spans`."""
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return MASK.join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _merged(text: str, found: Iterable[Span]) -> list[Span]:
    spans: list[Span] = []
    for start, end in sorted(found):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        elif start < end:
            spans.append((start, end))
    return [(start, end) for start, end in spans if text[start:end].strip("*")]


def _spans(text: str) -> Iterator[Span]:
    lowered = _lowered(text)
    yield from _by_look(text, lowered)
    # A control sequence can stand within a secret, or end the word before one: what has its own look is sought with
    # them, too. One that is spelled out may be no colour, but a part of a secret.
    coloured = without_colours(text)
    if coloured is None:
        yield from _by_place(text, lowered)
    for plain in (coloured, without_spelled_colours(text)):
        if plain is not None:
            lowered = _lowered(plain.text)
            for start, end in (*_by_look(plain.text, lowered), *_by_place(plain.text, lowered)):
                if start < end:
                    yield plain.place((start, end))


def _by_look(text: str, lowered: str) -> Iterator[Span]:
    yield from told_spans(text)
    yield from key_spans(text)
    yield from token_spans(text, lowered)


def _by_place(text: str, lowered: str) -> Iterator[Span]:
    yield from url_spans(text)
    yield from assignment_spans(text, lowered)


def _lowered(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):  # some letters are two in lower case, and places must stay
        return text.translate(_ASCII_LOWER)
    return lowered
