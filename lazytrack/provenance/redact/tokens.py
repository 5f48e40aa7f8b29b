"""What tokens look like wherever they stand: those with the prefixes of their makers, and those of added patterns.

Each search begins with a plain test for a few characters without which there is nothing to find, so that text without
secrets costs little. No search goes over the same text again and again: what it has read, it has passed.
"""

import re
from collections.abc import Callable, Iterator

import attrs

from lazytrack.provenance.redact.added import Added

Span = tuple[int, int]
"""Where a secret begins and ends."""


@attrs.frozen
class _Shape:
    """One kind of secret."""

    needle: str
    """Characters without which there is none; where the search begins, if they are the first ones."""
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]


def _is_any(_: str) -> bool:
    return True


def _has_digit(token: str) -> bool:
    return any(map(str.isdigit, token))


def _shape(needle: str, pattern: str, is_secret: Callable[[str], bool] = _is_any) -> _Shape:
    return _Shape(needle, re.compile(pattern, re.ASCII), is_secret)


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
    """Tell a token from words and names of records, whose longest run of letters and digits has fourteen of them."""
    return _has_digit(token) and (not token.islower() or re.search("[a-z0-9]{20}", token) is not None)


_NAMES_HAVE_IT = r"[A-Za-z0-9]{16,}+(?!_)"
"""After a prefix that names of things could have, too: letters and digits alone, which names in snake case are not."""

_TOKENS = [
    # Prefixes that nothing else has, wherever they stand.
    _shape("github_pat_", r"github_pat_\w{16,}+", _is_random),
    _shape("gh", r"gh[pousr]_(?:[0-9]{1,12}_)?[A-Za-z0-9]{16,}+[\w-]*+(?:\.[\w-]++)*+", _is_random),
    _shape("gl", r"gl(?:pat|dt|rt|ptt|cbt|soat|agent|oas|ft|imt|ffct)-[\w-]{12,}+(?:\.[\w-]++)*+", _is_random),
    _shape("glsa_", r"glsa_\w{16,}+", _is_random),
    _shape("pypi-Ag", r"pypi-Ag[\w-]{16,}+", _is_random),
    _shape("xox", r"xox[abeoprs]-[\w-]{10,}+", _is_random),
    _shape("xapp-", r"xapp-[\w-]{12,}+", _is_random),
    _shape("nvapi-", r"nvapi-[\w-]{16,}+", _is_random),
    _shape("_v1_", r"do[opr]_v1_[0-9a-f]{16,}+"),
    _shape("shp", r"shp(?:at|ss|ca|pa)_[A-Za-z0-9]{16,}+", _is_random),
    _shape("dckr_", r"dckr_[po]at_[\w-]{16,}+", _is_random),
    _shape("lsv2_", r"lsv2_\w{16,}+", _is_random),
    _shape("sq0", r"sq0(?:atp|csp)-[\w-]{16,}+", _is_random),
    _shape("GOCSPX-", r"GOCSPX-[\w-]{12,}+", _is_random),
    _shape("ya29.", r"ya29\.[\w-]{16,}+", _is_random),
    _shape("AGE-SECRET-KEY-", r"AGE-SECRET-KEY-[A-Z0-9]{16,}+"),
    _shape("figd_", r"figd_[\w-]{16,}+", _is_random),
    _shape("whsec_", r"whsec_[A-Za-z0-9+/=]{16,}+", _is_random),
    _shape("wandb_v1_", r"wandb_v1_\w{16,}+"),
    _shape("sntry", r"sntry(?:s_eyJ[A-Za-z0-9+/]{16,}+={0,2}_[A-Za-z0-9+/]{43}|u_[0-9a-f]{64})"),
    _shape("dp.", r"dp\.(?:pt|ct|st|sa|scim|audit|said)\.(?:[\w-]{1,60}\.)?[A-Za-z0-9]{40,}+"),
    _shape(".atlasv1.", r"(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}+"),
    _shape("glc_", r"glc_[A-Za-z0-9+/]{32,}+={0,3}"),
    _shape("pscale_", r"pscale_(?:tkn|pw|oauth)_(?:[\w=-]|\.(?=[\w=-])){32,}+"),
    _shape("HRKU-AA", r"HRKU-AA[\w-]{32,}+"),
    _shape("ops_eyJ", r"ops_eyJ[A-Za-z0-9+/]{100,}+={0,3}"),
    _shape("dt0c01.", r"dt0c01\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{64}"),
    _shape("ABSK", r"ABSK[A-Za-z0-9+/]{100,}+={0,2}", _is_random),
    _shape("TT3", r"AT[AC]TT3[\w=-]{16,}+", _is_random),
    # Prefixes that other words could have, or end with.
    *(
        _shape(prefix, _word(prefix) + r"[\w-]{16,}+", _is_long_and_random)
        for prefix in ("sk-", "xai-", "pplx-", "tvly-", "PMAK-", "NRAK-", "pul-", "tskey-")
    ),
    *(
        _shape(prefix, _word(prefix) + _NAMES_HAVE_IT, _is_random)
        for prefix in ("hf_", "api_org_", "npm_", "r8_", "gsk_", "ntn_", "sbp_", "lin_api_", "rubygems_", "pnu_")
    ),
    *(_shape(f"k_{kind}_", _word(f"[srp]k_{kind}_") + _NAMES_HAVE_IT, _is_random) for kind in ("live", "test")),
    _shape("hv", _word("hv[sb]") + r"\.[\w-]{20,}+", _is_long_and_random),
    *(_shape(p, _word(p) + "[A-Z0-9]{16}(?![A-Za-z0-9])") for p in ("AKIA", "ASIA", "ABIA", "ACCA")),
    _shape("AIza", _word("AIza") + r"[\w-]{35}(?![\w-])"),
    _shape("1//0", _word("1//0") + r"[\w-]{30,}+", _is_random),
    _shape("SG.", _word("SG") + r"\.[\w-]{16,}+\.[\w-]{16,}+"),
    _shape("SK", _word("SK") + "[0-9a-f]{32}(?![A-Za-z0-9])"),
    _shape("dapi", _word("dapi") + "[0-9a-f]{32}(?:-[0-9]+)?(?![A-Za-z0-9])"),
    # What has no prefix.
    _shape("Q~", r"[\w~.-]{3}[78]Q~[\w~.-]{29,}[\w~-]"),
    _shape(":AA", r":(AA(?<=[0-9]{8}:AA)[\w-]{30,36})(?![\w-])"),
    # Such a run of letters is begun at its start alone, or after a removed line's minus, so that none is read twice.
    *(
        _shape("eyJ", start + r"[\w-]{8,}+(?:\.[\w-]++){1,4}")
        for start in (_word("eyJ", r"\w-"), r"eyJ(?:(?<=[^\w-]-eyJ)|(?<=\A-eyJ))")
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


@attrs.frozen
class _Pattern:
    """A pattern that a user added."""

    pattern: re.Pattern[str]
    group: int | str


_added: Added[_Pattern] = Added()


def token_spans(text: str, lowered: str) -> Iterator[Span]:
    """Find the secrets that are recognised by their own look, and those of added patterns.

    Parameters
    ----------
    lowered
        The text in lower case, each character at its place.
    """
    for shapes, searched in ((_TOKENS, text), (_LOWER, lowered)):
        for shape in shapes:
            if shape.needle in searched:
                for match in shape.pattern.finditer(searched):
                    start, end = match.span(match.re.groups)
                    if shape.is_secret(text[start:end]):
                        yield start, end
    for added in _added:
        for match in added.pattern.finditer(text):
            yield match.span(added.group)


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
    compiled = re.compile(pattern)
    known = group in compiled.groupindex if isinstance(group, str) else 0 <= group <= compiled.groups
    if not known:
        raise IndexError(f"pattern {compiled.pattern!r} has no group {group!r}")
    return _added.add(_Pattern(compiled, group))
