"""Steps as a module of a user's has them, with annotations that are text."""

from __future__ import annotations

from typing import Annotated, Tuple  # noqa: UP035  (as users write it)

import pandas as pd

from lazytrack.steps import BaseStep, step


@step
def load(rows: int = 3) -> Annotated[pd.DataFrame, "table"]:
    """Load a table."""
    return pd.DataFrame({"x": range(rows), "y": [2 * x for x in range(rows)]})


@step(
    name="fit",
    on_failure=lambda error: (error, ")"),  # a function within parentheses
    parameters=dict(slope=1.0),  # noqa: C408
)
# a comment that belongs to neither
def train(table: pd.DataFrame, slope: float) -> Tuple[Annotated[dict, "model"], float]:  # noqa: UP006
    return {"slope": slope}, float(abs(table.y - slope * table.x).mean())


configured_later = step(load.entrypoint)
configured_later.configure(extra={"later": True})


class Evaluate(BaseStep):
    """Evaluates a model."""

    def __init__(self, scale: float = 1.0, **options):
        super().__init__(**options)
        self.scale = scale

    def entrypoint(self, error: float, limit: int = 10) -> bool:
        return self.scale * error < limit


class Inherited(Evaluate):
    pass


def local_step():
    class Config:
        pass

    text = "indented"

    @step
    def inner(config: Config) -> Config:
        said = """kept
    as it is"""

        assert said, text
        return config

    return inner, Config
