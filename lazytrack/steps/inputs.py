"""Artifact inputs of a step: which arguments are some, which calls make them, and where they are once those ended."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.futures import ArtifactFuture, MapResultsFuture, StepFuture
from lazytrack.steps.handles import ArtifactSource, Chunk, ExternalArtifact, Item, OutputArtifact

if TYPE_CHECKING:
    from lazytrack.steps.invocation import Invocation

_ONE = (OutputArtifact, ArtifactFuture, StepFuture, MapResultsFuture, Chunk, ExternalArtifact)
Tree = Any
"""A leaf (`OutputArtifact`, `ArtifactFuture`, `Chunk`, `ExternalArtifact`), or a list of trees."""


def is_artifact(value: Any) -> bool:
    """Tell whether an argument is an artifact input: what stands for one, or a list of nothing else."""
    if isinstance(value, _ONE):
        return True
    return type(value) in {list, tuple} and len(value) > 0 and all(map(is_artifact, value))


def check_none_hidden(value: Any, step: str, argument: str) -> None:
    """Refuse a dict, or a list with other values, that holds a handle or a future: it would not be loaded.

    Raises
    ------
    StepInterfaceError
        When it does.
    """
    if not isinstance(value, (dict, list, tuple)) or is_artifact(value):
        return
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, _ONE):
            raise StepInterfaceError(
                f"step {step!r}, argument {argument!r}: {item!r} is among other values, where nothing would load it: "
                "give it as an argument of its own, or make a list of outputs alone"
            )
        check_none_hidden(item, step, argument)


def as_tree(value: Any, step: str, argument: str) -> Tree:
    """Return what an artifact input consists of, each leaf being one artifact.

    Raises
    ------
    StepInterfaceError
        When a future has no output, or several.
    """
    if isinstance(value, (list, tuple, MapResultsFuture)):
        return [as_tree(item, step, argument) for item in value]
    if isinstance(value, StepFuture):
        outputs = tuple(value)
        if len(outputs) != 1:
            hint = "it has none" if not outputs else f"say which, as in future[0] or .get_artifact({outputs[0].name!r})"
            raise StepInterfaceError(
                f"step {step!r}, argument {argument!r}: {value.invocation_id!r} has {len(outputs)} outputs: {hint}"
            )
        return outputs[0]
    return value


def producers(tree: Tree) -> "Iterator[Invocation]":
    """Yield the calls, of this program, whose outputs are in a tree."""
    match tree:
        case list():
            for item in tree:
                yield from producers(item)
        case OutputArtifact() | ArtifactFuture() if tree._invocation is not None:
            yield tree._invocation
        case Chunk() if tree.handle._invocation is not None:
            yield tree.handle._invocation


def check_owner(tree: Tree, location: str, step: str, argument: str) -> None:
    """Refuse an input of another project, which the record could not name.

    Raises
    ------
    StepInterfaceError
        When it is one.
    """
    match tree:
        case list():
            for item in tree:
                check_owner(item, location, step, argument)
        case OutputArtifact() if tree._source is not None and tree._source.owner.location != location:
            raise StepInterfaceError(
                f"step {step!r}, argument {argument!r}: {tree!r} is in another project, {tree._source.owner.fpath}: "
                "give ExternalArtifact(value=handle.load())"
            )
        case Chunk():
            check_owner(tree.handle, location, step, argument)


def located(tree: Tree, keep: Callable[[ExternalArtifact], ArtifactSource]) -> Tree:
    """Return a tree of where the artifacts are, when their steps have ended.

    Parameters
    ----------
    keep
        Writes an external one.
    """
    match tree:
        case list():
            return [located(item, keep) for item in tree]
        case OutputArtifact():
            return tree._there()
        case ArtifactFuture():
            return tree._invocation.outputs[tree.name]._there()
        case ExternalArtifact():
            return keep(tree)
        case Chunk():
            return tree.item
        case _:
            return tree


def loaded(tree: Tree) -> Any:
    """Return the value of an artifact input, from a tree of where it is."""
    match tree:
        case list():
            return [loaded(item) for item in tree]
        case _:
            return tree.load()


def content(tree: Tree) -> str:
    """Return what tells the content of an artifact input."""
    match tree:
        case list():
            return f"[{','.join(map(content, tree))}]"
        case _:
            return str(tree.content)


def identity(tree: Tree) -> str:
    """Return what tells which artifact an input is, whatever it holds."""
    match tree:
        case list():
            return f"[{','.join(map(identity, tree))}]"
        case Item():
            return f"{tree.whole.entry.path}[{tree.index}]"
        case _:
            return str(tree.entry.path)


def said(tree: Tree, run: str) -> Any:
    """Return how a record says where an input is from, as JSON: an artifact of this run or of another, or a list."""
    match tree:
        case list():
            return [said(item, run) for item in tree]
        case Item():
            return tree.whole.said(run) | {"index": tree.index}
        case _:
            return tree.said(run)


def made_by(tree: Tree) -> Iterator[str]:
    """Yield the ids of the steps that made what is in a tree of where it is."""
    match tree:
        case list():
            for item in tree:
                yield from made_by(item)
        case Item():
            yield from made_by(tree.whole)
        case _:
            if tree.producer is not None:
                yield tree.producer
