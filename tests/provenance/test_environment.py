"""What is told of the environment a process runs with: packages, lock files, command; and nothing is run for it."""

import hashlib
import importlib.metadata
import json
import os
import platform as standard
import subprocess
import sys
import types
from pathlib import Path

import pytest

import lazytrack
from lazytrack import codec
from lazytrack.provenance import environment, redact, script
from lazytrack.provenance.metadata import EnvironmentMetadata, GitMetadata, LazytrackMetadata, LockFile

FIELDS = [
    "python",
    "executable",
    "command",
    "root",
    "packages",
    "git",
    "lazytrack",
    "sources",
    "conda",
    "lock_files",
    "cuda",
    "blas",
    "conda_urls",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in a folder outside of any checkout."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Be the one folder that packages are looked for in; what is returned installs one."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])

    def install(name, version, *, direct_url=None, text=None):
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            text or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9\n"
        )
        if direct_url is not None:
            (info / "direct_url.json").write_text(json.dumps(direct_url))

    return install


def checkout(folder):
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main"], cwd=folder, check=True)


def test_made_without_arguments_it_tells_of_this_process(here):
    found = EnvironmentMetadata()
    assert (found.python, found.executable) == (standard.python_version(), Path(sys.executable))
    assert found.root == here
    assert found.git is None
    assert found.lazytrack == LazytrackMetadata() == LazytrackMetadata(version=lazytrack.__version__)
    assert ("attrs", importlib.metadata.version("attrs")) in found.packages
    assert Path(sys.orig_argv[0]).name in found.command


def test_every_field_has_a_probe():
    assert [name for name in environment.PROBES if name != "version"] == FIELDS
    assert list(codec.converter.unstructure(EnvironmentMetadata())) == FIELDS


def test_what_is_given_is_not_captured(here):
    found = EnvironmentMetadata(packages=None, git=GitMetadata(commit="0" * 40), root=Path("/work"))
    assert (found.packages, found.root) == (None, Path("/work"))
    assert found.git == GitMetadata(commit="0" * 40, remote=None, branch=None, dirty=None, folder=None), "not of here"
    assert found.python == standard.python_version()


def test_it_comes_back_from_json_with_the_types_it_had(here):
    (here / "uv.lock").write_text("version = 1\n")
    found = EnvironmentMetadata(conda=[("python", "3.12.1", "h1_0")])
    again = codec.converter.structure(codec.loads(codec.dumps(codec.converter.unstructure(found))), type(found))
    assert again == found
    assert {type(item) for item in [*again.packages, *again.conda]} == {tuple}
    assert isinstance(again.root, Path)
    assert [type(item) for item in again.lock_files] == [LockFile]


def test_a_failing_probe_leaves_its_field_empty(monkeypatch, here):
    monkeypatch.setattr(environment, "PROBES", dict.fromkeys(environment.PROBES, lambda: 1 / 0))
    assert EnvironmentMetadata() == EnvironmentMetadata(**dict.fromkeys(FIELDS))
    assert LazytrackMetadata().version is None


@pytest.mark.skipif(os.name == "nt", reason="a folder in use is not removed there")
def test_a_working_folder_that_is_gone_is_no_trouble(here):
    here.rmdir()
    found = EnvironmentMetadata()
    assert (found.root, found.git, found.lock_files) == (None, None, None)
    assert found.python == standard.python_version()


# --- command and root ---


def test_the_command_is_quoted_and_has_no_secrets(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "train it.py", "--token", "s3cret"])
    monkeypatch.setattr(redact, "redact_command", lambda argv: [word.replace("s3cret", "***") for word in argv])
    assert EnvironmentMetadata().command == "python 'train it.py' --token '***'"


def test_a_command_that_cannot_be_redacted_is_not_recorded(monkeypatch):
    monkeypatch.setattr(redact, "redact_command", lambda argv: 1 / 0)
    assert EnvironmentMetadata().command is None


def test_a_very_long_command_is_cut_after_it_was_redacted(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "x" * 100_000])
    command = EnvironmentMetadata().command
    assert len(command) == environment.LONGEST_COMMAND
    assert command.endswith("x…")


def test_in_an_embedded_interpreter_the_program_s_arguments_are_the_command(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", [])
    monkeypatch.setattr(sys, "argv", ["app", "run"])
    monkeypatch.setattr(sys, "executable", "")
    found = EnvironmentMetadata()
    assert (found.command, found.executable) == ("app run", None)


def test_the_root_is_the_top_of_the_checkout(here, monkeypatch):
    checkout(here)
    (here / "a/b").mkdir(parents=True)
    monkeypatch.chdir(here / "a/b")
    found = EnvironmentMetadata()
    assert (found.root, found.git.folder, found.git.branch) == (here, "a/b", "main")


def test_the_root_and_the_lock_files_are_those_of_the_program_s_checkout(here, tmp_path, monkeypatch):
    (jobs := tmp_path / "code" / "jobs").mkdir(parents=True)
    checkout(tmp_path / "code")
    for folder in (here, jobs, tmp_path / "code"):
        (folder / "uv.lock").write_text("x\n")
    monkeypatch.setattr(script, "path", lambda: jobs / "train.py")
    found = EnvironmentMetadata()
    assert (found.root, found.git.folder, found.git.program) == (tmp_path / "code", "../work", "jobs/train.py")
    assert [lock.name for lock in found.lock_files] == ["jobs/uv.lock", "uv.lock"]
    assert GitMetadata() == found.git
    monkeypatch.chdir(tmp_path / "code")
    assert [lock.name for lock in EnvironmentMetadata().lock_files] == ["uv.lock"]
    monkeypatch.setattr(script, "path", lambda: None)
    monkeypatch.chdir(here)
    assert (EnvironmentMetadata().root, EnvironmentMetadata().git) == (here, None)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_folder_whose_name_is_no_unicode_can_be_stored(here, monkeypatch):
    folder = here / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    monkeypatch.chdir(folder)
    found = EnvironmentMetadata()
    assert found.root == here / "caf\\udce9"
    codec.dumps(codec.converter.unstructure(found))


# --- packages ---


def test_packages_are_in_order_of_their_normalised_names_and_each_is_there_once(site):
    site("Zope.Interface", "7.0")
    site("alpha_beta", "1.0")
    site("Alpha-Gamma", "2.0")
    site("alpha.beta", "0.9")
    assert EnvironmentMetadata().packages in [
        [("alpha_beta", "1.0"), ("Alpha-Gamma", "2.0"), ("Zope.Interface", "7.0")],
        [("alpha.beta", "0.9"), ("Alpha-Gamma", "2.0"), ("Zope.Interface", "7.0")],
    ]


def test_of_two_installations_the_one_that_is_imported_counts(site, tmp_path, monkeypatch):
    site("torch", "2.0")
    other = tmp_path / "first/torch-2.5.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Name: torch\nVersion: 2.5\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), *sys.path])
    assert EnvironmentMetadata().packages == [("torch", "2.5")]


def test_a_package_without_a_name_or_a_version_is_passed_over(site):
    site("good", "1.0")
    site("bad", "1.0", text="nothing of use")
    site("worse", "1.0", text="Name: worse\n\nVersion: 1.0 stands in the text below\n")
    assert EnvironmentMetadata().packages == [("good", "1.0")]


def test_what_is_installed_while_the_process_runs_is_seen(site):
    site("first", "1.0")
    assert len(EnvironmentMetadata().packages) == 1
    site("second", "1.0")
    assert len(EnvironmentMetadata().packages) == 2


def test_packages_are_looked_through_only_where_something_was_installed(site, monkeypatch):
    site("first", "1.0")
    found = EnvironmentMetadata().packages
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: 1 / 0)
    again = EnvironmentMetadata().packages
    assert again == found
    again.clear()
    assert EnvironmentMetadata().packages == found, "who changes a record changes no other"


def test_packages_that_no_index_has_tell_where_they_are_from(site, monkeypatch):
    site("plain", "1.0")
    site("mine", "0.1", direct_url={"url": "file:///home/dana/mine", "dir_info": {"editable": True}})
    site("built", "0.2", direct_url={"url": "file:///home/dana/built", "dir_info": {}})
    vcs = {"vcs": "git", "commit_id": "abc123"}
    site("theirs", "0.3", direct_url={"url": "https://dana:t0ken@example.org/r.git", "vcs_info": vcs})
    site("odd", "0.4", direct_url=[])
    monkeypatch.setattr(redact, "redact_url", lambda url: url.replace("dana:t0ken@", ""))
    assert EnvironmentMetadata().sources == {
        "built": "file:///home/dana/built",
        "mine": "file:///home/dana/mine (editable)",
        "theirs": "git+https://example.org/r.git@abc123",
    }
    assert len(EnvironmentMetadata().packages) == 5


def test_packages_of_a_conda_environment_are_known_by_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    assert EnvironmentMetadata().conda is None
    meta = tmp_path / "conda/conda-meta"
    meta.mkdir(parents=True)
    for name in ("python-3.12.1-hab00c5b_1_cpython.json", "ca-certificates-2026.1-h1_0.json", "odd.json", "history"):
        (meta / name).write_text("{}")
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    expected = [("ca-certificates", "2026.1", "h1_0"), ("python", "3.12.1", "hab00c5b_1_cpython")]
    assert EnvironmentMetadata().conda == expected


@pytest.fixture
def conda_package(tmp_path, monkeypatch):
    """Be in a conda environment; what is returned puts a package in it."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "conda"))
    (meta := tmp_path / "conda" / "conda-meta").mkdir(parents=True)

    def put(name, version="1.0", build="h1_0", **said):
        url = f"https://conda.anaconda.org/conda-forge/linux-64/{name}-{version}-{build}.conda"
        said = {"name": name, "version": version, "build": build, "url": url, "depends": []} | said
        (meta / f"{name}-{version}-{build}.json").write_text(json.dumps(said))
        return said["url"]

    return put


def test_the_explicit_list_of_conda_names_each_url_after_those_it_needs(conda_package):
    numpy = conda_package("numpy", "1.26.4", "py312heda63a1_0", depends=["python >=3.12,<3.13.0a0", "openblas"])
    pip = conda_package("pip", "24.0", "pyhd8ed1ab_0", depends=["python >=3.7"])
    python = conda_package("python", "3.12.1", "hab00c5b_1_cpython", depends=["pip", "_libgcc_mutex", "not here 1.*"])
    mutex = conda_package("_libgcc_mutex", "0.1", "conda_forge")
    openblas = conda_package("openblas", depends=None)
    conda_package("by-hand", url="")
    conda_package("unknown", url="<unknown>/x-1-0.tar.bz2", depends=[5, ""])
    found = EnvironmentMetadata()
    assert found.conda_urls == [mutex, pip, python, openblas, numpy]
    assert len(found.conda) == 7


def test_the_explicit_list_of_conda_has_no_credentials(conda_package):
    rest = "team/linux-64/churn-1.0-h1_0.conda"
    conda_package("a", url=f"https://conda.anaconda.org/t/da-0123456789ab-cdef/{rest}")
    conda_package("b", url=f"https://dana:t0ken@example.org/conda/t/da-0123456789ab-cdef/{rest}")
    conda_package("c", url=f"https://example.org/{rest}?token=ghp_0123456789abcdefghijklmnopqrstuvwxyz")
    assert EnvironmentMetadata().conda_urls == [
        f"https://conda.anaconda.org/{rest}",
        f"https://example.org/conda/{rest}",
        f"https://example.org/{rest}?token=***",
    ]


def test_a_package_file_of_conda_that_cannot_be_read_hides_no_other(conda_package, tmp_path):
    url = conda_package("good")
    for number, text in enumerate(["", "[]", "{", '{"name": 5}', '{"name": "x", "url": 5, "depends": 5}']):
        (tmp_path / "conda" / "conda-meta" / f"bad-{number}-0.json").write_text(text)
    assert EnvironmentMetadata().conda_urls == [url]


def test_what_conda_installed_does_not_tell_the_folder_it_was_built_in(conda_package, site, tmp_path):
    built = {"url": "file:///home/conda/feedstock_root/build_artifacts/numpy_17/work", "dir_info": {}}
    site("numpy", "1.26.4", direct_url=built)
    site("mine", "0.1", direct_url={"url": "file:///home/dana/mine", "dir_info": {}})
    site("plain", "1.0")
    for name, installer in (("numpy-1.26.4", "conda\n"), ("mine-0.1", "pip\n")):
        (tmp_path / "site" / f"{name}.dist-info" / "INSTALLER").write_text(installer)
    assert EnvironmentMetadata().sources == {"mine": "file:///home/dana/mine", "numpy": "conda"}


# --- lock files ---


def test_lock_files_are_recorded_with_size_digest_and_text(here):
    (here / "uv.lock").write_bytes(b"version = 1\r\n")
    found = EnvironmentMetadata().lock_files
    digest = hashlib.sha256(b"version = 1\r\n").hexdigest()
    assert found == [LockFile(name="uv.lock", size=13, sha256=digest, text="version = 1\r\n")]


def test_each_kind_of_lock_file_is_known(here):
    known = [
        "Pipfile.lock",
        "conda-lock.yml",
        "environment.yml",
        "pdm.lock",
        "pixi.lock",
        "poetry.lock",
        "pylock.toml",
        "requirements-dev.txt",
        "requirements.txt",
        "uv.lock",
    ]
    for name in [*known, "yarn.lock", "my-requirements.txt", "uv.lock.bak"]:
        (here / name).write_text("x\n")
    assert [lock.name for lock in EnvironmentMetadata().lock_files] == known


def test_a_long_lock_file_has_a_digest_and_no_text(here):
    (here / "uv.lock").write_bytes(b"x" * (environment.LONGEST_TEXT + 1))
    (here / "pdm.lock").write_bytes(b"x" * environment.LONGEST_TEXT)
    (here / "pixi.lock").write_bytes(b"\xff\xfe")
    texts = {lock.name: lock.text and len(lock.text) for lock in EnvironmentMetadata().lock_files}
    assert texts == {"pdm.lock": environment.LONGEST_TEXT, "pixi.lock": None, "uv.lock": None}


def test_a_lock_file_s_text_has_no_secrets(here, monkeypatch):
    (here / "requirements.txt").write_text("--index-url https://dana:t0ken@example.org/simple\n")
    monkeypatch.setattr(redact, "redact", lambda text: text.replace("dana:t0ken", "***"))
    [lock] = EnvironmentMetadata().lock_files
    assert lock.text == "--index-url https://***@example.org/simple\n"
    monkeypatch.setattr(redact, "redact", lambda text: text if text == "requirements.txt" else 1 / 0)
    [lock] = EnvironmentMetadata().lock_files
    assert lock.text is None


def test_lock_files_from_the_working_folder_up_to_the_root_are_recorded(here, monkeypatch):
    checkout(here)
    (here / "services/churn").mkdir(parents=True)
    for name in ("uv.lock", "services/churn/requirements.txt"):
        (here / name).write_text("x\n")
    (here.parent / "uv.lock").write_text("of somebody else\n")
    monkeypatch.chdir(here / "services/churn")
    assert [lock.name for lock in EnvironmentMetadata().lock_files] == ["services/churn/requirements.txt", "uv.lock"]


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
def test_what_only_looks_like_a_lock_file_is_passed_over(here):
    os.mkfifo(here / "uv.lock")  # reading it would wait for ever
    (here / "pdm.lock").mkdir()
    (here / "poetry.lock").symlink_to("nowhere")
    (here / "requirements.txt").write_text("x\n")
    assert [lock.name for lock in EnvironmentMetadata().lock_files] == ["requirements.txt"]


# --- libraries ---


def test_libraries_that_are_loaded_tell_what_they_were_built_with(monkeypatch):
    numpy = types.SimpleNamespace(
        show_config=lambda mode: {"Build Dependencies": {"blas": {"name": "openblas", "version": "0.3.30"}}}
    )
    torch = types.SimpleNamespace(version=types.SimpleNamespace(cuda="12.4"))
    runtime = types.SimpleNamespace(runtimeGetVersion=lambda: 11080)
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    for name, library in (("numpy", numpy), ("torch", torch), ("cupy", cupy)):
        monkeypatch.setitem(sys.modules, name, library)
    assert (EnvironmentMetadata().cuda, EnvironmentMetadata().blas) == ("12.4", "openblas 0.3.30")
    torch.version.cuda = None
    assert EnvironmentMetadata().cuda == "11.8"
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace())  # as it is while it is being imported
    assert EnvironmentMetadata().cuda is None


def test_the_installed_numpy_tells_its_library():
    pytest.importorskip("numpy")
    assert EnvironmentMetadata().blas


def test_no_library_is_loaded_to_be_asked():
    code = (
        "import sys\nfrom lazytrack.step_info import EnvironmentMetadata, PlatformMetadata\n"
        "found = EnvironmentMetadata(), PlatformMetadata()\n"
        "print(sys.modules.keys() & {'numpy', 'torch', 'cupy', 'fsspec', 'psutil', 'pynvml'})\n"
        "print(found[0].cuda, found[0].blas)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["set()", "None", "None"]
