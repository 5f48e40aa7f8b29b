"""Commands on runs: steps, lineage, cache."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lazytrack.cli import given
from lazytrack.cli.failing import USAGE, Failure
from lazytrack.cli.output import Row, json_text, note, say, show_rows, sorted_rows

if TYPE_CHECKING:
    from lazytrack.repository import Repository
    from lazytrack.tracking import Project

app = typer.Typer(rich_markup_mode=None)
cache = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_FORMATS = ("mermaid", "dot", "svg", "json")
_SUFFIXES = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".json": "json", ".mmd": "mermaid", ".md": "mermaid"}


@app.command()
def steps(
    what: Annotated[str, typer.Argument(help="A run, or an experiment with steps.")],
    project: given.ProjectPath = None,
    *,
    where: given.Expression = None,
    sort: given.Sort = None,
    desc: given.Descending = False,
    keep: given.Keep = None,
    drop: given.Drop = None,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """List the steps of a run, or those that a script has recorded, in the order in which they began."""
    from lazytrack.tracking.where import Where, looker

    found = given.find(given.open_project(project), what)
    if not hasattr(found, "steps"):
        raise Failure(f"{what} is a step: lazytrack show {what}", USAGE)
    rows = [_row(step) for step in found.steps]
    if where is not None:
        expression = Where(where)
        rows = [row for row in rows if expression(looker(row))]
    rows = sorted_rows(rows, sort, descending=desc)
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md, keep=keep, drop=drop)
    show_rows(rows, shape, more="" if rows else f"{what} has no steps")


def _row(step: Any) -> Row:
    is_view = hasattr(step, "entrypoint_name")
    end, start = step.end_time, step.start_time
    row: Row = {
        "step": step.name if is_view else step.step_name,
        "status": str(step.status if is_view else step.state),
        "began": start,
        "seconds": None if end is None or start is None else round((end - start).total_seconds(), 3),
    }
    if is_view:
        row |= {"attempts": len(step.attempts) + (start is not None), "outputs": [*step.outputs]}
        row["original"] = None if step.original is None else step.original.id
    error = (step.error or "").rstrip().rpartition("\n")[2]
    return row | ({"error": error} if error else {}) | ({"stale": True} if step.stale else {})


@app.command()
def lineage(
    what: Annotated[str, typer.Argument(help="A run, a step as run/step, or an artifact as run/step.output.")],
    project: given.ProjectPath = None,
    *,
    up: Annotated[int | None, typer.Option("--up", help="How many steps back; all by default.", min=0)] = None,
    down: Annotated[int | None, typer.Option("--down", help="How many steps on; all by default.", min=0)] = None,
    repository: Annotated[
        list[str] | None,
        typer.Option(
            "--repository", "-r", help="A repository that artifacts were promoted to.", envvar="LAZYTRACK_REPOSITORY"
        ),
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help="mermaid, dot, svg or json; by default a tree.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to write it to, by its suffix.")] = None,
) -> None:
    """Show what something comes of and what comes of it, across runs, repositories and promotions."""
    from lazytrack.post_execution.tracing import trace

    if form is None and output is not None:
        form = _SUFFIXES.get(output.suffix)
        if form is None:
            raise Failure(f"{output}: write one of {', '.join(_SUFFIXES)}, or say --format", USAGE)
    if form is not None and form not in _FORMATS:
        raise Failure(f"no format {form!r}; known: {', '.join(_FORMATS)}", USAGE)
    opened = given.open_project(project)
    repositories = [given.open_repository(each) for each in repository or ()]
    graph = trace(opened, _start(opened, what, repositories), up=up, down=down, repositories=repositories)
    drawn = {
        "mermaid": graph.to_mermaid,
        "dot": graph.to_dot,
        "svg": graph.to_svg,
        "json": lambda: json_text(graph.to_json_dict()),
        None: graph.to_text,
    }[form]()
    if output is None:
        say(drawn)
        return
    output.write_text(drawn, encoding="utf-8")
    note(f"{len(graph.nodes)} nodes and {len(graph.edges)} edges in {output}")


def _start(project: "Project", what: str, repositories: "list[Repository]") -> str:
    """Return what is meant as `trace` has it."""
    try:
        experiment, name = given.within(project, what)
    except KeyError:
        for repository in repositories:
            with contextlib.suppress(Failure):
                return "{}:v{}".format(*given.version_of(repository, what))
        raise
    return f"{experiment.slug}/{name}" if name else experiment.slug


@cache.command()
def explain(
    what: Annotated[str, typer.Argument(help="A step, as run/step.")],
    project: given.ProjectPath = None,
    *,
    as_json: given.AsJson = False,
) -> None:
    """Say why a step was run rather than taken from an earlier run, or from where it was taken."""
    found = _step(project, what, "r").explain_cache()
    say(json_text({"step": found.step, "reasons": found.reasons}) if as_json else str(found))


@cache.command("rm")
def remove(
    what: Annotated[str, typer.Argument(help="A step, as run/step.")], project: given.ProjectPath = None
) -> None:
    """Have the outputs of a step taken by no later run; they stay where they are."""
    step = _step(project, what, "a")
    step.clear_cache()
    note(f"the outputs of {step.id} are taken no more")


def _step(project: str | None, what: str, mode: str) -> Any:
    step = given.find(given.open_project(project, mode), what)
    if not hasattr(step, "explain_cache"):
        raise Failure(f"{what} is no step: write run/step, as lazytrack steps {what} lists them", USAGE)
    return step


app.add_typer(cache, name="cache", help="Explain why a step was run, or have its outputs taken no more.")
