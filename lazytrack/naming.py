"""The clock, randomness and the names made from them: logical times, unique ids, slugs, safe paths.

No other module reads a clock or draws a random number, so a test that replaces them replaces them everywhere.
"""

import getpass
import hashlib
import os
import re
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lazytrack.errors import UnsafePathError

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's 32 digits in ASCII order, so names sort as the numbers they spell."""

_SHAPE = b"00000000T000000.000000Z-00000000"
_TO_SHAPE = bytes.maketrans(b"123456789abcdefghijklmnopqrstuvwxyz", b"0" * 35)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = int((datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) * 1_000_000
_MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """Return the present time, aware, in UTC, to the microsecond."""
    return datetime.now(UTC)


def micros() -> int:
    """Return the present time in microseconds since 1970."""
    return time.time_ns() // 1000


def from_micros(micros: int) -> datetime:
    """Return the time that is so many microseconds after 1970, aware, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def to_micros(time: datetime) -> int:
    """Return a time in microseconds since 1970; one without a zone is taken as UTC."""
    return (aware(time) - _EPOCH) // _MICROSECOND


def aware(time: datetime) -> datetime:
    """Return `time` in UTC; one without a zone is taken as UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def iso(time: datetime) -> str:
    """Spell `time` as every file does: ISO 8601, UTC, six decimals, ``Z``."""
    return f"{time.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"


def unique(length: int = 8) -> str:
    """Draw `length` random characters, five bits each, from the operating system.

    A forked child must not repeat its parent's names, so no generator with a state of its own will do.
    """
    bits = int.from_bytes(os.urandom((length * 5 + 7) // 8))
    return "".join(ALPHABET[bits >> 5 * place & 31] for place in range(length))


def one_in(odds: int) -> bool:
    """Draw lots: True one time in `odds`, which is at most 256."""
    return os.urandom(1)[0] * odds < 256  # noqa: PLR2004


# --- logical time ---


class LogicalClock:
    """Hands out logical times: UTC microseconds that never go back, plus 40 random bits.

    Each is above the last one handed out and above every one observed. So whoever has read a value and
    overwrites it is later than its author, whatever the two machines' clocks say.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def tick(self) -> str:
        """Return a new logical time such as ``20261120T082233.123456Z-k3f9x2ab``.

        Raises
        ------
        OverflowError
            When the year 9999 was observed; only a forged file can bring that about.
        """
        with self._lock:
            last = max(to_micros(now()), self._last + 1)
            if last >= _LAST:
                raise OverflowError("the logical clock has run out: some file in the store is from the year 9998")
            self._last = last
        time = from_micros(last)
        return f"{time:%Y%m%dT%H%M%S}.{time.microsecond:06d}Z-{unique(8)}"

    def observe(self, at: str) -> None:
        """Take note of a logical time that was read: the next one handed out is above it."""
        micros = to_micros(logical_to_time(at))
        with self._lock:
            self._last = max(self._last, micros)

    def reset_lock(self) -> None:
        """Make the lock anew in a forked child, where the thread that held it does not exist."""
        self._lock = threading.Lock()


def logical(time: datetime, tail: str) -> str:
    """Return the logical time of something that happened elsewhere, whose eight last characters are `tail`.

    It is never later than now: whoever changes here what came from there is later.
    """
    there = min(max(time, _EPOCH), now())
    return f"{there:%Y%m%dT%H%M%S}.{there.microsecond:06d}Z-{tail}"


def tail_of(*said: str) -> str:
    """Return eight characters for a name that is always the same for the same."""
    bits = int.from_bytes(hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).digest())
    return "".join(ALPHABET[bits >> 5 * place & 31] for place in range(8))


_clocks: dict[str, LogicalClock] = {}


def clock_at(place: str) -> LogicalClock:
    """Return this process's clock for the store at `place`: what it reads in one store says nothing of another."""
    return _clocks.setdefault(place, LogicalClock())


def _reset_locks() -> None:
    for clock in _clocks.values():
        clock.reset_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_locks)


def logical_to_time(at: str) -> datetime:
    """Return the UTC time a logical time spells (which no decision is based on; people see it)."""
    return datetime.fromisoformat(at[:23])


def are_logical(times: Sequence[str]) -> bool:
    """Tell whether all of `times` are logical times that spell real dates and can be raised.

    The year 9999 is refused: a time that cannot be raised any more would stop every writer that reads it.
    Checking many together is what makes opening a large store quick.
    """
    if not {len(at) for at in times} <= {len(_SHAPE)}:
        return False
    try:
        # The shape takes letters for digits, which no date does; a date may have other shapes, which the first does
        # not: what passes both is right.
        joined = "".join(times)
        if joined.encode("ascii").translate(_TO_SHAPE) != _SHAPE * len(times) or "T24" in joined:
            return False
        list(map(datetime.fromisoformat, [at[:23] for at in times]))
    except ValueError:
        return False
    return max(times, default="") < "9999"


# --- slugs and safe names ---

SLUG_LENGTH = 80
_PART_LENGTH = 60
_STEP_HASH_LENGTH = 32
_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    "conin$",
    "conout$",
    *(f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"),
}
_SAFE_PART = re.compile(r"[a-z0-9_-](?:[a-z0-9._-]*[a-z0-9_-])?", re.ASCII)
_PORTABLE_PART = re.compile(r"[^<>:\"/\\|?*\x00-\x1f\x7f\ud800-\udfff]{1,200}")
_DIGESTED = re.compile(r"(?:.*-)?[0-9a-f]{12}(?:\.[a-z0-9]{1,12})?", re.ASCII)
"""What the safe part of another name looks like; a name that is spelled so gets a digest of its own."""
_SUFFIX = re.compile(r"\.[a-z0-9]{1,12}", re.ASCII)


def login() -> str:
    """Return the name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"


def slug(name: str, fallback: str) -> str:
    """Return `name` as a lower-case ASCII slug without dots; `fallback` where nothing of it is left."""
    from slugify import slugify  # noqa: PLC0415  (loads a table that reading a store never needs)

    return slugify(name, max_length=SLUG_LENGTH, word_boundary=True) or fallback


def record_slug(short_slug: str, created_at: datetime, tail: str | None = None) -> str:
    """Return a record's name: ``<short slug>-<YYYYMMDDHHMMSS>-<8 random characters>``, or others that are given."""
    return f"{short_slug}-{stamp(created_at)}-{tail or unique(8)}"


def step_id(class_name: str, version: str | None, cache_key: str | None) -> str:
    """Return the id of a step, ``<step class>[-<version>]-<hash>``.

    Parameters
    ----------
    cache_key
        What the hash is made of, so that equal steps have one id; None for a step that is not cacheable, whose id
        is drawn at random.
    """
    if cache_key is None:
        tail = unique(_STEP_HASH_LENGTH)
    else:
        tail = hashlib.sha256(cache_key.encode("utf-8", "surrogatepass")).hexdigest()[:_STEP_HASH_LENGTH]
    return "-".join(part for part in (class_name, version, tail) if part is not None)


def short_slug(slug: str) -> str:
    """Return the slug of the name that a record's name begins with."""
    return slug.rsplit("-", 2)[0]


def record_time(slug: str) -> datetime:
    """Return the second that a record's name says it was made in."""
    return datetime.strptime(slug.rsplit("-", 2)[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def stamp(time: datetime) -> str:
    """Return `time` as fourteen digits, UTC: ``YYYYMMDDHHMMSS``."""
    return time.astimezone(UTC).strftime("%Y%m%d%H%M%S").rjust(14, "0")


def safe_part(name: str) -> str:
    """Return `name` as one part of a path that every filesystem keeps apart from all others.

    A name that is already lower-case and safe stays as it is. Any other is spelled safely and gets a digest of
    the original, so ``a b``, ``a-b`` and ``A-b`` are three different parts. A short suffix stays a suffix.
    """
    if len(name) <= _PART_LENGTH and _SAFE_PART.fullmatch(name) and not (_reserved(name) or _DIGESTED.fullmatch(name)):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    stem, suffix = name, ""
    if match := _SUFFIX.fullmatch(name, max(name.rfind("."), 0)):
        stem, suffix = name[: match.start()], match.group()
    stem = re.sub(r"[^a-z0-9_]+", "-", stem.lower(), flags=re.ASCII)[:_PART_LENGTH].strip("-")
    return f"{stem}-{digest}{suffix}" if stem else f"{digest}{suffix}"


def safe_path(path: str) -> str:
    r"""Return `path`, a file name a user asked for, as a relative POSIX path that stays where it is put.

    Sub-folders are kept, and so is each part that every operating system takes; others are spelled safely.

    Raises
    ------
    UnsafePathError
        When the path is empty, absolute, has a drive letter or NUL, or climbs with ``..``.
    """
    parts = path.replace("\\", "/").split("/")
    check_inside(path)
    return "/".join(part if _portable(part) else safe_part(part) for part in parts if part not in {"", "."})


def check_inside(path: str) -> None:
    r"""Refuse a `path` that could lead out of the folder it is joined to, on any operating system.

    Raises
    ------
    UnsafePathError
        When the path is empty, absolute, has a drive letter or NUL, or climbs with ``..``; ``\`` counts as ``/``.
    """
    parts = path.replace("\\", "/").split("/")
    if (
        not parts[0]
        or ".." in parts
        or "\0" in path
        or re.match(r".:", path, re.DOTALL)
        or not any(part not in {"", "."} for part in parts)
    ):
        raise UnsafePathError(
            f"path {path[:200]!r} is not inside the store: give a relative path without '..', such as 'plots/roc.png'"
        )


def _reserved(part: str) -> bool:
    return part.split(".", 1)[0].rstrip(" ").lower() in _RESERVED


def _portable(part: str) -> bool:
    return (
        _PORTABLE_PART.fullmatch(part) is not None
        and not part.endswith((" ", "."))
        and not _reserved(part)
        and len(part.encode("utf-8", "surrogatepass")) <= 200  # noqa: PLR2004  (255 bytes is the usual limit)
    )
