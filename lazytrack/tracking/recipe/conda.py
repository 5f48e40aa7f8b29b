"""How the conda environment of a run is made anew."""

import re
from typing import TYPE_CHECKING

from lazytrack.tracking.recipe.draft import HIDDEN, VENV, Draft

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata

_LIST = "../conda.txt"
_PACKAGE = re.compile(r"(?:https?|file)://[^\s#*]+\.(?:conda|tar\.bz2)")
_SEPARATORS = re.compile(r"[-_.]+")
_NAMED = 5
"""Of what is missing, so many are named."""


def create_from_conda(draft: Draft, environment: "EnvironmentMetadata") -> set[tuple[str, str]] | None:
    """Make a conda environment of the packages there were, and return name and version of each.

    None where the interpreter was none of conda's: an environment may be active that has nothing to do with a run.
    """
    packages = environment.conda
    if not packages:
        return None
    if not any(name == "python" and version == environment.python for name, version, _ in packages):
        draft.notes.append(f"a conda environment of {len(packages)} packages was active, but its Python did not run it")
        return None
    urls = environment.conda_urls
    if urls is None:
        draft.notes.append(f"it ran in a conda environment of {len(packages)} packages, whose URLs are not recorded")
        return None
    for url in urls:
        if HIDDEN in url:
            draft.obstacles.append(f"a package of conda came from {url}, whose credentials are not kept")
        elif not _PACKAGE.fullmatch(url):
            draft.obstacles.append(f"{url!r:.80} is no package of conda")
        elif url.startswith("file:"):
            draft.notes.append(f"a package of conda was installed from {url}, on the machine it ran on")
    there = {re.sub(r"\.(conda|tar\.bz2)$", "", url.rpartition("/")[2]) for url in urls}
    if missing := [
        f"{name} {version}" for name, version, build in packages if f"{name}-{version}-{build}" not in there
    ]:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        draft.obstacles.append(f"where conda had these from is not known: {', '.join(missing[:_NAMED])}{more}")
    lines = "\n".join(["@EXPLICIT", *(url for url in urls if _PACKAGE.fullmatch(url))])
    draft.commands.append(f"cat > {_LIST} <<'END'\n{lines}\nEND")
    draft.commands.append(f"conda create --quiet --yes --prefix {VENV} --file {_LIST}")
    return {(normalised(name), version) for name, version, _ in packages}


def normalised(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return _SEPARATORS.sub("-", name).lower()
