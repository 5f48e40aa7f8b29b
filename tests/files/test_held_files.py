"""Files that this process holds read like any others, and nothing of them is replaced or removed."""

import errno
import io
import pickle

import pytest

from lazytrack.files.held import HeldFiles
from lazytrack.testing import ReadingTests
from lazytrack.testing.files import CONTENTS


class TestHeldFiles(ReadingTests):
    @pytest.fixture
    def place(self):
        return "export.json", {}

    @pytest.fixture
    def filled(self):
        return HeldFiles("export.json", dict(CONTENTS))

    test_the_url_opens_the_same_files = None  # they are nowhere but here


class TestFilesThatAreOpenedWhenTheyAreRead(TestHeldFiles):
    @pytest.fixture
    def filled(self):
        return HeldFiles("export.json", {path: Opening(content) for path, content in CONTENTS.items()})


class Opening:
    """What opens a file."""

    def __init__(self, content):
        self.content = content

    def __call__(self):
        return io.BytesIO(self.content)


@pytest.fixture
def held():
    return {"log/a.json": b"1", "b.json": lambda: io.BytesIO(b"22")}


def test_what_is_created_is_held(held):
    files = HeldFiles("here", held)
    files.create("log/c.json", b"333")
    assert held["log/c.json"] == b"333"
    assert sorted(files.names("log")) == ["a.json", "c.json"]
    assert {path: stat.size for path, stat in files.walk()} == {"log/a.json": 1, "log/c.json": 3, "b.json": 2}


def test_nothing_is_replaced_claimed_or_removed(held):
    files = HeldFiles("here", held)
    assert not files.can_claim
    assert not files.is_shared
    with pytest.raises(io.UnsupportedOperation, match="no names are claimed in here"):
        files.claim("new.json", b"1")
    with pytest.raises(OSError, match="it is only read") as caught:
        files.remove(["b.json"])
    assert (caught.value.errno, caught.value.filename) == (errno.EROFS, "here/b.json")
    with pytest.raises(OSError, match="it is only read"), files.open_write("new.json"):
        pass
    files.remove([])
    assert held.keys() == {"log/a.json", "b.json"}


def test_names_that_begin_with_a_dot_are_not_shown():
    files = HeldFiles("here", {"log/.hidden.json": b"1", "log/a.json": b"2", ".b": b"3", "": b"4", "log/": b"5"})
    assert files.names("log") == ["a.json"]
    assert files.names("") == []


def test_a_missing_file_says_where_it_should_be(held):
    files = HeldFiles("here", held)
    for read in (files.read, files.stat, files.open_read):
        with pytest.raises(FileNotFoundError) as caught:
            read("log/none.json")
        assert caught.value.filename == "here/log/none.json"
    assert files.below("log").url == "here/log"
    assert files.below("none").names("") == []


def test_they_go_to_other_processes(held):
    del held["b.json"]
    files = pickle.loads(pickle.dumps(HeldFiles("here", held)))
    assert files.read("log/a.json") == b"1"
    assert files.fs is None
