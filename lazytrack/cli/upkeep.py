"""Commands on stores as a whole: init, demo, gc, fsck, pack, doctor."""

import collections
import importlib.util
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lazytrack.cli import given
from lazytrack.cli.failing import DAMAGED, REFUSED, Failure
from lazytrack.cli.output import Row, note, say, show_rows, size

if TYPE_CHECKING:
    from lazytrack.repository import Repository
    from lazytrack.tracking import Project

app = typer.Typer(rich_markup_mode=None)
OfRepository = Annotated[bool, typer.Option("--repository", help="Of a repository, rather than of a project.")]
OrRepository = Annotated[
    str | None, typer.Option("--repository", "-r", help="Path or URL of a repository, instead of a project.")
]
_EXTRAS = {
    "s3": "s3fs",
    "gcs": "gcsfs",
    "azure": "adlfs",
    "sftp": "paramiko",
    "http": "aiohttp",
    "dask": "distributed",
    "numpy": "numpy",
    "pandas": "pandas",
    "polars": "polars",
    "joblib": "joblib",
    "safetensors": "safetensors",
    "onnx": "onnx",
    "matplotlib": "matplotlib",
    "plotly": "plotly",
    "image": "PIL",
    "system": "psutil",
    "arrow": "pyarrow",
    "duckdb": "duckdb",
    "mlflow": "yaml",
}
_MOST = 20
"""Files that are listed."""


def _store(project: str | None, repository: str | None, mode: str) -> "Project | Repository":
    if repository is not None:
        return given.open_repository(repository, mode.replace("a", "w+"))
    return given.open_project(project, mode)


@app.command()
def init(
    path: Annotated[str, typer.Argument(help="A folder, a .json file, or a URL.", show_default="this folder")] = ".",
    *,
    repository: OfRepository = False,
) -> None:
    """Begin a project, or a repository of artifacts; one that is there stays as it is."""
    from lazytrack.repository import Repository
    from lazytrack.tracking import Project

    made = Repository(path) if repository else Project(path)
    if made.exists:
        note(f"there is a {'repository' if repository else 'project'} at {made.fpath} already")
        return
    made.save()
    note(f"begun: {made.fpath.removeprefix('./')}")


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where to; it must not be there.", show_default="lazytrack-demo")
    ] = Path("lazytrack-demo"),
) -> None:
    """Train a few models on made-up data, to see what lazytrack keeps of them and what its commands show."""
    from lazytrack.tracking import Project

    if folder.exists():
        raise Failure(f"{folder} is there already: name another folder", REFUSED)
    with Project(folder) as project:
        for rate in (0.01, 0.1, 0.5):
            with project.log("line", notes="a line through made-up points, by gradient descent") as exp:
                exp.log_parameters({"rate": rate, "steps": 60})
                weights = _fitted(exp, rate)
                exp.log_artifact("weights", weights, "json")
                exp.tag("demo", "good" if exp.metrics["loss"] < 1 else "bad")
    note(f"three experiments in {folder}; look at them:")
    best, other = (exp.slug for exp in project.best("loss", 2, minimize=True))
    for command in ("list --sort loss", f"show {best}", f"history {best} loss", f"compare {best} {other}"):
        say(f"  lazytrack {command} -p {folder}")


def _fitted(exp: Any, rate: float) -> dict[str, float]:
    """Fit a line, and log how that goes."""
    points = [(x / 10, 3 * x / 10 - 1 + math.sin(x) / 5) for x in range(20)]
    slope = offset = 0.0
    for step in range(60):
        errors = [(slope * x + offset - y, x) for x, y in points]
        exp.log_metric("loss", sum(e * e for e, _ in errors) / len(errors), step=step)
        slope -= rate * sum(e * x for e, x in errors) / len(errors)
        offset -= rate * sum(e for e, _ in errors) / len(errors)
    return {"slope": slope, "offset": offset}


@app.command()
def gc(
    project: given.ProjectPath = None,
    *,
    repository: OrRepository = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what may go; otherwise it is only listed.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List what must stay, too, and why.")] = False,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Find the files that nobody needs any more, and with --delete delete them; others may log meanwhile."""
    opened = _store(project, repository, "a" if delete else "r")
    found = opened.gc(dry_run=not delete)
    fates = found.files if every else found.going
    rows: list[Row] = [{"path": f.path, "size": f.size, "goes": f.goes, "reason": f.reason} for f in fates]
    done = "deleted" if found.deleted else "may go: --delete deletes them"
    told = f"{len(found.going)} files, {size(found.size)}, {done}" if found.going else "nothing can go"
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md)
    if not shape.is_for_people:
        show_rows(rows, shape)
    elif rows:
        people = [{**row, "size": size(row["size"]), "goes": "goes" if row["goes"] else "stays"} for row in rows]
        show_rows(people if every else people[:_MOST], given.Shape(whole=True))
        if len(rows) > _MOST and not every:
            note(f"and {len(rows) - _MOST} more: --all or --json lists them")
    why = collections.Counter(fate.reason.partition(":")[0] for fate in found.staying)
    stays = ", ".join(f"{count} {reason}" for reason, count in why.most_common(3))
    note("\n".join([*found.obstacles, told, *([f"what stays: {stays}"] if stays and not every else [])]))


@app.command()
def fsck(
    project: given.ProjectPath = None,
    *,
    repository: OrRepository = None,
    repair: Annotated[bool, typer.Option("--repair", help="Do what is safe.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes only, and read no file.")] = False,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Look for damage: missing, altered, torn and foreign files; the exit code is 5 where there is some."""
    import attrs

    from lazytrack.maintenance.checking import Finding

    found = _store(project, repository, "a" if repair else "r").fsck(digests=not quick, repair=repair)
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md)
    if not shape.is_for_people:
        columns = [field.name for field in attrs.fields(Finding)]
        show_rows([attrs.asdict(finding) for finding in found], shape, columns=columns)
    else:
        say(str(found))
    if not found.sound:
        raise typer.Exit(DAMAGED)


@app.command()
def pack(
    project: given.ProjectPath = None,
    *,
    repository: OrRepository = None,
    everything: Annotated[bool, typer.Option("--all", help="Merge all there is into one file.")] = False,
) -> None:
    """Pack many small files of the log into few; who saves does that now and then as it is."""
    opened = _store(project, repository, "a")
    written = opened.pack(everything=everything)
    note(f"written: {', '.join(written)}" if written else "there is nothing to pack")


@app.command()
def doctor(
    project: given.ProjectPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Say what is installed, and whether the project can be read; the exit code is 5 where it is damaged."""
    from lazytrack.artifacts import trust
    from lazytrack.errors import FormatError

    rows: list[Row] = [
        {"what": "lazytrack", "state": version("lazytrack")},
        {"what": "python", "state": f"{platform.python_version()} on {platform.system()}"},
        {"what": "signing keys", "state": f"{trust.count_keys()} held"},
    ]
    for extra, module in _EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        rows.append({"what": f"extra {extra}", "state": _version(module) if there else "not installed"})
    damaged: Mapping[str, str] = {}
    try:
        opened = given.open_project(project)
    except (Failure, FormatError) as error:
        rows.append({"what": "project", "state": str(error)})
        damaged = {"head": str(error)} if isinstance(error, FormatError) else {}
    else:
        damaged = opened.problems
        rows.append({"what": "project", "state": f"{opened.fpath}, {len(opened)} experiments"})
        rows += [{"what": "damaged", "state": f"{name}: {why}"} for name, why in damaged.items()]
    show_rows(rows, given.Shape(json=as_json, csv=as_csv, md=as_md, whole=True))
    if damaged:
        raise typer.Exit(DAMAGED)


def _version(module: str) -> str:
    name = {"PIL": "pillow", "yaml": "pyyaml"}.get(module, module)
    try:
        return version(name)
    except PackageNotFoundError:
        return "installed"
