"""What goes to where a step runs, and what comes back: bytes, which any engine can carry.

An exception of a user's never crosses an engine as it is: one that cannot be pickled breaks a pool of processes for
good, and hangs others.
"""

import contextlib
import functools
import inspect
import io
import os
import pickle
import socket
import sys
import threading
import time
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack import naming
from lazytrack.errors import StepFailed, WorkerLost
from lazytrack.journal import read_head
from lazytrack.provenance import capture
from lazytrack.provenance.kept import KINDS, Shared
from lazytrack.steps.base import BaseStep
from lazytrack.steps.environment import hush
from lazytrack.steps.execution import Outcome, Task, attempt, safe_reason
from lazytrack.steps.logs import listening
from lazytrack.steps.workers import run_alone
from lazytrack.tracking.blocks import told
from lazytrack.tracking.logged import MISSING
from lazytrack.tracking.owner import Owner

if TYPE_CHECKING:
    from lazytrack.steps.configuration import StepConfiguration
    from lazytrack.steps.resources import ResourceSettings
    from lazytrack.tracking.experiment import Experiment
    from lazytrack.tracking.project import Project


class Sealed(bytes):
    """Bytes that may hold secrets: what an engine prints of them shows none."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


@attrs.frozen(kw_only=True)
class Parcel:
    """An attempt that is packed.

    Parameters
    ----------
    content
        What `run_parcel` takes.
    ticket
        What the answer has to name.
    key
        What the run calls the call.
    variables
        Of the process of its own that it is to have; None where it is to have none.
    asks
        What it asks of a machine.
    lost
        Attempts that the engine has made up for by itself: when each began, in seconds since 1970, and what became of
        it.
    """

    content: Sealed
    ticket: str
    key: str
    variables: Mapping[str, str] | None
    asks: "ResourceSettings | None"
    lost: list[tuple[float, str]] = attrs.Factory(list)


@attrs.define(kw_only=True)
class Answer:
    """What comes back.

    Parameters
    ----------
    outcome
        How the attempt went.
    ticket
        Of what it answers.
    said
        What the step said of itself.
    seconds
        How long it took.
    has_logged
        Whether it logged to the run.
    ran_on
        The machine and the environment by kind, each as a file that the record of the step names; None where they are
        those of who sent it.
    """

    outcome: Outcome
    ticket: str = ""
    said: list[dict[str, Any]] = attrs.Factory(list)
    seconds: float = 0.0
    has_logged: bool = False
    ran_on: dict[str, Shared] | None = None


# --- here ---


class Sender:
    """Packs the calls of a run. What many of them share is packed once, and unpacked once where they run.

    Parameters
    ----------
    owner
        The project.
    """

    def __init__(self, owner: Owner) -> None:
        place = Owner.__new__(Owner)
        place.__setstate__(Owner.__getstate__(owner))
        self._place = pickle.dumps((sys.path, place, _where()))
        self._location = owner.location
        self._clock = owner._journal.clock

    def program(self, step: "BaseStep", configuration: "StepConfiguration") -> bytes:
        """Pack a step as it is now, by value where its code cannot be imported: it may stand in a notebook."""
        classes = _classes_of_the_script() if step._code.__module__ == "__main__" else b""
        return self._packed((type(step), _state_of(step), configuration, _file_of(step), classes))

    def _packed(self, what: Any) -> bytes:
        buffer = io.BytesIO()
        _pickler()(buffer, self._location).dump(what)
        return buffer.getvalue()

    def pack(self, task: Task, program: bytes, variables: Mapping[str, str] | None) -> Parcel:
        """Pack an attempt.

        Parameters
        ----------
        program
            The task's step and configuration, packed.
        variables
            Of the process of its own that it is to have there; None where it is to have none.

        Raises
        ------
        Exception
            When an argument cannot be pickled.
        """
        call = {name: getattr(task, name) for name in _OF_A_CALL}
        ticket, packed = naming.unique(), self._packed((call, self._clock.tick()))
        content = Sealed(pickle.dumps((variables, ticket, self._place, program, packed)))
        asks = task.configuration.resources
        return Parcel(content=content, ticket=ticket, key=task.key, variables=variables, asks=asks)


def _where() -> tuple[str, str]:
    """Return what tells whether two processes run on one machine, in one environment."""
    return socket.gethostname(), sys.executable


_BY_VALUE = "<dynamic-code>"
"""The file of code that was packed by value."""
_STAYS_HERE = {"_source", "source_code", "__wrapped__"}
"""What of a step is not needed to run it; it holds the whole text of a file."""
_OF_A_CALL = [field.name for field in attrs.fields(Task) if field.name not in {"step", "configuration", "owner"}]


def _state_of(step: "BaseStep") -> dict[str, Any]:
    return {name: value for name, value in vars(step).items() if name not in _STAYS_HERE}


@functools.cache
def _pickler() -> Any:
    import cloudpickle  # noqa: PLC0415  (as above)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Packs the project that all is about as nothing but a sign for it."""

        def __init__(self, file: io.BytesIO, location: str) -> None:
            super().__init__(file)
            self._location = location

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, Owner) and obj.location == self._location:
                return _owner_here, ()
            if isinstance(obj, BaseStep) and obj._code.__module__ == "__main__":  # there it has another meaning
                return _step_of, (type(obj), _state_of(obj))
            return super().reducer_override(obj)

    return Pickler


def unpack(content: bytes, ticket: str) -> Answer:
    """Return what has come back.

    Raises
    ------
    WorkerLost
        When it answers something else.
    """
    answer, packed_error = pickle.loads(content)
    outcome = answer.outcome
    if answer.ticket != ticket:
        raise WorkerLost("the engine gave the answer of another step: it takes two that look alike for one")
    if packed_error is None:
        return answer  # type: ignore[no-any-return]
    try:
        outcome.error = pickle.loads(packed_error)
    except Exception as error:  # noqa: BLE001  (an exception of the user's, which may refuse in any way)
        outcome.error = StepFailed(f"what the step raised cannot be raised here ({error}):\n\n{outcome.told}")
    if outcome.error is not None and outcome.told:
        with contextlib.suppress(Exception):  # it is the user's
            outcome.error.add_note(f"where the step ran:\n{outcome.told}")
    return answer  # type: ignore[no-any-return]


# --- there ---


class _Place:
    """A project, where a step of a run of it runs."""

    def __init__(self, owner: Owner, sender: tuple[str, str]) -> None:
        if read_head(owner._files, owner._head_name, kind="project") is None:
            raise FileNotFoundError(
                f"{socket.gethostname()} does not see the project at {owner.location}, which has to be in a folder or "
                "on a storage that all machines share which run its steps"
            )
        self.owner = owner
        self._lock = threading.Lock()
        self._project: Project | None = None
        self._is_elsewhere = sender != _where()
        self._capture = capture.begin() if self._is_elsewhere else None

    def ran_on(self) -> dict[str, Shared] | None:
        """Return what a step that ran here ran on; see `Answer`."""
        origin = None if self._capture is None else self._capture.result()
        found = {} if origin is None else dict(zip(KINDS, origin.shared, strict=True))
        return found if self._is_elsewhere else None

    def attached(self, slug: str) -> "tuple[Project, Experiment]":
        """Return the project, and the run to log to, as it is now."""
        from lazytrack.tracking.project import Project  # noqa: PLC0415  (few steps log to their run)

        with self._lock:
            if self._project is None:
                owner = self.owner
                options = {"cache": owner._cache, **owner.storage_options}
                self._project = Project(owner.location, author=owner.author, **options)
            else:
                self._project.refresh()
            return self._project, self._project.attach(slug)


_unpacking = threading.local()


def _owner_here() -> Owner:
    """Return what stands for the sign that `Sender.pack` puts in the place of the project."""
    return _unpacking.owner  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=16)
def _place_in(content: bytes) -> _Place:
    path, owner, sender = pickle.loads(content)
    sys.path.extend(folder for folder in path if folder not in sys.path)
    return _Place(owner, sender)


@functools.lru_cache(maxsize=64)
def _program_in(content: bytes) -> Any:
    kind, state, configuration, file, classes = pickle.loads(content)
    _name_files(_step_of(kind, state), file)
    for name, found in (pickle.loads(classes) if classes else {}).items():
        setattr(sys.modules["__main__"], name, found)  # where what is pickled looks for them
    return kind, state, configuration


def _step_of(kind: type, state: dict[str, Any]) -> Any:
    step: Any = object.__new__(kind)
    step.__dict__.update(state)
    return step


def _classes_of_the_script() -> bytes:
    """Pack the classes that the script defines: objects of them come and go, and are looked for by name."""
    import cloudpickle  # noqa: PLC0415  (only steps that run elsewhere need it)

    found = {}
    for name, each in list(vars(sys.modules["__main__"]).items()):
        if isinstance(each, type) and each.__module__ == "__main__" and each.__qualname__ == name:
            with contextlib.suppress(Exception):  # of a class that cannot go, no object can
                cloudpickle.dumps(each)
                found[name] = each
    return bytes(cloudpickle.dumps(found))


def _file_of(step: "BaseStep") -> str | None:
    function = inspect.unwrap(step.entrypoint)
    code = getattr(function, "__code__", None)
    return None if code is None else str(code.co_filename)


def _name_files(step: "BaseStep", file: str | None) -> None:
    """Have tracebacks of code that went here by value show where it stands, as they do elsewhere."""
    function = inspect.unwrap(step.entrypoint)
    function = getattr(function, "__func__", function)
    if file is None or not isinstance(function, types.FunctionType) or function.__code__.co_filename != _BY_VALUE:
        return
    for found in (function, *function.__globals__.values()):
        if isinstance(found, types.FunctionType) and found.__code__.co_filename == _BY_VALUE:
            found.__code__ = _in_file(found.__code__, file)


def _in_file(code: types.CodeType, file: str) -> types.CodeType:
    inner = tuple(_in_file(each, file) if isinstance(each, types.CodeType) else each for each in code.co_consts)
    return code.replace(co_filename=file, co_consts=inner)


def run_parcel(content: bytes, _ticket: str = "") -> bytes:
    """Run a step that was packed, and return how it went: what every engine is given to do. It never raises.

    Parameters
    ----------
    _ticket
        Tells it from others to an engine that takes for one what looks alike.
    """
    variables, ticket, *_ = parts = pickle.loads(content)
    if variables is None:
        return _answer(*parts)
    try:
        return run_alone(content, variables)
    except Exception as error:  # noqa: BLE001  (whatever it is, it is how the step went)
        return _pack(Answer(ticket=ticket, outcome=Outcome(error=error, told=told(error))))


def answer(content: bytes) -> bytes:
    """Run a step that was packed in this process, and return how it went."""
    return _answer(*pickle.loads(content))


def _answer(
    variables: Mapping[str, str] | None,
    ticket: str,
    place_content: bytes,
    program_content: bytes,
    call_content: bytes,
) -> bytes:
    began = time.monotonic()
    project: Project | None = None
    said: list[dict[str, Any]] = []
    try:
        place = _place_in(place_content)
        _unpacking.owner = place.owner
        kind, state, configuration = _program_in(program_content)
        call, at = pickle.loads(call_content)
    except Exception as error:  # noqa: BLE001  (unpickling imports and runs code of the user's)
        error.add_note("while the step was unpacked where it was to run: what its code imports has to be there")
        return _pack(Answer(ticket=ticket, outcome=Outcome(error=error, told=told(error))))
    step = _step_of(kind, state)
    place.owner._journal.clock.observe(at)
    task = Task(step=step, configuration=configuration, owner=place.owner, **call)
    if variables is not None:
        hush({name: variables[name] for name in task.hushed})
    attached: list[Experiment] = []
    lock = threading.Lock()

    def current() -> "Experiment":
        nonlocal project
        with lock:
            if not attached:
                project, experiment = place.attached(task.record)
                attached.append(experiment)
            return attached[0]

    process = os.getpid()
    try:
        with listening():
            outcome = attempt(task, current, said.append)
    except BaseException as error:
        if os.getpid() != process:  # a child that the step has forked: it is not the one to say how it went
            raise
        outcome = Outcome(error=error, told=told(error))  # a hook that ends the program
    if project is not None:
        try:
            project.save()
        except Exception as error:  # noqa: BLE001  (it is told with the outcome)
            outcome.error = outcome.error or error
            outcome.told = outcome.told or told(error)
    return _pack(
        Answer(
            outcome=outcome,
            ticket=ticket,
            said=said,
            seconds=time.monotonic() - began,
            has_logged=project is not None,
            ran_on=place.ran_on(),
        )
    )


def _pack(answer: Answer) -> bytes:
    outcome = answer.outcome
    for made in outcome.outputs.values():  # the objects stay here: their files are written
        made.value = MISSING
        made.written = type(made.written)(entry=made.written.entry, stored=made.written.stored)
    error, outcome.error = outcome.error, None
    return pickle.dumps((answer, None if error is None else _packed_error(error, outcome.told)))


def _packed_error(error: BaseException, traceback: str | None) -> bytes:
    import cloudpickle  # noqa: PLC0415  (as above)

    try:
        packed = bytes(cloudpickle.dumps(error))
        pickle.loads(packed)
    except Exception:  # noqa: BLE001  (an exception of the user's, which may refuse to be pickled in any way)
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        return pickle.dumps(StepFailed(f"{name}: {safe_reason(error)}\n\n{traceback}"))
    return packed
