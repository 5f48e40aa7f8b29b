"""Steps of scripts, notebooks and packages: they run there, are cached from one program to the next, and show code."""

import os
import subprocess
import sys
import textwrap

import pytest

from lazytrack import Project
from lazytrack.post_execution import get_pipeline

STEPS = """
    from lazytrack import pipeline, step

    def helper(x):
        return 2 * x

    @step
    def double(x: int) -> int:
        return helper(x)

    @step(runtime="isolated", enable_cache=False)
    def elsewhere(x: int) -> list[int]:
        import os
        return [os.getpid(), helper(x)]

    @pipeline
    def whole():
        elsewhere(double(4))
"""
RUN = """
    import os
    run = whole()
    pid, value = run.get_step("elsewhere").output.read()
    assert (pid != os.getpid(), value) == (True, 16)
    print(*[made.status for made in run.steps])
"""
SOURCE = "def double(x: int) -> int:\n    return helper(x)\n"


def python(folder, *arguments, **variables):
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def check_record(folder):
    with Project(folder):
        view = get_pipeline("whole")
        assert [run.get_step("double").source_code for run in view.runs] == [SOURCE] * view.num_runs
        return view


def test_steps_of_a_script_without_a_guard(tmp_path):
    (tmp_path / "train.py").write_text(textwrap.dedent(STEPS) + textwrap.dedent(RUN))
    assert python(tmp_path, "train.py") == "completed completed"
    assert python(tmp_path, "train.py") == "cached completed"
    check_record(tmp_path)


def test_steps_of_an_installed_package_and_of_another_working_folder(tmp_path):
    package = tmp_path / "site" / "churn"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "steps.py").write_text(textwrap.dedent(STEPS))
    (tmp_path / "elsewhere").mkdir()
    script = "from churn.steps import whole\n" + textwrap.dedent(RUN)
    variables = {"PYTHONPATH": str(tmp_path / "site"), "LAZYTRACK_PROJECT": str(tmp_path / "shop")}
    assert python(tmp_path, "-c", script, **variables) == "completed completed"
    assert python(tmp_path / "elsewhere", "-c", script, **variables) == "cached completed"
    view = check_record(tmp_path / "shop")
    assert view.runs[0].get_step("double").spec.source == "churn.steps.double"


@pytest.mark.slow
def test_steps_of_a_notebook(tmp_path):
    cells = [textwrap.dedent(STEPS), textwrap.dedent(RUN)]
    changed = textwrap.dedent("def helper(x):\n    return x + x\n")
    code = f"""
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance(colors="nocolor", history_length=0)
        shell.history_manager.enabled = False
        for cell in [*{cells!r}, {cells[1]!r}, {changed!r}, {cells[1]!r}]:
            assert shell.run_cell(cell).success
    """
    (tmp_path / "notebook.py").write_text(textwrap.dedent(code))
    told = python(tmp_path, "notebook.py", IPYTHONDIR=str(tmp_path / "ipython"))
    assert told.splitlines() == ["completed completed", "cached completed", "completed completed"]
    check_record(tmp_path)


def test_steps_of_code_without_a_text_run_and_are_cached_by_what_runs(tmp_path):
    (tmp_path / "code.txt").write_text(textwrap.dedent(STEPS) + textwrap.dedent(RUN))
    code = "import pathlib; exec(pathlib.Path('code.txt').read_text())"
    assert python(tmp_path, "-c", code) == "completed completed"
    assert python(tmp_path, "-c", code) == "cached completed"
    (tmp_path / "code.txt").write_text((tmp_path / "code.txt").read_text().replace("helper(x)\n", "helper(x) * 1\n", 1))
    assert python(tmp_path, "-c", code) == "completed completed"
    with Project(tmp_path):
        assert get_pipeline("whole").runs[0].get_step("double").source_code is None
