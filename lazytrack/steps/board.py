"""What a terminal shows of a run while it goes on: a line for each step, and what is printed above them."""

import collections
import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack.progress import SWITCH, is_terminal

if TYPE_CHECKING:
    from lazytrack.steps.invocation import Invocation
    from lazytrack.steps.run import Run

_PATIENCE = 1.0
"""Seconds that a run takes before there is anything to see."""
_PER_SECOND = 4
_ROOM = 4
"""Lines of the terminal that are left to what is printed."""
_COLOURS = {"running": "cyan", "completed": "green", "cached": "blue", "failed": "red"}
_WORST_FIRST = ("failed", "stopped", "skipped", "waiting", "completed", "cached")
_AT_WORK = threading.Lock()
"""A terminal shows one run at a time."""


@attrs.define(kw_only=True)
class Line:
    """What there is to see of all calls of one step.

    Parameters
    ----------
    name
        Of the step.
    counts
        How many calls have come how far.
    retries
        How many attempts failed that were made up for by others, or are to be.
    seconds
        From when the first of them began until the last ended, or the present.
    """

    name: str
    counts: "collections.Counter[str]" = attrs.Factory(collections.Counter)
    retries: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """How many calls there are."""
        return self.counts.total()

    @property
    def over(self) -> int:
        """How many of them have ended."""
        return self.total - self.counts["running"] - self.counts["waiting"]

    @property
    def state(self) -> str:
        """How far they have come, all together."""
        if self.counts["running"] or (0 < self.over < self.total):
            return "running"
        return next((state for state in _WORST_FIRST if self.counts[state]), "waiting")

    def told(self) -> str:
        """Return what there is to say besides."""
        said = [f"{count} {state}" for state, count in sorted(self.counts.items()) if state != "completed"]
        if self.total == 1 or [*self.counts] == ["completed"]:
            said = []
        return ", ".join([*said, *([f"{self.retries} tried again"] if self.retries else [])])


def lines_of(calls: "list[Invocation]", now: float) -> list[Line]:
    """Return a line for each step, in the order in which they were first called.

    Parameters
    ----------
    now
        By the clock that `Invocation.began` goes by.
    """
    lines: dict[str, Line] = {}
    times: dict[str, list[float]] = {}
    for call in calls:
        line = lines.setdefault(call.step.name, Line(name=call.step.name))
        line.counts[_state(call)] += 1
        line.retries += max(call.tries - 1, 0)
        began = call.began or call.ended  # one that is taken from the cache takes no time
        if began is not None:
            times.setdefault(line.name, []).extend((began, now if call.ended is None else call.ended))
    for name, seen in times.items():
        lines[name].seconds = max(seen) - min(seen)
    return list(lines.values())


def _state(call: "Invocation") -> str:
    if call.is_over:
        return str(call.status)
    return "running" if call.began is not None else "waiting"


@contextlib.contextmanager
def showing(run: "Run") -> Iterator[None]:
    """Show how far a run has come while the block goes on, where somebody looks at a terminal.

    ``LAZYTRACK_PROGRESS=0``, and ``progress=False`` of the pipeline, turn it off.
    """
    if not (_is_wanted(run) and _AT_WORK.acquire(blocking=False)):
        yield
        return
    try:
        with _drawn(run):
            yield
    finally:
        _AT_WORK.release()


def _is_wanted(run: "Run") -> bool:
    return (
        run.options.pipeline is not None
        and run.chosen_executor != "inline"  # which is for debuggers
        and run.options.progress is not False
        and os.environ.get(SWITCH, "1") != "0"
        and threading.current_thread() is threading.main_thread()
        and is_terminal(sys.stderr)
    )


@contextlib.contextmanager
def _drawn(run: "Run") -> Iterator[None]:
    import rich.console  # noqa: PLC0415  (only where there is something to see)
    import rich.live  # noqa: PLC0415

    console = rich.console.Console(file=sys.stderr)
    if console.is_dumb_terminal:
        yield
        return
    live = rich.live.Live(
        get_renderable=lambda: _Board(run),
        console=console,
        refresh_per_second=_PER_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    streams = ["stdout", "stderr"] if is_terminal(sys.stdout) else ["stderr"]
    with contextlib.ExitStack() as stack:
        ending = threading.Event()
        above = {name: _Above(console, getattr(sys, name)) for name in streams}
        for each in above.values():
            stack.callback(each.finish)
        stack.enter_context(live)
        for name, each in above.items():
            stack.enter_context(_instead(name, each))

        def end() -> None:
            """Show nothing any more: somebody is asked something."""
            if not ending.is_set():
                ending.set()
                live.stop()
                for each in above.values():
                    each.finish()

        stack.enter_context(_instead("stdin", _Asking(sys.stdin, end)))
        yield


@contextlib.contextmanager
def _instead(name: str, above: Any) -> Iterator[None]:
    """Have what is written to a stream of the program shown above the lines."""
    stream = getattr(sys, name)
    setattr(sys, name, above)
    try:
        yield
    finally:
        if getattr(sys, name) is above:  # else somebody has come after, whose it is
            setattr(sys, name, stream)


class _Board:
    """The lines of a run, drawn anew whenever they are looked at."""

    def __init__(self, run: "Run") -> None:
        self._run = run

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        import rich.table  # noqa: PLC0415  (as above)
        import rich.text  # noqa: PLC0415

        now = time.monotonic()
        if now - self._run.began < _PATIENCE:
            return
        lines = lines_of(list(self._run.calls), now)
        room = max(console.size.height - _ROOM, 1)
        hidden = max(len(lines) - room, 0)
        table = rich.table.Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, max_width=max(console.size.width // 3, 8), overflow="ellipsis")
        for _ in range(2):
            table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="ellipsis", no_wrap=True)
        for line in lines[hidden:]:
            state = rich.text.Text(line.state, style=_COLOURS.get(line.state, ""))
            counts = f"{line.over}/{line.total}" if line.total > 1 else ""
            table.add_row(rich.text.Text(line.name), state, counts, _clock(line.seconds), line.told())
        if hidden:
            yield rich.text.Text(f"and {hidden} more steps before these")
        yield table


def _clock(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


class _Above(io.TextIOBase):
    """What is written here is shown above the lines, each line when it is whole.

    What shows how far it has come by writing its line again and again is shown as it ends.
    """

    def __init__(self, console: Any, stream: Any) -> None:
        self._console, self._stream = console, stream
        self._line = ""
        self._is_over = False
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream that is shown otherwise."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        """Tell that one can write here."""
        return True

    def isatty(self) -> bool:
        """Tell that somebody looks at it."""
        return True

    def fileno(self) -> int:
        """Return the number of the stream that is shown otherwise."""
        return int(self._stream.fileno())

    def write(self, text: str) -> int:
        """Show whole lines, and keep the last one until it is."""
        if self._is_over:
            return int(self._stream.write(text))
        with self._lock:
            *whole, self._line = (self._line + text).split("\n")
            self._line = self._line.rpartition("\r")[2]
        self._show(whole)
        return len(text)

    def _show(self, lines: list[str]) -> None:
        import rich.text  # noqa: PLC0415  (as above)

        for line in lines:
            self._console.print(rich.text.Text.from_ansi(line.rstrip("\r").rpartition("\r")[2]), soft_wrap=True)

    def finish(self) -> None:
        """Give what there is of a line to the stream that is shown from here on."""
        self._is_over = True
        rest, self._line = self._line, ""
        if rest:
            self._stream.write(rest)
        self._stream.flush()

    def flush(self) -> None:
        """Show what there is, where nothing is drawn any more."""
        if self._is_over:
            self._stream.flush()


class _Asking:
    """The input of the program. Whoever reads it sees a plain terminal from then on, so that prompts are seen."""

    def __init__(self, stream: Any, begins: Callable[[], None]) -> None:
        self._stream, self._begins = stream, begins

    def __getattr__(self, name: str) -> Any:
        if name in {"readline", "read", "readlines", "fileno", "buffer", "__iter__", "__next__"}:
            self._begins()
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        self._begins()
        return iter(self._stream)
