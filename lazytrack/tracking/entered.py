"""Which projects are being used in a ``with`` block, the innermost last."""

import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project

_here: "contextvars.ContextVar[tuple[Project, ...]]" = contextvars.ContextVar("lazytrack projects", default=())
_anywhere: "list[Project]" = []
"""Those of all threads: one that was started within a block is in no block of its own."""


def enter(project: "Project") -> None:
    """Take note that a block has begun."""
    _here.set((*_here.get(), project))
    _anywhere.append(project)


def leave(project: "Project") -> None:
    """Take note that the innermost block of a project has ended."""
    here = _here.get()
    if here and here[-1] is project:
        _here.set(here[:-1])
    for place in range(len(_anywhere) - 1, -1, -1):
        if _anywhere[place] is project:
            del _anywhere[place]
            break


def innermost() -> "Project | None":
    """Return the project of the innermost block of this thread or task, else of any; None where there is none."""
    here = _here.get()
    if here:
        return here[-1]
    return _anywhere[-1] if _anywhere else None
