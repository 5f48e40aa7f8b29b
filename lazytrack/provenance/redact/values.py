"""Which values beside the name of a secret are secrets, and which only say that there is one, or where it is.

The rule. A plain number, true, false, null and nothing are never secret, but for the digits of a password; nor is
a reference such as ``${TOKEN}``. Whatever else is quoted is secret. What is not quoted may be code or prose, and is
secret when it is a literal: when it has a digit, or a sign that words do not have, and is no attribute, call or
subscript. In a shell's ``NAME=value`` there is no code, so there it always is.
"""

import re

from lazytrack.provenance.redact.names import Secrecy, looks_secret

_PLAIN = re.compile(r"|true|false|none|null|nil|undefined|nan|yes|no|on|off|\*+|\.{2,}|…", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_,]*(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|0x[0-9a-f]{1,8}", re.IGNORECASE)
_MEASURE = re.compile(r"[-+]?[0-9][0-9.,:/]{0,15}(?:[a-z]{1,3}(?:/[a-z]{1,3})?|[KMGT]i?B?|%)?")
_REFERENCE = re.compile(
    r"\$[A-Z_][A-Z0-9_]*|(?:[A-Za-z]{1,10} )?\$?\{[\w.:]*\}|\$?\{\{[^{}]{0,100}\}\}|\$\([^()]{0,200}\)"
    r"|%\(\w+\)s|%[rs]|<[A-Za-z_ -]*>"
)
_LONGEST_REFERENCE = 250
_FOLDER = re.compile(r"[/~]|[A-Za-z]:")
"""How the working directory begins, which each shell keeps in ``PWD``."""

_WORD = r"[A-Za-z_]+[0-9]{0,2}"
_CODE = re.compile(
    rf"[-~*]*(?:{_WORD}(?:\.{_WORD})*[(\[].*|{_WORD}(?:\.{_WORD})+(?:[)\]}}].*)?|[A-Za-z_]+[)\]}}].*|{_WORD}(?:\|{_WORD})+)",
    re.ASCII | re.DOTALL,
)
_TYPES = frozenset(
    {"str", "string", "bytes", "int", "integer", "bool", "boolean", "float", "any", "object", "optional", "final"}
    | {"literal", "classvar", "self", "type", "char", "varchar", "text", "required", "hidden", "redacted", "masked"}
    | {"secretstr", "secretbytes", "callable", "path", "list", "dict", "tuple", "set"}
)
"""Words that are said of a value where it could stand."""
_CODE_SIGN = re.compile(r"[()\[\]{}<>|=\"`\\]|->|::|(?:^|\s)[-+*/%&]+(?:\s|$)")
_CODE_WORDS = frozenset(
    {"and", "or", "not", "in", "is", "if", "else", "await", "lambda", "yield", "new", "return", "from", "for"}
)
_OF_PROSE = frozenset(
    {"the", "a", "an", "of", "to", "for", "if", "when", "whether", "that", "which", "this", "must", "should", "can"}
    | {"will", "your", "its", "is", "are", "be", "been", "or", "e.g", "i.e", "use", "used", "uses", "using", "only"}
    | {"optional", "required", "default", "defaults", "given", "key", "keys", "login", "not", "too", "missing"}
    | {"invalid", "incorrect", "wrong", "expired", "empty", "denied", "accepted", "rejected", "failed", "changed"}
)
"""Words of what is said about a secret. Those that a phrase for one is made of are rarely among them."""
_AFTERWARDS = ".,:;!?)]}>…"
"""Signs that follow a value, and are not its own."""


def says_nothing(value: str, secrecy: Secrecy, name: str = "") -> bool:
    """Tell whether `value` is no secret whatever its name, which is `name` where it has one that is spelled out."""
    value = value.strip()
    if _PLAIN.fullmatch(value) or is_reference(value):
        return True
    if value.isdigit() and secrecy is Secrecy.PASSWORD:
        return False
    return _NUMBER.fullmatch(value) is not None or (name == "PWD" and _FOLDER.match(value) is not None)


def is_reference(value: str) -> bool:
    """Tell whether `value` only says where a value comes from: a variable of a shell, a template or a format."""
    if len(value) > _LONGEST_REFERENCE:
        return False
    return _REFERENCE.fullmatch(value) is not None or (value[:1] == "$" and value[1:].isalpha() and looks_secret(value))


def is_measure(value: str) -> bool:
    """Tell whether `value` is a number with a unit, a time or a ratio."""
    return _MEASURE.fullmatch(value) is not None


def is_code(value: str) -> bool:
    """Tell whether `value` is an attribute, a call, a subscript or a union of types."""
    return _CODE.fullmatch(value) is not None


def is_type(value: str) -> bool:
    """Tell whether `value` is the name of a type, or says what to put there."""
    return value.lower() in _TYPES or (value[:1].isupper() and not value.isupper())


def is_literal(value: str, secrecy: Secrecy) -> bool:
    """Tell whether `value`, which is not quoted, is itself what its name says, and neither code nor prose."""
    if is_code(value) or (is_measure(value) and secrecy is not Secrecy.PASSWORD):
        return False
    words = "_-." if secrecy is Secrecy.SECRET else "_."
    return any(not letter.isalpha() and letter not in words for letter in value)


def is_phrase(value: str, *, maybe_code: bool) -> bool:
    """Tell whether `value` is words that may be a secret together: neither code nor what is said about a secret."""
    words = value.split()
    if len(words) < 2 or words[0].rstrip(",").lower() in _TYPES or _CODE_SIGN.search(value):  # noqa: PLR2004  (words)
        return False
    return not is_prose(value) and not (maybe_code and _CODE_WORDS.intersection(words))


def is_prose(value: str) -> bool:
    """Tell whether `value` is words about a secret, as a documentation or an error message has them."""
    words = [word.strip("'\".,:;!?()").lower() for word in value.split()]
    if len(words) < 2:  # noqa: PLR2004  (a word is no sentence)
        return False
    return value.endswith((".", ":")) or any(word in _OF_PROSE or looks_secret(word) for word in words)


def without_afterwards(value: str) -> str:
    """Leave out the brackets and points that follow `value` in a sentence or a call."""
    return value.rstrip(_AFTERWARDS)
