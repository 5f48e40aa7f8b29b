"""Files of points: a line of JSON that says what is in the file, then the columns."""

from collections.abc import Mapping
from typing import Any

from lazytrack import codec
from lazytrack.journal import FORMAT
from lazytrack.series.columns import Columns, Packed, to_bytes

_KIND = "series"


def compose(points: Mapping[str, Columns], *, id: str, record: str) -> bytes:
    """Write a file of points.

    Parameters
    ----------
    points
        By metric, as the record names it; none of them empty.
    id
        Of the file.
    record
        Whose points they are.
    """
    heads: dict[str, Any] = {}
    columns: list[bytes] = []
    for field, its_points in points.items():
        heads[field], data = to_bytes(its_points)
        columns += data
    head = {"format": FORMAT, "kind": _KIND, "id": id, "record": record, "points": heads}
    return b"".join([codec.dumps(head), *columns])


def parse(data: bytes) -> dict[str, Packed]:
    """Return the points in a file, by metric.

    Raises
    ------
    ValueError
        When it is no such file, or damaged.
    """
    end = data.find(b"\n") + 1
    head = codec.loads(data[:end])
    known = isinstance(head, dict) and (head.get("format"), head.get("kind")) == (FORMAT, _KIND)
    if not known or not isinstance(head.get("points"), dict):
        raise ValueError(f"is no file of points of format {FORMAT}")
    columns = memoryview(data)
    points = {}
    for field, its_head in head["points"].items():
        points[field] = Packed(its_head, columns, end)
        end = points[field].end
    if end != len(data):
        raise ValueError("is longer than its columns")
    return points
