"""Drawings of a lineage graph: as Mermaid and DOT, which other programs draw, and as SVG."""

import html
import itertools
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

_COLOURS = {
    "completed": "#d9f2d9",
    "cached": "#d6e4f5",
    "failed": "#f8d7d7",
    "skipped": "#eeeeee",
    "stopped": "#f3e6cf",
    "running": "#fdf3c8",
    "version": "#e8ddf5",
}
_PLAIN = "#ffffff"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may have."""
_PATIENCE_SECONDS = 30
_WIDTH, _LINE, _ACROSS, _DOWN = 190, 14, 24, 36
"""Of a box, of a line in it, and between two boxes, in pixels."""
_LONGEST = 26
"""Characters of a line in a box."""

_OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
    'font-family="Helvetica, Arial, sans-serif" font-size="11">'
)
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#666666"/></marker></defs>'
)


@attrs.frozen(kw_only=True)
class Box:
    """A node as it is drawn.

    Parameters
    ----------
    id
        Of the node.
    lines
        What stands in it.
    state
        Which colour it has.
    is_round
        Whether it is an artifact's, rather than a step's.
    """

    id: str
    lines: list[str]
    state: str
    is_round: bool

    @property
    def style(self) -> str:
        """Which of the known states it has; others are strangers' words."""
        return self.state if self.state in _COLOURS else "plain"


class Drawn:
    """What of a graph is being drawn."""

    nodes: list[Any]
    edges: list[Any]

    def _boxes(self) -> list[Box]:
        runs = {_run_of(node) for node in self.nodes} - {""}
        return [_box(node, tells_run=len(runs) > 1) for node in self.nodes]

    def to_text(self) -> str:
        """Return the graph as a tree of lines; what several things lead to is told in full where it comes first."""
        boxes = {box.id: box for box in self._boxes()}
        below: dict[str, list[str]] = {node: [] for node in boxes}
        for edge in self.edges:
            below[edge.source].append(edge.target)
        targets = {edge.target for edge in self.edges}
        lines: list[str] = []
        told: set[str] = set()
        roots = [node for node in boxes if node not in targets]
        for root in [*roots, *boxes]:  # of a circle, which a stranger may have written, there is no root
            if root not in told:
                lines += self._tree(root, boxes, below, told)
        return "\n".join(lines) + "\n" if lines else ""

    def _tree(self, root: str, boxes: dict[str, Box], below: dict[str, list[str]], told: set[str]) -> list[str]:
        lines: list[str] = []
        waiting = [(root, "", "")]  # by hand, as a chain of runs may be longer than Python's stack
        while waiting:
            node, margin, branch = waiting.pop()
            first, *more = boxes[node].lines
            again = node in told and bool(below[node])
            told_of = f"{first}  {', '.join(more)}{' (above)' if again else ''}".rstrip()
            lines.append(margin + branch + "".join(char if char.isprintable() else "?" for char in told_of))
            if again:
                continue
            told.add(node)
            inner = margin + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
            last = below[node][-1:]
            waiting += [(each, inner, "└─ " if [each] == last else "├─ ") for each in reversed(below[node])]
        return lines

    def to_mermaid(self) -> str:
        """Return the graph in the language of Mermaid, which GitHub and many editors draw."""
        numbers = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        lines, boxes = ["flowchart TD"], self._boxes()
        for box in boxes:
            told = "<br>".join(_for_mermaid(line) for line in box.lines)
            shape = f'(["{told}"])' if box.is_round else f'["{told}"]'
            lines.append(f"    {numbers[box.id]}{shape}:::{box.style}")
        lines += [f"    {numbers[edge.source]} --> {numbers[edge.target]}" for edge in self.edges]
        used = dict.fromkeys(box.style for box in boxes)
        lines += [f"    classDef {s} fill:{_COLOURS.get(s, _PLAIN)},stroke:#666666,color:#000000" for s in used]
        return "\n".join(lines) + "\n"

    def to_dot(self) -> str:
        """Return the graph in the language of Graphviz."""
        lines = ["digraph lineage {", '    node [fontname="Helvetica", fontsize=11, style="filled,rounded"];']
        for box in self._boxes():
            told = "\\n".join(_for_dot(line) for line in box.lines)
            shape = "ellipse" if box.is_round else "box"
            colour = _COLOURS.get(box.state, _PLAIN)
            lines.append(f'    "{_for_dot(box.id)}" [label="{told}", shape={shape}, fillcolor="{colour}"];')
        lines += [f'    "{_for_dot(edge.source)}" -> "{_for_dot(edge.target)}";' for edge in self.edges]
        return "\n".join([*lines, "}"]) + "\n"

    def to_svg(self, *, graphviz: bool | None = None) -> str:
        """Return the graph as a picture.

        Parameters
        ----------
        graphviz
            Have Graphviz lay it out, which must be installed; by default where it is, else it is done here.

        Raises
        ------
        FileNotFoundError
            When Graphviz is asked for and not installed.
        RuntimeError
            When it fails.
        """
        program = shutil.which("dot")
        if program is None and graphviz:
            raise FileNotFoundError("there is no program 'dot': install Graphviz, or leave graphviz=True out")
        if program is None or graphviz is False:
            return _svg(self._boxes(), [(edge.source, edge.target) for edge in self.edges])
        done = subprocess.run(  # noqa: S603  (it draws, and reads nothing else)
            [program, "-Tsvg"],
            input=self.to_dot(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"Graphviz cannot draw the graph: {done.stderr.strip()}")
        return done.stdout

    def _repr_html_(self) -> str:
        return self.to_svg(graphviz=False)


def _run_of(node: Any) -> str:
    """Return the run that a node is of; none where it is of none."""
    return str(node.data.execution_id).partition("/")[0] if node.type in {"step", "artifact"} else ""


def _box(node: Any, *, tells_run: bool) -> Box:
    data = node.data
    run = [_run_of(node)] if tells_run else []
    match node.type:
        case "step":
            base = data.name.rstrip("0123456789").removesuffix("_")
            other = [data.entrypoint_name] if data.entrypoint_name not in {"", data.name, base} else []
            return Box(
                id=node.id, lines=[data.name, *other, *run, str(data.status)], state=str(data.status), is_round=False
            )
        case "artifact":
            kind = (data.artifact_data_type or data.artifact_type).rpartition(".")[2]
            told = f"{kind}, cached" if data.is_cached else kind
            return Box(id=node.id, lines=[data.name, told], state="cached" if data.is_cached else "", is_round=True)
        case "version":
            lines = [data.execution_id, ", ".join(data.aliases) or data.repository]
            return Box(id=node.id, lines=lines, state="version", is_round=True)
        case _:
            return Box(id=node.id, lines=[data.name, data.execution_id, data.status], state=data.status, is_round=False)


def _for_mermaid(text: str) -> str:
    return "".join(char if char.isalnum() or char in " _-.,:/[]()=+" else f"#{ord(char)};" for char in text)


def _for_xml(text: str) -> str:
    return html.escape(_NO_XML.sub("\ufffd", text))


def _for_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _layers(boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> list[list[Box]]:
    """Return boxes in layers, so that each edge leads down: how deep one is, is the longest way to it."""
    above: dict[str, list[str]] = {box.id: [] for box in boxes}
    for source, target in edges:
        above[target].append(source)
    depths: dict[str, int] = {}
    for _ in boxes:  # as often as the longest way can be long
        changed = False
        for box in boxes:
            depth = 1 + max((depths.get(other, 0) for other in above[box.id]), default=-1)
            changed = changed or depths.get(box.id) != depth
            depths[box.id] = depth
        if not changed:
            break
    layers: dict[int, list[Box]] = {}
    for box in boxes:
        layers.setdefault(depths[box.id], []).append(box)
    placed: dict[str, float] = {}
    for depth in sorted(layers):
        middle = {box.id: _mean(placed[other] for other in above[box.id] if other in placed) for box in layers[depth]}
        layers[depth].sort(key=lambda box: middle[box.id])
        placed |= {box.id: place / len(layers[depth]) for place, box in enumerate(layers[depth])}
    return [layers[depth] for depth in sorted(layers)]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


def _svg(boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> str:
    layers = _layers(boxes, edges)
    widest = max((len(layer) for layer in layers), default=0)
    tall = _LINE * max((len(box.lines) for box in boxes), default=0) + _LINE
    width = max(widest * (_WIDTH + _ACROSS) + _ACROSS, _WIDTH)
    height = len(layers) * (tall + _DOWN) + _DOWN
    corners: dict[str, tuple[float, float]] = {}
    for depth, layer in enumerate(layers):
        left = (width - len(layer) * (_WIDTH + _ACROSS) + _ACROSS) / 2
        for place, box in enumerate(layer):
            corners[box.id] = left + place * (_WIDTH + _ACROSS), _DOWN + depth * (tall + _DOWN)
    parts = [_OPENING.format(width=width, height=height), _TIP]
    for source, target in edges:
        (x, y), (u, v) = corners[source], corners[target]
        begin, end = (x + _WIDTH / 2, y + tall), (u + _WIDTH / 2, v)
        bend = (end[1] - begin[1]) / 2
        parts.append(
            f'<path d="M{begin[0]:g} {begin[1]:g} C{begin[0]:g} {begin[1] + bend:g} {end[0]:g} {end[1] - bend:g} '
            f'{end[0]:g} {end[1]:g}" fill="none" stroke="#666666" marker-end="url(#tip)"/>'
        )
    parts += itertools.chain.from_iterable(_drawn(box, *corners[box.id], tall) for box in boxes)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawn(box: Box, left: float, top: float, tall: float) -> Iterable[str]:
    bow, colour = (tall / 2 if box.is_round else 6), _COLOURS.get(box.state, _PLAIN)
    yield f"<g><title>{_for_xml(' · '.join(box.lines))}</title>"
    yield (
        f'<rect x="{left:g}" y="{top:g}" width="{_WIDTH}" height="{tall:g}" rx="{bow:g}" fill="{colour}" '
        'stroke="#666666"/>'
    )
    step = tall / (len(box.lines) + 1)
    for number, line in enumerate(box.lines, 1):
        shown = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
        style = ' font-weight="bold"' if number == 1 else ""
        yield (
            f'<text x="{left + _WIDTH / 2:g}" y="{top + step * number + 4:g}" text-anchor="middle"{style}>'
            f"{_for_xml(shown)}</text>"
        )
    yield "</g>"
