"""How the code of a run is brought back: its commit, and what was not committed."""

import posixpath
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lazytrack.provenance.metadata import SUBMODULE
from lazytrack.tracking.origins import DIFF
from lazytrack.tracking.recipe.draft import CHECKOUT, HIDDEN, Draft

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata, GitMetadata
    from lazytrack.tracking.experiment import Experiment

_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_RUNS_A_PROGRAM = re.compile(r"[A-Za-z0-9+.-]+::")
"""How a remote begins that git reads by a program of that name."""
_ELSEWHERE = re.compile(r"(?!file:)[^/]*:")
"""How a remote begins that is the URL of a host, or a path there; any other is a path on the machine itself."""


def check_out(draft: Draft, environment: "EnvironmentMetadata") -> None:
    """Check out the commit."""
    git = environment.git
    if git is None:
        draft.obstacles.append(f"it ran outside of any git checkout, in {environment.root}")
        return
    if git.commit is None:
        draft.obstacles.append("its checkout had no commit yet")
        return
    if not _COMMIT.fullmatch(git.commit):
        draft.obstacles.append(f"{git.commit!r:.80} is no commit")
        return
    source = _source(draft, git.remote, str(environment.root))
    draft.commands += [
        f"git clone -- {shlex.quote(source)} {CHECKOUT}",
        f"cd {CHECKOUT}",
        f"git checkout --quiet {shlex.quote(git.commit)}",
    ]


def _source(draft: Draft, remote: str | None, root: str) -> str:
    """Return what to clone."""
    if remote is None:
        draft.notes.append(f"the checkout had no remote: {root} is on the machine it ran on")
    source = root if remote is None else remote
    if HIDDEN in source:
        draft.notes.append("the remote was recorded without its credentials: git asks for them, or has them")
        source = source.replace(f"{HIDDEN}@", "").replace(f":{HIDDEN}", "")
    if _RUNS_A_PROGRAM.match(source):
        draft.obstacles.append(f"git would run a program to read {source}")
    elif remote is not None and not _ELSEWHERE.match(source):
        if not source.startswith(("/", "file:")):
            if not root.startswith("/"):
                draft.obstacles.append(f"its remote {source} is told from a folder that is not known")
            source = posixpath.normpath(posixpath.join(root, source))
        draft.notes.append(f"its remote {source} is on the machine it ran on")
    return source


def apply_diff(draft: Draft, experiment: "Experiment", git: "GitMetadata | None") -> None:
    """Apply what was not committed."""
    about = experiment._scalars.get("uncommitted")
    about = about if isinstance(about, dict) else {}
    for hunk in _items(about.get("redacted")):
        draft.obstacles.append(f"what was not committed held a secret, which was left out, in {hunk}")
    for file in _items(about.get("left_out")):
        draft.obstacles.append(_told(file if isinstance(file, dict) else {"path": file}))
    if about.get("unnamed"):
        draft.obstacles.append(f"{about['unnamed']} more files that were not committed are not kept")
    if about.get("not_text"):
        draft.obstacles.append(f"what was not committed is not text in UTF-8: see the artifact {DIFF!r}")
    artifact = experiment._artifact_map().get(DIFF)
    if git is None:
        return
    if artifact is None:
        if git.dirty and not about:
            draft.obstacles.append("what was not committed is not known")
    elif artifact.stored is None:
        draft.obstacles.append("it is not saved yet")
    else:
        _apply(draft, f"{experiment._owner.folder}/{artifact.stored.path}", "--index " if git.submodules else "")
    if git.submodules:  # each at the commit that the patch, if any, has put into the index
        draft.commands.append("git submodule --quiet update --init --recursive")


def _told(file: Mapping[str, Any]) -> str:
    """Return why a file, or a repository, is not brought back."""
    path = file.get("path")
    if file.get("kind") == SUBMODULE:
        return f"what was not committed in the submodule {path} is not kept"
    if str(path).endswith("/"):
        return f"{path} was a repository of its own in the checkout, which is not kept"
    return f"what was not committed was too large to be kept, or held a secret: {path}"


def _apply(draft: Draft, path: str, option: str) -> None:
    """Apply a patch."""
    if "://" in path:
        code = f"import fsspec, sys; sys.stdout.buffer.write(fsspec.open({path!r}, 'rb').open().read())"
        draft.commands.append(f"python -c {shlex.quote(code)} | git apply {option}".rstrip())
        draft.notes.append(f"the changes are read from {path}, which needs fsspec and perhaps its options")
    else:
        draft.commands.append(f"git apply {option}{shlex.quote(path)}")


def _items(value: object) -> list[Any]:
    """Return a list of the record; a stranger may have written anything there."""
    return value if isinstance(value, list) else []
