"""What a program prints whose output this process shows: as it comes, and the end of it kept."""

import os
import sys
import threading
from collections import deque
from typing import IO

_PIECE_BYTES = 65_536
_KEPT = 64
"""Pieces of output that are kept."""


class Shown(threading.Thread):
    """Shows what comes out of a pipe, and keeps the end of it.

    Parameters
    ----------
    stream
        The end to read.
    is_shown
        Whether it is shown.
    """

    def __init__(self, stream: IO[bytes], *, is_shown: bool = True) -> None:
        super().__init__(name="lazytrack output", daemon=True)
        self._stream, self._is_shown = stream, is_shown
        self._kept: deque[str] = deque(maxlen=_KEPT)

    def run(self) -> None:
        """Read until there is no more."""
        with self._stream as stream:
            while piece := os.read(stream.fileno(), _PIECE_BYTES):
                text = piece.decode("utf-8", "replace")
                self._kept.append(text)
                if self._is_shown and sys.stdout is not None:
                    try:
                        sys.stdout.write(text)
                        sys.stdout.flush()
                    except (OSError, ValueError):  # nobody reads it any more
                        self._is_shown = False

    @property
    def text(self) -> str:
        """The end of what came."""
        return "".join(list(self._kept))
