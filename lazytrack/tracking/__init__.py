"""Projects, their experiments, and the tests of these."""

from lazytrack.tracking.experiment import Experiment, ReadOnlyExperiment
from lazytrack.tracking.project import Project
from lazytrack.tracking.test import ReadOnlyTest, Test

__all__ = ["Experiment", "Project", "ReadOnlyExperiment", "ReadOnlyTest", "Test"]
