"""Bytes at paths on any filesystem: the only room that knows fsspec."""

import contextlib
import errno
import importlib
import math
import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from lazytrack.files.base import Files, Stat, Upload, is_of_the_file
from lazytrack.files.sending import Sending, threads_for

if TYPE_CHECKING:
    from lazytrack.files.cache import Cache

__all__ = [
    "Files",
    "Sending",
    "Stat",
    "Upload",
    "cached",
    "fetched_once",
    "is_of_the_file",
    "join",
    "local_copy",
    "open_files",
    "open_private",
    "protocol",
    "relative",
    "split",
    "threads_for",
]

_REMOTE = "lazytrack.files.remote"
_ADAPTERS = {
    "file": ("lazytrack.files.local", "LocalFiles"),
    "local": ("lazytrack.files.local", "LocalFiles"),
    "memory": ("lazytrack.files.memory", "MemoryFiles"),
    **dict.fromkeys(("s3", "s3a"), (_REMOTE, "S3Files")),
    **dict.fromkeys(("gs", "gcs"), (_REMOTE, "GCSFiles")),
    **dict.fromkeys(("abfs", "abfss", "az"), (_REMOTE, "AzureFiles")),
    **dict.fromkeys(("sftp", "ssh"), ("lazytrack.files.sftp", "SFTPFiles")),
    **dict.fromkeys(("http", "https", "zip"), (_REMOTE, "ReadFiles")),
}
_PORTABLE = (_REMOTE, "PortableFiles")
"""For whatever else fsspec reaches."""
_EXTRAS = {"S3Files": "s3", "GCSFiles": "gcs", "AzureFiles": "azure", "SFTPFiles": "sftp", "ReadFiles": "http"}
_CACHES = {"blockcache", "cached", "filecache", "simplecache"}
"""Filesystems in front of others, which may show what was there before."""
_ARCHIVE = ".zip"
_LOCAL = {"file", "local"}
_OPTIONS = {"file": {"auto_mkdir"}, "local": {"auto_mkdir"}}
_CUT = re.compile(r"([A-Za-z][A-Za-z0-9]+):/(?!/)")
"""What becomes of a URL that is made a path."""
_PASSWORD = re.compile(r"(:/{1,2}[^/@:]*):[^/]*@")
"""What is before the password of a URL, and the password, which may have an @ in it."""
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+._-]+)(?:://|::)")


def open_files(url: str | os.PathLike[str], **options: Any) -> Files:
    """Return the files below the folder `url`; a path without a protocol is local, whatever it contains.

    Parameters
    ----------
    url
        A local path, or ``protocol://path``; of a zip archive, which is only read, too.
    options
        What fsspec's filesystem of that protocol takes.

    Raises
    ------
    ValueError
        When neither lazytrack nor fsspec knows the protocol, or the URL is a chain of them.
    TypeError
        When the filesystem has no such option.
    ModuleNotFoundError
        When the library that speaks the protocol is not installed; the message says how.
    """
    path = os.fspath(url)
    _refuse_cut(path)
    scheme, rest = _protocol(path)
    if path.endswith(_ARCHIVE) and scheme != "zip" and not (scheme in _LOCAL and os.path.isdir(rest)):
        return _in_archive(path, **options)
    given = _PROTOCOL.match(path)
    if scheme in _CACHES or (given and (given[0].endswith("::") or ("::" in rest and scheme not in _LOCAL))):
        raise ValueError(f"cannot keep a store at the chained URL {_shown(path)!r}: give that of the storage itself")
    if scheme in _LOCAL or scheme == "memory":
        if unknown := sorted(options.keys() - _OPTIONS.get(scheme, set())):
            raise TypeError(f"no option {', '.join(map(repr, unknown))} for a store at {_shown(path)!r}")
        return _adapter(scheme)(rest, **options)
    if scheme not in _ADAPTERS and not _is_known_to_fsspec(scheme):
        known = ", ".join(sorted(_ADAPTERS))
        raise ValueError(
            f"cannot keep a store at {_shown(path)!r}: no adapter for {scheme!r}; known: {known}, and what fsspec knows"
        )
    try:
        return _adapter(scheme)(rest, protocol=scheme, **options)
    except ImportError as error:
        extra = _EXTRAS.get(_ADAPTERS.get(scheme, _PORTABLE)[1])
        how = f"a library: pip install 'lazytrack[{extra}]'" if extra else "the library of its filesystem"
        raise ModuleNotFoundError(f"a store at {_shown(path)!r} needs {how} ({error})") from error
    except TypeError as error:
        raise TypeError(f"{error} for a store at {_shown(path)!r}") from error


def _in_archive(url: str, **options: Any) -> Files:
    """Return the files in an archive.

    Raises
    ------
    OSError
        When it is none, or not there.
    """
    import zipfile  # noqa: PLC0415  (few stores are archives)

    path = local_copy(url, **options)
    if os.path.exists(path) and not zipfile.is_zipfile(path):
        raise OSError(errno.EINVAL, "it is no zip archive, or was cut short", url)
    return _adapter("zip")("", protocol="zip", fo=path)


def local_copy(url: str, **options: Any) -> str:
    """Return the local path of a file; one that is elsewhere comes over whole, to be removed when the process ends.

    Raises
    ------
    FileNotFoundError
        When it is elsewhere, and not there.
    """
    scheme, path = _protocol(url)
    if scheme in _LOCAL:
        return os.path.abspath(path)
    import atexit  # noqa: PLC0415  (few files are asked for so)
    import shutil  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    folder, name = split(url)
    here = tempfile.mkdtemp(prefix="lazytrack-")
    atexit.register(shutil.rmtree, here, ignore_errors=True)
    copy = os.path.join(here, name)
    with open_files(folder, **options).open_read(name) as file, open(copy, "xb") as target:
        shutil.copyfileobj(file, target)
    return copy


def _is_known_to_fsspec(scheme: str) -> bool:
    import fsspec  # noqa: PLC0415  (a local store does without it)

    return scheme in fsspec.registry or scheme in fsspec.available_protocols()


def _adapter(scheme: str) -> Callable[..., Files]:
    module, name = _ADAPTERS.get(scheme, _PORTABLE)
    adapter: Callable[..., Files] = getattr(importlib.import_module(module), name)
    return adapter


def cached(files: Files, cache: "Cache | str | os.PathLike[str] | bool | None", folders: Collection[str]) -> Files:
    """Return files of which those in `folders`, which never change, are kept in a cache, where that saves fetching.

    Parameters
    ----------
    cache
        A `Cache`, its folder, or True for the user's own; none where it is False or None.
    """
    if cache is None or cache is False:
        return files
    from lazytrack.files.cache import Cache, CachedFiles  # noqa: PLC0415  (few ask for one)

    if cache is True:
        cache = Cache()
    elif isinstance(cache, str | os.PathLike):
        cache = Cache(cache)
    elif not isinstance(cache, Cache):
        raise TypeError(f"cache={cache!r} is no cache: give True, a folder or a lazytrack.Cache")
    return CachedFiles(files, cache, folders) if files.is_elsewhere else files


@contextlib.contextmanager
def fetched_once(files: Files, folders: Collection[str]) -> Iterator[Files]:
    """Give the same files, of which those in `folders` come over once at most, however often the block reads them."""
    if not files.is_elsewhere:
        yield files
        return
    import tempfile  # noqa: PLC0415  (as the cache, for what is elsewhere)

    from lazytrack.files.cache import Cache  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="lazytrack-") as folder:
        yield cached(files, Cache(folder, max_bytes=math.inf), folders)


def open_private(folder: str) -> Files:
    """Return the files below a local folder; what is written there may be read by this user alone."""
    from lazytrack.files.local import LocalFiles  # noqa: PLC0415  (as every adapter, when it is needed)

    return LocalFiles(folder, private=True)


def split(url: str) -> tuple[str, str]:
    """Return a URL's folder and the name in it: ``("s3://b/churn", "project.json")``.

    Raises
    ------
    ValueError
        When it is a URL that was made a path.
    """
    _refuse_cut(url)
    scheme, rest = _protocol(url)
    if scheme in _LOCAL:
        return os.path.split(os.path.abspath(rest))
    folder, _, name = rest.rstrip("/").rpartition("/")
    return url[: len(url) - len(rest)].lower() + folder, name


def protocol(url: str) -> str:
    """Return what a URL begins with, such as ``s3``; of a path that is ``file``."""
    return _protocol(url)[0]


def relative(url: str, folder: str) -> str:
    """Return a path or URL as it is seen from `folder`, with ``/``; as it is where no way leads there."""
    scheme, path = _protocol(url)
    other, start = _protocol(folder)
    if scheme != other:
        return url
    if scheme in _LOCAL:
        try:
            return os.path.relpath(path, start).replace(os.sep, "/")
        except ValueError:  # another drive
            return url
    if path.split("/")[0] != start.split("/")[0]:  # another bucket
        return url
    return posixpath.relpath(path, start)


def join(folder: str, path: str) -> str:
    """Return what `relative` was given: the path or URL that `path` means where it stands in `folder`."""
    if _PROTOCOL.match(path) or os.path.isabs(path):
        return path
    scheme, start = _protocol(folder)
    if scheme in _LOCAL:
        return os.path.normpath(os.path.join(start, path))
    return folder[: len(folder) - len(start)] + posixpath.normpath(posixpath.join(start, path))


def _refuse_cut(path: str) -> None:
    """Refuse a URL that was made a path, which has lost a slash and would be a folder here."""
    if (cut := _CUT.match(path)) and cut[1].lower() in _ADAPTERS:
        meant = _shown(f"{cut[1]}://{path[cut.end() :]}")
        raise ValueError(f"cannot keep a store at {_shown(path)!r}: {meant} is a URL, which is no Path")


def _shown(url: str) -> str:
    """Return a URL as errors show it: without the password that may be in it."""
    return _PASSWORD.sub(r"\1:***@", url)


def _protocol(url: str) -> tuple[str, str]:
    match = _PROTOCOL.match(url)
    return (match[1].lower(), url[match.end() :]) if match else ("file", os.path.expanduser(url))
