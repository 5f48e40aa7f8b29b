"""Dicts and lists that belong to an experiment: they hold plain JSON values and note every change, at any depth.

`MutableMapping` and `MutableSequence` lend the methods that can be had from a few basic ones, so that each change
passes through one of those few.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, SupportsIndex

from lazytrack import codec
from lazytrack.errors import ReadOnlyError
from lazytrack.tracking.ledger import Ledger

_MISSING = object()


class _OwnedDict(dict[str, Any]):
    """A dict whose changes all go through ``__setitem__`` and ``__delitem__``."""

    __slots__ = ()

    clear = MutableMapping.clear
    update = MutableMapping.update

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove `key` and return its value, or `default` where there is none."""
        if key not in self:
            if default is _MISSING:
                raise KeyError(key)
            return default
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last item, as a dict does."""
        if not self:
            raise KeyError("popitem(): there is nothing in it")
        key = next(reversed(self))
        return key, self.pop(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, after setting it to `default` where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)


class Section(_OwnedDict):
    """A section of a record, such as its parameters: each key is a field, ``parameters.lr``.

    Parameters
    ----------
    ledger
        Where changes are noted.
    prefix
        Of the fields: ``parameters.``.
    convert
        From what the user gives, and a phrase that names it in errors, to a plain value.
    """

    __slots__ = ("_convert", "_ledger", "_prefix")

    def __init__(self, ledger: Ledger, prefix: str, convert: Callable[[Any, str], Any]) -> None:
        self._ledger = ledger
        self._prefix = prefix
        self._convert = convert

    def __setitem__(self, key: str, value: Any) -> None:
        key, value = self._checked(key, value)
        with self._ledger.lock:
            self._ledger.note(self._prefix + key)
            dict.__setitem__(self, key, value)

    def _checked(self, key: str, value: Any) -> tuple[str, Any]:
        """Return an item as it is held."""
        if type(key) is not str or not key.isascii():
            key = codec.text(key, f"a name in {self._prefix.rstrip('.')}")
        field = self._prefix + key
        value = self._convert(value, field)
        if type(value) is dict or type(value) is list:
            value = owned(value, self._ledger, field, codec.MAX_DEPTH)
        return key, value

    def log(self, items: Mapping[str, Any]) -> None:
        """Set all of `items`; where one of them is refused, none."""
        if not isinstance(items, Mapping):
            raise TypeError(f"{self._prefix.rstrip('.')} are logged as a dict, not as {type(items).__name__}")
        checked = [self._checked(key, value) for key, value in items.items()]
        with self._ledger.lock:
            for key, value in checked:
                self._ledger.note(self._prefix + key)
                dict.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        with self._ledger.lock:
            if key not in self:
                raise KeyError(key)
            self._ledger.note(self._prefix + key)
            dict.__delitem__(self, key)

    def replace(self, items: Mapping[str, Any]) -> None:
        """Hold `items` and nothing else."""
        if items is not self:
            with self._ledger.lock:
                self.log(items)
                for key in [key for key in self if key not in items]:
                    del self[key]

    def put(self, key: str, value: Any) -> None:
        """Hold what the store says, which is no change."""
        dict.__setitem__(self, key, owned(value, self._ledger, self._prefix + key, codec.MAX_DEPTH))

    def put_all(self, items: Iterable[tuple[str, Any]]) -> None:
        """Hold what the store says, which is no change."""
        dict.update(self, items)
        for key, value in self.items():
            if type(value) is dict or type(value) is list:
                self.put(key, value)

    def rebind(self, ledger: Ledger, prefix: str) -> None:
        """Become part of another record, with all inside, and note all of it there. The caller holds its lock."""
        self._ledger, self._prefix = ledger, prefix
        for key, value in self.items():
            _rebind(value, ledger, prefix + key)
            ledger.note(prefix + key)

    def take_over(self, key: str, value: Any) -> None:
        """Hold what the store says by now, which is no change; a container that a user may hold stays the same one."""
        if not _take_over(self.get(key), value):
            self.put(key, value)

    def drop(self, key: str) -> None:
        """Forget what the store no longer holds, which is no change."""
        dict.pop(self, key, None)


class OwnedDict(_OwnedDict):
    """A dict inside a logged value; a change in it is a change of that value's field."""

    __slots__ = ("_field", "_ledger", "_room")

    def __init__(self, ledger: Ledger, field: str, room: int) -> None:
        self._ledger = ledger
        self._field = field
        self._room = room

    def __setitem__(self, key: str, value: Any) -> None:
        key = codec.text(key, f"a key of {self._field}")
        value = owned(codec.plain(value, self._field, self._room), self._ledger, self._field, self._room)
        with self._ledger.lock:
            self._ledger.note(self._field)
            dict.__setitem__(self, key, value)

    def __delitem__(self, key: str) -> None:
        with self._ledger.lock:
            self._ledger.note(self._field)
            dict.__delitem__(self, key)


class BaseList(list[Any]):
    """A list whose changes all go through `_changing`."""

    __slots__ = ()

    append = MutableSequence.append
    clear = MutableSequence.clear
    extend = MutableSequence.extend
    pop = MutableSequence.pop  # type: ignore[assignment]
    remove = MutableSequence.remove

    def _convert(self, item: Any) -> Any:
        raise NotImplementedError

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        raise NotImplementedError
        yield

    def __setitem__(self, index: Any, value: Any) -> None:
        value = [self._convert(item) for item in value] if isinstance(index, slice) else self._convert(value)
        with self._changing():
            list.__setitem__(self, index, value)

    def __delitem__(self, index: Any) -> None:
        with self._changing():
            list.__delitem__(self, index)

    def insert(self, index: SupportsIndex, value: Any) -> None:
        """Insert `value` before `index`."""
        value = self._convert(value)
        with self._changing():
            list.insert(self, index, value)

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        """Sort in place."""
        with self._changing():
            list.sort(self, key=key, reverse=reverse)

    def reverse(self) -> None:
        """Reverse in place."""
        with self._changing():
            list.reverse(self)

    def __iadd__(self, other: Iterable[Any]) -> Any:  # type: ignore[misc]
        self.extend(other)
        return self

    def __imul__(self, times: SupportsIndex) -> Any:
        self[:] = list(self) * times
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    def __copy__(self) -> list[Any]:
        return list(self)


class OwnedList(BaseList):
    """A list inside a logged value; a change in it is a change of that value's field."""

    __slots__ = ("_field", "_ledger", "_room")

    def __init__(self, ledger: Ledger, field: str, room: int) -> None:
        self._ledger = ledger
        self._field = field
        self._room = room

    def _convert(self, item: Any) -> Any:
        return owned(codec.plain(item, self._field, self._room), self._ledger, self._field, self._room)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._ledger.lock:
            self._ledger.note(self._field)
            yield


class Shown(BaseList):
    """A list that shows what there is, and refuses to be changed: nothing would come of that.

    Parameters
    ----------
    items
        What there is.
    way
        The call that adds to it.
    """

    __slots__ = ("_way",)

    def __init__(self, items: Iterable[Any], way: str) -> None:
        list.__init__(self, items)
        self._way = way

    def _convert(self, item: Any) -> Any:
        return item

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        raise ReadOnlyError(f"this list only shows what there is: {self._way} adds to it")
        yield


class Tags(BaseList):
    """The tags of an experiment: each is a field of its own, so two writers may both add one."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Ledger, tags: Iterable[str]) -> None:
        list.__init__(self, tags)
        self._ledger = ledger

    def _convert(self, item: Any) -> Any:
        return codec.text(item, "a tag")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._ledger.lock:
            self._ledger.check()
            before = set(self)
            yield
            for tag in sorted(before.symmetric_difference(self)):
                self._ledger.note(f"tags.{tag}")

    def put(self, tags: Iterable[str]) -> None:
        """Hold what the store says, which is no change."""
        list.__setitem__(self, slice(None), tags)


def owned(value: Any, ledger: Ledger, field: str, room: int) -> Any:
    """Return a plain value with its containers replaced by ones that note their changes under `field`.

    Parameters
    ----------
    room
        How many containers may be nested here, this one included.
    """
    if type(value) is dict:
        result = OwnedDict(ledger, field, room - 1)
        dict.update(result, {key: owned(item, ledger, field, room - 1) for key, item in value.items()})
        return result
    if type(value) is list:
        items = OwnedList(ledger, field, room - 1)
        list.extend(items, [owned(item, ledger, field, room - 1) for item in value])
        return items
    return value


def _take_over(mine: Any, value: Any) -> bool:
    """Make a container that is held hold what a plain one says, and tell whether that could be done."""
    if isinstance(mine, OwnedDict) and type(value) is dict:
        for key in [key for key in mine if key not in value]:
            dict.pop(mine, key)
        for key, item in value.items():
            if not _take_over(mine.get(key), item):
                dict.__setitem__(mine, key, owned(item, mine._ledger, mine._field, mine._room))
        return True
    if isinstance(mine, OwnedList) and type(value) is list:
        list.__delitem__(mine, slice(len(value), None))
        for place, item in enumerate(value):
            if place == len(mine):
                list.append(mine, owned(item, mine._ledger, mine._field, mine._room))
            elif not _take_over(mine[place], item):
                list.__setitem__(mine, place, owned(item, mine._ledger, mine._field, mine._room))
        return True
    return False


def _rebind(value: Any, ledger: Ledger, field: str) -> None:
    if isinstance(value, (OwnedDict, OwnedList)):
        value._ledger, value._field = ledger, field
        for item in value.values() if isinstance(value, OwnedDict) else value:
            _rebind(item, ledger, field)
