"""What all tests share: where nothing may be left out, a skipped test fails the run."""

import os

import pytest


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("LAZYTRACK_NO_SKIPS") and reporter and (skipped := reporter.stats.get("skipped")):
        names = ", ".join(sorted({report.nodeid for report in skipped}))
        reporter.write_line(f"LAZYTRACK_NO_SKIPS is set, and these were skipped: {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
