"""The examples run in an empty folder, each as a user starts it, and say what they promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAY = {
    "compare_models.py": ["gradient boosting", "auc", "Bring it back:"],
    "pipeline.py": [
        "fit_3     completed",
        "fit_3     cached",
        "version 0 in the repository, the champion",
        "judge     completed",
        "'quality', which the step names, or what that names, has changed",
    ],
    "executors.py": ["choose.model", "processes:2, dask", "11 artifacts, the same on 3 executors"],
    "quickstart.py": ["completed", "{'approve': 0.7, 'review': 0.4}"],
    "killed_and_resumed.py": [
        "killed: status running",
        "killed: completed, History('loss', 150 points, steps 0 to 149",
        "the curves are the same",
        "attempt 3 begins at step",
    ],
    "eight_ranks.py": ["federated: completed", "1200 points, steps 0 to 149, 8 ranks", "rank 7: 150 steps"],
}


def test_there_is_a_test_for_each_example():
    assert SAY.keys() | {"engines.py"} == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.slow
@pytest.mark.parametrize("example", SAY)
def test_an_example_runs_and_says_what_it_promises(example, tmp_path):
    said = said_by(example, tmp_path)
    assert [words for words in SAY[example] if words not in said] == [], said


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_one_pipeline_makes_the_same_artifacts_on_all_engines(dask_server, tmp_path):
    said = said_by("engines.py", tmp_path, LAZYTRACK_DASK=dask_server.said["address"], HOME=str(tmp_path))
    for engine in ("threads", "processes", "Dask", "subprocess operator", "Dask operator", "Slurm operator"):
        assert f"{engine:<22}11 of 11\n" in said
    assert "11 artifacts, the same on 6 engines" in said


def test_engines_that_are_not_here_are_told():
    code = "import engines; print(engines.no_dask()); print(engines.no_slurm())"
    environment = {name: value for name, value in os.environ.items() if name != "LAZYTRACK_DASK"} | {"PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=EXAMPLES, env=environment
    )
    assert done.stdout == "LAZYTRACK_DASK names no scheduler\nsbatch and sinfo are not installed\n"


def said_by(example, folder, **variables):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example, "a folder"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
        env={**os.environ, "LAZYTRACK_PROVENANCE": "1", **variables},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout
