"""The one shape of every file: what is written is read, and what is damaged is named and hides nothing else."""

import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lazytrack.journal import document
from lazytrack.journal.document import compose, parse, parse_replaces

unhurried = settings(deadline=None, max_examples=100)

AT = "20261120T082233.123456Z-k3f9x2ab"
LOG = f"log/{AT}.json"
PACK = f"packs/2-{AT}.json"
SOUND = {"at": AT, "by": "dana", "record": "baseline", "set": {"status": "ok"}}
OTHER = {"at": AT, "by": "dana", "record": "larger", "set": {"status": "ok"}}

NOT_LOGICAL = [
    "",
    AT[:-1],
    AT + "a",
    AT.replace("Z", "z"),
    AT.replace("2026", "2O26"),
    AT.replace("20261120", "2026112a"),
    AT.replace("20261120", "20260230"),
    AT.replace("20261120", "20261320"),
    AT.replace("20261120", "00001120"),
    AT.replace("20261120", "99991120"),
    AT.replace("T082233", "T246000"),
    AT.replace("T082233.123456", "T240000.000000"),
    AT.replace("T082233", "T082260"),
    AT.replace("123456", "12345a"),
    AT.replace("123456", "12345٦"),
    AT.replace("k3f9x2ab", "K3F9X2AB"),
    AT.replace("k3f9x2ab", "k3f9/2ab"),
    "2026-11-20T08:22:33.123456Z-k3f9",
]

# --- any JSON, and what looks almost like ours ---

texts = st.text(max_size=8) | st.sampled_from(['"patches": [', '"patches', "\\", "at", "é\u2028"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
times = st.just(AT) | st.sampled_from(NOT_LOGICAL) | values
fields = st.sampled_from(["status", "tags.prod", "metrics.auc"])
likely = {
    "at": times,
    "by": st.just("dana") | values,
    "record": st.sampled_from(["baseline", ""]) | values,
    "set": st.dictionaries(fields, values, max_size=2) | values,
    "unset": st.lists(fields, max_size=2) | values,
    "delete": st.just(True) | values,
    "later": values,
}


@st.composite
def almost_patches(draw):
    """Objects with the keys of patches, in any order, most of them with values that would be right there."""
    plain = ["at", "by", "record", "set"]
    keys = draw(st.just(plain) | st.just(plain) | st.lists(st.sampled_from(sorted(likely)), unique=True))
    return {key: draw(likely[key]) for key in keys}


@st.composite
def sound_patches(draw):
    """Objects that are patches."""
    changes = draw(st.dictionaries(fields, values))
    patch = {"at": AT, "by": draw(texts), "record": draw(texts.filter(bool)), "set": changes}
    if draw(st.booleans()):
        patch["unset"] = [field for field in ("created_at", "status") if field not in changes]
    if draw(st.integers(0, 4)) == 0:
        patch["delete"] = True
    return patch


names = st.sampled_from([LOG, PACK, f"packs/99-{AT}.json"])
almost_documents = st.fixed_dictionaries(
    {},
    optional={
        "format": st.just("lazytrack/1") | st.just("lazytrack/1") | st.just("lazytrack/2") | values,
        "kind": st.just("pack") | values,
        "id": values,
        "created_at": values,
        "replaces": st.lists(names | values, max_size=3) | values,
        "patches": st.lists(almost_patches() | values, max_size=4) | values,
        "later": values,
    },
)


def spelled(content, *, indent=None):
    return json.dumps(content, indent=indent, ensure_ascii=False).encode()


def with_patches(*patches):
    return spelled({"format": "lazytrack/1", "kind": "log", "id": AT, "patches": patches})


# --- what is written is read ---


@unhurried
@given(
    kind=texts,
    id=texts,
    created_at=st.none() | texts,
    replaces=st.sets(names),
    patches=st.lists(sound_patches(), max_size=4),
)
def test_what_is_composed_is_parsed(kind, id, created_at, replaces, patches):
    extra = {} if created_at is None else {"created_at": created_at}

    parsed = parse(compose(kind, id=id, patches=patches, replaces=replaces, **extra))

    assert (parsed.kind, parsed.id, parsed.created_at) == (kind, id, created_at)
    assert (list(parsed.patches), parsed.replaces) == (patches, replaces)
    assert parsed.problem is None
    assert parsed.packable


def test_a_document_is_one_line_of_json_with_its_replaces_before_its_patches():
    data = compose("pack", id=AT, patches=[SOUND], replaces=[PACK, LOG])

    assert data.count(b"\n") == 1
    assert data.endswith(b"}\n")
    content = json.loads(data)
    assert list(content) == ["format", "kind", "id", "replaces", "patches"]
    assert content["replaces"] == [LOG, PACK]


# --- damage ---


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is not JSON"),
        (b"\x80\x04\x95 a pickle", "is not JSON"),
        (with_patches(SOUND)[:-5], "is not JSON"),
        (with_patches(SOUND) * 2, "is not JSON"),
        (spelled({"format": "lazytrack/1", "id": float("nan")}), "is not JSON"),
        (b"[]", "is JSON, but not a lazytrack document"),
        (b"null", "is JSON, but not a lazytrack document"),
        (b"{}", "is JSON, but not a lazytrack document"),
        (b'{"format": 1}', "is JSON, but not a lazytrack document"),
        (b'{"format": "mlflow/1"}', "is JSON, but not a lazytrack document"),
        (b'{"format": "lazytrack/2", "patches": 7}', "of format 'lazytrack/2', .* upgrade lazytrack"),
        (b'{"format": "lazytrack/1.1"}', "of format 'lazytrack/1.1', .* upgrade lazytrack"),
        (b'{"format": "lazytrack/1", "patches": {}}', "patches that are no list"),
        (b'{"format": "lazytrack/1", "patches": null}', "patches that are no list"),
        (b'{"format": "lazytrack/1", "replaces": "log/a.json"}', "replaces files other than log/<name>"),
        (b'{"format": "lazytrack/1", "replaces": null}', "replaces files other than log/<name>"),
        (spelled({"format": "lazytrack/1", "replaces": {LOG: 1}}), "replaces files other than log/<name>"),
        (b'{"format": "lazytrack/1", "replaces": [7]}', "replaces files other than log/<name>"),
    ],
)
def test_a_file_that_is_no_document_says_why(data, reason):
    parsed = parse(data)

    assert parsed == document.Document(problem=parsed.problem, packable=False)
    assert re.search(reason, parsed.problem)


@pytest.mark.parametrize(
    "name",
    [
        "project.json",
        "../log/" + AT + ".json",
        "log/../" + AT + ".json",
        f"{LOG}\n",
        f"{LOG}x",
        f"/{LOG}",
        LOG.upper(),
        "log/notes.json",
        LOG.replace("20261120", "2026/../"),
        f"packs/{AT}.json",
        f"packs/0-{AT}.json",
        f"packs/100-{AT}.json",
        f"packs/02-{AT}.json",
        f"log/2-{AT}.json",
        f"series/{AT}.json",
    ],
)
def test_a_file_that_replaces_what_is_no_log_file_or_pack_is_damaged(name):
    parsed = parse(compose("pack", id=AT, patches=[SOUND], replaces=[LOG, name]))

    assert parsed.problem == "replaces files other than log/<name> and packs/<name>"
    assert not parsed.packable
    assert parsed.replaces == frozenset()


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("a string", "has no 'at' or no 'record'"),
        (None, "has no 'at' or no 'record'"),
        ([], "has no 'at' or no 'record'"),
        ({"record": "baseline", "set": {}}, "has no 'at' or no 'record'"),
        ({"at": AT, "set": {}}, "has no 'at' or no 'record'"),
        (SOUND | {"at": 20261120}, "has an 'at' that is no logical time"),
        (SOUND | {"at": [AT]}, "has an 'at' that is no logical time"),
        *((SOUND | {"at": at}, "has an 'at' that is no logical time") for at in NOT_LOGICAL),
        (SOUND | {"record": ""}, "has a 'record' that is no name"),
        (SOUND | {"record": 7}, "has a 'record' that is no name"),
        (SOUND | {"record": None}, "has a 'record' that is no name"),
        ({"at": AT, "by": "dana", "record": "baseline"}, "holds an operation this version does not know"),
        ({"at": AT, "by": "dana", "record": "baseline", "move": "x"}, "holds an operation this version does not know"),
        (SOUND | {"set": []}, "has a 'set' that is no object"),
        (SOUND | {"set": None}, "has a 'set' that is no object"),
        (SOUND | {"unset": "status"}, "has an 'unset' that is no list of fields"),
        (SOUND | {"unset": [["status"]]}, "has an 'unset' that is no list of fields"),
        (SOUND | {"unset": [7]}, "has an 'unset' that is no list of fields"),
        (SOUND | {"unset": None}, "has an 'unset' that is no list of fields"),
        (SOUND | {"unset": ["tags.prod", "status"]}, "both sets and unsets a field"),
        (SOUND | {"delete": False}, "has a 'delete' that is not true"),
        (SOUND | {"delete": 1}, "has a 'delete' that is not true"),
        (SOUND | {"delete": None}, "has a 'delete' that is not true"),
    ],
)
def test_a_damaged_patch_is_named_and_the_sound_ones_beside_it_are_kept(damaged, reason):
    parsed = parse(with_patches(SOUND, damaged, OTHER))

    assert parsed.problem == f"patch 1 {reason}"
    assert parsed.patches == [SOUND, OTHER]
    assert not parsed.packable
    assert parsed.kind == "log"


def test_of_several_damaged_patches_the_first_is_named_and_all_are_counted():
    parsed = parse(with_patches(SOUND, {}, OTHER, SOUND | {"at": ""}, SOUND | {"set": 7}))

    assert parsed.problem.startswith("patch 1 has no 'at'")
    assert parsed.problem.endswith("(and 2 more of its 5 patches are damaged)")
    assert parsed.patches == [SOUND, OTHER]


def test_a_damaged_pack_replaces_nothing_as_its_originals_may_be_whole():
    pack = {"format": "lazytrack/1", "kind": "pack", "replaces": [LOG], "patches": [SOUND, {}]}

    assert parse(spelled(pack)).replaces == frozenset()
    assert parse(spelled(pack | {"patches": [SOUND]})).replaces == {LOG}


def test_a_document_with_keys_of_a_later_version_is_read_and_not_packed():
    later = {"format": "lazytrack/1", "kind": "pack", "later": 1, "replaces": [LOG], "patches": [SOUND]}

    parsed = parse(spelled(later))

    assert parsed.problem is None
    assert list(parsed.patches) == [SOUND]
    assert parsed.replaces == {LOG}
    assert not parsed.packable


def test_a_patch_with_keys_of_a_later_version_is_read_and_packed_as_it_is():
    patch = SOUND | {"because": "of the weather"}

    parsed = parse(with_patches(patch))

    assert parsed.problem is None
    assert list(parsed.patches) == [patch]
    assert parsed.packable


def test_a_kind_an_id_and_a_time_that_are_no_strings_are_none():
    parsed = parse(spelled({"format": "lazytrack/1", "kind": 1, "id": ["x"], "created_at": {}}))

    assert (parsed.kind, parsed.id, parsed.created_at) == (None, None, None)
    assert parsed.problem is None


# --- whatever stands in a file ---


def assert_sensible(parsed):
    assert parsed.problem is None or parsed.problem
    assert parsed.problem is None or (not parsed.packable and not parsed.replaces)
    for patch in parsed.patches:
        assert document._fault(patch) is None


@unhurried
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 100_000)
@example(b'{"format": "lazytrack/1", "patches": [' * 1_000)
@example(b'{"format": "\\ud800"}')
@example(b"1" * 5_000)
@example(b'{"format": "lazytrack/1", "id": 1e999}')
def test_no_bytes_make_parsing_raise(data):
    assert_sensible(parse(data))


@unhurried
@given(values | almost_documents)
@example({"format": "lazytrack/1", "patches": [SOUND | {"unset": [{}]}]})
@example({"format": ["lazytrack/1"]})
def test_no_json_makes_parsing_raise(content):
    assert_sensible(parse(spelled(content)))


@unhurried
@given(almost_documents, st.data())
def test_no_truncation_makes_parsing_raise_or_keeps_a_document_sound(content, data):
    whole = spelled(content)
    parsed = parse(whole[: data.draw(st.integers(0, len(whole) - 1))])

    assert parsed.problem
    assert not parsed.packable
    assert not parsed.patches


@settings(unhurried, max_examples=200)
@given(st.lists(almost_patches() | sound_patches() | values, max_size=4))
@example([SOUND, SOUND | {"by": 7}])
@example([SOUND, {key: SOUND[key] for key in ("record", "at", "by", "set")}])
@example([{**SOUND, "at": AT[:-1]}, {**SOUND, "at": AT + "a"}])
def test_patches_looked_at_together_are_judged_as_each_one_is_alone(patches):
    faults = [document._fault(patch) for patch in patches]
    sound, problem = document._sift(patches)

    assert sound == [patch for patch, fault in zip(patches, faults, strict=True) if fault is None]
    assert (problem is None) == (not any(faults))
    plain = all(type(patch) is dict and list(patch) == ["at", "by", "record", "set"] for patch in patches)
    assert document._all_plain(patches) == (plain and problem is None)


# --- what a pack replaces, from its first bytes ---


@settings(unhurried, max_examples=100)
@given(
    id=texts,
    replaces=st.sets(names, min_size=1),
    patches=st.lists(sound_patches(), min_size=1, max_size=3),
    indent=st.none() | st.integers(0, 4),
    data=st.data(),
)
def test_what_a_pack_replaces_is_read_from_its_first_bytes_however_it_is_printed(id, replaces, patches, indent, data):
    content = json.loads(compose("pack", id=id, patches=patches, replaces=replaces))
    whole = spelled(content, indent=indent)
    opening = whole.index(b"[", whole.index(b'"patches":', whole.index(b'"replaces":')))
    length = data.draw(st.integers(0, len(whole)))

    expected = parse(whole).replaces if length > opening else None
    assert parse_replaces(whole[:length]) == expected == (replaces if length > opening else None)


@settings(unhurried, max_examples=200)
@given(
    optional=st.fixed_dictionaries(
        {}, optional={"id": texts, "created_at": values, "later": values, '"patches': values}
    ),
    replaces=st.sets(names),
    patches=st.lists(sound_patches(), max_size=3),
    indent=st.none() | st.integers(0, 4),
    data=st.data(),
)
@example(optional={}, replaces={LOG}, patches=[SOUND], indent=None, data=None)
def test_first_bytes_tell_what_the_whole_file_says_or_nothing_whatever_the_order_of_its_keys(
    optional, replaces, patches, indent, data
):
    content = {"format": "lazytrack/1", "kind": "pack", "patches": patches, "replaces": sorted(replaces), **optional}
    if data:
        content = {key: content[key] for key in data.draw(st.permutations(sorted(content)))}
    whole = spelled(content, indent=indent)
    length = data.draw(st.integers(0, len(whole))) if data else len(whole)

    assert parse_replaces(whole[:length]) in (None, parse(whole).replaces)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x80",
        b"not JSON",
        b'{"patches": [',
        b'{"format": "lazytrack/2", "patches": [',
        b'{"format": "lazytrack/1", "replaces": ["project.json"], "patches": [',
        b'{"format": "lazytrack/1", "replaces": ["log/',
        b'{"format": "lazytrack/1", "later": {"patches": [',
    ],
)
def test_first_bytes_that_do_not_tell_what_is_replaced_tell_nothing(head):
    assert parse_replaces(head) is None
