"""MLflow: what its stores keep, and what becomes of it here."""

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

from lazytrack import naming
from lazytrack.exchange.foreign.draft import UNREADABLE, Draft, Place, drafted, is_of_one, link_to, places_in
from lazytrack.exchange.foreign.mlflow_files import FileStore
from lazytrack.exchange.foreign.mlflow_sqlite import SUFFIXES, Database
from lazytrack.exchange.foreign.mlflow_store import (
    DELETED,
    Backend,
    Details,
    Experiment,
    LoggedModel,
    Registered,
    Run,
    Version,
    is_time,
)
from lazytrack.exchange.foreign.sources import check_folder
from lazytrack.exchange.spelled import read_back
from lazytrack.files import Files, local_copy, open_files, protocol, split
from lazytrack.provenance.redact import redact, redact_url
from lazytrack.series import MAX_STEP, Columns

_STATUS = {"FINISHED": "completed", "FAILED": "failed", "KILLED": "stopped"}
_PARENT, _NOTE, _NAME, _USER = "mlflow.parentRunId", "mlflow.note.content", "mlflow.runName", "mlflow.user"
_COMMIT, _REMOTE, _BRANCH = "mlflow.source.git.commit", "mlflow.source.git.repoURL", "mlflow.source.git.branch"
_REMOTES = {_REMOTE, "mlflow.gitRepoURL"}
_OWN = "mlflow."
"""What the tags begin with that MLflow sets itself."""
_USUAL = "Default"
"""The experiment of runs that belong to none."""
_ROOTS: tuple[list[str], ...] = ([], ["mlruns"], ["mlartifacts"])
"""Where artifacts are beside a store, if not in its own folder."""
_OUTSIDE = "artifacts outside of the folder of the store: follow=True, or --follow, fetches them"
_CHANGING = "runs that were removed while they were read, or changed: another import may find them"
_BETTER_HERE = "runs that stay as they are here, because not all of them can be read"
_NO_TIMES = "what is of a time that is none"
_WEB = {"http", "https"}
_OTHER_DATABASES = {"mssql", "mysql", "oracle", "postgres", "postgresql"}
_LONGEST_TAG = 100
_LIVING_STAGES = {"Staging", "Production"}
_GONE_STAGE = "Deleted_Internal"
_VERSION_URI = re.compile(r"models:/+(?P<name>.+)/(?P<version>\d+)")
_RUN_URI = re.compile(r"runs:/+(?P<id>[^/]+)/(?P<path>.+)")
_MODEL_URI = re.compile(r"models:/+(?P<id>m-[0-9a-z]+)")


@attrs.define
class Importing:
    """One import of a store of MLflow.

    Parameters
    ----------
    backend
        The store.
    is_here
        What tells of a record whether it is in the project that it goes to.
    follow
        Whether artifacts are also fetched from outside the folder of the store.
    dry
        Whether files are only counted.
    options
        For the filesystem of the store.
    """

    backend: Backend
    is_here: Callable[[str], bool]
    follow: bool = False
    dry: bool = False
    options: Mapping[str, Any] = attrs.Factory(dict)
    left_out: dict[str, list[str]] = attrs.Factory(dict)
    _records: dict[str, str] = attrs.Factory(dict)
    """The record of each run that is imported, by the run's id."""
    _folders: dict[str, tuple[Files, str]] = attrs.Factory(dict)
    """Where the artifacts of each of these are."""

    # --- runs ---

    def drafts(self) -> Iterator[Draft]:
        """Yield a draft for each run, parents before their children where MLflow has them so."""
        groups = {experiment.id: experiment for experiment in self.backend.experiments()}
        runs, trashed = [], 0
        for run in self.backend.runs():
            group = groups.get(run.experiment)
            if DELETED in {run.stage, group.stage if group else ""}:
                trashed += 1
            elif not all(is_time(time) for time in (run.start, run.end) if time is not None):
                self.left_out.setdefault(_NO_TIMES, []).append(run.id)
            else:
                runs.append(run)
                self._records[run.id] = _record_of(run)
        models: dict[str, list[LoggedModel]] = {}
        for model in self.backend.logged_models():
            models.setdefault(model.run, []).append(model)
        if trashed:
            self.left_out["runs that were deleted"] = [f"{trashed} of them"]
        for start in range(0, len(runs), 100):
            batch = runs[start : start + 100]
            pairs = zip(batch, self.backend.details(batch), strict=True)
            wanted = (pair for pair in pairs if self._is_wanted(*pair))

            def make(pair: tuple[Run, Details]) -> Draft:
                run, details = pair
                return self._draft(run, details, groups.get(run.experiment), models.get(run.id, []))

            yield from drafted(((pair[0].id, pair) for pair in wanted), make, self.left_out)

    def _is_wanted(self, run: Run, details: Details) -> bool:
        """Tell whether there is something to be made of a run: it is there, and not better here than it is there."""
        if details.is_gone:
            self.left_out.setdefault(_CHANGING, []).append(run.id)
            return False
        if not details.is_whole and self.is_here(_record_of(run)):  # what cannot be read now would be unset here
            self.left_out.setdefault(_BETTER_HERE, []).append(run.id)
            return False
        return True

    def _draft(self, run: Run, details: Details, group: Experiment | None, models: list[LoggedModel]) -> Draft:
        tags = _safe_tags(details.tags)
        times = [int(time) for columns in details.metrics.values() for time in columns.time[-1:]]
        known = [time for time in (run.start, run.end, *times) if time and is_time(time)]
        source: dict[str, Any] = {"from": "mlflow", "id": run.id, "status": run.status, "tags": tags}
        if group is not None:
            source["experiment"] = group.name
        record = _record_of(run)
        draft = Draft(
            record=record,
            by=run.user or tags.get(_USER) or "unknown",
            created_at=_time(run.start or min(known, default=0)),
            changed_at=_time(max(known, default=0)),
            source=source,
            folder=f"{record}/",
            dry=self.dry and not self.is_here(record),
        )
        draft.put("name", run.name or tags.get(_NAME) or run.id)
        draft.put("author", draft.by)
        draft.put("created_at", naming.iso(draft.created_at))
        draft.put("last_updated", naming.iso(draft.changed_at))
        draft.put("status", _STATUS.get(run.status, "running"))
        self._put_tags(draft, tags, group)
        for name, text in details.params.items():
            draft.put(f"parameters.{name}", read_back(text))
        self._put_metrics(draft, details.metrics)
        self._put_artifacts(draft, run, models)
        if details.datasets:
            draft.leave("datasets that runs were given")
        return draft

    def _put_tags(self, draft: Draft, tags: Mapping[str, str], group: Experiment | None) -> None:
        if (note := tags.get(_NOTE)) is not None:
            draft.put("notes", note)
        if (parent := tags.get(_PARENT)) is not None:
            if parent in self._records:
                draft.put("parent", self._records[parent])
            else:
                draft.leave("parents that are not there", parent)
        if (commit := tags.get(_COMMIT)) is not None:
            git = {"commit": commit, "remote": tags.get(_REMOTE), "branch": tags.get(_BRANCH)}
            draft.put("git", {key: value for key, value in git.items() if value is not None})
        if group is not None and group.name != _USUAL:
            draft.put(f"tags.{group.name}", value=True)
        for key, text in tags.items():
            if key.startswith(_OWN):
                continue
            if len(text) > _LONGEST_TAG or "\n" in text:
                draft.leave("tags with long values, which `imported` keeps", key)
            else:
                draft.put(f"tags.{key}" if text.lower() in {"", "true"} else f"tags.{key}={text}", value=True)

    def _put_metrics(self, draft: Draft, metrics: Mapping[str, Columns]) -> None:
        points = {}
        for name, columns in metrics.items():
            kept = columns
            rows = [*zip(columns.step, columns.time, columns.value, strict=True)]
            sound = [row for row in rows if abs(row[0]) <= MAX_STEP and is_time(row[1])]
            if len(sound) < len(rows):
                kept = Columns(*zip(*sound, strict=True)) if sound else Columns()
                draft.leave(f"points at steps beyond {MAX_STEP}, or at times that are none", name)
            points[name] = Columns(kept.step, (time * 1000 for time in kept.time), kept.value)
            if columns:
                draft.put_metric(name, _last(columns))
        draft.put_points(points)

    # --- artifacts ---

    def _put_artifacts(self, draft: Draft, run: Run, models: list[LoggedModel]) -> None:
        found = self._folder_of(run.uri, run.id, draft, run.home)
        taken = set()
        if found is not None:
            self._folders[run.id] = found
            for name, places in _grouped(self._files_in(*found)).items():
                taken.add(name)
                if places[0].name == name:
                    draft.put_file(f"artifacts.{name}", "file", places[0])
                else:
                    draft.put_folder(f"artifacts.{name}", [_within(place, name) for place in places])
        if models:
            draft.source["models"] = {model.id: _safe(model.said) for model in models}
        for model in models:
            where = self._folder_of(model.uri, model.id, draft, model.home)
            places = [] if where is None else self._files_in(*where)
            if places:
                name = model.name if model.name not in taken else f"{model.name}-{model.id}"
                taken.add(name)
                draft.put_folder(f"artifacts.{name}", places, created_at=_time(model.created))

    def _folder_of(self, uri: str, id: str, draft: Draft, home: str = "") -> tuple[Files, str] | None:
        """Return where the files of a run or a model are: in its folder, beside the store, or else where it says.

        A store that was moved still says where they were. What their path has in common with that is its end, from the
        id on at the latest.
        """
        path = urlsplit(uri).path if "://" in uri else uri.removeprefix("mlflow-artifacts:")
        parts = unquote(path).strip("/").split("/") if id in path else []
        ends = [parts[start:] for start in range(parts.index(id) + 1 if id in parts else 0)]
        folders = [f"{home}/artifacts"] if home else []
        folders += ["/".join([*above, *end]) for end in ends for above in _ROOTS]
        found, linked = self._beside(folders, draft)
        if found is not None:
            return self.backend.root, found
        if linked is not None and self.follow:
            return self.backend.root.below(linked), ""
        if linked is not None:
            draft.leave(_OUTSIDE, f"{linked}, where a link leads")
            return None
        if not uri or uri.startswith("mlflow-artifacts:"):
            return None
        is_local = protocol(_plain(uri)) == "file"
        if not self.follow and not is_local:
            draft.leave(_OUTSIDE, redact_url(uri))
            return None
        try:
            files = open_files(_plain(uri), **({} if is_local else self.options))
            if next(iter(files.walk()), None) is None:  # MLflow makes no folder before there is something to put there
                return None
            if not self.follow:
                draft.leave(_OUTSIDE, redact_url(uri))
                return None
        except (OSError, ValueError, ImportError) as error:
            draft.leave(UNREADABLE, redact(f"{redact_url(uri)}: {error}"))
            return None
        return files, ""

    def _beside(self, folders: list[str], draft: Draft) -> tuple[str | None, str | None]:
        """Return the first of these folders of the store that has files, and the first that leads to some by a link."""
        linked = None
        for folder in folders:
            try:
                listed = self.backend.files_in(folder)
                if link_to(folder, listed) is None:
                    if listed:
                        return folder, linked
                elif linked is None and next(iter(self.backend.root.below(folder).walk()), None) is not None:
                    linked = folder
            except NotADirectoryError:  # it is only a guess
                continue
            except OSError as error:
                if not is_of_one(error):
                    raise
                draft.leave(UNREADABLE, f"{folder}: {error.strerror}")
        return None, linked

    def _files_in(self, files: Files, folder: str) -> list[Place]:
        if files is self.backend.root:
            found = self.backend.files_in(folder)
        else:
            found = sorted(files.walk(folder), key=lambda item: item[0])
        return places_in(files, folder, found)

    # --- registered models ---

    def versions(self) -> Iterator[Draft]:
        """Yield a draft for each version of a registered model, and one for what its versions are called."""
        models = {model.id: model for model in self.backend.logged_models()}
        registered = {model.name: model for model in self.backend.registered()}
        for model in registered.values():
            there = [version for version in model.versions if version.stage != _GONE_STAGE]
            sound = [version for version in there if is_time(version.created) and is_time(version.changed)]
            if len(sound) < len(there):
                names = [f"{model.name}/{version.number}" for version in there if version not in sound]
                self.left_out.setdefault(_NO_TIMES, []).extend(names)
                there = sound
            if not there:
                self.left_out.setdefault("registered models without versions", []).append(model.name)
            named = ((f"{model.name}/{version.number}", version) for version in there)
            make = functools.partial(self._version, model, models=models, registered=registered)
            yield from drafted(named, make, self.left_out)
            yield self._aliases(model, there)

    def _version(
        self,
        model: Registered,
        version: Version,
        models: Mapping[str, LoggedModel],
        registered: Mapping[str, Registered],
    ) -> Draft:
        record = f"{naming.safe_part(model.name)}/{version.number}"
        source = {"from": "mlflow", "id": f"{model.name}/{version.number}", "run": version.run, **_safe(version.said)}
        draft = Draft(
            record=record,
            by=str(version.said.get("user_id") or "unknown"),
            created_at=_time(version.created),
            changed_at=_time(max(version.changed, version.created)),
            source={key: value for key, value in source.items() if value},
            folder="",
            dry=self.dry,
        )
        draft.put("name", model.name)
        draft.put("created_at", naming.iso(draft.created_at))
        where = self._source_of(version, models, registered, draft)
        places = [] if where is None else self._files_in_model(*where)
        if not places:
            draft.leave("versions of models without files", redact_url(version.where or version.source))
        draft.put_folder("artifacts." + model.name, places, version=version.number, created_at=draft.created_at)
        if (entry := draft.fields.pop("artifacts." + model.name, None)) is not None:
            draft.fields["artifact"] = entry
        if version.run in self._records:
            draft.source["record"] = self._records[version.run]
        return draft

    def _source_of(
        self,
        version: Version,
        models: Mapping[str, LoggedModel],
        registered: Mapping[str, Registered],
        draft: Draft,
    ) -> tuple[Files, str] | None:
        """Return where the files of a version are, which may be those of a run, of a model, or of another version."""
        uri = version.where or version.source
        if (match := _VERSION_URI.fullmatch(uri)) is not None and match["name"] in registered:
            others = {other.number: other for other in registered[match["name"]].versions}
            if (other := others.get(int(match["version"]))) is not None and other is not version:
                return self._source_of(other, models, registered, draft)
        if (match := _RUN_URI.fullmatch(uri)) is not None:
            files, folder = self._folders.get(match["id"], (None, ""))
            return None if files is None else (files, f"{folder}/{match['path']}".strip("/"))
        match = _MODEL_URI.fullmatch(uri)
        logged = models.get(match["id"] if match else version.model)
        if logged is not None:
            return self._folder_of(logged.uri, logged.id, draft, logged.home)
        if version.run in self._folders:  # a store that has moved still says where it was
            files, folder = self._folders[version.run]
            _, found, inside = _plain(uri).partition(f"/{version.run}/artifacts")
            if found:
                return files, f"{folder}{inside}".strip("/")
        model_id = next((part for part in _plain(uri).split("/") if part in models), None)
        if model_id is not None:
            return self._folder_of(models[model_id].uri, model_id, draft, models[model_id].home)
        return self._folder_of(uri, version.run, draft)

    def _files_in_model(self, files: Files, folder: str) -> list[Place]:
        """Return the files of a model, which may be a part of the artifacts of a run."""
        above, found, _ = folder.rpartition("/artifacts/")
        if files is not self.backend.root or not found:
            return self._files_in(files, folder)
        above = f"{above}/artifacts"
        places = self._files_in(files, above)
        inside = [place for place in places if place.path.startswith(f"{folder}/")]
        inside += [place for place in places if place.is_link and f"{folder}/".startswith(f"{place.path}/")]
        return [attrs.evolve(place, name=place.path[len(folder) + 1 :]) for place in inside]

    def _aliases(self, model: Registered, there: list[Version]) -> Draft:
        changed = _time(max((version.changed for version in there), default=0))
        aliases = dict(model.aliases)
        for version in there:  # a stage is what aliases have come to be for
            if version.stage in _LIVING_STAGES:
                aliases.setdefault(version.stage.lower(), version.number)
        record = f"{naming.safe_part(model.name)}/aliases"
        source = {"from": "mlflow", "id": model.name, **_safe(model.said)}
        draft = Draft(record=record, by="unknown", created_at=changed, changed_at=changed, source=source, folder="")
        if there:
            draft.put("name", model.name)
            numbers = {version.number for version in there}
            for alias, number in aliases.items():
                if number in numbers:
                    draft.put(f"aliases.{alias}", number)
        return draft


def _safe_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags without recognised secrets: MLflow captures some of them by itself, such as the URL of a remote."""
    return {key: redact_url(text) if key in _REMOTES else redact(text) for key, text in tags.items()}


def _safe(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of a model without recognised secrets; parameters are what somebody logged, and stay."""
    found = dict(said)
    if found.get("tags"):
        found["tags"] = _safe_tags(found["tags"])
    if isinstance(text := found.get("description"), str):
        found["description"] = redact(text)
    return found


def _record_of(run: Run) -> str:
    short = naming.slug(run.name, "run")
    return naming.record_slug(short, _time(run.start or 0), naming.tail_of("mlflow", run.id))


def _time(millis: int) -> datetime:
    return naming.from_micros(1000 * millis)


def _last(columns: Columns) -> float:
    """Return what MLflow shows of a metric: of the greatest step the latest, and of these the greatest value."""
    points = zip(columns.step, columns.time, columns.value, strict=True)
    return max(points, key=lambda p: (p[0], p[1], -math.inf if math.isnan(p[2]) else p[2]))[2]


def _grouped(places: list[Place]) -> dict[str, list[Place]]:
    """Return the files of a run by the artifact they belong to: a file, or a folder."""
    groups: dict[str, list[Place]] = {}
    for place in places:
        groups.setdefault(place.name.partition("/")[0], []).append(place)
    return groups


def _within(place: Place, folder: str) -> Place:
    return attrs.evolve(place, name=place.name[len(folder) + 1 :])


def _plain(uri: str) -> str:
    """Return a path or URL; MLflow spells local paths as URLs, with what URLs do not take in percent signs."""
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri


def _check_is_read(path: str) -> None:
    """Refuse the URLs of what MLflow keeps runs in, too, and which is not read here.

    Raises
    ------
    ValueError
        When it is one; passwords in it are not said.
    """
    scheme = protocol(path)
    if scheme in _WEB and not urlsplit(path).path.endswith((*SUFFIXES, ".zip")):
        raise ValueError(
            f"tracking servers are not read: give the folder or the database behind {redact_url(path)}, as a path"
        )
    if (database := scheme.partition("+")[0]) in _OTHER_DATABASES:
        raise ValueError(f"of MLflow's databases only sqlite is read, and this is one of {database}")


def begin(
    source: str,
    *,
    is_here: Callable[[str], bool],
    follow: bool,
    dry: bool,
    options: Mapping[str, Any],
    **_: Any,
) -> Importing:
    """Open the folder ``mlruns``, or a sqlite database, which may be given as ``sqlite:///mlflow.db``.

    Raises
    ------
    ValueError
        When it is neither.
    FileNotFoundError
        When there is nothing.
    """
    is_sqlite = source.startswith("sqlite:")
    path = source.removeprefix("sqlite:///") if is_sqlite else _plain(source)
    _check_is_read(path)
    folder, name = split(path)
    backend: Backend
    if is_sqlite or name.endswith(SUFFIXES):
        backend = Database(local_copy(path, **options), open_files(folder, **options))
    else:
        files = open_files(f"{folder}/{name}", **options)
        check_folder(files, "file store of MLflow")
        backend = FileStore(files)
    return Importing(backend, is_here, follow=follow, dry=dry, options=options, left_out=backend.left_out)
