"""Collecting garbage: what nobody needs goes, and nothing else, whoever saves meanwhile."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from storage_clock import DAY, HOUR

import lazytrack
from lazytrack import Project, Repository, naming
from lazytrack.artifacts.json import JSONArtifact
from lazytrack.errors import ArtifactLoadError, ReadOnlyError, SaveError, StoreWarning
from lazytrack.journal import condemned
from lazytrack.release import create_release, dumps

LARGE = "x" * 1_000_000


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store", mode="w+")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "models")


def log(project, value, name="exp", **kwargs):
    with project.log(name) as exp:
        exp.log_artifact("it", value, **kwargs)
    project.save()
    return exp


def kept(store):
    found = (path for folder in ("artifacts", "series") for path in Path(store.folder, folder).rglob("*"))
    return sorted(path.relative_to(store.folder).as_posix() for path in found if path.is_file())


def path_of(exp, name="it"):
    return next(artifact.stored.path for artifact in exp.artifacts if artifact.name == name)


def test_a_dry_run_tells_of_each_file_its_size_and_why_and_changes_nothing(project, monkeypatch):
    exp = log(project, [1])
    first = path_of(exp)
    exp.log_artifact("it", [1, 2], overwrite=True)
    project.save()
    before = sorted(Path(project.dir).rglob("*"))
    real = naming.now
    monkeypatch.setattr(naming, "now", lambda: real() + timedelta(days=2))  # a dry run goes by the clock of who asks
    garbage = Project(project.fpath, mode="r").gc()
    assert sorted(Path(project.dir).rglob("*")) == before
    told = {fate.path: fate for fate in garbage.files}
    assert set(told) == set(kept(project))
    assert not garbage.deleted
    assert (told[path_of(exp)].goes, told[path_of(exp)].reason) == (False, f"artifacts.it of {exp.slug}")
    assert told[first].size == Path(project.folder, first).stat().st_size
    assert ([fate.path for fate in garbage.going], garbage.size) == ([first], told[first].size)
    assert "would delete 1 of 2 files" in str(garbage)
    assert "gc(dry_run=False)" in str(garbage)


def test_what_was_overwritten_deleted_or_left_by_a_failed_save_goes(project, storage):
    exp = log(project, [1])
    overwritten = path_of(exp)
    exp.log_artifact("it", [2], overwrite=True)
    project.save()
    deleted = path_of(log(project, [3], "other"))
    project.delete("other")
    project.save()
    failed = "artifacts/exp-1/it/0-abcdefgh/it.json"
    project._journal.files.create(failed, b"{}")
    temporary = "artifacts/exp-1/it/0-abcdefgh/.it.json.abcdefgh.tmp"
    project._journal.files.create(temporary, b"half")
    storage.pass_by(DAY + HOUR, project)
    garbage = project.gc(dry_run=False)
    assert garbage.deleted
    assert {fate.path: fate.reason for fate in garbage.going} == {
        overwritten: "no record names it",
        deleted: "no record names it",
        failed: "no record names it",
        temporary: "its writer died",
    }
    assert garbage.size == sum(fate.size for fate in garbage.going) > 0
    assert kept(project) == [path_of(exp)]
    assert not any(path.is_dir() and not any(path.iterdir()) for path in Path(project.folder).rglob("*"))
    assert Project(project.fpath)["exp"].load_artifact("it") == [2]
    assert project.fsck() == []
    assert project.gc(dry_run=False).going == []


def test_what_is_young_stays_by_the_clock_of_the_storage(project, storage, monkeypatch):
    exp = log(project, [1])
    exp.log_artifact("it", [2], overwrite=True)
    project.save()
    real = naming.now
    monkeypatch.setattr(naming, "now", lambda: real() + timedelta(days=400))  # this machine's is wrong
    assert project.gc(dry_run=False).going == []
    assert len(kept(project)) == 2
    storage.pass_by(DAY - HOUR, project)
    assert project.gc(dry_run=False).going == []
    storage.pass_by(2 * HOUR, project)
    monkeypatch.setattr(naming, "now", lambda: real() - timedelta(days=400))
    assert len(project.gc(dry_run=False).going) == 1


def test_merged_histories_go_and_the_points_stay(project, storage, monkeypatch):
    monkeypatch.setattr("lazytrack.series.writer._FEW", 2)
    with project.log("run") as exp:
        for step in range(60):
            exp.log_metric("loss", 1 / (step + 1), step=step)
            if step % 3 == 2:
                project.save()
    project.save()
    before = kept(project)
    storage.pass_by(2 * DAY, project)
    garbage = project.gc(dry_run=False)
    assert len(before) > len(kept(project)) == len(garbage.staying) > 0
    assert Project(project.fpath)["run"].history("loss").step == list(range(60))
    assert project.fsck() == []


def test_a_file_that_two_records_name_stays_as_long_as_one_does(project, storage):
    exp = log(project, LARGE, "one")
    twin = log(project, LARGE, "two")
    assert path_of(exp) == path_of(twin)
    project.delete("one")
    project.save()
    storage.pass_by(2 * DAY, project)
    assert project.gc(dry_run=False).going == []
    assert Project(project.fpath)["two"].load_artifact("it") == LARGE


def test_what_expired_goes_a_day_later_unless_something_depends_on_it(project, storage):
    soon = datetime.now(UTC) + timedelta(hours=1)
    expiring = log(project, [1], "expiring", expiry=soon)
    needed = log(project, [2], "needed", expiry=soon)
    log(project, [3], "valid", expiry="90d")
    downstream = log(project, [4], "downstream")
    downstream.dependencies["needed"] = needed
    project.save()
    storage.pass_by(2 * HOUR, project)
    assert project.gc(dry_run=False).going == []
    storage.pass_by(DAY, project)
    garbage = project.gc(dry_run=False)
    [gone] = garbage.going
    assert gone.path == path_of(expiring)
    assert gone.reason == f"expired {naming.iso(soon)}: artifacts.it of {expiring.slug}"
    reasons = {fate.path: fate.reason for fate in garbage.staying}
    assert reasons[path_of(needed)] == f"artifacts.it of {needed.slug}, on which {downstream.slug} depends"
    assert ", until " in reasons[path_of(project["valid"])]
    assert project.fsck() == []
    again = Project(project.fpath)
    with pytest.raises(ArtifactLoadError, match=r"is gone: .*; it expires .*, and gc collects what has expired"):
        again["expiring"].load_artifact("it")
    again.gc(dry_run=False)
    assert again.fsck() == []


@lazytrack.step
def make(life: int) -> list[int]:
    return [life]


@lazytrack.pipeline
def making():
    make(1)


def test_an_output_that_a_later_run_took_from_the_cache_says_so(project, storage):
    with project:
        first, second = making(), making()
    assert second.get_step("make").status == "cached"
    storage.pass_by(2 * DAY, project)

    def reason():
        [reason] = {fate.reason for fate in project.gc(dry_run=False).staying if fate.path.endswith("output.json")}
        return reason

    assert reason() == f"artifacts.make.output of {first.id}; cache: taken by run {second.id}"
    project.delete(first.id)
    project.save()
    assert reason() == f"cache: taken by run {second.id}"
    assert Project(project.fpath)[second.id].load_artifact("make.output") == [1]
    project.delete(second.id)
    project.save()
    storage.pass_by(2 * DAY, project)
    assert "output.json" in str(project.gc(dry_run=False).going)


@pytest.mark.parametrize("kind", ["project", "repository"])
def test_what_has_expired_stays_for_another_day(request, storage, kind):
    store, soon = request.getfixturevalue(kind), datetime.now(UTC) + timedelta(hours=40)
    if kind == "project":
        log(store, [1], expiry=soon)
    else:
        store.log_artifact("model", [1], expiry=soon)
        store.save()
    storage.pass_by(41 * HOUR, store)  # so that it is not young any more
    [fate] = store.gc(dry_run=False).files
    assert (fate.goes, fate.reason.endswith(", expired lately")) == (False, True)
    storage.pass_by(22 * HOUR, store)
    assert store.gc(dry_run=False).going == []
    storage.pass_by(2 * HOUR, store)
    [fate] = store.gc(dry_run=False).going
    assert fate.reason.startswith(f"expired {naming.iso(soon)}")
    assert kept(store) == []


def test_files_that_are_not_lazytracks_are_left_alone(project, storage):
    log(project, [1])
    for path in ("artifacts/README.txt", "artifacts/exp/it/notes.txt", "series/x.csv", "notes.txt"):
        project._journal.files.create(path, b"mine")
    storage.pass_by(2 * DAY, project)
    garbage = project.gc(dry_run=False)
    assert garbage.going == []
    assert [f.path for f in garbage.staying if f.reason == "is no file of lazytrack's"] == [
        "artifacts/README.txt",
        "artifacts/exp/it/notes.txt",
        "series/x.csv",
    ]


def test_a_file_that_a_later_lazytrack_names_in_a_way_of_its_own_stays(project, storage):
    exp = log(project, [1])
    path = "artifacts/exp-1/it/0-abcdefgh/it.json"
    project._journal.files.create(path, b"{}")
    project._journal.append([{"record": exp.slug, "set": {"steps.train": {"logs": [path]}}}], by="later")
    storage.pass_by(2 * DAY, project)
    assert {f.path: f.reason for f in project.gc(dry_run=False).staying}[path] == f"steps.train of {exp.slug}"


def test_nothing_goes_while_a_file_that_may_name_it_cannot_be_read(project, storage):
    exp = log(project, [1])
    lost = path_of(exp)
    [log_file] = Path(project.folder, "log").iterdir()
    whole = log_file.read_bytes()
    log_file.write_bytes(whole[:-20])
    storage.pass_by(2 * DAY, project)
    again = Project(project.fpath, mode="w+")
    with pytest.warns(StoreWarning):
        garbage = again.gc(dry_run=False)
    assert garbage.going == []
    assert log_file.name in garbage.obstacles[0]
    assert "and may name it" in str(garbage)
    assert lost in kept(project)
    log_file.write_bytes(whole)
    assert Project(project.fpath)["exp"].load_artifact("it") == [1]


def test_nothing_goes_while_a_manifest_cannot_be_read(project, storage, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    exp = log(project, folder)
    exp.log_artifact("old", [1])
    project.save()
    exp.log_artifact("old", [2], overwrite=True)
    project.save()
    manifest = Path(project.folder, path_of(exp))
    whole = manifest.read_bytes()
    manifest.write_bytes(b"{}")
    storage.pass_by(2 * DAY, project)
    garbage = project.gc(dry_run=False)
    assert garbage.going == []
    assert path_of(exp) in garbage.obstacles[0]
    manifest.write_bytes(whole)
    again = Project(project.fpath, mode="w+")
    assert len(again.gc(dry_run=False).going) == 1
    assert [p.name for p in again["exp"].load_artifact("it").iterdir()] == ["a.txt"]


def test_a_folders_files_go_with_it_and_stay_with_another_version(project, storage, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_text(name)
    exp = log(project, folder)
    (folder / "b").write_text("changed")
    exp.log_artifact("it", folder, overwrite=True)
    project.save()
    storage.pass_by(2 * DAY, project)
    garbage = project.gc(dry_run=False)
    assert min(Path(fate.path).name for fate in garbage.going) == "b"
    assert len(garbage.going) == 2  # the manifest, and the file that changed
    loaded = Project(project.fpath)["exp"].load_artifact("it")
    assert {path.name: path.read_text() for path in loaded.iterdir()} == {"a": "a", "b": "changed"}
    assert project.fsck() == []


def test_reading_only_does_not_collect(project, repository, storage):
    log(project, [1])
    repository.log_artifact("model", [1])
    repository.save()
    for store in (Project(project.fpath, mode="r"), Repository(repository.fpath, mode="r")):
        store.gc()
        with pytest.raises(ReadOnlyError, match="collect its garbage"):
            store.gc(dry_run=False)
        with pytest.raises(ReadOnlyError, match="repair it"):
            store.fsck(repair=True)


def test_the_log_of_a_collection_says_who_and_nothing_that_experiments_show(project, storage):
    log(project, [1])
    project.gc(dry_run=False)
    again = Project(project.fpath)
    assert [exp.name for exp in again.experiments] == ["exp"]
    assert again.problems == {}
    assert again._journal.get(".gc", "last")["by"] == project.author


# --- repositories ---


def test_versions_that_expired_go_unless_an_alias_or_a_release_means_them(repository, storage):
    for number in range(5):
        repository.log_artifact("model", {"n": number})
    repository.save()
    repository.set_alias("model", "champion", version=0)
    repository.save()
    release = create_release(Repository(repository.fpath, mode="r"), "v1")
    Path(repository.dir, "releases.json").write_text(dumps([type(release)("v1", [("model", 1)])]))
    for number in range(3):
        repository.set_artifact_expiry("model", version=number)
    repository.delete("model", 3)
    repository.save()
    storage.pass_by(2 * DAY, repository)
    garbage = repository.gc(dry_run=False)
    reasons = {fate.reason for fate in garbage.staying}
    assert {"version model/0, which is 'champion'", "version model/1, which is in release 'v1'", "version model/4"} == (
        reasons
    )
    assert len(garbage.going) == 2
    again = Repository(repository.fpath)
    assert again.load_artifact("model") == {"n": 4}
    with pytest.warns(UserWarning, match="expired"):
        assert again.load_artifact("model", version="champion") == {"n": 0}
    with pytest.warns(UserWarning, match="expired"):
        assert again.load_artifact("model", version=1) == {"n": 1}
    with (
        pytest.warns(UserWarning, match="expired"),
        pytest.raises(ArtifactLoadError, match="gc collects what has expired"),
    ):
        again.load_artifact("model", version=2)
    assert again.fsck() == []
    assert again.log_artifact("model", {"n": 5}) == 5


def test_releases_that_cannot_be_read_keep_everything(repository, storage):
    repository.log_artifact("model", 1)
    repository.log_artifact("model", 2)
    repository.save()
    repository.set_artifact_expiry("model", version=0)
    repository.save()
    Path(repository.dir, "releases.json").write_text('[{"tag": "v1"')
    storage.pass_by(2 * DAY, repository)
    garbage = repository.gc(dry_run=False)
    assert garbage.going == []
    assert "releases.json cannot be read" in garbage.obstacles[0]


# --- somebody saves meanwhile ---


@pytest.fixture
def old(project, storage):
    """Return a project that knows of a file that no record names any more, a day old."""
    log(project, LARGE, "first")
    other = Project(project.fpath)
    assert len(other) == 1  # it has read of the file
    project.delete("first")
    project.save()
    storage.pass_by(2 * DAY, project)
    return other


def during(project, monkeypatch, when, act):
    """Do something in the middle of a collection, once."""
    files = project._journal.files
    real = getattr(type(files), when)
    done = []

    def hooked(self, *args, **kwargs):
        if not done:
            done.append(True)
            act()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(files), when, hooked)


def assert_is_whole(project, name="second"):
    assert Project(project.fpath, mode="r")[name].load_artifact("it") == LARGE
    assert project.fsck() == []


def test_a_file_that_a_save_names_before_the_second_look_stays(project, old, monkeypatch):
    real = project._journal.append

    def condemn_and_look(changes, **kwargs):
        at = real(changes, **kwargs)
        if any("condemned" in field for change in changes for field in change.get("set", ())):
            log(old, LARGE, "second")
        return at

    monkeypatch.setattr(project._journal, "append", condemn_and_look)
    project.gc(dry_run=False)
    assert_is_whole(project)


def test_a_save_that_names_a_file_after_the_second_look_writes_its_own(project, old, monkeypatch):
    during(project, monkeypatch, "remove", lambda: log(old, LARGE, "second"))
    garbage = project.gc(dry_run=False)
    assert len(garbage.going) == 1
    assert_is_whole(project)
    assert kept(project) == [path_of(Project(project.fpath)["second"])] != [garbage.going[0].path]


def test_a_save_that_was_about_to_name_a_file_that_is_gone_by_then_writes_its_own(project, old, monkeypatch):
    real = old._journal.append
    done = []

    def append(*args, **kwargs):
        if not done:
            done.append(True)
            assert len(project.gc(dry_run=False).going) == 1
        return real(*args, **kwargs)

    monkeypatch.setattr(old._journal, "append", append)
    log(old, LARGE, "second")
    assert done
    assert_is_whole(project)


def test_without_the_look_after_the_save_it_would_be_lost(project, old, monkeypatch):
    """The tests above can fail."""
    monkeypatch.setattr("lazytrack.tracking.transfers.confirm", lambda *_, **__: [])
    during(project, monkeypatch, "remove", lambda: log(old, LARGE, "second"))
    project.gc(dry_run=False)
    with pytest.raises(ArtifactLoadError, match="is gone"):
        Project(project.fpath)["second"].load_artifact("it")


def test_a_condemned_file_is_not_named_again(project, old):
    path = kept(project)[0]
    project._journal.append([{"record": condemned.RECORD, "set": {condemned.CONDEMNED + path: True}}], by="x")
    log(project, LARGE, "second")
    assert path_of(project["second"]) != path
    old.refresh()
    log(old, LARGE, "third")
    assert path_of(old["third"]) != path


def test_what_has_just_been_written_is_named_again_without_a_look(project, monkeypatch):
    log(project, [1], "first")
    monkeypatch.setattr(project._journal, "refresh", lambda: pytest.fail("reads the store"))
    log(project, [1], "second")
    assert len(kept(project)) == 1


def test_a_save_that_takes_too_long_looks_again(project, monkeypatch):
    real = naming.micros
    times = [0]
    monkeypatch.setattr(naming, "micros", lambda: real() + times[0])
    append = project._journal.append
    done = []

    def late(*args, **kwargs):
        if not done:
            done.append(True)
            times[0] += 13 * HOUR * 10**6
            for path in kept(project):
                Path(project.folder, path).unlink()
        return append(*args, **kwargs)

    monkeypatch.setattr(project._journal, "append", late)
    log(project, LARGE, "second")
    assert_is_whole(project)


def test_points_that_could_not_be_named_for_long_are_written_again(project, monkeypatch):
    monkeypatch.setattr("lazytrack.series.writer._FEW", 2)
    real = naming.micros
    times = [0]
    monkeypatch.setattr(naming, "micros", lambda: real() + times[0])
    exp = project.log("run")
    project.save()
    exp.log_metrics({"loss": 1.0}, step=0)
    for step in range(1, 5):
        exp.log_metric("loss", 1.0, step=step)
    with monkeypatch.context() as broken:
        broken.setattr(project._journal, "append", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "away")))
        with pytest.raises(SaveError):
            project.save()
    [path] = kept(project)
    Path(project.folder, path).unlink()
    times[0] += 13 * HOUR * 10**6
    project.save()
    assert Project(project.fpath)["run"].history("loss").step == list(range(5))


def test_merging_names_its_own_copy_where_one_is_condemned(project, tmp_path, storage):
    exp = log(project, LARGE)
    target = Project(tmp_path / "target")
    target._journal.files.create(path_of(exp), Path(project.folder, path_of(exp)).read_bytes())
    condemn = {"record": condemned.RECORD, "set": {condemned.CONDEMNED + path_of(exp): True}}
    target.save()
    target._journal.append([condemn], by="x")
    merged = Project(target.fpath).merge(project)
    merged.save()
    again = Project(target.fpath)
    assert path_of(again["exp"]) != path_of(exp)
    Path(target.folder, path_of(exp)).unlink()
    assert again["exp"].load_artifact("it") == LARGE
    assert again.fsck() == []


def test_promoting_names_its_own_copy_where_one_is_condemned(project, repository, storage):
    exp = log(project, LARGE)
    exp.promote_artifact(repository, "it")
    repository.log_artifact("it", "newer")
    repository.save()
    other = Repository(repository.fpath)
    assert len(other) == 2
    repository.delete("it", 0)
    repository.save()
    storage.pass_by(2 * DAY, repository)
    [path] = [fate.path for fate in repository.gc().files if fate.size > 1000]
    repository._journal.append([{"record": condemned.RECORD, "set": {condemned.CONDEMNED + path: True}}], by="somebody")
    exp.log_artifact("again", LARGE)
    project.save()
    exp.promote_artifact(other, "again")
    Path(repository.folder, path).unlink()
    assert Repository(repository.fpath).load_artifact("again") == LARGE


def test_an_expired_version_whose_file_is_condemned_and_that_is_to_stay_gets_a_copy(repository, storage):
    repository.log_artifact("model", LARGE)
    repository.log_artifact("model", "newer")
    repository.save()
    repository.set_artifact_expiry("model", version=0)
    repository.save()
    other = Repository(repository.fpath)
    assert len(other) == 2
    storage.pass_by(2 * DAY, repository)
    real = type(repository._inside).remove
    done = []

    def remove(files, paths):
        if not done:
            done.append(True)
            other.set_alias("model", "champion", version=0)
            other.save()
        return real(files, paths)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(repository._inside), "remove", remove)
        assert len(repository.gc(dry_run=False).going) == 1
    for store in (Repository(repository.fpath), other):
        with pytest.warns(UserWarning, match="expired"):
            assert store.load_artifact("model", version="champion") == LARGE
    other.set_alias("model", "challenger", version=0)
    other.save()
    assert repository.fsck() == []


def test_a_version_whose_file_goes_meanwhile_keeps_its_alias_with_a_warning(repository, storage):
    repository.log_artifact("model", [1])
    repository.save()
    other = Repository(repository.fpath)
    other.set_alias("model", "champion")
    for path in kept(repository):
        Path(repository.folder, path).unlink()
    with pytest.warns(StoreWarning, match="model/0 of .* is there, but the file of an artifact is gone"):
        other.save()


@pytest.mark.parametrize("what", ["a file", "a folder", "a file of a folder"])
def test_a_version_whose_file_was_collected_gets_no_alias_and_no_later_expiry(repository, storage, tmp_path, what):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("a")
    repository.log_artifact("model", [1] if what == "a file" else tmp_path / "folder", expiry="1h")
    repository.log_artifact("model", [2])
    repository.save()
    storage.pass_by(2 * DAY, repository)
    if what == "a file of a folder":
        [path] = Path(repository.folder).glob("artifacts/*/*/files/a")
        path.unlink()
    else:
        assert repository.gc(dry_run=False).going
    other = Repository(repository.fpath)
    for change in (
        lambda: other.set_alias("model", "champion", 0),
        lambda: other.set_artifact_expiry("model", 0, expiry="90d"),
    ):
        with pytest.raises(
            ArtifactLoadError, match=r"file of version 0 of artifact 'model' is gone, as gc .* Choose another version"
        ):
            change()
    assert other.aliases("model") == {}
    assert [f.kind for f in other.fsck()] == (["missing"] if what == "a file of a folder" else [])


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure", "sftp", "memory"])
def test_garbage_is_collected_on_every_filesystem(request, kind, monkeypatch):
    monkeypatch.setattr("lazytrack.maintenance.collecting.GRACE_SECONDS", -1)
    monkeypatch.setattr("lazytrack.maintenance.checking.GRACE_SECONDS", -1)
    url, options = request.getfixturevalue(kind)
    project = Project(url, mode="w+", **options)
    exp = log(project, [1])
    exp.log_artifact("it", [2], overwrite=True)
    project.save()
    assert len(project.gc().going) == 1
    assert [finding.kind for finding in project.fsck()] == ["orphan"]
    garbage = project.gc(dry_run=False)
    assert [fate.reason for fate in garbage.going] == ["no record names it"]
    again = Project(url, mode="r", **options)
    assert again["exp"].load_artifact("it") == [2]
    assert again.fsck() == []
    assert json.loads(json.dumps([fate.path for fate in again.gc().files])) == [path_of(exp)]


def test_a_file_that_is_called_as_leftovers_are_stays_while_it_is_needed(project, storage, tmp_path):
    """People's files may be called so, in folders above all."""
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck" / ".weights.abcd1234.tmp").write_bytes(b"weights")
    exp = log(project, tmp_path / "ck")
    named = log(project, [1], "named", fname=".it.abcd1234.tmp")
    storage.pass_by(2 * DAY, project)
    assert project.gc(dry_run=False).going == []
    assert project.fsck(repair=True) == []
    assert (exp.load_artifact("it") / ".weights.abcd1234.tmp").read_bytes() == b"weights"
    assert named.load_artifact("it") == [1]


@pytest.mark.parametrize("what", ["artifacts", "a folder"])
def test_a_save_that_is_interrupted_for_long_between_its_files_writes_again_what_went(
    project, storage, monkeypatch, tmp_path, what
):
    """As on a machine that slept: the collector cannot know that somebody is about to name them."""
    real, ahead = naming.micros, [0]
    monkeypatch.setattr(naming, "micros", lambda: real() + ahead[0])
    put, went = project._shelf.put, []

    def late(path, *args, **kwargs):
        if path.endswith("second.txt") and not went:
            storage.pass_by(30 * HOUR, project)
            ahead[0] += 30 * HOUR * 10**6
            went.extend(Project(project.fpath).gc(dry_run=False).going)
        return put(path, *args, **kwargs)

    monkeypatch.setattr(project._shelf, "put", late)
    exp = project.log("exp")
    if what == "a folder":
        (tmp_path / "ck").mkdir()
        for name in ("first", "second"):
            (tmp_path / "ck" / f"{name}.txt").write_text(name)
        exp.log_artifact("it", tmp_path / "ck")
    else:
        exp.log_artifact("it", "text of the first")
        exp.log_artifact("other", "text of the second", fname="second.txt")
    project.save()
    assert len(went) == 1
    assert Project(project.fpath, mode="r").fsck() == []
    Project(project.fpath, mode="r")["exp"].load_artifact("it")


def test_a_save_that_looks_again_undoes_nothing_that_was_saved_after_it(project, old, monkeypatch):
    append, done = old._journal.append, []

    def late(*args, **kwargs):
        at = append(*args, **kwargs)
        if not done:
            done.append(True)
            [path] = kept(old)
            condemn = {"record": condemned.RECORD, "set": {condemned.CONDEMNED + path: True}}
            project._journal.append([condemn], by="x")
            project.refresh()
            project["second"].log_artifact("it", "newer", overwrite=True)
            project.save()
        return at

    monkeypatch.setattr(old._journal, "append", late)
    log(old, LARGE, "second")
    assert Project(old.fpath, mode="r")["second"].load_artifact("it") == "newer"


def test_a_folder_that_many_experiments_share_is_read_once(project, monkeypatch, tmp_path):
    (tmp_path / "ck").mkdir()
    (tmp_path / "ck" / "a.txt").write_text("a")
    for _ in range(5):
        log(project, tmp_path / "ck")
    asked = []
    parts_of = type(project._shelf).parts_of
    monkeypatch.setattr(type(project._shelf), "parts_of", lambda *args: asked.append(args) or parts_of(*args))
    assert len(project.gc().staying) == 2
    assert len(asked) == 1


class Broken:
    """Lines that raise when they are asked for again."""

    def __init__(self):
        self.asked = False

    def __iter__(self):
        if self.asked:
            raise RuntimeError("closed")
        self.asked = True
        yield LARGE


@pytest.mark.parametrize("value", [lambda: iter([LARGE]), Broken], ids=["empty", "raises"])
def test_a_value_that_cannot_be_written_again_is_not_saved_as_something_else(project, storage, monkeypatch, value):
    monkeypatch.setattr(JSONArtifact, "write", classmethod(lambda _, obj, buf: buf.writelines(obj)))
    log(project, iter([LARGE]), "first", handler="json")
    old = Project(project.fpath)
    assert len(old) == 1
    project.delete("first")
    project.save()
    storage.pass_by(2 * DAY, project)
    append = old._journal.append

    def late(*args, **kwargs):
        Project(project.fpath).gc(dry_run=False)
        return append(*args, **kwargs)

    monkeypatch.setattr(old._journal, "append", late)
    with pytest.raises(SaveError, match="artifact"):
        log(old, value(), "second", handler="json")


def test_points_that_were_collected_before_they_were_named_are_not_called_saved(project, monkeypatch):
    monkeypatch.setattr("lazytrack.series.writer._FEW", 2)
    real, times, append, done = naming.micros, [0], project._journal.append, []
    monkeypatch.setattr(naming, "micros", lambda: real() + times[0])
    exp = project.log("run")
    for step in range(5):
        exp.log_metric("loss", 1.0, step=step)

    def late(*args, **kwargs):
        if not done:
            done.append(True)
            times[0] += 13 * HOUR * 10**6
            for path in kept(project):
                Path(project.folder, path).unlink()
        return append(*args, **kwargs)

    monkeypatch.setattr(project._journal, "append", late)
    with pytest.raises(SaveError, match="the history of run"):
        project.save()
    project.save()
    assert Project(project.fpath)["run"].history("loss").step == list(range(5))
    assert project.fsck() == []


def test_a_merge_that_brings_a_collected_file_back_names_a_copy(project, storage, tmp_path):
    exp = log(project, LARGE)
    shutil.copytree(project.dir, tmp_path / "copy")
    before = path_of(exp)
    project.delete("exp")
    project.save()
    storage.pass_by(2 * DAY, project)
    assert len(project.gc(dry_run=False).going) == 1
    condemn = {"record": condemned.RECORD, "set": {condemned.CONDEMNED + before: True}}
    target = Project(tmp_path / "target")
    target.save()
    target._journal.append([condemn], by="x")
    target.merge(Project(tmp_path / "copy")).save()
    again = Project(target.fpath)
    assert path_of(again["exp"]) != before
    assert again["exp"].load_artifact("it") == LARGE


def test_what_was_collected_and_is_needed_again_is_no_obstacle(project, repository, storage, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    up = log(project, folder, "up", expiry="1s")
    repository.log_artifact("model", folder, expiry="1s")
    repository.log_artifact("model", [1])
    repository.save()
    storage.pass_by(3 * DAY, project, repository)
    other = Repository(repository.fpath)
    other.set_alias("model", "champion", 0)
    assert len(project.gc(dry_run=False).going) == 2
    assert len(repository.gc(dry_run=False).going) == 2
    down = log(project, [1], "down")
    down.dependencies["up"] = up
    with pytest.warns(StoreWarning, match="is gone"):
        other.save()
    project.save()
    for store in (project, repository):
        assert store.gc(dry_run=False).obstacles == []
    assert project.fsck() == []
    [finding] = repository.fsck()
    assert (finding.kind, finding.what) == ("missing", "is gone, and is version model/0, which is 'champion'")
    assert finding.remedy.endswith("or have another version take its place")


def test_where_there_is_nothing_nothing_is_made(tmp_path):
    for kind in (Project, Repository):
        store = kind(tmp_path / "none")
        for look in (store.gc, store.fsck, lambda store=store: store.gc(dry_run=False)):
            with pytest.raises(FileNotFoundError, match=r"there is no (project|repository) at .*none"):
                look()
    assert not (tmp_path / "none").exists()


def test_the_past_is_not_looked_after(project):
    log(project, [1])
    past = project.as_of(naming.now() - timedelta(days=1))
    for look in (past.gc, past.fsck):
        with pytest.raises(ReadOnlyError, match="as it was"):
            look()


def test_a_version_that_a_release_means_is_not_deleted(repository):
    for number in range(2):
        repository.log_artifact("model", number)
    repository.save()
    release = create_release(Repository(repository.fpath, mode="r"), "v1")
    Path(repository.dir, "releases.json").write_text(dumps([release]))
    with pytest.raises(ValueError, match="version 1 of artifact 'model' is in release 'v1'"):
        repository.delete("model", 1)
    repository.delete("model", 0)
    repository.save()


def test_what_is_young_is_told_in_a_line(project):
    exp = log(project, [1])
    exp.log_artifact("it", [2], overwrite=True)
    project.save()
    assert "1 more, 3 bytes, are younger than 24 hours: they may go later" in str(project.gc())
    assert repr(project.gc()) == str(project.gc())
