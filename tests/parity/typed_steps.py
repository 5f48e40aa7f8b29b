"""A user's module whose annotations are text."""

from __future__ import annotations

from typing import Annotated, Tuple  # noqa: UP035  (as users write it)

import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression

from lazytrack.steps import BaseStep, step


@step
def svc_trainer(
    X_train: pd.DataFrame,  # noqa: N803
    y_train: pd.Series,
    C: float = 1.0,  # noqa: N803
) -> Tuple[Annotated[ClassifierMixin, "trained_model"], Annotated[float, "training_acc"]]:  # noqa: UP006
    """Train a classifier."""
    model = LogisticRegression(C=C).fit(X_train, y_train)
    return model, float(model.score(X_train, y_train))


class Trainer(BaseStep):
    """Train a classifier, as a class."""

    def entrypoint(
        self,
        X_train: pd.DataFrame,  # noqa: N803
        y_train: pd.Series,
    ) -> Annotated[ClassifierMixin, "trained_model"]:
        return LogisticRegression().fit(X_train, y_train)
