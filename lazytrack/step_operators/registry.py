"""Which operators there are: those that were registered, and those that a flavor makes with its default settings."""

import importlib
import importlib.metadata
import threading
from typing import Any

from lazytrack.errors import StepInterfaceError
from lazytrack.step_operators.base_step_operator import BaseStepOperator, BaseStepOperatorFlavor

_GROUP = "lazytrack.step_operator"
_BUILT_IN = {
    "subprocess": ("local", "SubprocessFlavor"),
    "dask": ("dask", "DaskFlavor"),
    "slurm": ("slurm", "SlurmFlavor"),
    "ssh": ("ssh", "SSHFlavor"),
}
_lock = threading.Lock()
_registered: dict[str, BaseStepOperator] = {}
_made: dict[str, BaseStepOperator] = {}
"""Those with the default settings of a flavor, by its name."""
_default: str | None = None


def register_step_operator(operator: BaseStepOperator, default: bool = False) -> None:
    """Have steps find an operator by its name: ``@step(step_operator="cluster")``.

    Parameters
    ----------
    default
        Whether it is what ``step_operator=True`` means.

    Raises
    ------
    TypeError
        When it is no operator.
    """
    global _default  # noqa: PLW0603  (a program has one)
    if not isinstance(operator, BaseStepOperator):
        raise TypeError(f"only a BaseStepOperator can be registered, not {operator!r:.100}")
    with _lock:
        _registered[operator.name] = operator
        if default:
            _default = operator.name


def get_step_operator(named: str | bool) -> BaseStepOperator:
    """Return the operator that a step names: one that was registered, else one of a flavor with default settings.

    Parameters
    ----------
    named
        True for the default one.

    Raises
    ------
    StepInterfaceError
        When there is none; the message names those that there are.
    """
    if named is True:
        if _default is None:
            raise StepInterfaceError(
                "step_operator=True means the default one, and there is none: "
                "register_step_operator(..., default=True) makes one"
            )
        named = _default
    name = str(named)
    with _lock:
        found = _registered.get(name) or _made.get(name)
        if found is None:
            found = _made[name] = _of_flavor(name)
    return found


def known_step_operators() -> list[str]:
    """Return the names of operators and flavors."""
    return sorted({*_registered, *_BUILT_IN, *(point.name for point in _entry_points())})


def _entry_points() -> Any:
    return importlib.metadata.entry_points(group=_GROUP)


def _of_flavor(name: str) -> BaseStepOperator:
    flavor = _flavor(name)
    if flavor is None:
        raise StepInterfaceError(f"no step operator {name!r}; known: {', '.join(known_step_operators())}")
    try:
        config = flavor.config_class()
    except ValueError as error:
        made = f"{flavor.implementation_class.__name__}(name={name!r}, config={flavor.config_class.__name__}(...))"
        raise StepInterfaceError(
            f"step operator {name!r} has to be set up: register_step_operator({made}); {error}"
        ) from error
    return flavor.implementation_class(name=name, config=config, flavor=flavor.name)


def _flavor(name: str) -> BaseStepOperatorFlavor | None:
    for point in _entry_points():
        if point.name == name:
            try:
                found = point.load()
            except ImportError as error:
                raise ImportError(f"step operator {name!r} of {point.value} cannot be imported: {error}") from error
            made = found() if isinstance(found, type) else found
            if not isinstance(made, BaseStepOperatorFlavor):
                raise TypeError(f"the entry point {name!r}, {point.value}, is no flavor of a step operator")
            return made
    if name in _BUILT_IN:
        module, kind = _BUILT_IN[name]
        flavor: BaseStepOperatorFlavor = getattr(importlib.import_module(f"lazytrack.step_operators.{module}"), kind)()
        return flavor
    return None
