import pytest

from lazytrack.artifacts import Shelf, registry
from lazytrack.files import open_files


@pytest.fixture
def store(tmp_path):
    """The folder of a store; it does not exist before something is written."""
    return tmp_path / "store"


@pytest.fixture
def shelf(store):
    return Shelf(open_files(store))


@pytest.fixture
def kept_files(store):
    """Return a function that lists every file in the store, hidden ones included."""

    def kept_files():
        return sorted(path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file())

    return kept_files


@pytest.fixture
def offer(monkeypatch):
    """Return a function by which installed packages offer these entry points, and no others."""

    def offer(*entry_points):
        monkeypatch.setattr(registry, "_entry_points", lambda: entry_points)

    offer()
    return offer
