"""Read-only views of what has run: pipelines, their runs, the steps of these, and artifacts."""

from lazytrack.post_execution.artifact import ArtifactView
from lazytrack.post_execution.base_view import BaseView
from lazytrack.post_execution.explanation import Explanation
from lazytrack.post_execution.lineage import (
    ArtifactNode,
    ArtifactNodeDetails,
    BaseNode,
    Edge,
    LineageGraph,
    StepNode,
    StepNodeDetails,
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

__all__ = [
    "ArtifactNode",
    "ArtifactNodeDetails",
    "ArtifactResponseModel",
    "ArtifactView",
    "BaseNode",
    "BaseResponseModel",
    "BaseView",
    "Edge",
    "ExecutionStatus",
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
    "get_pipeline",
    "get_pipelines",
    "get_run",
    "get_unlisted_runs",
]
