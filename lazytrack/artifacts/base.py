"""What an artifact handler is: how to write one kind of object to a file, read it back, and when that is safe."""

import abc
import contextlib
import functools
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import IO, Any, ClassVar, Self

import attrs

from lazytrack import naming

UNKNOWN = -1
"""The size of a file of which only the digest is known."""


@attrs.frozen(kw_only=True)
class Parts:
    """How many further files an artifact has.

    Parameters
    ----------
    count
        Of files.
    size
        Of all of them, in bytes.
    """

    count: int
    size: int


@attrs.frozen(kw_only=True)
class StoredFile:
    """Where an artifact's bytes are, and which bytes they have to be.

    Parameters
    ----------
    path
        Relative to the store.
    sha256
        In hexadecimal.
    size
        In bytes; `UNKNOWN` where the record does not say.
    record, field
        Where the store names it, such as ``artifacts.model`` of an experiment.
    signature
        By who wrote it, where reading it could run code; see `lazytrack.artifacts.trust`.
    parts
        Further files that it is the manifest of; None where it is all there is.
    reused
        Whether it was there already when it was to be written.
    folder
        Where in the store it has to be.
    """

    path: str
    sha256: str
    size: int
    record: str = ""
    field: str = ""
    signature: str | None = None
    parts: Parts | None = None
    reused: bool = attrs.field(default=False, eq=False)
    folder: str = attrs.field(default="artifacts", eq=False)


@attrs.frozen(kw_only=True)
class Part:
    """One of the files of an artifact that is many.

    Parameters
    ----------
    name
        Its relative path in the object, with ``/``.
    size
        In bytes.
    open
        Opens it for reading, its bytes checked.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]] = attrs.field(eq=False, repr=False)


def _aware_or_none(time: datetime | None) -> datetime | None:
    return None if time is None else naming.aware(time)


@attrs.define
class Artifact(abc.ABC):
    """One logged object and the way it is kept. A handler for a kind of object is a subclass.

    A handler states the class variables, `read` and `write`. What an environment needs to read a file back, such
    as a version of Python or of a library, it declares as attrs fields of its own; their default factories
    capture the present value, and only they take part in equality: a stored handler that differs from one made
    now was written in another environment.

    Parameters
    ----------
    name
        What the artifact is called in its experiment, test or repository.
    fname
        The name of the file, sub-folders included.
    value
        The object; None once it is only stored.
    writer_kwargs
        What `write` is given besides.
    created_at
        Aware, in UTC.
    expiry
        From when on it should not be used; None for never.
    version
        How many versions of this name came before.
    dirty
        Whether it has yet to be written.
    """

    alias: ClassVar[str]
    """The name by which ``log_artifact(handler=...)`` chooses this handler."""
    suffix: ClassVar[str]
    """Of the files it writes, without the dot."""
    binary: ClassVar[bool]
    """Whether `read` and `write` are given bytes; otherwise text in UTF-8."""
    output_only: ClassVar[bool] = False
    """Whether what it writes cannot be read back as the object, such as a plot."""
    executes_code: ClassVar[bool] = False
    """Whether reading a file can run code that its author chose, as unpickling does."""
    is_repeatable: ClassVar[bool] = False
    """Whether `write` may be called twice for one object: what may be on another machine already is hashed first."""
    has_parts: ClassVar[bool] = False
    """Whether the object is many files, each of which is kept as it is; see `parts` and `load_parts`."""
    types: ClassVar[tuple[str, ...]] = ()
    """What it is chosen for where no handler is named: the top package and the name of a type, as ``numpy.ndarray``."""

    name: str = attrs.field(eq=False, kw_only=True)
    fname: str = attrs.field(eq=False, kw_only=True)
    value: Any = attrs.field(default=None, eq=False, kw_only=True, repr=False)
    writer_kwargs: dict[str, Any] = attrs.field(factory=dict, eq=False, kw_only=True, repr=False)
    created_at: datetime = attrs.field(factory=naming.now, converter=naming.aware, eq=False, kw_only=True)
    expiry: datetime | None = attrs.field(default=None, converter=_aware_or_none, eq=False, kw_only=True)
    version: int = attrs.field(default=0, eq=False, kw_only=True)
    dirty: bool = attrs.field(default=True, eq=False, kw_only=True)
    stored: StoredFile | None = attrs.field(default=None, eq=False, init=False, repr=False)

    @classmethod
    def construct(
        cls,
        name: str,
        value: Any = None,
        fname: str | None = None,
        created_at: datetime | None = None,
        expiry: datetime | None = None,
        writer_kwargs: dict[str, Any] | None = None,
        version: int = 0,
        dirty: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Make a handler of this class and capture the environment.

        Parameters are those of the class; further ones are taken where they name an environment field, which is
        then not captured.

        Parameters
        ----------
        fname
            By default ``<slug of name>-<YYYYMMDDHHMMSS>.<suffix>``.
        """
        created_at = naming.aware(created_at or naming.now())
        return cls(
            name=name,
            value=value,
            fname=fname or f"{naming.slug(name, cls.alias)}-{naming.stamp(created_at)}.{cls.suffix}",
            created_at=created_at,
            expiry=expiry,
            writer_kwargs=writer_kwargs or {},
            version=version,
            dirty=dirty,
            **{field: kwargs[field] for field in cls.environment_fields() if field in kwargs},
        )

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is to be chosen for an object where no handler is named: by default, for one of `types`.

        An object of a type that is derived from one of these is none: what that adds would be lost. Where not all
        objects of a type come back equal, a handler overrides this, and looks closer.
        """
        return type_name(type(value)) in cls.types

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse, when it is logged, an object that `write` could not write, where that can be told cheaply.

        By default nothing is refused before it is written.

        Parameters
        ----------
        kwargs
            Those for `write`.

        Raises
        ------
        TypeError
            Which says why.
        """
        return

    @classmethod
    @abc.abstractmethod
    def read(cls, buf: IO[Any], **kwargs: Any) -> Any:
        """Return the object that the open file `buf` holds; `kwargs` go to the underlying reader."""

    @classmethod
    @abc.abstractmethod
    def write(cls, obj: Any, buf: IO[Any], **kwargs: Any) -> None:
        """Write `obj` to the open file `buf`; `kwargs` go to the underlying writer."""

    def load(self, buf: IO[Any], **kwargs: Any) -> Any:
        """Return what `read` does; a handler overrides this where reading depends on what the artifact is called."""
        return self.read(buf, **kwargs)

    def parts(self) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
        """Yield the files of an object that is many, where `has_parts`: relative path and what opens it for reading."""
        raise NotImplementedError

    def load_parts(self, parts: Iterable["Part"], **kwargs: Any) -> Any:
        """Return the object that is in these files, where `has_parts`."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the value as the bytes the handler writes, which may travel where the object does not."""
        names = [field.name for field in attrs.fields(type(self)) if field.init and field.name != "value"]
        fields = {name: getattr(self, name) for name in names}
        if self.value is None or self.output_only:  # what cannot be read back travels as it is
            return _unpickle, (type(self), fields | {"value": self.value}, None, self.stored)
        payload = _Kept()
        try:
            with text_or_bytes(payload, binary=self.binary) as buf:
                self.write(self.value, buf, **self.writer_kwargs)
        except Exception as error:
            error.add_note(f"while the handler {self.alias!r} wrote artifact {self.name!r} to pickle it")
            raise
        return _unpickle, (type(self), fields, payload.getvalue(), self.stored)

    @classmethod
    def unsuitable(cls, obj: Any, kept: str) -> TypeError:
        """Return the error that this handler keeps something else than `obj`."""
        return TypeError(
            f"the handler {cls.alias!r} keeps {kept}, not {type_name(type(obj)).removeprefix('builtins.')}"
        )

    @classmethod
    def environment_fields(cls) -> dict[str, Any]:
        """Return the fields that describe the environment, with their types."""
        return _environment_fields(cls)

    def environment(self) -> dict[str, Any]:
        """Return the environment this handler was made in."""
        return {field: getattr(self, field) for field in self.environment_fields()}


def type_name(kind: type) -> str:
    """Return the top package and the name of a type, which stay when a library moves it from module to module."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


@functools.cache
def _environment_fields(cls: type[Artifact]) -> dict[str, Any]:
    common = {field.name for field in attrs.fields(Artifact)}
    with contextlib.suppress(NameError):  # annotations that are there for type checkers only
        attrs.resolve_types(cls)
    own = [field for field in attrs.fields(cls) if field.name not in common and field.init]
    return {field.name: Any if isinstance(field.type, str) else field.type for field in own}


def _unpickle(
    handler: type[Artifact], fields: dict[str, Any], payload: bytes | None, stored: StoredFile | None
) -> Artifact:
    artifact = handler(**fields)
    artifact.stored = stored
    if payload is not None:
        with text_or_bytes(io.BytesIO(payload), binary=handler.binary) as buf:
            artifact.value = artifact.load(buf)
    return artifact


class _Kept(io.BytesIO):
    """Bytes that outlive a writer that closes what it is given."""

    def close(self) -> None:
        """Stay open."""


@contextlib.contextmanager
def text_or_bytes(raw: IO[bytes], *, binary: bool) -> Iterator[IO[Any]]:
    """Give a handler the file it reads or writes: `raw` itself, or text in UTF-8 with line ends as they are.

    A handler may close it. Otherwise it is flushed, and closed, when the block ends well.
    """
    buf: IO[Any] = raw if binary else io.TextIOWrapper(raw, encoding="utf-8", newline="")
    yield buf
    if not buf.closed:
        buf.flush()
        buf.close()
