"""Pickles read as what they say, not run: no class is looked up, nothing is called, whatever is in them."""

import pickletools
from collections.abc import Callable
from typing import Any

import attrs

_MARK = object()
_DEEPEST, _MOST = 100, 10**6
"""So deep, and so many values, a pickle may be; nothing honest is."""


@attrs.frozen
class Name:
    """Something that a pickle would import."""

    module: str
    name: str


@attrs.define(eq=False)
class Made:
    """An object that a pickle would make: by what, of which arguments, with which state."""

    of: Any
    arguments: tuple[Any, ...]
    state: Any = None


def read(data: bytes) -> Any:
    """Return what a pickle says: plain values as they are, and whatever else as `Made` and `Name`.

    Raises
    ------
    ValueError
        When it is none, or says something in a way that data alone never needs.
    """
    try:
        value = _Reader().read(data)
        _measure(value, 0, {})
        return value  # noqa: TRY300
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"is no pickle that can be read: {type(error).__name__}: {error}") from error


def _measure(value: Any, depth: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Return how much a value says, and how deep it goes, though what it says twice may be there once.

    Raises
    ------
    ValueError
        When it has no end, or would have none in practice.
    """
    match value:
        case dict():
            inside = [*value, *value.values()]
        case list() | tuple() | set() | frozenset():
            inside = [*value]
        case Made():
            inside = [value.of, *value.arguments, value.state]
        case _ if value is _MARK:
            raise ValueError("ends in the middle of something")
        case _:
            return 1, 0
    found = known.get(id(value))
    if found is None and depth < _DEEPEST:
        sizes = [_measure(item, depth + 1, known) for item in inside]
        found = known[id(value)] = 1 + sum(size for size, _ in sizes), 1 + max((high for _, high in sizes), default=0)
    if found is None or found[1] > _DEEPEST:
        raise ValueError("is nested too deep, or in itself")
    if found[0] > _MOST:
        raise ValueError("says the same again and again, far more than anyone reads")
    return found


class _Reader:
    """The stack that a pickle is a program for, on which only data is put."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name in _CONSTANTS:
                self.stack.append(argument)
            elif opcode.name in _FIXED:
                self.stack.append(_FIXED[opcode.name]())
            elif opcode.name in _DONE:
                _DONE[opcode.name](self, argument)
            else:
                raise ValueError(f"has an instruction {opcode.name}, which plain data has not")
        raise ValueError("has no end")

    def pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def pop(self, count: int) -> list[Any]:
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def add(self, items: list[Any]) -> None:
        match self.stack[-1]:
            case list() as known:
                known.extend(items)
            case set() as known:
                known.update(items)
            case dict() as known:
                known.update(_pairs(items))
            case other:
                raise ValueError(f"adds to a {type(other).__name__}")

    def make(self, of: Any, arguments: Any) -> None:
        self.stack.append(Made(of, tuple(arguments)))

    def build(self) -> None:
        state = self.stack.pop()
        self.stack[-1].state = state


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


_CONSTANTS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "INT", "LONG", "FLOAT"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
}
"""Instructions whose argument is the value."""
_FIXED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": set,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_DONE: dict[str, Callable[[_Reader, Any], Any]] = {
    "PROTO": lambda _, __: None,
    "FRAME": lambda _, __: None,
    "POP": lambda r, _: r.stack.pop(),
    "POP_MARK": lambda r, _: r.pop_to_mark(),
    "MEMOIZE": lambda r, _: r.memo.__setitem__(len(r.memo), r.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda r, at: r.memo.__setitem__(int(at), r.stack[-1])),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda r, at: r.stack.append(r.memo[int(at)])),
    "TUPLE": lambda r, _: r.stack.append(tuple(r.pop_to_mark())),
    "TUPLE1": lambda r, _: r.stack.append(tuple(r.pop(1))),
    "TUPLE2": lambda r, _: r.stack.append(tuple(r.pop(2))),
    "TUPLE3": lambda r, _: r.stack.append(tuple(r.pop(3))),
    "LIST": lambda r, _: r.stack.append(r.pop_to_mark()),
    "DICT": lambda r, _: r.stack.append(_pairs(r.pop_to_mark())),
    "APPEND": lambda r, _: r.add(r.pop(1)),
    "APPENDS": lambda r, _: r.add(r.pop_to_mark()),
    "ADDITEMS": lambda r, _: r.add(r.pop_to_mark()),
    "FROZENSET": lambda r, _: r.stack.append(frozenset(r.pop_to_mark())),
    "SETITEM": lambda r, _: r.add(r.pop(2)),
    "SETITEMS": lambda r, _: r.add(r.pop_to_mark()),
    "GLOBAL": lambda r, named: r.stack.append(Name(*named.split(" ", 1))),
    "STACK_GLOBAL": lambda r, _: r.stack.append(Name(*r.pop(2))),
    "REDUCE": lambda r, _: r.make(*r.pop(2)),
    "NEWOBJ": lambda r, _: r.make(*r.pop(2)),
    "BUILD": lambda r, _: r.build(),
}
