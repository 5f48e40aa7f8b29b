"""Where a text names a secret in one field and has its value in the next: of JSON, YAML, HTML and calls, and ENV."""

import re
from collections.abc import Iterator

from lazytrack.provenance.redact.named import Name, line_head
from lazytrack.provenance.redact.names import Secrecy, secrecy
from lazytrack.provenance.redact.strings import after_string, end_of_string
from lazytrack.provenance.redact.tokens import Span
from lazytrack.provenance.redact.values import is_prose

_QUOTE = r"\\*+[\"'`]?+"
_BETWEEN = r"[ \t]*+,?[ \t]*+(?:(?:\r?\n|(?:\\+[nr])++)(?:[+-](?=[ \t]{2}))?+[ \t]*+)?"
"""What stands between fields; a dash and a space begin the next item of a list."""
_IS = rf"(?:{_QUOTE}[ \t]*+:[ \t]*+{_QUOTE}|{_QUOTE}[ \t]*+=>?[ \t]*+\\*+[\"'`])"
"""What stands between a field and a word. After ``=``, a word that is not in quotes is code."""
_NAME = rf"(?:name(?<![\w.-]name)|key(?<![\w.-]key)){_IS}(?P<name>[\w.-]{{1,120}}+){_QUOTE}"
_OTHER = rf"{_QUOTE}(?!value\b|name\b|key\b)[\w.-]{{1,60}}+{_IS}[^\s,\"'{{}}\\]{{0,80}}+{_QUOTE}"
_NAME_FIRST = re.compile(
    rf"{_NAME}(?:{_BETWEEN}{_OTHER}){{0,3}}+{_BETWEEN}"
    rf"(?P<field>{_QUOTE}value)(?P<close>{_QUOTE})(?P<gap>[ \t]*+)(?P<sign>=>|[:=])(?P<space>[ \t]*+)(?![(\[{{])",
    re.ASCII,
)
_VALUE_FIRST = re.compile(
    rf"value(?<![\w.-]value){_QUOTE}[ \t]*+(?:=>|[:=])[ \t]*+"
    r"(?:(?P<open>\\*+[\"'`])|(?P<line>[^\s\"'`|>][^\r\n]{0,200}+)(?=\r?\n))",
    re.ASCII,
)
_NAME_AFTER = re.compile(rf"{_BETWEEN}{_QUOTE}{_NAME}", re.ASCII)
_DECLARING = ("ENV", "setenv", "SetEnv", "setx", "set -")
_DECLARED = re.compile(
    r"(?:ENV|setenv|SetEnv|setx|set -[gUx]{1,3})[ \t]++"
    r"(?P<name>[A-Z_][A-Z0-9_]{0,100}+)[ \t]++(?P<rest>[^\s=][^\r\n]*+)"
)
"""A variable and its value with no sign between them: of Dockerfiles, csh, Apache, Windows and fish."""


def names_in_fields(text: str, lowered: str) -> Iterator[Name]:
    """Find names whose values are what a next field, or the rest of a line, holds."""
    for match in _NAME_FIRST.finditer(lowered) if "value" in lowered else ():
        word = text[slice(*match.span("name"))]
        if (kind := secrecy(word)) is not Secrecy.NONE:
            yield Name(
                word=word,
                secrecy=kind,
                start=match.start("field"),
                sign=match["sign"],
                quoted=match["close"] != "",
                tight=match["sign"] == "=" and not match["gap"] and not match["space"],
                value=match.end(),
            )
    for match in _DECLARED.finditer(text) if any(word in text for word in _DECLARING) else ():
        word, start = match["name"], match.start("name")
        kind = secrecy(word)
        if kind is Secrecy.NONE or is_prose(match["rest"]) or (line_head(text, match.start()) or "").strip(" \t+-"):
            continue
        yield Name(word=word, secrecy=kind, start=start, sign="=", quoted=False, tight=True, value=match.start("rest"))


def values_before_names(text: str, lowered: str) -> Iterator[tuple[Span, str]]:
    """Find values whose name is in the field after them, and that name."""
    for match in _VALUE_FIRST.finditer(lowered):
        if match["open"]:
            start, end = match.end(), end_of_string(text, match["open"], match.end())
            after = _NAME_AFTER.match(lowered, after_string(text, match["open"], end))
        else:
            start, end = match.span("line")
            after = _NAME_AFTER.match(lowered, end)
        if after:
            yield (start, start + len(text[start:end].rstrip())), text[slice(*after.span("name"))]
