"""Captured output: it is shown as ever, and kept."""
# ruff: noqa: T201  (printing is the subject)

import io
import logging
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from lazytrack import Project
from lazytrack.tracking import output


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "churn")


def stored(project, name="run"):
    return Project(project.fpath, mode="r")[name]


def test_what_is_printed_is_shown_and_kept(project, capsys):
    logger = logging.getLogger("test-output")
    logger.addHandler(handler := logging.StreamHandler())  # which holds on to the stream there was before
    try:
        with project.log("run", capture=True) as exp:
            print("to stdout", 1)
            print("to stderr", file=sys.stderr)
            sys.stdout.writelines(["Grüße\n", "ε"])
            logger.warning("a warning")
        print("after it")
    finally:
        logger.removeHandler(handler)
    project.save()
    shown = capsys.readouterr()
    assert shown.out == "to stdout 1\nGrüße\nεafter it\n"
    assert shown.err == "to stderr\na warning\n"
    assert exp.output == stored(project).output == "to stdout 1\nto stderr\nGrüße\nεa warning\n"
    [artifact] = stored(project).artifacts
    assert (artifact.name, artifact.alias, artifact.fname) == ("output", "text", "output.txt")
    assert stored(project).load_artifact("output") == exp.output


def test_the_streams_are_as_they_were_afterwards(project):
    before = sys.stdout, sys.stdout.write
    with project.log("run", capture=True):
        assert sys.stdout is before[0]
        assert sys.stdout.write != before[1]
    assert (sys.stdout, sys.stdout.write) == before


def test_runs_within_each_other_each_keep_what_was_printed_meanwhile(project, capsys):
    with project.log("outer", capture=True) as outer:
        print("one")
        with project.log("inner", capture=True) as inner:
            print("two")
        print("three")
    assert outer.output == "one\ntwo\nthree\n"
    assert inner.output == "two\n"
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_captures_that_end_in_another_order_undo_nothing_of_each_other(project, capsys):
    first, second = project.log("first", capture=True), project.log("second", capture=True)
    with second:
        with first:
            pass
        print("between")
    print("after")
    assert (first.output, second.output) == ("", "between\n")
    assert not first._companions.capture._new, "nothing is held that nobody wants"
    assert capsys.readouterr().out == "between\nafter\n"


def test_each_save_writes_what_there_is(project):
    exp = project.log("run", capture=True)
    for line in range(3):
        print(line)
        project.save()
        assert stored(project).output == "".join(f"{n}\n" for n in range(line + 1))
    with exp:
        pass


def test_long_output_goes_to_several_artifacts_so_that_a_save_writes_little(project, monkeypatch):
    monkeypatch.setattr(output, "_PART", 10)
    with project.log("run", capture=True) as exp:
        for line in range(10):
            print(f"line {line}")
            project.save()
    project.save()
    found = stored(project)
    assert [artifact.name for artifact in found.artifacts] == ["output", *(f"output-{n}" for n in range(2, 11))]
    assert found.output == exp.output == "".join(f"line {n}\n" for n in range(10))
    assert all(len(found.load_artifact(artifact.name)) <= 10 for artifact in found.artifacts)


@pytest.mark.parametrize("saves", [True, False])
def test_of_more_than_is_kept_the_beginning_and_the_end_are(project, monkeypatch, saves):
    monkeypatch.setattr(output, "_PART", 100)
    monkeypatch.setattr(output, "_MOST", 1000)
    monkeypatch.setattr(output, "_TAIL", 200)
    lines = [f"line {number}\n" for number in range(1000)]
    with project.log("run", capture=True) as exp:
        for line in lines:
            print(line, end="")
            if saves:
                project.save()
        capture = exp._companions.capture
        assert sum(map(len, capture._new)) <= 2001
    project.save()
    found = stored(project)
    assert found.output == exp.output
    kept = [line for line in found.output.splitlines(keepends=True) if line in lines]
    left_out = sum(int(count.replace(",", "")) for count in re.findall(r"\[\.\.\. ([\d,]+) char", found.output))
    assert len("".join(kept)) + left_out == len("".join(lines))
    assert kept[-10:] == lines[-10:]
    assert len(found.output) < 1500
    if saves:
        assert kept[:70] == lines[:70]


def test_no_half_of_a_private_key_is_kept_where_something_is_left_out(project, monkeypatch):
    monkeypatch.setattr(output, "_PART", 100)
    monkeypatch.setattr(output, "_MOST", 250)
    monkeypatch.setattr(output, "_TAIL", 200)
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEA\n" * 20 + "-----END RSA PRIVATE KEY-----\n"
    with project.log("run", capture=True) as exp:
        print("x\n" * 150)
        project.save()
        print(key + "after")
    assert "MIIEow" not in exp.output
    assert exp.output.endswith("characters are left out here ...]\nafter\n")


def test_a_run_that_goes_on_and_other_ranks_add_theirs(project):
    with project.log("run", capture=True):
        print("first")
    project.save()
    with project.resume("run", capture=True):
        print("second")
    project.save()
    other = Project(project.fpath)
    with other.attach("run", rank=3, capture=True):
        print("third")
    other.save()
    found = stored(project)
    assert [artifact.name for artifact in found.artifacts] == ["output", "output-2", "output-rank3"]
    assert found.output == "first\nsecond\nthird\n"


def test_threads_may_print_while_it_is_saved(project):
    with project.log("run", capture=True) as exp:
        threads = [threading.Thread(target=lambda: [print("x" * 10) for _ in range(500)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            project.save()
    assert exp.output.count("x") == 15_000


class Stubborn:
    """A stream of which nothing can be replaced."""

    __slots__ = ()

    def write(self, text):
        pass


def test_a_program_without_streams_or_with_stubborn_ones_runs_all_the_same(project, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", Stubborn())
    with pytest.warns(UserWarning, match="is shown and not kept"), project.log("run", capture=True) as exp:
        pass
    assert exp.output == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_what_a_forked_child_prints_is_its_own(project):
    with project.log("run", capture=True) as exp:
        print("before")
        changed = sys.stdout.write
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert sys.stdout.write != changed
                print("in the child")
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    assert exp.output == "before\n"


def test_an_artifact_of_a_like_name_is_not_output(project):
    with project.log("run", capture=True) as exp:
        exp.log_artifact("output", {"a": 1}, "json")
        print("it")
    assert exp.output == "it\n"


def test_processes_that_print_at_once_keep_what_each_has_printed(project):
    exp = project.log("run", capture=True)
    project.save()
    other = Project(project.fpath)
    late = other.attach("run", capture=True)
    print("both hear this")
    other.save()
    project.save()
    names = {artifact.name for artifact in stored(project).artifacts}
    assert names == {"output", f"output-{late._writer.id}"}
    assert stored(project).output == "both hear this\n" * 2
    late.finish()
    exp.finish()


@pytest.mark.parametrize("sign", ["\r", " "])
def test_a_part_does_not_end_within_a_token(project, sign):
    token = "ghp_" + "a1B2" * 9
    with project.log("run", capture=True) as exp:
        sys.stdout.write(f"step{sign}" * 12_796 + f"{token}{sign}and more{sign}" * 2 + "\n")  # one line of 64,000
    project.save()
    files = [path.read_text() for path in Path(project.folder).rglob("output.txt")]
    assert len(files) == 2
    assert not any("ghp_" in text or "a1B2a1B2" in text for text in files)
    assert exp.output.count("***") == 2


def test_half_a_character_is_kept_as_well_as_can_be(project, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape"))
    with project.log("run", capture=True) as exp:
        print("odd \udcff bytes")
    project.save()
    assert stored(project).output == exp.output == "odd \\udcff bytes\n"


def test_a_deleted_run_keeps_nothing_more(project):
    with project.log("run", capture=True) as exp:
        project.delete(exp.slug)
        print("into the void")
        project.save()
    assert len(project) == 0
