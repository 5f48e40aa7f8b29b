"""Storage options: a misspelt one is refused when a store is opened, not when it is first asked."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

_OF_FSSPEC = {"listings_expiry_time", "max_paths", "skip_instance_cache", "use_listings_cache"}
"""What every filesystem takes without naming it."""
_OF_LAZYTRACK = {"author", "cache", "mode"}
"""What may be meant, and never comes this far."""


def check(given: Iterable[str], known: set[str], *, exhaustive: bool) -> None:
    """Refuse options that nothing takes.

    Parameters
    ----------
    exhaustive
        Whether what is not `known` is refused in any case. Otherwise only what is nearly the name of a known one is.

    Raises
    ------
    TypeError
        Naming the option, and the one that is meant.
    """
    known |= _OF_FSSPEC
    for option in given:
        if option not in known:
            candidates = sorted(known | _OF_LAZYTRACK)
            near = difflib.get_close_matches(option, candidates, n=1, cutoff=0.7 if exhaustive else 0.8)
            if near or exhaustive:
                raise TypeError(f"no option {option!r}" + (f" (is {near[0]!r} meant?)" if near else ""))


def taken_by(function: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments that a function names."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name for name, argument in inspect.signature(function).parameters.items() if argument.kind in named}


def taken_to_make(kind: type) -> set[str]:
    """Return the names of the arguments that a class and its bases name when they are made."""
    return {name for base in kind.__mro__[:-1] if "__init__" in vars(base) for name in taken_by(vars(base)["__init__"])}
