"""One rank of a training run: logs a known curve with autosave, and writes a checkpoint each ten steps.

Arguments: the project, the slug, the rank, how many steps. Where there is a checkpoint, it goes on from there.
"""

import json
import sys
import time
from pathlib import Path

from lazytrack import Project


def value(rank, step):
    """Return what an undisturbed run logs."""
    return rank + 1 / (step + 1)


def main(path, slug, rank, steps):
    checkpoint = Path(f"{path}.rank{rank}")
    project = Project(path)
    if checkpoint.exists():
        start = json.loads(checkpoint.read_text())
        exp = project.resume(slug, step=start, rank=rank, autosave=0.05)
    else:
        start = 0
        exp = project.attach(slug, rank=rank, autosave=0.05)
    sys.stdout.write("running\n")
    sys.stdout.flush()
    with exp:
        for step in range(start, steps):
            exp.log_metric("loss", value(rank, step), step=step)
            time.sleep(0.005)
            if step % 10 == 9:
                new = Path(f"{checkpoint}.new")
                new.write_text(json.dumps(step + 1))
                new.replace(checkpoint)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
