"""Steps in processes of this machine: other interpreters, what they have started, and where their projects are."""

import os
import subprocess
import sys
from pathlib import Path

import elsewhere
import pytest
from elsewhere import lines, until, until_gone

import lazytrack
from lazytrack import Project, pipeline
from lazytrack.errors import PipelineRunError, StepInterfaceError, WorkerLost
from lazytrack.step_operators import register_step_operator
from lazytrack.step_operators.local import SubprocessStepOperator, SubprocessStepOperatorConfig
from lazytrack.steps import launching

SECRET = "not-to-be-stored-anywhere"


@pytest.fixture(autouse=True)
def impatient(monkeypatch, project):
    monkeypatch.setattr(launching, "_PATIENCE", 0.3)


def launched(step, **settings):
    register_step_operator(SubprocessStepOperator("own", config=SubprocessStepOperatorConfig(**settings)))
    return step.with_options(step_operator="own")


def environment(folder, *, sees):
    """Make a virtual environment that finds what is in some folders, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", folder], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "sees.pth").write_text("\n".join(map(str, sees)))
    return str(folder / "bin" / "python")


@pytest.mark.slow
def test_steps_run_in_another_virtual_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "venv" / "bin"), prepend=os.pathsep)
    installed = [path for path in sys.path if "site-packages" in path]
    python = environment(tmp_path / "venv", sees=[*installed, Path(lazytrack.__file__).parents[1]])
    for named in (python, "python"):  # its path, and a name on the path
        prefix, _, folder = launched(elsewhere.interpreter, python=named, directory=str(tmp_path))().partition(" ")
        assert (prefix, folder) == (str(tmp_path / "venv"), str(tmp_path))
    bare = environment(tmp_path / "bare", sees=[])
    with pytest.raises(
        WorkerLost, match=r"step operator 'own': job \S+ failed: its process ended with exit code 1"
    ) as caught:
        launched(elsewhere.double, python=bare)(1)
    assert "ModuleNotFoundError: No module named" in str(caught.value)


def test_an_interpreter_that_is_not_there_is_refused_before_anything_starts(project):
    with pytest.raises(
        StepInterfaceError, match="step 'double': step operator 'own': there is no interpreter /no/such"
    ):
        launched(elsewhere.double, python="/no/such/python")(1)
    assert [each for each in project.experiments if each.steps] == []


def test_what_is_no_interpreter_is_noticed(monkeypatch, tmp_path):
    monkeypatch.setattr(launching, "_PATIENCE_OF_STORES", 0.1)
    with pytest.raises(WorkerLost, match="step operator 'own' returned, and the step has not said how it went"):
        launched(elsewhere.double, python="/bin/true")(1)
    with pytest.raises(WorkerLost, match=r"step operator 'own': no process can be begun: .*not there"):
        launched(elsewhere.double, directory=str(tmp_path / "not there"))(1)


def test_what_a_step_asks_of_a_machine_is_a_hint_here():
    step = launched(elsewhere.double).with_options(settings={"resources": {"cpu_count": 1000, "memory": "9PB"}})
    assert step(2) == 4


def test_what_a_step_prints_is_shown_where_that_is_wanted(capfd):
    launched(elsewhere.sees_and_prints)("größe")
    assert capfd.readouterr().out == "größe\n"
    launched(elsewhere.sees_and_prints, show_output=False)("quiet")
    assert capfd.readouterr().out == ""


def test_a_process_that_dies_leaves_no_secret_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", SECRET)
    step = launched(elsewhere.prints_and_dies, show_output=False)
    with pytest.raises(WorkerLost) as caught:
        step.with_options(secrets=["LAZYTRACK_TESTED_SECRET"])(["LAZYTRACK_TESTED_SECRET"])
    assert str(caught.value).splitlines()[1:] == ["it printed:", "told: ***"]
    assert str(caught.value).splitlines()[0].endswith(" lost: its process was ended by SIGKILL")
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_a_step_whose_processes_are_not_wanted_any_more_leaves_none(tmp_path):
    path = tmp_path / "pids"

    @pipeline(execution_mode="fail_fast")
    def whole() -> None:
        launched(elsewhere.stays_with_a_child).submit(str(path))
        until(lambda: len(lines(path)) == 2)
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        whole()
    until_gone(lines(path))


# --- projects on storages ---


@pytest.fixture
def stored(s3_server, s3, monkeypatch):
    """Return a URL, and options without which nothing there can be reached."""
    url, options = s3
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    return url, {**options, "key": "tests", "secret": SECRET}


@pytest.mark.slow
def test_a_project_on_a_storage_is_reached_with_its_options_which_no_command_shows(stored, monkeypatch, tmp_path):
    url, options = stored
    monkeypatch.setenv("LAZYTRACK_TESTED_SECRET", SECRET)
    path, flag = tmp_path / "pid", tmp_path / "flag"

    @pipeline(enable_cache=False)
    def whole() -> None:
        made = launched(elsewhere.make_set)()
        assert launched(elsewhere.length)(made).load() == 2
        stays = launched(elsewhere.stays).submit(str(path), str(flag))
        until(lambda: lines(path))
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                assert SECRET.encode() not in (folder / "cmdline").read_bytes()
            except OSError:
                continue
        flag.touch()
        assert stays.load() == 7

    with Project(url, **options) as project:
        run = whole()
        assert run.status == "completed"
        assert SECRET not in repr(project.experiments[0].steps)
    with pytest.raises(PipelineRunError), Project(url, **options) as project:
        monkeypatch.setattr(launching, "_options_of", lambda _: "")
        whole.with_options(run_name="without")()
    told = project["without"].steps[0].error
    assert "lazytrack.entrypoint: " in told
    assert SECRET not in told
