"""System metrics: what the machine of a run was doing, sampled in a thread, under the names that MLflow gives them."""

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lazytrack import extras, naming
from lazytrack.errors import LazytrackError
from lazytrack.series import SYSTEM
from lazytrack.tracking.autosave import warn

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment

DEFAULT_INTERVAL = 10.0
_MEGABYTE = 1e6
_PATIENCE_SECONDS = 5.0
"""For a counter that does not answer, at the end of a run."""


class Sampler(threading.Thread):
    """Logs what the machine is doing, again and again, at the seconds since the experiment was created as steps.

    Parameters
    ----------
    experiment
        What it is logged to.
    seconds
        Between two samples.
    """

    def __init__(self, experiment: "Experiment", seconds: float) -> None:
        super().__init__(name=f"lazytrack system metrics {experiment.slug}", daemon=True)
        self._experiment = experiment
        self._seconds = seconds
        self._stop_asked = threading.Event()
        self._machine = Machine()
        self._failed = False

    @staticmethod
    def check() -> None:
        """Refuse to begin where the library for it is not installed.

        Raises
        ------
        ModuleNotFoundError
            Which says how to install it.
        """
        extras.load("psutil")

    def stop(self) -> None:
        """Take a last sample, and end."""
        self._stop_asked.set()
        if self.ident is not None:
            self.join(timeout=_PATIENCE_SECONDS)
        self._log()

    def run(self) -> None:
        """Sample until told to stop."""
        while self._log() and not self._stop_asked.wait(self._seconds):
            pass

    def _log(self) -> bool:
        """Log one sample; tell whether more can be."""
        experiment = self._experiment
        try:
            since = (naming.now() - experiment.created_at).total_seconds()
            experiment.log_metrics(self._machine.sample(), step=max(0, round(since)))
        except LazytrackError:  # it was deleted, or belongs to another process by now
            return False
        except Exception as error:  # noqa: BLE001  (a machine's counters must not stop a training)
            if not self._failed:
                warn(f"system metrics of {experiment.slug} end: {error}")
            self._failed = True
            return False
        return True


class Machine:
    """The counters of this machine; disk and network count from here on."""

    def __init__(self) -> None:
        self._psutil = extras.load("psutil")
        self._psutil.cpu_percent()  # counts from the call before
        self._disk, self._network = self._counters()
        self._gpus = _gpus()

    def _counters(self) -> tuple[Any, Any]:
        return self._psutil.disk_io_counters(), self._psutil.net_io_counters()

    def sample(self) -> dict[str, float]:
        """Return what the machine is doing by name: percentages, and megabytes of 1,000,000 bytes."""
        memory, space = self._psutil.virtual_memory(), self._psutil.disk_usage("/")
        found: dict[str, float] = {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
            "process_memory_usage_megabytes": self._psutil.Process().memory_info().rss / _MEGABYTE,
            "disk_usage_percentage": space.percent,
            "disk_usage_megabytes": space.used / _MEGABYTE,
            "disk_available_megabytes": space.free / _MEGABYTE,
        }
        disk, network = self._counters()
        if disk is not None and self._disk is not None:  # containers may have none
            found["disk_read_megabytes"] = (disk.read_bytes - self._disk.read_bytes) / _MEGABYTE
            found["disk_write_megabytes"] = (disk.write_bytes - self._disk.write_bytes) / _MEGABYTE
        if network is not None and self._network is not None:
            found["network_receive_megabytes"] = (network.bytes_recv - self._network.bytes_recv) / _MEGABYTE
            found["network_transmit_megabytes"] = (network.bytes_sent - self._network.bytes_sent) / _MEGABYTE
        for number, gpu in enumerate(self._gpus):
            found |= {f"gpu_{number}_{name}": value for name, value in gpu.sample().items()}
        return {SYSTEM + name: float(value) for name, value in found.items()}


class _GPU:
    def __init__(self, nvml: Any, number: int) -> None:
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(number)

    def sample(self) -> dict[str, float]:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        found = {
            "memory_usage_megabytes": memory.used / _MEGABYTE,
            "memory_usage_percentage": 100 * memory.used / memory.total,
        }
        # Some devices do not tell.
        telling: dict[str, Callable[[], float]] = {
            "utilization_percentage": lambda: self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu,
            "power_usage_watts": lambda: self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000,
        }
        for name, ask in telling.items():
            with contextlib.suppress(self._nvml.NVMLError):
                found[name] = ask()
        return found


def _gpus() -> list[_GPU]:
    """Return the NVIDIA devices; none where there are none, or their library is not installed."""
    try:
        nvml = extras.load("pynvml")
        nvml.nvmlInit()
        return [_GPU(nvml, number) for number in range(nvml.nvmlDeviceGetCount())]
    except ModuleNotFoundError:
        return []
    except nvml.NVMLError:  # no driver
        return []
