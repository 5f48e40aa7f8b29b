"""What differs between where two results come from: packages, interpreter, machine, checkout, lock files."""

import difflib
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from lazytrack.provenance.metadata import EnvironmentMetadata, LockFile, PlatformMetadata

_NOT_COMPARED = {"packages", "sources", "conda", "conda_urls", "lock_files", "git", "lazytrack"}
"""Fields of an environment that are compared in a way of their own."""
_SHOWN = 12
"""Digits of a commit or a digest that people look at."""


class HasOrigin(Protocol):
    """A result that says where it comes from: an experiment, or a step."""

    @property
    def platform(self) -> PlatformMetadata | None:
        """The machine."""

    @property
    def environment(self) -> EnvironmentMetadata | None:
        """What it ran with."""


@attrs.frozen(kw_only=True)
class EnvDiff:
    """What differs between two results. Each value is a pair, of the first and of the second; None is not there.

    Parameters
    ----------
    packages
        Versions by name, those of conda as ``conda:<name>``.
    python, platform, git
        Fields by name.
    lock_files
        Digests by name.
    texts
        Of lock files whose text is known, what changed, as a unified diff.
    """

    packages: Mapping[str, tuple[str | None, str | None]]
    python: Mapping[str, tuple[Any, Any]]
    platform: Mapping[str, tuple[Any, Any]]
    git: Mapping[str, tuple[Any, Any]]
    lock_files: Mapping[str, tuple[str | None, str | None]]
    texts: Mapping[str, str]

    def __bool__(self) -> bool:
        """Tell whether anything differs."""
        return any([self.packages, self.python, self.platform, self.git, self.lock_files])

    def __str__(self) -> str:
        """Return a line for each difference, under a heading for each kind."""
        if not self:
            return "no difference"
        lines = []
        for heading in ("packages", "python", "platform", "git", "lock_files"):
            pairs = getattr(self, heading)
            if pairs:
                lines.append(heading.replace("_", " "))
                lines += [f"  {name}: {_shown(before)} → {_shown(after)}" for name, (before, after) in pairs.items()]
        return "\n".join(lines)


def env_diff(first: HasOrigin, second: HasOrigin) -> EnvDiff:
    """Return what differs between where two results come from.

    Parameters
    ----------
    first, second
        Experiments, or steps.

    Raises
    ------
    ValueError
        When one of them does not say.
    """
    pairs = [(each.platform, each.environment) for each in (first, second)]
    for each, (platform, environment) in zip((first, second), pairs, strict=True):
        if platform is None or environment is None:
            raise ValueError(f"{each!r} does not say where it comes from: nothing was recorded")
    (old_platform, old), (new_platform, new) = pairs
    git = _fields(old and old.git, new and new.git)
    old_locks, new_locks = _locks(old), _locks(new)
    digests = _pairs({n: f.sha256 for n, f in old_locks.items()}, {n: f.sha256 for n, f in new_locks.items()})
    return EnvDiff(
        packages=_pairs(_packages(old), _packages(new)),
        python={**_fields(old, new), **_fields(old and old.lazytrack, new and new.lazytrack, "lazytrack.")},
        platform=_fields(old_platform, new_platform),
        git=git,
        lock_files=digests,
        texts={
            name: _text_diff(name, old_locks[name], new_locks[name])
            for name in digests
            if name in old_locks and name in new_locks and old_locks[name].text and new_locks[name].text
        },
    )


def _fields(old: Any, new: Any, prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the fields of two records that differ; of one that is not there, all that the other one has."""
    kind = type(old if old is not None else new)
    if not attrs.has(kind):
        return {}
    names = [field.name for field in attrs.fields(kind) if field.name not in _NOT_COMPARED and field.name[0] != "_"]
    values = [{name: getattr(record, name, None) for name in names} for record in (old, new)]
    return {f"{prefix}{name}": pair for name, pair in _pairs(*values).items()}


def _packages(environment: EnvironmentMetadata | None) -> dict[str, str]:
    if environment is None:
        return {}
    found = dict(environment.packages or [])
    for name, source in (environment.sources or {}).items():
        found[name] = f"{found.get(name, '')} from {source}".strip()
    return found | {f"conda:{name}": f"{version} {build}" for name, version, build in environment.conda or []}


def _locks(environment: EnvironmentMetadata | None) -> dict[str, LockFile]:
    return {file.name: file for file in (environment.lock_files if environment else None) or []}


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted({*old, *new})
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def _text_diff(name: str, old: LockFile, new: LockFile) -> str:
    before, after = ((file.text or "").splitlines(keepends=True) for file in (old, new))
    return "".join(difflib.unified_diff(before, after, f"{name} before", f"{name} after"))


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    text = str(value)
    is_digest = len(text) >= 40 and all(letter in "0123456789abcdef" for letter in text)  # noqa: PLR2004
    return text[:_SHOWN] if is_digest else text
