"""The variables that a step has for the time it runs, and that no other step sees."""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping

from lazytrack.provenance.redact import add_secret

_LEAST_SECRET = 6
"""Characters of a secret that can be found in text."""


class _Turns:
    """Who is running in this process: any number of steps, or one that changes the environment."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._is_alone = False

    @contextlib.contextmanager
    def beside_others(self) -> Iterator[None]:
        """Run with others, when nobody has the process for itself."""
        with self._changed:
            while self._is_alone:
                self._changed.wait()
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1

    def try_alone(self) -> bool:
        """Have the process for oneself, unless somebody is running."""
        with self._changed:
            if self._running or self._is_alone:
                return False
            self._is_alone = True
            return True

    def end_alone(self) -> None:
        """Let others run."""
        with self._changed:
            self._is_alone = False
            self._changed.notify_all()


turns = _Turns()


@contextlib.contextmanager
def variables(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for the block, and restore what was there."""
    before = {name: os.environ.get(name) for name in wanted}
    try:
        os.environ.update(wanted)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def unheard(secrets: Mapping[str, str]) -> Iterator[None]:
    """Have secrets masked in whatever is recorded of the block: errors, and what is printed."""
    with contextlib.ExitStack() as undoing:
        for value in secrets.values():
            if len(value) >= _LEAST_SECRET and value.replace("*", "").strip():
                undoing.callback(add_secret(value))
        yield
