"""The variables that a step has for the time it runs, and that no other step sees."""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping

from lazytrack.provenance.redact import add_secret
from lazytrack.provenance.redact.told import why_not_secret


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
                self._changed.notify_all()

    def is_free(self) -> bool:
        """Tell whether nobody is running now."""
        with self._changed:
            return not (self._running or self._is_alone)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the process for oneself, when nobody is running."""
        with self._changed:
            while self._running or self._is_alone:
                self._changed.wait()
            self._is_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()


turns = _Turns()
_before: dict[str, str | None] = {}
"""What variables were before a step changed them, which is what every other process is given."""


def outside() -> dict[str, str]:
    """Return the environment of this process without what a step has for itself."""
    found = {**os.environ}
    for name, value in list(_before.items()):
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


@contextlib.contextmanager
def variables(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for the block, which nobody else does meanwhile, and restore what was there."""
    _before.update({name: os.environ.get(name) for name in wanted})
    try:
        os.environ.update(wanted)
        yield
    finally:
        for name in wanted:
            value = _before[name]
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
            del _before[name]


_told: set[str] = set()


def hush(secrets: Mapping[str, str]) -> None:
    """Have secrets masked from now on in whatever this process records: an error may quote one long after its step."""
    for value in secrets.values():
        if value not in _told and why_not_secret(value) is None:
            _told.add(value)
            add_secret(value)
