"""What is told of a machine, and that a machine which tells nothing is no trouble."""

import ctypes
import logging
import os
import platform as standard
import sys
import time
import types
from pathlib import Path

import pytest

from lazytrack import codec, naming
from lazytrack.provenance import platform, probing
from lazytrack.provenance.metadata import Accelerator, PlatformMetadata

FIELDS = [
    "operating_system",
    "cpu_count",
    "user",
    "host",
    "machine",
    "cpu_model",
    "usable_cpus",
    "memory",
    "usable_memory",
    "accelerators",
    "container",
    "job",
]
posix_only = pytest.mark.skipif(os.name == "nt", reason="programs are made of one file")


@pytest.fixture(autouse=True)
def _forgotten():
    platform.forget()
    yield
    platform.forget()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Stand for the operating system's own files."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setattr(platform, "_ROOT", folder)
    return folder


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Be all the programs that there are; what is returned makes one that runs a text of Python."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, code):
        (folder / name).write_text(f"#!{sys.executable}\n{code}")
        (folder / name).chmod(0o755)

    return make


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_made_without_arguments_it_tells_of_this_machine():
    found = PlatformMetadata()
    assert found.operating_system == standard.platform()
    assert (found.cpu_count, found.user, found.host) == (os.cpu_count(), naming.login(), standard.node())
    assert found.machine == standard.machine()
    assert 0 < found.usable_cpus <= found.cpu_count
    assert 1 << 27 < found.usable_memory <= found.memory < 1 << 50


def test_what_is_given_is_not_captured():
    found = PlatformMetadata(user="dana", cpu_count=None)
    assert (found.user, found.cpu_count, found.host) == ("dana", None, standard.node())


def test_every_field_has_a_probe():
    assert list(platform.PROBES) == FIELDS == list(codec.converter.unstructure(PlatformMetadata()))


def test_it_comes_back_from_json_as_it_was():
    found = PlatformMetadata(accelerators=[Accelerator(name="A100", memory=1 << 36, driver="550.54")], usable_cpus=1.5)
    assert codec.converter.structure(codec.loads(codec.dumps(codec.converter.unstructure(found))), type(found)) == found


def test_a_probe_that_fails_leaves_its_field_empty_and_tells_who_debugs(monkeypatch, caplog):
    def fail():
        raise RuntimeError("no such machine")

    monkeypatch.setattr(platform, "PROBES", dict.fromkeys(platform.PROBES, fail))
    with caplog.at_level(logging.DEBUG, logger=probing.__name__):
        assert PlatformMetadata() == PlatformMetadata(**dict.fromkeys(FIELDS))
    assert "cpu_count is not known: RuntimeError: no such machine" in caplog.text
    assert {record.levelname for record in caplog.records} == {"DEBUG"}


def test_interrupting_a_probe_interrupts(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(platform, "PROBES", dict.fromkeys(platform.PROBES, interrupt))
    with pytest.raises(KeyboardInterrupt):
        PlatformMetadata()


def test_a_machine_without_its_files_and_programs_tells_less(root, programs, monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    found = PlatformMetadata()
    assert (found.accelerators, found.usable_memory) == (None, None)
    assert found.cpu_count == os.cpu_count()


# --- processors and memory ---


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC: 7B12\nflags\t: fpu\n\nprocessor\t: 1\n", "AMD EPYC: 7B12"),
        ("processor : 0\nModel : Raspberry Pi 5\n", "Raspberry Pi 5"),
        ("processor : 0\n", None),
        ("", None),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="has no such file")
def test_the_processor_is_named_as_the_operating_system_does(root, text, model):
    write(root, "proc/cpuinfo", text)
    assert platform.cpu_model() == model


V2 = "sys/fs/cgroup"
V1_CPU = "sys/fs/cgroup/cpu,cpuacct"
V1_MEMORY = "sys/fs/cgroup/memory"


@pytest.mark.parametrize(
    ("groups", "files", "cpus", "memory"),
    [
        ("0::/job/step\n", {f"{V2}/job/cpu.max": "150000 100000\n", f"{V2}/job/memory.max": "4096\n"}, 1.5, 4096),
        ("0::/\n", {f"{V2}/cpu.max": "max 100000\n", f"{V2}/memory.max": "max\n"}, None, None),
        (
            "4:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n0::/\n",
            {
                f"{V1_CPU}/cpu.cfs_quota_us": "50000",
                f"{V1_CPU}/cpu.cfs_period_us": "100000",
                f"{V1_MEMORY}/docker/1/memory.limit_in_bytes": "8192",
            },
            0.5,
            8192,
        ),
        ("2:cpu:/\n", {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"}, None, None),
        ("0::/../../outside\nnonsense\n\n", {f"{V2}/any": "", "sys/outside/cpu.max": "1 100"}, None, None),
        ("0::/\n", {f"{V2}/cpu.max": "nonsense", f"{V2}/memory.max": ""}, None, None),
    ],
)
def test_what_may_be_used_is_what_the_control_group_leaves(root, monkeypatch, groups, files, cpus, memory):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(platform, "memory", lambda: 1 << 20)
    write(root, "proc/self/cgroup", groups)
    for path, text in files.items():
        write(root, path, text)
    assert platform.usable_cpus() == (3.0 if cpus is None else cpus)
    assert platform.usable_memory() == (1 << 20 if memory is None else memory)


def test_where_no_affinity_is_told_all_processors_may_be_used(root, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert platform.usable_cpus() == 6.0
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert platform.usable_cpus() is None


@posix_only
def test_on_a_mac_the_system_is_asked(programs, monkeypatch):
    programs("sysctl", "import sys; print({'hw.memsize': 1 << 34}.get(sys.argv[2], 'Apple M4'))")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (platform.cpu_model(), platform.memory()) == ("Apple M4", 1 << 34)


def test_on_windows_the_system_is_asked(monkeypatch):
    def fill(pointer):
        pointer._obj.total = 1 << 35
        return pointer._obj.length == 64

    kernel = types.SimpleNamespace(GlobalMemoryStatusEx=fill)
    monkeypatch.setattr(ctypes, "windll", types.SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(ctypes, "c_ulong", ctypes.c_uint32)  # as it is there
    monkeypatch.setattr(sys, "platform", "win32")
    assert platform.memory() == 1 << 35
    kernel.GlobalMemoryStatusEx = lambda pointer: 0
    assert PlatformMetadata().memory is None


# --- accelerators ---

NVIDIA = """
import sys
assert sys.argv[1:] == ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
print("NVIDIA A100-SXM4-80GB, 81920, 550.54.15")
print('"Odd, Name", [N/A], 550.54.15')
"""
AMD = """
import json
card = {"Card Series": "Instinct MI250X", "VRAM Total Memory (B)": "68702699520"}
print(json.dumps({"card0": card, "card1": {}, "system": {"Driver version": "6.2.4"}}))
"""


@posix_only
def test_accelerators_are_those_that_the_drivers_programs_list(programs):
    programs("nvidia-smi", NVIDIA)
    programs("rocm-smi", AMD)
    assert PlatformMetadata().accelerators == [
        Accelerator(name="NVIDIA A100-SXM4-80GB", memory=80 << 30, driver="550.54.15"),
        Accelerator(name="Odd, Name", memory=None, driver="550.54.15"),
        Accelerator(name="Instinct MI250X", memory=68702699520, driver="6.2.4"),
        Accelerator(name=None, memory=None, driver="6.2.4"),
    ]


@posix_only
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('No devices were found')", []),
        ("print('NVIDIA-SMI has failed because it could not communicate with the driver'); raise SystemExit(9)", None),
        ("import os; os.kill(os.getpid(), 9)", None),
        ("import sys; sys.stdout.buffer.write(bytes([255, 254]))", None),
    ],
)
def test_a_program_that_fails_tells_of_no_accelerators_and_stops_no_other(programs, code, expected):
    programs("nvidia-smi", code)
    assert platform.accelerators() == expected
    platform.forget()
    programs("rocm-smi", AMD)
    assert len(platform.accelerators()) == 2


@posix_only
def test_a_program_that_hangs_is_ended_and_not_asked_again(programs, monkeypatch, tmp_path):
    programs("nvidia-smi", f"import time; open({str(tmp_path / 'asked')!r}, 'a').write('x'); time.sleep(600)")
    monkeypatch.setattr(probing, "TIMEOUT_SECONDS", 1)
    begin = time.monotonic()
    assert PlatformMetadata().accelerators is None
    assert PlatformMetadata().accelerators is None
    assert time.monotonic() - begin < 60
    assert (tmp_path / "asked").read_text() == "x"


@posix_only
def test_a_program_that_may_not_be_run_is_none(programs, tmp_path):
    (tmp_path / "programs/nvidia-smi").write_text("no program")
    assert platform.accelerators() is None
    (tmp_path / "programs/nvidia-smi").chmod(0o755)
    platform.forget()
    assert platform.accelerators() is None


def test_a_program_in_the_working_folder_is_not_run_on_windows(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("git.exe").write_text("a stranger's")
    monkeypatch.setattr(probing.shutil, "which", lambda name: f"./{name}.exe")
    monkeypatch.setattr(probing, "_ON_WINDOWS", True)
    assert probing.program("git") is None


# --- containers and jobs ---


@pytest.mark.parametrize(
    ("variables", "files", "name"),
    [
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {".dockerenv": ""}, "kubernetes"),
        ({"APPTAINER_CONTAINER": "/images/a.sif"}, {}, "apptainer"),
        ({"SINGULARITY_CONTAINER": "/images/a.sif"}, {}, "singularity"),
        ({}, {".dockerenv": ""}, "docker"),
        ({}, {"run/.containerenv": ""}, "podman"),
        ({}, {"proc/1/cgroup": "1:cpu:/kubepods/besteffort/pod1\n"}, "kubernetes"),
        ({}, {"proc/1/cgroup": "1:cpu:/docker/abc\n"}, "docker"),
        ({"container": "systemd-nspawn"}, {"proc/1/cgroup": "0::/init.scope\n"}, "systemd-nspawn"),
        ({}, {"proc/1/cgroup": "0::/init.scope\n"}, None),
        ({}, {}, None),
    ],
)
def test_a_container_is_known_by_what_it_leaves_about(root, monkeypatch, variables, files, name):
    for variable in (*platform._CONTAINER_VARIABLES, "container"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    for path, text in files.items():
        write(root, path, text)
    assert platform.container() == name


def test_the_job_of_a_batch_system_is_named(monkeypatch):
    for variable in platform._JOB_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert platform.job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert PlatformMetadata().job == "slurm 4711"


@posix_only
def test_a_name_that_is_no_unicode_can_be_stored(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", os.fsdecode(b"\xff"))
    found = PlatformMetadata()
    assert found.job == "slurm \\udcff"
    codec.dumps(codec.converter.unstructure(found))
