"""What is told of a checkout, however strange it is, and that what is uncommitted can be made again elsewhere."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lazytrack import Project
from lazytrack.provenance import checkout, git, patch, probing, program, redact
from lazytrack.provenance.metadata import GitMetadata, LeftOut

WINDOWS = os.name == "nt"
posix_only = pytest.mark.skipif(WINDOWS, reason="programs, links and names of POSIX")
AUTHOR = ["-c", "user.name=dana", "-c", "user.email=dana@example.org", "-c", "commit.gpgsign=false"]
KNOWN_BY_HAND = ["commit", "remote", "branch", "folder"]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """Keep the settings of who runs the tests, and checkouts around them, out of it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def no_git(tmp_path, monkeypatch):
    def take_away():
        monkeypatch.setenv("PATH", str(tmp_path / "no programs"))

    return take_away


def run(folder, *arguments):
    done = subprocess.run(["git", *AUTHOR, *arguments], cwd=folder, check=True, capture_output=True)
    return os.fsdecode(done.stdout).strip()


def commit(folder, message="change"):
    run(folder, "add", "--all")
    run(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return run(folder, "rev-parse", "HEAD")


def empty_repository(folder):
    folder.mkdir()
    run(folder, "init", "--quiet", "--initial-branch", "main")
    return folder


@pytest.fixture
def repo(tmp_path):
    folder = empty_repository(tmp_path / "repo")
    (folder / "train.py").write_text("lr = 0.1\nepochs = 3\n")
    (folder / "sub").mkdir()
    (folder / "sub/data.bin").write_bytes(bytes(range(256)) * 4)
    commit(folder)
    return folder


def files(folder):
    """Return what a checkout holds: kind and contents of each file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if inner.parts[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        link = path.is_symlink()
        mode = "link" if link else "program" if path.stat().st_mode & 0o100 else "file"
        found[os.fsencode(inner)] = (mode, path.readlink() if link else path.read_bytes())
    return found


def made_again(repo, diff, tmp_path):
    """Return the files of a clean clone at the same commit after the patch was applied."""
    clone = tmp_path / "clone"
    run(tmp_path, "clone", "--quiet", str(repo), str(clone))
    (tmp_path / "changes.patch").write_bytes(diff.patch)
    run(clone, "apply", "--whitespace=nowarn", str(tmp_path / "changes.patch"))
    return files(clone)


def state_of_git(repo):
    """Return all that git keeps, and its times."""
    paths = [path for path in sorted((repo / ".git").rglob("*")) if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


# --- what is checked out ---


def test_a_checkout_tells_commit_branch_remote_and_folder(repo):
    run(repo, "remote", "add", "origin", "https://example.org/repo.git")
    assert git.capture(repo / "sub") == GitMetadata(
        commit=run(repo, "rev-parse", "HEAD"),
        remote="https://example.org/repo.git",
        branch="main",
        dirty=False,
        folder="sub",
        diff_digest=None,
    )
    assert git.uncommitted(repo) is None


def test_made_without_arguments_it_tells_of_the_working_folder_and_else_of_nothing_but_what_is_given(repo, monkeypatch):
    monkeypatch.chdir(repo / "sub")
    assert GitMetadata() == git.capture(repo / "sub")
    other = GitMetadata(commit="0" * 40)
    assert (other.branch, other.dirty, other.folder) == (None, None, None), "that would be of another commit"


def test_a_checkout_without_commits_tells_its_branch(tmp_path):
    folder = empty_repository(tmp_path / "new")
    assert git.capture(folder) == GitMetadata(commit=None, remote=None, branch="main", dirty=False, folder=".")
    (folder / "train.py").write_text("lr = 0.1\n")
    (folder / "staged.py").write_text("x\n")
    run(folder, "add", "staged.py")
    assert git.capture(folder).dirty
    diff = git.uncommitted(folder)
    target = empty_repository(tmp_path / "target")
    (tmp_path / "changes.patch").write_bytes(diff.patch)
    run(target, "apply", str(tmp_path / "changes.patch"))
    assert files(target) == files(folder)


def test_a_detached_head_has_a_commit_and_no_branch(repo, no_git):
    run(repo, "checkout", "--quiet", "--detach")
    for _ in ("git", "by hand"):
        found = git.capture(repo)
        assert (found.branch, len(found.commit)) == (None, 40)
        no_git()


def test_the_remote_of_the_branch_comes_before_origin_before_any(repo, no_git):
    run(repo, "remote", "add", "b-mirror", "https://example.org/mirror")
    assert git.capture(repo).remote == "https://example.org/mirror"
    run(repo, "remote", "add", "origin", "https://example.org/origin")
    assert git.capture(repo).remote == "https://example.org/origin"
    run(repo, "config", "branch.main.remote", "b-mirror")
    assert git.capture(repo).remote == "https://example.org/mirror"
    no_git()
    assert git.capture(repo).remote == "https://example.org/mirror"


def test_the_remote_is_recorded_without_credentials(repo, no_git, monkeypatch):
    run(repo, "remote", "add", "origin", "https://dana:gh0-t0ken@example.org/repo.git")
    monkeypatch.setattr(redact, "redact_url", lambda url: url.replace("dana:gh0-t0ken@", ""))
    for _ in ("git", "by hand"):
        assert git.capture(repo).remote == "https://example.org/repo.git"
        no_git()


def test_a_url_that_cannot_be_redacted_is_not_recorded(repo, monkeypatch):
    run(repo, "remote", "add", "origin", "https://dana:gh0-t0ken@example.org/repo.git")
    monkeypatch.setattr(redact, "redact_url", lambda url: 1 / 0)
    assert "gh0-t0ken" not in repr(git.capture(repo))


def test_outside_of_a_checkout_there_is_nothing(tmp_path):
    assert git.capture(tmp_path) is None
    assert git.uncommitted(tmp_path) is None
    assert git.capture(tmp_path / "nowhere") is None
    (tmp_path / ".git").mkdir()
    assert git.capture(tmp_path) is None, "a folder of that name is no repository"


def test_a_worktree_tells_of_its_own_branch(repo, tmp_path, no_git):
    run(repo, "remote", "add", "origin", "https://example.org/repo.git")
    run(repo, "worktree", "add", "--quiet", "-b", "idea", str(tmp_path / "tree"))
    (tmp_path / "tree/sub/new.py").write_text("x\n")
    found = git.capture(tmp_path / "tree/sub")
    assert (found.branch, found.folder, found.dirty) == ("idea", "sub", True)
    assert not git.capture(repo).dirty
    assert b"sub/new.py" in git.uncommitted(tmp_path / "tree").patch
    no_git()
    by_hand = git.capture(tmp_path / "tree/sub")
    assert [getattr(by_hand, name) for name in KNOWN_BY_HAND] == [getattr(found, name) for name in KNOWN_BY_HAND]


def test_a_bare_repository_tells_what_its_files_do(repo, tmp_path):
    run(tmp_path, "clone", "--quiet", "--bare", str(repo), str(tmp_path / "bare.git"))
    found = git.capture(tmp_path / "bare.git")
    assert (found.commit, found.branch) == (run(repo, "rev-parse", "HEAD"), "main")
    assert (found.dirty, found.folder, found.diff_digest) == (None, None, None)
    assert git.uncommitted(tmp_path / "bare.git") is None


@pytest.fixture
def superproject(repo, tmp_path):
    folder = empty_repository(tmp_path / "super")
    run(folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "libs/inner")
    commit(folder)
    return folder


def test_a_submodule_tells_of_itself(superproject, repo, no_git):
    head = run(repo, "rev-parse", "HEAD")
    for _ in ("git", "by hand"):
        found = git.capture(superproject / "libs/inner/sub")
        assert (found.commit, found.folder) == (head, "sub")
        no_git()


def test_changes_in_a_submodule_make_its_checkout_dirty_and_are_named(superproject):
    assert not git.capture(superproject).dirty
    (superproject / "libs/inner/train.py").write_text("lr = 1\n")
    found, diff = git.look(superproject)
    inner = git.uncommitted(superproject / "libs/inner")
    assert found.dirty
    assert diff.left_out == [LeftOut(path="libs/inner", size=None, digest=inner.digest, kind="submodule")]
    (superproject / "libs/inner/train.py").write_text("lr = 2\n")
    assert git.capture(superproject).diff_digest != found.diff_digest
    commit(superproject / "libs/inner", "more")
    (superproject / "libs/inner/train.py").write_text("lr = 3\n")
    assert b"-dirty" not in git.uncommitted(superproject).patch, "which no other checkout can be"


@posix_only
def test_what_is_no_submodule_is_not_looked_at_as_one(repo, tmp_path):
    other = empty_repository(tmp_path / "other")
    (other / "private.py").write_text("x\n")
    (repo / "link").symlink_to(other)
    (repo / ".gitmodules").write_text(
        '[submodule "a"]\n\tpath = link\n[submodule "b"]\n\tpath = ../other\n[submodule "c"]\n\tpath = sub\n'
    )
    commit(repo)
    assert git.capture(repo).dirty is False


def test_another_commit_of_a_submodule_is_in_the_patch(superproject):
    inner = superproject / "libs/inner"
    commit(inner, "more")
    diff = git.uncommitted(superproject)
    assert diff.patch.count(b"Subproject commit") == 2
    assert run(inner, "rev-parse", "HEAD").encode() in diff.patch
    assert diff.left_out == []
    assert git.capture(superproject).submodules == {"libs/inner": run(inner, "rev-parse", "HEAD")}


def test_submodules_are_told_where_their_files_are_there(superproject, repo, tmp_path, no_git):
    run(tmp_path, "clone", "--quiet", str(superproject), str(tmp_path / "bare of it"))
    head = run(repo, "rev-parse", "HEAD")
    for _ in ("git", "by hand"):
        assert git.capture(superproject / "libs").submodules == {"libs/inner": head}
        assert git.capture(tmp_path / "bare of it").submodules is None
        assert git.capture(repo).submodules is None
        no_git()


# --- a program that is run from elsewhere ---


def test_the_checkout_is_the_program_s(repo, tmp_path, no_git):
    other = empty_repository(tmp_path / "other")
    run(repo, "remote", "add", "origin", "https://example.org/repo.git")
    (repo / "train.py").write_text("lr = 0.2\n")
    head = run(repo, "rev-parse", "HEAD")
    for folder, way in ((other, "../other"), (tmp_path, ".."), (repo / "sub", "sub"), (tmp_path / "gone", "../gone")):
        found, diff = git.look(folder, program=repo / "train.py")
        assert (found.commit, found.remote) == (head, "https://example.org/repo.git")
        assert (found.folder, found.program, found.dirty) == (way, "train.py", True)
        assert b"+lr = 0.2" in diff.patch
    no_git()
    found = git.capture(other, program=repo / "train.py")
    assert (found.commit, found.folder, found.program, found.dirty) == (head, "../other", "train.py", None)


def test_where_the_program_is_in_no_checkout_the_working_folder_counts(repo, tmp_path):
    for file in (None, tmp_path / "tool.py", repo / ".git" / "hooks" / "pre-commit"):
        assert git.look(repo / "sub", program=file) == git.look(repo / "sub")


def test_a_program_in_a_worktree_is_of_that(repo, tmp_path):
    run(repo, "worktree", "add", "--quiet", "-b", "idea", str(tmp_path / "tree"))
    found = git.capture(repo, program=tmp_path / "tree" / "train.py")
    assert (found.branch, found.folder, found.program) == ("idea", "../repo", "train.py")


def test_a_program_in_a_submodule_is_part_of_the_checkout_it_is_run_from(superproject, repo):
    inner = superproject / "libs/inner"
    whole = run(superproject, "rev-parse", "HEAD")
    found = git.capture(superproject / "libs", program=inner / "train.py")
    assert (found.commit, found.folder, found.program) == (whole, "libs", "libs/inner/train.py")
    found = git.capture(inner, program=superproject / "run.py")
    assert (found.commit, found.folder, found.program) == (whole, "libs/inner", "run.py")
    found = git.capture(inner / "sub", program=inner / "train.py")
    assert (found.commit, found.folder, found.program) == (run(repo, "rev-parse", "HEAD"), "sub", "train.py")


def test_a_repository_in_the_checkout_that_is_no_submodule_is_not_part_of_it(repo):
    inner = empty_repository(repo / "inner")
    found = git.capture(repo, program=inner / "train.py")
    assert (found.branch, found.commit, found.folder, found.program) == ("main", None, "..", "train.py")


# --- no git, and git that refuses ---


@pytest.mark.parametrize("packed", [False, True])
def test_without_the_program_the_files_of_a_checkout_tell_what_they_can(repo, no_git, packed):
    run(repo, "remote", "add", "origin", "git@example.org:team/repo.git")
    if packed:
        run(repo, "pack-refs", "--all")
    with_git = git.capture(repo / "sub")
    no_git()
    assert git.capture(repo / "sub") == GitMetadata(
        **{name: getattr(with_git, name) for name in KNOWN_BY_HAND}, dirty=None, diff_digest=None
    )
    assert git.uncommitted(repo) is None


def test_settings_are_read_by_hand_as_git_reads_them(repo, no_git):
    (repo / ".git/config").write_text(
        "[core]\n\tbare\n# a comment\n; another\n"
        '[Remote "origin"] url = "https://example.org/a b;c" ; of the team\n'
        '[remote "or\\"der"]\n\tURL = x\\ty#z\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        "\tlong = one \\\n two\n"
    )
    by_hand = checkout.settings(repo / ".git/config")
    assert by_hand["remote.origin.url"] == "https://example.org/a b;c"
    assert by_hand['remote.or"der.long'] == "one  two"
    assert by_hand["core.bare"] == "true"


@pytest.mark.parametrize(
    "head",
    ["", "ref: refs/heads/../../outside", "ref: refs/heads/loop", "ref: /etc/passwd", "\xff\xfe", "0123", "ref: refs/"],
)
def test_a_head_that_makes_no_sense_leads_nowhere(repo, no_git, head):
    (repo / ".git/outside").write_text("a" * 40)
    (repo / ".git/refs/heads/loop").write_text("ref: refs/heads/loop")
    (repo / ".git/HEAD").write_bytes(head.encode("latin-1"))
    for _ in ("git", "by hand"):
        assert git.capture(repo).commit is None
        no_git()


@posix_only
def test_a_checkout_that_git_refuses_tells_what_its_files_do(repo, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setattr(program, "_KEPT", re.compile(""))
    found = git.capture(repo)
    assert (found.branch, found.dirty) == ("main", None)
    assert len(found.commit) == 40


@posix_only
def test_a_git_that_hangs_is_ended(repo, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(600)\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(probing, "TIMEOUT_SECONDS", 0.2)
    assert git.capture(repo).branch == "main"


@posix_only
@pytest.mark.parametrize("said", ["", "nonsense", "\\0\\0\\0", "local\\0core.bare\\nfalse\\0"])
def test_a_git_that_talks_nonsense_is_not_believed(repo, tmp_path, monkeypatch, said):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\nprintf '{said}'\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    found = git.capture(repo)
    assert (found.branch, found.dirty) == ("main", None)


def test_a_hook_that_runs_the_process_does_not_lead_it_to_another_repository(repo, tmp_path, monkeypatch):
    other = empty_repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    found = git.capture(repo)
    assert len(found.commit) == 40
    assert not found.dirty


def test_files_elsewhere_are_not_looked_at_because_settings_say_so(repo, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/private.txt").write_text("private\n")
    run(repo, "config", "core.worktree", str(tmp_path / "home"))
    found, diff = git.look(repo)
    assert (found.branch, found.dirty, diff) == ("main", None, None)


# --- nothing of the checkout runs, nothing of it changes ---


@posix_only
def test_no_program_that_a_checkout_names_is_run(repo, tmp_path):
    marker = tmp_path / "marker"
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    trap.chmod(0o755)
    (repo / ".gitattributes").write_text("*.py diff=evil filter=evil\n*.bin diff=evil\n")
    commit(repo)
    hooks = repo / ".git/hooks"
    shutil.rmtree(hooks, ignore_errors=True)
    hooks.mkdir()
    for name in ("post-index-change", "fsmonitor-watchman", "pre-commit", "post-checkout"):
        shutil.copy(trap, hooks / name)
    for setting in ("diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge"):
        run(repo, "config", setting, str(trap))
    run(repo, "config", "filter.evil.process", str(trap))
    run(repo, "config", "filter.evil.required", "true")
    run(repo, "config", "diff.external", str(trap))
    run(repo, "config", "core.pager", str(trap))
    run(repo, "config", "core.fsmonitor", str(trap))
    (repo / "train.py").write_text("lr = 0.2\nepochs = 3\n")
    (repo / "sub/data.bin").write_bytes(b"\0\1\2")
    (repo / "new.py").write_text("x = 1\n")
    assert not marker.exists()
    diff = git.uncommitted(repo)
    assert not marker.exists()
    assert b"-lr = 0.1\n+lr = 0.2\n" in diff.patch
    subprocess.run(["git", "status"], cwd=repo, check=False, capture_output=True)
    assert marker.exists(), "the trap works"


@posix_only
def test_a_filter_of_the_user_is_run_as_ever(repo, tmp_path):
    (repo / ".gitattributes").write_text("*.txt filter=upper\n")
    commit(repo)
    run(repo, "config", "--global", "filter.upper.clean", "tr a-z A-Z")
    (repo / "words.txt").write_text("words\n")
    assert b"+WORDS\n" in git.uncommitted(repo).patch


def test_the_users_index_and_objects_stay_as_they_are(repo):
    (repo / "train.py").write_text("lr = 0.2\n")
    (repo / "staged.py").write_text("1\n")
    run(repo, "add", "staged.py")
    (repo / "new.py").write_text("2\n")
    os.utime(repo / "sub/data.bin")  # git status would note the new time in the index
    before = state_of_git(repo)
    assert git.uncommitted(repo) is not None
    assert state_of_git(repo) == before


def test_the_users_settings_do_not_change_the_patch(repo):
    (repo / "über.py").write_text("lr = 0.1\n\nepochs = 3\n")
    commit(repo)
    (repo / "über.py").write_text("lr = 0.2\n\nepochs = 3\n")
    before = git.uncommitted(repo).patch
    for setting in (
        "diff.noprefix=true",
        "diff.mnemonicPrefix=true",
        "diff.context=0",
        "diff.algorithm=histogram",
        "color.ui=always",
        "diff.suppressBlankEmpty=true",
        "diff.relative=true",
        "core.quotePath=false",
        "diff.wsErrorHighlight=all",
        "status.showUntrackedFiles=no",
    ):
        run(repo, "config", *setting.split("="))
    assert git.uncommitted(repo / "sub").patch == before


# --- what is uncommitted can be made again ---


def changed_text(repo):
    (repo / "train.py").write_text("lr = 0.2\nepochs = 3\n")


def staged_and_changed_again(repo):
    (repo / "train.py").write_text("lr = 0.2\nepochs = 3\n")
    run(repo, "add", "train.py")
    (repo / "train.py").write_text("lr = 0.3\nepochs = 3\n")


def no_newline_at_the_end(repo):
    (repo / "train.py").write_text("lr = 0.1\nepochs = 3")
    (repo / "new.txt").write_text("no newline")


def changed_binary(repo):
    (repo / "sub/data.bin").write_bytes(bytes(range(255, -1, -1)) * 4)


def new_files(repo):
    (repo / "a/b").mkdir(parents=True)
    (repo / "a/b/new.py").write_text("x\n")
    (repo / "empty").write_bytes(b"")
    (repo / "new.bin").write_bytes(bytes(range(256)))


def ignored_files(repo):
    (repo / ".gitignore").write_text("*.log\nforced.*\n")
    (repo / "forced.txt").write_text("tracked all the same\n")
    run(repo, "add", "--force", "forced.txt")


def deleted_files(repo):
    (repo / "train.py").unlink()
    run(repo, "rm", "--quiet", "sub/data.bin")


def renamed_files(repo):
    run(repo, "mv", "train.py", "teach.py")
    (repo / "teach.py").write_text("lr = 0.1\nepochs = 4\n")
    (repo / "sub/data.bin").rename(repo / "data two.bin")


def not_tracked_any_more(repo):
    run(repo, "rm", "--quiet", "--cached", "train.py")
    (repo / "train.py").write_text("lr = 0.9\n")


def changed_modes(repo):
    (repo / "train.py").chmod(0o755)
    (repo / "run.sh").write_text("echo\n")
    (repo / "run.sh").chmod(0o755)


def links(repo):
    (repo / "link").symlink_to("train.py")
    (repo / "nowhere").symlink_to("/does/not/exist")
    (repo / "train.py").unlink()
    (repo / "train.py").symlink_to("sub/data.bin")


def strange_names(repo):
    for name in ("with blank.py", "über.py", "two\nlines.py", 'quo"te\\.py', "tab\t.py", ":(top)x", "-rf", "a b/b a"):
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("x\n")
    (repo / os.fsdecode(b"latin-\xe9.py")).write_text("x\n")


def bytes_that_are_no_text(repo):
    (repo / "train.py").write_bytes("# caf\xe9 \u20ac\r\nlr = 0.1\r".encode("cp1252") + b"\x0c\x1c\xc2\x85\n")


def a_file_that_becomes_a_folder(repo):
    (repo / "train.py").unlink()
    (repo / "train.py").mkdir()
    (repo / "train.py/inner.py").write_text("x\n")


def a_folder_that_becomes_a_file(repo):
    shutil.rmtree(repo / "sub")
    (repo / "sub").write_text("x\n")


def lines_like_those_of_a_patch(repo):
    (repo / "train.py").write_text("diff --git a/x b/x\nrename to y\nGIT binary patch\n--- a/x\n+++ b/x\n")


CHANGES = [
    changed_text,
    staged_and_changed_again,
    no_newline_at_the_end,
    changed_binary,
    new_files,
    ignored_files,
    deleted_files,
    renamed_files,
    not_tracked_any_more,
    lines_like_those_of_a_patch,
    a_file_that_becomes_a_folder,
    a_folder_that_becomes_a_file,
    bytes_that_are_no_text,
    *(pytest.param(change, marks=posix_only) for change in (changed_modes, links, strange_names)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_patch_makes_the_same_files_in_a_clean_clone(repo, tmp_path, change):
    change(repo)
    (repo / "noise.log").write_text("ignored\n")
    (repo / ".git/info/exclude").write_text("noise.log\n")
    diff = git.uncommitted(repo / "sub" if (repo / "sub").is_dir() else repo)
    assert (diff.redacted_hunks, diff.left_out, diff.unnamed) == ([], [], 0)
    assert diff.digest == hashlib.sha256(diff.patch).hexdigest() == git.capture(repo).diff_digest
    expected = files(repo)
    del expected[b"noise.log"]
    assert made_again(repo, diff, tmp_path) == expected


def test_all_changes_at_once_can_be_made_again(repo, tmp_path):
    for change in (new_files, ignored_files, deleted_files, *(() if WINDOWS else (strange_names,))):
        change(repo)
    assert made_again(repo, git.uncommitted(repo), tmp_path) == files(repo)


def test_a_merge_that_has_stopped_is_compared_with_the_commit(repo, tmp_path):
    run(repo, "checkout", "--quiet", "-b", "other")
    (repo / "train.py").write_text("lr = 5\n")
    commit(repo)
    run(repo, "checkout", "--quiet", "main")
    (repo / "train.py").write_text("lr = 7\n")
    commit(repo)
    merge = subprocess.run(["git", *AUTHOR, "merge", "other"], cwd=repo, check=False, capture_output=True)
    assert merge.returncode == 1
    before = state_of_git(repo)
    diff = git.uncommitted(repo)
    assert state_of_git(repo) == before
    assert b"+<<<<<<< HEAD" in diff.patch
    assert made_again(repo, diff, tmp_path) == files(repo)


def test_a_file_that_was_only_touched_is_no_change(repo):
    os.utime(repo / "train.py", (1, 1))
    (repo / "sub/data.bin").write_bytes((repo / "sub/data.bin").read_bytes())
    assert not git.capture(repo).dirty
    changed_text(repo)
    assert git.uncommitted(repo).patch.count(b"diff --git") == 1


@pytest.mark.parametrize("format", ["sha1", "sha256"])
def test_both_kinds_of_object_names_are_known(tmp_path, format, no_git):
    folder = tmp_path / "repo"
    folder.mkdir()
    run(folder, "init", "--quiet", "--initial-branch", "main", f"--object-format={format}")
    (folder / "first.py").write_text("x\n")
    assert b"+x\n" in git.uncommitted(folder).patch
    head = commit(folder)
    (folder / "second.py").write_text("y\n")
    assert git.uncommitted(folder).patch.count(b"diff --git") == 1
    no_git()
    assert git.capture(folder).commit == head


# --- digests ---


def test_equal_states_have_equal_digests_and_others_have_not(repo, tmp_path):
    run(tmp_path, "clone", "--quiet", str(repo), str(tmp_path / "copy"))
    changed_text(repo)
    changed_text(tmp_path / "copy")
    run(tmp_path / "copy", "add", "--all")  # staged or not makes no difference
    assert git.capture(repo).diff_digest == git.capture(tmp_path / "copy").diff_digest
    (repo / "train.py").write_text("lr = 0.3\nepochs = 3\n")
    assert git.capture(repo).diff_digest != git.capture(tmp_path / "copy").diff_digest


def test_the_digest_does_not_depend_on_how_long_the_patch_may_be_nor_on_redaction(repo, monkeypatch):
    changed_text(repo)
    whole = git.uncommitted(repo)
    assert git.uncommitted(repo, max_bytes=0).digest == whole.digest
    monkeypatch.setattr(redact, "redact_diff", lambda diff: ("", ["all"]))
    redacted = git.uncommitted(repo)
    assert (redacted.patch, redacted.redacted_hunks, redacted.digest) == (b"", ["all"], whole.digest)


def test_a_patch_that_cannot_be_redacted_is_not_handed_out(repo, monkeypatch):
    changed_text(repo)
    monkeypatch.setattr(redact, "redact_diff", lambda diff: 1 / 0)
    assert git.uncommitted(repo) is None


# --- what is left out ---


def test_the_longest_parts_are_left_out_and_named_with_size_and_digest(repo, tmp_path):
    changed_text(repo)
    long = os.urandom(5000)
    (repo / "data two.bin").write_bytes(long)
    (repo / "small.py").write_text("x\n")
    diff = git.uncommitted(repo, max_bytes=2000)
    assert len(diff.patch) <= 2000
    digest = hashlib.sha256(long).hexdigest()
    assert diff.left_out == [LeftOut(path="data two.bin", size=5000, digest=digest)]
    expected = files(repo)
    del expected[b"data two.bin"]
    assert made_again(repo, diff, tmp_path) == expected


def test_a_rename_that_is_left_out_is_named_as_it_is_now(repo):
    run(repo, "mv", "sub/data.bin", "sub/t\u00e4ta.bin")
    (repo / "a -> b.txt").write_text("x" * 500)
    diff = git.uncommitted(repo, max_bytes=0)
    assert [item.path for item in diff.left_out] == ["a -> b.txt", "sub/täta.bin"]
    assert diff.patch == b""


def test_large_files_are_not_compared_and_still_count(repo, monkeypatch):
    monkeypatch.setattr(patch, "_LARGEST_FILE", 600)
    (repo / "large.csv").write_text("1,2\n" * 200)
    (repo / "sub/data.bin").unlink()  # has 1024 bytes
    changed_text(repo)
    found, diff = git.look(repo)
    assert [(item.path, item.size) for item in diff.left_out] == [("large.csv", 800), ("sub/data.bin", None)]
    assert diff.patch.count(b"diff --git") == 1
    (repo / "large.csv").write_text("1,3\n" * 200)
    assert git.capture(repo).diff_digest != found.diff_digest


def test_a_small_change_of_a_file_longer_than_the_patch_may_be_is_in_it(repo, tmp_path):
    lines = [f"line {number}\n" for number in range(2000)]
    (repo / "long.txt").write_text("".join(lines))
    commit(repo)
    (repo / "long.txt").write_text("".join([*lines, "one more\n"]))
    diff = git.uncommitted(repo, max_bytes=1000)
    assert diff.left_out == []
    assert made_again(repo, diff, tmp_path) == files(repo)


def test_of_very_many_files_the_smallest_are_compared_and_few_of_the_rest_named(repo, monkeypatch):
    monkeypatch.setattr(patch, "_LARGEST_TOTAL", 1000)
    for number in range(150):
        (repo / f"{number:03}.csv").write_text("1\n" * (10 if number < 20 else 100))
    diff = git.uncommitted(repo)
    assert diff.patch.count(b"diff --git") == 23  # 20 of 20 bytes, and 3 of 200
    assert (len(diff.left_out), diff.unnamed) == (patch.MAX_NAMED, 27)


def test_what_is_too_large_to_read_has_no_digest(repo, monkeypatch):
    monkeypatch.setattr(patch, "_LARGEST_DIGESTED", 100)
    (repo / "large").write_bytes(b"x" * 101)
    assert git.uncommitted(repo, max_bytes=0).left_out == [LeftOut(path="large", size=101, digest=None)]


@posix_only
def test_what_cannot_be_read_is_left_out(repo, tmp_path, monkeypatch):
    (repo / "private").write_text("x\n")
    (repo / "private").chmod(0)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "private")  # the tests may run as root
    changed_text(repo)
    diff = git.uncommitted(repo)
    assert [item.path for item in diff.left_out] == ["private"]
    assert diff.patch.count(b"diff --git") == 1


def test_a_repository_in_the_checkout_is_left_out(repo):
    inner = empty_repository(repo / "inner")
    (inner / "x.py").write_text("x\n")
    commit(inner)
    diff = git.uncommitted(repo)
    assert [item.path for item in diff.left_out] == ["inner/"]
    assert diff.patch == b""


def test_a_store_of_lazytrack_in_the_checkout_does_not_make_it_dirty(repo):
    with Project(repo / "runs") as project, project.log("baseline") as exp:
        exp.log_metric("auc", 0.9)
        exp.log_artifact("report", [1], handler="json")
    assert run(repo, "status", "--porcelain") != ""
    assert not git.capture(repo).dirty
    run(repo, "add", "--all")
    assert git.uncommitted(repo) is None
    (repo / "other").mkdir()
    (repo / "other.json").write_text(json.dumps({"format": "mine"}))
    (repo / "other/x").write_text("x\n")
    assert git.uncommitted(repo).patch.count(b"diff --git") == 2


# --- names ---


@posix_only
def test_names_that_are_no_unicode_are_spelled_out(repo, tmp_path, no_git):
    folder = repo / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    run(repo, "checkout", "--quiet", "-b", os.fsdecode(b"br\xe4nch"))
    (folder / "x").write_text("x" * 99)
    found, diff = git.look(folder, max_bytes=0)
    assert (found.folder, found.branch) == ("caf\\udce9", "br\\udce4nch")
    assert [item.path for item in diff.left_out] == ["caf\\udce9/x"]
    no_git()
    assert git.capture(folder).branch == "br\\udce4nch"


def test_a_folder_above_the_ceiling_is_not_searched(repo, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repo))
    assert git.capture(repo / "sub") is None
    assert git.capture(repo) is not None
