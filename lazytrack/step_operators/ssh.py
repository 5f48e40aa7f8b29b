"""Steps on a machine that OpenSSH reaches; the user's own client, with what its configuration says."""

import json
import shlex
import shutil
import subprocess
import threading
from typing import Any, ClassVar

from pydantic import Field

from lazytrack.errors import StepInterfaceError
from lazytrack.step_operators.base_step_operator import BaseStepOperatorConfig, BaseStepOperatorFlavor
from lazytrack.step_operators.jobs import JobState, JobStatus
from lazytrack.step_operators.local import ProcessStepOperator, ended_with

_OF_SSH = 255
"""The exit code of the client itself."""
_SIGNALLED = 128
_PATIENCE_SECONDS = 30
_USUAL = ("-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15")
_ASK = """
import json, os, shutil, subprocess
memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
gpus = 0
if shutil.which("nvidia-smi"):
    gpus = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout.count("GPU ")
import lazytrack
print(json.dumps({"cpus": os.cpu_count(), "memory": memory, "gpus": gpus}))
"""


class SSHStepOperatorConfig(BaseStepOperatorConfig):
    """Which machine it is.

    Parameters
    ----------
    host
        As for ``ssh``: a name of its configuration, or ``user@host``.
    python
        The interpreter there, in which lazytrack and whatever the step imports is installed.
    directory
        The working folder there; by default the home.
    options
        Further options of ``ssh``: ``["-F", "ssh_config"]``.
    show_output
        Whether what steps print is shown here.
    at_once
        How many steps run there at the same time; by default 8, as servers refuse many connections at once.
    """

    host: str
    python: str = "python3"
    directory: str | None = None
    options: tuple[str, ...] = ()
    show_output: bool = True
    at_once: int = Field(default=8, ge=1)


class SSHStepOperator(ProcessStepOperator):
    """Runs steps on another machine, one process each, which end when this one does."""

    flavor_name: ClassVar[str] = "ssh"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._asking = threading.Lock()
        self._has: dict[tuple[Any, ...], dict[str, Any]] = {}
        """What machines have that were asked."""

    def check(self, step: str, config: Any) -> None:
        """Refuse a machine that cannot be reached, or has no lazytrack, and a step that asks for more than it has."""
        super().check(step, config)
        own, asks = self.config_for(config), config.resources
        there = self._asked(step, own)
        if asks is None:
            return
        for what, wanted, has in (
            ("processors", asks.cpu_count, there["cpus"]),
            ("GPUs", asks.gpu_count, there["gpus"]),
            ("GiB of memory", _gibibytes(asks.memory_bytes), _gibibytes(there["memory"])),
        ):
            if wanted is not None and has is not None and wanted > has:
                raise StepInterfaceError(f"step {step!r} asks for {wanted:g} {what}, and {own.host} has {has:.4g}")

    def _asked(self, step: str, config: Any) -> dict[str, Any]:
        key = (config.host, config.python, config.options, config.directory)
        with self._asking:
            if key not in self._has:
                if shutil.which("ssh") is None:
                    raise StepInterfaceError(f"step {step!r}: step operator {self.name!r}: ssh is not installed here")
                try:
                    asked = subprocess.run(  # noqa: S603
                        _command(config, ["-c", _ASK], None),
                        capture_output=True,
                        check=False,
                        stdin=subprocess.DEVNULL,
                        text=True,
                        timeout=_PATIENCE_SECONDS,
                    )
                except subprocess.TimeoutExpired as error:
                    raise StepInterfaceError(
                        f"step {step!r}: step operator {self.name!r}: {config.host} does not answer"
                    ) from error
                if asked.returncode:
                    raise StepInterfaceError(
                        f"step {step!r}: step operator {self.name!r}: {config.python} of {config.host} cannot be used: "
                        f"{asked.stderr.strip()[-500:]}"
                    )
                self._has[key] = json.loads(asked.stdout.strip().splitlines()[-1])
            return self._has[key]

    def _begin(self, config: Any, program: list[str], path: str | None) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603
            _command(config, program, path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _ended_with(self, code: int) -> JobStatus:
        if code == _OF_SSH:
            return JobStatus(JobState.LOST, "ssh has lost the machine, or its process there was killed")
        # There a shell says it, which tells of signals by larger numbers.
        return ended_with(_SIGNALLED - code if code > _SIGNALLED else code)


def _gibibytes(count: int | None) -> float | None:
    return None if count is None else count / 2**30


def _command(config: Any, program: list[str], path: str | None) -> list[str]:
    """Return the command that has Python run something on the far machine; secrets are none of it."""
    variables = [] if path is None else [f"PYTHONPATH={path}"]
    there = shlex.join(["env", *variables, config.python, *program])
    if config.directory is not None:
        there = f"cd {shlex.quote(config.directory)} && exec {there}"
    return ["ssh", *_USUAL, *config.options, config.host, there]


class SSHFlavor(BaseStepOperatorFlavor):
    """A machine that is reached by ssh."""

    name = "ssh"
    config_class = SSHStepOperatorConfig
    implementation_class = SSHStepOperator
