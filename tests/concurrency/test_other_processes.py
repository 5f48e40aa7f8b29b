"""Projects that are handed to other processes, forked or spawned."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest

from lazytrack import Experiment, Project, Test

# From Python 3.12 on a fork beside other threads warns, rightly; what becomes of one is the subject here.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

METHODS = [method for method in multiprocessing.get_all_start_methods() if method != "forkserver"]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")


def log_one(project, number):
    """Log an experiment in another process, and bring it back."""
    with project.log(f"child {number}") as exp:
        exp.log_metric("number", number)
        exp.log_artifact("model", {"number": number}, handler="pickle")
        exp.log_test("part").log_metric("number", number)
    return exp


def log_and_save(project, number):
    exp = log_one(project, number)
    project.save()
    return exp


def look(project):
    """Tell what another process sees of a project, and what becomes of an attempt to change it."""
    try:
        project["unsaved"].log_metric("mine", 1)
    except AttributeError as error:
        refusal = str(error)
    project.save()
    return [exp.name for exp in project.experiments], project["unsaved"].metrics, refusal


@pytest.fixture(params=METHODS)
def pool(request):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(request.param)) as pool:
        yield pool


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store", mode="w+")


def shown(project):
    return sorted(exp.metrics["number"] for exp in Project(project.fpath).experiments)


@pytest.mark.slow
def test_experiments_of_a_process_pool_are_appended_as_lazyscribes_users_do(project, pool):
    for exp in pool.map(log_one, [project] * 6, range(6)):
        project.append(exp)
    assert shown(project) == []
    project.save()
    assert shown(project) == list(range(6))
    found = Project(project.fpath, mode="r")["child-5"]
    assert found.load_artifact("model") == {"number": 5}
    assert found.tests[0].metrics == {"number": 5}


@pytest.mark.slow
def test_processes_of_a_pool_save_by_themselves_and_what_they_bring_back_is_not_written_again(project, pool):
    for exp in pool.map(log_and_save, [project] * 6, range(6)):
        project.append(exp)
    project.save()
    assert shown(project) == list(range(6))
    assert len(os.listdir(f"{project.folder}/log")) == 6  # noqa: PTH208


@pytest.mark.slow
def test_what_a_parent_has_not_saved_can_be_read_by_its_children_and_is_not_saved_by_them(project, pool):
    with project.log("unsaved") as exp:
        exp.log_metric("number", 1)
    names, metrics, refusal = pool.submit(look, project).result()
    assert (names, metrics) == (["unsaved"], {"number": 1})
    assert "project.attach(slug)" in refusal
    assert shown(project) == []
    project.save()
    assert shown(project) == [1]


def in_a_fork(function):
    """Run `function` in a forked child and return what it returned, as text; a child that hangs fails the test."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(function()).encode())
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is for the parent to see)
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as said:  # noqa: PTH123  (a file descriptor)
        timer = threading.Timer(60, os.kill, (child, 9))
        timer.start()
        answer = said.read()
        timer.cancel()
    os.waitpid(child, 0)
    return answer


@needs_fork
def test_a_forked_child_saves_what_it_logs_and_not_what_it_inherited(project):
    with project.log("stored") as stored:
        stored.log_metric("number", 0)
    project.save()
    stored.log_metric("changed", 1)
    with project.log("unsaved") as unsaved:
        unsaved.log_metric("number", 1)

    def child():
        with project.log("childs") as exp:
            exp.log_metric("number", 2)
        project.save()
        return [found.name for found in project.experiments]

    assert in_a_fork(child) == str(["stored", "childs", "unsaved"])
    assert shown(project) == [0, 2]
    project.save()
    assert shown(project) == [0, 1, 2]
    assert Project(project.fpath)["stored"].metrics == {"number": 0, "changed": 1}


@needs_fork
@pytest.mark.parametrize("what", ["unsaved", "stored"])
def test_a_forked_child_may_not_change_what_it_inherited_and_is_told_how(project, what):
    with project.log("stored"):
        pass
    project.save()
    with project.log("unsaved"):
        pass
    exp = project[what]
    answer = in_a_fork(lambda: exp.log_metric("number", 1))
    assert "ReadOnlyError" in answer
    assert "project.attach(slug)" in answer


@needs_fork
def test_a_forked_child_may_attach_to_what_is_stored(project):
    with project.log("stored") as stored:
        stored.log_metric("number", 0)
    project.save()

    def child():
        project.attach("stored").log_metric("more", 1)
        project.save()

    assert in_a_fork(child) == "None"
    assert Project(project.fpath)["stored"].metrics == {"number": 0, "more": 1}


@needs_fork
def test_a_forked_child_may_take_over_what_it_inherited_by_appending_it(project):
    with project.log("unsaved") as exp:
        exp.log_metric("number", 1)

    def child():
        project.append(exp)
        exp.log_metric("number", 2)
        project.save()

    assert in_a_fork(child) == "None"
    assert shown(project) == [2]


@needs_fork
@pytest.mark.parametrize("way", ["attach", "append"])
def test_what_a_forked_child_changed_after_the_fork_is_not_undone_by_its_parent(project, way):
    with project.log("it") as exp:
        exp.log_metric("number", 0)
    project.save()
    exp.log_metric("number", 1)

    def child():
        if way == "append":
            project.append(exp)
        (exp if way == "append" else project.attach(exp.slug)).log_metric("number", 2)
        project.save()

    assert in_a_fork(child) == "None"
    project.save()
    assert shown(project) == [2]


@needs_fork
def test_what_belongs_to_no_project_may_be_logged_to_in_a_forked_child(project):
    direct, test = Experiment("direct", project.fpath), Test("part")

    def child():
        direct.log_metric("number", 1)
        test.log_metric("number", 1)
        direct.tests.append(test)
        project.append(direct)
        project.save()

    assert in_a_fork(child) == "None"
    assert shown(project) == [1]


@needs_fork
def test_a_forked_child_does_not_delete_what_its_parent_is_going_to(project):
    for number in range(2):
        with project.log("stored") as exp:
            exp.log_metric("number", number)
    project.save()
    fresh = Project(project.fpath, mode="w")

    def child():
        with fresh.log("childs") as exp:
            exp.log_metric("number", 2)
        fresh.save()
        return [found.name for found in fresh.experiments]

    assert in_a_fork(child) == str(["childs"])
    assert shown(project) == [0, 1, 2]
    fresh.save()
    assert shown(project) == [2]


@needs_fork
def test_a_fork_within_a_block_leaves_it_to_the_parent(project):
    with project.log("it") as exp:
        exp.log_metric("number", 1)
        answer = in_a_fork(lambda: exp.__exit__(ValueError, ValueError("childs"), None))
        assert answer == "None"
        assert shown(project) == []
    project.save()
    assert Project(project.fpath)["it"].status == "completed"


@needs_fork
def test_a_fork_while_other_threads_hold_every_lock_does_not_hang(project):
    with project.log("stored") as exp:
        exp.log_metric("number", 0)
    project.save()
    direct = Experiment("direct", project.fpath)
    held, release = threading.Event(), threading.Event()

    def hold():
        with project._save_lock, exp._ledger.lock, direct._ledger.lock, project._lock, project._journal._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def child():
        with project.log("childs") as mine:
            mine.log_metric("number", 1)
        project.refresh()
        project.save()
        return [found.to_dict()["metrics"] for found in project.experiments]

    try:
        assert in_a_fork(child) == str([{"number": 0}, {"number": 1}])
    finally:
        release.set()
        thread.join()
    assert shown(project) == [0, 1]


@needs_fork
def test_a_fork_while_another_thread_uses_the_memory_filesystem_does_not_hang():
    from lazytrack.files import memory  # noqa: PLC0415  (loads fsspec)

    project = Project("memory://forked/store", mode="w")
    held, release = threading.Event(), threading.Event()

    def hold():
        with memory._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_a_fork(lambda: (project.log("childs"), project.save())[1]) == "None"
    finally:
        release.set()
        thread.join()


@pytest.mark.slow
def test_a_project_is_handed_to_an_interpreter_that_knows_nothing_of_it(project, tmp_path):
    import pickle  # noqa: PLC0415

    with project.log("unsaved"):
        pass
    (tmp_path / "project.pkl").write_bytes(pickle.dumps(project))
    code = """
        import pickle, sys
        project = pickle.load(open(sys.argv[1], "rb"))
        with project.log("far") as exp:
            exp.log_metric("number", 1)
        project.save()
        print([exp.name for exp in project.experiments])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "project.pkl")]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout
    assert said.strip() == str(["unsaved", "far"])
    assert shown(project) == [1]
