"""Values that were told to be secret, found in each spelling that a program may have given them."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from lazytrack.provenance.redact.added import Added
from lazytrack.provenance.redact.tokens import Span

_LEAST = 6
"""Characters of a value. A shorter one would be found in words that have nothing to do with it."""


_told: Added[list[str]] = Added()
"""The spellings of each value."""


def add_secret(value: str) -> Callable[[], None]:
    """Take `value` for a secret wherever it appears: as it is, or spelled for JSON, a URL, HTML, or in base64.

    Returns
    -------
    Callable
        What undoes it.

    Raises
    ------
    ValueError
        When it is shorter than 6 characters, or made of spaces and asterisks.
    """
    if (reason := why_not_secret(value)) is not None:
        raise ValueError(reason)
    return _told.add(sorted({spelling for spelling in _spellings(value) if len(spelling) >= _LEAST}))


def why_not_secret(value: str) -> str | None:
    """Return why a value cannot be found in text; None where it can."""
    if len(value) < _LEAST:
        return (
            f"a secret of {len(value)} characters would be masked in words that have nothing to do with it; "
            f"give one of at least {_LEAST}"
        )
    if not value.replace("*", "").strip():
        return "a secret of spaces and asterisks alone cannot be told from indentation and masks"
    return None


def told_spans(text: str) -> Iterator[Span]:
    """Find the values that were told."""
    for spellings in _told:
        for spelling in spellings:
            start = text.find(spelling)
            while start >= 0:
                yield start, start + len(spelling)
                start = text.find(spelling, start + len(spelling))


def mask_told(value: Any) -> Any:
    """Return JSON data in which the values that were told to be secret are masked; itself where none was told."""
    if not _told:
        return value
    match value:
        case str():
            for start, end in sorted(told_spans(value), reverse=True):
                value = f"{value[:start]}***{value[end:]}"
            return value
        case list():
            return [mask_told(item) for item in value]
        case dict():
            return {key: mask_told(item) for key, item in value.items()}
    return value


def _spellings(value: str) -> Iterator[str]:
    octets = value.encode("utf-8", "surrogatepass")
    escaped = [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]]
    encoded = [quote(octets, safe=""), quote(octets), quote_plus(octets)]
    yield from (value, html.escape(value), *escaped, *encoded)
    yield from (json.dumps(once)[1:-1] for once in escaped)  # JSON within JSON
    yield from (re.sub("%..", lambda code: code.group().lower(), once) for once in encoded)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(octets).decode().rstrip("=")
        # Within a longer value, such as user:password, it begins at one of three places of a group of four characters;
        # those characters are its own whose six bits are.
        for shift in range(3):
            spelled = encode(bytes(shift) + octets).decode()
            yield spelled[(8 * shift + 5) // 6 : 8 * (shift + len(octets)) // 6]
