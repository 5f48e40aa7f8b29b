"""Names of secrets as they stand in a text, each with the sign after it and the place of its value."""

import re

import attrs

from lazytrack.provenance.redact.names import HINTS, Secrecy, has_added_names, secrecy

_SIGN = (
    r"[\w.\-]*+)(?:(?P<close>\\*[\"'`])?\]?(?P<gap>[ \t]*+)(?P<sign>:=|=>|[=!]==?|=|:(?!:)|,|>|\))(?P<space>[ \t]*+))?"
)
_HINTED = re.compile(rf"(?P<name>(?:{'|'.join(HINTS)}){_SIGN}", re.ASCII)
_ANY = re.compile(rf"(?P<name>[a-z_]{_SIGN}", re.ASCII)
_NAME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_.-"
HEAD = 200
"""Characters before a name's hint that are looked at, and before a name, for what its line begins with."""
_ESCAPE = re.compile(r"(?<=\\)[nrtbf]|(?<=[\[;])[0-9]{1,3}m")
"""What stands before a name and looks like a part of it: an escaped line end, the colour of a terminal."""


@attrs.define(kw_only=True, eq=False)
class Name:
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
        """Whether it is an option of a command."""
        return self.word.startswith("-")

    @property
    def is_variable(self) -> bool:
        """Whether it is spelled as the variables of an environment are."""
        return self.word == self.word.upper() and not self.quoted

    @property
    def is_in_shell(self) -> bool:
        """Whether its value is what a shell would take, which is no code."""
        return self.tight and (self.is_option or self.is_variable)


def finder() -> re.Pattern[str]:
    """Return what finds what may be names, in lower case."""
    return _ANY if has_added_names() else _HINTED


def name_at(text: str, lowered: str, hit: re.Match[str]) -> Name | None:
    """Return the name that a hit of the `finder` is a part of; None where it is no secret's."""
    sign = hit["sign"]
    if sign is None and text[hit.end() : hit.end() + 1] not in {" ", "\t"}:
        return None
    if sign == ")" and hit["close"] is None:
        return None
    head = lowered[max(0, hit.start() - HEAD) : hit.start()]
    start = hit.start() - (len(head) - len(head.rstrip(_NAME_LETTERS)))
    if escape := _ESCAPE.match(text, start, hit.start()):
        start = escape.end()
    word = text[start : hit.end("name")]
    if sign is None and not word.startswith("--"):
        return None
    kind = secrecy(word)
    if kind is Secrecy.NONE:
        return None
    return Name(
        word=word,
        secrecy=kind,
        start=start,
        sign=sign or "",
        quoted=hit["close"] is not None,
        tight=sign == "=" and not hit["gap"] and not hit["space"],
        value=hit.end(),
    )


def line_head(text: str, position: int) -> str | None:
    """Return what stands on a line before `position`; None where that is far."""
    _, newline, head = text[max(0, position - HEAD) : position].rpartition("\n")
    return head if newline or position <= HEAD else None
