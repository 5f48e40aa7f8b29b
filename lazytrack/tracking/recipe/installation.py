"""How the environment of a run is made anew: its interpreter, and the packages that were installed."""

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lazytrack.provenance.metadata import CONDA
from lazytrack.tracking.recipe.conda import create_from_conda, normalised
from lazytrack.tracking.recipe.draft import HIDDEN, PYTHON, VENV, Draft

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata

_REQUIREMENTS = "../requirements.txt"
_OF_ANY = {"pip", "setuptools", "wheel"}
"""What an environment has anyhow."""
_EDITABLE = " (editable)"
_INSTALL = f"{PYTHON} -m pip install --quiet --no-deps"
_MINOR = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(?![0-9])")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.!+-]*", re.ASCII)


def install(draft: Draft, environment: "EnvironmentMetadata") -> None:
    """Make an environment with the packages there were."""
    made = create_from_conda(draft, environment)
    if made is None:
        _create(draft, environment.python)
    sources = {n: s for n, s in (environment.sources or {}).items() if s != CONDA}
    wanted = [(name, version) for name, version in environment.packages or [] if name not in {*_OF_ANY, *sources}]
    if made is not None:
        by_conda = {name for name, source in (environment.sources or {}).items() if source == CONDA}
        wanted = [(n, v) for n, v in wanted if n not in by_conda and (normalised(n), v) not in made]
    _install_from_index(draft, [f"{name}=={version}" for name, version in wanted])
    for name, source in sources.items():
        _install_from(draft, name, source, str(environment.root))
    locks = [file.name for file in environment.lock_files or []]
    if locks:
        draft.notes.append(f"its lock files ({', '.join(locks)}) were the basis of these packages")


def _create(draft: Draft, python: str | None) -> None:
    """Make an empty environment."""
    minor = _MINOR.match(python or "")
    if minor is None:
        draft.notes.append(f"which Python it ran with is not known: {python}")
    draft.commands.append(f"python{minor.group() if minor else 3} -m venv {VENV}")


def _install_from_index(draft: Draft, pinned: Sequence[str]) -> None:
    for line in pinned:
        if not _PACKAGE.fullmatch(line):
            draft.obstacles.append(f"{line!r:.80} is no package of an index")
    if lines := "\n".join(line for line in pinned if _PACKAGE.fullmatch(line)):
        draft.commands.append(f"cat > {_REQUIREMENTS} <<'END'\n{lines}\nEND")
        draft.commands.append(f"{_INSTALL} -r {_REQUIREMENTS}")


def _install_from(draft: Draft, name: str, source: str, root: str) -> None:
    """Install a package that came from no index."""
    is_editable = source.endswith(_EDITABLE)
    source = source.removesuffix(_EDITABLE).removeprefix("file://")
    if "://" in source:
        if HIDDEN in source:
            draft.obstacles.append(f"package {name} came from {source}, whose credentials are not kept")
        draft.commands.append(f"{_INSTALL} -- {shlex.quote(source)}")
        return
    path = source.replace("\\", "/")
    if f"{path}/".startswith(f"{root}/"):
        option = "-e " if is_editable else ""
        draft.commands.append(f"{_INSTALL} {option}{shlex.quote('./' + path[len(root) + 1 :])}")
    else:
        draft.notes.append(f"package {name} was installed from {path}, on the machine it ran on")
        draft.commands.append(f"{_INSTALL} -- {shlex.quote(path)}")
