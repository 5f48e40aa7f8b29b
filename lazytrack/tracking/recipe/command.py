"""The command of a run, as it is given in a new checkout with a new environment."""

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lazytrack.tracking.recipe.draft import HIDDEN, PYTHON, VENV, Draft, way

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata

_INTERPRETERS = ("python", "pypy")


def run(draft: Draft, environment: "EnvironmentMetadata") -> None:
    """Run it again."""
    command = environment.command
    if not command:
        draft.obstacles.append("its command is not known: it ran in a notebook, or in a program of its own")
        return
    if command.endswith("…"):
        draft.obstacles.append("its command was too long to be kept")
        return
    try:
        words = shlex.split(command)
    except ValueError as error:
        draft.obstacles.append(f"its command makes no sense: {error}")
        return
    if len(words) < 2 or words[1] in {"-", "-i", "-c"} or "ipykernel_launcher" in command:  # noqa: PLR2004
        draft.obstacles.append("it ran in a notebook, or was typed in: its command alone does not bring it back")
    if any(HIDDEN in word for word in words):
        draft.obstacles.append("its command held a secret, which was left out: put it in the place of ***")
    if words and PurePosixPath(words[0].replace("\\", "/")).name.startswith(_INTERPRETERS):
        words[0] = PYTHON
    git = environment.git
    folder = "." if git is None or git.folder is None else git.folder
    if folder.startswith(("-", "/")) or ".." in folder.split("/"):
        draft.obstacles.append(f"it ran in {folder}, which is no folder of the checkout")
        return
    words = [_here(environment, word, folder) for word in words]
    if folder != ".":
        draft.commands.append(f"cd {shlex.quote(folder)}")
    line = shlex.join(words)
    if words and "=" in words[0] and line.startswith(words[0]):  # a shell would take it for a variable
        line = f"'{words[0]}'{line[len(words[0]) :]}"
    draft.commands.append(line)


def _here(environment: "EnvironmentMetadata", word: str, folder: str) -> str:
    """Return a word of the command with paths as they are in the new checkout and environment."""
    root, executable = str(environment.root), environment.executable
    tools = None if executable is None else f"{executable.parent}/"
    if word == PYTHON:
        return way(folder, PYTHON)
    if tools is not None and word.startswith(tools):
        return way(folder, f"{VENV}/bin/{word[len(tools) :]}")
    return way(folder, word[len(root) + 1 :]) if word.startswith(f"{root}/") else word
