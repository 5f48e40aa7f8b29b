"""Damaged and foreign files in a store: each is named, hides nothing, and stays as it is whatever is packed."""

import json
import os
import warnings

import pytest

from lazytrack import Project, naming
from lazytrack.errors import StoreWarning, UnsafePathError
from lazytrack.files import open_files
from lazytrack.journal import Journal, packing

CREATED = "2026-11-20T08:22:33.000000Z"
AT = "20261120T082233.123456Z-k3f9x2ab"
SOUND = {"at": AT, "by": "dana", "record": "sound", "set": {"name": "sound", "created_at": CREATED}}


def document(*patches, **more):
    return {"format": "lazytrack/1", "kind": "log", "id": AT, **more, "patches": list(patches)}


def spelled(content):
    return content if isinstance(content, bytes) else json.dumps(content).encode() + b"\n"


NOTHING_IS_READ = {
    "truncated": (spelled(document(SOUND))[:-9], "is not JSON"),
    "empty": (b"", "is empty"),
    "zeros, as after a power cut": (bytes(300), "is not JSON"),
    "binary": (bytes(range(256)), "is not JSON"),
    "another encoding": (json.dumps(document(SOUND)).encode("utf-16"), "is not JSON"),
    "a merge conflict": (b"<<<<<<< HEAD\n" + spelled(document(SOUND)) + b"=======\n", "is not JSON"),
    "two documents": (spelled(document(SOUND)) * 2, "is not JSON"),
    "not a number": (b'{"format": "lazytrack/1", "patches": [{"set": {"metrics.loss": NaN}}]}', "is not JSON"),
    "too deep": (b'{"format": "lazytrack/1", "patches": ' + b"[" * 100_000, "is not JSON"),
    "somebody else's": ({"name": "package", "version": "1.0", "patches": [SOUND]}, "not a lazytrack document"),
    "a list": ([SOUND], "not a lazytrack document"),
    "a string": ("lazytrack/1", "not a lazytrack document"),
    "null": (None, "not a lazytrack document"),
    "of a newer format": (document(SOUND, format="lazytrack/2"), "'lazytrack/2'.* upgrade"),
    "patches that are no list": ({"format": "lazytrack/1", "kind": "log", "patches": {"0": SOUND}}, "no list"),
    "replacing a file beside": (document(SOUND, kind="pack", replaces=["../x"]), "replaces files other than"),
    "replacing a file outside": (document(SOUND, kind="pack", replaces=["log/../../x"]), "replaces files other than"),
    "replacing the head": (document(SOUND, kind="pack", replaces=["packs/../../churn.json"]), "replaces files other"),
    "replacing an absolute path": (document(SOUND, kind="pack", replaces=["/x"]), "replaces files other than"),
    "replacing a number": (document(SOUND, kind="pack", replaces=[3]), "replaces files other than"),
    "replaces that are no list": (document(SOUND, kind="pack", replaces="log"), "replaces files other than"),
}
BAD_PATCHES = {
    "an unknown operation": ({"at": AT, "record": "bad", "rename": "worse"}, "operation this version does not know"),
    "no operation": ({"at": AT, "record": "bad"}, "operation this version does not know"),
    "no time": ({"record": "bad", "set": {"created_at": CREATED}}, "no 'at'"),
    "no logical time": ({"at": CREATED, "record": "bad", "set": {"created_at": CREATED}}, "no logical time"),
    "a time that is no date": ({"at": AT.replace("1120T", "1320T"), "record": "bad", "set": {}}, "no logical time"),
    "the end of time": ({"at": AT.replace("20261120T", "99991120T"), "record": "bad", "set": {}}, "no logical time"),
    "no record": ({"at": AT, "set": {"created_at": CREATED}}, "no 'record'"),
    "an empty record": ({"at": AT, "record": "", "set": {"created_at": CREATED}}, "no name"),
    "a record that is no text": ({"at": AT, "record": ["bad"], "set": {"created_at": CREATED}}, "no name"),
    "a set that is no object": ({"at": AT, "record": "bad", "set": [["created_at", CREATED]]}, "no object"),
    "an unset that is no list": ({"at": AT, "record": "bad", "unset": {"created_at": True}}, "no list of fields"),
    "an unset of a number": ({"at": AT, "record": "bad", "unset": [1]}, "no list of fields"),
    "set and unset": (
        {"at": AT, "record": "bad", "set": {"tags.a": True}, "unset": ["tags.a"]},
        "both sets and unsets",
    ),
    "a delete that is not true": ({"at": AT, "record": "bad", "delete": 1}, "'delete' that is not true"),
    "text for a patch": ("set created_at", "no 'at'"),
}


@pytest.fixture
def path(tmp_path):
    """Return a project of six experiments; none of the files around it may be touched."""
    path = tmp_path / "outer" / "churn.json"
    project = Project(path)
    for number in range(6):
        project.log(f"good {number}").log_metric("number", number)
        project.save()
    for decoy in (tmp_path / "x", path.parent / "x", path.with_suffix("") / "x"):
        decoy.write_text("not lazytrack's")
    return path


def numbers(project):
    return sorted(exp.metrics["number"] for exp in project.experiments if exp.name.startswith("good"))


def pack_in_every_way(path, monkeypatch):
    """Save, pack, merge and delete what is packed, several times over; return the project's folder."""
    folder = path.with_suffix("")
    written = set()
    monkeypatch.setattr(packing, "LOOSE_LOW", 2)
    monkeypatch.setattr(packing, "FAN_IN", 2)
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        for turn in range(6):
            for number in (6 + 2 * turn, 7 + 2 * turn):
                writer = Project(path)
                writer.log(f"good {number}").log_metric("number", number)
                writer.save()
            written |= set(folder.glob("log/2*"))
            Journal(open_files(folder)).pack(everything=turn % 3 == 2)
    assert written - set(folder.glob("log/2*"))  # so there was packing and deleting
    return folder


def replaced_by_packs(folder, but):
    packs = [file for file in folder.glob("packs/*") if f"packs/{file.name}" not in but]
    return {name for pack in packs for name in json.loads(pack.read_bytes()).get("replaces", [])}


def assert_named_and_left_alone(path, names, reason, monkeypatch):
    """Check files below the project's folder that are damaged, and how they outlive all packing."""
    folder = path.with_suffix("")
    before = {name: (folder / name).read_bytes() for name in names}
    decoys = {file: file.read_text() for file in (path.parent.parent / "x", path.parent / "x", folder / "x")}
    project = Project(path, mode="r")
    with pytest.warns(StoreWarning, match=rf"/(log|packs)/.* {reason}") as warned:
        assert numbers(project) == list(range(6))
    assert any(name in str(warned[0].message) for name in names)
    assert project.problems.keys() == set(names)

    pack_in_every_way(path, monkeypatch)
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert not replaced_by_packs(folder, names) & set(names)
    assert {file: file.read_text() for file in decoys} == decoys

    project.refresh()
    afresh = Project(path)
    with pytest.warns(StoreWarning, match=reason):
        assert numbers(afresh) == list(range(18))
    assert numbers(project) == list(range(18))
    assert afresh.problems == project.problems
    assert afresh.problems.keys() == set(names)
    return afresh


def new_name(kind):
    return (
        f"log/{naming.LogicalClock().tick()}.json" if kind == "log" else f"packs/1-{naming.LogicalClock().tick()}.json"
    )


def put(path, name, content):
    file = path.with_suffix("") / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(spelled(content))
    return name


@pytest.mark.parametrize("kind", ["log", "pack"])
@pytest.mark.parametrize("damage", NOTHING_IS_READ)
def test_a_damaged_file_is_named_and_left_alone(path, kind, damage, monkeypatch):
    content, reason = NOTHING_IS_READ[damage]
    name = put(path, new_name(kind), content)
    project = assert_named_and_left_alone(path, [name], reason, monkeypatch)
    assert "sound" not in project


@pytest.mark.parametrize("kind", ["log", "pack"])
@pytest.mark.parametrize("damage", BAD_PATCHES)
def test_a_damaged_patch_among_good_ones_is_named_and_hides_none_of_them(path, kind, damage, monkeypatch):
    patch, reason = BAD_PATCHES[damage]
    after = {"at": AT, "by": "dana", "record": "after", "set": {"name": "after", "created_at": CREATED}}
    logs = [f"log/{file.name}" for file in path.with_suffix("").glob("log/*")]
    more = {"kind": "pack", "replaces": logs} if kind == "pack" else {}
    name = put(path, new_name(kind), document(SOUND, patch, after, **more))
    project = assert_named_and_left_alone(path, [name], f"patch 1 .*{reason}", monkeypatch)
    assert {"sound", "after"} <= {exp.slug for exp in project.experiments}
    assert "bad" not in project


@pytest.mark.parametrize("kind", ["log", "pack"])
def test_a_file_that_was_cut_off_at_any_byte_is_named_and_left_alone(path, kind, monkeypatch):
    folder = path.with_suffix("")
    logs = sorted(folder.glob("log/*"))
    whole = json.loads(logs[0].read_bytes())
    if kind == "pack":
        replaces = [f"log/{file.name}" for file in logs]
        whole = document(*whole["patches"], kind="pack", replaces=replaces)
    content = json.dumps(whole).encode()
    names = [put(path, new_name(kind), content[:length]) for length in range(len(content))]
    assert_named_and_left_alone(path, names, "is (empty|not JSON)", monkeypatch)


def test_what_a_damaged_pack_claims_to_replace_is_packed_all_the_same(path, monkeypatch):
    logs = [f"log/{file.name}" for file in path.with_suffix("").glob("log/*")]
    put(path, new_name("pack"), spelled(document(SOUND, kind="pack", replaces=logs))[:-9])
    folder = pack_in_every_way(path, monkeypatch)
    assert not {f"log/{file.name}" for file in folder.glob("log/*")} & set(logs)


@pytest.mark.parametrize("kind", ["log", "pack"])
def test_a_file_with_a_key_of_a_later_version_is_read_but_not_packed(path, kind, monkeypatch):
    name = put(path, new_name(kind), document(SOUND, checksum="crc32:1"))
    before = (path.with_suffix("") / name).read_bytes()
    folder = pack_in_every_way(path, monkeypatch)
    assert (folder / name).read_bytes() == before
    assert name not in replaced_by_packs(folder, [name])
    project = Project(path)
    assert "sound" in project
    assert numbers(project) == list(range(18))
    assert project.problems == {}


@pytest.mark.parametrize("kind", ["log", "pack"])
def test_a_patch_with_a_key_of_a_later_version_keeps_it_in_every_pack(path, kind, monkeypatch):
    put(path, new_name(kind), document({**SOUND, "signature": "hmac:1"}))
    folder = pack_in_every_way(path, monkeypatch)
    patches = [p for pack in folder.glob("packs/*") for p in json.loads(pack.read_bytes())["patches"]]
    assert {p.get("signature") for p in patches if p["record"] == "sound"} == {"hmac:1"}
    assert Project(path)["sound"].name == "sound"


@pytest.mark.parametrize("kind", ["log", "packs"])
@pytest.mark.parametrize("name", ["notes.txt", "desktop.ini", "Thumbs.db", "no suffix"])
def test_a_file_that_is_no_json_is_named_and_left_alone(path, kind, name, monkeypatch):
    name = put(path, f"{kind}/{name}", b"anything")
    assert_named_and_left_alone(path, [name], "is not a lazytrack file", monkeypatch)


@pytest.mark.parametrize("kind", ["log", "packs"])
def test_a_copy_that_a_file_synchroniser_made_changes_nothing(path, kind, monkeypatch):
    folder = path.with_suffix("")
    [original, *_] = folder.glob("log/*")
    copy = folder / put(path, f"{kind}/{original.stem} (conflicted copy).json", original.read_bytes())
    before = copy.read_bytes()
    project = Project(path)
    assert numbers(project) == list(range(6))
    pack_in_every_way(path, monkeypatch)
    assert copy.read_bytes() == before
    project = Project(path)
    assert numbers(project) == list(range(18))
    assert project.problems == {}


@pytest.mark.parametrize("kind", ["log", "packs"])
def test_a_folder_among_the_files_hides_none_of_them(path, kind, monkeypatch):
    folder = path.with_suffix("")
    (folder / kind / "@eaDir").mkdir(parents=True)
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        assert numbers(Project(path)) == list(range(6))
        pack_in_every_way(path, monkeypatch)
        assert numbers(Project(path)) == list(range(18))
    assert (folder / kind / "@eaDir").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few users make symbolic links")
@pytest.mark.parametrize("kind", ["log", "packs"])
def test_a_link_to_nowhere_among_the_files_hides_none_of_them(path, kind, monkeypatch):
    folder = path.with_suffix("")
    (folder / kind).mkdir(exist_ok=True)
    name = new_name(kind)
    link = folder / name
    link.symlink_to("nowhere")
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        assert numbers(Project(path)) == list(range(6))
        pack_in_every_way(path, monkeypatch)
        project = Project(path)
        assert numbers(project) == list(range(18))
        assert project.problems.keys() == {name}
    assert link.is_symlink()


@pytest.mark.parametrize("kind", ["log", "packs"])
def test_a_file_that_is_being_written_is_not_looked_at(path, kind):
    put(path, f"{kind}/.{AT}.json.k3f9x2ab.tmp", b"half a do")
    project = Project(path)
    assert numbers(project) == list(range(6))
    assert project.problems == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"created_at": 5},
        {"created_at": "yesterday"},
        {"last_updated": []},
        {"name": {"first": "bad"}},
        {"status": 7},
        {"tags.a": {"b": 1}},
        {"metrics.loss": "high"},
        {"parameters.rate": {"float": 5}},
        {"artifacts.model": "nowhere"},
        {"artifacts.model": {"handler": "json"}},
        {"tests.part": 3},
        {"tests.part.metrics": 3},
        {"": 1, ".": 2, "parameters": 3, "parameters.": 4},
    ],
    ids=str,
)
def test_a_record_whose_fields_make_no_sense_hides_no_other(path, fields):
    put(path, new_name("log"), document({**SOUND, "record": "bad", "set": SOUND["set"] | fields}))
    project = Project(path, mode="w+")
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        assert numbers(project) == list(range(6))
        assert len([told for told in project if told["name"] != "sound" and told["slug"] != "bad"]) == 6
        assert [exp.metrics["number"] for exp in project.best("number", 1)] == [5]
        assert project["good-0"].metrics["number"] == 0
        project["good-0"].tag("edited")
        project.save()
        assert project.problems.keys() <= {"record bad", *project._journal.problems}


@pytest.mark.parametrize("record", ["../../../outside", "/outside", "..", "a/../../../../outside", "..\\..\\outside"])
def test_a_record_that_is_named_like_a_path_leads_no_artifact_out_of_the_store(path, record):
    put(path, new_name("log"), document({**SOUND, "record": record}))
    before = {file for file in path.parent.parent.rglob("*") if path.with_suffix("") not in file.parents}
    with warnings.catch_warnings(action="ignore", category=StoreWarning):
        project = Project(path, mode="w+")
        assert numbers(project) == list(range(6))
        try:
            project[record].log_artifact("model", "anything", "json")
            project.save()
        except (KeyError, OSError, UnsafePathError):
            pass
    assert {file for file in path.parent.parent.rglob("*") if path.with_suffix("") not in file.parents} == before
    artifacts = path.with_suffix("") / "artifacts"
    assert {file.relative_to(path.with_suffix("")).parts[0] for file in path.with_suffix("").rglob("*")} <= {
        "log",
        "packs",
        "artifacts",
        "x",
    }
    assert not list(artifacts.glob("model"))
