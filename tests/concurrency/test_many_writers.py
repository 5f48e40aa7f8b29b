"""Many processes on one project at once: writers, packers and readers."""

import json

import pytest
from store_checks import LOG_FILE, PACK_FILE, files_below, finish, leftovers, read_afresh, told

from lazytrack import Project
from lazytrack.files import open_files
from lazytrack.files.local import LocalFiles
from lazytrack.journal import Journal, packing

WRITERS, EXPERIMENTS = 16, 50
GRACE = 0.5
"""In seconds: how long replaced files are kept, where packers are told to delete them."""


def log_files(folder):
    return {path for path in files_below(folder) if LOG_FILE.fullmatch(path)}


def pack_files(folder):
    return {path for path in files_below(folder) if PACK_FILE.fullmatch(path)}


@pytest.fixture
def pack_all(monkeypatch):
    """Return what packs a store into one, when the grace of what was packed before is over."""

    def pack_all(folder):
        with monkeypatch.context() as later:
            later.setattr(packing, "GRACE_SECONDS", -1)
            return Journal(open_files(folder)).pack(everything=True)

    return pack_all


def go_together(processes):
    """Wait until all are ready, then let them go."""
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.fixture
def write_together(tmp_path, start):
    """Return what lets writers, packers and a reader loose on one project, and returns the acknowledged slugs."""

    def write_together(path, *packers_options):
        notes = tmp_path / "notes"
        notes.mkdir()
        writers = [start("child_writer.py", path, n, EXPERIMENTS, notes / str(n)) for n in range(WRITERS)]
        packers = [start("child_packer.py", path.with_suffix(""), *packers_options) for _ in range(2)]
        reader = start("child_reader.py", path, notes)
        go_together([*packers, reader, *writers])
        *_, packs, more_packs, readings = finish(*writers, *packers, reader)
        assert int(packs) + int(more_packs) > 0
        assert int(readings) > 0
        acknowledged = [slug for file in notes.iterdir() for slug in file.read_text("utf-8").split()]
        assert len(acknowledged) == len(set(acknowledged)) == WRITERS * EXPERIMENTS
        return acknowledged

    return write_together


def assert_each_is_there_once(seen, acknowledged):
    found = [(seen[slug]["parameters"]["writer"], seen[slug]["parameters"]["number"]) for slug in acknowledged]
    assert sorted(found) == [(writer, number) for writer in range(WRITERS) for number in range(EXPERIMENTS)]
    for slug, (writer, number) in zip(acknowledged, found, strict=True):
        last = number == EXPERIMENTS - 1
        artifacts = {"report": {"writer": writer, "number": number}, "model": (writer, number)}
        assert seen[slug] == {
            "status": "completed",
            "parameters": {"writer": writer, "number": number},
            "metrics": {"loss": number / 8 if last else -1},
            "tags": ["draft"] if last else [],
            "tests": {},
            "artifacts": artifacts if number % 2 else {},
        }


@pytest.mark.slow
def test_what_sixteen_processes_save_while_others_pack_and_read_is_there_once(tmp_path, write_together):
    path, folder = tmp_path / "churn.json", tmp_path / "churn"
    acknowledged = write_together(path)
    seen = read_afresh(path)
    assert seen.keys() == set(acknowledged)
    assert_each_is_there_once(seen, acknowledged)
    assert len(log_files(folder)) == WRITERS * EXPERIMENTS
    assert pack_files(folder)
    assert leftovers(folder) == set()


@pytest.mark.slow
def test_what_sixteen_processes_save_is_there_once_though_replaced_files_are_deleted(
    tmp_path, write_together, pack_all
):
    path, folder = tmp_path / "churn.json", tmp_path / "churn"
    mine = Project(path)

    def save_one(number):
        exp = mine.log("mine")
        exp.parameters = {"writer": -1, "number": number}
        mine.save()
        return exp.slug

    slugs = {save_one(number) for number in range(100)}
    [pack] = pack_files(folder) or Journal(open_files(folder)).pack()
    deletable = set(json.loads((folder / pack).read_bytes())["replaces"])
    probe = tmp_path / "probe"
    probe.touch()
    while probe.stat().st_mtime <= (folder / pack).stat().st_ctime + GRACE:
        probe.touch()

    acknowledged = write_together(path, GRACE)
    assert not deletable & log_files(folder)  # so files did vanish under those who were reading
    seen = read_afresh(path)
    assert seen.keys() == {*acknowledged, *slugs}
    assert_each_is_there_once(seen, acknowledged)

    # What is left when all but the last two files are deleted is still everything.
    for number in (100, 101):
        slugs.add(save_one(number))
        [pack] = pack_all(folder)
    assert len(log_files(folder)) == 1
    assert len(pack_files(folder)) == 2
    (folder / pack).unlink()
    seen = read_afresh(path)
    assert seen.keys() == {*acknowledged, *slugs}
    assert_each_is_there_once(seen, acknowledged)
    assert leftovers(folder) == set()


def test_two_writers_of_one_experiment_both_survive(tmp_path, start):
    path, edits = tmp_path / "churn.json", 60
    project = Project(path)
    exp = project.log("shared")
    project.save()
    editors = [start("child_editor.py", path, exp.slug, n, edits) for n in range(2)]
    go_together(editors)
    finish(*editors)
    [told] = read_afresh(path).values()
    assert told["parameters"] == {f"{n}.{number}": number for n in range(2) for number in range(edits)}
    assert told["metrics"] == {"0": edits - 1, "1": edits - 1}
    assert told["tags"] == sorted(f"{n}.{number}" for n in range(2) for number in range(edits))
    assert len(log_files(tmp_path / "churn")) == 1 + 2 * edits
    assert leftovers(tmp_path / "churn") == set()


@pytest.fixture
def tidy(tmp_path, pack_all):
    """Return what packs all that is there, deletes what was packed, and returns the names of what is gone."""
    folder, project = tmp_path / "churn", Project(tmp_path / "churn.json")

    def tidy():
        before = files_below(folder)
        for _ in range(2):
            project.log("another")
            project.save()
            pack_all(folder)
        return before - files_below(folder)

    for _ in range(2):
        project.log("one")
        project.save()
    return tidy


def test_files_that_vanish_between_listing_and_reading_are_found_in_the_packs_that_replace_them(
    tmp_path, tidy, monkeypatch
):
    plainly, looks, gone = LocalFiles.read_many, [], set()

    def read_many(files, names):
        names = list(names)
        if names and len(looks) < 5:
            looks.append(names)
            with monkeypatch.context() as patch:
                patch.setattr(LocalFiles, "read_many", plainly)
                gone.update(tidy())
            assert gone & set(names)
        return plainly(files, names)

    monkeypatch.setattr(LocalFiles, "read_many", read_many)
    reader = Project(tmp_path / "churn.json")
    assert {exp.slug for exp in reader.experiments} == read_afresh(tmp_path / "churn.json").keys()
    assert len(looks) == 5
    assert len(reader) == 12
    assert reader.problems == {}


def test_files_that_vanish_between_the_two_listings_are_found_in_the_packs_that_replace_them(
    tmp_path, tidy, monkeypatch
):
    plainly, listed = LocalFiles.names, []

    def names(files, folder):
        found = plainly(files, folder)
        if not listed:
            listed.extend(f"{folder}/{name}" for name in found)
            with monkeypatch.context() as patch:
                patch.setattr(LocalFiles, "names", plainly)
                tidy()
        return found

    monkeypatch.setattr(LocalFiles, "names", names)
    reader = Project(tmp_path / "churn.json")
    assert len(reader) == 4
    assert listed
    assert {exp.slug for exp in reader.experiments} == read_afresh(tmp_path / "churn.json").keys()
    assert reader.problems == {}


def test_a_record_whose_first_file_a_listing_missed_is_no_problem(tmp_path, monkeypatch):
    path = tmp_path / "churn.json"
    project = Project(path)
    project.log("earlier")
    project.save()
    plainly, missed = LocalFiles.names, []

    def names(files, folder):
        found = plainly(files, folder)
        if folder == "log" and not missed:
            exp = project.log("made while the folder is listed")
            project.save()
            missed.extend(set(plainly(files, folder)) - set(found))
            exp.tag("saved again")
            project.save()
            # The listing has come past the place of the first of the two files, and not yet to that of the second.
            found += set(plainly(files, folder)) - {*found, *missed}
        return found

    monkeypatch.setattr(LocalFiles, "names", names)
    reader = Project(path)
    assert reader.problems == {}
    assert missed
    reader.refresh()
    assert {exp.slug: told(exp) for exp in reader.experiments} == read_afresh(path)
    assert len(reader) == 2


def test_a_store_can_be_packed_into_one_any_number_of_times(tmp_path, pack_all):
    path, folder = tmp_path / "churn.json", tmp_path / "churn"
    project = Project(path)
    for number in range(105):
        project.log(str(number))
        project.save()
        pack_all(folder)
        assert files_below(folder) == log_files(folder) | pack_files(folder)
        assert len(pack_files(folder)) <= 2
    assert [exp.name for exp in Project(path).experiments] == [str(number) for number in range(105)]
