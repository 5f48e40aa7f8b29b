"""What code depends on by name: functions, classes and values of its own module, and what those name in their turn.

Of functions counts what runs, not the text of their file, which may have been edited since. Of values that can change
in place counts what they were when they were seen first, so that a list that a step appends to is no other one. Of what
is imported from elsewhere its name counts.
"""

import dis
import enum
import functools
import hashlib
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from lazytrack.steps.spelling import digest, spelled

_SCALARS = (int, float, str, bool, bytes, complex, type(None))
_CONTAINERS = (dict, list, tuple, set, frozenset, types.MappingProxyType)
_LARGEST = 10_000
"""Items of a container that are looked at."""
_MOST_SEEN = 100_000
_codes: "weakref.WeakKeyDictionary[types.FunctionType, str]" = weakref.WeakKeyDictionary()
"""Digests of what functions do by themselves, each made once: their code does not change."""
_seen: dict[int, tuple[Any, str]] = {}
"""Of values that can change in place, by number, what they were at first; see `_held`."""


class Named:
    """Tells things apart that code of one module names.

    Parameters
    ----------
    module
        Whose functions, classes and instances are looked into.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._known: dict[int, str] = {}
        """Digests by number; of what is being looked into, its name."""

    def of(self, thing: Any) -> str:
        """Return a digest of something that is named, whatever it is."""
        if isinstance(thing, _SCALARS) and not isinstance(thing, enum.Enum):
            return spelled(thing) if type(thing) in _SCALARS else _pickled(thing)
        if isinstance(thing, _CONTAINERS):
            return self._at_first(thing, self._container)
        known = self._known.get(id(thing))
        if known is None:
            self._known[id(thing)] = _name(thing)
            known = self._known[id(thing)] = self._look_into(thing)
        return known

    def names_in(self, function: types.FunctionType) -> dict[str, str]:
        """Return a digest of each thing that a function names: of its module, and functions of those around it.

        What it sets itself is left out, and so are plain variables of the function around it: see `variables_in`.
        """
        code, around = function.__code__, function.__globals__
        named = {name: around[name] for name in _names(code) if name in around}
        found = {
            name: self.of(thing)
            for name, thing in named.items()
            if not (isinstance(thing, (*_SCALARS, *_CONTAINERS)) and _sets(code, name, "STORE_GLOBAL"))
        }
        for name, thing in _closure(function):
            if not isinstance(thing, (*_SCALARS, *_CONTAINERS)):
                found[name] = self.of(thing)
        return found

    def variables_in(self, function: types.FunctionType) -> dict[str, str]:
        """Return a digest of each plain variable of the function around one, unless that sets it itself."""
        return {
            name: self.of(thing)
            for name, thing in _closure(function)
            if isinstance(thing, (*_SCALARS, *_CONTAINERS)) and not _sets(function.__code__, name, "STORE_DEREF")
        }

    # --- things ---

    def _look_into(self, thing: Any) -> str:
        match thing:
            case types.FunctionType():
                return self._function(thing)
            case type():
                return self._class(thing)
            case functools.partial():
                return digest(["partial", *map(self.of, (thing.func, thing.args, thing.keywords))])
            case types.MethodType():
                return digest(["method", self.of(thing.__func__), self.of(thing.__self__)])
            case enum.Enum():
                return digest([self.of(type(thing)), thing.name, self.of(thing.value)])
        if hasattr(type(thing), "call_entrypoint"):  # a step that is called in one
            parameters = _pickled(thing.configuration.parameters)
            return digest(["step", self.of(thing.entrypoint), parameters, self._attributes(thing)])
        if type(thing).__module__ == self._module:
            return digest([self.of(type(thing)), self._at_first(thing, self._attributes)])
        inner = getattr(thing, "__wrapped__", None)  # of what lru_cache makes, and the like
        return digest(["around", self.of(inner)]) if callable(inner) else _name(thing)

    def own(self, function: types.FunctionType) -> str:
        """Return a digest of what a function does by itself, whatever it names, and of its defaults."""
        return _code_and_defaults(function)

    def _function(self, function: types.FunctionType) -> str:
        if function.__module__ != self._module:
            return _name(function)
        told = [_code_and_defaults(function)]
        for name, known in sorted({**self.names_in(function), **self.variables_in(function)}.items()):
            told += [name, known]
        for more in ("__wrapped__", "registry"):  # what a decorator is around, what singledispatch knows
            if (thing := getattr(function, more, None)) is not None:
                told += [more, self.of(dict(thing) if more == "registry" and not callable(thing) else thing)]
        return digest(told)

    def _class(self, kind: type) -> str:
        if kind.__module__ != self._module:
            return _name(kind)
        told = [kind.__qualname__, *(self.of(each) for each in (type(kind), *kind.__bases__) if each is not type)]
        for name, value in sorted(vars(kind).items()):
            functions = list(_functions_in(value))
            if functions:
                told += [name, *map(self.of, functions)]
            elif not name.startswith("__") and not hasattr(value, "__objclass__"):
                told += [name, self.of(value)]
        return digest(told)

    def _attributes(self, thing: Any) -> str:
        names = vars(thing) if hasattr(thing, "__dict__") else {}
        told: list[str] = []
        for name, value in names.items():
            if name not in OF_EVERY_STEP:
                told += [name, self.of(value)]
        return digest(told)

    def _container(self, value: Any) -> str:
        kind = type(value).__name__
        if len(value) > _LARGEST:
            return f"{kind} of {len(value)}"
        if isinstance(value, (dict, types.MappingProxyType)):
            told = [digest(map(self.of, item)) for item in value.items()]
        else:
            told = list(map(self.of, value))
        return digest([kind, *(sorted(told) if isinstance(value, (set, frozenset)) else told)])

    def _at_first(self, value: Any, say: Callable[[Any], str]) -> str:
        """Return what is said of a value that can change in place: what was said of it at first."""
        number = id(value)
        known = _seen.get(number)
        if known is None:
            while len(_seen) >= _MOST_SEEN:
                _seen.pop(next(iter(_seen)), None)
            holder = _held(value)
            _seen[number] = holder, "within itself"
            try:
                known = holder, say(value)
            except RecursionError:
                known = holder, _name(type(value))
            _seen[number] = known
        return known[1]


def _held(value: Any) -> Any:
    """Return what keeps the number of a value its own: a weak reference that takes the number back, else the value."""
    number = id(value)
    try:
        return weakref.ref(value, lambda _: _seen.pop(number, None))
    except TypeError:  # lists and dicts take none
        return value


OF_EVERY_STEP = {"_interface", "_configuration", "_source", "source_code", "_function", "_declared", "__wrapped__"}
"""Attributes of a step that are not its author's."""


def _name(thing: Any) -> str:
    module = getattr(thing, "__module__", None) or type(thing).__module__
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__qualname__
    return f"{module}.{name}"


def _code_and_defaults(function: types.FunctionType) -> str:
    known = _codes.get(function)
    if known is None:
        defaults = (function.__defaults__ or (), function.__kwdefaults__ or {})
        known = _codes[function] = digest([_code(function.__code__), _pickled(defaults) if any(defaults) else ""])
    return known


def _pickled(value: Any) -> str:
    """Return what tells a value from others: its spelling, its pickle, or its type where it has neither."""
    try:
        return spelled(value)
    except (TypeError, ValueError, RecursionError):
        pass
    import pickle  # noqa: PLC0415  (what JSON has no words for is rare)

    try:
        return hashlib.sha256(pickle.dumps(value, 4)).hexdigest()
    except Exception:  # noqa: BLE001  (whatever it is, its type is told)
        return _name(type(value))


def _functions_in(value: Any) -> Iterator[types.FunctionType]:
    """Yield the functions of something that a class holds: a method of any kind, or a property."""
    parts = [value.fget, value.fset, value.fdel] if isinstance(value, property) else [value]
    for part in parts:
        function = getattr(part, "__func__", getattr(part, "func", part))
        if isinstance(function, types.FunctionType):
            yield function


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


@functools.lru_cache(maxsize=4096)
def _sets(code: types.CodeType, name: str, operation: str) -> bool:
    """Tell whether code sets a variable, itself or in a function within it."""
    if any(each.opname == operation and each.argval == name for each in dis.get_instructions(code)):
        return True
    return any(isinstance(constant, types.CodeType) and _sets(constant, name, operation) for constant in code.co_consts)


def _code(code: types.CodeType) -> str:
    """Return what a code object does, without where it stands."""
    constants = [_code(each) if isinstance(each, types.CodeType) else _constant(each) for each in code.co_consts]
    names = (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
    return digest([hashlib.sha256(code.co_code).hexdigest(), *constants, "", *names])


def _constant(value: Any) -> str:
    """Return a constant; sets of them have no order of their own."""
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(_constant, value))}"
    return f"({', '.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)
