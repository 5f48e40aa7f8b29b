"""Going on with a run that was interrupted: which one, with what arguments, and what of it need not be done again."""

from collections.abc import Mapping
from typing import Any

from lazytrack import codec
from lazytrack.errors import PipelineRunError
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps.annotations import show
from lazytrack.steps.interface import Input
from lazytrack.tracking.project import Project

UNKEPT = "unkept"
"""In the record of a run: the arguments that JSON could not hold."""
_KNOWN = 5
"""Names of runs that an error tells."""


def find_run(project: Project, pipeline: str, name: str, *, force: bool = False) -> str:
    """Return the slug of a run to go on with.

    Parameters
    ----------
    force
        Take it for dead, though it was heard of a short while ago.

    Raises
    ------
    KeyError
        When there is none of that name.
    ValueError
        When it is of another pipeline.
    RuntimeError
        When there are several.
    PipelineRunError
        When it may be running still.
    """
    project.refresh()
    journal = project._journal
    runs = [(slug, said) for slug in journal.created() if isinstance(said := journal.get(slug, "run"), dict)]
    found = [(slug, said) for slug, said in runs if journal.get(slug, "name") == name and slug not in project._hidden]
    if not found:
        known = [str(journal.get(slug, "name")) for slug, said in runs if said.get("pipeline") == pipeline]
        told = ", ".join(map(repr, known[-_KNOWN:])) or "none"
        raise KeyError(f"{project.fpath} has no run {name!r}; the last ones of pipeline {pipeline!r}: {told}")
    if len(found) > 1:
        raise RuntimeError(f"{project.fpath} has {len(found)} runs {name!r}, of several projects that were merged")
    slug, said = found[0]
    if said.get("pipeline") != pipeline:
        raise ValueError(f"run {name!r} is of pipeline {said.get('pipeline')!r}, not of {pipeline!r}")
    experiment = project[slug]
    is_heard_of = experiment.heartbeat is not None and not experiment.stale
    if experiment.status == ExecutionStatus.RUNNING and is_heard_of and not force:
        raise PipelineRunError(
            f"run {name!r} was heard of at {experiment.heartbeat:%Y-%m-%d %H:%M:%S} UTC and may be running: wait until "
            f"it is stale, or, where its process is gone, say resume({name!r}, force=True)"
        )
    return slug


def arguments_of(project: Project, slug: str, inputs: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a run was called with, those that JSON could not hold from what is given.

    Parameters
    ----------
    inputs
        What the pipeline takes.

    Raises
    ------
    ValueError
        When one is missing, or given as something else than it was.
    """
    experiment = project[slug]
    recorded = {name: value for name, value in experiment.parameters.items() if name in inputs}
    unkept = set((project._journal.get(slug, "run") or {}).get(UNKEPT, ()))
    is_default = {name for name in unkept & recorded.keys() if recorded[name] == show(inputs[name].default)}
    if missing := [name for name in recorded if name in unkept - is_default and name not in given]:
        raise ValueError(
            f"run {experiment.name!r} was called with {', '.join(missing)}, which JSON could not hold: give it again, "
            f"as in resume({experiment.name!r}, {missing[0]}=...)"
        )
    arguments = {name: codec.plain(value, name) for name, value in recorded.items() if name not in unkept}
    for name, value in given.items():
        if name in arguments and codec.plain(value, name) != arguments[name]:
            raise ValueError(
                f"run {experiment.name!r} was called with {name}={arguments[name]!r}, not {value!r}: with other "
                "arguments it is another run, so call the pipeline"
            )
        arguments[name] = value
    return arguments


def resume_key(said: Mapping[str, Any]) -> str | None:
    """Return what the cache key of a call was whose outputs can be taken by its own run; None where they cannot."""
    if said.get("status") not in {ExecutionStatus.COMPLETED, ExecutionStatus.CACHED}:
        return None
    cache = said.get("cache")
    if isinstance(cache, dict):
        return None if cache.get("removed") else cache.get("key")
    key = said.get("resume_key")
    return key if isinstance(key, str) else None


def _why_again(said: Mapping[str, Any]) -> str:
    if resume_key(said) is None:
        return f"the run was interrupted when this was {said.get('status')}"
    return "its code, its parameters or its inputs are others now, or its outputs are gone"


def attempts_in(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the attempts at a call that were made before its run went on."""
    began = said.get("start_time")
    if began is None or said.get("status") == ExecutionStatus.CACHED:
        return list(said.get("attempts", ()))
    last = {
        "status": str(ExecutionStatus.RETRIED),
        "start_time": began,
        "end_time": said.get("end_time") or began,  # nobody knows when a process died
        "error": said.get("error") or _why_again(said),
    }
    return [*said.get("attempts", ()), last]
