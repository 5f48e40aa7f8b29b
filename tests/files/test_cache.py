import io
import logging
import os
import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lazytrack import Cache, Project, naming
from lazytrack.errors import ArtifactLoadError, StoreWarning
from lazytrack.files import cached, open_files
from lazytrack.journal import Journal, packing

FOLDERS = ("packs", "artifacts")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", max_bytes=10**6)


def keep(cache, name, content):
    cache.keep(name, io.BytesIO(content))


def content_of(cache, name):
    copy = cache.open(name)
    if copy is None:
        return None
    with copy:
        return copy.read()


def copies(cache):
    return [path for path in Path(cache.folder).rglob("*") if path.is_file()]


def size_of(cache):
    return sum(path.stat().st_size for path in copies(cache))


# --- a cache ---


def test_what_is_kept_is_found_by_its_name(cache):
    keep(cache, "s3://b/packs/1", b"one")
    keep(cache, "s3://b/packs/2", b"two")
    assert content_of(cache, "s3://b/packs/1") == b"one"
    assert content_of(cache, "s3://b/packs/2") == b"two"
    assert content_of(cache, "s3://b/packs/3") is None
    cache.drop("s3://b/packs/1")
    assert content_of(cache, "s3://b/packs/1") is None


def test_a_file_is_read_from_its_beginning_and_left_there(cache):
    file = io.BytesIO(b"content")
    file.seek(3)
    cache.keep("name", file)
    assert file.read() == b"content"
    assert content_of(cache, "name") == b"content"


@pytest.mark.parametrize("damage", [b"", b"con", b"contenu", b"content and more"])
def test_a_damaged_copy_is_removed_and_not_used(cache, damage, caplog):
    keep(cache, "name", b"content")
    (path,) = copies(cache)
    path.write_bytes(damage)
    assert content_of(cache, "name") is None
    assert "is damaged, and is fetched again" in caplog.text
    assert copies(cache) == []


def test_it_stays_below_its_size_and_what_was_used_last_stays(cache):
    for number in range(100):
        keep(cache, f"old {number}", bytes(9_000))
    for path in copies(cache):
        os.utime(path, (1, 1))
    assert content_of(cache, "old 7") is not None
    for number in range(60):
        keep(cache, f"new {number}", bytes(9_000))
        assert size_of(cache) <= 1.1 * 10**6
    assert content_of(cache, "old 7") is not None
    assert content_of(cache, "new 59") is not None
    assert content_of(cache, "old 8") is None


def test_several_that_fill_one_folder_keep_it_small_together(cache):
    others = [pickle.loads(pickle.dumps(cache)) for _ in range(3)]
    for number in range(200):
        keep(others[number % 3], f"name {number}", bytes(9_000))
        assert size_of(cache) <= 1.3 * 10**6


def test_what_is_larger_than_all_of_it_is_not_kept(cache):
    keep(cache, "name", bytes(10**6 + 1))
    assert copies(cache) == []
    keep(cache, "name", bytes(10**6))
    assert len(copies(cache)) == 1


def test_other_files_in_its_folder_are_left_alone(cache, tmp_path):
    (tmp_path / "cache" / "ab").mkdir(parents=True)
    mine = [
        tmp_path / "cache" / "thesis.tex",
        tmp_path / "cache" / "ab" / "thesis.tex",
        tmp_path / "cache" / ".vimsession.tmp",
    ]
    for path in mine:
        path.write_bytes(bytes(900_000))
        os.utime(path, (1, 1))
    for number in range(300):
        keep(cache, f"name {number}", bytes(9_000))
    assert [path.stat().st_size for path in mine] == [900_000] * 3


def test_what_a_killed_process_was_writing_goes_after_a_day(cache, tmp_path):
    keep(cache, "name", b"content")
    young, old = tmp_path / "cache" / ".lazytrack-abcdefgh.tmp", tmp_path / "cache" / ".lazytrack-zzzzzzzz.tmp"
    young.write_bytes(b"half")
    old.write_bytes(b"half")
    os.utime(old, (1, 1))
    keep(Cache(cache.folder), "other", b"content")
    assert young.exists()
    assert not old.exists()


def test_a_disk_that_takes_nothing_is_logged_and_disturbs_nobody(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file")
    keep(cache, "name", b"content")
    assert "name is not kept in the cache" in caplog.text
    assert cache.open("name") is None
    cache.drop("name")


def test_a_full_disk_leaves_nothing(cache, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    keep(cache, "name", b"content")
    assert "No space left" in caplog.text
    assert copies(cache) == []


def test_a_copy_that_cannot_be_read_is_passed_over(cache, caplog):
    keep(cache, "name", b"content")
    (path,) = copies(cache)
    path.unlink()
    path.mkdir()
    assert cache.open("name") is None
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_a_size_that_can_hold_nothing_is_refused(tmp_path, size):
    with pytest.raises(ValueError, match="max_bytes"):
        Cache(tmp_path, max_bytes=size)


def test_an_empty_name_is_refused():
    with pytest.raises(ValueError, match="folder is empty"):
        Cache("")


def test_its_default_place_is_this_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Cache().folder.startswith(str(tmp_path))
    assert repr(Cache("x", max_bytes=5)) == f"Cache({str(Path('x').absolute())!r}, max_bytes=5)"


@pytest.mark.skipif(os.name == "nt", reason="no such modes on Windows")
def test_a_new_folder_is_this_users_alone(cache):
    keep(cache, "name", b"content")
    assert Path(cache.folder).stat().st_mode & 0o777 == 0o700


# --- files with a cache ---


class Counting:
    """What was asked of a server."""

    def __init__(self, server):
        self._server = server

    def gets(self):
        return [path for method, path in self._server.requests() if method == "GET" and "list-type" not in path]


@pytest.fixture
def asked(s3_server):
    s3_server.requests()
    return Counting(s3_server)


def test_files_that_never_change_are_fetched_once(s3, cache, asked):
    url, options = s3
    files = cached(open_files(url, **options), cache, FOLDERS)
    files.create("packs/1.json", b"pack")
    files.create("artifacts/a/model", b"model")
    files.create("log/1.json", b"log")
    for times in (1, 0, 0):
        found = dict(files.read_many(["packs/1.json", "log/1.json", "packs/missing.json"]))
        assert isinstance(found.pop("packs/missing.json"), FileNotFoundError)
        assert found == {"packs/1.json": b"pack", "log/1.json": b"log"}
        with files.open_read("artifacts/a/model") as file:
            assert file.read() == b"model"
        assert len(asked.gets()) == 2 + 2 * times
    with pytest.raises(FileNotFoundError):
        files.open_read("artifacts/missing")
    files.remove(["packs/1.json"])
    assert isinstance(dict(files.read_many(["packs/1.json"]))["packs/1.json"], FileNotFoundError)
    with files.open_read("log/1.json") as file:
        assert file.read() == b"log"
    assert files.read("log/1.json") == b"log"


def test_stores_of_one_url_on_different_servers_are_told_apart(cache, s3_server):
    here = cached(open_files("s3://bucket/a", endpoint_url=s3_server.url), cache, FOLDERS)
    there = cached(open_files("s3://bucket/a", endpoint_url="http://127.0.0.1:1"), cache, FOLDERS)
    name = f"packs/{naming.unique()}"
    here.create(name, b"here")
    assert dict(here.read_many([name])) == {name: b"here"}
    assert [type(found) for _, found in there.read_many([name])] != [bytes]


def test_what_is_on_this_machine_needs_no_cache(tmp_path, cache):
    for url in (tmp_path / "store", "memory://store"):
        files = open_files(url)
        assert cached(files, cache, FOLDERS) is files
    assert cached(open_files("s3://b/a"), False, FOLDERS).origin.url == "s3://b/a"


# --- projects with a cache ---


@pytest.fixture
def store(s3, monkeypatch):
    """A packed project on S3."""
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    url, options = s3
    project = Project(url, **options)
    for number in range(3):
        exp = project.log(f"run {number}")
        exp.log_artifact("model", {"a": number}, handler="json")
        for step in range(100):
            exp.log_metric("loss", float(number), step=step)
        project.save()
    Journal(project._journal.files).pack(everything=True)
    return url, options


def look(project):
    assert [exp.load_artifact("model")["a"] for exp in project.experiments] == [0, 1, 2]
    assert [exp.history("loss").value[0] for exp in project.experiments] == [0.0, 1.0, 2.0]


def test_a_project_is_read_again_without_fetching_what_never_changes(store, cache, asked):
    url, options = store
    look(Project(url, mode="r", cache=cache, **options))
    assert len(asked.gets()) == 1 + 1 + 3 + 3  # the head, a pack, artifacts, histories
    look(Project(url, mode="r", cache=cache.folder, **options))
    assert len(asked.gets()) == 1
    look(pickle.loads(pickle.dumps(Project(url, mode="r", cache=cache, **options))))
    assert len(asked.gets()) == 1  # the head
    look(Project(url, mode="r", **options))
    assert len(asked.gets()) == 8


def test_a_cache_that_is_deleted_meanwhile_is_missed_by_nobody(store, cache, caplog):
    import shutil  # noqa: PLC0415

    url, options = store
    project = Project(url, mode="r", cache=cache, **options)
    for _ in range(2):
        look(project)
        shutil.rmtree(cache.folder)
    look(project)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_file_that_is_named_again_is_looked_at_where_it_is(store, cache):
    """A copy that is good must not hide that the file itself is damaged."""
    url, options = store
    project = Project(url, cache=cache, **options)
    stored = project["run-1"].artifacts[0].stored
    look(project)
    project.fs.pipe_file(f"{project.folder}/{stored.path}", b'{"a": 7}'.ljust(stored.size))
    project.log("new").log_artifact("model", {"a": 1}, handler="json")
    project.save()
    assert Project(url, mode="r", **options)["new"].load_artifact("model") == {"a": 1}


def test_past_states_and_merges_use_the_same_cache(store, cache, asked, tmp_path):
    url, options = store
    project = Project(url, mode="r", cache=cache, **options)
    look(project)
    asked.gets()
    look(project.as_of(datetime.now(UTC) + timedelta(minutes=1)))
    assert asked.gets() == []
    merged = Project(tmp_path / "local").merge(project)
    merged.save()
    assert asked.gets() == []
    look(merged)


FILLS = """
import sys
from lazytrack import Project
url, options, cache = eval(sys.argv[1])
for _ in range(5):
    project = Project(url, mode="r", cache=cache, **options)
    assert [exp.load_artifact("model")["a"] for exp in project.experiments] == [0, 1, 2]
"""


def test_processes_share_a_cache(store, cache):
    command = [sys.executable, "-c", FILLS, repr((*store, cache.folder))]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate()[1] for process in running]
    assert said == [""] * 3
    assert len(copies(cache)) == 1 + 3


def test_threads_share_a_cache(store, cache):
    url, options = store
    project = Project(url, mode="r", cache=cache, **options)
    failed = []

    def work():
        try:
            look(project)
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("wrong", ["", 5, object()])
def test_what_is_no_cache_is_refused_when_a_project_is_opened(s3, wrong):
    url, options = s3
    with pytest.raises((ValueError, TypeError), match="cache"):
        Project(url, cache=wrong, **options)


def test_what_was_damaged_when_it_was_read_is_read_anew_when_it_is_repaired(store, cache):
    url, options = store
    project = Project(url, **options)
    artifact = project["run-1"].artifacts[0].stored.path
    (pack,) = (f"packs/{name}" for name in project._journal.files.names("packs"))
    whole = {path: project.fs.cat_file(f"{project.folder}/{path}") for path in (artifact, pack)}
    for path, content in whole.items():
        project.fs.pipe_file(f"{project.folder}/{path}", content[: len(content) // 2])
    reader = Project(url, mode="r", cache=cache, **options)
    with pytest.warns(StoreWarning):
        assert list(reader.problems) == [pack]
    loader = pickle.loads(pickle.dumps(project["run-1"]))
    loader._owner._shelf = Project(url, mode="r", cache=cache, **options)._shelf
    with pytest.raises(ArtifactLoadError, match="not the one that was saved"):
        loader.load_artifact("model")
    for path, content in whole.items():
        project.fs.pipe_file(f"{project.folder}/{path}", content)
    assert loader.load_artifact("model") == {"a": 1}
    reader.refresh()
    assert reader.problems == {}
    look(reader)


def test_its_log_holds_no_secrets(tmp_path, caplog, s3_server):
    (tmp_path / "file").write_text("in the way")
    options = {"endpoint_url": s3_server.url, "key": "hush-key", "secret": "hush-hush"}
    options["client_kwargs"] = {"region_name": "hush-region"}
    name = naming.unique()
    files = cached(open_files(f"s3://bucket/{name}", **options), Cache(tmp_path / "file"), FOLDERS)
    files.create("packs/1.json", b"pack")
    assert dict(files.read_many(["packs/1.json"])) == {"packs/1.json": b"pack"}
    assert f"s3://bucket/{name}" in caplog.text
    assert "hush" not in caplog.text


def test_storages_that_only_the_environment_tells_apart_share_nothing(cache, monkeypatch, s3_server):
    name = f"packs/{naming.unique()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    here = cached(open_files("s3://bucket/a"), cache, FOLDERS)
    here.create(name, b"here")
    assert dict(here.read_many([name])) == {name: b"here"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    there = cached(open_files("s3://bucket/a"), cache, FOLDERS)
    assert [type(found) for _, found in there.read_many([name])] != [bytes]


def test_a_file_named_like_one_of_its_folders_does_not_lift_its_bound(cache, tmp_path):
    keep(cache, "name", b"content")
    for folder in "0123456789abcdef":
        path = tmp_path / "cache" / f"{folder}0"
        if not path.exists():
            path.write_text("in the way")
    for number in range(200):
        keep(cache, f"name {number}", bytes(9_000))
    assert size_of(cache) <= 1.1 * 10**6


def test_a_forked_child_does_not_wait_for_a_thread_that_measured_it(cache):
    cache._lock.acquire()  # by a thread that does not exist in the child
    keep(cache, "name", b"content")
    assert content_of(cache, "name") == b"content"
