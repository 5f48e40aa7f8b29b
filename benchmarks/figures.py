"""What a benchmark hands back, as a table for the terminal and as a section of RESULTS.md."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_INTRO = """\
# Benchmark results

Written by `benchmarks/run.py --write`. What is compared takes turns in one run, so a noisy machine disturbs both
sides alike. A ratio is the median of the ratios of all rounds, with the lowest and the highest round behind it.
Seconds are left out: they say more about the machine than about the library. A load average above the number of
cores says that other work went on meanwhile.
"""


@dataclass(kw_only=True)
class Figure:
    """One line of a table.

    Parameters
    ----------
    what
        What was compared or counted.
    values
        One for each round; the figure is their median.
    unit
        Behind the figure: ``times``, ``files``.
    at_most, at_least
        The target; None of both where the figure is for information.
    """

    what: str
    values: Sequence[float]
    unit: str = "times"
    at_most: float | None = None
    at_least: float | None = None

    @property
    def value(self) -> float:
        """The median round."""
        ordered = sorted(self.values)
        middle = len(ordered) // 2
        return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.at_most is None and self.at_least is None:
            return ""
        met = (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )
        return "met" if met else "**missed**"

    def cells(self) -> list[str]:
        """Return the line's cells."""
        shown = f"{_short(self.value)} {self.unit}"
        if len(self.values) > 1:
            shown += f" ({_short(min(self.values))} to {_short(max(self.values))})"
        target = "for information"
        if self.at_most is not None:
            target = f"at most {_short(self.at_most)}"
        elif self.at_least is not None:
            target = f"at least {_short(self.at_least)}"
        return [self.what, shown, target, self.verdict]


@dataclass(kw_only=True)
class Result:
    """What one benchmark hands back.

    Parameters
    ----------
    how
        What was measured and under which conditions, in a few sentences.
    figures
        The lines of its table.
    """

    how: str
    figures: list[Figure] = field(default_factory=list)


def section(name: str, result: Result, where: str) -> str:
    """Return a benchmark's section of RESULTS.md."""
    rows = [["compared", "figure", "target", ""], ["---"] * 4, *(figure.cells() for figure in result.figures)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"## {name}\n\n{result.how}\n\n{table}\n\n`.venv/bin/python benchmarks/run.py {name}`, {where}.\n"


def rewrite(path: Path, sections: dict[str, str], order: Sequence[str]) -> None:
    """Put sections into the file at `path`, in the place of older ones of their name; the others stay."""
    parts = path.read_text().split("\n## ")[1:] if path.exists() else []
    kept = {part.split("\n", 1)[0]: f"## {part.rstrip()}\n" for part in parts}
    kept |= sections
    path.write_text("\n".join([_INTRO, *(kept[name] for name in order if name in kept)]))


def _short(number: float) -> str:
    """Spell a number with three significant digits, a large one in full."""
    if number >= 1000 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.{max(0, 2 - math.floor(math.log10(abs(number))))}f}"
