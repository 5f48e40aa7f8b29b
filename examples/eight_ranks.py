"""Eight processes train together and log to one run, each its own curve; nothing keeps them apart but their ranks.

Each rank has an eighth of scikit-learn's 1,797 handwritten digits and trains on it; after each round the ranks' models
are averaged, as federated learning does. A rank logs its loss on its own part, and what its machine is doing.
The launcher logs the accuracy of the average.

Run it as ``python examples/eight_ranks.py``.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from lazytrack import Project
from lazytrack.tracking import Experiment

RANKS = 8
ROUNDS = 15
_joined: dict[str, Experiment] = {}


def probabilities(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the chance of each digit; `weights` are (65, 10), `x` is (n, 65)."""
    scores = np.exp(x @ weights - (x @ weights).max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,797 images as (n, 65), the last column ones, and their digits."""
    data = load_digits()
    return np.column_stack([data.data / 16, np.ones(len(data.data))]), data.target


def train(folder: Path, slug: str, rank: int, number: int, weights: np.ndarray) -> np.ndarray:
    """Train one round on this rank's part of the data and log each step."""
    if slug not in _joined:
        _joined[slug] = Project(folder).attach(slug, rank=rank, autosave=1)
    exp = _joined[slug]
    x, y = (part[:1500][rank::RANKS] for part in digits())
    for step in range(number * 10, number * 10 + 10):
        chance = probabilities(weights, x)
        exp.log_metric("loss", -np.log(chance[np.arange(len(y)), y]).mean(), step=step)
        weights = weights - 0.5 * x.T @ (chance - np.eye(10)[y]) / len(y)
    return weights


def main(folder: Path) -> None:
    """Train, and show what was logged."""
    x, y = digits()
    weights = np.zeros((65, 10))
    project = Project(folder)
    with project.log("federated", autosave=1) as exp:
        exp.log_parameters({"ranks": RANKS, "rounds": ROUNDS})
        project.save()  # so that the ranks find it
        # One pool for each rank, so that a rank is one process.
        pools = [ProcessPoolExecutor(1, mp_context=get_context("spawn")) for _ in range(RANKS)]
        for number in range(ROUNDS):
            jobs = [pool.submit(train, folder, exp.slug, rank, number, weights) for rank, pool in enumerate(pools)]
            weights = np.mean([job.result() for job in jobs], axis=0)
            exp.log_metric(
                "accuracy", (probabilities(weights, x[1500:]).argmax(axis=1) == y[1500:]).mean(), step=number
            )
        for pool in pools:
            pool.shutdown()  # each rank saves what is left when its process ends

    found = Project(folder, mode="r")["federated"]
    print(f"{found.name}: {found.status}, accuracy {found.summary('accuracy').last:.3f}, {found.history('loss')}")
    for rank in range(RANKS):
        history = found.history("loss", rank=rank)
        print(f"rank {rank}: {len(history)} steps, loss {history.value[0]:.3f} to {history.value[-1]:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "eight-ranks"))
