"""What differs between where two results come from is told by kind, and nothing else is."""

import attrs
import pytest

from lazytrack.provenance import env_diff
from lazytrack.provenance.metadata import (
    EnvironmentMetadata,
    GitMetadata,
    LazytrackMetadata,
    LockFile,
    PlatformMetadata,
)
from lazytrack.step_info import StepInfo

NOTHING = {
    kind: {field.name: None for field in attrs.fields(kind) if field.name != "_extra"}
    for kind in (PlatformMetadata, EnvironmentMetadata)
}
USUAL = {
    "python": "3.11.7",
    "packages": [("numpy", "2.0"), ("scipy", "1.1")],
    "lazytrack": LazytrackMetadata(version="0.1.0"),
}


def made(*, platform=None, environment=None):
    """Return a step that ran somewhere, somewhat unlike others."""
    return StepInfo(
        unique_id="x",
        step_class_name="x",
        dependencies=set(),
        cacheable=True,
        platform=PlatformMetadata(**NOTHING[PlatformMetadata] | (platform or {})),
        environment=EnvironmentMetadata(**NOTHING[EnvironmentMetadata] | USUAL | (environment or {})),
    )


def test_equal_ones_do_not_differ():
    found = env_diff(made(), made())
    assert not found
    assert str(found) == "no difference"


@pytest.mark.parametrize(
    ("environment", "kind", "expected"),
    [
        (
            {"packages": [("numpy", "2.1"), ("torch", "2.9")]},
            "packages",
            {"numpy": ("2.0", "2.1"), "scipy": ("1.1", None), "torch": (None, "2.9")},
        ),
        (
            {"sources": {"numpy": "git+https://example.org/numpy@abc"}},
            "packages",
            {"numpy": ("2.0", "2.0 from git+https://example.org/numpy@abc")},
        ),
        ({"conda": [("mkl", "2024", "h1")]}, "packages", {"conda:mkl": (None, "2024 h1")}),
        ({"python": "3.12.1"}, "python", {"python": ("3.11.7", "3.12.1")}),
        ({"command": "python b.py"}, "python", {"command": (None, "python b.py")}),
        ({"lazytrack": LazytrackMetadata(version="0.2.0")}, "python", {"lazytrack.version": ("0.1.0", "0.2.0")}),
        ({"git": GitMetadata(commit="a" * 40, dirty=True)}, "git", {"commit": (None, "a" * 40), "dirty": (None, True)}),
        (
            {"lock_files": [LockFile(name="uv.lock", size=1, sha256="0" * 64)]},
            "lock_files",
            {"uv.lock": (None, "0" * 64)},
        ),
    ],
)
def test_each_kind_is_told_apart(environment, kind, expected):
    found = env_diff(made(), made(environment=environment))
    assert found
    assert dict(getattr(found, kind)) == expected
    others = {"packages", "python", "platform", "git", "lock_files"} - {kind}
    assert not any(getattr(found, other) for other in others)
    backwards = env_diff(made(environment=environment), made())
    assert dict(getattr(backwards, kind)) == {name: pair[::-1] for name, pair in expected.items()}


def test_machines_are_compared_field_by_field():
    found = env_diff(
        made(platform={"machine": "x86_64", "memory": 8}), made(platform={"machine": "arm64", "memory": 8})
    )
    assert dict(found.platform) == {"machine": ("x86_64", "arm64")}
    assert str(found) == "platform\n  machine: x86_64 → arm64"


def test_lock_files_show_what_changed_in_them():
    old, new = (LockFile(name="requirements.txt", size=1, sha256=d * 64, text=f"numpy=={d}\n") for d in "12")
    found = env_diff(made(environment={"lock_files": [old]}), made(environment={"lock_files": [new]}))
    assert "-numpy==1\n+numpy==2\n" in found.texts["requirements.txt"]
    assert "requirements.txt: 111111111111 → 222222222222" in str(found)
