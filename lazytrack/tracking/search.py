"""Search: which experiment a user means by a name, and which are the best."""

import difflib
import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lazytrack import codec, naming


def find(key: str, slugs: Sequence[str], *, whole: bool = False) -> str | None:
    """Return the slug that `key` means: the newest of that short slug, or the only one that begins so.

    Parameters
    ----------
    slugs
        All there are, oldest first.
    whole
        Whether the beginning of a slug is not enough.
    """
    newest = next((slug for slug in reversed(slugs) if naming.short_slug(slug) == key), None)
    if newest is not None or whole or not key:
        return newest
    beginning = _beginning(key, slugs)
    return beginning[0] if len(beginning) == 1 else None


def suggest(key: object, slugs: Sequence[str]) -> str:
    """Return what to add to the message that there is nothing of that name."""
    if isinstance(key, str) and key and len(beginning := _beginning(key, slugs)) > 1:
        return f"; {len(beginning)} begin so, the newest {beginning[-1]!r}: give more of it"
    close = difflib.get_close_matches(
        str(key), [*dict.fromkeys(naming.short_slug(slug) for slug in reversed(slugs)), *slugs], n=3
    )
    if close:
        return f"; did you mean {', '.join(repr(name) for name in close)}?"
    return f"; it has {len(slugs)}" + (f", the newest {slugs[-1]!r}" if slugs else "")


def best(values: Mapping[str, Any], n: int, *, minimize: bool) -> list[str]:
    """Return the keys of the `n` greatest or least of `values`, the best first; what is no number is left out."""
    numbers = [(number, key) for key, value in values.items() if (number := _number(value)) is not None]
    return [key for _, key in (heapq.nsmallest if minimize else heapq.nlargest)(n, numbers)]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        value = codec.unstore_number(value)
    return value if isinstance(value, (int, float)) and not math.isnan(value) else None


def _beginning(key: str, slugs: Sequence[str]) -> list[str]:
    return [slug for slug in slugs if slug.startswith(key)]
