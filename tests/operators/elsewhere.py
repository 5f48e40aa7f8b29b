"""Steps that operators launch, which workers import from here, and what the tests of operators share."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from lazytrack import log_metadata, step
from lazytrack.step_operators import BaseStepOperator, BaseStepOperatorConfig
from lazytrack.steps import BaseStep

PATIENCE = 90


def until(holds, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)
    return found


def lines(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def add_line(path, line):
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def is_gone(pid):
    """Tell whether a process has ended; one that nobody has asked after yet has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def until_gone(pids):
    """Wait for processes to end, well before they do by themselves."""
    until(lambda: all(map(is_gone, pids)), seconds=25)


def processes_with(text):
    """Return the ids of processes whose environment or command has a text in it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                said = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
                if text.encode() in said:
                    found.append(int(folder.name))
    return found


# --- steps ---


@step
def double(n: int) -> int:
    return 2 * n


@step
def touch(n: int, folder: str) -> int:
    add_line(f"{folder}/{n}", "ran")
    return n


@step
def fails() -> int:
    raise LookupError("no luck")


@step
def make_set() -> object:
    return {1, 2}


@step
def length(value: object) -> int:
    return len(value)


@step
def interpreter() -> str:
    import sys  # noqa: PLC0415  (of where it runs)

    return f"{sys.prefix} {Path.cwd()}"


@step
def untyped(value) -> str:
    return f"{type(value).__name__} {value!r}"


@step
def sees_and_prints(text: str) -> int:
    print(text)  # noqa: T201
    return 1


@step
def stays(path: str, flag: str = "") -> int:
    """Say which process this is, and stay for as long as somebody may want it, or until there is a file."""
    add_line(path, os.getpid())
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not (flag and Path(flag).exists()):
        time.sleep(0.05)
    return 7


@step
def stays_with_a_child(path: str) -> int:
    with subprocess.Popen(["sleep", str(PATIENCE)]) as child:
        add_line(path, child.pid)
        add_line(path, os.getpid())
        time.sleep(PATIENCE)
    return 1


@step
def stays_at_first(path: str) -> int:
    """Stay at the first attempt, and return at once at the next."""
    add_line(path, os.getpid())
    if len(lines(path)) == 1:
        time.sleep(PATIENCE)
    return 7


@step
def takes_memory(megabytes: int) -> int:
    held = []
    for _ in range(megabytes):
        held.append(b"x" * 2**20)
        time.sleep(0.002)
    time.sleep(PATIENCE)
    return len(held)


@step
def prints_and_dies(names: list[str]) -> int:
    print("told:", *(os.environ.get(name) for name in names), flush=True)  # noqa: T201
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@step
def overtaken(folder: str) -> int:
    """At the first attempt log once the second one has begun; the second ends once the first has ended."""
    add_line(f"{folder}/tries", "tried")
    number = len(lines(f"{folder}/tries"))
    if number == 1:
        until(lambda: len(lines(f"{folder}/tries")) == 2)
        log_metadata({"by": "the first"})
        return 1
    until(Path(folder, "first has ended").exists)
    log_metadata({"by": "the second"})
    return 2


@step
def late(folder: str) -> int:
    """Come to an end when the run is over."""
    add_line(f"{folder}/tries", "tried")
    until(Path(folder, "run is over").exists)
    log_metadata({"by": "the late one"})
    return 1


class Scaled(BaseStep):
    """A step that is a class, with attributes."""

    VERSION = "2"

    def __init__(self, scale: Any = 2, **options):
        super().__init__(**options)
        self.scale = scale

    def entrypoint(self, n: int) -> int:
        return n * self.scale


def plain_function(n: int) -> int:
    return n + 1


wrapped_later = step(plain_function)


# --- operators ---


class Plain(BaseStepOperator):
    """An operator that overrides nothing but `launch`, and keeps how each command ended."""

    flavor_name = "plain"

    def __init__(self, name="plain", *, kind=None, background=0, raises=None):
        super().__init__(name, config=BaseStepOperatorConfig())
        self.kind, self.background, self.raises = kind, background, raises
        """How many are begun and not waited for, and what is raised then."""
        self.ended, self.left = [], []

    @property
    def entrypoint_config_class(self):
        return self.kind or super().entrypoint_config_class

    def launch(self, info, entrypoint_command, environment):
        process = subprocess.Popen(
            entrypoint_command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if self.background:
            self.background -= 1
            self.left.append(process)
            if info.config.retry is not None or self.raises:
                until(lambda: self.begun(info))
            raise self.raises or ConnectionError("the engine is gone")
        _, said = process.communicate()
        self.ended.append((process.returncode, said.decode()))
        if process.returncode:
            raise RuntimeError(f"the command ended with {process.returncode}")

    def begun(self, info):
        return lines(f"{info.config.extra['folder']}/tries")

    def end_of_the_left(self):
        return [(each.communicate()[1].decode(), each.returncode) for each in self.left]
