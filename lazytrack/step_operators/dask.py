"""Steps on the workers of a Dask cluster that is there already, each in a process of its own beside the worker."""

import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from typing import Any, ClassVar

import attrs
from pydantic import Field

from lazytrack import extras, naming
from lazytrack.errors import StepInterfaceError, WorkerLost
from lazytrack.step_operators.base_step_operator import BaseStepOperatorConfig, BaseStepOperatorFlavor
from lazytrack.step_operators.jobs import JobState, JobStatus, JobStepOperator
from lazytrack.step_operators.local import LIFELINE, ended_with
from lazytrack.step_operators.step_run_info import StepRunInfo

_PATIENCE_OF_CONNECTING = 10
"""Seconds."""
_TAIL = 20_000
_FRESH_SECONDS = 2.0
"""How long what the scheduler has said of its workers is taken for what it would say."""


class DaskStepOperatorConfig(BaseStepOperatorConfig):
    """Which cluster it is.

    Parameters
    ----------
    address
        Of its scheduler: ``tcp://host:8786``, or ``dask://host:8786``.
    python
        The interpreter there; by default that of the worker.
    directory
        The working folder there; by default that of the worker.
    resources
        Further resources of Dask's that a step takes, as workers are started with them: ``{"licence": 1}``.
    """

    address: str
    python: str | None = None
    directory: str | None = None
    resources: dict[str, float] = Field(default_factory=dict)


class Sealed(dict[str, str]):
    """Variables among which there may be secrets: what an engine prints of them shows none."""

    def __repr__(self) -> str:
        return f"<{len(self)} variables>"

    __str__ = __repr__


@attrs.define(eq=False)
class _Job:
    future: Any
    begun: list[str] = attrs.Factory(list)
    """The workers that have begun it."""


class DaskStepOperator(JobStepOperator):
    """Runs steps beside the workers of a Dask cluster. It needs ``lazytrack[dask]``, there too."""

    flavor_name: ClassVar[str] = "dask"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._lock = threading.Lock()
        self._connected: dict[str, Any] = {}
        """The clients, by the address of the scheduler."""
        self._topic = f"lazytrack-{naming.unique()}"
        self._jobs: dict[str, _Job] = {}
        self._asking = threading.Lock()
        self._workers: dict[str, tuple[float, set[str]]] = {}
        """By client, when it was asked which workers there are, and which these were."""

    def _client(self, config: Any) -> Any:
        address = config.address.replace("dask://", "tcp://", 1)
        with self._lock:
            known = self._connected.get(address)
            if known is not None and known.status == "running":
                return known
            distributed = extras.load("distributed")
            try:
                client = distributed.Client(address, timeout=_PATIENCE_OF_CONNECTING, set_as_default=False)
            except (OSError, ValueError) as error:
                raise ConnectionError(
                    f"step operator {self.name!r}: there is no Dask scheduler at {address}: {error}"
                ) from error
            client.subscribe_topic(self._topic, self._hear)
            self._connected[address] = client
            return client

    def _hear(self, event: tuple[float, tuple[str, str]]) -> None:
        _, (job, worker) = event
        if job in self._jobs:
            self._jobs[job].begun.append(worker)

    def check(self, step: str, config: Any) -> None:
        """Refuse a step that asks for what no worker has said to have."""
        super().check(step, config)
        wanted, asks = self._wanted(config), config.resources
        workers = list(self._client(self.config_for(config)).scheduler_info(n_workers=-1)["workers"].values())
        if not workers:
            return
        if wanted and not any(_has(worker, wanted) for worker in workers):
            asked = " ".join(f"{name}={count:g}" for name, count in wanted.items())
            raise StepInterfaceError(
                f"step {step!r} asks for {asked}, which no worker of the Dask cluster has: start one with "
                f"dask worker --resources '{asked}'"
            )
        if asks is None:
            return
        limit = max(worker.get("memory_limit") or 0 for worker in workers)
        if asks.memory_bytes is not None and limit and asks.memory_bytes > limit:
            raise StepInterfaceError(
                f"step {step!r} asks for {asks.memory} of memory, and no worker of the Dask cluster has more than "
                f"{limit / 2**30:.1f}GiB"
            )
        threads = max(worker["nthreads"] for worker in workers)
        if asks.cpu_count is not None and asks.cpu_count > threads:
            raise StepInterfaceError(
                f"step {step!r} asks for {asks.cpu_count:g} processors, and no worker of the Dask cluster has more "
                f"than {threads} threads"
            )

    def _wanted(self, config: Any) -> dict[str, float]:
        asks = config.resources
        gpus = {"GPU": float(asks.gpu_count)} if asks is not None and asks.gpu_count else {}
        return {**self.config_for(config).resources, **gpus}

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> str:
        """Give a step to the cluster."""
        config = self.config_for(info.config)
        client = self._client(config)
        job = f"{info.pipeline_step_name}-{naming.unique()}"
        command = [config.python or "", *entrypoint_command[1:]]
        self._jobs[job] = known = _Job(None)
        known.future = client.submit(
            run_there,
            command,
            Sealed(environment),
            config.directory,
            self._topic,
            job,
            pure=False,
            key=job,
            resources=self._wanted(info.config) or None,
            retries=0,
        )
        return job

    def status(self, job: str) -> JobStatus:
        """Return how far a step has come."""
        known = self._jobs[job]
        future = known.future
        if len(known.begun) > 1:  # Dask runs again what a dead worker ran; whether that is wanted is said by `retry`
            self.cancel(job)
            return JobStatus(JobState.LOST, f"the Dask worker {known.begun[0]} died")
        match future.status:
            case "finished":
                code, _ = self._result(future)
                return ended_with(code)
            case "pending":
                if future.client.status not in {"running", "connecting"}:
                    return JobStatus(JobState.LOST, "the Dask scheduler is gone")
                if known.begun and not self._is_there(known.begun[0], future.client):
                    self.cancel(job)
                    return JobStatus(JobState.LOST, f"the Dask worker {known.begun[0]} died")
                return JobStatus(JobState.RUNNING if known.begun else JobState.PENDING)
            case "error":
                return JobStatus(JobState.LOST, f"Dask could not run it: {future.exception()}")
            case "cancelled" if future.client.status != "running":
                return JobStatus(JobState.LOST, "the Dask scheduler is gone")
            case "cancelled":
                return JobStatus(JobState.CANCELLED, "Dask has cancelled it")
            case _:
                return JobStatus(JobState.LOST, f"Dask has lost it ({future.status})")

    def _is_there(self, worker: str, client: Any) -> bool:
        """Tell whether a cluster has a worker still: where it was the only one, nobody begins again what it ran.

        For many steps that are asked after the cluster is asked once in a while.
        """
        with self._asking:
            at, workers = self._workers.get(client.id, (-math.inf, set()))
            if worker not in workers or time.monotonic() - at > _FRESH_SECONDS:
                try:
                    workers = set(client.scheduler_info(n_workers=-1)["workers"])
                except Exception:  # noqa: BLE001  (the scheduler may be gone, which the client says itself)
                    return True
                self._workers[client.id] = time.monotonic(), workers
            return worker in workers

    def _result(self, future: Any) -> tuple[int, str]:
        try:
            found: tuple[int, str] = future.result(timeout=_PATIENCE_OF_CONNECTING)
        except Exception as error:
            raise WorkerLost(f"step operator {self.name!r}: the Dask cluster has lost a step: {error}") from error
        return found

    def cancel(self, job: str) -> None:
        """Have the cluster forget a step; one that runs ends with it."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            self._jobs[job].future.cancel()

    def logs(self, job: str) -> str:
        """Return what a step has printed, once it has ended."""
        future = self._jobs[job].future
        if future.status != "finished":
            return ""
        return self._result(future)[1]

    def forget(self, job: str) -> None:
        """Have the cluster keep nothing of a step: what is kept would be run again when the worker dies."""
        known = self._jobs.pop(job, None)
        if known is not None and known.future is not None:
            with contextlib.suppress(Exception):  # the cluster may be gone
                if known.future.status == "finished":
                    sys.stdout.write(self._result(known.future)[1])
                known.future.release()


def run_there(
    command: list[str], environment: dict[str, str], directory: str | None, topic: str, job: str
) -> tuple[int, str]:
    """Run the command of a step beside a worker, and return its exit code and the end of what it printed.

    It ends with the worker, and when the client has cancelled it.
    """
    import json  # noqa: PLC0415  (what runs there brings what it needs)

    worker = extras.load("distributed").get_worker()
    worker.log_event(topic, (job, worker.address))
    python, _, module, *arguments = command
    process = subprocess.Popen(  # noqa: S603
        [python or sys.executable, "-m", LIFELINE, module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        # What finds the code has to be there when Python begins; all else comes through the standard input.
        env={**os.environ, **{name: environment[name] for name in ("PYTHONPATH",) if name in environment}},
        start_new_session=True,
    )
    stop = threading.Event()
    watcher = threading.Thread(target=_end_when_cancelled, args=(worker, job, process, stop), daemon=True)
    watcher.start()
    try:
        if process.stdin is None or process.stdout is None:  # for mypy: both are pipes
            raise WorkerLost("the process has no pipes")
        with contextlib.suppress(OSError):
            process.stdin.write(json.dumps(environment).encode() + b"\n")
            process.stdin.flush()
        printed = process.stdout.read()
        return process.wait(), printed.decode("utf-8", "replace")[-_TAIL:]
    finally:
        stop.set()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        process.kill()
        process.wait()


def _end_when_cancelled(worker: Any, job: str, process: "subprocess.Popen[bytes]", stop: threading.Event) -> None:
    """End a process whose task the scheduler has released, or whose worker ends: Dask does not stop a thread."""
    while not stop.wait(0.5):
        task = worker.state.tasks.get(job)
        is_wanted = task is not None and task.state not in {"cancelled", "released", "forgotten"}
        if not is_wanted or worker.status.name in {"closing", "closed", "failed"}:
            with contextlib.suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()  # the lifeline ends it, and all that it has started
            return


def _has(worker: Any, wanted: dict[str, float]) -> bool:
    there = worker.get("resources") or {}
    return all(there.get(name, 0) >= count for name, count in wanted.items())


class DaskFlavor(BaseStepOperatorFlavor):
    """A Dask cluster."""

    name = "dask"
    config_class = DaskStepOperatorConfig
    implementation_class = DaskStepOperator
