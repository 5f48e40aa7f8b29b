import errno
import os
import subprocess
import sys
import tempfile
import threading

import pytest

from lazytrack.files import open_files, open_private

on_posix = pytest.mark.skipif(os.name == "nt", reason="Windows keeps folders without being asked")


@pytest.fixture
def store(tmp_path):
    """A folder that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def files(store):
    return open_files(store)


def everything(folder):
    """Return every file below a folder, hidden ones included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def write_by_create(files, path, data):
    files.create(path, data)


def write_by_claim(files, path, data):
    assert files.claim(path, data)


def write_by_upload(files, path, data):
    with files.open_write(path) as upload:
        upload.write(data)


WRITERS = [write_by_create, write_by_claim, write_by_upload]
each_writer = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__.removeprefix("write_by_"))


def identity(path):
    stat = os.stat(path)  # noqa: PTH116  (an open file has no Path)
    return stat.st_dev, stat.st_ino


@pytest.fixture
def events(monkeypatch):
    """What the operating system was asked to do, in order: what was synced, renamed, linked and made."""
    events = []
    fsync, replace, link, mkdir = os.fsync, os.replace, os.link, os.mkdir

    def record_fsync(fd):
        events.append(("fsync", identity(fd)))
        fsync(fd)

    def record_replace(source, target):
        replace(source, target)
        events.append(("appear", str(target), str(source)))

    def record_link(source, target):
        link(source, target)
        events.append(("appear", str(target), str(source)))

    def record_mkdir(path, *args, **kwargs):
        mkdir(path, *args, **kwargs)
        events.append(("mkdir", str(path)))

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    monkeypatch.setattr(os, "link", record_link)
    monkeypatch.setattr(os, "mkdir", record_mkdir)
    return events


# --- what a crash leaves ---


@each_writer
def test_a_file_is_synced_before_it_appears_and_its_folder_after(files, store, events, write):
    store.mkdir()
    del events[:]
    write(files, "a.json", b"1")
    [appeared] = [place for place, event in enumerate(events) if event[0] == "appear"]
    synced = [event[1] for event in events[:appeared] if event[0] == "fsync"]
    assert synced == [identity(store / "a.json")]
    if os.name != "nt":
        assert ("fsync", identity(store)) in events[appeared:]


@on_posix
@each_writer
def test_the_parents_of_new_folders_are_synced_after_these_were_made(files, store, tmp_path, events, write):
    write(files, "a/b/c.json", b"1")
    made = [event[1] for event in events if event[0] == "mkdir"]
    assert made == [str(store), str(store / "a"), str(store / "a/b")]
    for folder, parent in ((store, tmp_path), (store / "a", store), (store / "a/b", store / "a")):
        assert ("fsync", identity(parent)) in events[events.index(("mkdir", str(folder))) :]
    appeared = next(place for place, event in enumerate(events) if event[0] == "appear")
    assert events[appeared + 1] == ("fsync", identity(store / "a/b"))


@each_writer
def test_in_a_folder_that_was_written_to_only_two_things_are_synced(files, store, events, write):
    write(files, "a/b/first.json", b"1")
    del events[:]
    write(files, "a/b/c.json", b"1")
    assert [event[0] for event in events] == ["fsync", "appear"] + ["fsync"] * (os.name != "nt")


@on_posix
@each_writer
def test_folders_that_another_process_has_just_made_are_synced_once(files, store, tmp_path, events, write):
    (store / "a/b").mkdir(parents=True)  # and that process may die before it syncs them
    del events[:]
    write(files, "a/b/c.json", b"1")
    synced = [event[1] for event in events if event[0] == "fsync"]
    assert synced[-4:] == [identity(store / "a/b"), identity(store / "a"), identity(store), identity(tmp_path)]


@on_posix
def test_a_folder_above_the_store_that_may_not_be_read_does_not_stop_a_save(files, store, monkeypatch):
    store.mkdir()
    real = os.open

    def refuse(path, *args, **kwargs):
        if str(path) == str(store.parent):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    files.create("a.json", b"1")
    assert files.read("a.json") == b"1"


@each_writer
def test_a_file_that_cannot_be_synced_never_appears(files, store, monkeypatch, write):
    def refuse(fd):
        raise OSError(errno.EIO, "Input/output error")

    store.mkdir()
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        write(files, "a.json", b"1")
    assert everything(store) == []


def test_a_file_that_cannot_be_renamed_leaves_nothing(files, store, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="Permission denied"):
        files.create("a.json", b"1")
    assert everything(store) == []


# --- the hidden neighbour ---


LONG_NAMES = [
    pytest.param("n" * 250, marks=on_posix, id="long"),
    pytest.param("🚀" * 62, marks=on_posix, id="emoji"),
]
"""Names so near the limit of 255 bytes that a hidden neighbour cannot be longer than they are."""


@each_writer
@pytest.mark.parametrize("name", ["c.json", *LONG_NAMES])
def test_the_temporary_file_is_a_hidden_neighbour_and_never_elsewhere(
    files, store, tmp_path, monkeypatch, events, write, name
):
    elsewhere = tmp_path / "temporary"
    elsewhere.mkdir()
    for variable in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(variable, str(elsewhere))
    monkeypatch.setattr(tempfile, "tempdir", None)
    os.utime(elsewhere, (0, 0))
    (store / "a/b").mkdir(parents=True)
    write(files, f"a/b/{name}", b"1")
    [(_, target, source)] = [event for event in events if event[0] == "appear"]
    assert target == str(store / "a/b" / name)
    assert os.path.dirname(source) == str(store / "a/b")  # noqa: PTH120  (paths are strings here)
    assert os.path.basename(source).startswith(".")  # noqa: PTH119
    assert elsewhere.stat().st_mtime == 0  # not even for a moment
    assert everything(store) == [f"a/b/{name}"]


def test_while_a_file_is_written_there_is_one_hidden_neighbour_and_afterwards_none(files, store):
    with files.open_write("a/b.bin") as upload:
        upload.write(b"half")
        [hidden] = everything(store)
        assert hidden.startswith(".")  # the folder is made when there is something to put into it
        assert files.names("a") == []
    assert everything(store) == ["a/b.bin"]
    with files.open_write("a/c.bin") as upload:
        upload.write(b"half")
        [hidden] = set(everything(store)) - {"a/b.bin"}
        assert hidden.startswith("a/.")
    assert everything(store) == ["a/b.bin", "a/c.bin"]


@pytest.mark.parametrize("how", ["raises", "aborts"])
def test_an_upload_given_up_leaves_no_neighbour(files, store, how):
    def write():
        with files.open_write("a/b.bin") as upload:
            upload.write(b"half")
            if how == "raises":
                raise KeyboardInterrupt
            upload.abort()

    if how == "raises":
        with pytest.raises(KeyboardInterrupt):
            write()
    else:
        write()
    assert everything(store) == []
    assert list(store.iterdir()) == []  # no empty folder either


def test_what_is_private_may_be_read_by_this_user_alone(tmp_path):
    files = open_private(str(tmp_path / "keys"))
    files.create("created", b"1")
    assert files.claim("claimed", b"1")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_two_writers_of_one_name_do_not_share_a_neighbour(files, store):
    with files.open_write("a.bin") as one, files.open_write("a.bin") as other:
        one.write(b"one")
        other.write(b"other")
        assert len(everything(store)) == 2
    assert files.read("a.bin") == b"one"
    assert everything(store) == ["a.bin"]


@pytest.mark.parametrize("won", [True, False])
def test_a_claim_leaves_no_neighbour_won_or_lost(files, store, won):
    if not won:
        files.create("a.json", b"0")
    assert files.claim("a.json", b"1") is won
    assert everything(store) == ["a.json"]


@on_posix
@each_writer
def test_a_file_may_be_read_by_whom_the_umask_lets(files, store, write):
    before = os.umask(0o027)
    try:
        write(files, "a.json", b"1")
    finally:
        os.umask(before)
    assert (store / "a.json").stat().st_mode & 0o777 == 0o640


# --- where it is ---


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    files = open_files("store")
    files.create("a.json", b"1")
    monkeypatch.chdir(tmp_path / "elsewhere")
    files.create("b.json", b"2")
    assert files.read("a.json") == b"1"
    files.below("deeper").create("c.json", b"3")
    assert everything(tmp_path) == ["store/a.json", "store/b.json", "store/deeper/c.json"]


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="no symbolic links")
def test_a_store_behind_a_symbolic_link_is_the_same_store(files, store, tmp_path):
    files.create("a.json", b"1")
    (tmp_path / "link").symlink_to(store)
    linked = open_files(tmp_path / "link")
    assert linked.claim("b.json", b"2")
    assert linked.read("a.json") == b"1"
    assert sorted(files.names("")) == ["a.json", "b.json"]


# --- listings that fail ---


def test_a_listing_of_what_is_no_folder_raises(files):
    files.create("log", b"a file where a folder should be")
    with pytest.raises(OSError, match="log"):
        files.names("log")


@pytest.mark.parametrize("error", [PermissionError, TimeoutError, OSError])
def test_a_listing_that_errors_raises_and_never_reads_as_empty(files, monkeypatch, error):
    def refuse(path):
        raise error(errno.EIO, "the disk is away")

    files.create("log/a.json", b"1")
    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(OSError, match="the disk is away"):
        files.names("log")


# --- claims ---

CLAIM = """
import sys
from lazytrack.files import open_files
files = open_files(sys.argv[1])
print("ready", flush=True)
for number in sys.stdin:
    print(files.claim(f"claims/{number.strip()}.json", sys.argv[2].encode()), flush=True)
"""


def test_of_eight_processes_exactly_one_wins_a_claim(files, store):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(store), str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(8)
    ]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
        for number in range(10):
            for process in processes:
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
            won = [process.stdout.readline() for process in processes]
            assert sorted(won) == ["False\n"] * 7 + ["True\n"]
            assert files.read(f"claims/{number}.json") == str(won.index("True\n")).encode()
    finally:
        for process in processes:
            process.communicate()
    assert [process.returncode for process in processes] == [0] * 8
    assert everything(store) == sorted(f"claims/{number}.json" for number in range(10))


def no_links(code):
    def link(source, target):
        raise OSError(code, os.strerror(code))

    return link


NO_LINKS = [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK]


@pytest.mark.parametrize("code", NO_LINKS, ids=errno.errorcode.get)
def test_where_there_are_no_hard_links_a_claim_is_still_exclusive(files, store, monkeypatch, code):
    monkeypatch.setattr(os, "link", no_links(code))
    assert files.claim("claims/3.json", b"first")
    assert not files.claim("claims/3.json", b"second")
    assert files.read("claims/3.json") == b"first"
    assert everything(store) == ["claims/3.json"]


def test_where_there_are_no_hard_links_a_claim_is_synced_too(files, store, monkeypatch, events):
    def refuse(source, target):
        events.append(("refused",))
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert files.claim("claims/3.json", b"first")
    afterwards = events[events.index(("refused",)) + 1 :]
    assert afterwards[0] == ("fsync", identity(store / "claims/3.json"))
    if os.name != "nt":
        assert ("fsync", identity(store / "claims")) in afterwards[1:]


def test_where_there_are_no_hard_links_exactly_one_of_sixteen_threads_wins(files, store, monkeypatch):
    monkeypatch.setattr(os, "link", no_links(errno.EPERM))
    start = threading.Barrier(16)
    won = []

    def run(place):
        start.wait()
        if files.claim("claims/3.json", str(place).encode()):
            won.append(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert files.read("claims/3.json") == str(won[0]).encode()
    assert everything(store) == ["claims/3.json"]


def test_a_link_that_fails_for_another_reason_raises_and_claims_nothing(files, store, monkeypatch):
    monkeypatch.setattr(os, "link", no_links(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        files.claim("3.json", b"1")
    assert everything(store) == []


def test_a_claim_whose_answer_was_lost_is_ours(files, store, monkeypatch):
    link = os.link

    def lose_the_answer(source, target):
        link(source, target)
        link(source, target)  # what a mount does when the first answer got lost: it asks again, and is told EEXIST

    monkeypatch.setattr(os, "link", lose_the_answer)
    assert files.claim("3.json", b"ours")
    assert not files.claim("3.json", b"too late")
    assert files.read("3.json") == b"ours"
    assert everything(store) == ["3.json"]
