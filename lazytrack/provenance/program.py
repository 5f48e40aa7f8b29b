"""The git program, asked so that nothing of the checkout runs and nothing of it changes."""

import os
import re
from pathlib import Path

import attrs

from lazytrack.provenance import probing
from lazytrack.provenance.checkout import Checkout

_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "true",
    "core.splitIndex": "false",  # a part of the index would be written into the repository
    "diff.renameLimit": "1000",
    "diff.suppressBlankEmpty": "false",
}
"""Instead of the user's: what could run a program, and what could make the same changes look otherwise."""
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none",  # a partial clone would fetch what it lacks
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",  # the user's index stays as it is
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_KEPT = re.compile(r"(?!GIT_)|GIT_(?:CONFIG|EXEC_PATH|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)")
"""Variables git may see: others would lead it to another repository, as in a hook that runs a test."""
_FILTER = re.compile(r"filter\.(.+)\.(?:clean|smudge|process|required)", re.DOTALL)
ABSENT = "000000"
SUBMODULE = "160000"


@attrs.frozen
class Change:
    """A path that differs from the commit.

    Parameters
    ----------
    path
        As git spells it, relative to the top.
    mode, blob
        Of the file in the commit: its mode, `ABSENT` where it is not there, and its object's name.
    """

    path: bytes
    mode: str = ABSENT
    blob: str = ""


@attrs.frozen(kw_only=True)
class Status:
    """What is checked out, and what differs from it."""

    commit: str | None
    branch: str | None
    changes: list[Change]


class Git:
    """The git program in one checkout.

    Parameters
    ----------
    checkout
        One that has files.

    Raises
    ------
    FileNotFoundError
        When git is not installed.
    OSError, subprocess.SubprocessError
        When git will not read the checkout, for instance because it is another user's.
    """

    def __init__(self, checkout: Checkout) -> None:
        program = probing.program("git")
        if program is None or checkout.top is None:
            raise FileNotFoundError("git is not installed" if program is None else "the repository has no files")
        self._command = [program, "--no-pager"]
        self._checkout = checkout
        self.top = checkout.top
        for name, value in _SETTINGS.items():
            self._command += ["-c", f"{name}={value}"]
        self.settings = self._read_settings()

    def ask(self, *arguments: str, input: bytes = b"", index: Path | None = None) -> bytes:
        """Return what git says; with `index` as the index, instead of the user's."""
        env = {name: value for name, value in os.environ.items() if _KEPT.match(name)} | _VARIABLES
        if index is not None:
            env["GIT_INDEX_FILE"] = os.fspath(index)
        return probing.run([*self._command, *arguments], cwd=self.top, env=env, input=input)

    def _read_settings(self) -> dict[str, str]:
        """Read the settings, and from then on leave out the filters that the checkout itself brings.

        Those of the user, as of git-lfs, are run on the files as ever.
        """
        settings: dict[str, str] = {}
        words = self.ask("config", "--list", "--show-scope", "-z").decode("utf-8", "surrogateescape").split("\0")
        for scope, setting in zip(words[::2], words[1::2], strict=False):
            key, _, value = setting.partition("\n")
            settings[key] = value
            if scope not in {"local", "worktree"}:
                continue
            if (found := _FILTER.fullmatch(key)) is not None:
                self._leave_out(found[1])
        where = settings.get("core.worktree")
        if where is not None and not self.top.samefile(self._checkout.git_dir / where):
            raise PermissionError(f"the settings of {self.top} say that its files are in {where}")
        return settings

    def _leave_out(self, filter: str) -> None:
        if "=" in filter:
            raise PermissionError(f"a filter of {self.top} cannot be left out: {filter}")
        for name, value in (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")):
            self._command += ["-c", f"filter.{filter}.{name}={value}"]

    def status(self) -> Status:
        """Return what is checked out, and what differs from it, new files included that are not ignored."""
        said = self.ask(
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
            "--ignore-submodules=dirty",
            "--no-renames",
            "--no-ahead-behind",
        )
        headers: dict[bytes, str] = {}
        changes: dict[bytes, Change] = {}
        for line in said.split(b"\0"):
            match line[:1]:
                case b"#":
                    _, name, value = line.split(b" ", 2)
                    headers[name] = os.fsdecode(value)
                case b"1":
                    words = line.split(b" ", 8)
                    changes[words[8]] = Change(words[8], words[3].decode(), words[6].decode())
                case b"u":  # of the versions that are to be merged, the second is the commit's
                    words = line.split(b" ", 10)
                    changes[words[10]] = Change(words[10], words[4].decode(), words[8].decode())
                case b"?":
                    changes.setdefault(
                        line[2:], Change(line[2:])
                    )  # it may be in the commit and only taken from the index
        commit, branch = headers[b"branch.oid"], headers[b"branch.head"]
        return Status(
            commit=None if commit == "(initial)" else commit,
            branch=None if branch == "(detached)" else branch,
            changes=list(changes.values()),
        )
