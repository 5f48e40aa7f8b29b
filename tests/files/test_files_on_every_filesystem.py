"""The published suite over each filesystem that is proven, and over some that are not."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem

from lazytrack import naming
from lazytrack.files import open_files
from lazytrack.testing import FilesTests, ReadingTests
from lazytrack.testing.files import CONTENTS


class TestProvenFilesystems(FilesTests):
    @pytest.fixture
    def place(self, place):
        return place


class TestPlacesToReadFrom(ReadingTests):
    @pytest.fixture
    def place(self, read_only_place, tmp_path):
        for path, content in CONTENTS.items():
            (tmp_path / "store" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "store" / path).write_bytes(content)
        return read_only_place(tmp_path / "store")

    @pytest.fixture
    def filled(self, place):
        url, options = place
        return open_files(url, **options)


@pytest.mark.parametrize("size", [10 * 2**20 - 1, 10 * 2**20, 10 * 2**20 + 1, 20 * 2**20])
def test_a_server_that_sends_all_whatever_is_asked_for_is_read_once(read_only_place, tmp_path, size):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "large.bin").write_bytes(b"x" * size)
    url, options = read_only_place(tmp_path / "store")
    with open_files(url, **options).open_read("large.bin") as file:
        assert len(file.read()) == size


# --- filesystems that lazytrack knows nothing of ---


class Careful(LocalFileOpener):
    """A file that appears when it is closed."""

    def __init__(self, path, mode, **kwargs):
        super().__init__(path, mode, **{**kwargs, "autocommit": "r" in mode})

    def close(self):
        if not self.closed:
            super().close()
            if not self.autocommit:
                Path(self.temp).replace(self.path)

    def discard(self):
        super().close()
        Path(self.temp).unlink()

    def __exit__(self, *_):
        self.close()


class Shared(LocalFileSystem):
    """A filesystem that somebody else wrote for fsspec."""

    protocol = "shared"

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("shared://"))

    def _open(self, path, mode="rb", block_size=None, **kwargs):
        return Careful(self._strip_protocol(path), mode, fs=self, **kwargs)


class TestAFilesystemOfFsspecAlone(FilesTests):
    @pytest.fixture(autouse=True)
    def _registered(self):
        fsspec.register_implementation("shared", Shared, clobber=True)

    @pytest.fixture
    def place(self, tmp_path):
        return f"shared://{tmp_path}/store", {}

    @pytest.fixture
    def claimable(self):
        return open_files(f"memory://{naming.unique()}")  # where none can be claimed, nothing is to be tested


FAULTS = """
import fsspec, pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from lazytrack.testing import FilesTests

class Hasty(LocalFileSystem):
    protocol = "hasty"
    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("hasty://"))

class Forgetful(Hasty):
    protocol = "forgetful"
    def ls(self, path, detail=False, **kwargs):
        return super().ls(path, detail=detail, **kwargs)[1:]
    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("forgetful://"))

fsspec.register_implementation("hasty", Hasty)
fsspec.register_implementation("forgetful", Forgetful)

class TestHasty(FilesTests):
    @pytest.fixture
    def place(self, tmp_path):
        return f"hasty://{tmp_path}/store", {}

class TestForgetful(FilesTests):
    @pytest.fixture
    def place(self, tmp_path):
        return f"forgetful://{tmp_path}/store", {}

class TestWithoutAPlace(FilesTests):
    pass
"""


def test_the_suite_finds_what_is_wrong_with_a_filesystem(tmp_path):
    (tmp_path / "test_mine.py").write_text(FAULTS)
    chosen = "(before_it_is_closed and 26214400) or listed_anew or won_once or claims_names"
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-rA", "-q", "-k", chosen, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    outcome = {
        line.split(" - ")[0] for line in done.stdout.splitlines() if line.split(" ")[0] in {"FAILED", "PASSED", "ERROR"}
    }
    test = "test_mine.py::{}::{}".format
    upload = "test_nobody_sees_an_upload_before_it_is_closed[26214400]"
    assert f"FAILED {test('TestHasty', upload)}" in outcome
    assert f"PASSED {test('TestHasty', 'test_names_are_listed_anew_each_time')}" in outcome
    assert f"FAILED {test('TestForgetful', 'test_names_are_listed_anew_each_time')}" in outcome
    assert f"PASSED {test('TestForgetful', 'test_a_filesystem_claims_names_or_says_that_it_cannot')}" in outcome
    assert f"ERROR {test('TestWithoutAPlace', upload)}" in outcome
    assert "2 skipped" in done.stdout
    assert "give the class a fixture `place`" in done.stdout
