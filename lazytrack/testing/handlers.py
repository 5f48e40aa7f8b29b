"""What lazytrack relies on in an artifact handler, as tests: for those who write one."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest

from lazytrack.artifacts import Artifact, Shelf, check_environment, from_entry, get_handler, to_entry
from lazytrack.artifacts.base import text_or_bytes
from lazytrack.files import Upload, open_files


class HandlerTests:
    """What is relied on in a handler.

    Subclass it, name the class ``Test…``, and state `alias` and `values`; where ``==`` does not tell whether two
    objects are the same, give it a method `is_equal`.
    """

    alias: str
    """Of the handler."""
    values: list[Any]
    """Objects that it keeps, or functions without arguments that make them."""
    refused: tuple[Any, ...] = ()
    """Objects that it does not keep: `write` raises `TypeError`."""

    def is_equal(self, loaded: Any, value: Any) -> bool:
        """Tell whether what was loaded is what was written."""
        return bool(loaded == value)

    @pytest.fixture
    def handler(self) -> type[Artifact]:
        """Return the handler's class."""
        return get_handler(self.alias)

    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Shelf:
        """Return where artifacts are written."""
        return Shelf(open_files(tmp_path / "store"))

    def _made(self) -> list[Any]:
        return [value() if callable(value) and not isinstance(value, type) else value for value in self.values]

    def test_its_class_says_what_it_has_to(self, handler: type[Artifact]) -> None:
        assert issubclass(handler, Artifact)
        assert handler.alias == self.alias
        assert isinstance(handler.suffix, str)
        assert not handler.suffix.startswith(".")
        assert isinstance(handler.binary, bool)
        assert isinstance(handler.output_only, bool)
        assert isinstance(handler.executes_code, bool)

    def test_what_it_writes_it_reads_back(self, handler: type[Artifact], shelf: Shelf) -> None:
        for number, value in enumerate(self._made()):
            handler.check_value(value)
            artifact = handler.construct(name=f"value {number}", value=value)
            artifact.stored = shelf.write(artifact)
            loaded = shelf.read(artifact)
            if not handler.output_only:
                assert self.is_equal(loaded, value)

    def test_it_writes_to_what_can_only_be_written_to_once(self, handler: type[Artifact]) -> None:
        """Uploads cannot be searched, and take what they are given in any pieces."""
        for value in self._made():
            sink = io.BytesIO()
            upload = Upload(sink)
            with text_or_bytes(io.BufferedWriter(upload, 64), binary=handler.binary) as buf:
                handler.write(value, buf)
            assert upload.size == len(sink.getvalue())
            assert upload.size or not value

    def test_a_stored_one_is_the_same_in_this_environment(self, handler: type[Artifact], shelf: Shelf) -> None:
        artifact = handler.construct(name="value", value=self._made()[0])
        entry = to_entry(artifact, shelf.write(artifact))
        found = from_entry("value", entry)
        assert type(found) is type(artifact)
        assert found == artifact
        assert (found.name, found.fname, found.version) == (artifact.name, artifact.fname, artifact.version)
        assert found.created_at == artifact.created_at
        check_environment(found)
        assert found.value is None
        if not handler.output_only:
            assert self.is_equal(shelf.read(found), self._made()[0])

    def test_another_environment_is_told_apart(self, handler: type[Artifact]) -> None:
        present = handler.construct(name="value")
        assert present == handler.construct(name="other")
        for field in handler.environment_fields():
            changes: dict[str, Any] = {field: "another one"}
            assert attrs.evolve(present, **changes) != present

    def test_one_with_its_value_can_be_pickled(self, handler: type[Artifact]) -> None:
        for value in self._made():
            artifact = handler.construct(name="value", value=value)
            again = pickle.loads(pickle.dumps(artifact))
            assert type(again) is type(artifact)
            if handler.output_only:  # what cannot be read back travels as the object itself
                assert type(again.value) is type(value)
            else:
                assert self.is_equal(again.value, value)

    def test_what_it_does_not_keep_is_refused_and_leaves_no_file(
        self, handler: type[Artifact], shelf: Shelf, tmp_path: Path
    ) -> None:
        for value in self.refused:
            with pytest.raises(TypeError):
                shelf.write(handler.construct(name="value", value=value))
        assert [name for _, _, names in os.walk(tmp_path) for name in names] == []
