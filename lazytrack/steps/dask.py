"""Steps on a Dask cluster: one of this machine, or one at an address."""

import asyncio
import concurrent.futures
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from lazytrack import extras, naming
from lazytrack.errors import StepInterfaceError, WorkerLost
from lazytrack.steps.envelope import Parcel, run_parcel
from lazytrack.steps.executors import Engine
from lazytrack.steps.resources import ResourceSettings

_LEAST, _MOST = 16, 1000
"""Steps that the cluster is given at the same time."""
_PATIENCE_OF_CONNECTING = 10
"""Seconds."""
_PATIENCE_OF_ENDING = 60
"""Seconds: the steps are over, so nothing that is recorded waits for it."""
_PATIENCE_SECONDS = 30.0
"""After which somebody is told that a step waits for workers."""
_LOST = (Exception, concurrent.futures.CancelledError, asyncio.CancelledError)
_log = logging.getLogger(__name__)


class Dask(Engine):
    """Runs steps on a cluster. A step whose worker dies is run again by Dask, as often as that is configured to.

    Parameters
    ----------
    given
        ``dask`` for a cluster of this machine, which ends with the run; an address; or a `distributed.Client`, which
        is left as it is.

    Raises
    ------
    ModuleNotFoundError
        When Dask is not installed.
    OSError
        When there is no scheduler at the address.
    """

    def __init__(self, given: Any) -> None:
        distributed = extras.load("distributed")
        self._cluster: Any = None
        self._is_ours = isinstance(given, str)
        if not isinstance(given, str):
            if given.asynchronous:
                raise TypeError("executor: steps cannot be run by a Dask client that is asynchronous: give another one")
            self._client = given
        elif given == "dask":
            self._cluster = distributed.LocalCluster(
                n_workers=os.cpu_count(), threads_per_worker=1, dashboard_address="127.0.0.1:0"
            )
            self._client = distributed.Client(self._cluster)
        else:
            address = given.replace("dask://", "tcp://", 1)
            try:
                self._client = distributed.Client(address, timeout=_PATIENCE_OF_CONNECTING, set_as_default=False)
            except (OSError, ValueError) as error:
                raise ConnectionError(
                    f"executor {given!r}: there is no Dask scheduler at {address}: {error}"
                ) from error
        threads = sum(worker["nthreads"] for worker in self._workers())
        super().__init__(min(max(2 * threads, _LEAST), _MOST))
        self._futures: set[Any] = set()
        self._topic = f"lazytrack-{naming.unique()}"
        self._begun: dict[str, list[tuple[float, str]]] = {}
        """When and by whom each task was begun that is not over, as the workers say: Dask does not tell."""
        self._client.subscribe_topic(self._topic, self._hear)

    def _workers(self) -> list[dict[str, Any]]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"].values())

    def _hear(self, event: tuple[float, tuple[str, str]]) -> None:
        when, (ticket, worker) = event
        if ticket in self._begun:
            self._begun[ticket].append((when, worker))

    def check(self, step: str, asks: ResourceSettings | None) -> None:
        """Refuse a step that asks for what no worker has said to have."""
        if asks is None:
            return
        wanted = _as_dask_has_it(asks)
        workers = self._workers()
        if workers and wanted and not any(_has(worker, wanted) for worker in workers):
            asked = ", ".join(f"{name}={count:g}" for name, count in wanted.items())
            raise StepInterfaceError(
                f"step {step!r} asks for {asked}, which no worker of the Dask cluster has: start one with "
                f"dask worker --resources '{asked.replace(',', '')}'"
            )
        limits = [worker.get("memory_limit") or 0 for worker in workers]
        if asks.memory_bytes is not None and limits and asks.memory_bytes > max(limits):
            raise StepInterfaceError(
                f"step {step!r} asks for {asks.memory} of memory, and no worker of the Dask cluster has more than "
                f"{max(limits) / 2**30:.1f}GiB"
            )

    def run(self, parcel: Parcel) -> bytes:
        """Run a step and return how it went; see `Engine.run`."""
        waiting = asyncio.run_coroutine_threadsafe(self._run(parcel), self._client.loop.asyncio_loop)
        try:
            try:
                return waiting.result(_PATIENCE_SECONDS)
            except TimeoutError:
                if not waiting.done():
                    self._tell_of_no_workers(parcel.key)
                return waiting.result()
        except _LOST as error:  # what the step itself raises is in its answer
            raise WorkerLost(
                f"the Dask cluster has lost step {parcel.key!r}: {str(error) or type(error).__name__}"
            ) from error

    async def _run(self, parcel: Parcel) -> bytes:
        # On the loop of the client, where nothing has to wait for another thread for each step.
        wanted = None if parcel.asks is None else _as_dask_has_it(parcel.asks)
        ticket = f"{parcel.key}-{naming.unique()}"
        self._begun[ticket] = []
        future = self._client.submit(
            run_here, parcel.content, self._topic, ticket, pure=False, key=ticket, resources=wanted or None
        )
        self._futures.add(future)
        try:
            return await future  # type: ignore[no-any-return]
        finally:
            parcel.lost.extend((when, f"the Dask worker {who} died") for when, who in self._begun.pop(ticket)[:-1])
            self._futures.discard(future)
            future.release()  # one that is held would be run again when the worker dies that has its result

    def _tell_of_no_workers(self, key: str) -> None:
        with contextlib.suppress(Exception):  # the cluster may be gone
            if self._workers():
                return
            _log.warning("step %r waits, as the Dask cluster at %s has no workers", key, self._client.scheduler.address)

    def cancel(self) -> None:
        """Have the cluster forget what it has not begun; what runs goes on until the workers end."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._client.cancel(list(self._futures), asynchronous=False)

    def close(self, *, wait: bool = True) -> None:
        """End the cluster of this machine, and the connection, where they are the run's."""
        super().close(wait=wait)
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._client.unsubscribe_topic(self._topic)
        if self._is_ours:
            self._client.close()
        if self._cluster is not None:
            with _quietly(), contextlib.suppress(TimeoutError):  # what does not end now ends with this process
                self._cluster.close(timeout=_PATIENCE_OF_ENDING)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Have Dask not warn of workers that it ends by a signal, as they take their time on a busy machine."""
    nannies = logging.getLogger("distributed.nanny")
    before = nannies.level
    nannies.setLevel(logging.ERROR)
    try:
        yield
    finally:
        nannies.setLevel(before)


def run_here(content: bytes, topic: str, ticket: str) -> bytes:
    """Run a step on a worker, and say so first: of one that dies, that is all there is to hear."""
    worker = extras.load("distributed").get_worker()
    worker.log_event(topic, (ticket, worker.address))
    return run_parcel(content)


def _as_dask_has_it(resources: ResourceSettings) -> dict[str, float]:
    """Return what a step asks for by the names that Dask's users give it; memory is not theirs to count."""
    asked = {"GPU": resources.gpu_count}
    return {name: float(count) for name, count in asked.items() if count}


def _has(worker: Mapping[str, Any], wanted: Mapping[str, float]) -> bool:
    there = worker.get("resources") or {}
    return all(there.get(name, 0) >= count for name, count in wanted.items())
