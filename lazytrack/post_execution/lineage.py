"""Lineage: which steps have made and taken which artifacts, as a graph."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import attrs

from lazytrack import codec
from lazytrack.post_execution.artifact import ArtifactView
from lazytrack.post_execution.base_view import MetadataEntry
from lazytrack.post_execution.drawing import Drawn
from lazytrack.post_execution.nodes import (
    ArtifactNode,
    ArtifactNodeDetails,
    BaseNode,
    Edge,
    ExperimentNode,
    ExperimentNodeDetails,
    Metadata,
    Node,
    StepNode,
    StepNodeDetails,
    VersionNode,
    VersionNodeDetails,
)
from lazytrack.post_execution.pipeline_run import PipelineRunView
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.post_execution.step import StepView

__all__ = [
    "ArtifactNode",
    "ArtifactNodeDetails",
    "BaseNode",
    "Edge",
    "ExperimentNode",
    "ExperimentNodeDetails",
    "LineageGraph",
    "Node",
    "StepNode",
    "StepNodeDetails",
    "VersionNode",
    "VersionNodeDetails",
]


@attrs.define(kw_only=True)
class LineageGraph(Drawn):
    """Steps and artifacts, and which come of which.

    Parameters
    ----------
    nodes, edges
        In the order in which they were added, none twice.
    root_step_id
        The id of the node of the first step that was added.
    run_metadata
        What was said of the run.
    """

    nodes: list[Node] = attrs.Factory(list)
    edges: list[Edge] = attrs.Factory(list)
    root_step_id: str | None = None
    run_metadata: Metadata = attrs.Factory(list)
    _places: dict[str, int] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    """Where in `nodes` each is, by id, and where in `edges`, by its ends."""

    def __attrs_post_init__(self) -> None:
        """Take in what is there already."""
        self._places = {node.id: place for place, node in enumerate(self.nodes)}
        self._places |= {f"{edge.source} {edge.target}": place for place, edge in enumerate(self.edges)}

    def generate_run_nodes_and_edges(self, run: PipelineRunView) -> None:
        """Add the steps of a run, with what they have taken and made."""
        self.run_metadata = _told(run.metadata)
        for step in run.steps:
            self.generate_step_nodes_and_edges(step)

    def generate_step_nodes_and_edges(self, step: StepView) -> None:
        """Add a step, with what it has taken and made."""
        node = step_node(step)
        self.add_node(node)
        self.root_step_id = self.root_step_id or node.id
        for name, artifact in step.outputs.items():
            self.add_node(output_node(name, artifact, step), anew=True)
            self.connect(node.id, artifact_id(artifact), _edge_id(step, artifact))
        for name, artifact in _each(step.inputs):
            self.add_node(_input_node(name, artifact, step))
            self.connect(artifact_id(artifact), node.id, _edge_id(step, artifact))

    def add_node(self, node: Node, *, anew: bool = False) -> None:
        """Add a node that is not there; with `anew` in the place of one that says less."""
        place = self._places.setdefault(node.id, len(self.nodes))
        if place == len(self.nodes):
            self.nodes.append(node)
        elif anew:
            self.nodes[place] = node

    def connect(self, source: str, target: str, id: str | None = None) -> None:
        """Add an edge between two nodes, unless there is one."""
        if self._places.setdefault(f"{source} {target}", len(self.edges)) == len(self.edges):
            self.edges.append(Edge(id=id or f"{source}_{target}", source=source, target=target))

    def to_json_dict(self) -> dict[str, Any]:
        """Return the graph as strict JSON."""
        said: dict[str, Any] = codec.store(codec.plain(codec.converter.unstructure(self), "a lineage graph"))
        return said

    @classmethod
    def from_json_dict(cls, d: Mapping[str, Any]) -> Self:
        """Return the graph that `to_json_dict` has made.

        Raises
        ------
        TypeError, ValueError
            When it is none.
        """
        return codec.converter.structure(codec.unstore({**d}), cls)


def step_node(step: StepView) -> StepNode:
    """Return the node of a step."""
    left_out = {"inputs", "outputs", "parameters"}
    details = StepNodeDetails(
        execution_id=step.id,
        name=step.name,
        status=step.status,
        entrypoint_name=step.entrypoint_name,
        parameters=step.parameters,
        configuration={k: v for k, v in step.step_configuration.items() if v and k not in left_out},
        inputs={name: artifact.uri for name, artifact in _each(step.inputs)},
        outputs={name: artifact.uri for name, artifact in step.outputs.items()},
        metadata=_told(step.metadata),
    )
    return StepNode(id=f"step_{step.id}", data=details)


def output_node(name: str, artifact: ArtifactView, step: StepView) -> ArtifactNode:
    """Return the node of an output of a step."""
    return _artifact_node(name, artifact, step, status=step.status, is_cached=step.is_cached)


def _input_node(name: str, artifact: ArtifactView, step: StepView) -> ArtifactNode:
    return _artifact_node(name, artifact, step, status=ExecutionStatus.COMPLETED, is_cached=False)


def _artifact_node(
    name: str, artifact: ArtifactView, step: StepView, *, status: ExecutionStatus, is_cached: bool
) -> ArtifactNode:
    details = ArtifactNodeDetails(
        execution_id=_whole_id(artifact),
        name=name,
        status=status,
        is_cached=is_cached,
        artifact_type=artifact.type,
        artifact_data_type=artifact.data_type,
        parent_step_id=step.id,
        producer_step_id=artifact.producer_step_run_id,
        uri=artifact.uri,
        metadata=_told(artifact.metadata),
    )
    return ArtifactNode(id=artifact_id(artifact), data=details)


def _whole_id(artifact: ArtifactView) -> str:
    """Return the id of an artifact; of an item of one, that of the whole."""
    index = artifact.model.index  # type: ignore[attr-defined]
    return artifact.id if index is None else str(artifact.id).removesuffix(f"[{index}]")


def artifact_id(artifact: ArtifactView) -> str:
    """Return the id of the node of an artifact; of an item of one, that of the whole."""
    return f"artifact_{_whole_id(artifact)}"


def _edge_id(step: StepView, artifact: ArtifactView) -> str:
    return f"step_{step.id}_artifact_{_whole_id(artifact)}"


def _each(inputs: Mapping[str, Any]) -> Iterator[tuple[str, ArtifactView]]:
    """Yield artifacts that a step has taken by name; those of a list by ``name[0]`` and so on."""
    for name, found in inputs.items():
        if isinstance(found, ArtifactView):
            yield name, found
        elif isinstance(found, list):
            yield from _each({f"{name}[{place}]": item for place, item in enumerate(found)})


def _told(metadata: Mapping[str, MetadataEntry]) -> Metadata:
    return [(entry.key, str(entry.value), entry.type) for entry in metadata.values()]
