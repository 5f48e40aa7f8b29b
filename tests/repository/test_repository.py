import json
import pickle
import shutil
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lazytrack import Project, Repository, naming
from lazytrack.errors import (
    ArtifactLoadError,
    ArtifactLogError,
    FormatError,
    InvalidVersionError,
    ReadOnlyError,
    SaveError,
    UntrustedArtifactError,
    VersionNotFoundError,
)
from lazytrack.files.local import LocalFiles
from lazytrack.tracking.registry import registry

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def repository(folder):
    return Repository(folder)


@pytest.fixture
def clock(monkeypatch):
    """Return what sets the time that artifacts are made at, and the present."""
    times = [datetime(2026, 1, 1, 8, tzinfo=UTC)]
    real = naming.now

    def set_time(time):
        times[0] = time

    def now():
        times[0] += timedelta(microseconds=1)
        return times[0]

    monkeypatch.setattr(naming, "now", now)
    set_time.real = real
    return set_time


def saved(folder, *values, name="report"):
    repository = Repository(folder)
    for value in values:
        repository.log_artifact(name, value, "json")
    repository.save()
    return repository


# --- versions ---


def test_versions_count_from_zero_and_the_newest_is_loaded(repository, folder):
    assert [repository.log_artifact("report", {"n": n}, "json") for n in range(3)] == [0, 1, 2]
    assert repository.log_artifact("other", "text") == 0
    repository.save()
    found = Repository(folder, mode="r")
    assert found.load_artifact("report") == {"n": 2}
    assert [found.load_artifact("report", version=n)["n"] for n in range(3)] == [0, 1, 2]
    assert found.load_artifact("other") == "text"
    assert [(a.name, a.version, a.alias, a.dirty) for a in found.artifacts] == [
        ("other", 0, "text", False),
        *(("report", n, "json", False) for n in range(3)),
    ]
    assert "report" in found
    assert "missing" not in found
    assert (found["report"].version, len(found)) == (0, 4)
    with pytest.raises(KeyError, match="no artifact 'missing'"):
        found["missing"]
    assert [(d["name"], d["version"], d["handler"]) for d in found][1] == ("report", 0, "json")
    assert found.problems == {}


def test_another_process_goes_on_numbering(folder):
    saved(folder, 1, 2)
    repository = saved(folder, 3)
    assert repository.load_artifact("report") == 3
    assert [a.version for a in repository.versions("report")] == [0, 1, 2]


def test_two_who_log_at_once_get_a_number_each(folder):
    one, other = Repository(folder), Repository(folder)
    first = [one.log_artifact("report", f"one {n}") for n in range(2)]
    second = [other.log_artifact("report", f"other {n}") for n in range(3)]
    assert (first, second) == ([0, 1], [0, 1, 2])
    one.save()
    other.save()
    assert [a.version for a in other.versions("report")] == [0, 1, 2, 3, 4]
    found = Repository(folder, mode="r")
    loaded = [found.load_artifact("report", version=n) for n in range(5)]
    assert loaded == ["one 0", "one 1", "other 0", "other 1", "other 2"]
    assert [other.load_artifact("report", version=n) for n in range(5)] == loaded


def test_a_save_that_fails_keeps_its_number(repository, folder, monkeypatch):
    repository.log_artifact("report", 1, "json")
    append = type(repository._journal).append

    def fail(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(type(repository._journal), "append", fail)
    with pytest.raises(SaveError, match=r"nothing was saved, all of it is kept.*no space"):
        repository.save()
    monkeypatch.setattr(type(repository._journal), "append", append)
    repository.save()
    repository.save()
    assert [a.version for a in Repository(folder, mode="r").artifacts] == [0]
    assert len(list((folder / "repository" / "log").iterdir())) == 1


def test_a_number_that_was_claimed_for_what_was_given_up_is_used_for_the_next(repository, folder):
    repository.log_artifact("report", {1}, "json")
    with pytest.raises(SaveError, match="TypeError"):
        repository.save()
    repository.delete("report", 0)
    other = Repository(folder)
    other.log_artifact("report", "other")
    other.save()
    assert [a.version for a in other.artifacts] == [1]
    assert repository.log_artifact("report", "mine") == 0
    repository.save()
    found = Repository(folder, mode="r")
    assert [found.load_artifact("report", version=n) for n in (0, 1)] == ["mine", "other"]


def test_one_that_cannot_be_written_does_not_stop_the_others(repository, folder):
    repository.log_artifact("good", 1, "json")
    repository.log_artifact("bad", {1, 2}, "json")
    repository.set_alias("bad", "champion")
    repository.set_alias("good", "champion")
    with pytest.raises(
        SaveError, match=r"all was saved but artifact 'bad': TypeError.*delete\(name, version\) gives it up"
    ):
        repository.save()
    found = Repository(folder, mode="r")
    assert [a.name for a in found.artifacts] == ["good"]
    assert found.aliases("good") == {"champion": 0}
    repository.delete_alias("bad", "champion")
    repository.delete("bad", 0)
    repository.save()
    assert "bad" not in repository


def test_names_that_differ_by_case_or_signs_are_different_artifacts(repository, folder):
    names = ["model", "Model", "my model", "my-model", "größe/..", "../up"]
    for name in names:
        repository.log_artifact(name, name, "text")
    repository.save()
    found = Repository(folder, mode="r")
    assert [found.load_artifact(name) for name in names] == names
    assert not (folder.parent / "up").exists()


def test_equal_content_is_kept_once(folder):
    repository = saved(folder, {"same": 1}, {"same": 1}, {"same": 2})
    files = {a.stored.path for a in repository.artifacts}
    assert len(files) == 2


# --- which version ---


@pytest.fixture
def dated(folder, clock):
    """Versions of three days, of which the newest has expired."""
    repository = Repository(folder)
    for day in range(3):
        clock(datetime(2026, 1, 1 + day, 8, tzinfo=UTC))
        repository.log_artifact(
            "report", f"day {day}", expiry=datetime(2026, 1, 3, 12, tzinfo=UTC) if day == 2 else None
        )
    repository.save()
    clock(datetime(2026, 1, 10, tzinfo=UTC))
    return Repository(folder)


def test_an_expired_version_is_not_the_newest(dated):
    assert dated.load_artifact("report") == "day 1"
    with pytest.warns(UserWarning, match="version 2 of artifact 'report' expired at 2026-01-03T12:00:00"):
        assert dated.load_artifact("report", version=2) == "day 2"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (0, 0),
        ("2026-01-02T08:00:00", 1),
        ("2026-01-01T08:00", 0),
        (datetime(2026, 1, 1, 9, tzinfo=UTC) - timedelta(hours=1), 0),
        ("2026-01-02T09:00:00+01:00", 1),
    ],
)
def test_a_version_is_found_by_number_or_time(dated, version, expected):
    assert dated.get_artifact_metadata("report", version)["version"] == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-01T08:00:01", 0),
        ("2026-01-02", 0),
        (datetime(2026, 1, 2, 9, tzinfo=UTC), 1),
        ("2026-01-03T09:00", 2),
        ("2026-01-03T13:00", 1),
        ("2027-01-01", 1),
    ],
)
def test_as_of_a_time_the_newest_that_was_there_and_had_not_expired(dated, time, expected):
    assert dated.get_artifact_metadata("report", time, match="asof")["version"] == expected


@pytest.mark.parametrize(
    ("version", "match", "error", "message"),
    [
        (7, "exact", VersionNotFoundError, "no version 7; there are 0 "),
        ("2020-01-01", "exact", VersionNotFoundError, "no version of 2020-01-01"),
        ("2020-01-01", "asof", VersionNotFoundError, "had no version at 2020-01-01"),
        ("champion", "exact", InvalidVersionError, "no ISO 8601 time and no alias; aliases: none"),
        (1.5, "exact", InvalidVersionError, "no number, time or alias"),
        (True, "exact", InvalidVersionError, "no number, time or alias"),
        (0, "asof", ValueError, "needs a time"),
        (0, "newest", ValueError, "no match 'newest'; known: 'exact' and 'asof'"),
    ],
)
def test_what_cannot_be_found_is_told(dated, version, match, error, message):
    with pytest.raises(error, match=message):
        dated.load_artifact("report", version=version, match=match)
    with pytest.raises(ValueError, match=r"no artifact 'missing' in .*known: 'report'"):
        dated.load_artifact("missing")


def test_when_all_have_expired_there_is_no_newest(folder):
    repository = saved(folder, 1)
    repository.set_artifact_expiry("report")
    with pytest.raises(VersionNotFoundError, match="no version that has not expired; there are 0"):
        repository.load_artifact("report")
    repository.save()
    assert Repository(folder).get_artifact_metadata("report", 0)["expiry"] is not None


def test_an_expiry_is_set_before_and_after_saving(folder):
    repository = Repository(folder)
    repository.log_artifact("report", 1, "json")
    repository.set_artifact_expiry("report", expiry="90d")
    repository.save()
    first = Repository(folder).get_artifact_metadata("report")["expiry"]
    assert first > naming.iso(naming.now() + 89 * DAY)
    repository.set_artifact_expiry("report", 0, expiry=datetime(2099, 1, 1, tzinfo=UTC))
    assert repository.get_artifact_metadata("report")["expiry"].startswith("2099-01-01")
    repository.save()
    assert Repository(folder).get_artifact_metadata("report")["expiry"].startswith("2099-01-01")
    with pytest.raises(ValueError, match="expiry of artifact 'report'"):
        repository.set_artifact_expiry("report", expiry="soon")


# --- aliases ---


def test_an_alias_means_a_version_and_its_history_is_kept(folder):
    repository = saved(folder, 1, 2, 3)
    repository.set_alias("report", "champion", 0)
    assert repository.load_artifact("report", version="champion") == 1
    repository.save()
    other = Repository(folder, author="ada")
    other.set_alias("report", "champion", reason="better on the newest data")
    other.set_alias("report", "challenger", 1)
    other.save()
    other.delete_alias("report", "challenger", reason="retired")
    other.save()
    found = Repository(folder, mode="r")
    assert found.aliases("report") == {"champion": 2}
    assert found.load_artifact("report", version="champion") == 3
    moves = found.history("report")
    assert [(m["alias"], m["from"], m["to"], m["by"], m.get("reason")) for m in moves] == [
        ("champion", None, 0, repository.author, None),
        ("champion", 0, 2, "ada", "better on the newest data"),
        ("challenger", None, 1, "ada", None),
        ("challenger", 1, None, "ada", "retired"),
    ]
    assert moves[0]["at"] < moves[1]["at"]


def test_an_alias_follows_an_unsaved_version_whose_number_is_taken(folder):
    one, other = Repository(folder), Repository(folder)
    one.log_artifact("report", "one")
    other.log_artifact("report", "other")
    other.set_alias("report", "champion")
    one.save()
    other.save()
    assert Repository(folder).aliases("report") == {"champion": 1}
    assert Repository(folder).load_artifact("report", version="champion") == "other"


@pytest.mark.parametrize("alias", ["", " ", "3", "-1", "2026-01-01", "2026-01-01T08:00"])
def test_an_alias_that_could_be_something_else_is_refused(folder, alias):
    with pytest.raises(ValueError, match="could be taken for a number or a time"):
        saved(folder, 1).set_alias("report", alias)


def test_an_alias_that_is_not_there_cannot_be_deleted(folder):
    repository = saved(folder, 1)
    repository.set_alias("report", "champion")
    with pytest.raises(ValueError, match="no alias 'challenger'; known: 'champion'"):
        repository.delete_alias("report", "challenger")


# --- deleting, modes ---


def test_a_deleted_version_is_gone_and_its_number_is_never_used_again(folder):
    repository = saved(folder, 1, 2, 3)
    repository.delete("report", 2)
    assert repository.load_artifact("report") == 2
    repository.save()
    found = Repository(folder)
    assert [a.version for a in found.artifacts] == [0, 1]
    assert found.log_artifact("report", 4, "json") == 3
    found.save()
    assert [a.version for a in Repository(folder).artifacts] == [0, 1, 3]
    with pytest.raises(VersionNotFoundError):
        found.delete("report", 2)


def test_when_all_versions_are_deleted_numbering_goes_on(folder):
    repository, late = saved(folder, 1, 2), Repository(folder)
    late.log_artifact("report", "late")
    for number in range(2):
        repository.delete("report", number)
    repository.log_artifact("report", "next")
    repository.save()
    repository.delete("report", 2)
    repository.save()
    late.save()
    assert [(a.version, a.alias) for a in Repository(folder).artifacts] == [(3, "text")]


def test_what_an_alias_means_is_not_deleted(folder):
    repository = saved(folder, 1, 2)
    repository.set_alias("report", "champion", 0)
    with pytest.raises(ValueError, match="version 0 of artifact 'report' is what 'champion' means"):
        repository.delete("report", 0)


def test_reading_only_refuses_every_change(folder):
    saved(folder, 1)
    reader = Repository(folder, mode="r")
    for change in (
        lambda: reader.log_artifact("a", 1),
        lambda: reader.set_artifact_expiry("report"),
        lambda: reader.set_alias("report", "champion"),
        lambda: reader.delete_alias("report", "champion"),
        lambda: reader.delete("report", 0),
        reader.save,
    ):
        with pytest.raises(ReadOnlyError, match=r"reading only: open it with mode='w\+'"):
            change()


def test_starting_empty_deletes_what_was_there_and_goes_on_numbering(folder):
    saved(folder, 1, 2)
    emptied = Repository(folder, mode="w")
    assert emptied.artifacts == []
    assert Repository(folder).load_artifact("report") == 2
    assert emptied.log_artifact("report", 3, "json") == 2
    emptied.save()
    assert [a.version for a in Repository(folder).artifacts] == [2]


@pytest.mark.parametrize("mode", ["a", "x", ""])
def test_other_modes_are_refused(folder, mode):
    with pytest.raises(ValueError, match="no mode"):
        Repository(folder, mode=mode)


def test_a_missing_repository_is_empty(folder):
    with pytest.warns(UserWarning, match="there is no repository"):
        assert len(Repository(folder, mode="r")) == 0
    Repository(folder).save()
    assert json.loads((folder / "repository.json").read_text())["kind"] == "repository"


def test_a_project_is_no_repository(tmp_path):
    Project(tmp_path / "churn.json").save()
    with pytest.raises(FormatError, match="is a lazytrack project, not a repository"):
        Repository(tmp_path / "churn.json")


def test_a_repository_and_a_project_share_a_folder(tmp_path):
    project, repository = Project(tmp_path), Repository(tmp_path)
    project.log("run")
    project.save()
    repository.log_artifact("report", 1, "json")
    repository.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "project",
        "project.json",
        "repository",
        "repository.json",
    ]


# --- text ---


def test_a_difference_between_versions_of_text(repository):
    for text in ("one\ntwo\n", "one\nthree\n", "one\nthree\nfour\n"):
        repository.log_artifact("notes", text)
    repository.save()
    assert "-two\n+three\n" in repository.get_version_diff("notes", (0, 1))
    assert "+four\n" in repository.get_version_diff("notes", 1)
    with pytest.warns(UserWarning, match="both are version 2"):
        assert repository.get_version_diff("notes") == ""
    repository.log_artifact("model", b"1")
    repository.save()
    with pytest.raises(ValueError, match="writes no text"):
        repository.get_version_diff("model", (0, 0))
    repository.log_artifact("notes", "new")
    with pytest.raises(ArtifactLoadError, match="not saved yet"):
        repository.get_version_diff("notes", 0)
    with pytest.raises(ValueError, match="between two versions, not 3"):
        repository.get_version_diff("notes", (0, 1, 2))


# --- promotion ---


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "churn")
    with project.log("run") as exp:
        exp.log_artifact("model", {"w": (1, 2)}, "pickle")
    project.save()
    return project


def test_a_saved_artifact_is_promoted_without_being_loaded(project, folder, monkeypatch):
    monkeypatch.setattr("pickle.load", None)
    repository = Repository(folder)
    assert project["run"].promote_artifact(repository, "model") == 0
    monkeypatch.undo()
    found = Repository(folder, mode="r")
    assert found.load_artifact("model") == {"w": (1, 2)}
    assert found["model"].created_at == project["run"].artifacts[0].created_at


def test_what_is_not_newer_is_not_promoted(project, folder):
    repository = Repository(folder)
    project["run"].promote_artifact(repository, "model")
    with pytest.raises(ArtifactLogError, match="is not newer than the newest version"):
        project["run"].promote_artifact(repository, "model")
    with pytest.raises(ArtifactLoadError, match="no artifact 'missing' here; known: 'model'"):
        project["run"].promote_artifact(repository, "missing")
    assert len(repository) == 1


def test_an_unsaved_artifact_is_logged_and_saved_with_the_repository(tmp_path, folder):
    exp = Project(tmp_path / "churn").log("run")
    exp.log_artifact("report", {"a": 1}, "json")
    repository = Repository(folder)
    assert exp.promote_artifact(repository, "report") == 0
    assert not folder.exists()
    repository.save()
    assert Repository(folder).load_artifact("report") == {"a": 1}


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", ["altered", "as long", "gone"])
@pytest.mark.parametrize("which", ["model", "folder", "a file of the folder"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_promotion_that_is_refused_leaves_nothing(project, folder, tmp_path, which, change, is_new):
    (tmp_path / "weights").mkdir()
    for name in "ab":
        (tmp_path / "weights" / name).write_text(f"weights {name}")
    exp = project["run"] if project.mode == "w+" else project.attach("run")
    exp.log_artifact("folder", tmp_path / "weights")
    project.save()
    name = "model" if which == "model" else "folder"
    stored = next(artifact.stored for artifact in exp.artifacts if artifact.name == name)
    path = Path(project.folder, stored.path)
    if which == "a file of the folder":
        path = path.parent / "files" / "b"
    content = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(b"altered" if change == "altered" else bytes([content[0] ^ 1]) + content[1:])
    repository = Repository(folder) if is_new else saved(folder, 1, name="other")
    before = files_in(folder)
    with pytest.raises(SaveError, match=r"nothing was written: .*(is not the one that was saved|is gone)"):
        exp.promote_artifact(repository, name)
    assert files_in(folder) == before
    assert name not in repository
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    assert exp.promote_artifact(repository, name) == 0
    assert Repository(folder).fsck() == []


def test_a_promotion_that_cannot_be_written_is_told_and_its_number_is_used_again(project, folder, monkeypatch):
    repository = Repository(folder)

    def full(*_, **__):
        raise OSError(28, "no space")

    with monkeypatch.context() as broken:
        broken.setattr(type(repository._shelf), "copy_to", full)
        with pytest.raises(SaveError, match=r"nothing was promoted: artifact 'model': .*no space"):
            project["run"].promote_artifact(repository, "model")
    assert "model" not in repository
    assert project["run"].promote_artifact(repository, "model") == 0


def test_what_is_promoted_from_elsewhere_is_fetched_once(s3, s3_server, folder, tmp_path):
    url, options = s3
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a").write_text("weights")
    project = Project(url, **options)
    exp = project.log("run")
    exp.log_artifact("model", [1], "pickle")
    exp.log_artifact("folder", tmp_path / "weights")
    project.save()
    exp = Project(url, mode="r", **options)["run"]
    repository = Repository(folder)
    for name, count in (("model", 1), ("folder", 2)):
        s3_server.requests()
        exp.promote_artifact(repository, name)
        fetched = [path for method, path in s3_server.requests() if method == "GET" and "/artifacts/" in path]
        assert len(fetched) == len(set(fetched)) == count


# --- where it comes from ---


def test_a_promotion_is_in_the_history_and_leads_back_to_the_experiment(project, folder):
    exp = project["run"]
    repository = Repository(folder, author="ada")
    exp.promote_artifact(repository, "model")
    repository.set_alias("model", "champion", reason="first")
    repository.save()
    repository.log_artifact("model", 2)
    repository.save()
    found = Repository(folder, mode="r")
    promotion, move = found.history("model")
    origin = {"project": "../churn/project.json", "record": exp.slug, "field": "artifacts.model"}
    assert promotion == {"version": 0, "promoted": origin, "by": "ada", "at": promotion["at"]}
    assert move["alias"] == "champion"
    assert promotion["at"] < move["at"]
    assert found._journal.get("model/0", "promoted") == origin
    assert found.origin("model", "champion") == origin | {"project": project.fpath}
    assert Project(found.origin("model", 0)["project"])[origin["record"]] == exp
    assert found.origin("model") is None
    assert set(found.get_artifact_metadata("model", 0)) == {
        *("name", "fname", "created_at", "expiry", "version", "handler", "python_version")
    }


def test_where_a_version_comes_from_is_known_after_all_was_moved(project, folder, tmp_path):
    project["run"].promote_artifact(Repository(folder), "model")
    (tmp_path / "elsewhere").mkdir()
    for name in ("churn", "models"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    origin = Repository(tmp_path / "elsewhere" / "models").origin("model")
    assert origin["project"] == str(tmp_path / "elsewhere" / "churn" / "project.json")


def test_a_copy_elsewhere_knows_where_its_versions_come_from(project, folder, tmp_path):
    project["run"].promote_artifact(Repository(folder), "model")
    copy = Repository(folder, mode="r").copy(tmp_path / "far" / "away" / "copy", [("model", 0)])
    assert copy.origin("model") == Repository(folder).origin("model")
    assert copy._journal.get("model/0", "promoted")["project"] == "../../../churn/project.json"


def test_what_is_promoted_unsaved_says_where_it_comes_from_when_it_is_saved(tmp_path, folder):
    project = Project(tmp_path / "churn")
    exp = project.log("run")
    exp.log_test("women").log_artifact("report", {"a": 1}, "json")
    repository, other = Repository(folder), Repository(folder)
    exp.tests[0].promote_artifact(repository, "report")
    project.save()
    other.log_artifact("report", "theirs")
    other.save()
    origin = {"project": project.fpath, "record": exp.slug, "field": "tests.women.artifacts.report"}
    assert repository.origin("report") == origin
    assert repository.history("report") == []
    repository.save()
    found = Repository(folder)
    assert [event["version"] for event in found.history("report")] == [1]
    assert (found.origin("report", 0), found.origin("report", 1)) == (None, origin)


def test_a_project_that_is_registered_is_called_so(project, folder):
    registry.add_project("churn", project)
    try:
        project["run"].promote_artifact(Repository(folder), "model")
    finally:
        registry.projects.pop("churn")
    assert Repository(folder).origin("model")["project"] == "churn"


@pytest.mark.parametrize("said", ["text", {}, {"project": 5, "record": "r", "field": "f"}, None, []])
def test_an_origin_that_makes_no_sense_is_none(folder, said):
    repository = saved(folder, 1)
    repository._journal.append([{"record": "report/0", "set": {"promoted": said}}], by="x")
    found = Repository(folder)
    assert found.origin("report") is None
    assert found.load_artifact("report") == 1
    assert found.copy(folder / "copy", [("report", 0)]).origin("report") is None


def test_what_is_not_trusted_is_promoted_and_still_not_trusted(project, folder, monkeypatch):
    monkeypatch.setenv("LAZYTRACK_SIGNING_KEY", "another-key-that-signs-other-things")
    repository = Repository(folder)
    project["run"].promote_artifact(repository, "model")
    with pytest.raises(UntrustedArtifactError, match="not signed"):
        repository.load_artifact("model")
    assert repository.load_artifact("model", trust=True) == {"w": (1, 2)}


def test_a_record_that_was_moved_to_another_artifact_is_not_trusted(project, folder):
    repository = Repository(folder)
    project["run"].promote_artifact(repository, "model")
    (log,) = (folder / "repository" / "log").iterdir()
    log.write_text(log.read_text().replace('"model/0"', '"other/0"').replace('"name":"model"', '"name":"other"'))
    with pytest.raises(UntrustedArtifactError, match="moved here"):
        Repository(folder).load_artifact("other")


# --- hostile and damaged stores ---


def test_a_record_that_claims_another_name_is_named_and_not_shown(folder):
    saved(folder, 1)
    (log,) = (folder / "repository" / "log").iterdir()
    log.write_text(log.read_text().replace('"name":"report"', '"name":"model"'))
    found = Repository(folder)
    assert found.artifacts == []
    assert found.problems == {"record report/0": "says it is a version of 'model', which it cannot be"}


def test_a_storage_that_does_not_keep_claims_is_refused(folder, monkeypatch):
    monkeypatch.setattr(LocalFiles, "claim", lambda self, path, data: self.create(path, data) or True)
    repository = Repository(folder)
    repository.log_artifact("report", 1, "json")
    with pytest.raises(SaveError, match="grants names that are taken"):
        repository.save()
    before = (folder / "repository.json").read_bytes()
    with pytest.raises(SaveError, match="grants names that are taken"):
        repository.save()
    assert (folder / "repository.json").read_bytes() == before
    assert not (folder / "repository").exists()


def test_a_storage_that_cannot_claim_is_refused(folder, monkeypatch):
    monkeypatch.setattr(LocalFiles, "can_claim", False)
    repository = Repository(folder)
    repository.log_artifact("report", 1, "json")
    with pytest.raises(SaveError, match="no versions can be numbered at"):
        repository.save()


# --- threads and processes ---


def test_threads_log_to_one_repository(repository, folder):
    def work(own):
        for number in range(5):
            repository.log_artifact("report", [own, number], "json")
            repository.save()

    threads = [threading.Thread(target=work, args=(own,)) for own in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Repository(folder, mode="r")
    assert [a.version for a in found.artifacts] == list(range(30))
    loaded = [tuple(found.load_artifact("report", version=n)) for n in range(30)]
    assert sorted(loaded) == [(own, number) for own in range(6) for number in range(5)]


def test_a_pickled_repository_reads_and_writes_elsewhere(folder):
    repository = saved(folder, 1)
    repository.log_artifact("report", 2, "json")
    again = pickle.loads(pickle.dumps(repository))
    assert again.load_artifact("report") == 1
    assert again.log_artifact("report", 3, "json") == 1
    again.save()
    repository.save()
    found = Repository(folder, mode="r")
    assert [found.load_artifact("report", version=n) for n in range(3)] == [1, 3, 2]


FORKED = """
import os, sys, warnings
from lazytrack import Repository
warnings.simplefilter("ignore", DeprecationWarning)
repository = Repository(sys.argv[1])
repository.log_artifact("report", "parent")
child = os.fork()
if child == 0:
    repository.log_artifact("report", "child")
    repository.save()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
repository.save()
found = Repository(sys.argv[1], mode="r")
print(*(found.load_artifact("report", version=n) for n in range(len(found))))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_forked_child_leaves_what_is_not_saved_to_its_parent(folder):
    done = subprocess.run([sys.executable, "-c", FORKED, folder], check=True, capture_output=True, text=True)
    assert done.stdout == "child parent\n"


WRITER = """
import sys
from lazytrack import Repository
url, options, own = eval(sys.argv[1])
sys.stdin.readline()
for number in range(4):
    repository = Repository(url, **options)
    repository.log_artifact("model", [own, number], "json")
    repository.save()
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["local", "s3", "gcs", "azure", "sftp"], indirect=True)
def test_eight_processes_log_versions_of_one_artifact(place):
    url, options = place
    command = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen(
            [*command, repr((url, options, own))], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for own in range(8)
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=200)[1] for writer in writers]
    assert said == [""] * 8
    found = Repository(url, mode="r", **options)
    assert [a.version for a in found.artifacts] == list(range(32))
    loaded = [tuple(found.load_artifact("model", version=n)) for n in range(32)]
    assert sorted(loaded) == [(own, number) for own in range(8) for number in range(4)]
    assert found.problems == {}


def test_a_repository_on_every_filesystem(place, tmp_path, project):
    url, options = place
    repository = Repository(url, **options)
    project["run"].promote_artifact(repository, "model")
    repository.log_artifact("notes", "one\n")
    repository.log_artifact("notes", "two\n")
    repository.set_alias("notes", "champion", 0)
    repository.save()
    found = Repository(url, mode="r", **options)
    assert found.load_artifact("model") == {"w": (1, 2)}
    assert found.load_artifact("notes", version="champion") == "one\n"
    assert "+two" in found.get_version_diff("notes", 0)
    assert found.problems == {}


def test_a_claim_is_one_request(s3, s3_server):
    url, options = s3
    repository = Repository(url, **options)
    repository.log_artifact("report", 1, "json")
    repository.save()
    s3_server.requests()
    repository.log_artifact("report", 2, "json")
    repository.save()
    asked = s3_server.requests()
    assert [method for method, _ in asked] == ["PUT"] * 3, asked  # the claim, the file, the log file


def test_an_artifact_of_a_test_is_promoted_too(tmp_path, folder):
    project = Project(tmp_path / "churn")
    with project.log("run") as exp, exp.log_test("women") as test:
        test.log_artifact("report", {"auc": 0.9}, "json")
    project.save()
    repository = Repository(folder)
    assert Project(tmp_path / "churn", mode="r")["run"].tests[0].promote_artifact(repository, "report") == 0
    assert Repository(folder).load_artifact("report") == {"auc": 0.9}


def test_an_experiment_elsewhere_is_promoted_to_a_repository_here(place, folder):
    url, options = place
    project = Project(url, **options)
    project.log("run").log_artifact("model", {1, 2}, "pickle")
    project.save()
    Project(url, mode="r", **options)["run"].promote_artifact(Repository(folder), "model")
    assert Repository(folder, mode="r").load_artifact("model") == {1, 2}
