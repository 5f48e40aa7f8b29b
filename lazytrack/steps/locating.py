"""Where a step stands: what tells another process where to find it, and how that finds it."""

import importlib
import importlib.util
import os
import sys
import types
from typing import Any

from lazytrack.errors import StepInterfaceError
from lazytrack.steps.base import BaseStep
from lazytrack.steps.decorator import step as step_of
from lazytrack.steps.named import OF_EVERY_STEP
from lazytrack.steps.outputs import is_exactly_json

_SCRIPT, _AS = "__main__", "__mp_main__"
"""What the program's module is called, and what it is called while another process loads it."""
_BY_NAME = "-m "
"""Before the name of a module that is the program: ``python -m package.module``."""
_is_loading = False


def location_of(step: BaseStep) -> str:
    """Return where a step stands: ``package.module:name``, or, of a program, ``/path/script.py:name``.

    Of one that is run by the name of its module that is ``-m package.module:name``.

    Raises
    ------
    StepInterfaceError
        When another process could not find it there; the message says what to do.
    """
    subject = step._code
    module, name = subject.__module__, subject.__qualname__
    what = f"step {step.name!r} is to be launched by a step operator, which has to find it in a file"
    if "<" in name:
        raise StepInterfaceError(f"{what}: {name} is defined within a function; define it at the top of a module")
    found: Any = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise StepInterfaceError(f"{what}: there is no {name} in {module}")
    if module != _SCRIPT:
        return f"{module}:{name}"
    spec = getattr(sys.modules[_SCRIPT], "__spec__", None)
    if spec is not None and spec.name != _SCRIPT:  # python -m package.module
        return f"{_BY_NAME}{spec.name}:{name}"
    if file is None or not str(file).endswith(".py"):
        raise StepInterfaceError(f"{what}: {name} was typed into a notebook or a shell; put it into a module")
    return f"{os.path.abspath(file)}:{name}"  # noqa: PTH100  (a text, as it goes into a command)


def attributes_of(step: BaseStep) -> dict[str, Any]:
    """Return what an instance of a class of steps holds of its own.

    Raises
    ------
    StepInterfaceError
        When JSON does not bring it back.
    """
    if not isinstance(step._code, type):
        return {}
    own = {name: value for name, value in vars(step).items() if name not in OF_EVERY_STEP}
    for name, value in own.items():
        if not is_exactly_json(value):
            raise StepInterfaceError(
                f"step {step.name!r} is to be launched by a step operator, and its attribute {name!r} is "
                f"{type(value).__name__}, which JSON does not bring back: make it a parameter, or an input"
            )
    return own


def search_path() -> list[str]:
    """Return the folders in which this process finds modules, but for those of its interpreter."""
    prefixes = tuple(os.path.realpath(prefix) for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix})
    folders = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100  (as above)
    return [
        folder
        for folder in dict.fromkeys(folders)
        if os.path.isdir(folder) and not os.path.realpath(folder).startswith(prefixes)  # noqa: PTH112
    ]


def found_at(location: str, attributes: dict[str, Any]) -> BaseStep:
    """Return the step that stands at a location.

    Raises
    ------
    StepInterfaceError
        When there is none.
    Exception
        What importing the module raises.
    """
    place, _, name = location.rpartition(":")
    is_program = place.endswith(".py") or place.startswith(_BY_NAME)
    found: Any = _loaded(place) if is_program else importlib.import_module(place)
    for part in name.split("."):
        found = getattr(found, part, None)
    match found:
        case BaseStep():
            return found
        case type() if issubclass(found, BaseStep):
            made: BaseStep = object.__new__(found)
            BaseStep.__init__(made)
            made.__dict__.update(attributes)
            return made
        case types.FunctionType():
            return step_of(found)
        case _:
            raise StepInterfaceError(f"there is no step {name!r} in {place}")


def is_loading() -> bool:
    """Tell whether a script is being loaded for one step of it: what it runs as a program is not to be run now."""
    return _is_loading


def _loaded(place: str) -> types.ModuleType:
    """Load a script as a module; it is what this program is called from then on, as pickles of its classes say."""
    global _is_loading  # noqa: PLW0603  (a process loads one)
    module, file = types.ModuleType(_AS), place
    if place.startswith(_BY_NAME):
        name = place.removeprefix(_BY_NAME)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module.__spec__, module.__package__, file = spec, spec.parent, spec.origin
    elif (folder := os.path.dirname(file)) not in sys.path:  # noqa: PTH120  (a text)
        sys.path.insert(0, folder)
    module.__file__ = file
    sys.modules[_SCRIPT] = sys.modules[_AS] = module
    with open(file, "rb") as source:  # noqa: PTH123
        code = compile(source.read(), file, "exec")
    _is_loading = True
    try:
        exec(code, module.__dict__)  # noqa: S102  (it is the user's program)
    finally:
        _is_loading = False
    for value in vars(module).values():
        if getattr(value, "__module__", None) == _AS and isinstance(value, (type, types.FunctionType)):
            value.__module__ = _SCRIPT
    return module
