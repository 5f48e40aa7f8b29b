"""The file that this process runs as its program."""

import os
import sys
import sysconfig
from pathlib import Path

from lazytrack.provenance import launched

_INSTALLED = {"site-packages", "dist-packages"}
_SCHEMES = ("scripts", "purelib", "platlib", "stdlib")


def path() -> Path | None:
    """Return the program's file, with links followed as Python does it to find the modules beside it.

    None where there is none of the user's own: a module that was named by ``-m``, code that was given by ``-c``, a
    notebook, and a program that was installed, such as ``pytest``.
    """
    if (command := launched.current()) is not None:
        return command.program
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    is_module = spec is not None and spec.name != "__main__"  # that is a folder or an archive
    if is_module or not isinstance(file, str) or not Path(file).is_absolute():
        return None  # what is relative was so to a working folder that may be another by now
    found = Path(os.path.realpath(file))
    return None if _is_installed(found) else found


def _is_installed(file: Path) -> bool:
    if not _INSTALLED.isdisjoint(file.parts):
        return True
    user = sysconfig.get_preferred_scheme("user")
    folders = [sysconfig.get_path(name) for name in _SCHEMES] + [sysconfig.get_path("scripts", user)]
    return any(file.is_relative_to(os.path.realpath(folder)) for folder in folders if folder)
