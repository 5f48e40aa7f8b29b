"""A project on every filesystem: what is logged comes back, many write at once, and few requests are made."""

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from lazytrack import Project
from lazytrack.errors import SaveError
from lazytrack.journal import Journal, packing

between_processes = pytest.mark.parametrize("place", ["local", "s3", "gcs", "azure", "sftp"], indirect=True)


@pytest.fixture
def opened(place):
    """Return what opens the project anew."""
    url, options = place
    return lambda mode="a": Project(url, mode=mode, **options)


def log(exp, number=1):
    exp.log_parameter("lr", 0.1)
    for step in range(200):
        exp.log_metric("loss", number / (step + 1), step=step)
    exp.tag("prod")
    exp.log_test("women").log_metric("auc", 0.9)
    exp.log_artifact("report", {"a": [number]}, handler="json")
    exp.log_artifact("model", {"b": (number,)}, handler="pickle")


def test_what_is_logged_comes_back(opened):
    project = opened()
    with project.log("run") as exp:
        log(exp)
    project.save()
    found = opened("r")["run"]
    assert found == exp
    assert found.history("loss").value == exp.history("loss").value
    assert found.load_artifact("report") == {"a": [1]}
    assert found.load_artifact("model") == {"b": (1,)}
    assert found.fs.exists(found.path)
    assert opened("r").problems == {}


def test_what_others_log_is_seen_edited_resumed_and_deleted(opened):
    project = opened()
    project.log("run").log_metric("loss", 1.0, step=0)
    project.save()
    reader = opened("r")
    assert reader["run"].history("loss").step == [0]
    other = opened()
    other.attach("run", rank=1).log_metric("loss", 2.0, step=1)
    other.save()
    third = opened()
    third.resume("run", step=0).log_metric("loss", 3.0, step=0)
    third.save()
    reader.refresh()
    assert reader["run"].history("loss").value == [3.0, 2.0]
    editor = opened("w+")
    editor["run"].tags = ["edited"]
    editor.save()
    reader.refresh()
    assert reader["run"].tags == ["edited"]
    editor.delete("run")
    editor.save()
    reader.refresh()
    assert len(reader) == 0
    emptied = opened("w")
    emptied.log("new")
    emptied.save()
    assert [exp.name for exp in opened("r").experiments] == ["new"]


def test_a_project_is_packed_and_read_all_the_same(opened, monkeypatch):
    monkeypatch.setattr(packing, "GRACE_SECONDS", -1)
    project = opened()
    for number in range(140):
        project.log(f"run {number}").log_metric("x", number)
        project.save()
    store = Journal(project._journal.files)
    store.pack(everything=True)
    found = opened("r")
    assert [exp.metrics["x"] for exp in found.experiments] == list(range(140))
    assert len(project._journal.files.names("packs")) >= 1


def test_projects_on_different_filesystems_merge(opened, tmp_path):
    local = Project(tmp_path / "local")
    with local.log("run") as exp:
        log(exp)
    local.save()
    remote = opened("w+")
    with remote.log("other") as other:
        log(other, 2)
        other.dependencies["run"] = exp
    remote.save()
    remote.merge(local).save()
    found = opened("r")["run"]
    assert found.load_artifact("model") == {"b": (1,)}
    assert len(found.history("loss")) == 200
    Project(tmp_path / "local", mode="w+").merge(opened("r")).save()
    assert Project(tmp_path / "local")["other"].history("loss").value[0] == 2.0


def work(project, number):
    with project.log(f"run {number}") as exp:
        log(exp, number)
    project.save()
    return exp.slug


@between_processes
def test_a_pickled_project_writes_in_other_processes(opened, place):
    project = opened()
    project.log("first")
    project.save()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        slugs = list(pool.map(work, [project] * 4, range(4)))
    found = opened("r")
    assert {exp.slug for exp in found.experiments} >= set(slugs)
    assert [found[slug].load_artifact("report") for slug in slugs] == [{"a": [n]} for n in range(4)]


def test_credentials_of_the_environment_do_not_travel(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    url, options = s3
    project = Project(url, **options)
    project.log("run")
    project.save()
    assert b"hush-hush" not in pickle.dumps(project)
    assert "run" in pickle.loads(pickle.dumps(project))


FORKED = """
import os, sys
from lazytrack import Project
url, options = eval(sys.argv[1])
project = Project(url, **options)
project.log("parent")
project.save()
child = os.fork()
if child == 0:
    project.log("child").log_metric("x", 1)
    project.save()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
project.log("parent again")
project.save()
print(*sorted(exp.name for exp in Project(url, **options).experiments), sep="|")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@between_processes
def test_a_forked_child_goes_on_with_its_own_connection(opened, place):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, repr(place)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "child|parent|parent again\n"), done.stderr


def test_threads_share_a_project(opened):
    project = opened()

    def run(number):
        work(project, number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(exp.name for exp in opened("r").experiments) == [f"run {number}" for number in range(6)]


@between_processes
def test_autosave_saves_at_the_end_of_the_process(opened, place):
    code = """
import sys
from lazytrack import Project
url, options = eval(sys.argv[1])
exp = Project(url, **options).log("run", autosave=60)
while exp.dirty: pass
exp.log_metric("loss", 1.0, step=0)
"""
    command = [sys.executable, "-c", code, repr(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert opened("r")["run"].status == "completed"
    assert opened("r")["run"].history("loss").value == [1.0]


def test_a_bucket_that_is_not_there_is_named(s3):
    url, options = s3
    project = Project(url.replace("bucket", "no-such-bucket"), **options)
    project.log("run")
    with pytest.raises(SaveError, match=r"no-such-bucket.*bucket does not exist"):
        project.save()
    with pytest.raises(OSError, match="bucket"):
        project.refresh()


# --- how many requests ---


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_a_save_is_one_request_and_one_for_each_file(request, kind):
    url, options = request.getfixturevalue(kind)
    server = request.getfixturevalue(f"{kind}_server")
    project = Project(url, **options)
    project.log("first")
    project.save()
    server.requests()
    with project.log("second") as exp:
        exp.log_metric("auc", 1)
    project.save()
    assert len(server.requests()) == 1
    for step in range(1000):
        exp.log_metric("loss", 1.0, step=step)
    project.save()
    assert len(server.requests()) == 2
    for number in range(3):
        exp.log_artifact(f"report {number}", [number], "json")
    project.save()
    assert len(server.requests()) == 4
    reader = Project(url, mode="r", **options)
    assert len(server.requests()) == 1
    reader["second"]
    assert len(server.requests()) == 6 if kind == "s3" else 7  # two listings and four log files
    reader.refresh()
    assert len(server.requests()) == 2 if kind == "s3" else 3


def test_artifacts_are_read_by_one_request(s3, s3_server):
    url, options = s3
    project = Project(url, **options)
    with project.log("run") as exp:
        log(exp)
    project.save()
    found = Project(url, mode="r", **options)["run"]
    s3_server.requests()
    found.load_artifact("report")
    assert [method for method, _ in s3_server.requests()] == ["GET"]
