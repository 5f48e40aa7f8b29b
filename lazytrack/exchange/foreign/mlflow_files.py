"""MLflow's file store: the folder ``mlruns``, with a file for each parameter, metric and tag."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lazytrack import extras
from lazytrack.exchange.foreign.mlflow_store import DELETED, Details, Experiment, LoggedModel, Registered, Run, Version
from lazytrack.files import Files, Stat
from lazytrack.series import Columns

_META = "meta.yaml"
_TRASH = ".trash/"
_STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


class FileStore:
    """A file store.

    Raises
    ------
    ValueError
        When the folder is none.
    ModuleNotFoundError
        When what reads YAML is not installed.
    """

    def __init__(self, root: Files) -> None:
        self.root = root
        self._yaml = extras.load("yaml")
        self._tree: dict[str, dict[str, list[str]]] = {}
        """Of each folder that has a ``meta.yaml``: what is in it, by the folder that it is in there."""
        self._artifacts: dict[str, list[tuple[str, Stat]]] = {}
        """The files of each folder of artifacts."""
        self._homes: dict[str, list[str]] = {}
        """Of each folder those in it that have a ``meta.yaml``."""
        paths = []
        for path, stat in sorted(root.walk(), key=lambda item: item[0]):
            if (folder := _artifacts_of(path)) is not None:
                self._artifacts.setdefault(folder, []).append((path, stat))
            elif not path.startswith(_TRASH):
                paths.append(path)
        homes = [path.removesuffix(f"/{_META}") for path in paths if path.endswith(f"/{_META}")]
        if not homes:
            raise ValueError(f"{root.url} is no file store of MLflow: no {_META} is in it")
        known = {*homes}
        for home in homes:
            self._homes.setdefault(home.rpartition("/")[0], []).append(home)
        for path in paths:
            home = path.rpartition("/")[0]
            while home and home not in known:
                home = home.rpartition("/")[0]
            kind, _, rest = path[len(home) + 1 :].partition("/")
            self._tree.setdefault(home, {}).setdefault(kind, []).append(rest)
        self._heads = {home: self._read_head(text) for home, text in self._texts(f"{home}/{_META}" for home in homes)}
        """What each ``meta.yaml`` says, by its folder."""

    def _read_head(self, text: str) -> Mapping[str, Any]:
        said = self._yaml.load(text, Loader=getattr(self._yaml, "CSafeLoader", self._yaml.SafeLoader))
        return said if isinstance(said, dict) else {}

    def _texts(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each file with its text; of a ``meta.yaml`` that is its folder."""
        for path, content in self.root.read_many(paths):
            if isinstance(content, OSError):
                raise content
            yield path.removesuffix(f"/{_META}"), content.decode("utf-8", "replace")

    def _in(self, folder: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [(home, self._heads[home]) for home in self._homes.get(folder, [])]

    def experiments(self) -> Iterable[Experiment]:
        """Return the groups of runs."""
        return [
            Experiment(id=home, name=str(head.get("name", home)), stage=str(head.get("lifecycle_stage", "active")))
            for home, head in self._in("")
        ]

    def runs(self) -> Iterable[Run]:
        """Return all runs, oldest first."""
        found = [
            Run(
                id=str(head.get("run_id") or head.get("run_uuid")),
                name=str(head.get("run_name") or head.get("name") or ""),
                experiment=experiment,
                user=str(head.get("user_id") or ""),
                status=_STATUSES.get(head.get("status", 0), str(head.get("status"))),
                stage=str(head.get("lifecycle_stage", "active")),
                start=head.get("start_time"),
                end=head.get("end_time"),
                uri=str(head.get("artifact_uri", "")),
            )
            for experiment, _ in self._in("")
            for home, head in self._in(experiment)
            if "run_id" in head or "run_uuid" in head
        ]
        return sorted(found, key=lambda run: (run.start or 0, run.id))

    def details(self, runs: list[Run]) -> Iterable[Details]:
        """Yield what was logged to each of some runs."""
        homes = [f"{run.experiment}/{run.id}" for run in runs]
        wanted = [path for home in homes for kind in ("params", "tags", "metrics") for path in self._paths(home, kind)]
        contents = dict(self._texts(wanted))
        for home in homes:
            yield Details(
                params=self._section(home, "params", contents),
                tags=self._section(home, "tags", contents),
                metrics={name: _points(text) for name, text in self._section(home, "metrics", contents).items()},
                datasets=len(self._in(f"{home}/inputs")),
            )

    def _paths(self, home: str, kind: str) -> list[str]:
        return [f"{home}/{kind}/{name}" for name in self._tree.get(home, {}).get(kind, [])]

    def _section(self, home: str, kind: str, contents: Mapping[str, str]) -> dict[str, str]:
        start = len(f"{home}/{kind}/")
        return {path[start:]: contents[path] for path in sorted(self._paths(home, kind))}

    def logged_models(self) -> Iterable[LoggedModel]:
        """Return the models that runs have logged."""
        found = []
        models = [found for experiment, _ in self._in("") for found in self._in(f"{experiment}/models")]
        for home, head in models:
            if head.get("lifecycle_stage", "active") != DELETED:
                texts = dict(self._texts([*self._paths(home, "params"), *self._paths(home, "tags")]))
                said = {
                    "params": self._section(home, "params", texts),
                    "tags": self._section(home, "tags", texts),
                    "type": head.get("model_type"),
                }
                found.append(
                    LoggedModel(
                        id=str(head["model_id"]),
                        name=str(head["name"]),
                        run=str(head.get("source_run_id")),
                        experiment=home.partition("/")[0],
                        uri=str(head.get("artifact_location", "")),
                        created=int(head.get("creation_timestamp", 0)),
                        said={key: value for key, value in said.items() if value},
                    )
                )
        return found

    def registered(self) -> Iterable[Registered]:
        """Yield the registered models."""
        for home, head in self._in("models"):
            texts = dict(self._texts([*self._paths(home, "tags"), *self._paths(home, "aliases")]))
            said = {"description": head.get("description"), "tags": self._section(home, "tags", texts)}
            yield Registered(
                name=str(head["name"]),
                aliases={alias: int(n) for alias, n in self._section(home, "aliases", texts).items()},
                said={key: value for key, value in said.items() if value},
                versions=sorted(self._versions(home), key=lambda version: version.number),
            )

    def _versions(self, model: str) -> Iterator[Version]:
        for home, head in self._in(model):
            tags = self._section(home, "tags", dict(self._texts(self._paths(home, "tags"))))
            said = {"description": head.get("description"), "user_id": head.get("user_id"), "tags": tags}
            yield Version(
                number=int(head["version"]),
                created=int(head.get("creation_timestamp") or 0),
                changed=int(head.get("last_updated_timestamp") or 0),
                source=str(head.get("source") or ""),
                where=str(head.get("storage_location") or ""),
                run=str(head.get("run_id") or ""),
                model=str(head.get("model_id") or ""),
                stage=str(head.get("current_stage") or ""),
                said={key: value for key, value in {**said, "stage": head.get("current_stage")}.items() if value},
            )

    def files_in(self, folder: str) -> list[tuple[str, Stat]]:
        """Return the files in a folder of artifacts."""
        return self._artifacts.get(folder, [])


def _artifacts_of(path: str) -> str | None:
    """Return the folder of artifacts that a file is in, of a run or a logged model; None where it is in none."""
    parts = path.split("/")
    place = 3 if parts[1:2] == ["models"] else 2
    if parts[0] == "models" or parts[place : place + 1] != ["artifacts"]:
        return None
    return "/".join(parts[: place + 1])


def _points(text: str) -> Columns:
    steps, times, values = [], [], []
    for line in text.splitlines():
        time, value, *rest = line.split()
        steps.append(int(rest[0]) if rest else 0)  # the first releases had none
        times.append(int(time))
        values.append(float(value))
    return Columns(steps, times, values)
