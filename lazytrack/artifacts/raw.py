"""Artifacts kept as the bytes they are: bytes in memory, and files of any kind."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import attrs

from lazytrack.artifacts.base import Artifact

_PIECE_BYTES = 2**20


@attrs.define
class BytesArtifact(Artifact):
    """Bytes, or a buffer of them."""

    alias: ClassVar[str] = "bytes"
    suffix: ClassVar[str] = "bin"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("builtins.bytes", "builtins.bytearray")

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse what holds no bytes."""
        try:
            memoryview(value).release()
        except TypeError as error:
            raise cls.unsuitable(value, "bytes") from error

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> bytes:  # noqa: ARG003  (there is nothing to choose)
        """Return the bytes."""
        return buf.read()

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:  # noqa: ARG003
        """Write the bytes.

        Raises
        ------
        TypeError
            When it holds none.
        """
        cls.check_value(obj)
        buf.write(memoryview(obj))


@attrs.define
class FileArtifact(Artifact):
    """A file of any kind, logged by its path. The save copies it, and loading it gives the path of a copy."""

    alias: ClassVar[str] = "file"
    suffix: ClassVar[str] = "file"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("pathlib.PosixPath", "pathlib.WindowsPath")

    @classmethod
    def construct(cls, name: str, value: Any = None, fname: str | None = None, *args: Any, **kwargs: Any) -> Self:
        """Make a handler; where no `fname` is given, the file keeps its name.

        Raises
        ------
        TypeError
            When `value` is no path.
        FileNotFoundError
            When there is no such file.
        IsADirectoryError
            When it is a folder.
        """
        if value is not None:
            path = Path(
                local_path(value, cls.alias, "the file")
            ).absolute()  # the present folder may be another one when it is saved
            if path.is_dir():
                raise IsADirectoryError(
                    f"{path} is a folder, and artifact {name!r} is to be a file: handler='directory' keeps folders"
                )
            if not path.exists():
                raise FileNotFoundError(f"there is no file {path} to log as artifact {name!r}")
            value, fname = path, fname or path.name
        return super().construct(name, value, fname, *args, **kwargs)

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is the path of a file, or of nothing yet."""
        return super().suits(value) and not value.is_dir()

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:  # noqa: ARG003  (there is nothing to choose)
        """Copy the file."""
        with Path(local_path(obj, cls.alias, "the file")).open("rb") as file:
            shutil.copyfileobj(file, buf, _PIECE_BYTES)

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Path:
        """Return the path of a copy; see `load`."""
        return _copied(buf, cls.suffix, **kwargs)

    def load(self, buf: IO[bytes], **kwargs: Any) -> Path:
        """Return the path of a copy.

        Parameters
        ----------
        kwargs
            ``to=``: where it is to be, a path or a folder that is there; what is there is replaced. By default a
            folder that is removed when the process ends.
        """
        return _copied(buf, Path(self.fname).name, **kwargs)


def local_path(value: Any, alias: str, what: str) -> str:
    """Return the path that a handler was given.

    Raises
    ------
    TypeError
        When it is none.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str):
            return os.path.expanduser(path)  # noqa: PTH111  (a text, as it came)
    raise TypeError(f"the handler {alias!r} keeps {what} at a path, not {type(value).__name__}")


def until_exit() -> str:
    """Return a new folder that is removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="lazytrack-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _copied(buf: IO[bytes], name: str, to: str | os.PathLike[str] | None = None) -> Path:
    if to is None:
        to = until_exit()
    target = Path(to).expanduser()
    if target.is_dir():
        target /= name
    target.parent.mkdir(parents=True, exist_ok=True)
    half = tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False)  # noqa: SIM115
    try:
        with half:
            shutil.copyfileobj(buf, half, _PIECE_BYTES)
        Path(half.name).replace(target)
    except BaseException:
        Path(half.name).unlink(missing_ok=True)
        raise
    return target
