"""The points of one metric in a few numbers."""

import math
from array import array
from collections.abc import Iterable
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Summary:
    """The points of one metric in a few numbers.

    Parameters
    ----------
    count
        How many there are, NaN apart.
    min, max
        Of the values, NaN apart; None where there are no others.
    last, last_step
        The value at the greatest step, NaN apart, and that step.
    nan
        How many are NaN.
    max_step
        The greatest step of all, those of NaN too.
    """

    count: int = 0
    min: float | None = None
    max: float | None = None
    last: float | None = None
    last_step: int | None = None
    nan: int = 0
    max_step: int | None = None

    @classmethod
    def of(cls, step: "array[int]", value: "array[float]") -> "Summary":
        """Return the summary of columns of equal length."""
        max_step, total = max(step, default=None), len(value)
        if math.isnan(sum(value)):  # some are, or there are infinities of both signs
            sound = [(s, v) for s, v in zip(step, value, strict=True) if not math.isnan(v)]
            step, value = array("q", [s for s, _ in sound]), array("d", [v for _, v in sound])
        if not value:
            return cls(nan=total, max_step=max_step)
        last_step = max(step)
        return cls(
            count=len(value),
            min=min(value),
            max=max(value),
            last=value[len(step) - 1 - step[::-1].index(last_step)],
            last_step=last_step,
            nan=total - len(value),
            max_step=max_step,
        )

    def ends_before(self, step: float) -> bool:
        """Tell whether all points are of earlier steps."""
        return self.max_step is None or self.max_step < step

    def __add__(self, later: "Summary") -> "Summary":
        """Return the summary of these points and of others, which are the later ones where steps are equal."""
        newest = self if _greatest(self.last_step, later.last_step) != later.last_step else later
        return Summary(
            count=self.count + later.count,
            min=min(_there(self.min, later.min), default=None),
            max=_greatest(self.max, later.max),
            last=newest.last,
            last_step=newest.last_step,
            nan=self.nan + later.nan,
            max_step=_greatest(self.max_step, later.max_step),
        )


def _there(*values: Any) -> Iterable[Any]:
    return [value for value in values if value is not None]


def _greatest(*values: Any) -> Any:
    return max(_there(*values), default=None)
