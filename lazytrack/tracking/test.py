"""Tests: metrics, parameters and artifacts of a sub-population, within an experiment."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from lazytrack import codec, naming
from lazytrack.artifacts import Shelf
from lazytrack.tracking.ledger import Ledger
from lazytrack.tracking.logged import Logged
from lazytrack.tracking.owned import BaseList

if TYPE_CHECKING:
    from lazytrack.tracking.experiment import Experiment


class Test(Logged):
    """What an experiment shows on one part of its data.

    Parameters
    ----------
    name
        What it is called; several tests of one experiment may share a name.
    description
        A sentence on what it looks at.
    metrics, parameters
        What is logged already.
    """

    __slots__ = ("_experiment",)
    __test__ = False  # pytest looks for classes of this name

    def __init__(
        self,
        name: str,
        description: str | None = None,
        metrics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(Ledger())
        self._experiment: Experiment | None = None
        self._scalars["name"] = codec.text(name, "the name of a test")
        if description is not None:
            self._scalars["description"] = codec.text(description, "the description of a test")
        self.metrics = metrics or {}
        self.parameters = parameters or {}

    @classmethod
    def _load(cls, experiment: "Experiment", prefix: str) -> Self:
        """Return the test whose stored fields begin with `prefix`."""
        test = cls.__new__(cls)
        Logged.__init__(test, experiment._ledger, prefix)
        test._experiment = experiment
        return test

    def _join(self, experiment: "Experiment", prefix: str) -> None:
        """Become part of an experiment: the fields are its from now on, and all of them are changes."""
        scalars, parameters, metrics = (dict(self._section(name)) for name in ("", "parameters.", "metrics."))
        artifacts = self._artifact_map()
        Logged.__init__(self, experiment._ledger, prefix)
        self._experiment = experiment
        self._scalars.update(scalars)
        self.parameters.update(parameters)
        self.metrics.update(metrics)
        self._artifacts = artifacts
        for name in artifacts:
            self._ledger.note(f"{prefix}artifacts.{name}")

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self._scalars.get("name", self._prefix[6:-1]))

    @property
    def description(self) -> str | None:
        """A sentence on what it looks at."""
        return self._scalars.get("description")

    @description.setter
    def description(self, value: str | None) -> None:
        self._scalars["description"] = None if value is None else codec.text(value, "the description of a test")

    def to_dict(self) -> dict[str, Any]:
        """Return the test as plain JSON values."""
        with self._ledger.lock:  # other threads may be logging
            return {
                "name": self.name,
                "description": self.description,
                "metrics": codec.plain(self.metrics, "metrics"),
                "parameters": codec.plain(self.parameters, "parameters"),
                "artifacts": self._artifact_dicts(),
            }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave: what was logged is part of the experiment already."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"

    def _stored(self) -> Mapping[str, Any]:
        return {} if self._experiment is None else self._experiment._stored()

    def _shelf(self) -> Shelf | None:
        return None if self._experiment is None else self._experiment._shelf()


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

    def __init__(self, experiment: "Experiment", kind: type[Test]) -> None:
        self._experiment = experiment
        self._kind = kind
        list.__init__(self, [kind._load(experiment, prefix) for prefix in self._stored_prefixes()])

    def _stored_prefixes(self) -> list[str]:
        """Return what the fields of each stored test begin with: ``tests.women.``."""
        fields = (field.split(".", 2) for field in self._experiment._stored() if field.startswith("tests."))
        return list(dict.fromkeys(f"tests.{parts[1]}." for parts in fields))

    def _convert(self, item: Any) -> Test:
        if not isinstance(item, Test):
            raise TypeError(f"tests hold objects of class Test, not {type(item).__name__}")
        if item._experiment not in {None, self._experiment}:
            raise ValueError(f"test {item.name!r} belongs to another experiment")
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
            for test in [test for key, test in after.items() if key not in before]:
                test._join(self._experiment, self._free_prefix(test))

    def _free_prefix(self, test: Test) -> str:
        """Return a prefix no other test here has: a second test of one name gets ``-2``."""
        taken = {other._prefix for other in self if other is not test}
        slug = naming.slug(test.name, "test")
        prefix, n = f"tests.{slug}.", 1
        while prefix in taken:
            n += 1
            prefix = f"tests.{slug}-{n}."
        return prefix

    def move(self) -> None:
        """Take over what the store says by now. The caller holds the lock."""
        stored = self._stored_prefixes()
        changed = self._experiment._ledger.changed
        for test in list(self):
            if test._prefix in stored or any(field.startswith(test._prefix) for field in changed):
                test._move()
            else:
                list.remove(self, test)
        mine = {test._prefix for test in self}
        list.extend(self, [self._kind._load(self._experiment, prefix) for prefix in stored if prefix not in mine])
