"""The experiment that every benchmark logs: five parameters, three metrics and one tag; if wanted, one artifact."""

from typing import Any

PRIME = 10_007
"""Above the number of experiments in any benchmark, so that no two of them have the same ``auc``."""


def auc(number: int) -> float:
    """Return the metric that the best experiments are found by: as if drawn by lot, different for each."""
    return number * 7919 % PRIME / PRIME


def log(project: Any, number: int, *, artifact: bool = False) -> Any:
    """Log experiment `number` to a project of lazytrack or lazyscribe, whose calls are the same, and return it."""
    with project.log(f"run {number}") as experiment:
        experiment.log_parameter("model", "gradient boosting")
        experiment.log_parameter("learning_rate", 0.05)
        experiment.log_parameter("depth", 6)
        experiment.log_parameter("rounds", 400 + number)
        experiment.log_parameter("features", ["age", "tenure", "plan"])
        experiment.log_metric("auc", auc(number))
        experiment.log_metric("f1", auc(number + 1))
        experiment.log_metric("log_loss", auc(number + 2))
        experiment.tag("nightly")
        if artifact:
            report = {"confusion": [[50, 3], [4, 43]], "threshold": 0.5, "number": number}
            experiment.log_artifact("report", report, handler="json")
    return experiment
