"""The decorator that makes a step of a function."""

import functools
import inspect
import operator
import types
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Unpack, overload

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.annotations import show
from lazytrack.steps.base import BaseStep
from lazytrack.steps.configuration import StepConfiguration
from lazytrack.steps.options import Options


@overload
def step(function: Callable[..., Any], /) -> "FunctionStep": ...
@overload
def step(**options: Unpack[Options]) -> "Callable[[Callable[..., Any]], FunctionStep]": ...
@overload
def step(function: None, /, **options: Unpack[Options]) -> "Callable[[Callable[..., Any]], FunctionStep]": ...
@overload
def step(function: Callable[..., Any], /, **options: Unpack[Options]) -> "FunctionStep": ...


def step(
    function: Callable[..., Any] | None = None, /, **options: Unpack[Options]
) -> "FunctionStep | Callable[[Callable[..., Any]], FunctionStep]":
    """Make a step of a function, as ``@step`` or ``@step(enable_cache=False)``.

    Parameters
    ----------
    function
        With named arguments; its annotations say what it takes and returns.
    options
        See `StepConfiguration`; for what is raised see `BaseStep`.

    Examples
    --------
    >>> from typing import Annotated
    >>> from lazytrack.steps import step
    >>> @step(parameters={"share": 0.25})
    ... def split(rows: list[int], share: float) -> tuple[Annotated[list, "train"], Annotated[list, "test"]]:
    ...     cut = int(len(rows) * share)
    ...     return rows[cut:], rows[:cut]
    >>> split.call_entrypoint(rows=["1", "2", "3", "4"])
    ([2, 3, 4], [1])
    >>> list(split.interface.outputs)
    ['train', 'test']
    """
    if function is not None:
        return FunctionStep(function, options, _variables(function))

    def decorate(function: Callable[..., Any]) -> FunctionStep:
        return FunctionStep(function, options, _variables(function))

    return decorate


def _variables(function: Any) -> Mapping[str, Any]:
    """Return what annotations of a local function may name: the variables of the function that it is defined in.

    That is the caller's caller; other places do not see them.
    """
    frame = inspect.currentframe()
    caller = frame and frame.f_back and frame.f_back.f_back
    return dict(caller.f_locals) if caller and "<locals>" in getattr(function, "__qualname__", "") else {}


class FunctionStep(BaseStep):
    """A step whose code is a function; see `step`."""

    def __init__(self, function: Callable[..., Any], options: Options, names: Mapping[str, Any]) -> None:
        if not isinstance(function, types.FunctionType):
            raise StepInterfaceError(_refusal(function, options.get("name")))
        functools.update_wrapper(self, function)
        self._function = function
        self._make(options, names)
        self._declared = self._configuration

    @property
    def entrypoint(self) -> Callable[..., Any]:
        """The function."""
        return self._function

    @property
    def _default_name(self) -> str:
        return self._function.__name__

    @property
    def _code(self) -> Callable[..., Any]:
        return self._function

    @property
    def docstring(self) -> str | None:
        """What the function says about itself."""
        return self._function.__doc__

    def __deepcopy__(self, memo: dict[int, Any]) -> "FunctionStep":
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle where the step is found in its module, else its function; and the options where they are others.

        The function itself cannot be found where the step has taken its name.
        """
        module, name = self._function.__module__, self._function.__qualname__
        try:
            there = _find(module, name)
        except (ImportError, AttributeError):
            there = None
        if not isinstance(there, FunctionStep) or there._function is not self._function:
            return _of_function, (self._function, self._configuration)
        is_that = there is self and self._configuration is self._declared
        return _of_module, (module, name, None if is_that else self._configuration)


def _find(module: str, name: str) -> Any:
    return operator.attrgetter(name)(import_module(module))


def _of_module(module: str, name: str, configuration: StepConfiguration | None) -> FunctionStep:
    """Return the step that a module has under a name, or one that is configured otherwise."""
    there = _find(module, name)
    if not isinstance(there, FunctionStep):
        raise StepInterfaceError(f"step {name!r} of another process is no step in the module {module!r} of this one")
    return there if configuration is None else _configured(there.__copy__(), configuration)


def _of_function(function: Callable[..., Any], configuration: StepConfiguration) -> FunctionStep:
    return _configured(FunctionStep(function, {}, {}), configuration)


def _configured(step: FunctionStep, configuration: StepConfiguration) -> FunctionStep:
    step._configuration = configuration
    return step


def _refusal(given: Any, name: Any) -> str:
    name = name if isinstance(name, str) else getattr(given, "__name__", None)
    said = f"step {name!r}" if name else "a step"
    match given:
        case BaseStep():
            hint = f"it is one already: {given.name}.with_options(...) makes another of it"
        case str():
            hint = f"to name one, write @step(name={given!r})"
        case type():
            hint = "make the class a subclass of BaseStep with a method entrypoint"
        case _:
            hint = "define one with def, and call in it what you have"
    return f"{said} cannot be made of {show(given)}, which is no function: {hint}"
