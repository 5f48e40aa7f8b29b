"""tango: a local workspace, with what each step said of itself, and the results of those that were cached."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.exchange.foreign import pickled
from lazytrack.exchange.foreign.databases import open_database
from lazytrack.exchange.foreign.draft import LINKED, SENSELESS, Draft, Place, drafted, is_of_one, places_in
from lazytrack.exchange.foreign.sources import check_folder
from lazytrack.files import Files, Stat, local_copy, open_files
from lazytrack.provenance import kept
from lazytrack.provenance.redact import redact, redact_command, redact_url

_RUNS, _CACHE, _TOLD = "runs", "cache", "stepinfo.sqlite"
_OF_A_RUN, _PRINTED, _OF_A_RESULT = "stepinfo.json", "out.log", "cache-metadata.json"
_NO_RESULTS = ("lock", _OF_A_RESULT)
_WORK = "work/"
"""What a step left behind that is no result."""
_HANDLERS = {("tango.format.JsonFormat", "data.json"): "json", ("tango.format.TextFormat", "text.txt"): "text"}
"""What reads a result back as the object it was, by tango's format and the file it makes."""


@attrs.define
class Importing:
    """One import of a workspace.

    Parameters
    ----------
    files
        Of the workspace.
    steps
        What each step said of itself, by its id.
    is_here, records
        What tells of a record whether it is in the project that it goes to, and what returns all that are or were.
    dry
        Whether files are only counted.
    """

    files: Files
    steps: Mapping[str, dict[str, Any]]
    is_here: Callable[[str], bool]
    records: Callable[[], Iterable[str]]
    dry: bool
    left_out: dict[str, list[str]] = attrs.Factory(dict)
    _known: dict[str, str] = attrs.Factory(dict)
    """The records of the project, by their last part: a run's follows from what it is, and not from its times."""

    def drafts(self) -> Iterator[Draft]:
        """Yield a draft for each run."""
        self._known = {record.rpartition("-")[2]: record for record in self.records()}
        listed: dict[str, list[Place]] = {}
        printed: dict[str, Place] = {}
        runs: dict[str, dict[str, str]] = {}
        for step_id, _, path, stat in self._inside(_CACHE):
            listed.setdefault(step_id, []).extend(places_in(self.files, f"{_CACHE}/{step_id}", [(path, stat)]))
        for run, inside, path, stat in self._inside(_RUNS):
            if inside == [_OF_A_RUN]:
                self._read_run(run, path, stat, runs)
            elif inside == [_PRINTED]:
                printed[run] = Place(
                    name="output.txt", files=self.files, path=path, size=stat.size, is_link=stat.is_link
                )
        named = {step_id for ids in runs.values() for step_id in ids.values()}
        if alone := self.steps.keys() - named:
            self.left_out["steps that are in no run"] = sorted(alone)

        def make(run: str) -> Draft:
            return self._draft(run, runs[run], listed, printed.get(run))

        yield from drafted(((run, run) for run in runs), make, self.left_out)

    def _read_run(self, run: str, path: str, stat: Stat, runs: dict[str, dict[str, str]]) -> None:
        """Take note of the steps of a run; where they cannot be read, of that."""
        why: object = "it is a link, which may lead anywhere"
        try:
            if not stat.is_link:
                runs[run] = _ids_in(codec.loads(self.files.read(path)))
                return
        except ValueError as error:
            why = error
        except OSError as error:
            if not is_of_one(error):
                raise
            why = error.strerror
        self.left_out.setdefault(SENSELESS, []).append(f"{path}: {why}")

    def _inside(self, folder: str) -> Iterator[tuple[str, list[str], str, Stat]]:
        """Yield the files in the folders of a folder: the name of that, what follows it, and the path with its stat.

        Folders that are links are said.
        """
        for path, stat in sorted(self.files.walk(folder), key=lambda item: item[0]):
            _, *parts = path.split("/")
            if len(parts) > 1:
                yield parts[0], parts[1:], path, stat
            elif stat.is_link:
                self.left_out.setdefault(LINKED, []).append(path)

    def _draft(
        self, run: str, ids: Mapping[str, str], listed: Mapping[str, list[Place]], printed: Place | None
    ) -> Draft:
        steps = {name: self.steps[each] for name, each in ids.items() if each in self.steps}
        times = [step[key] for step in steps.values() for key in ("start_time", "end_time") if step.get(key)]
        tail = naming.tail_of("tango", run, *sorted(ids.values()))
        known = self._known.get(tail)
        if times:
            begun = min(times)
        elif known is not None:  # of a run without times a copy has another one
            begun = naming.record_time(known)
        else:
            begun = naming.from_micros(int(self.files.stat(f"{_RUNS}/{run}/{_OF_A_RUN}").modified) * 10**6)
        user = next((step["platform"]["user"] for step in steps.values() if step["platform"].get("user")), "unknown")
        record = known or naming.record_slug(naming.slug(run, "run"), begun, tail)
        draft = Draft(
            record=record,
            by=user,
            created_at=begun,
            changed_at=max(times, default=begun),
            source={"from": "tango", "id": run},
            folder=f"{record}/",
            dry=self.dry and not self.is_here(record),
        )
        draft.put("name", run)
        draft.put("author", user)
        draft.put("created_at", naming.iso(begun))
        draft.put("last_updated", naming.iso(draft.changed_at))
        draft.put("status", _status_of(steps.values()))
        for name, step_id in ids.items():
            if step_id in self.steps:
                self._put_step(draft, name, self.steps[step_id], listed.get(step_id, []))
            else:
                draft.leave("steps of which nothing is said", f"{name}: {step_id}")
        if printed is not None and printed.size:
            draft.put_file("artifacts.output", "text", printed)
        return draft

    def _put_step(self, draft: Draft, name: str, step: dict[str, Any], listed: list[Place]) -> None:
        said = {key: value for key, value in step.items() if key not in kept.KINDS and value not in (None, "")}
        said |= {"step_name": name, "dependencies": sorted(step.get("dependencies") or ())}
        for kind in kept.KINDS:
            known = _safe({key: value for key, value in step[kind].items() if key != "tango"})
            shared, own = kept.divide(kind, codec.plain(known, kind))
            draft.held[shared.path] = shared.content
            said[kind] = shared.digest
            for field, value in own.items():  # of one run all steps have the same
                draft.fields.setdefault(field, codec.store(value))
            draft.fields.setdefault(kind, shared.digest)
        field = f"artifacts.{name}"
        self._put_result(draft, field, step, listed)
        if field in draft.fields:
            said["logged"] = [field]
        key = naming.slug(name, "step")
        number = 1
        while f"steps.{key}" in draft.fields:
            number += 1
            key = f"{naming.slug(name, 'step')}_{number}"
        for times in ("start_time", "end_time"):
            if times in said:
                said[times] = naming.iso(said[times])
        for part in ("config", "metadata"):
            if part in said:
                said[part] = codec.store(codec.plain(said[part], f"{part} of step {name!r}"))
        draft.fields[f"steps.{key}"] = said

    def _put_result(self, draft: Draft, field: str, step: Mapping[str, Any], listed: list[Place]) -> None:
        """Say what a step has made, if that was kept."""
        names = {place.name: place for place in listed}
        if _OF_A_RESULT not in names:
            return
        places = [p for name, p in names.items() if name not in _NO_RESULTS and not name.startswith(_WORK)]
        form = self._format_in(names[_OF_A_RESULT])
        when = {"created_at": step.get("end_time")}
        if len(places) == 1:
            handler = _HANDLERS.get((form, places[0].name), "file")
            draft.put_file(field, handler, places[0], **when)
        elif places:
            draft.put_folder(field, places, **when)

    def _format_in(self, place: Place) -> str:
        """Return by what tango has written a result; nothing where it does not say so."""
        if place.is_link:
            return ""
        try:
            said = codec.loads(self.files.read(place.path))
        except ValueError:
            return ""
        except OSError as error:
            if not is_of_one(error):
                raise
            return ""
        match said:
            case {"format": {"type": str(form)}}:
                return form
        return ""

    def versions(self) -> Iterator[Draft]:
        """Yield nothing: a workspace has no registry."""
        yield from ()


def begin(
    source: str,
    *,
    is_here: Callable[[str], bool],
    records: Callable[[], Iterable[str]],
    dry: bool,
    options: Mapping[str, Any],
    **_: Any,
) -> Importing:
    """Open a local workspace.

    Raises
    ------
    ValueError
        When it is none.
    """
    files = open_files(source.removeprefix("local://"), **options)
    check_folder(files, "workspace of tango")
    if not {"settings.json", _TOLD} & {*files.names("")}:
        raise ValueError(f"{files.url} is no workspace of tango: neither settings.json nor {_TOLD} is in it")
    left_out: dict[str, list[str]] = {}
    return Importing(files, _read_steps(files, left_out, options), is_here, records, dry, left_out)


def _read_steps(files: Files, left_out: dict[str, list[str]], options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each step said of itself: pickles in a database, which are read and not run."""
    steps: dict[str, dict[str, Any]] = {}
    if _TOLD in files.names(""):
        path = local_copy(f"{files.url}/{_TOLD}", **options)
        try:
            with contextlib.closing(open_database(path)) as connection:
                rows = connection.execute("select key, value from unnamed order by key").fetchall()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{files.url}/{_TOLD} cannot be read: {error}") from error
        for step_id, value in rows:
            try:
                step = _plain(pickled.read(value))
                if not isinstance(step, dict) or step.get("unique_id") != step_id:
                    raise ValueError("says it is something else")  # noqa: TRY301
                steps[step_id] = {"platform": {}, "environment": {}} | step
            except ValueError as error:
                left_out.setdefault("steps whose record is no data", []).append(f"{step_id}: it {error}")
    return steps


def _plain(value: Any) -> Any:  # noqa: C901  (one case a kind of value)
    """Return what a pickle says as JSON and times."""
    match value:
        case pickled.Made(of=pickled.Name("datetime", "datetime"), arguments=(bytes(packed), *zone)):
            return _time(packed, zone)
        case pickled.Made(of=pickled.Name("pathlib", _), arguments=parts):
            return "/".join(map(str, parts)).replace("//", "/")
        case pickled.Made(of=pickled.Name("tango.common.params", "Params"), state={"params": params}):
            return _plain(params)
        case pickled.Made(of=pickled.Name(module, _), state=dict(state)) if module.split(".")[0] in _OURS:
            return {str(key): _plain(item) for key, item in state.items()}
        case pickled.Made(of=pickled.Name(module, name)):
            raise ValueError(f"holds a {module}.{name}, which is no data")
        case pickled.Made() | pickled.Name():
            raise ValueError("holds what is no data")
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return sorted((_plain(item) for item in value), key=repr)
        case bytes():
            raise ValueError("holds bytes")
        case _:
            return value


def _safe(said: dict[str, Any]) -> dict[str, Any]:
    """Return a platform or an environment without the secrets that are recognised in its command and its remote."""
    found = dict(said)
    if isinstance(command := found.get("command"), str):
        found["command"] = redact(" ".join(redact_command(command.split(" "))))
    match found.get("git"):
        case {"remote": str(remote), **others}:
            found["git"] = {**others, "remote": redact_url(remote)}
    return found


_OURS = {"tango", "platform", "environment", "git"}
"""Modules whose classes are records of tango: some of them it names without its package."""


def _time(packed: bytes, zone: list[Any]) -> datetime:
    """Return the time in the ten bytes that a pickled datetime is."""
    if len(packed) != 10:  # noqa: PLR2004
        raise ValueError("holds a time that is none")
    year, month, day, hour, minute, second = packed[0] * 256 + packed[1], packed[2] & 127, *packed[3:7]
    at = datetime(year, month, day, hour, minute, second, int.from_bytes(packed[7:]), UTC)
    match zone:
        case [] | [pickled.Made(of=pickled.Name("pytz", "_UTC"))] | [pickled.Name("pytz", _)]:
            return at
        case [pickled.Made(of=pickled.Name("datetime", "timezone"), arguments=(offset, *_))]:
            return at - _offset(offset)
    raise ValueError("holds a time of a zone that is not known")


def _offset(value: Any) -> timedelta:
    match value:
        case pickled.Made(of=pickled.Name("datetime", "timedelta"), arguments=(int(days), int(seconds), *_)):
            return timedelta(days=days, seconds=seconds)
    raise ValueError("holds a time of a zone that is not known")


def _ids_in(said: Any) -> dict[str, str]:
    """Return the id of each step of a run, by name."""
    ids = {}
    for name, each in said.items() if isinstance(said, dict) else [("it", said)]:
        match each:
            case str(step_id) | {"unique_id": str(step_id)}:
                ids[name] = step_id
            case _:
                raise ValueError(f"{name} is no step")
    return ids


def _status_of(steps: Any) -> str:
    """Return how a run stands: by the steps that it has."""
    steps = list(steps)
    if any(step.get("error") for step in steps):
        return "failed"
    if any(step.get("start_time") and not step.get("end_time") for step in steps):
        return "running"
    waiting = [step for step in steps if step.get("cacheable") and not step.get("start_time")]
    return "stopped" if waiting else "completed"
