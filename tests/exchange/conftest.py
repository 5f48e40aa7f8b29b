"""Stores that other trackers have written, for whoever imports from them, and the command line."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from servers.originals import NotInstalledError, stores_of

from lazytrack import cli


@pytest.fixture
def run(capsys):
    """Run a command, and return its exit code, and what it shows on stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def original_stores(tmp_path_factory):
    """Return what copies the stores of a tool to where they may be read, by the name of the tool."""

    def copy(name):
        try:
            written = stores_of(name)
        except NotInstalledError as error:
            pytest.skip(str(error))
        folder = tmp_path_factory.mktemp("originals") / name
        shutil.copytree(written, folder, symlinks=True)
        expected = json.loads((folder / "expected.json").read_text())
        return SimpleNamespace(folder=folder, expected=expected, executed=Path(expected["executed"]))

    return copy


@pytest.fixture(scope="session")
def lazyscribe_stores(original_stores):
    return original_stores("lazyscribe")


@pytest.fixture(scope="session")
def mlflow_stores(original_stores):
    return original_stores("mlflow")


@pytest.fixture(scope="session")
def tango_workspace(original_stores):
    return original_stores("tango")
