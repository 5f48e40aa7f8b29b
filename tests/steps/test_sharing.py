"""Outputs of steps are shared through the store, by processes and machines, and nobody loses what a record names."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import pytest

from lazytrack import Project, naming, pipeline, step
from lazytrack.post_execution import get_pipeline
from lazytrack.steps import cache

ran: list[int] = []


class Weights:
    """What is kept as a pickle."""

    def __init__(self, n):
        self.n = n


@step
def made(n: int) -> Annotated[Weights, "weights"]:
    ran.append(n)
    return Weights(n)


@step
def used(weights: Weights) -> int:
    return weights.n


@pipeline
def whole(n: int = 1):
    used(made(n))


@pytest.fixture
def project(tmp_path):
    ran.clear()
    with Project(tmp_path / "shop") as project:
        yield project


def statuses(run):
    return [str(each.status) for each in run.steps]


def file_of(view):
    return Path(view.uri)


# --- what a hit needs ---


def test_outputs_whose_file_is_gone_are_made_again_and_it_is_told_why(project):
    first = whole()
    file_of(first.get_step("made").output).unlink()
    run = whole()
    assert statuses(run) == ["completed", "cached"]
    assert run.get_step("made").explain_cache().reasons == [
        f"the file of output 'weights' of {first.id} is gone, or another one"
    ]
    assert run.get_step("made").output.read().n == 1


def test_outputs_of_another_size_are_made_again(project):
    first = whole()
    file_of(first.get_step("made").output).write_bytes(b"torn")
    assert statuses(whole())[0] == "completed"


def test_outputs_of_a_run_that_was_deleted_are_made_again(project):
    project.delete(whole().id)
    project.save()
    assert statuses(whole()) == ["completed", "completed"]


def test_pickles_that_nobody_here_has_signed_are_not_taken(project, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", "of-somebody-else-entirely")
    first = whole()
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", "of-us-who-run-it-now")
    run = whole()
    assert statuses(run)[0] == "completed"
    assert "is not signed by a key" in run.get_step("made").explain_cache().reasons[0]
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", "of-us-who-run-it-now of-somebody-else-entirely")
    taken = whole()
    assert statuses(taken) == ["cached", "cached"]
    assert taken.get_step("made").original == run.get_step("made")
    assert first.get_step("made").output.read().n == 1
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", "of-us-who-run-it-now")
    assert taken.get_step("made").output.read().n == 1  # what is taken is signed anew


def test_the_newest_of_several_is_taken(project):
    first = whole()
    first.get_step("made").clear_cache()
    second = whole()
    third = whole()
    assert statuses(second)[0] == "completed"
    assert third.get_step("made").original == second.get_step("made")
    assert second.get_step("made").explain_cache().reasons == ["the cache of that run was cleared"]


def test_clearing_the_cache_of_one_step_is_seen_by_others_and_leaves_the_outputs(project, tmp_path):
    first = whole()
    first.get_step("used").clear_cache()
    with Project(tmp_path / "shop"):
        run = whole()
    assert statuses(run) == ["cached", "completed"]
    assert first.get_step("used").output.read() == 1


# --- collecting ---


def test_what_a_cached_step_names_is_not_collected_and_all_is_sound(project, monkeypatch):
    first = whole()
    second = whole()
    assert statuses(second) == ["cached", "cached"]
    project.delete(first.id)
    project.save()
    later = naming.now().timestamp() + 3 * 24 * 3600
    for path in Path(project.folder).rglob("*"):
        os.utime(path, (later - 3 * 24 * 3600 * 2, later - 3 * 24 * 3600 * 2))
    project.gc(dry_run=False)
    assert second.get_step("made").output.read().n == 1
    assert second.get_step("made").source_code.startswith("def made")
    assert project.fsck() == []
    assert statuses(whole()) == ["completed", "completed"]  # the originals are gone, and a hit is no original


def test_a_file_that_is_condemned_is_not_taken(project, monkeypatch):
    first = whole()
    path = file_of(first.get_step("made").output).relative_to(project.folder).as_posix()
    monkeypatch.setattr(project._shelf, "_is_condemned", lambda each: each == path)
    assert statuses(whole())[0] == "completed"


# --- processes ---


def run_it(folder, n, begin):
    begin.wait()
    with Project(folder):
        for _ in range(3):
            whole(n)
    return ran


def _work(folder, n, begin, answers):
    answers.put((n, list(run_it(folder, n, begin))))


def test_processes_at_once_lose_nothing_and_share_what_is_there(project, tmp_path):
    context = multiprocessing.get_context("spawn")
    begin, answers = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_work, args=(tmp_path / "shop", n % 2, begin, answers)) for n in range(4)]
    for worker in workers:
        worker.start()
    told = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sorted(n for n, _ in told) == [0, 0, 1, 1]
    assert all(len(each) <= 1 for _, each in told)
    view = get_pipeline("whole")
    assert view.num_runs == 12
    assert {run.status for run in view.runs} == {"completed"}
    assert project.fsck() == []
    before = len(ran)
    whole(0)
    whole(1)
    assert len(ran) == before


def test_runs_of_two_projects_that_are_merged_share_their_cache(tmp_path):
    with Project(tmp_path / "a") as a:
        whole(1)
    with Project(tmp_path / "b") as b:
        whole(2)
        b.merge(a).save()
        b.refresh()
        ran.clear()
        assert statuses(whole(1)) == ["cached", "cached"]
    assert ran == []


def test_a_run_that_is_killed_is_not_left_running_for_ever(project, tmp_path, monkeypatch):
    code = f"""
        import os, signal
        from lazytrack import Project, pipeline, step

        @step
        def first() -> int:
            return 1

        @step
        def second(n: int) -> int:
            import time
            time.sleep(3)
            os.kill(os.getpid(), signal.SIGKILL)

        @pipeline
        def killed():
            second(first())

        with Project({str(tmp_path / "shop")!r}):
            killed()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=120)
    assert done.returncode == -9
    project.refresh()
    [run] = get_pipeline("killed").runs
    assert {each.name: str(each.status) for each in run.steps} == {"first": "completed", "second": "running"}
    assert (run.stale, run.get_step("second").stale) == (False, False)
    later = naming.micros() + 31 * 60 * 1_000_000
    monkeypatch.setattr(naming, "now", lambda: naming.from_micros(later))
    monkeypatch.setattr(naming, "micros", lambda: later)
    assert (run.stale, run.get_step("second").stale) == (True, True)
    assert run.get_step("first").stale is False


# --- elsewhere ---


def test_a_project_in_memory(monkeypatch):
    with Project("memory://pipelines/shop"):
        assert statuses(whole()) == ["completed", "completed"]
        assert statuses(whole()) == ["cached", "cached"]


@pytest.mark.slow
def test_a_step_on_s3_is_three_requests_and_one_for_each_output(s3, s3_server):
    url, options = s3

    @step
    def pair(n: int) -> tuple[int, list[int]]:
        return n, [n]

    @pipeline
    def many(count: int, start: int = 0):
        for n in range(start, start + count):
            pair(n)

    with Project(url, **options):
        many(1, start=1000)
        counts = []
        for count in (10, 20, 10, 20):
            s3_server.requests()
            many(count, start=0 if len(counts) in {0, 2} else 50)
            counts.append(len(s3_server.requests()))
    run_ten, run_twenty, cached_ten, cached_twenty = counts
    assert (run_twenty - run_ten) / 10 <= 3 + 2
    assert (cached_twenty - cached_ten) / 10 <= 3 + 2


def test_the_index_is_read_anew_when_a_miss_is_old(project, tmp_path, monkeypatch):
    other = Project(tmp_path / "shop")
    index = cache.index_of(other)
    index.refresh()
    key = project._journal.get(whole(7).id, "steps.made")["cache"]["key"]
    assert isinstance(index.find(key, cache.CachePolicy()), cache.Miss)
    monkeypatch.setattr(cache, "_FRESH_MICROS", -1)
    assert isinstance(index.find(key, cache.CachePolicy()), cache.Hit)


def test_a_project_that_starts_empty_takes_nothing_of_what_was_there(project, tmp_path):
    whole()
    with Project(tmp_path / "shop", mode="w") as again:
        assert statuses(whole()) == ["completed", "completed"]
        assert statuses(whole()) == ["cached", "cached"]
    assert len(again) == 2
