"""The nodes of a lineage graph: steps, artifacts, experiments without steps, and versions in repositories."""

from typing import Any

import attrs

from lazytrack import codec
from lazytrack.post_execution.status import ExecutionStatus

Metadata = list[tuple[str, str, str]]
"""What was said of something: key, value as text, name of the value's type."""


@attrs.define(kw_only=True)
class Edge:
    """One node comes of another.

    Parameters
    ----------
    id
        Tells it from others.
    source, target
        Ids of nodes; the target comes of the source.
    """

    id: str
    source: str
    target: str


@attrs.define(kw_only=True)
class BaseNode:
    """What there is in a graph.

    Parameters
    ----------
    id
        Tells it from others.
    type
        What it is.
    """

    id: str
    type: str


@attrs.define(kw_only=True)
class StepNodeDetails:
    """What there is to know of a step.

    Parameters
    ----------
    execution_id
        Of its view.
    name
        What its run calls it.
    status
        How far it has come.
    entrypoint_name
        The name of its function or class.
    parameters
        By name.
    configuration
        Options that are set, but for what stands elsewhere here.
    inputs, outputs
        Where the artifacts are, by name; of an input that is a list by ``name[0]`` and so on.
    metadata
        What was said of it.
    """

    execution_id: str
    name: str
    status: ExecutionStatus
    entrypoint_name: str
    parameters: dict[str, Any]
    configuration: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    metadata: Metadata


@attrs.define(kw_only=True)
class ArtifactNodeDetails:
    """What there is to know of an artifact.

    Parameters
    ----------
    execution_id
        Of its view.
    name
        What the step calls it that has made or taken it.
    status
        Of the step whose output it is.
    is_cached
        Whether that has taken it from an earlier run.
    artifact_type
        The alias of its handler.
    artifact_data_type
        The dotted class of the value.
    parent_step_id
        The step of this graph whose output it is, or that has taken it where no step of the graph has made it.
    producer_step_id
        The step that really made it, perhaps in an earlier run; None where no step did.
    uri
        Where it is.
    metadata
        What was said of it.
    """

    execution_id: str
    name: str
    status: ExecutionStatus
    is_cached: bool
    artifact_type: str
    artifact_data_type: str | None
    parent_step_id: str
    producer_step_id: str | None
    uri: str
    metadata: Metadata


@attrs.define(kw_only=True)
class StepNode(BaseNode):
    """A step."""

    type: str = "step"
    data: StepNodeDetails


@attrs.define(kw_only=True)
class ArtifactNode(BaseNode):
    """An artifact."""

    type: str = "artifact"
    data: ArtifactNodeDetails


@attrs.define(kw_only=True)
class ExperimentNodeDetails:
    """What there is to know of an experiment that has logged artifacts, in no step.

    Parameters
    ----------
    execution_id
        Its slug.
    name
        What it is called.
    status
        How it stands.
    """

    execution_id: str
    name: str
    status: str


@attrs.define(kw_only=True)
class VersionNodeDetails:
    """What there is to know of a version of an artifact in a repository.

    Parameters
    ----------
    execution_id
        The artifact and the number of the version, as ``model:v3``.
    name
        Of the artifact.
    version
        Its number.
    aliases
        What is said to mean it.
    repository
        The path or URL of the repository.
    """

    execution_id: str
    name: str
    version: int
    aliases: list[str]
    repository: str


@attrs.define(kw_only=True)
class ExperimentNode(BaseNode):
    """An experiment that has logged artifacts, in no step."""

    type: str = "experiment"
    data: ExperimentNodeDetails


@attrs.define(kw_only=True)
class VersionNode(BaseNode):
    """A version of an artifact in a repository."""

    type: str = "version"
    data: VersionNodeDetails


Node = StepNode | ArtifactNode | ExperimentNode | VersionNode
_NODES: dict[Any, Any] = {
    "step": StepNode,
    "artifact": ArtifactNode,
    "experiment": ExperimentNode,
    "version": VersionNode,
}


def _structured(stored: Any, _: Any) -> Any:
    kind = _NODES.get(stored.get("type")) if isinstance(stored, dict) else None
    if kind is None:
        raise ValueError(f"a node of a lineage graph is of type {', '.join(map(repr, _NODES))}, not {stored!r:.80}")
    return codec.converter.structure(stored, kind)


codec.converter.register_structure_hook(Node, _structured)
codec.converter.register_structure_hook(ExecutionStatus, lambda stored, _: ExecutionStatus(stored))
