"""Which parts of URLs are secret: passwords, tokens in the place of a user, signatures and tokens of a query."""

import re
from collections.abc import Iterator

from lazytrack.provenance.redact.names import Secrecy, looks_secret
from lazytrack.provenance.redact.tokens import Span
from lazytrack.provenance.redact.values import is_reference, says_nothing

_AUTHORITY = re.compile(r":\\?/\\?/([^\s/?#\"'<>`\\]++)")
_WHOLE = re.compile(r":\\?/\\?/([^/?#]++)")
_WITHOUT_SCHEME = re.compile(r"[^\s/:@\\]+:(?P<password>[^\s/@\\]+)@")
_STRAY = re.compile(r"[^\s\"'<>`@]{0,200}@")
_PARAMETER = re.compile(r"(?:[?&](?:amp;)?|\\u0026)([\w.~%-]{1,80}+)=([^&\s\"'<>#`\\]*[^&\s\"'<>#`\\.,;:)\]}])")
_CHANNEL = re.compile(r"(?<=/)t\\?/(?P<token>[\w-]++)(?P<topic>(?:/[0-9]++)?+(?![\w-]))", re.ASCII)
"""What may be the token of a channel of conda, and the topic of a forum, whose number follows its title."""
_CONDA = re.compile(r"conda[\w.-]{0,80}(?::[0-9]{1,5})?(?:\\?/[\w.~%-]{1,80}){0,4}\\?/\Z", re.IGNORECASE | re.ASCII)
_LONGEST_HOST = 200
_MADE = re.compile(r"(?:[a-z0-9]{1,20}-)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=\w*[0-9])[A-Za-z0-9]{32,}")
"""What a token of a channel looks like where the host does not tell."""
_SIGNED = frozenset({"key", "sig", "signature", "awsaccesskeyid", "x-amz-signature", "x-amz-credential"})
_SIGNED |= frozenset({"x-amz-security-token", "x-goog-signature", "x-goog-credential", "x-oss-signature"})
"""Parameters of a URL that are secret there, and need not be elsewhere."""


def url_spans(text: str) -> Iterator[Span]:
    """Find the secret parts of URLs: passwords, tokens in the place of a user, signatures and tokens of a query."""
    if "//" in text or "\\/\\/" in text:
        for match in _AUTHORITY.finditer(text):
            yield from _userinfo(text, match)
    if "/t/" in text or "/t\\/" in text:
        yield from _channels(text)
    if "=" in text and ("?" in text or "&" in text or "\\u0026" in text):
        for match in _PARAMETER.finditer(text):
            name, value = match.groups()
            if (name.lower() in _SIGNED or looks_secret(name)) and not says_nothing(value, Secrecy.SECRET):
                yield match.span(2)


def whole_url_spans(url: str) -> Iterator[Span]:
    """Find the password of a text that is one URL: whatever signs are in it, and where there is no scheme."""
    if match := _WHOLE.search(url):
        yield from _userinfo(url, match)
    elif match := _WITHOUT_SCHEME.match(url):
        yield match.span("password")


def _channels(text: str) -> Iterator[Span]:
    """Find the tokens of conda's channels, as in ``https://conda.anaconda.org/t/<TOKEN>/channel``."""
    for match in _CHANNEL.finditer(text):
        token, start = match["token"], match.start()
        if match["topic"] or token.isdigit():
            continue
        if _MADE.fullmatch(token) or _CONDA.search(text[max(0, start - _LONGEST_HOST) : start]):
            yield match.span("token")


def _userinfo(text: str, match: re.Match[str]) -> Iterator[Span]:
    start, end = match.span(1)
    userinfo, at, _ = match[1].rpartition("@")
    if not at:
        # A password with an unescaped '/', '?' or '#' in it: what follows the colon is no port.
        user, colon, port = match[1].partition(":")
        no_port = colon and user and user[0] != "[" and port and not port.isdigit() and not is_reference(port)
        stray = _STRAY.match(text, end) if no_port else None
        if not stray:
            return
        userinfo = text[start : stray.end() - 1]
    stop = start + len(userinfo)
    user, colon, password = userinfo.partition(":")
    if text[max(0, match.start() - 5) : match.start()].lower().endswith(("http", "https", "ws", "wss")):
        if not (is_reference(user) and (not colon or is_reference(password))):
            yield start, stop
    elif password and not is_reference(password):
        yield start + len(user) + 1, stop
