"""What code a step consists of: its own, and the functions and classes of its module that it names."""

import functools
import hashlib
import inspect
import types
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lazytrack.steps.base import BaseStep
from lazytrack.steps.spelling import digest, spelled

_of_functions: "weakref.WeakKeyDictionary[types.FunctionType, str]" = weakref.WeakKeyDictionary()
"""Digests of the code of functions, each of which is made once: what runs does not change, whatever its file says."""


def own_code(step: BaseStep) -> str:
    """Return the source of a step without its decorators; where there is none, a digest of what runs."""
    try:
        return step.source_code
    except OSError:
        return f"compiled {_digest(_function(step.entrypoint))}"


def helpers(step: BaseStep) -> dict[str, str]:
    """Return a digest of each function and class of the step's own module that its code names, and those name.

    That is a digest of what runs rather than of the text, which may have been edited since.
    """
    function = _function(step.entrypoint)
    module = function.__module__
    found: dict[str, str] = {}
    waiting = [function]
    if _is_class_step(step):
        own = [kind for kind in type(step).__mro__ if issubclass(kind, BaseStep) and kind.__module__ == module]
        waiting = [method for kind in own for method in _methods(kind, module)]
        found = {base.__qualname__: _digest_of_class(base) for base in own if base is not type(step)}
    seen = {id(function) for function in waiting}
    while waiting:
        for name, thing in _named_in(waiting.pop()):
            helper = _as_helper(thing)
            if helper is None or getattr(helper, "__module__", None) != module or id(helper) in seen:
                continue
            seen.add(id(helper))
            if isinstance(helper, type):
                found[name] = _digest_of_class(helper)
                waiting += _methods(helper, module)
            else:
                found[name] = _digest(helper)
                waiting.append(helper)
    return found


def state(step: BaseStep) -> str:
    """Return what else its code depends on: attributes of the instance, plain variables of the enclosing function.

    Of the latter those count that cannot change, and that the code does not set: numbers, text, None.
    """
    function = _function(step.entrypoint)
    if not function.__closure__ and not _is_class_step(step):
        return ""
    told = {f"variable {name}": spelled(value) for name, value in _fixed_variables(function)}
    if _is_class_step(step):
        own = {name: value for name, value in vars(step).items() if name not in _OF_EVERY_STEP}
        told |= {f"attribute {name}": _spelled_or_pickled(value) for name, value in own.items()}
    return digest(text for item in sorted(told.items()) for text in item) if told else ""


_OF_EVERY_STEP = {"_interface", "_configuration", "_source", "source_code"}


def dependency(thing: Any) -> str:
    """Return the source of a function, class or module that a policy names, or a digest of what runs."""
    thing = _as_helper(thing) or thing
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return _digest(thing) if isinstance(thing, types.FunctionType) else repr(thing)


def _is_class_step(step: BaseStep) -> bool:
    return isinstance(step._code, type)


def _function(entrypoint: Callable[..., Any]) -> types.FunctionType:
    function: Any = inspect.unwrap(entrypoint)
    found: types.FunctionType = getattr(function, "__func__", function)
    return found


def _methods(kind: type, module: str) -> Iterator[types.FunctionType]:
    for value in vars(kind).values():
        function = getattr(value, "__func__", value)
        function = getattr(function, "fget", function) if isinstance(function, property) else function
        if isinstance(function, types.FunctionType) and function.__module__ == module:
            yield function


def _as_helper(thing: Any) -> Any:
    """Return the function or class that something stands for; None for what is neither."""
    if isinstance(thing, BaseStep):
        code = thing._code
        return code if isinstance(code, type) else _function(thing.entrypoint)
    if isinstance(thing, functools.partial):
        return _as_helper(thing.func)
    if isinstance(thing, type):
        return thing
    if callable(thing):
        try:
            found: Any = _function(thing)
        except ValueError:  # it is wrapped in itself
            return None
        return found if isinstance(found, types.FunctionType) else None
    return None


def _named_in(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield what the code of a function names: variables of its module, and of the functions around it."""
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
    yield from _closure(function)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _closure(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is set later
            continue


def _fixed_variables(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    free = function.__code__.co_freevars
    for name, value in _closure(function):
        if type(value) in {int, float, str, bool, type(None)} and not _sets(function.__code__, name, free):
            yield name, value


def _sets(code: types.CodeType, name: str, free: tuple[str, ...]) -> bool:
    import dis  # noqa: PLC0415  (only local functions with such variables need it)

    return any(
        instruction.opname in {"STORE_DEREF", "DELETE_DEREF"} and instruction.argval == name
        for instruction in dis.get_instructions(code)
    ) or any(
        isinstance(constant, types.CodeType) and name in constant.co_freevars and _sets(constant, name, free)
        for constant in code.co_consts
    )


# --- digests of what runs ---


def _digest(function: types.FunctionType) -> str:
    known = _of_functions.get(function)
    if known is None:
        known = _of_functions[function] = digest([_code(function.__code__), _defaults(function)])[:16]
    return known


def _code(code: types.CodeType) -> str:
    """Return what a code object does, without where it stands."""
    constants = [
        _code(constant) if isinstance(constant, types.CodeType) else repr(constant) for constant in code.co_consts
    ]
    names = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    return digest([hashlib.sha256(code.co_code).hexdigest(), *_ordered(constants), "", *names])


def _ordered(constants: list[str]) -> list[str]:
    """Leave out where objects are in memory; sets of constants have no order of their own."""
    return [
        "".join(sorted(constant)) if constant.startswith("frozenset(") else constant.partition(" at 0x")[0]
        for constant in constants
    ]


def _defaults(function: types.FunctionType) -> str:
    given = (function.__defaults__ or (), function.__kwdefaults__ or {})
    return _spelled_or_pickled(given) if any(given) else ""


def _digest_of_class(kind: type) -> str:
    """Return a digest of the functions and plain values of a class."""
    told: list[str] = []
    for name, value in sorted(vars(kind).items()):
        if name in {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}:
            continue
        function = getattr(value, "__func__", value)
        function = getattr(function, "fget", function) if isinstance(function, property) else function
        if isinstance(function, types.FunctionType):
            told += [name, _digest(function)]
        elif type(value) in {int, float, str, bool, tuple}:
            told += [name, _spelled_or_pickled(value)]
    return digest([*told, *(base.__qualname__ for base in kind.__bases__)])[:16]


def _spelled_or_pickled(value: Any) -> str:
    try:
        return spelled(value)
    except (TypeError, ValueError):
        pass
    import pickle  # noqa: PLC0415  (what JSON has no words for is rare)

    try:
        return hashlib.sha256(pickle.dumps(value, 4)).hexdigest()
    except Exception:  # noqa: BLE001  (whatever it is, its type is told)
        return f"{type(value).__module__}.{type(value).__qualname__}"


def source_file(step: BaseStep) -> Mapping[str, str] | None:
    """Return what is kept of a step's code; None where it has no text."""
    try:
        text = step.source_code
    except OSError:
        return None
    return {"name": f"{step._code.__module__}.{step._code.__qualname__}", "source": text}
