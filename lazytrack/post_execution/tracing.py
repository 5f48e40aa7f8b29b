"""Lineage across runs: what something comes of, and what comes of it, up to any depth."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import naming
from lazytrack.post_execution.artifact import view_of_artifact
from lazytrack.post_execution.lineage import (
    ArtifactNode,
    ArtifactNodeDetails,
    ExperimentNode,
    ExperimentNodeDetails,
    LineageGraph,
    Node,
    VersionNode,
    VersionNodeDetails,
    output_node,
    step_node,
)
from lazytrack.post_execution.sound import sound
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.post_execution.step import view_of_step
from lazytrack.tracking.dependencies import FIELD as DEPENDENCY
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.placed import ARTIFACT

if TYPE_CHECKING:
    from lazytrack.artifacts import Artifact
    from lazytrack.repository import Repository
    from lazytrack.tracking.project import Project

_LEAST = 32
"""Bytes of content that is not the same by chance."""


@attrs.frozen
class _Place:
    """Something that has a node.

    Parameters
    ----------
    kind
        ``step``, ``artifact``, ``experiment`` or ``version``.
    within
        The slug of the experiment or run; of a version, which of the repositories it is in.
    name
        Of the step or the artifact.
    number
        Of the version.
    """

    kind: str
    within: Any
    name: str = ""
    number: int = 0


def trace(
    project: "Project",
    start: str | Iterable[str],
    *,
    up: int | None = None,
    down: int | None = None,
    repositories: Sequence["Repository"] = (),
) -> LineageGraph:
    """Return what something comes of and what comes of it, across the runs of a project and its repositories.

    An artifact comes of the step that made it, or of the experiment that logged it; a step of what it took, and a
    cached one of the step whose outputs it has; a version in a repository of the artifact that was promoted; and what
    no step has made of the version of the same content.

    Parameters
    ----------
    start
        An experiment or a run, by its slug; a step as ``run/step``; an artifact as ``run/step.output``, or
        ``experiment/artifact``; a version as ``model:v3``, ``model:champion`` or ``model``, the newest. Or several.
    up, down
        How many steps, experiments and promotions to follow; by default all.

    Raises
    ------
    KeyError
        When there is no such thing.
    """
    world = _World(project, repositories)
    begin = [place for each in ([start] if isinstance(start, str) else start) for place in world.named(each)]
    reached = _reached(begin, world.before, up) | _reached(begin, world.after, down)
    graph = LineageGraph()
    kept = [place for place in world.places if place in reached]
    ids = {}
    for place in kept:
        if (node := world.node(place)) is not None:
            graph.add_node(node)
            ids[place] = node.id
    for place in kept:
        for other in world.after[place]:
            if place in ids and other in ids:
                graph.connect(ids[place], ids[other])
    graph.root_step_id = next((ids[place] for place in kept if place.kind == "step" and place in ids), None)
    return graph


def _reached(begin: Iterable[_Place], ways: Mapping[_Place, Sequence[_Place]], most: int | None) -> set[_Place]:
    """Return all that can be reached by at most so many steps, experiments and versions on the way."""
    found = dict.fromkeys(begin, 0)
    if most == 0:
        return set(found)
    waiting = list(found)
    for place in waiting:
        for other in ways.get(place, ()):
            far = found[place] + (other.kind != "artifact")
            if other not in found and (most is None or far <= most):
                found[other] = far
                waiting.append(other)
    return set(found)


class _World:
    """All that there is, and what comes of what."""

    def __init__(self, project: "Project", repositories: Sequence["Repository"]) -> None:
        self._project, self._repositories = project, repositories
        self.places: dict[_Place, None] = {}
        """In the order in which they came to be."""
        self.before: defaultdict[_Place, list[_Place]] = defaultdict(list)
        self.after: defaultdict[_Place, list[_Place]] = defaultdict(list)
        self._from_outside: defaultdict[str, list[tuple[_Place, Mapping[str, Any]]]] = defaultdict(list)
        """Artifacts that steps have taken and none has made, by their digest, and what is said of them."""
        project.refresh()
        for slug in project._slugs():
            self._take_in(slug, project._journal.fields(slug))
        for number, repository in enumerate(repositories):
            self._take_in_versions(number, repository)

    def _take_in(self, slug: str, fields: Mapping[str, Any]) -> None:
        """Take in an experiment or a run: its steps first, then what no step has made."""
        steps = [(f[len(STEPS) :], step) for f, said in fields.items() if f.startswith(STEPS) and (step := sound(said))]
        taken: set[str] = set()
        for name, said in sorted(steps, key=lambda each: each[1].get("number", 0)):
            if "status" in said:
                taken |= self._take_in_step(_Place("step", slug, name), said)
        if not steps:
            self.places.setdefault(_Place("experiment", slug))
        for field, said in fields.items():
            artifact = _Place("artifact", slug, field[len(ARTIFACT) :])
            if field.startswith(ARTIFACT) and isinstance(said, dict) and not self.before[artifact]:
                if artifact.name in taken:  # from the body of the pipeline, which may have it from anywhere
                    self._from_outside[str(said.get("sha256"))].append((artifact, said))
                elif not artifact.name.endswith(".log"):
                    self._lead(_Place("experiment", slug), artifact)
            elif field.startswith(DEPENDENCY) and isinstance(said, str):
                upstream = said.rpartition("|")[2]
                if upstream in self._project._journal:
                    self._lead(_Place("experiment", upstream), _Place("experiment", slug))

    def _take_in_step(self, step: _Place, said: Mapping[str, Any]) -> set[str]:
        """Take in a step, and return the names of the artifacts of its run that it has taken."""
        inputs = list(_taken(said.get("inputs"), step.within))
        for taken in inputs:
            self._lead(taken, step)
        self.places.setdefault(step)
        if (original := said.get("original")) is not None:
            self._lead(_Place("step", str(original.get("run")), str(original.get("step"))), step)
        for output in said.get("outputs", {}).values():
            self._lead(step, _Place("artifact", step.within, str(output.get("artifact"))))
        return {taken.name for taken in inputs if taken.within == step.within}

    def _take_in_versions(self, number: int, repository: "Repository") -> None:
        for artifact in repository.artifacts:
            version = _Place("version", number, artifact.name, artifact.version)
            self.places.setdefault(version)
            origin = repository.origin(artifact.name, artifact.version)
            if origin is not None and origin["project"] == self._project.location:
                self._lead(_Place("artifact", origin["record"], origin["field"].removeprefix(ARTIFACT)), version)
            if artifact.stored is not None:
                self._lead_outside(version, artifact)

    def _lead_outside(self, version: _Place, artifact: "Artifact") -> None:
        """Have what came from outside of a run come of a version that has the same content and was there before."""
        stored = artifact.stored
        for other, said in self._from_outside.get(stored.sha256, ()) if stored is not None else ():
            is_chance = not isinstance(said.get("size"), int) or said["size"] < _LEAST
            if not is_chance and str(said.get("created_at")) > naming.iso(artifact.created_at):
                self._lead(version, other)

    def _lead(self, source: _Place, target: _Place) -> None:
        self.places.setdefault(source)
        self.places.setdefault(target)
        if target not in self.after[source]:
            self.after[source].append(target)
            self.before[target].append(source)

    def named(self, what: str) -> list[_Place]:
        """Return what is meant by a name; see `trace`."""
        slug, _, name = what.partition("/")
        try:
            found = self._project[slug].slug
        except KeyError:
            if (versions := list(self._versions_named(what))) or not self._repositories:
                return versions or self._refuse(what)
            raise
        if not name:
            return [place for place in self.places if place.within == found and place.kind != "version"]
        meant = [_Place(kind, found, name) for kind in ("step", "artifact")]
        return [place for place in meant if place in self.places] or self._refuse(what)

    def _versions_named(self, what: str) -> Iterator[_Place]:
        name, _, version = what.rpartition(":")
        name, version = (name, version) if name else (version, "")
        for number, repository in enumerate(self._repositories):
            if name in repository:
                which = int(version[1:]) if version[:1] == "v" and version[1:].isdigit() else version or None
                yield _Place("version", number, name, repository.get_artifact_metadata(name, which)["version"])

    def _refuse(self, what: str) -> list[_Place]:
        raise KeyError(
            f"there is no {what!r} in {self._project.fpath}: name an experiment or a run, a step as run/step, an "
            "artifact as run/step.output or experiment/artifact, or a version as model:v3 with its repository"
        )

    def node(self, place: _Place) -> Node | None:
        """Return the node of a place; None where there is nothing any more."""
        match place.kind:
            case "step":
                step = view_of_step(self._project, place.within, place.name)
                return None if step is None else step_node(step)
            case "artifact":
                return self._artifact_node(place)
            case "version":
                return self._version_node(place)
        experiment = self._project._experiment_of(place.within)
        if experiment is None:
            return None
        details = ExperimentNodeDetails(execution_id=experiment.slug, name=experiment.name, status=experiment.status)
        return ExperimentNode(id=f"experiment_{experiment.slug}", data=details)

    def _artifact_node(self, place: _Place) -> ArtifactNode | None:
        view = view_of_artifact(self._project, place.within, place.name, {"artifact": place.name}, None)
        if view is None:
            return None
        for maker in self.before[place]:
            step = view_of_step(self._project, maker.within, maker.name) if maker.kind == "step" else None
            for name, output in {} if step is None else step.outputs.items():
                if output.id == view.id and step is not None:
                    return output_node(name, output, step)
        details = ArtifactNodeDetails(
            execution_id=view.id,
            name=place.name,
            status=ExecutionStatus.COMPLETED,
            is_cached=False,
            artifact_type=view.type,
            artifact_data_type=view.data_type,
            parent_step_id="",
            producer_step_id=None,
            uri=view.uri,
            metadata=[],
        )
        return ArtifactNode(id=f"artifact_{view.id}", data=details)

    def _version_node(self, place: _Place) -> VersionNode:
        repository = self._repositories[place.within]
        aliases = [alias for alias, number in repository.aliases(place.name).items() if number == place.number]
        details = VersionNodeDetails(
            execution_id=f"{place.name}:v{place.number}",
            name=place.name,
            version=place.number,
            aliases=sorted(aliases),
            repository=repository.fpath,
        )
        return VersionNode(id=f"version_{repository.fpath}_{place.name}_{place.number}", data=details)


def _taken(said: Any, run: str) -> Iterator[_Place]:
    """Yield the artifacts that a record says were taken: by argument, of this run or of another, or lists."""
    match said:
        case {"artifact": str() as name}:
            yield _Place("artifact", str(said.get("run", run)), name)
        case dict():
            for each in said.values():
                yield from _taken(each, run)
        case list():
            for each in said:
                yield from _taken(each, run)
