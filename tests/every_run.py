"""A run that has everything that the record of a run can have."""

import sys
from typing import Annotated

import numpy as np
import pytest

from lazytrack import (
    CachePolicy,
    ExternalArtifact,
    StepRetryConfig,
    get_step_context,
    log_metadata,
    pipeline,
    step,
    unmapped,
)
from lazytrack.errors import PipelineRunError
from lazytrack.post_execution import get_pipeline

_failures = [1]


@step
def rows() -> tuple[Annotated[np.ndarray, "rows"], Annotated[list[int], "numbers"]]:
    get_step_context().add_output_metadata({"unit": "m"}, "rows")
    return np.arange(6.0).reshape(2, 3), [1, 2]


@step(extra={"team": "a"}, settings={"resources": {"cpu_count": 1}}, on_success="lazytrack.naming.now")
def scaled(rows: np.ndarray, by: float, names: list[str] | None = None) -> np.ndarray:
    log_metadata({"nan": float("nan")})
    return rows * by


@step(retry=StepRetryConfig(max_retries=1), heartbeat_healthy_threshold=20)
def flaky(parts: list[np.ndarray], more: object, scale: int = 2) -> float:
    sys.stderr.write("trying\n")
    if _failures:
        _failures.pop()
        raise OSError("not yet")
    return float(sum(part.sum() for part in parts)) + len(more) * scale


@step(cache_policy=CachePolicy(expires_after=60))
def fails(value: float) -> int:
    raise LookupError(value)


@step
def needs(value: int) -> None:
    """Never run."""


@pipeline(execution_mode="continue_on_failure", enable_cache=True, tags=["nightly"], extra={"of": "all"})
def everything(share: float = float("inf"), thing: object = ...) -> None:
    """Everything a run can be."""
    table, numbers = rows()
    rows.with_options(name="anew", enable_cache=False)()
    parts = scaled.map(unmapped(table), by=[1.0, 2.0], names=unmapped(["a"]))
    scaled(table, numbers.load()[0], id="with an id", after=parts)
    scaled.map(unmapped(table), by=numbers)
    total = flaky(parts.result(), ExternalArtifact(value={(1, 2)}))
    needs(fails(total))


def run_everything():
    """Run it twice, and return views of both runs."""
    _failures[:] = [1]
    for _ in range(2):
        with pytest.raises(PipelineRunError, match="failed in 'fails'"):
            everything()
    return get_pipeline(everything).runs
