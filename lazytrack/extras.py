"""Libraries that lazytrack does without until they are asked for, and which extra brings each."""

import importlib
from typing import Any

_EXTRAS = {
    "PIL": "image",
    "distributed": "dask",
    "psutil": "system",
    "pyarrow": "arrow",
    "pynvml": "system",
    "yaml": "mlflow",
}
"""Of those that are not called as their extra is."""


def load(module: str) -> Any:
    """Import a library.

    Raises
    ------
    ModuleNotFoundError
        When it is not installed; the message says which extra brings it.
    """
    top = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in {top, module}:
            raise
        name = _EXTRAS.get(top, top)
        raise ModuleNotFoundError(f"{top} is not installed: pip install 'lazytrack[{name}]'", name=top) from error
