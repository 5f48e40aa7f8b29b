"""Expressions that say which experiments are meant: ``metrics.auc > 0.9 and 'prod' in tags``.

They are Python's, read by its parser and worked out here: nothing but comparisons of what was logged.
"""

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from lazytrack import codec

_Item = TypeVar("_Item")
Look = Callable[[str], Any]
"""Returns the value of a field, such as ``metrics.auc``; None where there is none."""

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
}
_NAMES = {"true": True, "false": False, "none": None, "null": None, "nan": math.nan, "inf": math.inf}
_LONGEST, _DEEPEST = 2_000, 50
"""Characters of an expression, and parts within each other."""
_HELP = "such as \"metrics.auc > 0.9 and 'prod' in tags\", or parameters['learning rate'] == 0.1"


class Where:
    """An expression that is true or false of an experiment.

    What an experiment does not have is None. A comparison of what cannot be compared is false, so ``metrics.auc > 0.9``
    is false where there is no such metric.

    Parameters
    ----------
    text
        The expression: ``and``, ``or``, ``not``, comparisons, ``in``, ``is None``; fields as ``metrics.auc`` or
        ``metrics["auc on test"]``; texts, numbers and lists of them.

    Raises
    ------
    ValueError
        When it is none, or says more than that.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > _LONGEST:
            raise ValueError(f"the expression has {len(text)} characters: {_LONGEST} are the most")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            what = error.msg if isinstance(error, SyntaxError) else str(error)
            raise ValueError(f"{text!r} is no expression ({what}): write one {_HELP}") from None
        if _depth(self._tree) > _DEEPEST:
            raise ValueError(f"the expression {text[:40]!r}… is nested deeper than {_DEEPEST}: write it plainer")
        self.fields = tuple(dict.fromkeys(self._check(self._tree)))
        """The fields that it looks at."""

    def __call__(self, look: Look) -> bool:
        """Tell whether it is true of what is looked at."""
        return bool(self._value(self._tree, look))

    def _check(self, node: ast.expr) -> list[str]:
        """Return the fields in a part of it, and refuse what it may not say."""
        match node:
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                return [field for part in parts for field in self._check(part)]
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=part):
                return self._check(part)
            case ast.Compare(left=left, comparators=others):
                return [field for part in (left, *others) for field in self._check(part)]
            case ast.Constant(value=str() | int() | float() | bool() | None):
                return []
            case ast.Name() | ast.Attribute() | ast.Subscript() if (field := _field(node)) is not None:
                return [] if field.lower() in _NAMES else [field]
        told = ast.get_source_segment(self.text.strip(), node) or self.text
        raise ValueError(f"{told!r} cannot be said in an expression: write one {_HELP}")

    def _value(self, node: ast.expr, look: Look) -> Any:
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(self._value(part, look) for part in parts)
            case ast.BoolOp(values=parts):
                return any(self._value(part, look) for part in parts)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                return [self._value(part, look) for part in parts]
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return not self._value(part, look)
            case ast.UnaryOp(op=sign, operand=part):
                value = self._value(part, look)
                is_number = isinstance(value, (int, float))
                return (-value if isinstance(sign, ast.USub) else value) if is_number else None
            case ast.Compare(left=left, ops=signs, comparators=others):
                return self._compared(left, signs, others, look)
            case ast.Constant(value=value):
                return value
        field = str(_field(node))
        return _NAMES[field.lower()] if field.lower() in _NAMES else look(field)

    def _compared(self, left: ast.expr, signs: list[ast.cmpop], others: list[ast.expr], look: Look) -> bool:
        value = self._value(left, look)
        for sign, other in zip(signs, others, strict=True):
            following = self._value(other, look)
            try:
                if not _COMPARE[type(sign)](*_alike(value, following)):
                    return False
            except TypeError:  # they are of kinds that have no order, or one of them is not there
                return False
            value = following
        return True


def _depth(tree: ast.AST) -> int:
    """Return how deep the parts of an expression are nested; by hand, as it may be deeper than Python's stack."""
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
    return deepest


def _alike(one: Any, two: Any) -> tuple[Any, Any]:
    """Return two values as they can be compared: a time with what a text says of one."""
    if isinstance(one, datetime) and isinstance(two, str):
        return one, _time(two)
    if isinstance(one, str) and isinstance(two, datetime):
        return _time(one), two
    return one, two


def _time(text: str) -> datetime | None:
    try:
        return codec.parse_time(text)
    except ValueError:
        return None


def _field(node: ast.expr) -> str | None:
    """Return the name of a field that is spelled by dots, brackets, or both."""
    match node:
        case ast.Name(id=name):
            return name
        case (
            ast.Attribute(value=inner, attr=name) | ast.Subscript(value=inner, slice=ast.Constant(value=str() as name))
        ):
            outer = _field(inner)
            return None if outer is None else f"{outer}.{name}"
    return None


def looker(record: Mapping[str, Any]) -> Look:
    """Return what looks a field up in a row of a table, or in an experiment as a dict."""

    def look(field: str) -> Any:
        if field in record:
            return record[field]
        section, _, name = field.partition(".")
        inner = record.get(section)
        return looker(inner)(name) if name and isinstance(inner, Mapping) else None

    return look


def in_order(items: Iterable[_Item], value_of: Callable[[_Item], Any], *, descending: bool) -> list[_Item]:
    """Return items sorted by what they have, see `order`.

    Those that have nothing, or NaN, are last, in the order that they had.
    """
    values = [(value_of(item), item) for item in items]
    there = [pair for pair in values if _is_there(pair[0])]
    there.sort(key=lambda pair: order(pair[0]), reverse=descending)
    return [item for _, item in (*there, *(pair for pair in values if not _is_there(pair[0])))]


def _is_there(value: Any) -> bool:
    return value is not None and value == value  # noqa: PLR0124  (NaN is not itself)


def order(value: Any) -> tuple[int, Any]:
    """Return what a value is sorted by: numbers before anything else, which goes by its text."""
    if isinstance(value, (bool, int, float)):
        return 0, value
    return 1, value.isoformat() if isinstance(value, datetime) else str(value)
