"""Values beside names of secrets that are not in quotes: where they end, and what tells them from code and prose."""

import re

from lazytrack.provenance.redact import values
from lazytrack.provenance.redact.lines import begins_line, end_of_phrase, room_for_itself
from lazytrack.provenance.redact.named import HEAD, Name
from lazytrack.provenance.redact.names import Secrecy
from lazytrack.provenance.redact.tokens import Span

_BLOCK = re.compile(r"[|>][-+0-9]{0,2}[ \t]*+(?:#[^\r\n]*+)?\r?\n")
_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|Api-?Key|Negotiate|NTLM|SharedKey(?:Lite)?|"
    r"(?P<parameters>Digest|OAuth|Hawk|Signature|AWS4-HMAC-SHA256))[ \t]++",
    re.IGNORECASE,
)
_AFTER_A_HEADER = frozenset({"", "\r", "\n", '"', "'", "\\"})
_COOKIE = re.compile(r"[\w!#$%&*+.^|~-]{1,100}=[^\r\n\"'\\]*+", re.ASCII)
_LINE = re.compile(r"[^\r\n]*+")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,200}[(\[]", re.ASCII)
_WHOLE = re.compile(r"\S++")
_SHELL_WORD = re.compile(r"(?:[^\s\"']|\"[^\"\r\n]*+\"|'[^'\r\n]*+'|[\"'])++")
_PART = re.compile(
    r"(?:[^\s\"'`,;&<>\\]|\\(?![nrtu\"'`\\])|,(?![\w.-]{1,60}[=:]|[\s\"'`]|\Z)|[\"'`](?=[A-Za-z0-9]))++", re.ASCII
)
_TO_LINE_END = re.compile(r"[ \t]*+(?:[\r\n#]|\Z)")
_ELSEWHERE = ("$(", "${{", "{{", "<", "//", "`", ":")
"""How a value begins that is computed, or is no value."""


def unquoted(text: str, name: Name) -> list[Span]:
    """Find the value of a name that is neither in quotes nor in brackets."""
    return _block(text, name) or _header(text, name) or _words(text, name)


def _block(text: str, name: Name) -> list[Span]:
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


def _header(text: str, name: Name) -> list[Span]:
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


def _words(text: str, name: Name) -> list[Span]:
    if not name.is_in_shell and _CALL.match(text, name.value):
        return []
    limit = room_for_itself(text, name)
    if limit is None:
        match = _PART.match(text, name.value)
    else:
        match = (_SHELL_WORD if name.is_in_shell else _WHOLE).match(text, name.value, limit)
    if match is None or _is_elsewhere(match.group(), text[match.end() : limit or match.end()], name):
        return []
    value = match.group().rstrip(",;")
    is_secret = not values.says_nothing(value, name.secrecy, name.word)
    if not name.is_in_shell:
        value = values.without_afterwards(value)
        is_secret = is_secret and not values.says_nothing(value, name.secrecy, name.word)
    is_secret = is_secret and _is_secret(text, name, value)
    if limit is not None:
        end = end_of_phrase(text, name, match.end(), limit, is_secret=is_secret)
        if end > match.end():
            return [(name.value, end)]
    return [(name.value, name.value + len(value))] if is_secret else []


def _is_elsewhere(word: str, rest: str, name: Name) -> bool:
    """Tell whether a value is computed, or stands for one that is not there."""
    if word.startswith("#") and not name.tight:
        return True  # a comment
    if word.startswith("<") and name.is_in_shell:
        return ">" in word or ">" in rest
    return word.startswith(_ELSEWHERE)


def _is_secret(text: str, name: Name, value: str) -> bool:
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
        before = text[max(0, name.start - HEAD) : name.start].rstrip()[-1:]
        return value.isalpha() and before not in {"(", ","} and text[end : end + 1] not in {",", ")"}
    if name.sign == ":" and (name.is_variable or name.secrecy is Secrecy.PASSWORD) and begins_line(text, name):
        return not (values.is_type(value) or values.is_code(value)) and _TO_LINE_END.match(text, end) is not None
    return False
