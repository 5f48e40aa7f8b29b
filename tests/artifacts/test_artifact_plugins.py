"""Handlers of other packages, with annotations kept as strings, which many modules ask for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from lazytrack import codec
from lazytrack.artifacts import Artifact, check_environment, from_entry, get_handler, to_entry
from lazytrack.errors import ArtifactLoadError

if TYPE_CHECKING:
    from typing import LiteralString

MOMENT = datetime(2026, 11, 20, 8, 22, 33, 123456, tzinfo=UTC)


class TextHandler(Artifact):
    """What the handlers below have in common."""

    suffix: ClassVar[str] = "txt"
    binary: ClassVar[bool] = False

    @classmethod
    def read(cls, buf: Any, **kwargs: Any) -> Any:
        return buf.read(**kwargs)

    @classmethod
    def write(cls, obj: Any, buf: Any, **kwargs: Any) -> None:
        buf.write(obj, **kwargs)


@attrs.define
class Versioned(TextHandler):
    alias: ClassVar[str] = "plugin-versioned"

    library_version: str = attrs.field(factory=lambda: "1.0")


@attrs.define
class Structured(TextHandler):
    """Its environment has parts that JSON spells otherwise."""

    alias: ClassVar[str] = "plugin-structured"

    version_info: tuple[int, ...] = attrs.field(factory=lambda: (1, 2))
    built_at: datetime | None = attrs.field(factory=lambda: MOMENT)
    options: dict[str, float] = attrs.field(factory=lambda: {"a": 1.5})


@attrs.define
class Checked(TextHandler):
    """Its annotation names what is imported for type checkers alone."""

    alias: ClassVar[str] = "plugin-checked"

    library_version: LiteralString = attrs.field(factory=lambda: "1.0")


@attrs.define
class Untyped(TextHandler):
    alias: ClassVar[str] = "plugin-untyped"

    library_version = attrs.field(factory=lambda: "1.0")


@attrs.define
class Original(TextHandler):
    """As the original's page tells to write one: a mandatory field, which `construct` fills in."""

    alias: ClassVar[str] = "plugin-original"

    library_version: str = attrs.field()

    @classmethod
    def construct(
        cls,
        name: str,
        value: Any | None = None,
        fname: str | None = None,
        created_at: datetime | None = None,
        expiry: datetime | None = None,
        writer_kwargs: dict | None = None,
        version: int = 0,
        dirty: bool = True,
        **kwargs: Any,
    ) -> Original:
        created_at = created_at or MOMENT
        return cls(
            name=name,
            value=value,
            fname=fname or f"{name}-{created_at:%Y%m%d%H%M%S}.{cls.suffix}",
            created_at=created_at,
            expiry=expiry,
            writer_kwargs=writer_kwargs or {},
            version=version,
            dirty=dirty,
            library_version=kwargs.get("library_version") or "1.0",
        )


@pytest.fixture(params=[Versioned, Structured, Checked, Untyped, Original], ids=lambda handler: handler.__name__)
def handler(request, offer):
    return request.param


def saved(shelf, artifact):
    """Write an artifact and return what its record, after a way through a file, says of it."""
    entry = codec.loads(codec.dumps(to_entry(artifact, shelf.write(artifact))))
    return from_entry(artifact.name, entry)


def test_a_plugin_is_found_by_its_alias(handler):
    assert get_handler(handler.alias) is handler


def test_what_a_plugin_writes_it_reads_back(handler, shelf):
    artifact = handler.construct("notes", "zwölf\n")
    assert shelf.read(saved(shelf, artifact)) == "zwölf\n"


def test_the_environment_of_a_plugin_comes_back_as_it_was(handler, shelf):
    artifact = handler.construct("notes", "text")
    loaded = saved(shelf, artifact)
    assert type(loaded) is handler
    assert loaded.environment() == artifact.environment()
    assert loaded == artifact
    check_environment(loaded)


def test_a_whole_number_in_the_environment_stays_equal(shelf, offer):
    artifact = Structured.construct("notes", "text", options={"a": 1})
    assert saved(shelf, artifact) == artifact


def test_an_artifact_of_another_environment_is_told_by_both_values(shelf):
    for handler in (Versioned, Checked, Untyped, Original):
        loaded = saved(shelf, handler.construct("notes", "text", library_version="0.9"))
        with pytest.raises(ArtifactLoadError, match=r"'notes' .*library_version was '0.9' and is '1.0' here"):
            check_environment(loaded)
        assert shelf.read(loaded) == "text"
