"""Artifacts that are folders: many files, each of which is kept under its own name."""

import contextlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import attrs

from lazytrack import naming
from lazytrack.artifacts.base import Artifact, Part
from lazytrack.artifacts.raw import local_path, until_exit

_PIECE_BYTES = 2**20
_DRIVE = re.compile(r".:", re.DOTALL)


@attrs.define
class DirectoryArtifact(Artifact):
    """A folder, logged by its path. The save copies its files, and loading it gives the path of a copy.

    A file that another version of the artifact has too is kept once. Folders without files are left out, and so is
    what the system says of files, such as times and permissions. Links are refused: they may lead anywhere.
    """

    alias: ClassVar[str] = "directory"
    suffix: ClassVar[str] = "json"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    has_parts: ClassVar[bool] = True

    _names: frozenset[str] = attrs.field(default=frozenset(), init=False, eq=False, repr=False)
    """Of the files that were there when it was logged."""

    @classmethod
    def construct(cls, name: str, value: Any = None, *args: Any, **kwargs: Any) -> Self:
        """Make a handler.

        Raises
        ------
        TypeError
            When `value` is no path.
        FileNotFoundError, NotADirectoryError
            When there is no such folder.
        ValueError
            When there is a link in it, or something else that is no file.
        """
        if value is not None:
            value = Path(local_path(value, cls.alias, "the folder")).absolute()
            if not value.exists():
                raise FileNotFoundError(f"there is no folder {value} to log as artifact {name!r}")
            if not value.is_dir():
                raise NotADirectoryError(f"{value} is a file, and artifact {name!r} is to be a folder")
        made = super().construct(name, value, *args, **kwargs)
        if value is not None:
            made._names = frozenset(inside for inside, _ in _files_in(value))  # noqa: SLF001  (refuses now what cannot be kept)
        return made

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is the path of a folder."""
        return isinstance(value, Path) and value.is_dir()

    def parts(self) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
        """Yield the files of the folder, by name.

        Raises
        ------
        FileNotFoundError
            When some are gone that were there when it was logged.
        """
        found = _files_in(self.value)
        if gone := sorted(self._names.difference(name for name, _ in found)):
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            raise FileNotFoundError(f"{gone[0]}{more} of {self.value} is gone since it was logged")
        for name, path in found:
            yield name, _opener(path)

    def load_parts(self, parts: Iterable[Part], **kwargs: Any) -> Path:
        """Return the path of a copy.

        Parameters
        ----------
        kwargs
            ``to=``: where it is to be, a folder that is empty or not there. By default one that is removed when the
            process ends.

        Raises
        ------
        FileExistsError
            When there is something at that place.
        """
        with _filled(**kwargs) as fill:
            for part in parts:
                with part.open() as file:
                    fill(part.name, file)
        return fill.folder

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:  # noqa: ARG003  (there is nothing to choose)
        """Write the folder as one stream, a tar archive, as which it goes to other processes."""
        with tarfile.open(fileobj=buf, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for name, path in _files_in(Path(local_path(obj, cls.alias, "the folder"))):
                with path.open("rb") as file:
                    info = tarfile.TarInfo(name)
                    info.size = os.fstat(file.fileno()).st_size
                    archive.addfile(info, file)

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Path:
        """Return the path of a copy of what `write` has written; `kwargs` are as for `load_parts`."""
        with _filled(**kwargs) as fill, tarfile.open(fileobj=buf, mode="r|") as archive:
            for info in archive:
                naming.check_inside(info.name)
                file = archive.extractfile(info) if info.isfile() else None
                if file is None:
                    raise ValueError(f"{info.name[:200]!r} is no file")
                fill(info.name, file)
        return fill.folder


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _files_in(folder: Path) -> list[tuple[str, Path]]:
    """Return the files in a folder, by the path that they have in it.

    Raises
    ------
    ValueError
        When there is a link, or something else that is no file; or a name that other systems do not take.
    """
    found = []
    for here, folders, names in os.walk(folder, onerror=_raise):
        for name in [*folders, *names]:
            path = Path(here, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise ValueError(f"{path} is a link, which may lead anywhere: put there what it leads to")
            if path.is_dir():
                continue
            if not path.is_file():
                raise ValueError(f"{path} is neither a file nor a folder, and cannot be kept")
            if "\\" in inside or _DRIVE.match(inside):
                raise ValueError(f"{path} has a name that leads elsewhere on other systems: rename it")
            found.append((inside, path))
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


class _Filled:
    """A new folder, and what puts files into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, file: IO[bytes]) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            shutil.copyfileobj(file, copy, _PIECE_BYTES)


@contextlib.contextmanager
def _filled(to: str | os.PathLike[str] | None = None) -> Iterator[_Filled]:
    """Give what fills a folder; where that fails, nothing of it is left."""
    if to is None:
        yield _Filled(Path(until_exit()))
        return
    target = Path(to).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"there is something at {target}: give a folder that is empty, or not there")
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{naming.unique()}.tmp")
    half.mkdir()
    try:
        filled = _Filled(half)
        yield filled
        if target.exists():  # it may be the present folder, and stays the one it is
            for path in half.iterdir():
                path.rename(target / path.name)
            half.rmdir()
        else:
            half.rename(target)
        filled.folder = target
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
