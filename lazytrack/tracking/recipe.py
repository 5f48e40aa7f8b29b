"""How to bring a run back: the commands that check out its code, make its environment, and run it again.

What a record says may be a stranger's: whatever goes into a command is quoted, and has the form that it should have.
"""

import posixpath
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

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


_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_MINOR = re.compile(r"\d+\.\d+")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_URL = re.compile(r"[a-z][a-z0-9+]*://[^\s-]\S*")
_NO_REMOTE = re.compile(r"-|[A-Za-z0-9+.]+::")
"""What git would take for an option, or for a program to run."""


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
        lines = [_comment(f"how to bring back {self.slug}"), "set -eu"]
        lines += [_comment(f"note: {note}") for note in self.notes]
        lines += [_comment(f"it cannot be brought back as it was: {obstacle}") for obstacle in self.obstacles]
        if self.obstacles:
            lines += ["exit 1", "# what could be done:"]
        return "\n".join([*lines, *self.commands])


def _comment(text: str) -> str:
    return "# " + "".join(letter if letter.isprintable() else "?" for letter in text)


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
    return Recipe(slug=experiment.slug, commands=making.commands, obstacles=making.obstacles, notes=making.notes)


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
        if git.commit is None or not _COMMIT.fullmatch(git.commit):
            self.obstacles.append("its checkout had no commit yet" if git.commit is None else "its commit is none")
            return
        source = git.remote or str(self.environment.root)
        if _HIDDEN in source:
            self.notes.append("the remote was recorded without its credentials: git asks for them, or has them")
            source = source.replace(f"{_HIDDEN}@", "").replace(f":{_HIDDEN}", "")
        if _NO_REMOTE.match(source):
            self.obstacles.append(f"the remote {source!r} is none that is cloned unseen")
            return
        if git.remote is None:
            self.notes.append(f"the checkout had no remote: {source} is on the machine it ran on")
        self.commands += [
            f"git clone -- {shlex.quote(source)} {_FOLDER}",
            f"cd {_FOLDER}",
            f"git checkout --quiet {shlex.quote(git.commit)}",
        ]

    def apply_diff(self) -> None:
        about = self.experiment._scalars.get("uncommitted")
        about = about if isinstance(about, dict) else {}
        for hunk in about.get("redacted", ()):
            self.obstacles.append(f"what was not committed held a secret, which was left out, in {hunk}")
        for file in about.get("left_out", ()):
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
        python = self.environment.python or "3"
        minor = ".".join(python.split(".")[:2])
        if not _MINOR.fullmatch(minor):
            self.obstacles.append("the version of its Python is not known")
            return
        self.commands.append(f"python{minor} -m venv {_VENV}")
        sources = self.environment.sources or {}
        packages = [(n, v) for n, v in self.environment.packages or [] if n not in {"pip", "setuptools", "wheel"}]
        pinned = [f"{name}=={version}" for name, version in packages if name not in sources]
        if odd := [line for line in pinned if not _REQUIREMENT.fullmatch(line)]:
            self.obstacles.append(f"there is no installing of {', '.join(odd)}")
            pinned = [line for line in pinned if line not in odd]
        if pinned:
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
        path = source.replace("\\", "/")
        if _URL.fullmatch(source):
            if _HIDDEN in source:
                self.obstacles.append(f"package {name} came from {source}, whose credentials are not kept")
            self.commands.append(f"{_INSTALL} {shlex.quote(source)}")
        elif f"{path}/".startswith(f"{root}/"):
            option = "-e " if is_editable else ""
            self.commands.append(f"{_INSTALL} {option}{shlex.quote('./' + path[len(root) + 1 :])}")
        elif path.startswith("/"):
            self.notes.append(f"package {name} was installed from {path}, on the machine it ran on")
            self.commands.append(f"{_INSTALL} {shlex.quote(path)}")
        else:
            self.obstacles.append(f"package {name} came from {source}, which cannot be reached from here")

    def run(self) -> None:
        command = self.environment.command
        if not command:
            self.obstacles.append("its command is not known: it ran in a notebook, or in a program of its own")
            return
        words = shlex.split(command)
        if len(words) < 2 or words[1] in {"-", "-i", "-c"} or "ipykernel_launcher" in command:  # noqa: PLR2004
            self.obstacles.append("it ran in a notebook, or was typed in: its command alone does not bring it back")
        if any(_HIDDEN in word for word in words):
            self.obstacles.append("its command held a secret, which was left out: put it in the place of ***")
        if words and PurePosixPath(words[0].replace("\\", "/")).name.startswith(_INTERPRETERS):
            words[0] = _PYTHON
        git = self.environment.git
        folder = "." if git is None or git.folder is None else git.folder
        words = [self._here(word, folder) for word in words]
        if folder != ".":
            self.commands.append(f"cd -- {shlex.quote(folder)}")
        self.commands.append(shlex.join(words))

    def _here(self, word: str, folder: str) -> str:
        """Return a word of the command with paths as they are in the new checkout and environment."""
        root, executable = str(self.environment.root), self.environment.executable
        tools = None if executable is None else f"{executable.parent}/"
        if word == _PYTHON:
            return posixpath.relpath(word, folder)
        if tools is not None and word.startswith(tools):
            return posixpath.relpath(f"{_VENV}/bin/{word[len(tools) :]}", folder)
        return posixpath.relpath(word, f"{root}/{folder}") if word.startswith(f"{root}/") else word
