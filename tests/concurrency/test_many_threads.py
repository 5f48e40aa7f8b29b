"""Threads that share one project object: nothing that any of them logs is lost, and none gets in another's way."""

import itertools
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from store_checks import fold, leftovers, read_afresh, told

from lazytrack import Project
from lazytrack.files import open_files
from lazytrack.journal import Journal

THREADS = 8


@pytest.fixture(autouse=True)
def _threads_take_turns_often():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def together(*tasks):
    """Run each task in a thread of its own, all from one moment on; what one raises is raised."""
    barrier = threading.Barrier(len(tasks))

    def run(task):
        barrier.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(run, task) for task in tasks]]


def while_running(work, *watchers):
    """Run `work`, a list of tasks, and each watcher again and again until the work is done."""
    done = threading.Event()

    def keep_on(watcher):
        def run():
            while not done.is_set():
                watcher()

        return run

    def worked(tasks):
        def run():
            try:
                return together(*tasks)
            finally:
                done.set()

        return run

    together(worked(work), *(keep_on(watcher) for watcher in watchers))


def patches(folder):
    files = [*folder.glob("log/*.json")]
    return [patch for file in files for patch in json.loads(file.read_bytes())["patches"]]


@pytest.mark.slow
def test_eight_threads_that_log_and_save_lose_nothing(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)

    def log(thread):
        def run():
            for number in range(25):
                with project.log(f"thread {thread}") as exp:
                    exp.log_parameter("thread", thread)
                    exp.log_metric("number", number)
                    exp.tag("new")
                    if number % 5 == 0:
                        exp.log_artifact("report", [thread, number], "json")
                        exp.log_test("part").log_metric("auc", number)
                project.save()

        return run

    together(*(log(thread) for thread in range(THREADS)))
    seen = read_afresh(path)
    found = sorted((t["parameters"]["thread"], t["metrics"]["number"]) for t in seen.values())
    assert found == list(itertools.product(range(THREADS), range(25)))
    for told_ in seen.values():
        thread, number = told_["parameters"]["thread"], told_["metrics"]["number"]
        assert told_["status"] == "completed"
        assert told_["tags"] == ["new"]
        assert told_["artifacts"] == ({} if number % 5 else {"report": [thread, number]})
        assert told_["tests"].keys() == (set() if number % 5 else {"part"})
    assert {exp.slug: told(exp) for exp in project.experiments} == seen
    assert not any(exp.dirty for exp in project.experiments)
    assert leftovers(tmp_path / "churn") == set()


def test_a_save_never_takes_an_experiment_that_is_only_half_made(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path, author="dana")
    sys.setswitchinterval(1e-6)
    while_running([lambda: [project.log("one") for _ in range(5000)]] * 2, project.save)
    project.save()
    first_of_each = {}
    for patch in sorted(patches(tmp_path / "churn"), key=lambda patch: patch["at"]):
        first_of_each.setdefault(patch["record"], patch["set"])
    assert len(first_of_each) == 10_000
    assert first_of_each.keys() == {exp.slug for exp in Project(path).experiments}
    for fields in first_of_each.values():
        assert fields.keys() == {"name", "created_at", "author", "status", "last_updated"}
        assert fields["author"] == "dana"


def test_threads_that_log_into_one_experiment_while_another_saves_lose_nothing(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)
    exp = project.log("shared")

    def log(thread):
        def run():
            for number in range(100):
                exp.log_metric(f"metric {thread}", number)
                exp.log_parameter(f"parameter {thread}.{number}", {"number": number})
                exp.parameters[f"parameter {thread}.{number}"]["number"] += 1000
                exp.tag(f"tag {thread}.{number}")
                if number % 10 == 0:
                    exp.log_artifact(f"artifact {thread}.{number}", number, "json")
                    exp.log_test(f"test {thread}.{number}").log_metric("auc", number)

        return run

    while_running([log(thread) for thread in range(4)], project.save, lambda: told_while_it_changes(exp))
    project.save()
    [seen] = read_afresh(path).values()
    every, some = list(itertools.product(range(4), range(100))), list(itertools.product(range(4), range(0, 100, 10)))
    assert seen["metrics"] == {f"metric {thread}": 99 for thread in range(4)}
    assert seen["parameters"] == {f"parameter {t}.{n}": {"number": n + 1000} for t, n in every}
    assert seen["tags"] == sorted(f"tag {t}.{n}" for t, n in every)
    assert seen["artifacts"] == {f"artifact {t}.{n}": n for t, n in some}
    assert {name: test["metrics"] for name, test in seen["tests"].items()} == {
        f"test {t}.{n}": {"auc": n} for t, n in some
    }
    assert told(exp) == seen
    assert not exp.dirty
    assert leftovers(tmp_path / "churn") == set()


def told_while_it_changes(exp):
    return exp.to_dict(), exp.dirty, len(exp.tests), len(exp.artifacts)


PARTS = {
    "tags": lambda exp, thread: exp.tags.append(f"tag {thread}"),
    "metrics": lambda exp, thread: exp.log_metric(f"metric {thread}", thread),
    "tests": lambda exp, thread: exp.log_test(f"test {thread}"),
    "metrics of a test": lambda exp, thread: exp.tests[0].log_metric(f"metric {thread}", thread),
    "artifacts": lambda exp, thread: exp.log_artifact(f"artifact {thread}", thread, "json"),
    "artifacts, when another is loaded": lambda exp, thread: (
        exp.load_artifact("stored"),
        exp.log_artifact(f"artifact {thread}", thread, "json"),
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_threads_that_touch_a_part_of_an_experiment_for_the_first_time_share_it(tmp_path, part):
    path, threads = tmp_path / "churn.json", range(4)
    project = Project(path)
    for number in range(40):
        exp = project.log(str(number))
        exp.log_metric("stored", 1)
        exp.tag("stored")
        exp.log_test("stored").log_metric("stored", 1)
        exp.log_artifact("stored", 1, "json")
        exp.parameters = {str(number): number for number in range(100)}
    project.save()

    project = Project(path, mode="w+")
    for exp in project.experiments:
        together(*(lambda thread=thread, exp=exp: PARTS[part](exp, thread) for thread in threads))
    project.save()
    for seen in read_afresh(path).values():
        found = {
            "tags": seen["tags"],
            "metrics": seen["metrics"],
            "tests": seen["tests"],
            "metrics of a test": seen["tests"]["stored"]["metrics"],
            "artifacts": seen["artifacts"],
        }[part.partition(",")[0]]
        kind = part.partition(",")[0].removesuffix(" of a test").removesuffix("s")
        assert set(found) == {"stored", *(f"{kind} {thread}" for thread in threads)}


def test_threads_that_tag_one_experiment_lose_no_tag(tmp_path):
    project = Project(tmp_path / "churn.json")
    exp = project.log("shared")
    together(*(lambda thread=thread: [exp.tag(f"{thread}.{n}") for n in range(50)] for thread in range(THREADS)))
    project.save()
    [fields] = fold(tmp_path / "churn").values()
    assert {field for field in fields if field.startswith("tags.")} == {
        f"tags.{thread}.{n}" for thread, n in itertools.product(range(THREADS), range(50))
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["a", "w+"])
def test_threads_may_look_up_while_others_log_save_and_refresh(tmp_path, mode):
    path = tmp_path / "churn.json"
    elsewhere = Project(path)
    for number in range(1000):
        elsewhere.log("stored").log_metric("auc", number / 1000)
    elsewhere.save()
    project = Project(path, mode=mode)

    def log():
        for number in range(40):
            with project.log("mine") as exp:
                exp.log_metric("auc", 1 + number)
            project.save()

    def log_elsewhere():
        for number in range(40):
            elsewhere.log("theirs").log_metric("auc", -number)
            elsewhere.save()
        Journal(open_files(tmp_path / "churn")).pack(everything=True)

    seen = [1000]

    def look():
        before = seen[-1]
        count = len(project)
        assert count >= before
        seen.append(max(seen[-1], count))
        assert project.best("auc", n=1)[0].metrics["auc"] >= 0.999
        assert project["stored"].metrics.keys() == {"auc"}
        assert len(project.experiments) >= count
        assert project.problems == {}

    while_running([log, log, log_elsewhere], look, look, project.refresh)
    project.refresh()
    assert len(project) == 1120
    assert {exp.slug for exp in project.experiments} == read_afresh(path).keys()


def test_threads_that_look_up_first_at_the_same_time_all_see_everything(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)
    for number in range(600):
        project.log("one").log_metric("auc", number)
    project.save()
    for _ in range(10):
        reader = Project(path)
        looks = [
            lambda reader=reader: len(reader),
            lambda reader=reader: len(reader.experiments),
            lambda reader=reader: len(reader.best("auc", n=1000)),
            lambda reader=reader: len(reader.best("auc", n=1000, minimize=True)),
            lambda reader=reader: sum(exp.metrics["auc"] >= 0 for exp in reader.experiments),
        ]
        assert together(*looks) == [600] * 5


@pytest.mark.slow
def test_what_a_thread_has_saved_is_never_forgotten_while_others_look_it_up(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path, mode="w+")
    exp = project.log("shared")
    project.save()

    def save():
        for number in range(1, 250):
            exp.log_metric("number", number)
            project.save()

    while_running([save], lambda: len(project), lambda: project._journal.fields(exp.slug))
    assert project._journal.fields(exp.slug)["metrics.number"] == 249
    other = Project(path, mode="w+")
    other[exp.slug].tag("from elsewhere")
    other.save()
    project.refresh()
    assert exp.metrics == {"number": 249}
    assert exp.tags == ["from elsewhere"]


def test_blocks_that_raise_in_many_threads_each_save_their_own_experiment(tmp_path):
    path = tmp_path / "churn.json"
    project = Project(path)

    def fail(thread):
        for number in range(10):
            with pytest.raises(ZeroDivisionError), project.log(f"thread {thread}") as exp:
                exp.log_parameter("number", number)
                exp.log_metric("loss", number / 0)

    together(*(lambda thread=thread: fail(thread) for thread in range(THREADS)))
    seen = read_afresh(path)
    assert len(seen) == THREADS * 10
    assert {told_["status"] for told_ in seen.values()} == {"failed"}
    assert all("ZeroDivisionError" in exp.error for exp in Project(path).experiments)
    assert len(patches(tmp_path / "churn")) == THREADS * 10
