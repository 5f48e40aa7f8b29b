"""Which file a process runs as its program, if any that is the user's own."""

import subprocess
import sys
import sysconfig
import types
import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from lazytrack.provenance import script

TELLS = "from lazytrack.provenance import script\nprint(script.path())\n"


def told(*arguments, cwd, input=""):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, input=input, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def code(tmp_path):
    folder = tmp_path / "code"
    (folder / "package").mkdir(parents=True)
    for name in ("train.py", "package/__main__.py", "package/train.py"):
        (folder / name).write_text(TELLS)
    return folder


def test_a_file_is_told_from_wherever_it_is_run_with_links_followed(code, tmp_path):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "link.py").symlink_to(code / "train.py")
    for word in ("../code/train.py", code / "train.py", "link.py"):
        assert told(word, cwd=elsewhere) == str(code / "train.py")


def test_a_folder_or_an_archive_that_is_run_is_a_file_too(code, tmp_path):
    assert told("package", cwd=code) == str(code / "package" / "__main__.py")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", TELLS)
    assert told("app.zip", cwd=tmp_path) == str(tmp_path / "app.zip" / "__main__.py")


def test_a_process_that_a_program_spawns_runs_the_same_one(code):
    spawns = "\nif __name__ == '__main__':\n    import multiprocessing\n"
    spawns += "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n        print(pool.apply(script.path))\n"
    (code / "train.py").write_text(TELLS + spawns)
    first, *_, last = told("train.py", cwd=code).splitlines()
    assert first == last == str(code / "train.py")


def test_modules_code_and_what_is_typed_in_are_no_file(code):
    assert told("-m", "package", cwd=code) == told("-m", "package.train", cwd=code) == "None"
    assert told("-c", TELLS, cwd=code) == told("-", cwd=code, input=TELLS) == "None"


def test_a_console_script_is_installed_and_not_the_user_s(code):
    (code / "test_it.py").write_text(f"def test_it():\n    {TELLS.replace(chr(10), chr(10) + '    ')}")
    said = told(Path(sysconfig.get_path("scripts")) / "pytest", "-qs", "-pno:cacheprovider", "test_it.py", cwd=code)
    assert said.splitlines()[0] == "None"


@pytest.mark.parametrize(
    ("folder", "counts"),
    [
        ("venv/bin", False),
        ("venv/lib/site-packages/tool", False),
        ("other/lib/python3/dist-packages/tool", False),
        ("user/bin", False),
        ("venv", True),  # where the environment is the project's folder
        ("venv/jobs", True),
        ("home", True),
    ],
)
def test_what_was_installed_does_not_count(tmp_path, monkeypatch, folder, counts):
    paths = {"scripts": "venv/bin", "purelib": "venv/lib/site-packages", "platlib": "venv/lib/site-packages"}
    where = {name: str(tmp_path / path) for name, path in paths.items()} | {"stdlib": str(tmp_path / "lib")}
    user = {"scripts": str(tmp_path / "user" / "bin")}
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme=None: (user if scheme else where)[name])
    main = types.ModuleType("__main__")
    main.__file__ = str(tmp_path / folder / "run.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert script.path() == (tmp_path / folder / "run.py" if counts else None)


@pytest.mark.parametrize("file", [None, 5, "run.py", b"/x/run.py"])
def test_a_main_module_that_is_strange_names_no_file(monkeypatch, file):
    main = types.ModuleType("__main__")
    main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert script.path() is None
    main.__file__, main.__spec__ = str(Path.cwd() / "run.py"), ModuleSpec("package.run", None)
    assert script.path() is None
    monkeypatch.delitem(sys.modules, "__main__")
    assert script.path() is None
