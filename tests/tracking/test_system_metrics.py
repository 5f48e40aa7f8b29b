"""System metrics: what is sampled, under which names, and what a machine that tells nothing does to a run."""

import re
import sys
import threading
import time
import types
import warnings

import pytest

from lazytrack import Project
from lazytrack.tracking import system_metrics

psutil = pytest.importorskip("psutil")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn")


def samplers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("lazytrack system")]


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_machine_is_sampled_while_the_run_goes_on(project):
    with project.log("run", system_metrics=0.01) as exp:
        until(lambda: len(exp.history_names) > 5 and len(exp.history(exp.history_names[0])) > 3)
    assert samplers() == []
    project.save()
    found = Project(project.fpath, mode="r")["run"]
    assert {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_megabytes",
        "system/system_memory_usage_percentage",
        "system/process_memory_usage_megabytes",
        "system/disk_usage_percentage",
        "system/network_receive_megabytes",
    } <= set(found.history_names)
    assert all(name.startswith("system/") for name in found.history_names)
    assert 0 <= found.metrics["system/cpu_utilization_percentage"] <= 100
    used = found.metrics["system/process_memory_usage_megabytes"]
    assert used == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.5)
    assert found.last_step is None, "they go by the clock"


def test_steps_are_seconds_since_the_run_was_created(project, monkeypatch):
    from datetime import timedelta  # noqa: PLC0415

    exp = project.log("run")
    sampler = system_metrics.Sampler(exp, 10)
    for seconds in (0, 10, 25):
        monkeypatch.setattr("lazytrack.naming.now", lambda s=seconds: exp.created_at + timedelta(seconds=s))
        assert sampler._log()
    assert exp.history("system/cpu_utilization_percentage").step == [0, 10, 25]


class NVMLError(Exception):
    pass


def not_supported(_):
    raise NVMLError("not supported")


@pytest.fixture
def nvml(monkeypatch):
    """Stand in for the driver of two devices, of which the second does not tell how busy it is."""
    fake = types.ModuleType("pynvml")
    fake.NVMLError = NVMLError
    fake.nvmlInit = lambda: None
    fake.nvmlDeviceGetCount = lambda: 2
    fake.nvmlDeviceGetHandleByIndex = lambda number: number
    fake.nvmlDeviceGetMemoryInfo = lambda number: types.SimpleNamespace(used=10**9 * (number + 1), total=8 * 10**9)
    fake.nvmlDeviceGetUtilizationRates = lambda n: not_supported(n) if n else types.SimpleNamespace(gpu=75)
    fake.nvmlDeviceGetPowerUsage = lambda number: 150_500
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_each_gpu_is_sampled(nvml):
    found = system_metrics.Machine().sample()
    assert {name: value for name, value in found.items() if "gpu" in name} == {
        "system/gpu_0_memory_usage_megabytes": 1000.0,
        "system/gpu_0_memory_usage_percentage": 12.5,
        "system/gpu_0_utilization_percentage": 75.0,
        "system/gpu_0_power_usage_watts": 150.5,
        "system/gpu_1_memory_usage_megabytes": 2000.0,
        "system/gpu_1_memory_usage_percentage": 25.0,
        "system/gpu_1_power_usage_watts": 150.5,
    }


@pytest.mark.parametrize("how", ["no library", "no driver"])
def test_a_machine_without_gpus_has_none(monkeypatch, nvml, how):
    if how == "no library":
        monkeypatch.setitem(sys.modules, "pynvml", None)
    else:
        nvml.nvmlInit = lambda: not_supported(0)
    assert not [name for name in system_metrics.Machine().sample() if "gpu" in name]


def test_a_container_without_counters_tells_the_rest(monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)
    found = system_metrics.Machine().sample()
    assert "system/cpu_utilization_percentage" in found
    assert not [name for name in found if "network" in name or "disk_read" in name]


def test_a_machine_that_fails_ends_the_sampling_and_not_the_run(project, monkeypatch):
    def fail():
        raise OSError("no such counter")

    monkeypatch.setattr(psutil, "virtual_memory", fail)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with project.log("run", system_metrics=0.01) as exp:
            until(lambda: samplers() == [])
            exp.log_metric("loss", 1.0)
    assert len(caught) == 1
    assert re.match("system metrics of run-.* end: no such counter", str(caught[0].message))
    project.save()
    assert Project(project.fpath, mode="r")["run"].metrics == {"loss": 1.0}


def test_a_missing_library_is_named_with_its_extra_and_nothing_begins(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ModuleNotFoundError, match=r"psutil is not installed: pip install 'lazytrack\[system\]'"):
        project.log("run", system_metrics=True)
    assert len(project) == 0
