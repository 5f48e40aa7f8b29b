"""What a step depends on besides its arguments: its code, and what that names."""

import functools
import inspect
import types
from collections.abc import Mapping
from typing import Any

from lazytrack.steps.base import BaseStep
from lazytrack.steps.named import OF_EVERY_STEP, Named


def own_code(step: BaseStep) -> dict[str, str]:
    """Return the source of a step without its decorators, where there is one, and what runs, by what it is called.

    The text alone would not do: a file may have been edited between its import and the making of the step.
    """
    named = Named(_module(step))
    subject = step._code
    told = {"what runs": named.of(subject)} if isinstance(subject, type) else {}
    told |= {
        f"what runs{' around it' * depth}": named.own(function)
        for depth, function in enumerate(reversed(_wrapped(subject)))
    }
    try:
        return {"code": step.source_code, **told}
    except OSError:
        return told


def helpers(step: BaseStep) -> dict[str, str]:
    """Return a digest of each thing that the code of a step names; see `lazytrack.steps.named`."""
    named = Named(_module(step))
    subject = step._code
    found: dict[str, str] = {}
    for function in _wrapped(subject):
        found |= named.names_in(function)
    return found


def state(step: BaseStep) -> dict[str, str]:
    """Return what may change from call to call: attributes of the instance, variables of the enclosing function."""
    subject = step._code
    if isinstance(subject, type):
        named = Named(subject.__module__)
        own = {name: value for name, value in vars(step).items() if name not in OF_EVERY_STEP}
        return {f"attribute {name}": named.of(value) for name, value in own.items()}
    found: dict[str, str] = {}
    for function in _wrapped(subject):
        if function.__closure__:
            variables = Named(_module(step)).variables_in(function)
            found |= {f"variable {name}": known for name, known in variables.items()}
    return found


def dependency(thing: Any) -> str:
    """Return the source of a function, class or module that a policy names, and a digest of what runs."""
    if isinstance(thing, BaseStep):
        thing = thing._code
    while isinstance(thing, functools.partial):
        thing = thing.func
    runs = Named(thing.__module__).of(thing) if isinstance(thing, (types.FunctionType, type)) else ""
    try:
        return f"{runs} {inspect.getsource(thing)}"
    except (OSError, TypeError):
        return f"{runs} {getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', repr(type(thing)))}"


def source_file(step: BaseStep) -> Mapping[str, str] | None:
    """Return what is kept of a step's code; None where it has no text."""
    try:
        text = step.source_code
    except OSError:
        return None
    return {"name": f"{step._code.__module__}.{step._code.__qualname__}", "source": text}


def _module(step: BaseStep) -> str:
    return step._code.__module__


def _wrapped(subject: Any) -> list[types.FunctionType]:
    """Return a function, and those that it is a decorator's wrapper of, the outermost first; of a class none."""
    found: list[types.FunctionType] = []
    while isinstance(subject, types.FunctionType) and subject not in found:
        found.append(subject)
        subject = getattr(subject, "__wrapped__", None)
    return found
