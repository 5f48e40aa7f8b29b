"""Reading: only what is new, every copy once, nothing missed, and what cannot be read is said."""

import errno
import gc
import itertools
import os
import sys
import threading

import pytest
from fakes import FakeFiles

from lazytrack import naming
from lazytrack.journal import Journal, fold
from lazytrack.journal.document import compose
from lazytrack.journal.fold import compact


def at(n):
    return f"20200101T000000.{n:06d}Z-{n:08d}"


def log(n):
    return f"log/{at(n)}.json"


def pack(level, n):
    return f"packs/{level}-{at(n)}.json"


def patch(n):
    return {"at": at(n), "by": "dana", "record": f"record-{n}", "set": {"created_at": "noon", "n": n}}


def put_logs(files, *numbers):
    for n in numbers:
        files.put(log(n), compose("log", id=at(n), patches=[patch(n)]))


def put_pack(files, level, n, numbers, replaces=()):
    name = pack(level, n)
    files.put(name, compose("pack", id=at(n), patches=[patch(m) for m in numbers], replaces=replaces))
    return name


def journal_of(files):
    return Journal(files, clock=naming.LogicalClock())


def numbers_in(journal):
    """Return the numbers of the records that a journal knows."""
    return sorted(journal.column("n").values())


@pytest.fixture
def files():
    return FakeFiles()


@pytest.fixture
def journal(files):
    return journal_of(files)


# --- only what is new ---


def test_a_store_without_folders_is_empty(journal):
    assert journal.refresh() == set()
    assert journal.created() == {}
    assert journal.problems == {}


def test_refreshing_reads_new_names_only_and_says_which_records_they_speak_of(files, journal):
    put_logs(files, 1, 2)
    assert journal.refresh() == {"record-1", "record-2"}
    files.count_anew()

    assert journal.refresh() == set()
    assert files.did("read") == []

    put_logs(files, 3)
    assert journal.refresh() == {"record-3"}
    assert files.did("read") == [log(3)]
    assert numbers_in(journal) == [1, 2, 3]


def test_the_log_is_listed_before_the_packs(files, journal):
    journal.refresh()

    assert files.did("names") == ["log", "packs"]


def test_a_pack_whose_inputs_were_read_is_not_folded_again(files, journal):
    put_logs(files, 1, 2)
    journal.refresh()
    put_pack(files, 1, 3, [1, 2, 99], replaces=[log(1), log(2)])

    assert journal.refresh() == set()
    assert numbers_in(journal) == [1, 2]


def test_a_pack_of_packs_whose_inputs_were_read_is_not_folded_again(files, journal):
    put_logs(files, 1, 2)
    first = put_pack(files, 1, 3, [1, 2], replaces=[log(1), log(2)])
    journal.refresh()
    put_pack(files, 2, 4, [1, 2, 99], replaces=[first, log(1), log(2)])

    assert journal.refresh() == set()
    assert numbers_in(journal) == [1, 2]


def test_a_pack_of_which_one_input_was_not_read_is_folded(files, journal):
    put_logs(files, 1)
    journal.refresh()
    put_pack(files, 1, 3, [1, 2], replaces=[log(1), log(2)])

    assert "record-2" in journal.refresh()
    assert numbers_in(journal) == [1, 2]


def test_a_pack_that_replaces_nothing_is_always_folded(files, journal):
    put_logs(files, 1)
    journal.refresh()
    put_pack(files, 1, 3, [2])

    assert journal.refresh() == {"record-2"}


def test_a_pack_of_a_file_that_was_damaged_when_it_was_read_is_folded(files, journal):
    put_logs(files, 1, 2)
    whole = files.take(log(2))
    files.put(log(2), whole[:20])
    journal.refresh()
    assert list(journal.problems) == [log(2)]
    files.put(log(2), whole)
    put_pack(files, 1, 3, [1, 2], replaces=[log(1), log(2)])

    journal.refresh()

    assert numbers_in(journal) == [1, 2]


def test_opening_reads_packs_from_the_highest_level_down_and_skips_what_they_replace(files, journal):
    put_logs(files, *range(1, 8))
    put_pack(files, 1, 10, [1, 2], replaces=[log(1), log(2)])
    put_pack(files, 1, 11, [3, 4], replaces=[log(3), log(4)])
    put_pack(files, 2, 20, [1, 2], replaces=[pack(1, 10), log(1)])
    put_pack(files, 10, 30, [5], replaces=[log(5)])

    journal.refresh()

    # log/2 is replaced by a pack that is itself replaced, and whose name alone is known: it is read twice, harmlessly.
    reads = files.did("read")
    assert reads[:3] == [pack(10, 30), pack(2, 20), pack(1, 11)]
    assert sorted(reads[3:]) == [log(2), log(6), log(7)]
    assert numbers_in(journal) == [1, 2, 3, 4, 5, 6, 7]


def test_what_a_head_says_is_folded_as_well(journal):
    journal.absorb([patch(1)])
    journal.absorb([])

    assert numbers_in(journal) == [1]


# --- others pack meanwhile ---


class Interrupted(FakeFiles):
    """A storage on which others act right after each listing of packs."""

    def __init__(self, *meanwhile):
        super().__init__()
        self._meanwhile = iter(meanwhile)

    def names(self, folder):
        found = super().names(folder)
        if folder == "packs":
            next(self._meanwhile, lambda: None)()
        return found


def test_a_file_that_vanished_is_in_a_newer_pack_so_all_is_listed_again():
    def pack_and_delete():
        put_pack(files, 1, 10, [1, 2], replaces=[log(1), log(2)])
        files.take(log(1))
        files.take(log(2))

    files = Interrupted(pack_and_delete)
    put_logs(files, 1, 2, 3)
    journal = journal_of(files)

    assert journal.refresh() == {"record-1", "record-2", "record-3"}
    assert files.did("names") == ["log", "packs"] * 2
    assert files.did("read").count(log(3)) == 1
    assert numbers_in(journal) == [1, 2, 3]


def test_a_pack_that_vanished_is_in_a_newer_one_and_so_on():
    def merge(level):
        def meanwhile():
            put_pack(files, level + 1, 10, [1], replaces=[pack(level, 10)])
            files.take(pack(level, 10))

        return meanwhile

    files = Interrupted(*map(merge, range(1, 50)))
    put_pack(files, 1, 10, [1])
    journal = journal_of(files)

    assert journal.refresh() == {"record-1"}
    assert files.did("names") == ["log", "packs"] * 50


def test_a_log_file_that_vanished_is_no_loss_when_a_pack_that_was_read_holds_it():
    def delete():
        files.take(log(1))

    files = Interrupted(delete)
    put_logs(files, 1)
    put_pack(files, 1, 10, [1], replaces=[log(1)])
    journal = journal_of(files)

    assert journal.refresh() == {"record-1"}
    assert files.did("names") == ["log", "packs"]


def test_a_pack_that_vanished_is_no_loss_when_another_of_its_level_holds_it():
    def delete():
        files.take(pack(99, 10))

    files = Interrupted(delete)
    put_pack(files, 99, 10, [1])
    put_pack(files, 99, 11, [1, 2], replaces=[pack(99, 10)])
    journal = journal_of(files)

    assert journal.refresh() == {"record-1", "record-2"}
    assert files.did("names") == ["log", "packs"]


class Restless(FakeFiles):
    """A storage that lists a file which is gone when one reads it, and another one each time."""

    def names(self, folder):
        self._ghosts = getattr(self, "_ghosts", itertools.count(1_000))
        found = super().names(folder)
        return [*found, f"{at(next(self._ghosts))}.json"] if folder == "log" else found


def test_a_store_that_never_settles_is_an_error_and_keeps_what_was_read():
    files = Restless()
    put_logs(files, 1)
    journal = journal_of(files)

    with pytest.raises(OSError, match=r"fake://store changes faster than it can be read: log/.* vanished"):
        journal.refresh()

    assert numbers_in(journal) == [1]
    assert files.did("read").count(log(1)) == 1


# --- what cannot be read ---


@pytest.mark.parametrize("folder", ["log", "packs"])
def test_a_listing_that_fails_is_raised_and_never_read_as_empty(files, journal, folder):
    put_logs(files, 1)
    put_pack(files, 1, 10, [2])
    files.broken[f"names {folder}"] = PermissionError("not for you")

    with pytest.raises(PermissionError, match="not for you"):
        journal.refresh()

    files.broken.clear()
    assert journal.refresh() == {"record-1", "record-2"}


def test_a_folder_that_cannot_be_listed_because_something_is_missing_raises_as_well(files, journal):
    put_logs(files, 1)
    files.broken["names log"] = FileNotFoundError("the disk is not mounted")

    with pytest.raises(FileNotFoundError):
        journal.refresh()


@pytest.mark.parametrize("error", [PermissionError("not for you"), IsADirectoryError(), OSError(errno.ELOOP, "a loop")])
def test_a_file_that_may_not_be_read_is_named_and_hides_no_other(files, journal, error):
    put_logs(files, 1, 2, 3)
    files.broken[f"read {log(2)}"] = error

    journal.refresh()

    assert numbers_in(journal) == [1, 3]
    assert journal.problems.keys() == {log(2)}
    assert journal.problems[log(2)].startswith("cannot be read: ")
    files.broken.clear()
    journal.refresh()
    assert numbers_in(journal) == [1, 2, 3]
    assert journal.problems == {}


def test_a_store_of_which_no_file_may_be_read_is_no_empty_store(files, journal):
    put_logs(files, 1, 2)
    for n in (1, 2):
        files.broken[f"read {log(n)}"] = PermissionError("the credentials have expired")

    with pytest.raises(PermissionError, match="expired"):
        journal.refresh()


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionError("gone"), OSError(errno.EIO, "io")])
def test_a_read_that_fails_is_raised_and_tried_again_next_time(files, journal, error):
    put_logs(files, 1, 2, 3)
    files.broken[f"read {log(2)}"] = error

    with pytest.raises(type(error)):
        journal.refresh()

    assert 2 not in numbers_in(journal)
    assert journal.problems == {}
    files.broken.clear()
    journal.refresh()
    assert numbers_in(journal) == [1, 2, 3]
    assert sorted(files.did("read")).count(log(1)) == 1


def test_a_damaged_file_is_named_and_hides_nothing_else(files, journal):
    put_logs(files, 1, 3)
    files.put(log(2), b'{"format": "lazytrack/1", "patches": [')
    files.put(pack(1, 10), b"")
    put_pack(files, 1, 11, [4])

    journal.refresh()

    assert numbers_in(journal) == [1, 3, 4]
    assert journal.problems.keys() == {log(2), pack(1, 10)}
    assert journal.problems[pack(1, 10)] == "is empty"
    files.count_anew()
    journal.refresh()
    assert len(files.did("read")) == 2  # they may have been on their way here


def test_a_file_that_was_damaged_and_is_whole_now_is_no_problem_any_more(files, journal):
    put_logs(files, 1, 2)
    whole = files.read(log(2))
    files.put(log(2), whole[:-20])
    journal.refresh()
    assert numbers_in(journal) == [1]
    files.put(log(2), whole)
    journal.refresh()
    assert numbers_in(journal) == [1, 2]
    assert journal.problems == {}


def test_the_originals_of_a_damaged_pack_are_read(files, journal):
    put_logs(files, 1, 2)
    name = put_pack(files, 1, 10, [1, 2], replaces=[log(1), log(2)])
    whole = files.take(name)
    files.put(name, whole.replace(b'"record-2"', b'""'))

    journal.refresh()

    assert numbers_in(journal) == [1, 2]
    assert list(journal.problems) == [name]


def test_files_whose_names_are_not_json_are_reported_and_not_read_as_patches(files, journal):
    put_logs(files, 1)
    sound = compose("log", id="x", patches=[patch(2)])
    for stray in ("log/notes.txt", f"{log(2)}~", f"{log(2)}.tmp", "packs/Thumbs.db", "packs/json"):
        files.put(stray, sound)

    assert journal.refresh() == {"record-1"}

    assert journal.problems.keys() == {"log/notes.txt", f"{log(2)}~", f"{log(2)}.tmp", "packs/Thumbs.db", "packs/json"}
    assert set(journal.problems.values()) == {"is not a lazytrack file (its name does not end in .json)"}
    assert journal.foreign == journal.problems.keys()
    assert files.did("read") == [log(1)]

    files.take("log/notes.txt")
    journal.refresh()
    assert "log/notes.txt" not in journal.problems


def test_a_foreign_file_does_not_make_a_store_that_cannot_be_read_look_empty(files, journal):
    put_logs(files, 1)
    files.put("log/Thumbs.db", b"")
    files.broken["read"] = PermissionError(errno.EACCES, "refused")

    with pytest.raises(PermissionError):
        journal.refresh()


def test_documents_with_odd_names_are_read_and_never_packed(files, journal):
    odd = [
        "log/notes.json",
        f"log/{at(2)} (copy).json",
        "packs/all.json",
        f"packs/{at(3)}.json",
        f"packs/0-{at(4)}.json",
    ]
    for n, name in enumerate(odd):
        files.put(name, compose("log", id="x", patches=[patch(n)]))

    journal.refresh()
    assert numbers_in(journal) == [0, 1, 2, 3, 4]
    assert journal.problems == {}

    assert journal.pack(everything=True) == []
    put_logs(files, *range(100, 164))
    [written] = journal.pack(everything=True)
    assert set(odd) <= {*files.paths("log"), *files.paths("packs")}
    assert b"record-0" not in files.take(written)


# --- writing ---


def test_an_append_makes_one_file_and_reads_nothing(files, journal):
    put_logs(files, *range(10))

    for n in range(40):
        files.count_anew()
        time = journal.append([{"record": "mine", "set": {"a": n}}], by="me")

        looked = [("names", "log")] if n in {0, 32} else []
        assert files.calls == [("create", f"log/{time}.json"), *looked]

    assert journal.fields("mine") == {"a": 39}


def test_what_was_appended_is_not_read_again(files, journal):
    journal.append([{"record": "mine", "set": {"a": 1}}, {"record": "other", "delete": True}], by="me")
    files.count_anew()

    assert journal.refresh() == set()
    assert files.did("read") == []
    assert journal.is_deleted("other")
    assert not journal.is_deleted("mine")
    assert "mine" in journal


def test_an_append_that_fails_says_so_and_changes_nothing_here(files, journal):
    files.broken["create"] = OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        journal.append([{"record": "mine", "set": {"a": 1}}], by="me")

    assert "mine" not in journal
    assert files.paths("log") == []


def test_who_has_read_a_value_and_overwrites_it_wins_whatever_the_clocks_say(files, journal):
    late = "29991231T000000.000000Z-zzzzzzzz"
    change = {"at": late, "by": "dana", "record": "shared", "set": {"a": "theirs"}}
    files.put(f"log/{late}.json", compose("log", id=late, patches=[change]))
    journal.refresh()

    assert journal.append([{"record": "shared", "set": {"a": "mine"}}], by="me") > late

    reader = journal_of(files)
    reader.refresh()
    assert reader.fields("shared") == {"a": "mine"}


# --- threads ---


def test_threads_look_records_up_while_another_appends(files, journal):
    journal.append([{"record": f"old-{n}", "set": {"created_at": "noon", "n": n}} for n in range(300)], by="me")
    done = threading.Event()
    errors = []

    def look():
        seen = 0
        try:
            while not done.is_set():
                created, column = journal.created(), journal.column("n")
                assert created.keys() <= column.keys()
                assert len(created) >= seen
                seen = len(created)
                assert len(journal.fields("shared")) <= len(journal.fields("shared"))
                assert ("old-1" in journal, journal.is_deleted("old-1")) == (True, False)
        except Exception as error:  # noqa: BLE001  (it is looked at below)
            errors.append(error)

    def read():
        try:
            while not done.is_set():
                journal.refresh()
        except Exception as error:  # noqa: BLE001  (it is looked at below)
            errors.append(error)

    threads = [threading.Thread(target=work) for work in (look, look, read)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for n in range(300):
            new = {"record": f"new-{n}", "set": {"n": n}}
            journal.append([new, {"record": "shared", "set": {f"field-{n}": n}}], by="me")
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)

    assert errors == []
    assert len(journal.created()) == 601
    assert journal.fields("shared") == {f"field-{n}": n for n in range(300)}


def test_what_is_appended_while_another_thread_folds_its_record_is_not_lost(journal, monkeypatch):
    for n in range(2):
        journal.append([{"record": "shared", "set": {f"field-{n}": n}}], by="me")
    late = threading.Thread(
        target=journal.append, args=([{"record": "shared", "set": {"late": True}}],), kwargs={"by": "me"}
    )

    def interrupted(patches):
        compacted = compact(patches)
        if not late.ident:
            late.start()
            late.join(0.2)  # it has to wait until the record is folded
        return compacted

    monkeypatch.setattr(fold, "compact", interrupted)

    journal.fields("shared")
    late.join()

    assert journal.fields("shared") == {"field-0": 0, "field-1": 1, "late": True}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_garbage_is_collected_after_reading_and_in_a_child_that_was_forked_meanwhile():
    from lazytrack.journal.journal import _without_gc  # noqa: PLC0415

    assert gc.isenabled()
    with _without_gc, _without_gc:
        assert not gc.isenabled()
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert gc.isenabled()
