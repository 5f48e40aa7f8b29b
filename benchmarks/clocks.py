"""CPU and wall time of pieces of work that take turns, and what rounds of them come to."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass
class Stopwatch:
    """Adds up the wall time and this process's CPU time (user and system) of the blocks it is used for."""

    wall: float = 0.0
    cpu: float = 0.0
    _since: tuple[float, float] = (0.0, 0.0)

    def __enter__(self) -> Self:
        self._since = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        self.wall += wall - self._since[0]
        self.cpu += cpu - self._since[1]


def take_turns(pieces: Sequence[Callable[[], Any]], *, rounds: int) -> list[list[Any]]:
    """Run the pieces A B C, A B C, ... and return what each of them returned, by piece.

    Every second round runs backwards, so that none always profits from what the one before it left behind.
    """
    results: list[list[Any]] = [[] for _ in pieces]
    for number in range(rounds):
        order = range(len(pieces))
        for place in order if number % 2 == 0 else reversed(order):
            results[place].append(pieces[place]())
    return results


def ratios(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


def median(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)
