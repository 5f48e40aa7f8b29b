"""Commands on where results come from: env, reproduce."""

from typing import Annotated, Any

import typer

from lazytrack.cli import given
from lazytrack.cli.failing import OTHER, Failure
from lazytrack.cli.output import say, show_json, show_record, size

app = typer.Typer(rich_markup_mode=None)
_LONG = ("packages", "lock_files", "conda", "sources")


@app.command()
def env(
    what: Annotated[str, typer.Argument(help="An experiment or a run.")],
    other: Annotated[str | None, typer.Argument(help="Another one, to say what differs.")] = None,
    project: given.ProjectPath = None,
    *,
    packages: Annotated[bool, typer.Option("--packages", help="List the packages, too.")] = False,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Show the machine, the environment and the checkout that a result comes from, or what differs between two."""
    import attrs

    from lazytrack import codec
    from lazytrack.provenance import env_diff

    shape = given.Shape(json=as_json, csv=as_csv, md=as_md)
    opened = given.open_project(project)
    first = given.experiment_of(opened, what)
    if other is not None:
        found = env_diff(first, given.experiment_of(opened, other))
        if not shape.is_for_people:
            show_record(attrs.asdict(found), shape)
        else:
            say(str(found))
        return
    if first.platform is None and first.environment is None:
        raise Failure(f"{first.slug} does not say where it comes from: nothing was recorded", OTHER)
    said: dict[str, Any] = {
        "platform": codec.converter.unstructure(first.platform),
        "environment": codec.converter.unstructure(first.environment),
    }
    environment = {name: value for name, value in (said["environment"] or {}).items() if value not in (None, [], {})}
    git = environment.pop("git", None) or {}
    found_packages = dict(environment.get("packages") or [])
    short = {name: value for name, value in environment.items() if name not in _LONG}
    short["packages"] = len(found_packages)
    platform = {name: value for name, value in (said["platform"] or {}).items() if value not in (None, [])}
    platform |= {name: size(platform[name]) for name in ("memory", "usable_memory") if name in platform}
    shown = {
        "platform": platform,
        "environment": short,
        "git": {name: value for name, value in git.items() if value is not None},
        "packages": found_packages if packages else {},
    }
    show_record(said, shape, shown)


@app.command()
def reproduce(what: given.Slug, project: given.ProjectPath = None, *, as_json: given.AsJson = False) -> None:
    """Print the commands that bring a run back, as a script for a POSIX shell; it stops where something is lacking."""
    import attrs

    opened = given.open_project(project)
    recipe = opened.reproduce(given.experiment_of(opened, what).slug)
    if as_json:
        show_json(attrs.asdict(recipe))
    else:
        say(str(recipe))
