"""Where a value ends that may have spaces in it: that of an assignment which has a line or a string for itself."""

import re

from lazytrack.provenance.redact.named import HEAD, Name, line_head
from lazytrack.provenance.redact.names import Secrecy
from lazytrack.provenance.redact.strings import end_of_string
from lazytrack.provenance.redact.values import is_phrase, is_reference, says_nothing

_BEGINS = re.compile(
    r"[ \t+]*+(?:-[ \t]++|-(?=\Z))?"
    r"(?:(?:export|set|set -[gUx]{1,3}|setx|setenv|SetEnv|ENV|ARG|-e|--env|declare -x|%env)[ \t]++)?"
)
"""What stands before an assignment that has its line for itself."""
_COMMENTED = re.compile(r"[ \t+-]*+(?:[#;]|//)[#;/ \t]*+(?:export[ \t]++)?")
_REMOVED = re.compile(r"-[A-Z][A-Z0-9_]++")
"""A variable in a line that a diff removes, which looks like an option."""
_LINE = re.compile(r"[^\r\n]*+")
_IN_STRING = re.compile(r"(?:[^\r\n\"'`\\]|\\(?![nrt\"'`\\]))*+")
_ESCAPED_LINE_END = re.compile(r"\\+[nr]")
_QUOTE_BEFORE = re.compile(r"\\*[\"'`]\Z")
_COMMENT = re.compile(r"[ \t]#")
_CONTINUED = re.compile(r"[ \t]*+\\?[ \t]*+\Z")
_NEXT = re.compile(r"[ \t]++(?:[A-Za-z_][\w.-]*+=(?!=)|&&|\|)")
_NEXT_OPTION = re.compile(r"[ \t]++-{1,2}[A-Za-z]")
_NEXT_IN_LIST = re.compile(r"[ \t]++\\*[\"']?[A-Za-z_][\w.-]*+\\*[\"']?[ \t]*+[:=]")
_COMPUTED = ("$(", "${{", "{{", "`", "#")
"""How begins what a shell or a template puts in, and a comment."""


def begins_line(text: str, name: Name) -> bool:
    """Tell whether a name is the first word of its line, but for what declares a variable."""
    head = line_head(text, name.start)
    return head is not None and not name.quoted and _BEGINS.fullmatch(head) is not None


def room_for_itself(text: str, name: Name) -> int | None:
    """Return where the line, or the string, ends that an assignment has for itself; None where it has none.

    A string is read as a shell's words are: what is in it is no code.
    """
    if name.sign not in {"=", ":", ":=", "=>"}:
        return None
    if begins_line(text, name) or _is_commented(text, name):
        line = _LINE.match(text, name.value)
        return line.end() if line else None
    if name.is_in_shell:
        before = text[max(0, name.start - 8) : name.start]
        if quote := _QUOTE_BEFORE.search(before):
            end = end_of_string(text, quote.group(), name.value)
            escape = _ESCAPED_LINE_END.search(text, name.value, end)
            return escape.start() if escape else end
        if before.endswith(("\\n", "\\r")) and (match := _IN_STRING.match(text, name.value)):
            return match.end()
    return None


def _is_commented(text: str, name: Name) -> bool:
    """Tell whether a variable was commented out."""
    head = line_head(text, name.start) if name.is_in_shell else None
    return head is not None and _COMMENTED.fullmatch(head) is not None


def end_of_phrase(text: str, name: Name, word_end: int, limit: int, *, is_secret: bool) -> int:
    """Return where a value ends whose first word ends at `word_end`: there, or where the words end that belong to it.

    Where a comment begins after ``=`` is not told: for some programs it is a part of the value. After the colon of YAML
    it never is.

    Parameters
    ----------
    limit
        Where the line ends.
    is_secret
        Whether the first word is a secret by itself.
    """
    if name.sign == ":" and (comment := _COMMENT.search(text, name.value, limit)):
        limit = comment.start()
    rest = text[word_end:limit]
    if _CONTINUED.fullmatch(rest) or _goes_on_otherwise(text, name, word_end, rest):
        return word_end
    end = name.value + len(text[name.value : limit].rstrip().removesuffix(" \\").rstrip())
    if is_secret or _is_chosen(_COMMENT.split(text[name.value : end], 1)[0], text[name.value : word_end], name):
        return end
    return word_end


def _goes_on_otherwise(text: str, name: Name, word_end: int, rest: str) -> bool:
    """Tell whether what stands after a word is the next assignment, argument or command."""
    if _NEXT.match(rest):
        return True
    if name.is_option and not _REMOVED.fullmatch(name.word):
        return _NEXT_OPTION.match(rest) is not None or begins_line(text, name)  # a line of a command that has many
    if text[word_end - 1] not in ",;":
        return False
    before = text[max(0, name.start - HEAD) : name.start].rstrip()[-1:]
    return _NEXT_IN_LIST.match(rest) is not None or (not name.is_in_shell and before in {"(", ","})


def _is_chosen(value: str, first: str, name: Name) -> bool:
    """Tell whether words are a phrase that somebody chose for a secret."""
    if not (name.secrecy is Secrecy.PASSWORD or name.is_variable or "secret" in name.word.lower()):
        return False
    if says_nothing(value, name.secrecy, name.word) or not any(map(str.isalnum, value)):
        return False
    if name.is_in_shell:
        if is_reference(first) or first.startswith(_COMPUTED) or len(value.split()) == 1:
            return False
        return not says_nothing(first, Secrecy.SECRET) or name.secrecy is Secrecy.PASSWORD or "SECRET" in name.word
    return is_phrase(value, maybe_code=name.sign != ":")
