"""Which handler an alias means: those of installed packages, and every subclass there is."""

import functools
import json
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lazytrack.artifacts.base import Artifact

if TYPE_CHECKING:
    import importlib.metadata

ENTRY_POINTS = "lazytrack.artifact_type"
"""The entry point group by which a package offers handlers; a name in it is an alias."""


_NO_ALIAS = object()
_OWN = {
    "bytes": "raw:BytesArtifact",
    "directory": "directory:DirectoryArtifact",
    "file": "raw:FileArtifact",
    "image": "figures:ImageArtifact",
    "joblib": "models:JoblibArtifact",
    "matplotlib": "figures:MatplotlibArtifact",
    "numpy": "arrays:NumpyArtifact",
    "onnx": "models:ONNXArtifact",
    "pandas": "frames:PandasArtifact",
    "plotly": "figures:PlotlyArtifact",
    "polars": "frames:PolarsArtifact",
    "reference": "reference:ReferenceArtifact",
    "safetensors": "arrays:SafetensorsArtifact",
}
"""Handlers of this package that are imported when they are asked for."""


def get_handler(alias: str) -> type[Artifact]:
    """Return the handler class that `alias` means.

    Raises
    ------
    ValueError
        When there is none, or two different classes claim it.
    ImportError
        When the package that offers it cannot be imported.
    TypeError
        When what it offers is no handler class.
    """
    if alias in list(_OWN):  # which compares: what is no string is no alias
        _own(alias)
    claims: dict[tuple[str, str], type[Artifact]] = {}
    for entry_point in _entry_points():
        if entry_point.name == alias:
            handler = _load(entry_point)
            claims[handler.__module__, handler.__qualname__] = handler
    for handler in _subclasses(Artifact):  # type: ignore[type-abstract]
        if vars(handler).get("alias", _NO_ALIAS) == alias:  # one that only inherits its alias does not claim it
            # Of one name the latest wins: attrs' slotted twin, or a class redefined in a notebook.
            claims[handler.__module__, handler.__qualname__] = handler
    if not claims:
        raise ValueError(f"no handler {alias!r}; known: {', '.join(known_aliases())}")
    if len(claims) > 1:
        names = " and ".join(f"{module}.{name}" for module, name in sorted(claims))
        raise ValueError(f"handler {alias!r} is claimed by {names}: give one of them another alias")
    return next(iter(claims.values()))


def handler_for(value: Any) -> str:
    """Return the alias of the handler to choose for an object where none is named.

    The first whose `Artifact.suits` says so: those that were imported, the latest first, then those of this package.
    Of what none suits, JSON is chosen where it brings back an equal object, else a pickle.
    """
    kinds = [kind for kind in _subclasses(Artifact) if isinstance(vars(kind).get("alias"), str)]  # type: ignore[type-abstract]
    imported = {(kind.__module__, kind.__qualname__): kind for kind in kinds}  # of attrs' twins the slotted one
    for handler in [*reversed(imported.values()), *map(_own, _OWN)]:
        if handler.suits(value):
            return handler.alias
    try:
        is_plain = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError, RecursionError):
        is_plain = False
    return "json" if is_plain else "pickle"


def _own(alias: str) -> type[Artifact]:
    module, _, name = _OWN[alias].partition(":")
    handler: type[Artifact] = getattr(import_module(f"lazytrack.artifacts.{module}"), name)
    return handler


def known_aliases() -> list[str]:
    """Return every alias there is, sorted."""
    from_classes = {vars(handler).get("alias") for handler in _subclasses(Artifact)}  # type: ignore[type-abstract]
    return sorted({a for a in from_classes if isinstance(a, str)} | {ep.name for ep in _entry_points()} | _OWN.keys())


@functools.cache
def _entry_points() -> "tuple[importlib.metadata.EntryPoint, ...]":
    """Scan the installed packages, once: it takes longer than saving an experiment."""
    import importlib.metadata  # noqa: PLC0415  (a third of the import time, for what few processes need)

    return tuple(importlib.metadata.entry_points(group=ENTRY_POINTS))


def _load(entry_point: "importlib.metadata.EntryPoint") -> type[Artifact]:
    try:
        handler: Any = entry_point.load()
    except Exception as error:  # a module may raise anything when it is imported
        raise ImportError(
            f"handler {entry_point.name!r} is offered as {entry_point.value!r}, which cannot be imported: {error}"
        ) from error
    if not (isinstance(handler, type) and issubclass(handler, Artifact)):
        raise TypeError(
            f"handler {entry_point.name!r} is offered as {entry_point.value!r}, which is no subclass of Artifact"
        )
    return handler


def _subclasses(cls: type[Artifact]) -> Iterator[type[Artifact]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
