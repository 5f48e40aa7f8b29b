"""The tools that lazytrack imports from, each at the last release that writes its stores, in an environment of its own.

The environments are made beside this file where they are missing, and so are the stores that the tools write in them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from servers.installing import PATIENCE, alone

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / ".originals"

REQUIREMENTS = {
    "lazyscribe": ["lazyscribe==2.2.2", "lazyscribe-joblib==0.2.1", "joblib==1.6.0"],
    # Later releases write files only if they are told to by a variable, and say that this will not change.
    "mlflow-file": ["mlflow-skinny==3.12.0"],
    "mlflow-sqlite": ["mlflow-skinny==3.17.2", "sqlalchemy==2.1.9", "alembic==1.20.1"],
    # It asks setuptools for what is installed.
    "tango": ["ai2-tango==1.3.2", "dill==0.4.1", "sqlitedict==2.1.0", "setuptools==80.9.0"],
}
WRITERS = {
    "lazyscribe": {"lazyscribe": []},
    "mlflow": {"mlflow-file": ["file"], "mlflow-sqlite": ["sqlite"]},
    "tango": {"tango": []},
}
"""By the name of a writer, the tools that run it, each with the arguments it is given after the folder."""


class NotInstalledError(Exception):
    """A tool cannot be installed here."""


def python_of(tool):
    """Return the Python of the environment that `tool` is installed in."""
    place = ENVIRONMENTS / tool
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    done, requirements = place / "installed", REQUIREMENTS[tool]
    with alone(f"original-{tool}"):
        if not done.exists() or done.read_text() != "\n".join(requirements):
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
            try:
                venv.create(place, clear=True, symlinks=os.name != "nt", with_pip=True)
                subprocess.run(command, check=True, timeout=PATIENCE)
            except (OSError, subprocess.SubprocessError) as error:
                raise NotInstalledError(f"{tool} cannot be installed here: {error}") from error
            done.write_text("\n".join(requirements))
    return python


def stores_of(name):
    """Return the folder of the stores that the writer `name` writes; they are written once, and belong to everyone.

    They name their places by where they were written, which is another folder than the one they are in.
    """
    program, tools = HERE / f"write_{name}.py", WRITERS[name]
    pythons = {tool: python_of(tool) for tool in tools}
    pinned = "\n".join(requirement for tool in tools for requirement in REQUIREMENTS[tool])
    key = hashlib.sha256(program.read_bytes() + pinned.encode() + sys.version.encode()).hexdigest()[:12]
    stores = ENVIRONMENTS / "stores" / f"{name}-{key}"
    with alone(f"stores-{name}"):
        unfinished = stores.with_suffix(".part")
        # It is where the traps are that tests may spring, too: those of an earlier time are forgotten.
        shutil.rmtree(unfinished, ignore_errors=True)
        if not stores.exists():
            unfinished.mkdir(parents=True)
            for tool, arguments in tools.items():
                command = [pythons[tool], "-W", "ignore", program, unfinished, *arguments]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(), timeout=PATIENCE)
            unfinished.rename(stores)
    return stores


def environment():
    """Return the environment of the tests without what would change what a tool writes."""
    foreign = ("COVERAGE", "LAZYTRACK", "MLFLOW", "PYTEST", "PYTHON", "TANGO")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
