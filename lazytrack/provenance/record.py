"""Records that lose nothing they do not know, and take nothing from the machine that reads them."""

import copy
import enum
import importlib
from pathlib import Path, PurePath
from typing import Any, ClassVar, get_args, get_origin

import attrs

from lazytrack import codec


class _Present(enum.Enum):
    """Stands for what is captured when a record is made."""

    PRESENT = "present"

    def __repr__(self) -> str:
        return "<captured>"


PRESENT: Any = _Present.PRESENT
"""The default of a field that is captured when it is not given."""
STORED = "stored"
"""In a field's metadata: its value is any JSON, stored as what users log is."""


@attrs.define(kw_only=True)
class Record:
    """What is common to records of where a result comes from.

    A field whose default is `PRESENT` is captured when it is not given. A record that is decoded is given every
    field, as None where it is not stored: it says nothing of the machine that reads it. Keys that this version does
    not know are kept in `extra` and written back as they are.
    """

    probes: ClassVar[str] = ""
    """The module of this room whose ``present(names)`` captures fields."""
    alone: ClassVar[bool] = False
    """Whether what is captured must not stand beside what is given: then any field given makes the others None."""

    _extra: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        """Capture the fields that were not given."""
        names = [field.name for field in _fields(type(self))]
        missing = [name for name in names if getattr(self, name) is PRESENT]
        if not missing:
            return
        if self.alone and missing != names:
            found = dict.fromkeys(missing)
        else:
            # Who reads records needs no probes, and what they load.
            found = importlib.import_module(f"lazytrack.provenance.{self.probes}").present(missing)
        for name in missing:
            object.__setattr__(self, name, found[name])


def _fields(cls: type[Record]) -> "list[attrs.Attribute[Any]]":
    return [field for field in attrs.fields(cls) if field.name != "_extra"]


def _decode(stored: Any, cls: type[Record]) -> Record:
    if not isinstance(stored, dict):
        raise TypeError(f"expected the record of {cls.__name__} as an object, not {type(stored).__name__}")
    fields = _fields(cls)
    names = {field.name for field in fields}
    return cls(
        **{field.name: _decode_field(cls, field, stored.get(field.name)) for field in fields},
        extra={key: copy.deepcopy(value) for key, value in stored.items() if key not in names},
    )


def _encode(record: Record) -> dict[str, Any]:
    known = {field.name: _encode_field(field, getattr(record, field.name)) for field in _fields(type(record))}
    return known | {key: copy.deepcopy(value) for key, value in record._extra.items() if key not in known}  # noqa: SLF001


def _decode_field(cls: type[Record], field: "attrs.Attribute[Any]", value: Any) -> Any:
    try:
        return _decode_value(field, value)
    except TypeError as error:
        raise TypeError(f"{field.name!r} of {cls.__name__}: {error}") from error
    except Exception as error:  # a stranger may have written anything
        raise ValueError(f"{field.name!r} of {cls.__name__}: {error}") from error


def _decode_value(field: "attrs.Attribute[Any]", value: Any) -> Any:
    if STORED in field.metadata:
        return codec.unstore(value)
    kind: Any = field.type
    if value is not None:
        if _is_list(kind) and not isinstance(value, list):
            raise TypeError(f"expected a list, not {type(value).__name__}")
        return codec.converter.structure(value, kind)
    if _is_record(kind):  # one of which nothing is known
        return _decode({}, kind)
    if not _may_be_none(kind):
        raise ValueError("it is missing")
    return None


def _is_list(kind: Any) -> bool:
    return not {list, set}.isdisjoint(get_origin(part) for part in (kind, *get_args(kind)))


def _may_be_none(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _encode_field(field: "attrs.Attribute[Any]", value: Any) -> Any:
    if STORED in field.metadata:
        return codec.store(codec.plain(value, field.name))
    return _strict(value)


def _strict(value: Any) -> Any:
    match value:
        case Record():
            return _encode(value)
        case PurePath():
            return value.as_posix()  # the same text wherever it is read and written again
        case set():
            return sorted(value)
        case list() | tuple():
            return [_strict(item) for item in value]
        case dict():
            return {key: _strict(item) for key, item in value.items()}
        case _:
            return codec.converter.unstructure(value)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Record)


codec.converter.register_structure_hook_func(_is_record, _decode)
codec.converter.register_unstructure_hook_func(_is_record, _encode)
codec.converter.register_structure_hook(Path, lambda stored, _: Path(codec.text(stored, "a path")))
