"""The command line on projects: shapes, selectors, errors and exit codes, pipes and colours."""

import csv
import io
import json
import math
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lazytrack import Project, Repository, cli
from lazytrack.cli.given import parts


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("LAZYTRACK_PROJECT", "LAZYTRACK_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    with Project("project.json") as project:
        project.save()
        for number in range(25):
            with project.log(f"exp {number}") as exp:
                exp.log_parameters({"lr": number / 7, "same": "x"})
                exp.log_metric("auc", math.nan if number == 3 else number / 100)
                if number == 4:
                    exp.log_metric("loss", 1 / 3)
                    exp.log_artifact("weights", [1, 2], "json")
                    exp.tag("a|b")
        with pytest.raises(ZeroDivisionError), project.log("bad"):
            1 / 0  # noqa: B018
    return project


@pytest.fixture
def run(capsys):
    """Run a command, and return its exit code, and what it shows on stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([*arguments])
        return code, *capsys.readouterr()

    return run


def columns(out):
    return out.splitlines()[0].split()


# --- shapes ---


def test_the_newest_twenty_are_listed_first(run):
    code, out, err = run("list")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 22
    assert " exp 24 " in lines[2]
    assert err == "20 of 26: -n 0 shows all\n"
    assert len(run("ls", "-n", "0")[1].splitlines()) == 28
    assert run("list", "-n", "3", "--where", "metrics.auc > 0.1")[2] == "3 of 14: -n 0 shows all\n"


def test_json_holds_numbers_and_times_whole(run):
    _, out, _ = run("list", "-n", "0", "--json", "--sort", "parameters.lr")
    rows = json.loads(out)
    assert rows[3]["metrics.auc"] == "NaN"
    assert rows[4]["parameters.lr"] == 4 / 7
    assert rows[4]["created_at"].endswith("Z")
    assert rows[4]["tags"] == ["a|b"]


def test_csv_is_csv(run):
    _, out, _ = run("list", "-n", "0", "--csv", "--sort", "lr")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 26
    assert float(rows[4]["parameters.lr"]) == 4 / 7
    assert rows[5]["metrics.loss"] == ""


def test_markdown_keeps_its_columns(run):
    _, out, _ = run("list", "--md", "--where", "'a|b' in tags")
    lines = out.splitlines()
    assert len(lines) == 3
    assert lines[1].count("---") == len(lines[0].split(" | "))
    assert r"a\|b" in lines[2]


def test_columns_are_kept_and_dropped(run):
    assert columns(run("list", "--keep", "metrics.*", "--keep", "name")[1]) == ["name", "metrics.auc"]
    assert columns(run("list", "--keep", "metrics", "-n", "0")[1]) == ["metrics.auc", "metrics.loss"]
    assert "parameters.lr" not in columns(run("list", "--drop", "parameters")[1])
    assert "parameters.same" not in columns(run("list", "--only-changed", "--where", "parameters.same is not None")[1])
    code, out, err = run("list", "--keep", "metric.auc")
    assert (code, out) == (2, "")
    assert err.startswith("lazytrack: no column 'metric.auc'; known: slug, name")


def test_sorting_puts_what_is_not_there_last(run):
    _, out, _ = run("list", "--json", "-n", "0", "--sort", "metrics.auc", "--desc")
    values = [row.get("metrics.auc") for row in json.loads(out)]
    assert values[:2] == [0.24, 0.23]
    assert set(map(str, values[-2:])) == {"NaN", "None"}
    assert run("list", "--sort", "nowhere")[0] == 2


def test_precision_is_for_people(run):
    assert "0.33" in run("list", "--precision", "2", "--where", "metrics.loss > 0")[1]
    assert "0.3333333333333333" in run("list", "--precision", "2", "--csv", "--where", "metrics.loss > 0")[1]


def test_two_shapes_at_once_are_refused(run):
    assert run("list", "--json", "--csv") == (2, "", "lazytrack: --json and --csv go not together\n")


# --- what is meant ---


def test_experiments_are_meant_by_slug_beginning_or_name(run, project):
    slug = project["exp-4"].slug
    for what in (slug, slug[:-4], "exp-4", "exp 4"):
        code, out, _ = run("show", what, "--json")
        assert code == 0
        assert json.loads(out)["slug"] == slug


def test_what_is_not_there_is_told_on_stderr(run):
    code, out, err = run("show", "exp-44")
    assert (code, out) == (3, "")
    assert err.startswith("lazytrack: no experiment 'exp-44' in project.json; did you mean")
    assert run("history", "exp-4", "loss")[0] == 3
    assert run("steps", "exp-4/train")[0] == 3


def test_the_project_is_found_or_named(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    code, _, err = run("list")
    assert code == 3
    assert "name one with -p or LAZYTRACK_PROJECT" in err
    assert run("list", "-p", str(tmp_path))[0] == 0
    monkeypatch.setenv("LAZYTRACK_PROJECT", str(tmp_path / "project.json"))
    assert run("list")[0] == 0


def test_a_project_of_another_name_is_found(run, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    Project("mine.json").save()
    (tmp_path / "other" / "package.json").write_text("{}")
    (tmp_path / "other" / "package").mkdir()
    assert run("list")[0] == 0
    Project("more.json").save()
    code, _, err = run("list")
    assert code == 2
    assert "several project files here, mine.json, more.json" in err


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("model", ("model", None, "exact")),
        ("model:v3", ("model", 3, "exact")),
        ("model:3", ("model", 3, "exact")),
        ("model:champion", ("model", "champion", "exact")),
        ("model@2026-11-20T08:00", ("model", "2026-11-20T08:00", "asof")),
        ("a:b:v1", ("a:b", 1, "exact")),
    ],
)
def test_selectors(selector, expected):
    assert parts(selector) == expected


@pytest.mark.parametrize("selector", ["model:", ":v1", "model@", "@2026"])
def test_selectors_that_are_none(selector, run):
    Repository("repository.json").save()
    assert run("repo", "show", selector)[0] == 2


# --- changes ---


def test_deleting_asks_and_without_a_terminal_needs_yes(run, project):
    code, _, err = run("delete", "exp-4")
    assert code == 2
    assert "Give --yes" in err
    project.refresh()
    assert "exp-4" in project
    assert run("delete", "exp-4", "exp-5", "--yes")[0] == 0
    assert len(Project("project.json", mode="r")) == 24


def test_promoting_and_what_follows(run, project):
    assert run("promote", "exp-4/weights")[0] == 3
    assert run("init", "--repository")[0] == 0
    assert run("promote", "exp-4/weights", "--alias", "v1")[0] == 2
    assert run("promote", "exp-4/weights", "--alias", "champion")[0] == 0
    repository = Repository("repository.json", mode="r")
    assert repository.load_artifact("weights", version="champion") == [1, 2]
    assert run("promote", "exp-4/weights")[0] == 1
    assert run("promote", "exp-4")[0] == 2
    assert run("promote", "exp-4/nothing")[0] == 3
    code, out, _ = run("repo", "history", "weights", "--json")
    assert code == 0
    assert [event.get("alias") for event in json.loads(out)] == [None, "champion"]
    assert run("repo", "history", "nothing")[0] == 3
    assert run("repo", "show", "weights:v7")[0] == 3
    assert run("alias", "weights:v0", "v1")[0] == 2
    assert run("alias", "weights", "nowhere", "--rm")[0] == 3
    assert run("repo", "show", "weights:latest")[0] == 3
    assert run("repo", "diff", "weights:v0", "weights@2100-01-01")[0] == 0
    assert run("lineage", "weights@2100-01-01", "-r", "repository.json")[1].splitlines()[-1].endswith("champion")
    assert run("expire", "weights", "--at", "2020-01-01")[0] == 0
    assert run("release", "create", "1.0")[0] == 0
    assert run("release", "create", "1.0")[0] == 2
    Path("releases.json").write_text("[")
    assert run("release", "list")[0] == 5


def test_closing_a_dead_experiment(run):
    project = Project("project.json")
    exp = project.log("dead")
    project.save()
    assert run("close", "dead", "--status", "failed")[0] == 0
    assert Project("project.json", mode="r")[exp.slug].status == "failed"
    assert run("close", "dead", "--status", "odd")[0] == 2


def test_init_leaves_what_is_there(run, project):
    code, _, err = run("init")
    assert code == 0
    assert "there is a project at" in err
    assert run("init", "sub/x.json")[0] == 0
    assert Project("sub/x.json").exists
    assert run("demo", "sub")[0] == 4


# --- damage ---


def test_a_damaged_store_is_told_by_the_exit_code(run, tmp_path, project):
    [file] = (tmp_path / "project" / "artifacts").rglob("weights*.json")
    file.write_bytes(b"[1,3]")
    code, out, _ = run("fsck")
    assert code == 5
    assert "altered" in out
    code, out, _ = run("fsck", "--json")
    assert code == 5
    assert json.loads(out)[0]["kind"] == "altered"
    (tmp_path / "project.json").write_text("[]")
    code, _, err = run("list")
    assert code == 5
    assert err.count("\n") == 1


def test_a_store_that_may_not_be_read_is_a_failing_storage(run, monkeypatch):
    def fails(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lazytrack.tracking.catalog.Catalog.refresh", fails)
    code, _, err = run("list")
    assert code == 6
    assert "Permission denied" in err


def test_a_stranger_cannot_play_with_the_terminal(run):
    with Project("project.json") as other, other.log("\x1b[31mred\x07") as exp:
        exp.log_parameter("text", "\x1b]0;title\x07")
    for arguments in (("list",), ("show", exp.slug), ("list", "--md"), ("compare", exp.slug)):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "\x1b" not in out
        assert "\x07" not in out


# --- as programs are run ---


def lazytrack(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "lazytrack", *arguments], check=False, text=True, capture_output=True, **options
    )


def test_it_runs_as_a_module_and_says_its_version():
    done = lazytrack("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("lazytrack ")
    done = lazytrack("nowhere")
    assert done.returncode == 2
    assert "there is no command 'nowhere'" in done.stderr
    assert "did you mean list" in lazytrack("lst").stderr


def test_a_broken_pipe_is_silent():
    command = f"{sys.executable} -m lazytrack list -n 0 --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], check=False, text=True, capture_output=True)
    assert done.stderr == ""
    assert done.stdout in {"0\n", "141\n"}
    command = f"{sys.executable} -m lazytrack list >&-; echo $?"
    done = subprocess.run(["bash", "-c", command], check=False, text=True, capture_output=True)
    assert (done.stdout, done.stderr) == ("0\n", "20 of 26: -n 0 shows all\n")


def on_a_terminal(*arguments, **variables):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lazytrack", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables},
    ):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
    os.close(ours)
    return shown.decode()


def test_colours_are_for_terminals_that_want_them():
    asked = ("list", "--where", "status == 'failed'", "--keep", "status")
    assert "\x1b[31mfailed" in on_a_terminal(*asked)
    assert "\x1b[3" not in on_a_terminal(*asked, NO_COLOR="1")
    assert "\x1b" not in lazytrack(*asked).stdout


@pytest.mark.parametrize("width", ["80", "200"])
def test_a_table_fits_the_terminal(width):
    shown = on_a_terminal("list", "-n", "4", COLUMNS=width, NO_COLOR="1")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r", "")
    assert max(len(line) for line in plain.split("\n") if "too narrow" not in line) <= int(width)
    assert "exp-24-" in plain


def test_shells_can_complete(tmp_path):
    words = {"COMP_WORDS": "lazytrack li", "COMP_CWORD": "1", "_LAZYTRACK_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "lazytrack")],  # noqa: PTH118, PTH120
        check=False,
        text=True,
        capture_output=True,
        env={**os.environ, **words},
    )
    assert done.stdout.split() == ["list", "lineage"]


def test_an_error_in_full_is_shown_on_demand(monkeypatch, run):
    monkeypatch.setenv("LAZYTRACK_TRACEBACK", "1")
    with pytest.raises(KeyError):
        run("show", "nowhere")


def test_what_an_encoding_lacks_is_spelled(project):
    with Project("project.json") as other:
        other.log("café")
    variables = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = lazytrack("list", "--where", "'caf' in name", env={**os.environ, **variables})
    assert (done.returncode, done.stderr) == (0, "")
    assert "caf\\xe9" in done.stdout


def test_values_that_are_odd(run):
    with Project("project.json") as other, other.log("odd") as exp:
        exp.log_parameters({"big": 10**400, "lines": "a\rb\nc", "long": "x" * 300})
        for step, value in enumerate((-1e308, 1e308)):
            exp.log_metric("curve", value, step=step)
    assert run("list", "--sort", "big")[0] == 0
    assert run("history", "odd", "curve")[0] == 0
    assert run("history", "odd", "curve", "--rank", "3")[0] == 3
    rows = list(csv.DictReader(io.StringIO(run("list", "--csv", "--where", "big > 3")[1], newline="")))
    assert rows[0]["parameters.lines"] == "a\rb\nc"
    assert len(run("list", "--where", "big > 3")[1].splitlines()) == 3
    shown = on_a_terminal("list", "-n", "3", NO_COLOR="1")
    assert "auc" in shown
    assert "curve" in shown


def test_short_names_are_columns_and_misspelt_ones_are_told(run):
    assert run("list", "--where", "auc > 0.2", "--json")[1] == run("list", "--where", "metrics.auc > 0.2", "--json")[1]
    assert len(json.loads(run("list", "--where", "created_at > '2020-01-01'", "-n", "0", "--json")[1])) == 26
    assert run("list", "--where", "created_at > '2100-01-01'")[2] == "no experiment is so\n"
    code, _, err = run("list", "--where", "status == completed")
    assert code == 0
    assert err == "lazytrack: warning: no experiment has 'completed'; a text stands in quotes\nno experiment is so\n"
    assert run("list", "--where", "-" * 1500 + "1")[0] == 2
    assert run("list", "--where", "x" + ".a" * 990)[0] == 2


def test_lineage_is_drawn_by_what_the_file_is_called(run):
    assert run("lineage", "exp-4", "-o", "l.png")[0] == 2
    for name in ("l.svg", "l.dot", "l.mmd", "l.json"):
        assert run("lineage", "exp 4", "-o", name)[0] == 0
    assert json.loads(Path("l.json").read_text())["nodes"][0]["type"] == "experiment"
    assert "weights" in run("lineage", "exp-4/weights")[1]
    assert run("lineage", "exp-5")[1] != "\n"
    assert run("lineage", "exp-4", "--up", "-3")[0] == 2


def test_names_with_slashes_are_found(run):
    with Project("project.json") as other:
        other.log("a/b")
    assert json.loads(run("show", "a/b", "--json")[1])["name"] == "a/b"


def test_steps_that_make_no_sense_hide_nothing(run, project):
    odd = {"status": 5, "outputs": ["x"], "inputs": "x", "start_time": "?", "number": "x"}
    slug = project["exp-4"].slug
    project._journal.append([{"record": slug, "set": {"steps.a": odd, "run": {"pipeline": None}}}], by="x")
    for arguments in (("lineage", "exp-5"), ("lineage", "exp-4"), ("steps", "exp-4"), ("show", "exp-4")):
        assert run(*arguments)[0] == 0


def test_eight_releases_at_once_are_all_kept(tmp_path):
    repository = Repository("repository.json")
    repository.log_artifact("model", [1], "json")
    repository.save()
    running = [
        subprocess.Popen([sys.executable, "-m", "lazytrack", "release", "create", f"r{n}"], stderr=subprocess.DEVNULL)
        for n in range(8)
    ]
    assert [each.wait() for each in running] == [0] * 8
    assert sorted(each["tag"] for each in json.loads((tmp_path / "releases.json").read_text())) == [
        f"r{n}" for n in range(8)
    ]
    assert not (tmp_path / "releases.json.lock").exists()


@pytest.mark.parametrize("shape", ["--json", "--csv", "--md"])
@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("show", "exp-4"),
        ("compare", "exp-4", "exp-5"),
        ("diff", "exp-4", "exp-5"),
        ("history", "bad"),
        ("steps", "exp-4"),
        ("env", "told"),
        ("repo", "list"),
        ("repo", "versions", "weights"),
        ("repo", "show", "weights"),
        ("repo", "history", "weights"),
        ("release", "list"),
        ("gc", "--all"),
        ("fsck",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_every_reading_command_has_each_shape(run, command, shape, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_PROVENANCE", "1")
    if command[0] == "env":
        with Project("project.json") as other:
            other.log("told").environment  # noqa: B018  (which waits until it is known)
    Repository("repository.json").save()
    assert run("promote", "exp-4/weights")[0] == 0
    code, out, err = run(*command, shape)
    assert code == 0, err
    if shape == "--json":
        json.loads(out)
    elif shape == "--csv":
        assert len({len(row) for row in csv.reader(io.StringIO(out))}) <= 1
    else:
        assert len({line.replace("\\|", "").count("|") for line in out.splitlines()}) <= 1
