import pytest

from lazytrack.files import open_files


@pytest.fixture
def files(place):
    """Files below a folder that does not exist yet, on each kind of filesystem in turn."""
    url, options = place
    return open_files(url, **options)
