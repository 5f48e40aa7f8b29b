"""Commands that bring data in and out: export, import, merge, sync, sql."""

from typing import TYPE_CHECKING, Annotated

import typer

from lazytrack.cli import given
from lazytrack.cli.failing import DAMAGED, USAGE, Failure
from lazytrack.cli.output import note, say, show_rows, size

if TYPE_CHECKING:
    from lazytrack.exchange.foreign import Imported

app = typer.Typer(rich_markup_mode=None)
Target = Annotated[
    str, typer.Option("--project", "-p", help="Path or URL of the project; it is begun where there is none.")
]
_MOST = 3
"""Of each kind of thing that is left out, so many are named."""


@app.command()
def export(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="Experiments: slugs, beginnings of them, or names.", show_default="all of them"),
    ] = None,
    project: given.ProjectPath = None,
    *,
    output: Annotated[str, typer.Option("--output", "-o", help="A file or URL that ends in .json or .zip.")],
    artifacts: Annotated[
        bool | None,
        typer.Option(
            "--artifacts/--no-artifacts",
            help="With the files of artifacts, or without.",
            show_default="with them in .zip, without in .json",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take the place of an earlier export.")] = False,
) -> None:
    """Write a project as one file, which every command reads as a project: -p FILE, over HTTP too."""
    opened = given.open_project(project)
    slugs = [given.experiment_of(opened, each).slug for each in what] if what else None
    done = opened.export(output, slugs=slugs, artifacts=artifacts, overwrite=overwrite)
    note(f"{done.fpath}: {done.experiments} experiments, {done.files} files, {size(done.size)}")
    if done.left_out:
        for path, why in done.left_out.items():
            note(f"left out {path}: {why}")
        raise typer.Exit(DAMAGED)


@app.command(name="import")
def import_(
    kind: Annotated[str, typer.Argument(help="mlflow, lazyscribe or tango.")],
    source: Annotated[
        str,
        typer.Argument(
            help="A folder mlruns, a sqlite database, the JSON file of a project or repository, or a workspace."
        ),
    ],
    project: Target,
    *,
    repository: Annotated[
        str | None,
        typer.Option("--repository", "-r", help="Path or URL of the repository that registered models go to."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Fetch artifacts from outside of the source, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would come, and what not.")] = False,
) -> None:
    """Take over what another tracker has kept: again, too, which brings what is new there. Nothing of it is run."""
    from lazytrack.exchange.foreign import KINDS
    from lazytrack.repository import Repository
    from lazytrack.tracking import Project

    if kind not in KINDS:
        raise Failure(f"cannot import {kind!r}; known: {', '.join(KINDS)}", USAGE)
    into = None if repository is None else Repository(repository)
    _tell(Project(project).import_from(kind, source, repository=into, follow=follow, dry_run=dry_run))


def _tell(done: "Imported") -> None:
    would = "would be " if done.dry_run else ""
    news = [
        f"{done.experiments} experiments",
        f"{done.points} points",
        f"{done.artifacts} artifacts, {size(done.size)}",
    ]
    if done.versions:
        news.insert(1, f"{done.versions} versions")
    say(f"{would}imported: {', '.join(news)}")
    for count, what in (
        (done.updated, "have changed since they were imported, and {}updated"),
        (done.unchanged, "are here already"),
        (done.deleted, "were deleted here, and stay so"),
    ):
        if count:
            say(f"{count} {what.format(would or 'were ')}")
    for kind, which in done.left_out.items():
        more = f", and {len(which) - _MOST} more" if len(which) > _MOST else ""
        say(f"no place here: {kind}: {', '.join(which[:_MOST])}{more}")


@app.command()
def sync(
    source: Annotated[str, typer.Argument(help="A project or a repository: path or URL.")],
    target: Annotated[str, typer.Argument(help="Where its copy is, or is to be: path or URL.")],
    *,
    repository: Annotated[
        bool, typer.Option("--repository", help="The repository there, rather than the project.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what is there already, too, and compare digests.")
    ] = False,
) -> None:
    """Copy what is missing, whole files in a safe order: to be repeated, and interrupted, as often as one likes."""
    opened = given.open_repository(source) if repository else given.open_project(source)
    done = opened.sync(target, verify=verify)
    note(f"{target}: {done.files} files copied, {size(done.size)}; {done.present} were there already")
    if done.problems:
        for path, why in done.problems.items():
            note(f"{path} {why}")
        raise typer.Exit(DAMAGED)


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help='Such as "select slug, metrics.auc from experiments order by metrics.auc desc".')
    ],
    project: given.ProjectPath = None,
    *,
    precision: given.Precision = 5,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Ask in SQL: the tables are experiments, parameters, metrics, tags, artifacts, steps, history."""
    from lazytrack import extras

    shape = given.Shape(json=as_json, csv=as_csv, md=as_md, precision=precision, whole=True)
    found = given.open_project(project).sql(query)
    try:
        fetched = found.fetchall()
    except extras.load("duckdb").Error as error:  # it is found when it is asked for, and a value may be no number
        raise Failure(str(error), USAGE) from error
    rows = [dict(zip(found.columns, row, strict=True)) for row in fetched]
    show_rows(rows, shape, columns=found.columns, more="" if rows else "nothing is found")


@app.command()
def merge(
    sources: Annotated[list[str], typer.Argument(help="Projects and exports: paths or URLs.")],
    project: Target,
) -> None:
    """Add what other projects and exports hold to a project: of each field the newest value wins."""
    from lazytrack.tracking import Project

    target = Project(project)
    before = len(target) if target.exists else 0
    merged = target.merge(*(given.open_project(source) for source in sources))
    merged.save()
    note(f"{merged.fpath}: {len(merged)} experiments, {len(merged) - before} of them new")
