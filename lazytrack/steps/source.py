"""The source of a step as it was when the step was made: without its decorators, from the left margin."""

import ast
import functools
import inspect
import io
import linecache
import sys
import tokenize
from collections.abc import Callable, Iterator
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Source:
    """Where a function or class stands, in the text of its file as it was read.

    A file that is edited while a program runs is no longer what runs; so the lines are held from the beginning.

    Parameters
    ----------
    file
        Its name; of a notebook's cell the name that stands for one.
    lines
        Of the whole file; none where there is no text.
    name
        Within its module.
    line
        In which a function begins, or one of those in a class; 0 where it is not known.
    """

    file: str
    lines: list[str] = attrs.field(repr=False)
    name: str
    line: int

    def text(self) -> str:
        """Return the source.

        Raises
        ------
        OSError
            When there is none.
        """
        node = self._node()
        if isinstance(node, ast.Lambda):
            return (ast.get_source_segment("".join(self.lines), node) or "") + "\n"
        block = "".join(self.lines[node.lineno - 1 : node.end_lineno])
        return _dedented(block, node.col_offset).rstrip() + "\n"

    def _node(self) -> Any:
        if not self.lines:
            raise OSError(f"the source of {self.name} cannot be found: there is no text of {self.file}")
        try:
            tree = _tree("".join(self.lines))
        except SyntaxError as error:
            raise OSError(f"the source of {self.name} cannot be read: {self.file} is no Python ({error})") from error
        found = [node for name, node in _definitions(tree, "") if name == self.name and self._is_at(node)]
        if not found:
            raise OSError(f"the source of {self.name} cannot be found: it is not in {self.file}, line {self.line}")
        if len(found) > 1 and isinstance(found[0], ast.Lambda):
            raise OSError(f"the source of {self.name} cannot be told: line {self.line} of {self.file} has several")
        return found[-1]

    def _is_at(self, node: Any) -> bool:
        if self.line == 0:
            return True
        if isinstance(node, ast.ClassDef):
            return bool(node.lineno <= self.line <= node.end_lineno)  # type: ignore[operator]
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        return bool(first <= self.line <= node.lineno)


def source_of(subject: Callable[..., Any] | type) -> Source:
    """Return where a function or class stands; what a class is not found by is left open."""
    if isinstance(subject, type):
        functions = [value for value in vars(subject).values() if inspect.isfunction(value)]
        own = [value for value in functions if value.__qualname__ == f"{subject.__qualname__}.{value.__name__}"]
        if not own:
            module = sys.modules.get(subject.__module__)
            file = getattr(module, "__file__", None) or f"<{subject.__module__}>"
            return Source(
                file=file, lines=_lines(file, vars(module) if module else {}), name=subject.__qualname__, line=0
            )
        function, name = own[0], subject.__qualname__
    else:
        function = inspect.unwrap(subject)
        name = function.__qualname__
    code = function.__code__
    return Source(
        file=code.co_filename,
        lines=_lines(code.co_filename, function.__globals__),
        name=name,
        line=code.co_firstlineno,
    )


def _lines(file: str, module: dict[str, Any]) -> list[str]:
    linecache.checkcache(file)
    return linecache.getlines(file, module)


@functools.lru_cache(maxsize=4)
def _tree(text: str) -> ast.Module:
    """Parse a file; several steps of one are asked for one after the other."""
    return ast.parse(text)


def _definitions(node: ast.AST, within: str) -> Iterator[tuple[str, Any]]:
    """Yield what is defined in a tree, with the names that Python gives it."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name):
                yield within + name, child
                yield from _definitions(child, f"{within}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield within + name, child
                yield from _definitions(child, f"{within}{name}.<locals>.")
            case ast.Lambda():
                yield f"{within}<lambda>", child
                yield from _definitions(child, f"{within}<lambda>.<locals>.")
            case _:
                yield from _definitions(child, within)


def _dedented(block: str, margin: int) -> str:
    """Return a block moved to the left; text that goes on over several lines is none of its margin."""
    if margin == 0:
        return block
    inside: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(block).readline):
        inside.update(range(token.start[0] + 1, token.end[0] + 1))
    lines = block.splitlines(keepends=True)
    moved = [
        line if number in inside or line[:margin].strip() else line[margin:] if line.strip() else "\n"
        for number, line in enumerate(lines, 1)
    ]
    return "".join(moved)
