"""Mapping: the calls that are made of one `map` or `product`, in the order of their inputs."""

import hashlib
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from lazytrack.artifacts.base import text_or_bytes
from lazytrack.errors import StepInterfaceError
from lazytrack.steps.annotations import show
from lazytrack.steps.futures import ArtifactFuture, MapResultsFuture, StepFuture
from lazytrack.steps.handles import Chunk, Item, OutputArtifact, unmapped
from lazytrack.steps.interface import StepInterface
from lazytrack.steps.outputs import construct
from lazytrack.steps.parameters import check_known
from lazytrack.steps.spelling import spelled


def calls_of(
    interface: StepInterface, step: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, crossed: bool
) -> list[dict[str, Any]]:
    """Return the arguments of each call by name.

    Lists and tuples, outputs that are some, and results of other maps are mapped over; everything else is given to
    each call as it is.

    Parameters
    ----------
    crossed
        Whether each item is combined with each of the others, the leftmost varying slowest; otherwise the first goes
        with the first.

    Raises
    ------
    ValueError
        When what is mapped over is of different lengths, or there is nothing to map over.
    StepInterfaceError
        When there are unknown arguments, or too many.
    """
    names = list(interface.inputs)
    if len(args) > len(names):
        raise StepInterfaceError(f"step {step!r} takes {len(names)} arguments ({', '.join(names)}), not {len(args)}")
    check_known(kwargs, names, f"step {step!r} has no argument")
    given = dict(zip(names, args, strict=False))
    given |= kwargs
    mapped = {name: items for name, value in given.items() if (items := _items(value)) is not None}
    fixed = {n: value.value if isinstance(value, unmapped) else value for n, value in given.items() if n not in mapped}
    if not mapped:
        raise ValueError(
            f"step {step!r}: there is nothing to map over in {', '.join(f'{n}={show(v)}' for n, v in given.items())}: "
            "give a list or a tuple, an output that is one, or the result of a map"
        )
    if crossed:
        combined = itertools.product(*mapped.values())
        return [{**fixed, **dict(zip(mapped, items, strict=True))} for items in combined]
    lengths = {name: len(items) for name, items in mapped.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(
            f"step {step!r}: what is mapped over has different lengths: {told}; "
            "unmapped(x) gives each call all of x, and product() combines each with each"
        )
    return [{**fixed, **dict(zip(mapped, items, strict=True))} for items in zip(*mapped.values(), strict=True)]


def _items(value: Any) -> list[Any] | None:
    """Return what is mapped over; None for what is given to each call as it is."""
    match value:
        case MapResultsFuture():
            return list(value)
        case list() | tuple():
            return list(value)
        case StepFuture() if len(value) == 1:
            return _chunks(value[0].result())
        case ArtifactFuture():
            return _chunks(value.result())
        case OutputArtifact():
            return _chunks(value)
    return None


def _chunks(handle: OutputArtifact) -> list[Chunk] | None:
    """Return the items of an output that is a list or a tuple."""
    value = handle.load()
    if not isinstance(value, (list, tuple)):
        return None
    where = handle._there()
    return [Chunk(handle, Item(where, index, item, _content(item))) for index, item in enumerate(value)]


def _content(item: Any) -> str:
    """Return what tells an item from others: as a parameter would, else by the bytes that would be kept of it."""
    try:
        return f"item {spelled(item)}"
    except (TypeError, ValueError):
        pass
    artifact = construct(item, None, artifact="item", output="item", step="map")
    file = _Bytes()
    with text_or_bytes(file, binary=artifact.binary) as buf:
        artifact.write(item, buf)
    return f"{artifact.alias} {hashlib.sha256(file.getvalue()).hexdigest()}"


class _Bytes(io.BytesIO):
    """Bytes that outlive a writer that closes what it is given."""

    def close(self) -> None:
        """Stay open."""
