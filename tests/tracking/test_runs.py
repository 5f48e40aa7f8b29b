"""Joining, going on with and closing experiments; parents; what a process may say of how a run ended."""

from datetime import timedelta

import numpy as np
import pytest

from lazytrack import Project, naming
from lazytrack.errors import ReadOnlyError
from lazytrack.tracking import ReadOnlyExperiment


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn")


@pytest.fixture
def run(project):
    """Return a run of 150 steps that has been saved."""
    with project.log("run") as exp:
        log(exp, range(150))
    project.save()
    return exp


def opened(project, mode="a"):
    return Project(project.fpath, mode=mode)


def log(exp, steps, by=1.0):
    for step in steps:
        exp.log_metric("loss", by * step, step=step)


# --- ranks ---


def test_ranks_log_to_one_experiment(project, run):
    for rank in (1, 2, 0):
        mine = opened(project)
        exp = mine.attach("run", rank=rank)
        assert (exp.rank, exp.attempt) == (rank, 1 if rank else 2)
        exp.log_metric("loss", -float(rank), step=200 + rank)
        exp.log_metric(f"of rank {rank}", 1.0, step=0)
        mine.save()
    found = opened(project, "r")["run"]
    assert found.history("loss").step[-3:] == [200, 201, 202]
    assert found.history("loss").rank[-3:] == [0, 1, 2]
    assert found.history("loss", rank=2).value == [-2.0]
    assert found.history_names == ["loss", "of rank 1", "of rank 2", "of rank 0"]
    assert found.summary("loss").count == 153


def test_points_of_one_step_are_ordered_by_rank(project, run):
    for rank in (3, 1):
        mine = opened(project)
        log(mine.attach("run", rank=rank), range(2), by=rank)
        mine.save()
    history = opened(project, "r")["run"].history("loss")
    assert list(zip(history.step, history.rank, strict=True))[:6] == [(0, 0), (0, 1), (0, 3), (1, 0), (1, 1), (1, 3)]


def test_a_project_has_one_rank_in_an_experiment(project, run):
    mine = opened(project)
    exp = mine.attach("run", rank=1)
    assert mine.attach("run", rank=1) is exp
    with pytest.raises(ValueError, match="as rank 1 already: open it once more for rank 2"):
        mine.attach("run", rank=2)


@pytest.mark.parametrize(("rank", "error"), [(-1, ValueError), (1.0, TypeError), ("1", TypeError), (True, TypeError)])
def test_a_rank_is_a_count(project, run, rank, error):
    for way in ("attach", "resume"):
        with pytest.raises(error, match="rank is"):
            getattr(opened(project), way)("run", rank=rank)


def test_who_attached_does_not_say_that_the_run_is_completed(project):
    started = project.log("run")
    project.save()
    mine = opened(project)
    with mine.attach("run", rank=1) as exp:
        exp.log_metric("loss", 1.0, step=0)
    mine.save()
    assert opened(project)["run"].status == "running"
    failing = opened(project)
    with pytest.raises(ZeroDivisionError), failing.attach("run", rank=2):
        raise ZeroDivisionError
    found = opened(project)["run"]
    assert found.status == "failed"
    assert "ZeroDivisionError" in found.error
    assert started.status == "running"


# --- going on ---


@pytest.mark.parametrize("mode", ["a", "w+"])
def test_a_run_goes_on_from_a_step_and_what_came_after_it_drops_out(project, run, mode):
    mine = opened(project, mode)
    exp = mine.resume("run", step=120)
    assert exp.status == "running"
    assert (exp.attempt, exp.rank, exp.last_step) == (2, 0, 119)
    assert exp.metrics == {"loss": 119.0}
    assert exp.history("loss").step == list(range(120))
    log(exp, range(120, 130), by=2.0)
    mine.save()
    found = opened(project, "r")["run"]
    assert found.history("loss").step == list(range(130))
    assert found.history("loss").value[118:122] == [118.0, 119.0, 240.0, 242.0]
    assert found.summary("loss").count == 130
    assert found.summary("loss").max == 258.0
    assert found.metrics == {"loss": 258.0}
    assert found.last_step == 129
    assert found.status == "running"


def test_the_later_points_stay_on_disk(project, run, tmp_path):
    before = {path: path.read_bytes() for path in (tmp_path / "churn").rglob("*") if path.is_file()}
    mine = opened(project)
    mine.resume("run", step=0)
    mine.save()
    assert {path: path.read_bytes() for path in before} == before
    found = opened(project, "r")["run"]
    assert len(found.history("loss")) == 0
    assert found.metrics == {}


def test_points_that_a_dead_attempt_saves_late_drop_out_too(project, run):
    mine = opened(project)
    mine.resume("run", step=100)
    mine.save()
    log(run, range(150, 160))  # it was not dead after all
    project.save()
    assert opened(project)["run"].history("loss").step == list(range(100))


def test_a_run_goes_on_again_and_again(project, run):
    for step, last in [(100, 110), (105, 120), (50, 60)]:
        mine = opened(project)
        exp = mine.resume("run", step=step)
        log(exp, range(step, last), by=float(step))
        mine.save()
        history = opened(project)["run"].history("loss")
        assert history.step == list(range(last))
        assert history.value[step] == step * step
    assert opened(project)["run"].attempt == 4
    assert exp.attempt == 4


def test_attempts_are_counted_from_what_is_there_now(project, run):
    early = opened(project)
    assert early["run"].last_step == 149
    for _ in range(2):
        mine = opened(project)
        log(mine.resume("run", step=140), range(140, 150), by=3.0)
        mine.save()
    exp = early.resume("run", step=145)
    assert exp.attempt == 4
    early.save()
    assert opened(project)["run"].history("loss").step == list(range(145))


def test_without_a_step_everything_counts(project, run):
    mine = opened(project)
    exp = mine.resume("run")
    assert exp.last_step == 149
    log(exp, range(exp.last_step + 1, 160))
    mine.save()
    assert opened(project)["run"].history("loss").step == list(range(160))


def test_other_ranks_are_not_concerned_unless_they_are_no_more(project, run):
    for rank in (1, 2, 3):
        mine = opened(project)
        log(mine.attach("run", rank=rank), range(150))
        mine.save()
    mine = opened(project)
    mine.resume("run", step=100, rank=1)
    mine.save()
    found = opened(project)["run"]
    assert [len(found.history("loss", rank=rank)) for rank in range(4)] == [150, 100, 150, 150]
    mine = opened(project)
    mine.resume("run", step=50, rank=0, ranks=2)
    mine.save()
    found = opened(project)["run"]
    assert [len(found.history("loss", rank=rank)) for rank in range(4)] == [50, 100, 50, 50]


def test_ranks_that_are_no_more_are_hidden_whatever_their_attempt(project, run):
    for attempt in range(3):
        mine = opened(project)
        exp = mine.resume("run", step=100, rank=5)
        log(exp, range(100, 150))
        assert exp.attempt == attempt + 1
        mine.save()
    mine = opened(project)
    assert mine.resume("run", step=120, ranks=4).attempt == 4
    mine.save()
    assert opened(project)["run"].history("loss", rank=5).step == list(range(100, 120))


def test_ranks_that_come_back_after_there_were_fewer_are_seen(project, run):
    mine = opened(project)
    mine.resume("run", step=50, ranks=2)
    mine.save()
    for way in ("resume", "attach"):
        mine = opened(project)
        exp = mine.resume("run", step=80, rank=3, ranks=4) if way == "resume" else mine.attach("run", rank=3)
        log(exp, range(80, 90), by=-1.0)
        mine.save()
    assert len(opened(project)["run"].history("loss", rank=3)) == 20


def test_who_attaches_late_is_seen_though_others_have_gone_on(project, run):
    early = opened(project)
    assert early["run"].last_step == 149
    for _ in range(2):
        mine = opened(project)
        mine.resume("run", step=50)
        mine.save()
    log(early.attach("run", rank=0), [60])
    early.save()
    assert opened(project)["run"].history("loss").step == [*range(50), 60]


def test_what_is_no_rank_is_hidden_by_nobody(project, run):
    evaluation = opened(project)
    exp = evaluation.attach("run")
    assert exp.rank is None
    for step in (90, 100):
        exp.log_metric("val", step / 100, step=step)
    evaluation.save()
    mine = opened(project)
    mine.resume("run", step=95)
    mine.save()
    found = opened(project)["run"]
    assert found.history("val").step == [90, 100]
    assert found.history("val").rank == [-1, -1]
    assert found.metrics["val"] == 1.0
    assert found.last_step == 100


def test_two_that_go_on_at_once_are_not_both_seen(project, run):
    twins = [opened(project), opened(project)]
    for twin in twins:
        log(twin.resume("run", step=140), range(140, 150), by=2.0)
    for twin in twins:
        twin.save()
    assert opened(project)["run"].history("loss").step == list(range(150))


@pytest.mark.parametrize("way", ["attach", "resume"])
def test_what_was_edited_and_not_saved_is_saved_before_another_writer_begins(project, run, way):
    mine = opened(project, "w+")
    log(mine["run"], range(150, 250))
    mine.save()
    log(mine["run"], range(250, 260))
    exp = getattr(mine, way)("run", rank=1)
    log(exp, range(10))
    mine.save()
    found = opened(project)["run"]
    assert found.history("loss", rank=0).step == list(range(260))
    assert found.history("loss", rank=1).step == list(range(10))


def test_attaching_to_ones_own_run_is_that_run(project):
    with project.log("run") as exp:
        log(exp, range(3))
        project.save()
        assert project.attach(exp) is exp
        with pytest.raises(ValueError, match="as rank 0 already"):
            project.attach(exp, rank=2)
    project.save()
    assert opened(project)["run"].status == "completed"


def test_a_dead_attempt_that_fails_late_does_not_say_how_the_run_ends(project):
    first = opened(project)
    with pytest.raises(ZeroDivisionError), first.log("run") as exp:
        log(exp, range(10))
        first.save()
        second = opened(project)
        resumed = second.resume("run", step=5)
        second.save()
        raise ZeroDivisionError
    assert opened(project)["run"].status == "running"
    with resumed:
        second.refresh()
        log(resumed, range(5, 8))
    second.save()
    assert (opened(project)["run"].status, opened(project)["run"].error) == ("completed", None)


def test_a_run_that_was_told_to_stop_is_completed_by_who_goes_on(project):
    first = opened(project)
    exp = first.log("run")
    log(exp, range(10))
    first.save()
    second = opened(project)
    with second.resume("run", step=5) as resumed:
        second.save()
        exp._stop()
        first.save()
        second.refresh()
        assert resumed.status == "stopped"
    second.save()
    assert opened(project)["run"].status == "completed"


@pytest.mark.parametrize(("code", "status"), [(0, "completed"), (None, "completed"), (1, "failed"), ("no", "failed")])
def test_a_block_that_exits_well_is_completed(project, code, status):
    with pytest.raises(SystemExit), project.log("run"):
        raise SystemExit(code)
    project.save()
    assert opened(project)["run"].status == status


def test_going_on_restores_the_metrics_of_tests_too(project):
    exp = project.log("run")
    test = exp.log_test("women")
    for step in range(10):
        test.log_metric("auc", step / 10, step=step)
    project.save()
    mine = opened(project)
    assert mine.resume("run", step=5).tests[0].metrics == {"auc": 0.4}
    mine.save()
    assert opened(project)["run"].tests[0].history("auc").step == list(range(5))


def test_going_on_leaves_a_metric_that_somebody_has_logged_since(project, run):
    other = opened(project)
    other.attach("run").log_metric("loss", 77.0)
    other.save()
    mine = opened(project)
    assert mine.resume("run", step=50).metrics == {"loss": 77.0}


def test_what_goes_on_without_autosave_is_not_stale(project, later):
    beat(project)
    later(minutes=20)
    assert opened(project)["run"].stale
    mine = opened(project)
    mine.resume("run")
    mine.save()
    assert not opened(project)["run"].stale


def test_each_writer_is_known_with_its_own_sign_of_life(project, later):
    exp = beat(project)
    for rank in (1, None):
        mine = opened(project)
        mine.attach("run", rank=rank)._beat()
        mine.save()
    later(minutes=16)
    mine = opened(project)
    mine.attach("run", rank=2)._beat()
    mine.save()
    found = opened(project)["run"]
    assert [(w.rank, w.attempt, w.silent) for w in found.writers] == [
        (None, 1, True),
        (0, 1, True),
        (1, 1, True),
        (2, 1, False),
    ]
    assert found.heartbeat == exp.heartbeat
    assert found.stale, "others that live do not keep it alive"
    assert found.writers[1].started_at >= exp.created_at


def test_only_rank_0_says_that_the_run_goes_on_and_how_it_ends(project, run):
    mine = opened(project)
    with mine.resume("run", step=100, rank=1) as exp:
        exp.log_metric("x", 1.0, step=100)
    mine.save()
    assert opened(project)["run"].status == "completed"
    mine = opened(project)
    with mine.resume("run", step=100):
        mine.save()
        assert opened(project)["run"].status == "running"
    mine.save()
    assert opened(project)["run"].status == "completed"


def test_a_run_that_failed_goes_on_without_its_error(project):
    with pytest.raises(ZeroDivisionError), project.log("run") as exp:
        log(exp, range(5))
        raise ZeroDivisionError
    with project.resume("run", step=3) as resumed:
        assert resumed.error is None
        log(resumed, range(3, 6))
    project.save()
    found = opened(project)["run"]
    assert (found.status, found.error) == ("completed", None)
    assert found.history("loss").step == list(range(6))


def test_a_process_may_go_on_with_what_it_logs_to_and_loses_nothing(project):
    exp = project.log("run")
    log(exp, range(100))
    resumed = project.resume(exp.slug, step=90)
    assert resumed is exp
    log(exp, range(90, 100), by=2.0)
    project.save()
    history = opened(project)["run"].history("loss")
    assert history.step == list(range(100))
    assert history.value[89:91] == [89.0, 180.0]


def test_points_that_arrive_while_a_process_goes_on_are_saved_by_the_new_attempt(project, monkeypatch):
    exp = project.log("run")
    log(exp, range(50))
    save = Project._save

    def log_after(self, only=None):
        save(self, only)
        exp.log_metric("loss", 7.0, step=200)

    monkeypatch.setattr(Project, "_save", log_after)
    project.resume("run", step=40)
    monkeypatch.undo()
    log(exp, range(40, 60))
    project.save()
    assert opened(project)["run"].history("loss").step == [*range(60), 200]


def test_a_process_goes_on_while_its_machine_is_sampled(project):
    exp = project.log("run", system_metrics=60)
    log(exp, range(3))
    project.save()
    project.resume("run", step=1, system_metrics=60)
    log(exp, range(1, 4), by=2.0)
    project.save()
    found = opened(project)["run"]
    assert found.history("loss").value == [0.0, 2.0, 4.0, 6.0]
    assert len(found.history("system/cpu_utilization_percentage")) >= 2
    exp.finish()


def test_closing_that_is_refused_leaves_the_run_read_only(project, run):
    mine = opened(project)
    with pytest.raises(ValueError, match="does not run"):
        mine.close("run")
    assert isinstance(mine["run"], ReadOnlyExperiment)


def test_system_metrics_are_kept_when_a_run_goes_on(project):
    exp = project.log("run")
    exp.log_metric("system/cpu_utilization_percentage", 5.0, step=1000)
    exp.log_metric("loss", 5.0, step=1000)
    project.save()
    exp = project.resume("run", step=10)
    assert exp.metrics == {"system/cpu_utilization_percentage": 5.0}
    assert len(exp.history("system/cpu_utilization_percentage")) == 1
    assert exp.last_step == 9


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"step": 1.5}, TypeError, "step is an integer, not float 1.5"),
        ({"step": "5"}, TypeError, "step is an integer"),
        ({"step": 1, "rank": 2, "ranks": 2}, ValueError, "ranks is at least 3"),
        ({"step": 1, "ranks": 0}, ValueError, "ranks is at least 1"),
        ({"ranks": 4}, ValueError, "ranks=4 says whose points .* give that step too"),
        ({"step": 2**60}, ValueError, "step is at least"),
        ({"autosave": -1}, ValueError, "autosave is a number of seconds above 0, not -1"),
        ({"autosave": "30"}, TypeError, "autosave is a number of seconds, or True, not str '30'"),
        ({"autosave": float("inf")}, ValueError, "autosave"),
        ({"system_metrics": float("nan")}, ValueError, "system_metrics"),
    ],
)
def test_bad_arguments_are_refused_and_change_nothing(project, run, arguments, error, words):
    mine = opened(project)
    with pytest.raises(error, match=words):
        mine.resume("run", **arguments)
    assert isinstance(mine["run"], ReadOnlyExperiment)
    if not {"step", "ranks"} & arguments.keys():
        with pytest.raises(error, match=words):
            mine.log("another", **arguments)
        assert len(mine) == 1


def test_what_is_not_there_cannot_be_gone_on_with(project, run):
    for way in ("attach", "resume", "close"):
        with pytest.raises(KeyError, match=r"no experiment 'rum' .*run"):
            getattr(opened(project), way)("rum")
        with pytest.raises(ReadOnlyError, match="mode='r'"):
            getattr(opened(project, "r"), way)("run")


def test_numbers_of_numpy_are_numbers(project, run):
    exp = opened(project).resume(run, step=np.int64(120), rank=np.int32(0), ranks=np.int8(1))
    assert exp.last_step == 119


# --- alive or dead ---


@pytest.fixture
def later(monkeypatch):
    right = naming.now

    def go(**span):
        monkeypatch.setattr(naming, "now", lambda: right() + timedelta(**span))

    return go


def beat(project):
    exp = project.log("run")
    exp._beat()
    project.save()
    return exp


def test_a_run_that_is_not_heard_of_is_stale(project, later):
    exp = beat(project)
    found = opened(project)["run"]
    assert found.heartbeat == exp.heartbeat
    assert not found.stale
    later(minutes=14)
    assert not found.stale
    later(minutes=16)
    assert found.stale
    assert found.status == "running", "what is stale is for the reader to say"
    exp.status = "completed"
    assert not exp.stale


def test_a_run_without_autosave_is_never_stale(project, later):
    exp = project.log("run")
    later(days=100)
    assert exp.heartbeat is None
    assert not exp.stale


def test_a_sign_of_life_is_no_change(project, later):
    exp = beat(project)
    before = exp.last_updated
    later(minutes=5)
    exp._beat()
    project.save()
    assert exp.last_updated == before
    assert opened(project)["run"].last_updated == before


def test_a_dead_run_is_closed(project, later):
    beat(project)
    with pytest.raises(ValueError, match=r"heard of at .* and may be alive"):
        opened(project).close("run")
    later(minutes=16)
    mine = opened(project)
    mine.close("run")
    mine.save()
    found = opened(project)["run"]
    assert (found.status, found.stale) == ("stopped", False)
    with pytest.raises(ValueError, match="does not run: its status is 'stopped'"):
        mine.close("run")


def test_a_run_is_closed_by_force_and_as_what_one_likes(project):
    beat(project)
    mine = opened(project)
    for status in ("dead", "running"):
        with pytest.raises(ValueError, match=f"closed as one of completed, failed, stopped, not as '{status}'"):
            mine.close("run", status=status, force=True)
    mine.close("run", status="failed", force=True)
    mine.save()
    assert opened(project)["run"].status == "failed"


def test_a_run_without_heartbeat_can_be_closed(project):
    project.log("run")
    project.save()
    mine = opened(project)
    mine.close("run")
    mine.save()
    assert opened(project)["run"].status == "stopped"


# --- parents ---


def test_experiments_are_parts_of_others_to_any_depth(project):
    sweep = project.log("sweep")
    trial = project.log("trial", parent=sweep)
    fold = project.log("fold", parent=trial.slug)
    project.log("fold", parent="trial")
    assert fold.parent is trial
    assert trial.parent is sweep
    assert sweep.parent is None
    assert [e.name for e in trial.children] == ["fold", "fold"]
    project.save()
    found = opened(project)["sweep"]
    [child] = found.children
    assert child.name == "trial"
    assert child.parent == found
    assert len(child.children) == 2


def test_a_parent_is_an_experiment_of_this_project(project, tmp_path):
    stranger = Project(tmp_path / "other").log("stranger")
    for parent in (stranger, "nobody"):
        with pytest.raises(KeyError, match=r"to be a parent.*of another project can be a dependency"):
            project.log("child", parent=parent)
    assert len(project) == 0


def test_a_parent_that_was_deleted_is_none(project):
    sweep = project.log("sweep")
    trial = project.log("trial", parent=sweep)
    project.save()
    project.delete(sweep.slug)
    project.save()
    assert trial.parent is None
    assert opened(project)["trial"].parent is None


def test_experiments_that_are_each_others_parents_do_no_harm(project):
    one, other = project.log("one"), project.log("other")
    project.save()
    patches = [{"record": a.slug, "set": {"parent": b.slug}} for a, b in ((one, other), (other, one))]
    project._journal.append(patches, by="mallory")
    found = opened(project)["one"]
    assert found.parent.parent == found
    assert [e.name for e in found.children] == ["other"]
