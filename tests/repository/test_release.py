import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from lazytrack import Repository, naming
from lazytrack.errors import InvalidVersionError, SaveError, VersionNotFoundError
from lazytrack.release import (
    Release,
    create_release,
    dump,
    dumps,
    find_release,
    load,
    loads,
    minimal_repository_from_release,
    release_from_toml,
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def repository(folder):
    """Three versions of two artifacts; of one of them the newest has expired."""
    repository = Repository(folder)
    for number in range(3):
        repository.log_artifact("report", {"n": number}, "json")
        repository.log_artifact("My model", {number}, "pickle", expiry="2020-01-01" if number == 2 else None)
    repository.set_alias("report", "champion", 2)
    repository.set_alias("report", "first", 0)
    repository.save()
    return Repository(folder, mode="r")


def at(day):
    return datetime(2026, 1, day, tzinfo=UTC)


RELEASES = [Release("v1", [("a", 0)], at(1)), Release("v2", [("a", 1)], at(5)), Release("v3", [("a", 2)], at(9))]


def test_a_release_names_the_newest_versions_that_have_not_expired(repository):
    release = create_release(repository, "v1")
    assert release.artifacts == [("My model", 1), ("report", 2)]
    assert release.tag == "v1"
    assert naming.now() - release.created_at < timedelta(minutes=5)


def test_what_has_expired_altogether_is_left_out_with_a_warning(folder, repository):
    editor = Repository(folder)
    for number in range(2):
        editor.set_artifact_expiry("My model", number)
    editor.save()
    with pytest.warns(UserWarning, match="'My model' has no version that has not expired.*left out of release 'v1'"):
        assert create_release(Repository(folder, mode="r"), "v1").artifacts == [("report", 2)]


def test_only_a_repository_that_does_not_change_is_released(folder, repository):
    with pytest.raises(RuntimeError, match="only a repository that is open with mode='r' can be released"):
        create_release(Repository(folder), "v1")


@pytest.mark.parametrize(
    ("version", "match", "tag"),
    [
        (None, "exact", "v3"),
        ("v2", "exact", "v2"),
        (at(5), "exact", "v2"),
        (datetime(2026, 1, 5), "exact", "v2"),  # noqa: DTZ001  (one without a zone is in UTC)
        (at(8), "asof", "v2"),
        (at(9), "asof", "v3"),
    ],
)
def test_a_release_is_found(version, match, tag):
    assert find_release(reversed(RELEASES), version, match).tag == tag


@pytest.mark.parametrize(
    ("version", "match", "error", "message"),
    [
        ("v9", "exact", VersionNotFoundError, "no release 'v9'; known: 'v1', 'v2', 'v3'"),
        (at(6), "exact", VersionNotFoundError, "no release"),
        (datetime(2020, 1, 1, tzinfo=UTC), "asof", VersionNotFoundError, "no release"),
        ("v1", "asof", ValueError, "needs a time"),
        ("v1", "newest", ValueError, "no match 'newest'"),
        (3, "exact", InvalidVersionError, "no tag and no time"),
    ],
)
def test_a_release_that_is_not_there_is_told(version, match, error, message):
    with pytest.raises(error, match=message):
        find_release(RELEASES, version, match)
    with pytest.raises(VersionNotFoundError, match="known: none"):
        find_release([])


def test_releases_go_to_json_and_back():
    assert loads(dumps(RELEASES)) == RELEASES
    file = io.StringIO()
    dump(RELEASES, file, indent=2)
    assert json.loads(file.getvalue())[0] == {
        "tag": "v1",
        "artifacts": [["a", 0]],
        "created_at": "2026-01-01T00:00:00.000000Z",
    }
    file.seek(0)
    assert load(file) == RELEASES
    for bad in ("{}", '[{"tag": "v1"}]', '[{"tag": "v1", "artifacts": 5, "created_at": "2026-01-01"}]', "["):
        with pytest.raises(ValueError, match=r"release|JSON list|Expecting"):
            loads(bad)


def test_a_pyproject_releases_its_repositories(repository, folder):
    text = f'[project]\nversion = "1.2"\n[tool.lazytrack]\nrepositories = ["{folder}"]\n'
    (release,) = release_from_toml(text)
    assert release.tag == "1.2"
    assert loads((folder / "releases.json").read_text()) == [release]
    with pytest.warns(UserWarning, match=r"releases.json has release '1.2' already"):
        assert release_from_toml(text) == []
    release_from_toml(text.replace("[tool.lazytrack]", '[tool.lazytrack]\nversion = "1.3"'))
    assert [found.tag for found in loads((folder / "releases.json").read_text())] == ["1.2", "1.3"]
    with pytest.warns(DeprecationWarning, match="`format` of"):
        release_from_toml(text.replace("[tool.lazytrack]", '[tool.lazytrack]\nformat = "{year}/{version}"'))
    newest = loads((folder / "releases.json").read_text())[-1]
    assert newest.tag == f"{naming.now().year}/1.2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project]\nversion = '1'", "no list `repositories`"),
        ("[tool.lazytrack]\nrepositories = ['x']", "has a `version`"),
        ("[tool", "TOML|declaration|Expected"),
    ],
)
def test_a_pyproject_that_says_too_little_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        release_from_toml(text)


def test_a_release_is_copied_to_a_repository_of_its_own(repository, tmp_path):
    release = create_release(repository, "v1")
    part = minimal_repository_from_release(tmp_path / "part", repository, release)
    assert part.mode == "r"
    assert [(a.name, a.version) for a in part.artifacts] == [("My model", 1), ("report", 2)]
    assert part.load_artifact("report") == {"n": 2}
    assert part.load_artifact("My model") == {1}
    assert part.aliases("report") == {"champion": 2}
    assert part.problems == {}
    assert create_release(part, "v1").artifacts == release.artifacts
    editor = Repository(tmp_path / "part")
    assert editor.log_artifact("report", "next") == 3
    editor.save()
    with pytest.raises(FileExistsError, match="there is a repository at"):
        minimal_repository_from_release(tmp_path / "part", repository, release)


def test_a_copy_that_cannot_be_made_is_empty(repository, folder, tmp_path):
    (folder / "repository" / repository["report"].stored.path).write_bytes(b"altered")
    with pytest.raises(SaveError, match=r"nothing was copied.*is not the one that was saved"):
        repository.copy(tmp_path / "part", [("report", 0), ("report", 1)])
    assert Repository(tmp_path / "part", mode="r").artifacts == []
    with pytest.raises(VersionNotFoundError):
        repository.copy(tmp_path / "other", [("report", 9)])
    assert not (tmp_path / "other").exists()


def test_a_part_is_chosen_by_pairs_or_by_time(repository, folder):
    part = repository.filter([("report", 0), ("report", 2)])
    assert [(a.name, a.version) for a in part.artifacts] == [("report", 0), ("report", 2)]
    assert part.load_artifact("report", version="first") == {"n": 0}
    assert part.mode == "r"
    newest = repository.filter(naming.now())
    assert [(a.name, a.version) for a in newest.artifacts] == [("My model", 1), ("report", 2)]
    with pytest.warns(UserWarning, match="left out"):
        assert repository.filter("2020-01-01").artifacts == []
    with pytest.raises(RuntimeError, match="be filtered"):
        Repository(folder).filter(naming.now())


def test_a_release_goes_to_another_filesystem(repository, place):
    url, options = place
    part = minimal_repository_from_release(url, repository, create_release(repository, "v1"), **options)
    assert part.load_artifact("report") == {"n": 2}
