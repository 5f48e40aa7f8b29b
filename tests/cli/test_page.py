"""The page of the command line: each command that it shows is run, and shows what the page says."""

import os
import re
import shlex
from pathlib import Path

import pytest

from lazytrack import cli
from lazytrack.provenance import capture

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
TRAIN = """
from typing import Annotated
from lazytrack import Project, pipeline, step

@step
def load() -> list[int]:
    return [1, 2, 3]

@step
def fit(rows: list[int]) -> Annotated[dict, "model"]:
    return {"mean": sum(rows) / len(rows), "of": "three rows of numbers"}

@pipeline
def nightly() -> None:
    fit(load())

with Project("churn"):
    nightly.with_options(run_name="nightly")()
"""
LAZYSCRIBE = """
[{"name": "before", "slug": "before-20240101000000", "author": "dana", "metrics": {"auc": 0.8}, "parameters": {},
  "created_at": "2024-01-01T00:00:00", "last_updated": "2024-01-01T00:00:00", "tags": [], "tests": [], "artifacts": []}]
"""
FAILS = {
    "lazytrack close nightly -p churn --status failed": 2,
    'lazytrack run -p tries -- python -c "raise SystemExit(3)"': 3,
}


def commands():
    """Yield each command of the page with the lines that it shows."""
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            yield command, shown


def test_each_command_of_the_page_runs_and_shows_what_it_says(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for name in ("LAZYTRACK_PROJECT", "LAZYTRACK_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    monkeypatch.setattr(capture, "_capture", None)  # what is found out here is told of the command that is run
    Path("old.json").write_text(LAZYSCRIBE)
    for command, shown in commands():
        if command == "python train.py":
            exec(compile(TRAIN, "train.py", "exec"), {"__name__": "train"})
            continue
        capfd.readouterr()
        code = cli.main(shlex.split(command)[1:])
        out, err = capfd.readouterr()
        assert code == FAILS.get(command, 0), f"{command}: {out}{err}"
        for line in shown:
            pattern = ".*".join(map(re.escape, line.split("…")))
            pattern = re.sub(r"(?:\\ )+", r"\\ +", pattern)  # how wide a column is depends on what else is in it
            assert re.search(f"^{pattern}", out + err, re.MULTILINE), f"{command} does not show {line!r}:\n{out}{err}"


def test_each_command_is_on_the_page():
    shown = {shlex.split(command)[1] for command, _ in commands() if command.startswith("lazytrack")}
    assert shown == set(cli._COMMANDS)
    groups = {" ".join(shlex.split(command)[1:3]) for command, _ in commands()}
    assert {"cache explain", "cache rm", "release create", "release list"} <= groups
    assert {f"repo {name}" for name in ("list", "versions", "show", "diff", "history")} <= groups


@pytest.mark.parametrize("name", [*cli._COMMANDS, "ls"])
def test_each_command_says_what_it_takes(name, capfd):
    assert cli.main([name, "--help"]) == 0
    told = capfd.readouterr().out
    assert "Usage:" in told
    assert name == "ls" or f"lazytrack {name}" in told


def test_the_working_folder_is_left_as_it_was():
    assert not os.path.exists("lazytrack-demo")  # noqa: PTH110
