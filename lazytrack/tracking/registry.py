"""Projects by name, for experiments that depend on experiments of other projects."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from lazytrack.files import split
from lazytrack.tracking.owner import Owner

if TYPE_CHECKING:
    from lazytrack.tracking.project import Project


@attrs.define
class Registry:
    """Projects that can be referred to by a name, wherever they are.

    Parameters
    ----------
    projects
        Those it knows, by name.
    """

    projects: "dict[str, Project]" = attrs.Factory(dict)

    def add_project(self, name: str, project: "Project") -> None:
        """Register a project; one that has the name already is replaced.

        Raises
        ------
        ValueError
            When the name is empty or could be taken for a path.
        TypeError
            When it is no project.
        """
        if not isinstance(project, Owner):
            raise TypeError(f"only a Project can be registered, not {type(project).__name__}")
        if not name or name.endswith(".json"):
            raise ValueError(f"{name!r} cannot be the name of a project: give a word that is no path of one")
        self.projects[name] = project

    def search(self, fpath: "str | os.PathLike[str]") -> str | None:
        """Return the name of the project at a path, None where there is none."""
        path = os.fspath(fpath)
        if not path.endswith(".json"):
            path = f"{path.rstrip('/')}/project.json"
        location = "/".join(split(path))
        return next((name for name, project in self.projects.items() if project.location == location), None)

    def __getitem__(self, name: str) -> "Project":
        try:
            return self.projects[name]
        except KeyError:
            known = ", ".join(map(repr, self.projects)) or "none"
            raise KeyError(f"no project {name!r} is registered; known: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self.projects

    def __iter__(self) -> Iterator[str]:
        return iter(self.projects)

    def __len__(self) -> int:
        return len(self.projects)


registry = Registry()
"""The registry that dependencies are looked up in."""
