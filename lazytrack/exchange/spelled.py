"""Values that a program has made text: those of them that can be read back without a doubt."""

import ast
import re
import warnings
from typing import Any

_EXPONENT = re.compile(r"-?\d(\.\d+)?e-?\d{1,2}", re.ASCII | re.IGNORECASE)
"""A number as people write it, such as ``1e-3``; ``12e45671`` may as well be a commit."""


def read_back(text: str) -> Any:
    """Return the value that was made text by Python.

    Only what Python would spell exactly so is read back: ``0.1``, ``True``, ``None``, ``[1, 2]``; ``3.10`` and
    ``1e-3`` stay text.
    """
    if text in {"nan", "inf", "-inf"}:
        return float(text)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what looks like Python and is none
            value = ast.literal_eval(text)
        is_spelled_so = isinstance(value, bool | int | float | list | dict | None) and str(value) == text
    except (TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if is_spelled_so else text


def read_word(text: str) -> Any:
    """Return the value of a word of a command: `read_back`'s, or ``true``, ``false``, ``null``, ``1e-3``."""
    words = {"true": True, "false": False, "null": None}
    if text in words:
        return words[text]
    return float(text) if _EXPONENT.fullmatch(text) else read_back(text)
