"""A recipe in the making, and where things are while a run is brought back."""

import posixpath

import attrs

HIDDEN = "***"
"""What stands where a secret was."""
CHECKOUT = "reproduced"
VENV = "../environment"
"""Beside the checkout, which stays as it was."""
PYTHON = f"{VENV}/bin/python"
ELSEWHERE = "../elsewhere"
"""In the place of a working folder outside of the checkout."""


@attrs.define(eq=False)
class Draft:
    """A recipe in the making: see `Recipe`."""

    commands: list[str] = attrs.Factory(list)
    obstacles: list[str] = attrs.Factory(list)
    notes: list[str] = attrs.Factory(list)


def way(folder: str, path: str) -> str:
    """Return the way from a folder to a path, both told from the top of the new checkout; it is never an option.

    Both begin at the root on the way: the working folder of who reads the recipe must not get into it.
    """
    top = f"/brought/back/{CHECKOUT}"
    found = posixpath.relpath(posixpath.join(top, path), posixpath.join(top, folder))
    return f"./{found}" if found.startswith("-") else found
