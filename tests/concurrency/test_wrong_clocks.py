"""Clocks that are wrong: who has read a value and overwrites it wins, whatever the time is believed to be."""

import itertools
import json
import random
from datetime import timedelta

import pytest
from store_checks import finish, fold, read_afresh

from lazytrack import Project, naming
from lazytrack.files import open_files
from lazytrack.journal import Journal


@pytest.fixture
def set_clock(monkeypatch):
    """Return what sets the clock right, or wrong by some hours."""
    right = naming.now
    return lambda hours: monkeypatch.setattr(naming, "now", lambda: right() + timedelta(hours=hours))


def at_of(folder, field):
    """Return the values a field was given and the logical times of it, in the order of these times."""
    patches = [p for file in folder.glob("log/*.json") for p in json.loads(file.read_bytes())["patches"]]
    return [(p["set"][field], p["at"]) for p in sorted(patches, key=lambda p: p["at"]) if field in p["set"]]


def test_of_two_saves_the_later_one_wins_though_the_clock_was_set_back_an_hour(tmp_path, set_clock):
    project = Project(tmp_path / "churn.json")
    exp = project.log("first")
    exp.log_metric("loss", 1)
    exp.tag("old")
    project.save()
    set_clock(hours=-1)
    exp.log_metric("loss", 2)
    exp.tag("new", overwrite=True)
    later = project.log("second")
    project.save()
    seen = read_afresh(tmp_path / "churn.json")
    assert list(seen) == [exp.slug, later.slug]
    assert seen[exp.slug]["metrics"] == {"loss": 2}
    assert seen[exp.slug]["tags"] == ["new"]
    assert later.created_at < exp.created_at
    assert [value for value, _ in at_of(tmp_path / "churn", "metrics.loss")] == [1, 2]


def test_of_two_saves_the_later_one_wins_though_it_is_made_by_a_new_process_an_hour_earlier(tmp_path, start):
    path = tmp_path / "churn.json"
    project = Project(path)
    exp = project.log("first")
    exp.log_metric("last", 1)
    exp.tag("odd")
    project.save()
    machine = start("child_machine.py", path, -3600)
    machine.stdin.write(json.dumps(["write", "first", 2]) + "\n")
    [said] = finish(machine)
    assert json.loads(said) < naming.iso(exp.created_at)
    seen = read_afresh(path)
    assert seen[exp.slug]["metrics"] == {"last": 2}
    assert seen[exp.slug]["tags"] == []
    assert [value for value, _ in at_of(tmp_path / "churn", "metrics.last")] == [1, 2]


def test_a_clock_that_was_an_hour_fast_once_does_not_win_for_ever(tmp_path, set_clock):
    path = tmp_path / "churn.json"
    set_clock(hours=1)
    fast = Journal(open_files(tmp_path / "churn"), clock=naming.LogicalClock())
    Project(path).save()
    change = {"record": "one", "set": {"created_at": "2026-11-20T08:22:33.000000Z", "metrics.loss": 1, "tags.a": True}}
    fast.append([change], by="fast")
    set_clock(hours=0)
    for turn in range(2, 5):  # each time a new process on a machine whose clock is right
        journal = Journal(open_files(tmp_path / "churn"), clock=naming.LogicalClock())
        journal.refresh()
        journal.append([{"record": "one", "set": {"metrics.loss": turn}, "unset": ["tags.a"]}], by="right")
        assert fold(tmp_path / "churn")["one"]["metrics.loss"] == turn
        journal = Journal(open_files(tmp_path / "churn"), clock=naming.LogicalClock())
        journal.pack(everything=True)
        journal.refresh()
        assert journal.fields("one")["metrics.loss"] == turn
        assert "tags.a" not in journal.fields("one")


@pytest.mark.parametrize("rounds", [40])
def test_of_two_machines_half_a_second_apart_the_one_that_read_last_wins(tmp_path, start, rounds):
    path = tmp_path / "churn.json"
    project = Project(path)
    exp = project.log("shared")
    project.save()
    machines = [start("child_machine.py", path, fast) for fast in (0, 0.5)]

    def tell(machine, *command):
        machine.stdin.write(json.dumps(command) + "\n")
        machine.stdin.flush()
        return json.loads(machine.stdout.readline())

    last, turns = [None, []], []
    for value in range(rounds):
        turns.append(value % 2 if value < 10 else random.randrange(2))
        machine = machines[turns[-1]]
        assert tell(machine, "read", "shared") == last
        tell(machine, "write", "shared", value)
        last = [value, ["odd"] if value % 2 else []]
        assert [exp.metrics["last"] for exp in Project(path).experiments] == [value]
    finish(*machines)
    assert set(itertools.pairwise(turns)) >= {(0, 1), (1, 0)}
    seen = read_afresh(path)[exp.slug]
    assert [seen["metrics"]["last"], seen["tags"]] == last
    assert [value for value, _ in at_of(tmp_path / "churn", "metrics.last")] == list(range(rounds))
