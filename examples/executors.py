"""The pipeline of pipeline.py on threads, in processes and on a Dask cluster: one word changes, and no result.

Each run begins with nothing, does all of it, and leaves artifacts with the same digests. Needs lazytrack[dask].
"""

import sys
from pathlib import Path

from pipeline import train

from lazytrack import Project
from lazytrack.post_execution import PipelineRunView

EXECUTORS = ("threads:4", "processes:2", "dask")


def main(folder: Path) -> None:
    """Run the pipeline on each executor, in a project of its own in `folder`, and compare what they made."""
    made = {executor: digests(run_on(executor, folder)) for executor in EXECUTORS}
    print(f"{'artifact':<18} {'on ' + EXECUTORS[0]:<18} the same on")
    first = made[EXECUTORS[0]]
    for name, digest in first.items():
        same = [executor for executor in EXECUTORS[1:] if made[executor].get(name) == digest]
        print(f"{name:<18} {digest[:16]:<18} {', '.join(same)}")
    if any(others != first for others in made.values()):
        sys.exit("the executors did not make the same artifacts")
    print(f"\n{len(first)} artifacts, the same on {len(EXECUTORS)} executors")


def run_on(executor: str, folder: Path) -> PipelineRunView:
    """Run the pipeline in a new project, and return the run."""
    with Project(folder / executor.partition(":")[0]):
        return train.with_options(executor=executor, run_name=f"on {executor}")()


def digests(run: PipelineRunView) -> dict[str, str]:
    """Return the digest of each output of a run by its name."""
    return {artifact.name: artifact.stored.sha256 for artifact in run.experiment.artifacts if artifact.alias != "text"}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "executors"))
