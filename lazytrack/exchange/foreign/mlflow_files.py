"""MLflow's file store: the folder ``mlruns``, with a file for each parameter, metric and tag."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from lazytrack import extras
from lazytrack.exchange.foreign.draft import is_of_one
from lazytrack.exchange.foreign.mlflow_sqlite import SUFFIXES, is_database
from lazytrack.exchange.foreign.mlflow_store import DELETED, Details, Experiment, LoggedModel, Registered, Run, Version
from lazytrack.files import Files, Stat, protocol
from lazytrack.series import Columns

_Made = TypeVar("_Made")
_META = "meta.yaml"
_TRASH = ".trash"
_BROKEN = "files that cannot be read"
_OTHER_IDS = {"run_id", "run_uuid", "model_id"}
"""What a ``meta.yaml`` says that is of no experiment."""
_LOGGED = ("params", "tags", "metrics")
_HINTS = 3
_STATUSES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}


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
        self.left_out: dict[str, list[str]] = {}
        self._yaml = extras.load("yaml")
        self._tree: dict[str, dict[str, list[str]]] = {}
        """Of each folder that has a ``meta.yaml``: what is in it, by the folder that it is in there."""
        self._artifacts: dict[str, list[tuple[str, Stat]]] = {}
        """The files of each folder of artifacts."""
        self._gone: set[str] = set()
        """What was listed, and then was not there."""
        self._homes: dict[str, list[str]] = {}
        """Of each folder those in it that have a ``meta.yaml``."""
        paths = []
        for path, stat in sorted(root.walk(), key=lambda item: item[0]):
            if (folder := _artifacts_of(path)) is not None:
                self._artifacts.setdefault(folder, []).append((path, stat))
            elif stat.is_link:
                self._leave(path, "it is a link, which may lead anywhere")
            else:
                paths.append(path)
        homes = [path.removesuffix(f"/{_META}") for path in paths if path.endswith(f"/{_META}")]
        known = {*homes}
        for home in homes:
            self._homes.setdefault(home.rpartition("/")[0], []).append(home)
        for path in paths:
            home = path.rpartition("/")[0]
            while home and home not in known:
                home = home.rpartition("/")[0]
            kind, _, rest = path[len(home) + 1 :].partition("/")
            self._tree.setdefault(home, {}).setdefault(kind, []).append(rest)
        texts = self._texts(f"{home}/{_META}" for home in homes)
        self._heads = {home: self._read_head(home, text) for home, text in texts}
        """What each ``meta.yaml`` says that can be read, by its folder."""
        if not any(self._is_group(home) for above in ("", _TRASH) for home in self._homes.get(above, [])):
            raise ValueError(self._refusal(paths))

    def _is_group(self, home: str) -> bool:
        """Tell whether a folder is what MLflow calls an experiment, of which the ``meta.yaml`` may be broken."""
        head = self._heads.get(home, {})
        if "experiment_id" in head or _OTHER_IDS & head.keys():
            return not _OTHER_IDS & head.keys()
        within = [self._heads.get(inside, {}) for inside in self._homes.get(home, [])]
        return any(not said or ("version" not in said and _OTHER_IDS & said.keys()) for said in within)

    def _refusal(self, paths: list[str]) -> str:
        """Return what is said of a folder that is no file store."""
        root = self.root.url
        is_local = protocol(root) == "file"
        databases = [path for path in paths if "/" not in path and path.endswith(SUFFIXES)]
        meant = [f"{root}/{name}" for name in databases if not is_local or is_database(f"{root}/{name}")]
        groups = [home for home, head in self._heads.items() if "experiment_id" in head and self._is_group(home)]
        stores = {home.rpartition("/")[0].removesuffix(f"/{_TRASH}") for home in groups}
        meant += [f"{root}/{folder}" for folder in sorted(stores)]
        said = f"{root} is no file store of MLflow"
        if meant:
            return f"{said}; did you mean {' or '.join(meant[:_HINTS])}?"
        if _META in paths or any(_OTHER_IDS & self._heads.get(home, {}).keys() for home in self._homes.get("", [])):
            return f"{said}; if it is a part of one, name the folder of the whole"
        return f"{said}: " + ("none of its folders is an experiment" if self._homes else f"no {_META} is in it")

    def _read_head(self, home: str, text: str) -> Mapping[str, Any]:
        try:
            said = self._yaml.load(text, Loader=getattr(self._yaml, "CSafeLoader", self._yaml.SafeLoader))
        except (self._yaml.YAMLError, ValueError, RecursionError) as error:  # a time that is none is a ValueError
            self._leave(f"{home}/{_META}", " ".join(str(error).split()))
            return {}
        if not isinstance(said, dict) or not said:
            self._leave(f"{home}/{_META}", "it says nothing")
            return {}
        return said

    def _made(
        self, found: Iterable[tuple[str, Mapping[str, Any]]], make: Callable[[str, Mapping[str, Any]], _Made]
    ) -> Iterator[_Made]:
        """Yield what is made of each head. One that makes no sense is said, and does not stop the others."""
        for home, head in found:
            try:
                yield make(home, head)
            except (KeyError, TypeError, ValueError) as error:
                self._leave(f"{home}/{_META}", f"{type(error).__name__}: {error}")

    def _leave(self, path: str, why: object) -> None:
        self.left_out.setdefault(_BROKEN, []).append(f"{path}: {why}")

    def _texts(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each file that can be read with its text; of a ``meta.yaml`` that is its folder."""
        for path, content in self.root.read_many(paths):
            if not isinstance(content, OSError):
                yield path.removesuffix(f"/{_META}"), content.decode("utf-8", "replace")
            elif not is_of_one(content):
                raise content
            elif isinstance(content, FileNotFoundError):
                self._gone.add(path)
                self._leave(path, "it was removed while this was read")
            else:
                self._leave(path, content.strerror or content)

    def _in(self, folder: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [(home, head) for home in self._homes.get(folder, []) if (head := self._heads.get(home))]

    def experiments(self) -> Iterable[Experiment]:
        """Return the groups of runs."""
        return [
            Experiment(id=home, name=str(head.get("name", home)), stage=str(head.get("lifecycle_stage", "active")))
            for home, head in self._in("")
        ]

    def runs(self) -> Iterable[Run]:
        """Return all runs, oldest first, those of the trash too."""

        def make(home: str, head: Mapping[str, Any]) -> Run:
            status = str(head.get("status"))
            return Run(
                id=str(head.get("run_id") or head["run_uuid"]),
                name=str(head.get("run_name") or head.get("name") or ""),
                experiment=home.rpartition("/")[0],
                user=str(head.get("user_id") or ""),
                status=_STATUSES.get(status, status),
                stage=DELETED if home.startswith(f"{_TRASH}/") else str(head.get("lifecycle_stage", "active")),
                start=_millis(head.get("start_time")),
                end=_millis(head.get("end_time")),
                uri=str(head.get("artifact_uri", "")),
                home=home,
            )

        experiments = [home for above in ("", _TRASH) for home in self._homes.get(above, [])]
        found = [run for experiment in experiments for run in self._made(self._in(experiment), make)]
        found.sort(key=lambda run: (run.home.rpartition("/")[2] != run.id, run.home))
        runs: dict[str, Run] = {}
        for run in found:  # of copies of a run, the folder that is called as it is
            if runs.setdefault(run.id, run) is not run:
                self._leave(f"{run.home}/{_META}", f"it is a copy of the run in {runs[run.id].home}")
        return sorted(runs.values(), key=lambda run: (run.start or 0, run.id))

    def details(self, runs: list[Run]) -> Iterable[Details]:
        """Yield what was logged to each of some runs."""
        homes = [run.home for run in runs]
        wanted = {home: [path for kind in _LOGGED for path in self._paths(home, kind)] for home in homes}
        contents = dict(self._texts(path for paths in wanted.values() for path in paths))
        for home in homes:
            lacking = [path for path in wanted[home] if path not in contents]
            yield Details(
                params=self._section(home, "params", contents),
                tags=self._section(home, "tags", contents),
                metrics=self._metrics(home, contents),
                datasets=len(self._in(f"{home}/inputs")),
                is_whole=not lacking,
                is_gone=not self._gone.isdisjoint(lacking),
            )

    def _metrics(self, home: str, contents: Mapping[str, str]) -> dict[str, Columns]:
        found = {}
        for name, text in self._section(home, "metrics", contents).items():
            try:
                found[name] = _points(text)
            except (ValueError, OverflowError) as error:
                self._leave(f"{home}/metrics/{name}", error)
        return found

    def _paths(self, home: str, kind: str) -> list[str]:
        return [f"{home}/{kind}/{name}" for name in self._tree.get(home, {}).get(kind, [])]

    def _section(self, home: str, kind: str, contents: Mapping[str, str]) -> dict[str, str]:
        start = len(f"{home}/{kind}/")
        return {path[start:]: contents[path] for path in sorted(self._paths(home, kind)) if path in contents}

    def logged_models(self) -> Iterable[LoggedModel]:
        """Return the models that runs have logged."""

        def make(home: str, head: Mapping[str, Any]) -> LoggedModel:
            texts = dict(self._texts([*self._paths(home, "params"), *self._paths(home, "tags")]))
            said = {
                "params": self._section(home, "params", texts),
                "tags": self._section(home, "tags", texts),
                "type": head.get("model_type"),
            }
            return LoggedModel(
                id=str(head["model_id"]),
                name=str(head["name"]),
                run=str(head.get("source_run_id")),
                experiment=home.partition("/")[0],
                uri=str(head.get("artifact_location", "")),
                created=int(head.get("creation_timestamp", 0)),
                said={key: value for key, value in said.items() if value},
                home=home,
            )

        models = [model for experiment, _ in self._in("") for model in self._in(f"{experiment}/models")]
        living = [(home, head) for home, head in models if head.get("lifecycle_stage", "active") != DELETED]
        return [*self._made(living, make)]

    def registered(self) -> Iterable[Registered]:
        """Yield the registered models."""

        def make(home: str, head: Mapping[str, Any]) -> Registered:
            texts = dict(self._texts([*self._paths(home, "tags"), *self._paths(home, "aliases")]))
            said = {"description": head.get("description"), "tags": self._section(home, "tags", texts)}
            return Registered(
                name=str(head["name"]),
                aliases={alias: int(n) for alias, n in self._section(home, "aliases", texts).items()},
                said={key: value for key, value in said.items() if value},
                versions=sorted(self._made(self._in(home), self._version), key=lambda version: version.number),
            )

        return self._made(self._in("models"), make)

    def _version(self, home: str, head: Mapping[str, Any]) -> Version:
        tags = self._section(home, "tags", dict(self._texts(self._paths(home, "tags"))))
        said = {"description": head.get("description"), "user_id": head.get("user_id"), "tags": tags}
        return Version(
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


def _millis(said: Any) -> int | None:
    return None if said is None else int(said)


def _points(text: str) -> Columns:
    steps, times, values = [], [], []
    for line in text.splitlines():
        time, value, *rest = line.split()
        steps.append(int(rest[0]) if rest else 0)  # the first releases had none
        times.append(int(time))
        values.append(float(value))
    return Columns(steps, times, values)
