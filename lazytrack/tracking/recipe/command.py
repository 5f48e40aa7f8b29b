"""The command of a run, as it is given in a new checkout with a new environment."""

import posixpath
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import attrs

from lazytrack.tracking.recipe.draft import ELSEWHERE, HIDDEN, PYTHON, VENV, Draft, way

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata

_INTERPRETERS = ("python", "pypy")
_WITH_A_VALUE = {"-X", "-W", "--check-hash-based-pycs"}
_INSTEAD_OF_A_FILE = re.compile(r"-[bBdEhiIOPqRsStuvVx]*[cm].*|-", re.DOTALL)
"""Options of the interpreter that say what to run: code, a module, or what is typed in."""


def run(draft: Draft, environment: "EnvironmentMetadata") -> None:
    """Run it again."""
    words = _words(draft, environment.command)
    if words is None:
        return
    places = _Places.of(environment)
    if places.begins_badly:
        draft.obstacles.append(f"it ran in {places.folder}, which is no folder of the checkout")
        return
    if places.folder != ".":
        folder = places.new_folder
        draft.commands += [f"mkdir {folder}"] if folder == ELSEWHERE else []
        draft.commands.append(f"cd {shlex.quote(folder)}")
    if places.new_folder == ELSEWHERE:
        draft.notes.append(
            f"it ran in {places.was_in}, outside of the checkout: what it read there is not brought back"
        )
    at = _program(words) if environment.git is not None else None
    if at is not None and not places.knows(words[at]):
        draft.obstacles.append(f"its program {words[at]} lies outside of the checkout")
    words = [places.now(word, is_program=number == at) for number, word in enumerate(words)]
    line = shlex.join(words)
    if words and "=" in words[0] and line.startswith(words[0]):  # a shell would take it for a variable
        line = f"'{words[0]}'{line[len(words[0]) :]}"
    draft.commands.append(line)


def _words(draft: Draft, command: str | None) -> list[str] | None:
    """Return the words of a command; None where it cannot be given again."""
    if not command:
        draft.obstacles.append("its command is not known: it ran in a notebook, or in a program of its own")
        return None
    if command.endswith("…"):
        draft.obstacles.append("its command was too long to be kept")
        return None
    try:
        words = shlex.split(command)
    except ValueError as error:
        draft.obstacles.append(f"its command makes no sense: {error}")
        return None
    if len(words) < 2 or words[1] in {"-", "-i", "-c"} or "ipykernel_launcher" in command:  # noqa: PLR2004
        draft.obstacles.append("it ran in a notebook, or was typed in: its command alone does not bring it back")
    if any(HIDDEN in word for word in words):
        draft.obstacles.append("its command held a secret, which was left out: put it in the place of ***")
    if words and PurePosixPath(words[0].replace("\\", "/")).name.startswith(_INTERPRETERS):
        words[0] = PYTHON
    return words


def _program(words: Sequence[str]) -> int | None:
    """Return where among the words of a command the file stands that the interpreter runs; None where none does."""
    at = 1
    while words[:1] == [PYTHON] and at < len(words):
        if _INSTEAD_OF_A_FILE.fullmatch(words[at]):
            return None
        if not words[at].startswith("-"):
            return at
        at += 2 if words[at] in _WITH_A_VALUE else 1
    return None


@attrs.frozen(kw_only=True)
class _Places:
    """Where things were, and where they are in the new checkout and environment.

    Parameters
    ----------
    root
        The top of the checkout, as it was.
    tools
        The folder of the interpreter, as it was; None where it is not known.
    folder
        The working folder, told from the top.
    program
        The file that was run, told from the top, where it is known.
    """

    root: str
    tools: str | None
    folder: str
    program: str | None

    @classmethod
    def of(cls, environment: "EnvironmentMetadata") -> "_Places":
        git, executable = environment.git, environment.executable
        return cls(
            root=str(environment.root),
            tools=None if executable is None else str(executable.parent),
            folder=posixpath.normpath(".") if git is None or git.folder is None else posixpath.normpath(git.folder),
            program=None if git is None or git.program is None else posixpath.normpath(git.program),
        )

    @property
    def begins_badly(self) -> bool:
        """Whether the working folder is no way from the top."""
        return self.folder.startswith(("-", "/"))

    @property
    def new_folder(self) -> str:
        """The working folder in its new place, told from the top."""
        return ELSEWHERE if _leads_out(self.folder) else self.folder

    @property
    def was_in(self) -> str:
        """The working folder, as it was."""
        return posixpath.normpath(posixpath.join(self.root, self.folder))

    def knows(self, word: str) -> bool:
        """Tell whether a file is in the checkout, or was installed."""
        if not _leads_out(posixpath.normpath(posixpath.join(self.folder, word))) and not word.startswith("/"):
            return True
        path = posixpath.join(self.was_in, word)
        return (_below(self.root, path), _below(self.tools, path)) != (None, None) or self._is_program(word)

    def now(self, word: str, *, is_program: bool) -> str:
        """Return a word of the command with paths as they are now."""
        if word == PYTHON:
            return way(self.new_folder, PYTHON)
        if is_program and self.program is not None and self._is_program(word):
            return way(self.new_folder, self.program)
        if (rest := _below(self.tools, word)) is not None:
            return way(self.new_folder, f"{VENV}/bin/{rest}")
        # What is relative stays so, unless it led from elsewhere into the checkout.
        path = posixpath.join(self.was_in, word) if self.new_folder == ELSEWHERE else word
        inner = _below(self.root, path)
        return word if inner is None else way(self.new_folder, inner)

    def _is_program(self, word: str) -> bool:
        """Tell whether a word names the recorded program, be it by a link: what runs it may have another name."""
        if self.program is None or _leads_out(self.program) or self.program.startswith("/"):
            return False
        return posixpath.basename(word) == posixpath.basename(self.program)


def _below(folder: str | None, path: str) -> str | None:
    """Return the way from a folder to what is in it; None for anything else."""
    if folder is None or not folder.startswith("/") or not path.startswith("/"):
        return None
    inner = posixpath.relpath(path, folder)
    return None if inner == "." or _leads_out(inner) else inner


def _leads_out(path: str) -> bool:
    return path == ".." or path.startswith("../")
