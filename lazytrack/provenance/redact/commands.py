"""The redaction of command lines, word by word."""

import itertools
import re
from collections.abc import Sequence

import attrs

from lazytrack.provenance.redact.names import Secrecy, secrecy
from lazytrack.provenance.redact.text import MASK, PASSES, redact
from lazytrack.provenance.redact.values import says_nothing


@attrs.frozen
class _Program:
    """A program that takes a password by an option of one letter."""

    option: re.Pattern[str]
    apart: bool = True
    """Whether the password may be the next word."""


_CURL = _Program(re.compile(r"-[A-Za-z]*[uU]|--(?:proxy-)?user=?"))
_MYSQL = _Program(re.compile("-p"), apart=False)
_P, _A, _W = (_Program(re.compile(option)) for option in ("-p", "-a", "-w"))
_PROGRAMS = {
    "curl": _CURL,
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump"), _MYSQL),
    **dict.fromkeys(("sshpass", "mongo", "mongosh", "mongodump", "mongorestore"), _P),
    "redis-cli": _A,
    **dict.fromkeys(("ldapsearch", "ldapmodify", "ldapadd"), _W),
}
_OPTION = re.compile(r"-{1,2}[A-Za-z_]|--$")
_AWAITS = re.compile(r"-{1,2}[A-Za-z_][\w.-]*")
"""An option that has no value yet."""
_NAMED = re.compile(r"(?P<name>[-+~]{0,2}[A-Za-z_][\w.@:/\[\]-]*+)=(?P<value>.*)", re.DOTALL)
_KEY_OF_LOGIN = re.compile("[0-9a-f]{40}")


def redact_command(argv: Sequence[str]) -> list[str]:
    """Return a command line with the values of secret options and variables masked; it keeps its length.

    Those are ``--api-key x``, ``--api-key=x``, ``TOKEN=x``, ``--env=TOKEN=x``, ``+trainer.token=x``, and whatever
    `redact` recognises in a word. What begins as an option does is not taken for the value of the option before it.
    Options of one letter are not guessed, except where the command names a program that takes passwords so: curl
    (``-u user:password``), the clients of MySQL (``-ppassword``), sshpass and MongoDB's (``-p``), redis-cli (``-a``)
    and LDAP's (``-w``). Nor is ``--key``, which often names a column.
    """
    words = list(argv)
    for _ in range(PASSES):
        masked = _masked_once(words)
        if masked == words:
            break
        words = masked
    return words


def _masked_once(words: list[str]) -> list[str]:
    masked: list[str] = []
    program: _Program | None = None
    for before, word in itertools.pairwise(["", *words]):
        program = _PROGRAMS.get(re.split(r"[/\\]", word)[-1].removesuffix(".exe"), program)
        if _KEY_OF_LOGIN.fullmatch(word) and "login" in words:  # wandb login <key>
            masked.append(MASK)
        else:
            masked.append(_redact_word(before, word, program))
    return masked


def _redact_word(before: str, word: str, program: _Program | None) -> str:
    if match := _NAMED.fullmatch(word):
        name, value = match.groups()
        if (kind := secrecy(name)) is not Secrecy.NONE:
            return word if says_nothing(value, kind, name) else f"{redact(name)}={MASK}"
        if name.startswith("-") and (inner := _NAMED.fullmatch(value)) and secrecy(inner["name"]) is not Secrecy.NONE:
            return f"{redact(name)}={_redact_word('', value, None)}"
    # A password may look like an assignment: what follows a secret option is masked, whatever it is.
    if _AWAITS.fullmatch(before) and not _OPTION.match(word) and (kind := secrecy(before)) is not Secrecy.NONE:
        return word if says_nothing(word, kind) else MASK
    if program is not None and word:
        if program.apart and program.option.fullmatch(before):
            return _password(word, of_user=program is _CURL)
        if (match := program.option.match(word)) and match.end() < len(word):
            return match.group() + _password(word[match.end() :], of_user=program is _CURL)
    return redact(word)


def _password(word: str, *, of_user: bool) -> str:
    if not of_user:
        return MASK
    user, colon, password = word.partition(":")
    return f"{redact(user)}:{MASK}" if colon and password else redact(word)
