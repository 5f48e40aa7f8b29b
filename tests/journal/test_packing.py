"""Packing: when a writer packs, what it packs, and that nothing goes before its copy is safe."""

import errno
import json

import pytest
from fakes import FakeFiles

from lazytrack import naming
from lazytrack.journal import Journal, packing
from lazytrack.journal.document import PACK_NAME, compose, parse

GRACE = packing.GRACE_SECONDS


def at(n):
    return f"20200101T000000.{n:06d}Z-{n:08d}"


def log(n):
    return f"log/{at(n)}.json"


def patch(n):
    return {"at": at(n), "by": "dana", "record": f"record-{n}", "set": {"n": n}}


def put_logs(files, numbers):
    """Place log files that other writers have made; each makes a record."""
    for n in numbers:
        files.put(log(n), compose("log", id=at(n), patches=[patch(n)]))


def put_pack(files, level, n, numbers, replaces=()):
    """Place a pack of the records that `numbers` make, and return its name."""
    name = f"packs/{level}-{at(n)}.json"
    files.put(name, compose("pack", id=at(n), patches=[patch(m) for m in numbers], replaces=replaces))
    return name


def put_packs(files, level, numbers):
    """Place packs of one record each, whose originals are gone."""
    return [put_pack(files, level, n, [n]) for n in numbers]


def journal_of(files):
    return Journal(files, clock=naming.LogicalClock())


def append(journal, times=1):
    for _ in range(times):
        journal.append([{"record": "mine", "set": {"a": 1}}], by="me")


def packs_of(files, level=None):
    """Return the packs, or those of one level."""
    return [name for name in files.paths("packs") if level is None or name.startswith(f"packs/{level}-")]


def content_of(files, path):
    folder, _, name = path.rpartition("/")
    return files.folders[folder][name][0]


def replaced_by(files, path):
    return parse(content_of(files, path)).replaces


def records_in(files):
    """Return what somebody who opens the store now finds."""
    reader = journal_of(files)
    reader.refresh()
    return set(reader.created())


@pytest.fixture
def files():
    return FakeFiles()


@pytest.fixture
def draws(monkeypatch):
    """The odds at which lots were drawn; nobody is lucky unless a test says so."""
    draws = []
    monkeypatch.setattr(naming, "one_in", lambda odds: draws.append(odds) or False)
    return draws


@pytest.fixture
def _lucky(monkeypatch):
    monkeypatch.setattr(naming, "one_in", lambda odds: True)


# --- whose turn it is ---


@pytest.mark.usefixtures("_lucky")
def test_sixty_three_loose_files_are_left_alone_and_sixty_four_are_packed(files):
    put_logs(files, range(62))
    append(journal_of(files))
    assert packs_of(files) == []

    append(journal_of(files))
    assert len(packs_of(files, 1)) == 1
    assert replaced_by(files, *packs_of(files)) == set(files.paths("log"))


def test_a_writer_packs_sixty_four_files_of_its_own(files, draws):
    journal = journal_of(files)
    append(journal, 64)
    assert packs_of(files) == []

    append(journal)
    assert len(packs_of(files)) == 1
    assert replaced_by(files, *packs_of(files)) == set(files.paths("log"))


@pytest.mark.parametrize(("others", "packs"), [(33, 1), (34, 0)])
def test_a_writer_packs_when_half_of_the_loose_files_are_its_own(files, draws, others, packs):
    put_logs(files, range(others))

    append(journal_of(files), 33)

    assert len(packs_of(files)) == packs


def test_a_writer_that_wrote_less_than_half_packs_one_time_in_eight(files, monkeypatch, draws):
    put_logs(files, range(100))
    append(journal_of(files))
    assert packs_of(files) == []
    assert draws == [8]

    monkeypatch.setattr(naming, "one_in", lambda odds: True)
    append(journal_of(files))
    assert len(packs_of(files)) == 1


def test_above_five_hundred_and_twelve_loose_files_any_writer_packs(files, draws):
    put_logs(files, range(511))
    append(journal_of(files))
    assert packs_of(files) == []

    append(journal_of(files))
    assert len(packs_of(files)) == 1
    assert len(replaced_by(files, *packs_of(files))) == 513


def test_files_that_packs_of_others_hold_do_not_count_as_loose(files, draws):
    put_logs(files, range(600))
    put_pack(files, 1, 600, range(600), replaces=files.paths("log"))

    append(journal_of(files))

    assert len(packs_of(files)) == 1


def test_a_writer_that_finds_just_before_it_writes_that_another_has_packed_writes_nothing(files, draws):
    put_logs(files, range(600))
    others = SomebodyElse(files)
    others.after["read", "log"] = [lambda: put_pack(files, 1, 600, range(600), map(log, range(600)))]

    append(journal_of(others))

    assert len(packs_of(files)) == 1
    assert records_in(files) == {"mine", *(f"record-{n}" for n in range(600))}


def test_packs_are_made_of_all_loose_files_and_say_what_these_said(files):
    put_logs(files, range(70))

    [pack] = journal_of(files).pack()

    content = parse(content_of(files, pack))
    assert PACK_NAME.fullmatch(pack)[1] == "1"
    assert content.replaces == set(files.paths("log"))
    assert list(content.patches) == [patch(n) for n in range(70)]
    assert list(json.loads(content_of(files, pack))) == ["format", "kind", "id", "replaces", "patches"]


# --- levels ---


def test_eight_packs_of_one_level_make_one_of_the_next(files):
    inputs = put_packs(files, 1, range(7))
    assert journal_of(files).pack() == []

    inputs += put_packs(files, 1, [7])
    [pack] = journal_of(files).pack()

    assert PACK_NAME.fullmatch(pack)[1] == "2"
    assert replaced_by(files, pack) == set(inputs)
    assert list(parse(content_of(files, pack)).patches) == [patch(n) for n in range(8)]
    assert journal_of(files).pack() == []


def test_packs_that_make_eight_of_the_next_level_with_those_there_are_make_one_above_at_once(files):
    put_logs(files, range(64))
    put_packs(files, 1, range(100, 107))
    put_packs(files, 2, range(200, 207))

    written = journal_of(files).pack()

    assert [PACK_NAME.fullmatch(name)[1] for name in written] == ["1", "2", "3"]
    assert records_in(files) == {f"record-{n}" for n in [*range(64), *range(100, 107), *range(200, 207)]}


def test_twenty_packs_make_two_of_the_next_level_of_the_oldest_sixteen(files):
    inputs = put_packs(files, 3, range(20))

    written = journal_of(files).pack()

    assert [replaced_by(files, name) for name in written] == [set(inputs[:8]), set(inputs[8:16])]


def test_a_large_pack_is_left_alone(files, monkeypatch):
    large = put_pack(files, 1, 0, range(50))
    small = put_packs(files, 1, range(100, 107))
    monkeypatch.setattr(packing, "LARGE_BYTES", len(content_of(files, large)))
    assert journal_of(files).pack() == []

    small += put_packs(files, 1, [107])
    [pack] = journal_of(files).pack()
    assert replaced_by(files, pack) == set(small)


def test_names_that_are_still_there_are_carried_on_and_others_are_forgotten(files):
    put_logs(files, range(10))
    inputs = [put_pack(files, 1, n, [n], replaces=[log(n), log(n + 500)]) for n in range(8)]

    [pack] = journal_of(files).pack()

    assert replaced_by(files, pack) == {*inputs, *(log(n) for n in range(8))}


# --- what goes, and when ---


def pack_again(files, first):
    """Have somebody pack sixty-four new files, as files are deleted by the next one who packs."""
    put_logs(files, range(first, first + 64))
    [pack] = journal_of(files).pack()
    return pack


def test_nothing_is_deleted_before_the_grace_and_everything_replaced_is_after_it(files):
    start = files.now
    pack_again(files, 0)
    originals = files.paths("log")

    files.now = start + GRACE - 1
    pack_again(files, 100)
    assert files.did("remove") == []

    files.now = start + GRACE
    last = pack_again(files, 200)
    assert sorted(files.did("remove")) == originals
    assert {log(n) for n in [*range(100, 164), *range(200, 264)]} == set(files.paths("log"))
    assert replaced_by(files, last) == {log(n) for n in range(200, 264)}
    assert records_in(files) == {f"record-{n}" for n in [*range(64), *range(100, 164), *range(200, 264)]}


def test_packs_that_a_higher_one_replaces_go_after_the_grace_as_well(files):
    inputs = put_packs(files, 1, range(8))
    journal_of(files).pack()

    files.now += GRACE
    pack_again(files, 100)

    assert files.did("remove") == inputs
    assert records_in(files) == {f"record-{n}" for n in [*range(8), *range(100, 164)]}


def test_who_has_nothing_to_pack_deletes_nothing(files):
    pack_again(files, 0)
    files.now += 2 * GRACE

    assert journal_of(files).pack() == []
    append(journal_of(files), 40)

    assert files.did("remove") == []


def test_the_clock_of_the_storage_decides_and_no_other(files, monkeypatch):
    pack_again(files, 0)
    later = naming.now().replace(year=2900)
    monkeypatch.setattr(naming, "now", lambda: later)

    pack_again(files, 100)

    assert files.did("remove") == []


def damage(whole):
    return [
        b"",
        whole[: len(whole) // 2],
        whole[:-2],
        whole.replace(b'"record-5"', b"7"),
        whole.replace(b'"set":{"n":5}', b'"move":{"n":5}'),
        whole.replace(b'"format"', b'"later":1,"format"'),
        whole.replace(b"lazytrack/1", b"lazytrack/2"),
    ]


@pytest.mark.parametrize("kind", range(7))
def test_originals_stay_as_long_as_no_newer_pack_holds_them_whole(files, kind):
    pack = pack_again(files, 0)
    whole = content_of(files, pack)
    damaged = damage(whole)[kind]
    assert damaged != whole
    files.put(pack, damaged)

    files.now += 2 * GRACE
    pack_again(files, 100)

    assert files.did("remove") == []
    assert content_of(files, pack) == damaged
    assert {log(n) for n in range(64)} <= set(files.paths("log"))
    assert records_in(files) == {f"record-{n}" for n in [*range(64), *range(100, 164)]}


def test_a_pack_that_turns_out_to_replace_less_takes_no_more_with_it(files):
    put_logs(files, range(64))
    pack = put_pack(files, 1, 64, range(64), replaces=files.paths("log"))
    less = compose("pack", id=at(64), patches=[patch(0)], replaces=[log(0)])
    files.now += GRACE
    others = SomebodyElse(files)
    # The packer learns from the head that all were replaced; then somebody restores an older copy of the pack.
    others.before["create", "packs"] = [lambda: files.put(pack, less) or setattr(files, "now", files.now + GRACE)]
    put_logs(files, range(100, 164))

    journal_of(others).pack()

    assert set(files.did("remove")) <= {log(0)}
    assert {log(n) for n in range(1, 64)} <= set(files.paths("log"))


# --- what is not understood is not touched ---

FOREIGN = {
    "log/20200101T000000.700000Z-70000000.json": b"",
    "log/20200101T000000.700001Z-70000000.json": b'{"format": "lazytrack/1", "patches": [',
    "log/20200101T000000.700002Z-70000000.json": b'{"format": "lazytrack/2", "patches": []}',
    "log/20200101T000000.700003Z-70000000.json": b'[{"experiment": "of another tool"}]',
    "log/20200101T000000.700004Z-70000000.json": json.dumps(
        {"format": "lazytrack/1", "patches": [patch(1), {"at": at(2), "record": "r", "move": "elsewhere"}]}
    ).encode(),
    "log/20200101T000000.700005Z-70000000.json": json.dumps(
        {"format": "lazytrack/1", "later": True, "patches": [patch(1)]}
    ).encode(),
    "log/20200101T000000.700006Z-70000000.json": json.dumps(
        {"format": "lazytrack/1", "patches": [patch(1), patch(2) | {"at": "noon"}]}
    ).encode(),
    "log/notes.txt": b"call Dana",
    "log/20200101T000000.000001Z-00000001.json~": compose("log", id="x", patches=[patch(1)]),
    "log/20200101T000000.000001Z-00000001 (copy).json": compose("log", id="x", patches=[patch(1)]),
    "packs/1-20200101T000000.700000Z-70000000.json": b"",
    "packs/1-20200101T000000.700001Z-70000000.json": b'{"format": "lazytrack/1", "replaces": ["log/',
    "packs/1-20200101T000000.700002Z-70000000.json": b'{"format": "lazytrack/2"}',
    "packs/1-20200101T000000.700003Z-70000000.json": compose("pack", id="x", replaces=["project.json"]),
    "packs/1-20200101T000000.700004Z-70000000.json": json.dumps(
        {"format": "lazytrack/1", "later": True, "patches": [patch(1)]}
    ).encode(),
    "packs/1-20200101T000000.700005Z-70000000.json": json.dumps(
        {"format": "lazytrack/1", "patches": [{"at": at(2), "record": "r", "move": "elsewhere"}]}
    ).encode(),
    "packs/Thumbs.db": b"\x00\x01",
    "packs/all.json": compose("pack", id="x", patches=[patch(1)]),
}


def test_what_this_version_does_not_understand_is_never_packed_or_deleted(files):
    for path, content in FOREIGN.items():
        files.put(path, content)
    put_packs(files, 1, range(500, 507))

    for round_ in range(10):
        pack_again(files, 700 + 100 * round_)
        files.now += GRACE
    journal_of(files).pack(everything=True)
    files.now += GRACE
    pack_again(files, 5_000)

    assert {path: content_of(files, path) for path in FOREIGN} == FOREIGN
    assert packs_of(files, 2)
    assert len(files.did("remove")) > 64 * 8
    for pack in packs_of(files):
        if pack not in FOREIGN:
            assert replaced_by(files, pack).isdisjoint(FOREIGN)


def test_sixty_three_sound_files_and_a_damaged_one_are_left_alone(files):
    put_logs(files, range(63))
    files.put(log(63), b"")
    assert journal_of(files).pack() == []

    put_logs(files, [64])
    [pack] = journal_of(files).pack()
    assert replaced_by(files, pack) == {log(n) for n in range(65)} - {log(63)}


# --- everything ---


def test_packing_everything_leaves_one_pack_that_is_not_replaced(files, monkeypatch):
    monkeypatch.setattr(packing, "LARGE_BYTES", 1)
    put_logs(files, range(5))
    for level in (1, 2, 4):
        put_packs(files, level, range(level * 100, level * 100 + 3))
    before = {*files.paths("log"), *files.paths("packs")}

    [pack] = journal_of(files).pack(everything=True)

    assert replaced_by(files, pack) == before
    assert PACK_NAME.fullmatch(pack)[1] == "5"
    assert len(parse(content_of(files, pack)).patches) == 14
    assert journal_of(files).pack(everything=True) == []


def test_packing_everything_deletes_what_has_been_replaced_for_long_enough(files):
    put_packs(files, 1, range(3))
    journal_of(files).pack(everything=True)
    files.now += GRACE
    put_logs(files, [7])

    [last] = journal_of(files).pack(everything=True)
    assert len(packs_of(files)) == 2
    files.now += GRACE
    put_logs(files, [8])
    journal_of(files).pack(everything=True)

    assert last in packs_of(files)
    assert len(packs_of(files)) == 2
    assert files.paths("log") == [log(8)]
    assert records_in(files) == {f"record-{n}" for n in [0, 1, 2, 7, 8]}


@pytest.mark.parametrize("number", [0, 1])
def test_there_is_nothing_to_merge_in_one_file(files, number):
    put_logs(files, range(number))

    assert journal_of(files).pack(everything=True) == []
    assert packs_of(files) == []


def test_however_often_everything_is_packed_a_pack_is_known_as_one(files):
    put_pack(files, 99, 0, [0])
    put_logs(files, [1])

    [pack] = journal_of(files).pack(everything=True)

    assert PACK_NAME.fullmatch(pack)
    files.now += GRACE
    put_logs(files, [2])
    [last] = journal_of(files).pack(everything=True)
    assert pack in replaced_by(files, last)
    assert records_in(files) == {"record-0", "record-1", "record-2"}


# --- packing fails, the save does not ---


class SomebodyElse(FakeFiles):
    """The same storage, seen by one who is interrupted: others act before and after what it does in a folder."""

    def __init__(self, files):
        super().__init__()
        self.folders = files.folders
        self.calls = files.calls
        self.files = files
        self.before = {}
        self.after = {}

    def read(self, path, *, limit=None):
        return self._between("read", path, lambda: self.files.read(path, limit=limit))

    def create(self, path, data):
        return self._between("create", path, lambda: self.files.create(path, data))

    def names(self, folder):
        return self._between("names", folder + "/", lambda: self.files.names(folder))

    def stat(self, path):
        return self._between("stat", path, lambda: self.files.stat(path))

    def remove(self, paths):
        for path in paths:
            self._between("remove", path, lambda path=path: self.files.remove([path]))

    def _between(self, verb, path, act):
        key = verb, path.split("/")[0]
        if self.before.get(key):
            self.before[key].pop(0)()
        result = act()
        if self.after.get(key):
            self.after[key].pop(0)()
        return result


def fail():
    raise OSError(errno.EDQUOT, "the quota is used up")


@pytest.mark.parametrize(
    ("verb", "folder"),
    [("names", "log"), ("names", "packs"), ("read", "log"), ("read", "packs"), ("create", "packs"), ("stat", "packs")],
)
def test_what_goes_wrong_while_packing_is_logged_and_does_not_fail_the_save(files, caplog, verb, folder, draws):
    put_logs(files, range(600))
    put_packs(files, 1, [700])
    others = SomebodyElse(files)
    others.before[verb, folder] = [fail]
    journal = journal_of(others)

    append(journal)

    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "packing fake://store failed" in record.getMessage()
    assert record.exc_info[0] is OSError
    assert len(files.paths("log")) == 601
    assert len(packs_of(files)) == 1 + (verb == "stat")
    assert "mine" in records_in(files)


def test_a_writer_whose_packing_failed_tries_again_at_its_next_look(files, caplog, draws):
    put_logs(files, range(600))
    others = SomebodyElse(files)
    others.before["create", "packs"] = [fail]
    journal = journal_of(others)

    append(journal, 32)
    assert packs_of(files) == []
    append(journal)

    assert len(packs_of(files)) == 1
    assert len(caplog.records) == 1


def test_a_delete_that_fails_leaves_the_others_to_the_next_packer(files, caplog, draws):
    pack_again(files, 0)
    files.now += GRACE
    put_logs(files, range(1_000, 1_600))
    others = SomebodyElse(files)
    others.before["remove", "log"] = [lambda: None, fail]

    append(journal_of(others))
    assert len(caplog.records) == 1
    assert len(files.did("remove")) == 1

    pack_again(files, 2_000)
    assert {log(n) for n in range(64)}.isdisjoint(files.paths("log"))
    assert "record-63" in records_in(files)


@pytest.mark.parametrize("moment", [("names", "log"), ("names", "packs"), ("read", "log")])
def test_a_packer_that_finds_its_inputs_packed_and_gone_writes_nothing(files, caplog, moment, draws):
    put_logs(files, range(600))
    others = SomebodyElse(files)

    def pack_and_delete():
        put_pack(files, 1, 600, range(600), map(log, range(600)))
        for n in range(600):
            files.take(log(n))

    others.after[moment] = [pack_and_delete]

    append(journal_of(others))

    assert caplog.records == []
    assert len(packs_of(files)) == 1
    assert records_in(files) == {"mine", *(f"record-{n}" for n in range(600))}


def test_a_packer_whose_own_pack_is_gone_before_it_sweeps_deletes_nothing(files, caplog, draws):
    pack_again(files, 0)
    files.now += GRACE
    put_logs(files, range(1_000, 1_600))
    others = SomebodyElse(files)

    def replace_it():
        [mine] = set(packs_of(files)) - {before}
        data = files.take(mine)
        files.put(f"packs/2-{at(5_000)}.json", data)

    [before] = packs_of(files)
    others.after["create", "packs"] = [replace_it]

    append(journal_of(others))

    assert caplog.records == []
    assert files.did("remove") == []
    assert len(records_in(files)) == 665


@pytest.mark.parametrize("everything", [False, True])
def test_a_packer_that_finds_packs_gone_between_listing_and_reading_goes_on(files, everything):
    put_packs(files, 1, range(8))
    put_logs(files, range(100, 164))
    others = SomebodyElse(files)
    higher = []

    def merge_and_delete():
        higher.append(put_pack(files, 2, 300, range(8), packs_of(files, 1)))
        for n in range(8):
            files.take(f"packs/1-{at(n)}.json")

    others.after["names", "packs"] = [merge_and_delete]

    written = journal_of(others).pack(everything=everything)

    assert len(written) == 1
    assert {log(n) for n in range(100, 164)} <= replaced_by(files, written[0])
    assert records_in(files) == {f"record-{n}" for n in [*range(8), *range(100, 164)]}


# --- what it costs ---


@pytest.mark.slow
def test_a_store_of_ten_thousand_saves_opens_with_few_reads_though_nothing_was_deleted_yet(files, draws):
    journal = journal_of(files)
    for n in range(10_000):
        journal.append([{"record": f"record-{n}", "set": {"n": n}}], by="me")
    assert len(files.paths("log")) == 10_000
    files.count_anew()

    assert len(records_in(files)) == 10_000

    assert len(files.did("read")) <= 120
    assert packs_of(files, 3)


def test_a_packer_reads_only_the_heads_of_large_packs(files, monkeypatch):
    put_logs(files, range(64))
    loose = sum(len(content_of(files, path)) for path in files.paths("log"))
    large = put_pack(files, 5, 200, range(200, 20_000), replaces=[log(900)])
    put_packs(files, 1, range(100, 110))
    size = len(content_of(files, large))
    small = sum(len(content_of(files, path)) for path in packs_of(files, 1))
    assert size > 10 * 2**16
    monkeypatch.setattr(packing, "LARGE_BYTES", size)

    assert len(journal_of(files).pack()) == 2

    assert files.bytes_read <= 2**16 + loose + 4 * small
    assert files.did("read").count(large) == 1


# --- why there is a grace ---


class HalfListed(SomebodyElse):
    """A storage that lists in two halves, packs of higher levels first, and others act in between."""

    def __init__(self, files, meanwhile):
        super().__init__(files)
        self._meanwhile = [meanwhile]

    def names(self, folder):
        first = [name for name in self.files.names(folder) if not name.startswith("1-")]
        if folder == "packs" and self._meanwhile:
            self._meanwhile.pop()()
        return first + [name for name in self.files.names(folder) if name.startswith("1-")]


@pytest.mark.parametrize("grace", [GRACE, -1])
def test_without_the_grace_a_slow_listing_misses_what_is_merged_and_deleted_meanwhile(files, monkeypatch, grace):
    monkeypatch.setattr(packing, "GRACE_SECONDS", grace)
    put_packs(files, 1, range(8))

    def merge_and_sweep():
        assert len(journal_of(files).pack()) == 1
        files.now += GRACE - 1
        pack_again(files, 100)

    reader = journal_of(HalfListed(files, merge_and_sweep))
    reader.refresh()

    merged = {f"record-{n}" for n in range(8)}
    assert merged <= records_in(files)
    assert set(reader.created()) & merged == (merged if grace == GRACE else set())
