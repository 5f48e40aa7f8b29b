"""How the environment of a run is made anew: its interpreter, and the packages that were installed."""

import re
import shlex
from typing import TYPE_CHECKING

from lazytrack.tracking.recipe.draft import HIDDEN, PYTHON, VENV, Draft

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata

_REQUIREMENTS = "../requirements.txt"
_EDITABLE = " (editable)"
_INSTALL = f"{PYTHON} -m pip install --quiet --no-deps"
_MINOR = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(?![0-9])")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.!+-]*", re.ASCII)


def install(draft: Draft, environment: "EnvironmentMetadata") -> None:
    """Make an environment with the packages there were."""
    minor = _MINOR.match(environment.python or "")
    if minor is None:
        draft.notes.append(f"which Python it ran with is not known: {environment.python}")
    draft.commands.append(f"python{minor.group() if minor else 3} -m venv {VENV}")
    sources = environment.sources or {}
    packages = [(n, v) for n, v in environment.packages or [] if n not in {"pip", "setuptools", "wheel"}]
    pinned = [f"{name}=={version}" for name, version in packages if name not in sources]
    for line in pinned:
        if not _PACKAGE.fullmatch(line):
            draft.obstacles.append(f"{line!r:.80} is no package of an index")
    if pinned := [line for line in pinned if _PACKAGE.fullmatch(line)]:
        lines = "\n".join(pinned)
        draft.commands.append(f"cat > {_REQUIREMENTS} <<'END'\n{lines}\nEND")
        draft.commands.append(f"{_INSTALL} -r {_REQUIREMENTS}")
    root = str(environment.root)
    for name, source in sources.items():
        _install_from(draft, name, source, root)
    if environment.conda:
        draft.notes.append(f"it ran in a conda environment of {len(environment.conda)} packages")
    locks = [file.name for file in environment.lock_files or []]
    if locks:
        draft.notes.append(f"its lock files ({', '.join(locks)}) were the basis of these packages")


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
