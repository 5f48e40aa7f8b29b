"""Imports, whatever they are from: again, interrupted, dry, elsewhere, and by the command line."""

import itertools
import pickle
import shutil
from types import SimpleNamespace

import pytest
from comparing import contents, imported, nothing_unpickled, opened

from lazytrack import Project, Repository, naming
from lazytrack.errors import ReadOnlyError, SaveError
from lazytrack.exchange import foreign
from lazytrack.files.local import LocalFiles
from lazytrack.tracking import exchanged

SOURCES = {
    "mlflow files": ("mlflow", "mlflow_stores", "mlruns", 26, 4),
    "mlflow database": ("mlflow", "mlflow_stores", "sqlite/mlflow.db", 26, 4),
    "lazyscribe project": ("lazyscribe", "lazyscribe_stores", "models/project.json", 8, 0),
    "lazyscribe repository": ("lazyscribe", "lazyscribe_stores", "repository/repository.json", 0, 14),
    "tango": ("tango", "tango_workspace", "workspace", 3, 0),
    "hostile tango": ("tango", "tango_workspace", "hostile", 1, 0),
}


@pytest.fixture(params=SOURCES)
def source(request):
    """A store of another tool: its kind, where it is, and how many experiments and versions are in it."""
    kind, fixture, path, experiments, versions = SOURCES[request.param]
    stores = request.getfixturevalue(fixture)
    return SimpleNamespace(
        kind=kind,
        path=stores.folder / path,
        experiments=experiments,
        versions=versions,
        executed=stores.executed,
        stores=stores.folder,
    )


def told(found):
    """Return all that an import has made of a source, as text, in which nan is as good as itself."""
    experiments = found.project.experiments
    names = {artifact.name for artifact in found.repository.artifacts}
    return [
        *(repr({**exp, "dependencies": len(exp["dependencies"])}) for exp in found.project),
        *(f"{exp.slug}: {name}: {[*exp.history(name)]}" for exp in experiments for name in exp.history_names),
        *(f"{exp.slug}: {step.to_json_dict()}" for exp in experiments for step in exp.steps),
        *(f"{exp.slug}: {artifact.name}: {artifact.stored}" for exp in experiments for artifact in exp.artifacts),
        *map(repr, found.repository),
        *(f"{name}: {found.repository.aliases(name)}" for name in sorted(names)),
    ]


def files_of_artifacts(folder):
    return {name: content for name, content in contents(folder).items() if "/artifacts/" in name}


def test_nothing_is_run_and_nothing_is_changed_there(source, tmp_path):
    before = contents(source.stores)
    imported(source.kind, source.path, tmp_path)
    assert not source.executed.exists()
    assert not (source.stores / source.executed.name).exists()
    assert contents(source.stores) == before


def test_the_guard_of_these_tests_is_one():
    with pytest.raises(pytest.fail.Exception), nothing_unpickled():
        pickle.loads(pickle.dumps(1))


def test_what_is_imported_is_sound(source, tmp_path):
    found = imported(source.kind, source.path, tmp_path)
    assert (found.report.experiments, found.report.versions) == (source.experiments, source.versions)
    assert (len(found.project), len(found.repository)) == (source.experiments, source.versions)
    if source.experiments:
        assert found.project.fsck() == []
        assert found.project.problems == {}
    if source.versions:
        assert found.repository.fsck() == []
        assert found.repository.problems == {}
    assert found.report.size == sum(
        artifact.stored.size if artifact.stored.parts is None else artifact.stored.parts.size
        for owner in [*found.project.experiments, *itertools.chain(*(exp.tests for exp in found.project.experiments))]
        for artifact in owner.artifacts
    ) + sum(
        artifact.stored.size if artifact.stored.parts is None else artifact.stored.parts.size
        for artifact in found.repository.artifacts
    )


def test_importing_again_makes_no_file_and_changes_none(source, tmp_path):
    first = imported(source.kind, source.path, tmp_path)
    before = contents(tmp_path)
    again = imported(source.kind, source.path, tmp_path)
    assert contents(tmp_path) == before
    assert told(again) == told(first)
    report = again.report
    assert (report.experiments, report.versions, report.updated, report.deleted) == (0, 0, 0, 0)
    assert (report.artifacts, report.points, report.size) == (0, 0, 0)
    assert report.unchanged == source.experiments + source.versions


def test_two_who_import_the_same_make_one_of_each(source, tmp_path):
    folder = tmp_path / "to"
    one, other = Project(folder / "project"), Project(folder / "project")
    for project in (one, other):
        project.refresh()
    for project in (one, other):
        project.import_from(source.kind, source.path, repository=Repository(folder / "repository"))
    found = SimpleNamespace(**opened(folder))
    assert (len(found.project), len(found.repository)) == (source.experiments, source.versions)
    assert told(found) == told(imported(source.kind, source.path, tmp_path / "alone"))


def test_a_dry_run_writes_nothing_and_says_the_same(source, tmp_path):
    with nothing_unpickled():
        dry = Project(tmp_path / "project").import_from(
            source.kind, source.path, repository=Repository(tmp_path / "repository"), dry_run=True
        )
    assert not (tmp_path / "project").exists()
    assert not (tmp_path / "repository").exists()
    found = imported(source.kind, source.path, tmp_path)
    for name in ("experiments", "versions", "updated", "unchanged", "deleted", "artifacts", "points", "size"):
        assert getattr(dry, name) == getattr(found.report, name), name
    assert dry.left_out == found.report.left_out
    assert (dry.dry_run, found.report.dry_run) == (True, False)
    assert dry.source == str(source.path)


def test_a_dry_run_of_what_is_here_says_so_and_writes_nothing(source, tmp_path):
    imported(source.kind, source.path, tmp_path)
    before = contents(tmp_path)
    dry = Project(tmp_path / "project", mode="r" if source.experiments else "a").import_from(
        source.kind, source.path, repository=Repository(tmp_path / "repository"), dry_run=True
    )
    assert (dry.experiments, dry.versions, dry.updated, dry.size) == (0, 0, 0, 0)
    assert dry.unchanged == source.experiments + source.versions
    assert contents(tmp_path) == before


class PowerFailureError(Exception):
    pass


def break_drafts(patch, after):
    """Have a source end in an exception after some drafts."""
    begin = foreign.begin

    def broken(*args, **how):
        importing = begin(*args, **how)

        class Broken:
            left_out = importing.left_out

            def drafts(self):
                yield from itertools.islice(importing.drafts(), after)
                raise PowerFailureError

        return Broken()

    patch.setattr(foreign, "begin", broken)


def break_saves(patch, after):
    """Have the storage fail after some files."""
    create, count = LocalFiles.create, itertools.count()

    def broken(self, path, data):
        if next(count) >= after:
            raise OSError("the disk is full")
        create(self, path, data)

    patch.setattr(LocalFiles, "create", broken)


@pytest.mark.parametrize("how", [break_drafts, break_saves])
@pytest.mark.parametrize("after", [0, 1, 7])
def test_what_was_interrupted_ends_as_if_it_had_not_been(source, tmp_path, monkeypatch, how, after):
    monkeypatch.setattr(exchanged, "_TOGETHER", 5)
    with monkeypatch.context() as patch, pytest.raises((PowerFailureError, SaveError, OSError)):
        how(patch, after)
        imported(source.kind, source.path, tmp_path / "to")
        raise PowerFailureError  # there was less to write
    imported(source.kind, source.path, tmp_path / "to")
    found = SimpleNamespace(**opened(tmp_path / "to"))
    whole = imported(source.kind, source.path, tmp_path / "whole")
    assert told(found) == told(whole)
    assert files_of_artifacts(tmp_path / "to") == files_of_artifacts(tmp_path / "whole")
    for store, count in ((found.project, source.experiments), (found.repository, source.versions)):
        if count:
            assert store.fsck() == []


def test_what_was_deleted_here_stays_deleted(source, tmp_path):
    first = imported(source.kind, source.path, tmp_path)
    if source.experiments:
        project = Project(tmp_path / "project", mode="w+")
        gone = project.experiments[0].slug
        project.delete(gone)
        project.save()
    if source.versions:
        meant = {a.name: first.repository.aliases(a.name).values() for a in first.repository.artifacts}
        artifact = next(a for a in first.repository.artifacts if a.version not in meant[a.name])
        first.repository.delete(artifact.name, artifact.version)
        first.repository.save()
    again = imported(source.kind, source.path, tmp_path)
    assert again.report.deleted == bool(source.experiments) + bool(source.versions)
    assert (again.report.experiments, again.report.versions, again.report.updated) == (0, 0, 0)
    assert len(again.project) == max(source.experiments - 1, 0)
    assert len(again.repository) == max(source.versions - 1, 0)


def test_what_was_changed_here_stays_so(source, tmp_path):
    if not source.experiments:
        return
    imported(source.kind, source.path, tmp_path)
    project = Project(tmp_path / "project", mode="w+")
    exp = project.experiments[0]
    exp.notes = "of here"
    exp.log_parameter("of here", 1)
    exp.tag("of here")
    project.save()
    again = imported(source.kind, source.path, tmp_path)
    assert again.report.updated == 0
    exp = again.project[exp.slug]
    assert exp.notes == "of here"
    assert exp.parameters["of here"] == 1
    assert "of here" in exp.tags


def test_what_is_not_saved_here_is_saved_with_it(mlflow_stores, tmp_path):
    project = Project(tmp_path)
    with project.log("mine") as mine:
        mine.log_metric("loss", 1)
    project.import_from("mlflow", mlflow_stores.folder / "mlruns")
    assert len(Project(tmp_path, mode="r")) == 27
    assert Project(tmp_path, mode="r")[mine.slug].metrics == {"loss": 1}


def test_imports_go_on_to_be_logged_to(mlflow_stores, tmp_path):
    imported("mlflow", mlflow_stores.folder / "mlruns", tmp_path)
    project = Project(tmp_path / "project", mode="w+")
    running = next(exp for exp in project.experiments if exp.status == "running")
    resumed = project.resume(running.slug)
    resumed.log_metric("loss", 0.125, step=2)
    project.save()
    assert Project(tmp_path / "project", mode="r")[running.slug].history("loss").value == [1.0, 0.5, 0.125]


def test_imports_of_all_kinds_live_in_one_project(mlflow_stores, lazyscribe_stores, tango_workspace, tmp_path):
    imported("mlflow", mlflow_stores.folder / "mlruns", tmp_path)
    imported("mlflow", mlflow_stores.folder / "sqlite/mlflow.db", tmp_path)
    imported("lazyscribe", lazyscribe_stores.folder / "models/project.json", tmp_path)
    found = imported("tango", tango_workspace.folder / "workspace", tmp_path)
    assert len(found.project) == 26 + 26 + 8 + 3
    assert found.project.fsck() == []
    # Both stores of MLflow have the same registered models, and each number is taken once.
    assert len(found.repository) == 4


@pytest.mark.parametrize("where", ["memory", "s3"])
def test_imports_go_to_other_filesystems(where, request, lazyscribe_stores, mlflow_stores, tmp_path):
    url, options = request.getfixturevalue(where)
    for kind, source in (
        ("lazyscribe", lazyscribe_stores.folder / "models/project.json"),
        ("mlflow", mlflow_stores.folder / "sqlite/mlflow.db"),
    ):
        repository = Repository(f"{url}/repository", **options)
        report = Project(f"{url}/project", **options).import_from(kind, source, repository=repository)
        local = imported(kind, source, tmp_path)
        assert report == local.report
    project = Project(f"{url}/project", mode="r", **options)
    assert told(SimpleNamespace(project=project, repository=repository)) == told(local)
    trained = next(exp for exp in project.experiments if exp.name == "trained")
    assert len(trained.history("loss")) == 300
    assert (trained.load_artifact("reports") / "index.html").read_text() == "<b>report</b>"
    assert project.fsck() == []


def upload(folder, url, options):
    from lazytrack.files import open_files  # noqa: PLC0415

    files = open_files(url, **options)
    for name, content in contents(folder).items():
        files.create(name, content)


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("lazyscribe project", "s3"),
        ("lazyscribe repository", "s3"),
        ("mlflow files", "memory"),
        ("mlflow database", "memory"),
        ("tango", "memory"),
    ],
)
def test_sources_are_elsewhere(what, where, request, tmp_path):
    kind, fixture, path, experiments, versions = SOURCES[what]
    stores = request.getfixturevalue(fixture)
    top = path.partition("/")[0]
    url, options = request.getfixturevalue(where)
    upload(stores.folder / top, f"{url}/{top}", options)
    with nothing_unpickled():
        repository = Repository(tmp_path / "to" / "repository")
        report = Project(tmp_path / "to" / "project").import_from(
            kind, f"{url}/{path}", repository=repository, **options
        )
    assert (report.experiments, report.versions) == (experiments, versions)
    found = SimpleNamespace(**opened(tmp_path / "to"))
    local = imported(kind, stores.folder / path, tmp_path / "local")
    # A run in which nothing ran has no other time than its file's, which was copied a moment ago.
    assert [one for one in told(found) if "empty-run" not in one] == [
        one for one in told(local) if "empty-run" not in one
    ]


def test_a_store_that_was_copied_is_the_same(source, tmp_path):
    imported(source.kind, source.path, tmp_path / "to")
    shutil.copytree(source.stores, tmp_path / "moved", symlinks=True)
    before = contents(tmp_path / "to")
    moved = tmp_path / "moved" / source.path.relative_to(source.stores)
    again = imported(source.kind, moved, tmp_path / "to")
    assert contents(tmp_path / "to") == before
    assert again.report.unchanged == source.experiments + source.versions


def test_a_project_that_is_only_read_refuses(source, tmp_path):
    with Project(tmp_path) as project:
        project.save()
    with pytest.raises(ReadOnlyError, match="import into it"):
        Project(tmp_path, mode="r").import_from(source.kind, source.path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("mlflow", "nope"),
        ("mlflow", "nope.db"),
        ("mlflow", "nope.zip"),
        ("tango", "nope"),
        ("lazyscribe", "nope.json"),
        ("lazyscribe", "folder/nope.json"),
    ],
)
def test_what_is_not_there_is_named_whatever_it_is_taken_for(tmp_path, kind, name):
    with pytest.raises(FileNotFoundError) as caught:
        Project(tmp_path / "to").import_from(kind, tmp_path / name)
    assert str(caught.value) == f"there is no {tmp_path / name}"
    assert not (tmp_path / "to").exists()
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", ["mlflow", "tango"])
def test_what_is_not_there_is_named_elsewhere_too(tmp_path, memory, kind):
    with pytest.raises(FileNotFoundError) as caught:
        Project(tmp_path / "to").import_from(kind, f"{memory[0]}/nope")
    assert str(caught.value) == f"there is no {memory[0]}/nope"


@pytest.mark.parametrize("kind", ["mlflow", "tango"])
def test_a_file_in_the_place_of_a_folder_is_said(tmp_path, kind):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match=r"a\.txt is no .*: it is no folder"):
        Project(tmp_path / "to").import_from(kind, tmp_path / "a.txt")


def test_a_folder_that_is_reached_by_a_link_is_listed_as_that_link(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "secret.txt").write_text("secret")
    store = tmp_path / "store"
    (store / "own").mkdir(parents=True)
    (store / "own" / "a.txt").write_text("a")
    (store / "own" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    files = LocalFiles(str(store))
    for folder in ("own/link", "own/link/deep", "own/link/deep/nowhere"):
        assert [(path, stat.is_link) for path, stat in files.walk(folder)] == [("own/link", True)]
    assert sorted((path, stat.is_link) for path, stat in files.walk("own")) == [
        ("own/a.txt", False),
        ("own/link", True),
    ]
    assert [*files.walk("own/nowhere/deep")] == []
    # The folder itself may be a link: that is how people move large ones.
    (tmp_path / "moved").symlink_to(store, target_is_directory=True)
    moved = LocalFiles(str(tmp_path / "moved"))
    assert sorted(moved.walk("own")) == sorted(files.walk("own"))
    assert sorted(moved.walk()) == sorted(files.walk())
    assert [path for path, _ in files.below("own/link").walk("deep")] == ["deep/secret.txt"]


def test_a_kind_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot import 'wandb'; known: lazyscribe, mlflow, tango"):
        Project(tmp_path).import_from("wandb", tmp_path)


def test_nothing_of_this_tool_is_imported_for_it(mlflow_stores, tmp_path):
    source = mlflow_stores.folder / "mlruns"
    Project(tmp_path / "a").import_from("mlflow", source)
    with pytest.raises(ValueError, match="is neither a project nor a repository of lazyscribe"):
        Project(tmp_path / "b").import_from("lazyscribe", tmp_path / "a" / "project.json")


# --- the command line ---


def test_the_command_says_what_came_and_what_has_no_place(run, mlflow_stores, tmp_path):
    source, into = mlflow_stores.folder / "mlruns", (tmp_path / "p", tmp_path / "r")
    arguments = ("import", "mlflow", source, "-p", into[0], "-r", into[1])
    code, out, _ = run(*arguments, "--dry-run")
    assert code == 0
    assert out.startswith("would be imported: 26 experiments, 4 versions, 434 points, 11 artifacts, ")
    assert "no place here: runs that were deleted: 2 of them" in out.splitlines()
    assert not into[0].exists()
    code, out, _ = run(*arguments)
    assert code == 0
    assert out.startswith("imported: 26 experiments, 4 versions, 434 points, 11 artifacts, ")
    assert "no place here: registered models without versions: empty model" in out.splitlines()
    code, out, _ = run(*arguments)
    assert code == 0
    assert out.splitlines()[:2] == ["imported: 0 experiments, 0 points, 0 artifacts, 0 B", "30 are here already"]
    project = Project(into[0], mode="w+")
    project.delete(project.experiments[0].slug)
    project.save()
    code, out, _ = run(*arguments)
    assert "1 were deleted here, and stay so" in out.splitlines()
    assert len(Repository(into[1], mode="r")) == 4


def test_the_command_names_a_few_of_what_is_left_out(run, mlflow_stores, tmp_path):
    for number in range(5):
        folder = tmp_path / "mlruns" / "1" / f"run{number}"
        folder.mkdir(parents=True)
        (folder / "meta.yaml").write_text("start_time: [")
    (tmp_path / "mlruns" / "1" / "meta.yaml").write_text("name: plain")
    code, out, _ = run("import", "mlflow", tmp_path / "mlruns", "-p", tmp_path / "p")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("no place here")]
    assert line.endswith(", and 2 more")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("wandb", "x"), 2, "cannot import 'wandb'; known: lazyscribe, mlflow, tango"),
        (("mlflow", "missing"), 3, "there is no "),
        (("mlflow", "."), 2, "is no file store of MLflow: no meta.yaml is in it"),
        (("mlflow", "missing.db"), 3, "missing.db"),
        (("lazyscribe", "missing.json"), 3, "missing.json"),
        (("tango", "missing"), 3, "there is no "),
        (("tango", "."), 2, "is no workspace of tango"),
    ],
)
def test_the_command_says_what_is_wrong(run, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    found, out, err = run("import", *arguments, "-p", tmp_path / "p")
    assert found == code
    assert says in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "p").exists()


def test_the_command_merges_projects_and_exports(run, tmp_path):
    for name in ("one", "two", "three"):
        with Project(tmp_path / name) as project, project.log(name) as exp:
            exp.log_artifact("it", name, "text")
    assert run("export", "-p", tmp_path / "three", "-o", tmp_path / "three.json", "--artifacts")[0] == 0
    code, _, err = run("merge", tmp_path / "two", tmp_path / "three.json", "-p", tmp_path / "one")
    assert code == 0
    assert err.strip().endswith("3 experiments, 2 of them new")
    merged = Project(tmp_path / "one", mode="r")
    assert {exp.load_artifact("it") for exp in merged.experiments} == {"one", "two", "three"}
    code, _, err = run("merge", tmp_path / "two", "-p", tmp_path / "one")
    assert err.strip().endswith("3 experiments, 0 of them new")
    code, _, err = run("merge", tmp_path / naming.unique(), "-p", tmp_path / "one")
    assert code != 0
    assert "Traceback" not in err
