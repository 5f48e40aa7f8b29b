"""Folding patches: whatever the order, the copies and the packs they come in, they say one thing."""

import json
from copy import deepcopy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lazytrack import naming
from lazytrack.journal import document
from lazytrack.journal.fold import State, compact

unhurried = settings(deadline=None, max_examples=60)

RECORDS = ["baseline", "larger", "tuned"]
FIELDS = ["created_at", "status", "parameters.lr", "metrics.auc", "tags.prod"]
TIMES = [f"20200101T000000.{n:06d}Z-{n:08d}" for n in range(9)]


# --- patches, and the ways in which they may lie in files ---


# What a patch does to one field, to the whole record, and what this version does not know of; mostly the first.
DEEDS = [
    *((operation, field) for operation in ("set", "set", "unset") for field in FIELDS),
    ("delete", ""),
    ("later", ""),
]
deeds = st.lists(st.sampled_from(DEEDS), min_size=1, max_size=5, unique_by=lambda deed: deed[1] or deed[0])
places = st.tuples(st.sampled_from(TIMES), st.sampled_from(RECORDS))


def patch_of(at, record, deeds):
    patch = {"at": at, "by": "dana", "record": record}
    for operation, field in deeds:
        match operation:
            case "set":
                patch.setdefault("set", {})[field] = f"{field} at {at}"
            case "unset":
                patch.setdefault("unset", []).append(field)
            case "delete":
                patch["delete"] = True
            case "later":
                patch["later"] = f"something at {at}"
    if patch.keys().isdisjoint({"set", "unset", "delete"}):
        patch["set"] = {"status": None}
    return patch


histories = st.dictionaries(places, deeds, max_size=12).map(
    lambda saves: [patch_of(*place, saves[place]) for place in sorted(saves)]
)
"""Any patches of some saves; of each record and save there is one."""


@st.composite
def stores(draw):
    """Any patches, and files that hold them: log files, packs of any files, packs of packs, in any order.

    An original may be gone once a pack holds it, as packers may delete it, or be there still. Some are read twice.
    """
    patches = draw(histories)
    files = [[patch] for patch in patches]
    rng = draw(st.randoms(use_true_random=False))
    for _ in range(rng.randint(0, 5) if files else 0):
        chosen = set(rng.sample(range(len(files)), rng.randint(1, len(files))))
        inputs = [patch for place in chosen for patch in files[place]]
        rng.shuffle(inputs)
        if rng.random() < 0.5:
            files = [file for place, file in enumerate(files) if place not in chosen]
        files.append(through_a_file(compact(inputs)))
    files += rng.sample(files, min(2, len(files)))
    rng.shuffle(files)
    return patches, files


def through_a_file(patches):
    return json.loads(json.dumps(patches))


# --- what they say ---


class Replayed:
    """State as one would get it by watching: every patch that counts, played in order of time."""

    def __init__(self, patches):
        self.deleted = {patch["record"] for patch in patches if "delete" in patch}
        self.records = {patch["record"]: {} for patch in patches if patch["record"] not in self.deleted}
        self.created = dict.fromkeys(self.records)
        for patch in sorted(patches, key=lambda patch: patch["at"]):
            if (fields := self.records.get(patch["record"])) is None:
                continue
            for field in [*patch.get("set", {}), *patch.get("unset", [])]:
                fields.pop(field, None)
                if field == "created_at":
                    self.created[patch["record"]] = patch["at"] if field in patch.get("set", {}) else None
            fields |= patch.get("set", {})


def folded(files):
    state = State()
    for patches in files:
        state.add(patches)
    return state


def assert_says(state, patches):
    expected = Replayed(patches)
    assert state.deleted == expected.deleted
    for record in RECORDS:
        assert list(state.fields(record).items()) == list(expected.records.get(record, {}).items())
        assert (record in state) == (record in expected.records)
    assert state.created() == expected.created
    for field in FIELDS:
        assert state.column(field) == {record: said.get(field) for record, said in expected.records.items()}


def entries(patches):
    """Return everything that patches set or unset, with when and in which record."""
    return {
        (patch["at"], patch["record"], operation, field)
        for patch in patches
        for operation in ("set", "unset")
        for field in patch.get(operation, ())
    }


@settings(unhurried, max_examples=200)
@given(stores())
def test_any_order_any_duplication_and_any_packing_say_what_the_patches_said(store):
    patches, files = store

    assert_says(folded(files), patches)


@unhurried
@given(stores())
def test_patches_read_in_one_batch_say_the_same_as_patches_read_one_by_one(store):
    patches, files = store
    everything = [patch for file in files for patch in file]

    assert_says(folded([everything]), patches)
    assert_says(folded([patch] for patch in everything), patches)


@unhurried
@given(stores())
def test_looking_a_record_up_between_two_files_changes_nothing(store):
    patches, files = store
    state, read = State(), []

    for file in files:
        state.add(file)
        read += file
        assert_says(state, read)

    assert_says(state, patches)


@unhurried
@given(stores())
def test_the_fold_says_which_records_a_file_speaks_of(store):
    _, files = store
    state = State()

    for file in files:
        assert state.add(file) == {patch["record"] for patch in file}


@unhurried
@given(stores())
def test_neither_folding_nor_packing_modifies_a_patch(store):
    _, files = store
    before = deepcopy(files)

    state = folded(files)
    for record in RECORDS:
        state.fields(record)
    compact(patch for file in files for patch in file)

    assert files == before


@unhurried
@given(stores())
def test_a_pack_says_the_same_to_the_byte_whatever_its_inputs_were(store):
    patches, files = store

    packed = compact(patch for file in files for patch in file)

    assert json.dumps(packed) == json.dumps(compact(patches))


@unhurried
@given(histories)
def test_a_pack_of_a_pack_is_the_pack_itself(patches):
    once = compact(patches)

    assert json.dumps(compact(once)) == json.dumps(once)


@unhurried
@given(histories)
@example(
    [
        patch_of(TIMES[0], "baseline", [("set", "status"), ("later", "")]),
        patch_of(TIMES[1], "baseline", [("set", "status")]),
    ]
)
def test_a_pack_of_sound_patches_is_sound_and_can_be_packed_again(patches):
    parsed = document.parse(document.compose("pack", id="x", patches=compact(patches)))

    assert parsed.problem is None
    assert parsed.packable


@unhurried
@given(histories)
def test_packed_patches_are_in_order_of_time_and_each_is_there_once(patches):
    places = [(patch["at"], patch["record"]) for patch in compact(patches)]

    assert places == sorted(set(places))


@unhurried
@given(histories)
def test_a_pack_keeps_the_latest_word_on_each_field_unsets_included_and_no_earlier_one(patches):
    gone = {patch["record"] for patch in patches if "delete" in patch}
    latest = {}
    for at, record, operation, field in sorted(entries(patches)):
        latest[record, field] = at, record, operation, field

    assert entries(compact(patches)) == {entry for (record, _), entry in latest.items() if record not in gone}


@unhurried
@given(histories)
def test_a_pack_keeps_every_delete_and_every_key_it_does_not_know(patches):
    def unchanging(patches):
        rest = [{key: value for key, value in patch.items() if key not in {"set", "unset"}} for patch in patches]
        return [patch for patch in rest if not patch.keys().isdisjoint({"delete", "later"})]

    assert unchanging(compact(patches)) == unchanging(patches)


@unhurried
@given(histories, histories)
def test_what_a_pack_leaves_out_does_not_come_back_from_a_file_it_has_not_seen(patches, others):
    places = {(patch["at"], patch["record"]) for patch in patches}
    others = [patch for patch in others if (patch["at"], patch["record"]) not in places]

    assert_says(folded([compact(patches), others]), [*patches, *others])
    assert_says(folded([others, compact(patches)]), [*patches, *others])


def test_an_unset_in_a_pack_outlives_an_older_set_from_elsewhere():
    old = {"at": TIMES[0], "by": "dana", "record": "baseline", "set": {"tags.prod": True, "status": "ok"}}
    unset = {"at": TIMES[1], "by": "dana", "record": "baseline", "unset": ["tags.prod"]}

    state = folded([compact([unset]), [old]])

    assert state.fields("baseline") == {"status": "ok"}


def test_a_delete_hides_what_was_and_what_will_be_said_of_its_record():
    patches = [
        {"at": TIMES[0], "by": "dana", "record": "baseline", "set": {"status": "ok"}},
        {"at": TIMES[1], "by": "dana", "record": "baseline", "delete": True},
        {"at": TIMES[2], "by": "dana", "record": "baseline", "set": {"status": "back"}},
    ]

    state = folded([patches])

    assert state.deleted == {"baseline"}
    assert "baseline" not in state
    assert state.fields("baseline") == {}
    assert state.created() == state.column("status") == {}
    assert compact(patches) == patches[1:2]


def test_of_several_sets_of_one_field_the_latest_wins_and_says_when_the_record_was_created():
    patches = [{"at": time, "by": "dana", "record": "baseline", "set": {"created_at": time[:15]}} for time in TIMES[:4]]
    state = State()

    for place, latest in [(1, 1), (0, 1), (3, 3), (2, 3)]:
        state.add([patches[place]])
        assert state.fields("baseline") == {"created_at": TIMES[latest][:15]}
        assert state.created() == {"baseline": TIMES[latest]}

    state.add([{"at": TIMES[4], "by": "dana", "record": "baseline", "unset": ["created_at"]}])
    assert state.fields("baseline") == {}
    assert state.created() == {"baseline": None}


@unhurried
@given(histories, st.randoms(use_true_random=False))
def test_copies_that_have_lost_entries_as_in_a_damaged_pack_take_nothing_from_whole_ones(patches, rng):
    def less(patch):
        kept = {"set": {field: value for field, value in patch.get("set", {}).items() if rng.random() < 0.5}}
        return {**patch, **kept, "unset": [field for field in patch.get("unset", []) if rng.random() < 0.5]}

    copies = [*patches, *map(less, patches), *map(less, patches)]
    rng.shuffle(copies)
    whole, state = folded([patches]), folded([copies])

    assert {record: state.fields(record) for record in RECORDS} == {record: whole.fields(record) for record in RECORDS}
    assert entries(compact(copies)) == entries(compact(patches))


@pytest.mark.parametrize("nothing", [{"set": {}}, {"unset": []}, {"set": {}, "unset": []}], ids=str)
def test_a_record_that_is_only_mentioned_is_there_or_not_whether_it_is_packed_or_not(nothing):
    empty = {"at": TIMES[0], "by": "dana", "record": "baseline", **nothing}

    loose, packed = folded([[empty]]), folded([compact([empty])])

    assert loose.created() == packed.created()
    assert ("baseline" in loose) == ("baseline" in packed)


def test_what_was_handed_out_does_not_change_when_a_newer_patch_comes():
    state, clock = State(), naming.LogicalClock()
    for number in range(3):
        state.add([{"at": clock.tick(), "by": "dana", "record": "exp", "set": {"created_at": "x", "a": number}}])
        fields = state.fields("exp")
        before = dict(fields)
        state.add([{"at": clock.tick(), "by": "dana", "record": "exp", "set": {"b": number}, "unset": ["a"]}])
        assert fields == before
        assert state.fields("exp") == {"created_at": "x", "b": number}


def test_what_is_news_is_what_is_newer_and_not_deleted():
    state, clock = State(), naming.LogicalClock()
    first, second, third = (clock.tick() for _ in range(3))
    state.add([{"at": second, "by": "dana", "record": "exp", "set": {"a": 1}, "unset": ["b"]}])
    state.add([{"at": second, "by": "dana", "record": "gone", "delete": True}])

    def patch(at, record="exp", **changes):
        return {"at": at, "by": "lee", "record": record, **changes}

    assert (
        state.news(
            [patch(first, set={"a": 0, "b": 0}), patch(second, set={"a": 1}), patch(third, "gone", set={"a": 1})]
        )
        == []
    )
    old = [patch(first, set={"a": 0, "b": 0}), patch(second, set={"a": 1}), patch(third, "gone", set={"a": 1})]
    assert state.news(old) == []
    partly = patch(first, set={"a": 0, "c": 0}, unset=["b", "d"])
    assert state.news([partly]) == [patch(first, set={"c": 0}, unset=["d"])]
    assert state.news([patch(third, unset=["a"])]) == [patch(third, unset=["a"])]
    assert state.news([patch(third, "new", set={"a": 1})]) == [patch(third, "new", set={"a": 1})]
