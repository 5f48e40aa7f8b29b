"""What lazytrack relies on in a filesystem, as tests: for those who want to keep a store on one that is not proven."""

import contextlib
import functools
import hashlib
import io
import json
import os
import pickle
import sys
import threading
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lazytrack.files import Files, Stat, open_files

Place = tuple[str, dict[str, Any]]
"""The URL of a folder, and the storage options to open it with."""

_on_posix = pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")

PLAIN_NAMES = ["a-b_c.d.json", "0", "a..b"]
ODD_NAMES = [
    *PLAIN_NAMES,
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
    pytest.param("question?.json", marks=_on_posix),
    pytest.param("star*.json", marks=_on_posix),
    pytest.param("pipe|.json", marks=_on_posix),
    pytest.param("colon:.json", marks=_on_posix),
    pytest.param("double::colon.json", marks=_on_posix),
]
LARGE = bytes(range(256)) * 12_000
CONTENTS = {
    "a.json": b"0123456789",
    "log.json": b"beside",
    "logs/other.json": b"other",
    "log/deep/d.json": b"deep",
    "lines.txt": "eins\nzwölf\n".encode(),
    "raw.bin": b"\0\r\n\xff" * 3,
    "large.bin": LARGE,
    "empty.txt": b"",
    **{f"log/{number}.json": str(number).encode() for number in range(5)},
    **{f"names/{name}": name.encode() for name in PLAIN_NAMES},
}
"""What the reading part of the suite expects in the folder."""


def _numbered(first: int, end: int) -> list[str]:
    return [f"{number}.json" for number in range(first, end)]


class ReadingTests:
    """What is relied on where a store is read, also where it cannot be written.

    Subclass it, name the class ``Test…``, and give it the fixtures `place` and `filled`.
    """

    @pytest.fixture
    def place(self) -> Place:
        """Return the URL of the folder, and the storage options to open it with."""
        raise NotImplementedError("give the class a fixture `place`: the URL of a folder and its storage options")

    @pytest.fixture
    def filled(self) -> Files:
        """Return the files of a folder that holds `CONTENTS`."""
        raise NotImplementedError("give the class a fixture `filled`: files of a folder that holds CONTENTS")

    def test_what_is_read_is_what_is_there(self, filled: Files) -> None:
        for path, content in CONTENTS.items():
            assert filled.read(path) == content
            with filled.open_read(path) as file:
                assert file.read() == content

    def test_reading_may_be_limited(self, filled: Files) -> None:
        assert filled.read("a.json", limit=4) == b"0123"
        assert filled.read("a.json", limit=10) == b"0123456789"
        assert filled.read("a.json", limit=1000) == b"0123456789"
        assert filled.read("large.bin", limit=300_000) == LARGE[:300_000]

    def test_a_missing_file_is_told_from_every_other_fault(self, filled: Files) -> None:
        for path in ("missing", "log/missing", "a.json.bak", "nowhere/a.json"):
            for ask in (filled.read, filled.open_read):
                with pytest.raises(FileNotFoundError):
                    ask(path)
            with pytest.raises(FileNotFoundError):
                filled.read(path, limit=10)

    def test_many_files_are_read_and_a_missing_one_does_not_hide_the_others(self, filled: Files) -> None:
        paths = [*CONTENTS, "log/missing.json"]
        found = dict(filled.read_many(iter(paths)))
        assert isinstance(found.pop("log/missing.json"), FileNotFoundError)
        assert found == CONTENTS
        assert list(filled.read_many([])) == []

    def test_a_folder_that_does_not_exist_is_empty(self, filled: Files) -> None:
        assert filled.names("nowhere") == []
        assert filled.names("log/deeper") == []
        assert filled.names("lo") == []

    def test_a_listing_shows_files_of_this_folder_alone(self, filled: Files) -> None:
        assert sorted(filled.names("log")) == _numbered(0, 5)
        assert filled.names("log/deep") == ["d.json"]
        assert sorted(filled.names("names")) == sorted(PLAIN_NAMES)
        assert sorted(filled.names("")) == sorted(path for path in CONTENTS if "/" not in path)
        assert sorted(filled.below("log").names("")) == _numbered(0, 5)

    def test_walking_finds_every_file_at_any_depth(self, filled: Files) -> None:
        assert {path: stat.size for path, stat in filled.walk()} == {p: len(c) for p, c in CONTENTS.items()}
        assert sorted(path for path, _ in filled.walk("log")) == sorted(p for p in CONTENTS if p.startswith("log/"))
        assert sorted(path for path, _ in filled.below("log").walk()) == [*_numbered(0, 5), "deep/d.json"]
        assert list(filled.walk("nowhere")) == []
        for path, stat in filled.walk("log/deep"):
            assert stat.modified == filled.stat(path).modified

    def test_an_open_file_can_be_searched(self, filled: Files) -> None:
        with filled.open_read("a.json") as file:
            assert file.readable()
            assert file.seekable()
            assert file.read(3) == b"012"
            assert file.seek(-2, os.SEEK_END) == 8
            assert file.read() == b"89"
            file.seek(0)
            assert file.tell() == 0
            assert file.readinto(bytearray(20)) == 10  # type: ignore[attr-defined]

    def test_an_open_file_can_be_read_as_lines_of_text(self, filled: Files) -> None:
        with filled.open_read("lines.txt") as file, io.TextIOWrapper(file, encoding="utf-8") as text:
            assert list(text) == ["eins\n", "zwölf\n"]

    def test_below_a_folder_paths_are_relative_to_it(self, filled: Files) -> None:
        assert filled.below("log").read("0.json") == b"0"
        assert filled.below("log").below("deep").read("d.json") == b"deep"

    def test_the_url_opens_the_same_files(self, filled: Files, place: Place) -> None:
        assert open_files(filled.url, **place[1]).url == filled.url
        assert open_files(filled.url, **place[1]).read("log/0.json") == b"0"
        assert open_files(filled.below("log").url, **place[1]).read("0.json") == b"0"

    def test_files_can_be_pickled(self, filled: Files) -> None:
        assert filled.read("log/0.json") == b"0"
        assert pickle.loads(pickle.dumps(filled)).read("log/0.json") == b"0"

    def test_threads_read_at_the_same_time(self, filled: Files) -> None:
        assert _in_threads(8, lambda number: filled.read(f"log/{number % 5}.json")) == [
            str(number % 5).encode() for number in range(8)
        ]


class FilesTests(ReadingTests):
    """What is relied on where a store is written.

    Subclass it, name the class ``Test…``, and give it the fixture `place`. Tests of `Files.claim` are skipped where
    the filesystem says that it cannot do that: a project needs no claims.
    """

    @pytest.fixture
    def place(self) -> Place:
        """Return the URL of a folder that nobody has used yet, and the storage options to open it with."""
        raise NotImplementedError(
            "give the class a fixture `place`: the URL of an unused folder and its storage options"
        )

    @pytest.fixture
    def files(self, place: Place) -> Files:
        """Return the files of a folder that does not exist yet."""
        url, options = place
        return open_files(url, **options)

    @pytest.fixture
    def claimable(self, files: Files) -> Files:
        """Return files of which names can be claimed."""
        if not files.can_claim:
            pytest.skip("no names can be claimed on this filesystem")
        return files

    @pytest.fixture
    def filled(self, files: Files) -> Files:
        """Return the files of a folder that holds `CONTENTS`."""
        for path, content in CONTENTS.items():
            if content:
                files.create(path, content)
            else:
                with files.open_write(path):
                    pass
        return files

    # --- create and read ---

    @pytest.mark.parametrize("data", [b"1", b"\0\r\n\xff" * 3, "Größe\n".encode(), b"x" * 3_000_000], ids=len)
    def test_a_created_file_reads_back(self, files: Files, data: bytes) -> None:
        files.create("log/a.json", data)
        assert files.read("log/a.json") == data

    def test_a_file_is_created_in_folders_that_do_not_exist_yet(self, files: Files) -> None:
        files.create("a/b/c/d/e.json", b"1")
        files.create("a/b/other/e.json", b"2")
        assert files.read("a/b/c/d/e.json") == b"1"
        assert files.read("a/b/other/e.json") == b"2"

    def test_a_file_is_created_by_many_threads_in_one_new_folder(self, files: Files) -> None:
        _in_threads(16, lambda number: files.create(f"new/deep/{number}.json", str(number).encode()))
        assert sorted(files.names("new/deep")) == sorted(f"{number}.json" for number in range(16))

    def test_nobody_sees_half_of_a_file_that_is_created(self, files: Files, place: Place) -> None:
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(5):
                    files.create(f"log/{number}.json", LARGE)
            finally:
                done.set()

        def watch() -> set[int]:
            elsewhere = open_files(place[0], **place[1])
            seen, is_last = set(), False
            while not is_last:
                is_last = done.is_set()
                for name in elsewhere.names("log"):
                    with contextlib.suppress(FileNotFoundError):
                        seen.add(len(elsewhere.read(f"log/{name}")))
            return seen

        _, seen = _in_threads(2, lambda own: watch() if own else write())
        assert seen == {len(LARGE)}

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_every_name_that_the_storage_takes_is_taken_literally(self, files: Files, name: str) -> None:
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
    def test_every_folder_that_the_storage_takes_is_taken_literally(self, files: Files, name: str) -> None:
        files.create(f"{name}/a.json", b"1")
        assert files.names(name) == ["a.json"]
        assert files.below(name).read("a.json") == b"1"

    # --- claim ---

    def test_a_claim_is_won_once_and_keeps_what_its_winner_wrote(self, claimable: Files) -> None:
        assert claimable.claim("claims/model/3.json", b"first")
        assert not claimable.claim("claims/model/3.json", b"second")
        assert claimable.read("claims/model/3.json") == b"first"
        assert claimable.names("claims/model") == ["3.json"]

    def test_a_name_that_was_created_cannot_be_claimed(self, claimable: Files) -> None:
        claimable.create("a.json", b"created")
        assert not claimable.claim("a.json", b"claimed")
        assert claimable.read("a.json") == b"created"

    def test_a_name_that_was_removed_can_be_claimed_again(self, claimable: Files) -> None:
        claimable.claim("a.json", b"first")
        claimable.remove(["a.json"])
        assert claimable.claim("a.json", b"second")

    def test_of_sixteen_threads_exactly_one_wins_a_claim(self, claimable: Files) -> None:
        with _eager_switching():
            for number in range(5):
                path = f"claims/{number}.json"
                won = _in_threads(16, functools.partial(_claim, claimable, path))
                assert won.count(True) == 1
                assert won.count(False) == 15
                assert claimable.read(path) == f"claimed by {won.index(True)}".encode()

    def test_a_filesystem_claims_names_or_says_that_it_cannot(self, files: Files) -> None:
        if files.can_claim:
            assert files.claim("claims/a.json", b"1")
        else:
            with pytest.raises(io.UnsupportedOperation):
                files.claim("claims/a.json", b"1")
        assert files.names("claims") == ["a.json"] * files.can_claim

    # --- names ---

    def test_before_anything_is_written_there_is_nothing(self, files: Files) -> None:
        assert files.names("") == []
        assert files.names("log") == []
        assert files.names("log/deeper") == []

    def test_names_are_listed_anew_each_time(self, files: Files, place: Place) -> None:
        for number in range(3):
            files.create(f"log/{number}.json", b"1")
            assert sorted(files.names("log")) == [f"{other}.json" for other in range(number + 1)]
        files.remove(["log/0.json", "log/2.json"])
        assert files.names("log") == ["1.json"]
        open_files(files.url, **place[1]).create("log/by-another.json", b"1")
        assert sorted(files.names("log")) == ["1.json", "by-another.json"]

    def test_more_names_than_a_page_holds_are_listed(self, files: Files) -> None:
        _in_threads(8, lambda own: [files.create(f"log/{number}", b"1") for number in range(own, 1100, 8)])
        assert sorted(files.names("log")) == sorted(map(str, range(1100)))

    def test_names_that_begin_with_a_dot_are_not_shown(self, files: Files) -> None:
        files.create("log/.hidden", b"1")
        files.create("log/shown", b"1")
        assert files.names("log") == ["shown"]
        assert sorted(path for path, _ in files.walk()) == ["log/.hidden", "log/shown"]

    # --- stat and remove ---

    def test_stat_tells_the_size_and_the_same_time_whenever_it_is_asked(self, files: Files) -> None:
        files.create("a.json", b"12345")
        stat = files.stat("a.json")
        assert stat == Stat(size=5, modified=stat.modified, etag=stat.etag)
        assert type(stat.modified) is float
        assert files.stat("a.json") == stat
        with files.open_write("b.bin") as upload:
            upload.write(b"x" * 100_000)
        assert files.stat("b.bin").size == 100_000
        with pytest.raises(FileNotFoundError):
            files.stat("missing")

    def test_removing_takes_the_named_files_and_no_others(self, files: Files) -> None:
        for name in "abcd":
            files.create(f"log/{name}", b"1")
        files.remove(f"log/{name}" for name in "bd")
        assert sorted(files.names("log")) == ["a", "c"]
        with pytest.raises(FileNotFoundError):
            files.read("log/b")

    def test_folders_that_are_left_empty_can_go_and_others_stay(self, files: Files) -> None:
        for path in ("a/b/c/1.json", "a/b/2.json", "a/d/3.json"):
            files.create(path, b"1")
        files.remove(["a/b/c/1.json", "a/d/3.json"])
        files.prune(["a/b/c/1.json", "a/d/3.json"])
        assert [path for path, _ in files.walk()] == ["a/b/2.json"]
        files.create("a/b/c/1.json", b"again")
        assert files.read("a/b/c/1.json") == b"again"

    def test_removing_what_is_gone_is_no_error_and_does_not_keep_the_others(self, files: Files) -> None:
        files.create("log/a", b"1")
        files.remove(["log/missing", "nowhere/b", "log/a", "log/a"])
        assert files.names("log") == []
        files.remove([])

    # --- open_write ---

    def test_an_upload_hashes_and_counts_what_passes(self, files: Files) -> None:
        with files.open_write("a/b.bin") as upload:
            assert (upload.size, upload.sha256) == (0, hashlib.sha256().hexdigest())
            assert upload.write(b"some ") == 5
            assert (upload.size, upload.sha256) == (5, hashlib.sha256(b"some ").hexdigest())
            assert upload.write(b"bytes") == 5
        assert (upload.size, upload.sha256) == (10, hashlib.sha256(b"some bytes").hexdigest())
        assert files.read("a/b.bin") == b"some bytes"

    @pytest.mark.parametrize("size", [100_000, 25 * 2**20])
    def test_nobody_sees_an_upload_before_it_is_closed(self, files: Files, size: int) -> None:
        with files.open_write("a/b.bin") as upload:
            upload.write(b"x" * size)
            upload.flush()
            assert files.names("a") == []
            with pytest.raises(FileNotFoundError):
                files.read("a/b.bin")
            with pytest.raises(FileNotFoundError):
                files.stat("a/b.bin")
        assert files.names("a") == ["b.bin"]
        assert files.stat("a/b.bin").size == size

    @pytest.mark.parametrize("size", [4, 25 * 2**20])
    @pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, GeneratorExit])
    def test_an_upload_whose_block_raises_leaves_nothing(
        self, files: Files, error: type[BaseException], size: int
    ) -> None:
        with pytest.raises(error), files.open_write("a/b.bin") as upload:  # noqa: PT012  (the block is the subject)
            upload.write(b"x" * size)
            raise error("stopped")
        assert files.names("a") == []
        with pytest.raises(FileNotFoundError):
            files.read("a/b.bin")

    @pytest.mark.parametrize("size", [4, 25 * 2**20])
    def test_an_aborted_upload_leaves_nothing_and_swallows_what_still_comes(self, files: Files, size: int) -> None:
        with files.open_write("a/b.bin") as upload:
            upload.write(b"x" * size)
            upload.abort()
            assert upload.write(b"more") == 4
            assert upload.aborted
        assert files.names("a") == []
        with pytest.raises(FileNotFoundError):
            files.read("a/b.bin")

    def test_an_aborted_name_can_be_written_again(self, files: Files) -> None:
        with files.open_write("b.bin") as upload:
            upload.write(b"half")
            upload.abort()
        files.create("b.bin", b"whole")
        assert files.read("b.bin") == b"whole"

    def test_an_upload_that_was_given_nothing_is_an_empty_file(self, files: Files) -> None:
        with files.open_write("empty.txt") as upload:
            pass
        assert upload.size == 0
        assert files.read("empty.txt") == b""

    def test_a_large_upload_is_whole(self, files: Files) -> None:
        block = bytes(range(256)) * 4096
        with files.open_write("large.bin") as upload:
            for _ in range(25):
                upload.write(block)
            upload.write(b"end")
        assert upload.size == 25 * 2**20 + 3
        with files.open_read("large.bin") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == upload.sha256  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "buffer",
        [bytearray(b"abc"), memoryview(b"abcdef")[1:4], array("d", range(6)), array("f", range(200_000)), array("q")],
        ids=["bytearray", "memoryview", "floats", "large", "nothing"],
    )
    def test_an_upload_takes_any_contiguous_buffer_and_counts_its_bytes(self, files: Files, buffer: Any) -> None:
        with files.open_write("a.bin") as upload:
            written = upload.write(buffer)
        expected = bytes(buffer)
        assert written == upload.size == len(expected)
        assert files.read("a.bin") == expected
        assert upload.sha256 == hashlib.sha256(expected).hexdigest()

    def test_an_upload_carries_wrappers_for_text_and_for_small_pieces(self, files: Files) -> None:
        with files.open_write("a.json") as upload:
            text = io.TextIOWrapper(io.BufferedWriter(upload, 64), encoding="utf-8", newline="")
            json.dump({"größe": list(range(100))}, text, ensure_ascii=False)
            text.write("\r\n")
            text.flush()
        expected = (json.dumps({"größe": list(range(100))}, ensure_ascii=False) + "\r\n").encode()
        assert files.read("a.json") == expected
        assert (upload.size, upload.sha256) == (len(expected), hashlib.sha256(expected).hexdigest())

    def test_a_wrapper_that_is_closed_closes_the_upload_well(self, files: Files) -> None:
        with (
            files.open_write("a.txt") as upload,
            io.TextIOWrapper(io.BufferedWriter(upload), encoding="utf-8") as text,
        ):
            text.write("zwölf")
        assert upload.closed
        assert files.read("a.txt") == "zwölf".encode()
        assert upload.sha256 == hashlib.sha256("zwölf".encode()).hexdigest()

    def test_a_wrapper_dropped_after_an_abort_raises_nothing(self, files: Files) -> None:
        with files.open_write("a.txt") as upload:
            text = io.TextIOWrapper(io.BufferedWriter(upload), encoding="utf-8")
            text.write("half")
            upload.abort()
        text.close()
        assert files.names("") == []

    def test_a_pickle_streams_into_an_upload(self, files: Files) -> None:
        value = {"weights": array("f", range(100_000)), "names": ["a"] * 100}
        with files.open_write("a.pkl") as upload:
            buffered = io.BufferedWriter(upload)
            pickle.dump(value, buffered, protocol=5)
            buffered.flush()
        with files.open_read("a.pkl") as file:
            assert pickle.load(file) == value

    # --- the filesystem below ---

    def test_what_is_written_below_a_folder_is_in_it(self, files: Files) -> None:
        below = files.below("a").below("b")
        below.create("c/d.json", b"1")
        assert files.read("a/b/c/d.json") == b"1"
        assert below.url.rstrip("/") == f"{files.url}/a/b".replace("/", os.sep if os.sep in files.url else "/")

    def test_the_url_is_taken_literally(self, files: Files, place: Place) -> None:
        files.create("log/a b#c.json", b"1")
        assert open_files(files.url, **place[1]).read("log/a b#c.json") == b"1"
        assert open_files(files.below("log").url, **place[1]).names("") == ["a b#c.json"]

    def test_the_fsspec_filesystem_sees_the_same_files(self, files: Files) -> None:
        files.create("log/a.json", b"1")
        assert files.fs.exists(files.url)
        assert files.fs.cat_file(f"{files.url}/log/a.json") == b"1"


def _claim(files: Files, path: str, own: int) -> bool:
    return files.claim(path, f"claimed by {own}".encode())


def _in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call `work` with 0, 1, … at the same moment, and return what each call returned."""
    start = threading.Barrier(count)
    answers: list[Any] = [None] * count

    errors: list[BaseException] = []

    def run(place: int) -> None:
        start.wait()
        try:
            answers[place] = work(place)
        except BaseException as error:  # noqa: BLE001  (raised where it is seen)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


@contextlib.contextmanager
def _eager_switching() -> Iterator[None]:
    """Let threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
