"""The git checkout that a process runs from: which commit, from where, and what is not committed."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from lazytrack.journal.document import FAMILY
from lazytrack.provenance import checkout, patch, probing, redact, script
from lazytrack.provenance.checkout import Checkout
from lazytrack.provenance.metadata import SUBMODULE, GitMetadata, LeftOut
from lazytrack.provenance.patch import Diff, Difference
from lazytrack.provenance.program import Change, Git, Status

Folder = str | os.PathLike[str]

_HEAD_START = f'{{"format":"{FAMILY}'.encode()


def present(names: Iterable[str]) -> dict[str, Any]:
    """Return these fields of `GitMetadata` as they are here and now, all None outside of a checkout."""
    found = capture(Path(), program=script.path())
    return {name: None if found is None else getattr(found, name) for name in names}


def capture(folder: Folder, *, program: Path | None = None) -> GitMetadata | None:
    """Return the state of the checkout that `folder` lies in, or `program`; None outside of any.

    Where there is no git, or it refuses, that is what the checkout's files tell.
    """
    return look(folder, program=program, max_bytes=None)[0]


def uncommitted(folder: Folder, *, max_bytes: int = patch.MAX_BYTES) -> Diff | None:
    """Return what is not committed in the checkout that `folder` lies in, new files included that are not ignored.

    Neither the checkout nor its index is changed, and nothing of it is run. None where nothing differs, outside of a
    checkout, and where git cannot tell.

    Parameters
    ----------
    max_bytes
        How long the patch may be. The shortest parts stay; what is left out is named.
    """
    return look(folder, max_bytes=max_bytes)[1]


def look(
    folder: Folder, *, program: Path | None = None, max_bytes: int | None = patch.MAX_BYTES
) -> tuple[GitMetadata | None, Diff | None]:
    """Return what `capture` and `uncommitted` do, and ask git only once; the latter is None with no `max_bytes`.

    Parameters
    ----------
    program
        The file that is run, where that says which checkout is meant: see `checkout.find_of_code`.
    """
    place = probing.ask("the git checkout", lambda: checkout.find_of_code(folder, program))
    if place is None:
        return None, None
    state = probing.ask("what git tells", lambda: _ask_git(place))
    found = probing.ask("the checkout's state", lambda: _describe(place, state, folder, program))
    if state is None or state.difference is None or max_bytes is None:
        return found, None
    difference, length = state.difference, max_bytes
    return found, probing.ask("the uncommitted changes", lambda: difference.within(length))


@attrs.frozen(kw_only=True)
class _State:
    """What git tells of a checkout.

    Parameters
    ----------
    dirty
        Whether anything differs.
    difference
        What differs; None also where it cannot be compared.
    """

    settings: dict[str, str]
    status: Status
    dirty: bool
    difference: Difference | None


def _ask_git(place: Checkout) -> _State:
    git = Git(place)
    status = git.status()
    changes = _without_stores(git.top, status.changes)
    compared = probing.ask("the difference", lambda: patch.compare(git, status, changes, index=place.git_dir / "index"))
    difference = None if compared is None else _with_submodules(compared)
    return _State(
        settings=git.settings,
        status=status,
        dirty=bool(changes) if difference is None else bool(difference.parts or difference.uncompared),
        difference=difference if difference is not None and (difference.parts or difference.uncompared) else None,
    )


def _with_submodules(difference: Difference) -> Difference:
    """Add the submodules in which something differs, each with the digest of that."""
    changed = []
    for path, place in checkout.submodules(difference.top):
        inner = probing.ask(f"what git tells of {path}", lambda place=place: _ask_git(place))  # type: ignore[misc]
        if inner is not None and inner.dirty:
            digest = None if inner.difference is None else inner.difference.digest()
            name = probing.legible(redact.redact(path))
            changed.append(LeftOut(path=name, size=None, digest=digest, kind=SUBMODULE))
    return attrs.evolve(difference, uncompared=[*difference.uncompared, *changed])


def _without_stores(top: Path, changes: Iterable[Change]) -> list[Change]:
    """Leave out the stores of lazytrack, which grow with every run: they are what comes of the code, and no code."""
    known: dict[str, bool] = {}

    def is_store(stem: str) -> bool:
        if stem not in known:
            known[stem] = _is_head(top / f"{stem}.json")
        return known[stem]

    def belongs_to_store(path: str) -> bool:
        if path.endswith(".json") and is_store(path.removesuffix(".json")):
            return True
        parts = path.split("/")
        return any(is_store("/".join(parts[:length])) for length in range(1, len(parts)))

    return [change for change in changes if not belongs_to_store(os.fsdecode(change.path))]


def _is_head(path: Path) -> bool:
    """Tell whether a file is the head of a store, however its JSON is laid out."""
    if not os.path.isfile(path):  # noqa: PTH113  (what may not be looked at is none)
        return False
    try:
        with path.open("rb") as file:
            return b"".join(file.read(200).split()).startswith(_HEAD_START)
    except OSError:
        return False


def _describe(place: Checkout, state: _State | None, folder: Folder, program: Path | None) -> GitMetadata:
    if state is None:
        commit, branch = checkout.head(place)
        settings = checkout.settings(place.common_dir / "config")
    else:
        commit, branch, settings = state.status.commit, state.status.branch, state.settings
    remote = checkout.remote_url(settings, branch)
    return GitMetadata(
        commit=commit,
        remote=None if remote is None else probing.legible(redact.redact_url(remote)),
        branch=None if branch is None else probing.legible(redact.redact(branch)),
        dirty=None if state is None else state.dirty,
        folder=None if place.top is None else _way(place.top, Path(os.path.realpath(folder))),
        diff_digest=None if state is None or state.difference is None else state.difference.digest(),
        program=None if program is None or place.top is None else _below(place.top, program),
        submodules=None if place.top is None else _commits_of_submodules(place.top),
    )


def _commits_of_submodules(top: Path) -> dict[str, str] | None:
    found = {probing.legible(redact.redact(path)): checkout.head(place)[0] for path, place in checkout.submodules(top)}
    return {path: commit for path, commit in sorted(found.items()) if commit is not None} or None


def _way(top: Path, folder: Path) -> str | None:
    """Return the way from the top to a folder; None where there is none, as to another drive."""
    return probing.ask("the way to the working folder", lambda: Path(os.path.relpath(folder, top)).as_posix())


def _below(top: Path, file: Path) -> str | None:
    if not file.is_relative_to(top) or file.is_relative_to(top / ".git"):
        return None
    return probing.legible(redact.redact(file.relative_to(top).as_posix()))
