"""Imports from tango: a workspace as tango wrote it, against what tango reads in it, and one that nobody may load."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime

import pytest
from comparing import contents, digest, digests, imported

from lazytrack import Project
from lazytrack.exchange.foreign import tango

NO_DATA = "steps whose record is no data"
NOTHING_SAID = "steps of which nothing is said"
NO_RESULTS = ("lock", "cache-metadata.json", "work/")


@pytest.fixture(scope="module")
def workspace(tango_workspace, tmp_path_factory):
    """What an import of the workspace has made, with what tango reads there."""
    found = imported("tango", tango_workspace.folder / "workspace", tmp_path_factory.mktemp("imported"))
    found.expected, found.source = tango_workspace.expected, tango_workspace.folder / "workspace"
    found.runs = {exp.imported["id"]: exp for exp in found.project.experiments}
    return found


@pytest.fixture
def copy(tango_workspace, tmp_path):
    """A workspace that may be changed."""
    shutil.copytree(tango_workspace.folder / "workspace", tmp_path / "workspace", symlinks=True)
    return tmp_path / "workspace"


def steps_of(workspace):
    """Yield each step as it is here, with its run, its name there, and what tango says of it."""
    for run, ids in workspace.expected["runs"].items():
        here = {step.step_name: step for step in workspace.runs[run].steps}
        assert here.keys() == ids.keys()
        for name, step_id in ids.items():
            yield workspace.runs[run], name, here[name], workspace.expected["steps"][step_id]


def results_of(told):
    return {name: said for name, said in told["files"].items() if not name.startswith(NO_RESULTS)}


def time(text):
    return text and datetime.fromisoformat(text)


def test_every_run_becomes_an_experiment(workspace):
    assert len(workspace.project) == workspace.report.experiments == 3
    assert workspace.report.left_out == {}
    assert workspace.runs.keys() == workspace.expected["runs"].keys()
    assert {name: exp.status for name, exp in workspace.runs.items()} == {
        "first-run": "failed",
        "second run, é": "running",
        "empty-run": "completed",
    }
    for name, exp in workspace.runs.items():
        assert exp.name == name
        assert exp.imported["from"] == "tango"


def test_a_run_began_with_its_first_step_and_was_changed_with_its_last(workspace):
    for name, ids in workspace.expected["runs"].items():
        steps = [workspace.expected["steps"][step_id] for step_id in ids.values()]
        times = [time(step[key]) for step in steps for key in ("start_time", "end_time") if step[key]]
        if times:
            assert workspace.runs[name].created_at == min(times)
            assert workspace.runs[name].last_updated == max(times)
            assert workspace.runs[name].author == steps[0]["info"]["platform"]["user"]


def test_every_step_says_what_tango_says_of_it(workspace):
    seen = set()
    for _, name, step, told in steps_of(workspace):
        info = told["info"]
        assert step.step_name == name
        for key in ("unique_id", "step_class_name", "version", "cacheable", "error"):
            assert getattr(step, key) == info[key], key
        assert step.dependencies == set(info["dependencies"])
        assert step.result_location == info["result_location"]
        assert step.config == info["config"]
        assert (step.metadata or {}) == info["metadata"]
        assert (step.start_time, step.end_time) == (time(told["start_time"]), time(told["end_time"]))
        assert step.state.value == told["state"]
        seen.add(step.state.value)
    assert seen == {"completed", "failed", "incomplete", "running", "uncacheable"}


def test_times_have_their_microseconds(workspace):
    times = [step.start_time for _, _, step, _ in steps_of(workspace) if step.start_time]
    assert len({time.microsecond for time in times}) > 10


def test_every_step_has_its_platform_and_its_environment(workspace):
    for exp, _, step, told in steps_of(workspace):
        platform, environment = told["info"]["platform"], told["info"]["environment"]
        for key in ("cpu_count", "host", "operating_system", "user"):
            assert getattr(step.platform, key) == platform[key]
        assert step.environment.git is None is environment["git"]
        for key in ("command", "executable", "python", "root"):
            assert str(getattr(step.environment, key)) == environment[key]
        assert [[*package] for package in step.environment.packages] == environment["packages"]
        assert exp.environment == step.environment
        assert exp.platform == step.platform


def test_what_is_the_same_for_all_steps_is_kept_once(workspace):
    shared = [name for name in contents(workspace.folder / "project") if name.startswith("project/environments/")]
    assert len(shared) == 2


def test_every_file_of_every_result_is_there(workspace):
    seen = 0
    for exp, name, step, told in steps_of(workspace):
        artifact = next((artifact for artifact in exp.artifacts if artifact.name == name), None)
        wanted = results_of(told) if told["format"] else {}
        if not wanted:
            assert artifact is None
            assert not step.logged
            continue
        assert step.logged == [f"artifacts.{name}"]
        assert artifact.created_at == step.end_time
        seen += len(wanted)
        if len(wanted) == 1:
            ((fname, said),) = wanted.items()
            assert artifact.fname == fname
            assert {"size": artifact.stored.size, "sha256": artifact.stored.sha256} == said
        else:
            assert digests(exp.load_artifact(name)) == wanted
    assert seen > 15


def test_results_are_read_back_where_they_are_data(workspace):
    values = {}
    for exp, name, _, told in steps_of(workspace):
        if "value" in told["result"] and told["format"]["compress"] is None:
            values[name] = exp.load_artifact(name)
            assert values[name] == told["result"]["value"]
    assert values["text, é"] == "eins\nzwei ☃\n"
    assert values["numbers"]["é"] == 0.1 + 0.2


def test_dills_are_files_and_stay_unread(workspace):
    artifacts = {artifact.name: artifact for artifact in workspace.runs["first-run"].artifacts}
    for name in ("dilled", "plain-dill", "packed-dill", "trap"):
        assert artifacts[name].alias == "file"
    loaded = workspace.runs["first-run"].load_artifact("trap-in-json")
    assert loaded["_dataclass"] == ["os", "makedirs"]


def test_what_was_printed_is_the_output(workspace):
    for name, exp in workspace.runs.items():
        path = workspace.source / "runs" / name / "out.log"
        assert (exp.output or "") == (path.read_text() if path.exists() else "")
    assert "ValueError: nothing can be made of 4 values, é" in workspace.runs["first-run"].output


def test_a_workspace_whose_records_are_traps_says_so_and_springs_none(tango_workspace, tmp_path):
    found = imported("tango", tango_workspace.folder / "hostile", tmp_path)
    (exp,) = found.project.experiments
    assert exp.name == "baited-run"
    assert exp.steps == []
    (said,) = found.report.left_out[NO_DATA]
    assert said.endswith("it holds a os.makedirs, which is no data")
    assert [which.split(": ")[1] for which in found.report.left_out[NOTHING_SAID]] == ["baited"]
    assert not tango_workspace.executed.exists()


def test_a_workspace_is_named_as_tango_names_it(tango_workspace, tmp_path):
    report = Project(tmp_path).import_from("tango", f"local://{tango_workspace.folder}/workspace", dry_run=True)
    assert report.experiments == 3


# --- what has changed since ---


def told_of(copy, change):
    with closing(sqlite3.connect(copy / "stepinfo.sqlite")) as connection, connection:
        change(connection)


def test_steps_that_have_run_since_come_and_what_is_of_here_stays(copy, tango_workspace, tmp_path):
    ids = tango_workspace.expected["runs"]["first-run"]
    rows = {}

    def take_away(connection):
        rows.update(connection.execute("select key, value from unnamed where key = ?", (ids["rows"],)).fetchall())
        connection.execute("delete from unnamed where key = ?", (ids["rows"],))

    def put_back(connection):
        connection.executemany("insert into unnamed (key, value) values (?, ?)", rows.items())

    told_of(copy, take_away)
    (copy / "cache" / ids["rows"]).rename(tmp_path / "away")
    first = imported("tango", copy, tmp_path / "to")
    assert first.report.left_out == {NOTHING_SAID: [f"first-run: rows: {ids['rows']}"]}
    here = Project(tmp_path / "to" / "project", mode="w+")
    run = next(exp for exp in here.experiments if exp.name == "first-run")
    run.tag("of here")
    here.save()
    told_of(copy, put_back)
    (tmp_path / "away").rename(copy / "cache" / ids["rows"])
    again = imported("tango", copy, tmp_path / "to")
    assert (again.report.experiments, again.report.updated, again.report.unchanged) == (0, 1, 2)
    run = next(exp for exp in again.project.experiments if exp.name == "first-run")
    assert "rows" in {step.step_name for step in run.steps}
    assert "rows" in {artifact.name for artifact in run.artifacts}
    assert [*run.tags] == ["of here"]
    assert again.project.fsck() == []


def test_a_run_that_begins_at_another_time_is_the_same_run(copy, tango_workspace, tmp_path):
    steps = tango_workspace.expected["runs"]["second run, é"].values()
    rows = {}

    def take_away(connection):
        for step in steps:
            rows.update(connection.execute("select key, value from unnamed where key = ?", (step,)).fetchall())
            connection.execute("delete from unnamed where key = ?", (step,))

    told_of(copy, take_away)
    imported("tango", copy, tmp_path / "to")
    told_of(copy, lambda db: db.executemany("insert into unnamed (key, value) values (?, ?)", rows.items()))
    again = imported("tango", copy, tmp_path / "to")
    assert (again.report.experiments, len(again.project)) == (0, 3)
    (run,) = [exp for exp in again.project.experiments if exp.name == "second run, é"]
    assert len(run.steps) == 5
    assert again.project.fsck() == []


def test_a_run_without_times_is_the_same_wherever_it_is_copied_to(copy, tmp_path):
    imported("tango", copy, tmp_path / "to")
    shutil.copytree(copy, tmp_path / "moved", symlinks=True, copy_function=shutil.copy)
    again = imported("tango", tmp_path / "moved", tmp_path / "to")
    assert (again.report.experiments, again.report.unchanged) == (0, 3)


# --- what is broken ---


def test_what_is_no_workspace_is_said(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"folder is no workspace of tango: neither settings\.json nor"):
        Project(tmp_path / "to").import_from("tango", tmp_path / "folder")
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("kept", [0, 100, 5000])
def test_a_register_of_steps_that_was_cut_short_is_named(copy, tmp_path, kept):
    content = (copy / "stepinfo.sqlite").read_bytes()
    (copy / "stepinfo.sqlite").write_bytes(content[:kept])
    with pytest.raises(ValueError, match=r"stepinfo\.sqlite cannot be read"):
        Project(tmp_path / "to").import_from("tango", copy)


@pytest.mark.parametrize("value", [b"", b"no pickle", b"\x80\x04N.", b"\x80\x04}.", 3, "text", None])
def test_a_step_that_is_no_pickle_is_said_and_what_is_beside_it_comes(copy, tango_workspace, tmp_path, value):
    step_id = tango_workspace.expected["runs"]["first-run"]["rows"]
    told_of(copy, lambda db: db.execute("update unnamed set value = ? where key = ?", (value, step_id)))
    found = imported("tango", copy, tmp_path / "to")
    (said,) = found.report.left_out[NO_DATA]
    assert said.startswith(f"{step_id}: it ")
    first = next(exp for exp in found.project.experiments if exp.name == "first-run")
    assert len(first.steps) == 17


@pytest.mark.parametrize("content", ["", "[1", "\x00", "[]", "3", '{"a": 3}'])
def test_a_run_that_makes_no_sense_is_said_and_what_is_beside_it_comes(copy, tmp_path, content):
    (copy / "runs" / "first-run" / "stepinfo.json").write_text(content)
    found = imported("tango", copy, tmp_path / "to")
    assert "first-run" in str(found.report.left_out)
    assert {exp.name for exp in found.project.experiments} >= {"second run, é", "empty-run"}


def test_a_result_whose_description_makes_no_sense_is_a_file(copy, tango_workspace, tmp_path):
    step_id = tango_workspace.expected["runs"]["first-run"]["rows"]
    for content in ("", "[]", '{"format": 3}'):
        (copy / "cache" / step_id / "cache-metadata.json").write_text(content)
        found = imported("tango", copy, tmp_path / f"to{len(content)}")
        run = next(exp for exp in found.project.experiments if exp.name == "first-run")
        assert next(artifact for artifact in run.artifacts if artifact.name == "rows").alias == "file"


def test_links_among_results_are_refused_and_said(copy, tango_workspace, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    step_id = tango_workspace.expected["runs"]["first-run"]["text, é"]
    (copy / "cache" / step_id / "text.txt").unlink()
    (copy / "cache" / step_id / "text.txt").symlink_to(secret)
    found = imported("tango", copy, tmp_path / "to")
    assert digest(b"secret")["sha256"] not in {digest(content)["sha256"] for content in contents(found.folder).values()}
    (which,) = found.report.left_out["links among artifacts, which may lead anywhere"]
    assert which == "first-run: artifacts.text, é"


def test_what_is_linked_instead_of_written_is_not_followed(copy, tmp_path):
    told = tmp_path / "elsewhere.json"
    told.write_text(json.dumps({"step": "secret-step_id"}))
    path = copy / "runs" / "first-run" / "stepinfo.json"
    path.unlink()
    path.symlink_to(told)
    printed = copy / "runs" / "second run, é" / "out.log"
    printed.unlink()
    printed.symlink_to(told)
    found = imported("tango", copy, tmp_path / "to")
    assert not any(b"secret-step_id" in content for content in contents(found.folder).values())
    assert "first-run" in str(found.report.left_out)
    assert found.report.left_out["links among artifacts, which may lead anywhere"] == [
        "second run, é: artifacts.output"
    ]


LINKED = "folders that are links, which may lead anywhere"


def moved_behind_a_link(folder, to):
    folder.rename(to)
    folder.symlink_to(to, target_is_directory=True)


def test_a_cache_that_is_a_link_is_said_and_not_followed(copy, tmp_path):
    moved_behind_a_link(copy / "cache", tmp_path / "elsewhere")
    found = imported("tango", copy, tmp_path / "to")
    assert found.report.left_out == {LINKED: ["cache"]}
    assert len(found.project) == 3
    assert {artifact.name for exp in found.project.experiments for artifact in exp.artifacts} == {"output"}


def test_folders_of_runs_and_results_that_are_links_are_said_and_not_followed(copy, tango_workspace, tmp_path):
    step_id = tango_workspace.expected["runs"]["first-run"]["rows"]
    moved_behind_a_link(copy / "cache" / step_id, tmp_path / "result")
    moved_behind_a_link(copy / "runs" / "empty-run", tmp_path / "run")
    found = imported("tango", copy, tmp_path / "to")
    assert found.report.left_out == {LINKED: [f"cache/{step_id}", "runs/empty-run"]}
    runs = {exp.name: exp for exp in found.project.experiments}
    assert runs.keys() == {"first-run", "second run, é"}
    assert "rows" not in {artifact.name for artifact in runs["first-run"].artifacts}


def test_what_tells_the_format_of_a_result_is_not_followed_either(copy, tango_workspace, tmp_path):
    path = copy / "cache" / tango_workspace.expected["runs"]["first-run"]["text, é"] / "cache-metadata.json"
    moved_behind_a_link(path, tmp_path / "elsewhere.json")
    found = imported("tango", copy, tmp_path / "to")
    run = next(exp for exp in found.project.experiments if exp.name == "first-run")
    assert next(artifact for artifact in run.artifacts if artifact.name == "text, é").alias == "file"


def test_a_pipe_in_the_place_of_a_run_is_said_and_what_is_beside_it_comes(copy, tmp_path):
    path = copy / "runs" / "first-run" / "stepinfo.json"
    path.unlink()
    os.mkfifo(path)
    found = imported("tango", copy, tmp_path / "to")
    assert found.report.left_out["what makes no sense"] == ["runs/first-run/stepinfo.json: is no regular file"]
    assert {exp.name for exp in found.project.experiments} == {"second run, é", "empty-run"}


def test_tokens_in_what_tango_has_captured_stay_there(copy, tango_workspace, tmp_path, monkeypatch):
    token = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1bC3dE5"
    plain = tango._plain

    def with_secrets(value):
        step = plain(value)
        if isinstance(step, dict) and "unique_id" in step:
            step["environment"] |= {
                "command": f"tango run x.jsonnet --api-key {token}  -s y",
                "git": {"commit": "0" * 40, "remote": f"https://dana:{token}@github.com/x/y.git"},
            }
        return step

    monkeypatch.setattr(tango, "_plain", with_secrets)
    found = imported("tango", copy, tmp_path / "to")
    run = next(exp for exp in found.project.experiments if exp.name == "first-run")
    assert run.git.remote == "https://***@github.com/x/y.git"
    assert run.environment.command == "tango run x.jsonnet --api-key ***  -s y"
    assert not any(token.encode() in content for content in contents(tmp_path / "to").values())
