"""What tokens look like wherever they stand: those with the prefixes of their makers, and those of added patterns.

Each search begins with a plain test for a few characters without which there is nothing to find, so that text without
secrets costs little. No search goes over the same text again and again: what it has read, it has passed.
"""

import re
import threading
from collections.abc import Callable, Iterator

import attrs

Span = tuple[int, int]
"""Where a secret begins and ends."""


@attrs.frozen
class _Shape:
    """One kind of secret."""

    needles: tuple[str, ...]
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]


def _is_any(_: str) -> bool:
    return True


def _has_digit(token: str) -> bool:
    return any(map(str.isdigit, token))


def _shape(needles: str, pattern: str, is_secret: Callable[[str], bool] = _is_any) -> _Shape:
    return _Shape(tuple(needles.split()), re.compile(pattern, re.ASCII), is_secret)


# --- tokens ---


def _word(prefix: str, letters: str = "A-Za-z0-9") -> str:
    """Match `prefix` where a word begins: after an escaped line end, a colour or a percent-encoded character, too.

    The prefix stands first, and what has to be before it is looked up behind it: so a search goes from one prefix to
    the next, and does not stop at each character.
    """
    before = (f"(?<![{letters}]", r"(?<=\\[nrtbf]", r"(?<=[0-9]m", r"(?<=%[0-9A-Fa-f]{2}")
    return f"{prefix}(?:{'|'.join(f'{place}{prefix})' for place in before)})"


_NAME_OF_A_RECORD = re.compile(r"(?<![0-9])[0-9]{14}-[0-9a-z]{8}(?![0-9a-z])")
"""How the names of lazytrack's own records end, whatever word of a user they begin with."""


def _is_random(token: str) -> bool:
    """Tell a token from words that happen to begin as one does."""
    body = token[3:]
    drawn = _has_digit(body) or not (body.islower() or body.isupper())
    return drawn and not _NAME_OF_A_RECORD.search(token)


def _is_long_and_random(token: str) -> bool:
    return (
        _has_digit(token)
        and (not token.islower() or re.search("[a-z0-9]{20}", token) is not None)
        and not _NAME_OF_A_RECORD.search(token)
    )


_SURE = (
    "github_pat_ glpat- gldt- glrt- glptt- glcbt- glsoat- glagent- pypi-Ag xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-"
    " xapp- nvapi- dop_v1_ doo_v1_ dor_v1_ shpat_ shpss_ shpca_ shppa_ glsa_ dckr_pat_ dckr_oat_ lsv2_ sq0atp- sq0csp-"
    " GOCSPX- ya29. AGE-SECRET-KEY- figd_"
)
"""Prefixes that nothing else has."""
_SHORT = "xai- pplx- tvly- PMAK- NRAK- hvs. hvb. pul- tskey-"
"""Prefixes that other words could have, or end with."""
_PLAIN_AFTER = "hf_ api_org_ npm_ r8_ gsk_ ntn_ sbp_ sk_live_ sk_test_ rk_live_ rk_test_ pk_live_ lin_api_ rubygems_"
"""Prefixes that names of things could have, too, but letters and digits alone follow them in tokens."""


def _shapes(prefixes: str, body: str, is_secret: Callable[[str], bool], *, anywhere: bool = False) -> list[_Shape]:
    return [
        _shape(prefix, (re.escape(prefix) if anywhere else _word(re.escape(prefix))) + body, is_secret)
        for prefix in prefixes.split()
    ]


_TOKENS = [
    *_shapes(_SURE, r"[\w-]{12,}+", _is_random, anywhere=True),
    *_shapes(_SHORT, r"[\w-]{20,}+", _is_long_and_random),
    *_shapes(_PLAIN_AFTER, r"[A-Za-z0-9]{16,}+(?!_)", _is_random),
    *_shapes("ghp_ gho_ ghu_ ghs_ ghr_", r"(?:[0-9]{1,12}_)?[A-Za-z0-9]{16,}+[\w.-]*+", _is_random, anywhere=True),
    *_shapes("sk-", r"[\w-]{16,}+", _is_long_and_random),
    *_shapes("whsec_", r"[A-Za-z0-9+/=]{16,}+", _is_random),
    *_shapes("ATATT3 ATCTT3", r"[\w=-]{16,}+", _is_random),
    *_shapes("AKIA ASIA ABIA ACCA", "[A-Z0-9]{16}(?![A-Za-z0-9])", _is_any),
    *_shapes("AIza", r"[\w-]{35}(?![\w-])", _is_any),
    *_shapes("1//0", r"[\w-]{30,}+", _is_random),
    *_shapes("SG.", r"[\w-]{16,}+\.[\w-]{16,}+", _is_any),
    *_shapes("SK", "[0-9a-f]{32}(?![A-Za-z0-9])", _is_any),
    *_shapes("dapi", "[0-9a-f]{32}(?:-[0-9]+)?(?![A-Za-z0-9])", _is_any),
    _shape("7Q~ 8Q~", r"[\w~.-]{3}[78]Q~[\w~.-]{30,40}(?![\w~.-])"),
    _shape(":AA", r":AA(?<=[0-9]{8}:AA)[\w-]{30,36}(?![\w-])"),
    # A run of letters is begun at its start alone: what stands before may not be a part of it.
    _shape(
        "eyJ", r"eyJ(?:(?<![\w-]eyJ)|(?<=\\[nrtbf]eyJ)|(?<=[0-9]meyJ)|(?<=%[0-9A-F]{2}eyJ))[\w-]{8,}+(?:\.[\w-]*+){1,4}"
    ),
    _shape("hooks.slack.com/", r"hooks\.slack\.com/((?:services|workflows|triggers)/[\w/-]{8,}+)"),
    _shape("/api/webhooks/", r"/api/webhooks/([0-9]+/[\w-]{8,}+)"),
    _shape("webhook.office.com/", r"webhook\.office\.com/([\w@/-]{8,}+)"),
]

_LOWER = [
    # These are looked for in the text in lower case; the place is what counts.
    _shape("bearer", r"bearer(?<![a-z0-9]bearer)(?:[ \t]{1,8}|%20|\+)([\w.~+/=-]{12,}+)", _has_digit),
    _shape("machine", r"login(?<!\Slogin)\s{1,80}\S{1,200}\s{1,80}password\s{1,80}(\S++)"),
    _shape("login", r"login(?<!\wlogin)[ \t]{1,8}(?:--?[\w-]+[ \t=]{1,8}){0,5}([0-9a-f]{40})\b"),
    _shape(
        "curl",
        r"-(?<![\w-]-)(?:u|-user|-proxy-user)[ =,\"']{0,4}[^\s\"':,/=]{1,80}:([^\s\"']++)",
        lambda password: not password.isdigit(),
    ),
]


def token_spans(text: str, lowered: str) -> Iterator[Span]:
    """Find the secrets that are recognised by their own look, and those of added patterns.

    Parameters
    ----------
    lowered
        The text in lower case, each character at its place.
    """
    for shapes, searched in ((_TOKENS, text), (_LOWER, lowered)):
        for shape in shapes:
            if any(needle in searched for needle in shape.needles):
                for match in shape.pattern.finditer(searched):
                    start, end = match.span(match.re.groups)
                    if shape.is_secret(text[start:end]):
                        yield start, end
    for added in _added:
        for match in added.pattern.finditer(text):
            yield match.span(added.group)


@attrs.frozen(eq=False)
class _Added:
    """A pattern that a user added: one of two equal ones can be taken away."""

    pattern: re.Pattern[str]
    group: int | str


_added: tuple[_Added, ...] = ()
_lock = threading.Lock()


def add_pattern(pattern: str | re.Pattern[str], *, group: int | str = 0) -> Callable[[], None]:
    """Take whatever `pattern` matches for a secret; return what undoes it.

    Parameters
    ----------
    pattern
        A regular expression. How long it takes on what text is the caller's affair.
    group
        Which group of it is the secret; 0 is all of it.

    Raises
    ------
    re.error
        When `pattern` is no regular expression.
    IndexError
        When it has no such group.
    """
    global _added  # noqa: PLW0603  (replaced as a whole, so a reader needs no lock)
    compiled = re.compile(pattern)
    known = group in compiled.groupindex if isinstance(group, str) else 0 <= group <= compiled.groups
    if not known:
        raise IndexError(f"pattern {compiled.pattern!r} has no group {group!r}")
    entry = _Added(compiled, group)
    with _lock:
        _added = (*_added, entry)

    def forget() -> None:
        global _added  # noqa: PLW0603
        with _lock:
            _added = tuple(other for other in _added if other is not entry)

    return forget
