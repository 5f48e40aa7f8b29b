"""What tests of upkeep share."""

import pytest
from storage_clock import StorageClock


@pytest.fixture
def storage(monkeypatch):
    """Return the clock of local disks, which a test moves."""
    return StorageClock(monkeypatch)
