"""Steps as jobs of Slurm; the calls of a map are one job array."""

import contextlib
import getpass
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from lazytrack import naming
from lazytrack.errors import StepInterfaceError, WorkerLost
from lazytrack.step_operators.base_step_operator import BaseStepOperatorConfig, BaseStepOperatorFlavor
from lazytrack.step_operators.jobs import JobState, JobStatus, JobStepOperator
from lazytrack.step_operators.step_run_info import StepRunInfo

_PATIENCE_SECONDS = 60
"""For an answer of Slurm's."""
_FRESH_SECONDS = 1.0
"""How long what Slurm has said is taken for what it would say."""
_MEBIBYTE = 2**20
_TAIL_BYTES = 20_000
_KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL")
"""Of this process's environment, what a job gets besides what its step has: its spool would keep all of it."""
_STATES = {
    "PENDING": JobState.PENDING,
    "CONFIGURING": JobState.PENDING,
    "REQUEUED": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "COMPLETING": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "STAGE_OUT": JobState.RUNNING,
    "COMPLETED": JobState.SUCCEEDED,
    "CANCELLED": JobState.CANCELLED,
    "FAILED": JobState.FAILED,
    "TIMEOUT": JobState.FAILED,
    "OUT_OF_MEMORY": JobState.FAILED,
    "DEADLINE": JobState.FAILED,
}
"""Whatever else it says, such as NODE_FAIL or PREEMPTED, means that the job is lost."""
_FIELD = re.compile(r"(?:^|\s)(\w+)=(\S*)")
"""What Slurm says of a job; that with spaces in it, such as folders, comes last."""
_NOT_KNOWN = "Invalid job id"
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class SlurmStepOperatorConfig(BaseStepOperatorConfig):
    """How jobs are submitted. Steps say otherwise in ``settings={"slurm": {"partition": "gpu"}}``.

    Parameters
    ----------
    partition, account, qos, time_limit
        As for ``sbatch``; the last as ``--time``: minutes, or ``1-12:00:00``.
    options
        Further options of ``sbatch``: ``("--constraint=a100",)``.
    folder
        On a file system that all nodes share: scripts and output of jobs while they run. Nobody else can read it.
    python
        The interpreter on the nodes; by default this process's own.
    directory
        The working folder; by default this process's own.
    show_output
        Whether what steps have printed is shown here when they have ended.
    gather_seconds
        How long the first call of a map waits for a further one, for all of them to be one array.
    largest_array
        How many tasks an array may have; Slurm's own limit is ``MaxArraySize``.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time_limit: str | int | None = None
    options: tuple[str, ...] = ()
    folder: str = "~/.lazytrack/slurm"
    python: str | None = None
    directory: str | None = None
    show_output: bool = True
    gather_seconds: float = 3.0
    largest_array: int = 1000


@attrs.define(eq=False)
class _Task:
    """One call on its way into an array."""

    command: list[str]
    environment: dict[str, str]
    done: threading.Event = attrs.Factory(threading.Event)
    job: str = ""
    error: Exception | None = None


@attrs.define(eq=False)
class _Gathering:
    """The calls of a map that are going to be one array."""

    size: int
    tasks: list[_Task] = attrs.Factory(list)
    arrived: threading.Condition = attrs.Factory(threading.Condition)

    def is_whole(self) -> bool:
        """Tell whether all calls of the map are here."""
        return len(self.tasks) >= self.size


@attrs.define
class _Known:
    """What Slurm has said of a job and its tasks, and when."""

    at: float = -math.inf
    tasks: list[dict[str, str]] = attrs.Factory(list)


class SlurmStepOperator(JobStepOperator):
    """Runs steps as jobs of Slurm, by its own commands: ``sbatch``, ``scontrol`` and ``scancel``."""

    flavor_name: ClassVar[str] = "slurm"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._gathering: dict[tuple[Any, ...], _Gathering] = {}
        self._places: dict[str, tuple[Path, str, bool]] = {}
        """Of each job the folder, which of the scripts there is its own, and whether its output is to be shown."""
        self._known: dict[str, _Known] = {}
        self._checked: set[tuple[str, ...]] = set()

    # --- before ---

    def check(self, step: str, config: Any) -> None:
        """Refuse what Slurm would not take: a partition, a time limit or resources that there are not."""
        super().check(step, config)
        options = tuple(self._options(config))
        if options in self._checked:
            return
        if shutil.which("sbatch") is None:
            raise StepInterfaceError(f"step {step!r}: step operator {self.name!r}: sbatch is not installed here")
        if (said := _why_not(options)) is not None:
            raise StepInterfaceError(f"step {step!r}: Slurm refuses {' '.join(options) or 'its jobs'}: {said}")
        self._checked.add(options)

    def _options(self, config: Any) -> list[str]:
        own, asks = self.config_for(config), config.resources
        options = [
            f"--{name}={value}"
            for name, value in (
                ("partition", own.partition),
                ("account", own.account),
                ("qos", own.qos),
                ("time", own.time_limit),
            )
            if value is not None
        ]
        if asks is not None and asks.cpu_count is not None:
            options.append(f"--cpus-per-task={math.ceil(asks.cpu_count)}")
        if asks is not None and asks.memory_bytes is not None:
            options.append(f"--mem={math.ceil(asks.memory_bytes / _MEBIBYTE)}M")
        if asks is not None and asks.gpu_count:
            options.append(f"--gres=gpu:{asks.gpu_count}")
        return [*options, *own.options]

    # --- submitting ---

    def submit(self, info: StepRunInfo, entrypoint_command: list[str], environment: dict[str, str]) -> str:
        """Submit a job, or a task of the array that the other calls of its map are tasks of, too."""
        own = self.config_for(info.config)
        options = self._options(info.config)
        task = _Task([own.python or sys.executable, *entrypoint_command[1:]], environment)
        if info.group is None or info.group_size < 2:  # noqa: PLR2004
            self._send(own, options, info.pipeline_step_name, [task])
        else:
            key = (info.run_id, info.group, tuple(options), info.config.step_operator)
            self._gather(
                key, task, info.group_size, own, lambda tasks: self._send(own, options, info.group or "", tasks)
            )
        task.done.wait()
        if task.error is not None:
            raise task.error
        return task.job

    def _gather(
        self, key: tuple[Any, ...], task: _Task, size: int, own: Any, send: Callable[[list[_Task]], None]
    ) -> None:
        """Have the first call of a map wait for the others, and submit them all."""
        with self._lock:
            is_first = key not in self._gathering
            gathering = self._gathering.setdefault(key, _Gathering(size))
            gathering.tasks.append(task)
        with gathering.arrived:
            gathering.arrived.notify()
        if not is_first:
            return
        count = 0
        while count < len(gathering.tasks) < size:  # as long as further ones arrive
            count = len(gathering.tasks)
            with gathering.arrived:
                gathering.arrived.wait_for(gathering.is_whole, timeout=own.gather_seconds)
        with self._lock:
            tasks = self._gathering.pop(key).tasks
        for start in range(0, len(tasks), own.largest_array):
            send(tasks[start : start + own.largest_array])

    def _send(self, own: Any, options: Sequence[str], name: str, tasks: list[_Task]) -> None:
        """Submit tasks as one job, and tell each what it is called."""
        try:
            folder = _new_folder(own.folder, self.name)
            for number, task in enumerate(tasks):
                _write_private(folder / f"{number}.sh", _script(task.command, task.environment), self.name)
            directory = own.directory or os.getcwd()  # noqa: PTH109  (a text, as the shell takes it)
            script = f'#!/bin/sh\nexec /bin/sh {shlex.quote(str(folder))}/"${{SLURM_ARRAY_TASK_ID:-0}}".sh\n'
            array = [f"--array=0-{len(tasks) - 1}"] if len(tasks) > 1 else []
            output = f"{folder}/{'%a' if array else '0'}.out"
            submitted = _run(
                [
                    *("sbatch", "--parsable", "--no-requeue", "--export=ALL"),
                    f"--job-name=lazytrack-{_NO_NAME.sub('-', name)}",
                    *(f"--chdir={directory}", f"--output={output}", *array, *options),
                ],
                script,
            )
            self._check_submitted(submitted, folder)
            job = submitted.stdout.strip().partition(";")[0]
            for number, task in enumerate(tasks):
                task.job = f"{job}_{number}" if array else job
                self._places[task.job] = folder, str(number), own.show_output
        except Exception as error:  # noqa: BLE001  (each of them is told)
            for task in tasks:
                task.error = error
        finally:
            for task in tasks:
                task.done.set()

    def _check_submitted(self, submitted: "subprocess.CompletedProcess[str]", folder: Path) -> None:
        if submitted.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise WorkerLost(f"step operator {self.name!r}: sbatch failed: {submitted.stderr.strip()}")

    # --- afterwards ---

    def status(self, job: str) -> JobStatus:
        """Return what Slurm says of a job; of many that are asked after together it is asked once."""
        said = self._said(job)
        if said is None:
            return JobStatus(JobState.LOST, "Slurm does not know it any more")
        word = said.get("JobState", "").split()[0] if said.get("JobState") else ""
        code, _, by = said.get("ExitCode", "").partition(":")
        # Of a job that was cancelled, or took too long, it says 0.
        exit_code = int(code) if word in {"COMPLETED", "FAILED"} and code.isdecimal() and by == "0" else None
        return JobStatus(_STATES.get(word, JobState.LOST), _why(word, said), exit_code)

    def _said(self, job: str) -> dict[str, str] | None:
        whole, _, number = job.partition("_")
        with self._asking:
            known = self._known.setdefault(whole, _Known())
            if time.monotonic() - known.at > _FRESH_SECONDS:
                # Its controller may be restarted, or away for a moment; jobs go on meanwhile.
                try:
                    asked = _run(["scontrol", "show", "job", "-o", whole])
                except subprocess.TimeoutExpired:
                    return {"JobState": "RUNNING"}
                if asked.returncode and _NOT_KNOWN not in asked.stderr + asked.stdout:
                    return {"JobState": "RUNNING"}
                known.at = time.monotonic()
                known.tasks = [_fields(line) for line in asked.stdout.splitlines() if "JobId=" in line]
            tasks = known.tasks
        if not number:
            return tasks[0] if tasks else None
        for task in tasks:
            if task.get("ArrayTaskId") == number:
                return task
        for task in tasks:
            if _covers(task.get("ArrayTaskId", ""), int(number)):
                return task
        # A task that was cancelled before it began is not listed, while its array is.
        return {"JobState": "CANCELLED", "Reason": "before it began"} if tasks else None

    def cancel(self, job: str) -> None:
        """Cancel a job."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _run(["scancel", job])

    def logs(self, job: str) -> str:
        """Return the end of what a job has printed."""
        folder, number, _ = self._places[job]
        try:
            with (folder / f"{number}.out").open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(size - _TAIL_BYTES, 0))
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def forget(self, job: str) -> None:
        """Show what a job has printed, and delete its files; a script of one that never began holds secrets."""
        folder, number, is_shown = self._places[job]
        if is_shown and (text := self.logs(job)) and sys.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.write(text)
        for suffix in ("sh", "out"):
            with contextlib.suppress(OSError):
                (folder / f"{number}.{suffix}").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are still there
            folder.rmdir()
        with self._lock:
            self._places.pop(job, None)
            whole = job.partition("_")[0]
            if not any(other.partition("_")[0] == whole for other in self._places):
                self._known.pop(whole, None)


def _run(command: list[str], text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command of Slurm's with few variables: it keeps those of ``sbatch`` with the job."""
    few = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES or name == "SLURM_CONF"}
    return subprocess.run(  # noqa: S603
        command, capture_output=True, check=False, input=text, text=True, timeout=_PATIENCE_SECONDS, env=few
    )


def _why_not(options: Sequence[str]) -> str | None:
    """Return why Slurm takes no job with these options; None where it takes one."""
    if _run(["sbatch", "--test-only", *options, "--wrap=true"]).returncode == 0:
        return None
    # That is also refused what only has to wait, for nodes that are down or drained: a job of tomorrow is not.
    tried = _run(["sbatch", "--parsable", "--output=/dev/null", *options, "--begin=now+1day", "--wrap=true"])
    if tried.returncode == 0:
        _run(["scancel", tried.stdout.strip().partition(";")[0]])
        return None
    return " ".join(line.removeprefix("sbatch: error: ") for line in tried.stderr.strip().splitlines())


def _fields(line: str) -> dict[str, str]:
    """Return the fields of a job; of one that is there twice, as in the name of a folder, the first."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(line):
        found.setdefault(name, value)
    return found


def _new_folder(place: str, operator: str) -> Path:
    """Return a new folder that only this user can look into."""
    folder = Path(place).expanduser().absolute() / f"{getpass.getuser()}-{naming.unique(12)}"
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise StepInterfaceError(f"step operator {operator!r}: the folder {place} cannot be used: {error}") from error
    return folder


def _write_private(path: Path, content: str, operator: str) -> None:
    """Write a file that only this user can read, from its first moment on."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        if os.fstat(file).st_mode & 0o077:
            path.unlink()
            raise StepInterfaceError(
                f"step operator {operator!r}: files in {path.parent} can be read by others, and secrets would be in "
                "them: name another folder"
            )
        out.write(content)


def _script(command: list[str], environment: Mapping[str, str]) -> str:
    """Return what a job runs. It deletes itself before it does anything, as it holds what may be secret."""
    lines = ["#!/bin/sh", 'rm -f -- "$0"']
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*lines, f"exec {shlex.join(command)}", ""])


def _covers(numbers: str, number: int) -> bool:
    """Tell whether a list of tasks, such as ``3,7-199%5``, has a number."""
    for part in numbers.partition("%")[0].split(","):
        first, dash, last = part.partition("-")
        if first.isdecimal() and (last.partition(":")[0].isdecimal() or not dash):
            end = int(last.partition(":")[0]) if dash else int(first)
            if int(first) <= number <= end:
                return True
    return False


def _why(word: str, said: Mapping[str, str]) -> str:
    """Say in words what Slurm says of a job that has not ended well, or does not begin."""
    code, _, signal = said.get("ExitCode", "").partition(":")
    match word:
        case "TIMEOUT":
            return f"it reached its time limit, {said.get('TimeLimit', 'which Slurm does not tell')}"
        case "OUT_OF_MEMORY":
            return "it used more memory than it had asked for"
        case "FAILED" if (code, signal) == ("0", "53"):
            return "the node cannot enter its folder, or write its output: is the folder shared?"
        case "FAILED":
            return f"it was ended by signal {signal}" if signal not in {"", "0"} else f"it ended with exit code {code}"
        case "COMPLETED" | "RUNNING" | "COMPLETING":
            return ""
        case "PENDING":
            return said.get("Reason", "")
        case _:
            reason = said.get("Reason", "")
            return f"Slurm says {word}" + (f" ({reason})" if reason not in {"", "None"} else "")


class SlurmFlavor(BaseStepOperatorFlavor):
    """Slurm, as the commands here reach it."""

    name = "slurm"
    config_class = SlurmStepOperatorConfig
    implementation_class = SlurmStepOperator
