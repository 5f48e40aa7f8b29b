"""Files that no lazytrack wrote but whose patches are sound: packing copes with them, or leaves them alone."""

import json

import pytest
from fakes import FakeFiles

from lazytrack import naming
from lazytrack.journal import Journal
from lazytrack.journal.document import parse

AT = "20200101T000000.000001Z-00000001"
STRANGE = f"log/{AT}.json"
LATER = "20200101T000000.000002Z-00000001"


def put_log(files, at, *patches):
    said = ",".join(patches)
    files.put(f"log/{at}.json", f'{{"format": "lazytrack/1", "kind": "log", "patches": [{said}]}}'.encode())


def patch(at=AT, record="strange", **said):
    return json.dumps({"at": at, "by": "dana", "record": record, **said})


def journal_of(files):
    return Journal(files, clock=naming.LogicalClock())


@pytest.fixture
def files():
    files = FakeFiles()
    for n in range(64):
        at = f"20200102T000000.{n:06d}Z-00000001"
        put_log(files, at, patch(at, f"record-{n}", set={"n": n}))
    return files


def test_a_value_nested_deeper_than_can_be_written_does_not_stop_packing(files):
    deep = json.loads("[" * 400 + "]" * 400)
    put_log(files, AT, patch(set={"deep": deep}))
    others = set(files.paths("log")) - {STRANGE}

    [pack] = journal_of(files).pack()

    folder, name = pack.split("/")
    assert parse(files.folders[folder][name][0]).replaces == others
    reader = journal_of(files)
    reader.refresh()
    assert reader.fields("strange") == {"deep": deep}
    assert len(reader.created()) == 65


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"set": {"a": 1}}, {"unset": ["a"]}),
        ({"unset": ["a"]}, {"set": {"a": 1}}),
        ({"unset": ["a", "b"]}, {"set": {"a": 1}}),
        ({"set": {"a": 1}}, {"set": {"a": 2}}),
        ({"set": {"a": 1}}, {"delete": True}),
        ({"set": {"a": 1}, "later": 1}, {"unset": ["a"], "later": 2}),
    ],
)
def test_two_patches_of_one_time_that_contradict_each_other_make_a_sound_pack(files, one, other):
    put_log(files, AT, patch(**one))
    put_log(files, LATER, patch(**other))

    [pack] = journal_of(files).pack()

    folder, name = pack.split("/")
    content = parse(files.folders[folder][name][0])
    assert content.problem is None
    assert content.packable
    assert len(content.replaces) == 66


@pytest.mark.parametrize("order", [1, -1])
def test_a_save_that_names_a_record_twice_makes_a_sound_pack(files, order):
    journal = journal_of(files)
    changes = [{"record": "twice", "set": {"a": 1}}, {"record": "twice", "unset": ["a"]}]
    journal.append(changes[::order], by="me")

    journal.pack()

    reader = journal_of(files)
    reader.refresh()
    assert reader.problems == {}
    assert reader.fields("twice") == journal.fields("twice")


def test_two_times_of_the_wrong_length_that_add_up_are_damaged_and_hide_nothing(files):
    long, short = f"{AT}20200101T000000.000002Z-", "20200102"
    changes = json.dumps({"a": 1})
    said = [f'{{"at": "{at}", "by": "dana", "record": "strange", "set": {changes}}}' for at in (long, short)]
    put_log(files, AT, *said)

    reader = journal_of(files)
    reader.refresh()

    assert reader.problems == {
        STRANGE: "patch 0 has an 'at' that is no logical time (and 1 more of its 2 patches are damaged)"
    }
    assert len(reader.created()) == 64
