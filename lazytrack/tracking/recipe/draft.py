"""A recipe in the making, and where things are while a run is brought back."""

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
