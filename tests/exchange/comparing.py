"""What the tests of exchange compare with: folders as they are, and imports that may not unpickle anything."""

import contextlib
import hashlib
import pickle
from types import SimpleNamespace

import pytest

from lazytrack import Project, Repository


@contextlib.contextmanager
def nothing_unpickled():
    """Fail where the block unpickles anything, whoever catches exceptions."""

    def refuse(*_, **__):
        pytest.fail("something is unpickled")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("load", "loads", "Unpickler"):
            patch.setattr(pickle, name, refuse)
            patch.setattr(pickle, f"_{name}", refuse)
        yield


def imported(kind, source, folder, **how):
    """Import into a project and a repository in a folder; return these, opened anew, with the report."""
    with nothing_unpickled():
        report = Project(folder / "project").import_from(
            kind, source, repository=Repository(folder / "repository"), **how
        )
    return SimpleNamespace(folder=folder, report=report, **opened(folder))


def opened(folder):
    return {"project": Project(folder / "project"), "repository": Repository(folder / "repository")}


def contents(folder):
    """Return what is in each file of a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def digest(content):
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def digests(path):
    """Return the digest of a file, or of each file of a folder by its path there, as the original tools' writers do."""
    if path.is_file():
        return digest(path.read_bytes())
    return {name: digest(content) for name, content in contents(path).items()}


def number(value):
    """Return a number that JSON lacks from what stands for it there, and others as they are."""
    return float(value) if isinstance(value, str) else value
