"""The journal on a real disk: which files there are, when they go, and what a strange file does."""

import os
from pathlib import Path

import pytest

from lazytrack import naming
from lazytrack.files import open_files
from lazytrack.journal import Journal, packing
from lazytrack.journal.document import compose, parse


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def open_journal(store):
    return Journal(open_files(store), clock=naming.LogicalClock())


def put_logs(store, numbers):
    """Have somebody else write log files, of one record each."""
    (store / "log").mkdir(parents=True, exist_ok=True)
    for n in numbers:
        at = f"20200101T000000.{n:06d}Z-{n:08d}"
        patch = {"at": at, "by": "dana", "record": f"record-{n}", "set": {"n": n}}
        (store / "log" / f"{at}.json").write_bytes(compose("log", id=at, patches=[patch]))


def files_in(store):
    return sorted(path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file())


def records_in(store):
    reader = open_journal(store)
    reader.refresh()
    return set(reader.created())


def test_an_append_leaves_exactly_one_file_that_says_what_was_appended(store):
    at = open_journal(store).append([{"record": "mine", "set": {"a": 1}}], by="me")

    assert files_in(store) == [f"log/{at}.json"]
    [patch] = parse((store / "log" / f"{at}.json").read_bytes()).patches
    assert patch == {"at": at, "by": "me", "record": "mine", "set": {"a": 1}}


def test_packing_leaves_the_originals_to_the_next_packer_after_the_grace(store, monkeypatch):
    put_logs(store, range(64))
    [first] = open_journal(store).pack()
    originals = files_in(store / "log")
    put_logs(store, range(100, 164))
    [second] = open_journal(store).pack()
    assert set(originals) < set(files_in(store / "log"))

    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    put_logs(store, range(200, 264))
    [third] = open_journal(store).pack()

    assert files_in(store / "packs") == sorted(name.removeprefix("packs/") for name in (first, second, third))
    assert len(files_in(store / "log")) == 64
    assert set(originals).isdisjoint(files_in(store / "log"))
    assert records_in(store) == {f"record-{n}" for n in [*range(64), *range(100, 164), *range(200, 264)]}


def test_originals_outlive_a_pack_that_appeared_long_after_it_was_written(store, monkeypatch):
    rename = os.replace

    def rename_two_hours_later(source, target):
        written = Path(source).stat().st_mtime - 7200
        os.utime(source, (written, written))
        rename(source, target)

    put_logs(store, range(64))
    originals = files_in(store)
    with monkeypatch.context() as suspended:
        suspended.setattr(os, "replace", rename_two_hours_later)
        open_journal(store).pack()

    put_logs(store, range(100, 164))
    open_journal(store).pack()

    # Somebody may be in the middle of a listing that began before the pack was there.
    assert set(originals) < set(files_in(store))


@pytest.mark.parametrize("folder", ["log", "packs"])
def test_a_folder_among_the_files_hides_nothing(store, folder):
    journal = open_journal(store)
    journal.append([{"record": "mine", "set": {"a": 1}}], by="me")
    (store / folder / "@eaDir").mkdir(parents=True)
    (store / folder / "@eaDir" / "thumbs.json").write_bytes(b"{}")

    assert records_in(store) == {"mine"}
    assert open_journal(store).pack(everything=True) == []


def test_a_log_that_is_no_folder_is_an_error_and_never_an_empty_store(store):
    store.mkdir()
    (store / "log").write_bytes(b"")

    with pytest.raises(OSError, match="log"):
        open_journal(store).refresh()
