"""Steps of a plain script: blocks of an experiment that are recorded with how they went and what they logged."""

import contextlib
import contextvars
import traceback
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lazytrack import codec, naming
from lazytrack.errors import FormatError, StoreWarning
from lazytrack.series import HEARTBEATS, SERIES, WRITERS
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import MISSING, STEPS
from lazytrack.tracking.origins import DIFF, ORIGIN
from lazytrack.tracking.owner import Owner
from lazytrack.tracking.placed import Placed

if TYPE_CHECKING:
    from lazytrack.step_info import StepInfo

_active: "contextvars.ContextVar[StepBlock | None]" = contextvars.ContextVar("lazytrack step", default=None)
"""The innermost block of this thread or task."""


class Blocks(Placed):
    """What of `Experiment` is steps."""

    __slots__ = ("_blocks", "_open_blocks")

    def _set_up(self, owner: Owner, slug: str, ledger: Ledger) -> None:
        super()._set_up(owner, slug, ledger)
        self._blocks: dict[str, StepBlock] = {}
        """Of this process."""
        self._open_blocks = 0

    def step(self, name: str, *, metadata: Mapping[str, Any] | None = None) -> "StepBlock":
        """Record a block as a step: ``with exp.step("load data") as step:``.

        Its record, in `steps`, has when it began and ended, the traceback if it raised, what was logged meanwhile by
        this thread, the machine and the environment. Blocks may be nested. The next save writes it; one that is
        running when that happens is heard of by the experiment's autosave, or else by each save that writes something.
        Leaving the program with code 0, or none, in it completes it.

        Parameters
        ----------
        name
            What it is called; a second one of that name is recorded as ``<name>_2``.
        metadata
            What there is to say about it; see `StepBlock.log_metadata`.

        Raises
        ------
        ReadOnlyError
            When this may not be changed.
        TypeError, ValueError
            When the name is no text, or JSON cannot hold the metadata.
        """
        block = StepBlock(self, codec.text(name, "the name of a step"))
        if metadata is not None:
            block._say(metadata)
        return block

    @property
    def steps(self) -> "list[StepInfo]":
        """The steps in the order they began, each with its `state`.

        One that makes no sense is left out, with a warning.
        """
        found = []
        with self._ledger.lock:
            stored = {f[len(STEPS) :]: v for f, v in self._stored().items() if f.startswith(STEPS)}
            ready = {f[len(STEPS) :]: v for f, v in self._ready.items() if f.startswith(STEPS)}
            mine = {key: block._stored() for key, block in self._blocks.items()}
        for key, record in {**stored, **ready, **mine}.items():
            try:
                found.append(self._step_of(key, record))
            except (TypeError, ValueError, RecursionError) as error:
                what = f"step {key!r} of {self.slug} makes no sense and is left out: {error}"
                warnings.warn(what, StoreWarning, stacklevel=2)
        return sorted(found, key=lambda step: (naming.iso(step.start_time) if step.start_time else "~", step.unique_id))

    def _step_of(self, key: str, record: Any) -> "StepInfo":
        """Return what a record says of a step, with what it shares with others, and when its process was heard of."""
        from lazytrack.step_info import StepInfo  # noqa: PLC0415  (few ask, and it takes a while to load)

        if not isinstance(record, dict):
            raise TypeError(f"it is no object, but {type(record).__name__}")
        whole = dict(record)
        is_ours = whole.get("environment") == self._scalars.get("environment")
        for kind, own in (("platform", ("job",)), ("environment", ("command", "root", "git"))):
            digest = whole.pop(kind, None)
            if isinstance(digest, str):
                try:
                    whole[kind] = self._owner._shared(kind, digest) | (self._of_the_run(*own) if is_ours else {})
                except FormatError as error:
                    warnings.warn(f"the {kind} of step {key!r} of {self.slug}: {error}", StoreWarning, stacklevel=3)
        beat = self._owner._journal.get(self.slug, f"{HEARTBEATS}{whole.pop('writer', None)}")
        if beat is None and whole.get("end_time") is None:
            beat = self._last_save()
        return StepInfo.from_json_dict(whole | ({} if beat is None else {"heartbeat": beat}))

    def _last_save(self) -> str | None:
        """Return when it was saved last: the sign of life of a process that does not save by itself."""
        at = self._owner._journal.times(self.slug).get("last_updated")
        return None if at is None else naming.iso(naming.logical_to_time(at))

    def _current(self, field: str) -> Any:
        if not field.startswith(STEPS):
            return super()._current(field)
        block = self._blocks.get(field[len(STEPS) :])
        if block is not None:
            return block._stored()
        return self._ready[field] if field in self._ready else self._stored().get(field, MISSING)

    def _free_key(self, name: str) -> str:
        base = naming.slug(name, "step")
        fields = (f for f in (*self._stored(), *self._ready) if f.startswith(STEPS))
        taken = {*self._blocks, *(field[len(STEPS) :] for field in fields)}
        number, key = 1, base
        while key in taken:
            number += 1
            key = f"{base}_{number}"
        return key

    def _watch(self, *, opened: bool) -> None:
        """Have each field that is noted told to the block that is running, as long as one is."""
        self._open_blocks += 1 if opened else -1
        self._ledger.watch = self._tell_block if self._open_blocks else None

    def _tell_block(self, field: str) -> None:
        block = self._running_block()
        if block is not None and field not in _OF_A_SAVE and not field.startswith(_OF_THE_STORE):
            block._logged[field] = None

    def _running_block(self) -> "StepBlock | None":
        """Return the innermost block of this experiment that this thread or task is in.

        Blocks of other experiments may be within it, and a task may outlive the block that it was begun in.
        """
        block = _active.get()
        while block is not None and not (block._experiment is self and block._is_open):
            block = block._outer
        return block


class StepBlock:
    """A block that is recorded as a step of an experiment; made by `Experiment.step`.

    Parameters
    ----------
    experiment
        Whose step it is.
    name
        What it is called.
    """

    def __init__(self, experiment: Blocks, name: str) -> None:
        self._experiment = experiment
        self.name = name
        self.key = ""
        """What the record calls it, once it has begun."""
        self._record: dict[str, Any] = {}
        self._metadata: dict[str, Any] = {}
        self._logged: dict[str, None] = {}
        self._outer: StepBlock | None = None
        self._token: contextvars.Token[StepBlock | None] | None = None

    def __enter__(self) -> Self:
        if self._record:
            raise RuntimeError(f"step {self.name!r} has begun already: exp.step({self.name!r}) makes another one")
        experiment = self._experiment
        outer = experiment._running_block()
        with experiment._ledger.lock:
            experiment._ledger.check()
            key = experiment._free_key(self.name)
            record = {
                "unique_id": naming.step_id(naming.slug(self.name, "step"), None, None),
                "step_class_name": self.name,
                "step_name": key,
                "dependencies": [],
                "cacheable": True,  # so that its state tells how it went
                "start_time": naming.iso(naming.now()),
            }
            if outer is not None:
                record["parent"] = outer.key
            self._put(key, record)
        self._begin()
        return self

    def _put(self, key: str, record: dict[str, Any]) -> None:
        """Hold a record under a key that no other step has."""
        with self._experiment._ledger.lock:
            self._experiment._ledger.note(STEPS + key)
            self.key, self._record = key, record
            self._experiment._blocks[key] = self

    def _begin(self) -> None:
        """Be what this thread or task logs for."""
        with self._experiment._ledger.lock:
            self._experiment._watch(opened=True)
        self._outer = _active.get()
        self._token = _active.set(self)

    def _leave(self) -> None:
        """Be that no more."""
        if self._token is not None:
            with contextlib.suppress(ValueError):  # it ends in another thread or task than it began in
                _active.reset(self._token)
            self._token = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        experiment = self._experiment
        with experiment._ledger.lock:
            if not self._is_open:
                return
            experiment._watch(opened=False)
            if experiment._ledger.refusal is not None:  # it was deleted meanwhile, which says nothing of the block
                return
            experiment._ledger.note(STEPS + self.key)
            self._record["end_time"] = naming.iso(naming.now())
            if error is not None and is_failure(error):
                self._record["error"] = told(error)

    @property
    def _is_open(self) -> bool:
        return bool(self._record) and "end_time" not in self._record

    @property
    def info(self) -> "StepInfo":
        """What is recorded of it so far.

        Raises
        ------
        RuntimeError
            When it has not begun.
        """
        if not self._record:
            raise RuntimeError(f"step {self.name!r} has not begun: use it in a with block")
        return next(step for step in self._experiment.steps if step.unique_id == self._record["unique_id"])

    def log_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Say something about it, by name; a name that was said already gets the new value.

        Raises
        ------
        TypeError, ValueError
            When JSON cannot hold it; see `lazytrack.codec.plain`.
        ReadOnlyError
            When the experiment may not be changed.
        """
        with self._experiment._ledger.lock:
            if self.key:
                self._experiment._ledger.note(STEPS + self.key)
            self._say(metadata)

    def _say(self, metadata: Mapping[str, Any]) -> None:
        said = codec.plain(metadata, f"metadata of step {self.name!r}")
        if not isinstance(said, dict):
            raise TypeError(f"metadata of step {self.name!r} are values by name, not {type(metadata).__name__}")
        self._metadata |= said

    def _stored(self) -> dict[str, Any]:
        """Return its record as the store has it. The caller holds the experiment's lock."""
        experiment, record = self._experiment, dict(self._record)
        if self._metadata:
            record["metadata"] = codec.store(self._metadata)
        if self._logged:
            record["logged"] = list(self._logged)
        if (origin := experiment._origin) is not None:
            record |= {kind: origin.fields[kind] for kind in ("platform", "environment") if kind in origin.fields}
        if experiment._heartbeat is not None and experiment._own_writer is not None:
            record["writer"] = experiment._own_writer.id
        return record

    def __repr__(self) -> str:
        return f"StepBlock({self.name!r})"


_OF_THE_STORE = (STEPS, SERIES, WRITERS, HEARTBEATS)
_OF_A_SAVE = frozenset({*ORIGIN, f"artifacts.{DIFF}", "last_updated"})
"""What a save notes by itself."""


def is_failure(error: BaseException) -> bool:
    """Tell whether what ended a block is a failure: leaving the program with code 0, or none, is not."""
    code = error.code if isinstance(error, SystemExit) else 1
    return code is not None and not (isinstance(code, int) and code == 0)


def told(error: BaseException) -> str:
    """Return the traceback of an error, without secrets."""
    from lazytrack.provenance.redact import redact  # noqa: PLC0415  (only when something went wrong)

    return redact("".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace").decode())
