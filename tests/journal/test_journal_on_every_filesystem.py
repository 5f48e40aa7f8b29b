"""The journal on every filesystem: what is appended is read, packed, and read again by those who were there before."""

import threading

import pytest

from lazytrack import naming
from lazytrack.files import open_files
from lazytrack.journal import Journal, packing


@pytest.fixture
def opened(place):
    """Return what opens the journal as another process does."""
    url, options = place
    return lambda: Journal(open_files(url, **options), clock=naming.LogicalClock())


def changes(number, **fields):
    return [{"record": f"record-{number}", "set": {"n": number, **fields}}]


def state(journal):
    return {record: dict(journal.fields(record)) for record in journal.created()}


def test_what_one_appends_all_others_read(opened):
    writers = [opened() for _ in range(3)]
    reader = opened()
    assert reader.refresh() == set()
    for number in range(6):
        writers[number % 3].append(changes(number), by="me")
    assert reader.refresh() == {f"record-{number}" for number in range(6)}
    assert reader.refresh() == set()
    assert state(reader) == {f"record-{number}": {"n": number} for number in range(6)}
    writers[0].append([{"record": "record-1", "delete": True}], by="me")
    writers[1].append([{"record": "record-2", "set": {"late": [1.5, None]}, "unset": ["n"]}], by="me")
    assert reader.refresh() == {"record-1", "record-2"}
    assert reader.is_deleted("record-1")
    assert dict(reader.fields("record-2")) == {"late": [1.5, None]}


def test_packs_are_read_by_new_and_by_old_readers(opened, monkeypatch):
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    monkeypatch.setattr(packing, "LOOSE_LOW", 8)
    writer, early = opened(), opened()
    for number in range(10):
        writer.append(changes(number), by="me")
        if number == 4:
            early.refresh()
    assert len(opened().pack()) == 1
    early.refresh()
    for number in range(10, 20):
        writer.append(changes(number), by="me")
    opened().pack()
    opened().pack(everything=True)
    expected = {f"record-{number}": {"n": number} for number in range(20)}
    early.refresh()
    late = opened()
    late.refresh()
    assert state(early) == state(late) == expected
    assert (early.problems, late.problems) == ({}, {})
    opened().pack(everything=True)  # the next packer removes what the last one has packed
    assert late.files.names("log") == []
    assert late.refresh() == early.refresh() == set()


def test_threads_that_append_and_pack_lose_nothing(opened, monkeypatch):
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)

    def write(own):
        journal = opened()
        for number in range(12):
            journal.append(changes(100 * own + number), by="me")
            if number % 6 == own:
                journal.pack(everything=True)

    threads = [threading.Thread(target=write, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = opened()
    reader.refresh()
    assert state(reader) == {f"record-{100 * own + n}": {"n": 100 * own + n} for own in range(4) for n in range(12)}
    assert reader.problems == {}


def test_a_damaged_file_is_named_and_hides_no_other(opened):
    writer = opened()
    for number in range(3):
        writer.append(changes(number), by="me")
    name = f"log/{sorted(writer.files.names('log'))[1]}"
    content = writer.files.read(name)
    writer.files.remove([name])
    writer.files.create(name, content[: len(content) // 2])
    writer.files.create("log/notes.txt", b"mine")
    reader = opened()
    reader.refresh()
    assert set(reader.problems) == {name, "log/notes.txt"}
    assert set(state(reader)) >= {"record-0", "record-2"}


def test_a_store_is_read_where_it_cannot_be_written(read_only_place, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    local = Journal(open_files(tmp_path / "store"), clock=naming.LogicalClock())
    for number in range(70):
        local.append(changes(number), by="me")
    local.pack(everything=True)
    for number in range(70, 75):
        local.append(changes(number), by="me")
    (tmp_path / "store" / "log" / "notes.txt").write_bytes(b"mine")
    url, options = read_only_place(tmp_path / "store")
    reader = Journal(open_files(url, **options), clock=naming.LogicalClock())
    assert reader.refresh() == {f"record-{number}" for number in range(75)}
    assert state(reader) == {f"record-{number}": {"n": number} for number in range(75)}
    assert set(reader.problems) == {"log/notes.txt"}
    assert reader.refresh() == set()
    with pytest.raises(OSError, match="can be read there, and not written"):
        reader.append(changes(99), by="me")
