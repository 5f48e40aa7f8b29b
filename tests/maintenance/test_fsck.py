"""Checking a store: each fault is found and named, a sound store has none, and repairs lose nothing."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from storage_clock import DAY

from lazytrack import Project, Repository, naming
from lazytrack.errors import StoreWarning
from lazytrack.provenance import kept
from lazytrack.release import Release, dumps

pytestmark = pytest.mark.filterwarnings("ignore::lazytrack.errors.StoreWarning")


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "store", mode="w+")
    for name in ("one", "two"):
        with project.log(name) as exp:
            exp.log_artifact("it", {"name": name})
            with exp.log_test("part") as test:
                test.log_artifact("report", f"report of {name}")
            for step in range(100):
                exp.log_metric("loss", float(step), step=step)
    project.save()
    return project


@pytest.fixture
def repository(tmp_path):
    repository = Repository(tmp_path / "models")
    for number in range(3):
        repository.log_artifact("model", {"n": number})
    repository.save()
    return repository


def check(store, **kwargs):
    """Check a store as somebody does who opens it now."""
    return type(store)(store.fpath, mode="w+").fsck(**kwargs)


def found(findings):
    return [(finding.kind, Path(finding.where).name) for finding in findings]


def file_of(store, pattern):
    [path] = Path(store.folder).glob(pattern)
    return path


def test_a_sound_store_has_no_findings(project, repository):
    for store in (project, repository):
        assert check(store) == []
        assert str(check(store)) == "nothing is wrong"


def test_a_file_that_is_gone_is_told_with_who_needs_it(project):
    path = file_of(project, "artifacts/one-*/it/*/*")
    path.unlink()
    [finding] = check(project)
    assert (finding.kind, finding.where) == ("missing", path.relative_to(project.folder).as_posix())
    assert finding.what == f"is gone, and is artifacts.it of {project['one'].slug}"
    assert "bring it back from a copy" in finding.remedy
    assert finding.what in str(check(project))


@pytest.mark.parametrize("pattern", ["artifacts/one-*/it/*/*", "artifacts/one-*/report/*/*", "series/one-*/*"])
@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: bytes([c[0] ^ 1]) + c[1:]], ids=["short", "flipped"])
def test_a_file_with_other_bytes_is_told(project, pattern, change):
    path = file_of(project, pattern)
    path.write_bytes(change(path.read_bytes()))
    assert ("altered", path.name) in found(check(project))


def test_without_digests_only_sizes_are_compared(project):
    path = file_of(project, "artifacts/one-*/it/*/*")
    path.write_bytes(path.read_bytes()[::-1])
    assert check(project, digests=False) == []
    path.write_bytes(b"")
    assert found(check(project, digests=False)) == [("altered", path.name)]


def test_orphans_leftovers_and_foreign_files_are_told_apart(project, storage):
    files = project._journal.files
    files.create("artifacts/x/it/0-abcdefgh/it.json", b"orphan")
    files.create("artifacts/x/it/0-abcdefgh/.it.json.abcdefgh.tmp", b"leftover")
    files.create("artifacts/notes.txt", b"foreign")
    files.create("notes.txt", b"foreign")
    files.create("log/notes.txt", b"foreign")
    assert {kind for kind, _ in found(project.fsck())} == {"foreign"}  # the others may be on their way
    storage.pass_by(2 * DAY, project)
    findings = project.fsck(repair=True)
    assert sorted(found(findings)) == [
        ("foreign", "notes.txt"),
        ("foreign", "notes.txt"),
        ("foreign", "notes.txt"),
        ("leftover", ".it.json.abcdefgh.tmp"),
        ("orphan", "it.json"),
    ]
    assert [finding.kind for finding in findings if finding.repaired] == ["leftover"]
    assert "leftover" not in {kind for kind, _ in found(project.fsck())}
    assert Path(project.folder, "artifacts/notes.txt").read_bytes() == b"foreign"


STRAYS = {
    "log/Thumbs.db": b"",
    "packs/desktop.ini": b"[.ShellClassInfo]",
    "log/notes.json": b'{"call": "Dana"}',
    "packs/half.json": b"{",
}


@pytest.mark.parametrize("stray", STRAYS)
def test_a_foreign_file_beside_the_journals_is_told_as_such_and_stops_nothing(project, storage, stray):
    exp = project["one"]
    exp.log_artifact("it", "newer", overwrite=True)
    project.save()
    project._journal.files.create(stray, STRAYS[stray])
    storage.pass_by(2 * DAY, project)
    finding, _ = project.fsck(repair=True)
    assert (finding.kind, finding.where, finding.repaired) == ("foreign", stray, False)
    assert finding.remedy == "move it away"
    assert list(project.problems) == [stray]
    garbage = project.gc(dry_run=False)
    assert (len(garbage.going), garbage.obstacles) == (1, [])
    Path(project.folder, stray).unlink()
    project.refresh()
    assert project.problems == {}
    assert project.fsck() == []


@pytest.mark.parametrize("content", [b'{"format": "lazytrack/2", "kind": "log"}', b'{"format": "lazytrack/1", "pa'])
def test_what_says_that_it_is_lazytracks_is_no_foreign_file_whatever_it_is_called(project, storage, content):
    exp = project["one"]
    exp.log_artifact("it", "newer", overwrite=True)
    project.save()
    project._journal.files.create("log/later-20260101.json", content)
    storage.pass_by(2 * DAY, project)
    assert found(project.fsck()) == [("damaged", "later-20260101.json")]
    assert project.gc(dry_run=False).going == []


def test_a_torn_file_is_put_aside_and_kept(project, storage):
    torn = Path(project.folder, "log", "20260101T000000.000000Z-abcdefgh.json")
    torn.write_bytes(b'{"format": "lazytrack/1", "ki')
    assert found(check(project, repair=True)) == [("damaged", torn.name)]
    assert torn.exists()  # it may be on its way here
    storage.pass_by(2 * DAY, project)
    [finding] = check(project, repair=True)
    assert (finding.repaired, finding.kind) == (True, "damaged")
    assert not torn.exists()
    assert Path(project.folder, "damaged", "log", torn.name).read_bytes() == b'{"format": "lazytrack/1", "ki'
    assert check(project) == []
    assert [exp.name for exp in Project(project.fpath).experiments] == ["one", "two"]


def test_a_file_of_a_later_format_is_never_touched(project, storage):
    later = Path(project.folder, "log", "20260101T000000.000000Z-abcdefgh.json")
    later.write_text(json.dumps({"format": "lazytrack/2", "kind": "log", "patches": []}))
    storage.pass_by(2 * DAY, project)
    [finding] = check(project, repair=True)
    assert (finding.kind, finding.repaired) == ("damaged", False)
    assert "upgrade" in finding.what
    assert later.exists()


def test_a_record_that_is_incomplete_is_told(project):
    project._journal.append([{"record": "half-20260101000000-abcdefgh", "set": {"metrics.auc": 1}}], by="x")
    [finding] = check(project)
    assert (finding.kind, finding.where) == ("damaged", "record half-20260101000000-abcdefgh")


def test_a_missing_file_is_named_elsewhere_where_the_same_bytes_are(project):
    with project.log("copy") as exp:
        exp.log_artifact("mine", {"name": "one"})
    project.save()
    one = file_of(project, "artifacts/one-*/it/*/*")
    other = Path(project.folder, "artifacts", "x", "it", "0-abcdefgh", "it.json")
    other.parent.mkdir(parents=True)
    shutil.copy(one, other)
    entry = project._journal.get(project["copy"].slug, "artifacts.mine")
    moved = {**entry, "path": other.relative_to(project.folder).as_posix()}
    project._journal.append([{"record": project["copy"].slug, "set": {"artifacts.mine": moved}}], by="x")
    one.unlink()
    [finding] = check(project)
    assert (finding.kind, finding.repaired) == ("missing", False)
    [finding] = check(project, repair=True)
    assert finding.repaired
    assert check(project) == []
    assert Project(project.fpath)["one"].load_artifact("it") == {"name": "one"}


def test_a_file_that_many_records_need_is_told_once(project):
    shared = Path(project.folder, kept.path_of("a" * 64))
    for name in ("one", "two"):
        project._journal.append([{"record": project[name].slug, "set": {"environment": "a" * 64}}], by="x")
    project._journal.files.create(kept.path_of("a" * 64), b"altered")
    [finding] = check(project)
    assert (finding.kind, Path(project.folder, finding.where)) == ("altered", shared)
    slugs = [exp.slug for exp in project.experiments]
    assert finding.what in [
        f"is not the file that was saved, and is environment of {slug}; 2 records need it" for slug in slugs
    ]
    shared.unlink()
    assert found(check(project)) == [("missing", shared.name)]


def test_a_missing_file_that_many_records_need_is_named_elsewhere_by_each(project):
    other = file_of(project, "artifacts/one-*/it/*/*")
    entry = project._journal.get(project["one"].slug, "artifacts.it")
    gone = {**entry, "path": "artifacts/x/it/0-abcdefgh/it.json"}
    with project.log("three"), project.log("four"):
        pass
    project.save()
    for name in ("three", "four"):
        project._journal.append([{"record": project[name].slug, "set": {"artifacts.it": gone}}], by="x")
    [finding] = check(project, repair=True)
    assert (finding.repaired, other.name in finding.remedy) == (True, True)
    assert check(project) == []
    again = Project(project.fpath)
    assert [again[name].load_artifact("it") for name in ("three", "four")] == [{"name": "one"}] * 2


def test_a_missing_file_that_a_folder_names_too_is_repaired_only_in_part(project, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("a")
    with project.log("folder") as exp:
        exp.log_artifact("it", tmp_path / "folder")
        exp.log_artifact("alone", "a", "text")
    project.save()
    copy = Path(project.folder, "artifacts", "x", "it", "0-abcdefgh", "a")
    copy.parent.mkdir(parents=True)
    copy.write_text("a")
    entry = project._journal.get(exp.slug, "artifacts.alone")
    changes = {"artifacts.mine": {**entry, "path": "artifacts/x/it/0-abcdefgh/a"}}
    shared = file_of(project, "artifacts/folder-*/it/*/files/a").relative_to(project.folder).as_posix()
    project._journal.append(
        [{"record": exp.slug, "set": changes | {"artifacts.alone": {**entry, "path": shared}}}], by="x"
    )
    Path(project.folder, shared).unlink()
    [finding] = check(project, repair=True)
    assert (finding.kind, finding.where, finding.repaired) == ("missing", shared, False)
    assert "for the folders that name it bring it back" in finding.remedy
    assert Project(project.fpath)["folder"].load_artifact("alone") == "a"
    [finding] = check(project)
    assert "bring it back from a copy" in finding.remedy


def test_a_damaged_folder_is_told_file_by_file(project, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_text(name)
    with project.log("folder") as exp:
        exp.log_artifact("it", folder)
    project.save()
    assert check(project) == []
    file_of(project, "artifacts/folder-*/it/*/files/a").write_text("x")
    file_of(project, "artifacts/folder-*/it/*/files/b").unlink()
    assert sorted(found(check(project))) == [("altered", "a"), ("missing", "b")]


# --- repositories ---


def test_a_claim_that_is_gone_is_made_again(repository):
    claim = Path(repository.folder, "claims", "model", "1.json")
    claim.unlink()
    [finding] = check(repository)
    assert (finding.kind, finding.where) == ("claim", "claims/model/1.json")
    [finding] = check(repository, repair=True)
    assert finding.repaired
    assert claim.exists()
    assert check(repository) == []


@pytest.mark.parametrize("keeper", ["alias", "release"])
def test_a_version_that_is_meant_by_name_and_was_collected_is_told(repository, storage, keeper):
    repository.set_artifact_expiry("model", 0)
    repository.save()
    storage.pass_by(3 * DAY, repository)
    assert len(repository.gc(dry_run=False).going) == 1
    assert repository.fsck() == []
    if keeper == "alias":
        set_to = {"name": "model", "aliases.champion": 0}
        repository._journal.append([{"record": "model/aliases", "set": set_to}], by="x")
    else:
        Path(repository.dir, "releases.json").write_text(dumps([Release("v1", [("model", 0)])]))
    [finding] = repository.fsck()
    assert (finding.kind, finding.where.startswith("artifacts/model/0-")) == ("missing", True)
    meant = "'champion'" if keeper == "alias" else "in release 'v1'"
    assert finding.what == f"is gone, and is version model/0, which is {meant}"
    assert repository.gc(dry_run=False).obstacles == []


def test_a_version_that_was_collected_and_is_valid_again_is_told(repository, storage):
    repository.set_artifact_expiry("model", 0)
    repository.save()
    storage.pass_by(3 * DAY, repository)
    repository.gc(dry_run=False)
    later = naming.iso(naming.now() + timedelta(days=9))
    repository._journal.append([{"record": "model/0", "set": {"expiry": later}}], by="x")
    [finding] = repository.fsck()
    assert (finding.kind, finding.what) == ("missing", "is gone, and is version model/0")


def test_a_version_whose_file_is_gone_is_told(repository):
    file_of(repository, "artifacts/model/1-*/*").unlink()
    [finding] = check(repository)
    assert (finding.kind, finding.what) == ("missing", "is gone, and is version model/1")


def test_what_is_damaged_is_warned_of_and_checked_all_the_same(project):
    Path(project.folder, "log", "20260101T000000.000000Z-abcdefgh.json").write_bytes(b"{")
    file_of(project, "artifacts/one-*/it/*/*").unlink()
    with pytest.warns(StoreWarning):
        assert {kind for kind, _ in found(check(project))} == {"damaged", "missing"}


def test_a_repair_undoes_nothing_that_was_saved_while_it_looked(project, monkeypatch):
    with project.log("copy") as exp:
        exp.log_artifact("mine", {"name": "one"})
    project.save()
    entry = project._journal.get(exp.slug, "artifacts.mine")
    gone = {**entry, "path": "artifacts/x/it/0-abcdefgh/it.json"}
    project._journal.append([{"record": exp.slug, "set": {"artifacts.mine": gone}}], by="x")
    checker, writer = Project(project.fpath, mode="w+"), Project(project.fpath, mode="w+")
    has_bytes, done = type(checker._shelf).has_bytes, []

    def late(*args):
        if not done:
            done.append(True)
            writer[exp.slug].log_artifact("mine", "newer", overwrite=True)
            writer.save()
        return has_bytes(*args)

    monkeypatch.setattr(type(checker._shelf), "has_bytes", late)
    [finding] = checker.fsck(repair=True)
    assert (finding.kind, finding.repaired) == ("missing", False)
    assert Project(project.fpath)["copy"].load_artifact("mine") == "newer"


def test_what_was_put_aside_is_no_problem_any_more(project, storage):
    torn = Path(project.folder, "log", "20260101T000000.000000Z-abcdefgh.json")
    torn.write_bytes(b'{"format": "lazytrack/1", "ki')
    storage.pass_by(2 * DAY, project)
    with pytest.warns(StoreWarning):
        assert found(project.fsck(repair=True)) == [("damaged", torn.name)]
    assert project.problems == {}
    assert project.fsck() == []
    assert project.gc().obstacles == []
