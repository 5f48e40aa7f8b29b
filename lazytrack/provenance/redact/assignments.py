"""Where a text puts a value beside the name of a secret: as a shell, JSON, YAML, Python, HTTP or a log does.

Names are found by their hints, and each is read once. What follows a name is read once, too: a value that is kept can
hold no further name with a value, or is not read to its end.
"""

import re
from collections.abc import Iterator

import attrs

from lazytrack.provenance.redact import values
from lazytrack.provenance.redact.names import HINTS, Secrecy, has_added_names, secrecy
from lazytrack.provenance.redact.strings import KEY_FOLLOWS, LINE_END, QUOTE, end_of_string, strings_in_brackets
from lazytrack.provenance.redact.tokens import Span

_SIGN = r"[\w.\-]*+)(?:(?P<close>\\*[\"'`])?\]?(?P<gap>[ \t]*+)(?P<sign>:=|=>|[=!]==?|=|:(?!:)|,|>)(?P<space>[ \t]*+))?"
_HINTED = re.compile(rf"(?P<name>(?:{'|'.join(HINTS)}){_SIGN}", re.ASCII)
_ANY = re.compile(rf"(?P<name>[a-z_]{_SIGN}", re.ASCII)
_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_.-"
_HEAD = 200
"""Characters before a name's hint that are looked at, and before a name, for what its line begins with."""
_ESCAPE = re.compile(r"(?<=\\)[nrtbf]|(?<=[\[;])[0-9]{1,3}m")
"""What stands before a name and looks like a part of it: an escaped line end, the colour of a terminal."""
_LINE_BEGINS = frozenset({"", "-", "export", "set", "ENV", "-e", "--env", "+"})

_ANNOTATION = re.compile(
    r"(?:[A-Za-z_][A-Za-z_.]*+(?:\[[^\]\n=]{0,80}\]+)?|(?P<quote>[\"'])[A-Za-z_][\w.\[\], |]{0,100}+(?P=quote))"
    r"(?: ?\| ?[A-Za-z_.]{1,80}){0,4}"
    r"(?:[ \t]++=|=(?=[\"']))[ \t]*+(?!=)"
)
"""A type between a name and its value."""
_BLOCK = re.compile(r"[|>][-+0-9]{0,2}[ \t]*+(?:#[^\r\n]*+)?\r?\n")
_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|Api-?Key|Negotiate|NTLM|SharedKey(?:Lite)?|"
    r"(?P<parameters>Digest|OAuth|Hawk|Signature|AWS4-HMAC-SHA256))[ \t]++",
    re.IGNORECASE,
)
_AFTER_A_HEADER = frozenset({"", "\r", "\n", '"', "'", "\\"})
_COOKIE = re.compile(r"[\w!#$%&*+.^|~-]{1,100}=[^\r\n\"'\\]*+", re.ASCII)
_LINE = re.compile(r"[^\r\n]*+")
_SPACES = re.compile(r"[ \t]+")
_ELEMENT = re.compile(r"[^<\r\n]*+")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,200}[(\[]", re.ASCII)
_WHOLE = re.compile(r"\S++")
_PART = re.compile(
    r"(?:[^\s\"'`,;&<>\\]|\\(?![nrtu\"'`\\])|,(?![\w.-]{1,60}[=:]|[\s\"'`]|\Z)|[\"'`](?=[A-Za-z0-9]))++", re.ASCII
)
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_TO_LINE_END = re.compile(r"[ \t]*+(?:[\r\n#]|\Z)")
_ELSEWHERE = ("$(", "${{", "{{", "<", "//", "`", ":")
"""How a value begins that is computed, or is no value."""


@attrs.define(kw_only=True, eq=False)
class _Name:
    """A name of a secret as it stands in a text, with the sign after it."""

    word: str
    secrecy: Secrecy
    start: int
    sign: str
    quoted: bool
    tight: bool
    """Whether no space is around the sign."""
    value: int
    """Where the value begins."""

    @property
    def is_option(self) -> bool:
        return self.word.startswith("-")

    @property
    def is_variable(self) -> bool:
        """Whether it is spelled as the variables of an environment are."""
        return self.word == self.word.upper() and not self.quoted

    @property
    def is_in_shell(self) -> bool:
        """Whether its value is what a shell would take, which is no code."""
        return self.tight and (self.is_option or self.is_variable)


def assignment_spans(text: str, lowered: str) -> Iterator[Span]:
    """Find the values that stand beside names of secrets.

    Parameters
    ----------
    lowered
        The text in lower case, each character at its place.
    """
    finder = _ANY if has_added_names() else _HINTED
    position = bracketed = 0
    while hit := finder.search(lowered, position):
        position = hit.end()
        name = _name(text, lowered, hit)
        if name is None:
            continue
        if text[name.value : name.value + 1] in {"(", "[", "{"}:
            if name.value >= bracketed and name.sign in {"=", ":", ":=", "=>"}:
                strings, bracketed = strings_in_brackets(text, name.value)
                yield from (span for span in strings if not _says_nothing(text[slice(*span)], name))
            if not name.is_in_shell:
                continue
        for span in _value(text, name):
            yield span
            position = max(position, span[1])


def _name(text: str, lowered: str, hit: re.Match[str]) -> _Name | None:
    sign = hit["sign"]
    if sign is None and text[hit.end() : hit.end() + 1] not in {" ", "\t"}:
        return None
    head = lowered[max(0, hit.start() - _HEAD) : hit.start()]
    start = hit.start() - (len(head) - len(head.rstrip(_NAME_LETTERS)))
    if escape := _ESCAPE.match(text, start, hit.start()):
        start = escape.end()
    word = text[start : hit.end("name")]
    if sign is None and not word.startswith("--"):
        return None
    kind = secrecy(word)
    if kind is Secrecy.NONE:
        return None
    return _Name(
        word=word,
        secrecy=kind,
        start=start,
        sign=sign or "",
        quoted=hit["close"] is not None,
        tight=sign == "=" and not hit["gap"] and not hit["space"],
        value=hit.end(),
    )


def _value(text: str, name: _Name) -> list[Span]:
    """Find the value of a name that is no list, dict or tuple."""
    if name.sign == ":" and (annotation := _ANNOTATION.match(text, name.value)):
        name = attrs.evolve(name, sign="=", value=annotation.end())
    elif not name.sign and (spaces := _SPACES.match(text, name.value)):
        name = attrs.evolve(name, value=spaces.end())
    if name.sign == ">":
        return _element(text, name)
    below = LINE_END.match(text, name.value) if name.quoted else None
    if quote := QUOTE.match(text, below.end() if below else name.value):
        spans = _quoted(text, quote, name)
        return [] if below and spans and KEY_FOLLOWS.match(text, spans[0][1]) else spans
    if name.sign in {"==", "!=", ","}:
        return []
    return _block(text, name) or _header(text, name) or _unquoted(text, name)


def _element(text: str, name: _Name) -> list[Span]:
    """Find what is between ``<name>`` and the next tag."""
    match = _ELEMENT.match(text, name.value)
    if match is None or name.quoted or text[name.start - 1 : name.start] != "<":
        return []
    return [] if _says_nothing(match.group(), name) else [match.span()]


def _says_nothing(value: str, name: _Name) -> bool:
    return values.says_nothing(value, name.secrecy, name.word)


# --- in quotes ---


def _quoted(text: str, quote: re.Match[str], name: _Name) -> list[Span]:
    if not name.quoted and name.sign in {":", "="} and _ends_a_string(text, quote["open"], name):
        return []
    start = quote.end()
    end = end_of_string(text, quote["open"], start)
    value = text[start:end]
    if _says_nothing(value, name) or (name.sign in {",", ""} and not _follows_in_list(text, name, value)):
        return []
    return [(start, end)]


def _ends_a_string(text: str, quote: str, name: _Name) -> bool:
    """Tell whether a quote after a name ends a string that began before the name, as in ``print("token:", x)``."""
    head = _line_head(text, name.start)
    return head is not None and _APOSTROPHE.sub("", head).count(quote) % 2 == 1


def _line_head(text: str, position: int) -> str | None:
    """Return what stands on a line before `position`; None where that is far."""
    _, newline, head = text[max(0, position - _HEAD) : position].rpartition("\n")
    return head if newline or position <= _HEAD else None


def _follows_in_list(text: str, name: _Name, value: str) -> bool:
    """Tell whether what follows ``"NAME",`` is its value: in ``get("NAME", "value")``, ``["--name", "value"]``."""
    if name.is_option:
        if value.startswith("-"):
            return False
    elif not name.quoted or text[max(0, name.start - 8) : name.start].rstrip("\\\"'`")[-1:] != "(":
        return False
    return values.is_literal(value, name.secrecy) or (
        name.secrecy is Secrecy.PASSWORD and secrecy(value) is Secrecy.NONE  # no list of names
    )


# --- not in quotes ---


def _block(text: str, name: _Name) -> list[Span]:
    """Find the lines below ``name: |``, which are indented deeper than it."""
    begin = _BLOCK.match(text, name.value) if name.sign == ":" else None
    if begin is None:
        return []
    line = text.rfind("\n", 0, name.start) + 1
    depth = len(text[line : name.start]) - len(text[line : name.start].lstrip(" "))
    lines = re.compile(rf"(?:[ ]{{{depth + 1},}}[^\r\n]*+(?:\r?\n|\Z)|[ \t]*\r?\n)*+").match(text, begin.end())
    if lines is None or not lines.group().strip():
        return []
    value = lines.group()
    return [(lines.start() + len(value) - len(value.lstrip()), lines.start() + len(value.rstrip()))]


def _header(text: str, name: _Name) -> list[Span]:
    """Find what follows the scheme of an Authorization header, and the cookies of a Cookie header."""
    word = name.word.lower()
    if "auth" in word and (scheme := _SCHEME.match(text, name.value)):
        if scheme["parameters"]:
            return [match.span() for match in [_LINE.match(text, scheme.end())] if match]
        match = _PART.match(text, scheme.end())
        # Prose goes on after a word: authorization: basic auth is needed.
        if match and (
            values.is_literal(match.group(), name.secrecy)
            or not match.group().islower()
            or text[match.end() : match.end() + 1] in _AFTER_A_HEADER
        ):
            return [match.span()]
    elif "cookie" in word and name.sign == ":" and (match := _COOKIE.match(text, name.value)):
        return [(match.start(), match.start() + len(match.group().rstrip()))]
    return []


def _unquoted(text: str, name: _Name) -> list[Span]:
    if not name.is_in_shell and _CALL.match(text, name.value):
        return []
    head = _line_head(text, name.start)
    begins_line = head is not None and head.strip(" \t") in _LINE_BEGINS and not name.quoted
    match = (_WHOLE if begins_line and name.sign else _PART).match(text, name.value)
    if match is None or match.group().startswith(_ELSEWHERE):
        return []
    value = match.group().rstrip(",;")
    if not name.is_in_shell:
        value = values.without_afterwards(value)
    if _says_nothing(value, name) or not _is_secret(text, name, value, begins_line=begins_line):
        return []
    return [(name.value, name.value + len(value))]


def _is_secret(text: str, name: _Name, value: str, *, begins_line: bool) -> bool:
    """Tell whether a value that is not in quotes is what its name says, and neither code nor prose."""
    if not name.sign and value.startswith("-"):
        return False  # the next option
    if name.is_in_shell:
        return any(map(str.isalnum, value))
    if value.rpartition(".")[2].strip("_") == name.word.strip("_"):
        return False  # a variable, or an attribute, that is called as its argument is
    if values.is_literal(value, name.secrecy):
        return any(map(str.isalnum, value))
    end = name.value + len(value)
    if name.secrecy is Secrecy.PASSWORD and name.tight:
        # Not the argument of a call, where a word is the name of a variable.
        before = text[max(0, name.start - _HEAD) : name.start].rstrip()[-1:]
        return value.isalpha() and before not in {"(", ","} and text[end : end + 1] not in {",", ")"}
    if begins_line and name.sign == ":" and (name.is_variable or name.secrecy is Secrecy.PASSWORD):
        return not (values.is_type(value) or values.is_code(value)) and _TO_LINE_END.match(text, end) is not None
    return False
