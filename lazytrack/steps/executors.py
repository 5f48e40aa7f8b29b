"""Where submitted steps run: engines made of one word, or of an executor of the user's."""

import abc
import contextlib
import os
import re
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any

from lazytrack.errors import WorkerLost
from lazytrack.steps.annotations import show
from lazytrack.steps.envelope import Parcel, run_parcel
from lazytrack.steps.resources import ResourceSettings
from lazytrack.steps.workers import Workers, run_alone

VARIABLE = "LAZYTRACK_EXECUTOR"
"""The environment variable with the executor of pipelines that do not say."""
DEFAULT = "threads"
_AHEAD = 2
LAUNCHED = 1024
"""Steps that operators are given at the same time."""
OPERATORS = "step operators"
"""What says that it is operators who run steps; no user can."""
THREADS = 16
"""Steps that run at the same time on threads, where nobody says how many."""
KNOWN = "inline, threads, threads:8, processes, processes:4, dask, dask://host:8786, or an executor object"
_COUNTED = re.compile(r"(threads|processes):([1-9][0-9]{0,3})", re.ASCII)
_DASK = re.compile(r"(?:dask|tcp|tls)://\S+")


class Engine(abc.ABC):
    """Runs the steps that are submitted in one run.

    Parameters
    ----------
    together
        How many it is given at the same time.
    """

    is_here = False
    """Whether steps run in this process, on the thread that works for them."""

    def __init__(self, together: int) -> None:
        self._threads = ThreadPoolExecutor(together, thread_name_prefix="lazytrack step")

    def check(self, step: str, asks: ResourceSettings | None) -> None:  # noqa: B027  (most have nothing to check)
        """Refuse a step that asks for what there is not, for which it would wait for ever.

        Raises
        ------
        StepInterfaceError
            When there is not.
        """

    def start(self, work: Callable[[], object]) -> None:
        """Have something done on a thread, once one is free."""
        self._threads.submit(work)

    def slot(self) -> contextlib.AbstractContextManager[object]:
        """Wait until there is room for one more attempt, which the block is."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def run(self, parcel: Parcel) -> bytes:
        """Run a step and return how it went; see `lazytrack.steps.envelope`.

        Raises
        ------
        WorkerLost
            When nobody can say how it went.
        """

    @abc.abstractmethod
    def cancel(self) -> None:
        """Stop what runs, as far as that can be done."""

    def close(self, *, wait: bool = True) -> None:
        """Run nothing any more; with `wait` once all is done that was begun."""
        self._threads.shutdown(wait=wait, cancel_futures=not wait)


class Threads(Engine):
    """Runs steps on threads of this process."""

    is_here = True

    def run(self, parcel: Parcel) -> bytes:  # noqa: D102
        raise NotImplementedError("steps run on the thread that works for them")

    def cancel(self) -> None:
        """Do nothing: a thread cannot be stopped."""


class Launchers(Threads):
    """Has operators run steps: a thread for each does little but wait."""

    def __init__(self) -> None:
        super().__init__(LAUNCHED)


class OwnThreads(Threads):
    """Runs steps on threads of an executor of the user's.

    Parameters
    ----------
    executor
        Is left as it is.
    """

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor

    def start(self, work: Callable[[], object]) -> None:  # noqa: D102
        self._executor.submit(work)

    def close(self, *, wait: bool = True) -> None:
        """Leave the threads to whom they belong."""


class Inline(Threads):
    """Runs steps where they are submitted, one after the other."""

    def __init__(self) -> None:
        """Need no threads."""

    def start(self, work: Callable[[], object]) -> None:  # noqa: D102
        work()

    def close(self, *, wait: bool = True) -> None:
        """Do nothing: what was submitted is over."""


class Processes(Engine):
    """Runs steps in processes of this machine, which are kept for the next step."""

    def __init__(self, together: int) -> None:
        # While two steps are recorded, all processes have something to do, and both are recorded by one save.
        super().__init__(together + _AHEAD)
        self._room = threading.Semaphore(together)
        self._workers = Workers()

    def slot(self) -> contextlib.AbstractContextManager[object]:  # noqa: D102
        return self._room

    def run(self, parcel: Parcel) -> bytes:  # noqa: D102
        if parcel.variables is not None:
            return run_alone(parcel.content, parcel.variables)
        return self._workers.run(parcel.content)

    def cancel(self) -> None:
        """End the processes that run a step."""
        self._workers.cancel()

    def close(self, *, wait: bool = True) -> None:  # noqa: D102
        super().close(wait=wait)
        self._workers.close()


class Foreign(Engine):
    """Runs steps on an executor of the user's, in whatever processes that has.

    Parameters
    ----------
    executor
        Is left as it is.
    """

    def __init__(self, executor: Executor) -> None:
        super().__init__(getattr(executor, "_max_workers", None) or THREADS)
        self._executor = executor
        self._futures: weakref.WeakSet[Future[bytes]] = weakref.WeakSet()
        self._lock = threading.Lock()

    def run(self, parcel: Parcel) -> bytes:  # noqa: D102
        try:
            future = self._executor.submit(run_parcel, parcel.content, parcel.ticket)
            with self._lock:
                self._futures.add(future)
            return future.result()
        except BrokenExecutor as error:
            raise WorkerLost(
                f"a process of {show(self._executor)} died, and takes the executor with it, which is the program's to "
                f"make anew: {error}"
            ) from error
        except CancelledError as error:
            raise WorkerLost(f"{show(self._executor)} has cancelled step {parcel.key!r}") from error

    def cancel(self) -> None:
        """Have the executor forget what it has not begun."""
        with self._lock:
            futures = list(self._futures)
        for future in futures:
            future.cancel()


def check_executor(given: Any, what: str) -> Any:
    """Return what says where steps run, if it does.

    Raises
    ------
    ValueError, TypeError
        When it does not.
    """
    if isinstance(given, str):
        if given in {"inline", "threads", "processes", "dask"} or _COUNTED.fullmatch(given) or _DASK.fullmatch(given):
            return given
        raise ValueError(f"{what}: no executor {given!r}; known: {KNOWN}")
    if isinstance(given, Executor) or is_dask_client(given):
        return given
    raise TypeError(f"{what} must be one of {KNOWN}, not {show(given)}")


def is_dask_client(given: Any) -> bool:
    """Tell whether something is a client of a Dask cluster; Dask is not loaded for that."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == "distributed.client.Client" for kind in type(given).__mro__)


def chosen(given: Any) -> Any:
    """Return what says where steps run: what is given, else what the environment says, else threads.

    Raises
    ------
    ValueError
        When the environment says something else.
    """
    if given is not None:
        return given
    return check_executor(os.environ.get(VARIABLE) or DEFAULT, VARIABLE)


def engine_of(given: Any) -> Engine:
    """Return an engine as it was chosen.

    Raises
    ------
    ModuleNotFoundError
        When it needs a library that is not installed.
    OSError
        When there is nobody at its address.
    """
    match given:
        case "inline":
            return Inline()
        case _ if given is OPERATORS:
            return Launchers()
        case "threads":
            return Threads(THREADS)
        case "processes":
            return Processes(os.cpu_count() or 1)
        case str() if counted := _COUNTED.fullmatch(given):
            return (Threads if counted[1] == "threads" else Processes)(int(counted[2]))
        case ThreadPoolExecutor():
            return OwnThreads(given)
        case Executor():
            return Foreign(given)
    from lazytrack.steps.dask import Dask  # noqa: PLC0415  (needs the extra)

    return Dask(given)


class Engines:
    """The engines of one run: the pipeline's, and those that calls ask for. Each is made when it is first needed.

    Parameters
    ----------
    chosen
        See `chosen`.
    check
        Called with each before it is used.
    """

    def __init__(self, chosen: Any, check: Callable[[Engine], None]) -> None:
        self._chosen, self._check = chosen, check
        self._lock = threading.Lock()
        self._made: dict[Any, Engine] = {}

    def get(self, given: Any = None) -> Engine:
        """Return the engine that a call asks for, or that of the run; for what is raised see `engine_of`."""
        given = self._chosen if given is None else given
        key = given if isinstance(given, str) else id(given)
        with self._lock:
            if key not in self._made:
                engine = engine_of(given)
                self._check(engine)
                self._made[key] = engine
            return self._made[key]

    def cancel(self) -> None:
        """Stop what runs, as far as that can be done."""
        for engine in list(self._made.values()):
            engine.cancel()

    def close(self, *, wait: bool = True) -> None:
        """End all of them."""
        first: BaseException | None = None
        for engine in list(self._made.values()):
            try:
                engine.close(wait=wait)
            except BaseException as error:  # noqa: BLE001  (the others are to be closed all the same)
                first = first or error
        if first is not None:
            raise first
