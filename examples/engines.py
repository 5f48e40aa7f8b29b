"""The pipeline of pipeline.py, unchanged, on every engine that is here: what it makes is the same on all of them.

Threads, a pool of processes and a Dask cluster of this machine by `executor=`; processes, a Dask cluster and Slurm by
`step_operator=`. Each run begins with nothing, in a project of its own, and leaves artifacts with the same digests.
Needs lazytrack[dask]. Of the last two it needs a cluster: `LAZYTRACK_DASK` names a scheduler, such as
tcp://host:8786, and `sbatch` and `sinfo` reach Slurm. The folder has to be one that they share.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline import train

from lazytrack import Project
from lazytrack.post_execution import PipelineRunView
from lazytrack.step_operators import register_step_operator
from lazytrack.step_operators.dask import DaskStepOperator, DaskStepOperatorConfig

SCHEDULER = "LAZYTRACK_DASK"
ENGINES: dict[str, dict[str, Any]] = {
    "threads": {"executor": "threads:4"},
    "processes": {"executor": "processes:2"},
    "Dask": {"executor": "dask"},
    "subprocess operator": {"step_operator": "subprocess"},
    "Dask operator": {"step_operator": "cluster"},
    "Slurm operator": {"step_operator": "slurm"},
}
NUMERIC = ("OMP_", "OPENBLAS_", "MKL_", "BLIS_")
"""How libraries of numerics calculate, the last digits included, is said by variables of these names."""
HERE = {"choose": {"step_operator": False}}
"""The last step is small, and stays in this process: it pickles a loaded model again, and how that is spelled depends
on what a process did before, though the model is the same."""


def main(folder: Path) -> None:
    """Run the pipeline on each engine, in a project of its own in `folder`, and compare what they made."""
    missing = {engine: why for engine, why in (("Dask operator", no_dask()), ("Slurm operator", no_slurm())) if why}
    engines = [engine for engine in ENGINES if engine not in missing]
    made = {engine: digests(run_on(engine, folder)) for engine in engines}
    first = made[engines[0]]
    print(f"{'engine':<22}same artifacts")
    for engine in engines:
        same = sum(made[engine].get(name) == digest for name, digest in first.items())
        print(f"{engine:<22}{same} of {len(first)}")
    for engine, why in missing.items():
        print(f"{engine:<22}not here: {why}")
    print(f"\n{'artifact':<22}digest")
    for name, digest in first.items():
        print(f"{name:<22}{digest[:16]}")
    if any(others != first for others in made.values()):
        sys.exit("the engines did not make the same artifacts")
    print(f"\n{len(first)} artifacts, the same on {len(engines)} engines")


def no_dask() -> str:
    """Say why there is no Dask cluster to go to, and register the operator where there is one."""
    address = os.environ.get(SCHEDULER)
    if not address:
        return f"{SCHEDULER} names no scheduler"
    register_step_operator(DaskStepOperator(name="cluster", config=DaskStepOperatorConfig(address=address)))
    return ""


def no_slurm() -> str:
    """Say why there is no Slurm to go to; nothing where there is one."""
    sinfo = shutil.which("sinfo")
    if sinfo is None or shutil.which("sbatch") is None:
        return "sbatch and sinfo are not installed"
    asked = subprocess.run([sinfo], capture_output=True, text=True, check=False)  # noqa: S603  (a fixed command)
    return "" if asked.returncode == 0 else asked.stderr.strip().rpartition("\n")[2] or "sinfo fails"


def run_on(engine: str, folder: Path) -> PipelineRunView:
    """Run the pipeline in a new project, and return the run."""
    options = ENGINES[engine]
    if "step_operator" in options:  # a job of Slurm is given none of this process's variables
        variables = {name: value for name, value in os.environ.items() if name.startswith(NUMERIC)}
        options = {**options, "environment": variables, "steps": HERE}
    with Project(folder / engine.replace(" ", "-")):
        return train.with_options(run_name=f"on {engine}", **options)()


def digests(run: PipelineRunView) -> dict[str, str]:
    """Return the digest of each output of a run by its name."""
    return {artifact.name: artifact.stored.sha256 for artifact in run.experiment.artifacts if artifact.alias != "text"}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "engines"))
