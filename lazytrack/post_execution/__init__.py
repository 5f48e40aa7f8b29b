"""Read-only views of what has run: pipelines, their runs, the steps of these, and artifacts."""

from lazytrack.post_execution.artifact import ArtifactView
from lazytrack.post_execution.base_view import BaseView
from lazytrack.post_execution.differences import Differences, diff, diff_of_times
from lazytrack.post_execution.explanation import Explanation
from lazytrack.post_execution.lineage import (
    ArtifactNode,
    ArtifactNodeDetails,
    BaseNode,
    Edge,
    ExperimentNode,
    LineageGraph,
    StepNode,
    StepNodeDetails,
    VersionNode,
)
from lazytrack.post_execution.models import (
    ArtifactResponseModel,
    BaseResponseModel,
    PipelineResponseModel,
    PipelineRunResponseModel,
    StepRunResponseModel,
)
from lazytrack.post_execution.pipeline import PipelineView, get_pipeline, get_pipelines, get_run, get_unlisted_runs
from lazytrack.post_execution.pipeline_run import PipelineRunView
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.post_execution.step import StepView
from lazytrack.post_execution.tracing import trace

__all__ = [
    "ArtifactNode",
    "ArtifactNodeDetails",
    "ArtifactResponseModel",
    "ArtifactView",
    "BaseNode",
    "BaseResponseModel",
    "BaseView",
    "Differences",
    "Edge",
    "ExecutionStatus",
    "ExperimentNode",
    "Explanation",
    "LineageGraph",
    "PipelineResponseModel",
    "PipelineRunResponseModel",
    "PipelineRunView",
    "PipelineView",
    "StepNode",
    "StepNodeDetails",
    "StepRunResponseModel",
    "StepView",
    "VersionNode",
    "diff",
    "diff_of_times",
    "get_pipeline",
    "get_pipelines",
    "get_run",
    "get_unlisted_runs",
    "trace",
]
