"""Copies of a store: whole and equal in the end, however often they are interrupted, and readable in between."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from lazytrack import Project, Repository, cli, naming
from lazytrack.errors import FormatError, StoreWarning
from lazytrack.exchange import sync as syncing
from lazytrack.exchange.sync import Side
from lazytrack.files import open_files, split
from lazytrack.journal import packing
from lazytrack.release import create_release, dumps

CONCURRENCY = Path(__file__).parents[1] / "concurrency"


@pytest.fixture
def project(tmp_path):
    """Return a project with something of everything, in several files of its log."""
    project = Project(tmp_path / "source", mode="w+", author="dana")
    fill(project)
    return project


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        return cli.main([*map(str, arguments)]), capsys.readouterr().err

    return run


def fill(project, rounds=3):
    earlier = None
    for number in range(rounds):
        with project.log(f"exp {number}") as exp:
            exp.log_parameters({"number": number, "deep": {"a": [1, None]}})
            exp.tag("one")
            exp.log_artifact("report", {"number": number}, "json")
            exp.log_artifact("model", [number] * 100, "pickle")
            for step in range(4):
                exp.log_metric("loss", step / 7, step=step)
            with exp.log_test("women") as test:
                test.log_artifact("rows", [number], "json")
        project.save()
        if earlier is not None:  # of which an earlier file says that it was created
            earlier.log_metric("late", number)
            earlier.log_artifact("report", {"number": number, "again": True}, "json", overwrite=True)
            project.save()
        earlier = exp


def opened(where, options=None, **how):
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return Project(where, **{"mode": "r", **how}, **(options or {}))


def tree(where, options=None, *, kind="project"):
    """Return what is in each file of a store, by path; what is being written is left out."""
    folder, name = split(where) if where.endswith(".json") else (where, f"{kind}.json")
    files = open_files(folder, **(options or {}))
    inside = files.below(name.removesuffix(".json"))
    found = {path: inside.read(path) for path, _ in inside.walk() if not path.rpartition("/")[2].startswith(".")}
    return found | {"head": files.read(name)}


def told(project):
    """Return what a new reader sees of each experiment."""
    return {exp.slug: exp.to_dict() for exp in opened(project.fpath, project.storage_options).experiments}


def assert_whole(where, options=None):
    """Check that a copy reads without problems and holds all that it names, and tell whether it is there yet."""
    copy = opened(where, options)
    assert copy.problems == {}
    for exp in copy.experiments:
        assert exp.history("loss").value == [step / 7 for step in range(4)]
        assert exp.load_artifact("report")["number"] >= exp.parameters["number"]
    if copy.exists:
        assert copy.fsck(digests=False) == []
    return copy.exists


# --- between filesystems ---


def test_a_copy_elsewhere_is_equal_file_by_file_and_is_brought_up_to_date(project, place):
    url, options = place
    first = project.sync(url, **options)
    assert tree(project.dir) == tree(url, options)
    assert (first.problems, first.present) == ({}, 0)
    assert first.files == len(tree(project.dir))
    assert told(opened(url, options)) == told(project)
    assert opened(url, options).fsck() == []
    fill(project, 1)
    before = len(tree(url, options))
    second = project.sync(url, **options)
    assert tree(project.dir) == tree(url, options)
    assert second.files == len(tree(project.dir)) - before
    assert second.present == first.files
    third = project.sync(url, verify=True, **options)
    assert (third.files, third.size, third.problems) == (0, 0, {})


def test_a_store_that_is_elsewhere_is_copied_here(project, place, tmp_path):
    url, options = place
    project.sync(url, **options)
    there = opened(url, options)
    there.sync(tmp_path / "back", verify=True)
    assert tree(str(tmp_path / "back")) == tree(project.dir)
    copy = Project(tmp_path / "back", mode="w+")
    assert told(copy) == told(project)
    fill(copy, 1)
    assert len(copy) == 4
    assert copy.fsck() == []


def test_from_one_bucket_to_another_storage(project, s3, sftp):
    project.sync(s3[0], **s3[1])
    opened(*s3).sync(sftp[0], **sftp[1])
    assert tree(*sftp) == tree(project.dir)


def test_where_nothing_is_missing_nothing_is_sent(project, s3, s3_server):
    project.sync(s3[0], **s3[1])
    s3_server.requests()
    done = project.sync(s3[0], **s3[1])
    asked = s3_server.requests()
    assert done.files == 0
    assert asked
    assert {method for method, _ in asked} == {"GET"}


def test_from_the_command_line(project, tmp_path, run):
    target = tmp_path / "copy"
    code, err = run("sync", project.dir, target)
    assert code == 0
    assert f"{target}: {len(tree(project.dir))} files copied" in err
    assert tree(str(target)) == tree(project.dir)
    assert "0 files copied" in run("sync", project.dir, target)[1]
    assert run("sync", tmp_path / "nowhere", target)[0] == 3


def test_a_project_of_another_name_goes_to_a_file_of_another_name(tmp_path):
    project = Project(tmp_path / "tries.json")
    project.log("x")
    project.save()
    project.sync(tmp_path / "there" / "again.json")
    assert told(opened(tmp_path / "there" / "again.json")) == told(project)
    assert {path.name for path in (tmp_path / "there").iterdir()} == {"again", "again.json"}


def test_what_records_say_of_their_origin_comes_along(tmp_path, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    project = Project(tmp_path / "source")
    with project.log("told") as exp:
        exp.environment  # noqa: B018  (which waits until it is known)
    project.save()
    assert [path for path in tree(project.dir) if path.startswith("environments/")]
    project.sync(tmp_path / "copy")
    assert tree(str(tmp_path / "copy")) == tree(project.dir)
    assert opened(tmp_path / "copy")["told"].environment == exp.environment


# --- what is not copied ---


def test_hidden_files_of_writers_that_died_stay_where_they_are(project, tmp_path):
    hidden = ["log/.x.json.abcdefgh.tmp", "artifacts/report/0-abcdefgh/.it.json.abcdefgh.tmp", ".project.json.abc.tmp"]
    for path in hidden:
        file = Path(project.folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    done = project.sync(tmp_path / "copy")
    assert done.problems == {}
    assert not [path for path in (tmp_path / "copy").rglob("*") if path.name.startswith(".")]
    assert told(opened(tmp_path / "copy")) == told(project)


def test_a_file_that_is_not_what_its_record_says_is_not_copied_and_told(project, tmp_path, run):
    slug = project["exp-1"].slug
    [path] = [a.stored.path for a in project["exp-1"].artifacts if a.name == "model"]
    Path(project.folder, path).write_bytes(b"x" * Path(project.folder, path).stat().st_size)
    for _ in range(2):
        code, err = run("sync", project.dir, tmp_path / "copy")
        assert code == 5
        assert f"{path} has sha256" in err
        assert "it was not copied" in err
    assert tree(project.dir).keys() - tree(str(tmp_path / "copy")).keys() == {path}
    assert not list((tmp_path / "copy").rglob(".*"))
    copy = opened(tmp_path / "copy")
    assert told(copy) == told(project)
    assert [finding.where for finding in copy.fsck()] == [path]
    assert copy[slug].load_artifact("report")


def test_a_file_that_is_gone_at_the_source_is_told(project, tmp_path):
    [path] = [a.stored.path for a in project["exp-1"].artifacts if a.name == "model"]
    content = Path(project.folder, path).read_bytes()
    Path(project.folder, path).unlink()
    done = project.sync(tmp_path / "copy")
    assert done.problems.keys() == {path}
    assert "is gone here" in done.problems[path]
    Path(tmp_path / "copy" / "project" / path).parent.mkdir(parents=True)
    Path(tmp_path / "copy" / "project" / path).write_bytes(content)
    assert project.sync(tmp_path / "copy").problems == {}


def test_a_file_of_another_size_at_the_target_is_told_and_left(project, tmp_path, run):
    project.sync(tmp_path / "copy")
    [path] = [a.stored.path for a in project["exp-1"].artifacts if a.name == "model"]
    (tmp_path / "copy" / "project" / path).write_bytes(b"cut")
    code, err = run("sync", project.dir, tmp_path / "copy")
    assert code == 5
    assert f"{path} has 3 bytes there, and" in err
    assert (tmp_path / "copy" / "project" / path).read_bytes() == b"cut"
    (tmp_path / "copy" / "project" / path).unlink()
    assert project.sync(tmp_path / "copy").files == 1
    assert tree(str(tmp_path / "copy")) == tree(project.dir)


def test_other_bytes_at_the_target_are_found_where_they_are_looked_for(project, tmp_path, run):
    project.sync(tmp_path / "copy")
    [path] = [a.stored.path for a in project["exp-1"].artifacts if a.name == "model"]
    altered = tmp_path / "copy" / "project" / path
    altered.write_bytes(b"x" * altered.stat().st_size)
    assert run("sync", project.dir, tmp_path / "copy")[0] == 0
    code, err = run("sync", project.dir, tmp_path / "copy", "--verify")
    assert code == 5
    assert f"{path} has sha256" in err


def test_a_damaged_file_of_the_log_is_copied_and_told_until_it_is_the_same_again(project, tmp_path):
    [*_, last] = sorted(Path(project.folder, "log").iterdir())
    sound = last.read_bytes()
    last.write_bytes(sound[:-10])
    with pytest.warns(StoreWarning, match="is not JSON"):
        done = opened(project.fpath).sync(tmp_path / "copy")
    assert done.problems.keys() == {f"log/{last.name}"}
    assert tree(str(tmp_path / "copy")) == tree(project.dir)
    last.write_bytes(sound)
    done = opened(project.fpath).sync(tmp_path / "copy")
    assert "bytes there" in done.problems[f"log/{last.name}"]
    (tmp_path / "copy" / "project" / "log" / last.name).unlink()
    assert opened(project.fpath).sync(tmp_path / "copy").problems == {}
    assert tree(str(tmp_path / "copy")) == tree(project.dir)


# --- what is refused ---


def test_another_project_is_refused(project, tmp_path, run):
    other = Project(tmp_path / "other")
    other.log("mine")
    other.save()
    before = tree(other.dir)
    code, err = run("sync", project.dir, other.dir)
    assert code == 4
    assert "is another project" in err
    assert tree(other.dir) == before


def test_a_folder_that_holds_something_else_is_refused(project, tmp_path):
    other = Project(tmp_path / "other")
    other.log("mine")
    other.save()
    Path(other.fpath).unlink()
    before = {path: path.read_bytes() for path in tmp_path.joinpath("other").rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match="holds something else, and has no head"):
        project.sync(other.dir)
    assert {path: path.read_bytes() for path in tmp_path.joinpath("other").rglob("*") if path.is_file()} == before
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "project.json").write_text('{"name": "app"}')
    with pytest.raises(FormatError):
        project.sync(tmp_path / "app")
    assert os.listdir(tmp_path / "app") == ["project.json"]  # noqa: PTH208


def test_exports_are_refused(project, tmp_path):
    project.export(tmp_path / "all.json")
    with pytest.raises(FileExistsError, match="is an export, which is one file"):
        project.sync(tmp_path / "all.json")
    with pytest.raises(ValueError, match="is an export, which is one file"):
        opened(tmp_path / "all.json").sync(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_project_that_is_not_saved_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Project(tmp_path / "new").sync(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_within_the_store_itself_is_refused(project):
    before = tree(project.dir)
    with pytest.raises(ValueError, match="within"):
        project.sync(Path(project.folder, "copy"))
    assert tree(project.dir) == before
    assert project.sync(project.dir).files == 0


# --- packed, collected ---


def test_a_copy_of_a_store_that_was_packed_meanwhile_reads_the_same(project, tmp_path, monkeypatch):
    project.sync(tmp_path / "copy")
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    project.pack(everything=True)
    fill(project, 1)
    project.pack(everything=True)
    project.sync(tmp_path / "copy")
    there, here = tree(str(tmp_path / "copy")), tree(project.dir)
    assert here.items() <= there.items()
    assert {path.partition("/")[0] for path in there.keys() - here.keys()} == {"log"}
    assert told(opened(tmp_path / "copy")) == told(project)
    assert opened(tmp_path / "copy").fsck() == []
    project.sync(tmp_path / "fresh")
    assert tree(str(tmp_path / "fresh")) == here


def test_files_that_are_packed_while_they_are_copied_come_in_their_pack(project, tmp_path, monkeypatch):
    source = project._as_store()
    listed = syncing._listed
    looks = []

    def listed_and_packed(files):
        looks.append(files)
        if len(looks) == 1:
            with monkeypatch.context() as soon:
                soon.setattr(packing, "GRACE_SECONDS", -1)
                Project(project.fpath, mode="w+").pack(everything=True)
                assert Project(project.fpath, mode="w+").pack(everything=True) == []
                fill(Project(project.fpath, mode="w+"), 1)
                Project(project.fpath, mode="w+").pack(everything=True)
        return listed(files)

    monkeypatch.setattr(syncing, "_listed", listed_and_packed)
    target = Side(files=open_files(str(tmp_path / "copy")), head="project.json")
    done = syncing.sync(source, Side(files=project._files, head="project.json"), target, kind="project")
    monkeypatch.undo()
    assert len(looks) == 4  # both sides, twice
    assert done.problems == {}
    assert tree(str(tmp_path / "copy")) == tree(project.dir)
    assert done.files + done.present == len(tree(project.dir))


def test_what_was_collected_in_between_is_not_missed(project, tmp_path, monkeypatch):
    project.sync(tmp_path / "copy")
    [old] = [a.stored.path for a in project["exp-2"].artifacts if a.name == "report"]
    project["exp-2"].log_artifact("report", {"number": 99}, "json", overwrite=True)
    project.delete("exp-0")
    project.save()
    for module in ("collecting", "checking"):
        monkeypatch.setattr(f"lazytrack.maintenance.{module}.GRACE_SECONDS", -1)
    gone = project.gc(dry_run=False)
    assert old in {fate.path for fate in gone.going}
    assert not Path(project.folder, old).exists()
    monkeypatch.undo()
    done = project.sync(tmp_path / "copy")
    assert done.problems == {}
    assert (tmp_path / "copy" / "project" / old).exists()  # which gc deletes there, when it is told to
    assert told(opened(tmp_path / "copy")) == told(project)
    assert opened(tmp_path / "copy").fsck(digests=False).sound
    project.sync(tmp_path / "fresh")
    assert tree(str(tmp_path / "fresh")) == tree(project.dir)


def test_a_file_that_is_collected_while_it_is_copied_is_told_only_where_a_record_names_it(
    project, tmp_path, monkeypatch
):
    [needed] = [a.stored.path for a in project["exp-2"].artifacts if a.name == "report"]
    superseded = [path for path in tree(project.dir) if path.startswith("artifacts/") and "report" in path]
    superseded = next(path for path in superseded if path not in syncing._digests(project._as_store()))
    listed = syncing._listed

    def listed_and_lost(files):
        found = listed(files)
        if files.url == project.folder:
            for path in (needed, superseded):
                Path(project.folder, path).unlink(missing_ok=True)
        return found

    monkeypatch.setattr(syncing, "_listed", listed_and_lost)
    assert project.sync(tmp_path / "copy").problems.keys() == {needed}


# --- repositories ---


@pytest.fixture
def repository(tmp_path, project):
    """Return a repository with versions, aliases and a file of releases."""
    repository = Repository(tmp_path / "models" / "repository.json")
    for name in ("model", "a/b"):
        for version in range(3):
            repository.log_artifact(name, {"version": version}, "json")
            repository.save()
    repository.set_alias("model", "champion", 1)
    repository.save()
    (tmp_path / "models" / "releases.json").write_text(
        dumps([create_release(Repository(repository.fpath, mode="r"), "1.0")])
    )
    return repository


@pytest.mark.parametrize("kind", ["memory", "local", "s3"])
def test_a_repository_is_copied_with_its_claims_aliases_and_releases(repository, kind, request):
    url, options = request.getfixturevalue(kind)
    done = repository.sync(url, **options)
    assert done.problems == {}
    assert tree(url, options, kind="repository") == tree(repository.dir, kind="repository")
    assert [path for path in tree(repository.dir, kind="repository") if path.startswith("claims/")]
    copy = Repository(url, mode="r", **options)
    assert copy.load_artifact("model", version="champion") == {"version": 1}
    assert copy.fsck() == []
    assert open_files(url, **options).read("releases.json") == Path(repository.dir, "releases.json").read_bytes()
    assert repository.sync(url, **options).files == 0


def test_a_copy_of_a_repository_from_the_command_line(repository, tmp_path, run):
    assert run("sync", "--repository", repository.dir, tmp_path / "copy")[0] == 0
    assert tree(str(tmp_path / "copy"), kind="repository") == tree(repository.dir, kind="repository")
    (tmp_path / "copy" / "releases.json").write_text("[]")
    code, err = run("sync", "--repository", repository.dir, tmp_path / "copy")
    assert code == 5
    assert "releases.json is another one there" in err
    assert (tmp_path / "copy" / "releases.json").read_text() == "[]"


def test_repositories_that_have_both_gone_on_are_refused(repository, tmp_path):
    repository.sync(tmp_path / "copy")
    copy = Repository(tmp_path / "copy")
    copy.log_artifact("model", {"there": True}, "json")
    copy.save()
    assert copy.sync(repository.dir).problems == {}
    repository.refresh()
    assert repository.load_artifact("model") == {"there": True}
    for each in (repository, copy):
        each.log_artifact("model", {"both": each is copy}, "json")
        each.save()
    before = tree(copy.dir, kind="repository")
    with pytest.raises(FileExistsError, match="have both given number model/4"):
        repository.sync(copy.dir)
    assert tree(copy.dir, kind="repository") == before


def test_projects_that_have_both_gone_on_hold_what_both_have_logged(project, tmp_path):
    project.sync(tmp_path / "copy")
    copy = Project(tmp_path / "copy", mode="w+")
    with copy.log("there"):
        pass
    copy.save()
    with project.log("here"):
        pass
    project.save()
    project.sync(copy.dir)
    copy.sync(project.dir)
    assert tree(copy.dir) == tree(project.dir)
    assert {exp.name for exp in opened(copy.dir).experiments} >= {"here", "there"}


# --- interrupted ---


class Interrupted:
    """Files whose n-th use raises, as does every one after it."""

    def __init__(self, files, uses, error=OSError):
        self._files, self.uses, self._error = files, uses, error

    def __getattr__(self, name):
        return getattr(self._files, name)

    def use(self):
        self.uses[0] -= 1
        if self.uses[0] < 0:
            raise self._error("interrupted")

    def below(self, folder):
        return Interrupted(self._files.below(folder), self.uses, self._error)

    def read(self, path, **how):
        self.use()
        return self._files.read(path, **how)

    def names(self, folder):
        self.use()
        return self._files.names(folder)

    def walk(self, folder=""):
        for found in self._files.walk(folder):
            self.use()
            yield found

    def read_many(self, paths):
        for found in self._files.read_many(paths):
            self.use()
            yield found

    def create(self, path, data):
        self.use()
        self._files.create(path, data)
        self.use()

    def open_read(self, path, **how):
        self.use()
        return self._files.open_read(path, **how)

    def open_write(self, path):
        files = self

        class Opened:
            def __enter__(self):
                files.use()
                self.inside = files._files.open_write(path)
                upload = self.inside.__enter__()
                write = upload.write

                def write_and_use(data):
                    files.use()
                    return write(data)

                upload.write = write_and_use
                return upload

            def __exit__(self, *error):
                self.inside.__exit__(*error)
                files.use()

        return Opened()


def attempt(project, where, options, uses, error=OSError):
    """Sync with so many uses of files, and tell whether that was enough."""
    left = [uses]
    folder, name = split(f"{where}/project.json")
    source = Side(files=Interrupted(project._files, left, error), head=project._head_name)
    target = Side(files=Interrupted(open_files(folder, **options), left, error), head=name)
    try:
        syncing.sync(project._as_store(), source, target, kind="project")
    except error:
        return False
    return True


def uses_of(project):
    many = 10**9
    left = [many]
    files = open_files(f"memory://{naming.unique()}")
    source = Side(files=Interrupted(project._files, left), head=project._head_name)
    syncing.sync(project._as_store(), source, Side(files=Interrupted(files, left), head="project.json"), kind="project")
    return many - left[0]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("seed", range(4))
def test_a_copy_that_is_interrupted_anywhere_reads_well_and_ends_equal(project, memory, seed, error):
    where, options = memory
    drawn, needed = random.Random(seed), uses_of(project)
    attempts, begun = 1, []
    while not attempt(project, where, options, drawn.randrange(needed + needed // 4), error):
        begun.append(assert_whole(where, options))
        attempts += 1
        assert attempts < 200
    assert tree(where, options) == tree(project.dir)
    assert told(opened(where, options)) == told(project)
    # And once more, now that what is there is being read meanwhile.
    fill(project)
    while not attempt(project, where, options, drawn.randrange(needed * 2), error):
        assert assert_whole(where, options)
        attempts += 1
        assert attempts < 200
    assert tree(where, options) == tree(project.dir)


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_that_is_interrupted_at_each_use_reads_well(project, seed):
    needed = uses_of(project)
    outcomes = set()
    for uses in range(seed, needed, 3):
        where = f"memory://{naming.unique()}/copy"
        assert not attempt(project, where, {}, uses)
        outcomes.add(assert_whole(where))
        assert attempt(project, where, {}, 10**9)
        assert tree(where) == tree(project.dir)
    assert False in outcomes


def test_a_copy_that_goes_on_is_readable_at_each_use(project):
    where = f"memory://{naming.unique()}/copy"
    project.sync(where)
    fill(project, 4)
    uses, done = 0, False
    while not done:
        uses += 1
        files = f"memory://{naming.unique()}/copy"
        opened(where).sync(files)
        done = attempt(project, files, {}, uses)
        assert assert_whole(files)
    assert uses > 40
    assert tree(files) == tree(project.dir)


def test_an_interrupted_copy_goes_on_after_the_source_was_packed(project, tmp_path, monkeypatch):
    where = str(tmp_path / "copy")
    uses, begun = uses_of(project), Path(where, "project", "log")
    while not begun.exists() or Path(where, "project.json").exists():
        assert (uses := uses - 1) > 0
        shutil.rmtree(where, ignore_errors=True)
        assert not attempt(project, where, {}, uses)
    assert not opened(where).exists
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    project.pack(everything=True)
    fill(project, 1)
    project.pack(everything=True)
    fill(project, 1)
    project.pack(everything=True)
    assert not {path for path in tree(project.dir) if path.startswith("log/")} & {
        f"log/{path.name}" for path in (tmp_path / "copy" / "project" / "log").iterdir()
    }
    project.sync(where)
    assert told(opened(where)) == told(project)
    assert tree(project.dir).items() <= tree(where).items()


# --- real processes ---


def lazytrack_sync(source, target):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "lazytrack", "sync", source, target],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_copy_by_a_process_that_is_ended_again_and_again_ends_equal(tmp_path, number):
    project = Project(tmp_path / "source")
    for start in range(8):
        for each in range(20):
            with project.log(f"exp {start * 20 + each}") as exp:
                exp.log_parameter("number", start * 20 + each)
                exp.log_artifact("report", {"number": start * 20 + each}, "json")
                exp.log_artifact("model", os.urandom(50_000), "bytes")
                for step in range(4):
                    exp.log_metric("loss", step / 7, step=step)
        project.save()
    target, partial = tmp_path / "copy", 0
    for _ in range(100):
        before = sum(1 for _ in target.rglob("*")) if target.exists() else 0
        process = lazytrack_sync(project.dir, str(target))
        begun, wait = time.monotonic(), random.uniform(0, 0.08)
        while time.monotonic() - begun < 30 and process.poll() is None:
            if (sum(1 for _ in target.rglob("*")) if target.exists() else 0) > before + 10:
                break
            time.sleep(0.005)
        time.sleep(wait)
        process.send_signal(number)
        _, err = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode in {-number, 130}, err
        assert "Traceback" not in err
        partial += target.exists()
        assert_whole(str(target))
    else:
        project.sync(target)
    assert partial > 2
    assert tree(str(target)) == tree(project.dir)
    assert opened(target).fsck(digests=True).sound


@pytest.mark.slow
@pytest.mark.parametrize("grace", [[], ["0.5"]])
def test_a_store_is_copied_while_others_log_and_pack_there(tmp_path, grace):
    path = tmp_path / "source" / "project.json"
    path.parent.mkdir()
    Project(path).save()

    def child(program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", CONCURRENCY / program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        return process

    writers = [child("child_writer.py", path, n, 300, tmp_path / f"notes-{n}") for n in range(3)]
    packer = child("child_packer.py", path.with_suffix(""), *grace)
    for process in (*writers, packer):
        process.stdin.write("go\n")
        process.stdin.flush()
    syncs, target = 0, tmp_path / "copy"
    while any(process.poll() is None for process in writers):
        known = {line for n in range(3) for line in lines_of(tmp_path / f"notes-{n}")}
        done = opened(path).sync(target)
        assert done.problems == {}
        copy = opened(target)
        assert {exp.slug for exp in copy.experiments} >= known
        assert copy.problems == {}
        assert copy.fsck(digests=False).sound
        syncs += 1
    packs = int(packer.communicate()[0])
    for process in (*writers, packer):
        process.communicate()
    assert [process.returncode for process in (*writers, packer)] == [0] * 4
    assert packs > 0
    assert syncs > 2
    project = opened(path)
    project.sync(target)
    assert tree(str(path)).items() <= tree(str(target)).items()
    assert len(project) == 900
    assert told(opened(target)) == told(project)
    assert opened(target).fsck() == []


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def test_two_copies_at_once_into_one_place_end_equal(project, tmp_path):
    failed = []

    def copy():
        try:
            opened(project.fpath).sync(tmp_path / "copy")
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=copy) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert tree(str(tmp_path / "copy")) == tree(project.dir)
    assert json.loads((tmp_path / "copy" / "project.json").read_bytes())["kind"] == "project"
