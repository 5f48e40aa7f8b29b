"""What all tests share: where nothing may be left out, a skipped test fails the run."""

import os

import pytest

# The keys of the user who runs the tests are none of their business; the processes that tests start inherit this one.
os.environ["LAZYTRACK_SIGNING_KEY"] = "only-for-the-tests-of-lazytrack"


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("LAZYTRACK_NO_SKIPS") and reporter and (skipped := reporter.stats.get("skipped")):
        names = ", ".join(sorted({report.nodeid for report in skipped}))
        reporter.write_line(f"LAZYTRACK_NO_SKIPS is set, and these were skipped: {names}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
