"""How the code of a run is brought back: its commit, and what was not committed."""

import re
import shlex
from typing import TYPE_CHECKING, Any

from lazytrack.tracking.origins import DIFF
from lazytrack.tracking.recipe.draft import CHECKOUT, HIDDEN, Draft

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata, GitMetadata
    from lazytrack.tracking.experiment import Experiment

_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_RUNS_A_PROGRAM = re.compile(r"[A-Za-z0-9+.-]+::")
"""How a remote begins that git reads by a program of that name."""


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
    source = git.remote or str(environment.root)
    if HIDDEN in source:
        draft.notes.append("the remote was recorded without its credentials: git asks for them, or has them")
        source = source.replace(f"{HIDDEN}@", "").replace(f":{HIDDEN}", "")
    if git.remote is None:
        draft.notes.append(f"the checkout had no remote: {source} is on the machine it ran on")
    if _RUNS_A_PROGRAM.match(source):
        draft.obstacles.append(f"git would run a program to read {source}")
    draft.commands += [
        f"git clone -- {shlex.quote(source)} {CHECKOUT}",
        f"cd {CHECKOUT}",
        f"git checkout --quiet {shlex.quote(git.commit)}",
    ]


def apply_diff(draft: Draft, experiment: "Experiment", git: "GitMetadata | None") -> None:
    """Apply what was not committed."""
    about = experiment._scalars.get("uncommitted")
    about = about if isinstance(about, dict) else {}
    for hunk in _items(about.get("redacted")):
        draft.obstacles.append(f"what was not committed held a secret, which was left out, in {hunk}")
    for file in _items(about.get("left_out")):
        path = file.get("path") if isinstance(file, dict) else file
        draft.obstacles.append(f"what was not committed was too large to be kept, or held a secret: {path}")
    if about.get("unnamed"):
        draft.obstacles.append(f"{about['unnamed']} more files that were not committed are not kept")
    if about.get("not_text"):
        draft.obstacles.append(f"what was not committed is not text in UTF-8: see the artifact {DIFF!r}")
    artifact = experiment._artifact_map().get(DIFF)
    if git is None or artifact is None:
        if git is not None and git.dirty and not about:
            draft.obstacles.append("what was not committed is not known")
        return
    if artifact.stored is None:
        draft.obstacles.append("it is not saved yet")
        return
    path = f"{experiment._owner.folder}/{artifact.stored.path}"
    if "://" in path:
        code = f"import fsspec, sys; sys.stdout.buffer.write(fsspec.open({path!r}, 'rb').open().read())"
        draft.commands.append(f"python -c {shlex.quote(code)} | git apply")
        draft.notes.append(f"the changes are read from {path}, which needs fsspec and perhaps its options")
    else:
        draft.commands.append(f"git apply {shlex.quote(path)}")


def _items(value: object) -> list[Any]:
    """Return a list of the record; a stranger may have written anything there."""
    return value if isinstance(value, list) else []
