"""A recipe in the making, and where things are while a run is brought back."""

import posixpath

import attrs

HIDDEN = "***"
"""What stands where a secret was."""
CHECKOUT = "reproduced"
VENV = "../environment"
"""Beside the checkout, which stays as it was."""
PYTHON = f"{VENV}/bin/python"


@attrs.define(eq=False)
class Draft:
    """A recipe in the making: see `Recipe`."""

    commands: list[str] = attrs.Factory(list)
    obstacles: list[str] = attrs.Factory(list)
    notes: list[str] = attrs.Factory(list)


def way(folder: str, path: str) -> str:
    """Return the way from a folder to a path, both told from the top of the new checkout.

    It begins at the root: the working folder of who reads the recipe must not get into it.
    """
    top = f"/brought/back/{CHECKOUT}"
    return posixpath.relpath(posixpath.join(top, path), posixpath.join(top, folder))
