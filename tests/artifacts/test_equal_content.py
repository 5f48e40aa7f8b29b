"""Equal content is written once, and nobody loses anything by that."""

import json
import os
from pathlib import Path

import pytest

from lazytrack import Project
from lazytrack.files.local import LocalFiles

LARGE = "x" * 1_000_000


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "store", mode="w+")


def kept(project):
    return sorted(path for path in Path(project.folder).glob("artifacts/**/*") if path.is_file())


def folders(project):
    return sorted(path for path in Path(project.folder).glob("artifacts/**/*") if path.is_dir())


def log(project, value, name="exp", handler="json"):
    with project.log(name) as exp:
        exp.log_artifact("it", value, handler=handler)
    project.save()
    return exp


def test_equal_content_of_one_process_is_written_once(project):
    for name in ("one", "two", "three"):
        log(project, [1, 2], name)
    assert len(kept(project)) == 1
    assert not [path for path in folders(project) if not any(path.iterdir())]
    again = Project(project.fpath, mode="r")
    for name in ("one", "two", "three"):
        assert again[name].load_artifact("it") == [1, 2]
        assert again[name].artifacts[0].created_at == project[name].artifacts[0].created_at


def test_each_record_keeps_its_own_file_name(project):
    log(project, [1], "one")
    exp = log(project, [1], "two")
    exp.log_artifact("other", [1], handler="json", fname="mine.json")
    project.save()
    assert len(kept(project)) == 1
    assert [artifact.fname for artifact in Project(project.fpath)["two"].artifacts] == [
        exp.artifacts[0].fname,
        "mine.json",
    ]


def test_equal_content_within_one_save_is_written_once(project):
    with project.log("exp") as exp:
        for name in "abc":
            exp.log_artifact(name, [1], handler="json")
    project.save()
    assert len(kept(project)) == 1
    assert [Project(project.fpath)["exp"].load_artifact(name) for name in "abc"] == [[1]] * 3


def test_different_content_and_different_handlers_of_equal_content_do_not_meet(project):
    log(project, [1])
    log(project, [2])
    log(project, (1,), handler="pickle")
    assert len(kept(project)) == 3


def test_equal_content_of_a_process_whose_records_were_read_is_not_written_again(project):
    log(project, [1, 2])
    other = Project(project.fpath)
    assert len(other) == 1
    log(other, [1, 2])
    assert len(kept(project)) == 1


def test_before_a_large_artifact_the_log_is_read_once_and_again_when_it_was_named(project, monkeypatch):
    log(project, LARGE)
    other = Project(project.fpath)
    listed = []
    real = LocalFiles.names
    monkeypatch.setattr(LocalFiles, "names", lambda self, folder: listed.append(folder) or real(self, folder))
    monkeypatch.setattr("lazytrack.journal.packing.LOOK_EVERY", 10**9)
    log(other, LARGE)
    assert len(kept(project)) == 1
    assert listed.count("packs") == 2
    log(other, LARGE)
    assert listed.count("packs") == 3
    assert [found.load_artifact("it") for found in Project(project.fpath).experiments] == [LARGE] * 3


def test_before_a_small_artifact_nothing_is_read(project, monkeypatch):
    log(project, [1])
    other = Project(project.fpath)
    monkeypatch.setattr(LocalFiles, "read_many", lambda *_: pytest.fail("the store was read"))
    log(other, [1])
    assert len(kept(project)) == 2


def test_a_log_that_cannot_be_read_before_a_large_artifact_does_not_fail_the_save(project, monkeypatch):
    log(project, LARGE)
    other = Project(project.fpath)

    def fail(*_):
        raise OSError("the storage is away")

    monkeypatch.setattr(LocalFiles, "read_many", fail)
    log(other, LARGE)
    monkeypatch.undo()
    assert [found.load_artifact("it") for found in Project(project.fpath).experiments] == [LARGE] * 2


def test_what_is_read_before_a_large_artifact_is_shown_by_the_next_refresh(project):
    exp = log(project, [1])
    exp.log_metric("mine", 2)  # and its sections are there
    editing = Project(project.fpath, mode="w+")
    editing["exp"].log_metric("theirs", 1)
    editing.save()
    exp.log_artifact("large", LARGE, handler="json")
    project.save()
    assert project._knows_store
    project.refresh()
    assert exp.metrics == {"theirs": 1, "mine": 2}
    assert Project(project.fpath)["exp"].metrics == {"theirs": 1, "mine": 2}


@pytest.mark.parametrize("harm", ["gone", "altered", "cut"])
def test_a_file_that_is_not_what_its_record_says_is_not_used_again(project, harm):
    log(project, [1, 2, 3])
    [file] = kept(project)
    if harm == "gone":
        file.unlink()
    else:
        file.write_text("[9, 9, 9]" if harm == "altered" else "[1,")
    other = Project(project.fpath)
    assert len(other) == 1
    log(other, [1, 2, 3], "again")
    assert Project(project.fpath)["again"].load_artifact("it") == [1, 2, 3]


def test_a_file_this_process_wrote_and_that_was_cut_since_is_not_used_again(project):
    log(project, [1, 2, 3])
    kept(project)[0].write_text("[1,")
    log(project, [1, 2, 3], "again")
    assert Project(project.fpath)["again"].load_artifact("it") == [1, 2, 3]


def test_a_record_that_points_elsewhere_is_not_used(project, tmp_path):
    log(project, [1])
    (tmp_path / "outside.json").write_text("[1]")
    for path in Path(project.folder).glob("log/*"):
        document = json.loads(path.read_text())
        document["patches"][0]["set"]["artifacts.it"]["path"] = "../../outside.json"
        path.write_text(json.dumps(document))
    other = Project(project.fpath)
    assert len(other) == 1
    log(other, [1], "again")
    assert Project(project.fpath)["again"].load_artifact("it") == [1]
    assert len(kept(project)) == 2


def test_what_was_written_by_a_save_that_failed_is_named_by_the_next_one(project, monkeypatch):
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: real(a, b) if "artifacts" in b else _full())
    with project.log("exp") as exp:
        exp.log_artifact("it", [1], handler="json")
    with pytest.raises(OSError, match="full"):
        project.save()
    monkeypatch.undo()
    project.save()
    assert len(kept(project)) == 1
    assert Project(project.fpath)["exp"].load_artifact("it") == [1]


def _full():
    raise OSError("the disk is full")
