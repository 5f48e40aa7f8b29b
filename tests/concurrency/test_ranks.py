"""Eight ranks that log to one run, are killed at random moments, and go on."""

import json
import random
import time

import pytest
from child_rank import value

from lazytrack import Project

STEPS = 120


def curve(path, rank):
    project = Project(path, mode="r")
    assert project.problems == {}
    [exp] = project.experiments
    history = exp.history("loss", rank=rank) if "loss" in exp.history_names else []
    return [(step, its_value) for step, _, its_value, _ in history]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_ranks_that_are_killed_and_go_on_give_the_undisturbed_curve_but_for_what_was_not_saved(tmp_path, start, seed):
    luck = random.Random(seed)
    path = tmp_path / "churn.json"
    project = Project(path)
    slug = project.log("run").slug
    project.save()
    children = {rank: start("child_rank.py", path, slug, rank, STEPS) for rank in range(8)}
    kept = {rank: [] for rank in range(8)}  # what must be there at the end, and was logged by attempts that died
    for rank in luck.sample(range(8), 8) + luck.sample(range(8), 3):
        child = children[rank]
        child.stdout.readline()
        time.sleep(luck.random() * 0.3)
        child.kill()
        child.communicate()
        saved = curve(path, rank)
        checkpoint = tmp_path / f"churn.json.rank{rank}"
        begins = json.loads(checkpoint.read_text()) if checkpoint.exists() else None
        kept[rank] = [point for point in saved if begins is None or point[0] < begins]
        children[rank] = start("child_rank.py", path, slug, rank, STEPS)
        kept[rank, "from"] = begins or 0
    for child in children.values():
        out, err = child.communicate()
        assert (child.returncode, err) == (0, ""), out
    lost = 0
    for rank in range(8):
        begins = kept[rank, "from"]
        undisturbed = [(step, value(rank, step)) for step in range(STEPS)]
        found = curve(path, rank)
        if begins:
            assert found == [*kept[rank], *undisturbed[begins:]]
        else:  # it was killed before its first checkpoint, attached again, and said nothing about earlier points
            assert sorted({*kept[rank], *undisturbed}) == sorted(set(found))
        lost += STEPS - len(set(found))
    assert lost < 8 * STEPS / 4, "autosave saves as the run goes"
    project.refresh()
    assert project[slug].summary("loss").last_step == STEPS - 1
