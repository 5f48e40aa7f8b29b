"""Releases of a repository: under a tag, which version of each artifact belongs together."""

import contextlib
import json
import os
import time
import tomllib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import IO, Any, Self

import attrs

from lazytrack import codec, naming
from lazytrack.errors import FormatError, InvalidVersionError, SaveError, VersionNotFoundError
from lazytrack.files import Files, open_files
from lazytrack.repository import Repository
from lazytrack.repository.upkeep import RELEASES


def _pairs(pairs: Iterable[Sequence[Any]]) -> list[tuple[str, int]]:
    return [(str(name), int(number)) for name, number in pairs]


_PATIENCE_SECONDS, _PAUSE_SECONDS = 10.0, 0.05


@attrs.frozen
class Release:
    """Versions of artifacts that belong together.

    Parameters
    ----------
    tag
        What the release is called.
    artifacts
        Pairs of an artifact's name and the number of its version.
    created_at
        Aware, in UTC; by default now.
    """

    tag: str
    artifacts: list[tuple[str, int]] = attrs.field(converter=_pairs)
    created_at: datetime = attrs.field(factory=naming.now, converter=naming.aware)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        pairs = [list(pair) for pair in self.artifacts]
        return {"tag": self.tag, "artifacts": pairs, "created_at": naming.iso(self.created_at)}

    @classmethod
    def from_dict(cls, info: dict[str, Any]) -> Self:
        """Return the release that `to_dict` described.

        Raises
        ------
        ValueError
            When it is none.
        """
        try:
            return cls(info["tag"], info["artifacts"], codec.parse_time(info["created_at"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{info!r:.200} is no release: {type(error).__name__}: {error}") from error


def create_release(repository: Repository, tag: str) -> Release:
    """Return a release of the newest version of each artifact that has not expired, by name.

    Raises
    ------
    RuntimeError
        When the repository is not open for reading only.
    """
    repository.check_settled("be released")
    found = {}
    for name in sorted({artifact.name for artifact in repository.artifacts}):
        try:
            found[name] = repository.get_artifact_metadata(name)["version"]
        except VersionNotFoundError as error:
            warnings.warn(f"{error}: it is left out of release {tag!r}", UserWarning, stacklevel=2)
    return Release(tag, list(found.items()))


def find_release(releases: Iterable[Release], version: str | datetime | None = None, match: str = "exact") -> Release:
    """Return the release that is meant.

    Parameters
    ----------
    version
        A tag; a time; None for the newest.
    match
        ``exact``: the release of that tag or time. ``asof``: the newest that was there at that time.

    Raises
    ------
    VersionNotFoundError
        When there is none.
    ValueError
        When `match` is unknown, or is ``asof`` with a tag.
    """
    known = sorted(releases, key=lambda release: release.created_at)
    if match not in {"exact", "asof"}:
        raise ValueError(f"no match {match!r}; known: 'exact' and 'asof'")
    if match == "asof" and isinstance(version, str):
        raise ValueError(f"match='asof' needs a time, not tag {version!r}")
    if version is None:
        found = known
    elif isinstance(version, str):
        found = [release for release in known if release.tag == version]
    elif isinstance(version, datetime):
        time = codec.moment(version, "version")
        found = [
            release
            for release in known
            if release.created_at == time or (match == "asof" and release.created_at < time)
        ]
    else:
        raise InvalidVersionError(f"version {version!r} is no tag and no time")
    if not found:
        tags = ", ".join(repr(release.tag) for release in known) or "none"
        raise VersionNotFoundError(f"no release {version!r}; known: {tags}")
    return found[-1]


# --- in files ---


def dumps(releases: Iterable[Release], **kwargs: Any) -> str:
    """Return releases as JSON; `kwargs` go to `json.dumps`."""
    return json.dumps([release.to_dict() for release in releases], **kwargs)


def dump(releases: Iterable[Release], fp: IO[str], **kwargs: Any) -> None:
    """Write releases to an open file as JSON; `kwargs` go to `json.dumps`."""
    fp.write(dumps(releases, **kwargs))


def loads(text: str, **kwargs: Any) -> list[Release]:
    """Return the releases in JSON; `kwargs` go to `json.loads`.

    Raises
    ------
    ValueError
        When these are none.
    """
    content = json.loads(text, **kwargs)
    if not isinstance(content, list):
        raise ValueError(f"releases are a JSON list, not {type(content).__name__}")  # noqa: TRY004  (of what was read)
    return [Release.from_dict(info) for info in content]


def load(fp: IO[str], **kwargs: Any) -> list[Release]:
    """Return the releases in an open file; `kwargs` go to `json.loads`."""
    return loads(fp.read(), **kwargs)


def release_from_toml(text: str) -> list[Release]:
    """Release each repository that a ``pyproject.toml`` names, and return the new releases.

    The table ``[tool.lazytrack]`` has ``repositories``, a list of paths or URLs, and perhaps ``version``, which is the
    tag; without it that of ``[project]`` is. Each release is added to the file ``releases.json`` beside its repository;
    one whose tag is there already is left out, with a warning.

    Raises
    ------
    ValueError
        When the text is no TOML, or does not say what is needed.
    """
    table = tomllib.loads(text)
    ours = table.get("tool", {}).get("lazytrack", {})
    repositories = ours.get("repositories")
    if not isinstance(repositories, list) or not repositories:
        raise ValueError("[tool.lazytrack] has no list `repositories`")
    version = ours.get("version", table.get("project", {}).get("version"))
    if not isinstance(version, str):
        raise ValueError("neither [tool.lazytrack] nor [project] has a `version`")  # noqa: TRY004
    tag = _formatted(version, ours["format"]) if "format" in ours else version
    made = []
    for path in repositories:
        repository = Repository(path, mode="r")
        if any(release.tag == tag for release in releases_of(repository)):
            warnings.warn(
                f"{_path(repository)} has release {tag!r} already: it stays as it is", UserWarning, stacklevel=2
            )
            continue
        made.append(create_release(repository, tag))
        add_release(repository, made[-1])
    return made


def releases_of(repository: Repository) -> list[Release]:
    """Return the releases in the file ``releases.json`` beside a repository, as they were added; none without one.

    Raises
    ------
    FormatError
        When the file holds none.
    """
    files = _beside(repository)
    if RELEASES not in files.names(""):
        return []
    try:
        return loads(files.read(RELEASES).decode())
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{_path(repository)} holds no releases: {error}") from error


def add_release(repository: Repository, release: Release) -> str:
    """Add a release to the file ``releases.json`` beside a repository, and return its path or URL.

    Raises
    ------
    ValueError
        When there is one of its tag.
    SaveError
        When somebody else keeps the file for longer than ten seconds.
    """
    with _alone(repository):
        known = releases_of(repository)
        if any(each.tag == release.tag for each in known):
            raise ValueError(f"{_path(repository)} has release {release.tag!r} already: a release is not changed")
        _beside(repository).create(RELEASES, dumps([*known, release], indent=2).encode())
    return _path(repository)


@contextlib.contextmanager
def _alone(repository: Repository) -> Iterator[None]:
    """Have nobody else change the releases within the block: unlike all else here, they are one file for all."""
    files, lock = _beside(repository), f"{RELEASES}.lock"
    if not files.can_claim:
        yield
        return
    until = time.monotonic() + _PATIENCE_SECONDS
    while not files.claim(lock, naming.unique().encode()):
        if time.monotonic() > until:
            raise SaveError(
                f"{files.url}/{lock} is there: somebody is adding a release, or has died while doing so; then delete it"
            )
        time.sleep(_PAUSE_SECONDS)
    try:
        yield
    finally:
        files.remove([lock])


def _beside(repository: Repository) -> Files:
    return open_files(repository.dir, **repository.storage_options)


def _path(repository: Repository) -> str:
    return f"{_beside(repository).url}/{RELEASES}"


def _formatted(version: str, pattern: str) -> str:
    warnings.warn("`format` of [tool.lazytrack] is deprecated: write the `version`", DeprecationWarning, stacklevel=3)
    now = naming.now()
    return pattern.format(version=version, year=now.year, month=now.month, day=now.day)


def minimal_repository_from_release(
    location: str | os.PathLike[str], repository: Repository, release: Release, **storage_options: Any
) -> Repository:
    """Copy the versions of a release, and nothing else, to a repository of their own, and return it for reading.

    Parameters
    ----------
    location
        The path or URL of the new repository.
    storage_options
        What the filesystem at `location` takes.

    Raises
    ------
    RuntimeError
        When `repository` is not open for reading only.
    VersionNotFoundError
        When it does not have one of the versions.
    FileExistsError
        When there is a repository at `location`.
    """
    repository.check_settled("be copied")
    return repository.copy(location, release.artifacts, **storage_options)
