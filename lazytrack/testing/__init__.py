"""Suites of tests for those who bring something of their own: each says whether it keeps what lazytrack relies on."""

try:
    import pytest
except ImportError as error:
    raise ModuleNotFoundError(
        "lazytrack.testing needs pytest: pip install 'lazytrack[testing]'", name="pytest"
    ) from error

pytest.register_assert_rewrite("lazytrack.testing.files", "lazytrack.testing.handlers")

from lazytrack.testing.files import FilesTests, ReadingTests  # noqa: E402  (after pytest was told to explain it)
from lazytrack.testing.handlers import HandlerTests  # noqa: E402
from lazytrack.testing.traps import Trap  # noqa: E402

__all__ = ["FilesTests", "HandlerTests", "ReadingTests", "Trap"]
