"""A pipeline that trains several models on real data, run twice and then with changed code, to show what is run again.

The data are scikit-learn's 569 breast tumours. Models are trained and judged with `map`, the best one goes to a
repository. The second run takes everything from the first. Then a function that a step calls is changed: the steps
that depend on it run again, and say why.
"""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lazytrack import Project, Repository, StepRetryConfig, current_experiment, log_metadata, pipeline, step, unmapped
from lazytrack.post_execution import PipelineRunView

Array = np.ndarray


@step
def load(
    share: float = 0.4,
) -> tuple[
    Annotated[Array, "train_x"], Annotated[Array, "test_x"], Annotated[Array, "train_y"], Annotated[Array, "test_y"]
]:
    """Load the tumours, and keep a share of them for judging."""
    data = load_breast_cancer()
    log_metadata({"tumours": len(data.target)})
    return tuple(train_test_split(data.data, data.target, test_size=share, random_state=7, stratify=data.target))


@step(retry=StepRetryConfig(max_retries=1))
def fit(kind: str, train_x: Array, train_y: Array) -> Annotated[BaseEstimator, "model"]:
    """Train a model of one kind."""
    print(f"training {kind}")
    return MODELS[kind]().fit(train_x, train_y)


@step
def judge(model: BaseEstimator, test_x: Array, test_y: Array) -> Annotated[float, "score"]:
    """Say how good a model is; greater is better."""
    return quality(test_y, model.predict_proba(test_x)[:, 1])


@step
def choose(models: list[BaseEstimator], scores: list[float]) -> Annotated[BaseEstimator, "model"]:
    """Return the best model."""
    best = int(np.argmax(scores))
    current_experiment().log_metric("score", scores[best])
    log_metadata({"model": str(models[best]), "score": scores[best]})
    return models[best]


MODELS = {
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.5)),
    "random forest": lambda: RandomForestClassifier(n_estimators=50, random_state=7),
    "gradient boosting": lambda: GradientBoostingClassifier(n_estimators=50, max_depth=2, random_state=7),
}


def quality(truth: Array, chance: Array) -> float:
    """Return the area under the curve."""
    return float(roc_auc_score(truth, chance))


@pipeline(tags=["breast-cancer"])
def train(share: float = 0.4) -> None:
    """Train each kind of model, and choose the best."""
    train_x, test_x, train_y, test_y = load(share)
    models = fit.map(list(MODELS), train_x=unmapped(train_x), train_y=unmapped(train_y))
    scores = judge.map(models, test_x=unmapped(test_x), test_y=unmapped(test_y))
    choose(models, scores)


def main(folder: Path) -> None:
    """Run the pipeline three times in a project in `folder`."""
    with Project(folder) as project:
        print("The first run does all of it:")
        show(first := train())

        repository = Repository(folder / "models")
        version = first.experiment.promote_artifact(repository, "choose.model")
        repository.set_alias("choose.model", "champion", version, reason="the best of the first run")
        repository.save()
        print(f"Its best model is version {version} in the repository, the champion.\n")

        print("The second run takes everything from the first:")
        show(train())

        print("Then somebody has quality() return something else:")
        globals()["quality"] = lambda truth, chance: -float(log_loss(truth, chance))
        show(third := train())
        print(third.get_step("judge").explain_cache())
        print(f"\n{len(project)} runs in {folder}, each an experiment of its own.")


def show(run: PipelineRunView) -> None:
    """Print what became of each step."""
    for made in run.steps:
        print(f"  {made.name:<9} {made.status:<10} {', '.join(str(each.data_type) for each in made.outputs.values())}")
    score = run.get_step("choose").metadata
    print(f"  {run.status}" + (f", score {score['score'].value:.4f}\n" if score else "\n"))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "churn"))
