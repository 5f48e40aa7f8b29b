"""What a process runs with: each probe tells one thing of it."""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lazytrack.provenance import checkout, conda, git, launched, probing, redact, script
from lazytrack.provenance.metadata import CONDA, LazytrackMetadata, LockFile

LONGEST_COMMAND = 16_384
LONGEST_TEXT = 65_536
"""Of a lock file, in bytes: of a longer one there is the digest alone."""
_LARGEST_LOCK = 64 << 20

_LOCK_FILES = re.compile(
    r"uv\.lock|poetry\.lock|pdm\.lock|pixi\.lock|Pipfile\.lock|pylock(\..+)?\.toml|requirements.*\.txt"
    r"|conda-lock\.ya?ml|environment\.ya?ml",
    re.DOTALL,
)
_OF_A_PYTHON = {"python", "executable", "packages", "sources", "conda", "conda_urls", "cuda", "blas"}
_SEPARATORS = re.compile(r"[-_.]+")
_NAME, _VERSION = (
    re.compile(rf"^{key}:[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE) for key in ("Name", "Version")
)


def present(names: Iterable[str]) -> dict[str, Any]:
    """Return these fields of `EnvironmentMetadata`, or that of `LazytrackMetadata`, as they are here and now."""
    found = probing.present(PROBES, names)
    command = launched.current()
    if command is None or command.interpreter is None:
        return found
    return {name: command.interpreter.get(name) if name in _OF_A_PYTHON else value for name, value in found.items()}


def command() -> str | None:
    """Return the command line of this process without secrets, cut where it is very long."""
    launching = launched.current()
    words = redact.redact_command(list(sys.orig_argv or sys.argv) if launching is None else launching.words)
    line = shlex.join(words)
    return line if len(line) <= LONGEST_COMMAND else line[: LONGEST_COMMAND - 1] + "…"


def root(folder: Path | None = None, program: Path | None = None) -> Path:
    """Return the top of the checkout that tells which code runs; the working folder where there is none.

    Parameters
    ----------
    folder, program
        The working folder and the file that is run; by default what they are now.
    """
    folder, program = _place(folder, program)
    found = checkout.find_of_code(folder, program)
    return folder if found is None or found.top is None else found.top


def _place(folder: Path | None, program: Path | None) -> tuple[Path, Path | None]:
    return (Path.cwd(), script.path()) if folder is None else (folder, program)


# --- packages ---


def packages() -> list[tuple[str, str]]:
    """Return the installed packages by normalised name; of one that is there twice, the one that is imported."""
    return list(_installed(_searched())[0])


def sources() -> dict[str, str]:
    """Return where packages came from that came from no index."""
    return dict(_installed(_searched())[1])


def _searched() -> tuple[tuple[str, int], ...]:
    """Return the folders that packages are in, each with its time of change: installing changes it."""
    found = []
    for folder in sys.path:
        try:
            found.append((folder, os.stat(folder or ".").st_mtime_ns))  # noqa: PTH116  (a text, as Python looks it up)
        except OSError:
            continue
    return tuple(found)


@functools.lru_cache(maxsize=1)
def _installed(searched: tuple[tuple[str, int], ...]) -> tuple[list[tuple[str, str]], dict[str, str]]:  # noqa: ARG001
    """Look through all installed packages; only when one of the folders has changed."""
    found: dict[str, tuple[str, str]] = {}
    sources: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        named = probing.ask("a package", lambda distribution=distribution: _named(distribution))  # type: ignore[misc]
        if named is None or (key := _SEPARATORS.sub("-", named[0]).lower()) in found:
            continue
        found[key] = named
        source = probing.ask(f"where {key} is from", lambda distribution=distribution: _source(distribution))  # type: ignore[misc]
        if source is not None:
            sources[named[0]] = source
    return [found[key] for key in sorted(found)], dict(sorted(sources.items()))


def _named(distribution: importlib.metadata.Distribution) -> tuple[str, str] | None:
    """Return a package's name and version, without parsing the pages of text that follow them."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    name, version = _NAME.search(head), _VERSION.search(head)
    return (name[1], version[1]) if name and version else None


def _source(distribution: importlib.metadata.Distribution) -> str | None:
    if conda.folder() is not None and (distribution.read_text("INSTALLER") or "").strip() == CONDA:
        return CONDA  # the folder it was built in, on another machine, is nowhere
    text = distribution.read_text("direct_url.json")
    if not text:
        return None
    said = json.loads(text)
    url = redact.redact_url(said["url"])
    if commit := said.get("vcs_info", {}).get("commit_id"):
        return f"{said['vcs_info']['vcs']}+{url}@{commit}"
    return f"{url} (editable)" if said.get("dir_info", {}).get("editable") else url


# --- lock files ---


def lock_files(folder: Path | None = None, program: Path | None = None) -> list[LockFile]:
    """Return the lock files of the folders from the working folder up to the root, or else from the program's.

    Parameters
    ----------
    folder, program
        See `root`.
    """
    folder, program = _place(folder, program)
    top = Path(os.path.realpath(root(folder, program)))
    here = Path(os.path.realpath(folder))
    if not here.is_relative_to(top) and program is not None:
        here = program.parent
    folders = [folder for folder in (here, *here.parents) if folder.is_relative_to(top)]
    found = (_locks_in(folder, top) for folder in folders)
    return sorted((lock for locks in found for lock in locks), key=lambda lock: lock.name)


def _locks_in(folder: Path, top: Path) -> Iterator[LockFile]:
    for name in os.listdir(folder):  # noqa: PTH208  (names are looked at, few files are)
        if _LOCK_FILES.fullmatch(name):
            lock = probing.ask(name, lambda name=name: _lock(folder / name, top))  # type: ignore[misc]
            if lock is not None:
                yield lock


def _lock(path: Path, top: Path) -> LockFile | None:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST_LOCK:
        return None
    data = path.read_bytes()
    return LockFile(
        name=probing.legible(redact.redact(path.relative_to(top).as_posix())),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        text=probing.ask(path.name, lambda: redact.redact(data.decode())) if len(data) <= LONGEST_TEXT else None,
    )


# --- what loaded libraries know; none is loaded for it ---


def cuda() -> str | None:
    """Return the version of CUDA that a loaded library was built for."""
    if (torch := sys.modules.get("torch")) is not None and (version := torch.version.cuda) is not None:
        return str(version)
    if (cupy := sys.modules.get("cupy")) is not None:
        number = cupy.cuda.runtime.runtimeGetVersion()  # such as 12020
        return f"{number // 1000}.{number % 1000 // 10}"
    return None


def blas() -> str | None:
    """Return name and version of the linear algebra library that numpy was built with."""
    if (numpy := sys.modules.get("numpy")) is None:
        return None
    told = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{told['name']} {told['version']}"


PROBES: dict[str, Callable[[], Any]] = {
    "python": platform.python_version,
    "executable": lambda: Path(sys.executable) if sys.executable else None,
    "command": command,
    "root": root,
    "packages": packages,
    "git": lambda: git.capture(Path.cwd(), program=script.path()),
    "lazytrack": LazytrackMetadata,
    "sources": sources,
    "conda": conda.packages,
    "lock_files": lock_files,
    "cuda": cuda,
    "blas": blas,
    "conda_urls": conda.urls,
    "version": lambda: importlib.metadata.version("lazytrack"),
}
"""By the field that each one fills; ``version`` is that of `LazytrackMetadata`."""
