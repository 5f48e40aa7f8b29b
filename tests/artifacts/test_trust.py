"""Whose pickles are read unasked, and what becomes of everybody else's."""

import hashlib
import hmac
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from lazytrack import Project, Repository
from lazytrack.artifacts import PickleArtifact, trust
from lazytrack.errors import ArtifactLoadError, SaveError, UntrustedArtifactError

OURS, THEIRS, OLD = ("a-key-of-our-team-0001", "a-key-of-another-0002", "a-key-of-last-year-0003")


class Command:
    """A value whose pickle runs a command when it is read."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture(autouse=True)
def _keys(tmp_path, monkeypatch):
    """Give each test a configuration folder of its own."""
    monkeypatch.setenv(trust.VARIABLE, OURS)
    monkeypatch.setattr(trust, "_folder", lambda: str(tmp_path / "config"))


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store", mode="w+")


def logged(project, value=(1, 2), name="model", **kwargs):
    with project.log("exp") as exp:
        exp.log_artifact(name, value, handler="pickle", **kwargs)
    project.save()
    return exp


def reopened(project):
    return Project(project.fpath, mode="r")["exp"]


def entries(project):
    patches = [
        patch
        for path in sorted(Path(project.folder).glob("log/*"))
        for patch in json.loads(path.read_text())["patches"]
    ]
    return [value for patch in patches for field, value in patch.get("set", {}).items() if "artifacts." in field]


def alter(project, change):
    """Change what the log files say, as a stranger may."""
    for path in Path(project.folder).glob("log/*"):
        document = json.loads(path.read_text())
        for patch in document["patches"]:
            change(patch)
        path.write_text(json.dumps(document))


def test_what_is_signed_by_a_key_that_is_held_is_read_unasked(project):
    logged(project)
    assert reopened(project).load_artifact("model") == (1, 2)
    [entry] = entries(project)
    assert OURS not in json.dumps(entry)
    assert set(entry) >= {"signature", "sha256"}


def test_a_signature_is_made_as_the_page_of_the_format_says(project):
    exp = logged(project)
    [entry] = entries(project)
    line = (
        json.dumps(["lazytrack/1", entry["sha256"], "pickle", exp.slug, "artifacts.model"], separators=(",", ":"))
        + "\n"
    )
    key_id = hmac.new(OURS.encode(), b"name of the key", "sha256").hexdigest()[:16]
    assert entry["signature"] == f"{key_id}:{hmac.new(OURS.encode(), line.encode(), 'sha256').hexdigest()}"


def test_a_handler_that_runs_no_code_is_not_signed(project):
    with project.log("exp") as exp:
        exp.log_artifact("report", [1], handler="json")
    project.save()
    assert "signature" not in entries(project)[0]
    assert reopened(project).load_artifact("report") == [1]


def test_what_another_has_signed_is_refused_with_the_two_ways_out_and_runs_nothing(project, tmp_path, monkeypatch):
    logged(project, Command(tmp_path / "marker"))
    monkeypatch.setenv(trust.VARIABLE, THEIRS)
    exp = reopened(project)
    with pytest.raises(UntrustedArtifactError, match="signed by a key that is not held here") as caught:
        exp.load_artifact("model")
    assert trust.VARIABLE in str(caught.value)
    assert "load_artifact(..., trust=True)" in str(caught.value)
    assert isinstance(caught.value, PermissionError)
    assert not (tmp_path / "marker").exists()
    exp.load_artifact("model", trust=True)
    assert (tmp_path / "marker").exists()


def test_what_is_not_signed_is_refused(project, tmp_path):
    logged(project, Command(tmp_path / "marker"))
    alter(project, lambda patch: [v.pop("signature") for f, v in patch["set"].items() if f == "artifacts.model"])
    with pytest.raises(UntrustedArtifactError, match="it is not signed"):
        reopened(project).load_artifact("model")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("signature", ["", ":", "x", "é", "0" * 16 + ":" + "0" * 64])
def test_what_is_no_signature_is_refused(project, signature):
    logged(project)
    alter(project, lambda patch: patch["set"]["artifacts.model"].update(signature=signature))
    with pytest.raises(UntrustedArtifactError):
        reopened(project).load_artifact("model")


def test_a_file_that_was_altered_is_refused_even_when_its_record_says_so(project, tmp_path):
    logged(project)
    [file] = Path(project.folder).rglob("*.pkl")
    evil = pickle.dumps(Command(tmp_path / "marker"))
    file.write_bytes(evil)
    with pytest.raises(ArtifactLoadError, match="is not the one that was saved"):
        reopened(project).load_artifact("model")
    digest = hashlib.sha256(evil).hexdigest()
    alter(project, lambda patch: patch["set"]["artifacts.model"].update(sha256=digest, size=len(evil)))
    with pytest.raises(UntrustedArtifactError, match=r"its signature is of other bytes .* the record was altered"):
        reopened(project).load_artifact("model")
    assert not (tmp_path / "marker").exists()


def test_an_entry_is_worth_nothing_in_another_record_or_under_another_name(project):
    logged(project)
    with project.log("victim") as victim:
        victim.log_artifact("model", (3,), handler="pickle")
        victim.log_test("women").log_artifact("model", (4,), handler="pickle")
    project.save()
    [entry] = [entry for entry in entries(project) if entry["path"].split("/")[1].startswith("exp-")]

    def swap(patch):
        for field in patch["set"]:
            if patch["record"] == victim.slug and "artifacts." in field:
                patch["set"][field] = entry

    alter(project, swap)
    slug = project["exp"].slug
    found = Project(project.fpath, mode="r")["victim"]
    for part in (found, found.tests[0]):
        with pytest.raises(UntrustedArtifactError, match=rf"signed is artifacts.model of '{slug}': .* moved here"):
            part.load_artifact("model")


def test_each_attack_is_told_in_words_of_its_own(project, tmp_path, monkeypatch):
    """A tampered file, a swapped record, an artifact under another name, a wrong key, none at all."""
    exp = logged(project, (1,))
    exp.log_artifact("other", (2,), handler="pickle")
    project.save()
    logged(project, (3,))
    one, two = (e.slug for e in project.experiments)
    sound = {path: path.read_text() for path in Path(project.folder).glob("log/*")}

    def told(change, name="model"):
        for path, text in sound.items():
            path.write_text(text)
        alter(project, change)
        with pytest.raises((UntrustedArtifactError, ArtifactLoadError)) as caught:
            Project(project.fpath, mode="r")[one].load_artifact(name)
        return str(caught.value)

    def swap_records(patch):
        patch["record"] = {one: two, two: one}[patch["record"]]

    def swap_names(patch):
        if "artifacts.other" in patch["set"]:
            patch["set"]["artifacts.model"] = patch["set"].pop("artifacts.other")

    messages = {
        "swapped": told(swap_records),
        "renamed": told(swap_names),
        "unsigned": told(lambda patch: [v.pop("signature") for v in patch["set"].values() if "sha256" in str(v)]),
        "altered": told(lambda patch: [v.update(sha256="0" * 64) for v in patch["set"].values() if "sha256" in str(v)]),
    }
    with monkeypatch.context() as other:
        other.setenv(trust.VARIABLE, THEIRS)
        messages["wrong key"] = told(lambda _: None)
    for path in Path(project.folder).rglob("*.pkl"):
        path.write_bytes(path.read_bytes()[::-1])
    messages["tampered"] = told(lambda _: None)
    assert f"what is signed is artifacts.model of {two!r}" in messages["swapped"]
    assert f"what is signed is artifacts.other of {one!r}" in messages["renamed"]
    assert "it is not signed" in messages["unsigned"]
    assert "the record was altered" in messages["altered"]
    assert "signed by a key that is not held here" in messages["wrong key"]
    assert "is not the one that was saved" in messages["tampered"]
    assert len({message.replace(one, "") for message in messages.values()}) == len(messages)


def test_versions_of_a_repository_cannot_be_swapped(tmp_path):
    repository = Repository(tmp_path / "models")
    for number in range(2):
        repository.log_artifact("model", (number,), handler="pickle")
    repository.save()
    [path] = Path(repository.folder).glob("log/*")
    document = json.loads(path.read_text())
    for patch in document["patches"]:
        patch["record"] = {"model/0": "model/1", "model/1": "model/0"}[patch["record"]]
    path.write_text(json.dumps(document))
    with pytest.raises(UntrustedArtifactError, match="what is signed is version 0 of 'model'"):
        Repository(repository.fpath).load_artifact("model", version=1)


def test_another_handler_that_runs_code_cannot_take_the_place_of_the_one_that_was_signed(project):
    class Other(PickleArtifact):
        alias = "other-pickle"

    logged(project)
    alter(project, lambda patch: patch["set"]["artifacts.model"].update(handler="other-pickle"))
    with pytest.raises(UntrustedArtifactError, match="another handler"):
        reopened(project).load_artifact("model")
    assert Other.executes_code


def test_signatures_survive_copying_packing_merging_and_renaming_the_project(project, tmp_path):
    logged(project)
    project._journal.pack(everything=True)
    shutil.copytree(tmp_path / "store", tmp_path / "copied")
    assert Project(tmp_path / "copied", mode="r")["exp"].load_artifact("model") == (1, 2)
    merged = Project(tmp_path / "merged").merge(Project(tmp_path / "copied", mode="r"))
    merged.save()
    assert Project(tmp_path / "merged", mode="r")["exp"].load_artifact("model") == (1, 2)


def test_a_test_that_is_taken_out_and_put_back_keeps_its_artifacts_and_their_trust(project):
    with project.log("exp") as exp:
        for name in ("women", "men"):
            exp.log_test(name).log_artifact("model", name, handler="pickle")
    project.save()
    women = exp.tests.pop(0)
    exp.tests.append(women)
    project.save()
    found = reopened(project)
    assert [(test.name, test.load_artifact("model")) for test in found.tests] == [("men", "men"), ("women", "women")]
    again = exp.log_test("women")  # the same name again, so another place for what is stored already
    exp.tests.remove(again)
    exp.tests.insert(0, again)
    project.save()
    assert len(list(Path(project.folder).rglob("*.pkl"))) == 2


def test_what_is_not_trusted_is_not_signed_when_its_place_changes(project, monkeypatch):
    with project.log("exp") as exp:
        exp.log_test("women").log_artifact("model", 1, handler="pickle")
    project.save()
    monkeypatch.setenv(trust.VARIABLE, THEIRS)
    editing = Project(project.fpath, mode="w+")
    found = editing["exp"]
    test = found.tests.pop()
    found.log_test("women")
    found.tests.append(test)
    editing.save()
    assert [len(test.artifacts) for test in reopened(project).tests] == [0, 1]
    for keys in (THEIRS, OURS):
        monkeypatch.setenv(trust.VARIABLE, keys)
        with pytest.raises(UntrustedArtifactError):
            reopened(project).tests[1].load_artifact("model")


# --- keys ---


def test_a_key_is_rotated_by_putting_a_new_one_before_the_old_one(project, monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, OLD)
    logged(project, 1, "old")
    monkeypatch.setenv(trust.VARIABLE, f"{OURS}, {OLD}")
    reopened_editing = Project(project.fpath, mode="w+")
    reopened_editing["exp"].log_artifact("new", 2, handler="pickle")
    reopened_editing.save()
    assert [reopened(project).load_artifact(name) for name in ("old", "new")] == [1, 2]
    monkeypatch.setenv(trust.VARIABLE, OURS)
    assert reopened(project).load_artifact("new") == 2
    with pytest.raises(UntrustedArtifactError, match="not held"):
        reopened(project).load_artifact("old")


def test_without_a_key_of_a_team_a_private_one_is_made_at_the_first_signature(project, tmp_path, monkeypatch):
    monkeypatch.delenv(trust.VARIABLE)
    project.log("nothing that runs code").log_artifact("report", 1, handler="json")
    project.save()
    assert not (tmp_path / "config").exists()
    logged(project)
    [file] = (tmp_path / "config").iterdir()
    assert file.name == "signing.key"
    assert len(file.read_text().split()) == 1
    if os.name != "nt":
        assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    logged(project)
    assert file.read_bytes() == before
    assert reopened(project).load_artifact("model") == (1, 2)


def test_a_users_own_key_holds_beside_that_of_a_team(project, monkeypatch):
    monkeypatch.delenv(trust.VARIABLE)
    logged(project)
    monkeypatch.setenv(trust.VARIABLE, OURS)
    assert reopened(project).load_artifact("model") == (1, 2)


def test_processes_that_make_the_first_key_at_once_agree_on_one(tmp_path, monkeypatch):
    monkeypatch.delenv(trust.VARIABLE)
    code = (
        "from lazytrack.artifacts import trust; import sys; trust._folder = lambda: sys.argv[1]\n"
        "sys.stdin.read(1); print(trust._make_key()[0])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "config")]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        process.stdin.write("x")
        process.stdin.flush()
    assert len({process.communicate()[0] for process in processes}) == 1
    assert [path.name for path in (tmp_path / "config").iterdir()] == ["signing.key"]


def test_where_no_key_can_be_kept_artifacts_are_saved_unsigned_with_a_warning(project, tmp_path, monkeypatch):
    monkeypatch.delenv(trust.VARIABLE)
    (tmp_path / "config").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match=r"no signing key can be kept in .*config"):
        exp = logged(project)
    assert not exp.dirty
    assert "signature" not in entries(project)[0]
    with pytest.raises(UntrustedArtifactError, match="it is not signed"):
        exp.load_artifact("model")
    assert reopened(project).load_artifact("model", trust=True) == (1, 2)


def test_a_key_that_could_be_guessed_is_refused_and_the_artifact_stays_dirty(project, monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, "secret")
    with pytest.raises(SaveError, match="a key of 6 characters"):
        logged(project)
    assert project["exp"].dirty
    monkeypatch.setenv(trust.VARIABLE, OURS)
    project.save()
    assert reopened(project).load_artifact("model") == (1, 2)


def test_a_key_file_that_is_no_text_is_as_good_as_none(project, tmp_path, monkeypatch):
    monkeypatch.delenv(trust.VARIABLE)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/signing.key").write_bytes(b"\xff\xfe")
    with pytest.warns(UserWarning, match="it cannot be read"):
        logged(project)


def test_the_key_of_a_user_is_in_the_configuration_folder_of_the_system(monkeypatch):
    monkeypatch.undo()
    assert trust._folder() == platformdirs.user_config_dir("lazytrack", appauthor=False)
