"""What a terminal shows of a run while it goes on."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
import rich.console

from lazytrack import Project, pipeline, step
from lazytrack.steps import board
from lazytrack.steps.board import _Above, lines_of

PROGRAM = """
import sys, time
from lazytrack import Project, StepRetryConfig, pipeline, step

@step
def load(n: int) -> list[int]:
    print("loaded", n)
    return list(range(n))

@step(retry=StepRetryConfig(max_retries=1))
def fit(row: int) -> int:
    sys.stderr.write("\\r10%\\r100%\\n")
    time.sleep(0.2)
    return row

@pipeline(executor="threads:2"{options})
def train(n: int):
    fit.map(load(n)).load()
    time.sleep(1.2)
    print("half a line", end="")

if __name__ == "__main__":
    with Project(sys.argv[1]):
        train(4)
        print(", and the rest")
"""


def shown(tmp_path, *, options="", stdout=None, **variables):
    """Return what the program shows on a terminal."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(options=options))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, program, tmp_path / "runs"],
        stdin=theirs,
        stdout=stdout or theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24", **variables},
    ) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            text += read
    os.close(ours)
    assert process.returncode == 0
    return text.decode()


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n").replace("\r", "\n")


def test_a_terminal_shows_a_line_for_each_step(tmp_path):
    text = plain(shown(tmp_path))
    assert re.search(r"^load +completed +0:00 *$", text, re.MULTILINE)
    assert re.search(r"^fit +completed +4/4 +0:00 *$", text, re.MULTILINE)
    assert "loaded 4\n" in text
    assert text.count("100%\n") == 4
    assert text.endswith("half a line, and the rest\n")


def test_cached_calls_are_counted(tmp_path):
    shown(tmp_path)
    assert re.search(r"^fit +cached +4/4 +0:00 +4 cached *$", plain(shown(tmp_path)), re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "variables"),
    [("", {"LAZYTRACK_PROGRESS": "0"}), (", progress=False", {}), (", progress=None", {"TERM": "dumb"})],
)
def test_it_can_be_turned_off(tmp_path, options, variables):
    text = shown(tmp_path, options=options, **variables)
    assert "completed" not in text
    assert "half a line, and the rest" in text


def test_what_is_printed_to_a_file_goes_there(tmp_path):
    with (tmp_path / "out").open("w") as out:
        text = plain(shown(tmp_path, stdout=out))
    assert (tmp_path / "out").read_text() == "loaded 4\nhalf a line, and the rest\n"
    assert "loaded" not in text
    assert re.search(r"^fit +completed +4/4", text, re.MULTILINE)


def test_without_a_terminal_nothing_is_shown(tmp_path, capsys):
    @step
    def one() -> int:
        return 1

    @pipeline
    def whole():
        one()

    with Project(tmp_path / "runs"):
        whole()
    assert capsys.readouterr() == ("", "")


def test_logs_hold_what_steps_print_and_nothing_of_the_lines(tmp_path):
    shown(tmp_path)
    with Project(tmp_path / "runs", mode="r") as project:
        [run] = project.experiments
        texts = [run.load_artifact(each.name) for each in run.artifacts if each.alias == "text"]
    assert sorted(texts) == ["\r10%\r100%\n"] * 4 + ["loaded 4\n"]


# --- what a line says ---


class Call:
    def __init__(self, name, status=None, began=None, ended=None, tries=1):
        self.step = type("Step", (), {"name": name})
        self.status, self.began, self.ended, self.tries = status, began, ended, tries
        self.is_over = status is not None


@pytest.mark.parametrize(
    ("calls", "state", "told", "over", "seconds"),
    [
        ([Call("a")], "waiting", "", 0, 0),
        ([Call("a", began=1)], "running", "", 0, 9),
        ([Call("a", "completed", 1, 3)], "completed", "", 1, 2),
        ([Call("a", "failed", 1, 3, tries=3)], "failed", "2 tried again", 1, 2),
        ([Call("a", "completed", 1, 3), Call("a", "cached", 3, 4)], "completed", "1 cached", 2, 3),
        ([Call("a", "completed", 1, 3), Call("a")], "running", "1 waiting", 1, 2),
        ([Call("a", "failed", 1, 3), Call("a", began=2), Call("a")], "running", "1 failed, 1 running, 1 waiting", 1, 9),
        ([Call("a", "skipped"), Call("a", "completed", 1, 2)], "skipped", "1 skipped", 2, 1),
    ],
)
def test_a_line_says_how_far_the_calls_of_a_step_have_come(calls, state, told, over, seconds):
    [line] = lines_of(calls, 10)
    assert (line.state, line.told(), line.over, line.total, line.seconds) == (state, told, over, len(calls), seconds)


def test_more_steps_than_a_terminal_has_lines(monkeypatch):
    monkeypatch.setattr(board, "_PATIENCE", -1)
    run = type("Run", (), {"began": 0, "calls": [Call(f"step {n}", "completed", 1, 2) for n in range(30)]})
    out = io.StringIO()
    rich.console.Console(file=out, width=80, height=14).print(board._Board(run))
    assert out.getvalue().splitlines()[0] == "and 20 more steps before these"
    assert len(out.getvalue().splitlines()) == 11
    assert "step 29" in out.getvalue()


def test_lines_are_shown_when_they_are_whole():
    out = io.StringIO()
    above = _Above(rich.console.Console(file=out, width=20), out)
    for text in ("one", " and two\nthree", "\rfour\rfive", "\n", "\n", "x" * 50 + "\n", "\x1b[31mred\x1b[0m\n", "rest"):
        above.write(text)
    above.finish()
    assert out.getvalue() == f"one and two\nfive\n\n{'x' * 50}\nred\nrest"


def test_hours_are_told():
    assert [board._clock(seconds) for seconds in (0, 61.9, 3600, 90061)] == ["0:00", "1:01", "1:00:00", "25:01:01"]
