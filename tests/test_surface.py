"""What is public, and what importing it costs."""

import subprocess
import sys

import pytest

import lazytrack
from lazytrack import artifacts, errors, testing, tracking


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_the_public_names_are_these():
    assert lazytrack.__all__ == [
        "Cache",
        "CachePolicy",
        "Experiment",
        "ExternalArtifact",
        "GroupInfo",
        "Project",
        "Repository",
        "StepRetryConfig",
        "Test",
        "__version__",
        "current_experiment",
        "get_step_context",
        "log_metadata",
        "pipeline",
        "step",
        "unmapped",
    ]
    assert dir(lazytrack) == lazytrack.__all__
    assert all(getattr(lazytrack, name) is not None for name in lazytrack.__all__)


def test_the_packages_public_names_are_these():
    assert tracking.__all__ == ["Experiment", "Project", "ReadOnlyExperiment", "ReadOnlyTest", "Registry", "Test"]
    assert artifacts.__all__ == [
        "Artifact",
        "JSONArtifact",
        "PickleArtifact",
        "Reference",
        "Shelf",
        "StoredFile",
        "TextArtifact",
        "check_environment",
        "from_entry",
        "get_handler",
        "handler_for",
        "known_aliases",
        "to_entry",
    ]


def test_the_published_suites_are_these():
    assert testing.__all__ == [
        "ExecutorTests",
        "FilesTests",
        "HandlerTests",
        "JobOperatorTests",
        "OperatorTests",
        "ReadingTests",
        "Trap",
        "WorkerExecutorTests",
    ]


def test_the_suites_say_that_they_need_pytest():
    code = "import sys; sys.modules['pytest'] = None; import lazytrack.testing"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "lazytrack.testing needs pytest: pip install 'lazytrack[testing]'" in done.stderr


def test_the_exceptions_are_drawn_where_they_are_defined():
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert all(f" {name} " in errors.__doc__ or f"{name}\n" in errors.__doc__ for name in defined)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Projekt'"):
        lazytrack.Projekt  # noqa: B018


def test_importing_the_project_loads_nothing_heavy():
    heavy = {"fsspec", "numpy", "pandas", "pydantic", "rich", "typer", "boto3", "botocore", "slugify", "asyncio"}
    loaded = set(run("from lazytrack import Project; import sys; print(*sys.modules)"))
    assert loaded & heavy == set()


def test_importing_lazytrack_alone_loads_none_of_its_rooms():
    loaded = run("import lazytrack, sys; print(*(name for name in sys.modules if name.startswith('lazytrack')))")
    assert loaded == ["lazytrack"]


def test_importing_starts_no_thread():
    assert run("import threading; from lazytrack import Project; print(threading.active_count())") == ["1"]
