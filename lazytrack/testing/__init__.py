"""Suites of tests for those who bring something of their own: each says whether it keeps what lazytrack relies on."""

try:
    import pytest
except ImportError as error:
    raise ModuleNotFoundError(
        "lazytrack.testing needs pytest: pip install 'lazytrack[testing]'", name="pytest"
    ) from error

pytest.register_assert_rewrite(
    *(f"lazytrack.testing.{suite}" for suite in ("executors", "files", "handlers", "operators"))
)

from lazytrack.testing.executors import (  # noqa: E402  (after pytest was told to explain it)
    ExecutorTests,
    WorkerExecutorTests,
)
from lazytrack.testing.files import FilesTests, ReadingTests  # noqa: E402
from lazytrack.testing.handlers import HandlerTests  # noqa: E402
from lazytrack.testing.operators import JobOperatorTests, OperatorTests  # noqa: E402
from lazytrack.testing.traps import Trap  # noqa: E402

__all__ = [
    "ExecutorTests",
    "FilesTests",
    "HandlerTests",
    "JobOperatorTests",
    "OperatorTests",
    "ReadingTests",
    "Trap",
    "WorkerExecutorTests",
]
