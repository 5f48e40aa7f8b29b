"""What stands in a pipeline for a value that is kept: the output of a step, an item of it, or what no step has made."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from lazytrack.artifacts.loading import load
from lazytrack.steps.annotations import show
from lazytrack.tracking.logged import MISSING
from lazytrack.tracking.placed import Entry

if TYPE_CHECKING:
    from lazytrack.steps.invocation import Invocation
    from lazytrack.tracking.owner import Owner

_SCALARS = (int, float, str, bool, type(None))


class OutputArtifact:
    """One output of a step that has run: what a pipeline passes on, and loads when it wants to look.

    Parameters
    ----------
    name
        Of the output.
    step
        Which call it is of, by its invocation id.
    """

    def __init__(
        self, name: str, step: str, *, source: "ArtifactSource | None", invocation: "Invocation | None"
    ) -> None:
        self.name = name
        self.step = step
        self._source = source
        """Where it is; None where the step has not made it."""
        self._invocation = invocation

    @property
    def uri(self) -> str:
        """The path or URL of its file."""
        return self._there().uri

    @property
    def type(self) -> str:
        """The alias of the handler that keeps it."""
        return str(self._there().entry.said["handler"])

    def load(self, disable_cache: bool = False) -> Any:
        """Return the value, read from its file.

        Parameters
        ----------
        disable_cache
            Read plain values, which are kept, too.

        Raises
        ------
        ArtifactLoadError
            When its file is gone or altered.
        Exception
            What the step raised, where that is why there is none.
        """
        return self._there().load(anew=disable_cache)

    def _there(self) -> "ArtifactSource":
        if self._source is None:
            if self._invocation is not None:
                self._invocation.raise_failure()
            raise RuntimeError(f"step {self.step!r} has no output {self.name!r}: it did not run")
        return self._source

    def __bool__(self) -> bool:
        raise TypeError(
            f"output {self.name!r} of step {self.step!r} is a handle, which is neither true nor false: "
            "look at the value with .load()"
        )

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"output {self.__dict__.get('name')!r} of step {self.__dict__.get('step')!r} is a handle, which has no "
            f"{name!r}: look at the value with .load()"
        )

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"output {self.name!r} of step {self.step!r} is a handle: iterate over .load(), or map a step over it"
        )

    def __repr__(self) -> str:
        return f"OutputArtifact(name={self.name!r}, step={self.step!r})"


class ArtifactSource:
    """Where the value of a handle is read from. It can go to another process.

    Parameters
    ----------
    owner
        The project.
    record
        The slug of the run.
    entry
        What that says of it.
    producer
        The id of the step that made it.
    data_type
        The dotted class of the value.
    value
        What it is, where that is a plain one.
    """

    def __init__(
        self,
        owner: "Owner",
        record: str,
        entry: Entry,
        *,
        producer: str | None = None,
        data_type: str | None = None,
        value: Any = MISSING,
    ) -> None:
        self.owner, self.record, self.entry = owner, record, entry
        self.producer, self.data_type = producer, data_type
        self._value = value if type(value) in _SCALARS else MISSING

    @property
    def uri(self) -> str:
        """The path or URL of the file."""
        return self.owner._shelf.where(self.entry.path)

    @property
    def content(self) -> str:
        """What tells its content: the digest of its file, and how that is read."""
        return f"{self.entry.said['handler']} {self.entry.digest}"

    def load(self, *, anew: bool = False) -> Any:
        """Return the value."""
        if self._value is not MISSING and not anew:
            return self._value
        artifact = self.entry.artifact(self.record)
        what = f"output {self.entry.name!r} of {self.record}"
        return load(artifact, self.owner._shelf_of(artifact), {}, what=what, validate=True, trust=False)

    def said(self, run: str) -> dict[str, Any]:
        """Return how a step of a run names it as its input."""
        return ({} if self.record == run else {"run": self.record}) | {"artifact": self.entry.name}


class Item:
    """Where one item of an output is that is a list. It can go to another process.

    Parameters
    ----------
    whole
        Where the list is.
    index
        Which item it is.
    value
        The item; each call is given a copy.
    content
        What tells it from others.
    """

    def __init__(self, whole: ArtifactSource, index: int, value: Any, content: str) -> None:
        self.whole, self.index, self.content = whole, index, content
        self._value = value

    @property
    def uri(self) -> str:
        """The path or URL of the file of the list that it is in."""
        return self.whole.uri

    def load(self) -> Any:
        """Return a copy of the item."""
        return copy.deepcopy(self._value)


class Chunk:
    """One item of an output that is a list: what `map` makes of it.

    Parameters
    ----------
    handle
        Of the list.
    item
        Which one.
    """

    def __init__(self, handle: OutputArtifact, item: Item) -> None:
        self.handle, self.item = handle, item

    def __repr__(self) -> str:
        return f"{self.handle!r}[{self.item.index}]"


@attrs.frozen
class unmapped:  # noqa: N801  (a published name)
    """Marks a value that each call of a map is given as it is: ``train.map(rate=[1, 2], data=unmapped(rows))``.

    Parameters
    ----------
    value
        What each call is given.
    """

    value: Any


@attrs.frozen(kw_only=True)
class ExternalArtifact:
    """A value that becomes an artifact and then the input of a step: what JSON cannot hold and no step has made.

    Parameters
    ----------
    value
        The object.
    materializer
        The handler that keeps it, by alias or class; by default one is chosen by its type.
    """

    value: Any = attrs.field(repr=show)
    materializer: Any = None
