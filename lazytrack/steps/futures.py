"""What stands in a pipeline for the outputs of steps that may be running still."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from lazytrack.steps.handles import OutputArtifact

if TYPE_CHECKING:
    from lazytrack.steps.invocation import Invocation


class _OfCall:
    """What is known of a call of a step that may be running still."""

    def __init__(self, invocation: "Invocation") -> None:
        self._invocation = invocation

    @property
    def invocation_id(self) -> str:
        """Which call of a step it is."""
        return self._invocation.key

    def running(self) -> bool:
        """Tell whether the step has yet to end."""
        return not self._invocation.is_over

    def wait(self) -> None:
        """Wait until the step has ended.

        Raises
        ------
        Exception
            What the step raised.
        """
        self._invocation.wait()

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is neither true nor false: look at the value with .load()")


class ArtifactFuture(_OfCall):
    """One output of a step that may be running still.

    Parameters
    ----------
    invocation
        Which call of a step it is of.
    name
        Of the output.
    """

    def __init__(self, invocation: "Invocation", name: str) -> None:
        super().__init__(invocation)
        self.name = name

    def result(self) -> OutputArtifact:
        """Return the handle, when the step has completed.

        Raises
        ------
        Exception
            What the step raised.
        """
        self._invocation.wait()
        return self._invocation.outputs[self.name]

    def load(self) -> Any:
        """Return the value, when the step has completed; for what is raised see `result`."""
        return self.result().load()

    def __repr__(self) -> str:
        return f"ArtifactFuture(invocation_id={self.invocation_id!r}, name={self.name!r})"


class StepFuture(_OfCall):
    """A call of a step that was submitted, and may be running still."""

    def result(self) -> Any:
        """Return the handle of the step's output, a tuple of several, or None; for what is raised see `wait`."""
        self._invocation.wait()
        return self._invocation.handles()

    artifacts = result

    def load(self) -> Any:
        """Return the value of the step's output, a tuple of several, or None; for what is raised see `wait`."""
        result = self.result()
        if isinstance(result, tuple):
            return tuple(handle.load() for handle in result)
        return None if result is None else result.load()

    def get_artifact(self, name: str) -> ArtifactFuture:
        """Return one output by its name.

        Raises
        ------
        KeyError
            When there is none of that name.
        """
        if name not in self._invocation.output_names:
            known = ", ".join(map(repr, self._invocation.output_names)) or "none"
            raise KeyError(f"step {self.invocation_id!r} has no output {name!r}; known: {known}")
        return ArtifactFuture(self._invocation, name)

    @overload
    def __getitem__(self, key: int) -> ArtifactFuture: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[ArtifactFuture, ...]: ...
    def __getitem__(self, key: int | slice) -> ArtifactFuture | tuple[ArtifactFuture, ...]:
        return tuple(self)[key]

    def __iter__(self) -> Iterator[ArtifactFuture]:
        return (ArtifactFuture(self._invocation, name) for name in self._invocation.output_names)

    def __len__(self) -> int:
        return len(self._invocation.output_names)

    def __repr__(self) -> str:
        return f"StepFuture(invocation_id={self.invocation_id!r}, running={self.running()})"


class MapResultsFuture(Sequence[StepFuture]):
    """The calls that `map` or `product` have made, in the order of their inputs.

    Parameters
    ----------
    futures
        One of each call.
    outputs
        How many outputs each has.
    """

    def __init__(self, futures: Sequence[StepFuture], outputs: int) -> None:
        self.futures = list(futures)
        self._outputs = outputs

    def running(self) -> bool:
        """Tell whether one of them has yet to end."""
        return any(future.running() for future in self.futures)

    def wait(self) -> None:
        """Wait until all have ended.

        Raises
        ------
        Exception
            What the first of them raised that failed, when all have ended. Who is told of it is told of all.
        """
        calls = [future._invocation for future in self.futures]
        for call in calls:
            call.settle()
        for call in calls:
            call.run.is_told_of(call)
        for call in calls:
            call.raise_failure()

    def result(self) -> list[Any]:
        """Return of each call what `StepFuture.result` does; for what is raised see `wait`."""
        self.wait()
        return [future.result() for future in self.futures]

    artifacts = result

    def load(self) -> list[Any]:
        """Return of each call the value, or a tuple of them; for what is raised see `wait`."""
        self.wait()
        return [future.load() for future in self.futures]

    def unpack(self) -> tuple[list[ArtifactFuture], ...]:
        """Return a list for each output of the step, with that output of each call."""
        return tuple([future[place] for future in self.futures] for place in range(self._outputs))

    @overload
    def __getitem__(self, key: int) -> StepFuture: ...
    @overload
    def __getitem__(self, key: slice) -> list[StepFuture]: ...
    def __getitem__(self, key: int | slice) -> StepFuture | list[StepFuture]:
        return self.futures[key]

    def __iter__(self) -> Iterator[StepFuture]:
        return iter(self.futures)

    def __len__(self) -> int:
        return len(self.futures)

    def __repr__(self) -> str:
        return f"MapResultsFuture({len(self)} calls, running={self.running()})"
