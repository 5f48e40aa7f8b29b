"""Tests: metrics, parameters and artifacts of a sub-population, within an experiment."""

import contextlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from lazytrack import codec, naming
from lazytrack.artifacts import Artifact
from lazytrack.files import open_files
from lazytrack.series import Columns
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import SECTIONS
from lazytrack.tracking.measured import Measured
from lazytrack.tracking.owned import BaseList
from lazytrack.tracking.owner import Owner

if TYPE_CHECKING:
    from lazytrack.tracking.record import Record


class Test(Measured):
    """What an experiment shows on one part of its data.

    Made by `Experiment.log_test`, or directly and then appended to the `tests` of an experiment. Two tests are equal
    when what they hold is.

    Parameters
    ----------
    name
        What it is called; several tests of one experiment may share a name.
    description
        A sentence on what it looks at.
    metrics, parameters, artifacts
        What is logged already.
    path, fs
        A folder and the fsspec filesystem it is on, shown by the attributes of these names until the test belongs to
        an experiment; then they are the experiment's.
    """

    __slots__ = ("_experiment", "_fs", "_path", "_source")
    __test__ = False  # pytest looks for classes of this name

    def __init__(
        self,
        name: str,
        description: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        artifacts: Iterable[Artifact] = (),
        path: str | os.PathLike[str] = ".",
        fs: Any = None,
    ) -> None:
        super().__init__(Ledger())
        self._experiment: Record | None = None
        self._path, self._fs = os.fspath(path), fs
        self._source: Owner | None = None
        self._scalars["name"] = codec.text(name, "the name of a test")
        if description is not None:
            self._scalars["description"] = codec.text(description, "the description of a test")
        self.log_metrics(metrics or {})
        self.log_parameters(parameters or {})
        for artifact in artifacts:
            self._put_artifact(artifact.name, artifact)

    @classmethod
    def _load(cls, experiment: "Record", prefix: str) -> Self:
        """Return the test whose stored fields begin with `prefix`."""
        test = cls.__new__(cls)
        Measured.__init__(test, experiment._ledger, prefix)
        test._experiment = experiment
        test._path, test._fs, test._source = ".", None, None
        return test

    def _belong(self, experiment: "Record | None", prefix: str) -> None:
        """Become part of an experiment, or of none: all it holds is a change there from now on."""
        ledger = Ledger() if experiment is None else experiment._ledger
        sections = [(name, self._section(name)) for name in SECTIONS]
        artifacts = self._artifact_map()
        histories = {} if self._experiment is None else self._all_points()
        self._source = self._place_of_files()
        self._experiment, self._ledger, self._prefix = experiment, ledger, prefix
        for name, section in sections:
            section.rebind(ledger, prefix + name)
        for name in artifacts:
            ledger.note(f"{prefix}artifacts.{name}")
        self._move_points(histories)
        if experiment is None or self._source is None or self._source is experiment._owner:
            return
        for artifact in artifacts.values():
            if artifact.stored is not None and not artifact.dirty:
                experiment._owner._fetch_later(artifact.stored, self._source)

    def _place_of_files(self) -> Owner | None:
        """Return where the files of its stored artifacts are."""
        return self._source if self._experiment is None else self._experiment._owner

    @property
    def _whole(self) -> "Record | None":
        return self._experiment

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self._scalars.get("name", self._prefix[6:-1]))

    @property
    def description(self) -> str | None:
        """A sentence on what it looks at."""
        return self._text("description")

    @description.setter
    def description(self, value: str | None) -> None:
        self._scalars["description"] = None if value is None else codec.text(value, "the description of a test")

    @property
    def path(self) -> str:
        """The folder of the artifact files of its experiment."""
        return self._path if self._experiment is None else self._experiment.path

    @property
    def fs(self) -> Any:
        """The fsspec filesystem of its experiment."""
        if self._experiment is not None:
            return self._experiment.fs
        return open_files(self._path).fs if self._fs is None else self._fs

    def to_dict(self) -> dict[str, Any]:
        """Return the test as plain JSON values."""
        with self._ledger.lock:  # other threads may be logging
            return {
                "name": self.name,
                "description": self.description,
                "metrics": self._plain("metrics."),
                "parameters": self._plain("parameters."),
                "artifacts": self._artifact_dicts(),
            }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Test):
            return NotImplemented
        return self is other or self._contents() == other._contents()

    def __hash__(self) -> int:
        return hash(self.name)

    def _contents(self) -> Any:
        """Return what makes two tests equal. NaN is equal to NaN there."""
        return codec.store(self.to_dict() | {"artifacts": []}), self.artifacts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave: what was logged is part of the experiment already."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as what it holds. Elsewhere it belongs to no experiment before it is appended to one."""
        with self._ledger.lock:
            contents = self.name, self.description, dict(self.metrics), dict(self.parameters), list(self.artifacts)
            histories = {n: (p.step.tolist(), p.time.tolist(), p.value.tolist()) for n, p in self._all_points().items()}
            files = [artifact.stored for artifact in self.artifacts if artifact.stored is not None]
            source = self._place_of_files()
            place = None if source is None else source._place(files)
            return _arrive, ((*contents, self.path), histories, place)


def _arrive(contents: tuple[Any, ...], histories: Mapping[str, Any], source: Owner | None) -> Test:
    """Return a copy of a test of another process."""
    test = Test(*contents)
    test._source = source
    test._move_points({name: Columns(*columns) for name, columns in histories.items()})
    return test


class ReadOnlyTest(Test):
    """A test of an experiment that was opened for reading only."""

    __slots__ = ()


class Tests(BaseList):
    """The tests of an experiment; which are in the list is noted like any change.

    Parameters
    ----------
    experiment
        Whose they are.
    kind
        Of those that are stored.
    """

    __slots__ = ("_experiment", "_kind")

    def __init__(self, experiment: "Record", kind: type[Test]) -> None:
        self._experiment = experiment
        self._kind = kind
        list.__init__(self, [kind._load(experiment, prefix) for prefix in self._stored_prefixes()])

    def _stored_prefixes(self, but: Container[str] = ()) -> list[str]:
        """Return what the fields of each stored test begin with, ``tests.women.``; fields in `but` do not count."""
        stored = self._experiment._stored()
        fields = (field.split(".", 2) for field in stored if field.startswith("tests.") and field not in but)
        return list(dict.fromkeys(f"tests.{parts[1]}." for parts in fields))

    def _convert(self, item: Any) -> Test:
        if not isinstance(item, Test):
            raise TypeError(f"tests hold objects of class Test, not {type(item).__name__}")
        if item._experiment is not None and item._experiment is not self._experiment:
            raise ValueError(f"test {item.name!r} belongs to another experiment: append a copy, copy.copy(test)")
        return item

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        ledger = self._experiment._ledger
        with ledger.lock:
            ledger.check()
            before = {id(test): test for test in self}
            yield
            after = {id(test): test for test in self}
            for test in [test for key, test in before.items() if key not in after]:
                for field in test._all_fields():
                    ledger.note(field)
                test._belong(None, "")
            for test in [test for key, test in after.items() if key not in before]:
                test._belong(self._experiment, self._free_prefix(test))

    def _free_prefix(self, test: Test) -> str:
        """Return a prefix no other test here has, nor had one with a history: a second test of one name gets ``-2``."""
        taken = {other._prefix for other in self if other is not test}
        slug = naming.slug(test.name, "test")
        prefix, n = f"tests.{slug}.", 1
        while prefix in taken or self._experiment._has_history_below(prefix):
            n += 1
            prefix = f"tests.{slug}-{n}."
        return prefix

    def with_prefix(self, prefix: str) -> Test | None:
        """Return the test whose fields begin with `prefix`, None where there is none."""
        return next((test for test in self if test._prefix == prefix), None)

    def at(self, prefix: str) -> Test:
        """Return the test whose fields begin with `prefix`; where there is none, add one. The caller holds the lock."""
        test = self.with_prefix(prefix)
        if test is None:
            test = self._kind._load(self._experiment, prefix)
            list.append(self, test)
        return test

    def move(self) -> None:
        """Take over what the store says by now. The caller holds the lock."""
        changed = self._experiment._ledger.changed
        stored = self._stored_prefixes(changed)  # of one that was taken out here, all fields are changes
        noted = {".".join(field.split(".", 2)[:2]) + "." for field in changed if field.startswith("tests.")}
        kept = [test for test in self if test._prefix in noted or test._prefix in stored]
        for test in kept:
            test._move()
        mine = {test._prefix for test in kept}
        new = [self._kind._load(self._experiment, prefix) for prefix in stored if prefix not in mine]
        list.__setitem__(self, slice(None), [*kept, *new])
