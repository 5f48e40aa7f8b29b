"""What is known of a command before it is run: its program, its module, and the Python that runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lazytrack.provenance import environment, launched, probing
from lazytrack.provenance.launched import Launched


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("")
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """Be told which Pythons are asked what they have, rather than asking them."""
    pythons = []

    def ask(python):
        pythons.append(python)
        return {"python": "3.99.0", "executable": Path(python), "packages": [("thing", "1.2")]}

    monkeypatch.setattr(launched, "_ask", ask)
    return pythons


def executable(name, text):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("options", "program", "module"),
    [
        (["train.py", "--lr", "1"], "train.py", None),
        (["-u", "-W", "error", "-X", "dev", "train.py", "-m", "x"], "train.py", None),
        (["-m", "pytest", "train.py"], None, "pytest"),
        (["-c", "print(1)", "train.py"], None, None),
        (["-", "train.py"], None, None),
        (["nowhere.py"], None, None),
        (["-m"], None, None),
        ([], None, None),
    ],
)
def test_what_python_runs(here, asked, options, program, module):
    found = Launched.of([sys.executable, *options])
    assert found.words == [sys.executable, *options]
    assert found.program == (None if program is None else here / program)
    assert found.module == module
    assert (found.interpreter, asked) == (None, [])  # it is this one


def test_a_program_of_this_folder_is_the_users_and_another_is_not(here, asked):
    own = executable("tool", f"#!{sys.executable}\n")
    assert Launched.of([f"./{own}", "-m", "x"]).program == here / "tool"
    assert Launched.of([f"./{own}", "-m", "x"]).module is None
    assert Launched.of(["sh", "-c", "true"]).program is None
    assert Launched.of(["no-such-command"]).program is None
    os.symlink(here / "tool", here / "link")  # noqa: PTH211
    assert Launched.of(["./link"]).program == here / "tool"


@pytest.mark.parametrize(
    ("first", "python"),
    [
        ("#!{here}/env/bin/python", "{here}/env/bin/python"),
        ("#!{here}/env/bin/python -u", "{here}/env/bin/python"),
        ("#!/usr/bin/env python3.99", "{here}/env/bin/python3.99"),
        ("#!/bin/sh", "{here}/env/bin/python3"),
        ("\x7fELF\xff", "{here}/env/bin/python3"),
        ("", "{here}/env/bin/python3"),
        ("#!", "{here}/env/bin/python3"),
    ],
)
def test_the_python_of_a_program_is_that_of_its_first_line_or_the_first_there_is(
    here, asked, monkeypatch, first, python
):
    for name in ("python", "python3", "python3.99"):
        executable(f"env/bin/{name}" if Path("env").exists() or not Path("env").mkdir() else "", "")
    monkeypatch.setenv("PATH", f"{here}/env/bin:/usr/bin:/bin")
    tool = executable("tool", first.format(here=here) + "\nrest\n")
    found = Launched.of([f"./{tool}"])
    assert asked == [python.format(here=here)]
    assert found.interpreter["python"] == "3.99.0"


def test_a_program_that_may_not_be_read_is_run_all_the_same(here, asked, monkeypatch):
    tool = executable("tool", "#!/bin/sh\n")
    read = open

    def refused(path, *arguments, **how):
        if str(path).endswith("tool"):
            raise PermissionError(13, "not for you", path)
        return read(path, *arguments, **how)

    monkeypatch.setattr("builtins.open", refused)
    assert Launched.of([f"./{tool}"]).words == ["./tool"]


def test_another_environment_of_the_same_python_is_another_python(here, asked):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], check=True)
    assert Launched.of(["bare/bin/python", "train.py"]).interpreter["packages"] == [("thing", "1.2")]
    assert len(asked) == 1


def test_a_python_that_says_nothing_is_not_known(here, monkeypatch):
    probing.give_up_after(15)
    broken = executable("env/python", "#!/bin/sh\nexit 1\n") if Path("env").mkdir() is None else ""
    found = Launched.of([broken, "train.py"])
    assert found.interpreter is None
    assert found.program == here / "train.py"


def test_the_environment_is_that_of_the_command(here, monkeypatch):
    said = {"python": "3.99.0", "executable": Path("/there/python"), "packages": [("thing", "1.2")]}
    monkeypatch.setattr(launched, "_launched", Launched(["python", "train.py", "--token", "x y"], None, None, said))
    found = environment.present(["python", "executable", "packages", "conda", "lazytrack"])
    assert found["python"] == "3.99.0"
    assert found["packages"] == [("thing", "1.2")]
    assert found["conda"] is None
    assert found["lazytrack"] is not None
    assert environment.command().startswith("python train.py --token")
    assert "x y" not in environment.command()
    launched.stand_for(None)
    assert environment.present(["python"])["python"] != "3.99.0"
