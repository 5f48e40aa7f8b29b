"""Train several models on real data, log each as an experiment, and pick the best one from what was stored.

The data are scikit-learn's 569 breast tumours. Each model is judged on all held-out tumours and, in a test of its
own, on the small and on the large ones. The model is kept as a pickle, its report as JSON. Then the project is
opened again, as another person would, and the best model is loaded back and scored.
"""

import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.tree import Tree
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lazytrack import Experiment, Project

MODELS = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(C=0.5)),
    "nearest neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=9)),
    "random forest": RandomForestClassifier(n_estimators=200, random_state=7),
    "gradient boosting": GradientBoostingClassifier(n_estimators=80, max_depth=2, random_state=7),
}


def main(folder: Path) -> None:
    """Log the models to a project in `folder`, then read it back."""
    data = load_breast_cancer()
    split = train_test_split(data.data, data.target, test_size=0.4, random_state=7, stratify=data.target)
    train_x, test_x, train_y, test_y = split
    radius = test_x[:, list(data.feature_names).index("mean radius")]
    populations = {"small tumours": radius < np.median(radius), "large tumours": radius >= np.median(radius)}

    project = Project(folder / "project.json")
    for name, model in MODELS.items():
        with project.log(name) as exp:
            model.fit(train_x, train_y)
            chance = model.predict_proba(test_x)[:, 1]
            final = model[-1] if hasattr(model, "steps") else model
            exp.parameters.update({key: value for key, value in final.get_params().items() if value is not None})
            exp.log_metric("auc", roc_auc_score(test_y, chance))
            exp.log_metric("log_loss", log_loss(test_y, chance))
            exp.tag("breast-cancer", type(final).__name__)
            for population, members in populations.items():
                with exp.log_test(population) as test:
                    test.log_parameter("tumours", members.sum())
                    test.log_metric("auc", roc_auc_score(test_y[members], chance[members]))
            exp.log_artifact("model", model, handler="pickle")
            report = classification_report(test_y, chance > 0.5, output_dict=True, target_names=data.target_names)  # noqa: PLR2004
            exp.log_artifact("report", report, handler="json", indent=2)
        project.save()

    show(folder, test_x, test_y)


def show(folder: Path, test_x: np.ndarray, test_y: np.ndarray) -> None:
    """Open the project as another person would and show what it holds."""
    console = Console()
    project = Project(folder / "project.json", mode="r")
    best = project.best("auc", n=1)[0]
    table = Table("experiment", "status", "auc", "log loss", "auc, small", "auc, large", title=f"{folder}/project.json")
    for exp in project.experiments:
        figures = [exp.metrics["auc"], exp.metrics["log_loss"], *(test.metrics["auc"] for test in exp.tests)]
        name = f"[bold]{exp.name} ★[/bold]" if exp is best else exp.name
        table.add_row(name, exp.status, *(f"{figure:.4f}" for figure in figures))
    console.print(table)

    model = best.load_artifact("model")
    again = roc_auc_score(test_y, model.predict_proba(test_x)[:, 1])
    console.print(f"The best model, {best.name}, loaded back from its file scores auc {again:.4f}.\n")
    if best.environment is not None:  # LAZYTRACK_PROVENANCE=0 turns that off
        console.print(f"It ran on Python {best.environment.python}, {best.platform.cpu_model}, from {origin_of(best)}.")
        console.print(f"Bring it back: [bold]print(Project('{folder}').reproduce('{best.short_slug}'))[/bold]\n")
    console.print(tree_of(folder))
    console.print(f"\nAll of it is plain: try  cat {folder}/project/log/*.json | python -m json.tool --json-lines")


def origin_of(exp: Experiment) -> str:
    """Return the commit that an experiment ran from."""
    if exp.git is None or exp.git.commit is None:
        return "no commit"
    return f"commit {exp.git.commit[:10]}" + (" with changes that are kept" if exp.diff else "")


def tree_of(folder: Path) -> Tree:
    """Return the files below `folder` with their sizes."""
    tree = Tree(f"[bold]{folder}/[/bold]")
    branches = {folder: tree}
    for path in sorted(folder.rglob("*")):
        label = f"{path.name}/" if path.is_dir() else f"{path.name}  [dim]{path.stat().st_size:,} bytes[/dim]"
        branches[path] = branches[path.parent].add(label)
    return tree


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
