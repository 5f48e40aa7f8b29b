"""Where benchmarks write, on which filesystem, and which interpreters have the libraries that are compared."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSIONS = {"lazyscribe": "2.2.2", "sacred": "0.8.7", "trackio": "0.43.0"}
"""Of the libraries that lazytrack is compared with."""
_NEEDS = {"sacred": ["setuptools<81"]}
"""What they need besides and do not ask for."""


@contextmanager
def work_folder() -> Iterator[Path]:
    """Make a folder of this run's own below the repository, so on the disk that it is on, and remove it at the end."""
    parent = HERE / ".work"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def filesystem(folder: Path) -> str:
    """Return the type of the filesystem that a folder is on, as ``ext4``; where there is no /proc, ``unknown``."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    mounts = [(line.split()[4], line.split(" - ")[1].split()[0]) for line in lines]
    inside = [(mount, kind) for mount, kind in mounts if folder.resolve().is_relative_to(mount)]
    return max(inside, key=lambda pair: len(pair[0]))[1]  # of several on one place, the last hides the others


def settle(folder: Path) -> None:
    """Wait until the filesystem of a folder has forgotten what was deleted on it, before saves are timed.

    For a minute after many files were deleted ext4 does not use their inodes again, and looks at each of them for
    every new file and folder: these then cost several times as much.
    """
    if filesystem(folder) == "ext4":
        os.sync()
        time.sleep(61)


def environment() -> dict[str, str]:
    """Return the environment for interpreters that are timed.

    Bytecode is cached, whatever is set here, and pickles are signed without a key file being made for it.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "PYTHONPYCACHEPREFIX": str(HERE / ".work" / "bytecode"),
        "LAZYTRACK_SIGNING_KEY": "benchmarks-sign-with-an-open-key",
    }


def python_with(library: str) -> Path:
    """Return an interpreter that has one of `VERSIONS`, in a virtual environment of its own, made at first use.

    Raises
    ------
    subprocess.CalledProcessError
        When it cannot be installed.
    """
    venv, wanted = HERE / f".venv-{library}", VERSIONS[library]
    python = venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists() or _version(python, library) != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([python, *install, f"{library}=={wanted}", *_NEEDS.get(library, [])], check=True)
    return python


def _version(python: Path, library: str) -> str:
    ask = f"from importlib.metadata import version; print(version({library!r}))"
    return subprocess.run([python, "-c", ask], check=False, capture_output=True, text=True).stdout.strip()
