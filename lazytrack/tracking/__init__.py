"""Projects, their experiments, the tests of these, and a registry of projects."""

from lazytrack.tracking.experiment import Experiment, ReadOnlyExperiment
from lazytrack.tracking.project import Project
from lazytrack.tracking.registry import Registry
from lazytrack.tracking.test import ReadOnlyTest, Test

__all__ = ["Experiment", "Project", "ReadOnlyExperiment", "ReadOnlyTest", "Registry", "Test"]
