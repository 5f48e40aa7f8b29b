"""What of the record of a step makes sense: a stranger may have written anything."""

from typing import Any

from lazytrack import codec
from lazytrack.post_execution.status import ExecutionStatus

_KINDS: dict[str, type | tuple[type, ...]] = {
    "status": str,
    "number": int,
    "step_class_name": str,
    "entrypoint": str,
    "config": dict,
    "parameters": dict,
    "inputs": dict,
    "upstream": list,
    "outputs": dict,
    "output_metadata": dict,
    "metadata": dict,
    "attempts": list,
    "group": dict,
    "cache": dict,
    "original": dict,
    "error": str,
    "why": str,
    "log": str,
}
_TIMES = ("start_time", "end_time")
_STATUSES = {str(status) for status in ExecutionStatus}


def sound(said: Any) -> dict[str, Any]:
    """Return the record of a step without the fields that make no sense; an empty one where there is none."""
    if not isinstance(said, dict):
        return {}
    odd = {name for name, kind in _KINDS.items() if name in said and not isinstance(said[name], kind)}
    odd |= {name for name in _TIMES if name in said and not codec.is_time(said[name])}
    if "status" in said and said["status"] not in _STATUSES:
        odd.add("status")
    kept = {name: value for name, value in said.items() if name not in odd} if odd else said
    if not all(isinstance(each, dict) for each in kept.get("outputs", {}).values()):
        kept = {**kept, "outputs": {name: each for name, each in kept["outputs"].items() if isinstance(each, dict)}}
    return kept
