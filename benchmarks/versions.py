"""What versions cost: looking one up among many, and content that is logged again and again."""

import os
from pathlib import Path
from typing import Any

import children
import remote
from clocks import Stopwatch, ratios
from figures import Figure, Result

from lazytrack import Project, Repository

_FEW, _MANY = 10, 1_000
_LOOKS = 200
_EXPERIMENTS = 100
_MEGABYTES = 50


def look_up(work: Path) -> Result:
    """Compare loading the newest of many versions with that of few."""
    few, many = (_repository(work / f"versions-{count}", count) for count in (_FEW, _MANY))
    rounds = [children.call("versions", "look_in_turns", few=few, many=many, number=number) for number in range(9)]
    asked = {
        "the newest": "newest",
        "by number": "number",
        "by alias": "alias",
    }
    figures = [
        Figure(
            what=f"{what}, of {_MANY:,} versions / of {_FEW}, {clock}",
            values=ratios(
                [r["many"][key][clock.lower()] for r in rounds], [r["few"][key][clock.lower()] for r in rounds]
            ),
            at_most=1.3 if (key, clock) == ("newest", "CPU") else None,
        )
        for what, key in asked.items()
        for clock in ("CPU", "wall")
    ]
    return Result(
        how=f"`load_artifact('model')` of a JSON artifact, {_LOOKS} times for each round in a fresh interpreter, in "
        "repositories that were opened and read before, in turns.",
        figures=figures,
    )


def _repository(folder: Path, count: int) -> str:
    repository = Repository(folder)
    for number in range(count):
        repository.log_artifact("model", {"number": number}, "json")
    repository.set_alias("model", "champion", count // 2)
    repository.save()
    return str(folder)


def look_in_turns(few: str, many: str, number: int) -> dict[str, Any]:
    """Load versions of two repositories in turn, and return the seconds of each kind of look-up."""
    repositories = {"few": Repository(few, mode="r"), "many": Repository(many, mode="r")}
    found: dict[str, Any] = {name: {} for name in repositories}
    for key, version in (("newest", None), ("number", 5), ("alias", "champion")):
        for name in repositories if number % 2 else reversed(repositories):
            repository = repositories[name]
            repository.load_artifact("model", version=version)
            watch = Stopwatch()
            with watch:
                for _ in range(_LOOKS):
                    repository.load_artifact("model", version=version)
            found[name][key] = vars(watch)
    return found


def equal_content(work: Path) -> Result:
    """Count what is written when many experiments log the same content."""
    content = os.urandom(_MEGABYTES * 2**20)
    figures = []
    for how in ("one process", "a project opened anew for each"):
        folder = work / f"equal-{how.split()[0]}"
        project = Project(folder)
        for number in range(_EXPERIMENTS):
            if how != "one process":
                project = Project(folder)
            with project.log(f"exp {number}") as exp:
                exp.log_artifact("data", content, "bytes")
            project.save()
        files = [path for path in Path(project.folder, "artifacts").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        figures += [
            Figure(what=f"artifact files, {how}", values=[len(files)], unit="files", at_most=1),
            Figure(what=f"their size / {_MEGABYTES} MB, {how}", values=[size / len(content)], at_most=1),
        ]
        assert all(exp.load_artifact("data") == content for exp in Project(folder, mode="r").experiments[::33])
    with remote.server() as address:
        project = Project("s3://bucket/equal", endpoint_url=address)
        counts = []
        for number in range(_EXPERIMENTS):
            with project.log(f"exp {number}") as exp:
                exp.log_artifact("data", content, "bytes")
            remote.seen(address)
            project.save()
            counts.append(sum(method in {"PUT", "POST"} for method, _ in remote.seen(address)))
        figures += [
            Figure(what="requests that send something to S3, the first save", values=[counts[0]], unit="requests"),
            Figure(what="the same, a later save", values=counts[1:], unit="requests", at_most=1),
        ]
    return Result(
        how=f"{_EXPERIMENTS} experiments with the same {_MEGABYTES} MB (megabytes of 2^20 bytes) as an artifact, one "
        "save each. On a local disk a save writes to a hidden file while it hashes, and removes that where an equal "
        "file is there; to S3 nothing is sent of what is there.",
        figures=figures,
    )
