"""Where code puts the value of a secret that stands beside no name: a default, another value, what wraps it."""

import enum
import re
from collections.abc import Iterator

import attrs

from lazytrack.provenance.redact.names import Secrecy
from lazytrack.provenance.redact.strings import QUOTE, after_string, end_of_string
from lazytrack.provenance.redact.tokens import Span
from lazytrack.provenance.redact.values import says_nothing

_LONGEST = 4096
"""Characters of the arguments of a call that are read."""
_DEEPEST = 8
"""Brackets within brackets. What is deeper is not read, so that nothing is read more often than this."""
_MOST = 5
"""Values of which one is taken that are read, for the same reason."""

_SPACES = re.compile(r"(?:\s++|#[^\r\n]*+)*+")
_ARGUMENT = re.compile(rf"{_SPACES.pattern}(?:(?P<keyword>[A-Za-z_]\w{{0,60}}+)\s*+(?:=(?!=)|:(?!:))\s*+)?")
_PART = re.compile(
    rf"(?P<bracket>[(\[{{])|(?P<closing>[)\]}}])|(?P<comma>,)|#[^\r\n]*+|\n{{2}}|(?P<quote>{QUOTE.pattern})"
)
_BEFORE = re.compile(r"(?:lambda\s*+:\s*+|await\s++|not\s++)?+")
_CALLEE = re.compile(r"[A-Za-z_$][\w$]*+(?:\??\.[A-Za-z_]\w*+)*+", re.ASCII)
_ATTRIBUTE = re.compile(r"\??\.(?P<name>[A-Za-z_]\w*+)", re.ASCII)
_OTHERWISE = re.compile(
    r"(?:\s|\\\r?\n)*+(?:or|and)\b\s*+|\s*+(?:\|\||\?\?)\s*+|[ \t]*+\+[ \t]*+|\s++if\b[^\r\n]{0,200}?\belse\b\s*+"
)
"""What stands between values of which one is taken, or which are put together."""
_KEYWORDS = frozenset(
    {"default", "value", "fallback", "const", "initial", "flag_value", "default_value", "server_default"}
    | {"default_factory", "factory", "secret_value"}
)
_FIRST = frozenset(
    {"secretstr", "secretbytes", "secret", "field", "option", "str", "bytes", "bytearray", "b64decode", "fromhex"}
    | {"unhexlify", "quote", "quote_plus"}
)
"""What is called with a value, and gives it back in another form."""
_SECOND = frozenset({"get", "getenv", "pop", "setdefault", "fetch", "env", "config", "environ", "str", "string"})
"""What is called with a name, and a value for where nothing has it."""
_CONFIGURATION = re.compile("conf|cfg|parser|ini|settings", re.IGNORECASE)
_CALLED = re.compile(r"secret(?:str|bytes)\(|login\((?:[^()]{0,200}?[\s,])?key[ \t]*+=[ \t]*+")


@attrs.frozen(kw_only=True)
class _Argument:
    keyword: str
    index: int
    """Its place among those without a keyword."""
    start: int


def spans_of_calls(text: str, lowered: str) -> Iterator[Span]:
    """Find what calls have for a secret whatever it is named: ``SecretStr("…")``, ``login(key="…")``."""
    for match in _CALLED.finditer(lowered):
        is_login = match.group().startswith("login")
        for start, end in strings_of(text, match.end()):
            value = text[start:end]
            if not says_nothing(value, Secrecy.SECRET) and not (is_login and not _has_digit(value)):
                yield start, end


def strings_of(text: str, position: int) -> list[Span]:
    """Find the strings that an expression may have for its value, such as ``getenv("X") or "…"``."""
    reader = _Reader(text)
    reader.read(position, 0)
    return reader.found


def strings_otherwise(text: str, position: int) -> list[Span]:
    """Find the strings that are taken where what stands before `position` has no value, or are put behind it."""
    otherwise = _OTHERWISE.match(text, position)
    return strings_of(text, otherwise.end()) if otherwise else []


def strings_by_default(text: str, position: int) -> list[Span]:
    """Find the defaults among those arguments of a call that come after `position`."""
    reader = _Reader(text)
    reader.take("", _arguments(text, position)[0], 0)
    return reader.found


@attrs.define
class _Reader:
    """Reads expressions as far as it has to, in Python and what is written alike."""

    text: str
    found: list[Span] = attrs.Factory(list)

    def read(self, position: int, depth: int) -> None:
        """Find the strings of the expression that begins at `position`, in so many brackets."""
        sign = ""
        is_string = False
        for _ in range(_MOST if depth <= _DEEPEST else 0):
            before = len(self.found)
            end = self._operand(position, depth)
            if sign == "+" and not is_string:  # what is put behind a name is a part of a secret where it has a digit
                parts = self.found[before:]
                self.found[before:] = [(start, end) for start, end in parts if _has_digit(self.text[start:end])]
            otherwise = None if end is None else _OTHERWISE.match(self.text, end)
            if otherwise is None:
                break
            sign = otherwise.group().strip()
            is_string = len(self.found) > before
            position = otherwise.end()

    def take(self, callee: str, arguments: list[_Argument], depth: int) -> None:
        """Find the strings that a call may give back."""
        index = _index_of_value(callee)
        for argument in arguments:
            if argument.keyword.lower() in _KEYWORDS:
                self.read(argument.start, depth + 1)
            elif not argument.keyword and argument.index == index:
                self._take_positional(callee, argument, depth)

    def _take_positional(self, callee: str, argument: _Argument, depth: int) -> None:
        before = len(self.found)
        self.read(argument.start, depth + 1)
        texts = [self.text[start:end] for start, end in self.found[before:]]
        # The second argument of a configuration's get may be the name of an option; that of an option is its name.
        names_only = _CONFIGURATION.search(callee.rpartition(".")[0]) and not _has_digit("".join(texts))
        if names_only or any(text.startswith("--") for text in texts):
            del self.found[before:]

    def _operand(self, position: int, depth: int) -> int | None:
        """Read one value; return where it ends, or None where that is of no matter."""
        text = self.text
        if depth:
            position = _end(_SPACES, text, position)
        position = _end(_BEFORE, text, position)
        if quote := QUOTE.match(text, position):
            position = self._string(quote)
            while depth and (quote := QUOTE.match(text, _end(_SPACES, text, position))):
                position = self._string(quote)
            return self._after("", position, depth)
        if name := _CALLEE.match(text, position):
            return self._after(name.group(), name.end(), depth)
        if text.startswith("(", position):
            self.read(position + 1, depth + 1)
            return _arguments(text, position + 1)[1]
        if depth and text.startswith("[", position):
            for argument in _arguments(text, position + 1)[0]:
                self.read(argument.start, depth + 1)
        return None

    def _string(self, quote: re.Match[str]) -> int:
        end = end_of_string(self.text, quote["open"], quote.end())
        if any(map(str.isalnum, self.text[quote.end() : end])):
            self.found.append((quote.end(), end))
        return after_string(self.text, quote["open"], end)

    def _after(self, callee: str, position: int, depth: int) -> int | None:
        """Read the calls, subscripts and attributes that follow a value."""
        place: int | None = position
        while place is not None:
            if attribute := _ATTRIBUTE.match(self.text, place):
                callee, place = f"{callee}.{attribute['name']}", attribute.end()
            elif self.text.startswith(("(", "["), place):
                is_call = self.text[place] == "("
                arguments, place = _arguments(self.text, place + 1)
                if is_call:
                    self.take(callee, arguments, depth)
            else:
                break
        return place


def _index_of_value(callee: str) -> int | None:
    """Return which argument without a keyword may be what a call gives back."""
    owner, _, name = callee.lower().rpartition(".")
    if name in _FIRST and not (owner and name in _SECOND):
        return 0
    if name in _SECOND and (owner or name != "get"):
        return 1
    return 2 if name == "getattr" else None


class _End(enum.Enum):
    """What an argument ends with."""

    COMMA = enum.auto()
    BRACKET = enum.auto()
    NOTHING = enum.auto()
    """The text is cut off, or a blank line shows that it is no call."""
    TOO_DEEP = enum.auto()


def _arguments(text: str, position: int) -> tuple[list[_Argument], int | None]:
    """Return the arguments of a call from `position` on, and where it ends; None where it does not, or is too deep."""
    arguments: list[_Argument] = []
    limit = min(len(text), position + _LONGEST)
    index = 0
    end = _End.COMMA
    while end is _End.COMMA and (argument := _ARGUMENT.match(text, position, limit)):
        keyword = argument["keyword"] or ""
        arguments.append(_Argument(keyword=keyword, index=index, start=argument.end()))
        index += not keyword
        end, position = _end_of_argument(text, argument.end(), limit)
    return [] if end is _End.TOO_DEEP else arguments, position if end is _End.BRACKET else None


def _end_of_argument(text: str, position: int, limit: int) -> tuple[_End, int]:
    """Return what an argument ends with, and the place behind that."""
    depth = 0
    while part := _PART.search(text, position, limit):
        position = part.end()
        if part["quote"]:
            position = after_string(text, part["open"], end_of_string(text, part["open"], position))
        elif part["bracket"]:
            depth += 1
            if depth > _DEEPEST:
                return _End.TOO_DEEP, position
        elif part["closing"]:
            depth -= 1
            if depth < 0:
                return _End.BRACKET, position
        elif part["comma"] and not depth:
            return _End.COMMA, position
        elif part.group().startswith("\n"):
            break
    return _End.NOTHING, position


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
