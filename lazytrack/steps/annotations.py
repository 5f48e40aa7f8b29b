"""What annotations mean: which values they accept, how a value becomes one of theirs, how errors tell them."""

import collections.abc
import functools
import inspect
import reprlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

_LAZY = {collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator}
"""Of these pydantic makes one-way streams; a list that is given shall stay one."""
_WIDER: dict[Any, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}
"""Numbers that pass as others without being of their class."""


def resolved(function: Callable[..., Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of a function by argument, and by ``return``, those written as text resolved.

    Parameters
    ----------
    names
        Besides those of the function's module, what text may name: the variables of an enclosing function.

    Raises
    ------
    NameError
        When text names what is not there; the message says in which annotation.
    """
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)  # a method's own
    parameters = {parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())}
    hints: dict[str, Any] = {}
    for name, annotation in inspect.get_annotations(function).items():
        one = types.SimpleNamespace(__annotations__={name: annotation})  # one by one, so that an error can tell which
        try:
            hints |= typing.get_type_hints(one, function.__globals__, {**names, **parameters}, include_extras=True)
        except Exception as error:  # text is code, which may raise anything
            where = "the return annotation" if name == "return" else f"the annotation of argument {name!r}"
            raise NameError(f"{where}, {annotation!r}, cannot be resolved ({error})") from error
    return hints


def bare(annotation: Any) -> Any:
    """Return the type that an annotation is about: without names for it, variables and what is only remarked."""
    if annotation is None:
        return types.NoneType
    if annotation is inspect.Parameter.empty or annotation is object:
        return Any
    if annotation is typing.Tuple:  # noqa: UP006  (users may write it)
        return tuple
    if isinstance(annotation, typing.TypeVar):
        if annotation.__constraints__:
            return typing.Union[annotation.__constraints__]  # noqa: UP007  (their number is only known now)
        return Any if annotation.__bound__ is None else bare(annotation.__bound__)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return bare(typing.get_args(annotation)[0])
    if isinstance(annotation, typing.NewType):
        return bare(annotation.__supertype__)
    for alias in (annotation, origin):  # ``type X = ...``, also with arguments
        if not isinstance(alias, type) and hasattr(alias, "__value__"):
            return bare(alias.__value__)
    return annotation


def accepts(annotation: Any, value: Any) -> bool:
    """Tell whether a value is of the annotated type, by isinstance; what is inside of containers is not looked at.

    An annotation of which isinstance can tell nothing, such as a protocol, accepts everything.
    """
    annotation = bare(annotation)
    if annotation is Any:
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if _is_union(origin):
        return any(accepts(member, value) for member in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(member) and value == member for member in arguments)
    if origin is type:
        wanted = bare(arguments[0])
        return isinstance(value, type) and (wanted is Any or not isinstance(wanted, type) or issubclass(value, wanted))
    kind = annotation if origin is None else origin
    if typing.is_typeddict(kind):
        return isinstance(value, dict)
    if not isinstance(kind, type):
        return True
    try:
        return isinstance(value, _WIDER.get(kind, kind))
    except TypeError:  # a protocol that is not made for it
        return True


def is_exactly(annotation: Any, value: Any) -> bool:
    """Tell whether a value need not be coerced, as far as that is plain to see."""
    annotation = bare(annotation) if typing.get_origin(annotation) is not typing.Annotated else annotation
    if annotation is Any:
        return True
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if _is_union(origin):
        return any(is_exactly(member, value) for member in arguments)
    if origin is typing.Literal:
        return accepts(annotation, value)
    return type(value) is annotation


class Coercer:
    """Makes the values of one annotation. It is pydantic's, imported when the first value needs it.

    Parameters
    ----------
    annotation
        Types that pydantic does not know are checked by isinstance.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    def __call__(self, value: Any) -> Any:
        """Return the value of the annotated type that `value` is, or stands for.

        Raises
        ------
        ValueError
            When it is none; the message is the reason, if there is more to say.
        """
        if type(value) is self.annotation or is_exactly(self.annotation, value):
            return value
        if self._validate is None:
            if not accepts(self.annotation, value):
                raise ValueError
            return value
        from pydantic import ValidationError  # noqa: PLC0415  (half a second that most steps need not wait for)

        try:
            return self._validate(_own(value))
        except ValidationError as error:
            raise ValueError(_reasons(error)) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return Coercer, (self.annotation,)  # what pydantic makes of it does not travel

    @functools.cached_property
    def _validate(self) -> Callable[[Any], Any] | None:
        """What coerces; None where isinstance is all that can be asked."""
        from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415  (as above)
        from pydantic.errors import PydanticUserError  # noqa: PLC0415  (as above)

        annotation = bare(self.annotation)
        origin = typing.get_origin(annotation)
        if origin in _LAZY or annotation in _LAZY:
            return None
        try:
            return TypeAdapter(self.annotation).validate_python
        except PydanticUserError:  # a type that it does not know, or not for this version of Python
            if isinstance(annotation if origin is None else origin, type) and not _is_container(origin):
                return None
        try:  # somewhere in it there is such a type
            return TypeAdapter(self.annotation, config=ConfigDict(arbitrary_types_allowed=True)).validate_python
        except PydanticUserError:
            return None


def describe(annotation: Any) -> str:
    """Return an annotation as a message tells it."""
    annotation = bare(annotation)
    if annotation is types.NoneType:
        return "None"
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        module = annotation.__module__
        return annotation.__qualname__ if module == "builtins" else f"{module}.{annotation.__qualname__}"
    return str(annotation).replace("typing.", "")


def show(value: Any) -> str:
    """Return a value as a message tells it: its type, and shortly what it is."""
    kind = "object" if type(value) is object else describe(type(value))
    return "None" if value is None else f"{kind} {' '.join(reprlib.repr(value).split())}"


def _is_union(origin: Any) -> bool:
    return origin is typing.Union or origin is types.UnionType


def _is_container(origin: Any) -> bool:
    return isinstance(origin, type) and origin.__module__ in {"builtins", "collections", "collections.abc"}


def _own(value: Any) -> Any:
    """Return a scalar of numpy as Python's own, which pydantic knows."""
    if hasattr(value, "dtype") and getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return value.item()
    return value


def _reasons(error: Any) -> str:
    """Return what pydantic says, without the values and the links."""
    told = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in problem["loc"])
        told.append(f"{where}: {problem['msg']}" if where else problem["msg"])
    return "; ".join(told)
