"""Bringing a run back: the commands do it, and where they cannot, they say so and stop."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import lazytrack
from lazytrack import Project, codec, naming
from lazytrack.provenance import capture

GIT = ["git", "-c", "user.email=dana@example.org", "-c", "user.name=dana"]
SCRIPT = """
import sys
from pathlib import Path

from lazytrack import Project, codec, naming

import settings

project = Project(sys.argv[1])
with project.log("run") as exp:
    value = settings.BASE + float(Path("data/input.txt").read_text())
    exp.log_metric("value", value)
project.save()
"""


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    (folder / "jobs" / "data").mkdir(parents=True)
    (folder / "jobs" / "train.py").write_text(SCRIPT)
    (folder / "jobs" / "settings.py").write_text("BASE = 1.0\n")
    (folder / "jobs" / "data" / "input.txt").write_text("0.25\n")
    (folder / ".gitignore").write_text("__pycache__/\n")
    subprocess.run([*GIT, "init", "-q", "-b", "main", folder], check=True)
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", "one"], cwd=folder, check=True)
    return folder


def ran(checkout, store, python=sys.executable, arguments=(), folder=None, program="train.py", **environment):
    command = [python, program, store, *arguments]
    env = {**os.environ, "LAZYTRACK_PROVENANCE": "1", **environment}
    folder = folder or checkout / "jobs"
    subprocess.run(command, check=True, cwd=folder, env=env)
    return Project(folder / store, mode="r")


def followed(recipe, place, **environment):
    """Follow a recipe in a folder with this interpreter and its packages in the place of the environment."""
    assert recipe.obstacles == []
    python = place / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    installs = re.compile(r"python[0-9.]+ -m venv |cat > |\S+ -m pip ")
    script = "\n".join(["set -eu", *(command for command in recipe.commands if not installs.match(command))])
    env = {**os.environ, "LAZYTRACK_PROVENANCE": "1", **environment}
    subprocess.run(["sh"], input=script, text=True, check=True, cwd=place, env=env, capture_output=True)


def test_the_commands_are_told_in_order(checkout, tmp_path):
    project = ran(checkout, tmp_path / "store")
    recipe = project.reproduce("run")
    commit = project["run"].git.commit
    assert recipe.commands[:3] == [
        f"git clone -- {checkout} reproduced",
        "cd reproduced",
        f"git checkout --quiet {commit}",
    ]
    assert recipe.commands[-2:] == ["cd jobs", f"../../environment/bin/python train.py {tmp_path / 'store'}"]
    assert recipe.obstacles == []
    assert any("had no remote" in note for note in recipe.notes)
    script = str(recipe)
    assert script.startswith(f"# how to bring back {project['run'].slug}\nset -eu\n")
    assert "exit 1" not in script
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_the_script_is_the_same_wherever_it_is_read(checkout, tmp_path, monkeypatch):
    store = tmp_path / "store"
    command = [sys.executable, "jobs/train.py", str(checkout / "jobs" / "store")]
    environment = {"executable": sys.executable}
    fields = {"command": shlex.join(command), "root": str(checkout)}
    scripts = set()
    for folder in ("/", tmp_path, checkout / "jobs"):
        monkeypatch.chdir(folder)
        recipe = strangers(store, environment=environment, **fields).reproduce("run")
        assert recipe.commands[-1] == "../environment/bin/python jobs/train.py jobs/store"
        scripts.add(str(recipe).partition("\n")[2])
    assert len(scripts) == 1


def test_a_secret_in_the_changes_or_the_command_is_named_and_stops_the_script(checkout, tmp_path):
    token = "ghp_" + "a1B2" * 9
    (checkout / "jobs" / "settings.py").write_text(f'BASE = 2.0\nTOKEN = "{token}"\n')
    project = ran(checkout, tmp_path / "store", arguments=["--api-key", token])
    recipe = project.reproduce("run")
    assert any("settings.py" in obstacle for obstacle in recipe.obstacles)
    assert any("its command held a secret" in obstacle for obstacle in recipe.obstacles)
    done = subprocess.run(["sh"], input=str(recipe), text=True, check=False, cwd=tmp_path, capture_output=True)
    assert done.returncode == 1
    assert not (tmp_path / "reproduced").exists()
    for path in (tmp_path / "store").rglob("*"):
        assert path.is_dir() or token not in path.read_text()


def test_what_was_too_large_to_be_kept_is_named(checkout, tmp_path):
    (checkout / "jobs" / "large.bin").write_bytes(os.urandom(3_000_000))
    recipe = ran(checkout, tmp_path / "store").reproduce("run")
    assert any("too large to be kept, or held a secret: jobs/large.bin" in obstacle for obstacle in recipe.obstacles)


def test_a_run_outside_of_any_checkout_says_so(tmp_path, checkout):
    outside = tmp_path / "outside"
    (checkout / "jobs").rename(outside)
    (outside / "jobs").symlink_to(outside)
    recipe = ran(outside, tmp_path / "store").reproduce("run")
    assert any("outside of any git checkout" in obstacle for obstacle in recipe.obstacles)


def repository(folder, **files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    subprocess.run([*GIT, "init", "-q", "-b", "main", folder], check=True)
    subprocess.run([*GIT, "add", "."], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "one"], cwd=folder, check=True)
    return folder


def head(folder):
    return subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True).stdout[
        :-1
    ]


@pytest.mark.parametrize("place", ["another checkout", "no checkout", "a folder around it", "a link to it"])
def test_a_program_that_is_run_from_elsewhere_is_brought_back_from_its_own_checkout(checkout, tmp_path, place):
    """Its first argument is a folder of the working folder, its second a file of the checkout."""
    script = SCRIPT.replace('Path("data/input.txt")', "Path(sys.argv[2])")
    (checkout / "jobs" / "train.py").write_text(script)
    jobs = "../checkout/jobs"
    match place:
        case "another checkout":
            folder = repository(tmp_path / "other")
        case "no checkout":
            (folder := tmp_path / "other").mkdir()
        case "a folder around it":
            folder, jobs = tmp_path, "checkout/jobs"
        case "a link to it":
            (folder := tmp_path / "other").mkdir()
            (tmp_path / "link").symlink_to(checkout)
            jobs = tmp_path / "link" / "jobs"
    data = os.path.relpath(checkout / "jobs" / "data" / "input.txt", folder)
    project = ran(checkout, "store", folder=folder, program=f"{jobs}/train.py", arguments=[data])
    exp, recipe = project["run"], project.reproduce("run")
    assert (exp.git.commit, exp.environment.root, exp.git.program) == (head(checkout), checkout, "jobs/train.py")
    assert "+    value = settings.BASE + float(Path(sys.argv[2]).read_text())" in exp.diff
    assert recipe.commands[-3:] == [
        "mkdir ../elsewhere",
        "cd ../elsewhere",
        "../environment/bin/python ../reproduced/jobs/train.py store ../reproduced/jobs/data/input.txt",
    ]
    assert any(note.startswith(f"it ran in {folder}, outside of the checkout") for note in recipe.notes)
    (new := tmp_path / "new").mkdir()
    followed(recipe, new)
    assert Project(new / "elsewhere" / "store", mode="r")["run"].metrics == exp.metrics == {"value": 1.25}


def test_a_program_outside_of_the_checkout_is_an_obstacle(checkout, tmp_path):
    program = tmp_path / "train.py"
    program.write_text("import sys\n\nsys.path.insert(0, '.')\n" + SCRIPT)
    for number, word in enumerate([program, "../../train.py"]):
        recipe = ran(checkout, tmp_path / f"store{number}", program=word).reproduce("run")
        assert recipe.obstacles == [f"its program {word} lies outside of the checkout"]
        assert "exit 1" in str(recipe)


@pytest.mark.parametrize(
    ("command", "obstacle"),
    [
        ("python ../tool.py", True),
        ("python -u -W error -Xdev /usr/share/tool.py", True),
        ("python /usr/bin/tool", False),  # beside the interpreter
        ("python -m tool", False),
        ("python -Im tool /tmp/x", False),
        ("tool /tmp/x", False),
    ],
)
def test_only_the_program_of_a_command_has_to_be_in_the_checkout(tmp_path, command, obstacle):
    recipe = strangers(tmp_path, environment={"executable": "/usr/bin/python"}, command=command).reproduce("run")
    assert any("lies outside of the checkout" in each for each in recipe.obstacles) == obstacle


@pytest.fixture
def with_submodule(checkout, tmp_path, monkeypatch):
    """Have the settings in a submodule, which itself has one; git is told that submodules may be cloned from here."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    subprocess.run([*GIT, "config", "--global", "protocol.file.allow", "always"], check=True)
    ignored = {".gitignore": "__pycache__/\n"}  # as in the checkout: Python may write there
    deep = repository(tmp_path / "deep", **ignored, **{"more.py": "MORE = 0.5\n"})
    code = "from lib.deep.more import MORE\n\nBASE = 1.0 + MORE\n"
    lib = repository(tmp_path / "lib", **ignored, **{"__init__.py": code})
    (checkout / "jobs" / "settings.py").write_text("from lib import BASE\n")
    for folder, source, path in ((lib, deep, "deep"), (checkout, lib, "jobs/lib")):
        subprocess.run([*GIT, "submodule", "--quiet", "add", source, path], cwd=folder, check=True)
        subprocess.run([*GIT, "commit", "-q", "-a", "-m", "a submodule"], cwd=folder, check=True)
    subprocess.run([*GIT, "submodule", "--quiet", "update", "--init", "--recursive"], cwd=checkout, check=True)
    return checkout


@pytest.mark.parametrize("mode", ["clean", "changed", "moved"])
def test_submodules_are_brought_back(with_submodule, tmp_path, mode):
    if mode != "clean":
        (with_submodule / "jobs" / "data" / "input.txt").write_text("0.75\n")
        (with_submodule / "jobs" / "new.txt").write_text("new\n")
    if mode == "moved":
        lib = tmp_path / "lib"
        (lib / "__init__.py").write_text("BASE = 4.0\n")
        subprocess.run([*GIT, "commit", "-q", "-a", "-m", "four"], cwd=lib, check=True)
        subprocess.run([*GIT, "pull", "-q"], cwd=with_submodule / "jobs" / "lib", check=True)
    project = ran(with_submodule, tmp_path / "store")
    exp, recipe = project["run"], project.reproduce("run")
    assert exp.git.submodules == {"jobs/lib": head(tmp_path / "lib")}
    assert "git submodule --quiet update --init --recursive" in recipe.commands
    (new := tmp_path / "new").mkdir()
    followed(recipe, new)
    first, second = Project(tmp_path / "store", mode="r").experiments
    assert first.metrics == second.metrics == {"value": {"clean": 1.75, "changed": 2.25, "moved": 4.75}[mode]}
    assert (second.git.diff_digest, second.git.submodules) == (first.git.diff_digest, first.git.submodules)


def test_what_is_not_committed_in_a_submodule_is_an_obstacle_that_says_so(with_submodule, tmp_path):
    (with_submodule / "jobs" / "lib" / "__init__.py").write_text("BASE = 5.0\n")
    repository(with_submodule / "inner")
    recipe = ran(with_submodule, tmp_path / "store").reproduce("run")
    assert recipe.obstacles == [
        "inner/ was a repository of its own in the checkout, which is not kept",
        "what was not committed in the submodule jobs/lib is not kept",
    ]


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("../origin.git", "/home/origin.git"),
        ("origin.git", "/home/x/origin.git"),
        ("/srv/origin.git", "/srv/origin.git"),
        ("file:///srv/origin.git", "file:///srv/origin.git"),
        ("dana@example.org:origin.git", None),
        ("example.org:../origin.git", None),
        ("https://example.org/origin.git", None),
    ],
)
def test_a_remote_on_the_machine_itself_is_told_from_its_root(tmp_path, remote, source):
    git = {"commit": "a" * 40, "remote": remote, "dirty": False, "folder": "."}
    recipe = strangers(tmp_path / "store", git=git, root="/home/x").reproduce("run")
    assert recipe.commands[0] == f"git clone -- {source or remote} reproduced"
    assert (f"its remote {source} is on the machine it ran on" in recipe.notes) == (source is not None)
    assert recipe.obstacles == []
    if not remote.startswith(("/", "file:")) and source is not None:
        [obstacle] = strangers(tmp_path / "store", git=git, root="C:/x").reproduce("run").obstacles
        assert obstacle == f"its remote {remote} is told from a folder that is not known"


def test_a_relative_remote_is_followed(checkout, tmp_path):
    subprocess.run([*GIT, "clone", "-q", "--bare", checkout, tmp_path / "o.git"], check=True)
    subprocess.run([*GIT, "remote", "add", "origin", "../o.git"], cwd=checkout, check=True)
    recipe = ran(checkout, tmp_path / "store").reproduce("run")
    (new := tmp_path / "new").mkdir()
    followed(recipe, new)
    assert len(Project(tmp_path / "store", mode="r")) == 2


CHANNEL = "https://conda.anaconda.org/conda-forge/linux-64"


def conda_environment(folder, *files):
    (folder / "conda-meta").mkdir(parents=True)
    for file in files:
        name, version, _ = file.rsplit("-", 2)
        said = {"name": name, "version": version, "url": f"{CHANNEL}/{file}.conda", "depends": []}
        (folder / "conda-meta" / f"{file}.json").write_text(json.dumps(said))
    return folder


def test_a_conda_environment_is_made_anew_from_its_explicit_list(checkout, tmp_path):
    python, attrs = ".".join(map(str, sys.version_info[:3])), version("attrs")
    files = [f"attrs-{attrs}-pyh_0", "libgcc-13.2.0-h1_5", f"python-{python}-h1_0_cpython"]
    folder = conda_environment(tmp_path / "conda", *files)
    recipe = ran(checkout, tmp_path / "store", CONDA_PREFIX=str(folder)).reproduce("run")
    lines = "\n".join(["@EXPLICIT", *(f"{CHANNEL}/{file}.conda" for file in files)])
    at = recipe.commands.index(f"cat > ../conda.txt <<'END'\n{lines}\nEND")
    assert recipe.commands[at + 1] == "conda create --quiet --yes --prefix ../environment --file ../conda.txt"
    requirements = recipe.commands[at + 2].splitlines()
    assert f"attrs=={attrs}" not in requirements, "conda brings it"
    assert f"fsspec=={version('fsspec')}" in requirements
    assert recipe.commands[at + 3].startswith("../environment/bin/python -m pip install")
    assert not any("venv" in command for command in recipe.commands)
    assert recipe.commands[-1].startswith("../../environment/bin/python train.py")
    assert recipe.obstacles == []
    subprocess.run(["sh", "-n"], input=str(recipe), text=True, check=True)


CONDA = {
    "conda": [["python", "3.11.7", "h1_0"], ["numpy", "1.26.4", "py_0"], ["x", "1", "0"]],
    "conda_urls": [
        f"{CHANNEL}/python-3.11.7-h1_0.conda",
        f"{CHANNEL}/numpy-1.26.4-py_0.tar.bz2",
        f"{CHANNEL}/x-1-0.conda",
    ],
    "packages": [["Numpy", "1.26.4"], ["torch", "2.1"], ["x", "2"], ["attrs", "25.3.0"]],
    "sources": {"torch": "conda"},
}


def test_what_conda_brings_is_not_installed_from_an_index(tmp_path):
    recipe = strangers(tmp_path, environment=CONDA).reproduce("run")
    requirements = next(command for command in recipe.commands if "requirements" in command)
    assert requirements.splitlines()[1:-1] == ["x==2", "attrs==25.3.0"], "a newer one than conda's was installed"
    assert not any("environment/bin/python -m pip install --quiet --no-deps -- " in each for each in recipe.commands)


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"conda_urls": CONDA["conda_urls"][1:]}, "where conda had these from is not known: python 3.11.7"),
        ({"conda_urls": ["https://***@example.org/x-1-0.conda"]}, "whose credentials are not kept"),
        ({"conda_urls": ["https://x/x-1-0.conda\nEND\ntouch PWNED"]}, "is no package of conda"),
        ({"conda_urls": ["--file=/etc/passwd"]}, "is no package of conda"),
    ],
)
def test_what_conda_cannot_bring_is_named(tmp_path, changes, obstacle):
    recipe = strangers(tmp_path, environment=CONDA | changes).reproduce("run")
    assert any(obstacle in each for each in recipe.obstacles)
    assert not any("touch" in command or "passwd" in command for command in recipe.commands)


@pytest.mark.parametrize("changes", [{"conda_urls": None}, {"python": "3.12.1"}])
def test_without_conda_s_own_interpreter_or_its_urls_conda_is_a_note(tmp_path, changes):
    recipe = strangers(tmp_path, environment=CONDA | changes).reproduce("run")
    assert any("conda environment of 3 packages" in note for note in recipe.notes)
    assert any(command.endswith("-m venv ../environment") for command in recipe.commands)
    requirements = next(command for command in recipe.commands if "requirements" in command)
    assert "torch==2.1" in requirements.splitlines()


@pytest.mark.slow
def test_the_commands_bring_the_run_back(checkout, tmp_path):
    """In an environment with lazytrack alone, so that making it anew takes moments."""
    (checkout / "jobs" / "settings.py").write_text("from extra import MORE\n\nBASE = 2.0 + MORE\n")
    (checkout / "jobs" / "extra.py").write_text("MORE = 0.5\n")
    package = Path(lazytrack.__file__).parents[1]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package], check=True)
    project = ran(checkout, tmp_path / "store", python)
    recipe = project.reproduce("run")
    assert recipe.obstacles == []
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {**os.environ, "LAZYTRACK_PROVENANCE": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["sh"], input=str(recipe), text=True, check=True, cwd=empty, env=env)
    first, second = Project(tmp_path / "store", mode="r").experiments
    assert first.metrics == second.metrics == {"value": 2.75}
    assert second.git.commit == first.git.commit
    assert second.environment.packages == first.environment.packages
    assert first.diff
    assert second.diff == first.diff


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["clean", "changed"])
def test_the_best_model_of_the_demo_is_brought_back_with_the_same_metrics(tmp_path, mode):
    demo = Path(__file__).parents[2] / "examples" / "compare_models.py"
    checkout = repository(tmp_path / "demo", **{demo.name: demo.read_text(), ".gitignore": "__pycache__/\n"})
    if mode == "changed":
        (checkout / demo.name).write_text(demo.read_text().replace("n_estimators=80", "n_estimators=40"))
    command = [sys.executable, demo.name, "runs"]
    subprocess.run(
        command, check=True, cwd=checkout, env={**os.environ, "LAZYTRACK_PROVENANCE": "1"}, capture_output=True
    )
    project = Project(checkout / "runs" / "project.json", mode="r")
    [best] = project.best("auc", n=1)
    (new := tmp_path / "new").mkdir()
    followed(project.reproduce(best.slug), new)
    again = Project(new / "reproduced" / "runs" / "project.json", mode="r")[best.short_slug]
    assert again.metrics == best.metrics
    assert again.parameters == best.parameters
    assert [test.metrics for test in again.tests] == [test.metrics for test in best.tests]
    assert (again.git.commit, again.git.diff_digest) == (best.git.commit, best.git.diff_digest)
    assert bool(best.diff) == (mode == "changed")


def test_who_logged_without_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(capture.SWITCH, "0")
    project = Project(tmp_path / "store")
    with project.log("run"):
        pass
    project.save()
    with pytest.raises(lazytrack.errors.LazytrackError, match="LAZYTRACK_PROVENANCE=0"):
        project.reproduce("run")
    with pytest.raises(KeyError):
        project.reproduce("other")


EVIL = "x\ntouch PWNED\n#"
"""What ends a comment, and a line."""


def strangers(store, *, environment=None, **fields):
    """Make a store of one experiment that says of its origin what a stranger wrote, and return it."""
    project = Project(store, mode="w+")
    project.log("run")
    project.save()
    said = {"python": "3.11.7", "packages": [["attrs", "25.3.0"]], **(environment or {})}
    content = codec.dumps({"format": "lazytrack/1", "kind": "environment", "environment": said})
    digest = hashlib.sha256(content).hexdigest()
    folder = Path(store) / "project" / "environments"
    folder.mkdir(exist_ok=True)
    (folder / f"{digest}.json").write_bytes(content)
    git = {"commit": "a" * 40, "remote": "https://example.org/x.git", "dirty": False, "folder": "."}
    origin = {"environment": digest, "root": "/home/x", "command": "python train.py", "git": git}
    for path in (Path(store) / "project" / "log").iterdir():
        document = json.loads(path.read_text())
        for patch in document["patches"]:
            patch["set"] = {f: v for f, v in patch["set"].items() if not f.startswith("artifacts.")} | origin | fields
        path.write_text(json.dumps(document))
    return Project(store, mode="r")


@pytest.mark.parametrize(
    ("environment", "fields"),
    [
        ({"python": "3; touch PWNED; #.1"}, {}),
        ({"packages": [["attrs", "1\nEND\ntouch PWNED\ncat <<'END'"]]}, {}),
        ({"packages": [["--index-url=http://evil.example/ attrs", "1"]]}, {}),
        ({"lock_files": [{"name": EVIL, "size": 1, "sha256": "0"}]}, {}),
        ({"lock_files": [{"name": "a\x1b[2K\rtouch", "size": 1, "sha256": "0"}]}, {}),
        ({"sources": {EVIL: "/elsewhere"}}, {}),
        ({"sources": {"attrs": "--index-url=http://evil.example"}}, {}),
        ({}, {"git": None, "root": EVIL}),
        ({}, {"git": {"commit": "a" * 40}, "root": EVIL}),
        ({}, {"git": {"commit": "a" * 40, "remote": "--upload-pack=touch PWNED;"}}),
        ({}, {"git": {"commit": "a" * 40, "remote": "ext::sh -c touch% PWNED"}}),
        ({}, {"git": {"commit": "--orphan=x", "remote": "https://example.org/x.git"}}),
        ({}, {"git": {"commit": "a" * 40, "remote": "https://example.org/x.git", "folder": "../../.."}}),
        ({}, {"git": {"commit": "a" * 40, "remote": "https://example.org/x.git", "folder": "-P"}}),
        ({}, {"uncommitted": {"redacted": [EVIL]}}),
        ({}, {"uncommitted": {"left_out": [{"path": EVIL}, EVIL]}}),
        ({}, {"uncommitted": {"unnamed": EVIL}}),
        ({}, {"uncommitted": {"redacted": 5, "left_out": 5}}),
        ({}, {"command": "python -c 'not closed"}),
        ({}, {"command": "  "}),
        ({}, {"command": "PATH=. touch PWNED"}),
        ({}, {"command": "python '\x1b[8m'"}),
    ],
)
def test_a_strangers_script_runs_what_it_shows_and_nothing_else(tmp_path, environment, fields):
    script = str(strangers(tmp_path / "store", environment=environment, **fields).reproduce("run"))
    programs, place = tmp_path / "bin", tmp_path / "place"
    programs.mkdir()
    place.mkdir()
    # Programs of these names that only say how they were called; all else is not found.
    log = tmp_path / "called"
    for name in ("git", "python3", "python3.11", "cat", "touch"):
        says = f'printf "%s|" "${{0##*/}}" "$@" >> {log}; echo >> {log}'
        (programs / name).write_text(f"#!/bin/sh\n{says}\n[ $1 != clone ] || /bin/mkdir reproduced\n")
        (programs / name).chmod(0o755)
    subprocess.run(["/bin/sh"], input=script.encode(), check=False, cwd=place, env={"PATH": str(programs)})
    called = log.read_text() if log.exists() else ""
    assert "touch|" not in called
    assert "|--upload-pack" not in called or "clone|--|--upload-pack" in called
    assert "|--orphan" not in called
    told = [line for line in script.splitlines() if line.startswith("# ")]
    assert all(sign.isprintable() for line in told for sign in line)
    if "\x1b" in script:
        assert "a terminal does not show" in script


def test_a_command_that_was_too_long_to_be_kept_is_an_obstacle(checkout, tmp_path):
    recipe = ran(checkout, tmp_path / "store", arguments=["it is " * 4000]).reproduce("run")
    assert "its command was too long to be kept" in recipe.obstacles


TEMPLATES = [
    "$(touch {0})",
    "`touch {0}`",
    "'; touch {0}; '",
    '"; touch {0}; "',
    "\ntouch {0}\n",
    "x\nEND\ntouch {0}\n#",
    "--upload-pack=touch {0}",
    "ext::sh -c touch% {0}",
    "-c touch {0}",
    "x; touch {0}",
    "file:///x --global-option=touch {0}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_strangers_record_gets_nothing_into_the_shell(checkout, tmp_path, template):
    marker = tmp_path / "marker"
    evil = template.format(marker)
    project = ran(checkout, tmp_path / "store")
    exp = project["run"]
    environment = {**exp._owner._shared("environment", exp._scalars["environment"])}
    environment |= {
        "python": evil,
        "packages": [[evil, "1"], ["x", evil], ["attrs", "1"]],
        "sources": {"a": evil, "b": f"file://{evil}"},
    }
    content = codec.dumps({"format": "lazytrack/1", "kind": "environment", "environment": environment})
    digest = hashlib.sha256(content).hexdigest()
    project._journal.files.create(f"environments/{digest}.json", content)
    changes = {
        "environment": digest,
        "command": shlex.join(["python", evil, "--x", evil]) if "\n" not in evil else f"python '{evil}'",
        "root": evil,
        "git": {"commit": "a" * 40, "remote": evil, "folder": evil, "dirty": True},
        "uncommitted": {"redacted": [evil], "left_out": [{"path": evil}, evil], "unnamed": evil},
    }
    for change in (changes, {"environment": digest}, *({field: value} for field, value in changes.items())):
        other = Project(tmp_path / "other", mode="w")
        slug = f"run-20260101000000-{naming.unique()}{evil}"
        fields = {**project._journal.fields(exp.slug), **change}
        other.save()
        other._journal.append([{"record": slug, "set": fields}], by="x")
        other._journal.files.create(f"environments/{digest}.json", content)
        for path in Path(project.folder, "environments").iterdir():
            other._journal.files.create(f"environments/{path.name}", path.read_bytes())
        recipe = Project(tmp_path / "other", mode="r").reproduce(slug)
        folder = tmp_path / naming.unique()
        folder.mkdir()
        (folder / "bin").mkdir()
        for program in ("git", "python3.11", "python3", "python", "pip"):  # which do nothing, whatever they are given
            (folder / "bin" / program).write_text("#!/bin/sh\nexit 0\n")
            (folder / "bin" / program).chmod(0o755)
        script = str(recipe).replace("exit 1", "true").replace("set -eu", "set +e")
        env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        subprocess.run(["sh"], input=script, text=True, check=False, cwd=folder, env=env, capture_output=True)
        assert not marker.exists(), script
