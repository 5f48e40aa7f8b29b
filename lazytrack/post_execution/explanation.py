"""Why a step was run, or was not: how its cache key differs from that of the nearest earlier run."""

from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import codec
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.tracking.logged import STEPS

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project

_SAID = {
    "code": "the code of the step",
    "what": "the code of the step, as it runs,",
    "outputs": "the outputs or their handlers",
    "name": "the name of the function",
    "version": "the version",
    "policy": "the cache policy",
    "environment": "the environment",
    "secrets": "the names of secrets",
    "cache_func": "what cache_func returns",
}


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a step was run, or from where its outputs are; `str` of it is for reading.

    Parameters
    ----------
    step
        What its run calls it.
    hit
        Whether its outputs were taken from an earlier run.
    run
        The slug of that run, or of the nearest one that it was compared with; None where there is none.
    reasons
        What differs from that, or why its outputs could not be taken.
    """

    step: str
    hit: bool
    run: str | None
    reasons: list[str]

    def __str__(self) -> str:
        if self.hit:
            return f"step {self.step!r} was not run: its outputs are those of {self.run}"
        compared = f", compared with {self.run}" if self.run is not None else ""
        return "\n".join([f"step {self.step!r} was run{compared}:", *(f"  {reason}" for reason in self.reasons)])


def explain(project: "Project", run: str, step: str) -> Explanation:
    """Explain why a step was run, or from where its outputs are."""
    said = project._journal.get(run, STEPS + step) or {}
    original = said.get("original")
    if isinstance(original, dict):
        return Explanation(step=step, hit=True, run=str(original.get("run")), reasons=[])
    cache = said.get("cache")
    if not isinstance(cache, dict):
        why = "its cache is off" if said.get("cacheable") is False else "it has no cache key"
        if said.get("status") in {ExecutionStatus.SKIPPED, ExecutionStatus.STOPPED}:
            why = f"it was not run at all: {said.get('why')}"
        return Explanation(step=step, hit=False, run=None, reasons=[why])
    if cache.get("miss"):
        return Explanation(step=step, hit=False, run=None, reasons=[str(cache["miss"])])
    nearest = _nearest(project, run, step, said)
    if nearest is None:
        return Explanation(step=step, hit=False, run=None, reasons=["it has not completed in an earlier run"])
    there, other = nearest
    reasons = _differences(cache.get("parts") or {}, (other["cache"].get("parts") or {}), said, other)
    return Explanation(step=step, hit=False, run=there, reasons=reasons)


def _nearest(project: "Project", run: str, step: str, said: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the earlier completed record of the same step that shares most parts, of those the newest."""
    began = str(said.get("start_time", "~"))
    parts = said["cache"].get("parts") or {}
    found: list[tuple[tuple[int, bool, str], str, dict[str, Any]]] = []
    for other in project._journal.created():
        for field, record in project._journal.fields(other).items():
            if not field.startswith(STEPS) or (other == run and field == STEPS + step):
                continue
            if not isinstance(record, dict) or record.get("status") != ExecutionStatus.COMPLETED:
                continue
            cache = record.get("cache")
            same_step = record.get("entrypoint") == said.get("entrypoint") or field == STEPS + step
            if not (same_step and isinstance(cache, dict)) or str(record.get("end_time")) > began:
                continue
            theirs = cache.get("parts") or {}
            different = sum(theirs.get(part) != parts.get(part) for part in {*parts, *theirs})
            found.append(((-different, field == STEPS + step, str(record.get("end_time"))), other, record))
    if not found:
        return None
    _, other, record = max(found, key=lambda each: each[0])
    return other, record


def _differences(
    mine: dict[str, str], theirs: dict[str, str], said: dict[str, Any], other: dict[str, Any]
) -> list[str]:
    reasons = []
    changed = [part for part in dict.fromkeys([*mine, *theirs]) if mine.get(part) != theirs.get(part)]
    for part in changed:
        if not (part.startswith("what runs") and "code" in changed):  # the text says it already
            change = "is new" if part not in theirs else "is gone" if part not in mine else "has changed"
            reasons.append(_reason(part, change, said, other))
    if not reasons and other["cache"].get("removed"):
        return ["the cache of that run was cleared"]
    return reasons or ["nothing that counts differs: the earlier one was not there yet, or its outputs were gone"]


def _reason(part: str, change: str, said: dict[str, Any], other: dict[str, Any]) -> str:
    kind, _, name = part.partition(" ")
    match kind:
        case "parameter":
            here, there = _parameter(said, name), _parameter(other, name)
            return f"parameter {name!r} was {there}, is {here}"
        case "helper":
            return f"{name!r}, which the step names, or what that names, {change}"
        case "attribute" | "variable":
            return f"the {kind} {name!r} {change}"
        case "input":
            return f"the content of input {name!r} {change}"
        case "file":
            return f"the file {name!r} {change}"
        case "source":
            return f"the source of {name!r} {change}"
    return f"{_SAID.get(kind, part)} {change}"


def _parameter(said: dict[str, Any], name: str) -> str:
    parameters = said.get("parameters") or {}
    return repr(codec.unstore(parameters[name])) if name in parameters else "not there"
