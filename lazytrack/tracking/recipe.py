"""How to bring a run back: the commands that check out its code, make its environment, and run it again.

A script is piped to a shell, and what it is made of a stranger may have written. So each word of a record is quoted, or
has the one form it may have; none is taken for an option; and what is only told stays on the line of its comment.
"""

import posixpath
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack.errors import LazytrackError
from lazytrack.tracking.origins import DIFF

if TYPE_CHECKING:
    from lazytrack.step_info import EnvironmentMetadata
    from lazytrack.tracking.experiment import Experiment

_HIDDEN = "***"
"""What stands where a secret was."""
_FOLDER = "reproduced"
_REQUIREMENTS = "../requirements.txt"
_INTERPRETERS = ("python", "pypy")
_EDITABLE = " (editable)"
_VENV = "../environment"
"""Beside the checkout, which stays as it was."""
_PYTHON = f"{_VENV}/bin/python"
_INSTALL = f"{_PYTHON} -m pip install --quiet --no-deps"
_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_MINOR = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(?![0-9])")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*==[A-Za-z0-9][\w.!+-]*", re.ASCII)
_RUNS_A_PROGRAM = re.compile(r"[A-Za-z0-9+.-]+::")
"""How a remote begins that git reads by a program of that name."""


@attrs.frozen(kw_only=True)
class Recipe:
    """How to bring a run back. ``print(recipe)`` shows it as a script for a POSIX shell.

    Parameters
    ----------
    slug
        Of the experiment.
    commands
        To be run one after the other, in an empty folder.
    obstacles
        Why the run cannot be brought back, or not by these commands alone; where there are any, the script stops
        before it does anything.
    notes
        What may make a difference all the same.
    """

    slug: str
    commands: Sequence[str]
    obstacles: Sequence[str]
    notes: Sequence[str]

    def __str__(self) -> str:
        lines = [f"# how to bring back {_in_line(self.slug)}", "set -eu"]
        lines += [f"# note: {_in_line(note)}" for note in self.notes]
        for obstacle in self.obstacles:
            lines += [f"# it cannot be brought back as it was: {_in_line(obstacle)}"]
        if self.obstacles:
            lines += ["exit 1", "# what could be done:"]
        return "\n".join([*lines, *self.commands])


def _in_line(text: str) -> str:
    """Return a text as a terminal shows it on one line, with everything else spelled out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def recipe_of(experiment: "Experiment") -> Recipe:
    """Return how to bring a run back.

    Raises
    ------
    LazytrackError
        When nothing is recorded of where it comes from.
    """
    environment = experiment.environment
    if environment is None:
        raise LazytrackError(
            f"{experiment.slug} does not say where it comes from: it was logged with LAZYTRACK_PROVENANCE=0, or by an "
            "older lazytrack"
        )
    making = _Making(experiment, environment)
    making.check_out()
    making.apply_diff()
    making.make_environment()
    making.run()
    making.look_through()
    return Recipe(slug=experiment.slug, commands=making.commands, obstacles=making.obstacles, notes=making.notes)


def _items(value: object) -> list[Any]:
    """Return a list of the record; a stranger may have written anything there."""
    return value if isinstance(value, list) else []


@attrs.define(eq=False)
class _Making:
    """A recipe in the making."""

    experiment: "Experiment"
    environment: "EnvironmentMetadata"
    commands: list[str] = attrs.Factory(list)
    obstacles: list[str] = attrs.Factory(list)
    notes: list[str] = attrs.Factory(list)

    def check_out(self) -> None:
        git = self.environment.git
        if git is None:
            self.obstacles.append(f"it ran outside of any git checkout, in {self.environment.root}")
            return
        if git.commit is None:
            self.obstacles.append("its checkout had no commit yet")
            return
        if not _COMMIT.fullmatch(git.commit):
            self.obstacles.append(f"{git.commit!r:.80} is no commit")
            return
        source = git.remote or str(self.environment.root)
        if _HIDDEN in source:
            self.notes.append("the remote was recorded without its credentials: git asks for them, or has them")
            source = source.replace(f"{_HIDDEN}@", "").replace(f":{_HIDDEN}", "")
        if git.remote is None:
            self.notes.append(f"the checkout had no remote: {source} is on the machine it ran on")
        if _RUNS_A_PROGRAM.match(source):
            self.obstacles.append(f"git would run a program to read {source}")
        self.commands += [
            f"git clone -- {shlex.quote(source)} {_FOLDER}",
            f"cd {_FOLDER}",
            f"git checkout --quiet {shlex.quote(git.commit)}",
        ]

    def apply_diff(self) -> None:
        about = self.experiment._scalars.get("uncommitted")
        about = about if isinstance(about, dict) else {}
        for hunk in _items(about.get("redacted")):
            self.obstacles.append(f"what was not committed held a secret, which was left out, in {hunk}")
        for file in _items(about.get("left_out")):
            path = file.get("path") if isinstance(file, dict) else file
            self.obstacles.append(f"what was not committed was too large to be kept, or held a secret: {path}")
        if about.get("unnamed"):
            self.obstacles.append(f"{about['unnamed']} more files that were not committed are not kept")
        if about.get("not_text"):
            self.obstacles.append(f"what was not committed is not text in UTF-8: see the artifact {DIFF!r}")
        git = self.environment.git
        artifact = self.experiment._artifact_map().get(DIFF)
        if git is None or artifact is None:
            if git is not None and git.dirty and not about:
                self.obstacles.append("what was not committed is not known")
            return
        if artifact.stored is None:
            self.obstacles.append("it is not saved yet")
            return
        path = f"{self.experiment._owner.folder}/{artifact.stored.path}"
        if "://" in path:
            code = f"import fsspec, sys; sys.stdout.buffer.write(fsspec.open({path!r}, 'rb').open().read())"
            self.commands.append(f"python -c {shlex.quote(code)} | git apply")
            self.notes.append(f"the changes are read from {path}, which needs fsspec and perhaps its options")
        else:
            self.commands.append(f"git apply {shlex.quote(path)}")

    def make_environment(self) -> None:
        minor = _MINOR.match(self.environment.python or "")
        if minor is None:
            self.notes.append(f"which Python it ran with is not known: {self.environment.python}")
        self.commands.append(f"python{minor.group() if minor else 3} -m venv {_VENV}")
        sources = self.environment.sources or {}
        packages = [(n, v) for n, v in self.environment.packages or [] if n not in {"pip", "setuptools", "wheel"}]
        pinned = [f"{name}=={version}" for name, version in packages if name not in sources]
        for line in pinned:
            if not _PACKAGE.fullmatch(line):
                self.obstacles.append(f"{line!r:.80} is no package of an index")
        if pinned := [line for line in pinned if _PACKAGE.fullmatch(line)]:
            lines = "\n".join(pinned)
            self.commands.append(f"cat > {_REQUIREMENTS} <<'END'\n{lines}\nEND")
            self.commands.append(f"{_INSTALL} -r {_REQUIREMENTS}")
        root = str(self.environment.root)
        for name, source in sources.items():
            self._install(name, source, root)
        if self.environment.conda:
            self.notes.append(f"it ran in a conda environment of {len(self.environment.conda)} packages")
        locks = [file.name for file in self.environment.lock_files or []]
        if locks:
            self.notes.append(f"its lock files ({', '.join(locks)}) were the basis of these packages")

    def _install(self, name: str, source: str, root: str) -> None:
        """Install a package that came from no index."""
        is_editable = source.endswith(_EDITABLE)
        source = source.removesuffix(_EDITABLE).removeprefix("file://")
        if "://" in source:
            if _HIDDEN in source:
                self.obstacles.append(f"package {name} came from {source}, whose credentials are not kept")
            self.commands.append(f"{_INSTALL} -- {shlex.quote(source)}")
            return
        path = source.replace("\\", "/")
        if f"{path}/".startswith(f"{root}/"):
            option = "-e " if is_editable else ""
            self.commands.append(f"{_INSTALL} {option}{shlex.quote('./' + path[len(root) + 1 :])}")
        else:
            self.notes.append(f"package {name} was installed from {path}, on the machine it ran on")
            self.commands.append(f"{_INSTALL} -- {shlex.quote(path)}")

    def run(self) -> None:
        command = self.environment.command
        if not command:
            self.obstacles.append("its command is not known: it ran in a notebook, or in a program of its own")
            return
        if command.endswith("…"):
            self.obstacles.append("its command was too long to be kept")
            return
        try:
            words = shlex.split(command)
        except ValueError as error:
            self.obstacles.append(f"its command makes no sense: {error}")
            return
        if len(words) < 2 or words[1] in {"-", "-i", "-c"} or "ipykernel_launcher" in command:  # noqa: PLR2004
            self.obstacles.append("it ran in a notebook, or was typed in: its command alone does not bring it back")
        if any(_HIDDEN in word for word in words):
            self.obstacles.append("its command held a secret, which was left out: put it in the place of ***")
        if words and PurePosixPath(words[0].replace("\\", "/")).name.startswith(_INTERPRETERS):
            words[0] = _PYTHON
        git = self.environment.git
        folder = "." if git is None or git.folder is None else git.folder
        if folder.startswith(("-", "/")) or ".." in folder.split("/"):
            self.obstacles.append(f"it ran in {folder}, which is no folder of the checkout")
            return
        words = [self._here(word, folder) for word in words]
        if folder != ".":
            self.commands.append(f"cd {shlex.quote(folder)}")
        line = shlex.join(words)
        if words and "=" in words[0] and line.startswith(words[0]):  # a shell would take it for a variable
            line = f"'{words[0]}'{line[len(words[0]) :]}"
        self.commands.append(line)

    def look_through(self) -> None:
        """Tell of commands that a terminal would not show as they are."""
        if any(not sign.isprintable() and sign not in "\n\t" for command in self.commands for sign in command):
            self.obstacles.append("its commands hold characters that a terminal does not show: look at them first")

    def _here(self, word: str, folder: str) -> str:
        """Return a word of the command with paths as they are in the new checkout and environment."""
        root, executable = str(self.environment.root), self.environment.executable
        tools = None if executable is None else f"{executable.parent}/"
        if word == _PYTHON:
            return posixpath.relpath(word, folder)
        if tools is not None and word.startswith(tools):
            return posixpath.relpath(f"{_VENV}/bin/{word[len(tools) :]}", folder)
        return posixpath.relpath(word, f"{root}/{folder}") if word.startswith(f"{root}/") else word
