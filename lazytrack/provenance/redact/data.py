"""The redaction of plain JSON data, such as configurations."""

import itertools
from collections.abc import Sequence
from typing import Any

from lazytrack.provenance.redact.commands import redact_command
from lazytrack.provenance.redact.names import Secrecy, secrecy
from lazytrack.provenance.redact.text import MASK, redact
from lazytrack.provenance.redact.values import says_nothing


def redact_data(value: Any, name: str = "") -> Any:
    """Return a copy of plain JSON data without its secrets: values of secret names at any depth, and those in text.

    Keys are redacted, too. A list of words with options among them is taken for a command line, and
    ``{"name": …, "value": …}`` for a variable.

    Parameters
    ----------
    name
        What `value` is called, where it has a name.
    """
    return _redacted(value, name, secrecy(name))


def _redacted(value: Any, name: str, kind: Secrecy) -> Any:
    """Redact `value`, which is secret if it, or what it is a part of, has a name that says so."""
    match value:
        case str():
            return _redact_text(value, name, kind)
        case dict():
            return _redact_dict(value, kind)
        case list() | tuple():
            if kind is Secrecy.NONE and _is_command(value):
                return _like(value, redact_command(value))
            return _like(value, [_redacted(each, name, kind) for each in value])
        case int() if kind is Secrecy.PASSWORD and not isinstance(value, bool):
            return value if value < 0 else MASK
        case _:
            return value


def _redact_text(text: str, name: str, kind: Secrecy) -> str:
    if kind is Secrecy.NONE:
        redacted = redact(text)
        return text if redacted == text else redacted  # also where it is more than a plain str
    return text if says_nothing(text, kind, name) else MASK


def _redact_dict(fields: dict[Any, Any], kind: Secrecy) -> dict[Any, Any]:
    variable = next((fields[key] for key in ("name", "Name", "key", "Key") if isinstance(fields.get(key), str)), "")
    redacted: dict[Any, Any] = {}
    for key, value in fields.items():
        name = key if isinstance(key, str) else ""
        if name in {"value", "Value"}:
            name = variable or name
        safe_key = _free(redact(key), redacted) if isinstance(key, str) else key
        redacted[safe_key] = _redacted(value, name, max(kind, secrecy(name)))
    return redacted


def _free(key: str, taken: dict[Any, Any]) -> str:
    """Keep the values of keys apart that are masked alike."""
    if key not in taken:
        return key
    return next(other for n in itertools.count(len(taken)) if (other := f"{key}-{n}") not in taken)


def _like(sequence: Sequence[Any], items: list[Any]) -> Sequence[Any]:
    return tuple(items) if isinstance(sequence, tuple) else items


def _is_command(words: Sequence[Any]) -> bool:
    return all(isinstance(word, str) for word in words) and any(word.startswith("-") for word in words)
