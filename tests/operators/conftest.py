"""The project that steps are recorded in, for the tests of operators."""

import pytest

from lazytrack import Project


@pytest.fixture
def project(tmp_path):
    with Project(tmp_path / "runs") as project:
        yield project
