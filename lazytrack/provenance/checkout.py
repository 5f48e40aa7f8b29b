"""A git checkout as its files tell of it, without git: where it is, what is checked out, where it comes from."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from lazytrack import naming
from lazytrack.errors import UnsafePathError

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_REFERENCE = re.compile(r"ref: *(refs/\S+)")
_BRANCHES = "refs/heads/"
_MOST_LINKS = 5
_LONGEST_FILE = 1 << 20
_SECTION = re.compile(r'\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*', re.ASCII)
_SETTING = re.compile(r"([A-Za-z][\w-]*)\s*(?:=\s*(.*?))?\s*", re.ASCII)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\\(.)|([#;].*)|([^"\\#;]+)')


@attrs.frozen(kw_only=True)
class Checkout:
    """Where a checkout is.

    Parameters
    ----------
    top
        The topmost folder of its files; None for a repository without any.
    git_dir
        What belongs to this checkout: its HEAD and index.
    common_dir
        What it shares with other worktrees: branches and settings.
    """

    top: Path | None
    git_dir: Path
    common_dir: Path


def find(folder: str | os.PathLike[str]) -> Checkout | None:
    """Return the checkout that `folder` lies in; None outside of any."""
    ceilings = {os.path.realpath(place) for place in os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep)}
    start = Path(os.path.realpath(folder))
    for place in (start, *start.parents):
        if place != start and str(place) in ceilings:
            return None
        if (found := _git_dir(place / ".git")) is not None:
            return Checkout(top=place, git_dir=found, common_dir=_common_dir(found))
        if _is_git_dir(place):
            return Checkout(top=None, git_dir=place, common_dir=_common_dir(place))
    return None


def find_of_code(folder: str | os.PathLike[str], program: Path | None) -> Checkout | None:
    """Return the checkout that tells which code a process runs: its program's, or else its working folder's.

    A program in a submodule of the working folder's checkout is a part of that one.

    Parameters
    ----------
    folder
        The working folder.
    program
        The file; None where no file of the user's is the program.
    """
    here = find(folder)
    own = None if program is None else find(program.parent)
    if own is None or own.top is None or (here is not None and here.top is not None and _holds(here.top, own.top)):
        return here
    return own


def _holds(top: Path, inner: Path) -> bool:
    """Tell whether `inner` is the top of the checkout at `top`, or of a submodule of it, or of one of those."""
    return top == inner or any(
        found.top is not None and inner.is_relative_to(found.top) and _holds(found.top, inner)
        for _, found in submodules(top)
    )


def submodules(top: Path) -> Iterator[tuple[str, Checkout]]:
    """Find the submodules of the checkout at `top` whose files are there, with their paths below it."""
    for key, path in settings(top / ".gitmodules").items():
        if not (key.startswith("submodule.") and key.endswith(".path")):
            continue
        try:
            naming.check_inside(path)
        except UnsafePathError:
            continue
        found = find(top / path)
        if found is not None and found.top == top / path:  # no link that leads elsewhere
            yield path, found


def _git_dir(path: Path) -> Path | None:
    """Return the folder that ``.git`` is, or, in worktrees and submodules, names."""
    if os.path.isfile(path):  # noqa: PTH113  (what may not be looked at is none)
        keyword, _, target = (_read(path) or "").partition(":")
        path = Path(os.path.realpath(path.parent / target.strip()))
        return path if keyword == "gitdir" and _is_git_dir(path) else None
    return path if _is_git_dir(path) else None


def _is_git_dir(path: Path) -> bool:
    return os.path.isfile(path / "HEAD") and os.path.isdir(_common_dir(path) / "objects")  # noqa: PTH112, PTH113


def _common_dir(git_dir: Path) -> Path:
    target = _read(git_dir / "commondir")
    return git_dir if target is None else Path(os.path.realpath(git_dir / target.strip()))


def head(checkout: Checkout) -> tuple[str | None, str | None]:
    """Return the commit and the branch that are checked out, each None where there is none."""
    text = (_read(checkout.git_dir / "HEAD") or "").strip()
    reference = _REFERENCE.fullmatch(text)
    name = reference[1] if reference else ""
    branch = name.removeprefix(_BRANCHES) if name.startswith(_BRANCHES) else None
    if branch == ".invalid":  # what is checked out stands in a table instead
        return None, None
    return _resolve(checkout, text), branch


def _resolve(checkout: Checkout, text: str) -> str | None:
    for _ in range(_MOST_LINKS):
        if _COMMIT.fullmatch(text):
            return text
        reference = _REFERENCE.fullmatch(text)
        if reference is None or ".." in reference[1].split("/"):
            return None
        name = reference[1]
        found = _read(checkout.git_dir / name) or _read(checkout.common_dir / name) or _packed(checkout, name)
        text = (found or "").strip()
    return None


def _packed(checkout: Checkout, name: str) -> str | None:
    path = checkout.common_dir / "packed-refs"
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        return next((line[: -len(name) - 2] for line in lines if line.endswith(f" {name}\n")), None)


def settings(path: Path) -> dict[str, str]:
    """Return what a file of git's settings says, the last word of each; what it includes is not read."""
    return dict(_settings(_read(path) or ""))


def _settings(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in text.replace("\\\n", "").splitlines():
        rest = line.strip()
        if match := _SECTION.match(rest):
            inner = "" if match[2] is None else re.sub(r"\\(.)", r"\1", match[2]) + "."
            section, rest = f"{match[1].lower()}.{inner}", rest[match.end() :]
        if match := _SETTING.fullmatch(rest):
            yield f"{section}{match[1].lower()}", "true" if match[2] is None else _value(match[2])


def _value(text: str) -> str:
    """Return a value without its quotes, escapes and comments."""
    words: list[str] = []
    for quoted, escaped, comment, bare in _WORD.findall(text):
        if comment:
            break
        words.append(re.sub(r"\\(.)", r"\1", quoted) + escaped + bare)
    return "".join(words).strip()


def remote_url(settings: Mapping[str, str], branch: str | None) -> str | None:
    """Return the URL that a branch is pulled from: of its own remote, else of ``origin``, else of the first one."""
    named = settings.get(f"branch.{branch}.remote")
    remotes = [key.removeprefix("remote.").removesuffix(".url") for key in settings if key.startswith("remote.")]
    for name in (named, "origin", *remotes):
        if url := settings.get(f"remote.{name}.url"):
            return url
    return None


def _read(path: Path) -> str | None:
    """Return a small file's text; None where there is none, or none that may be read."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113  (a pipe would be waited for)
            return None
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_LONGEST_FILE)
    except OSError:
        return None
