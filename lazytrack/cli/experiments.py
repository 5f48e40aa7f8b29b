"""Commands on experiments: list, show, compare, history, close, delete."""

import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import typer

from lazytrack.cli import given
from lazytrack.cli.failing import NOT_THERE, USAGE, Failure
from lazytrack.cli.output import Row, chosen, console, note, say, show_record, show_rows, size, sorted_rows

if TYPE_CHECKING:
    from lazytrack.tracking import Experiment

app = typer.Typer(rich_markup_mode=None)
_PAGE = 20
_ALWAYS = ("slug", "name", "status", "created_at")
_HEIGHT = 14
"""Lines of a curve."""


@app.command("list")
def list_experiments(
    project: given.ProjectPath = None,
    *,
    where: given.Expression = None,
    sort: given.Sort = None,
    desc: given.Descending = False,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most; 0 for all.", min=0)] = _PAGE,
    keep: given.Keep = None,
    drop: given.Drop = None,
    only_changed: given.OnlyChanged = False,
    precision: given.Precision = 5,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """List experiments, with what they logged; the newest first, unless they are sorted."""
    shape = given.Shape(
        json=as_json, csv=as_csv, md=as_md, keep=keep, drop=drop, only_changed=only_changed, precision=precision
    )
    opened = given.open_project(project)
    if sort:
        table = opened.search(where)
        rows = sorted_rows(list(table), sort, descending=desc)
        total, rows = len(rows), rows[: limit or None]
    else:
        table = opened.search(where, descending=True, limit=limit or None)
        rows, total = list(table), len(table)
        if len(table) == limit:
            total = len(opened) if where is None else len(opened.search(where))
    for row in rows:
        if row["status"] == "running" and opened[row["slug"]].stale:
            row["status"] = "stale"
    if shape.is_for_people and all(_is_told(row["name"], row["slug"]) for row in rows):
        shape = attrs.evolve(shape, drop=[*(shape.drop or ()), "name"])
    columns = [name for name in table.columns if name in _ALWAYS or any(row[name] not in (None, []) for row in rows)]
    more = f"{len(rows)} of {total}: -n 0 shows all" if len(rows) < total else ""
    if not rows:
        more = "no experiment yet" if where is None else "no experiment is so"
    show_rows(rows, shape, columns=columns, more=more)


def _is_told(name: str, slug: str) -> bool:
    """Tell whether a slug says what the name is."""
    return slug.startswith(f"{name}-")


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="An experiment or a run, or a step of one as run/step.")],
    project: given.ProjectPath = None,
    *,
    precision: given.Precision = 6,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Show one experiment, run or step: all that is recorded of it."""
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md, precision=precision)
    opened = given.open_project(project)
    found = given.find(opened, what)
    if hasattr(found, "entrypoint_name"):
        _show_step(found, shape)
        return
    experiment = getattr(found, "experiment", found)
    data = experiment.to_dict()
    say_first = {
        "slug": experiment.slug,
        "name": data["name"],
        "status": "running, and not heard of: its process may be gone" if experiment.stale else data["status"],
        "created": experiment.created_at,
        "updated": experiment.last_updated,
        "author": data["author"],
        "parent": data.get("parent"),
        "tags": data["tags"] or None,
        "notes": data.get("notes"),
    }
    fields: dict[str, Any] = {name: value for name, value in say_first.items() if value is not None}
    fields |= {"parameters": data["parameters"], "metrics": data["metrics"]}
    fields["dependencies"] = {key: experiment.dependencies.reference(key) for key in experiment.dependencies}
    fields["tests"] = {test.name: ", ".join(f"{k}={v}" for k, v in test.metrics.items()) for test in experiment.tests}
    fields["artifacts"] = {each.name: _told_of(each) for each in experiment.artifacts}
    fields["steps"] = {step.step_name or step.unique_id: _state(step) for step in experiment.steps}
    show_record(data | {"stale": experiment.stale}, shape, fields)
    if data.get("error") and shape.is_for_people:
        say(f"\n{data['error'].rstrip()}")


def _told_of(artifact: Any) -> str:
    stored = artifact.stored
    where = "" if stored is None else f", {size(stored.size)}, {stored.path}"
    expiry = "" if artifact.expiry is None else f", expires {artifact.expiry:%Y-%m-%d %H:%M}"
    return f"{artifact.alias}{where}{expiry}"


def _state(step: Any) -> str:
    took = "" if step.duration is None else f", {step.duration.total_seconds():.3g} s"
    return f"{step.state.value}{took}{', stale' if step.stale else ''}"


def _show_step(step: Any, shape: given.Shape) -> None:
    fields: dict[str, Any] = {
        "step": step.id,
        "status": str(step.status),
        "entrypoint": step.spec.source,
        "began": step.start_time,
        "ended": step.end_time,
        "original": None if step.original is None else step.original.id,
        "parameters": step.parameters,
        "inputs": {name: _uris(found) for name, found in step.inputs.items()},
        "outputs": {name: artifact.uri for name, artifact in step.outputs.items()},
        "metadata": {entry.key: entry.value for entry in step.metadata.values()},
        "configuration": {k: v for k, v in step.step_configuration.items() if k not in {"name", "parameters"} and v},
    }
    whole = fields | {"attempts": step.attempts, "error": step.error, "logs": step.logs}
    show_record(whole, shape, {name: value for name, value in fields.items() if value is not None})
    if not shape.is_for_people:
        return
    for heading, text in (("attempts", _attempts(step)), ("error", step.error), ("printed", step.logs)):
        if text:
            say(f"\n{heading}\n{text.rstrip()}")


def _attempts(step: Any) -> str:
    return "\n".join(
        f"{each['status']}, begun {each['start_time']}:\n{each.get('error') or ''}" for each in step.attempts
    )


def _uris(found: Any) -> Any:
    return [_uris(item) for item in found] if isinstance(found, list) else found.uri


@app.command()
def compare(
    what: given.Slugs,
    project: given.ProjectPath = None,
    *,
    keep: given.Keep = None,
    drop: given.Drop = None,
    only_changed: given.OnlyChanged = False,
    precision: given.Precision = 5,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Compare experiments side by side: a line for each thing that was logged, a column for each experiment."""
    from lazytrack.tracking.table import row_of

    opened = given.open_project(project)
    experiments = [given.experiment_of(opened, each) for each in what]
    rows = {experiment.slug: row_of(experiment) for experiment in experiments}
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md, precision=precision)
    names = dict.fromkeys(name for row in rows.values() for name in row if name != "slug")
    picked = chosen(list(rows.values()), given.Shape(keep=keep, drop=drop, only_changed=only_changed), [*names])
    table: list[Row] = [{"": name, **{slug: row.get(name) for slug, row in rows.items()}} for name in picked]
    table = [row for row in table if any(value not in (None, []) for key, value in row.items() if key)]
    show_rows(table, shape, columns=["", *rows], more="" if table else "they are the same")


@app.command()
def history(
    what: given.Slug,
    metric: Annotated[str | None, typer.Argument(help="Which metric; none lists those that have a curve.")] = None,
    project: given.ProjectPath = None,
    *,
    rank: Annotated[
        int | None, typer.Option("--rank", help="Of one process that trained together with others.")
    ] = None,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Show the curve of a metric: drawn for people, its points as JSON, CSV or Markdown."""
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md)
    experiment = given.experiment_of(given.open_project(project), what)
    if metric is None:
        rows = [{"metric": name, **_summary(experiment, name)} for name in experiment.history_names]
        show_rows(rows, shape, more="" if rows else f"{experiment.slug} has no metric with steps")
        return
    if metric not in experiment.history_names:
        known = ", ".join(experiment.history_names) or "none"
        raise Failure(f"{experiment.slug} has no curve of {metric!r}; known: {known}", NOT_THERE)
    points = experiment.history(metric, rank=rank)
    if not points.step:
        raise Failure(f"{experiment.slug} has no points of {metric!r} of rank {rank}", NOT_THERE)
    if not shape.is_for_people:
        columns = zip(points.step, points.time, points.value, points.rank, strict=True)
        show_rows([dict(zip(("step", "time", "value", "rank"), each, strict=True)) for each in columns], shape)
        return
    _draw(metric, points.step, points.value)


def _summary(experiment: "Experiment", name: str) -> Row:
    found = experiment.summary(name)
    return {"count": found.count, "min": found.min, "max": found.max, "last": found.last}


def _draw(metric: str, steps: list[int], values: list[float]) -> None:
    """Draw a curve of characters, as wide as the terminal."""
    points = [(step, value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    if not points:
        note(f"{metric} has no finite value")
        return
    out = console()
    low, high = min(v for _, v in points), max(v for _, v in points)
    first, last = min(s for s, _ in points), max(s for s, _ in points)
    labels = [f"{high:.4g}", f"{low / 2 + high / 2:.4g}", f"{low:.4g}"]
    margin = max(map(len, labels))
    width = max(min(out.width, 120) - margin - 3, 10)
    grid = [[" "] * width for _ in range(_HEIGHT)]
    for step, value in points:
        x = 0 if last == first else round((step - first) / (last - first) * (width - 1))
        y = 0 if high == low else round((high / 2 - value / 2) / (high / 2 - low / 2) * (_HEIGHT - 1))
        grid[y][x] = "*" if (out.encoding or "").lower().replace("-", "") != "utf8" else "•"
    marked = {0: labels[0], _HEIGHT // 2: labels[1], _HEIGHT - 1: labels[2]}
    say(f"{metric}, {len(values)} points, steps {first} to {last}, last {values[-1]:.6g}")
    sys.stdout.writelines(f"{marked.get(n, ''):>{margin}} | {''.join(line).rstrip()}\n" for n, line in enumerate(grid))
    say(f"{'':>{margin}} +{'-' * (width + 1)}")
    say(f"{'':>{margin}}   {first}{last:>{max(width - len(str(first)), 1)}}")


@app.command()
def close(
    what: given.Slug,
    project: given.ProjectPath = None,
    *,
    status: Annotated[str, typer.Option("--status", help="stopped, failed or completed.")] = "stopped",
    force: Annotated[bool, typer.Option("--force", help="Also where it was heard of a short while ago.")] = False,
) -> None:
    """Say of an experiment whose process died that it does not run any more."""
    opened = given.open_project(project, "a")
    slug = given.experiment_of(opened, what).slug
    opened.close(slug, status=status, force=force)
    opened.save()
    note(f"{slug} is {status}")


@app.command()
def delete(what: given.Slugs, project: given.ProjectPath = None, *, yes: given.Yes = False) -> None:
    """Delete experiments, for good; gc deletes their files later."""
    opened = given.open_project(project, "w+")
    slugs = [*dict.fromkeys(given.experiment_of(opened, each).slug for each in what)]
    if not yes and not confirmed(f"Delete {', '.join(slugs)}, for good?"):
        raise Failure("nothing was deleted", USAGE)
    for slug in slugs:
        opened.delete(slug)
    opened.save()
    note(f"deleted: {', '.join(slugs)}")


def confirmed(question: str) -> bool:
    """Ask a question on a terminal; elsewhere the answer is no, and how to say yes is told."""
    if not sys.stdin.isatty():
        note(f"{question} Give --yes: this is no terminal, so nobody can be asked.")
        return False
    return typer.confirm(question)
