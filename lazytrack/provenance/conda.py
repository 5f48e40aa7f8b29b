"""The conda environment of this process, as the files in it tell, without conda."""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lazytrack.provenance import probing, redact

_PARTS = 3
"""A package's file is called by name, version and build."""
_TOKEN = re.compile(r"(?<=[^/])/t/[A-Za-z0-9-]+(?=/)")
_USERINFO = re.compile(r"(?<=://)[^/@]*@")


def folder() -> Path | None:
    """Return where the packages of the environment have a file each; None outside of any."""
    for prefix in (sys.prefix, os.environ.get("CONDA_PREFIX")):
        if prefix and (found := Path(prefix) / "conda-meta").is_dir():
            return found
    return None


def packages() -> list[tuple[str, str, str]] | None:
    """Return name, version and build of each package of the environment, as its files are called."""
    if (found := folder()) is None:
        return None
    parts = [path.stem.rsplit("-", 2) for path in found.glob("*.json")]
    return sorted((part[0], part[1], part[2]) for part in parts if len(part) == _PARTS)


def urls() -> list[str] | None:
    """Return what ``conda list --explicit`` says: where each package is from, after those that it needs.

    As there, a package without a URL is left out, and so are tokens and passwords.
    """
    if (found := folder()) is None:
        return None
    told = {}
    for path in sorted(found.glob("*.json")):
        said = probing.ask(path.name, lambda path=path: json.loads(path.read_bytes()))  # type: ignore[misc]
        if isinstance(said, dict) and isinstance(said.get("name"), str):
            told[said["name"]] = said
    placed: dict[str, None] = {}
    for name in told:
        if name not in placed:
            _place(name, told, placed)
    listed = (told[name].get("url") for name in placed)
    return [_without_credentials(url) for url in listed if isinstance(url, str) and "://" in url]


def _place(name: str, told: Mapping[str, dict[str, Any]], placed: dict[str, None]) -> None:
    """Place a package after those that it needs; of two that need each other, one has to be first."""
    waiting: list[tuple[str, Iterator[str]]] = [(name, _needs(told[name]))]
    begun = {name}
    while waiting:
        name, needs = waiting[-1]
        needed = next((each for each in needs if each in told and each not in placed and each not in begun), None)
        if needed is None:
            placed[name] = None
            waiting.pop()
        else:
            begun.add(needed)
            waiting.append((needed, _needs(told[needed])))


def _needs(said: Mapping[str, Any]) -> Iterator[str]:
    depends = said.get("depends")
    words = (each.split() for each in (depends if isinstance(depends, list) else []) if isinstance(each, str))
    return (each[0] for each in words if each)


def _without_credentials(url: str) -> str:
    return redact.redact_url(_USERINFO.sub("", _TOKEN.sub("", url)))
