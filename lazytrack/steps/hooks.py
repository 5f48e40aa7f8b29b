"""Hooks: functions, or where they are found, that are called when a step begins or ends."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

Hook = Callable[..., Any] | str
"""A function of zero or one argument, or its dotted path."""


def check_hook(hook: Any, what: str) -> Hook:
    """Return a hook that can be called; `what` names it in errors, as ``on_failure``.

    Raises
    ------
    ValueError
        When there is nothing at the dotted path.
    TypeError
        When it is no function, or needs more than one argument.
    """
    function = find_hook(hook, what)
    try:
        signature = inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"{what} does not say which arguments it takes: wrap {hook!r} in a function") from error
    for arguments in ((), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return hook  # type: ignore[no-any-return]
    raise TypeError(f"{what} must take no argument or one, not {signature} as {hook!r} does")


def find_hook(hook: Hook, what: str) -> Callable[..., Any]:
    """Return the function that a hook is; see `check_hook`."""
    function = _at(hook, what) if isinstance(hook, str) else hook
    if not callable(function):
        raise TypeError(f"{what} must be a function or the dotted path of one, not {hook!r}")
    return function


def call_hook(hook: Hook, argument: Any, what: str) -> Any:
    """Call a hook, with the argument where it takes one."""
    function = find_hook(hook, what)
    return function(argument) if _takes_one(function) else function()


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True


def _at(path: str, what: str) -> Any:
    """Return what is at a dotted path: in a module, or in a class in a module."""
    names = path.split(".")
    for count in range(len(names) - 1, 0, -1):
        module = ".".join(names[:count])
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
                continue  # a class, perhaps
            raise
        except (TypeError, ValueError):  # no name of a module
            break
        for name in names[count:]:
            found = getattr(found, name, None)
        if found is not None:
            return found
        break
    raise ValueError(f"{what} is to be found at {path!r}, where nothing is")


def hook_said(hook: Hook) -> str:
    """Return the dotted path of a hook, as a record says it."""
    if isinstance(hook, str):
        return hook
    module, name = getattr(hook, "__module__", ""), getattr(hook, "__qualname__", type(hook).__qualname__)
    return f"{module}.{name}"
