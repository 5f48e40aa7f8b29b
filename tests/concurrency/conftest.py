"""Programs of this folder as processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("store_checks")
HERE = Path(__file__).parent


@pytest.fixture
def start():
    """Return what starts a program of this folder, in which a warning is an error; none outlives the test."""
    started = []

    def start(program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-W", "error", HERE / program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        if not process.stdout.closed:
            process.communicate()
