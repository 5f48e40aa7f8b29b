"""Which steps of a project have completed with which cache key, and whether their outputs can be taken again."""

import threading
import weakref
from typing import Any

import attrs

from lazytrack import codec, naming
from lazytrack.artifacts.blobs import check_path
from lazytrack.artifacts.entries import stored_in
from lazytrack.artifacts.trust import is_trusted
from lazytrack.errors import LazytrackError
from lazytrack.post_execution.status import ExecutionStatus
from lazytrack.steps.policy import CachePolicy
from lazytrack.tracking.logged import STEPS
from lazytrack.tracking.placed import ARTIFACT, Entry
from lazytrack.tracking.project import Project

_RUN_NO_CODE = {"json", "text", "bytes", "numpy"}
"""Handlers that need no look at who wrote a file."""
_FRESH_MICROS = 10_000_000
"""For so long what was read of the store is new enough to call something a miss."""


@attrs.frozen(kw_only=True)
class Hit:
    """A step whose outputs can be taken.

    Parameters
    ----------
    run, key
        The slug of its run, and what that calls it.
    said
        Its record.
    outputs
        What the run says of each output, by name.
    """

    run: str
    key: str
    said: dict[str, Any]
    outputs: dict[str, Entry]


@attrs.frozen
class Miss:
    """Why there is no hit.

    Parameters
    ----------
    why
        Of one with this key whose outputs cannot be taken; None where there is none.
    """

    why: str | None = None


class Index:
    """The steps of a project by cache key. It is brought up to date as the project is read."""

    def __init__(self, project: Project) -> None:
        self._project = weakref.ref(project)
        self._lock = threading.Lock()
        self._by_key: dict[str, dict[tuple[str, str], None]] = {}
        self._unread: set[str] = set(project._journal.created())
        project._watchers.append(self._unread)
        self._read_at = 0

    def refresh(self) -> None:
        """Have the project read what is new."""
        project = self._project()
        if project is not None:
            self._read_at = naming.micros()
            project.refresh()

    def add(self, key: str, run: str, step: str) -> None:
        """Take note of a step that has completed."""
        with self._lock:
            self._by_key.setdefault(key, {})[run, step] = None

    def find(self, key: str, policy: CachePolicy) -> Hit | Miss:
        """Return the newest completed step with a cache key whose outputs can be taken, or say why there is none."""
        found = self._find(key, policy)
        if isinstance(found, Miss) and naming.micros() - self._read_at > _FRESH_MICROS:
            self.refresh()
            return self._find(key, policy)
        return found

    def _find(self, key: str, policy: CachePolicy) -> Hit | Miss:
        project = self._project()
        if project is None:
            return Miss()
        with self._lock:
            self._take_in(project)
            places = [place for place in self._by_key.get(key, ()) if place[0] not in project._hidden]
        records = [(project._journal.get(run, STEPS + step), run, step) for run, step in places]
        sound = [each for each in records if takes(each[0]) == key]
        sound.sort(key=lambda each: str(each[0].get("end_time")), reverse=True)
        why = None
        for said, run, step in sound:
            found = outputs_of(project, said, run, step, policy)
            if isinstance(found, Hit):
                return found
            why = why or found.why
        return Miss(why)

    def _take_in(self, project: Project) -> None:
        while self._unread:
            run = self._unread.pop()
            for field, said in project._journal.fields(run).items():
                if field.startswith(STEPS) and (key := takes(said)) is not None:
                    self._by_key.setdefault(key, {})[run, field[len(STEPS) :]] = None


def takes(said: Any) -> str | None:
    """Return the key by which a step's outputs can be taken again; None where they cannot: see `forget`."""
    if not isinstance(said, dict) or said.get("status") != ExecutionStatus.COMPLETED:
        return None
    cache = said.get("cache")
    key = cache.get("key") if isinstance(cache, dict) and not cache.get("removed") else None
    return key if isinstance(key, str) else None


def outputs_of(project: Project, said: dict[str, Any], run: str, step: str, policy: CachePolicy) -> Hit | Miss:
    """Return the outputs of a step that has completed, or say why they cannot be taken."""
    lifetime = policy.lifetime
    try:
        if lifetime is not None and codec.parse_time(said["end_time"]) + lifetime <= naming.now():
            return Miss(f"the outputs of {run} are older than expires_after allows")
        outputs = {}
        for name, output in (said.get("outputs") or {}).items():
            field = ARTIFACT + output["artifact"]
            entry = project._journal.get(run, field)
            if entry is None:
                return Miss(f"{run} has no output {name!r} any more")
            if entry.get("expiry") is not None and codec.parse_time(entry["expiry"]) <= naming.now():
                return Miss(f"the output {name!r} of {run} has expired")
            outputs[name] = Entry(name=output["artifact"], said=entry)
            check_path(entry["path"], "artifacts")
            if project._shelf.is_missing(entry["path"], entry["size"]):
                return Miss(f"the file of output {name!r} of {run} is gone, or another one")
            if "parts" in entry and (file := stored_in(entry)) is not None and project._shelf.is_lost(file):
                return Miss(f"a file of output {name!r} of {run} is gone")
            if entry["handler"] not in _RUN_NO_CODE and not is_trusted(outputs[name].artifact(run)):
                return Miss(f"the output {name!r} of {run} is not signed by a key that is held here")
    except (KeyError, TypeError, ValueError, AttributeError, LazytrackError) as error:
        return Miss(f"the record of {run} makes no sense: {error}")
    return Hit(run=run, key=step, said=said, outputs=outputs)


_indexes: "weakref.WeakKeyDictionary[Project, Index]" = weakref.WeakKeyDictionary()


def index_of(project: Project) -> Index:
    """Return the index of a project, which is made when it is first asked for."""
    found = _indexes.get(project)
    if found is None:
        found = _indexes[project] = Index(project)
    return found
