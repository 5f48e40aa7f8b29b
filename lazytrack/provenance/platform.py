"""The machine: each probe tells one thing of it."""

import csv
import ctypes
import functools
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lazytrack import naming
from lazytrack.provenance import probing
from lazytrack.provenance.metadata import Accelerator

_MEBIBYTE = 1 << 20
_ROOT = Path("/")
"""Where the operating system's own files are."""

_CONTAINER_VARIABLES = {
    "KUBERNETES_SERVICE_HOST": "kubernetes",
    "APPTAINER_CONTAINER": "apptainer",
    "SINGULARITY_CONTAINER": "singularity",
}
_CONTAINER_FILES = {"run/.containerenv": "podman", ".dockerenv": "docker"}
_CONTAINER_GROUPS = {"kubepods": "kubernetes", "libpod": "podman", "docker": "docker", "lxc": "lxc"}
_JOB_VARIABLES = {
    "SLURM_JOB_ID": "slurm",
    "PBS_JOBID": "pbs",
    "LSB_JOBID": "lsf",
    "OAR_JOB_ID": "oar",
    "FLUX_JOB_ID": "flux",
}


def present(names: Iterable[str]) -> dict[str, Any]:
    """Return these fields of `PlatformMetadata` as they are here and now."""
    return probing.present(PROBES, names)


def forget() -> None:
    """Ask for the accelerators again when they are needed next; else a process asks once, as that can take long."""
    _accelerators.cache_clear()


# --- processors ---


def usable_cpus() -> float | None:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        usable: float = len(os.sched_getaffinity(0))
    elif (count := os.cpu_count()) is not None:
        usable = count
    else:
        return None
    return min(float(usable), *_cpu_quotas())


def _cpu_quotas() -> Iterator[float]:
    yield float("inf")
    for folder in _groups("cpu"):
        words = _first_words(folder / "cpu.max") or [
            *_first_words(folder / "cpu.cfs_quota_us"),
            *_first_words(folder / "cpu.cfs_period_us"),
        ]
        match words:
            case [quota, period] if quota.isdigit() and period.isdigit():
                yield int(quota) / int(period)


def cpu_model() -> str | None:
    """Return the name of the processor."""
    if sys.platform == "darwin":
        return _sysctl("machdep.cpu.brand_string")
    try:
        lines = (_ROOT / "proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return platform.processor() or None
    fields = {key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}
    return fields.get("model name") or fields.get("Model") or None


# --- memory ---


def memory() -> int | None:
    """Return the machine's memory in bytes."""
    if sys.platform == "darwin":
        return int(_sysctl("hw.memsize"))
    if sys.platform == "win32":
        return _windows_memory()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_memory() -> int | None:
    """Return how many bytes of memory this process may use."""
    total = probing.ask("memory", memory)
    limits = [] if total is None else [total]
    for folder in _groups("memory"):
        for words in (_first_words(folder / "memory.max"), _first_words(folder / "memory.limit_in_bytes")):
            limits += [int(word) for word in words if word.isdigit()]
    return min(limits, default=None)


def _windows_memory() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("others", ctypes.c_ulonglong * 6),
        )

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined,unused-ignore]
        raise OSError("the operating system does not tell how much memory there is")
    return int(status.total)


# --- control groups ---


def _groups(controller: str) -> list[Path]:
    """Return the folders of the control groups this process is in, each with those above it, of both versions."""
    try:
        lines = (_ROOT / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mounted = _ROOT / "sys/fs/cgroup"
        if number != "0":
            mounted /= controllers
            if controller not in controllers.split(","):
                continue
        inner = Path(path.lstrip("/"))
        if ".." not in inner.parts:  # the group is outside of what this container sees
            found += [mounted / part for part in (inner, *inner.parents)]
    return list(dict.fromkeys(found))


def _first_words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


# --- accelerators ---


def accelerators() -> list[Accelerator] | None:
    """Return the accelerators, as the drivers' own programs list them."""
    found = _accelerators()
    return None if found is None else list(found)


@functools.cache
def _accelerators() -> list[Accelerator] | None:
    answers = [probing.ask(name, functools.partial(listing, name)) for name, listing in _LISTINGS.items()]
    known = [answer for answer in answers if answer is not None]
    return [device for answer in known for device in answer] if known else None


def _nvidia(name: str) -> list[Accelerator] | None:
    columns = "--query-gpu=name,memory.total,driver_version"
    if (said := _said(name, columns, "--format=csv,noheader,nounits")) is None:
        return None
    rows = csv.reader(said.splitlines(), skipinitialspace=True)
    return [
        Accelerator(name=row[0], memory=int(row[1]) * _MEBIBYTE if row[1].isdigit() else None, driver=row[2])
        for row in rows
        if len(row) == 3  # noqa: PLR2004  (what was asked for; "No devices were found" has one)
    ]


def _amd(name: str) -> list[Accelerator] | None:
    if (said := _said(name, "--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json")) is None:
        return None
    told = json.loads(said)
    driver = told.get("system", {}).get("Driver version")
    return [
        Accelerator(
            name=_any_of(card, "Card Series", "Card series", "Card Model", "Card model"),
            memory=int(total) if (total := _any_of(card, "VRAM Total Memory (B)")) else None,
            driver=driver,
        )
        for key, card in told.items()
        if key.startswith("card")
    ]


_LISTINGS: dict[str, Callable[[str], list[Accelerator] | None]] = {"nvidia-smi": _nvidia, "rocm-smi": _amd}


def _any_of(card: dict[str, str], *names: str) -> str | None:
    """Return what is told under one of these names; they change with the program's version."""
    return next((card[name] for name in names if name in card), None)


def _said(name: str, *arguments: str) -> str | None:
    """Return what a program says; None where it is not installed."""
    program = probing.program(name)
    return None if program is None else probing.run([program, *arguments]).decode()


def _sysctl(name: str) -> str:
    return probing.run([probing.program("sysctl") or "/usr/sbin/sysctl", "-n", name]).decode().strip()


# --- what the process is contained in ---


def container() -> str | None:
    """Return what this process is contained in."""
    for variable, name in _CONTAINER_VARIABLES.items():
        if variable in os.environ:
            return name
    for file, name in _CONTAINER_FILES.items():
        if (_ROOT / file).exists():
            return name
    try:
        groups = (_ROOT / "proc/1/cgroup").read_text()
    except OSError:
        groups = ""
    return next((name for part, name in _CONTAINER_GROUPS.items() if part in groups), os.environ.get("container"))  # noqa: SIM112  (systemd spells it so)


def job() -> str | None:
    """Return the batch system and the number of the job that this process belongs to."""
    for variable, system in _JOB_VARIABLES.items():
        if number := os.environ.get(variable):
            return f"{system} {number}"
    return None


PROBES: dict[str, Callable[[], Any]] = {
    "operating_system": platform.platform,
    "cpu_count": os.cpu_count,
    "user": naming.login,
    "host": lambda: platform.node() or None,
    "machine": lambda: platform.machine() or None,
    "cpu_model": cpu_model,
    "usable_cpus": usable_cpus,
    "memory": memory,
    "usable_memory": usable_memory,
    "accelerators": accelerators,
    "container": container,
    "job": job,
}
"""By the field that each one fills."""
