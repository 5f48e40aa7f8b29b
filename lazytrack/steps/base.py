"""What every step is: an entrypoint with an interface and a configuration, which can be called, in a run or without."""

import abc
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, Unpack

from lazytrack.steps.configuration import StepConfiguration
from lazytrack.steps.context import run_here, step_here
from lazytrack.steps.interface import StepInterface, read_interface
from lazytrack.steps.options import Options, check_options
from lazytrack.steps.parameters import gather
from lazytrack.steps.source import source_of

if TYPE_CHECKING:
    from lazytrack.steps.futures import MapResultsFuture, StepFuture
    from lazytrack.steps.run import Run

_NO_NAMES: Mapping[str, Any] = MappingProxyType({})
_READ_ANEW = ("_interface", "_source", "source_code")
"""What a step that arrives in another process reads there from its own code."""


class BaseStep(abc.ABC):
    """A step; this kind of step is a class with its code in a method `entrypoint`. Of functions, `step` makes some.

    Parameters
    ----------
    options
        See `StepConfiguration`.

    Raises
    ------
    TypeError
        When there is no `entrypoint`, or an option is of another type.
    StepInterfaceError
        When no step can have the entrypoint's signature, or there is no such option, parameter or output.
    ValueError
        When an option cannot have that value.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        self._make(options)

    def _make(self, options: Mapping[str, Any], names: Mapping[str, Any] = _NO_NAMES) -> None:
        """Read what there is to the step, then configure it; for `names` see `read_interface`."""
        given = options.get("name")
        step = given if isinstance(given, str) and given.strip() else self._default_name
        self._read(step, names)
        self._configuration = StepConfiguration().changed(check_options(options, step, self._interface))

    def _read(self, step: str, names: Mapping[str, Any] = _NO_NAMES) -> None:
        self._interface = read_interface(self.entrypoint, step, names)
        self._source = source_of(self._code)

    @abc.abstractmethod
    def entrypoint(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the step does. A subclass names each argument."""

    @property
    def _default_name(self) -> str:
        return type(self).__name__

    @property
    def _code(self) -> Callable[..., Any] | type:
        """Whose source is the step's."""
        return type(self)

    # --- what it is ---

    @property
    def name(self) -> str:
        """The configured name, else that of its function or class."""
        return self._configuration.name or self._default_name

    @property
    def enable_cache(self) -> bool | None:
        """Whether outputs of an earlier run may be taken; None where that is not set."""
        return self._configuration.enable_cache

    @property
    def configuration(self) -> StepConfiguration:
        """All options."""
        return self._configuration

    @property
    def interface(self) -> StepInterface:
        """What it takes and returns."""
        return self._interface

    @property
    def docstring(self) -> str | None:
        """What its function or class says about itself, else its entrypoint."""
        return type(self).__doc__ or self.entrypoint.__doc__

    @functools.cached_property
    def source_code(self) -> str:
        """The source of its function or class as it was when the step was made, without decorators and margin.

        Raises
        ------
        OSError
            When there is none, as for what was typed into `exec`.
        """
        return self._source.text()

    def __repr__(self) -> str:
        return f"<step {self.name!r}>"

    def __getattr__(self, name: str) -> Any:
        if name in {"_configuration", "_interface", "_source"}:
            raise AttributeError(
                f"step {type(self).__name__} is not made yet: its __init__ has to call super().__init__(**options)"
            )
        raise AttributeError(f"step {type(self).__name__} has no attribute {name!r}")

    # --- configuring ---

    def configure(self, *, merge: bool = True, **options: Unpack[Options]) -> Self:
        """Change options of this step, and return it. One that is left out stays; None resets one.

        Parameters
        ----------
        merge
            Add to dicts and secrets that are configured already, instead of replacing them.
        options
            See `StepConfiguration`. When one is refused, nothing is changed; for what is raised see the class.
        """
        checked = check_options(options, self.name, self._interface)
        self._configuration = self._configuration.changed(checked, merge=merge)
        return self

    def with_options(self, *, merge: bool = True, **options: Unpack[Options]) -> Self:
        """Return a copy of this step with other options, as `configure` takes them; this one stays as it is."""
        return self.__copy__().configure(merge=merge, **options)

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    # --- calling ---

    def call_entrypoint(self, *args: Any, **kwargs: Any) -> Any:
        """Call the entrypoint and return what it returns; nothing is recorded.

        Arguments are coerced to what their annotations say. Those that are not given are configured parameters, else
        defaults.

        Raises
        ------
        StepInterfaceError
            When an argument or an output is not as declared.
        """
        given = gather(self._interface, self.name, args, kwargs, self._configuration.parameters)
        values = {name: self._interface.inputs[name].coerce(value, self.name) for name, value in given.items()}
        returned = self._interface.call(self.entrypoint, values)
        self._interface.outputs_in(returned, self.name)
        return returned

    def __call__(self, *args: Any, id: str | None = None, after: Any = None, **kwargs: Any) -> Any:
        """Run the step.

        In the body of a pipeline it runs now, and the handle of its output is returned: `.load()` gives the value. In
        another step it is a plain call of the entrypoint. Elsewhere it is a run of its own, which is recorded in the
        active project, and the value is returned.

        Parameters
        ----------
        id
            What the run calls this call; by default the name of the step, and ``<name>_2`` and so on.
        after
            What has to end before: ids, handles, futures, results of maps, or lists of them.

        Returns
        -------
        object
            Of several outputs a tuple, of none None.

        Raises
        ------
        StepInterfaceError
            When an argument is not as declared, before anything runs.
        Exception
            What the step raises.
        """
        if step_here.get() is not None:
            return self.call_entrypoint(*args, **kwargs)
        run = run_here.get()
        if run is not None:
            return run.call(self, args, kwargs, id=id, after=after)
        if after is not None:
            raise RuntimeError(f"step {self.name!r}: after= is for calls in the body of a pipeline")
        from lazytrack.steps.alone import call_alone  # noqa: PLC0415  (what runs steps is loaded when one runs)

        return call_alone(self, args, kwargs, id=id)

    def submit(
        self, *args: Any, id: str | None = None, after: Any = None, executor: Any = None, **kwargs: Any
    ) -> "StepFuture":
        """Have the step run while the body of the pipeline goes on; arguments may be futures.

        Parameters
        ----------
        id, after
            As for a call.
        executor
            Where it runs, instead of where the pipeline says; see `pipeline`.

        Raises
        ------
        RuntimeError
            When this is not the body of a pipeline.
        StepInterfaceError
            When an argument is not as declared, before anything runs.
        """
        return self._run_for("submit").submit(self, args, kwargs, id=id, after=after, executor=executor)

    def map(self, *args: Any, after: Any = None, executor: Any = None, **kwargs: Any) -> "MapResultsFuture":
        """Have the step run for each item of its arguments: the first of each together, the second, and so on.

        Mapped over are lists and tuples, outputs that are some, lists of handles or futures, and results of other
        maps. Everything else is given to each call, and so is what is marked by `unmapped`.

        Raises
        ------
        ValueError
            When the lengths differ, or there is nothing to map over.
        RuntimeError
            When this is not the body of a pipeline.
        """
        return self._run_for("map").map(self, args, kwargs, after=after, crossed=False, executor=executor)

    def product(self, *args: Any, after: Any = None, executor: Any = None, **kwargs: Any) -> "MapResultsFuture":
        """Have the step run for each combination of items of its arguments, the leftmost varying slowest; see `map`."""
        return self._run_for("product").map(self, args, kwargs, after=after, crossed=True, executor=executor)

    def _run_for(self, what: str) -> "Run":
        run = run_here.get()
        if run is None or step_here.get() is not None:
            where = "a running step" if step_here.get() is not None else "no pipeline"
            raise RuntimeError(
                f"step {self.name!r}: {what}() is for the body of a pipeline, and this is {where}: "
                "call the step, or make the function that does this a @pipeline"
            )
        return run

    # --- travelling ---

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _READ_ANEW}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._read(self.name)
