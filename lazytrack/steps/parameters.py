"""Which values one call of a step has, and from where: its arguments, the configured parameters, the defaults."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import attrs

from lazytrack import codec
from lazytrack.errors import StepInterfaceError
from lazytrack.steps.annotations import show
from lazytrack.steps.configuration import copied
from lazytrack.steps.interface import REQUIRED, StepInterface


@attrs.frozen(kw_only=True)
class Arguments:
    """The values of one call, by argument.

    Parameters
    ----------
    parameters
        What JSON can hold, as the entrypoint gets it.
    plain
        The same as JSON values; see `lazytrack.codec`.
    artifacts
        The other ones.
    """

    parameters: dict[str, Any] = attrs.field(factory=dict)
    plain: dict[str, Any] = attrs.field(factory=dict)
    artifacts: dict[str, Any] = attrs.field(factory=dict)


def gather(
    interface: StepInterface,
    step: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    configured: Mapping[str, Any] | None = None,
    *,
    kind: str = "step",
) -> dict[str, Any]:
    """Return the value of each argument, as given: in the call, else configured, else by default.

    Parameters
    ----------
    step, kind
        Whose arguments, for errors.
    configured
        Parameters by name.

    Raises
    ------
    StepInterfaceError
        When there are too many arguments, unknown ones, or one is missing.
    """
    if len(args) > len(interface.inputs):
        raise StepInterfaceError(
            f"{kind} {step!r} takes {len(interface.inputs)} arguments ({_names(interface.inputs)}), not {len(args)}"
        )
    check_known(kwargs, interface.inputs, f"{kind} {step!r} has no argument")
    given = dict(zip(interface.inputs, args, strict=False))
    if twice := [name for name in kwargs if name in given]:
        raise StepInterfaceError(f"{kind} {step!r}: multiple values for argument {twice[0]!r}")
    if by_place := [name for name in kwargs if name in interface.by_place]:
        raise StepInterfaceError(f"{kind} {step!r}: argument {by_place[0]!r} is positional only")
    given |= kwargs
    values = {}
    for name, declared in interface.inputs.items():
        if name in given:
            values[name] = given[name]
        elif configured is not None and name in configured:
            values[name] = copied(configured[name])  # what the entrypoint does to it stays in this call
        elif declared.default is not REQUIRED:
            values[name] = declared.default
        else:
            raise StepInterfaceError(
                f"{kind} {step!r} lacks a value for argument {name!r}: give it in the call"
                + (f", or configure it with parameters={{{name!r}: ...}}" if kind == "step" else "")
            )
    return values


def resolve(
    interface: StepInterface,
    step: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    configured: Mapping[str, Any] | None = None,
    is_artifact: Callable[[Any], bool] = lambda value: False,  # noqa: ARG005  (no value is one)
    others_are_artifacts: bool = False,
) -> Arguments:
    """Return the values of a call, coerced to what the annotations say.

    Parameters
    ----------
    step
        Its name, for errors.
    configured
        Parameters by name.
    is_artifact
        Tells the values that are artifact inputs: they are left as they are.
    others_are_artifacts
        Take what JSON cannot hold as an artifact input, too, instead of refusing it.

    Raises
    ------
    StepInterfaceError
        When an argument is missing, unknown, of another type than annotated, or JSON cannot hold it.
    """
    found = Arguments()
    for name, value in gather(interface, step, args, kwargs, configured).items():
        if is_artifact(value):
            found.artifacts[name] = value
            continue
        coerced = interface.inputs[name].coerce(value, step)
        try:
            found.plain[name] = _plain(coerced, f"step {step!r}, argument {name!r}")
        except (TypeError, ValueError) as error:
            if not others_are_artifacts:
                raise StepInterfaceError(
                    f"step {step!r}, argument {name!r}: {show(value)} is no parameter, because JSON cannot hold it: "
                    "take it from another step, or pass it as ExternalArtifact(value=...)"
                ) from error
            found.artifacts[name] = coerced
        else:
            found.parameters[name] = coerced
    return found


def check_known(names: Iterable[str], known: Collection[str], refusal: str) -> None:
    """Refuse the first of the names that is not known, and suggest one that is near.

    Raises
    ------
    StepInterfaceError
        Whose message is `refusal`, the name, and what is known.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), list(known), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise StepInterfaceError(f"{refusal} {name!r}: {hint}known: {_names(known)}")


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _plain(value: Any, what: str) -> Any:
    """Return a parameter as a JSON value from which it can be made again, its annotation knowing how."""
    _check_whole(value, what, codec.MAX_DEPTH)
    return codec.plain(value, what)


def _check_whole(value: Any, what: str, room: int) -> None:
    """Refuse what the JSON of a record only describes: arrays become lists, and functions their names."""
    if getattr(value, "ndim", 0) or callable(value):
        raise TypeError(f"{what} holds {show(value)}, of which JSON would lose what it is")
    if room and isinstance(value, (Mapping, list, tuple, set, frozenset)):
        for item in value.values() if isinstance(value, Mapping) else value:
            _check_whole(item, what, room - 1)
