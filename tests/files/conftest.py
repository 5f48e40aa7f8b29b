import pytest

from lazytrack import naming
from lazytrack.files import open_files


@pytest.fixture
def local(tmp_path):
    return str(tmp_path / "store"), {}


@pytest.fixture
def memory():
    return f"memory://{naming.unique()}/store", {}


KINDS = ["local", "memory", "s3", "gcs", "azure", "sftp"]
"""Each is a fixture: a folder that nobody has used yet, and the options to open it with. A further kind is one more."""


@pytest.fixture(params=KINDS)
def place(request):
    """Where to open files: a folder that does not exist yet, and the options, on each kind of filesystem in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def files(place):
    """Files below a folder that does not exist yet, on each kind of filesystem in turn."""
    url, options = place
    return open_files(url, **options)
