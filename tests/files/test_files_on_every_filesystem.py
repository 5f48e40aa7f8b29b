"""What every filesystem promises. The fixture `files` decides which there are; no test knows."""

import hashlib
import io
import json
import os
import pickle
import sys
import threading

import numpy as np
import pytest

from lazytrack.files import Stat, open_files

on_posix = pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")

ODD_NAMES = [
    "with space.json",
    "hash#1.json",
    "percent%20.json",
    "plus+and&=.json",
    "Größe-模型-🚀.json",
    "UPPER.json",
    "[1].json",
    "{a,b}.json",
    "~tilde",
    "semi;colon,comma'quote",
    "a..b",
    pytest.param("question?.json", marks=on_posix),
    pytest.param("star*.json", marks=on_posix),
    pytest.param("pipe|.json", marks=on_posix),
    pytest.param("colon:.json", marks=on_posix),
    pytest.param("double::colon.json", marks=on_posix),
]


def in_threads(count, work):
    """Call `work` with 0, 1, … at the same moment, and return what each call returned."""
    start = threading.Barrier(count)
    answers = [None] * count

    def run(place):
        start.wait()
        answers[place] = work(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.fixture
def eager_switching():
    """Let threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def claimable(files):
    if not files.can_claim:
        pytest.skip("no names can be claimed on this filesystem")
    return files


# --- create and read ---


@pytest.mark.parametrize("data", [b"1", b"\0\r\n\xff" * 3, "Größe\n".encode(), b"x" * 3_000_000], ids=len)
def test_a_created_file_reads_back(files, data):
    files.create("log/a.json", data)
    assert files.read("log/a.json") == data


def test_a_file_is_created_in_folders_that_do_not_exist_yet(files):
    files.create("a/b/c/d/e.json", b"1")
    files.create("a/b/other/e.json", b"2")
    assert files.read("a/b/c/d/e.json") == b"1"
    assert files.read("a/b/other/e.json") == b"2"


def test_a_file_is_created_by_many_threads_in_one_new_folder(files):
    in_threads(16, lambda place: files.create(f"new/deep/{place}.json", str(place).encode()))
    assert sorted(files.names("new/deep")) == sorted(f"{place}.json" for place in range(16))


def test_reading_may_be_limited(files):
    files.create("a.json", b"0123456789")
    assert files.read("a.json", limit=4) == b"0123"
    assert files.read("a.json", limit=10) == b"0123456789"
    assert files.read("a.json", limit=1000) == b"0123456789"


@pytest.mark.parametrize("path", ["missing", "log/missing", "a.json.bak"])
def test_a_missing_file_is_told_from_every_other_fault(files, path):
    files.create("a.json", b"1")
    for ask in (files.read, files.stat, files.open_read):
        with pytest.raises(FileNotFoundError):
            ask(path)
    with pytest.raises(FileNotFoundError):
        files.read(path, limit=10)


def test_many_files_are_read_and_a_missing_one_does_not_hide_the_others(files):
    for place in range(5):
        files.create(f"log/{place}.json", str(place).encode())
    paths = [*(f"log/{place}.json" for place in range(5)), "log/missing.json"]
    found = dict(files.read_many(iter(paths)))
    assert isinstance(found.pop("log/missing.json"), FileNotFoundError)
    assert found == {f"log/{place}.json": str(place).encode() for place in range(5)}
    assert list(files.read_many([])) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_name_that_the_storage_takes_is_taken_literally(files, name):
    files.create(f"log/{name}", b"created")
    with files.open_write(f"uploads/{name}") as upload:
        upload.write(b"written")
    assert files.names("log") == [name]
    assert files.read(f"log/{name}") == b"created"
    assert dict(files.read_many([f"log/{name}"])) == {f"log/{name}": b"created"}
    with files.open_read(f"uploads/{name}") as file:
        assert file.read() == b"written"
    assert files.stat(f"log/{name}").size == 7
    if files.can_claim:
        assert not files.claim(f"log/{name}", b"claimed")
        assert files.claim(f"claims/{name}", b"claimed")
        assert files.names("claims") == [name]
    files.remove([f"log/{name}"])
    assert files.names("log") == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_every_folder_that_the_storage_takes_is_taken_literally(files, name):
    files.create(f"{name}/a.json", b"1")
    assert files.names(name) == ["a.json"]
    assert files.below(name).read("a.json") == b"1"


# --- claim ---


def test_a_claim_is_won_once_and_keeps_what_its_winner_wrote(claimable):
    assert claimable.claim("claims/model/3.json", b"first")
    assert not claimable.claim("claims/model/3.json", b"second")
    assert claimable.read("claims/model/3.json") == b"first"
    assert claimable.names("claims/model") == ["3.json"]


def test_a_name_that_was_created_cannot_be_claimed(claimable):
    claimable.create("a.json", b"created")
    assert not claimable.claim("a.json", b"claimed")
    assert claimable.read("a.json") == b"created"


def test_a_name_that_was_removed_can_be_claimed_again(claimable):
    claimable.claim("a.json", b"first")
    claimable.remove(["a.json"])
    assert claimable.claim("a.json", b"second")


def test_of_sixteen_threads_exactly_one_wins_a_claim(claimable, eager_switching):
    for number in range(5):
        path = f"claims/{number}.json"
        won = in_threads(16, lambda place, path=path: claimable.claim(path, f"claimed by {place}".encode()))
        assert won.count(True) == 1
        assert won.count(False) == 15
        assert claimable.read(path) == f"claimed by {won.index(True)}".encode()


def test_a_filesystem_claims_names_or_says_that_it_cannot(files):
    if files.can_claim:
        assert files.claim("claims/a.json", b"1")
    else:
        with pytest.raises(io.UnsupportedOperation):
            files.claim("claims/a.json", b"1")
    assert files.names("claims") == ["a.json"] * files.can_claim


# --- names ---


def test_a_folder_that_does_not_exist_is_empty(files):
    assert files.names("") == []
    assert files.names("log") == []
    assert files.names("log/deeper") == []


def test_names_are_listed_anew_each_time(files, place):
    for number in range(3):
        files.create(f"log/{number}.json", b"1")
        assert sorted(files.names("log")) == [f"{other}.json" for other in range(number + 1)]
    files.remove(["log/0.json", "log/2.json"])
    assert files.names("log") == ["1.json"]
    open_files(files.url, **place[1]).create("log/by-another.json", b"1")
    assert sorted(files.names("log")) == ["1.json", "by-another.json"]


def test_a_listing_shows_files_of_this_folder_alone(files):
    for path in ("a.json", "log/b.json", "log/deep/c.json", "logs/d.json", "log.json"):
        files.create(path, b"1")
    assert files.names("log") == ["b.json"]
    assert files.names("log/deep") == ["c.json"]


def test_the_folder_itself_can_be_listed(files):
    files.create("a.json", b"1")
    files.create("log/b.json", b"1")
    assert files.names("") == ["a.json"]
    assert files.below("log").names("") == ["b.json"]


def test_names_that_begin_with_a_dot_are_not_shown(files):
    files.create("log/.hidden", b"1")
    files.create("log/shown", b"1")
    assert files.names("log") == ["shown"]


# --- stat and remove ---


def test_stat_tells_the_size_and_the_same_time_whenever_it_is_asked(files):
    files.create("a.json", b"12345")
    stat = files.stat("a.json")
    assert stat == Stat(size=5, modified=stat.modified)
    assert type(stat.modified) is float
    assert files.stat("a.json") == stat
    with files.open_write("b.bin") as upload:
        upload.write(b"x" * 100_000)
    assert files.stat("b.bin").size == 100_000


def test_removing_takes_the_named_files_and_no_others(files):
    for name in "abcd":
        files.create(f"log/{name}", b"1")
    files.remove(f"log/{name}" for name in "bd")
    assert sorted(files.names("log")) == ["a", "c"]
    with pytest.raises(FileNotFoundError):
        files.read("log/b")


def test_removing_what_is_gone_is_no_error_and_does_not_keep_the_others(files):
    files.create("log/a", b"1")
    files.remove(["log/missing", "nowhere/b", "log/a", "log/a"])
    assert files.names("log") == []
    files.remove([])


# --- open_read ---


def test_an_open_file_can_be_searched(files):
    files.create("a.bin", b"0123456789")
    with files.open_read("a.bin") as file:
        assert file.readable()
        assert file.seekable()
        assert file.read(3) == b"012"
        assert file.seek(-2, os.SEEK_END) == 8
        assert file.read() == b"89"
        file.seek(0)
        assert file.tell() == 0
        assert hashlib.file_digest(file, "sha256").hexdigest() == hashlib.sha256(b"0123456789").hexdigest()


def test_an_open_file_can_be_read_as_lines_of_text(files):
    files.create("a.txt", "eins\nzwölf\n".encode())
    with files.open_read("a.txt") as file, io.TextIOWrapper(file, encoding="utf-8") as text:
        assert list(text) == ["eins\n", "zwölf\n"]


# --- open_write ---


def test_an_upload_hashes_and_counts_what_passes(files):
    with files.open_write("a/b.bin") as upload:
        assert (upload.size, upload.sha256) == (0, hashlib.sha256().hexdigest())
        assert upload.write(b"some ") == 5
        assert (upload.size, upload.sha256) == (5, hashlib.sha256(b"some ").hexdigest())
        assert upload.write(b"bytes") == 5
    assert (upload.size, upload.sha256) == (10, hashlib.sha256(b"some bytes").hexdigest())
    assert files.read("a/b.bin") == b"some bytes"


def test_nobody_sees_an_upload_before_it_is_closed(files):
    with files.open_write("a/b.bin") as upload:
        upload.write(b"x" * 100_000)
        upload.flush()
        assert files.names("a") == []
        with pytest.raises(FileNotFoundError):
            files.read("a/b.bin")
        with pytest.raises(FileNotFoundError):
            files.stat("a/b.bin")
    assert files.names("a") == ["b.bin"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, GeneratorExit])
def test_an_upload_whose_block_raises_leaves_nothing(files, error):
    with pytest.raises(error), files.open_write("a/b.bin") as upload:
        upload.write(b"half")
        raise error("stopped")
    assert files.names("a") == []
    with pytest.raises(FileNotFoundError):
        files.read("a/b.bin")


def test_an_aborted_upload_leaves_nothing_and_swallows_what_still_comes(files):
    with files.open_write("a/b.bin") as upload:
        upload.write(b"half")
        upload.abort()
        assert upload.write(b"more") == 4
        assert upload.aborted
    assert files.names("a") == []
    with pytest.raises(FileNotFoundError):
        files.read("a/b.bin")


def test_an_aborted_name_can_be_written_again(files):
    with files.open_write("b.bin") as upload:
        upload.write(b"half")
        upload.abort()
    files.create("b.bin", b"whole")
    assert files.read("b.bin") == b"whole"


def test_an_upload_that_was_given_nothing_is_an_empty_file(files):
    with files.open_write("empty.txt") as upload:
        pass
    assert upload.size == 0
    assert files.read("empty.txt") == b""


def test_a_large_upload_is_whole(files):
    block = bytes(range(256)) * 4096
    with files.open_write("large.bin") as upload:
        for _ in range(4):
            upload.write(block)
        upload.write(b"end")
    assert upload.size == 4 * 2**20 + 3
    with files.open_read("large.bin") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == upload.sha256


BUFFERS = {
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abcdef")[1:4],
    "floats": np.arange(6.0),
    "matrix": np.arange(6, dtype=np.int16).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "zero-dimensional": np.array(2.5),
    "nothing": np.zeros(0),
    "no rows": np.zeros((0, 3)),
    "halves": np.arange(3, dtype=np.float16),
    "complex": np.array([1j, 2]),
    "big-endian": np.arange(3, dtype=">f8"),
    "booleans": np.array([True, False]),
    "structures": np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "large": np.arange(200_000, dtype=np.float32),
}


@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS.keys())
def test_an_upload_takes_any_contiguous_buffer_and_counts_its_bytes(files, buffer):
    with files.open_write("a.bin") as upload:
        written = upload.write(buffer)
    expected = buffer.tobytes("A") if hasattr(buffer, "tobytes") else bytes(buffer)
    assert written == upload.size == len(expected)
    assert files.read("a.bin") == expected
    assert upload.sha256 == hashlib.sha256(expected).hexdigest()


def test_an_upload_carries_wrappers_for_text_and_for_small_pieces(files):
    with files.open_write("a.json") as upload:
        buffered = io.BufferedWriter(upload, 64)
        text = io.TextIOWrapper(buffered, encoding="utf-8", newline="")
        json.dump({"größe": list(range(100))}, text, ensure_ascii=False)
        text.write("\r\n")
        text.flush()
    expected = (json.dumps({"größe": list(range(100))}, ensure_ascii=False) + "\r\n").encode()
    assert files.read("a.json") == expected
    assert (upload.size, upload.sha256) == (len(expected), hashlib.sha256(expected).hexdigest())


def test_a_wrapper_that_is_closed_closes_the_upload_well(files):
    with files.open_write("a.txt") as upload, io.TextIOWrapper(io.BufferedWriter(upload), encoding="utf-8") as text:
        text.write("zwölf")
    assert upload.closed
    assert files.read("a.txt") == "zwölf".encode()
    assert upload.sha256 == hashlib.sha256("zwölf".encode()).hexdigest()


def test_a_wrapper_dropped_after_an_abort_raises_nothing(files):
    with files.open_write("a.txt") as upload:
        text = io.TextIOWrapper(io.BufferedWriter(upload), encoding="utf-8")
        text.write("half")
        upload.abort()
    text.close()
    assert files.names("") == []


def test_a_pickle_streams_into_an_upload(files):
    value = {"weights": np.arange(100_000, dtype=np.float32), "names": ["a"] * 100}
    with files.open_write("a.pkl") as upload:
        buffered = io.BufferedWriter(upload)
        pickle.dump(value, buffered, protocol=5)
        buffered.flush()
    with files.open_read("a.pkl") as file:
        read = pickle.load(file)
    assert np.array_equal(read["weights"], value["weights"])
    assert read["names"] == value["names"]


# --- below, and again from elsewhere ---


def test_below_a_folder_paths_are_relative_to_it(files):
    below = files.below("a").below("b")
    below.create("c/d.json", b"1")
    assert files.read("a/b/c/d.json") == b"1"
    assert files.below("a/b").names("c") == ["d.json"]
    assert below.url.rstrip("/") == f"{files.url}/a/b".replace("/", os.sep if os.sep in files.url else "/")


def test_the_url_opens_the_same_files(files, place):
    files.create("log/a b#c.json", b"1")
    assert open_files(files.url, **place[1]).read("log/a b#c.json") == b"1"
    assert open_files(files.url, **place[1]).url == files.url
    assert open_files(files.below("log").url, **place[1]).names("") == ["a b#c.json"]


def test_files_can_be_pickled(files):
    files.create("a.json", b"1")
    assert files.fs.exists(files.url)
    assert pickle.loads(pickle.dumps(files)).read("a.json") == b"1"


def test_the_fsspec_filesystem_sees_the_same_files(files):
    files.create("log/a.json", b"1")
    assert files.fs.cat_file(f"{files.url}/log/a.json") == b"1"
