import pytest

from lazytrack import naming
from lazytrack.files import open_files


def local_folder(tmp_path):
    return str(tmp_path / "store")


def memory_folder(tmp_path):
    return f"memory://{naming.unique()}/store"


FOLDERS = {"local": local_folder, "memory": memory_folder}
"""How each kind of filesystem names a folder that nobody has used yet. A further kind is one more line."""


@pytest.fixture(params=sorted(FOLDERS))
def files(request, tmp_path):
    """Files below a folder that does not exist yet, on each kind of filesystem in turn."""
    files = open_files(FOLDERS[request.param](tmp_path))
    yield files
    if files.names("") or files.fs.exists(files.url):
        files.fs.rm(files.url, recursive=True)
