"""Where a text puts a value beside the name of a secret: as a shell, JSON, YAML, Python, HTTP or a log does.

Names are found by their hints, and each is read once. What follows a name is read once, too: a value that is kept can
hold no further name with a value, or is not read to its end.
"""

import re
from collections.abc import Iterator

import attrs

from lazytrack.provenance.redact import calls, fields, values
from lazytrack.provenance.redact.lines import begins_line
from lazytrack.provenance.redact.named import HEAD, Name, finder, line_head, name_at
from lazytrack.provenance.redact.names import Secrecy, secrecy
from lazytrack.provenance.redact.strings import KEY_FOLLOWS, LINE_END, QUOTE, end_of_string, strings_in_brackets
from lazytrack.provenance.redact.tokens import Span
from lazytrack.provenance.redact.unquoted import unquoted

_ANNOTATION = re.compile(
    r"(?:[A-Za-z_][A-Za-z_.]*+(?:\[[^\]\n=]{0,80}\]+)?|(?P<quote>[\"'])[A-Za-z_][\w.\[\], |]{0,100}+(?P=quote))"
    r"(?: ?\| ?[A-Za-z_.]{1,80}){0,4}"
    r"(?:[ \t]++=|=(?=[\"']))[ \t]*+(?!=)"
)
"""A type between a name and its value."""
_SPACES = re.compile(r"[ \t]+")
_ELEMENT = re.compile(r"[^<\r\n]*+")
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_FIRST_NAMES = re.compile(
    r"\s*+(?:[rbfuRBFU]{0,2}\\*[\"'`][\w-]{0,60}+\\*[\"'`]\s*+,\s*+){0,3}+[rbfuRBFU]{0,2}\\*[\"'`]"
)
"""What stands between a call's bracket and a name that is among its first arguments."""


def assignment_spans(text: str, lowered: str) -> Iterator[Span]:
    """Find the values that stand beside names of secrets.

    Parameters
    ----------
    lowered
        The text in lower case, each character at its place.
    """
    yield from calls.spans_of_calls(text, lowered)
    yield from _in_fields(text, lowered)
    search = finder().search
    position = bracketed = 0
    while hit := search(lowered, position):
        position = hit.end()
        found = name_at(text, lowered, hit)
        if found is None:
            continue
        name = _at_value(text, found)
        if text[name.value : name.value + 1] in {"(", "[", "{"}:
            if name.value >= bracketed and name.sign in {"=", ":", ":=", "=>"}:
                strings, bracketed = strings_in_brackets(text, name.value)
                yield from _telling(text, strings or _in_code(text, name), name)
            if not name.is_in_shell:
                continue
        spans = _value(text, name)
        for span in spans:
            yield span
            position = max(position, span[1])
        yield from _telling(text, _in_code(text, name, is_string=bool(spans)), name)


def _in_fields(text: str, lowered: str) -> Iterator[Span]:
    for name in fields.names_in_fields(text, lowered):
        yield from _value(text, name)
    for span, word in fields.values_before_names(text, lowered):
        if (kind := secrecy(word)) is not Secrecy.NONE and not values.says_nothing(text[slice(*span)], kind, word):
            yield span


def _at_value(text: str, name: Name) -> Name:
    """Return `name` with its value's place where a type, or the spaces after an option, stand before that."""
    if name.sign == ":" and (annotation := _ANNOTATION.match(text, name.value)):
        return attrs.evolve(name, sign="=", value=annotation.end())
    if not name.sign and (spaces := _SPACES.match(text, name.value)):
        return attrs.evolve(name, value=spaces.end())
    return name


def _value(text: str, name: Name) -> list[Span]:
    """Find the value of a name that is no list, dict or tuple."""
    if name.sign == ")":
        return []
    if name.sign == ">":
        return _element(text, name)
    below = LINE_END.match(text, name.value) if name.quoted else None
    if quote := QUOTE.match(text, below.end() if below else name.value):
        spans = _quoted(text, quote, name)
        return [] if below and spans and KEY_FOLLOWS.match(text, spans[0][1]) else spans
    return [] if name.sign in {"==", "!=", ","} else unquoted(text, name)


def _element(text: str, name: Name) -> list[Span]:
    """Find what is between ``<name>`` and the next tag."""
    match = _ELEMENT.match(text, name.value)
    if match is None or name.quoted or text[name.start - 1 : name.start] != "<":
        return []
    if match.group().startswith("/") and not text.startswith("</", match.end()):
        return []  # the next part of a path, in which <NAME> stands for a part
    return [] if _says_nothing(match.group(), name) else [match.span()]


def _says_nothing(value: str, name: Name) -> bool:
    return values.says_nothing(value, name.secrecy, name.word)


# --- in quotes ---


def _quoted(text: str, quote: re.Match[str], name: Name) -> list[Span]:
    if not name.quoted and name.sign in {":", "="} and _ends_a_string(text, quote["open"], name):
        return []
    start = quote.end()
    end = end_of_string(text, quote["open"], start)
    value = text[start:end]
    if _says_nothing(value, name) or (name.sign in {",", ""} and not _follows_in_list(text, name, value)):
        return []
    return [(start, end)]


def _ends_a_string(text: str, quote: str, name: Name) -> bool:
    """Tell whether a quote after a name ends a string that began before the name, as in ``print("token:", x)``."""
    head = line_head(text, name.start)
    return head is not None and _APOSTROPHE.sub("", head).count(quote) % 2 == 1


def _follows_in_list(text: str, name: Name, value: str) -> bool:
    """Tell whether what follows ``"NAME",`` is its value: in ``get("NAME", "value")``, ``["--name", "value"]``."""
    if name.is_option:
        if value.startswith("-"):
            return False
    elif not name.quoted or text[max(0, name.start - 8) : name.start].rstrip("\\\"'`")[-1:] != "(":
        return False
    return values.is_literal(value, name.secrecy) or (
        name.secrecy is Secrecy.PASSWORD and secrecy(value) is Secrecy.NONE  # no list of names
    )


# --- in code ---


def _in_code(text: str, name: Name, *, is_string: bool = False) -> list[Span]:
    """Find the strings that are a name's value by way of a call, an operator or a default.

    Parameters
    ----------
    is_string
        Whether a string that is the value of `name` follows it.
    """
    match name.sign:
        case ")":
            return calls.strings_otherwise(text, name.value)
        case "," if name.quoted and _begins_call(text, name):
            spans = calls.strings_by_default(text, name.value)
            if not (is_string or name.is_option):
                strings = calls.strings_of(text, name.value)
                spans += [(start, end) for start, end in strings if _follows_in_list(text, name, text[start:end])]
            return spans
        case "=" | ":=" | "=>":
            is_value = True
        case ":":
            before = text[max(0, name.start - HEAD) : name.start].rstrip()[-1:]
            is_value = name.quoted or before in {"{", "(", ","} or begins_line(text, name)
        case _:
            is_value = False
    if not is_value or (QUOTE.match(text, name.value) and not is_string):
        return []
    return calls.strings_of(text, name.value)


def _begins_call(text: str, name: Name) -> bool:
    """Tell whether a name in quotes is among the first arguments of a call."""
    _, bracket, before = text[max(0, name.start - HEAD) : name.start].rpartition("(")
    return bracket != "" and _FIRST_NAMES.fullmatch(before) is not None


def _telling(text: str, spans: list[Span], name: Name) -> Iterator[Span]:
    """Leave out what says nothing."""
    yield from (span for span in spans if not _says_nothing(text[slice(*span)], name))
