"""What the command line prints: rows as a table for people, JSON, CSV or Markdown, and records line by line."""

import csv
import fnmatch
import io
import json
import operator
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from lazytrack import codec, naming
from lazytrack.cli.failing import USAGE, Failure, printable
from lazytrack.cli.given import Shape
from lazytrack.tracking.where import in_order

Row = dict[str, Any]
_STYLES = {"completed": "green", "failed": "red", "running": "cyan", "stopped": "yellow", "cached": "blue"}
_BETWEEN, _WIDEST = 3, 32
"""Characters between two columns of a table, and of a cell, on a terminal."""
_SIZES = ("B", "KB", "MB", "GB", "TB")
_KILO = 1000


def show_rows(rows: Sequence[Row], shape: Shape, *, columns: Sequence[str] | None = None, more: str = "") -> None:
    """Print rows.

    Parameters
    ----------
    columns
        In this order; by default as the rows have them.
    more
        What a table for people says below.

    Raises
    ------
    Failure
        When a pattern is of no column.
    """
    names = chosen(rows, shape, list(columns or dict.fromkeys(name for row in rows for name in row)))
    if not names and not shape.json:
        note(more or "nothing to show")
    elif shape.json:
        show_json([{name: row.get(name) for name in names} for row in rows])
    elif shape.csv:
        sys.stdout.writelines(_csv_line(line) for line in [names, *([cell(row.get(n)) for n in names] for row in rows)])
    elif shape.md:
        lines = [names, ["---"] * len(names), *([cell(row.get(name)) for name in names] for row in rows)]
        sys.stdout.writelines(f"| {' | '.join(_for_markdown(each) for each in line)} |\n" for line in lines)
    else:
        _show_table(rows, names, shape, more)


def _csv_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)  # which quotes all that could end a line
    line = text.getvalue().removesuffix("\r\n") + "\n"
    return printable(line) if sys.stdout.isatty() else line


def chosen(rows: Sequence[Row], shape: Shape, names: list[str]) -> list[str]:
    """Return the columns that are to be shown."""
    for pattern in (*(shape.keep or ()), *(shape.drop or ())):
        if names and not any(_fits(name, [pattern]) for name in names):
            raise Failure(f"no column {pattern!r}; known: {', '.join(names)}", USAGE)
    kept = [name for name in names if shape.keep is None or _fits(name, shape.keep)]
    kept = [name for name in kept if not _fits(name, shape.drop or [])]
    if shape.only_changed and len(rows) > 1:
        kept = [name for name in kept if any(cell(row.get(name)) != cell(rows[0].get(name)) for row in rows)]
    return kept


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, each) or name == each or name.startswith(f"{each}.") for each in patterns)


def sorted_rows(rows: list[Row], by: Sequence[str] | None, *, descending: bool) -> list[Row]:
    """Return rows in order of columns, the first of them first; what has no value is last.

    Raises
    ------
    Failure
        When there is no such column.
    """
    for name in reversed(by or []):
        columns = dict.fromkeys(column for row in rows for column in row)
        column = name if name in columns else next((c for c in columns if c.partition(".")[2] == name), None)
        if rows and column is None:
            raise Failure(f"no column {name!r} to sort by; known: {', '.join(columns)}", USAGE)
        rows = in_order(rows, operator.methodcaller("get", column), descending=descending)
    return rows


def show_record(fields: Mapping[str, Any], shape: Shape, shown: Mapping[str, Any] | None = None) -> None:
    """Print a record: as JSON, as rows of a field and its value, or line by line for people.

    Parameters
    ----------
    shown
        What people see, where that is something else.
    """
    if shape.json:
        show_json(fields)
    elif shape.csv or shape.md:
        show_rows([{"field": name, "value": value} for name, value in _flat(fields)], shape)
    else:
        show_fields(fields if shown is None else shown, precision=shape.precision)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, [], {}):
            yield f"{prefix}{name}", value


def show_json(value: Any) -> None:
    """Print a value as JSON; see `json_text`."""
    sys.stdout.write(json_text(value))


def json_text(value: Any) -> str:
    """Return a value as JSON; times as ISO 8601, NaN and infinities as the text that they are."""
    return json.dumps(_for_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _for_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _for_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_for_json(item) for item in value]
    if isinstance(value, datetime):
        return naming.iso(value)
    if isinstance(value, float):
        return codec.store_number(value)
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def show_fields(fields: Mapping[str, Any], *, precision: int = 6) -> None:
    """Print a record, a line for each field, under a heading for each part of it."""
    import rich.text

    out = console()
    flat = {name: value for name, value in fields.items() if not isinstance(value, Mapping)}
    width = max((len(name) for name in flat), default=0)
    for name, value in flat.items():
        line = rich.text.Text.assemble((f"{printable(name):<{width}}", "bold"), "  ", styled(value, precision))
        out.print(line, soft_wrap=True)
    for name, part in fields.items():
        if isinstance(part, Mapping) and part:
            out.print()
            out.print(rich.text.Text(name, style="bold underline"))
            inner = max(len(printable(str(key))) for key in part)
            for key, value in part.items():
                line = rich.text.Text.assemble(f"  {printable(str(key)):<{inner}}  ", styled(value, precision))
                out.print(line, soft_wrap=True)


def say(text: str) -> None:
    """Print text, so that it changes nothing of a terminal."""
    sys.stdout.write(printable(text if text.endswith("\n") else f"{text}\n"))


def note(text: str) -> None:
    """Print a line that is no result: on stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"{printable(text)}\n")


def console() -> Any:
    """Return where tables are drawn: coloured on a terminal, plain elsewhere and with ``NO_COLOR``."""
    import rich.console

    return rich.console.Console(highlight=False, emoji=False, markup=False)


def _show_table(rows: Sequence[Row], names: Sequence[str], shape: Shape, more: str) -> None:
    import rich.box
    import rich.table

    out = console()
    if not rows:
        note(more or "nothing to show")
        return
    cells = {name: [styled(row.get(name), shape.precision) for row in rows] for name in names}
    headings = _headings(names)
    hidden: list[str] = []
    if not out.is_terminal:
        out.width = 100_000  # for other programs a line is a line, however long
        headings = {name: name for name in names}
        for text in (text for column in cells.values() for text in column if "\n" in text.plain):
            text.plain = text.plain.replace("\n", "\\n")
    elif not shape.whole:
        for text in (text for name, column in cells.items() for text in column if name != "slug"):
            text.truncate(_WIDEST, overflow="ellipsis")
        widths = {name: max(len(headings[name]), *map(_width, cells[name])) for name in names}
        hidden = _hidden(rows, widths, out.width)
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown = [name for name in names if name not in hidden]
    for name in shown:
        is_number = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        table.add_column(printable(headings[name]), justify="right" if is_number else "left", overflow="fold")
    for number in range(len(rows)):
        table.add_row(*(cells[name][number] for name in shown))
    out.print(table)
    if hidden:
        note(f"the terminal is too narrow for {', '.join(hidden)}: --keep chooses columns")
    if more:
        note(more)


def _width(text: Any) -> int:
    return max((len(line) for line in text.plain.split("\n")), default=0)


def _headings(names: Sequence[str]) -> dict[str, str]:
    """Return what stands above each column: ``lr`` for ``parameters.lr``, where that is the only one."""
    short = {name: name.partition(".")[2] if name.startswith(("parameters.", "metrics.")) else name for name in names}
    return {name: short[name] if [*short.values()].count(short[name]) == 1 else name for name in names}


def _hidden(rows: Sequence[Row], widths: Mapping[str, int], room: int) -> list[str]:
    """Return the columns that a terminal has no room for: first those that tell nothing, being the same everywhere.

    Then tags, parameters, and what else there is; metrics and the first column go last.
    """
    places = {name: place for place, name in enumerate(widths)}

    def rank(name: str) -> tuple[bool, bool, bool, bool, int]:
        same = len(rows) > 1 and all(row.get(name) == rows[0].get(name) for row in rows)
        is_metric = name.startswith("metrics.")
        return same, name == "tags", name.startswith("parameters."), not is_metric, places[name]

    first = next(iter(widths), "")
    hidden: list[str] = []
    for name in sorted(widths, key=rank, reverse=True):
        left = [width for column, width in widths.items() if column not in hidden]
        if sum(left) + _BETWEEN * (len(left) - 1) <= room:
            break
        if name != first:
            hidden.append(name)
    return [name for name in widths if name in hidden]


def styled(value: Any, precision: int) -> Any:
    """Return a value as people read it."""
    import rich.text

    if isinstance(value, float):
        text = f"{value:.{precision}g}"
    elif isinstance(value, datetime):
        text = f"{value.astimezone():%Y-%m-%d %H:%M}"
    else:
        text = cell(value)
    return rich.text.Text(printable(text), style=_STYLES.get(text, ""))


def cell(value: Any) -> str:
    """Return a value as one piece of text."""
    match value:
        case None:
            return ""
        case str():
            return str(value)
        case bool():
            return "true" if value else "false"
        case datetime():
            return naming.iso(value)
        case float() | int():
            return repr(value)
        case list() | tuple() | set() if all(isinstance(item, str) for item in value):
            return ", ".join(value)
        case _:
            return json.dumps(_for_json(value), ensure_ascii=False)


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value, unit = float(count), 0
    while value >= _KILO and unit < len(_SIZES) - 1:
        value, unit = value / _KILO, unit + 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_SIZES[unit]}"


def _for_markdown(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
