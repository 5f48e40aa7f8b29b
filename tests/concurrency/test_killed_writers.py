"""Writers that are killed with SIGKILL: what was acknowledged stays, and what was not leaves nothing in the way."""

import itertools
import json
import os
import random
import shutil

import pytest
from store_checks import UNFINISHED_FILE, finish, leftovers, read_afresh

from lazytrack import Project

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGKILL")


class Killer:
    """A program that forks savers and kills them."""

    def __init__(self, process):
        self.process = process

    def kill(self, **fate):
        """Let one saver run into its fate; return the slugs it was acknowledged, and whether it was killed."""
        self.process.stdin.write(json.dumps(fate) + "\n")
        self.process.stdin.flush()
        lines = iter(self.process.stdout.readline, "")
        acknowledged = []
        for line in lines:
            if line in {"killed\n", "ended\n"}:
                return acknowledged, line == "killed\n"
            acknowledged.append(line.strip())
        raise AssertionError(self.process.stderr.read())


def assert_all_is_well(path, acknowledged):
    seen = read_afresh(path) if path.exists() else {}
    assert len(set(acknowledged)) == len(acknowledged)
    assert seen.keys() >= set(acknowledged)
    for slug, told in seen.items():  # those that were saved and not acknowledged are whole, too
        assert told["status"] == "completed"
        assert told["parameters"].keys() == {"number"}
        assert told["artifacts"] == {"report": {"slug": slug}, "model": slug.encode() * 1000}
    beside = {name.name for name in path.parent.iterdir()} - {path.name, path.stem}
    assert all(UNFINISHED_FILE.fullmatch(name) for name in beside)
    return seen, beside | leftovers(path.with_suffix(""))


@pytest.mark.slow
@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("part", [1, 2])
def test_a_save_that_returned_survives_a_kill_at_any_moment(tmp_path, start, packing, part):
    path = tmp_path / "churn.json"
    killer = Killer(start("child_killed.py"))
    reader, acknowledged = Project(path), []
    longest_life = 0.03  # in seconds
    for _ in range(60):
        more, killed = killer.kill(project=str(path), after=random.uniform(0, longest_life), packing=packing)
        assert killed
        acknowledged += more
        # Some savers shall die before their first save has returned, and some after a few, however fast the disk is.
        longest_life *= 1.1 if len(more) < 3 else 0.9
        reader.refresh()
        assert {exp.slug for exp in reader.experiments} >= set(acknowledged)
        assert reader.problems == {}
    finish(killer.process)
    assert acknowledged
    _, unnamed = assert_all_is_well(path, acknowledged)
    assert unnamed  # so kills did fall into saves
    project = Project(path)
    project.log("after all")
    project.save()
    assert len(read_afresh(path)) == len(reader.experiments) + 1


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True])
def test_a_save_that_returned_survives_a_kill_at_each_call_that_reaches_the_disk(tmp_path, start, late):
    killer = Killer(start("child_killed.py"))
    counts, unnamed_files = [], set()
    for call in itertools.count(1):
        path = tmp_path / str(call) / "churn.json"
        path.parent.mkdir()
        acknowledged, killed = killer.kill(project=str(path), call=call, late=late, packing=True)
        seen, unnamed = assert_all_is_well(path, acknowledged)
        counts.append((len(acknowledged), len(seen)))
        unnamed_files |= unnamed
        shutil.rmtree(path.parent)
        if not killed:
            break
    finish(killer.process)
    # First the log file is there, then the save is acknowledged, then come the calls that pack.
    assert counts == sorted(counts)
    assert set(counts) == {(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3)}
    assert unnamed_files
    assert unnamed == set()
