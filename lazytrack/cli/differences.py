"""The command that says what differs: diff."""

from typing import Annotated

import attrs
import typer

from lazytrack.cli import given
from lazytrack.cli.failing import USAGE, Failure
from lazytrack.cli.output import say, show_json, show_rows

app = typer.Typer(rich_markup_mode=None)


@app.command()
def diff(
    first: Annotated[
        str, typer.Argument(help="An experiment, a run, a step as run/step, or @time for the project then.")
    ],
    second: Annotated[str, typer.Argument(help="Another one; @now for the project as it is.")],
    project: given.ProjectPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Say what differs: parameters, metrics, packages, git, platform, artifacts, and the text of those that have it."""
    from lazytrack.post_execution.differences import diff as differences_of
    from lazytrack.post_execution.differences import diff_of_times

    opened = given.open_project(project)
    if first.startswith("@") != second.startswith("@"):
        raise Failure("two times of a project can be compared, or two of its experiments: give @time twice", USAGE)
    if first.startswith("@"):
        times = [opened if each == "@now" else opened.as_of(each[1:]) for each in (first, second)]
        found = diff_of_times(*times)
    else:
        pair = given.find(opened, first), given.find(opened, second)
        if len({hasattr(each, "entrypoint_name") for each in pair}) > 1:
            raise Failure("a step and an experiment cannot be compared: give two of a kind", USAGE)
        found = differences_of(*pair)
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md)
    if as_json:
        show_json(attrs.asdict(found))
    elif as_csv or as_md:
        pairs = (
            (section, name, pair) for section, found_in in found.sections.items() for name, pair in found_in.items()
        )
        show_rows([{"of": of, "name": name, "first": one, "second": two} for of, name, (one, two) in pairs], shape)
    else:
        say(str(found))
