"""What a step takes and returns, read from its entrypoint's signature once."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.annotations import Coercer, accepts, bare, describe, resolved, show

REQUIRED = inspect.Parameter.empty
"""Stands for the default of an argument that has none."""
RESERVED = {"after", "executor", "id"}
"""Names that belong to the call of a step, not to its arguments."""


@attrs.frozen(kw_only=True)
class Input:
    """One argument of a step.

    Parameters
    ----------
    name
        As the entrypoint calls it.
    annotation
        Any where there is none.
    default
        `REQUIRED` where there is none.
    """

    name: str
    annotation: Any = Any
    default: Any = REQUIRED
    _coerce: Coercer = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_coerce", Coercer(self.annotation))

    def coerce(self, value: Any, step: str) -> Any:
        """Return a value as the entrypoint wants it: ``"3"`` where an int is wanted is 3.

        None passes where it is the default, whatever the annotation says.

        Raises
        ------
        StepInterfaceError
            When it does not match the annotation.
        """
        if value is None and self.default is None:
            return None
        try:
            return self._coerce(value)
        except ValueError as error:
            more = f" ({error})" if str(error) else ""
            raise StepInterfaceError(
                f"step {step!r}, argument {self.name!r}: expected {describe(self.annotation)}, found {show(value)}"
                + more
            ) from None


@attrs.frozen(kw_only=True)
class Output:
    """One value that a step returns.

    Parameters
    ----------
    name
        By the annotation: ``output``, ``output_0``, or as `typing.Annotated` says.
    annotation
        Any where there is none.
    """

    name: str
    annotation: Any = Any


@attrs.frozen(kw_only=True)
class StepInterface:
    """What a step takes and returns.

    Parameters
    ----------
    signature
        Of the entrypoint.
    inputs, outputs
        By name, as they are declared.
    is_tuple
        Whether the outputs are the items of a tuple, not one value.
    """

    signature: inspect.Signature
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    is_tuple: bool = False

    @functools.cached_property
    def by_place(self) -> list[str]:
        """The arguments that cannot be given by their names."""
        parameters = self.signature.parameters.items()
        return [name for name, parameter in parameters if parameter.kind is inspect.Parameter.POSITIONAL_ONLY]

    def call(self, entrypoint: Callable[..., Any], values: Mapping[str, Any]) -> Any:
        """Call the entrypoint with the values of its arguments by name."""
        by_name = {name: value for name, value in values.items() if name not in self.by_place}
        return entrypoint(*(values[name] for name in self.by_place), **by_name)

    def outputs_in(self, returned: Any, step: str) -> dict[str, Any]:
        """Return the values of the outputs, by name, that an entrypoint has returned. Nothing is coerced.

        Raises
        ------
        StepInterfaceError
            When there are too few or too many, or one is of another type than declared.
        """
        if not self.outputs:
            if returned is not None:
                raise StepInterfaceError(f"step {step!r} is declared to return nothing, but returned {show(returned)}")
            return {}
        values: Sequence[Any] = (returned,)
        if self.is_tuple:
            names = ", ".join(self.outputs)
            if not isinstance(returned, (tuple, list)):
                raise StepInterfaceError(
                    f"step {step!r}: expected a tuple of {len(self.outputs)} outputs ({names}), found {show(returned)}"
                )
            if len(returned) != len(self.outputs):
                raise StepInterfaceError(
                    f"step {step!r}: expected {len(self.outputs)} outputs ({names}), found {len(returned)}"
                )
            values = returned
        found = dict(zip(self.outputs, values, strict=True))
        for name, value in found.items():
            annotation = self.outputs[name].annotation
            if not accepts(annotation, value):
                hint = ": return its .item()" if getattr(value, "shape", None) == () else ""
                raise StepInterfaceError(
                    f"step {step!r}, output {name!r}: expected {describe(annotation)}, found {show(value)}{hint}"
                )
        return found


def read_interface(
    entrypoint: Callable[..., Any], step: str, names: Mapping[str, Any] = types.MappingProxyType({})
) -> StepInterface:
    """Read a signature; `names` are those that annotations written as text may use besides the module's.

    Raises
    ------
    StepInterfaceError
        When a step cannot have such a signature.
    """
    if inspect.isgeneratorfunction(entrypoint):
        raise StepInterfaceError(f"step {step!r} is a generator, whose items nothing would keep: return a list of them")
    signature, hints, inputs = _signature(entrypoint, f"step {step!r}", names)
    if reserved := [name for name in inputs if name in RESERVED]:
        raise StepInterfaceError(
            f"step {step!r} has an argument {reserved[0]!r}, which the call of a step takes for itself: rename it"
        )
    outputs, is_tuple = _outputs(hints.get("return", Any), step)
    return StepInterface(signature=signature, inputs=inputs, outputs=outputs, is_tuple=is_tuple)


def read_arguments(function: Callable[..., Any], name: str) -> StepInterface:
    """Read what a pipeline takes; what its function returns is nobody's affair.

    Raises
    ------
    StepInterfaceError
        When no pipeline can have such a signature.
    """
    signature, _, inputs = _signature(function, f"pipeline {name!r}", types.MappingProxyType({}))
    return StepInterface(signature=signature, inputs=inputs, outputs={})


def _signature(
    function: Callable[..., Any], what: str, names: Mapping[str, Any]
) -> tuple[inspect.Signature, dict[str, Any], dict[str, Input]]:
    """Return a signature, its annotations by name, and its arguments; `what` it is of, errors say."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise StepInterfaceError(f"{what} is an async function, which nothing would await: make it a plain one")
    signature = inspect.signature(function)
    try:
        hints = resolved(function, names)
    except NameError as error:
        raise StepInterfaceError(
            f"{what}: {error}; define what it names before, or import it outside of TYPE_CHECKING"
        ) from error
    inputs = {name: _input(parameter, hints.get(name, Any), what) for name, parameter in signature.parameters.items()}
    return signature, hints, inputs


def _input(parameter: inspect.Parameter, annotation: Any, what: str) -> Input:
    if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        kind = what.partition(" ")[0]
        raise StepInterfaceError(
            f"{what} takes {str(parameter).partition(':')[0]}: the arguments of a {kind} must be named one by one"
        )
    return Input(name=parameter.name, annotation=annotation, default=parameter.default)


def _outputs(annotation: Any, step: str) -> tuple[dict[str, Output], bool]:
    """Return the outputs that a return annotation declares, and whether they are the items of a tuple."""
    if any(annotation is nothing for nothing in (types.NoneType, typing.NoReturn, typing.Never)):
        return {}, False
    name = _name(annotation, step)
    inner = bare(annotation)
    if name is not None or typing.get_origin(inner) is not tuple:
        name = name or "output"
        return {name: Output(name=name, annotation=annotation)}, False
    items = typing.get_args(inner)
    if not items or Ellipsis in items:
        raise StepInterfaceError(
            f"step {step!r} returns {describe(inner)}, which does not say how many outputs there are: "
            "name each, as in tuple[int, int], or make it one, as in Annotated[tuple[int, ...], 'numbers']"
        )
    outputs: dict[str, Output] = {}
    for index, item in enumerate(items):
        name = _name(item, step) or f"output_{index}"
        if name in outputs:
            raise StepInterfaceError(f"step {step!r} has two outputs {name!r}: give one of them another name")
        outputs[name] = Output(name=name, annotation=item)
    return outputs, True


def _name(annotation: Any, step: str) -> str | None:
    """Return the name that `typing.Annotated` gives an output."""
    if typing.get_origin(annotation) is not typing.Annotated:
        return None
    names = [remark for remark in annotation.__metadata__ if isinstance(remark, str)]
    if len(names) > 1:
        raise StepInterfaceError(f"step {step!r} gives one output {len(names)} names: {', '.join(map(repr, names))}")
    if names and not names[0].strip():
        raise StepInterfaceError(f"step {step!r} gives an output an empty name")
    return names[0] if names else None
