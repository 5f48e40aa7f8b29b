"""Installing what a server needs, once, however many processes want it at the same moment."""

import contextlib
import os
import tempfile
import time
from pathlib import Path

PATIENCE = 240
"""Seconds."""


@contextlib.contextmanager
def alone(name):
    """Hold a lock of this machine; one that a process left behind when it died is taken over."""
    lock = Path(tempfile.gettempdir()) / f"lazytrack-tests-{name}.lock"
    end = time.monotonic() + PATIENCE
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - lock.stat().st_mtime > PATIENCE or time.monotonic() > end:
                    lock.unlink()
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
