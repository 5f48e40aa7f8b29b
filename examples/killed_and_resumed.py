"""Train a classifier step by step, kill the training at a random moment, go on with it, and compare the curves.

The data are scikit-learn's 1,797 handwritten digits. The training saves itself each half second; every 25 steps it
keeps the model, and then the project, so that the two tell of the same moment. It is killed as hard as can be, twice,
and started again: it finds its own run, takes the last model that was kept, and goes on from that model's step. A run
that nobody disturbs gives the same curve.

Run it as ``python examples/killed_and_resumed.py``.
"""

import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss

from lazytrack import Project

STEPS = 150


def train(folder: Path, name: str) -> None:
    """Train to the end, from the beginning or from where a process that died has left off."""
    project = Project(folder)
    kept = folder / f"{name}.pkl"
    if kept.exists():
        start, model = pickle.loads(kept.read_bytes())
        exp = project.resume(name, step=start, autosave=0.5, capture=True)
    else:
        start, model = 0, SGDClassifier(loss="log_loss", alpha=0.01, random_state=7)
        exp = project.log(name, autosave=0.5, capture=True)
        exp.log_parameters(model.get_params())
    digits = load_digits()
    train_x, test_x = digits.data[:1200] / 16, digits.data[1200:] / 16
    train_y, test_y = digits.target[:1200], digits.target[1200:]
    with exp:
        print(f"attempt {exp.attempt} begins at step {start}")
        for step in range(start, STEPS):
            batch = np.random.default_rng(step).integers(0, len(train_x), 64)  # the same, whoever asks
            model.partial_fit(train_x[batch], train_y[batch], classes=np.arange(10))
            loss = log_loss(test_y, model.predict_proba(test_x), labels=np.arange(10))
            exp.log_metrics({"loss": loss, "accuracy": model.score(test_x, test_y)}, step=step)
            time.sleep(0.01)  # as if it were hard
            if (step + 1) % 25 == 0:
                project.save()
                new = kept.with_suffix(".new")
                new.write_bytes(pickle.dumps((step + 1, model)))
                new.replace(kept)


def start_training(folder: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a training as a process of its own."""
    command = [sys.executable, __file__, str(folder), name]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603


def main(folder: Path) -> None:
    """Train undisturbed, and killed twice, and show both."""
    start_training(folder, "undisturbed").wait()
    kept = folder / "killed.pkl"
    for _ in range(2):
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        training = start_training(folder, "killed")
        while not kept.exists() or kept.stat().st_mtime_ns == before:
            time.sleep(0.01)
        time.sleep(np.random.default_rng().random() * 0.3)
        training.kill()
        training.wait()
        dead = Project(folder, mode="r")["killed"]
        print(f"killed: status {dead.status}, {len(dead.history('loss'))} steps saved")
    start_training(folder, "killed").wait()

    project = Project(folder, mode="r")
    undisturbed, killed = project["undisturbed"], project["killed"]
    for exp in (undisturbed, killed):
        print(f"{exp.name}: {exp.status}, {exp.history('loss')}, lowest {exp.summary('loss').min:.4f}")
    same = killed.history("loss").value == undisturbed.history("loss").value
    print(
        f"the curves are {'the same' if same else 'different'}; printed by the three attempts:\n{killed.output}", end=""
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:  # noqa: PLR2004
        train(Path(sys.argv[1]), sys.argv[2])
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "killed-and-resumed"))
