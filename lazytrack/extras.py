"""Libraries that lazytrack does without until they are asked for, and which extra brings each."""

import importlib
from typing import Any

_EXTRAS = {"psutil": "system", "pynvml": "system"}
"""Of those that are not called as their extra is."""


def load(module: str) -> Any:
    """Import a library.

    Raises
    ------
    ModuleNotFoundError
        When it is not installed; the message says which extra brings it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        name = _EXTRAS.get(module, module)
        raise ModuleNotFoundError(f"{module} is not installed: pip install 'lazytrack[{name}]'", name=module) from error
