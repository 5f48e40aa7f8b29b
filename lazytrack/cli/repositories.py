"""Commands on repositories of artifacts: repo, promote, alias, release, expire."""

from typing import Annotated

import typer

from lazytrack.cli import given
from lazytrack.cli.failing import NOT_THERE, USAGE, Failure
from lazytrack.cli.output import Row, note, say, show_record, show_rows

app = typer.Typer(rich_markup_mode=None)
repo = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
release = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Artifact = Annotated[
    str, typer.Argument(help="An artifact: name, name:v3, name:champion, or name@2026-11-20T08:00 for the one of then.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the history.")]


@repo.command("list")
def list_artifacts(
    repository: given.RepositoryPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """List the artifacts of a repository, with their newest versions and aliases."""
    opened = given.open_repository(repository)
    rows: list[Row] = []
    for name in given.artifacts_in(opened):
        newest = opened.versions(name)[-1]
        rows.append(
            {
                "name": name,
                "versions": len(opened.versions(name)),
                "newest": f"v{newest.version}",
                "created_at": newest.created_at,
                "handler": newest.alias,
                "aliases": [f"{each}=v{number}" for each, number in sorted(opened.aliases(name).items())],
            }
        )
    show_rows(rows, given.Shape(json=as_json, csv=as_csv, md=as_md), more="" if rows else "no artifact is there yet")


@repo.command()
def versions(
    name: Annotated[str, typer.Argument(help="Of the artifact.")],
    repository: given.RepositoryPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """List the versions of an artifact, the newest first."""
    opened = given.open_repository(repository)
    meant: dict[int, list[str]] = {}
    for alias, number in opened.aliases(name).items():
        meant.setdefault(number, []).append(alias)
    rows: list[Row] = [
        {
            "version": f"v{artifact.version}",
            "created_at": artifact.created_at,
            "expiry": artifact.expiry,
            "handler": artifact.alias,
            "size": None if artifact.stored is None else artifact.stored.size,
            "aliases": sorted(meant.get(artifact.version, [])),
            "sha256": None if artifact.stored is None else artifact.stored.sha256,
        }
        for artifact in reversed(opened.versions(name))
    ]
    show_rows(rows, given.Shape(json=as_json, csv=as_csv, md=as_md, drop=None if as_json or as_csv else ["sha256"]))


@repo.command("show")
def show_version(
    artifact: Artifact,
    repository: given.RepositoryPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """Show what is known of a version; the artifact is not loaded."""
    opened = given.open_repository(repository)
    name, version = given.version_of(opened, artifact)
    found = opened.get_artifact_metadata(name, version=version)
    if (origin := opened.origin(name, version)) is not None:
        found = {**found, "promoted": origin}
    show_record(found, given.Shape(json=as_json, csv=as_csv, md=as_md))


@repo.command("diff")
def diff_versions(
    first: Artifact,
    second: Annotated[str | None, typer.Argument(help="Another version; by default the newest.")] = None,
    repository: given.RepositoryPath = None,
) -> None:
    """Show what differs between two versions of an artifact that is text."""
    opened = given.open_repository(repository)
    name, version = given.version_of(opened, first)
    other, another = given.version_of(opened, second or name)
    if other != name:
        raise Failure(f"{first} and {second} are not versions of one artifact", USAGE)
    say(opened.get_version_diff(name, (version, another)))


@repo.command()
def history(
    name: Annotated[str, typer.Argument(help="Of the artifact.")],
    repository: given.RepositoryPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """List what became of an artifact: its promotions, and the moves of its aliases, with who, when and why."""
    opened = given.open_repository(repository)
    given.check_artifact(opened, name)
    rows = opened.history(name)
    shape = given.Shape(json=as_json, csv=as_csv, md=as_md, whole=True)
    if not (as_json or as_csv):
        rows = [
            {"at": event["at"], "what": _told(event), "by": event["by"], "why": event.get("reason")} for event in rows
        ]
    show_rows(rows, shape, more="" if rows else "nothing yet")


def _told(event: Row) -> str:
    """Return what became of an artifact, as people say it."""
    if "promoted" in event:
        origin = event["promoted"]
        return f"v{event['version']} promoted from {origin['record']}, {origin['field']} in {origin['project']}"
    before, after = ("nothing" if event[end] is None else f"v{event[end]}" for end in ("from", "to"))
    return f"{event['alias']} means {after}, was {before}"


app.add_typer(repo, name="repo")


@app.command()
def promote(
    what: Annotated[str, typer.Argument(help="An artifact of an experiment, as experiment/artifact.")],
    project: given.ProjectPath = None,
    repository: given.RepositoryPath = None,
    *,
    alias: Annotated[str | None, typer.Option("--alias", help="Have this mean the new version.")] = None,
    reason: Reason = None,
) -> None:
    """Copy an artifact of an experiment to a repository, as its next version; it is not loaded."""
    from lazytrack.repository.versions import check_alias

    if alias is not None:
        check_alias(alias)  # before anything is promoted
    experiment, name = given.within(given.open_project(project), what)
    known = [artifact.name for artifact in experiment.artifacts]
    if not name:
        raise Failure(f"{what!r} is no artifact of an experiment: write such as baseline/model", USAGE)
    if name not in known:
        raise Failure(f"{experiment.slug} has no artifact {name!r}; known: {', '.join(known) or 'none'}", NOT_THERE)
    target = given.open_repository(repository, "w+")
    number = experiment.promote_artifact(target, name)
    if alias is not None:
        target.set_alias(name, alias, number, reason=reason)
        target.save()
    note(f"{name} of {experiment.slug} is v{number} in {target.fpath}" + (f", its {alias}" if alias else ""))


@app.command()
def alias(
    artifact: Artifact,
    name: Annotated[str, typer.Argument(help="The alias, such as champion.")],
    repository: given.RepositoryPath = None,
    *,
    remove: Annotated[bool, typer.Option("--rm", help="Have it mean nothing.")] = False,
    reason: Reason = None,
) -> None:
    """Have an alias mean a version of an artifact, or nothing."""
    opened = given.open_repository(repository, "w+")
    artifact_name, number = given.version_of(opened, artifact)
    if not remove:
        opened.set_alias(artifact_name, name, number, reason=reason)
    elif name in opened.aliases(artifact_name):
        opened.delete_alias(artifact_name, name, reason=reason)
    else:
        known = ", ".join(opened.aliases(artifact_name)) or "none"
        raise Failure(f"{artifact_name} has no alias {name!r}; known: {known}", NOT_THERE)
    opened.save()
    note(f"{name} of {artifact_name} means {'nothing' if remove else f'v{number}'}")


@app.command()
def expire(
    artifact: Artifact,
    when: Annotated[
        str | None, typer.Option("--at", help="A time, or how long from now, as 90d; by default now.")
    ] = None,
    repository: given.RepositoryPath = None,
) -> None:
    """Say from when on a version is not to be used any more; gc deletes it later."""
    opened = given.open_repository(repository, "w+")
    name, number = given.version_of(opened, artifact)
    opened.set_artifact_expiry(name, version=number, expiry=when)
    opened.save()
    note(f"{name}:v{number} expires at {opened.get_artifact_metadata(name, version=number)['expiry']}")


@release.command("create")
def create(
    tag: Annotated[str, typer.Argument(help="What to call it, such as 1.2.0.")],
    repository: given.RepositoryPath = None,
) -> None:
    """Say under a tag that the newest versions of all artifacts belong together; kept in releases.json beside."""
    from lazytrack.release import add_release, create_release

    if not tag.strip():
        raise Failure("the tag is empty: write such as 1.2.0", USAGE)
    opened = given.open_repository(repository)
    made = create_release(opened, tag)
    path = add_release(opened, made)
    note(f"release {tag} of {len(made.artifacts)} artifacts in {path}")


@release.command("list")
def list_releases(
    repository: given.RepositoryPath = None,
    *,
    as_json: given.AsJson = False,
    as_csv: given.AsCsv = False,
    as_md: given.AsMarkdown = False,
) -> None:
    """List the releases of a repository, the newest first."""
    from lazytrack.release import releases_of

    rows: list[Row] = [
        {
            "tag": each.tag,
            "created_at": each.created_at,
            "artifacts": [f"{name}:v{number}" for name, number in each.artifacts],
        }
        for each in reversed(releases_of(given.open_repository(repository)))
    ]
    show_rows(rows, given.Shape(json=as_json, csv=as_csv, md=as_md), more="" if rows else "no release yet")


app.add_typer(release, name="release")
