"""Bytes at paths on any filesystem: the only room that knows fsspec."""

import importlib
import os
import re
from typing import Any

from lazytrack.files.base import Files, Stat, Upload, is_of_the_file

__all__ = ["Files", "Stat", "Upload", "is_of_the_file", "open_files", "split"]

_ADAPTERS = {
    "file": ("lazytrack.files.local", "LocalFiles"),
    "local": ("lazytrack.files.local", "LocalFiles"),
    "memory": ("lazytrack.files.memory", "MemoryFiles"),
}
_OPTIONS = {"file": {"auto_mkdir"}, "local": {"auto_mkdir"}}
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(?:://|::)")


def open_files(url: str | os.PathLike[str], **options: Any) -> Files:
    """Return the files below the folder `url`; a path without a protocol is local, whatever it contains.

    Parameters
    ----------
    url
        A local path, or ``protocol://path``.
    options
        What fsspec's filesystem of that protocol takes.

    Raises
    ------
    ValueError
        When nothing here speaks the protocol.
    TypeError
        When the filesystem has no such option.
    """
    path = os.fspath(url)
    protocol, rest = _protocol(path)
    if protocol not in _ADAPTERS:
        known = ", ".join(sorted(_ADAPTERS))
        raise ValueError(f"cannot keep a store at {path!r}: no adapter for {protocol!r}; known: {known}")
    if unknown := sorted(options.keys() - _OPTIONS.get(protocol, set())):
        raise TypeError(f"no option {', '.join(map(repr, unknown))} for a store at {path!r}")
    module, name = _ADAPTERS[protocol]
    files: Files = getattr(importlib.import_module(module), name)(rest, **options)
    return files


def split(url: str) -> tuple[str, str]:
    """Return a URL's folder and the name in it: ``("s3://b/churn", "project.json")``."""
    protocol, rest = _protocol(url)
    if protocol in {"file", "local"}:
        return os.path.split(os.path.abspath(rest))
    folder, _, name = rest.rstrip("/").rpartition("/")
    return url[: len(url) - len(rest)].lower() + folder, name


def _protocol(url: str) -> tuple[str, str]:
    match = _PROTOCOL.match(url)
    return (match[1].lower(), url[match.end() :]) if match else ("file", os.path.expanduser(url))
