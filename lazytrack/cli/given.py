"""What the command line is given: which project, which experiment, which version, and how to show it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from lazytrack.cli.failing import NOT_THERE, USAGE, Failure

if TYPE_CHECKING:
    from lazytrack.post_execution import PipelineRunView, StepView
    from lazytrack.repository import Repository
    from lazytrack.tracking import Experiment, Project

ProjectPath = Annotated[
    str | None,
    typer.Option(
        "--project", "-p", help="Path or URL of the project.", envvar="LAZYTRACK_PROJECT", show_default="this folder's"
    ),
]
RepositoryPath = Annotated[
    str | None,
    typer.Option(
        "--repository",
        "-r",
        help="Path or URL of the repository.",
        envvar="LAZYTRACK_REPOSITORY",
        show_default="this folder's",
    ),
]
Slug = Annotated[str, typer.Argument(help="An experiment: its slug, a beginning of it, or its name for the newest.")]
Slugs = Annotated[list[str], typer.Argument(help="Experiments: slugs, beginnings of them, or names for the newest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Show it as JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Show it as CSV.")]
AsMarkdown = Annotated[bool, typer.Option("--md", help="Show it as a Markdown table.")]
Sort = Annotated[list[str] | None, typer.Option("--sort", help="Column to sort by; may be given again.")]
Descending = Annotated[bool, typer.Option("--desc", help="Sort from the greatest to the least.")]
Keep = Annotated[list[str] | None, typer.Option("--keep", help="Columns to show, as patterns such as 'metrics.*'.")]
Drop = Annotated[list[str] | None, typer.Option("--drop", help="Columns to leave out, as patterns.")]
OnlyChanged = Annotated[bool, typer.Option("--only-changed", help="Leave out columns that are the same everywhere.")]
Precision = Annotated[int, typer.Option("--precision", help="Significant digits of numbers.", min=1, max=17)]
Expression = Annotated[
    str | None, typer.Option("--where", help="Which to show, as \"metrics.auc > 0.9 and 'prod' in tags\".")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


_HEAD_BYTES = 10_000
"""A file that says what a store is, is smaller."""


@attrs.frozen(kw_only=True)
class Shape:
    """How rows are to be shown.

    Parameters
    ----------
    json, csv, md
        As what; none of them is a table for people.
    keep, drop
        Patterns of columns.
    only_changed
        Whether columns are left out that are the same everywhere.
    precision
        Significant digits of numbers, in a table for people.
    whole
        Whether a narrow terminal shows all columns, in more lines, rather than some.
    """

    json: bool = False
    csv: bool = False
    md: bool = False
    keep: list[str] | None = None
    drop: list[str] | None = None
    only_changed: bool = False
    precision: int = 5
    whole: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse two shapes at once."""
        given = [f"--{name}" for name in ("json", "csv", "md") if getattr(self, name)]
        if len(given) > 1:
            raise Failure(f"{' and '.join(given)} go not together", USAGE)

    @property
    def is_for_people(self) -> bool:
        """Whether it is none that other programs read."""
        return not (self.json or self.csv or self.md)


def open_project(path: str | None, mode: str = "r") -> "Project":
    """Open a project that is there; with none given that of the working folder.

    Raises
    ------
    Failure
        When there is none.
    """
    from lazytrack.tracking import Project

    where = path or _here("project")
    project = Project(where, mode=mode) if mode != "r" else _quietly(lambda: Project(where, mode="r"))
    if not project.exists:
        raise Failure(
            f"there is no project at {project.fpath}: name one with -p or LAZYTRACK_PROJECT, or begin one with "
            "lazytrack init" + _beside(project.dir),
            NOT_THERE,
        )
    return project


def open_repository(path: str | None, mode: str = "r") -> "Repository":
    """Open a repository that is there; with none given that of the working folder.

    Raises
    ------
    Failure
        When there is none.
    """
    from lazytrack.repository import Repository

    where = path or _here("repository")
    repository: Repository = _quietly(lambda: Repository(where, mode=mode))
    if not repository.exists:
        raise Failure(
            f"there is no repository at {repository.fpath}: name one with -r or LAZYTRACK_REPOSITORY, or begin one "
            "with lazytrack init --repository",
            NOT_THERE,
        )
    return repository


def _beside(folder: str) -> str:
    """Return what to say where a project was looked for, and a repository is."""
    from lazytrack.files import open_files

    try:
        is_there = "repository.json" in open_files(folder).names("")
    except OSError:  # that nothing is there is said anyway
        return ""
    return f"; in {folder} is a repository, which some commands take with --repository" if is_there else ""


def _here(kind: str) -> str:
    """Return the store of the working folder: the one that is called as usual, or the only one."""
    usual = f"{kind}.json"
    if os.path.exists(usual):  # noqa: PTH110  (paths are strings here)
        return usual
    found = [str(path) for path in sorted(Path().glob("*.json")) if _is(path, kind)]
    if len(found) > 1:
        raise Failure(f"there are several {kind} files here, {', '.join(found)}: say which with -{kind[0]}", USAGE)
    return found[0] if found else usual


def _is(path: Path, kind: str) -> bool:
    from lazytrack import codec

    try:
        document = codec.loads(path.read_bytes()) if path.stat().st_size < _HEAD_BYTES else None
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("kind") == kind


def _quietly(opened: Any) -> Any:
    import warnings

    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return opened()


def find(project: "Project", what: str) -> "Experiment | PipelineRunView | StepView":
    """Return what is meant by a slug, a name of a run, or a run and a step, as ``run/step``.

    Raises
    ------
    KeyError
        When there is none.
    """
    from lazytrack.post_execution.pipeline import run_of

    experiment, step = within(project, what)
    run = run_of(project, experiment.slug)
    if step and run is None:
        raise KeyError(f"{experiment.slug} is no run, and has no step {step!r}")
    if run is None:
        return experiment
    return run.get_step(step) if step else run


def within(project: "Project", what: str) -> "tuple[Experiment, str]":
    """Return the experiment that is meant, and what of it, behind the first slash that is not in its name.

    Raises
    ------
    KeyError
        When there is no such experiment.
    """
    try:
        return experiment_of(project, what), ""
    except KeyError:
        name, slash, rest = what.partition("/")
        if not slash:
            raise
        return experiment_of(project, name), rest


def experiment_of(project: "Project", what: str) -> "Experiment":
    """Return the experiment of a slug, a beginning of it, a short slug, or a name, which mean the newest.

    Raises
    ------
    KeyError
        When there is none.
    """
    try:
        return project[what]
    except KeyError:
        named = project.search(f"name == {what!r}", descending=True, limit=1)
        if not named:
            raise
        return project[named[0]["slug"]]


def version_of(repository: "Repository", selector: str) -> tuple[str, int]:
    """Return the artifact that a selector means, and the number of the version.

    Such as ``model``, the newest, ``model:v3``, ``model:champion``, ``model@2026-11-20T08:00``.

    Raises
    ------
    Failure
        When it is none, or there is no such artifact.
    VersionNotFoundError
        When there is no such version.
    """
    name, version, match = (selector, None, "exact") if selector in repository else parts(selector)
    check_artifact(repository, name)
    return name, int(repository.get_artifact_metadata(name, version=version, match=match)["version"])


def artifacts_in(repository: "Repository") -> list[str]:
    """Return the names of the artifacts of a repository, in order."""
    return sorted({artifact.name for artifact in repository.artifacts})


def check_artifact(repository: "Repository", name: str) -> None:
    """Refuse the name of an artifact that is not there.

    Raises
    ------
    Failure
        Which says what is there.
    """
    if name not in repository:
        known = ", ".join(artifacts_in(repository)) or "none"
        raise Failure(f"no artifact {name!r} in {repository.fpath}; known: {known}", NOT_THERE)


def parts(selector: str) -> tuple[str, int | str | None, str]:
    """Return the name, version and match that a selector says.

    Raises
    ------
    Failure
        When it is none.
    """
    name, at, time = selector.rpartition("@")
    if at:
        if not (name and time):
            raise Failure(f"{selector!r} is no artifact at a time: write such as model@2026-11-20T08:00", USAGE)
        return name, time, "asof"
    name, colon, version = selector.rpartition(":")
    if not colon:
        return selector, None, "exact"
    if not (name and version):
        raise Failure(f"{selector!r} is no version: write such as model:v3 or model:champion", USAGE)
    number = version.removeprefix("v")
    return name, int(number) if number.isascii() and number.isdecimal() else version, "exact"
